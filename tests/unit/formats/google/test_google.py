"""A whole evaluation: Google's own numbers, and its test images where they are there."""

import json
from math import nan

import numpy as np
import pytest

from mlrek.errors import EvaluationError, ParseError
from mlrek.evaluation import DoubtKind, Effect, RecordsKind, Task
from mlrek.formats.google.collection import collect_google
from mlrek.formats.google.evaluation import parse_google
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.test_set import count_once
from mlrek.metrics.test_set import test_set_digest as digest_test_set
from mlrek.text import round_half_up

VERTEX = "projects/493052112345/locations/us-central1/models/8321"
ML_USE = "aiplatform.googleapis.com/ml_use"
AREA = {"auPrc": 0.9}


def predict(image, labels, confidences, **more) -> dict:
    """A line of batch predictions."""
    prediction = {"displayNames": labels, "confidences": confidences, **more}
    return {"instance": {"content": image}, "prediction": prediction}


def know(image, *labels, use="test") -> dict:
    """A line of ground truth with one label or several."""
    names = [{"displayName": label} for label in labels]
    known = {"classificationAnnotation": names[0]} if len(names) == 1 else {}
    known = {"classificationAnnotations": names} if len(names) > 1 else known
    return {"imageGcsUri": image, "dataItemResourceLabels": {ML_USE: use}, **known}


def know_boxes(image, *boxes) -> dict:
    """A line of ground truth with boxes: label, xMin, yMin, xMax, yMax."""
    names = ("displayName", "xMin", "yMin", "xMax", "yMax")
    return {
        "imageGcsUri": image,
        "boundingBoxAnnotations": [dict(zip(names, box, strict=True)) for box in boxes],
        "dataItemResourceLabels": {ML_USE: "test"},
    }


@pytest.fixture
def files(vertex) -> dict:
    """A version with two test images and two labels."""
    matrix = {"annotationSpecs": [{"displayName": c} for c in ("dog", "cat")], "rows": [[1, 0]] * 2}
    return {
        "e.json": vertex(AREA | {"confusionMatrix": matrix}),
        "p.jsonl": (
            predict("gs://b/2", ["cat", "dog"], [0.8, 0.2]),
            predict("gs://b/1", ["dog", "cat"], [0.9, 0.1]),
        ),
        "t.jsonl": (know("gs://b/1", "dog"), know("gs://b/2", "dog")),
    }


def count_at(evaluation, label, threshold) -> tuple[int, int, int]:
    """True and false positives and false negatives of a label, counted one by one."""
    code = evaluation.labels.index(label)
    tp = fp = fn = 0
    truth, records = evaluation.truth, evaluation.records
    for i in range(len(evaluation.images)):
        is_true = code in truth.label_idx[truth.offsets[i] : truth.offsets[i + 1]]
        own = slice(records.offsets[i], records.offsets[i + 1])
        scores = dict(zip(records.label_idx[own], records.confidence[own], strict=True))
        found = scores.get(code, -1) >= threshold
        tp, fp, fn = (
            tp + (found and is_true),
            fp + (found and not is_true),
            fn + (not found and is_true),
        )
    return tp, fp, fn


@pytest.fixture(scope="module")
def flowers_evaluation(flowers, read_one):
    """The evaluation of Google's page, with the images."""
    return read_one(flowers)


@pytest.mark.parametrize(
    ("threshold", "counts", "precision", "recall"),
    [(0.5, (58, 4, 6), 93.55, 90.63), (0.84, (56, 2, 8), 96.55, 87.5)],
)
def test_roses_of_the_page(flowers_evaluation, threshold, counts, precision, recall):
    """The page's numbers of roses at both positions of its slider come out of the images."""
    tp, fp, fn = count_at(flowers_evaluation, "roses", threshold)
    assert (tp, fp, fn) == counts
    assert round_half_up(100 * tp / (tp + fp), 2) == precision
    assert round_half_up(100 * tp / (tp + fn), 2) == recall


def test_scores_under_the_pages_pictures(flowers_evaluation):
    """The false positives of roses at 0.5 have the scores that stand under their pictures."""
    records = flowers_evaluation.records
    truth = np.zeros(len(flowers_evaluation.images), dtype=int)
    truth[flowers_evaluation.truth.image_idx] = flowers_evaluation.truth.label_idx
    roses = flowers_evaluation.labels.index("roses")
    chosen = (records.label_idx == roses) & (records.confidence >= 0.5)
    wrong = chosen & (truth[records.image_idx] != roses)
    assert sorted(records.confidence[wrong]) == [0.59571296, 0.74452376, 0.9224467, 0.957296]


def test_matrix_of_the_page_from_images(flowers_evaluation):
    """The published matrix is that of the labels with the highest confidence."""
    records, n = flowers_evaluation.records, len(flowers_evaluation.labels)
    top = records.confidence.reshape(-1, n).argmax(axis=1)
    counts = np.zeros((n, n), dtype=int)
    np.add.at(counts, (flowers_evaluation.truth.label_idx, top), 1)
    names = flowers_evaluation.labels
    published = {cell[:2]: cell[2] for cell in flowers_evaluation.reported.confusion}
    for i, true in enumerate(names):
        for j, predicted in enumerate(names):
            assert counts[i, j] == published[true, predicted]


def test_shape_of_the_page(flowers_evaluation):
    """All 367 images, one label each, with a confidence of every label."""
    assert flowers_evaluation.task is Task.CLASSIFICATION
    assert len(flowers_evaluation.images) == 367
    assert flowers_evaluation.records_kind is RecordsKind.COMPLETE
    assert len(digest_test_set(flowers_evaluation)) == 32
    assert [w for w in flowers_evaluation.warnings if "train_images" not in w] == []


def test_summary_is_the_file_itself(flowers, flowers_evaluation):
    """The document with the evaluation is kept byte for byte."""
    assert flowers_evaluation.summary == flowers["list_model_evaluations.json"]


def test_join(files, read_one):
    """Predictions and truth meet by the image's URI, in the order of the predictions."""
    evaluation = read_one(files)
    assert evaluation.images == ("gs://b/2", "gs://b/1")
    assert evaluation.labels == ("dog", "cat")
    assert evaluation.truth.label_idx.tolist() == [0, 0]
    assert evaluation.records.label_idx.tolist() == [0, 1, 0, 1]
    assert evaluation.records.confidence.tolist() == [0.2, 0.8, 0.9, 0.1]
    assert evaluation.detections is None


def test_labels_beyond_the_published(files, read_one):
    """Labels that only the images have follow in alphabetical order."""
    more = (
        predict("gs://b/1", ["zebra", "dog", "ant"], [0.5, 0.3, 0.2]),
        *files["p.jsonl"][:1],
    )
    evaluation = read_one(files | {"p.jsonl": more, "t.jsonl": (*files["t.jsonl"],)})
    assert evaluation.labels == ("dog", "cat", "ant", "zebra")


def said(evaluation, *words) -> bool:
    """Whether a warning has all the words."""
    return any(all(word in warning for word in words) for warning in evaluation.warnings)


def test_unmatched_images_are_counted(files, read_one):
    """Test images without a prediction are misses; other images on one side only are left out."""
    files["p.jsonl"] += (
        predict("gs://b/3", ["dog"], [1.0]),
        predict("gs://b/4", ["dog"], [1.0]),
        {"instance": {"content": "gs://b/5"}, "error": {"message": "no image"}},
    )
    files["t.jsonl"] += (
        know("gs://b/4", "dog", use="training"),
        know("gs://b/5", "dog"),
        know("gs://b/6", "dog"),
    )
    evaluation = read_one(files)
    assert evaluation.images == ("gs://b/2", "gs://b/1", "gs://b/5", "gs://b/6")
    assert evaluation.records.counts.tolist() == [2, 2, 0, 0]
    assert said(evaluation, "1 predicted images are not in the ground truth", "'gs://b/3'")
    assert said(evaluation, "1 predicted images are no test images", "'gs://b/4'")
    unanswered, missing = evaluation.doubts
    assert (unanswered.kind, unanswered.count, unanswered.of) == (DoubtKind.UNANSWERED, 2, 4)
    assert unanswered.text.endswith("as misses: 'gs://b/5': 'no image'; 'gs://b/6'")
    assert (missing.kind, missing.count, missing.of) == (DoubtKind.IMAGES_MISSING, 2, 4)


def test_numbers_with_images_without_a_prediction(files, read_one):
    """By hand, of 4 dogs: one right, one taken for a cat, two without a prediction."""
    files["t.jsonl"] += (know("gs://b/5", "dog"), know("gs://b/6", "dog"))
    metrics = compute_metrics(read_one(files), intervals=False)
    assert metrics.confusion.columns == ("dog", "cat", "(none)")
    assert metrics.confusion.counts.tolist() == [[1, 1, 2], [0, 0, 0]]
    values = {name: number.value for name, number in metrics.aggregate.items()}
    assert values["accuracy"] == values["recall_micro"] == 1 / 4
    assert values["precision_micro"] == 1 / 2
    assert values["f1_micro"] == pytest.approx(2 / (2 + 1 + 3))
    assert values["recall_macro"] == (1 / 4 + 0) / 2


@pytest.mark.parametrize(("use", "expected"), [("test", 3), ("", 2), ("unassigned", 2)])
def test_image_without_a_prediction_needs_a_mark(files, read_one, use, expected):
    """Where nothing says that it is a test image, it is left out and counted."""
    files["t.jsonl"] = tuple(know(f"gs://b/{i}", "dog", use=use) for i in (1, 2, 3))
    evaluation = read_one(files)
    assert len(evaluation.images) == expected
    assert said(evaluation, "neither a prediction nor a mark", "'gs://b/3'") is (expected == 2)


def test_image_with_an_error_line_needs_no_mark(files, read_one):
    """The job was asked for it."""
    files["p.jsonl"] += ({"instance": {"content": "gs://b/3"}, "error": {"message": "no image"}},)
    files["t.jsonl"] = tuple(know(f"gs://b/{i}", "dog", use="") for i in (1, 2, 3))
    assert read_one(files).images == ("gs://b/2", "gs://b/1", "gs://b/3")


def test_predictions_of_other_images_are_refused(files, read_one):
    """File names instead of addresses are no proof that the model is always wrong."""
    files["p.jsonl"] = (predict("2.jpg", ["cat"], [0.8]), predict("1", ["dog"], [0.9]))
    with pytest.raises(EvaluationError, match=r"not one predicted image .*: '1' and 'gs://b/1'"):
        read_one(files)


@pytest.mark.parametrize("order", [1, -1])
def test_image_predicted_twice(files, read_one, order):
    """Both lines stay, and the smaller one counts, whatever the order of lines."""
    files["p.jsonl"] += (predict("gs://b/1", ["dog", "cat"], [0.0, 1.0]),)
    files["p.jsonl"] = files["p.jsonl"][::order]
    evaluation = read_one(files)
    assert len(evaluation.images) == 3
    counted = count_once(evaluation)
    first = counted.images.index("gs://b/1")
    assert counted.records.confidence[2 * first : 2 * first + 2].tolist() == [0.9, 0.1]
    assert [doubt.kind for doubt in counted.doubts] == [DoubtKind.IMAGES_REPEATED]


def test_truth_that_contradicts_itself_is_left_out(files, read_one):
    """Two lines of one image with different labels tell nothing."""
    files["t.jsonl"] += (know("gs://b/1", "cat"),)
    evaluation = read_one(files)
    assert evaluation.images == ("gs://b/2",)
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.TRUTH_UNKNOWN, 1, 2)


def test_truth_on_two_lines_counts_once(files, read_one):
    """It is one image, which is said."""
    files["t.jsonl"] += (know("gs://b/1", "dog"),)
    evaluation = read_one(files)
    assert len(evaluation.images) == 2
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.IMAGES_REPEATED, 1, 2)


def test_label_predicted_twice(files, read_one):
    """Of two confidences of one label on an image the highest counts."""
    files["p.jsonl"] = (
        predict("gs://b/1", ["dog", "cat", "dog"], [0.3, 0.1, 0.6]),
        predict("gs://b/2", ["dog", "cat"], [0.5, 0.5]),
    )
    evaluation = read_one(files)
    assert evaluation.records.confidence.tolist() == [0.6, 0.1, 0.5, 0.5]
    assert said(evaluation, "1 predictions repeat a label of their image")


def test_no_use_is_told(files, read_one):
    """Where the truth does not tell the test set, all of it stands for it, with a warning."""
    files["t.jsonl"] = (know("gs://b/1", "dog", use=""), know("gs://b/2", "cat", use=""))
    evaluation = read_one(files)
    assert len(evaluation.images) == 2
    assert said(evaluation, "does not tell which images are the test set; all 2")


def test_some_uses_are_not_told(files, read_one):
    """Next to marked test images, those without a mark are left out and counted."""
    files["t.jsonl"] += (know("gs://b/3", "dog", use="unassigned"),)
    evaluation = read_one(files)
    assert len(evaluation.images) == 2
    assert said(evaluation, "1 images of the ground truth are not marked")


def test_no_test_image(files, read_one):
    """A truth of training images alone leaves Google's own numbers."""
    files["t.jsonl"] = (know("gs://b/1", "dog", use="training"),)
    evaluation = read_one(files)
    assert not evaluation.has_images
    assert evaluation.reported.aggregate["average_precision"] == 0.9
    assert said(evaluation, "holds no test image")


def test_other_number_of_images(files, read_one):
    """Fewer images than Google evaluated are not claimed to be its test set."""
    files["t.jsonl"] = files["t.jsonl"][:1]
    (doubt,) = read_one(files).doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.IMAGES_MISSING, 1, 2)


def test_left_out_confidences(files, read_one, vertex_model):
    """Confidences that the job left out are unknown, and the job's parameters are told."""
    files["p.jsonl"] = (
        predict("gs://b/1", ["dog"], [0.9]),
        predict("gs://b/2", ["cat", "dog"], [0.8, 0.2]),
    )
    job = {
        "name": f"{VERTEX.rpartition('/models')[0]}/batchPredictionJobs/1",
        "model": f"{VERTEX}@2",
        "modelParameters": {"confidenceThreshold": 0.15, "maxPredictions": 10},
    }
    evaluation = read_one(files | {"j.json": job, "m.json": vertex_model()})
    assert evaluation.records_kind is RecordsKind.PARTIAL
    assert said(evaluation, "1 of 4 confidences", "confidence threshold 0.15 and at most 10")


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, 0), (0.7, 1)])
def test_job_that_ends_above_one_half(files, read_one, vertex_model, threshold, expected):
    """Of several labels an image a false alarm between 0.5 and the job's threshold is not seen."""
    files["t.jsonl"] = (know("gs://b/1", "dog", "cat"), know("gs://b/2", "dog"))
    job = {
        "name": f"{VERTEX.rpartition('/models')[0]}/batchPredictionJobs/1",
        "model": f"{VERTEX}@2",
        "modelParameters": {"confidenceThreshold": threshold},
    }
    evaluation = read_one(files | {"j.json": job, "m.json": vertex_model()})
    stopping = [d for d in evaluation.doubts if d.kind is DoubtKind.RECORDS_PARTIAL]
    assert [doubt.effect for doubt in stopping] == [Effect.STOPS] * expected
    assert all(doubt.touches_number("aggregate/f1_macro") for doubt in stopping)


def test_one_record_an_image(files, read_one):
    """Lines of one label each are told as such by the records."""
    files["p.jsonl"] = tuple(predict(f"gs://b/{i}", ["dog"], [0.9]) for i in (1, 2))
    assert read_one(files).records_kind is RecordsKind.TOP1


def test_several_labels(files, read_one):
    """An image with two true labels makes it a task of several labels."""
    files["t.jsonl"] = (know("gs://b/1", "dog", "cat", "cat"), know("gs://b/2", "dog"))
    evaluation = read_one(files)
    assert evaluation.task is Task.MULTILABEL
    assert evaluation.truth.offsets.tolist() == [0, 1, 3]
    assert evaluation.truth.label_idx.tolist() == [0, 0, 1]


def test_several_labels_by_the_form_of_the_truth(files, read_one, vertex):
    """Where nothing else tells, a truth written for several labels does."""
    lines = [line | {"classificationAnnotations": []} for line in files["t.jsonl"]]
    for line, label in zip(lines, ("dog", "cat"), strict=True):
        line["classificationAnnotations"] = [{"displayName": label}]
    evaluation = read_one(files | {"e.json": vertex(AREA), "t.jsonl": tuple(lines)})
    assert evaluation.task is Task.MULTILABEL


def test_image_without_labels(files, read_one):
    """An image that is labelled as having none stays; one that nobody has labelled does not."""
    files["t.jsonl"] = (know("gs://b/1"), know("gs://b/2", "dog"))
    evaluation = read_one(files)
    assert evaluation.images == ("gs://b/2",)
    assert [doubt.kind for doubt in evaluation.doubts] == [DoubtKind.TRUTH_UNKNOWN]
    files["t.jsonl"][0]["classificationAnnotations"] = []
    evaluation = read_one(files)
    assert (len(evaluation.images), evaluation.truth.counts.tolist()) == (2, [1, 0])
    assert evaluation.doubts == ()


@pytest.fixture
def detection(vertex) -> dict:
    """A detection with two test images."""
    by_iou = [{"iouThreshold": 0.5, "meanAveragePrecision": 0.7}]
    metrics = {"evaluatedBoundingBoxCount": 2, "boundingBoxMetrics": by_iou}
    return {
        "e.json": vertex(
            metrics, metricsSchemaUri="gs://s/image_object_detection_metrics_1.0.0.yaml"
        ),
        "p.jsonl": (
            predict(
                "gs://b/1", ["cat", "dog"], [0.9, 0.2], bboxes=[[0.1, 0.3, 0.2, 0.4], [0, 1, 0, 1]]
            ),
            predict("gs://b/2", [], [], bboxes=[]),
        ),
        "t.jsonl": (
            know_boxes("gs://b/2"),
            know_boxes("gs://b/1", ("dog", 0.0, 0.0, 1.0, 1.0), ("cat", 0.1, 0.2, 0.3, 0.4)),
        ),
    }


def test_detection(detection, read_one):
    """Boxes as shares of the image, in the provider's order, with their labels."""
    evaluation = read_one(detection)
    boxes = evaluation.detections
    assert (evaluation.task, evaluation.labels) == (Task.DETECTION, ("cat", "dog"))
    assert boxes.normalized
    assert boxes.truth.offsets.tolist() == boxes.records.offsets.tolist() == [0, 2, 2]
    assert boxes.truth.label_idx.tolist() == [1, 0]
    assert boxes.truth.boxes_xyxy.tolist() == [[0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]]
    assert boxes.records.label_idx.tolist() == [0, 1]
    assert boxes.records.boxes_xyxy.tolist() == [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]]
    assert boxes.records.confidence.tolist() == [0.9, 0.2]
    np.testing.assert_array_equal(boxes.image_sizes, [[nan, nan], [nan, nan]])
    assert len(evaluation.records.label_idx) == 0
    assert evaluation.truth.label_idx.tolist() == [0, 1]


def test_detection_that_left_boxes_out(detection, read_one):
    """Where no box is below 0.5, less sure ones were probably left out."""
    detection["p.jsonl"] = (predict("gs://b/1", ["cat"], [0.9], bboxes=[[0, 1, 0, 1]]),)
    doubts = {doubt.kind: doubt for doubt in read_one(detection).doubts}
    doubt = doubts[DoubtKind.RECORDS_PARTIAL]
    assert doubt.text.startswith("no predicted box has a confidence below 0.9")
    assert doubt.effect is Effect.STOPS_RELATIVE
    assert doubt.touches_number("aggregate/ap_50")
    assert not doubt.touches_number("label_recall")


def test_detection_that_found_nothing(detection, read_one):
    """A detection without one predicted box is evaluated all the same."""
    nothing = tuple({"ID": f"gs://b/{i}", "annotations": []} for i in (1, 2))
    evaluation = read_one(detection | {"p.jsonl": nothing})
    assert len(evaluation.detections.truth.label_idx) == 2
    assert len(evaluation.detections.records.label_idx) == 0


def test_predictions_of_another_kind(files, detection, read_one):
    """Labels of whole images are not those of a detection, and are not used."""
    evaluation = read_one(detection | {"p.jsonl": files["p.jsonl"], "t.jsonl": files["t.jsonl"]})
    assert (evaluation.task, evaluation.has_images) == (Task.DETECTION, False)
    assert said(evaluation, "labels of whole images", "boxes", "not used")


def test_images_without_a_published_evaluation(files, read_one, vertex_model):
    """Predictions and truth of a described version are an evaluation without Google's numbers."""
    del files["e.json"]
    evaluation = read_one(files | {"m.json": vertex_model()})
    assert evaluation.reported.aggregate == {}
    assert (evaluation.labels, len(evaluation.images)) == (("cat", "dog"), 2)


def test_nothing_to_evaluate(files, collect, vertex_model):
    """Without Google's numbers and without an image in common there is nothing."""
    del files["e.json"]
    files["t.jsonl"] = (know("gs://b/9", "dog"),)
    contents = {
        name: b"\n".join(json.dumps(line).encode() for line in files[name])
        for name in ("p.jsonl", "t.jsonl")
    }
    (found,) = collect(files | {"m.json": vertex_model()}).versions
    with pytest.raises(EvaluationError, match="not one predicted image"):
        parse_google(found, lambda name: [contents[name]])


def test_skipped_and_refused_versions_have_no_evaluation(collect, vertex_model, vertex):
    """Asking for the evaluation of a skipped or refused version gives its reason."""
    skipped = collect({"m.json": vertex_model()}).versions[0]
    refused = collect({"e.json": vertex({"auPrc": 7})}).versions[0]
    for found, reason in ((skipped, "no evaluation of it is saved"), (refused, "is 7")):
        with pytest.raises(EvaluationError, match=reason):
            parse_google(found, lambda name: [])


def test_bad_line_fails_its_version(files, read_one):
    """A malformed line fails the version with its place, unless bad lines are skipped."""
    files["p.jsonl"] += ({"instance": {"content": "gs://b/3"}},)
    with pytest.raises(ParseError, match=r"^p\.jsonl:3: "):
        read_one(files)
    (doubt,) = read_one(files, skip_bad_lines=True).doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 3)


def test_nothing_at_all():
    """Of no files there are no versions and no warnings."""
    collection = collect_google({}, {})
    assert (collection.versions, collection.warnings) == ((), ())

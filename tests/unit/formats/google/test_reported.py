"""Google's own numbers of an evaluation: those that its pages print come out."""

from math import isnan

import numpy as np
import pytest

from mlrek.evaluation import Task
from mlrek.formats.google.metrics import GoogleSettings
from mlrek.metrics.reported import count_reported, reported_at
from mlrek.text import round_half_up

FLOWERS = ("tulips", "dandelion", "sunflowers", "daisy", "roses")
MATRIX = [[78, 0, 0, 0, 2], [0, 89, 0, 1, 0], [0, 0, 67, 1, 2], [0, 0, 0, 63, 0], [4, 0, 0, 1, 59]]
SHOWN = [
    "98% - - - 3%",
    "- 99% - 1% -",
    "- - 96% 1% 3%",
    "- - - 100% -",
    "6% - - 2% 92%",
]


def show_percent(counts, digits) -> list[str]:
    """A matrix as the console shows it: percent of the row, a dash for nothing."""
    return [
        " ".join(
            f"{round_half_up(100 * count / sum(row), digits):.{digits}f}%" if count else "-"
            for count in row
        )
        for row in counts
    ]


@pytest.fixture(scope="module")
def evaluation(flowers, read_one):
    """The evaluation of Google's page, read at the default threshold."""
    return read_one(flowers)


def test_all_labels_at_a_half(evaluation):
    """All labels at 0.5: 96.99 % and 96.46 % of 367 test items."""
    aggregate = evaluation.reported.aggregate
    assert round_half_up(100 * aggregate["precision"], 2) == 96.99
    assert round_half_up(100 * aggregate["recall"], 2) == 96.46
    assert (aggregate["threshold"], evaluation.reported.test_images) == (0.5, 367)


def test_total_images(evaluation):
    """`Total images 3,299`: all of the data set that were not tested."""
    assert evaluation.reported.train_images == 3299


def test_roses_at_a_half(evaluation):
    """Roses at 0.5: 93.55 % and 90.63 %, a half rounded up, of 64 test items."""
    roses = evaluation.reported.per_label["roses"]
    assert round_half_up(100 * roses["precision"], 2) == 93.55
    assert round_half_up(100 * roses["recall"], 2) == 90.63
    assert roses["test_images"] == 64


def test_areas_and_losses(evaluation):
    """The areas under the curves and the log loss stand as published."""
    aggregate = evaluation.reported.aggregate
    assert aggregate["average_precision"] == 0.9816133
    assert aggregate["roc_auc"] == 0.9923008
    assert aggregate["log_loss"] == 0.19624618
    assert evaluation.reported.per_label["roses"]["average_precision"] == 0.97142905


def test_counts_at_a_half(evaluation):
    """The curve holds the counts: 354 true and 11 false positives of all labels."""
    at = reported_at(evaluation.reported.curves[""], 0.5)
    assert {name: at.values[name] for name in ("tp", "fp", "fn", "tn")} == {
        "tp": 354,
        "fp": 11,
        "fn": 13,
        "tn": 1457,
    }


def test_second_matrix(evaluation):
    """The second matrix of the page: its counts, and its percentages as the console shows them."""
    labels, counts = count_reported(evaluation)
    assert (labels, counts.tolist()) == (FLOWERS, MATRIX)
    assert show_percent(counts.tolist(), 0) == SHOWN


def test_first_matrix():
    """The first matrix of the page comes out of the smallest counts that fit it."""
    counts = [
        [62, 7, 0, 0, 0],
        [0, 77, 1, 1, 0],
        [1, 0, 102, 1, 0],
        [0, 0, 1, 58, 0],
        [0, 0, 0, 0, 70],
    ]
    assert show_percent(counts, 1) == [
        "89.9% 10.1% - - -",
        "- 97.5% 1.3% 1.3% -",
        "1.0% - 98.1% 1.0% -",
        "- - 1.7% 98.3% -",
        "- - - - 100.0%",
    ]


def test_between_published_thresholds(flowers, read_one):
    """At 0.84 the numbers at 0.85 stand, and a warning says so."""
    evaluation = read_one(flowers, settings=GoogleSettings(threshold=0.84))
    assert evaluation.reported.aggregate["threshold"] == 0.85
    assert evaluation.reported.per_label["roses"]["threshold"] == 0.85
    (warning,) = [w for w in evaluation.warnings if "threshold" in w]
    assert warning == (
        "Google publishes no numbers at threshold 0.84; the nearest published ones stand for it: "
        "0.85 (all labels together and 5 labels)"
    )


def test_label_order(evaluation):
    """Labels stand in the order of the evaluation's own list, which is not the alphabet's."""
    assert evaluation.labels == FLOWERS


def test_curves(evaluation):
    """The published curves: all labels and each one, over rising thresholds."""
    curves = evaluation.reported.curves
    assert list(curves) == ["", *FLOWERS]
    assert len(curves["roses"].thresholds) == 24
    assert np.all(np.diff(curves["roses"].thresholds) > 0)


def test_google_docs_sample(data, read_one):
    """The flowers sample of the Vertex pages: 362/367 and 362/404 at 0.05, 63/367 daisies at 0."""
    folder = data / "vertex-docs-flowers"
    evaluation = read_one(
        {file.name: file.read_bytes() for file in folder.iterdir()},
        settings=GoogleSettings(threshold=0.05),
    )
    reported = evaluation.reported
    assert reported.aggregate["recall"] == pytest.approx(362 / 367, abs=1e-7)
    assert reported.aggregate["precision"] == pytest.approx(362 / 404, abs=1e-7)
    assert reported.curves["daisy"].precision[0] == pytest.approx(63 / 367, abs=1e-7)
    assert reported.per_label["daisy"]["precision"] == pytest.approx(63 / 67, abs=1e-7)
    assert (reported.test_images, evaluation.task) == (367, Task.CLASSIFICATION)
    assert "f1" not in reported.aggregate
    assert "roc_auc" not in reported.aggregate


def test_google_docs_matrix(data, read_one):
    """The sample's matrix gives the labels' test images: the sums of its rows."""
    folder = data / "vertex-docs-flowers"
    evaluation = read_one({file.name: file.read_bytes() for file in folder.iterdir()})
    counted = {label: s["test_images"] for label, s in evaluation.reported.per_label.items()}
    assert counted == {"tulips": 80, "dandelion": 90, "sunflowers": 70, "daisy": 63, "roses": 64}


def test_google_docs_detection_sample(data, read_one):
    """The salads sample: 42 of 190 boxes at the lowest threshold of IoU 0.85."""
    folder = data / "vertex-docs-salads"
    settings = GoogleSettings(threshold=0.0, iou_threshold=0.85)
    evaluation = read_one(
        {file.name: file.read_bytes() for file in folder.iterdir()}, settings=settings
    )
    aggregate = evaluation.reported.aggregate
    assert evaluation.task is Task.DETECTION
    assert aggregate["average_precision"] == 0.3128878
    assert aggregate["average_precision_85"] == 0.0818413
    assert aggregate["recall"] == pytest.approx(42 / 190, abs=1e-7)
    assert (aggregate["test_boxes"], aggregate["iou_threshold"]) == (190, 0.85)
    assert evaluation.reported.per_label["Tomato"]["test_boxes"] == 98
    assert evaluation.reported.per_label["Tomato"]["iou_threshold"] == 0.8
    assert any("'Tomato'" in w and "IoU threshold 0.85" in w for w in evaluation.warnings)


def test_numbers_of_an_images_top_label(evaluation):
    """The numbers that count an image's top label only keep names of their own."""
    aggregate = evaluation.reported.aggregate
    assert aggregate["precision_at_1"] == pytest.approx(0.969863, abs=1e-6)
    assert "precision_at_1" not in evaluation.reported.per_label["roses"]


def make_entries(tp, fp, fn, tn) -> list[dict]:
    """One published point, at threshold 0."""
    return [
        {
            "recall": tp / (tp + fn),
            "precision": tp / (tp + fp),
            "truePositiveCount": str(tp),
            "falsePositiveCount": str(fp),
            "falseNegativeCount": str(fn),
            "trueNegativeCount": str(tn),
        }
    ]


def make_matrix(*rows, names="abcdefghijkl") -> dict:
    """A legacy matrix of counts."""
    return {
        "displayName": list(names[: len(rows)]),
        "row": [{"exampleCount": list(row)} for row in rows],
    }


def test_matrix_of_some_labels(read_one, legacy):
    """A matrix of the most confused labels only is not the whole test set, and says so."""
    overall = {"confusionMatrix": make_matrix([3, 1], [0, 4])}
    labels = [legacy({"auPrc": 0.9}, label) for label in "abc"]
    files = {"x.json": {"modelEvaluation": [legacy(overall, evaluatedExampleCount=12), *labels]}}
    evaluation = read_one(files)
    assert evaluation.reported.test_images == 12
    assert "test_images" not in evaluation.reported.per_label["a"]
    assert any("2 of 3 labels" in warning for warning in evaluation.warnings)


def test_matrix_of_another_size(read_one, legacy):
    """A matrix that does not hold as many images as were evaluated is told."""
    overall = legacy({"confusionMatrix": make_matrix([3, 1], [0, 4])}, evaluatedExampleCount=9)
    evaluation = read_one({"x.json": overall})
    assert any("holds 8 images, the test set 9" in warning for warning in evaluation.warnings)


def test_labels_of_one_name(read_one, legacy):
    """What two labels of one name were counted with is added up in the matrix."""
    matrix = make_matrix([3, 1, 0], [0, 4, 1], [0, 0, 2], names=["a", "b", "a"])
    evaluation = read_one({"x.json": legacy({"confusionMatrix": matrix})})
    assert evaluation.labels == ("a", "b")
    assert count_reported(evaluation)[1].tolist() == [[5, 1], [1, 4]]


def test_labels_known_by_id(read_one, legacy):
    """A matrix and label evaluations without names take them from each other."""
    matrix = {"annotationSpecId": ["id-a", "id-b"], "row": [{"exampleCount": [1, 0]}] * 2}
    label = legacy({"auPrc": 0.9}, "b", displayName=None)
    named = legacy({"auPrc": 0.8}, "a")
    files = {"x.json": {"modelEvaluation": [legacy({"confusionMatrix": matrix}), named, label]}}
    evaluation = read_one(files)
    assert evaluation.labels == ("a", "id-b")
    assert any("1 labels have no name" in warning for warning in evaluation.warnings)


@pytest.mark.parametrize(
    ("counts", "task", "is_known"),
    [
        ((4, 4, 0, 0), Task.CLASSIFICATION, True),
        ((6, 2, 0, 0), Task.MULTILABEL, True),
        ((2, 6, 0, 0), Task.CLASSIFICATION, False),
    ],
)
def test_task_by_the_mean_number_of_labels(collect, vertex, vertex_slice, counts, task, is_known):
    """At threshold 0 precision times labels is the mean number of true labels an image."""
    metrics = {"confidenceMetrics": make_entries(*counts)}
    files = {
        "e.json": vertex(metrics),
        "s.json": {"modelEvaluationSlices": [vertex_slice(metrics, label) for label in "ab"]},
    }
    (version,) = collect(files).versions
    assert (version.numbers.task, version.numbers.is_task_known) == (task, is_known)


def test_two_labels_of_one_name(read_one, legacy):
    """Two labels with one name are told: only the numbers of one can stand under it."""
    twins = [legacy({"auPrc": 0.9}, "a"), legacy({"auPrc": 0.8}, "a")]
    twins[1] |= {"annotationSpecId": "other", "name": f"{twins[1]['name']}5"}
    evaluation = read_one({"x.json": {"modelEvaluation": [legacy({"auPrc": 0.7}), *twins]}})
    assert evaluation.labels == ("a",)
    assert any("1 labels have the name of another" in warning for warning in evaluation.warnings)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_label_without_a_name(collect, legacy, name):
    """A label without a name, or with one that no store takes, refuses the evaluation."""
    matrix = {"displayName": ["a", name], "row": [{"exampleCount": [1, 0]}] * 2}
    (found,) = collect({"x.json": legacy({"confusionMatrix": matrix})}).versions
    assert "label without a name" in found.refused


def test_points_beyond_one(read_one, vertex):
    """Points at thresholds above 1 are left out and counted."""
    entries = [{"recall": 1, "precision": 1}, {"confidenceThreshold": 1.01, "recall": 0}]
    evaluation = read_one({"x.json": vertex({"confidenceMetrics": entries})})
    assert any("1 published points have no threshold" in w for w in evaluation.warnings)


def test_task_by_the_labels_test_images(collect, legacy):
    """Labels with more test images than there are images: several labels an image."""
    labels = [legacy({"auPrc": 0.9}, label, evaluatedExampleCount=8) for label in "ab"]
    files = {
        "x.json": {"modelEvaluation": [legacy({"auPrc": 1}, evaluatedExampleCount=10), *labels]}
    }
    (version,) = collect(files).versions
    assert version.numbers.task is Task.MULTILABEL


def test_unknown_task(read_one, vertex):
    """Where nothing tells the task, one label an image is assumed with a warning."""
    evaluation = read_one({"e.json": vertex({"auPrc": 0.9, "confidenceMetrics": []})})
    assert evaluation.task is Task.CLASSIFICATION
    assert any("one label or several" in warning for warning in evaluation.warnings)


def test_test_images_by_counts(read_one, vertex, vertex_slice):
    """Of one label an image, true positives and false negatives are all test images."""
    metrics = {"confidenceMetrics": make_entries(3, 4, 1, 0)}
    matrix = {"annotationSpecs": [{"displayName": c} for c in "ab"], "rows": [[3, 1], [0, 0]]}
    files = {
        "e.json": vertex(metrics | {"confusionMatrix": matrix}),
        "s.json": [vertex_slice({"auPrc": 1.0}, "c")],
    }
    assert read_one(files).reported.test_images == 4


def test_matrix_that_leaves_out_unknown_labels(read_one, vertex):
    """More true labels than the matrix holds images: it is not the whole test set."""
    matrix = {"annotationSpecs": [{"displayName": c} for c in "ab"], "rows": [[3, 1], [0, 2]]}
    metrics = {"confusionMatrix": matrix, "confidenceMetrics": make_entries(7, 4, 3, 0)}
    evaluation = read_one({"e.json": vertex(metrics)})
    assert evaluation.reported.test_images == 10
    assert any("holds 6 images, the test set 10" in warning for warning in evaluation.warnings)


def test_test_images_of_the_model(read_one, vertex, vertex_model):
    """The model counts the test images of its first evaluation, and of no later one."""
    files = {
        "e.json": vertex({"auPrc": 0.9}, number="1"),
        "m.json": vertex_model(dataStats={"testDataItemsCount": "40"}),
    }
    later = vertex({"auPrc": 0.9}, number="2", createTime="2025-08-01T00:00:00Z")
    assert read_one(files).reported.test_images == 40
    assert read_one(files | {"f.json": later}).reported.test_images is None


def test_slices_alone(read_one, vertex_slice):
    """Of labels without the evaluation itself only per-label numbers are there."""
    evaluation = read_one({"s.json": [vertex_slice({"auPrc": 0.7}, "roses")]})
    assert evaluation.reported.aggregate == {}
    assert evaluation.reported.per_label == {"roses": {"average_precision": 0.7}}
    assert any("only its labels are here" in warning for warning in evaluation.warnings)


def test_no_curve_where_nothing_is_published(read_one, vertex):
    """Metrics without a list of thresholds have neither a curve nor numbers at one."""
    reported = read_one({"e.json": vertex({"auPrc": 0.9, "confidenceMetrics": []})}).reported
    assert (reported.curves, reported.aggregate) == ({}, {"average_precision": 0.9})


def test_thresholds_are_not_published(evaluation):
    """Google publishes no threshold of its own, and flags no record."""
    assert all(map(isnan, evaluation.thresholds))
    assert not np.any(evaluation.records.outcome)

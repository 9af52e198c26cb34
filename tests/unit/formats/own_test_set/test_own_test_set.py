"""Truth and answers -> an evaluation: in the version's own order, with nothing made up."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    DoubtKind,
    Effect,
    Evaluation,
    LabelSets,
    Outcome,
    Project,
    Provider,
    Records,
    RecordsKind,
    Reported,
    SourceFile,
    Task,
    Version,
)
from mlrek.formats.predictions.join import join_own_test_set
from mlrek.formats.predictions.responses import parse_responses
from mlrek.formats.rekognition import ManifestInput
from mlrek.formats.truth import parse_ground_truth
from mlrek.metrics.test_set import test_set_digest as compute_digest

PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:p", name="pets")


def make_version(labels, thresholds=None, task=Task.CLASSIFICATION):
    """A version as its provider's evaluation tells it, here without one image."""
    empty = {"offsets": np.zeros(1, int), "label_idx": np.zeros(0, int)}
    return Evaluation(
        version=Version(project=PROJECT, arn="arn:v", name="v1"),
        task=task,
        labels=tuple(labels),
        images=(),
        truth=LabelSets(**empty),
        records=Records(**empty, confidence=np.zeros(0), outcome=np.zeros(0, np.uint8)),
        thresholds=np.array(thresholds or [np.nan] * len(labels), dtype=float),
        reported=Reported(aggregate={"f1": 0.9}, train_images=12, test_images=5),
        files=(
            SourceFile(role="summary", uri="s", size=1, sha256="aa"),
            SourceFile(role="manifest", uri="m", size=1, sha256="bb"),
        ),
    )


def read_lines(lines):
    """JSON Lines as a file."""
    return ManifestInput(uri="f", chunks=["\n".join(map(json.dumps, lines)).encode()])


def make_truth(**labels):
    """A manifest of images with a label, or several."""
    lines = []
    for image, names in labels.items():
        line = {"source-ref": image}
        for name in [names] if isinstance(names, str) else names:
            line |= {name: 1, f"{name}-metadata": {"class-name": name}}
        lines.append(line)
    return parse_ground_truth(read_lines(lines))


def make_boxes(**rows):
    """A manifest of images of 200 by 100 pixels with boxes of `cap`."""
    names = ("class_id", "left", "top", "width", "height")
    return parse_ground_truth(
        read_lines(
            {
                "source-ref": image,
                "bb": {
                    "annotations": [dict(zip(names, (0, *box), strict=True)) for box in boxes],
                    "image_size": [{"width": 200, "height": 100}],
                },
                "bb-metadata": {"class-map": {"0": "cap"}},
            }
            for image, boxes in rows.items()
        )
    )


def answer(**answers):
    """Responses: of each image its labels and their percent, or why there are none."""
    lines = []
    for image, labels in answers.items():
        if isinstance(labels, str):
            lines.append({"image": image, "error": labels})
            continue
        named = [{"Name": name, "Confidence": percent} for name, percent in labels]
        lines.append({"image": image, "response": {"CustomLabels": named}})
    return parse_responses(read_lines(lines))


def answer_boxes(**answers):
    """Responses with boxes of `cap`: percent, left, top, width, height as shares."""
    names = ("Left", "Top", "Width", "Height")
    return parse_responses(
        read_lines(
            {
                "image": image,
                "CustomLabels": [
                    {
                        "Name": "cap",
                        "Confidence": percent,
                        "Geometry": {"BoundingBox": dict(zip(names, box, strict=True))},
                    }
                    for percent, *box in rows
                ],
            }
            for image, rows in answers.items()
        )
    )


def read_records(evaluation):
    """Of each image its records: label -> confidence."""
    records = evaluation.records
    names = [evaluation.labels[code] for code in records.label_idx]
    rows = list(zip(names, records.confidence.tolist(), strict=True))
    offsets = records.offsets.tolist()
    return {
        image: dict(rows[offsets[i] : offsets[i + 1]]) for i, image in enumerate(evaluation.images)
    }


def test_answers_stand_with_the_truth_of_their_image():
    """In the manifest's order of images and the version's of labels, whatever the answers' is."""
    evaluation = join_own_test_set(
        make_version(["dog", "cat"], [0.3, 0.6]),
        make_truth(a="cat", b="dog"),
        answer(b=[("cat", 25), ("dog", 75)], a=[("cat", 100), ("dog", 0)]),
    )
    assert (evaluation.labels, evaluation.images) == (("dog", "cat"), ("a", "b"))
    assert evaluation.thresholds.tolist() == [0.3, 0.6]
    assert evaluation.truth.label_idx.tolist() == [1, 0]
    assert read_records(evaluation) == {"a": {"dog": 0, "cat": 1}, "b": {"dog": 0.75, "cat": 0.25}}
    assert set(evaluation.records.outcome.tolist()) == {Outcome.UNKNOWN}
    assert evaluation.records_kind is RecordsKind.COMPLETE
    assert evaluation.warnings == ()


def test_thresholds_that_were_chosen_on_these_images_are_doubted():
    """Both images are of the service's own test set, of which the version tells."""
    own = join_own_test_set(
        make_version(["cat", "dog"]), make_truth(a="cat", b="dog"), answer(a=[], b=[])
    )

    again = join_own_test_set(own, make_truth(b="dog", c="cat"), answer(b=[("dog", 75)], c=[]))

    assert [(d.kind, d.count, d.of) for d in again.doubts] == [("thresholds_fitted", 1, 2)]


def test_reported_numbers_do_not_come_along():
    """They are of the provider's test set; what the version was trained on is the same."""
    truth, version = make_truth(a="cat"), make_version(["cat"])
    files = (SourceFile(role="ground_truth", uri="g", size=1, sha256="cc"),)
    evaluation = join_own_test_set(version, truth, answer(a=[("cat", 50)]), files)
    assert (evaluation.reported.aggregate, evaluation.reported.test_images) == ({}, None)
    assert evaluation.reported.train_images == 12
    assert evaluation.version is version.version
    assert [file.role for file in evaluation.files] == ["ground_truth", "summary"]


def test_an_image_without_an_answer_has_no_prediction():
    """Missing and failed ones are misses, which one doubt counts."""
    evaluation = join_own_test_set(
        make_version(["cat", "dog"]),
        make_truth(a="cat", b="dog", c="dog"),
        answer(a=[("cat", 90), ("dog", 10)], c="InvalidImageFormatException: no image"),
    )
    assert read_records(evaluation) == {"a": {"cat": 0.9, "dog": 0.1}, "b": {}, "c": {}}
    assert evaluation.records_kind is RecordsKind.PARTIAL
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.UNANSWERED, 2, 3)
    assert doubt.text.endswith("as misses: 'b'; 'c': InvalidImageFormatException: no image")


@pytest.mark.parametrize(
    ("image", "answered"),
    [
        ("s3://photos/0.jpg", "0.jpg"),
        ("s3://photos/my folder/0.jpg", "s3://photos/my+folder/0.jpg"),
        ("s3://photos/0.jpg", "https://photos/0.jpg"),
        ("s3://photos/a.b.jpg", "s3://photos/a%2Eb.jpg"),
    ],
)
def test_answers_of_other_images_are_refused(image, answered):
    """They are no proof that a model is always wrong; both spellings are shown."""
    responses = answer(**{"other.jpg": [("cat", 90)], answered: [("cat", 90)]})
    with pytest.raises(EvaluationError, match="not one answer") as caught:
        join_own_test_set(make_version(["cat"]), make_truth(**{image: "cat"}), responses)
    assert f"{answered!r} and {image!r}" in str(caught.value)


def test_a_file_without_an_answer_is_refused():
    """Nothing was asked."""
    with pytest.raises(EvaluationError, match="not one answer in the file"):
        join_own_test_set(make_version(["cat"]), make_truth(a="cat"), answer())


def test_an_answer_for_another_image_is_left_out_and_counted():
    """With whatever labels only it has."""
    evaluation = join_own_test_set(
        make_version(["cat"]), make_truth(a="cat"), answer(a=[("cat", 90)], z=[("zebra", 90)])
    )
    assert evaluation.labels == ("cat",)
    (warning,) = evaluation.warnings
    assert warning.startswith("1 of 2 responses are of images that the manifest does not hold")
    assert warning.endswith("first: 'z'")


def test_labels_that_only_truth_or_answers_know_follow_alphabetically():
    """They have no threshold; those that the version does not know are told."""
    evaluation = join_own_test_set(
        make_version(["dog"], [0.3]), make_truth(a="zebra"), answer(a=[("ape", 60), ("dog", 40)])
    )
    assert evaluation.labels == ("dog", "ape", "zebra")
    assert np.isnan(evaluation.thresholds).tolist() == [False, True, True]
    assert evaluation.warnings == (
        "1 of 1 labels of the manifest are none of the version's and can only be missed: 'zebra'",
    )


def test_one_label_of_each_answer_is_top1():
    """So it was called with MaxResults 1."""
    evaluation = join_own_test_set(
        make_version(["cat", "dog"]), make_truth(a="cat"), answer(a=[("dog", 60)])
    )
    assert evaluation.records_kind is RecordsKind.TOP1


def test_a_label_twice_in_an_answer_counts_once():
    """The most confident."""
    evaluation = join_own_test_set(
        make_version(["cat"]), make_truth(a="cat"), answer(a=[("cat", 20), ("cat", 80)])
    )
    assert read_records(evaluation) == {"a": {"cat": 0.8}}
    assert "1 of 2 labels stand twice" in evaluation.warnings[0]


@pytest.mark.parametrize("of_version", [Task.CLASSIFICATION, Task.MULTILABEL])
@pytest.mark.parametrize("labels", ["cat", ["cat", "dog"]])
def test_it_is_multilabel_where_either_says_so(of_version, labels):
    """The version by its provider's test, the manifest by an image with two labels."""
    version = make_version(["cat", "dog"], task=of_version)
    task = join_own_test_set(version, make_truth(a=labels), answer(a=[])).task
    is_multilabel = of_version is Task.MULTILABEL or labels == ["cat", "dog"]
    assert task is (Task.MULTILABEL if is_multilabel else Task.CLASSIFICATION)


def test_boxes_of_answers_become_pixels():
    """Shares of width and height, each of its own image."""
    evaluation = join_own_test_set(
        make_version(["hat", "cap"], [0.1, 0.2], task=Task.DETECTION),
        make_boxes(a=[(1, 2, 3, 4)], b=[]),
        answer_boxes(b=[(50, 0.5, 0.25, 0.25, 0.5)], a=[]),
    )
    detections = evaluation.detections
    assert (evaluation.task, detections.normalized) == (Task.DETECTION, False)
    assert detections.truth.boxes_xyxy.tolist() == [[1, 2, 4, 6]]
    assert detections.records.boxes_xyxy.tolist() == [[100, 25, 150, 75]]
    assert detections.records.offsets.tolist() == [0, 0, 1]
    assert detections.records.label_idx.tolist() == detections.truth.label_idx.tolist() == [1]
    assert detections.records.confidence.tolist() == [0.5]
    assert len(evaluation.records.label_idx) == 0


def test_a_box_without_a_size_has_no_place():
    """It is not guessed."""
    truth = make_boxes(a=[(1, 2, 3, 4)])
    truth = replace(truth, image_sizes=np.full((1, 2), np.nan))
    version = make_version(["cap"], task=Task.DETECTION)
    with pytest.raises(EvaluationError, match="1 boxes on 1 images: no image_size"):
        join_own_test_set(version, truth, answer_boxes(a=[(50, 0, 0, 1, 1)]))
    assert join_own_test_set(version, truth, answer_boxes(a=[])).task is Task.DETECTION


@pytest.mark.parametrize(
    ("task", "truth", "responses", "reason"),
    [
        (Task.SEGMENTATION, make_truth(a="cap"), answer(), "finds areas of pixels"),
        (Task.DETECTION, make_truth(a="cap"), answer(), "gives boxes, but the manifest has labels"),
        (Task.CLASSIFICATION, make_boxes(a=[]), answer(), "gives labels of the whole image, but"),
        (
            Task.CLASSIFICATION,
            make_truth(a="cap"),
            answer_boxes(a=[(50, 0, 0, 1, 1)]),
            "the responses hold boxes",
        ),
        (Task.DETECTION, make_boxes(a=[]), answer(a=[("cap", 50)]), "an answer without a box"),
    ],
)
def test_what_does_not_fit_together_is_refused(task, truth, responses, reason):
    """Version, truth and answers are of one kind."""
    with pytest.raises(EvaluationError, match=reason):
        join_own_test_set(make_version(["cap"], task=task), truth, responses)


def test_boxes_that_were_not_asked_for_are_told():
    """A version called with a least confidence gives a part of the boxes only."""
    responses = answer_boxes(a=[(50, 0, 0, 1, 1)])
    responses.min_confidence = {30.0}
    version = make_version(["cap"], [0.4], task=Task.DETECTION)
    (doubt,) = join_own_test_set(version, make_boxes(a=[]), responses).doubts
    assert (doubt.kind, doubt.effect) == (DoubtKind.RECORDS_PARTIAL, Effect.STOPS_RELATIVE)
    assert doubt.text.startswith("boxes below 30 % were not asked for")
    touched = ["aggregate/ap_50", "label_ap", "label_recall", "at_threshold/f1_macro"]
    assert [*map(doubt.touches_number, touched)] == [True, True, False, False]


@pytest.mark.parametrize(("threshold", "is_doubted"), [(0.3, True), (0.5, False), (None, False)])
def test_answers_below_a_threshold_that_were_not_asked_for(threshold, is_doubted):
    """Between the threshold and what was asked for no false alarm is seen: precision flatters."""
    responses = answer(a=[("cat", 80)])
    responses.min_confidence = {50.0}
    version = make_version(["cat"], [threshold or np.nan])
    doubts = join_own_test_set(version, make_truth(a="cat"), responses).doubts
    assert [(d.kind, d.effect) for d in doubts] == (
        [(DoubtKind.RECORDS_PARTIAL, Effect.STOPS)] if is_doubted else []
    )
    assert all(doubt.touches_number("at_threshold/precision_macro") for doubt in doubts)


_ANSWERS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.dictionaries(st.sampled_from(["cat", "dog", "eel"]), st.integers(2, 100)).map(
        lambda labels: list(labels.items())
    ),
)


@given(
    truth=st.dictionaries(
        st.sampled_from("abcd"), st.sets(st.sampled_from(["cat", "dog", "emu"]), min_size=1)
    ).filter(bool),
    answers=_ANSWERS,
    order=st.permutations(["cat", "dog", "eel", "fox"]),
)
@settings(deadline=None)
def test_every_answer_is_where_it_belongs(truth, answers, order):
    """And the test set is the same whatever order of labels the version has."""
    named = {image: sorted(labels) for image, labels in truth.items()}
    answers[min(truth)] = answers.get(min(truth), [])  # answers of other images alone are refused
    evaluation = join_own_test_set(make_version(order), make_truth(**named), answer(**answers))
    assert read_records(evaluation) == {
        image: {label: percent / 100 for label, percent in answers.get(image, [])}
        for image in truth
    }
    other = join_own_test_set(make_version(sorted(order)), make_truth(**named), answer(**answers))
    assert compute_digest(evaluation) == compute_digest(other)

"""Boxes of a Rekognition manifest, and what becomes of each."""

import json

import numpy as np
import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind, Outcome, Task

FLAGS = {
    "TP": "is-true-positive",
    "FP": "is-false-positive",
    "FN": "is-false-negative",
    "TN": "is-true-negative",
}
TRAINING = "rekognition-custom-labels-training-0"
EVALUATION = "rekognition-custom-labels-evaluation"
SIZE = [{"width": 640, "depth": 3, "height": 480}]
CAP = ("Cap", (10, 20, 30, 40))


def _box(class_id, box_ltwh):
    left, top, width, height = box_ltwh
    return {"class_id": class_id, "left": left, "top": top, "width": width, "height": height}


def _attribute(name, rows, objects, **metadata):
    """An attribute of boxes; class ids count down from 7, as no reader expects them."""
    labels = sorted({label for label, *_ in rows})
    ids = {label: 7 - i for i, label in enumerate(labels)}
    return {
        name: {
            "annotations": [_box(ids[label], box) for label, box, *_ in rows],
            "image_size": SIZE,
        },
        f"{name}-metadata": {
            "class-map": {str(ids[label]): label for label in labels},
            "objects": objects,
            "type": "groundtruth/object-detection",
            **metadata,
        },
    }


def _truth(*rows, name=TRAINING):
    return _attribute(name, rows, [{"confidence": 1} for _ in rows], **{"human-annotated": "yes"})


def _found(*rows, name=EVALUATION):
    """What was found: (label, box, confidence, outcome) each."""
    objects = [
        {
            "confidence": confidence,
            "rekognition-custom-labels-evaluation-details": {
                flag: which == outcome for which, flag in FLAGS.items()
            },
        }
        for _, _, confidence, outcome in rows
    ]
    return _attribute(name, rows, objects, confidence=0.5, **{"human-annotated": "no"})


def _line(*attributes, image="s3://b/1.jpg"):
    line = {"source-ref": image}
    for attribute in attributes:
        line |= attribute
    return line


@pytest.fixture
def rows():
    """A function that lists boxes: (image, label, corners, confidence, outcome) each."""

    def list_rows(evaluation, boxes):
        return [
            (
                evaluation.images[image],
                evaluation.labels[label],
                tuple(corners),
                confidence,
                Outcome(outcome).name,
            )
            for image, label, corners, confidence, outcome in zip(
                boxes.image_idx.tolist(),
                boxes.label_idx.tolist(),
                boxes.boxes_xyxy.tolist(),
                boxes.confidence.tolist(),
                boxes.outcome.tolist(),
                strict=True,
            )
        ]

    return list_rows


def test_the_guides_example(read, guide, rows):
    """A box of 39 x 63 pixels at (712, 409) has its other corner at (751, 472)."""
    evaluation = read([(guide / "TestingGroundTruth-detection.jsonl").read_bytes().strip()])
    assert evaluation.task == Task.DETECTION
    [first, *_] = rows(evaluation, evaluation.detections.records)
    assert first[1:4] == ("Cap", (712, 409, 751, 472), 0.95)
    assert evaluation.detections.image_sizes.tolist() == [[1024, 768]]


def test_boxes_of_several_images(read, rows):
    """Each image keeps its boxes in the order of its line, under the names of its own class map."""
    evaluation = read(
        [
            _line(_truth(CAP, ("Shoe", (1, 1, 2, 2))), _found((*CAP, 0.9, "TP"))),
            _line(_truth(("Shoe", (5, 5, 1, 1))), _found(), image="s3://b/2.jpg"),
            _line(
                _truth(CAP),
                _found(("Shoe", (0, 0, 9, 9), 0.8, "FP"), (*CAP, 0.01, "FN")),
                image="s3://b/3.jpg",
            ),
        ]
    )
    assert rows(evaluation, evaluation.detections.records) == [
        ("s3://b/1.jpg", "Cap", (10, 20, 40, 60), 0.9, "TP"),
        ("s3://b/3.jpg", "Shoe", (0, 0, 9, 9), 0.8, "FP"),
        ("s3://b/3.jpg", "Cap", (10, 20, 40, 60), 0.01, "FN"),
    ]
    truth = rows(evaluation, evaluation.detections.truth)
    assert [row[:3] for row in truth] == [
        ("s3://b/1.jpg", "Cap", (10, 20, 40, 60)),
        ("s3://b/1.jpg", "Shoe", (1, 1, 3, 3)),
        ("s3://b/2.jpg", "Shoe", (5, 5, 6, 6)),
        ("s3://b/3.jpg", "Cap", (10, 20, 40, 60)),
    ]
    assert np.isnan(evaluation.detections.truth.confidence).all()
    assert evaluation.warnings == ()


def test_true_labels_of_an_image_are_those_of_its_boxes(read):
    """Two caps and a shoe are the labels Cap and Shoe; nothing is a record of the whole image."""
    line = _line(_truth(CAP, ("Shoe", (1, 1, 2, 2)), ("Cap", (3, 3, 1, 1))), _found())
    evaluation = read([line])
    assert evaluation.labels == ("Cap", "Shoe")
    assert evaluation.truth.offsets.tolist() == [0, 2]
    assert evaluation.truth.label_idx.tolist() == [0, 1]
    assert evaluation.records.offsets.tolist() == [0, 0]


def test_image_without_any_box(read):
    """Empty lists are an image on which nothing is, and nothing was found."""
    evaluation = read([_line(_truth(), _found())])
    assert evaluation.images == ("s3://b/1.jpg",)
    assert len(evaluation.detections.truth.label_idx) == 0
    assert evaluation.warnings == ()


def test_image_without_evaluation_stays(read):
    """An image without the evaluation's key has no prediction, which a doubt counts."""
    lines = [_line(_truth(CAP), image="s3://b/0.jpg"), _line(_truth(CAP), _found((*CAP, 1, "TP")))]
    evaluation = read(lines)
    assert evaluation.images == ("s3://b/0.jpg", "s3://b/1.jpg")
    assert evaluation.detections.records.offsets.tolist() == [0, 0, 1]
    [doubt] = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.UNANSWERED, 1, 2)
    assert doubt.text.endswith("'s3://b/0.jpg'")


def test_placeholder_of_a_box_that_was_never_found(read, rows):
    """It keeps its confidence of 0, by which everyone knows it."""
    evaluation = read([_line(_truth(CAP), _found((*CAP, 0, "FN")))])
    assert rows(evaluation, evaluation.detections.records)[0][3:] == (0, "FN")


def test_box_without_confidence(read):
    """A confidence that is null is not known; nothing is made up for it."""
    evaluation = read([_line(_truth(CAP), _found((*CAP, None, "FN")))])
    assert np.isnan(evaluation.detections.records.confidence).all()


def test_image_size_is_optional(read):
    """A size that is left out, empty or null is unknown; a record's counts where truth has none."""
    lines = [_line(_truth(CAP), _found(), image=f"s3://b/{i}.jpg") for i in range(3)]
    del lines[0][TRAINING]["image_size"], lines[0][EVALUATION]["image_size"]
    lines[1][TRAINING]["image_size"], lines[1][EVALUATION]["image_size"] = None, []
    lines[2][TRAINING]["image_size"] = []
    sizes = read(lines).detections.image_sizes
    assert np.isnan(sizes[:2]).all()
    assert sizes[2].tolist() == [640, 480]


def test_thresholds_and_label_order_come_from_the_summary(read, make_summary):
    """As in classification; a label of no box is there too."""
    summary = make_summary(labels=["Shoe", "Hat"], thresholds={"Shoe": 0.25})
    evaluation = read([_line(_truth(CAP), _found())], summary=summary)
    assert evaluation.labels == ("Shoe", "Hat", "Cap")
    assert evaluation.thresholds.tolist() == pytest.approx([0.25, np.nan, np.nan], nan_ok=True)


def test_several_attributes_of_truth(read, rows):
    """Boxes may stand under more than one attribute; they are all true."""
    second = "rekognition-custom-labels-training-1"
    line = _line(_truth(CAP), _truth(("Shoe", (1, 1, 2, 2)), name=second), _found())
    evaluation = read([line])
    assert [row[1] for row in rows(evaluation, evaluation.detections.truth)] == ["Cap", "Shoe"]


def test_records_decide_the_task(read, make_line):
    """Whole-image labels next to records of boxes are no truth of boxes, which is counted."""
    lines = [_line(make_line(records=()), _found((*CAP, 0.9, "FP"))), make_line(image="s3://b/2")]
    evaluation = read(lines)
    assert evaluation.task == Task.DETECTION
    assert evaluation.labels == ("Cap",)
    assert len(evaluation.truth.label_idx) == len(evaluation.detections.truth.label_idx) == 0
    labelled, recorded = evaluation.warnings
    assert [doubt.kind for doubt in evaluation.doubts] == [DoubtKind.UNANSWERED]
    assert labelled.startswith("2 of 2 images have true labels but no true boxes")
    assert recorded.startswith("1 of 2 images have records of the image as a whole")


def test_customers_own_names(read, rows):
    """Boxes with details of an evaluation are records, whatever their attribute is called."""
    line = _line(_truth(CAP, name="mine"), _found((*CAP, 0.9, "TP"), name="theirs"))
    evaluation = read([line])
    assert len(evaluation.detections.truth.label_idx) == 1
    assert rows(evaluation, evaluation.detections.records)[0][1] == "Cap"


def test_flags_that_say_nothing_are_counted(read):
    """Not exactly one flag of four leaves a box without an outcome."""
    evaluation = read([_line(_truth(), _found((*CAP, 0.9, "?"), (*CAP, 0.8, "FP")))])
    assert evaluation.detections.records.outcome.tolist() == [Outcome.UNKNOWN, Outcome.FP]
    [warning] = evaluation.warnings
    assert warning.startswith("1 of 2 recorded boxes do not have exactly one of the four outcome")


def _without_object(line):
    line[f"{EVALUATION}-metadata"]["objects"].pop()


def _without_objects(line):
    del line[f"{EVALUATION}-metadata"]["objects"]


def _with_truth_object(line):
    line[f"{TRAINING}-metadata"]["objects"].append({})


def _without_class(line):
    line[f"{EVALUATION}-metadata"]["class-map"] = {}


def _with_class_map_list(line):
    line[f"{EVALUATION}-metadata"]["class-map"] = ["Cap"]


def _with_nameless_class(line):
    line[f"{EVALUATION}-metadata"]["class-map"] = {"7": [""]}


def _with_negative_width(line):
    line[EVALUATION]["annotations"][0]["width"] = -1


def _without_left(line):
    del line[EVALUATION]["annotations"][0]["left"]


def _with_confidence_in_percent(line):
    line[f"{EVALUATION}-metadata"]["objects"][0]["confidence"] = 95


def _with_number_for_boxes(line):
    line[EVALUATION] = 1


def _with_wrong_size(line):
    line[EVALUATION]["image_size"] = {"width": 1}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_without_object, "evaluation-metadata does not match .* 1 annotations, but 0 objects"),
        (_without_objects, "1 annotations, but 0 objects"),
        (_with_truth_object, "training-0-metadata does not match .* 1 annotations, but 2 objects"),
        (_without_class, "class '7' in the class-map .* is None, not a label"),
        (_with_class_map_list, "class '7' in the class-map"),
        (_with_nameless_class, "class '7' in the class-map"),
        (_with_negative_width, r"annotations of .*`float` >= 0.0 - at `\$\[0\].width`"),
        (_without_left, "missing required field `left`"),
        (_with_confidence_in_percent, r"objects of .*`float` <= 1.0"),
        (_with_number_for_boxes, "evaluation is 1, not an object with annotations"),
        (_with_wrong_size, "image_size of"),
    ],
)
def test_malformed_boxes(read, spoil, reason):
    """The line and the reason are named; when it may be left out, the others are read."""
    good = _line(_truth(CAP), _found((*CAP, 0.9, "TP")))
    bad = json.loads(json.dumps(good))
    spoil(bad)
    with pytest.raises(ParseError, match=rf"manifest.json:2: .*{reason}"):
        read([good, bad])
    evaluation = read([good, bad, good], skip_bad_lines=True)
    assert len(evaluation.images) == len(evaluation.detections.records.label_idx) == 2
    [doubt] = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 3)

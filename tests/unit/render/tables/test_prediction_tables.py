"""What was predicted, image by image."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from builders.masks import build_segmentation

from mlrek.evaluation import Task
from mlrek.metrics import Predictions
from mlrek.render.tables import (
    COLUMNS,
    describe_predictions,
    list_outcomes,
    write_outcomes,
    write_predictions,
)

IMAGES = ("s3://b/0.jpg", "s3://b/1.jpg", "s3://b/2.jpg", "s3://b/3.jpg", "s3://b/4.jpg")


@pytest.fixture
def evaluation(make_evaluation):
    """Labels a, b and five images."""
    return make_evaluation(images=IMAGES)


@pytest.fixture
def predictions(make_predictions):
    """Right, missed, wrong with little and with much confidence, and an image without truth."""
    return make_predictions(
        [
            (0, 0, 0, 0.9, "correct"),
            (1, 0, -1, nan, "missed"),
            (2, 0, 1, 0.6, "wrong"),
            (3, 1, 0, 0.8, "wrong"),
            (4, -1, 0, 0.99, "no truth"),
        ]
    )


def test_all_of_it_in_image_order(evaluation, predictions, read_csv):
    """Every row is there; no prediction and no truth are `(none)`, no confidence is empty."""
    assert read_csv(write_predictions(evaluation, predictions)) == [
        ["image", "predicted", "truth", "confidence", "outcome"],
        ["s3://b/0.jpg", "a", "a", "0.9", "correct"],
        ["s3://b/1.jpg", "(none)", "a", "", "missed"],
        ["s3://b/2.jpg", "b", "a", "0.6", "wrong"],
        ["s3://b/3.jpg", "a", "b", "0.8", "wrong"],
        ["s3://b/4.jpg", "a", "(none)", "0.99", "no truth"],
    ]


def test_mistakes_come_first(evaluation, predictions):
    """The most confident mistake first, then misses, then what is right, then no truth."""
    table = describe_predictions(evaluation, predictions)
    assert tuple(table) == COLUMNS
    assert table["image"] == [IMAGES[i] for i in (3, 2, 1, 0, 4)]
    assert table["predicted"] == ["a", "b", "(none)", "a", "a"]
    assert table["truth"] == ["b", "a", "a", "a", "(none)"]
    assert table["confidence"] == [0.8, 0.6, None, 0.9, 0.99]
    assert table["outcome"] == ["wrong", "wrong", "missed", "correct", "no truth"]


def test_of_right_predictions_the_least_sure_come_first(evaluation, make_predictions):
    """They are nearest to a mistake; equals stay in image order."""
    predictions = make_predictions(
        [(i, 0, 0, c, "correct") for i, c in enumerate((0.9, 0.7, 0.8, 0.7))]
    )
    table = describe_predictions(evaluation, predictions)
    assert table["image"] == [IMAGES[i] for i in (1, 3, 2, 0)]


def test_several_labels_an_image(make_evaluation, make_predictions):
    """One row an image, so that MLflow compares all that versions predict: most mistakes first."""
    evaluation = replace(
        make_evaluation(labels=("a", "b", "c"), images=IMAGES), task=Task.MULTILABEL
    )
    predictions = make_predictions(
        [
            (0, 0, 0, 0.9, "TP"),
            (0, -1, 1, 0.8, "FP"),
            (0, 2, -1, 0.1, "FN"),
            (1, 0, -1, 0.3, "FN"),
            (1, 1, 1, 0.7, "TP"),
            (2, -1, -1, nan, "TN"),
            (3, 1, 1, 0.95, "TP"),
            (3, 2, 2, 0.65, "TP"),
            (4, 2, -1, nan, "FN"),
        ]
    )
    table = describe_predictions(evaluation, predictions)

    assert table == {
        "image": [IMAGES[i] for i in (0, 1, 4, 3, 2)],
        "predicted": ["a, b", "b", "(none)", "b, c", "(none)"],
        "truth": ["a, c", "a, b", "c", "b, c", "(none)"],
        "confidence": [0.8, 0.7, None, 0.65, None],
        "outcome": ["wrong", "missed", "missed", "correct", "correct"],
    }


def test_several_boxes_an_image(make_evaluation, make_predictions):
    """Boxes of one label are counted; an image without any box is rightly left empty."""
    evaluation = replace(make_evaluation(images=IMAGES[:3]), task=Task.DETECTION)
    predictions = make_predictions(
        [
            (0, 0, 0, 0.9, "TP"),
            (0, 0, 0, 0.8, "TP"),
            (0, 1, 1, 0.7, "TP"),
            (1, 0, 1, 0.6, "FP"),
            (1, -1, 1, 0.5, "FP"),
            (1, 0, -1, nan, "FN"),
        ]
    )
    table = describe_predictions(evaluation, predictions)

    assert table == {
        "image": [IMAGES[i] for i in (1, 0, 2)],
        "predicted": ["b ×2", "a ×2, b", "(none)"],
        "truth": ["a ×2", "a ×2, b", "(none)"],
        "confidence": [0.5, 0.7, None],
        "outcome": ["wrong", "correct", "correct"],
    }


def test_areas_of_images_whose_masks_could_not_be_read(make_predictions):
    """An image that is no part of the numbers is no row of the table."""
    evaluation = build_segmentation(
        [{0: (9, 1, 0), 1: (0, 0, 5)}, {}, {}], labels="ab", readable=[True, True, False]
    )
    predictions = make_predictions([(0, 0, 0, nan, "TP"), (0, 1, -1, nan, "FN")])
    table = describe_predictions(evaluation, predictions)

    assert table["image"] == list(evaluation.images[:2])
    assert table["predicted"] == ["a", "(none)"]
    assert table["truth"] == ["a, b", "(none)"]
    assert table["outcome"] == ["missed", "correct"]


def test_at_most_5000_rows_and_no_mistake_lost_to_them(make_evaluation):
    """Of 7,000 rows the 5,000 hold all 10 mistakes, which are the last images."""
    n = 7000
    wrong = np.arange(n) >= n - 10
    predictions = Predictions(
        image_idx=np.arange(n),
        y_true=np.zeros(n, dtype=np.int64),
        y_pred=wrong.astype(np.int64),
        confidence=np.full(n, 0.5),
        outcome=tuple(np.where(wrong, "wrong", "correct").tolist()),
    )
    evaluation = make_evaluation(images=tuple(f"s3://b/{i}" for i in range(n)))
    table = describe_predictions(evaluation, predictions)
    assert len(table["image"]) == 5000
    assert table["outcome"].count("wrong") == 10
    assert write_predictions(evaluation, predictions).count(b"\n") == n + 1


def test_names_from_strangers(make_evaluation, make_predictions, read_csv):
    """Images and labels are disarmed in CSV and plain in the table, half characters escaped."""
    evaluation = make_evaluation(labels=("=cmd", "(none)"), images=("@image", "\ud800"))
    predictions = make_predictions([(0, 0, 1, 0.5, "wrong"), (1, 1, 1, 0.5, "correct")])
    assert read_csv(write_predictions(evaluation, predictions))[1:] == [
        ["'@image", '"(none)"', "'=cmd", "0.5", "wrong"],
        ["\\ud800", '"(none)"', '"(none)"', "0.5", "correct"],
    ]
    table = describe_predictions(evaluation, predictions)
    assert table["image"] == ["@image", "\\ud800"]
    assert table["truth"] == ["=cmd", '"(none)"']


def test_no_rows(evaluation):
    """Nothing predicted at all is a table without rows."""
    nothing = np.zeros(0, dtype=np.int64)
    predictions = Predictions(
        image_idx=nothing, y_true=nothing, y_pred=nothing, confidence=np.zeros(0), outcome=()
    )
    assert describe_predictions(evaluation, predictions) == {column: [] for column in COLUMNS}
    assert write_predictions(evaluation, predictions).decode() == ",".join(COLUMNS) + "\n"


def test_boxes_have_corners_and_the_kind_of_error(make_evaluation, make_predictions, read_csv):
    """A false box is on the background, and a missed one has its true place."""
    evaluation = replace(make_evaluation(images=IMAGES[:1]), task=Task.DETECTION)
    predictions = replace(
        make_predictions([(0, -1, 1, 0.9, "FP"), (0, 0, -1, nan, "FN")]),
        boxes_xyxy=np.array([[1, 2, 3.5, 4], [5, 6, 7, 8]]),
        error=("background", "missed"),
    )
    assert read_csv(write_predictions(evaluation, predictions)) == [
        [*COLUMNS, "left", "top", "right", "bottom", "error"],
        [IMAGES[0], "b", "(background)", "0.9", "FP", "1.0", "2.0", "3.5", "4.0", "background"],
        [IMAGES[0], "(background)", "a", "", "FN", "5.0", "6.0", "7.0", "8.0", "missed"],
    ]
    assert tuple(describe_predictions(evaluation, predictions)) == COLUMNS


def test_outcomes_by_label(make_evaluation, make_predictions, read_csv):
    """Label by label: what is right, missed and false; no confidence is empty."""
    evaluation = make_evaluation(images=IMAGES)
    rows = [(0, 0, 0, 0.9, "correct"), (1, 0, -1, nan, "missed"), (2, 0, 1, 0.6, "wrong")]
    outcomes = list_outcomes(evaluation, make_predictions(rows))
    assert read_csv(write_outcomes(evaluation, outcomes)) == [
        ["label", "image", "outcome", "confidence"],
        ["a", "s3://b/0.jpg", "TP", "0.9"],
        ["a", "s3://b/1.jpg", "FN", ""],
        ["a", "s3://b/2.jpg", "FN", ""],
        ["b", "s3://b/2.jpg", "FP", "0.6"],
    ]

"""`evaluation.json` as numbers, and test images counted."""

import json
from math import isnan
from pathlib import Path

import pytest
from builders.evaluations import build_evaluation

from mlrek.errors import EvaluationError
from mlrek.evaluation import Task
from mlrek.policy import Metric
from mlrek.policy.numbers import count_test_images, parse_numbers
from mlrek.references import load_version
from mlrek.sources import AwsOptions

EXAMPLES = Path(__file__).parents[3] / "examples"

DOCUMENT = {
    "labels": ["a/b", "c"],
    "version": {"billable_minutes": 31.5},
    "aggregate": {
        "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "reason": None},
        "log_loss": {"value": None, "low": None, "high": None, "reason": "records are partial"},
    },
    "at_threshold": {"f1_macro": {"value": 0.7, "low": None, "high": None, "reason": None}},
    "errors": {"missed": {"value": 3}},
    "base_model": {},
    "extra": {},
    "reported": {"aggregate": {"f1": 0.88}},
    "per_label": [
        {
            "label": "a/b",
            "metric_key": "a_x2F_b",
            "support": 10,
            "recall": 0.9,
            "recall_low": 0.6,
            "recall_high": 0.98,
            "f1": 0.8,
        },
        {
            "label": "c",
            "metric_key": "c",
            "support": 0,
            "recall": None,
            "recall_low": None,
            "recall_high": None,
            "f1": None,
        },
    ],
}


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("aggregate/accuracy", "", (0.9, 0.8, 0.95)),
        ("at_threshold/f1_macro", "", (0.7, None, None)),
        ("errors/missed", "", (3, None, None)),
        ("reported/f1", "", (0.88, None, None)),
        ("training/billable_minutes", "", (31.5, None, None)),
        ("label_recall", "a/b", (0.9, 0.6, 0.98)),
        ("label_f1", "a/b", (0.8, None, None)),
        ("label_support", "c", (0, None, None)),
    ],
)
def test_each_number_has_its_raw_name(name, label, expected):
    """Value and interval, as they stand in the document."""
    figure = parse_numbers(DOCUMENT).figures[Metric(name=name, label=label)]
    found = (figure.value, figure.low, figure.high)

    assert tuple(None if isnan(number) else number for number in found) == expected


def test_an_undefined_number_keeps_its_reason():
    """Null is NaN; a label without images says so."""
    figures = parse_numbers(DOCUMENT).figures
    log_loss, recall = (
        figures[metric]
        for metric in (Metric(name="aggregate/log_loss"), Metric(name="label_recall", label="c"))
    )

    assert isnan(log_loss.value)
    assert log_loss.reason == "records are partial"
    assert isnan(recall.value)
    assert "nothing of this label" in recall.reason


def test_the_ends_of_intervals_are_no_numbers_of_their_own():
    """`label_recall_low` cannot be asked for."""
    names = {metric.name for metric in parse_numbers(DOCUMENT).figures}

    assert not {"label_recall_low", "label_recall_high", "label_label", "label_metric_key"} & names


@pytest.mark.parametrize("document", [{}, {"labels": 3}, [], {**DOCUMENT, "per_label": [{}]}])
def test_another_document_is_refused(document):
    """A run that mlrek did not write."""
    with pytest.raises(EvaluationError, match=r"x\.json"):
        parse_numbers(json.loads(json.dumps(document)), uri="x.json")


def test_images_are_counted_once_by_uri_and_by_their_true_labels():
    """`x` stands twice; without truth an image of one label does not count, of several it does."""
    truth, records = [[0], [0], [1], []], [[(0, 0.9)]] * 4
    images = ("x", "x", "y", "z")
    one = build_evaluation(truth, records, images=images, n_labels=3)
    several = build_evaluation(truth, records, images=images, n_labels=3, task=Task.MULTILABEL)

    assert count_test_images(one).total == 2
    assert count_test_images(one).per_label == {"a": 1, "b": 1, "c": 0}
    assert count_test_images(several).total == 3
    assert count_test_images(one, {"y", "z"}).per_label == {"a": 0, "b": 1, "c": 0}
    assert count_test_images(one, {"y", "z"}).total == 1


def test_images_are_counted_by_their_boxes_and_areas():
    """As the examples' own manifest has them: scenes with a zero, whatever number of zeros."""
    folder = EXAMPLES / "detection" / "versions" / "v1-linear"
    (manifest,) = folder.glob("TestingGroundTruth-*.json")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    prefix = "rekognition-custom-labels-training-0"
    zeros = 0
    for line in lines:
        names = line[f"{prefix}-metadata"]["class-map"]
        zeros += any(names[str(a["class_id"])] == "zero" for a in line[prefix]["annotations"])
    boxes, areas = (
        count_test_images(
            load_version(f"{EXAMPLES}/{name}", AwsOptions(), _open_no_store).evaluation
        )
        for name in ("detection#v1-linear", "lookout-segmentation#1")
    )

    assert boxes.total == len(lines) == 60
    assert boxes.per_label["zero"] == zeros
    assert areas.total == 11
    assert areas.per_label == {"normal": 3, "anomaly": 8, "cracked": 8}


def _open_no_store():
    pytest.fail("files need no store")

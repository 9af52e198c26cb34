"""The numbers that policies name, and test images counted."""

import json
from math import inf, isnan
from pathlib import Path

import pytest
from builders.evaluations import build_evaluation

from mlrek.evaluation import Reported, Task
from mlrek.metrics.compute import compute_metrics
from mlrek.policy import Metric
from mlrek.policy.reading import collect_numbers, count_test_images
from mlrek.promotion import load_version
from mlrek.sources import AwsOptions

EXAMPLES = Path(__file__).parents[3] / "examples"

RATES = Reported(aggregate={"f1": 0.88, "recall": inf})


@pytest.fixture(scope="module")
def numbers():
    """Of two cats, one seen as a dog, and a dog; no bird. Three of four labels have raw names."""
    evaluation = build_evaluation(
        [[0], [0], [1]],
        [[(0, 0.9)], [(1, 0.8)], [(1, 0.7)]],
        labels=("a/b", "dog", "bird"),
        reported=RATES,
    )
    metrics = compute_metrics(evaluation, intervals=False)
    return collect_numbers(evaluation, metrics)


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("aggregate/accuracy", "", 2 / 3),
        ("reported/f1", "", 0.88),
        ("label_recall", "a/b", 1 / 2),
        ("label_precision", "a/b", 1),
        ("label_f1", "a/b", 2 / 3),
        ("label_support", "bird", 0),
    ],
)
def test_each_number_has_its_raw_name(numbers, name, label, expected):
    """The label as the provider writes it."""
    assert numbers.figures[Metric(name=name, label=label)].value == pytest.approx(expected)


def test_the_ends_of_intervals_belong_to_their_number(numbers):
    """`label_recall_low` cannot be asked for; Wilson's interval of 1 of 2 is 0.095 to 0.905."""
    names = {metric.name for metric in numbers.figures}
    recall = numbers.figures[Metric(name="label_recall", label="a/b")]

    assert not {"label_recall_low", "label_recall_high"} & names
    assert (recall.low, recall.high) == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_an_undefined_number_keeps_its_reason(numbers):
    """A label without images says so; what a provider reports as infinite is no number."""
    recall = numbers.figures[Metric(name="label_recall", label="bird")]

    assert isnan(recall.value)
    assert "nothing of this label" in recall.reason
    assert isnan(numbers.figures[Metric(name="reported/recall")].value)


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

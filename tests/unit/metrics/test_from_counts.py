"""Numbers from a published confusion matrix: those of AutoML Vision's own flowers page."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from mlrek.evaluation import Evaluation, Provider, Reported, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.render.document import describe_evaluation

LABELS = ("tulips", "dandelion", "sunflowers", "daisy", "roses")
COUNTS = [
    [78, 0, 0, 0, 2],
    [0, 89, 0, 1, 0],
    [0, 0, 67, 1, 2],
    [0, 0, 0, 63, 0],
    [4, 0, 0, 1, 59],
]
ROSES_FIRST = (4, 0, 1, 2, 3)


@pytest.fixture
def flowers(build) -> Evaluation:
    """No image, but the matrix, whose labels stand in another order than the evaluation's."""
    cells = tuple(
        (LABELS[i], LABELS[j], float(COUNTS[i][j])) for i in ROSES_FIRST for j in ROSES_FIRST
    )
    return build(
        [],
        [],
        labels=LABELS,
        provider=Provider.AUTOML,
        reported=Reported(confusion=cells, test_images=367),
    )


def test_the_numbers_are_those_of_the_images_that_were_counted(flowers):
    """Each cell stands for so many images: scikit-learn says the same of them."""
    found = compute_metrics(flowers, intervals=False)
    y_true = np.repeat(np.arange(5), np.sum(COUNTS, axis=1))
    y_pred = np.concatenate([np.repeat(np.arange(5), row) for row in COUNTS])
    expected = {
        "accuracy": 356 / 367,
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(y_true, y_pred),
        "f1_macro": sklearn_metrics.f1_score(y_true, y_pred, average="macro"),
        "precision_weighted": sklearn_metrics.precision_score(y_true, y_pred, average="weighted"),
        "mcc": sklearn_metrics.matthews_corrcoef(y_true, y_pred),
        "cohen_kappa": sklearn_metrics.cohen_kappa_score(y_true, y_pred),
    }
    assert {name: found.aggregate[name].value for name in expected} == pytest.approx(
        expected, abs=1e-12
    )


def test_the_matrix_stands_in_label_order(flowers):
    """As in every other table of the run."""
    found = compute_metrics(flowers, intervals=False)
    assert (found.confusion.rows, found.confusion.counts.tolist()) == (LABELS, COUNTS)
    assert found.per_label.support.tolist() == [80, 90, 70, 63, 64]
    assert (found.test_images, found.prediction_rule, found.records) == (367, "top1", None)


def test_numbers_from_counts_have_intervals(flowers):
    """Wilson's for the accuracy, by resampling for the others."""
    number = compute_metrics(flowers).aggregate
    assert (number["accuracy"].low, number["accuracy"].high) == pytest.approx(
        (0.9471, 0.9831), abs=1e-4
    )
    assert number["f1_macro"].low < number["f1_macro"].value < number["f1_macro"].high


def test_what_needs_confidences_is_not_there(flowers):
    """A matrix knows none."""
    found = compute_metrics(flowers, intervals=False)
    assert (found.curves, found.predictions, found.precision_recall) == (None, None, ())
    assert "roc_auc_macro" not in found.aggregate
    assert "confusion matrix" in found.warnings[0]


def test_another_rule_than_that_of_the_matrix_is_said_not_to_count(flowers):
    """The service counted top labels."""
    found = compute_metrics(flowers, prediction_rule=PredictionRule.THRESHOLD, intervals=False)
    assert (found.prediction_rule, "threshold" in found.warnings[0]) == ("top1", True)


@pytest.mark.parametrize(
    "change",
    [
        {"test_images": 400},
        {"confusion": ()},
        {"confusion": (("roses", "roses", 59.0), ("tulips", "tulips", 78.0))},
        {"confusion": tuple((t, p, 0.2) for t in LABELS for p in LABELS)},
        {"confusion": tuple((t, p, 0.0) for t in LABELS for p in LABELS)},
    ],
)
def test_counts_of_a_part_of_the_images_are_not_used(flowers, change):
    """Neither the ten most confused labels, nor fractions, nor nothing."""
    evaluation = replace(flowers, reported=replace(flowers.reported, **change))
    assert compute_metrics(evaluation, intervals=False).aggregate == {}


def test_counts_of_another_provider_are_not_trusted(flowers):
    """Amazon publishes fractions."""
    project = replace(flowers.version.project, provider=Provider.REKOGNITION)
    evaluation = replace(flowers, version=replace(flowers.version, project=project))
    assert compute_metrics(evaluation, intervals=False).aggregate == {}


def test_only_one_label_an_image_is_computed_from_a_matrix(flowers):
    """Several labels an image are not confused with one another."""
    evaluation = replace(flowers, task=Task.MULTILABEL)
    assert compute_metrics(evaluation, intervals=False).aggregate == {}


def test_the_document_of_such_a_run_can_be_written(flowers):
    """With all numbers and no image."""
    document = describe_evaluation(
        flowers,
        compute_metrics(flowers, intervals=False),
        test_set_digest="",
        settings={},
        warnings=(),
    )
    assert json.loads(json.dumps(document))["confusion_matrix"]["counts"] == COUNTS

"""Predictions without confidences: what needs these is left out with that reason."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation
from sklearn.metrics import accuracy_score, f1_score

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.errors import EvaluationError
from mlrek.evaluation import DoubtKind, Task
from mlrek.formats.stored import dump_evaluation, load_stored
from mlrek.metrics import NO_CONFIDENCES, PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.thresholds import compute_at_chosen_threshold, compute_threshold_matrices
from mlrek.runs.content import describe_run
from mlrek.tracking.description import Options

RNG = np.random.default_rng(7)
Y_TRUE = RNG.integers(3, size=60)
Y_PRED = np.where(RNG.random(60) < 0.7, Y_TRUE, RNG.integers(3, size=60))
BOX = (0, (10, 10, 40, 40))
OTHER = (1, (50, 50, 90, 90))
WRONG = (1, (0, 0, 9, 9))


def make_classification():
    """Sixty images, one label each."""
    records = [[(code, 1.0)] for code in Y_PRED.tolist()]
    return build_evaluation([[code] for code in Y_TRUE.tolist()], records, thresholds=[0.5] * 3)


def make_multilabel():
    """The same with a second label on some images."""
    truth = [{code, 0} for code in Y_TRUE.tolist()]
    records = [[(code, 1.0) for code in {p, 0}] for p in Y_PRED.tolist()]
    return build_evaluation(truth, records, task=Task.MULTILABEL, thresholds=[0.5] * 3)


def make_detection():
    """Thirty images with two objects, of which the second is mostly found."""
    truth = [[BOX, OTHER]] * 30
    records = [[(*BOX, 1.0), (*OTHER, 1.0)]] * 20 + [[(*BOX, 1.0), (*WRONG, 1.0)]] * 10
    return build_detection(truth, records, thresholds=[0.5] * 2)


TASKS = pytest.mark.parametrize("make", [make_classification, make_multilabel, make_detection])
LEFT_OUT = ("ece", "log_loss", "roc_auc", "average_precision", "ap")


@TASKS
def test_numbers_that_need_confidences_are_left_out_with_the_reason(make):
    """Areas, calibration and losses are undefined; curves and cross-fitted numbers are absent."""
    metrics = compute_metrics(replace(make(), is_scored=False))

    left_out = {n: v for n, v in metrics.aggregate.items() if n.startswith(LEFT_OUT)}
    assert left_out
    assert {number.reason for number in left_out.values()} == {NO_CONFIDENCES}
    assert not any(number.is_defined for number in left_out.values())
    assert (metrics.curves, metrics.precision_recall) == (None, ())
    assert (dict(metrics.crossfit), dict(metrics.extra)) == ({}, {})
    assert np.isnan(metrics.per_label.ap).all()
    assert np.isnan(metrics.predictions.confidence).all()
    kinds = {doubt.kind for doubt in metrics.doubts}
    assert not kinds & {DoubtKind.CONFIDENCE_CONSTANT, DoubtKind.RECORDS_PARTIAL}
    assert not any("curves say nothing" in said for said in metrics.warnings)


def test_what_is_decided_without_confidences_is_as_in_scikit_learn():
    """Accuracy and F1 need the predicted labels alone."""
    numbers = compute_metrics(replace(make_classification(), is_scored=False)).aggregate

    assert numbers["accuracy"].value == pytest.approx(accuracy_score(Y_TRUE, Y_PRED), abs=1e-12)
    expected = f1_score(Y_TRUE, Y_PRED, average="macro")
    assert numbers["f1_macro"].value == pytest.approx(expected, abs=1e-12)


def test_recall_of_boxes_needs_no_confidences():
    """Half of 60 true boxes and 20 others are found exactly: of two labels all, and two thirds."""
    metrics = compute_metrics(replace(make_detection(), is_scored=False))

    assert metrics.aggregate["ar_100"].value == pytest.approx((1 + 2 / 3) / 2, abs=1e-12)
    assert metrics.at_threshold["recall_micro"].value == pytest.approx(50 / 60, abs=1e-12)


@TASKS
def test_no_other_threshold_is_tried(make):
    """There is no matrix at other thresholds, and asking for one is an error that says why."""
    evaluation = replace(make(), is_scored=False)

    assert dict(compute_threshold_matrices(evaluation).matrices) == {}
    with pytest.raises(EvaluationError, match=NO_CONFIDENCES):
        compute_at_chosen_threshold(evaluation, 0.3)


@TASKS
def test_that_there_are_no_confidences_is_stored(make):
    """It comes back, and a file of predictions with confidences does not name it."""
    evaluation = make()
    plain, without = (dump_evaluation(replace(evaluation, is_scored=s)) for s in (True, False))

    assert not load_stored(without).is_scored
    assert load_stored(plain).is_scored
    assert b"is_scored" not in plain


@TASKS
def test_a_run_without_confidences_has_all_that_can_be_shown(make):
    """Report, tables and pictures are made, and no curve among them."""
    run = describe_run(replace(make(), is_scored=False), Options(), state="", logged_at="")

    assert {"report.html", "evaluation.json", "predictions.csv"} <= run.files.keys()
    assert not any("curves" in path or "recall" in path for path in run.files)
    assert not any(one.key.startswith("curve/") for one in run.metrics)


@TASKS
@pytest.mark.parametrize("scored", [(False, False), (True, False), (False, True)])
def test_versions_compare_by_what_both_have(make, scored):
    """Numbers of one side alone have no difference; decisions are compared as always."""
    sides = [
        Side(evaluation=replace(make(), is_scored=one), rule=PredictionRule.TOP1) for one in scored
    ]
    comparison = compare_versions(*sides, settings=CompareSettings())

    found = {d.name: d for d in comparison.differences if not d.label}
    left_out = {n: d for n, d in found.items() if n.removeprefix("aggregate/").startswith(LEFT_OUT)}
    assert left_out
    assert all(np.isnan(d.difference) for d in left_out.values())
    decided = "aggregate/ar_100" if "aggregate/ar_100" in found else "aggregate/f1_macro"
    assert found[decided].difference == 0

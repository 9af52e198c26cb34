"""Numbers of the positive class, against scikit-learn's for `pos_label`."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)
from statsmodels.stats.proportion import proportion_confint

from mlrek.evaluation import DoubtKind, Provider, Reported, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.numbers import list_definitions

NAMES = ("precision", "recall", "f1", "roc_auc", "average_precision")
GOOD, BAD = 0, 1
SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.625, 0.75, 1.0])


@pytest.fixture(scope="session")
def judge(build):
    """A function that computes metrics of images: (true code or none, score of `bad`, flags)."""

    def compute(images, *, rule=PredictionRule.TOP1, names=None, intervals=False, **reported):
        truth = [[true] if true is not None else [] for true, *_ in images]
        records = [
            [] if score is None else [(GOOD, 1 - score, *flags[:1]), (BAD, score, *flags[1:])]
            for _, score, *flags in images
        ]
        evaluation = build(
            truth,
            records,
            labels=("good", "bad"),
            images=names,
            provider=Provider.LOOKOUT,
            reported=Reported(aggregate=reported),
        )
        evaluation = replace(evaluation, pos_label="bad")
        return compute_metrics(evaluation, prediction_rule=rule, intervals=intervals)

    return compute


@given(st.lists(st.tuples(st.sampled_from([GOOD, BAD]), SCORES), min_size=1, max_size=20))
def test_numbers_are_scikit_learns(judge, images):
    """All five, ties among them; what scikit-learn cannot define is undefined, with a reason."""
    y_true, y_score = (np.array(column) for column in zip(*images, strict=True))
    y_pred = y_score > 0.5
    expected = {
        "precision": precision_score(y_true, y_pred, zero_division=np.nan),
        "recall": recall_score(y_true, y_pred, zero_division=np.nan),
        "f1": f1_score(y_true, y_pred, zero_division=np.nan),
        "roc_auc": roc_auc_score(y_true, y_score) if len(set(y_true)) > 1 else np.nan,
        "average_precision": average_precision_score(y_true, y_score) if any(y_true) else np.nan,
    }

    numbers = judge(images).aggregate

    found = {name: numbers[name].value for name in NAMES}
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert all(bool(numbers[name].reason) for name in NAMES if isnan(found[name]))


def test_they_stand_beside_the_averages(judge):
    """Nothing of the one-label numbers is lost."""
    numbers = judge([(BAD, 0.9), (GOOD, 0.2), (GOOD, 0.8)]).aggregate
    assert numbers["accuracy"].value == pytest.approx(2 / 3)
    assert numbers["precision"].value == 0.5
    assert numbers["precision_macro"].value == 0.75


def test_no_prediction_is_a_miss(judge):
    """It is no true positive; the areas, which need its confidence, are left out and say why."""
    numbers = judge([(BAD, 0.9), (BAD, None), (GOOD, 0.2)]).aggregate
    assert (numbers["precision"].value, numbers["recall"].value) == (1.0, 0.5)
    for name in ("roc_auc", "average_precision"):
        assert isnan(numbers[name].value)
        assert "missing on 1 of 3" in numbers[name].reason


def test_images_without_truth_count_nowhere(judge):
    """Neither what is predicted for them nor what is not."""
    images = [(BAD, 0.9), (GOOD, 0.2), (GOOD, 0.7)]
    numbers = judge(images).aggregate
    more = judge([*images, (None, 0.95), (None, None)]).aggregate
    assert {name: more[name].value for name in NAMES} == {
        name: numbers[name].value for name in NAMES
    }


def test_without_any_truth_nothing_is_defined(judge):
    """Every number says why it is not there."""
    numbers = judge([(None, 0.9)]).aggregate
    assert all(isnan(numbers[name].value) and numbers[name].reason for name in NAMES)


def test_precision_and_recall_are_shares_of_images(judge):
    """Their interval is Wilson's, of the images predicted and of the true ones."""
    numbers = judge([(BAD, 0.9)] * 15 + [(GOOD, 0.8)] * 3 + [(BAD, 0.1)] * 2).aggregate
    for name, n in (("precision", 18), ("recall", 17)):
        expected = proportion_confint(15, n, method="wilson")
        assert (numbers[name].low, numbers[name].high) == pytest.approx(expected, abs=1e-12)


def test_resampled_intervals_hold_the_value(judge):
    """F1 and the areas have one each, which does not depend on the order of lines."""
    rng = np.random.default_rng(0)
    images = [
        (int(true), float(score))
        for true, score in zip(rng.integers(2, size=60), rng.integers(5, size=60) / 4, strict=True)
    ]
    names = [f"{i:02}" for i in range(60)]
    numbers = judge(images, names=names, intervals=True).aggregate
    reverse = judge(images[::-1], names=names[::-1], intervals=True).aggregate
    for name in ("f1", "roc_auc", "average_precision"):
        number = numbers[name]
        assert number.low < number.value < number.high
        assert (reverse[name].low, reverse[name].high) == (number.low, number.high)


def test_reported_numbers_are_compared(judge):
    """The provider's own are held against ours: alike without a word, apart with a doubt."""
    metrics = judge(
        [(BAD, 0.9, "FP", "TP"), (GOOD, 0.2, "TP", "TN"), (GOOD, 0.7, "FN", "FP")],
        precision=0.5,
        recall=1.0,
        roc_auc=0.5,
        log_loss=0.3,
    )
    compared = {each.name: (each.computed, each.agrees) for each in metrics.reconciliation}
    assert compared["precision"] == (0.5, True)
    assert compared["recall"] == (1.0, True)
    assert compared["roc_auc"] == (1.0, False)
    assert compared["log_loss"][1] is None
    (doubt,) = [one for one in metrics.doubts if one.kind is DoubtKind.REPORTED_DIFFERS]
    assert (doubt.count, doubt.of) == (1, 3)


def test_reported_numbers_follow_the_decisions_of_the_provider(judge):
    """What it decided below one half is its decision still, though the top label is another."""
    metrics = judge([(BAD, 0.4, "FP", "TP"), (GOOD, 0.2, "TP", "TN")], recall=1.0)
    (recall,) = [each for each in metrics.reconciliation if each.name == "recall"]
    assert (recall.computed, recall.agrees) == (1.0, True)
    assert metrics.aggregate["recall"].value == 0.0


def test_notebook_rule_says_that_the_top_label_counts(judge):
    """Every record as a pair of its own has no meaning for one class."""
    images = [(BAD, 0.9), (GOOD, 0.2), (GOOD, 0.7)]
    metrics = judge(images, rule=PredictionRule.NOTEBOOK)
    top1 = judge(images).aggregate
    assert {name: metrics.aggregate[name].value for name in NAMES} == {
        name: top1[name].value for name in NAMES
    }
    assert any("notebook rule knows no positive class" in line for line in metrics.warnings)


def test_every_number_has_a_definition(judge):
    """With the name of the class in it."""
    numbers = judge([(BAD, 0.9)]).aggregate
    definitions = list_definitions(Task.CLASSIFICATION, "bad")
    assert {f"aggregate/{name}" for name in numbers} <= definitions.keys()
    assert all("'bad'" in definitions[f"aggregate/{name}"] for name in NAMES)

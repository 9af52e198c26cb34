"""What a report says of the provider's own numbers."""

from dataclasses import replace
from math import nan

import pytest
from builders.evaluations import build_evaluation

from mlrek.evaluation import Provider
from mlrek.metrics import Reconciled
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.reported import MACRO_RULE, MEAN_RULE, NO_RULE
from mlrek.render.report_said import list_said, say_labels_differ

LENIENT = f"{MACRO_RULE}; labels below the top one are not recorded"


@pytest.fixture
def evaluation():
    """Two images of two labels."""
    return build_evaluation([[0], [1]], [[(0, 0.9)], [(1, 0.9)]], n_labels=2)


@pytest.fixture
def say(evaluation):
    """What is said of some reconciled numbers."""
    metrics = compute_metrics(evaluation, intervals=False)

    def list_rows(*numbers):
        return [*list_said(replace(metrics, reconciliation=numbers))]

    return list_rows


def _number(computed, rule, name="f1", *, agrees):
    return Reconciled(name=name, reported=0.81, computed=computed, agrees=agrees, rule=rule)


def test_a_number_is_said_once_and_what_differs_in_words(say):
    """By the rule that agrees; the other one's number and why it can be no other follow."""
    (row,) = say(_number(0.81, MEAN_RULE, agrees=True), _number(0.7910, LENIENT, agrees=None))

    assert (row.name, row.reported, row.computed) == ("F1", "0.8100", "0.8100")
    assert row.verdict == "agrees"
    assert row.rule == f"{MEAN_RULE}; 0.7910 by another: {LENIENT}"


def test_of_two_rules_that_agree_that_of_the_records_is_said(say):
    """It says more than the mean of what the service published itself."""
    (row,) = say(_number(0.81, MEAN_RULE, agrees=True), _number(0.81, MACRO_RULE, agrees=True))

    assert row.rule == MACRO_RULE


def test_a_rule_that_differs_is_no_agreement(say):
    """Whatever the other rule gives."""
    (row,) = say(_number(0.81, MEAN_RULE, agrees=True), _number(0.5, MACRO_RULE, agrees=False))

    assert row.verdict == "differs by one rule"
    assert row.kind == "differs"
    assert "0.5000 by another" in row.rule


@pytest.mark.parametrize(
    ("computed", "agrees", "verdict"),
    [(0.5, False, "differs"), (0.5, None, "not compared"), (nan, None, "not compared")],
)
def test_no_verdict_is_empty(say, computed, agrees, verdict):
    """What cannot be compared is said to be so."""
    (row,) = say(_number(computed, NO_RULE, agrees=agrees))

    assert row.verdict == verdict


def test_a_report_says_why_the_f1_of_labels_differs(evaluation):
    """For how many labels, and by which rule; nothing where they are equal."""
    metrics = compute_metrics(evaluation, intervals=False)
    apart = _number(0.643, "one label against the rest", "f1/a", agrees=None)
    alike = _number(0.81, "one label against the rest", "f1/b", agrees=True)
    said = say_labels_differ(evaluation, replace(metrics, reconciliation=(apart, alike)))

    assert said == (
        "Of 1 label the service's F1 is not the F1 that is computed at the assumed threshold "
        "(one label against the rest)."
    )
    assert say_labels_differ(evaluation, replace(metrics, reconciliation=(alike,))) == ""


def test_a_model_from_anywhere_has_no_service():
    """One word tells who assumes thresholds, on every page and in the terminal."""
    assert {provider: provider.author for provider in Provider} == {
        Provider.REKOGNITION: "service",
        Provider.LOOKOUT: "service",
        Provider.AUTOML: "service",
        Provider.VERTEX: "service",
        Provider.CUSTOM: "model",
    }

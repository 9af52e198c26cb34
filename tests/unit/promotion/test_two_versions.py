"""What two versions that are not alike make of a decision, from evaluations alone."""

from dataclasses import replace

import pytest
from builders.sliced import decide_slices, make_sites

from mlrek.evaluation import Task

SIZES = {"A": 100, "B": 100, "C": 100}
BETTER = '[[better]]\nmetric = "aggregate/f1_macro"\n'
NO_WORSE = '[[no_worse]]\nmetric = "label_recall/*"\nmargin = 0.0\n'


def make_several(referred):
    """The version as one that gives an image several labels."""
    evaluation = replace(referred.evaluation, task=Task.MULTILABEL)
    return replace(referred, evaluation=evaluation)


def make_unsure(referred):
    """The version with confidences below one half, so that thresholds find nothing."""
    records = referred.evaluation.records
    unsure = replace(records, confidence=records.confidence / 3)
    return replace(referred, evaluation=replace(referred.evaluation, records=unsure))


@pytest.mark.parametrize("rule", [BETTER, NO_WORSE])
@pytest.mark.parametrize("same", ["required", "any"])
def test_a_baseline_of_another_task_is_not_beaten(rule, same):
    """Right on 95 of 100 by its top label, but by no threshold: 80 of 100 are not better."""
    baseline = make_unsure(make_sites(SIZES, dict.fromkeys(SIZES, 95), name="v1"))
    candidate = make_several(make_sites(SIZES, dict.fromkeys(SIZES, 80)))
    toml = f'[test_set]\nsame = "{same}"\n{rule}'

    decision = decide_slices(toml, candidate, baseline)

    assert decision.exit_code() == decision.exit_code("pass") == 4
    assert "other_rule" in {d.kind.value for d in decision.doubts}
    assert "[other_rule]" in decision.checks[-1].reason
    accepted = toml.replace("[test_set]", '[test_set]\naccept = ["other_rule", "records_partial"]')
    assert decide_slices(accepted, candidate, baseline).exit_code() == 0

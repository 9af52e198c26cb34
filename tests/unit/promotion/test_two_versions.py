"""What two versions that are not alike make of a decision, from evaluations alone."""

from dataclasses import replace

import pytest
from builders.sliced import decide_slices, make_sites

from mlrek.evaluation import Task

SIZES = {"A": 100, "B": 100, "C": 100}
BETTER = '[[better]]\nmetric = "aggregate/f1_macro"\n'
FLOOR = '[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.5\n'
SURE = FLOOR + "confidence = 0.95\n"
GROUPED = "[test_set]\ngroup_by = {!r}\n"
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


def find_statuses(decision):
    """How each check of a number ended."""
    return [c.status.value for c in decision.checks if c.kind != "test_set"]


@pytest.mark.parametrize("group_by", ["objekt([0-9]+)", "x*", "s3://other/"])
def test_groups_that_hold_no_image_let_no_interval_pass(group_by):
    """A slip in the pattern makes no images independent, forgiven or not."""
    baseline = make_sites(SIZES, dict.fromkeys(SIZES, 70), name="v1")
    candidate = make_sites(SIZES, dict.fromkeys(SIZES, 95))
    rules = SURE + BETTER + SURE + 'slice = "site=A"\n' + BETTER + 'slice = "site=*"\n'

    plain = decide_slices(rules, candidate, baseline)
    slip = decide_slices(GROUPED.format(group_by) + rules, candidate, baseline)

    assert find_statuses(plain) == ["passed"] * 6
    assert find_statuses(slip) == ["undecided"] * 6
    assert slip.exit_code() == slip.exit_code("pass") == 4
    assert all("group_by finds no object" in c.reason for c in slip.checks[1:])
    assert any("300 of 300 test images of the candidate" in w for w in slip.warnings)


def test_groups_that_hold_no_image_change_no_value():
    """The value of a floor is read without any interval; the slip is said."""
    decision = decide_slices(
        GROUPED.format("objekt") + FLOOR, make_sites(SIZES, dict.fromkeys(SIZES, 95))
    )

    assert decision.exit_code() == 0
    assert any("finds no object" in warning for warning in decision.warnings)


@pytest.mark.parametrize("same", ["overlapping", "any"])
def test_groups_that_hold_no_image_that_is_compared(same):
    """The candidate has objects only among further images; its shared ones show none."""
    candidate = make_sites(SIZES | {"D": 400}, SIZES | {"D": 400})
    baseline = make_sites(SIZES, dict.fromkeys(SIZES, 70), name="v1")
    toml = f"[test_set]\nsame = {same!r}\ngroup_by = '/(D/...)'\n{BETTER}"

    decision = decide_slices(toml, candidate, baseline)

    assert decision.exit_code() == decision.exit_code("pass") == 4
    assert "over single images" in decision.checks[-1].reason


def test_some_images_without_an_object_are_said():
    """Images of sites A and B are in 20 groups, those of C each by itself."""
    candidate = make_sites(SIZES, dict.fromkeys(SIZES, 95))

    decision = decide_slices(GROUPED.format("([AB]/...)") + SURE, candidate)

    assert decision.exit_code() == 0
    assert any("of 100 of 300 test images of the candidate" in w for w in decision.warnings)

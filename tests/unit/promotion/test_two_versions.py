"""What two versions that are not alike make of a decision, from evaluations alone."""

from dataclasses import replace

import pytest
from builders.evaluations import build_evaluation
from builders.sliced import decide_slices, make_sites, name_place

from mlrek.evaluation import Provider, Task
from mlrek.promotion import Referred

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


def make_labels(counts, *, name, right=1.0, labels="abc"):
    """A version of so many images of each label; the last ones of each are taken for another."""
    truth, said, images = [], [], []
    for label, n in counts.items():
        code = labels.index(label)
        truth += [[code]] * n
        said += [code if i < right * n else 1 - min(code, 1) for i in range(n)]
        images += [f"s3://b/{label}/{name_place(i)}.png" for i in range(n)]
    records = [[(code, 0.6 + 0.3 * ((i * 7) % 11) / 11)] for i, code in enumerate(said)]
    evaluation = build_evaluation(
        truth, records, labels=labels, images=images, provider=Provider.CUSTOM
    )
    version = replace(evaluation.version, arn=f"arn:{name}", name=name)
    return Referred(evaluation=replace(evaluation, version=version))


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


ALL = {"a": 100, "b": 100, "c": 100}
FEWER = {"a": 100, "b": 100}
PER_LABEL = "[test_set]\nsame = {!r}\nmin_images_per_label = {}\n"
NO_WORSE_AT_ALL = '[[no_worse]]\nmetric = "aggregate/accuracy"\nmargin = 0.02\n'
RECALLS = '[[floor]]\nmetric = "label_recall/*"\nmin = 0.8\n'
LOST = "labels that only the baseline was tested on: c (100 images)"


@pytest.mark.parametrize("same", ["overlapping", "any"])
@pytest.mark.parametrize("labels", ["ab", "abc"])
def test_a_label_that_lost_its_images_has_too_few(same, labels):
    """The candidate may know it or not: each label must have 20 images, and this one has none."""
    baseline = make_labels(ALL, name="v1", right=0.8)
    candidate = make_labels(FEWER, name="v2", labels=labels)
    toml = PER_LABEL.format(same, 20) + NO_WORSE_AT_ALL + RECALLS

    decision = decide_slices(toml, candidate, baseline)
    (check,) = (c for c in decision.checks if c.metric.name == "min_images_per_label")

    assert (check.status.value, check.value) == ("undecided", 0)
    assert "the baseline was tested on c (100 images)" in check.reason
    assert decision.exit_code() == decision.exit_code("pass") == 4
    assert LOST in decision.warnings


@pytest.mark.parametrize("same", ["overlapping", "any"])
@pytest.mark.parametrize("labels", ["ab", "abc"])
def test_each_label_of_the_baseline_is_asked_for_by_a_wildcard(same, labels):
    """Not to be worse in each label asks for the one that lost its images, too."""
    baseline = make_labels(ALL, name="v1", right=0.9)
    candidate = make_labels(FEWER, name="v2", labels=labels)
    toml = PER_LABEL.format(same, 0) + NO_WORSE.replace("0.0", "0.05")

    decision = decide_slices(toml, candidate, baseline)
    found = {c.metric.label: c for c in decision.checks if c.kind == "no_worse"}

    assert {label: c.status.value for label, c in found.items()} == {
        "a": "passed",
        "b": "passed",
        "c": "undecided",
    }
    assert "tested on 100 images of this label, the candidate on none" in found["c"].reason
    assert decision.exit_code() == decision.exit_code("pass") == 4


def test_a_floor_of_each_label_is_of_the_labels_that_the_candidate_has():
    """A label may be given up: floors ask for those that are left, and the lost one is said."""
    baseline = make_labels(ALL, name="v1", right=0.8)
    candidate = make_labels(FEWER, name="v2", labels="ab")
    toml = PER_LABEL.format("any", 0) + NO_WORSE_AT_ALL + RECALLS

    decision = decide_slices(toml, candidate, baseline)

    assert decision.exit_code() == 0
    assert LOST in decision.warnings


def test_a_label_that_lost_its_images_is_no_lack_of_evidence():
    """The candidate knows it: its recall is undefined, and nobody may forgive that."""
    baseline = make_labels(ALL, name="v1", right=0.8)
    candidate = make_labels(FEWER, name="v2")

    decision = decide_slices(
        PER_LABEL.format("any", 0) + NO_WORSE_AT_ALL + RECALLS, candidate, baseline
    )

    assert decision.exit_code() == decision.exit_code("pass") == 4


def test_a_label_of_which_neither_has_images_is_not_missed():
    """Both were tested on images without it: that is how a label is given up."""
    baseline = make_labels(FEWER, name="v1", right=0.8)
    candidate = make_labels(FEWER, name="v2", labels="ab")
    toml = PER_LABEL.format("required", 20) + NO_WORSE_AT_ALL + RECALLS

    decision = decide_slices(toml, candidate, baseline)

    assert decision.exit_code() == 0
    assert not any("was tested on" in warning for warning in decision.warnings)

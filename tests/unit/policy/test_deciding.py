"""Every rule of the gate, on literal numbers and comparisons."""

from dataclasses import replace
from math import isnan, nan

import pytest
from builders.policies import (
    F1,
    Fixed,
    Interval,
    make_candidate,
    make_comparison,
    make_difference,
    make_opponent,
    run,
)
from scipy.stats import binomtest

from mlrek.comparison import Leakage, Scope, Verdict
from mlrek.policy import Decision, Figure, Status, TestImages

PLAIN = f'[[floor]]\nmetric = "{F1}"\n'
SURE = PLAIN + "confidence = 0.95\n"
NO_WORSE = f'[[no_worse]]\nmetric = "{F1}"\nmargin = 0.02\n'
BETTER = f'[[better]]\nmetric = "{F1}"\n'
ECE = "aggregate/ece"


def last(decision: Decision) -> tuple[str, int]:
    """How the last check ended, and the exit code."""
    return decision.checks[-1].status.value, decision.exit_code()


def against(toml: str, *differences, **changed) -> Decision:
    """A policy with a comparison."""
    return run(toml, opponent=make_opponent(make_comparison(*differences, **changed)))


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (PLAIN + "min = 0.9", ("passed", 0)),
        (PLAIN + "min = 0.9001", ("failed", 3)),
        (PLAIN + "max = 0.9", ("passed", 0)),
        (PLAIN + "max = 0.8999", ("failed", 3)),
        (SURE + "min = 0.88", ("passed", 0)),
        (SURE + "min = 0.89", ("undecided", 4)),
        (SURE + "min = 0.92", ("undecided", 4)),
        (SURE + "min = 0.921", ("failed", 3)),
        (SURE + "max = 0.92", ("passed", 0)),
        (SURE + "max = 0.9", ("undecided", 4)),
        (SURE + "max = 0.879", ("failed", 3)),
    ],
)
def test_a_floor_reads_the_value_or_with_a_confidence_the_interval(toml, expected):
    """0.90 with an interval from 0.88 to 0.92."""
    assert last(run(toml)) == expected


def test_a_floor_at_another_confidence_reads_that_interval():
    """The wider interval of 99 % no longer reaches the limit."""
    at = {F1: Figure(value=0.9, low=0.87, high=0.93)}
    decision = run(PLAIN + "confidence = 0.99\nmin = 0.88", make_candidate(at=at))

    assert last(decision) == ("undecided", 4)
    assert (decision.checks[0].low, decision.checks[0].high) == (0.87, 0.93)


def test_a_floor_with_both_limits_is_two_checks():
    """Each limit has an answer of its own."""
    statuses = [c.status for c in run(PLAIN + "min = 0.8\nmax = 0.85").checks]

    assert statuses == ["passed", "failed"]


def test_each_label_is_checked_by_its_own_name():
    """One check a label; a label without images is undecided, not passed."""
    figures = {
        ("label_recall", "a/b"): Figure(value=0.9),
        ("label_recall", "c"): Figure(value=0.7),
        ("label_recall", "d"): Figure(value=nan, reason="no image of it"),
    }
    candidate = make_candidate(figures, labels=("a/b", "c", "d"))
    checks = run('[[floor]]\nmetric = "label_recall/*"\nmin = 0.8', candidate).checks

    assert [(c.metric.label, c.status) for c in checks] == [
        ("a/b", "passed"),
        ("c", "failed"),
        ("d", "undecided"),
    ]
    assert checks[2].reason == "no image of it"


def test_a_label_named_star_does_not_hide_the_others():
    """`*` is every label, whatever a label is called."""
    figures = {
        ("label_recall", "*"): Figure(value=1.0),
        ("label_recall", "b"): Figure(value=0.1),
    }
    candidate = make_candidate(figures, labels=("*", "b"))

    assert run('[[floor]]\nmetric = "label_recall/*"\nmin = 0.8', candidate).verdict == "failed"


@pytest.mark.parametrize(
    ("metric", "meant"),
    [
        ("aggregate/f1_makro", "aggregate/f1_macro"),
        ("label_recal/a", "label_recall/a"),
        ("label_recall/eigth", "label_recall/eight"),
        ("aggregate/zzz", "evaluation.json"),
    ],
)
def test_a_missing_number_is_undecided_and_says_what_was_meant(metric, meant):
    """Never passed."""
    figures = {F1: Figure(value=1.0), ("label_recall", "a"): Figure(value=1.0)}
    candidate = make_candidate(figures, labels=("a", "eight"))
    decision = run(f'[[floor]]\nmetric = "{metric}"\nmin = 0.1', candidate)

    assert last(decision) == ("undecided", 4)
    assert meant in decision.checks[0].reason


def test_labels_without_any_label_are_undecided():
    """`*` of nothing is no pass."""
    candidate = make_candidate({}, labels=())

    assert run('[[floor]]\nmetric = "label_recall/*"\nmin = 0.1', candidate).exit_code() == 4


@pytest.mark.parametrize(
    "figure",
    [
        Figure(value=0.95, reason="no resamples"),
        Figure(value=0.95, low=0.95, high=0.95),
        Figure(value=nan, low=nan, high=nan, reason="undefined"),
    ],
)
def test_a_floor_without_a_true_interval_is_undecided(figure):
    """A missing interval, and one of no width, are no certainty."""
    decision = run(SURE + "min = 0.9", make_candidate({F1: figure}))

    assert last(decision) == ("undecided", 4)


@pytest.mark.parametrize(
    ("toml", "low", "high", "expected"),
    [
        (NO_WORSE, -0.019, 0.05, "passed"),
        (NO_WORSE, -0.02, 0.05, "undecided"),
        (NO_WORSE, -0.03, -0.02, "undecided"),
        (NO_WORSE, -0.03, -0.021, "failed"),
        (BETTER, 0.001, 0.05, "passed"),
        (BETTER, 0.0, 0.05, "undecided"),
        (BETTER, -0.05, 0.001, "undecided"),
        (BETTER, -0.05, 0.0, "failed"),
        (BETTER, -0.05, -0.01, "failed"),
    ],
)
def test_a_relative_check_reads_the_interval_of_the_difference(toml, low, high, expected):
    """Above the limit it passes, below it fails, across it is undecided."""
    assert last(against(toml, make_difference(low, high)))[0] == expected


@pytest.mark.parametrize("name", ["aggregate/ece", "aggregate/log_loss", "aggregate/hamming_loss"])
@pytest.mark.parametrize(
    ("kind", "low", "high", "expected", "limit"),
    [
        ("no_worse", -0.05, 0.019, "passed", 0.02),
        ("no_worse", 0.021, 0.05, "failed", 0.02),
        ("no_worse", 0.01, 0.03, "undecided", 0.02),
        ("better", -0.05, -0.001, "passed", 0.0),
        ("better", 0.0, 0.05, "failed", 0.0),
        ("better", -0.05, 0.01, "undecided", 0.0),
    ],
)
def test_where_less_is_better_everything_is_mirrored(name, kind, low, high, expected, limit):
    """A rise is a loss; the interval is told as it is, candidate minus baseline."""
    margin = "margin = 0.02\n" if kind == "no_worse" else ""
    toml = f'[[{kind}]]\nmetric = "{name}"\n{margin}'
    check = against(toml, make_difference(low, high, name=name)).checks[-1]

    assert check.status == expected
    assert (check.low, check.high, check.limit) == (low, high, limit)


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Figure(value=0.7), "no interval of this number can be computed"),
        (Figure(value=0.7, reason="it is so"), "it is so"),
        (Figure(value=nan, reason="nothing there"), "nothing there"),
    ],
)
def test_a_floor_with_a_confidence_needs_an_interval(figure, said):
    """None, a reason that there is none, no number: undecided."""
    candidate = make_candidate({("label_f1", "a"): figure})
    toml = '[[floor]]\nmetric = "label_f1/a"\nmin = 0.1\nconfidence = 0.95\n'
    check = run(toml, candidate).checks[-1]

    assert check.status == "undecided"
    assert said in check.reason


@pytest.mark.parametrize(
    "difference",
    [
        make_difference(0.0, 0.0, candidate=0.9),
        make_difference(nan, nan, candidate=0.95, reason="too few images"),
        make_difference(0.01, 0.02, candidate=nan),
        make_difference(0.01, 0.02, name="aggregate/accuracy"),
    ],
)
def test_without_a_true_interval_nothing_passes(difference):
    """No width, no interval, no number, no such difference: undecided, and says why."""
    for toml in (NO_WORSE, BETTER):
        check = against(toml, difference).checks[-1]
        assert check.status == "undecided"
        assert check.reason


def test_what_the_provider_reports_is_shown_but_decides_nothing():
    """It is of whole test sets, and alone: both values stand there, with why it is undecided."""
    reported = make_difference(
        name="reported/f1", scope=Scope.WHOLE, candidate=0.92, reason="published alone"
    )
    reported = replace(reported, evidence=None)
    check = against('[[better]]\nmetric = "reported/f1"\n', reported).checks[-1]

    assert check.status is Status.UNDECIDED
    assert (check.value, check.baseline) == (reported.candidate, reported.baseline)
    assert check.reason == "published alone: check it with a [[floor]] instead"


def test_an_open_check_says_how_many_images_would_decide_it():
    """500 · ((1.96 + 0.8416) · 0.01 / 0.01)² = 3924.4 for a true difference of one point.

    The difference that is seen tells nothing of that, and nobody knows the side of it.
    """
    difference = make_difference(candidate=0.912, evidence=Interval(0.012, 0.01))
    decision = against(BETTER, difference)

    assert last(decision) == ("undecided", 4)
    assert decision.images_needed_range == (501, 3925)
    assert decision.images_needed == 3925
    reason = decision.checks[-1].reason
    assert "510 to 4,000 test images would tell a true distance of 0.01 from it" in reason
    assert "as passed" not in reason


def test_the_margin_of_a_policy_is_what_images_have_to_tell():
    """500 · ((1.96 + 0.8416) · 0.01 / 0.02)² = 981.1 for a margin of two points."""
    difference = make_difference(candidate=0.89, evidence=Interval(-0.01, 0.01))
    decision = against(NO_WORSE.replace("0.01", "0.02"), difference)

    assert last(decision) == ("undecided", 4)
    assert decision.images_needed_range == (501, 982)


@pytest.mark.parametrize("toml", [NO_WORSE, BETTER])
def test_without_a_baseline_yet_relative_checks_are_ignored_and_floors_are_not(toml):
    """The first version can be promoted, on its floors alone; it is said."""
    passed, failed = (run(toml + PLAIN + f"min = {limit}") for limit in (0.8, 0.95))

    assert passed.checks[-1].status == "ignored"
    assert (passed.exit_code(), failed.exit_code()) == (0, 3)
    assert "first promotion" in passed.warnings[0]
    assert passed.baseline is None


@pytest.mark.parametrize(
    ("same", "verdict", "expected"),
    [
        ("required", Verdict.SAME, "passed"),
        ("required", Verdict.OVERLAPPING, "undecided"),
        ("required", Verdict.DISJOINT, "undecided"),
        ("overlapping", Verdict.OVERLAPPING, "passed"),
        ("overlapping", Verdict.DISJOINT, "undecided"),
        ("any", Verdict.DISJOINT, "passed"),
    ],
)
def test_only_a_test_set_that_the_policy_accepts_is_compared(same, verdict, expected):
    """Otherwise nothing passes, and neither `pass` nor `fail` changes that."""
    differences = [make_difference(0.01, 0.05, scope=scope) for scope in Scope]
    shared = 0 if verdict == Verdict.DISJOINT else 300
    toml = f'[test_set]\nsame = "{same}"\n' + BETTER
    decision = against(toml, *differences, verdict=verdict, shared=shared)

    assert [c.status for c in decision.checks] == [expected, expected]
    if expected == "undecided":
        assert {decision.exit_code(f) for f in ("", "pass", "fail")} == {4}
        assert "not comparable" in decision.checks[-1].reason
        assert "mlrek evaluate" in decision.checks[0].reason


def test_images_that_stand_twice_are_told_where_they_make_test_sets_differ():
    """Nothing else would tell why sets without an image of their own are not the same."""
    found = make_comparison(make_difference(0.01, 0.05), verdict=Verdict.OVERLAPPING)
    found = replace(found, test_sets=replace(found.test_sets, duplicated=3))
    decision = run(BETTER, opponent=make_opponent(found))

    assert "3 images stand there more than once" in decision.checks[0].reason


@pytest.mark.parametrize(
    ("same", "verdict", "scope"),
    [
        ("required", Verdict.SAME, Scope.SHARED),
        ("overlapping", Verdict.OVERLAPPING, Scope.SHARED),
        ("any", Verdict.OVERLAPPING, Scope.WHOLE),
        ("any", Verdict.SAME, Scope.SHARED),
    ],
)
def test_a_relative_check_reads_the_images_that_the_policy_means(same, verdict, scope):
    """`overlapping` the shared ones, `any` each version's own."""
    differences = [
        make_difference(0.01, 0.05, scope=one, baseline=0.5 if one == scope else 0.1)
        for one in Scope
    ]
    toml = f'[test_set]\nsame = "{same}"\n' + BETTER
    check = against(toml, *differences, verdict=verdict, shared=300).checks[-1]

    assert check.baseline == 0.5


def test_what_cannot_be_compared_at_all_keeps_its_floors():
    """A floor still fails; without that the answer is 4, whatever is forgiven."""
    opponent = make_opponent(incomparable="the baseline is the candidate itself")
    good = run(BETTER + PLAIN + "min = 0.8", opponent=opponent)
    bad = run(BETTER + PLAIN + "min = 0.95", opponent=opponent)

    assert {good.exit_code(f) for f in ("", "pass", "fail")} == {4}
    assert bad.exit_code() == 3
    assert "candidate itself" in good.checks[-1].reason


def test_forgiving_too_little_evidence():
    """`pass` makes it 0 and `fail` 3; a failed check stays failed."""
    ends = (-0.01, 0.03), (-0.1, 0.0)
    open_, failed = (against(BETTER, make_difference(*interval)) for interval in ends)

    assert [open_.exit_code(f) for f in ("", "pass", "fail")] == [4, 0, 3]
    assert [failed.exit_code(f) for f in ("", "pass", "fail")] == [3, 3, 3]
    assert open_.verdict == Status.UNDECIDED


def test_too_few_images_are_undecided_and_not_forgiven():
    """What would pass does not on such a test set; the number that is missing is told."""
    toml = "[test_set]\nmin_images = 1000\n" + BETTER
    decision = against(toml, make_difference(0.01, 0.05))
    _, images, better = decision.checks

    assert (images.status, images.value, images.limit) == ("undecided", 500, 1000)
    assert better.status == "undecided"
    assert decision.images_needed == 1000
    assert [decision.exit_code(f) for f in ("", "pass", "fail")] == [4, 4, 3]
    assert against(toml, make_difference(-0.05, -0.01)).exit_code() == 3


def test_a_minimum_also_holds_for_the_shared_images():
    """Where the comparison rests on these."""
    opponent = make_opponent(
        make_comparison(make_difference(0.01, 0.05), verdict=Verdict.OVERLAPPING, shared=300),
        shared_images=TestImages(total=300, per_label={"a": 5, "b": 295}),
    )
    toml = '[test_set]\nsame = "overlapping"\nmin_images = 400\nmin_images_per_label = 10\n'
    _, images, per_label, _ = run(toml + BETTER, opponent=opponent).checks

    assert (images.status, images.value) == ("undecided", 300)
    assert (per_label.status, per_label.value) == ("undecided", 5)
    assert "a (5)" in per_label.reason


def test_labels_with_too_few_images_are_named():
    """The poorest first; a label without images as well."""
    candidate = make_candidate(per_label={"a": 300, "b": 8, "c": 0})
    (check,) = run("[test_set]\nmin_images_per_label = 10\n", candidate).checks

    assert check.status == "undecided"
    assert "c (0), b (8)" in check.reason
    assert "a (" not in check.reason


def test_an_unknown_number_of_images_is_undecided():
    """Nothing is taken for granted."""
    candidate = make_candidate(total=None)
    (check,) = run("[test_set]\nmin_images = 1\n", candidate).checks

    assert check.status == "undecided"
    assert isnan(check.value)


@pytest.mark.parametrize(
    ("leakage", "expected"),
    [
        (Leakage(known=True), "passed"),
        (Leakage(known=True, images=("s3://b/1.jpg",)), "failed"),
        (Leakage(known=False), "undecided"),
    ],
)
def test_leakage_is_forbidden_only_where_the_policy_says_so(leakage, expected):
    """Test images that were seen in training fail; nobody knowing is undecided."""
    candidate = make_candidate(leakage=leakage)
    forbidden = run('[test_set]\nleakage = "forbidden"\n', candidate)
    allowed = run('[test_set]\nleakage = "allowed"\n' + PLAIN + "min = 0.5", candidate)

    assert forbidden.checks[0].status == expected
    assert allowed.verdict == "passed"
    if expected == "failed":
        assert "s3://b/1.jpg" in forbidden.checks[0].reason


def test_all_checks_are_answered_whatever_the_first_says():
    """A failed one hides none of the others."""
    toml = PLAIN + "min = 0.95\n" + NO_WORSE + BETTER
    statuses = [c.status for c in against(toml, make_difference(-0.01, 0.05)).checks]

    assert statuses == ["passed", "failed", "passed", "undecided"]


def test_labels_of_either_version_are_compared():
    """One that the candidate lacks is undecided, not left out."""
    recall = [
        make_difference(0.01, 0.05, name="label_recall", label="a", evidence=Fixed(0.01, 0.05)),
        make_difference(nan, nan, name="label_recall", label="gone", candidate=nan),
    ]
    toml = '[[no_worse]]\nmetric = "label_recall/*"\n'
    checks = against(toml, *recall, labels=("a", "gone")).checks[1:]

    assert [(c.metric.label, c.status) for c in checks] == [("a", "passed"), ("gone", "undecided")]
    assert "candidate" in checks[1].reason


def test_an_open_floor_says_how_many_images_would_decide_it():
    """500 · ((1.96 + 0.8416) · (0.04 / 2 / 1.96) / 0.01)² = 4086.4 for a true distance of 0.01.

    Times what the variance may be: p (1 - p) at the ends of Wilson's interval of 450 of 500.
    """
    candidate = make_candidate({F1: Figure(value=0.9, low=0.88, high=0.92)}, total=500)
    check = run(SURE + "min = 0.89\n", candidate).checks[-1]

    wilson = binomtest(450, 500).proportion_ci(method="wilson")
    few, many = (4086.4 * p * (1 - p) / 0.09 for p in (wilson.high, wilson.low))
    assert check.status == "undecided"
    assert check.images_needed_range == pytest.approx((few, many), abs=1.5)
    assert check.images_needed == check.images_needed_range[1]


def test_where_the_versions_never_differ_the_spread_is_that_of_the_interval():
    """A difference of 0.01 ± 0.02 against 0, without a standard error: 4086.4, as above."""
    evidence = Fixed(-0.01, 0.03, standard_error=0.0)
    check = against(BETTER, make_difference(-0.01, 0.03, evidence=evidence)).checks[-1]

    assert (check.status, check.images_needed) == ("undecided", 4087)


def test_a_label_with_too_few_images_says_how_many_all_labels_need():
    """5 of 500 images are of `b`; 10 of these come with 1,000 images of the same mixture."""
    candidate = make_candidate(total=500, per_label={"a": 495, "b": 5})
    toml = "[test_set]\nmin_images_per_label = 10\n" + PLAIN + "min = 0.5\n"
    check = run(toml, candidate).checks[0]

    assert (check.status, check.value, check.images_needed) == ("undecided", 5, 1000)

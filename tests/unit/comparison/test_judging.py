"""One rule that says better, worse, undecided or unchanged."""

from dataclasses import dataclass, replace
from math import isnan, nan

import pytest
from scipy.stats import norm

from mlrek.comparison import (
    Comparison,
    Difference,
    Judgement,
    Scope,
    TestSets,
    Verdict,
    find_worse_labels,
    judge_differences,
)
from mlrek.evaluation import Project, Provider, Task, Version
from mlrek.metrics.paired_tests import PairedCounts


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Evidence of a difference with a normal distribution."""

    difference: float
    standard_error: float

    def interval(self, confidence):
        """Lower and upper end."""
        return norm.interval(confidence, self.difference, self.standard_error)


def _number(low, high, name="aggregate/f1_macro", *, difference=0.1, **options):
    options.setdefault("evidence", Normal(difference=difference, standard_error=0.02))
    return Difference(
        name=name,
        scope=Scope.SHARED,
        baseline=0.5,
        candidate=0.5 + difference,
        low=low,
        high=high,
        **options,
    )


@dataclass(frozen=True)
class _Compared:
    """Judgements by name and label."""

    found: tuple

    def __getitem__(self, key):
        return next(d.judgement for d in self.found if (d.name, d.label) == key)


def _judge(*differences):
    return _Compared(judge_differences(differences))


@pytest.mark.parametrize(
    ("ends", "name", "expected"),
    [
        ((0.01, 0.2), "aggregate/f1_macro", "better"),
        ((-0.2, -0.01), "aggregate/f1_macro", "worse"),
        ((-0.01, 0.2), "aggregate/f1_macro", "undecided"),
        ((0.0, 0.2), "aggregate/f1_macro", "undecided"),
        ((nan, nan), "aggregate/f1_macro", "undecided"),
        ((0.01, 0.2), "aggregate/log_loss", "worse"),
        ((-0.2, -0.01), "aggregate/ece_debiased", "better"),
    ],
)
def test_a_number_of_all_labels_is_judged_by_its_interval(ends, name, expected):
    """What touches 0 is undecided; where less is better the ends swap their meaning."""
    assert _judge(_number(*ends, name))[name, ""] == expected


def test_what_no_image_moved_is_unchanged():
    """No pair differs; an equal share of fixed and broken images is undecided."""
    still = PairedCounts(both=9, only_baseline=0, only_candidate=0, neither=1)
    moved = PairedCounts(both=5, only_baseline=2, only_candidate=2, neither=1)

    judged = [
        _judge(_number(*c.interval(0.95), difference=0.0, evidence=c))["aggregate/f1_macro", ""]
        for c in (still, moved)
    ]

    assert judged == ["unchanged", "undecided"]


def test_what_a_provider_reports_is_unchanged_where_it_is_equal():
    """Without an interval nothing else can be said of it."""
    same = _number(nan, nan, "reported/f1", difference=0.0, evidence=None)
    other = _number(nan, nan, "reported/f1", evidence=None)

    assert _judge(same)["reported/f1", ""] is Judgement.UNCHANGED
    assert _judge(other)["reported/f1", ""] is Judgement.UNDECIDED


def test_a_label_is_judged_by_the_p_of_its_decisions_adjusted_for_there_being_several():
    """Its interval alone says better for both."""
    rows = [
        _number(0.02, 0.2, name, label=label, p=0.01, p_adjusted=p)
        for label, p in (("a", 0.02), ("b", 0.06))
        for name in ("label_decisions",)
    ]
    rows += [_number(0.02, 0.2, "label_f1", label=label) for label in "ab"]

    judged = _judge(*rows)

    assert judged["label_f1", "a"] is Judgement.BETTER
    assert judged["label_f1", "b"] is Judgement.UNDECIDED


def test_an_f1_that_fell_while_more_decisions_were_right_is_undecided():
    """Fewer false positives can cost more true ones than F1 forgives."""
    decisions = _number(0.02, 0.2, "label_decisions", label="a", p=0.01, p_adjusted=0.02)
    f1 = _number(-0.2, -0.02, "label_f1", label="a", difference=-0.1)

    assert _judge(decisions, f1)["label_f1", "a"] is Judgement.UNDECIDED


def test_labels_without_a_test_are_judged_by_intervals_of_holms_steps():
    """Two of three at z = 2.6 and 2.1: 2.6 reaches 2.39 of 1 - 0.05/3, 2.1 not 2.24 of 1 - 0.05/2.

    With z = 2.3 the second passes, and the third is held to 1.96.
    """

    def judge(*z):
        rows = []
        for label, size in zip("abc", z, strict=True):
            evidence = Normal(difference=0.01 * size, standard_error=0.01)
            ends = evidence.interval(0.95)
            rows.append(_number(*ends, "label_ap", label=label, evidence=evidence))
        judged = _judge(*rows)
        return [judged["label_ap", label].value for label in "abc"]

    assert judge(2.6, 2.1, 0.5) == ["better", "undecided", "undecided"]
    assert judge(2.6, 2.3, 2.0) == ["better", "better", "better"]
    assert judge(2.3, 2.3, 2.3) == ["undecided"] * 3


def test_labels_that_got_worse_are_named_by_the_plainest_number():
    """In label order, each once; what is only undecided or better is not."""
    differences = judge_differences(
        [
            _number(-0.9, -0.1, name, label=label, difference=-0.5, p=1e-5, p_adjusted=p)
            for label, name, p in (
                ("z", "label_decisions", 1e-4),
                ("z", "label_recall", 1e-4),
                ("a", "label_decisions", 1e-4),
                ("a", "label_recall", 0.2),
                ("m", "label_decisions", 0.2),
            )
        ]
    )
    project = Project(provider=Provider.REKOGNITION, arn="arn:p", name="p")
    version = Version(project=project, arn="arn:v", name="v")
    sets = TestSets(
        verdict=Verdict.SAME,
        shared=9,
        only_baseline=0,
        only_candidate=0,
        relabelled=0,
        duplicated=0,
    )
    comparison = Comparison(
        baseline=version,
        candidate=version,
        task=Task.CLASSIFICATION,
        labels=("z", "m", "a"),
        test_sets=sets,
        differences=differences,
    )

    worse = find_worse_labels(comparison)

    assert [(label, name) for label, name, _ in worse] == [
        ("z", "label_recall"),
        ("a", "label_decisions"),
    ]
    assert worse[0][2].p_adjusted == 1e-4


def test_a_label_whose_recall_is_lost_is_found_although_accuracy_stays(build_top, compare):
    """Ten images of the rare label are missed, ten others are right instead."""
    y_true = [0] * 100 + [1] * 10
    baseline = build_top(y_true, [0] * 90 + [1] * 10 + [1] * 10)
    candidate = build_top(y_true, [0] * 100 + [0] * 10)

    comparison = compare(baseline, candidate)

    accuracy = comparison.find("aggregate/accuracy")
    assert accuracy.difference == 0
    assert accuracy.judgement is Judgement.UNDECIDED
    named = {label: name for label, name, _ in find_worse_labels(comparison)}
    assert named == {"b": "label_recall"}
    recall = comparison.find("label_recall", label="b")
    # Mid-p of 10 against 0 is 2 (1/2)^10 / 2; two labels: Holm doubles the smaller one.
    assert recall.p == pytest.approx(2**-10)
    assert not isnan(replace(recall).p_adjusted)

"""The doubts of a comparison: those of both versions, each with its side, and those of the pair."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection

from mlrek.comparison.compare import Side, compare_versions
from mlrek.evaluation import Doubt, DoubtKind, Effect, Provider
from mlrek.metrics import PredictionRule

CUT = Doubt(kind=DoubtKind.IMAGES_MISSING, text="150 of 300 images", count=150, of=300)
UNANSWERED = Doubt(kind=DoubtKind.UNANSWERED, text="2 of 4 without an answer", count=2, of=4)
NAMES = ("s3://b/0.jpg", "s3://b/1.jpg", "s3://b/2.jpg", "s3://b/3.jpg")


@pytest.fixture
def side(build_top):
    """A version of four images."""
    return build_top([0, 1, 0, 1], [0, 1, 1, 1], images=NAMES)


@pytest.fixture
def compare(compare):
    """Compare versions of Google, which chooses no thresholds on its test set."""
    return lambda *sides, **settings: compare(*map(_of_google, sides), **settings)


def _of_google(evaluation):
    project = replace(evaluation.version.project, provider=Provider.VERTEX)
    return replace(evaluation, version=replace(evaluation.version, project=project))


def _with_doubts(side, *doubts):
    return replace(side, doubts=doubts)


def _list(comparison, kind):
    return [d for d in comparison.doubts if d.kind is kind]


def test_nothing_is_doubted_without_a_reason(side, compare):
    """Two plain versions of one test set."""
    assert compare(side, side).doubts == ()


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [((CUT,), (), "baseline"), ((), (CUT,), "candidate"), ((CUT,), (CUT,), "both")],
)
def test_a_doubt_of_a_version_has_its_side(side, compare, baseline, candidate, expected):
    """An equal one of both stands there once."""
    comparison = compare(_with_doubts(side, *baseline), _with_doubts(side, *candidate))

    assert comparison.doubts == (replace(CUT, side=expected),)


def test_doubts_that_differ_in_a_count_are_two(side, compare):
    """The candidate's first."""
    fewer = replace(CUT, count=149)

    comparison = compare(_with_doubts(side, fewer), _with_doubts(side, CUT))

    assert [(d.side, d.count) for d in comparison.doubts] == [("candidate", 150), ("baseline", 149)]


@pytest.mark.parametrize(
    ("baseline", "candidate", "effect"),
    [
        ((UNANSWERED,), (), Effect.STOPS_RELATIVE),
        ((UNANSWERED,), (UNANSWERED,), Effect.STOPS_RELATIVE),
        ((), (UNANSWERED,), Effect.SAID),
    ],
)
def test_misses_of_the_baseline_stop_what_is_relative_to_it(
    side, compare, baseline, candidate, effect
):
    """A baseline that did not answer makes any candidate look better."""
    comparison = compare(_with_doubts(side, *baseline), _with_doubts(side, *candidate))

    assert [d.effect for d in comparison.doubts] == [effect]


def test_touched_labels_have_the_names_of_the_label_map(build_top, compare):
    """Both versions are compared under the new names."""
    side = build_top([0, 1], [0, 1], labels=("Katze", "a/b"))
    doubt = replace(CUT, touches=("label_recall/Katze", "label_f1/a/b", "aggregate/*", "label_*"))

    comparison = compare(_with_doubts(side, doubt), side, label_map={"Katze": "cat", "a/b": "both"})

    assert comparison.doubts[0].touches == (
        "label_recall/cat",
        "label_f1/both",
        "aggregate/*",
        "label_*",
    )


def test_images_with_another_truth_are_counted_and_left_out(build_top, compare):
    """Image 3 is right for the candidate's truth alone: it does not make the candidate better."""
    baseline = build_top([0, 1, 0, 1], [0, 1, 1, 0], images=NAMES)
    candidate = build_top([0, 1, 0, 0], [0, 1, 1, 0], images=NAMES)

    comparison = compare(baseline, candidate)

    [doubt] = comparison.doubts
    assert (doubt.kind, doubt.side, doubt.count, doubt.of) == ("truth_changed", None, 1, 4)
    assert doubt.effect is Effect.SAID
    assert "'s3://b/3.jpg'" in doubt.text
    accuracy = comparison.find("aggregate/accuracy")
    assert (accuracy.baseline, accuracy.candidate, accuracy.p) == (2 / 3, 2 / 3, 1)
    assert comparison.fixed == ()
    assert (comparison.test_sets.shared, comparison.test_sets.judged) == (4, 3)


def test_without_any_image_of_one_truth_nothing_shared_is_compared(build_top, compare):
    """Every truth was changed: what is left are both whole test sets."""
    comparison = compare(build_top([0, 0], [0, 0]), build_top([1, 1], [1, 1]))

    assert {d.scope.value for d in comparison.differences} == {"whole"}
    assert [d.kind for d in comparison.doubts] == ["truth_changed"]
    assert comparison.why["aggregate/f1_macro"].total == 0


def test_boxes_with_another_truth_are_left_out(compare):
    """A box that was moved onto the answer is no better answer."""
    box, moved = (0, 0, 10, 10), (20, 20, 30, 30)
    found = [[(0, moved, 0.9)], [(0, box, 0.9)]]
    baseline = build_detection([[(0, box)], [(0, box)]], found, images=NAMES[:2])
    candidate = build_detection([[(0, moved)], [(0, box)]], found, images=NAMES[:2])

    comparison = compare(baseline, candidate)

    right = comparison.find("aggregate/images_right")
    assert (right.baseline, right.candidate) == (1, 1)
    assert [d.count for d in _list(comparison, DoubtKind.TRUTH_CHANGED)] == [1]


def test_other_rules_are_doubted(side):
    """By top1 and by threshold, as two runs may have been logged."""
    side = _of_google(side)
    comparison = compare_versions(
        Side(evaluation=side), Side(evaluation=side, rule=PredictionRule.THRESHOLD)
    )

    [doubt] = comparison.doubts
    assert (doubt.kind, doubt.side, doubt.effect) == ("other_rule", None, "stops_relative")
    assert "top1 (baseline) and threshold (candidate)" in doubt.text
    assert doubt.touches_number("aggregate/accuracy")
    assert doubt.touches_number("label_recall", "a")
    assert not doubt.touches_number("reported/f1")


def test_the_rule_of_several_labels_is_doubted_too(build, compare):
    """The thresholds decide for one version, the flags for the other."""
    records = [[(0, 0.9, "TP"), (1, 0.2, "TN")], [(0, 0.3, "TN"), (1, 0.8, "TP")]]
    options = {"task": "multilabel", "n_labels": 2}
    by_threshold = build([[0], [1]], records, thresholds=[0.5, 0.5], **options)
    by_flag = build([[0], [1]], records, thresholds=[np.nan, np.nan], **options)

    [doubt] = compare(by_threshold, by_flag).doubts

    assert doubt.kind is DoubtKind.OTHER_RULE
    assert "threshold (baseline) and flags (candidate)" in doubt.text


@pytest.mark.parametrize("is_swapped", [False, True])
def test_a_version_judged_as_another_task_is_doubted(build, compare, is_swapped):
    """One image of four has two true labels, and is not even shared: the task is the version's."""
    records = [[(0, 0.4), (1, 0.3)]] * 4
    one = build([[0]] * 4, records, n_labels=2, images=NAMES)
    several = build(
        [[0], [0], [0], [0, 1]],
        records,
        n_labels=2,
        images=(*NAMES[:3], "s3://b/other.jpg"),
        task="multilabel",
    )
    sides = [several, one] if is_swapped else [one, several]

    [doubt] = _list(compare(*sides), DoubtKind.OTHER_RULE)

    assert (doubt.side, doubt.effect, doubt.count, doubt.of) == (None, "stops_relative", 1, 4)
    which = "candidate" if is_swapped else "baseline"
    assert doubt.text.startswith(f"the {which} gives an image one label")
    assert doubt.touches_number("aggregate/f1_macro")
    assert doubt.touches_number("label_recall", "a")
    assert not doubt.touches_number("at_threshold/f1_macro")


def test_a_rule_that_boxes_do_not_have_is_no_other_rule(compare):
    """The option is for one label an image."""
    box = (0, 0, 10, 10)
    side = _of_google(build_detection([[(0, box)]], [[(0, box, 0.9)]]))

    comparison = compare_versions(
        Side(evaluation=side), Side(evaluation=side, rule=PredictionRule.THRESHOLD)
    )

    assert _list(comparison, DoubtKind.OTHER_RULE) == []


@pytest.mark.parametrize(("read_at", "expected"), [(0.7, ["other_rule"]), (0.501, [])])
def test_published_numbers_that_were_read_at_other_thresholds(side, compare, read_at, expected):
    """The nearest point of another grid is the same threshold."""
    sides = [
        replace(side, reported=replace(side.reported, aggregate={"f1": 0.9, "threshold": at}))
        for at in (0.5, read_at)
    ]

    doubts = compare(*sides).doubts

    assert [d.kind for d in doubts] == expected
    assert all(
        d.touches_number("reported/f1") and not d.touches_number("aggregate/accuracy")
        for d in doubts
    )


def test_images_that_were_counted_once_are_still_told(side, compare):
    """How many stood in several lines, by what was doubted when they were read."""
    again = Doubt(kind=DoubtKind.IMAGES_REPEATED, text="2 images", count=2, of=4)

    assert compare(_with_doubts(side, again), side).test_sets.duplicated == 2

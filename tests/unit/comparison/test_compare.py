"""The whole comparison: mirrored, shuffled, of a version with itself, image by image by hand."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection, draw_random_scenes
from builders.masks import build_segmentation
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.comparison import Scope, Verdict
from mlrek.errors import IncomparableError, UsageError
from mlrek.evaluation import DoubtKind, Task
from mlrek.metrics import PredictionRule

NAMES = [f"s3://bucket/{i:02}.jpg" for i in range(40)]


@st.composite
def _pair(draw):
    """Two versions on up to eight images: task, and lines of (image, true, {code: score})."""
    task = draw(st.sampled_from(list(Task)[:2]))
    truth = draw(st.lists(st.integers(-1, 3), min_size=8, max_size=8))
    scores = st.dictionaries(st.integers(0, 3), st.sampled_from([0.2, 0.5, 0.8]), max_size=4)
    complete = st.fixed_dictionaries({c: st.sampled_from([0.2, 0.5, 0.8]) for c in range(4)})
    record = draw(st.sampled_from([scores, complete]))
    sides = []
    for _ in range(2):
        places = draw(st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True))
        sides.append([(f"i{p}", truth[p], draw(record)) for p in places])
    threshold = draw(st.sampled_from([np.nan, 0.5]))
    return task, threshold, sides


def _build_side(build, task, threshold, lines, labels="wxyz"):
    code = [labels.index(label) for label in "wxyz"]
    return build(
        [[code[true]] * (true >= 0) for _, true, _ in lines],
        [[(code[c], score) for c, score in record.items()] for *_, record in lines],
        images=[image for image, *_ in lines],
        labels=labels,
        task=task,
        thresholds=[threshold] * 4,
    )


def _by_key(comparison):
    return {(d.name, d.label, d.scope): d for d in comparison.differences}


def _same(found, expected):
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=40)
@given(pair=_pair())
def test_swapped_versions_mirror_everything(build, compare, pair):
    """Differences, intervals, fixed and broken, the confusion difference; p stays."""
    task, threshold, lines = pair
    sides = [_build_side(build, task, threshold, side) for side in lines]

    forth, back = (compare(*order, intervals=True) for order in (sides, sides[::-1]))

    mirrored = _by_key(back)
    assert _by_key(forth).keys() == mirrored.keys()
    for key, difference in _by_key(forth).items():
        other = mirrored[key]
        _same((difference.baseline, difference.candidate), (other.candidate, other.baseline))
        _same((difference.low, difference.high), (-other.high, -other.low))
        _same((difference.p, difference.p_adjusted), (other.p, other.p_adjusted))
    assert [c.image for c in forth.fixed] == [c.image for c in back.broken]
    assert [(c.image, c.baseline.labels, c.candidate.labels) for c in forth.changed] == [
        (c.image, c.candidate.labels, c.baseline.labels) for c in back.changed
    ]
    assert (forth.confusion is None) == (back.confusion is None)
    if forth.confusion:
        assert forth.confusion.counts.tolist() == (-back.confusion.counts).tolist()
    assert (forth.test_sets.verdict, forth.test_sets.only_baseline) == (
        back.test_sets.verdict,
        back.test_sets.only_candidate,
    )


@settings(max_examples=40)
@given(pair=_pair(), data=st.data())
def test_neither_the_order_of_lines_nor_of_labels_matters(build, compare, pair, data):
    """Each version in an order of its own; ties in one label an image go by label order."""
    task, threshold, lines = pair
    if task is Task.CLASSIFICATION:  # no ties, which the label order alone would break
        lines = [
            [(i, t, {c: score + c / 100 for c, score in record.items()}) for i, t, record in side]
            for side in lines
        ]
    sides = [_build_side(build, task, threshold, side) for side in lines]
    labels = ["".join(data.draw(st.permutations("wxyz"))) for _ in lines]
    shuffled = [
        _build_side(build, task, threshold, data.draw(st.permutations(side)), names)
        for side, names in zip(lines, labels, strict=True)
    ]

    expected, actual = compare(*sides, intervals=True), compare(*shuffled, intervals=True)

    found = _by_key(actual)
    assert found.keys() == _by_key(expected).keys()
    for key, difference in _by_key(expected).items():
        other = found[key]
        _same((other.baseline, other.candidate), (difference.baseline, difference.candidate))
        _same((other.low, other.high, other.p), (difference.low, difference.high, difference.p))
    assert actual.test_sets == replace(
        expected.test_sets,
        labels_only_baseline=actual.test_sets.labels_only_baseline,
        labels_only_candidate=actual.test_sets.labels_only_candidate,
    )
    for kind in ("fixed", "broken", "changed"):
        mine, others = getattr(actual, kind), getattr(expected, kind)
        assert [(c.image, Counter(c.truth)) for c in mine] == [
            (c.image, Counter(c.truth)) for c in others
        ]
    for name, why in expected.why.items():
        for part in ("label_set", "test_set", "relabelled", "model", "threshold", "unexplained"):
            _same(getattr(actual.why[name], part), getattr(why, part))


def _assert_nothing_moves(comparison):
    assert comparison.test_sets.verdict is Verdict.SAME
    assert (comparison.fixed, comparison.broken) == ((), ())
    for difference in comparison.differences:
        if not np.isnan(difference.baseline):
            assert difference.difference == 0
        assert np.isnan(difference.low) or difference.low <= 0 <= difference.high
        assert np.isnan(difference.p) or difference.p == 1
        assert np.isnan(difference.p_adjusted) or difference.p_adjusted == 1
    if comparison.confusion:
        assert not comparison.confusion.counts.any()


@settings(max_examples=40)
@given(pair=_pair())
def test_a_version_is_no_better_than_itself(build, compare, pair):
    """All differences are exactly 0, and no interval excludes it."""
    task, threshold, lines = pair
    side = _build_side(build, task, threshold, lines[0])

    _assert_nothing_moves(compare(side, side, intervals=True))


def test_boxes_and_areas_are_no_better_than_themselves(compare):
    """The same of detection and segmentation."""
    truth, records = draw_random_scenes(0)
    boxes = build_detection(truth, records, n_labels=3, thresholds=[0.5] * 3)
    areas = build_segmentation([{0: (4, 1, 2)}, {1: (1, 0, 0)}, {}])

    for side in (boxes, areas):
        _assert_nothing_moves(compare(side, side, intervals=True))


def test_swapped_boxes_mirror_everything(compare):
    """Differences and intervals of a detection."""
    truth, records = draw_random_scenes(1)
    others = [[(c, b, round(1.05 - s, 2)) for c, b, s in image] for image in records]
    sides = [
        build_detection(truth, found, n_labels=3, thresholds=[0.5] * 3)
        for found in (records, others)
    ]

    forth, back = (compare(*order, intervals=True) for order in (sides, sides[::-1]))

    for key, difference in _by_key(forth).items():
        other = _by_key(back)[key]
        _same(difference.difference, -other.difference)
        _same((difference.low, difference.high), (-other.high, -other.low))


def test_one_label_against_several_is_compared_as_several(build, compare, values):
    """By the thresholds, and a doubt says so."""
    one = build([[0], [1]], [[(0, 0.9), (1, 0.6)], [(1, 0.9)]], thresholds=[0.5] * 3)
    several = build([[0], [1]], [[(0, 0.9)], [(1, 0.4)]], thresholds=[0.5] * 3, task="multilabel")

    comparison = compare(one, several)

    assert comparison.task is Task.MULTILABEL
    assert values(comparison)["aggregate/subset_accuracy", ""] == (1 / 2, 1 / 2)
    assert [d.kind for d in comparison.doubts if "gives an image one label" in d.text] == [
        DoubtKind.OTHER_RULE
    ]


def test_other_tasks_cannot_be_compared(build_top, compare):
    """They answer different questions."""
    boxes = build_detection([[(0, (0, 0, 1, 1))]], [[]])

    with pytest.raises(IncomparableError, match="different questions"):
        compare(build_top([0], [0]), boxes)


def test_without_images_there_is_nothing_to_pair(build_top, compare):
    """Reported numbers alone are no test set."""
    with pytest.raises(IncomparableError, match="no record of its test images"):
        compare(build_top([0], [0]), build_top([], []))


def test_the_notebook_rule_is_refused(build_top, compare):
    """It counts images several times."""
    side = build_top([0], [0])

    with pytest.raises(UsageError, match="notebook"):
        compare(side, side, rule=PredictionRule.NOTEBOOK)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
@pytest.mark.parametrize(
    ("truth", "records"),
    [
        ([[0]], [[(0, 0.9)]]),
        ([[0]], [[]]),
        ([[]], [[]]),
        ([[]], [[(0, 0.9)]]),
        ([[], []], [[(0, 0.9)], []]),
    ],
    ids=["one image", "no prediction", "no truth", "only predicted", "two without truth"],
)
def test_next_to_nothing(build, compare, task, truth, records):
    """One label, one image, without truth or without a prediction: no crash, and no difference."""
    side = build(truth, records, n_labels=1, task=task)
    empty = build(truth, [[] for _ in truth], n_labels=1, task=task)

    _assert_nothing_moves(compare(side, side, intervals=True))
    assert compare(side, empty, intervals=True).test_sets.verdict is Verdict.SAME
    assert compare(empty, side, intervals=True, group_by="0").test_sets.shared == len(truth)


def test_boxes_and_areas_of_next_to_nothing(compare):
    """No box and no mask at all."""
    for side in (
        build_detection([[]], [[]]),
        build_detection([[(0, (0, 0, 9, 9))]], [[]]),
        build_segmentation([{}]),
        build_segmentation([{0: (1, 0, 0)}], readable=[False]),
    ):
        _assert_nothing_moves(compare(side, side, intervals=True))


def test_a_label_that_stands_in_records_alone(build, compare, values):
    """It is predicted, never true: 0 for both versions in averages over labels."""
    records = [[(0, 0.9)], [(1, 0.9)], [(2, 0.9)]]
    baseline = build([[0], [1], [1]], records)

    assert values(compare(baseline, baseline))["aggregate/f1_macro", ""] == pytest.approx(
        ((1 + 2 / 3) / 3,) * 2
    )


def test_shared_and_whole_are_the_same_of_the_same_test_set(build_scores, compare, draw_pair):
    """Also their tests and intervals."""
    truth, *scores = draw_pair(0)

    comparison = compare(*(build_scores(truth, one) for one in scores), intervals=True)

    by_key = _by_key(comparison)
    for (name, label, scope), difference in by_key.items():
        if scope is Scope.SHARED:
            whole = by_key[name, label, Scope.WHOLE]
            _same((whole.low, whole.high, whole.p), (difference.low, difference.high, difference.p))

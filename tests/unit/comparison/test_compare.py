"""The whole comparison: mirrored, shuffled, of a version with itself, image by image by hand."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection, draw_random_scenes
from builders.masks import build_segmentation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import confusion_matrix

from mlrek.comparison import Answer, ImageChange, Scope, Verdict
from mlrek.comparison.compare import Side, compare_versions
from mlrek.errors import IncomparableError, UsageError
from mlrek.evaluation import Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.paired_tests import PairedCounts
from mlrek.metrics.power import images_to_decide_shares, smallest_decidable_share

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

    forth, back = (compare(*order, resamples=25) for order in (sides, sides[::-1]))

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

    expected, actual = compare(*sides, resamples=25), compare(*shuffled, resamples=25)

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

    _assert_nothing_moves(compare(side, side, resamples=25))


def test_boxes_and_areas_are_no_better_than_themselves(compare):
    """The same of detection and segmentation."""
    truth, records = draw_random_scenes(0)
    boxes = build_detection(truth, records, n_labels=3, thresholds=[0.5] * 3)
    areas = build_segmentation([{0: (4, 1, 2)}, {1: (1, 0, 0)}, {}])

    for side in (boxes, areas):
        _assert_nothing_moves(compare(side, side, resamples=25))


def test_swapped_boxes_mirror_everything(compare):
    """Differences and intervals of a detection."""
    truth, records = draw_random_scenes(1)
    others = [[(c, b, round(1.05 - s, 2)) for c, b, s in image] for image in records]
    sides = [
        build_detection(truth, found, n_labels=3, thresholds=[0.5] * 3)
        for found in (records, others)
    ]

    forth, back = (compare(*order, resamples=25) for order in (sides, sides[::-1]))

    for key, difference in _by_key(forth).items():
        other = _by_key(back)[key]
        _same(difference.difference, -other.difference)
        _same((difference.low, difference.high), (-other.high, -other.low))


def test_images_that_changed_by_hand(build, compare):
    """Fixed, broken, and wrong in another way, each with what both said, and how surely."""
    truth = [[0], [0], [1], [1], [2]]
    baseline = build(truth, [[(1, 0.6)], [(0, 0.7)], [(0, 0.8)], [(1, 0.9)], []], images="edcba")
    candidate = build(
        truth, [[(0, 0.5)], [(1, 0.4)], [(2, 0.3)], [(1, 0.2)], [(0, 0.1)]], images="edcba"
    )

    comparison = compare(baseline, candidate)

    def change(image, true, before, after):
        answers = [Answer(labels=labels, confidence=c) for labels, c in (before, after)]
        return ImageChange(image=image, truth=(true,), baseline=answers[0], candidate=answers[1])

    assert comparison.fixed == (change("e", "a", (("b",), 0.6), (("a",), 0.5)),)
    assert comparison.broken == (change("d", "a", (("a",), 0.7), (("b",), 0.4)),)
    empty, other = comparison.changed
    assert other == change("c", "b", (("a",), 0.8), (("c",), 0.3))
    assert (empty.image, empty.truth, empty.baseline.labels) == ("a", ("c",), ())
    assert np.isnan(empty.baseline.confidence)
    assert empty.candidate == Answer(labels=("a",), confidence=0.1)


def test_images_of_several_labels_that_changed_by_hand(build, compare):
    """An image is right when all its labels are; its confidence is that of the least sure one."""
    options = {"task": Task.MULTILABEL, "thresholds": [0.5] * 3}
    baseline = build([[0, 1], [2]], [[(0, 0.9), (1, 0.4)], [(2, 0.6)]], **options)
    candidate = build([[0, 1], [2]], [[(0, 0.9), (1, 0.7)], [(1, 0.8), (2, 0.6)]], **options)

    comparison = compare(baseline, candidate)

    (fixed,), (broken,) = comparison.fixed, comparison.broken
    assert (fixed.image, fixed.truth, fixed.baseline.labels) == ("0", ("a", "b"), ("a",))
    assert fixed.candidate == Answer(labels=("a", "b"), confidence=0.7)
    assert (broken.image, broken.candidate.labels) == ("1", ("b", "c"))


@pytest.mark.parametrize("seed", range(3))
def test_confusion_difference_is_scikit_learns(build_top, compare, seed):
    """Two of its matrices; images without a prediction in a column of our own."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(3, size=40)
    predicted = rng.integers(-1, 3, size=(2, 40))

    confusion = compare(*(build_top(y_true, y_pred) for y_pred in predicted)).confusion

    codes = [0, 1, 2, -1]
    before, after = (confusion_matrix(y_true, y_pred, labels=codes) for y_pred in predicted)
    assert confusion.labels == ("a", "b", "c", "(none)")
    assert confusion.n_own == 1
    assert confusion.counts.tolist() == (after - before).tolist()


def test_confusion_difference_of_other_label_lists(build_top, compare):
    """Rows are the labels of both; the last one is of the candidate alone."""
    baseline = build_top([0, 1, 1], [0, 1, 0], labels=("x", "y"))
    candidate = build_top([1, 0, 0], [1, 0, 2], labels=("y", "x", "z"))

    confusion = compare(baseline, candidate).confusion

    assert confusion.labels == ("x", "y", "z")
    assert confusion.counts.tolist() == [[0, 0, 0], [-1, 0, 1], [0, 0, 0]]


def test_an_undecided_difference_says_how_many_images_would_settle_it(build_top, compare):
    """By the power of what was counted: 20 right for both, 3 and 5 for one, 2 for neither."""
    right = [(1, 1)] * 20 + [(1, 0)] * 3 + [(0, 1)] * 5 + [(0, 0)] * 2
    predicted = [[0 if side[i] else 1 for side in right] for i in range(2)]
    counts = PairedCounts(both=20, only_baseline=3, only_candidate=5, neither=2)

    settling = compare(*(build_top([0] * 30, y_pred) for y_pred in predicted)).settling

    assert settling.images_needed == images_to_decide_shares(counts)
    assert settling.smallest_difference == smallest_decidable_share(counts)


def test_a_decided_difference_needs_no_more_images(build_top, compare):
    """Thirty images that the candidate alone has right."""
    comparison = compare(build_top([0] * 30, [1] * 30), build_top([0] * 30, [0] * 30))

    assert comparison.settling is None
    assert comparison.find("aggregate/accuracy").low > 0


def test_groups_take_the_spread_of_resamples_for_what_would_settle_it(build_top, compare):
    """Not a formula of independent images, and no p: 1.96 + 0.84 standard errors."""
    rng = np.random.default_rng(0)
    right = rng.random((2, 40)) < 0.8
    names = [f"{i % 20:02}-{i}" for i in range(40)]
    sides = [build_top([0] * 40, 1 - one.astype(int), images=names) for one in right]

    comparison = compare(*sides, resamples=50, group_by="^[0-9]+")

    gain = right[1].astype(int) - right[0]
    by_object = gain[:20] + gain[20:]
    rng = np.random.default_rng(0)
    spread = np.std([by_object[rng.integers(20, size=20)].mean() / 2 for _ in range(50)], ddof=1)
    reach = norm.ppf(0.975) + norm.ppf(0.8)
    assert comparison.settling.smallest_difference == pytest.approx(reach * spread)
    assert comparison.settling.images_needed == np.ceil(40 * (reach * spread / gain.mean()) ** 2)
    assert np.isnan(comparison.find("aggregate/accuracy").p)


def test_one_label_against_several_is_compared_as_several(build, compare, values):
    """By the thresholds, and a warning says so."""
    one = build([[0], [1]], [[(0, 0.9), (1, 0.6)], [(1, 0.9)]], thresholds=[0.5] * 3)
    several = build([[0], [1]], [[(0, 0.9)], [(1, 0.4)]], thresholds=[0.5] * 3, task="multilabel")

    comparison = compare(one, several)

    assert comparison.task is Task.MULTILABEL
    assert values(comparison)["aggregate/subset_accuracy", ""] == (1 / 2, 1 / 2)
    assert any(w.startswith("one version gives an image one label") for w in comparison.warnings)


def test_other_tasks_cannot_be_compared(build_top, compare):
    """They answer different questions."""
    boxes = build_detection([[(0, (0, 0, 1, 1))]], [[]])

    with pytest.raises(IncomparableError, match="different questions"):
        compare(build_top([0], [0]), boxes)


def test_without_images_there_is_nothing_to_pair(build_top, compare):
    """Reported numbers alone are no exam."""
    with pytest.raises(IncomparableError, match="no record of its test images"):
        compare(build_top([0], [0]), build_top([], []))


def test_the_notebook_rule_is_refused(build_top, compare):
    """It counts images several times."""
    side = build_top([0], [0])

    with pytest.raises(UsageError, match="notebook"):
        compare(side, side, rule=PredictionRule.NOTEBOOK)


def test_different_rules_are_told(build_top):
    """The numbers of both are of different questions."""
    side = build_top([0, 1], [0, 1])

    comparison = compare_versions(
        Side(evaluation=side), Side(evaluation=side, rule=PredictionRule.THRESHOLD)
    )

    assert any("judged by different rules: top1 and threshold" in w for w in comparison.warnings)


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

    _assert_nothing_moves(compare(side, side, resamples=9))
    assert compare(side, empty, resamples=9).test_sets.verdict is Verdict.SAME
    assert compare(empty, side, resamples=9, group_by="0").test_sets.shared == len(truth)


def test_boxes_and_areas_of_next_to_nothing(compare):
    """No box and no mask at all."""
    for side in (
        build_detection([[]], [[]]),
        build_detection([[(0, (0, 0, 9, 9))]], [[]]),
        build_segmentation([{}]),
        build_segmentation([{0: (1, 0, 0)}], readable=[False]),
    ):
        _assert_nothing_moves(compare(side, side, resamples=9))


def test_a_label_that_stands_in_records_alone(build, compare, values):
    """It is predicted, never true: 0 for both versions in averages over labels."""
    records = [[(0, 0.9)], [(1, 0.9)], [(2, 0.9)]]
    baseline = build([[0], [1], [1]], records)

    assert values(compare(baseline, baseline))["aggregate/f1_macro", ""] == pytest.approx(
        ((1 + 2 / 3) / 3,) * 2
    )


def test_shared_and_whole_are_the_same_of_the_same_exam(build_scores, compare, draw_pair):
    """Also their tests and intervals."""
    truth, *scores = draw_pair(0)

    comparison = compare(*(build_scores(truth, one) for one in scores), resamples=25)

    by_key = _by_key(comparison)
    for (name, label, scope), difference in by_key.items():
        if scope is Scope.SHARED:
            whole = by_key[name, label, Scope.WHOLE]
            _same((whole.low, whole.high, whole.p), (difference.low, difference.high, difference.p))

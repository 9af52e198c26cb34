"""COCO's averages: equal to pycocotools, on the test set and on images that are really doubled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.detection.ap import average_labels, rank_boxes
from mlrek.metrics.detection.matching import MAX_AREA, arrange_boxes

ALL_RECORDED = (2.0,) * 3  # thresholds that nothing reaches: complete records

_PLACES = st.integers(0, 12)
_BOXES = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), _PLACES, _PLACES, _PLACES, _PLACES)
_LABELS = st.integers(0, 2)
_SCORES = st.sampled_from([0.1, 0.3, 0.5, 0.8, 0.9])
_SCALES = st.sampled_from([1, 7, 30])  # boxes of all three sizes


@st.composite
def _scenes(draw):
    """True boxes and records of some images, with ties, doubled and empty boxes."""
    n, scale = draw(st.integers(1, 5)), draw(_SCALES)
    truth = [draw(st.lists(st.tuples(_LABELS, _BOXES), max_size=6)) for _ in range(n)]
    known = [box for image in truth for _, box in image]
    boxes = st.one_of(_BOXES, st.sampled_from(known)) if known else _BOXES
    records = [draw(st.lists(st.tuples(_LABELS, boxes, _SCORES), max_size=8)) for _ in range(n)]
    return _scale(truth, scale), _scale(records, scale)


def _scale(images, scale):
    return [
        [(code, tuple(side * scale for side in box), *rest) for code, box, *rest in image]
        for image in images
    ]


def _compute(evaluation):
    metrics = compute_metrics(evaluation, intervals=False)
    return {name: number.value for name, number in metrics.aggregate.items()}, metrics.per_label.ap


def _assert_equal(evaluation, expected):
    numbers, ap = _compute(evaluation)
    assert numbers == pytest.approx(expected[0], abs=1e-9, nan_ok=True)
    assert ap.tolist() == pytest.approx(expected[1], abs=1e-9, nan_ok=True)


@given(_scenes())
def test_averages_are_pycocotools(build, run_coco, scenes):
    """All aggregates and each label's average precision, to 1e-9."""
    _assert_equal(build(*scenes, n_labels=3, thresholds=ALL_RECORDED), run_coco(*scenes, 3))


@pytest.mark.parametrize("seed", range(3))
def test_crowded_images_are_pycocotools(build, run_coco, draw_scenes, seed):
    """Of more than 100 detections of an image and label, only the first 100 count."""
    scenes = draw_scenes(seed, n_images=2, n_labels=1, n_true=300, n_found=700)
    assert min(map(len, scenes[1])) > 250

    _assert_equal(build(*scenes, n_labels=1, thresholds=(2.0,)), run_coco(*scenes, 1))


@pytest.mark.parametrize("grid", [20, 120, 600])
def test_sizes_of_boxes_are_pycocotools(build, run_coco, draw_scenes, grid):
    """Boxes of other sizes are left out, and what finds them too."""
    scenes = draw_scenes(0, grid=grid, n_true=200, n_found=400)

    _assert_equal(build(*scenes, n_labels=3, thresholds=ALL_RECORDED), run_coco(*scenes, 3))


def test_boxes_beyond_the_greatest_size_are_pycocotools(build, run_coco):
    """A box of more than 100,000 x 100,000 pixels, or turned inside out, counts nowhere."""
    truth = [[(0, (0, 0, 2e5, 2e5)), (0, (0, 0, 50, 50)), (0, (40, 0, 10, 30))]]
    records = [[(0, (0, 0, 2e5, 2e5), 0.9), (0, (0, 0, 50, 50), 0.8), (0, (9, 0, 3, 30), 0.7)]]

    _assert_equal(build(truth, records, thresholds=(2.0, 2.0)), run_coco(truth, records))


def test_average_precision_by_hand(build):
    """A hit, a miss, a hit: precision 1 up to recall 0.5, then 2/3 to recall 1."""
    truth = [[(0, (0, 0, 10, 10)), (0, (100, 0, 110, 10))]]
    records = [
        [
            (0, (0, 0, 10, 10), 0.9),
            (0, (50, 50, 60, 60), 0.8),
            (0, (100, 0, 110, 10), 0.7),
        ]
    ]

    numbers, ap = _compute(build(truth, records, thresholds=(2.0, 2.0)))

    assert numbers["ap_50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert [ap[0], numbers["ap"]] == pytest.approx(
        [numbers["ap_50"]] * 2
    )  # overlaps of 1 pass every threshold


def test_average_precision_falls_with_the_threshold_by_hand(build):
    """A box that overlaps by 0.6 is a hit at 0.50, 0.55 and 0.60: 3 of 10 thresholds."""
    truth = [[(0, (0, 0, 10, 10))]]
    records = [[(0, (0, 0, 10, 6), 0.9)]]

    numbers, _ = _compute(build(truth, records, thresholds=(2.0, 2.0)))

    assert numbers["ap"] == pytest.approx(0.3)
    assert numbers["ar_100"] == pytest.approx(0.3)
    assert (numbers["ap_50"], numbers["ap_75"]) == (1, 0)


def test_perfect_detections_have_exactly_one(build):
    """No rounding is left of pycocotools' guard against dividing by zero."""
    truth = [[(0, (0, 0, 10, 10))], [(1, (0, 0, 10, 10))]]
    records = [[(*row, 0.9) for row in image] for image in truth]

    numbers, ap = _compute(build(truth, records, thresholds=(0.5, 0.5)))

    assert numbers["ap"] == numbers["ap_50"] == numbers["ar_100"] == 1.0
    assert ap.tolist() == [1.0, 1.0]


def test_a_label_without_truth_is_in_no_mean(build):
    """Its average precision is undefined, and its detections lower nothing."""
    truth = [[(0, (0, 0, 10, 10))]]
    records = [[(0, (0, 0, 10, 10), 0.9), (1, (0, 0, 10, 10), 0.9)]]

    numbers, ap = _compute(build(truth, records, thresholds=(2.0, 2.0)))

    assert numbers["ap"] == 1.0
    assert ap[0] == 1.0
    assert np.isnan(ap[1])


def test_without_detections_average_precision_is_zero(build):
    """True boxes that nothing finds are a certain failure."""
    numbers, ap = _compute(build([[(0, (0, 0, 10, 10))], []], [[], []]))

    assert (numbers["ap"], numbers["ar_100"], numbers["ap_small"]) == (0, 0, 0)
    assert ap[0] == 0


def test_without_true_boxes_averages_are_undefined_with_a_reason(build):
    """There is nothing to find."""
    metrics = compute_metrics(build([[], []], [[(0, (0, 0, 1, 1), 0.9)], []]), intervals=False)

    assert np.isnan([number.value for number in metrics.aggregate.values()]).all()
    assert metrics.aggregate["ap"].reason == "no image has a true box"
    assert metrics.aggregate["ap_small"].reason == "no true box has at most 32² pixels"


def test_without_labels_everything_is_undefined(build):
    """A test set of empty images, no label known."""
    metrics = compute_metrics(build([[], []], [[], []], n_labels=0), intervals=False)

    assert np.isnan([number.value for number in metrics.aggregate.values()]).all()
    assert metrics.confusion.counts.tolist() == [[0]]


def test_shares_of_known_images_are_pixels(build, run_coco, draw_scenes):
    """Boxes as shares of width and height, with both known, give the numbers of their pixels."""
    truth, records = draw_scenes(1)
    sizes = np.tile([[640.0, 480.0]], (len(truth), 1))
    expected = run_coco(truth, records, 3)
    shares = [
        [
            [
                (code, tuple(np.divide(box, (640, 480, 640, 480))), *rest)
                for code, box, *rest in image
            ]
            for image in images
        ]
        for images in (truth, records)
    ]

    evaluation = build(*shares, n_labels=3, thresholds=ALL_RECORDED, sizes=sizes, normalized=True)

    _assert_equal(evaluation, expected)


def test_sizes_of_unknown_images_are_undefined(build):
    """Shares of an unknown width say nothing of pixels; all else stays."""
    truth = [[(0, (0.0, 0.0, 0.5, 0.5))], []]
    records = [[(0, (0.0, 0.0, 0.5, 0.5), 0.9)], []]

    metrics = compute_metrics(
        build(truth, records, thresholds=(2.0, 2.0), normalized=True), intervals=False
    )

    assert metrics.aggregate["ap"].value == 1.0
    assert np.isnan(metrics.aggregate["ap_large"].value)
    assert metrics.aggregate["ap_large"].reason == "the sizes of images are unknown"
    assert any(
        warning.startswith("the width and height of 1 images") for warning in metrics.warnings
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_labels", [1, 3])
def test_a_resample_is_pycocotools_on_doubled_images(build, run_coco, draw_scenes, seed, n_labels):
    """Weights of a resample give what pycocotools gives of images copied as often as drawn."""
    truth, records = draw_scenes(seed, n_images=8, n_labels=n_labels, n_true=40, n_found=90)
    records = _without_ties(records)
    drawn = np.sort(np.random.default_rng(seed).integers(8, size=8))
    weights = np.bincount(drawn, minlength=8).astype(np.float32)
    evaluation = build(truth, records, n_labels=n_labels)
    everything = np.ones(len(evaluation.detections.records.confidence), dtype=bool)
    scenes = arrange_boxes(evaluation.detections, everything, n_labels, 0.5)

    values = average_labels(
        rank_boxes(scenes, np.arange(8), (0.0, MAX_AREA)), np.stack([weights, np.ones(8)], axis=1)
    )

    doubled = [truth[i] for i in drawn], [records[i] for i in drawn]
    for column, images in enumerate((doubled, (truth, records))):
        expected, _ = run_coco(*images, n_labels)
        for name in ("ap", "ap_50", "ap_75", "ar_100"):
            assert values[name][column] == pytest.approx(expected[name], abs=1e-9, nan_ok=True)


def test_averages_have_intervals_around_them(build, draw_scenes):
    """Every aggregate that is defined has one."""
    truth, records = draw_scenes(0, n_images=40, n_true=400, n_found=900, grid=240)

    metrics = compute_metrics(build(truth, records, n_labels=3, thresholds=ALL_RECORDED))

    assert list(metrics.aggregate) == [
        "ap", "ap_50", "ap_75", "ar_100", "ap_small", "ap_medium", "ap_large"
    ]  # fmt: skip
    for number in metrics.aggregate.values():
        assert 0 <= number.low < number.high <= 1


def test_lower_confidence_narrows_every_interval(build, draw_scenes, list_intervals):
    """Those of the averages, and those of the labels at the threshold and by our own matching."""
    truth, records = draw_scenes(0, n_images=40, n_true=400, n_found=900, grid=240)
    evaluation = build(truth, records, n_labels=3, thresholds=[0.3] * 3)
    usual, narrow = (list_intervals(compute_metrics(evaluation, confidence=c)) for c in (0.95, 0.9))

    defined = [name for name, ends in usual.items() if not np.isnan(ends).any()]
    assert {"ap", "ap_50", "ar_100"} <= set(defined)
    assert len(defined) > 7 + 2 * 2 * 3
    for name in defined:
        (low, high), (inner_low, inner_high) = usual[name], narrow[name]
        assert low <= inner_low < inner_high <= high, name
        assert inner_high - inner_low < high - low, name


def test_a_wholly_wrong_score_has_wilsons_bound(build):
    """Of one image nothing is found: at most so much of it may be found otherwise."""
    truth = [[(0, (0, 0, 10, 10))]]
    metrics = compute_metrics(build(truth, [[]]))

    number = metrics.aggregate["ap"]
    assert (number.value, number.low) == (0, 0)
    assert number.high == pytest.approx(proportion_confint(0, 1, method="wilson")[1])


def test_numbers_do_not_depend_on_the_order_of_images(build, draw_scenes):
    """Neither values nor intervals, as long as no two scores tie."""
    truth, records = draw_scenes(3, n_images=12)
    records = _without_ties(records)
    images = [f"s3://bucket/{i}.jpg" for i in range(12)]
    order = np.random.default_rng(0).permutation(12)

    forward = build(truth, records, n_labels=3, images=images)
    shuffled = build(
        [truth[i] for i in order],
        [records[i] for i in order],
        n_labels=3,
        images=[images[i] for i in order],
    )

    one, other = (compute_metrics(e) for e in (forward, shuffled))
    for name, number in one.aggregate.items():
        assert (number.value, number.low, number.high) == pytest.approx(
            (other.aggregate[name].value, other.aggregate[name].low, other.aggregate[name].high),
            nan_ok=True,
        )
    assert one.confusion.counts.tolist() == other.confusion.counts.tolist()
    assert one.errors == other.errors


def _without_ties(records):
    """The same records with every score different."""
    numbers = iter(range(1, 10_000))
    return [
        [(code, box, score * 0.9 + next(numbers) * 1e-5) for code, box, score in image]
        for image in records
    ]

"""Averages over areas, by hand, by plain loops, and on images that are really doubled."""

import numpy as np
import pytest
from builders.masks import build_segmentation
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit

from mlrek.errors import EvaluationError
from mlrek.evaluation import Reported, Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.segmentation import sum_areas

AGGREGATE_NAMES = ("mean_iou", "mean_dice", "pixel_precision", "pixel_recall", "pixel_f1")

_COUNT = st.integers(0, 5)
_AREA = st.tuples(_COUNT, _COUNT, _COUNT).filter(any)
_IMAGE = st.dictionaries(st.integers(0, 2), _AREA, max_size=3)


@pytest.fixture(scope="module")
def build_masks():
    """Make an evaluation of lists: per image `{label code: (tp, fp, fn)}`."""
    return build_segmentation


def _loop(images):
    """The definitions, one image and label at a time."""
    labels = sorted({code for image in images for code in image})
    iou, dice, all_images, pooled = [], [], [], []
    for code in labels:
        areas = [image.get(code, (0, 0, 0)) for image in images]
        here = [(tp, fp, fn) for tp, fp, fn in areas if tp + fp + fn]
        overlaps = [tp / (tp + fp + fn) for tp, fp, fn in here]
        iou.append(np.mean(overlaps))
        dice.append(np.mean([2 * tp / (2 * tp + fp + fn) for tp, fp, fn in here]))
        all_images.append(np.mean(overlaps + [1] * (len(areas) - len(here))))
        tp, fp, fn = np.sum(here, axis=0)
        pooled.append(tp / (tp + fp + fn))
    tp, fp, fn = np.sum([area for image in images for area in image.values()] or [[0] * 3], axis=0)
    return {
        "mean_iou": np.mean(iou) if iou else np.nan,
        "mean_dice": np.mean(dice) if dice else np.nan,
        "pixel_precision": tp / (tp + fp) if tp + fp else np.nan,
        "pixel_recall": tp / (tp + fn) if tp + fn else np.nan,
        "pixel_f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else np.nan,
        "mean_iou_pooled": np.mean(pooled) if pooled else np.nan,
        "mean_iou_all_images": np.mean(all_images) if all_images else np.nan,
    }


def _values(metrics):
    return {name: number.value for name, number in (metrics.aggregate | metrics.extra).items()}


@given(images=st.lists(_IMAGE, min_size=1, max_size=5))
def test_averages_are_those_of_the_plain_loop(build_masks, images):
    """Every aggregate, and both other means of IoU."""
    metrics = compute_metrics(build_masks(images), intervals=False)

    assert tuple(metrics.aggregate) == AGGREGATE_NAMES
    assert _values(metrics) == pytest.approx(_loop(images), abs=1e-12, nan_ok=True)


def test_three_meanings_of_average_iou_by_hand(build_masks):
    """One label: 1 of 2 pixels on one image, 9 of 10 on another, and a third image without."""
    metrics = compute_metrics(
        build_masks([{0: (1, 1, 0)}, {0: (9, 0, 1)}, {}], n_labels=1), intervals=False
    )

    assert _values(metrics) == pytest.approx(
        {
            "mean_iou": (1 / 2 + 9 / 10) / 2,
            "mean_dice": (2 / 3 + 18 / 19) / 2,
            "pixel_precision": 10 / 11,
            "pixel_recall": 10 / 11,
            "pixel_f1": 20 / 22,
            "mean_iou_pooled": 10 / 12,
            "mean_iou_all_images": (1 / 2 + 9 / 10 + 1) / 3,
        }
    )


@given(images=st.lists(_IMAGE, min_size=2, max_size=5), data=st.data())
def test_a_resample_is_the_plain_loop_on_doubled_images(build_masks, images, data):
    """Weights of a resample give what the images give, copied as often as drawn."""
    places = st.integers(0, len(images) - 1)
    drawn = data.draw(st.lists(places, min_size=len(images), max_size=len(images)))
    weights = np.bincount(drawn, minlength=len(images)).astype(np.float32)[:, np.newaxis]
    areas = sum_areas(build_masks(images).masks, np.arange(len(images)), 3)

    values = {name: value[0] for name, value in areas.compute_averages(weights).items()}

    expected = _loop([images[i] for i in drawn])
    assert values == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_labels_have_their_own_scores(build_masks):
    """Pixels are counted, and IoU and Dice averaged over the images that have the label."""
    scores = compute_metrics(
        build_masks([{0: (4, 1, 0), 1: (0, 2, 0)}, {0: (1, 0, 3)}]), intervals=False
    ).per_label

    assert scores.support.tolist() == [8, 0, 0]
    assert (scores.tp.tolist(), scores.fp.tolist(), scores.fn.tolist()) == (
        [5, 0, 0], [1, 2, 0], [3, 0, 0]
    )  # fmt: skip
    assert scores.precision.tolist() == pytest.approx([5 / 6, 0, np.nan], nan_ok=True)
    assert scores.recall.tolist() == pytest.approx([5 / 8, np.nan, np.nan], nan_ok=True)
    assert scores.iou.tolist() == pytest.approx([(4 / 5 + 1 / 4) / 2, 0, np.nan], nan_ok=True)
    assert scores.dice.tolist() == pytest.approx([(8 / 9 + 2 / 5) / 2, 0, np.nan], nan_ok=True)


def test_intervals_are_of_images_not_of_pixels(build_masks):
    """A million pixels of two images are two observations, too few for an interval."""
    metrics = compute_metrics(
        build_masks([{0: (900_000, 100_000, 0)}, {0: (100_000, 900_000, 0)}], n_labels=1)
    )

    assert np.isnan(metrics.aggregate["mean_iou"].low)
    assert metrics.aggregate["mean_iou"].reason == "no interval: of 2 images, and 8 are needed"
    assert np.isnan(metrics.per_label.precision_low[0])


def test_images_that_cannot_be_read_are_left_out_and_counted(build_masks):
    """Neither as right nor as wrong."""
    images = [{0: (1, 1, 0)}, {0: (0, 9, 9)}, {0: (1, 0, 0)}]
    metrics = compute_metrics(build_masks(images, readable=[True, False, True]), intervals=False)

    assert metrics.aggregate["mean_iou"].value == 0.75
    assert metrics.test_images == 3
    assert metrics.warnings == (
        "1 of 3 test images have not both masks, and are no part of the pixel numbers",
    )
    assert metrics.predictions.image_idx.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("images", "readable", "reason"),
    [
        ([{}, {}], None, "no label is true or predicted on any image"),
        ([{0: (1, 0, 0)}], [False], "no image has two masks that could be read"),
    ],
)
def test_what_cannot_be_computed_is_undefined_with_a_reason(build_masks, images, readable, reason):
    """Normal images alone, or no mask at all."""
    metrics = compute_metrics(build_masks(images, readable=readable))

    assert np.isnan(list(_values(metrics).values())).all()
    assert metrics.aggregate["mean_iou"].reason == reason
    assert np.isnan(metrics.per_label.iou).all()


def test_undefined_scores_of_pixels_say_why(build_masks):
    """Nothing predicted: recall is 0, precision undefined."""
    metrics = compute_metrics(build_masks([{0: (0, 0, 7)}]), intervals=False)

    assert metrics.aggregate["pixel_recall"].value == 0
    assert np.isnan(metrics.aggregate["pixel_precision"].value)
    assert metrics.aggregate["pixel_precision"].reason == "no pixel is predicted as any label"


def test_without_labels_everything_is_undefined(build_masks):
    """A test set of normal images, no label known."""
    metrics = compute_metrics(build_masks([{}], n_labels=0), intervals=False)

    assert np.isnan(list(_values(metrics).values())).all()
    assert metrics.per_label.support.tolist() == []


def test_rows_tell_which_image_has_which_label(build_masks):
    """In both masks, only predicted, or only true; by image, then label."""
    rows = compute_metrics(
        build_masks([{1: (0, 3, 0), 0: (2, 1, 0)}, {2: (0, 0, 4)}]), intervals=False
    ).predictions

    assert rows.image_idx.tolist() == [0, 0, 1]
    assert rows.y_true.tolist() == [0, -1, 2]
    assert rows.y_pred.tolist() == [0, 1, -1]
    assert rows.outcome == ("TP", "FP", "FN")


def test_reported_numbers_stand_beside_ours(build_masks):
    """The provider does not say how it averages, so none but the number of images is compared."""
    reported = Reported(
        aggregate={"f1": 0.9},
        per_label={"a": {"precision": 0.5, "aiou": 0.4}, "gone": {"aiou": 0.1}},
        test_images=2,
        train_images=30,
    )
    metrics = compute_metrics(build_masks([{0: (1, 1, 0)}, {}], reported=reported), intervals=False)

    rows = {row.name: (row.reported, row.computed, row.agrees) for row in metrics.reconciliation}
    assert rows["test_images"] == (2, 2, True)
    assert rows["precision/a"] == (0.5, 0.5, None)
    assert rows["aiou/a"] == (0.4, 0.5, None)
    assert np.isnan([rows[name][1] for name in ("train_images", "f1", "aiou/gone")]).all()


def test_numbers_do_not_depend_on_the_order_of_images(build_masks):
    """Neither values nor intervals."""
    rng = np.random.default_rng(0)
    images = [
        {int(code): tuple(rng.integers(0, 99, 3)) for code in rng.integers(0, 3, 2)}
        for _ in range(9)
    ]
    names = [f"s3://bucket/{i}.png" for i in range(9)]
    order = rng.permutation(9)
    readable = rng.random(9) < 0.7

    one = build_masks(images, images=names, readable=readable)
    other = build_masks(
        [images[i] for i in order], images=[names[i] for i in order], readable=readable[order]
    )

    expected, actual = (compute_metrics(e) for e in (one, other))
    for name, number in expected.aggregate.items():
        shuffled = actual.aggregate[name]
        assert (number.value, number.low, number.high) == pytest.approx(
            (shuffled.value, shuffled.low, shuffled.high), nan_ok=True
        )


def test_a_segmentation_without_masks_is_refused(build):
    """Nothing else in an evaluation can stand in for them."""
    with pytest.raises(EvaluationError, match="without counts of pixels"):
        compute_metrics(build([[]], [[]], task=Task.SEGMENTATION), intervals=False)


def test_iou_of_a_label_is_jackknifed_over_images(build_masks):
    """Twelve images of IoU 0.1, 0.2 … by hand: a mean has no bias, so logit(mean) ± t error."""
    iou = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 8, 7]) / 10
    areas = [{0: (round(10 * x), 10 - round(10 * x), 0)} for x in iou]
    mean, moves = iou.mean(), iou - iou.mean()
    degrees = min(2 * 12 / (stats.kurtosis(moves, fisher=False) - 1), 11)
    reach = stats.sem(iou) / (mean * (1 - mean))
    few, many = stats.t.ppf(0.975, [degrees, 11])

    scores = compute_metrics(build_masks(areas, n_labels=1)).per_label

    expected = expit(logit(mean) + np.array([-many, few]) * reach)
    assert (scores.iou_low[0], scores.iou_high[0]) == pytest.approx(tuple(expected), abs=1e-6)

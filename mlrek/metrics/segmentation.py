"""All numbers of a model that marks areas. The background is no label."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from math import nan
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlrek.errors import EvaluationError
from mlrek.evaluation import Evaluation, FloatArray, IntArray, MaskCounts, MaskPixel, Task
from mlrek.metrics import LabelScores, Metrics, Number, Predictions, Reconciled
from mlrek.metrics.counts import FRACTIONS, LabelCounts, divide, order_images
from mlrek.metrics.estimates import estimate_statistic
from mlrek.metrics.intervals import Weights
from mlrek.metrics.left_out import Sampling, Units, score_labels
from mlrek.metrics.reported import put_side_by_side

PIXEL_SCORES: Final = ("precision", "recall", "f1")
AGGREGATE_NAMES: Final = ("mean_iou", "mean_dice", *(f"pixel_{score}" for score in PIXEL_SCORES))
_LABEL_SCORES: Final = ("precision", "recall", "f1", "iou", "dice")
MIN_OF_LABEL: Final = 5
"""Images that have a label in truth or prediction, of which its intervals need so many."""
EXTRA_NAMES: Final = ("mean_iou_pooled", "mean_iou_all_images")
NOTHING_REASON: Final = "no label is true or predicted on any image"
UNREADABLE_REASON: Final = "no image has two masks that could be read"
_UNDEFINED: Final = dict.fromkeys((*AGGREGATE_NAMES, *EXTRA_NAMES), NOTHING_REASON) | {
    "pixel_precision": "no pixel is predicted as any label",
    "pixel_recall": "no pixel has a true label",
}
_PARTS: Final = ("tp", "predicted", "support", "iou", "dice", "images")
_PIXEL_RULE: Final = "pixels of the label in all masks; the provider does not say how it averages"
_IOU_RULE: Final = (
    "mean over the images where truth or prediction has the label; the provider does not say how "
    "it averages"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSums:
    """What images add up to for each label, (n_labels, n) each.

    `tp`, `predicted` and `support` count pixels; `images` those where truth or prediction has the
    label, over which `iou` and `dice` are summed.
    """

    tp: FloatArray
    predicted: FloatArray
    support: FloatArray
    iou: FloatArray
    dice: FloatArray
    images: FloatArray

    @property
    def pixels(self) -> LabelCounts:
        """Counts of pixels, (n, n_labels)."""
        tp, predicted, support = (
            part.T.round().astype(np.int64) for part in (self.tp, self.predicted, self.support)
        )
        return LabelCounts(tp=tp, predicted=predicted, support=support)

    @property
    def mean_iou(self) -> FloatArray:
        """IoU over the images that have the label, (n_labels, n); NaN where none has."""
        return divide(self.iou, self.images)

    @property
    def mean_dice(self) -> FloatArray:
        """Dice over the same images, (n_labels, n)."""
        return divide(self.dice, self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAreas:
    """What each image adds: `rows` (6 * n_labels, n_images), the fields of `LabelSums` in turn."""

    rows: sp.csr_array

    def sum(self, weights: Weights) -> LabelSums:
        """Sums over weighted images; weights (n_images, n)."""
        parts = np.split(self.rows @ weights, len(_PARTS))
        return LabelSums(**dict(zip(_PARTS, parts, strict=True)))

    def compute(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of all averages, and of what labels have."""
        return self.compute_averages(weights) | self.score_labels(weights)

    def compute_averages(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of all averages, over the labels that some weighted image has."""
        sums = self.sum(weights)
        n_images = weights.sum(axis=0, dtype=np.float64)
        pixels = sums.pixels
        pooled = LabelCounts(
            tp=pixels.tp.sum(axis=1),
            predicted=pixels.predicted.sum(axis=1),
            support=pixels.support.sum(axis=1),
        )
        right_without = np.where(sums.images > 0, n_images - sums.images, nan)
        return {
            "mean_iou": _mean(sums.mean_iou),
            "mean_dice": _mean(sums.mean_dice),
            **{f"pixel_{score}": divide(*FRACTIONS[score](pooled)) for score in PIXEL_SCORES},
            "mean_iou_pooled": _mean(divide(*FRACTIONS["jaccard"](pixels)).T),
            "mean_iou_all_images": _mean((sums.iou + right_without) / n_images),
        }

    def score_labels(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of what each label has an interval of: `precision/<code>`, …."""
        sums = self.sum(weights)
        pixels = sums.pixels
        scores = {name: divide(*FRACTIONS[name](pixels)).T for name in PIXEL_SCORES}
        scores |= {"iou": sums.mean_iou, "dice": sums.mean_dice}
        return {
            f"{name}/{code}": scores[name][code]
            for name in _LABEL_SCORES
            for code in range(len(scores[name]))
        }


BACKGROUND: Final = -1
OPAQUE: Final = 128
"""Pixels with an alpha of less are background: the edges of masks are smooth."""

SKETCH_SIDE: Final = 192
"""The longer side of a sketch is at most so many pixels."""

Colour = tuple[int, int, int]

_CHANNELS: Final = 4
_MAX_BLOCK: Final = 2**18  # pixels or colours worked on at once


def compute_segmentation(evaluation: Evaluation, sampling: Sampling) -> Metrics:
    """Every number of a segmentation that has images.

    IoU and Dice are computed for each label and image, averaged over the images where truth or
    prediction has the label, then over labels; `pixel_…` pool the pixels of all labels. The two
    other usual means of IoU are in `extra`: `mean_iou_pooled` divides the pixels of each label in
    all images together, and `mean_iou_all_images` counts an image without the label, where nothing
    was to be found and nothing was, as 1.

    Raises:
        EvaluationError: There are no counts of pixels to compute from.
    """
    if evaluation.masks is None:
        raise EvaluationError(f"{evaluation.version.arn}: a segmentation without counts of pixels")
    masks = evaluation.masks
    areas = sum_areas(masks, order_images(evaluation.images), len(evaluation.labels))
    units = sampling.find_units(len(evaluation.images), masks.readable)
    places = order_images(tuple(compress(evaluation.images, masks.readable)))
    numbers = _compute_numbers(areas, len(evaluation.labels), units.put_in_order(places))
    sums = areas.sum(np.ones((np.count_nonzero(masks.readable), 1), dtype=np.float32))
    per_label = _score(sums, numbers)
    return Metrics(
        task=Task.SEGMENTATION,
        labels=evaluation.labels,
        prediction_rule="",
        records=None,
        test_images=len(evaluation.images),
        aggregate={name: numbers[name] for name in AGGREGATE_NAMES},
        per_label=per_label,
        predictions=_list_areas(masks),
        reconciliation=_reconcile(evaluation, per_label, sums.mean_iou[:, 0]),
        extra={name: numbers[name] for name in EXTRA_NAMES},
        warnings=tuple(_warn_unreadable(masks)),
    )


def compute_area_averages(evaluation: Evaluation, sampling: Sampling) -> dict[str, Number]:
    """The averages over labels and images alone.

    Raises:
        EvaluationError: There are no counts of pixels to compute from.
    """
    if evaluation.masks is None:
        raise EvaluationError(f"{evaluation.version.arn}: a segmentation without counts of pixels")
    masks = evaluation.masks
    areas = sum_areas(masks, order_images(evaluation.images), len(evaluation.labels))
    units = sampling.find_units(len(evaluation.images), masks.readable)
    places = order_images(tuple(compress(evaluation.images, masks.readable)))
    return estimate_statistic(areas.compute_averages, units.put_in_order(places), _UNDEFINED)


def sum_areas(masks: MaskCounts, places: IntArray, n_labels: int) -> ImageAreas:
    """Lay out what each readable image adds.

    Args:
        masks: The counts of pixels.
        places: The place of each image, (n_images,); only the order of the readable ones is kept.
        n_labels: The number of labels.
    """
    readable = np.flatnonzero(masks.readable)
    columns = np.zeros(len(places), dtype=np.int64)
    columns[readable[np.argsort(places[readable])]] = np.arange(len(readable))
    counts = LabelCounts(tp=masks.tp, predicted=masks.tp + masks.fp, support=masks.tp + masks.fn)
    kept = np.flatnonzero(masks.readable[masks.image_idx] & counts.occurs)
    iou, dice = (divide(*FRACTIONS[score](counts)) for score in ("jaccard", "f1"))
    parts = (counts.tp, counts.predicted, counts.support, iou, dice, counts.occurs)
    label_idx = masks.label_idx[kept].astype(np.int64)
    rows = np.concatenate([label_idx + i * n_labels for i in range(len(parts))])
    values = np.concatenate([part[kept] for part in parts], dtype=np.float64)
    cells = (rows, np.tile(columns[masks.image_idx[kept]], len(parts)))
    shape = (len(parts) * n_labels, len(readable))
    return ImageAreas(rows=sp.csr_array((values, cells), shape=shape))


def _compute_numbers(areas: ImageAreas, n_labels: int, units: Units) -> dict[str, Number]:
    """All numbers with their intervals; units in the order of the columns of `areas`."""
    names = (*AGGREGATE_NAMES, *EXTRA_NAMES)
    per_label = tuple(f"{name}/{code}" for name in _LABEL_SCORES for code in range(n_labels))
    if not len(units.unit_idx):
        return dict.fromkeys((*names, *per_label), Number(value=nan, reason=UNREADABLE_REASON))
    return estimate_statistic(areas.compute, units, _UNDEFINED)


def _score(sums: LabelSums, numbers: dict[str, Number]) -> LabelScores:
    """Counts of pixels are no sample of their own: intervals are of images drawn again."""
    pixels = sums.pixels
    counts = LabelCounts(tp=pixels.tp[0], predicted=pixels.predicted[0], support=pixels.support[0])
    undefined = np.full(len(sums.images), nan)
    few = sums.images[:, 0] < MIN_OF_LABEL
    intervals = {
        f"{name}_{end}": np.where(
            few,
            nan,
            np.array([getattr(numbers[f"{name}/{code}"], end) for code in range(len(few))]),
        )
        for name in _LABEL_SCORES
        for end in ("low", "high")
    }
    return replace(
        score_labels(counts, undefined, undefined),
        **intervals,
        iou=sums.mean_iou[:, 0],
        dice=sums.mean_dice[:, 0],
    )


def _list_areas(masks: MaskCounts) -> Predictions:
    """A row for each label of an image that either mask has."""
    is_true, is_pred = masks.tp + masks.fn > 0, masks.tp + masks.fp > 0
    outcome = np.select([is_true & is_pred, is_pred], ["TP", "FP"], "FN")
    order = np.lexsort((masks.label_idx, masks.image_idx))
    order = order[(masks.readable[masks.image_idx] & (is_true | is_pred))[order]]
    return Predictions(
        image_idx=masks.image_idx[order],
        y_true=np.where(is_true, masks.label_idx, -1)[order],
        y_pred=np.where(is_pred, masks.label_idx, -1)[order],
        confidence=np.full(len(order), nan),
        outcome=tuple(outcome[order].tolist()),
    )


def _reconcile(
    evaluation: Evaluation, per_label: LabelScores, iou: FloatArray
) -> tuple[Reconciled, ...]:
    labels = {
        "precision": (per_label.precision, _PIXEL_RULE),
        "recall": (per_label.recall, _PIXEL_RULE),
        "f1": (per_label.f1, _PIXEL_RULE),
        "aiou": (iou, _IOU_RULE),
    }
    return put_side_by_side(evaluation, {}, labels)


def _warn_unreadable(masks: MaskCounts) -> Iterator[str]:
    if n := np.count_nonzero(~masks.readable):
        yield (
            f"{n} of {len(masks.readable)} test images have not both masks, and are no part of the "
            "pixel numbers"
        )


def _mean(values: FloatArray) -> FloatArray:
    """Mean over rows of what is defined, (rows, n) -> (n,)."""
    return divide(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0))


def decode_mask(
    rgba: NDArray[np.uint8], colors: Mapping[int, Colour], background: Colour | None = None
) -> NDArray[np.int32]:
    """Which label each pixel of a mask has.

    A pixel that is less than half opaque is background; any other has the label whose colour is
    nearest (in RGB), ties to the first code, and to a label before the background.

    Args:
        rgba: The mask, (height, width, 4).
        colors: The red, green and blue of each label code.
        background: The colour of the background, where it has one.

    Returns:
        Label codes, (height, width); `BACKGROUND` where there is none.

    Raises:
        EvaluationError: The mask has other channels than red, green, blue and alpha.
    """
    if rgba.ndim != 3 or rgba.shape[2] != _CHANNELS or rgba.dtype != np.uint8:  # noqa: PLR2004 - an image
        raise EvaluationError(f"a mask of shape {rgba.shape} is no image of RGBA bytes")
    codes = sorted(colors)
    known = [colors[code] for code in codes]
    if background is not None:
        codes, known = [*codes, BACKGROUND], [*known, background]
    pixels = np.ascontiguousarray(rgba).view(np.uint32).ravel()
    # Masks are flat areas: what one pixel is decides for all that follow it unchanged.
    starts = np.flatnonzero(np.diff(pixels, prepend=~pixels[:1]))
    distinct, place = np.unique(pixels[starts], return_inverse=True)
    decoded = _find_nearest(distinct.view(np.uint8).reshape(-1, _CHANNELS), codes, known)
    labels = np.repeat(decoded[place], np.diff(starts, append=len(pixels)))
    return labels.reshape(rgba.shape[:2])


def count_masks(
    mask_true: IntArray, mask_pred: IntArray, n_labels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels of each label that are true and predicted, predicted only, and true only.

    Args:
        mask_true: Label codes, -1 for the background, (height, width).
        mask_pred: The same of the prediction.
        n_labels: The number of labels.

    Returns:
        `tp`, `fp`, `fn`, (n_labels,) each; the background is no label.

    Raises:
        EvaluationError: The masks differ in size, or a code has no label.

    >>> [counts.tolist() for counts in count_masks(np.array([[0, 1]]), np.array([[0, 0]]), 2)]
    [[1, 0], [1, 0], [0, 1]]
    """
    if mask_true.shape != mask_pred.shape:
        raise EvaluationError(
            f"masks of {mask_true.shape} and {mask_pred.shape} pixels differ in size"
        )
    n = n_labels + 1
    tp, true, pred = np.zeros((3, n), dtype=np.int64)
    flat_true, flat_pred = mask_true.ravel(), mask_pred.ravel()
    for start in range(0, len(flat_true), _MAX_BLOCK):
        block = slice(start, start + _MAX_BLOCK)
        y_true, y_pred = _shift(flat_true[block], n), _shift(flat_pred[block], n)
        true += np.bincount(y_true, minlength=n)
        pred += np.bincount(y_pred, minlength=n)
        tp += np.bincount(y_true[y_true == y_pred], minlength=n)
    return tp[1:], (pred - tp)[1:], (true - tp)[1:]


def sketch_masks(mask_true: IntArray, mask_pred: IntArray) -> NDArray[np.uint8]:
    """Where two masks of one size agree, small: codes of `MaskPixel`, at most 192 a side.

    >>> sketch_masks(np.array([[0, 1, -1, -1]]), np.array([[0, 0, 0, -1]])).tolist()
    [[1, 2, 2, 0]]
    """
    step = -(-max(mask_true.shape) // SKETCH_SIDE)
    true, pred = mask_true[::step, ::step], mask_pred[::step, ::step]
    sketch = np.zeros(true.shape, dtype=np.uint8)
    sketch[true != BACKGROUND] = MaskPixel.MISSED
    sketch[pred != BACKGROUND] = MaskPixel.PREDICTED
    sketch[(true == pred) & (true != BACKGROUND)] = MaskPixel.AGREED
    return sketch


def _find_nearest(
    rgba: NDArray[np.uint8], codes: list[int], known: list[Colour]
) -> NDArray[np.int32]:
    """The code of the nearest known colour of each colour, (n,)."""
    decoded = np.full(len(rgba), BACKGROUND, dtype=np.int32)
    opaque = np.flatnonzero(rgba[:, 3] >= OPAQUE)
    if not known:
        return decoded
    size = max(1, _MAX_BLOCK // len(known))
    for rows in np.split(opaque, range(size, len(opaque), size)):
        apart = rgba[rows, np.newaxis, :3].astype(np.int32) - np.array(known, dtype=np.int32)
        decoded[rows] = np.array(codes)[np.square(apart).sum(axis=2).argmin(axis=1)]
    return decoded


def _shift(codes: IntArray, n: int) -> IntArray:
    """Codes from 0, the background first."""
    shifted = codes.astype(np.int64) + 1
    if len(shifted) and not (shifted.min() >= 0 and shifted.max() < n):
        raise EvaluationError("a pixel of a mask has no label")
    return shifted

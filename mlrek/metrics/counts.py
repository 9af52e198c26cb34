"""One count matrix, and every number that follows from it alone.

All functions take counts with any leading batch axes, `(..., n_labels)`: the same code gives the
value of the whole sample and those of 1,000 resamples of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress
from math import nan
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, RecordsKind, are_rising
from mlrek.metrics import ThresholdCurves

AVERAGES = ("micro", "macro", "weighted")
NO_TRUTH_REASON = "no test image has a true label"
NOTHING_REASON = "no label is true or predicted on any test image"
UNDEFINED_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "mcc": "zero denominator: the truth or the predictions hold one class only",
        "cohen_kappa": "zero denominator: truth and predictions hold one and the same class only",
        "balanced_accuracy": "no label has a true image",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """On how many images each label is rightly predicted, predicted at all, and true.

    `tp`, `predicted`, `support` are all (..., n_labels).
    """

    tp: IntArray
    predicted: IntArray
    support: IntArray

    @property
    def fp(self) -> IntArray:
        """Images where the label is predicted but not true, (..., n_labels)."""
        return self.predicted - self.tp

    @property
    def fn(self) -> IntArray:
        """Images where the label is true but not predicted, (..., n_labels)."""
        return self.support - self.tp

    @property
    def occurs(self) -> BoolArray:
        """Whether the label is true or predicted at all, (..., n_labels)."""
        return np.asarray((self.predicted > 0) | (self.support > 0))


_Fraction: TypeAlias = Callable[[LabelCounts], tuple[IntArray, IntArray]]

FRACTIONS: Mapping[str, _Fraction] = MappingProxyType(
    {
        "precision": lambda counts: (counts.tp, counts.predicted),
        "recall": lambda counts: (counts.tp, counts.support),
        "f1": lambda counts: (2 * counts.tp, counts.support + counts.predicted),
        "jaccard": lambda counts: (counts.tp, counts.support + counts.predicted - counts.tp),
    }
)
"""Numerator and denominator of each score of a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The recorded (image, label) pairs of the images that count, by image, then label.

    Image i has the rows `offsets[i]:offsets[i + 1]` of `label_idx`, `confidence` and `is_true` (the
    label is true on the image), all (n,). `support` (n_labels,) are the images where each label is
    true, with a record of it or without. `places` (n_images,) is the place of each image in the
    order of URIs: resamples are drawn in this order, so that an interval does not depend on the
    order of lines.
    """

    n_images: int
    places: IntArray
    offsets: IntArray
    label_idx: IntArray
    confidence: FloatArray
    is_true: BoolArray
    support: IntArray

    @property
    def n_labels(self) -> int:
        """Number of labels of the evaluation."""
        return len(self.support)

    @property
    def image_idx(self) -> IntArray:
        """The image of each pair, (n,), from 0 to `n_images` - 1; made anew at each use."""
        return np.repeat(np.arange(self.n_images, dtype=np.int32), np.diff(self.offsets))

    def find_images(self, rows: IntArray) -> IntArray:
        """The images of some pairs alone; `rows` (n_rows,)."""
        return np.searchsorted(self.offsets, rows, side="right") - 1


_SUM_TOLERANCE: Final = 1e-3
_COUNT_TOLERANCE: Final = 1e-3
_SINGLE_PRECISION: Final = 1e-7  # of a count that was divided, rounded and multiplied again


class Normalisation(StrEnum):
    """What a count was divided by: the test images of its true or of its predicted label."""

    TRUE = "true"
    PREDICTED = "predicted"


class CurveScores(NamedTuple):
    """Scores at each threshold, of the counts' shape; NaN where the denominator is 0."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray


_MAX_NAMES: Final = 25
_ROWS: Final = 2**15  # whose thresholds stay in the cache


def count_pairs(y_true: IntArray, y_pred: IntArray, n_labels: int) -> NDArray[np.int64]:
    """Count (true, predicted) pairs; -1 in `y_pred` is no prediction.

    Returns:
        (n_labels, n_labels + 1), rows true, columns predicted, the last column no prediction.

    >>> count_pairs(np.array([0, 0, 1]), np.array([0, 1, -1]), 2)
    array([[1, 1, 0],
           [0, 0, 1]])
    """
    columns = n_labels + 1
    cells = y_true.astype(np.int64) * columns + np.where(y_pred < 0, n_labels, y_pred)
    return np.bincount(cells, minlength=n_labels * columns).reshape(n_labels, columns)


def count_labels(matrix: IntArray) -> LabelCounts:
    """The counts of each label in a matrix as `count_pairs` returns it."""
    return LabelCounts(
        tp=np.diagonal(matrix), predicted=matrix[:, :-1].sum(axis=0), support=matrix.sum(axis=1)
    )


def divide(numerator: NDArray[Any], denominator: NDArray[Any], *, empty: float = nan) -> FloatArray:
    """Divide element by element; `empty` where the denominator is 0."""
    quotient = np.full(np.shape(denominator), empty)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def compute_averages(counts: LabelCounts, among: BoolArray | None = None) -> dict[str, FloatArray]:
    """Precision, recall, F1 and Jaccard, each averaged micro, macro and weighted by support.

    As scikit-learn's functions with `zero_division=0` over the labels that are true or predicted
    (in a resample: in that resample).

    Args:
        counts: Of each label.
        among: Other labels for the macro averages, (..., n_labels): all that occur, and more.

    Returns:
        `precision_micro`, … each of the counts' batch shape; NaN where no label occurs.
    """
    averages: dict[str, FloatArray] = {}
    n_occurring = (counts.occurs if among is None else among).sum(axis=-1)
    for name, fraction in FRACTIONS.items():
        numerator, denominator = fraction(counts)
        scores = divide(numerator, denominator, empty=0.0)
        pooled = numerator.sum(axis=-1), denominator.sum(axis=-1)
        weighted = (scores * counts.support).sum(axis=-1)
        averages[f"{name}_micro"] = divide(*pooled, empty=0.0)
        averages[f"{name}_macro"] = divide(scores.sum(axis=-1), n_occurring)
        averages[f"{name}_weighted"] = divide(weighted, counts.support.sum(axis=-1), empty=0.0)
    return {name: np.where(n_occurring > 0, values, nan) for name, values in averages.items()}


def compute_one_label_scores(counts: LabelCounts) -> dict[str, FloatArray]:
    """The numbers that need exactly one true label and at most one prediction an image.

    Returns:
        `accuracy`, `balanced_accuracy`, `hamming_loss`, `mcc`, `cohen_kappa`, each of the counts'
        batch shape; NaN where a denominator is 0.
    """
    n_images = counts.support.sum(axis=-1)
    correct = counts.tp.sum(axis=-1)
    recall = divide(counts.tp, counts.support, empty=0.0)
    return {
        "accuracy": divide(correct, n_images),
        "balanced_accuracy": divide(recall.sum(axis=-1), (counts.support > 0).sum(axis=-1)),
        "hamming_loss": divide(n_images - correct, n_images),
        "mcc": compute_mcc(counts),
        "cohen_kappa": compute_cohen_kappa(counts),
    }


def compute_mcc(counts: LabelCounts) -> FloatArray:
    """Matthews correlation of many classes (Gorodkin 2004), no prediction being one more class.

    With c right of n images, t true and p predicted images of each class:
    (c n - Σ t p) / sqrt((n² - Σ p²) (n² - Σ t²)).
    """
    n_images, expected, unpredicted = _chance(counts)
    covariance = counts.tp.sum(axis=-1) * n_images - expected
    spread_pred = n_images**2 - (counts.predicted**2).sum(axis=-1) - unpredicted**2
    spread_true = n_images**2 - (counts.support**2).sum(axis=-1)
    return divide(covariance, np.sqrt(spread_pred.astype(np.float64) * spread_true))


def compute_cohen_kappa(counts: LabelCounts) -> FloatArray:
    """Cohen's kappa (1960), no prediction being one more class.

    With c right of n images, t true and p predicted images of each class:
    1 - (n - c) / (n - Σ t p / n).
    """
    n_images, expected, _ = _chance(counts)
    wrong = n_images - counts.tp.sum(axis=-1)
    return 1 - divide(wrong * n_images, n_images**2 - expected)


def _chance(counts: LabelCounts) -> tuple[IntArray, IntArray, IntArray]:
    """Images, Σ t p over classes, and images without a prediction, each of the batch shape."""
    n_images = counts.support.sum(axis=-1)
    expected = (counts.support * counts.predicted).sum(axis=-1)
    return n_images, expected, n_images - counts.predicted.sum(axis=-1)


def pair_records(evaluation: Evaluation, keep: BoolArray | None = None) -> Pairs:
    """The recorded pairs of the images in `keep` (n_images,); of all without it."""
    records, truth, n_labels = evaluation.records, evaluation.truth, len(evaluation.labels)
    pairs = Pairs(
        n_images=len(evaluation.images),
        places=order_images(evaluation.images),
        offsets=records.offsets,
        label_idx=records.label_idx,
        confidence=records.confidence,
        is_true=_find_true(evaluation),
        support=np.bincount(truth.label_idx, minlength=n_labels),
    )
    return pairs if keep is None or keep.all() else _keep_images(evaluation, pairs, keep)


def _find_true(evaluation: Evaluation) -> BoolArray:
    """Whether the label of each record is true, (n,)."""
    records, truth, n_labels = evaluation.records, evaluation.truth, len(evaluation.labels)
    if evaluation.records_kind is RecordsKind.COMPLETE:  # then the place of each label is known
        is_true = np.zeros(len(records.label_idx), dtype=np.bool_)
        is_true[records.offsets[truth.image_idx] + truth.label_idx] = True
        return is_true
    return find_codes(
        pair_codes(records.image_idx, records.label_idx, n_labels),
        pair_codes(truth.image_idx, truth.label_idx, n_labels),
    )


def pair_codes(image_idx: IntArray, label_idx: IntArray, n_labels: int) -> NDArray[np.int64]:
    """One number for each (image, label), rising with the image, then the label."""
    return image_idx.astype(np.int64) * n_labels + label_idx


def find_codes(codes: IntArray, among: IntArray) -> BoolArray:
    """Whether each code stands in `among`; both rising, without repeats."""
    if len(codes) > len(among):  # then fewer are looked up
        found = np.zeros(len(codes), dtype=np.bool_)
        place = np.searchsorted(codes, among)
        found[place[find_codes(among, codes)]] = True
        return found
    if not len(among):
        return np.zeros(len(codes), dtype=np.bool_)
    place = np.minimum(np.searchsorted(among, codes), len(among) - 1)
    return np.asarray(among[place] == codes)


def find_reached(confidence: FloatArray, label_idx: IntArray, thresholds: FloatArray) -> BoolArray:
    """Whether each confidence reaches the threshold of its label, (n,); none reaches NaN."""
    reached = np.empty(len(confidence), dtype=np.bool_)
    for start in range(0, len(confidence), _ROWS):
        rows = np.s_[start : start + _ROWS]
        np.greater_equal(confidence[rows], thresholds[label_idx[rows]], out=reached[rows])
    return reached


def count_predicted(pairs: Pairs, is_predicted: BoolArray) -> LabelCounts:
    """Label counts where the pairs of `is_predicted` (n,) are the predictions."""
    n, rows = pairs.n_labels, np.flatnonzero(is_predicted)
    return LabelCounts(
        tp=np.bincount(pairs.label_idx[rows[pairs.is_true[rows]]], minlength=n),
        predicted=np.bincount(pairs.label_idx[rows], minlength=n),
        support=pairs.support,
    )


def _keep_images(evaluation: Evaluation, pairs: Pairs, keep: BoolArray) -> Pairs:
    images = tuple(compress(evaluation.images, keep))
    counts = np.diff(pairs.offsets)
    kept = np.repeat(keep, counts)
    true_label_idx = evaluation.truth.label_idx[np.repeat(keep, evaluation.truth.counts)]
    return Pairs(
        n_images=len(images),
        places=order_images(images),
        offsets=np.append(0, np.cumsum(counts[keep])),
        label_idx=pairs.label_idx[kept],
        confidence=pairs.confidence[kept],
        is_true=pairs.is_true[kept],
        support=np.bincount(true_label_idx, minlength=pairs.n_labels),
    )


def order_images(images: Sequence[str]) -> IntArray:
    """The place of each image in the order of URIs, (n_images,)."""
    if are_rising(images):
        return np.arange(len(images), dtype=np.int32)
    places = np.empty(len(images), dtype=np.int32)
    places[sorted(range(len(images)), key=images.__getitem__)] = np.arange(len(images))
    return places


def find_normalisation(values: FloatArray, support: FloatArray) -> Normalisation | None:
    """How the fractions of a matrix came about; None where neither way fits.

    By true label, rows sum to 1 and give whole counts. By predicted label, columns give whole
    counts, whose rows sum to the true label's images. Rounded fractions are taken by their sums.

    Args:
        values: Rows true, columns predicted, (n_labels, n_labels).
        support: Test images of each true label, (n_labels,); NaN where unknown.
    """
    by_true, by_predicted = values * support[:, np.newaxis], values * support
    tested = values.any(axis=1) | (support > 0)
    sums_to_one = np.allclose(values.sum(axis=1)[tested], 1, rtol=0, atol=_SUM_TOLERANCE)
    if sums_to_one and _is_whole(by_true).all():
        return Normalisation.TRUE
    row_sums = by_predicted.sum(axis=1)
    if _is_whole(by_predicted).all() and _is_equal(row_sums, support).all():
        return Normalisation.PREDICTED
    return Normalisation.TRUE if sums_to_one and tested.any() else None


def denominators(normalisation: Normalisation, support: FloatArray) -> FloatArray:
    """What each count was divided by, (n_labels, n_labels)."""
    shape = (len(support), len(support))
    rows = support[:, np.newaxis] if normalisation == Normalisation.TRUE else support
    return np.broadcast_to(rows, shape)


def _is_whole(counts: FloatArray) -> BoolArray:
    return _is_equal(counts, np.rint(counts))


def _is_equal(counts: FloatArray, others: FloatArray) -> BoolArray:
    """Equal as counts; NaN equals nothing."""
    return np.asarray(np.abs(counts - others) <= _COUNT_TOLERANCE + _SINGLE_PRECISION * others)


def score_counts(tp: IntArray, fp: IntArray, fn: IntArray) -> CurveScores:
    """The scores that follow from counts of one shape."""
    return CurveScores(
        precision=divide(tp, tp + fp),
        recall=divide(tp, tp + fn),
        f1=divide(2 * tp, 2 * tp + fp + fn),
    )


def score_all_labels(curves: ThresholdCurves) -> CurveScores:
    """The scores of all labels together (micro), each (n_thresholds,)."""
    return score_counts(curves.tp.sum(axis=1), curves.fp.sum(axis=1), curves.fn.sum(axis=1))


def name_labels(labels: Iterable[str]) -> str:
    """Label names for a message: escaped as Python would, at most 25 of them."""
    names = [repr(label) for label in labels]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def select_labels(labels: Sequence[str], selected: BoolArray) -> list[str]:
    """The names of the labels in `selected` (n_labels,)."""
    return list(compress(labels, selected))

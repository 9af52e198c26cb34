"""Numbers of the scores as probabilities: log loss and expected calibration error."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.counts import divide
from mlrek.metrics.resampling import Statistic, Weights, count_drawn

N_BINS: Final = 15
_SUM_TOLERANCE: Final = 0.001
_ROUNDING: Final = 1e-9
_ROWS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBins:
    """The bins of `ece`, all (15,): predictions, their mean confidence, and the share right.

    Both means are NaN where a bin is empty.
    """

    count: IntArray
    confidence: FloatArray
    accuracy: FloatArray


def bin_predictions(confidence: FloatArray, is_right: BoolArray) -> CalibrationBins:
    """How sure predictions are and how often right, bin by bin; both (n,)."""
    bins = _find_bins(confidence)
    count = np.bincount(bins, minlength=N_BINS)
    sums = np.bincount(bins, weights=confidence, minlength=N_BINS)
    right = np.bincount(bins, weights=is_right, minlength=N_BINS)
    return CalibrationBins(
        count=count, confidence=divide(sums, count), accuracy=divide(right, count)
    )


def calibration_error(
    confidence: FloatArray, is_right: BoolArray, places: IntArray, n_images: int
) -> Statistic:
    """The statistic of `ece`: Σ over bins of |right - Σ confidence|, over all predictions.

    15 equal bins closed on the right, the first also on the left (Guo et al. 2017).

    Args:
        confidence: Of each prediction, (n,).
        is_right: Whether it is right, (n,).
        places: The place of its image among the weights, (n,).
        n_images: The number of weights.
    """
    bins = _find_bins(confidence)
    rows = np.concatenate([bins, np.full(len(bins), N_BINS)])
    values = np.concatenate([is_right - confidence, np.ones(len(bins))])
    sums = sp.csr_array((values, (rows, np.tile(places, 2))), shape=(N_BINS + 1, n_images))
    return partial(_compute_calibration_error, sums)


def log_loss_of_images(scores: FloatArray, y_true: IntArray) -> FloatArray:
    """-log of the true label's share of the scores of each image, (n_images,).

    Shares are kept away from 0 and 1 by the smallest step of a double, as scikit-learn does.

    Args:
        scores: Complete records, (n_images, n_labels).
        y_true: True label codes, (n_images,).
    """
    share = scores[np.arange(len(y_true)), y_true] / scores.sum(axis=1)
    eps = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(share, eps, 1 - eps)))


def count_not_summing_to_one(scores: FloatArray) -> int:
    """Images whose scores do not sum to 1 within 0.001; `scores` (n_images, n_labels)."""
    off = np.abs(scores.sum(axis=1) - 1)
    return int(np.count_nonzero(off > _SUM_TOLERANCE + _ROUNDING))


def mean_of_images(name: str, values: FloatArray, places: IntArray) -> Statistic:
    """The statistic of a mean over images: `values` (n_images,), their `places`."""
    ordered = np.empty(len(values))
    ordered[places] = values
    return partial(_compute_mean, name, ordered)


def _find_bins(confidence: FloatArray) -> IntArray:
    """The bin of each confidence: closed on the right, the first also on the left."""
    edges = np.arange(N_BINS + 1) / N_BINS
    return np.asarray(np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0))


def _compute_calibration_error(sums: sp.csr_array, weights: Weights) -> dict[str, FloatArray]:
    *gaps, n = sums @ weights
    return {"ece": divide(np.abs(gaps).sum(axis=0), n)}


def _compute_mean(name: str, values: FloatArray, weights: Weights) -> dict[str, FloatArray]:
    sums = np.zeros(weights.shape[1])
    for start in range(0, len(values), _ROWS):  # in parts, whose doubles stay in the cache
        rows = np.s_[start : start + _ROWS]
        sums += values[rows] @ weights[rows]
    return {name: divide(sums, count_drawn(weights))}

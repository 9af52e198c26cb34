"""Counts behind the fractions of a provider's confusion matrix, whose normalisation has changed."""

from enum import StrEnum
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray

_SUM_TOLERANCE: Final = 1e-3
_COUNT_TOLERANCE: Final = 1e-3
_SINGLE_PRECISION: Final = 1e-7  # of a count that was divided, rounded and multiplied again


class Normalisation(StrEnum):
    """What a count was divided by: the test images of its true or of its predicted label."""

    TRUE = "true"
    PREDICTED = "predicted"


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

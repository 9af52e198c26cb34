"""Precision, recall and F1 along a curve of counts."""

from typing import NamedTuple

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics import ThresholdCurves
from mlrek.metrics.counts import divide


class CurveScores(NamedTuple):
    """Scores at each threshold, of the counts' shape; NaN where the denominator is 0."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray


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

"""Intervals of numbers that are fitted anew without each part of the images."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import nan, sqrt
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.counts import FRACTIONS, LabelCounts, divide
from mlrek.metrics.intervals import compute_wilson
from mlrek.metrics.jackknife import LeftOut, Scale, compute_interval, jackknife
from mlrek.metrics.resampling import CONFIDENCE

MIN_PARTS: Final = 10

Ends: TypeAlias = tuple[float, float]
"""Lower and upper end of an interval, NaN without one."""


def find_interval(
    values: FloatArray, is_filled: BoolArray, n: int, confidence: float = CONFIDENCE
) -> Ends:
    """The interval of a share from its values without each part: delete-a-group jackknife.

    On the logit scale, with Student's quantile (Kott 2001, "The delete-a-group jackknife"). The
    bias is left alone: of what is fitted on the images it tells how much more of them would help,
    which is no fault of the value. Of a perfect or wholly wrong value: Wilson's bound on the share
    of images with any error.

    Args:
        values: Of all images, then without each part, (1 + n_parts,), from 0 to 1.
        is_filled: Which parts hold an image, (n_parts,).
        n: How many images (or groups of images) there are.
        confidence: Of the interval.

    Returns:
        NaN where there are under 10 parts, or a value is undefined.
    """
    value, deleted = float(values[0]), values[1:][is_filled]
    if len(deleted) < MIN_PARTS or np.isnan(value) or np.isnan(deleted).any():
        return nan, nan
    if value in {0.0, 1.0}:
        low, high = compute_wilson(np.array(round(value * n)), np.array(n), confidence)
        return float(low), float(high)
    left_out = LeftOut(values=deleted, times=np.ones(len(deleted), dtype=np.int64))
    unbiased = replace(jackknife(value, left_out), bias=0.0)
    return compute_interval(unbiased, Scale.LOGIT, confidence)


def count_interval(counts: LabelCounts, name: str, confidence: float = CONFIDENCE) -> Ends:
    """The interval of an average of labels as if its thresholds had been given.

    Wilson's of a plain share; of a mean of labels by recovering the variance from Wilson's ends of
    each (Zou and Donner 2008). F1 is 2 J / (1 + J) of the Jaccard index J, which is a share.

    Args:
        counts: Of each label, (n_labels,).
        name: `precision_macro`, … as in `compute_averages`.
        confidence: Of the interval.
    """
    score, average = name.split("_")
    if average == "micro":
        counts = LabelCounts(
            tp=counts.tp.sum(keepdims=True),
            predicted=counts.predicted.sum(keepdims=True),
            support=counts.support.sum(keepdims=True),
        )
    weights = counts.support if average == "weighted" else counts.occurs
    if not weights.sum():
        return nan, nan
    share = weights / weights.sum()
    values = divide(*FRACTIONS[score](counts), empty=0.0)
    low, high = (np.nan_to_num(ends) for ends in _ENDS[score](counts, confidence))
    value = float((share * values).sum())
    below, above = (float(np.square(share * (end - values)).sum()) for end in (low, high))
    return value - sqrt(below), value + sqrt(above)


def widen(first: Ends, second: Ends) -> Ends:
    """The interval that holds both; NaN where the first is."""
    if np.isnan(first[0]) or np.isnan(second[0]):
        return first
    return min(first[0], second[0]), max(first[1], second[1])


_FindEnds: TypeAlias = Callable[[LabelCounts, float], tuple[FloatArray, FloatArray]]


def _share(name: str) -> _FindEnds:
    def find(counts: LabelCounts, confidence: float) -> tuple[FloatArray, FloatArray]:
        successes, n = FRACTIONS[name](counts)
        return compute_wilson(_whole(successes), _whole(n), confidence)

    return find


def _whole(counts: IntArray) -> IntArray:
    return np.asarray(counts, dtype=np.int64)


def _find_f1_ends(counts: LabelCounts, confidence: float) -> tuple[FloatArray, FloatArray]:
    low, high = _ENDS["jaccard"](counts, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


_ENDS: Mapping[str, _FindEnds] = MappingProxyType(
    {
        "precision": _share("precision"),
        "recall": _share("recall"),
        "jaccard": _share("jaccard"),
        "f1": _find_f1_ends,
    }
)

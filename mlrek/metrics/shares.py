"""Intervals of shares of images: Wilson, Newcombe, and means of shares by MOVER."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics import Number
from mlrek.metrics.counts import FRACTIONS, LabelCounts, divide
from mlrek.metrics.intervals import (
    CONFIDENCE,
    Jackknife,
    LeftOut,
    Scale,
    compute_interval,
    compute_margin,
    compute_student,
    compute_wilson,
    jackknife,
)

MIN_GROUPS: Final = 10
"""With fewer groups there is no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Some shares: successes of n observations, (n_shares,) each, and the same of each unit.

    `group_successes` and `group_n` (n_units, n_shares) are there where a unit has several: groups
    of images where these `are_groups`, else images with several boxes.
    """

    successes: IntArray
    n: IntArray
    group_successes: IntArray | None = None
    group_n: IntArray | None = None
    are_groups: bool = True

    def pool(self) -> "Shares":
        """All shares as one, of the sums."""
        successes, n = self.group_successes, self.group_n
        return Shares(
            successes=self.successes.sum(keepdims=True),
            n=self.n.sum(keepdims=True),
            group_successes=None if successes is None else successes.sum(axis=1, keepdims=True),
            group_n=None if n is None else n.sum(axis=1, keepdims=True),
            are_groups=self.are_groups,
        )

    def compute_ends(self, confidence: float) -> tuple[FloatArray, FloatArray]:
        """Wilson's ends, (n_shares,) each: of groups at as many observations as they are worth.

        NaN where a share is of nothing, and where there are fewer than 10 groups.
        """
        if self.group_successes is None or self.group_n is None:
            return compute_wilson(self.successes, self.n, confidence)
        if self.are_groups and len(self.group_n) < MIN_GROUPS:
            return np.full(len(self.n), nan), np.full(len(self.n), nan)
        worth = find_worth(self.group_successes, self.group_n)
        if self.are_groups:
            unseen = (self.successes == 0) | (self.successes == self.n)  # no spread is seen
            worth = np.where(unseen, np.count_nonzero(self.group_n, axis=0), worth)
            worth *= _trust(self.group_n, confidence)
        return compute_wilson(divide(self.successes, self.n) * worth, worth, confidence)

    def add_to(self, number: Number, confidence: float) -> Number:
        """The number, which is the only share, with its interval."""
        low, high = (float(ends[0]) for ends in self.compute_ends(confidence))
        if isnan(low):
            return number
        return replace(number, low=low, high=high, reason="")


MIN_PARTS: Final = 10

Ends: TypeAlias = tuple[float, float]
"""Lower and upper end of an interval, NaN without one."""


_FindEnds: TypeAlias = Callable[[LabelCounts, float], tuple[FloatArray, FloatArray]]

_ALMOST: Final = 1e-4
_ROUNDING: Final = 1e-12
_ADDED: Final = 2.0
"""Successes, and failures, that Agresti & Coull (The American Statistician 52, 1998) add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """A difference, candidate minus baseline, of two numbers with their correlation.

    `baseline` and `candidate` stand at their corrected values, from which their intervals reach.
    The interval always holds the `difference` that is shown. `standard_error` is that of the
    difference, 0 where no unit moves it.
    """

    difference: float
    baseline: Jackknife
    candidate: Jackknife
    scale: Scale
    correlation: float
    standard_error: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end, NaN where one of the numbers has no interval."""
        down, up = _reach(self.baseline, self.scale, confidence)
        other_down, other_up = _reach(self.candidate, self.scale, confidence)
        middle = self.candidate.value - self.baseline.value
        low = middle - _combine(other_down, up, self.correlation)
        high = middle + _combine(other_up, down, self.correlation)
        if isnan(low) or isnan(high):
            return nan, nan
        return min(low, self.difference), max(high, self.difference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What many numbers of one version are, and how far each unit moves them.

    `values` (n_numbers,); `moved` (n_numbers, n_units) is the number less what it is without the
    unit; `real` (n_units,) tells which units are of the test set: others were added to see what the
    test set happens not to hold, and count `share` (n_units,) of a unit.
    """

    values: FloatArray
    moved: FloatArray
    share: FloatArray

    @property
    def is_real(self) -> IntArray:
        """Which units are of the test set, (n_units,)."""
        return np.flatnonzero(self.share == 1)


def find_worth(successes: NDArray[np.integer[Any]], n: NDArray[np.integer[Any]]) -> FloatArray:
    """How many independent observations the shares of units are worth, (n_shares,).

    n over the design effect: the variance of the ratio over units (by linearisation, Cochran 1977)
    to that of a plain share, at least 1.

    Args:
        successes: Of each unit, (n_units, n_shares).
        n: Observations of each unit, (n_units, n_shares).
    """
    total, n_units = n.sum(axis=0), np.count_nonzero(n, axis=0)
    share = divide(successes.sum(axis=0), total, empty=0.0)
    moves = np.square(successes - share * n).sum(axis=0)
    moves *= divide(n_units, n_units - 1, empty=1.0)
    moves *= divide(total - 1, total, empty=1.0)
    effect = divide(moves, total * share * (1 - share), empty=1.0)
    return np.asarray(total / np.maximum(effect, 1))


def _trust(n: NDArray[np.integer[Any]], confidence: float) -> FloatArray:
    """(z / t)² of as many groups as there are, since few tell their own spread badly, (n_shares,).

    So do Korn and Graubard (1998).
    """
    n_groups = np.count_nonzero(n, axis=0)
    student = np.array([compute_student(confidence, max(k - 1, 1)) for k in n_groups.tolist()])
    return np.asarray(np.square(compute_margin(confidence) / student))


def widen_mean(number: Number, shares: Shares, n_labels: int, confidence: float) -> Number:
    """The interval of a mean of shares, no narrower than MOVER's of their Wilson intervals.

    The lower end is mean - sqrt(Σ (share - low)²) / n_labels, the upper one likewise (Zou & Donner
    2008): it allows for rare labels of which no image happens to be wrong. The jackknife allows for
    what MOVER does not: that few errors are as uncertain as few images.

    Args:
        number: The mean with its jackknife interval, if there is one.
        shares: What it is the mean of; those of no observation count as 0.
        n_labels: What their sum was divided by.
        confidence: Of the interval.
    """
    value = divide(shares.successes, shares.n)
    low, high = shares.compute_ends(confidence)
    below = number.value - float(np.sqrt(np.nansum(np.square(value - low)))) / n_labels
    above = number.value + float(np.sqrt(np.nansum(np.square(high - value)))) / n_labels
    if not isnan(number.low):
        below, above = min(below, number.low), max(above, number.high)
    return replace(number, low=max(below, 0.0), high=min(above, 1.0), reason="")


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


def compare_effects(
    differences: FloatArray,
    effects: tuple[Effects, Effects],
    scales: Sequence[Scale],
    *,
    n_shown: IntArray,
    max_degrees: int | None = None,
) -> list[Mover]:
    """The evidence of many differences, of which none is NaN.

    Each number is corrected by its bias. The degrees of freedom are those that the influences
    support: few where few units make the number what it is (Satterthwaite, Biometrics Bulletin 2,
    1946). A number at the end of its scale, where it cannot vary, gets the error of a share by
    Agresti and Coull.

    Args:
        differences: As they are shown, (n_numbers,).
        effects: Of the baseline and of the candidate, on the same units.
        scales: Of each number.
        n_shown: How many units tell of a number that does not vary, (n_numbers,).
        max_degrees: Of freedom; None: as many as in a normal distribution where units were added.
    """
    weighed = [one.moved / np.sqrt(one.share) for one in effects]
    errors = [np.sqrt(np.einsum("ij,ij->i", one, one)) for one in weighed]
    covariance = np.einsum("ij,ij->i", *weighed)
    real = effects[0].is_real
    change = effects[1].moved[:, real] - effects[0].moved[:, real]
    spread = np.sqrt(np.einsum("ij,ij->i", change, change))
    spread[spread <= _ROUNDING] = 0.0
    sides = [
        _correct(one, error, scales, n_shown, max_degrees)
        for one, error in zip(effects, errors, strict=True)
    ]
    product = errors[0] * errors[1]
    correlation = np.divide(covariance, product, out=np.zeros_like(product), where=product > 0)
    return [
        Mover(
            difference=difference,
            baseline=baseline,
            candidate=candidate,
            scale=scale,
            correlation=min(max(rho, -1.0), 1.0),
            standard_error=error,
        )
        for difference, baseline, candidate, scale, rho, error in zip(
            differences.tolist(),
            *sides,
            scales,
            correlation.tolist(),
            spread.tolist(),
            strict=True,
        )
    ]


def _correct(
    effects: Effects,
    errors: FloatArray,
    scales: Sequence[Scale],
    n_shown: IntArray,
    max_degrees: int | None,
) -> list[Jackknife]:
    """Each number at its corrected value, with its error and as many units as it has degrees."""
    real = effects.is_real
    bias = -effects.moved.sum(axis=1) + effects.moved[:, real].mean(axis=1)
    degrees = _count_degrees(effects.moved[:, real])
    if max_degrees is None:
        degrees = np.full(len(degrees), 10**9)
    else:
        degrees = np.minimum(degrees, max_degrees)
    return [
        _at_scale(value - correction, error, scale, n_units, degree)
        for value, correction, error, scale, n_units, degree in zip(
            effects.values.tolist(),
            bias.tolist(),
            errors.tolist(),
            scales,
            n_shown.tolist(),
            degrees.tolist(),
            strict=True,
        )
    ]


def _count_degrees(moved: FloatArray) -> FloatArray:
    """2 (Σ h²)² / (Σ h⁴ - (Σ h²)² / n), at least 1: those of a variance of such influences."""
    squares = np.square(moved)
    total = squares.sum(axis=1)
    spread = np.square(squares).sum(axis=1) - total**2 / max(moved.shape[1], 1)
    many = np.full(len(total), 1e9)
    degrees = np.divide(2 * total**2, spread, out=many, where=spread > 0)
    return np.asarray(np.maximum(degrees, 1.0))


def _at_scale(value: float, error: float, scale: Scale, n_units: int, degrees: float) -> Jackknife:
    low, high = {Scale.LOGIT: (0.0, 1.0), Scale.FISHER: (-1.0, 1.0)}.get(scale, (-np.inf, np.inf))
    if error <= _ROUNDING and scale in (Scale.LOGIT, Scale.FISHER):
        share = ((value - low) / (high - low) * n_units + _ADDED) / (n_units + 2 * _ADDED)
        error = sqrt(share * (1 - share) / (n_units + 2 * _ADDED)) * (high - low)
        value, degrees = low + share * (high - low), 1e9
    if scale is Scale.LOG:
        low = 0.0
    value = min(max(value, low + _ALMOST), high - _ALMOST)
    return Jackknife(
        value=value,
        bias=0.0,
        standard_error=error,
        n_units=int(degrees) + 1,
        degrees=float(int(degrees)),
    )


def _reach(estimate: Jackknife, scale: Scale, confidence: float) -> tuple[float, float]:
    """How far the interval of a number reaches below and above it."""
    low, high = compute_interval(estimate, scale, confidence)
    return estimate.value - low, high - estimate.value


def _combine(x: float, y: float, correlation: float) -> float:
    return sqrt(max(x * x + y * y - 2 * correlation * x * y, 0.0))

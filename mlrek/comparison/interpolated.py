"""How surely numbers of interpolated precision differ: those of boxes.

What single images change tells little of them, so that parts of the images are left out as for the
numbers of one version (`mlrek.metrics.estimates.Dealt`), the same of both where the images are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import Final

import numpy as np

from mlrek.comparison.measured import Measured
from mlrek.comparison.pairing import Setting
from mlrek.comparison.rows import Key
from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.estimates import MISSED_BIAS, UNDEFINED_WITHOUT_ONE, Dealt, deal_parts
from mlrek.metrics.intervals import MIN_DEGREES, LeftOut

_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtDifference:
    """A difference, candidate minus baseline, of two numbers with the correlation of their moves.

    `bias` and `standard_error` are those of the difference, the error 0 where no part moves it.
    """

    difference: float
    baseline: Dealt
    candidate: Dealt
    correlation: float
    bias: float
    standard_error: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end by MOVER (Zou & Donner 2008), NaN where a number has no interval.

        The jackknife finds a part of the bias, which moves either end outwards, none inwards.
        """
        if not self.standard_error and self.correlation:  # whatever is left out moves both alike
            return self.difference, self.difference
        down, up = _reach(self.baseline, confidence)
        other_down, other_up = _reach(self.candidate, confidence)
        middle = self.candidate.value - self.baseline.value
        missed = MISSED_BIAS * self.bias
        low = min(middle, middle - missed, self.difference)
        high = max(middle, middle - missed, self.difference)
        return (
            max(low - _combine(other_down, up, self.correlation), -1.0),
            min(high + _combine(other_up, down, self.correlation), 1.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDealt:
    """Evidence by number, and why some numbers have none."""

    evidence: Mapping[Key, DealtDifference]
    reasons: Mapping[Key, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """The numbers of a version: of all its units, and without each part in each dealing."""

    values: Mapping[Key, float]
    left_out: Mapping[Key, tuple[LeftOut, ...]]
    n_units: int


def compare_interpolated(
    versions: tuple[Measured, Measured],
    setting: Setting,
    shown: Mapping[Key, float],
    count_units: Callable[[Key], int],
) -> FoundDealt:
    """The evidence of all numbers that follow from weights of images with boxes.

    Test sets that are not the same are left out apart: what they share makes a difference surer
    than this says.

    Args:
        versions: Baseline and candidate.
        setting: What the units are, and whether the images are paired.
        shown: The differences that are shown; NaN have no evidence.
        count_units: How many units tell of a number at an end of its scale.
    """
    baseline, candidate = (
        _leave_out_parts(version, idx)
        for version, idx in zip(versions, setting.units.of_versions, strict=True)
    )
    what = "groups" if setting.grouped else "images"
    n_units = min(baseline.n_units, candidate.n_units)
    evidence, reasons = {}, {}
    for key in baseline.values.keys() & candidate.values.keys():
        if isnan(shown.get(key, nan)):
            continue
        found = _compare(key, (baseline, candidate), shown[key], count_units(key), setting)
        evidence[key] = found
        if isnan(found.standard_error):
            reasons[key] = UNDEFINED_WITHOUT_ONE.format(what=what)
        elif n_units <= MIN_DEGREES:
            reasons[key] = f"no interval: of {n_units} {what}, and {MIN_DEGREES + 1:.0f} are needed"
    return FoundDealt(evidence=evidence, reasons=reasons)


def _compare(
    key: Key, sides: tuple[_Side, _Side], difference: float, n_shown: int, setting: Setting
) -> DealtDifference:
    baseline, candidate = (
        Dealt.of(side.values[key], side.left_out[key], n_shown or side.n_units) for side in sides
    )
    bias, correlation = candidate.bias - baseline.bias, 0.0
    error = sqrt(baseline.standard_error**2 + candidate.standard_error**2)
    if setting.paired:
        pairs = zip(*(side.left_out[key] for side in sides), strict=True)
        covariance = float(np.mean([_find_covariance(*pair) for pair in pairs]))
        product = baseline.standard_error * candidate.standard_error
        correlation = min(max(covariance / product, -1.0), 1.0) if product > 0 else 0.0
        changes = np.array(
            [
                other.values - one.values
                for one, other in zip(*(side.left_out[key] for side in sides), strict=True)
            ]
        )
        error = _find_error(changes)
    return DealtDifference(
        difference=difference,
        baseline=baseline,
        candidate=candidate,
        correlation=correlation,
        bias=bias,
        standard_error=error,
    )


def _find_covariance(one: LeftOut, other: LeftOut) -> float:
    """Of two numbers without the same parts."""
    n = one.n_units
    moved = one.values - one.values.mean(), other.values - other.values.mean()
    return float(moved[0] @ moved[1]) * (n - 1) / n


def _find_error(changes: FloatArray) -> float:
    """The standard error of a difference, from (n_dealings, n_parts); 0 where nothing moves it."""
    n = changes.shape[1]
    around = changes - changes.mean(axis=1, keepdims=True)
    error = sqrt(float(np.square(around).sum(axis=1).mean()) * (n - 1) / n)
    return 0.0 if error <= _ROUNDING else error


def _leave_out_parts(version: Measured, unit_idx: IntArray) -> _Side:
    """The statistics of one version; an image of unit -1 is left out."""
    is_in = unit_idx >= 0
    own = np.unique(unit_idx[is_in])
    codes = np.searchsorted(own, unit_idx)
    compute, column = version.measure.compute_statistics, is_in[:, np.newaxis]
    whole, without = compute(column.astype(np.float32)), []
    for dealt, n_parts in deal_parts(len(own)):
        parts = np.append(dealt, -1)[codes][:, np.newaxis]
        without.append(compute((column & (parts != np.arange(n_parts))).astype(np.float32)))
    return _Side(
        values={key: float(values[0]) for key, values in whole.items()},
        left_out={
            key: tuple(
                LeftOut(values=one[key], times=np.ones(len(one[key]), dtype=np.int64))
                for one in without
            )
            for key in whole
        },
        n_units=len(own),
    )


def _reach(estimate: Dealt, confidence: float) -> tuple[float, float]:
    """How far the interval of a number reaches below and above it."""
    low, high = estimate.find_ends(confidence)
    return estimate.value - low, high - estimate.value


def _combine(x: float, y: float, correlation: float) -> float:
    return sqrt(max(x * x + y * y - 2 * correlation * x * y, 0.0))

"""How surely two numbers of the same units differ, from what each is without every unit.

MOVER, the method of variance estimates recovery (Zou & Donner, Statistics in Medicine 27, 2008):
the interval of a difference is made of the intervals of both numbers, whose skew it keeps, and of
the correlation that the jackknife finds between them. For two shares it is Newcombe's method 10.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.jackknife import Jackknife, Scale, compute_interval

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

"""How surely the debiased calibration errors of two versions differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.calibration import (
    CalibrationBins,
    bin_predictions,
    debias_calibration_error,
    find_bins,
    find_effect,
    find_slopes,
)
from mlrek.metrics.intervals import compute_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The predictions of one version, (n,) each; `unit_idx` is -1 where its image is no unit."""

    confidence: FloatArray
    is_right: BoolArray
    unit_idx: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChange:
    """The difference of two debiased calibration errors, candidate minus baseline.

    Its interval is made of those of both errors and of the correlation between them (MOVER, Zou &
    Donner 2008). An error that may be 0 is held to be as low as that, where the other is not: of a
    calibrated version chance makes the value too high, never too low. `effects` are how many times
    as uncertain the gaps are as of independent images, as where groups are the units.
    """

    baseline: CalibrationBins
    candidate: CalibrationBins
    effects: tuple[float, float]
    correlation: float
    standard_error: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end; always there, as an error of 0 may be one of chance."""
        margin = compute_margin(confidence)
        before, after = (
            debias_calibration_error(bins, margin, effect)
            for bins, effect in zip((self.baseline, self.candidate), self.effects, strict=True)
        )
        change = after.value - before.value
        low = change - self._combine(after.value - after.low, before.high - before.value)
        high = change + self._combine(after.high - after.value, before.value - before.low)
        if before.low == 0 < after.low:
            high = max(high, after.high)
        if after.low == 0 < before.low:
            low = min(low, -before.high)
        return low, high

    def _combine(self, x: float, y: float) -> float:
        """As of numbers whose correlation is the square: what they share is half of chance."""
        shared = self.correlation * abs(self.correlation)
        return sqrt(max(x * x + y * y - 2 * shared * x * y, 0.0))


def compare_calibration(
    sides: Sequence[Predicted], n_units: int, *, are_groups: bool
) -> CalibrationChange:
    """The evidence of two versions, each with a prediction at least.

    How far a prediction moves the error of its version is the gap of its own, right or wrong minus
    confidence, times the slope of the error in the gap of its bin; the errors are as correlated as
    these moves are over the units.

    Args:
        sides: Baseline and candidate.
        n_units: How many units there are.
        are_groups: Whether these are groups of images.
    """
    bins = [bin_predictions(side.confidence, side.is_right) for side in sides]
    effects = [
        find_effect(side.is_right - side.confidence, side.unit_idx + 1) if are_groups else 1.0
        for side in sides
    ]
    expected, plain = (
        [
            _sum_moves(side, find_slopes(own, effect, are_sure=are_sure), n_units)
            for side, own, effect in zip(sides, bins, effects, strict=True)
        ]
        for are_sure in (False, True)
    )
    size = sqrt(float(expected[0] @ expected[0]) * float(expected[1] @ expected[1]))
    return CalibrationChange(
        baseline=bins[0],
        candidate=bins[1],
        effects=(effects[0], effects[1]),
        correlation=float(expected[0] @ expected[1]) / size if size else 0.0,
        standard_error=float(np.linalg.norm(plain[1] - plain[0])),
    )


def _sum_moves(side: Predicted, slopes: FloatArray, n_units: int) -> FloatArray:
    """How far each unit moves the calibration error of a version, (n_units,)."""
    own = slopes[find_bins(side.confidence)]
    moves = own * (side.is_right - side.confidence) / len(own)
    moves -= moves.mean()
    kept = side.unit_idx >= 0
    sums = np.bincount(side.unit_idx[kept], weights=moves[kept], minlength=n_units)
    return np.asarray(sums, dtype=np.float64)

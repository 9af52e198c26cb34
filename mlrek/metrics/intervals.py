"""How sure a number is: intervals, by formula for shares and by resampling for all others."""

from collections.abc import Mapping
from math import isnan, nan
from typing import Final, TypeAlias

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics import Number
from mlrek.metrics.resampling import CONFIDENCE, Bootstrap, Statistic, evaluate, merge, resample

NO_IMAGES_REASON: Final = "no interval: the share is of no image at all"
ZERO_WIDTH_REASON: Final = (
    "no interval: resampling the images never changes the value, which shows too few images, "
    "not certainty"
)

Plan: TypeAlias = Statistic | str
"""How to compute numbers, or why they cannot be."""

_MIN_DEFINED_SHARE: Final = 0.9
_ZERO_WIDTH: Final = 1e-12  # wider than rounding in the sums of a resample


def compute_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution: 1.96 at 0.975."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def compute_margin(confidence: float) -> float:
    """How many standard errors an interval reaches to each side: 1.96 at 0.95."""
    return compute_quantile(0.5 + confidence / 2)


def compute_wilson(
    successes: IntArray | FloatArray, n: IntArray | FloatArray, confidence: float = CONFIDENCE
) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of a share (Wilson 1927), without continuity correction.

    Returns:
        Lower and upper ends, of the arguments' shape; NaN where `n` is 0.
    """
    z = compute_margin(confidence)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        scale = 1 + z**2 / n
        center = (share + z**2 / (2 * n)) / scale
        half = z / scale * np.sqrt(share * (1 - share) / n + z**2 / (4 * np.square(n)))
        low = np.where(np.equal(successes, 0) & np.greater(n, 0), 0.0, center - half)
        high = np.where(np.equal(successes, n) & np.greater(n, 0), 1.0, center + half)
    return low, high


def share_of_images(successes: int, n: int, confidence: float = CONFIDENCE) -> Number:
    """A plain share with Wilson's interval; `n` must not be 0."""
    low, high = compute_wilson(np.array(successes), np.array(n), confidence)
    return Number(value=successes / n, low=float(low), high=float(high))


def resampled_number(
    value: float,
    resampled: FloatArray,
    *,
    undefined: str = "",
    confidence: float = CONFIDENCE,
) -> Number:
    """A number with the percentile interval of its values in resamples (Efron 1979).

    Resamples where it is undefined are left out; where these are more than one in ten, or where all
    others agree, there is no interval. `undefined` is the reason of a value that is NaN.
    """
    if isnan(value):
        return Number(value=nan, reason=undefined)
    defined = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return Number(value=value, reason="no interval: no resamples were asked for")
    if len(defined) < _MIN_DEFINED_SHARE * len(resampled):
        n_undefined = len(resampled) - len(defined)
        return Number(
            value=value,
            reason=f"no interval: undefined in {n_undefined} of {len(resampled)} resamples",
        )
    low, high = (float(end) for end in np.percentile(defined, _find_percentiles(confidence)))
    if high - low <= _ZERO_WIDTH:
        return Number(value=value, reason=ZERO_WIDTH_REASON)
    return Number(value=value, low=low, high=high)


def resampled_numbers(
    values: Mapping[str, FloatArray],
    resampled: Mapping[str, FloatArray],
    undefined: Mapping[str, str],
    confidence: float = CONFIDENCE,
) -> dict[str, Number]:
    """`resampled_number` for each name; a name without resamples has no interval."""
    return {
        name: resampled_number(
            float(value),
            resampled.get(name, np.empty(0)),
            undefined=undefined.get(name, ""),
            confidence=confidence,
        )
        for name, value in values.items()
    }


def compute_planned(
    plans: Mapping[tuple[str, ...], Plan],
    n_images: int,
    bootstrap: Bootstrap,
    undefined: Mapping[str, str],
) -> dict[str, Number]:
    """Numbers with bootstrap intervals, all from the same resamples.

    Args:
        plans: Names of numbers and the statistic that gives them, or why there is none.
        n_images: The number of images, not 0.
        bootstrap: How to resample, and the confidence of the intervals.
        undefined: Why a number that a statistic leaves NaN is undefined.
    """
    numbers: dict[str, Number] = {}
    if statistics := [plan for plan in plans.values() if not isinstance(plan, str)]:
        statistic = merge(statistics)
        values, resampled = evaluate(statistic, n_images), resample(statistic, n_images, bootstrap)
        numbers = resampled_numbers(values, resampled, undefined, bootstrap.confidence)
    missing = {
        name: Number(value=nan, reason=plan)
        for names, plan in plans.items()
        if isinstance(plan, str)
        for name in names
    }
    return {name: (numbers | missing)[name] for names in plans for name in names}


def _find_percentiles(confidence: float) -> tuple[float, float]:
    """2.5 and 97.5 at 0.95, rounded because 1 - 0.95 is not 0.05 in binary."""
    tail = round(50 * (1 - confidence), 9)
    return tail, 100 - tail

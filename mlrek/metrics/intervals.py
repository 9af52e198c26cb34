"""How sure a share is: intervals by formula."""

from typing import TypeAlias

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.resampling import CONFIDENCE, Statistic

Plan: TypeAlias = Statistic | str
"""How to compute numbers, or why they cannot be."""


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

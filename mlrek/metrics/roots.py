"""Where a function is zero: Brent's method, without the import of all optimizers of SciPy."""

from collections.abc import Callable
from math import inf
from typing import Final

_NEAR: Final = 2e-12
_NEAR_BY_SHARE: Final = 2.0**-50
_MAX_STEPS: Final = 100


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a continuous function is 0, between two places at which its signs differ.

    Does what `scipy.optimize.brentq` does with its own tolerances, step by step (Brent 1973,
    "Algorithms for minimization without derivatives", chapter 4).

    Raises:
        ValueError: The signs do not differ.
    """
    x0, x1, y0, y1 = low, high, function(low), function(high)
    if y0 == 0 or y1 == 0:
        return x0 if y0 == 0 else x1
    if (y0 < 0) == (y1 < 0):
        raise ValueError("the function has the same sign at both places")
    x2, y2, step, earlier = x0, y0, x1 - x0, x1 - x0
    for _ in range(_MAX_STEPS):
        if y0 != 0 and y1 != 0 and (y0 < 0) != (y1 < 0):  # x2: on the root's other side
            x2, y2, step, earlier = x0, y0, x1 - x0, x1 - x0
        if abs(y2) < abs(y1):
            x0, x1, x2, y0, y1, y2 = x1, x2, x1, y1, y2, y1
        near, half = (_NEAR + _NEAR_BY_SHARE * abs(x1)) / 2, (x2 - x1) / 2
        if y1 == 0 or abs(half) < near:
            return x1
        tried = inf
        if abs(earlier) > near and abs(y1) < abs(y0):
            tried = _interpolate((x0, x1, x2), (y0, y1, y2))
        is_short = 2 * abs(tried) < min(abs(earlier), 3 * abs(half) - near)
        earlier, step = (step, tried) if is_short else (half, half)
        x0, y0 = x1, y1
        x1 += step if abs(step) > near else near if half > 0 else -near
        y1 = function(x1)
    return x1


def _interpolate(x: tuple[float, float, float], y: tuple[float, float, float]) -> float:
    """The step from x[1] by a line through two places, or by an inverse parabola through three."""
    if x[0] == x[2]:
        return -y[1] * (x[1] - x[0]) / (y[1] - y[0])
    slope_0, slope_2 = (y[0] - y[1]) / (x[0] - x[1]), (y[2] - y[1]) / (x[2] - x[1])
    return -y[1] * (y[2] * slope_2 - y[0] * slope_0) / (slope_2 * slope_0 * (y[2] - y[0]))

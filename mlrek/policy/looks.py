"""Many candidates checked on one test set: the chance of a false "better", and what it costs.

Each check at a confidence 1 - α lets a version that is no better pass with a chance of at most α/2,
as its interval has two sides. Of n such versions at least one passes more often than that. Who does
not want this holds the k-th to α/(k(k+1)), which adds up to α however many there are.
"""

import math
from dataclasses import replace
from statistics import NormalDist
from typing import Final

import numpy as np

from mlrek.policy import Better, Looks, Policy

_NORMAL: Final = NormalDist()
_BOUND, _POINTS = 9.0, 721


def compute_chance(n: int, confidence: float) -> float:
    """The chance that at least one of n versions, none of them better, passes as better.

    Each is compared with the same baseline, so that all differences share its luck: they have a
    correlation of 1/2 where the versions differ from one another as much as from the baseline
    (Dunnett 1955, one-sided). For n = 1 it is half of what the confidence leaves open.

    >>> [round(compute_chance(n, 0.95), 3) for n in (1, 2, 20)]
    [0.025, 0.045, 0.21]
    """
    limit = _NORMAL.inv_cdf((1 + confidence) / 2) * math.sqrt(2)
    luck = np.linspace(-_BOUND, _BOUND, _POINTS)
    below = np.array([_NORMAL.cdf(limit + z) for z in luck.tolist()])
    density = np.exp(-(luck**2) / 2) / math.sqrt(2 * math.pi)
    none_passes = float(np.sum(density * below**n) * (luck[1] - luck[0]))
    return min(1.0, max(0.0, 1 - none_passes))


def hold_to_look(confidence: float, k: int) -> float:
    """The confidence that the k-th candidate is held to: 1 - α/(k(k+1)), for 1 - α.

    >>> [round(hold_to_look(0.95, k), 6) for k in (1, 2, 20)]
    [0.975, 0.991667, 0.999881]
    """
    return 1 - (1 - confidence) / (k * (k + 1))


def bound_chance(n: int, confidence: float) -> float:
    """At most that chance where the k-th of n versions is held to α/(k(k+1))."""
    return (1 - confidence) / 2 * n / (n + 1)


def judge_looks(found: Looks | None, policy: Policy) -> Looks | None:
    """The looks as a policy takes them: with the chance that its checks leave."""
    if found is None:
        return None
    adjusted = policy.test_set.adjust_for_looks
    asked = [check.confidence for check in policy.relative if isinstance(check, Better)]
    compute = bound_chance if adjusted else compute_chance
    is_known = bool(asked) and found.count is not None
    chance = compute(found.total, min(asked)) if is_known else math.nan
    return replace(found, chance=chance, adjusted=adjusted)

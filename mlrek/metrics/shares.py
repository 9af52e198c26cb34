"""Plain shares with Wilson's interval, also of groups, and means of shares with MOVER's."""

from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics import Number
from mlrek.metrics.counts import divide
from mlrek.metrics.intervals import compute_margin, compute_wilson
from mlrek.metrics.jackknife import compute_student

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

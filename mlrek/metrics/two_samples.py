"""Tests of two groups of different images, many at once: shares of right ones, and means."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.counts import divide
from mlrek.metrics.intervals import compute_wilson

_NEGLIGIBLE: Final = 1e-18


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Of some values: how many, their sum and the sum of their squares, (n,) each."""

    n: IntArray
    total: FloatArray
    squares: FloatArray

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(
            n=self.n - other.n,
            total=self.total - other.total,
            squares=self.squares - other.squares,
        )

    def take(self, places: Any) -> "Sums":
        """Those at `places`, an index of numpy."""
        return Sums(n=self.n[places], total=self.total[places], squares=self.squares[places])

    @property
    def mean(self) -> FloatArray:
        """The mean, NaN of none."""
        return divide(self.total, self.n)

    @property
    def variance(self) -> FloatArray:
        """The unbiased variance, NaN of fewer than two; never below 0."""
        spread = np.maximum(self.squares - divide(np.square(self.total), self.n, empty=0.0), 0.0)
        return divide(spread, np.maximum(self.n - 1, 0))


def fisher_mid_p(
    successes: IntArray, n: IntArray, others: IntArray, n_others: IntArray
) -> FloatArray:
    """Fisher's exact test of two shares, two-sided mid-p, for each pair of shares.

    Given all successes, those of the first group are hypergeometric where both shares are equal.
    p is twice the smaller of P(X < x) + P(X = x) / 2 and P(X > x) + P(X = x) / 2. Without the half
    (Fisher's own) the test names too few: its true size is far below what it is held to where
    counts are small. With it the size is near that on average (Lancaster 1961; Hirji, Tan and
    Elashoff, Statistics in Medicine 10, 1137-1153, 1991). It is the test of independent groups that
    goes with McNemar's mid-p of pairs.

    Args:
        successes: Of the first group, (n_pairs,).
        n: Its images, (n_pairs,).
        others: Successes of the second one, (n_pairs,).
        n_others: Its images, (n_pairs,).

    Returns:
        Between 0 (below the smallest double) and 1; 1 where all are successes, or none.
    """
    x, total, n_all = (
        part.astype(np.float64) for part in (successes, successes + others, n + n_others)
    )
    is_upper = x * n_all > n * total
    # The upper tail of successes is the lower one of failures.
    x = np.where(is_upper, n - x, x)
    total = np.where(is_upper, n_all - total, total)
    at, below = _sum_lower(x, n.astype(np.float64), total, n_all)
    tail = below + at / 2
    return np.asarray(np.clip(2 * np.minimum(tail, 1 - tail), 0.0, 1.0))


def _sum_lower(
    x: FloatArray, n: FloatArray, total: FloatArray, n_all: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """P(X = x) and P(X < x) of n drawn from n_all of which `total` are successes."""
    from scipy.special import gammaln

    def choose(a: FloatArray, b: FloatArray) -> FloatArray:
        return np.asarray(gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1))

    at = np.exp(choose(total, x) + choose(n_all - total, n - x) - choose(n_all, n))
    below, active = np.zeros_like(at), np.arange(len(at))
    k, term = x.copy(), at.copy()  # from x down, each term by its ratio to the one before
    while len(active):
        others_left = n_all[active] - total[active] - n[active] + k
        term = term * k * others_left / ((total[active] - k + 1) * (n[active] - k + 1))
        k = k - 1
        below[active] += term
        more = term > _NEGLIGIBLE * (below[active] + at[active])
        active, k, term = active[more], k[more], term[more]
    return at, below


def compare_newcombe(
    first: tuple[IntArray, IntArray], second: tuple[IntArray, IntArray], confidence: float
) -> tuple[FloatArray, FloatArray]:
    """The interval of the first share minus the second, of many (Newcombe 1998, method 10).

    Args:
        first: Successes and n of the first group, (n_pairs,) each.
        second: Of the second one.
        confidence: Of the interval.
    """
    share, other = divide(*first), divide(*second)
    low, high = compute_wilson(*first, confidence)
    other_low, other_high = compute_wilson(*second, confidence)
    difference = share - other
    return (
        difference - np.hypot(share - low, other_high - other),
        difference + np.hypot(high - share, other - other_low),
    )


def welch_p(first: Sums, second: Sums) -> FloatArray:
    """Welch's test of two means with unequal variances, two-sided, for each pair.

    Returns:
        1 where both groups hold one and the same value; 0 where they hold two different ones.
    """
    from scipy.special import stdtr

    error, degrees = _find_error(first, second)
    difference = np.abs(first.mean - second.mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(degrees, -difference / error)
    return np.where(error > 0, p, np.where(difference > 0, 0.0, 1.0))


def compare_welch(first: Sums, second: Sums, confidence: float) -> tuple[FloatArray, FloatArray]:
    """The interval of the first mean minus the second by Welch's degrees of freedom, of many."""
    from scipy.special import stdtrit

    error, degrees = _find_error(first, second)
    difference = first.mean - second.mean
    reach = stdtrit(degrees, 0.5 + confidence / 2) * error
    return difference - reach, difference + reach


def _find_error(first: Sums, second: Sums) -> tuple[FloatArray, FloatArray]:
    """The standard error of the difference of means, and its degrees of freedom (Welch 1947)."""
    parts = [divide(one.variance, one.n) for one in (first, second)]
    variance = parts[0] + parts[1]
    spread = sum(
        divide(np.square(part), one.n - 1) for part, one in zip(parts, (first, second), strict=True)
    )
    degrees = divide(np.square(variance), np.asarray(spread), empty=1.0)
    return np.sqrt(variance), np.maximum(degrees, 1.0)


def as_counts(sums: Sums) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Successes and n of values that are 0 or 1."""
    return np.rint(sums.total).astype(np.int64), sums.n.astype(np.int64)

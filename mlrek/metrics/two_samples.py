"""Tests of two groups of different images, many at once: shares of right ones, and means."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.counts import divide
from mlrek.metrics.intervals import compute_wilson

_NEGLIGIBLE: Final = 1e-18
_EVEN: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Of some values: how many, and the sums of them, of squares and of cubes, (n,) each."""

    n: IntArray
    total: FloatArray
    squares: FloatArray
    cubes: FloatArray

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            n=self.n + other.n,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            cubes=self.cubes + other.cubes,
        )

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(
            n=self.n - other.n,
            total=self.total - other.total,
            squares=self.squares - other.squares,
            cubes=self.cubes - other.cubes,
        )

    def take(self, places: Any) -> "Sums":
        """Those at `places`, an index of numpy."""
        return Sums(
            n=self.n[places],
            total=self.total[places],
            squares=self.squares[places],
            cubes=self.cubes[places],
        )

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
    first: tuple[IntArray | FloatArray, IntArray | FloatArray],
    second: tuple[IntArray | FloatArray, IntArray | FloatArray],
    confidence: float,
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


def permutation_p(first: Sums, second: Sums) -> FloatArray:
    """Whether values of two groups are dealt out at random, two-sided, for each pair of groups.

    Given all values, the mean of the first group has a known mean, variance and skewness over all
    ways to deal them; its distribution is taken to be Pearson's of type III with these, as that of
    a normal one fails for few skewed values. p is twice the smaller tail, as in Fisher's test,
    which is the same one of values 0 and 1. Welch's test does not hold here: 20 images that all
    have the score 1 show no spread, and are called better far too often (see
    `tests/proof/README.md`).

    Returns:
        1 where all values are the same.
    """
    from scipy.special import gammainc, gammaincc, ndtr

    z, skewness = _standardise(first, first + second)
    is_even = np.abs(skewness) < _EVEN
    shape = 4 / np.square(np.where(is_even, 1.0, skewness))
    reached = np.maximum(shape + np.sign(skewness) * np.sqrt(shape) * z, 0.0)
    tails = np.minimum(gammainc(shape, reached), gammaincc(shape, reached))
    return np.asarray(np.minimum(2 * np.where(is_even, ndtr(-np.abs(z)), tails), 1.0))


def compare_means(first: Sums, second: Sums, confidence: float) -> tuple[FloatArray, FloatArray]:
    """The interval of the first mean minus the second, of values from 0 to 1, of many.

    Newcombe's of Wilson's intervals, each of as many images as would have this variance with values
    0 and 1.
    """
    groups = [(one.mean * _find_worth(one), _find_worth(one)) for one in (first, second)]
    return compare_newcombe(groups[0], groups[1], confidence)


def _find_worth(sums: Sums) -> FloatArray:
    mean = sums.mean
    spread = sums.variance
    worth = divide(sums.n * mean * (1 - mean), spread)
    return np.where((spread > 0) & (worth > 0), worth, sums.n.astype(np.float64))


def _standardise(part: Sums, whole: Sums) -> tuple[FloatArray, FloatArray]:
    """How many errors the mean of a part lies above that of all, and how skewed it is by chance."""
    n_all, mean = whole.n, whole.mean
    variance = np.maximum(divide(whole.squares, n_all) - np.square(mean), 0.0)
    third = divide(whole.cubes, n_all) - 3 * mean * divide(whole.squares, n_all) + 2 * mean**3
    has_spread = variance > _NEGLIGIBLE
    left = 1 - divide(part.n, n_all)
    error = np.sqrt(divide(variance * left * n_all, part.n * np.maximum(n_all - 1, 1)))
    z = divide(part.mean - mean, np.where(has_spread, error, 0.0), empty=0.0)
    skewness = divide(third, np.where(has_spread, variance**1.5, 0.0), empty=0.0)
    return z, divide(skewness * (2 * left - 1), np.sqrt(part.n * left), empty=0.0)


def as_counts(sums: Sums) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Successes and n of values that are 0 or 1."""
    return np.rint(sums.total).astype(np.int64), sums.n.astype(np.int64)

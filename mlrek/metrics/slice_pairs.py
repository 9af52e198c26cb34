"""Common images of two slices of different columns: a family of tests of their own.

Most pairs do badly because one of their slices does. So a pair is worse (or better) only where it
differs from the rest of the images, from the rest of its first slice and from the rest of its
second one, all in one direction: its p is the largest of the three (an intersection-union test,
Berger, Technometrics 24, 295-300, 1982), which holds without a correction for there being three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.counts import divide
from mlrek.metrics.paired_tests import adjust_holm
from mlrek.metrics.slice_rows import LEVEL, compute_p, rank_evidence
from mlrek.metrics.slice_tables import Layer, PairSums, ScoreSums
from mlrek.metrics.two_samples import Sums

MAX_PAIR_WORK: Final = 10**7
"""Images times pairs of columns that are looked at."""
SHOWN_PAIRS: Final = 100
"""Pairs that are shown whatever they tell, the worst ones."""

_MAX_EXACT: Final = 2_000
_CLEARLY_APART: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedPairs:
    """Pairs that were tested, worst first: all that are worse or better, and the worst others.

    `first`, `second` (n,) are the parts; `mine` and `rest` what is known of their images and of all
    others; `p`, `p_adjusted` (n,). `n_tried` are all pairs tested.
    """

    first: IntArray
    second: IntArray
    mine: Sums
    rest: Sums
    p: FloatArray
    p_adjusted: FloatArray
    n_tried: int


def choose_columns(layers: Sequence[Layer], n_images: int) -> Sequence[Layer]:
    """The first columns of which all pairs can be looked at."""
    n = len(layers)
    while n * (n - 1) // 2 * n_images > MAX_PAIR_WORK:
        n -= 1
    return layers[:n]


def compare_pairs(
    layers: Sequence[Layer], singles: Sums, sums: ScoreSums, min_images: int, *, are_shares: bool
) -> TestedPairs:
    """Test the common images of each two slices.

    Pairs that hold the same images as one of their slices are no pairs, and neither are those that
    hold all images.
    """
    pairs = _drop_singles(sums.sum_pairs(layers, min_images), singles)
    mine, whole = pairs.common, sums.whole
    rest = whole.take(np.zeros(len(mine.n), dtype=np.int64)) - mine
    others = [rest, *(singles.take(one) - mine for one in (pairs.first, pairs.second))]
    p = _find_largest_p(mine, others, are_shares=are_shares)
    adjusted, difference = adjust_holm(p), mine.mean - rest.mean
    shown = _choose_shown(p, adjusted, difference)
    return TestedPairs(
        first=pairs.first[shown],
        second=pairs.second[shown],
        mine=mine.take(shown),
        rest=rest.take(shown),
        p=p[shown],
        p_adjusted=adjusted[shown],
        n_tried=int(np.count_nonzero(~np.isnan(p))),
    )


def _drop_singles(pairs: PairSums, singles: Sums) -> PairSums:
    smaller = np.minimum(singles.n[pairs.first], singles.n[pairs.second])
    kept = np.flatnonzero(pairs.common.n < smaller)
    return PairSums(
        first=pairs.first[kept], second=pairs.second[kept], common=pairs.common.take(kept)
    )


def _find_largest_p(mine: Sums, others: Sequence[Sums], *, are_shares: bool) -> FloatArray:
    """The largest p of each pair against all others; 1 where the differences disagree."""
    differences = np.array([mine.mean - other.mean for other in others])
    agree = np.asarray((differences < 0).all(axis=0) | (differences > 0).all(axis=0))
    near = np.min([np.abs(_standardise(mine, other)) for other in others], axis=0)
    near = np.where(agree, near, 0.0)
    enough = np.sort(near)[-min(_MAX_EXACT, len(near)) :][:1]
    open_ = np.flatnonzero(agree & ((near >= _CLEARLY_APART) | (near >= enough)))
    # The others could not be worse or better after Holm, nor among the worst: p by the normal one.
    p = np.where(agree, _approximate(near), 1.0)
    p[open_] = np.max(
        [compute_p(mine.take(open_), other.take(open_), are_shares=are_shares) for other in others],
        axis=0,
        initial=0.0,
    )
    return p


def _approximate(z: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(2 * ndtr(-z))


def _standardise(first: Sums, second: Sums) -> FloatArray:
    """The difference of means over its error where both are of one population."""
    n = first.n + second.n
    mean = (first.total + second.total) / n
    variance = np.maximum((first.squares + second.squares) / n - np.square(mean), 0.0)
    error = np.sqrt(variance * (1 / first.n + 1 / np.maximum(second.n, 1)))
    difference = first.mean - second.mean
    return divide(difference, error, empty=0.0)


def _choose_shown(p: FloatArray, adjusted: FloatArray, difference: FloatArray) -> IntArray:
    """All that are worse or better, and the worst others, worst first."""
    order = np.lexsort((difference, rank_evidence(p, difference)))
    is_judged = (adjusted <= LEVEL)[order]
    is_worst = np.cumsum(~is_judged) <= SHOWN_PAIRS
    return order[is_judged | is_worst]

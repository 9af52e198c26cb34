"""Rows of slices: what tests say of them, their order, and which are shown with another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.slice_tables import Layer
from mlrek.metrics.slices import MIN_SLICE_IMAGES, SliceJudgement, SliceRow
from mlrek.metrics.two_samples import (
    Sums,
    as_counts,
    compare_means,
    compare_newcombe,
    fisher_mid_p,
    permutation_p,
)

LEVEL: Final = 0.05
"""A slice is worse or better where p after Holm is at most that."""

MIN_OF_MEAN: Final = 50
"""Images that the interval of a difference of means needs (see `tests/proof/README.md`)."""

_PLACES: Final = (SliceJudgement.WORSE, SliceJudgement.UNDECIDED, SliceJudgement.BETTER)
_SAMPLE: Final = 16


def compute_p(first: Sums, second: Sums, *, are_shares: bool) -> FloatArray:
    """The p of each pair of groups; NaN where one of two means has too few images to be tested."""
    if are_shares:
        return fisher_mid_p(*as_counts(first), *as_counts(second))
    are_few = np.minimum(first.n, second.n) < MIN_SLICE_IMAGES
    return np.where(are_few, np.nan, permutation_p(first, second))


def compute_ends(
    first: Sums, second: Sums, confidence: float, *, are_shares: bool
) -> tuple[FloatArray, FloatArray]:
    """The interval of first minus second; NaN where one of two means has too few images."""
    if are_shares:
        return compare_newcombe(as_counts(first), as_counts(second), confidence)
    are_few = np.minimum(first.n, second.n) < MIN_OF_MEAN
    low, high = compare_means(first, second, confidence)
    return np.where(are_few, np.nan, low), np.where(are_few, np.nan, high)


def judge_slices(difference: FloatArray, p_adjusted: FloatArray) -> list[SliceJudgement]:
    """Worse or better where p is small enough; undecided without one."""
    worse, better = (
        (p_adjusted <= LEVEL) & (difference < 0),
        (p_adjusted <= LEVEL) & (difference > 0),
    )
    codes = np.select([worse, better], [0, 2], 1)
    return [_PLACES[code] for code in codes.tolist()]


def order_rows(rows: Iterable[SliceRow]) -> list[SliceRow]:
    """Worst first: worse, undecided, better; within these by `rank_evidence`, then by name."""

    def key(row: SliceRow) -> tuple[int, float, float, str]:
        evidence = rank_evidence(np.array([row.p]), np.array([row.difference]))
        return _PLACES.index(row.judgement), float(evidence[0]), row.difference, row.name

    return sorted(rows, key=key)


def rank_evidence(p: FloatArray, difference: FloatArray) -> FloatArray:
    """From 0, surely worse, by way of 1 to 2, surely better: p below the rest, else 2 less p."""
    known = np.where(np.isnan(p), 1.0, p)
    return np.where(difference < 0, known, 2 - known)


def join_nested(
    rows: Sequence[SliceRow], members: Mapping[str, frozenset[int]], layers: Sequence[Layer]
) -> list[SliceRow]:
    """Of judged rows that hold each other's images and tell the same, the surest names the others.

    Args:
        rows: Of single slices, or of pairs.
        members: The parts whose common images a row is, by its name.
        layers: All slices.
    """
    judged = [row for row in rows if row.judgement is not SliceJudgement.UNDECIDED]
    surest: list[tuple[SliceRow, frozenset[int]]] = []
    found: dict[str, str] = {}
    for row in sorted(judged, key=lambda row: row.p):
        around, mine = _find_around(row.images, layers), members[row.name]
        holder = next(
            (
                one.name
                for one, other_around in surest
                if one.judgement is row.judgement
                and (members[one.name] <= around or mine <= other_around)
            ),
            "",
        )
        if holder:
            found[row.name] = holder
        else:
            surest.append((row, around))
    return [replace(row, part_of=found.get(row.name, "")) for row in rows]


def _find_around(images: IntArray, layers: Sequence[Layer]) -> frozenset[int]:
    """The parts that hold all these images."""
    sample = images[:: max(1, len(images) // _SAMPLE)]
    around: set[int] = set()
    for layer in layers:
        if layer.image_idx is not None:
            is_mine = np.isin(layer.image_idx, images)
            n = np.bincount(layer.codes[is_mine], minlength=layer.n_slices)
            around |= set(layer.parts[n == len(images)].tolist())
            continue
        code = int(layer.codes[images[0]])
        is_near = code < layer.n_slices and (layer.codes[sample] == code).all()
        if is_near and (layer.codes[images] == code).all():
            around.add(int(layer.parts[code]))
    return frozenset(around)

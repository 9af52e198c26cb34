"""Two versions in each slice of the images that both were tested on: where did it get worse?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from mlrek.comparison import Difference, Judgement, SliceDifference
from mlrek.comparison.judgements import IMAGES_RIGHT, RIGHT_NAMES, judge_slice
from mlrek.comparison.measured import Measured
from mlrek.comparison.pairing import Setting
from mlrek.evaluation import BoolArray, Evaluation, IntArray, SliceColumn
from mlrek.metrics.numbers import HEADLINES
from mlrek.metrics.paired_tests import adjust_holm

if TYPE_CHECKING:
    from mlrek.metrics.slices import Slice

MAX_NUMBERED: Final = 20
"""Slices whose headline numbers are compared, with intervals: those that stand first."""

ALPHA: Final = 0.05
_ORDER: Final = (Judgement.WORSE, Judgement.UNDECIDED, Judgement.UNCHANGED, Judgement.BETTER)

CompareImages = Callable[[IntArray], Sequence[Difference]]
"""Places of shared images, rising -> the differences of all numbers on these images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSlices:
    """Slices worst first, of how many in all, and what is to be said of their columns."""

    slices: tuple[SliceDifference, ...] = ()
    n_tried: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """Slices that hold the same images, and how the score differs on these."""

    names: tuple[str, ...]
    images: IntArray
    score: Difference


def compare_slices(
    versions: tuple[Measured, Measured], setting: Setting, compare_images: CompareImages
) -> ComparedSlices:
    """Each slice of at least 20 images that count, by the share of its images that are right.

    All slices tried are one family for Holm. The labels are none of them: they have a family of
    their own among the differences. Columns are the candidate's, then those that only the baseline
    has.

    Args:
        versions: Both on their shared images, in one order.
        setting: The shared images.
        compare_images: Compares all numbers on some of the images.
    """
    first, second = (version.evaluation for version in versions)
    columns, warnings = _join_columns(first, second)
    if not columns and second.detections is None:  # boxes have columns of their own
        return ComparedSlices(warnings=warnings)
    from mlrek.metrics.slices import LABEL_COLUMN, MIN_SLICE_IMAGES, list_slices  # none, mostly

    counted = versions[0].rows.counted & versions[1].rows.counted
    listed = list_slices(replace(second, slice_columns=columns))
    groups = _join_same(one for one in listed.slices if one.column != LABEL_COLUMN)
    kept = [
        (names, images)
        for names, images in groups
        if np.count_nonzero(counted[images]) >= MIN_SLICE_IMAGES
    ]
    right = versions[0].rows.is_right, versions[1].rows.is_right
    name = RIGHT_NAMES.get(second.task, (IMAGES_RIGHT,))[0]
    judged = _judge(
        [
            _Judged(
                names=names,
                images=images,
                score=judge_slice(name, right, images[counted[images]], setting),
            )
            for names, images in kept
        ]
    )
    numbers = HEADLINES[second.task]
    leaders = _find_leaders(judged)
    return ComparedSlices(
        slices=tuple(
            SliceDifference(
                names=one.names,
                images=tuple(second.images[i] for i in one.images.tolist()),
                score=one.score,
                numbers=_choose(compare_images(one.images), numbers) if i < MAX_NUMBERED else (),
                part_of=leaders.get(one.names[0], ""),
            )
            for i, one in enumerate(judged)
        ),
        n_tried=len(judged),
        warnings=(*warnings, *(listed.notes if judged else ())),
    )


def _join_columns(
    baseline: Evaluation, candidate: Evaluation
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """The candidate's columns and those that only the baseline has; where both disagree, said."""
    theirs = {column.name: column for column in baseline.slice_columns}
    mine = {column.name: column for column in candidate.slice_columns}
    n_other = {
        name: int(np.count_nonzero(_differ(theirs[name], mine[name])))
        for name in sorted(mine.keys() & theirs.keys())
    }
    warnings = tuple(
        f"column {name!r}: {n} of {len(candidate.images)} shared images have another value in the "
        "baseline; slices are made by the candidate's"
        for name, n in n_other.items()
        if n
    )
    further = (column for name, column in theirs.items() if name not in mine)
    return (*candidate.slice_columns, *further), warnings


def _differ(one: SliceColumn, other: SliceColumn) -> BoolArray:
    """Whether the values of an image differ, (n_images,); texts and numbers always do."""
    if one.numbers is not None and other.numbers is not None:
        unknown = np.isnan(one.numbers) & np.isnan(other.numbers)
        return np.asarray((one.numbers != other.numbers) & ~unknown)
    if one.codes is None or other.codes is None:
        return np.ones(len(one), dtype=np.bool_)
    places = {value: code for code, value in enumerate(other.values)}
    translated = np.array([places.get(value, -2) for value in one.values] + [-1], dtype=np.int64)
    return np.asarray(translated[one.codes] != other.codes)


def _join_same(slices: "Iterator[Slice]") -> list[tuple[tuple[str, ...], IntArray]]:
    """Names and images; slices that hold the same images are one, in the order of the first."""
    found: dict[bytes, tuple[list[str], IntArray]] = {}
    for one in slices:
        images = np.asarray(one.images, dtype=np.int64)
        found.setdefault(images.tobytes(), ([], images))[0].append(one.name)
    return [(tuple(names), images) for names, images in found.values()]


def _judge(found: Sequence[_Judged]) -> list[_Judged]:
    """With p adjusted over all of them, the worst first."""
    adjusted = adjust_holm(np.array([one.score.p for one in found], dtype=np.float64)).tolist()
    judged = []
    for one, p in zip(found, adjusted, strict=True):
        score = replace(one.score, p_adjusted=p)
        judged.append(replace(one, score=replace(score, judgement=_judge_score(score))))
    return sorted(judged, key=_order)


def _judge_score(score: Difference) -> Judgement:
    if score.p == 1 and score.difference == 0:
        return Judgement.UNCHANGED
    if not score.p_adjusted < ALPHA:
        return Judgement.UNDECIDED
    return Judgement.WORSE if score.difference < 0 else Judgement.BETTER


def _order(one: _Judged) -> tuple[int, float, tuple[str, ...]]:
    """Significantly worse ones first, then by the difference."""
    return _ORDER.index(one.score.judgement), one.score.difference, one.names


def _find_leaders(judged: Sequence[_Judged]) -> dict[str, str]:
    """By name the slice that speaks for one in it, or around it, which tells the same."""
    leaders: dict[str, str] = {}
    told = [j for j in judged if j.score.judgement in {Judgement.WORSE, Judgement.BETTER}]
    speaking: list[_Judged] = []
    for one in sorted(told, key=lambda j: (j.score.p, _order(j))):
        leader = next((other for other in speaking if _tells_same(one, other)), None)
        if leader is None:
            speaking.append(one)
        else:
            leaders[one.names[0]] = leader.names[0]
    return leaders


def _tells_same(one: _Judged, other: _Judged) -> bool:
    if one.score.judgement is not other.score.judgement:
        return False
    n_common = len(np.intersect1d(one.images, other.images, assume_unique=True))
    return n_common == min(len(one.images), len(other.images))


def _choose(differences: Sequence[Difference], names: Sequence[str]) -> tuple[Difference, ...]:
    """The headline numbers, in their order."""
    found = {d.name: d for d in differences if not d.label}
    return tuple(found[f"aggregate/{name}"] for name in names if f"aggregate/{name}" in found)

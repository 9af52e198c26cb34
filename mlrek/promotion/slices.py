"""The slices that a policy names: which images they are, and both versions on these alone.

A slice is what the candidate's columns say; a column that only the baseline has is joined by image.
Where both have it and disagree about images of a slice, the versions are not compared there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from mlrek.comparison import Verdict
from mlrek.evaluation import Evaluation, IntArray, SliceColumn, Task
from mlrek.formats.image_columns import cut_by_uri, with_columns
from mlrek.kinds import ANY_VALUE, MAX_VALUES, MAX_WHOLE
from mlrek.metrics.slices import (
    BOX_SIZE_COLUMN,
    IMAGE_SIZE_COLUMN,
    LABEL_COLUMN,
    MIN_SLICE_IMAGES,
    Slice,
    list_slices,
)
from mlrek.metrics.test_set import take_images
from mlrek.policy import (
    Candidate,
    Numbers,
    Opponent,
    Policy,
    Portion,
    Portions,
    SameTestSet,
)
from mlrek.policy.reading import count_test_images, is_of_whole
from mlrek.policy.relative import say_incomparable
from mlrek.promotion import Referred
from mlrek.promotion.baseline import compare_sides
from mlrek.text import join_said, say_nearest

MAX_NAME: Final = 80
"""Of a name in a message so many characters are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The slices of one version that a pattern names, `missing` says why there are none.

    `n_without` images have no value of the column, so they are in no slice.
    """

    column: str = ""
    slices: tuple[Slice, ...] = ()
    n_without: int = 0
    missing: str = ""


def cut_slices(
    policy: Policy,
    candidate: Referred,
    opponent: Opponent,
    baseline: Referred | None,
    describe: Callable[[Referred], Candidate],
) -> dict[str, Portions]:
    """The versions on each slice that the policy names, by how it names them.

    Args:
        policy: What is asked.
        candidate: The version that may be promoted.
        opponent: What it is compared with on all images.
        baseline: The version that this is, None where there is none.
        describe: Gives a version's numbers as a policy reads them.
    """
    compared = {rule.slice for rule in policy.relative}
    named = dict.fromkeys(rule.slice for rule in (*policy.floors, *policy.relative))
    cutter = Cutter(
        policy=policy,
        opponent=opponent,
        candidate=_with_columns(candidate, policy),
        baseline=None if baseline is None else _with_columns(baseline, policy),
        describe=describe,
    )
    return {
        pattern: cutter.cut(pattern, compares=pattern in compared) for pattern in named if pattern
    }


def _with_columns(referred: Referred, policy: Policy) -> Referred:
    """The version with the columns that the policy cuts from the URIs of images.

    A column of that name in the files gives way.
    """
    evaluation = referred.evaluation
    made = cut_by_uri(evaluation.images, policy.test_set.slice_by)
    return replace(referred, evaluation=with_columns(evaluation, made))


@dataclass(frozen=True, kw_only=True)
class Cutter:
    """Cuts both versions; what is computed of a slice is computed once."""

    policy: Policy
    opponent: Opponent
    candidate: Referred
    baseline: Referred | None
    describe: Callable[[Referred], Candidate]

    @cached_property
    def _known(self) -> dict[tuple[str, bool], Portion]:
        return {}

    @cached_property
    def _borrowed(self) -> frozenset[str]:
        """Columns that only the baseline has."""
        if self.baseline is None:
            return frozenset()
        own = {column.name for column in self.candidate.evaluation.slice_columns}
        return frozenset(c.name for c in self.baseline.evaluation.slice_columns) - own

    @cached_property
    def _own(self) -> Evaluation:
        """The candidate's evaluation with the columns that only the baseline has."""
        evaluation = self.candidate.evaluation
        if self.baseline is None or not self._borrowed:
            return evaluation
        other = self.baseline.evaluation
        joined = (
            _join_column(column, other.images, evaluation.images)
            for column in other.slice_columns
            if column.name in self._borrowed
        )
        return replace(evaluation, slice_columns=(*evaluation.slice_columns, *joined))

    @property
    def _is_whole(self) -> bool:
        """Whether each version is judged on its own test set."""
        comparison, same = self.opponent.comparison, self.policy.test_set.same
        is_same = comparison is not None and comparison.test_sets.verdict is Verdict.SAME
        return same is SameTestSet.ANY and not is_same

    @property
    def _least(self) -> int:
        return max(MIN_SLICE_IMAGES, self.policy.test_set.min_images_per_slice)

    def cut(self, pattern: str, *, compares: bool) -> Portions:
        """The slices of a pattern; `compares`: with the baseline on them."""
        found = _find_slices(self._own, pattern)
        theirs = _Found()
        if self.baseline is not None:
            theirs = _find_slices(self.baseline.evaluation, pattern)
        gone = tuple(self._list_gone(found, theirs))
        if not found.slices:
            said = f"; {gone[0].missing}" if gone and not _is_any(pattern) else ""
            return Portions(missing=f"{found.missing}{said}", gone=gone if said == "" else ())
        if len(found.slices) > MAX_VALUES:
            n = len(found.slices)
            reason = f"{_shorten(pattern)} names {n:,} slices, more than {MAX_VALUES:,}"
            return Portions(missing=f"{reason}: take a column with fewer values")
        note = self._note(found)
        portions = [replace(self._cut(one, compares=compares), note=note) for one in found.slices]
        if _is_any(pattern):
            portions += self._list_unknown(found)
        return Portions(portions=tuple(portions), gone=gone)

    def _list_unknown(self, found: _Found) -> Iterator[Portion]:
        """The images without a value, where they could be a slice: how it does nothing tells."""
        column, n = _shorten(found.column), found.n_without
        if n >= MIN_SLICE_IMAGES and found.column in _list_columns(self._own):
            reason = (
                f"{n:,} test images have no {column!r}: give each a value, or name single slices"
            )
            yield Portion(name=f"{column}=(no value)", n_images=n, missing=reason)

    def _note(self, found: _Found) -> str:
        column, n = _shorten(found.column), len(self._own.images)
        without = (
            f"{found.n_without:,} of {n:,} test images have no {column!r}, so they are in no slice "
            "of it"
        )
        borrowed = f"the candidate has no column {column!r}: the baseline's is taken, by image"
        return "; ".join(
            [
                *([without] if found.n_without else []),
                *([borrowed] if found.column in self._borrowed else []),
            ]
        )

    def _list_gone(self, found: _Found, theirs: _Found) -> Iterator[Portion]:
        """Slices of the baseline alone. Numbers are cut on each test set by itself."""
        own = {one.name for one in found.slices}
        if self.baseline is None or _is_cut(self.baseline.evaluation, theirs.column):
            return
        for one in theirs.slices[:MAX_VALUES]:
            if one.name not in own:
                n = len(one.images)
                reason = f"the baseline was tested on {n:,} images of it, the candidate on none"
                yield Portion(name=one.name, n_images=n, missing=reason)

    def _cut(self, one: Slice, *, compares: bool) -> Portion:
        key = one.name, compares
        if key not in self._known:
            self._known[key] = self._cut_anew(one, compares=compares)
        return self._known[key]

    def _cut_anew(self, one: Slice, *, compares: bool) -> Portion:
        evaluation = take_images(self.candidate.evaluation, one.images)
        n = count_test_images(evaluation).total or 0
        if n < self._least:
            return Portion(name=one.name, n_images=n, missing=self._say_few(one, n))
        candidate = _restrict(self.candidate, evaluation)
        portion = Portion(
            name=one.name, n_images=n, candidate=_keep_computed(self.describe(candidate))
        )
        if not compares or self.baseline is None or self.opponent.comparison is None:
            return portion
        if say_incomparable(self.policy.test_set.same, self.opponent):
            return portion
        return self._compare(one, portion, candidate, self.baseline)

    def _say_few(self, one: Slice, n: int) -> str:
        whole = len(one.images)
        of_them = f" with a truth (of {whole:,})" if n < whole else ""
        return (
            f"this slice has {n:,} test images{of_them}, {self._least - n:,} too few: test on "
            f"{self._least:,} images of it, or more"
        )

    def _compare(
        self, one: Slice, portion: Portion, candidate: Referred, baseline: Referred
    ) -> Portion:
        places = self._find_places(one, baseline.evaluation)
        reason = self._say_apart(one, baseline.evaluation) or self._say_unknown(one, baseline)
        if not reason and not len(places):
            reason = "the baseline was tested on no image of this slice"
        if reason:
            return replace(portion, incomparable=reason)
        other = _restrict(baseline, take_images(baseline.evaluation, places))
        opponent = compare_sides(self.policy, other, candidate)
        if opponent.comparison is None:
            return replace(portion, incomparable=opponent.incomparable)
        images = count_test_images(other.evaluation) if self._is_whole else opponent.shared_images
        n = (images.total if images else None) or 0
        if n < self._least:
            whose = "the baseline has" if self._is_whole else "both versions have, by one truth,"
            reason = (
                f"{whose} {n:,} test images of this slice, {self._least - n:,} too few: test both "
                f"on {self._least:,} images of it, or more"
            )
            return replace(portion, incomparable=reason)
        return replace(portion, opponent=opponent)

    def _say_unknown(self, one: Slice, baseline: Referred) -> str:
        """Why nothing tells which images are in a slice that the baseline alone was tested on."""
        if not self._is_whole:
            return ""
        column, other = _shorten(one.column), baseline.evaluation
        if _is_cut(self._own, one.column):
            return (
                f"the numbers of {column!r} are cut on each test set by itself: compare on the "
                "same images"
            )
        is_stored = one.column in _list_columns(self._own)
        n = len(set(other.images) - set(self._own.images))
        if n and is_stored and one.column not in _list_columns(other):
            return (
                f"the baseline has no column {column!r}, so nothing tells which of the {n:,} "
                "images that it alone was tested on are in this slice"
            )
        return ""

    def _find_places(self, one: Slice, other: Evaluation) -> IntArray:
        """The baseline's images in a slice: by the candidate's columns where it has the image."""
        own = self._own.images
        found = [self._places.get(own[i], -1) for i in one.images.tolist()]
        if self._is_whole:
            listed = list_slices(other, by=[one.column]).slices
            members = (each.images for each in listed if each.value == one.value)
            theirs = np.concatenate([*members, np.zeros(0, dtype=np.int64)]).tolist()
            found += [i for i in theirs if other.images[i] not in self._images]
        places = np.unique(np.array(found, dtype=np.int64))
        return places[places >= 0]

    @cached_property
    def _images(self) -> frozenset[str]:
        return frozenset(self._own.images)

    @cached_property
    def _places(self) -> dict[str, int]:
        """The place of each image of the baseline."""
        images = self.baseline.evaluation.images if self.baseline else ()
        return {image: i for i, image in enumerate(images)}

    def _say_apart(self, one: Slice, other: Evaluation) -> str:
        """Of how many images of a slice the versions have another value of its column."""
        if one.column not in self._apart:
            self._apart[one.column] = tuple(self._list_apart(one.column, other))
        has_numbers = self._has_numbers(one.column, other)
        apart = [
            image
            for image, *values in self._apart[one.column]
            if has_numbers or one.value in values
        ]
        if not apart:
            return ""
        return (
            f"the versions have another {_shorten(one.column)!r} of {len(apart):,} shared images, "
            f"first {_shorten(min(apart))!r}: evaluate both with the same columns"
        )

    @cached_property
    def _apart(self) -> dict[str, tuple[tuple[str, str, str], ...]]:
        return {}

    def _has_numbers(self, name: str, other: Evaluation) -> bool:
        columns = (*self.candidate.evaluation.slice_columns, *other.slice_columns)
        return any(c.numbers is not None for c in columns if c.name == name)

    def _list_apart(self, name: str, other: Evaluation) -> Iterator[tuple[str, str, str]]:
        """Shared images of which the baseline has a value, and the candidate another or none."""
        ours, theirs = (
            next((c for c in evaluation.slice_columns if c.name == name), None)
            for evaluation in (self.candidate.evaluation, other)
        )
        if ours is None or theirs is None:
            return
        has_numbers = self._has_numbers(name, other)
        own = _list_values(ours, self.candidate.evaluation.images, has_numbers)
        for image, value in _list_values(theirs, other.images, has_numbers).items():
            if value and own.get(image, value) != value:
                yield image, value, own[image]


def _find_slices(evaluation: Evaluation, pattern: str) -> _Found:
    """What a pattern names; a column's name ends where a column of the version ends."""
    columns = [*dict.fromkeys((*_list_columns(evaluation), LABEL_COLUMN, BOX_SIZE_COLUMN))]
    if IMAGE_SIZE_COLUMN not in columns and evaluation.detections is not None:
        columns.append(IMAGE_SIZE_COLUMN)
    if evaluation.task is not Task.DETECTION:
        columns = [c for c in columns if c != BOX_SIZE_COLUMN or c in _list_columns(evaluation)]
    near = [column for column in columns if pattern.startswith(f"{column}=")]
    if not near:
        wanted = _shorten(pattern.partition("=")[0])
        said = say_nearest(wanted, map(_shorten, columns))
        return _Found(missing=join_said(f"the test images have no column {wanted!r}", said))
    listed = list_slices(evaluation, by=near).slices
    column = pattern.removesuffix(f"={ANY_VALUE}")
    is_any = _is_any(pattern) and column in near
    slices = [one for one in listed if (one.column == column if is_any else one.name == pattern)]
    if not slices:
        wanted = _shorten(pattern)
        said = say_nearest(wanted, (_shorten(one.name) for one in listed))
        return _Found(column=near[0], missing=join_said(f"no test image has {wanted!r}", said))
    if len({one.column for one in slices}) > 1:
        names = ", ".join(repr(_shorten(one.column)) for one in slices)
        return _Found(missing=f"{_shorten(pattern)!r} may be of several columns: {names}")
    column = slices[0].column
    members = np.unique(np.concatenate([o.images for o in listed if o.column == column]))
    n_without = len(evaluation.images) - len(members)
    return _Found(column=column, slices=tuple(slices), n_without=n_without)


def _is_any(pattern: str) -> bool:
    return pattern.endswith(f"={ANY_VALUE}")


def _list_columns(evaluation: Evaluation) -> list[str]:
    return [column.name for column in evaluation.slice_columns]


def _is_cut(evaluation: Evaluation, name: str) -> bool:
    """Whether the values of a column are parts of its numbers."""
    if name == IMAGE_SIZE_COLUMN:
        return True
    found = next((c for c in evaluation.slice_columns if c.name == name), None)
    if found is None or found.numbers is None:
        return False
    return len(np.unique(found.numbers[~np.isnan(found.numbers)])) > MAX_WHOLE


def _join_column(column: SliceColumn, images: Sequence[str], wanted: Sequence[str]) -> SliceColumn:
    """A column of other images, by URI; an image that has no value there has none."""
    places = {image: i for i, image in enumerate(images)}
    found = np.array([places.get(image, -1) for image in wanted], dtype=np.int64)
    taken = column.take(np.maximum(found, 0))
    if taken.codes is not None:
        return replace(taken, codes=np.where(found < 0, -1, taken.codes))
    assert taken.numbers is not None  # noqa: S101 - for the type checker
    return replace(taken, numbers=np.where(found < 0, np.nan, taken.numbers))


def _list_values(column: SliceColumn, images: Sequence[str], has_numbers: bool) -> dict[str, str]:
    """The value of each image, '' for none; numbers as texts that are equal where they are."""
    if column.codes is not None:
        texts = [column.values[code] if code >= 0 else "" for code in column.codes.tolist()]
        if has_numbers:
            texts = [_write_alike(text) for text in texts]
    else:
        assert column.numbers is not None  # noqa: S101 - for the type checker
        texts = ["" if np.isnan(n) else repr(n) for n in column.numbers.tolist()]
    return dict(zip(images, texts, strict=True))


def _write_alike(text: str) -> str:
    try:
        return repr(float(text))
    except ValueError:
        return text


def _restrict(referred: Referred, evaluation: Evaluation) -> Referred:
    return replace(referred, evaluation=evaluation, published=None)


def _keep_computed(candidate: Candidate) -> Candidate:
    """The candidate without numbers that a service gave of its whole test set."""

    def keep(numbers: Numbers) -> Numbers:
        figures = {m: figure for m, figure in numbers.figures.items() if not is_of_whole(m)}
        return replace(numbers, figures=figures)

    numbers_at = candidate.numbers_at
    return replace(
        candidate,
        numbers=keep(candidate.numbers),
        numbers_at=lambda confidence: keep(numbers_at(confidence)),
    )


def _shorten(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"

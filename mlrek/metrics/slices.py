"""Slices: the test images that have one value of a column (a site, a camera, a label) in common."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from math import nan
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Detections, Evaluation, FloatArray, IntArray, SliceColumn
from mlrek.kinds import ANY_VALUE, MAX_WHOLE
from mlrek.metrics import Number
from mlrek.metrics.detection.matching import SIZES
from mlrek.text import say_nearest

MIN_SLICE_IMAGES: Final = 20
"""A smaller slice tells nothing that would hold."""

LABEL_COLUMN: Final = "label"
IMAGE_SIZE_COLUMN: Final = "image_size"
BOX_SIZE_COLUMN: Final = "box_size"

PAIRED: Final = " & "
"""Between the names of the two slices of a pair."""

_LOOKED_AT: Final = 1_000
_PARTS: Final = 4
_DIGITS: Final = 4
_ALL_DIGITS: Final = 17
_LEAST: Final = 1e-6
_MOST: Final = 1e15
"""Beyond these a number is written with a power of ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicing:
    """The columns that were asked for besides those that files have.

    `by` are names and the regular expressions that find their values in the URIs of images.
    `table` is the place of a table of images, '' for none; `match` tells by what its images are
    those of the test set: `uri` or `name`.
    """

    by: tuple[tuple[str, str], ...] = ()
    table: str = ""
    match: str = "uri"

    def describe(self) -> dict[str, str]:
        """What was asked for as stable texts; nothing where nothing was."""
        described = {f"slice_by {name}": pattern for name, pattern in self.by}
        if self.table:
            described["slices"] = self.match
        return described


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The images that have one value of a column; `images` (n,) are their places, rising.

    Of the column `label` an image is in the slice of each of its true labels, of `box_size` in that
    of each size which one of its true boxes has; of every other column it is in one slice at most.
    """

    column: str
    value: str
    images: IntArray

    @property
    def name(self) -> str:
        """`site=A`, as policies and tables write it."""
        return f"{self.column}={self.value}"


class SliceJudgement(StrEnum):
    """How a slice does against the rest of the images, after Holm over all slices tried."""

    WORSE = "worse"
    BETTER = "better"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """One slice, or the common images of two, with its numbers and how it does against the rest.

    Attributes:
        names: Of slices that hold the very same images, which are one; the first speaks for it.
        images: Their places in `Evaluation.images`, rising.
        numbers: The headline numbers of the task by short name (`accuracy`), with intervals.
        score: The mean score of its images, of those that `SliceReport.score` names.
        rest: That of the other images.
        low: Lower end of the 95 % interval of score minus rest, NaN where there is none.
        high: Its upper end.
        p: Of the test that both are equal, NaN where there is none.
        p_adjusted: The same after Holm over the family.
        judgement: What follows.
        part_of: Name of a row that it is shown with: one of both stands in the other, and both
            tell the same. '' where it is shown by itself.
        reason: Why something is missing, '' where nothing is.
    """

    names: tuple[str, ...]
    images: IntArray
    numbers: Mapping[str, Number]
    score: float
    rest: float
    low: float = nan
    high: float = nan
    p: float = nan
    p_adjusted: float = nan
    judgement: SliceJudgement = SliceJudgement.UNDECIDED
    part_of: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The name that speaks for it."""
        return self.names[0]

    @property
    def difference(self) -> float:
        """Score of the slice minus score of the rest."""
        return self.score - self.rest

    @property
    def n_images(self) -> int:
        """How many images it has."""
        return len(self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """All slices of one version.

    Attributes:
        score: What is compared with the rest, by the name that people know: `accuracy`.
        singles: Of one column each, worst first.
        pairs: Common images of two slices of different columns, worst first; a family by itself.
        n_tried: How many singles were tested: Holm's family.
        n_pairs_tried: How many pairs were.
        n_small: Values with fewer images than a slice must have.
        columns: Names of the columns, in their order.
        notes: What was done to columns (cut into quarters, left out), a sentence each.
    """

    score: str
    singles: tuple[SliceRow, ...]
    pairs: tuple[SliceRow, ...] = ()
    n_tried: int = 0
    n_pairs_tried: int = 0
    n_small: int = 0
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def weak(self) -> tuple[SliceRow, ...]:
        """Singles that are significantly worse than the rest, worst first."""
        return tuple(row for row in self.singles if row.judgement is SliceJudgement.WORSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSlices:
    """Slices in the order of columns and values, of any size, and what was done to columns."""

    slices: tuple[Slice, ...]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def list_slices(evaluation: Evaluation, by: Sequence[str] | None = None) -> ListedSlices:
    """All slices with at least one image: of the columns that files hold, then of derived ones.

    More than 10 distinct numbers are cut into quarters by quantile: `lux=12 to 80`. A derived
    column gives way to one of that name in the files.

    Args:
        evaluation: Each image once (`count_once`).
        by: Names of columns, in the order that is wanted; None: all.
    """
    derived = {
        LABEL_COLUMN: _slice_by_label,
        IMAGE_SIZE_COLUMN: _slice_by_image_size,
        BOX_SIZE_COLUMN: _slice_by_box_size,
    }
    stored = {column.name: column for column in evaluation.slice_columns}
    found: list[Slice] = []
    notes: list[str] = []
    names = by if by is not None else [*stored, *(name for name in derived if name not in stored)]
    for name in names:
        if name in stored:
            coded = _code_column(stored[name])
            found += _slice_codes(name, coded.values, coded.codes)
            if coded.is_cut:
                n_parts = len(coded.values)
                notes.append(f"the numbers of {name!r} are cut into {n_parts} parts by quantile")
        elif name in derived:
            found += derived[name](evaluation)
    columns = tuple(dict.fromkeys(one.column for one in found))
    return ListedSlices(slices=tuple(found), columns=columns, notes=tuple(notes))


def check_columns(names: Sequence[str], evaluation: Evaluation) -> None:
    """See that there are images, and columns of these names, of files or derived ones.

    Raises:
        EvaluationError: Nothing is known of single images.
        UsageError: A column is not there; the message names those that are.
    """
    if not evaluation.has_images:
        version = evaluation.version.name
        raise EvaluationError(f"{version}: there are no slices, nothing is published of its images")
    stored = (column.name for column in evaluation.slice_columns)
    known = list(dict.fromkeys((*stored, *list_slices(evaluation).columns)))
    for name in names:
        if name not in known:
            raise UsageError(f"no column {name!r}; {say_nearest(name, known)}")


def select_slices(slices: Sequence[Slice], pattern: str) -> tuple[Slice, ...]:
    """The slices that `column=value` names, or all of a column for `column=*`."""
    if pattern.endswith(f"={ANY_VALUE}"):
        column = pattern.removesuffix(f"={ANY_VALUE}")
        return tuple(one for one in slices if one.column == column)
    return tuple(one for one in slices if one.name == pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coded:
    """A column as texts and each image's place among them, (n_images,), -1 for none.

    `is_cut` where the texts are parts of many numbers.
    """

    values: Sequence[str]
    codes: IntArray
    is_cut: bool = False


def _slice_column(column: SliceColumn) -> Iterator[Slice]:
    coded = _code_column(column)
    yield from _slice_codes(column.name, coded.values, coded.codes)


def _code_column(column: SliceColumn) -> _Coded:
    if column.numbers is None:
        assert column.codes is not None  # noqa: S101 - for the type checker
        return _Coded(values=column.values, codes=column.codes)
    numbers = column.numbers
    unknown = np.isnan(numbers)
    known = numbers[~unknown]
    values = np.unique(known[:_LOOKED_AT])
    is_cut = len(values) > MAX_WHOLE or len(values := np.unique(known)) > MAX_WHOLE
    if is_cut:
        edges = _find_edges(known)
        texts = [f"{low} to {high}" for low, high in pairwise(_write_apart(edges))]
        # comparing with each of so few edges is many times as fast as to search them
        codes = sum(
            (numbers > edge for edge in edges[1:-1]), np.zeros(len(numbers), dtype=np.int32)
        )
    else:
        texts, codes = _write_apart(values), np.searchsorted(values, numbers)
    return _Coded(values=texts, codes=np.where(unknown, -1, codes), is_cut=is_cut)


def _find_edges(known: FloatArray) -> FloatArray:
    """Ends of the parts, rising, (n_parts + 1,): quarters by quantile, those that are alike joined.

    A part holds what is above its lower end, up to its upper one; the first also its lower end. The
    quantile is the smallest number that has its share at or below it.
    """
    n = len(known)
    ranks = [max(-(-n * part // _PARTS) - 1, 0) for part in range(_PARTS + 1)]
    return np.unique(np.sort(known)[ranks])  # which is faster than to part them


def _write_apart(numbers: FloatArray) -> list[str]:
    """Distinct numbers as texts with as few digits as tell them from one another, at least 4."""
    for n_digits in range(_DIGITS, _ALL_DIGITS):
        texts = [_write_digits(number, n_digits) for number in numbers.tolist()]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(number) for number in numbers.tolist()]


def _write_digits(number: float, n_digits: int) -> str:
    """So many digits, without a power of ten where people write none: `13240`, not `1.324e+04`."""
    text = f"{number:.{n_digits}g}"
    if "e" not in text or not _LEAST <= abs(number) < _MOST:
        return text
    return np.format_float_positional(float(text), trim="-")


@lru_cache(maxsize=1)
def _number_rows(n_images: int) -> IntArray:
    return np.arange(n_images + 1, dtype=np.int32)


def _slice_codes(column: str, values: Sequence[str], codes: IntArray) -> Iterator[Slice]:
    """One slice a value, in the order of the values; -1 is in none."""
    n_images, n_values = len(codes), len(values)
    places = codes.astype(np.int32)
    if places.min(initial=0) < 0:
        places[places < 0] = n_values
    # Turning a sparse matrix sorts by counting, which is many times as fast as other ways.
    cells = places, places, _number_rows(n_images)
    by_value = sp.csr_array(cells, shape=(n_images, n_values + 1)).tocsc()
    for value, (start, end) in zip(values, pairwise(by_value.indptr[:-1].tolist()), strict=True):
        if end > start:
            yield Slice(column=column, value=value, images=by_value.indices[start:end])


def _slice_by_label(evaluation: Evaluation) -> Iterator[Slice]:
    if evaluation.detections is None and evaluation.masks is None:
        counts = evaluation.truth.counts
        if counts.max(initial=0) <= 1:
            codes = np.full(len(counts), -1, dtype=np.int64)
            codes[evaluation.truth.image_idx] = evaluation.truth.label_idx
            yield from _slice_codes(LABEL_COLUMN, evaluation.labels, codes)
            return
    image_idx, label_idx = _list_true_labels(evaluation)
    order = np.argsort(label_idx, kind="stable")
    starts = np.searchsorted(label_idx[order], np.arange(len(evaluation.labels) + 1)).tolist()
    for label, (start, end) in zip(evaluation.labels, pairwise(starts), strict=True):
        if end > start:
            images = np.unique(image_idx[order[start:end]])
            yield Slice(column=LABEL_COLUMN, value=label, images=images)


def _list_true_labels(evaluation: Evaluation) -> tuple[IntArray, IntArray]:
    """Images and their true labels, of boxes and masks with repeats, (n,) each."""
    if evaluation.detections is not None:
        truth = evaluation.detections.truth
        return truth.image_idx, truth.label_idx
    if evaluation.masks is not None:
        is_true = evaluation.masks.tp + evaluation.masks.fn > 0
        return evaluation.masks.image_idx[is_true], evaluation.masks.label_idx[is_true]
    return evaluation.truth.image_idx, evaluation.truth.label_idx


def _slice_by_image_size(evaluation: Evaluation) -> Iterator[Slice]:
    """By square pixels, where the size of images is known and not the same for all."""
    if evaluation.detections is None:
        return
    areas = np.prod(evaluation.detections.image_sizes, axis=1)
    if len(np.unique(areas[~np.isnan(areas)])) > 1:
        yield from _slice_column(SliceColumn(name=IMAGE_SIZE_COLUMN, numbers=areas))


def _slice_by_box_size(evaluation: Evaluation) -> Iterator[Slice]:
    """By the sizes of COCO: the images that have a true box of a size."""
    if evaluation.detections is None:
        return
    truth, areas = evaluation.detections.truth, _measure_boxes(evaluation.detections)
    for size, (low, high) in SIZES.items():
        images = np.unique(truth.image_idx[(areas >= low) & (areas <= high)])
        if len(images):
            yield Slice(column=BOX_SIZE_COLUMN, value=size, images=images)


def _measure_boxes(detections: Detections) -> FloatArray:
    """The area of each true box in square pixels, (n,); NaN where it is not known."""
    truth = detections.truth
    if truth.areas is not None:
        return truth.areas
    sides = truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2]
    if truth.sizes is not None:
        sides = truth.sizes
    if detections.normalized:
        sides = sides * detections.image_sizes[truth.image_idx]
    return np.asarray(np.prod(sides, axis=1), dtype=np.float64)

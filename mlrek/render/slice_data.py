"""What the script of a page shows of slices: rows, which images are in them, their matrices."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from mlrek.comparison import Comparison
from mlrek.evaluation import IntArray, Task
from mlrek.metrics import Metrics
from mlrek.metrics.numbers import name_metric
from mlrek.metrics.slices import SliceReport, SliceRow
from mlrek.render import Json
from mlrek.render.matrix_data import encode_number
from mlrek.render.slice_rows import build_rows, has_own_columns
from mlrek.render.slices import name_score

MAX_PAIRS: Final = 200
"""Pairs that a page lists; `slices.csv` has all."""

MAX_CELLS: Final = 60_000
"""Cells of the matrices of all slices together."""

MAX_MEMBER_CHARACTERS: Final = 400_000
"""What tells which images of a page are in which slice."""


def build_page_slices(
    report: SliceReport | None, metrics: Metrics, images: IntArray, share: float = 1
) -> dict[str, Json] | None:
    """The slices of one version, as the script of its page has them; null where none are shown.

    Args:
        report: All slices.
        metrics: Those of the same images.
        images: The images of the page, rising.
        share: Of matrices and headline numbers that it may hold at most.
    """
    if report is None or not has_own_columns(report):
        return None
    pairs = report.pairs[:MAX_PAIRS]
    rows = (*report.singles, *pairs)
    places = _find_places(images, metrics.test_images or 0, [row.images for row in rows])
    return {
        "heads": [name_score(report.score), "the rest"],
        "rows": build_rows(rows, report.columns, len(report.singles), share),
        "singles": len(report.singles),
        "pairs_left_out": len(report.pairs) - len(pairs),
        "pairs_tried": report.n_pairs_tried,
        "members": encode_members(places, len(images), MAX_MEMBER_CHARACTERS),
        "matrices": _encode_matrices(rows, metrics, round(MAX_CELLS * share)),
    }


def build_page_slice_differences(
    comparison: Comparison, images: Sequence[str], *, has_all_moves: bool, share: float = 1
) -> dict[str, Json] | None:
    """The slices of two versions, as the script of their page has them; null without any.

    Args:
        comparison: What differs.
        images: The images of the page.
        has_all_moves: Whether the page has what its matrix is made of, which then gives those of
            slices, too.
        share: Of matrices and headline numbers that it may hold at most.
    """
    rows = comparison.slices
    if not rows:
        return None
    places = {image: place for place, image in enumerate(images)}
    known = frozenset(places)
    members = [
        np.array([places[i] for i in known.intersection(row.images)], dtype=np.int64)
        for row in rows
    ]
    return {
        "heads": [comparison.baseline.name, comparison.candidate.name],
        "number": name_metric(rows[0].score.name),
        "rows": build_rows(rows, (), len(rows), share),
        "singles": len(rows),
        "pairs_left_out": 0,
        "pairs_tried": 0,
        "members": encode_members(members, len(images), MAX_MEMBER_CHARACTERS),
        "matrices": (
            None if has_all_moves else _encode_moves(comparison, round(MAX_CELLS * share))
        ),
    }


def _find_places(images: IntArray, n_images: int, slices: Sequence[IntArray]) -> list[IntArray]:
    """The places among `images` (rising) of those of each slice."""
    n = max([n_images, *(int(one[-1]) + 1 for one in (images, *slices) if len(one))])
    place = np.full(n, -1, dtype=np.int64)
    place[images] = np.arange(len(images))
    found = (place[one] for one in slices)
    return [one[one >= 0] for one in found]


@dataclass(slots=True)
class _Track:
    """Slices that have no image in common: a code an image, 0 for none of them."""

    codes: IntArray
    slices: list[int]

    @property
    def bits(self) -> int:
        return len(self.slices).bit_length()

    def count_characters(self) -> int:
        return 4 * ceil(len(self.codes) * self.bits / 24)


def encode_members(slices: Sequence[IntArray], n_images: int, most: int) -> list[Json]:
    """Which of a page's images are in which slice, as `[slices, codes]` of tracks.

    Slices without an image in common share a track, mostly those of one column. `codes` has as
    many bits an image as are needed, the highest first, in base 64: 0 for none of them, 1 for the
    first of `slices`, and so on.

    Args:
        slices: Places of images, of each slice.
        n_images: Of the page.
        most: As many characters as it may have; the slices that do not fit are in no track.
    """
    tracks: list[_Track] = []
    n_characters = 0
    for code, places in enumerate(slices):
        track = next((track for track in tracks if not track.codes[places].any()), None)
        if track is None:
            track = _Track(codes=np.zeros(n_images, dtype=np.int64), slices=[])
            tracks.append(track)
        before = track.count_characters()
        track.slices.append(code)
        n_characters += track.count_characters() - before
        if n_characters > most:
            track.slices.pop()
            break
        track.codes[places] = len(track.slices)
    return [[[*track.slices], _pack(track)] for track in tracks if track.slices]


def _pack(track: _Track) -> str:
    places = np.arange(track.bits - 1, -1, -1)
    bits = (track.codes[:, np.newaxis] >> places) & 1
    return b64encode(np.packbits(bits.astype(np.uint8).ravel()).tobytes()).decode()


def _encode_matrices(rows: Sequence[SliceRow], metrics: Metrics, most: int) -> list[Json]:
    """The matrix of each slice by the version's rule, of as many first ones as fit.

    Cells that are not empty, in a row, between commas: the distance from the cell before, and `:`
    and the count but for 1, in base 36. A line has a cell more than there are labels, for our own.
    None where the predictions do not give the matrix of all images.
    """
    counter = _MatrixCounter.of(metrics)
    texts: list[Json] = []
    n_cells = 0
    if counter is None:
        return texts
    for row in rows:
        cells, counts = counter.count(row.images)
        n_cells += len(cells)
        if n_cells > most:
            break
        texts.append(_encode_cells(cells, counts))
    return texts


def _encode_moves(comparison: Comparison, most: int) -> list[Json]:
    """What changed in the matrix on each slice, of as many first ones as fit."""
    confusion = comparison.confusion
    if confusion is None:
        return []
    image, row, column, change = confusion.moves.T.astype(np.int64)
    codes = {confusion.images[i]: i for i in np.unique(image).tolist()}
    moved, cells = frozenset(codes), row * len(confusion.labels) + column
    texts: list[Json] = []
    n_cells = 0
    for one in comparison.slices:
        known = np.array([codes[uri] for uri in moved.intersection(one.images)], dtype=np.int64)
        is_in = np.isin(image, known)
        found, places = np.unique(cells[is_in], return_inverse=True)
        changes = np.bincount(places, weights=change[is_in], minlength=len(found)).astype(np.int64)
        n_cells += int(np.count_nonzero(changes))
        if n_cells > most:
            break
        texts.append(_encode_cells(found[changes != 0], changes[changes != 0]))
    return texts


def _encode_cells(cells: IntArray, counts: IntArray) -> str:
    steps = np.diff(cells, prepend=0).tolist()
    return ",".join(
        encode_number(step) + ("" if n == 1 else f":{encode_number(n)}")
        for step, n in zip(steps, counts.tolist(), strict=True)
    )


@dataclass(frozen=True, slots=True)
class _MatrixCounter:
    """The cells of each image's predictions; image i has `cells[offsets[i]:offsets[i + 1]]`."""

    offsets: IntArray
    cells: IntArray
    has_one_each: bool

    @classmethod
    def of(cls, metrics: Metrics) -> "_MatrixCounter | None":
        predictions, confusion = metrics.predictions, metrics.confusion
        if predictions is None or confusion is None or not len(predictions.image_idx):
            return None
        n = len(metrics.labels)
        y_true, y_pred = predictions.y_true.astype(np.int64), predictions.y_pred
        is_judged = y_true >= 0 if metrics.task == Task.CLASSIFICATION else y_pred >= 0
        counted = (y_true >= 0) | is_judged
        row, column = (np.where(codes < 0, n, codes) for codes in (y_true, y_pred))
        cells, image_idx = (row * (n + 1) + column)[counted], predictions.image_idx[counted]
        whole = np.zeros((n + 1, n + 1), dtype=np.int64)
        n_rows, n_columns = confusion.counts.shape
        whole[:n_rows, :n_columns] = confusion.counts
        if not np.array_equal(np.bincount(cells, minlength=whole.size), whole.ravel()):
            return None
        offsets = np.searchsorted(image_idx, np.arange(int(image_idx.max(initial=-1)) + 2))
        has_one_each = bool(np.all(np.diff(offsets) == 1))
        return cls(offsets=offsets, cells=cells, has_one_each=has_one_each)

    def count(self, images: IntArray) -> tuple[IntArray, IntArray]:
        """The cells of these images that are not empty, rising, and their counts."""
        known = images[images < len(self.offsets) - 1]
        counts = np.bincount(self._take(known))
        cells = np.flatnonzero(counts)
        return cells, counts[cells]

    def _take(self, images: IntArray) -> IntArray:
        if self.has_one_each:
            return np.asarray(self.cells[images])
        starts = self.offsets[images]
        counts = self.offsets[images + 1] - starts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray(self.cells[np.repeat(starts, counts) + within])

"""Each image of a test set once: what several lines say of one image counts as one line's."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import (
    EVERYTHING,
    Boxes,
    Doubt,
    DoubtKind,
    Evaluation,
    IntArray,
    LabelSets,
    Records,
)
from mlrek.redaction import hide_secrets
from mlrek.subset import take_images

_MAX_NAME: Final = 200
_LEFT_OUT: Final = -1
_TO_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def count_once(evaluation: Evaluation) -> Evaluation:
    """The evaluation with each image once, and doubts about those that stand in several lines.

    Of lines that agree about the truth, the one counts that is smallest in the byte order of truth
    and records, in the place of the image's first line. An image whose lines contradict each other
    about the truth is left out. An evaluation whose images are distinct is returned as it is.
    """
    n_images = len(set(evaluation.images))
    if n_images == len(evaluation.images):
        return evaluation
    lines_of = _group_lines(evaluation.images)
    chosen = _choose_lines(evaluation, lines_of)
    kept = [chosen.get(image, lines[0]) for image, lines in lines_of.items()]
    doubts = _list_doubts(chosen, n_images)
    distinct = take_images(
        evaluation, np.array([line for line in kept if line != _LEFT_OUT], dtype=np.int64)
    )
    return replace(distinct, doubts=tuple(dict.fromkeys((*evaluation.doubts, *doubts))))


def doubt_images(
    kind: DoubtKind,
    images: Sequence[str],
    of: int,
    text: str,
    touches: tuple[str, ...] = (EVERYTHING,),
) -> Iterator[Doubt]:
    """Yield the doubt that some images, of so many, raise; nothing where there are none."""
    if images:
        yield Doubt(kind=kind, text=text, count=len(images), of=of, touches=touches)


def doubt_repeated(repeated: Sequence[str], n_images: int, where: str = "") -> Iterator[Doubt]:
    """That images stand in several lines which agree about the truth.

    Args:
        repeated: These images.
        n_images: Distinct images, these included.
        where: In which file, where it is not the only one.
    """
    place = f" {where}" if where else ""
    text = (
        f"{len(repeated)} of {n_images} images stand in more than one line{place}; each counts "
        f"once; first: {_name(min(repeated, default=''))}"
    )
    yield from doubt_images(DoubtKind.IMAGES_REPEATED, repeated, n_images, text)


def doubt_contradicted(contradicted: Sequence[str], n_images: int) -> Iterator[Doubt]:
    """That images stand in several lines with different truth, and are left out.

    Args:
        contradicted: These images.
        n_images: Distinct images, these included.
    """
    text = (
        f"{len(contradicted)} of {n_images} images stand in several lines that contradict each "
        f"other about the truth, and are left out; first: {_name(min(contradicted, default=''))}"
    )
    yield from doubt_images(DoubtKind.TRUTH_UNKNOWN, contradicted, n_images, text)


def _group_lines(images: Iterable[str]) -> dict[str, list[int]]:
    """The lines of each image, in file order."""
    lines_of: dict[str, list[int]] = {}
    for line, image in enumerate(images):
        lines_of.setdefault(image, []).append(line)
    return lines_of


def _choose_lines(evaluation: Evaluation, lines_of: dict[str, list[int]]) -> dict[str, int]:
    """Of each image in several lines the one that counts, or that none does."""
    several = {image: lines for image, lines in lines_of.items() if len(lines) > 1}
    rows = np.array([line for lines in several.values() for line in lines], dtype=np.int64)
    described = _describe_lines(take_images(evaluation, rows))
    content = dict(zip(rows.tolist(), described, strict=True))
    return {
        image: _LEFT_OUT
        if _is_contradicted([content[line] for line in lines])
        else min(lines, key=lambda line: content[line].order)
        for image, lines in several.items()
    }


def _list_doubts(chosen: dict[str, int], n_images: int) -> Iterator[Doubt]:
    yield from doubt_repeated([i for i, line in chosen.items() if line != _LEFT_OUT], n_images)
    yield from doubt_contradicted([i for i, line in chosen.items() if line == _LEFT_OUT], n_images)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What one line says, in bytes that do not depend on label codes.

    `areas` are the true pixels of each label; None where the masks could not be read.
    """

    truth: bytes
    areas: bytes | None
    records: bytes

    @property
    def order(self) -> tuple[bool, bytes, bytes, bytes]:
        """Lines with masks first, then by truth, then by records."""
        return self.areas is None, self.truth, self.areas or b"", self.records


def _is_contradicted(lines: Sequence[_Line]) -> bool:
    """Whether lines of one image have different truth."""
    areas = {line.areas for line in lines} - {None}
    return len({line.truth for line in lines}) > 1 or len(areas) > 1


def _describe_lines(evaluation: Evaluation) -> Iterator[_Line]:
    truth = _Columns(len(evaluation.images), evaluation.labels)
    records = _Columns(len(evaluation.images), evaluation.labels)
    truth.add_sorted(evaluation.truth)
    for of_labels in (evaluation.records, evaluation.baseline):
        if of_labels is not None:
            records.add_sorted(of_labels, of_labels.confidence, of_labels.outcome)
    if evaluation.detections is not None:
        truth.add_sorted(evaluation.detections.truth, *evaluation.detections.truth.boxes_xyxy.T)
        records.add(evaluation.detections.records, *_columns_of(evaluation.detections.records))
        records.add_images(*evaluation.detections.image_sizes.T)
        records.add(evaluation.detections.truth, *evaluation.detections.truth.boxes_xyxy.T)
    areas = _describe_areas(evaluation, records)
    if evaluation.seen_in_training is not None:
        records.add_images(evaluation.seen_in_training)
    for said, area, answered in zip(truth.encode(), areas, records.encode(), strict=True):
        yield _Line(truth=said, areas=area, records=answered)


def _columns_of(boxes: Boxes) -> tuple[NDArray[Any], ...]:
    return (boxes.confidence, *boxes.boxes_xyxy.T, boxes.outcome)


def _describe_areas(evaluation: Evaluation, records: "_Columns") -> list[bytes | None]:
    """True pixels by image; what the masks found is added to the records."""
    if evaluation.masks is None:
        return [b""] * len(evaluation.images)
    masks = evaluation.masks
    areas = _Columns(len(evaluation.images), evaluation.labels)
    n_true = masks.tp + masks.fn
    has_truth = n_true > 0
    areas.add_rows(masks.image_idx[has_truth], masks.label_idx[has_truth], n_true[has_truth])
    records.add_rows(masks.image_idx, masks.label_idx, masks.tp, masks.fp, masks.fn)
    return [
        area if readable else None
        for area, readable in zip(areas.encode(), masks.readable.tolist(), strict=True)
    ]


class _Columns:
    """What is said of each image, gathered column by column, with labels by name."""

    def __init__(self, n_images: int, labels: Sequence[str]) -> None:
        self._said: list[list[Any]] = [[] for _ in range(n_images)]
        self._labels = labels

    def add(self, rows: Records | Boxes | LabelSets, *columns: NDArray[Any]) -> None:
        """Each image's rows, in their order."""
        listed = zip(*(c.tolist() for c in (rows.label_idx, *columns)), strict=True)
        named = [(self._labels[code], *row) for code, *row in listed]
        starts = rows.offsets.tolist()
        for image, said in enumerate(self._said):
            said.append(named[starts[image] : starts[image + 1]])

    def add_sorted(self, rows: Records | Boxes | LabelSets, *columns: NDArray[Any]) -> None:
        """Each image's rows, in an order that they alone decide."""
        self.add(rows, *columns)
        self._sort_last()

    def add_rows(self, image_idx: IntArray, label_idx: IntArray, *columns: NDArray[Any]) -> None:
        """Rows of images in any order; each image's are sorted."""
        for said in self._said:
            said.append([])
        listed = zip(*(c.tolist() for c in (image_idx, label_idx, *columns)), strict=True)
        for image, code, *row in listed:
            self._said[image][-1].append((self._labels[code], *row))
        self._sort_last()

    def _sort_last(self) -> None:
        for said in self._said:
            if len(said[-1]) > 1:
                said[-1].sort(key=_encode)

    def add_images(self, *columns: NDArray[Any]) -> None:
        """One value of each column for each image."""
        for said, *row in zip(self._said, *(c.tolist() for c in columns), strict=True):
            said.append(row)

    def encode(self) -> Iterator[bytes]:
        """What is said of each image as bytes."""
        return map(_encode, self._said)


def _encode(value: object) -> bytes:
    """Compact JSON; half a character of a name stays what it is."""
    return _TO_JSON(value).encode("utf-8", "surrogatepass")


def _name(image: str) -> str:
    """An image's name as it may be printed: in quotes, on one line, without secrets."""
    shown = repr(hide_secrets(image))
    return shown if len(shown) <= _MAX_NAME else f"{shown[:_MAX_NAME]}…"

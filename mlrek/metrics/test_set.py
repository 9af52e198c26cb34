"""The images of a test set: each counted once, a part of them, and the digest that names them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice, pairwise
from operator import lt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import (
    EVERYTHING,
    BoolArray,
    Boxes,
    Contents,
    Detections,
    Doubt,
    DoubtKind,
    Evaluation,
    IntArray,
    LabelSets,
    MaskCounts,
    Records,
)
from mlrek.text import escape_unencodable, hide_secrets, strip_signature

_MAX_NAME: Final = 200
_LEFT_OUT: Final = -1
_TO_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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


DIGEST_LENGTH = 32
"""Hexadecimal digits of the digest that runs have as a tag."""


def hide_signatures(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what signs the web addresses of its images, and a warning of them."""
    images = tuple(map(strip_signature, evaluation.images))
    n = sum(a != b for a, b in zip(images, evaluation.images, strict=True))
    said = map(hide_secrets, evaluation.warnings)
    doubts = tuple(
        replace(doubt, text=escape_unencodable(hide_secrets(doubt.text)))
        for doubt in evaluation.doubts
    )
    evaluation = replace(evaluation, doubts=doubts)
    if n:
        warning = (
            f"{n} of {len(images)} image addresses hold a login or a signature; it is left out, "
            "and the address without it is the image's name"
        )
        return replace(evaluation, images=images, warnings=(*said, warning))
    return replace(evaluation, warnings=tuple(said))


def test_set_digest(evaluation: Evaluation) -> str:
    """Identity of the test set: equal exactly when images and truth are equal; '' without images.

    Order of images, of labels and of the provider's list does not matter, nor how many lines an
    image stands in. Of masks the true pixels of each label count, not where they lie.

    Returns:
        The first 32 hexadecimal digits of a SHA-256.
    """
    return digest_test_set(evaluation)[:DIGEST_LENGTH]


def digest_test_set(evaluation: Evaluation) -> str:
    """The whole SHA-256 that `test_set_digest` begins, in hexadecimal digits; '' without images."""
    if not evaluation.has_images:
        return ""
    return sha256(b"".join(sorted(identify_images(count_once(evaluation))))).hexdigest()


def identify_images(evaluation: Evaluation) -> list[bytes]:
    """Identity of each image with its truth, as `test_set_digest` takes them together."""
    contents = [
        _frame(image.encode("utf-8", "surrogatepass")) + true
        for image, true in zip(evaluation.images, _name_truths(evaluation), strict=True)
    ]
    areas = _name_areas(evaluation)
    if evaluation.detections is not None or areas:
        contents = [
            content + b"".join(map(_frame, [*_name_boxes(evaluation, i), *areas.get(i, ())]))
            for i, content in enumerate(contents)
        ]
    return [sha256(content).digest() for content in contents]


def _name_truths(evaluation: Evaluation) -> Sequence[bytes]:
    """The true labels of each image in the order of their names."""
    names = [label.encode("utf-8", "surrogatepass") for label in evaluation.labels]
    framed, truth = [_frame(name) for name in names], evaluation.truth
    codes = truth.label_idx.tolist()
    if np.all(truth.counts == 1):
        return [framed[code] for code in codes]
    order, ends = sorted(range(len(names)), key=names.__getitem__), truth.offsets.tolist()
    place = {code: i for i, code in enumerate(order)}
    return [
        b"".join([framed[code] for code in sorted(codes[start:end], key=place.__getitem__)])
        for start, end in pairwise(ends)
    ]


def _frame(part: bytes) -> bytes:
    """A part with its length before it, so that no two lists of parts are the same bytes."""
    return len(part).to_bytes(8) + part


def _name_boxes(evaluation: Evaluation, image: int) -> list[bytes]:
    """The true boxes of an image, each with its label, in an order that they alone decide."""
    if evaluation.detections is None:
        return []
    truth = evaluation.detections.truth
    mine = slice(truth.offsets[image], truth.offsets[image + 1])
    columns = truth.label_idx[mine], truth.boxes_xyxy[mine], *_list_further(truth, mine)
    return sorted(
        repr((evaluation.labels[code], *corners, *further)).encode("utf-8", "surrogatepass")
        for code, corners, *further in zip(*(column.tolist() for column in columns), strict=True)
    )


def _list_further(boxes: Boxes, rows: slice = slice(None)) -> Iterator[NDArray[Any]]:
    """What is said of boxes besides label, place and confidence, where anything is; each (n,)."""
    if boxes.is_crowd is not None:
        yield boxes.is_crowd[rows]
    if boxes.masks is not None:
        yield np.array([mask.decode("latin-1") for mask in boxes.masks[rows]], dtype=object)


def _name_areas(evaluation: Evaluation) -> dict[int, list[bytes]]:
    """Of each image with masks that were read: the true pixels of each label."""
    areas: dict[int, list[bytes]] = {}
    if evaluation.masks is not None:
        masks = evaluation.masks
        n_true = masks.tp + masks.fn
        for row in np.flatnonzero(n_true).tolist():
            area = repr((evaluation.labels[masks.label_idx[row]], int(n_true[row])))
            areas.setdefault(int(masks.image_idx[row]), []).append(
                area.encode("utf-8", "surrogatepass")
            )
    return {image: sorted(texts) for image, texts in areas.items()}


def is_same_project(one: str, other: str) -> bool:
    """Whether two project ARNs name one project: one may lack the number at the other's end.

    >>> is_same_project("arn:aws:rekognition:eu-west-1:1:project/p", "arn:aws:rekognition:eu-west-1:1:project/p/9")
    True
    """  # noqa: E501 (an ARN)
    return one == other or is_fuller(one, other) or is_fuller(other, one)


def is_fuller(one: str, other: str) -> bool:
    """Whether a project ARN is another one with its number."""
    number = one.removeprefix(f"{other}/")
    return other.startswith("arn:") and number != one and number.isdecimal()


def count_images(names: Sequence[str]) -> int:
    """How many different images these are; names that rise, as in most files, need no set of them.

    >>> count_images(("a", "b", "c")), count_images(("a", "b", "a"))
    (3, 2)
    """
    rises = all(map(lt, names, islice(names, 1, None)))
    return len(names) if rises else len(set(names))


def count_once(evaluation: Evaluation) -> Evaluation:
    """The evaluation with each image once, and doubts about those that stand in several lines.

    Of lines that agree about the truth, the one counts that is smallest in the byte order of truth
    and records, in the place of the image's first line. An image whose lines contradict each other
    about the truth is left out. An evaluation whose images are distinct is returned as it is.
    """
    n_images = count_images(evaluation.images)
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
    described = _list_lines(take_images(evaluation, rows))
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


def _is_contradicted(lines: Sequence[_Line]) -> bool:
    """Whether lines of one image have different truth."""
    areas = {line.areas for line in lines} - {None}
    return len({line.truth for line in lines}) > 1 or len(areas) > 1


def _list_lines(evaluation: Evaluation) -> Iterator[_Line]:
    truth = _Columns(len(evaluation.images), evaluation.labels)
    records = _Columns(len(evaluation.images), evaluation.labels)
    truth.add_sorted(evaluation.truth)
    for of_labels in (evaluation.records, evaluation.baseline):
        if of_labels is not None:
            records.add_sorted(of_labels, of_labels.confidence, of_labels.outcome)
    if evaluation.detections is not None:
        true, found = evaluation.detections.truth, evaluation.detections.records
        truth.add_sorted(true, *true.boxes_xyxy.T, *_list_further(true))
        records.add(found, *_columns_of(found), *_list_further(found))
        records.add_images(*evaluation.detections.image_sizes.T)
        records.add(true, *true.boxes_xyxy.T)
    areas = _list_areas(evaluation, records)
    if evaluation.seen_in_training is not None:
        records.add_images(evaluation.seen_in_training)
    for said, area, answered in zip(truth.encode(), areas, records.encode(), strict=True):
        yield _Line(truth=said, areas=area, records=answered)


def _columns_of(boxes: Boxes) -> tuple[NDArray[Any], ...]:
    return (boxes.confidence, *boxes.boxes_xyxy.T, boxes.outcome)


def _list_areas(evaluation: Evaluation, records: "_Columns") -> list[bytes | None]:
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


def _encode(value: object) -> bytes:
    """Compact JSON; half a character of a name stays what it is."""
    return _TO_JSON(value).encode("utf-8", "surrogatepass")


def _name(image: str) -> str:
    """An image's name as it may be printed: in quotes, on one line, without secrets."""
    shown = repr(hide_secrets(image))
    return shown if len(shown) <= _MAX_NAME else f"{shown[:_MAX_NAME]}…"


def take_images(evaluation: Evaluation, image_idx: IntArray) -> Evaluation:
    """The evaluation of the images at `image_idx`, in that order."""
    return replace(
        evaluation,
        images=tuple(evaluation.images[i] for i in image_idx.tolist()),
        truth=_take_labels(evaluation.truth, image_idx),
        records=_take_records(evaluation.records, image_idx),
        detections=_take_detections(evaluation.detections, image_idx),
        masks=_take_masks(evaluation.masks, image_idx),
        baseline=_take_baseline(evaluation.baseline, image_idx),
        seen_in_training=_take_seen(evaluation.seen_in_training, image_idx),
        contents=_take_contents(evaluation.contents, image_idx),
        slice_columns=tuple(column.take(image_idx) for column in evaluation.slice_columns),
    )


def _take_labels(truth: LabelSets, image_idx: IntArray) -> LabelSets:
    rows, offsets = take_rows(truth.offsets, image_idx)
    return LabelSets(offsets=offsets, label_idx=truth.label_idx[rows])


def _take_records(records: Records, image_idx: IntArray) -> Records:
    rows, offsets = take_rows(records.offsets, image_idx)
    return Records(
        offsets=offsets,
        label_idx=records.label_idx[rows],
        confidence=records.confidence[rows],
        outcome=records.outcome[rows],
    )


def _take_baseline(baseline: Records | None, image_idx: IntArray) -> Records | None:
    return None if baseline is None else _take_records(baseline, image_idx)


def _take_detections(detections: Detections | None, image_idx: IntArray) -> Detections | None:
    if detections is None:
        return None
    return replace(
        detections,
        truth=take_boxes(detections.truth, image_idx),
        records=take_boxes(detections.records, image_idx),
        image_sizes=detections.image_sizes[image_idx],
    )


def take_boxes(boxes: Boxes, image_idx: IntArray) -> Boxes:
    """The boxes of these images, in their order."""
    rows, offsets = take_rows(boxes.offsets, image_idx)
    return boxes.take(rows, offsets)


def _take_masks(masks: MaskCounts | None, image_idx: IntArray) -> MaskCounts | None:
    if masks is None:
        return None
    order = np.argsort(masks.image_idx, kind="stable")
    starts = np.searchsorted(masks.image_idx[order], np.arange(len(masks.readable) + 1))
    taken, offsets = take_rows(starts, image_idx)
    rows = order[taken]
    sketches = enumerate(map(masks.sketches.get, image_idx.tolist()))
    return MaskCounts(
        image_idx=np.repeat(np.arange(len(image_idx)), np.diff(offsets)),
        label_idx=masks.label_idx[rows],
        tp=masks.tp[rows],
        fp=masks.fp[rows],
        fn=masks.fn[rows],
        readable=masks.readable[image_idx],
        sketches={image: sketch for image, sketch in sketches if sketch is not None},
    )


def _take_seen(seen: BoolArray | None, image_idx: IntArray) -> BoolArray | None:
    return None if seen is None else seen[image_idx]


def _take_contents(contents: Contents | None, image_idx: IntArray) -> Contents | None:
    if contents is None:
        return None
    places = image_idx.tolist()
    return Contents(
        sizes=contents.sizes[image_idx],
        etags=tuple(contents.etags[i] for i in places),
        is_md5=contents.is_md5[image_idx],
        sha256=tuple(contents.sha256[i] for i in places),
        modified_ms=contents.modified_ms[image_idx],
    )


def take_rows(offsets: IntArray, image_idx: IntArray) -> tuple[IntArray, IntArray]:
    """The rows of the images, and the offsets of what is taken."""
    counts = np.diff(offsets)[image_idx]
    taken = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(taken[-1]) + np.repeat(offsets[image_idx] - taken[:-1], counts)
    return rows, taken

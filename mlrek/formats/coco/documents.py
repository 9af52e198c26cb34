"""What truth and results of COCO share: recognising a file, ids, boxes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, TypeAlias, TypeVar

import numpy as np
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Boxes, FloatArray, IntArray
from mlrek.formats.columns import find_offsets
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.json_text import peek_inside, quoted
from mlrek.formats.lines import BYTE_ORDER_MARK, decode_document, open_text

T = TypeVar("T")

Id: TypeAlias = int | float | str

_TRUTH_KEYS: Final = frozenset({b"images", b"annotations", b"categories"})
_INNER_KEYS: Final = (
    frozenset({b"id", b"file_name"}),
    frozenset({b"id", b"coco_url"}),
    frozenset({b"id", b"image_id"}),
    frozenset({b"image_id", b"category_id"}),
    frozenset({b"id", b"name"}),
)
_RESULT_KEYS: Final = frozenset({b"image_id", b"category_id"})
_TOKEN: Final = re.compile(rb'"((?:[^"\\]|\\.)*+)"(\s*:)?|[{}\[\]]', re.DOTALL)


def seems_coco_truth(files: Files) -> bool:
    """Whether a file begins as an object with COCO's images, annotations or categories."""
    text = _peek(files)
    if not text.startswith(b"{"):
        return False
    keys, inside = (_list_keys(text, depth) for depth in (1, 3))
    is_coco = keys >= _TRUTH_KEYS or any(some <= inside for some in _INNER_KEYS)
    return is_coco and not keys.isdisjoint(_TRUTH_KEYS)


def seems_coco_answers(files: Files) -> bool:
    """Whether a file begins as an array of objects with an image_id and a category_id."""
    text = _peek(files)
    return text.startswith(b"[") and _list_keys(text, depth=2) >= _RESULT_KEYS


def _peek(files: Files) -> bytes:
    return peek_inside(files.head).removeprefix(BYTE_ORDER_MARK).lstrip()


def _list_keys(text: bytes, depth: int) -> frozenset[bytes]:
    """The keys at a depth (1: of the outer object) in the beginning of a JSON text."""
    keys, at = set(), 0
    for token in _TOKEN.finditer(text):
        mark = token[0][:1]
        if mark == b'"':
            if token[2] and at == depth:
                keys.add(token[1])
        else:
            at += 1 if mark in b"{[" else -1
    return frozenset(keys)


def decode_file(decoder: Decoder[T], files: Files, what: str) -> T:
    """The content of a file, which may be packed, that should be `what`.

    Raises:
        ParseError: It is something else.
    """
    if files.is_folder:
        raise ParseError(files.uri, 0, f"is a folder, not {what}")
    _, chunks = open_text(files.read(ITSELF), files.uri)
    return decode_document(decoder, files.uri, b"".join(chunks), what)


def name_id(value: Id | None) -> str:
    """An id as text; 1.0 is 1."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def check_distinct(names: Sequence[str], what: str) -> None:
    """Refuse a name that occurs twice.

    Raises:
        ValueError: One does; so many are `what` it is.
    """
    if len(set(names)) < len(names):
        name, n = Counter(names).most_common(1)[0]
        raise ValueError(f"{n} {what} {quoted(name)}")


def find_places(ids: Sequence[Id | None], places: Mapping[str, int], what: str) -> IntArray:
    """The place of each id, (n,).

    Raises:
        ValueError: One has none.
    """
    found = np.array([places.get(name, -1) for name in map(name_id, ids)], dtype=np.int64)
    if n := np.count_nonzero(found < 0):
        first = ids[int(np.argmax(found < 0))]
        raise ValueError(
            f"{n} of {len(ids)} annotations are of an unknown {what}: the file has no {what} of "
            f"the id {quoted(first)}"
        )
    return found


def stack_boxes(boxes: Sequence[Sequence[float]], what: str) -> FloatArray:
    """Boxes in one array, (n, 4).

    Raises:
        ValueError: One has not four numbers, or a negative width or height.
    """
    lengths = np.fromiter(map(len, boxes), np.int64, len(boxes))
    if (wrong := lengths != 4).any():  # noqa: PLR2004 - left, top, width, height
        first = int(np.argmax(wrong))
        raise ValueError(
            f"{what} {first + 1}: bbox is {quoted(boxes[first])}, not [left, top, width, height]"
        )
    flat = np.fromiter(chain.from_iterable(boxes), np.float64, 4 * len(boxes))
    xywh = flat.reshape(-1, 4)
    if (wrong := ~((xywh[:, 2:] >= 0).all(axis=1) & np.isfinite(xywh).all(axis=1))).any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"{what} {first + 1}: bbox {quoted(boxes[first])} has a negative width or height; COCO "
            "writes left, top, width and height"
        )
    return xywh


def measure_boxes(
    xywh: FloatArray, areas: FloatArray | None = None
) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
    """Corners (n, 4), areas (n,) and sizes (n, 2) of boxes of left, top, width and height.

    Areas (NaN: not told) and exact sizes are None where they say nothing that corners do not.
    """
    sizes = xywh[:, 2:]
    corners = np.hstack([xywh[:, :2], xywh[:, :2] + sizes])
    if areas is not None:
        areas = np.where(np.isnan(areas), sizes.prod(axis=1), areas)
        areas = None if np.array_equal(areas, sizes.prod(axis=1)) else areas
    is_exact = np.array_equal(corners[:, 2:] - corners[:, :2], sizes)
    return corners, areas, None if is_exact else sizes


def sort_boxes(boxes: Boxes, image_idx: IntArray, n_images: int) -> Boxes:
    """Boxes of one image as boxes of the images that they are of, (n,)."""
    order = np.argsort(image_idx, kind="stable")
    return boxes.take(order, find_offsets(image_idx[order], n_images))

"""What Google's files with a line per image have in common: reading them, and the columns."""

import csv
import re
from array import array
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import TypeAlias

from mlrek.errors import ParseError
from mlrek.evaluation import Doubt
from mlrek.formats.columns import BadLines
from mlrek.formats.json_text import show
from mlrek.formats.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES

Box: TypeAlias = tuple[float, float, float, float]
"""xMin, yMin, xMax, yMax as shares of the image's width and height, from its upper left corner."""

_UNDECODABLE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInput:
    """A file with a line per image, as it is read: chunks of any size, used up once."""

    name: str
    chunks: Iterable[bytes]


@dataclass(slots=True, kw_only=True)
class ImageColumns:
    """Labels, or boxes with labels, of images in file order; codes are positions in `label_codes`.

    Image i has the next `counts[i]` of `label`, and four numbers each of `boxes` where `has_boxes`.
    """

    images: list[str] = field(default_factory=list)
    label_codes: dict[str, int] = field(default_factory=dict)
    counts: "array[int]" = field(default_factory=lambda: array("i"))
    label: "array[int]" = field(default_factory=lambda: array("i"))
    boxes: "array[float]" = field(default_factory=lambda: array("d"))
    has_boxes: bool = False
    doubts: list[Doubt] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def append_image(self, image: str, labels: Iterable[str], boxes: Iterable[Box]) -> None:
        """One more image with its labels, and as many boxes or none.

        Raises:
            ValueError: A label has no name; nothing is appended then.
        """
        known = self.label_codes
        codes = [known[label] if label in known else self._add_label(label) for label in labels]
        self.label.extend(codes)
        self.images.append(image)
        self.counts.append(len(codes))
        for box in boxes:
            self.boxes.extend(box)

    def _add_label(self, label: str) -> int:
        return self.label_codes.setdefault(check_label(label), len(self.label_codes))


def read_csv_rows(
    data: DataInput, read_row: Callable[[Sequence[str]], None], bad_lines: BadLines
) -> int:
    """Read every row that is not blank of a CSV file in UTF-8; how many could be read.

    Raises:
        ParseError: A row is malformed, unless those are left out.
    """
    rows, n_read = csv.reader(_iter_text(data), strict=True), 0
    while True:
        try:
            row = next(rows)
            if any(map(_UNDECODABLE.search, row)):
                raise ValueError("is not valid UTF-8")  # noqa: TRY301 (as all that ails a row)
            if any(cell.strip() for cell in row):
                read_row(row)
                n_read += 1
        except StopIteration:
            return n_read
        except csv.Error as exc:
            bad_lines.add(rows.line_num, ValueError(f"is not valid CSV: {exc}"), data.name)
        except ValueError as exc:
            bad_lines.add(rows.line_num, exc, data.name)


def peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes that are not blank, and all chunks again."""
    rest = iter(chunks)
    seen: list[bytes] = []
    for chunk in rest:
        seen.append(chunk)
        if chunk.removeprefix(BYTE_ORDER_MARK).strip():
            break
    head = b"".join(seen).removeprefix(BYTE_ORDER_MARK).lstrip()
    return head, chain(seen, rest)


def _iter_text(data: DataInput) -> Iterator[str]:
    """Lines with their ends; bytes that are no UTF-8 become lone surrogates."""
    decoder = getincrementaldecoder("utf-8-sig")("surrogateescape")
    rest = ""
    for chunk in data.chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        if len(rest) > MAX_LINE_BYTES:
            raise ParseError(data.name, 0, "has an endless line: this is no CSV file")
        yield from (f"{line}\n" for line in lines)
    yield rest + decoder.decode(b"", final=True)


def check_image(image: object) -> str:
    """The image's URI.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(image, str) or not image or "\0" in image:
        raise ValueError(f"names no image: {show(image)}")
    return image


def check_label(label: object) -> str:
    """The label's name.

    Raises:
        ValueError: It is empty or holds a NUL, which no store takes.
    """
    if not isinstance(label, str) or not label or "\0" in label:
        raise ValueError(f"holds a label without a name: {show(label)}")
    return label


def make_box(xs: Sequence[float], ys: Sequence[float]) -> Box:
    """The box around some corners.

    Raises:
        ValueError: There are fewer than two corners, or a coordinate is no number.
    """
    if min(len(xs), len(ys)) < 2 or not all(map(isfinite, (*xs, *ys))):  # noqa: PLR2004 (corners)
        raise ValueError(f"holds a box of no two corners: x {show(list(xs))}, y {show(list(ys))}")
    return min(xs), min(ys), max(xs), max(ys)

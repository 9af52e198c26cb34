"""What Google's files with a line per image have in common: reading them, and the columns."""

import csv
import re
from array import array
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import TypeAlias, TypeVar

from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Doubt
from mlrek.formats.doubts import doubt_skipped
from mlrek.formats.json_text import show
from mlrek.formats.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, iter_json_lines

T = TypeVar("T")

Box: TypeAlias = tuple[float, float, float, float]
"""xMin, yMin, xMax, yMax as shares of the image's width and height, from its upper left corner."""

_N_NAMED = 3
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


class BadLines:
    """Malformed lines: the first one ends the reading, unless they are to be left out."""

    def __init__(self, kind: str, *, skip: bool) -> None:
        self._kind = kind
        self._skip = skip
        self._n = 0
        self._n_lines = 0
        self._first: list[str] = []

    def add(self, name: str, number: int, exc: ValueError) -> None:
        """Take note of a line.

        Raises:
            ParseError: Bad lines are not left out.
        """
        error = ParseError(name, number, str(exc))
        if not self._skip:
            raise error from exc
        self._n += 1
        if self._n <= _N_NAMED:
            self._first.append(str(error))

    def count(self, n_lines: int) -> None:
        """Take note of lines that are read, malformed ones included."""
        self._n_lines += n_lines

    def doubt(self) -> Iterator[Doubt]:
        """The lines that were left out, counted."""
        named = "; ".join(self._first) + ("; …" if self._n > _N_NAMED else "")
        n_lines = max(self._n_lines, self._n)
        yield from doubt_skipped(self._n, n_lines, f"lines of {self._kind}", named)


def read_json_lines(
    data: DataInput, decoder: Decoder[T], read_line: Callable[[T], None], bad_lines: BadLines
) -> None:
    """Read every line of a file.

    Raises:
        ParseError: A line is malformed, unless those are left out.
    """

    def note(number: int, exc: ValueError) -> None:
        bad_lines.add(data.name, number, exc)

    def note_undecoded(number: int, exc: ValueError) -> None:
        bad_lines.count(1)
        note(number, exc)

    for first, lines in iter_json_lines(decoder, data.chunks, data.name, note_undecoded):
        bad_lines.count(len(lines))
        for number, line in enumerate(lines, first):
            try:
                read_line(line)
            except ValueError as exc:
                note(number, exc)


def read_csv_rows(
    data: DataInput, read_row: Callable[[Sequence[str]], None], bad_lines: BadLines
) -> None:
    """Read every row that is not blank of a CSV file in UTF-8.

    Raises:
        ParseError: A row is malformed, unless those are left out.
    """
    rows = csv.reader(_iter_text(data), strict=True)
    while True:
        try:
            row = next(rows)
            if any(map(_UNDECODABLE.search, row)):
                raise ValueError("is not valid UTF-8")  # noqa: TRY301 (as all that ails a row)
            if any(cell.strip() for cell in row):
                bad_lines.count(1)
                read_row(row)
        except StopIteration:
            return
        except csv.Error as exc:
            bad_lines.add(data.name, rows.line_num, ValueError(f"is not valid CSV: {exc}"))
        except ValueError as exc:
            bad_lines.add(data.name, rows.line_num, exc)


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

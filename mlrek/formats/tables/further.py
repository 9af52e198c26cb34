"""Further columns of a table (site, camera, light) -> columns of its images.

They are taken as they come, batch by batch and without a look at single cells: texts as codes of
their distinct values, as long as these are few, and numbers as doubles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute

from mlrek.errors import EvaluationError, ParseError
from mlrek.evaluation import FloatArray, IntArray, SliceColumn
from mlrek.formats.image_columns import (
    MAX_WHOLE_NUMBER,
    NO_NUMBERS,
    NO_TEXTS,
    is_identifier,
    is_number,
    make_column,
    make_numbers,
    warn_identifiers,
    warn_many,
    write_scalar,
)
from mlrek.formats.json_text import join_some, quoted
from mlrek.formats.tables.columns import Header
from mlrek.formats.tables.growing import GrowingColumn
from mlrek.kinds import MAX_COLUMNS, MAX_VALUES

A = TypeVar("A", FloatArray, IntArray)

MOST_READ: Final = 4 * MAX_COLUMNS
"""Further columns of a table that are read, of which those with the fewest values are kept."""

_NONE: Final = -1
_ZERO, _NINE = b"09"
_SIGNS: Final = [*b"+- "]
_MOST_NAMED: Final = 10


@dataclass(slots=True)
class FurtherColumn:
    """One column as it grows, a cell a row.

    `known` are the codes of its texts, `codes` those of its rows; where it turned out to hold many
    numbers there are `numbers` instead. `trouble` says why nothing is kept of it any more.
    """

    name: str
    known: dict[str, int] = field(default_factory=dict)
    codes: GrowingColumn = field(default_factory=lambda: GrowingColumn(dtype=np.int32))
    numbers: GrowingColumn | None = None
    n_rows: int = 0
    trouble: str = ""
    is_name: bool = False

    def add(self, column: pa.Array) -> None:
        """Append the cells of a batch."""
        self.n_rows += len(column)
        if self.trouble:
            return
        cells = _simplify(column)
        if cells is None:
            self._drop("holds lists, objects or bytes")
        elif pa.types.is_floating(cells.type):
            self._add_numbers(cells)
        elif self.numbers is not None:
            self._add_texts_to_numbers(cells)
        else:
            self._add_texts(cells)

    def _drop(self, trouble: str) -> None:
        self.trouble, self.known, self.numbers = trouble, {}, None
        self.codes = GrowingColumn(dtype=np.int32)

    def _add_texts(self, cells: pa.Array) -> None:
        coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
        values = coded.dictionary
        if len(values) > MAX_VALUES or len(self.known) > MAX_VALUES:
            self._leave_texts(cells, len(values))
            return
        known = self.known
        places = [known.setdefault(text, len(known)) for text in values.to_pylist()]
        at = coded.indices.fill_null(len(places)).to_numpy(zero_copy_only=False)
        self.codes.append(np.array([*places, _NONE], dtype=np.int32)[at])

    def _leave_texts(self, cells: pa.Array, n_values: int) -> None:
        """Take cells as numbers, as those before are if they are; else the column is too much."""
        texts, parsed = list(self.known), _parse_numbers(cells)
        kept = [text for text in texts if text.strip() not in NO_NUMBERS]
        if parsed is not None and all(map(is_number, kept)):
            floats = {text: float(text) for text in kept}
            of_codes = np.array([*(floats.get(text, np.nan) for text in texts), np.nan])
            before = of_codes[self.codes.finish()]
            self.numbers = GrowingColumn(dtype=np.float64)
            self.numbers.append(before)
            self.numbers.append(parsed)
            return
        self.is_name = is_identifier(n_values, len(cells))
        self._drop(f"more than {MAX_VALUES:,} values")

    def _add_numbers(self, cells: pa.Array) -> None:
        if self.numbers is None and self.known:
            texts = [None if v != v else write_scalar(v) for v in cells.to_pylist()]  # noqa: PLR0124 - NaN
            self._add_texts(pa.array(texts, pa.string()))
            return
        if self.numbers is None:
            self.numbers = GrowingColumn(dtype=np.float64)
            self.numbers.append(np.full(self.n_rows - len(cells), np.nan))
        self.numbers.append(cells.to_numpy(zero_copy_only=False))

    def _add_texts_to_numbers(self, cells: pa.Array) -> None:
        assert self.numbers is not None  # noqa: S101 - for the type checker
        numbers = _parse_numbers(cells)
        if numbers is not None:
            self.numbers.append(numbers)
            return
        found, places = np.unique(self.numbers.finish(), return_inverse=True)
        if len(found) > MAX_VALUES:
            self._drop(f"more than {MAX_VALUES:,} values")
            return
        texts = [_write_number(number) for number in found.tolist()]
        self.known = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        codes = np.array([self.known[text] for text in texts], dtype=np.int32)
        self.codes, self.numbers = GrowingColumn(dtype=np.int32), None
        self.codes.append(codes[places])
        self._add_texts(cells)

    def finish(self, rows: "RowsOfImages") -> tuple[SliceColumn | None, int]:
        """The column of the images, and the first row that contradicts another one, or -1."""
        if self.trouble:
            return None, _NONE
        if self.numbers is not None:
            numbers, bad = rows.settle(self.numbers.finish(), np.nan)
            return (None, bad) if bad >= 0 else (make_numbers(self.name, numbers), bad)
        texts = list(self.known)
        codes: IntArray = self.codes.finish()
        is_empty = np.array([*(text.strip() in NO_TEXTS for text in texts), True])
        codes[is_empty[codes]] = _NONE
        settled, bad = rows.settle(codes, _NONE)
        return (None, bad) if bad >= 0 else (make_column(self.name, texts, settled), bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOfImages:
    """The image of each row, (n_rows,), and how many images there are."""

    image_idx: IntArray
    n_images: int
    is_one_each: bool

    @classmethod
    def of(cls, image_idx: IntArray, n_images: int) -> "RowsOfImages":
        """Of images in the order in which they come up."""
        is_one_each = len(image_idx) == n_images
        return cls(image_idx=image_idx, n_images=n_images, is_one_each=is_one_each)

    def settle(self, cells: A, none: float) -> tuple[A, int]:
        """The value of each image, and the first row whose value is not its image's, or -1."""
        if self.is_one_each:
            return cells, _NONE
        told = np.flatnonzero(~np.isnan(cells) if np.isnan(none) else cells != none)
        values: A = np.full(self.n_images, none, dtype=cells.dtype)
        values[self.image_idx[told[::-1]]] = cells[told[::-1]]
        differs = cells[told] != values[self.image_idx[told]]
        return values, int(told[int(np.argmax(differs))]) if differs.any() else _NONE


def list_read(header: Header) -> list[str]:
    """The names of the further columns that are read at all."""
    return list(header.further)[:MOST_READ]


def warn_unread(header: Header) -> Iterator[str]:
    """Yield that there are so many that the last ones are not read."""
    if unread := list(header.further)[MOST_READ:]:
        named = join_some([*map(quoted, unread[: _MOST_NAMED + 1])], ", ", _MOST_NAMED)
        yield (
            f"of {len(header.further):,} further columns only the first {MOST_READ} are read; left "
            f"out: {named}"
        )


def finish_columns(
    columns: Sequence[FurtherColumn], rows: RowsOfImages, images: Sequence[str]
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """The columns of the images, and what is to be said of those that are left out."""
    found: dict[str, SliceColumn] = {}
    differing = []
    for column in columns:
        made, bad = column.finish(rows)
        if bad >= 0:
            differing.append(f"{quoted(column.name)} ({quoted(images[rows.image_idx[bad]])})")
        elif made is not None:
            found.setdefault(made.name, made)
    return tuple(found.values()), (*_warn_differing(differing), *_warn_troubles(columns))


def finish_asked(
    columns: Sequence[FurtherColumn], rows: RowsOfImages, images: Sequence[str], uri: str
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """The columns of a table that somebody asked for, and what is to be said of it.

    Raises:
        ParseError: Rows of one image differ, or a column holds something else than values.
        EvaluationError: A column has more values than are kept, and is no name of images.
    """
    found: dict[str, SliceColumn] = {}
    naming = [quoted(column.name) for column in columns if column.is_name]
    for column in columns:
        if column.is_name:
            continue
        if column.trouble.startswith("more"):
            raise EvaluationError(
                f"{uri}: column {quoted(column.name)} has {column.trouble}, and at most "
                f"{MAX_VALUES:,} of all columns together are kept: leave it out, or group values"
            )
        if column.trouble:
            raise ParseError(uri, 0, f"column {quoted(column.name)} {column.trouble}")
        made, bad = column.finish(rows)
        if bad >= 0:
            image = quoted(images[rows.image_idx[bad]])
            said = f"row {bad + 1} ({image}): {quoted(column.name)} is another than in a row before"
            raise ParseError(uri, 0, f"{said}; an image has one value")
        if made is not None:
            found.setdefault(made.name, made)
    return tuple(found.values()), (warn_identifiers(naming),) if naming else ()


def _warn_differing(named: Sequence[str]) -> Iterator[str]:
    if named:
        yield (
            "columns that differ between the rows of one image say nothing of the image and are "
            f"passed over (in brackets the first such image): {join_some(named, ', ', _MOST_NAMED)}"
        )


def _warn_troubles(columns: Sequence[FurtherColumn]) -> Iterator[str]:
    names = [quoted(column.name) for column in columns if column.is_name]
    if names:
        yield warn_identifiers(names)
    many = [c for c in columns if c.trouble.startswith("more") and not c.is_name]
    if many:
        named = [f"{quoted(column.name)} ({column.trouble})" for column in many]
        yield warn_many(join_some(named, ", ", _MOST_NAMED))
    odd = [quoted(c.name) for c in columns if c.trouble and not c.trouble.startswith("more")]
    if odd:
        named_odd = join_some(odd, ", ", _MOST_NAMED)
        yield f"columns that hold lists, objects or bytes are passed over: {named_odd}"


def _simplify(column: pa.Array) -> pa.Array | None:
    """Cells as texts, perhaps as codes of texts, or as doubles; None where they are neither."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        is_text = pa.types.is_string(kind.value_type)
        return column if is_text else _simplify(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_nested(kind):
        return None if pa.types.is_nested(kind) else column
    has_numbers = (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
    try:
        return _to_doubles(column) if has_numbers else column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _to_doubles(column: pa.Array) -> pa.Array:
    """Numbers as doubles, or as texts where doubles have too few digits for them."""
    if pa.types.is_integer(column.type):
        numbers = column.cast(pa.float64(), safe=False)
        largest = pa.compute.max(pa.compute.abs(numbers)).as_py()
        if largest is not None and largest > MAX_WHOLE_NUMBER:
            return column.cast(pa.string())
        return numbers
    return column.cast(pa.float64(), safe=False)


def _parse_numbers(cells: pa.Array) -> FloatArray | None:
    """Texts as numbers, NaN for none; None where one is something else."""
    compute = pa.compute
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    try:
        numbers = cells.cast(pa.float64())
    except pa.ArrowInvalid:
        no_numbers = pa.array(sorted(NO_NUMBERS))
        is_none = compute.is_in(compute.utf8_trim_whitespace(cells), value_set=no_numbers)
        cells = compute.if_else(is_none, pa.scalar(None, pa.string()), cells)
        try:
            numbers = cells.cast(pa.float64())
        except pa.ArrowInvalid:
            return None
    parsed = numbers.to_numpy(zero_copy_only=False)
    if _has_leading_zeros(cells):
        return None
    whole = parsed == np.floor(parsed)
    if np.isinf(parsed).any() or np.any(whole & (np.abs(parsed) > MAX_WHOLE_NUMBER)):
        return None
    return np.asarray(parsed, dtype=np.float64)


def _has_leading_zeros(texts: pa.Array) -> bool:
    """Whether a text, as `007`, begins with a zero and another digit, after a sign perhaps."""
    if texts.type != pa.string():
        texts = texts.cast(pa.string())
    _, ends, data = texts.buffers()
    if data is None:
        return False
    offsets = np.frombuffer(ends, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data, dtype=np.uint8)
    begins, lengths = offsets[:-1], np.diff(offsets)
    is_signed = np.isin(letters[begins[lengths > 0]], _SIGNS)
    begins = begins[lengths > 0] + is_signed
    begins = begins[lengths[lengths > 0] - is_signed > 1]
    second = letters[begins + 1]
    return bool(np.any((letters[begins] == _ZERO) & (second >= _ZERO) & (second <= _NINE)))


def _write_number(number: float) -> str:
    if np.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else repr(number)

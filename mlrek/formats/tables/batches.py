"""A table in CSV, Parquet or JSON Lines -> its columns, a bounded number of rows at a time."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
from msgspec.json import Decoder, encode
from pyarrow import parquet

from mlrek.errors import ParseError
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.json_text import HEAD_BYTES, peek_inside, quoted, say_spoilt
from mlrek.formats.lines import BYTE_ORDER_MARK, iter_json_lines, open_text, unfold_lines
from mlrek.formats.tables.columns import (
    LABELS,
    Header,
    Role,
    names_images,
    read_header,
    split_names,
)

PARQUET_MARK: Final = b"PAR1"
_DAMAGE: Final = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises for a Parquet file that is damaged, also in a column's name."""

_BLOCK_BYTES: Final = 3 << 19  # and one thread: more of either take far more memory
_CELLS_AT_ONCE: Final = 1 << 19
_ROWS_AT_ONCE: Final = 1 << 15  # what a processor keeps at hand
_NO_VALUES: Final = ("", "nan", "NaN", "NAN", "NA", "N/A", "null", "NULL", "None")
_NO_NUMBER: Final = "CSV conversion error to double"
_DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?\d+,\d+\s*")
_WRONG_LENGTH: Final = re.compile(
    r"(?:Row #(?P<row>\d+): )?Expected (?P<wanted>\d+) columns, got (?P<found>\d+): (?P<text>.*)"
)
_SKIPPED: Final = re.compile(rb"(\xef\xbb\xbf)?(\s*|sep=.\s*)")
"""Lines before the header: empty ones, and the one that names the delimiter to spreadsheets."""
_ENDING: Final = re.compile(r"\.(csv|tsv|parquet|pq|jsonl?|ndjson)(\.gz)?$", re.IGNORECASE)
_COCO: Final = frozenset(("image_id", "category_id", "bbox"))

Columns = Sequence[pa.Array]
ReadHeader = Callable[[Sequence[str]], Header]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """One file of rows: what its columns mean, and how to go through some of them.

    `iter_batches` takes places of columns and yields these columns, some rows at a time.
    """

    uri: str
    header: Header
    iter_batches: Callable[[Sequence[int]], Iterator[Columns]]


def list_candidates(files: Files) -> list[str]:
    """The files that may be tables: the one file, or those of a folder that end like one."""
    if not files.is_folder:
        return [ITSELF]
    return [name for name in files.names if _ENDING.search(name)]


def seems_one(files: Files, name: str = ITSELF) -> bool:
    """Whether one file holds a table of truth or predictions, by its content."""
    head = files.read_head(name)
    try:
        if head.startswith(PARQUET_MARK):
            return not _is_evaluation(files.read_whole(name))
        inside = peek_inside(head).removeprefix(BYTE_ORDER_MARK).lstrip()
        if say_spoilt(inside):
            return False
        if inside.startswith((b"{", b"[")):
            return _seems_json(files.read(name))
        _, names = split_names(_split_header("", files.read(name))[1])
    except (ParseError, *_DAMAGE):
        return False
    return names_images(names)


def peek_names(files: Files, name: str = ITSELF) -> tuple[str, ...]:
    """The names of the columns of a CSV file; () where it is something else."""
    inside = peek_inside(files.read_head(name)).removeprefix(BYTE_ORDER_MARK).lstrip()
    if say_spoilt(inside) or inside.startswith((b"{", b"[")):
        return ()
    try:
        return split_names(_split_header("", files.read(name))[1])[1]
    except ParseError:
        return ()


def _is_evaluation(data: bytes) -> bool:
    """Whether a Parquet file is mlrek's own, which holds a whole evaluation."""
    return b"mlrek" in (parquet.ParquetFile(pa.BufferReader(data)).schema_arrow.metadata or {})


def _seems_json(chunks: Iterable[bytes]) -> bool:
    """Whether the first rows are flat, name images and say something of them."""
    first = next(_iter_rows("", chunks), (0, ()))[1]
    names = {name for row in first for name in row}
    is_flat = not any(isinstance(value, dict) for row in first for value in row.values())
    return is_flat and names_images(tuple(names)) and not names >= _COCO


def open_table(files: Files, name: str, means: ReadHeader = read_header) -> TableFile:
    """The table in a file, whatever its form; `means` tells what its columns mean.

    Raises:
        ParseError: It holds no table, or two columns that mean the same.
    """
    uri = f"{files.uri.rstrip('/')}/{name}" if name else files.uri
    head = files.read_head(name)
    if head.startswith(PARQUET_MARK):
        return _open_parquet(uri, files.read(name), means)
    inside = peek_inside(head).removeprefix(BYTE_ORDER_MARK).lstrip()
    if said := say_spoilt(inside):
        raise ParseError(uri, 0, f"{said.replace(', not JSON', '')}; a table belongs here")
    if inside.startswith((b"{", b"[")):
        return _open_json(uri, files.read, name, means)
    return _open_csv(uri, files.read, name, means)


def _read_header(uri: str, names: Sequence[str], means: ReadHeader) -> Header:
    try:
        return means(names)
    except ValueError as exc:
        raise ParseError(uri, 0, str(exc)) from exc


# ---- Parquet --------------------------------------------------------------------------------


def _open_parquet(uri: str, chunks: Iterable[bytes], means: ReadHeader) -> TableFile:
    data = bytearray()
    for chunk in chunks:
        data += chunk
    buffer = pa.py_buffer(data)
    try:
        schema = parquet.read_schema(pa.BufferReader(buffer))
        names, header = schema.names, _read_header(uri, schema.names, means)
        labels = [names[header.roles[role]] for role in LABELS if role in header]
        coded = [*filter(partial(_holds_texts, schema), [*labels, *header.further])]  # far faster
        file = parquet.ParquetFile(pa.BufferReader(buffer), read_dictionary=coded)
    except _DAMAGE as exc:
        raise _damaged(uri, exc) from exc

    def iter_batches(places: Sequence[int]) -> Iterator[Columns]:
        wanted = [names[place] for place in places]
        try:
            n_rows = min(max(_CELLS_AT_ONCE // len(wanted), 1), _ROWS_AT_ONCE)
            for batch in file.iter_batches(batch_size=n_rows, columns=wanted):
                yield [batch.column(batch.schema.get_field_index(name)) for name in wanted]
        except _DAMAGE as exc:
            raise _damaged(uri, exc) from exc

    return TableFile(uri=uri, header=header, iter_batches=iter_batches)


def _holds_texts(schema: pa.Schema, name: str) -> bool:
    """Whether a column holds texts, and can be asked for by its name."""
    fields = schema.get_all_field_indices(name)
    return len(fields) == 1 and pa.types.is_string(schema.field(name).type) and "." not in name


def _damaged(uri: str, exc: Exception) -> ParseError:
    return ParseError(uri, 0, f"is a Parquet file that cannot be read: {_first_line(exc)}")


def _first_line(exc: Exception) -> str:
    return quoted(str(exc).partition("\n")[0])


# ---- CSV ------------------------------------------------------------------------------------


class _Stream(io.RawIOBase):
    """Chunks of bytes as a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


def _open_csv(
    uri: str, read: Callable[[str], Iterable[bytes]], name: str, means: ReadHeader
) -> TableFile:
    _, line = _split_header(uri, read(name))
    delimiter, names = split_names(line)
    header = _read_header(uri, names, means)
    is_spaced = len(names) > 1 and line.count(f"{delimiter} ".encode()) == len(names) - 1
    as_texts = dict.fromkeys(range(len(names)), pa.string())
    types = as_texts if is_spaced or delimiter != "," else as_texts | _find_types(header)

    def iter_as(kinds: Mapping[int, pa.DataType], places: Sequence[int]) -> Iterator[Columns]:
        for columns in _iter_csv(_split_header(uri, read(name))[0], delimiter, kinds, places):
            mended = columns
            if is_spaced:  # a blank follows each delimiter, also in the header
                mended = [pa.compute.utf8_ltrim_whitespace(column) for column in columns]
            yield [*map(_mend_decimals, mended)] if delimiter != "," else mended

    def iter_batches(places: Sequence[int]) -> Iterator[Columns]:
        n_read = 0
        try:
            try:
                for columns in iter_as(types, places):
                    yield columns
                    n_read += 1
            except pa.ArrowInvalid as exc:
                if _NO_NUMBER not in str(exc):
                    raise
                yield from islice(iter_as(as_texts, places), n_read, None)
        except pa.ArrowException as exc:
            raise ParseError(uri, 0, _say_csv(exc)) from exc

    return TableFile(uri=uri, header=header, iter_batches=iter_batches)


def _find_types(header: Header) -> dict[int, pa.DataType]:
    """As what Arrow may read columns at once, by place: labels as codes, and numbers.

    A number that Arrow does not read is read as text then, as it may be written in other ways.
    """
    roles = {place: role for role, place in header.roles.items()}
    labels = [place for place, role in roles.items() if role in LABELS]
    numbers = [place for place, role in roles.items() if role not in (Role.IMAGE, *LABELS)]
    numbers += header.scores.values()
    coded = pa.dictionary(pa.int32(), pa.string())
    return dict.fromkeys(numbers, pa.float64()) | dict.fromkeys(labels, coded)


def _iter_csv(
    body: "io.BufferedReader[Any]",
    delimiter: str,
    types: Mapping[int, pa.DataType],
    places: Sequence[int],
) -> Iterator[Columns]:
    """Columns as these types; the same bytes are always parted into the same batches."""
    if not body.peek(1):
        return
    options = {
        "read_options": pyarrow.csv.ReadOptions(
            column_names=[*map(str, types)],
            block_size=_BLOCK_BYTES * min(1 + len(types) // 16, 32),
            use_threads=False,
        ),
        "parse_options": pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(
            include_columns=[*map(str, places)],
            column_types={str(place): types[place] for place in places},
            null_values=_NO_VALUES,
        ),
    }
    with pyarrow.csv.open_csv(body, **options) as reader:
        for batch in reader:
            yield batch.columns


def _mend_decimals(column: pa.Array) -> pa.Array:
    """Numbers with a decimal comma, as they are written where `;` parts the columns."""
    filled = [text for text in column[:1].to_pylist() if text]
    if not filled or not _DECIMAL_COMMA.fullmatch(filled[0]):
        return column
    return pa.compute.replace_substring(column, ",", ".")


def _say_csv(exc: pa.ArrowException) -> str:
    if wrong := _WRONG_LENGTH.search(str(exc)):
        where = f"row {wrong['row']}: " if wrong["row"] else ""
        said = f"has {wrong['found']} cells where the header has {wrong['wanted']}"
        return f"{where}{said}: {quoted(wrong['text'])}"
    if "UTF8" in str(exc):
        return "is no text in UTF-8; save it as UTF-8"
    return f"is a CSV file that cannot be read: {_first_line(exc)}"


def _split_header(uri: str, chunks: Iterable[bytes]) -> tuple["io.BufferedReader[Any]", bytes]:
    """What follows the first line of a text, and that line.

    Raises:
        ParseError: There is no line, or its end is out of sight.
    """
    stream = io.BufferedReader(_Stream(open_text(chunks, uri)[1]), buffer_size=HEAD_BYTES)
    lines = iter(stream.readline, b"")
    line = next((line for line in lines if not _SKIPPED.fullmatch(line)), b"")
    while line.count(b'"') % 2 and (more := stream.readline()):
        line += more
    if not line:
        raise ParseError(uri, 0, "is empty: not one line")
    return stream, line.removeprefix(BYTE_ORDER_MARK)


# ---- JSON Lines -----------------------------------------------------------------------------

_ROWS = Decoder(dict[str, Any])
_NOT_LISTED: Final = re.compile(rb"(?!)")


def _open_json(
    uri: str, read: Callable[[str], Iterable[bytes]], name: str, means: ReadHeader
) -> TableFile:
    first = next(_iter_rows(uri, read(name)), None)
    if first is None:
        raise ParseError(uri, 0, "is empty: not one line")
    names = tuple(dict.fromkeys(key for row in first[1] for key in row))
    header = _read_header(uri, names, means)

    def iter_batches(places: Sequence[int]) -> Iterator[Columns]:
        waiting: list[dict[str, Any]] = []
        for number, rows in _iter_rows(uri, read(name)):
            _check_names(uri, names, number, rows, means)
            waiting += rows
            if len(waiting) * len(names) >= _CELLS_AT_ONCE:
                yield _take_columns(waiting, names, places)
                waiting = []
        if waiting:
            yield _take_columns(waiting, names, places)

    return TableFile(uri=uri, header=header, iter_batches=iter_batches)


def _take_columns(
    rows: Sequence[dict[str, Any]], names: Sequence[str], places: Sequence[int]
) -> Columns:
    return [make_array([row.get(names[place]) for row in rows]) for place in places]


def _iter_rows(uri: str, chunks: Iterable[bytes]) -> Iterator[tuple[int, Sequence[dict[str, Any]]]]:
    def refuse(number: int, exc: ValueError) -> None:
        raise ParseError(uri, number, str(exc)) from exc

    return iter_json_lines(
        _ROWS, unfold_lines(chunks, uri, lambda _: None, _NOT_LISTED), uri, refuse
    )


def _check_names(
    uri: str,
    names: Sequence[str],
    number: int,
    rows: Sequence[dict[str, Any]],
    means: ReadHeader,
) -> None:
    """Refuse a column that comes up after rows without it have been read."""
    if set().union(*rows) <= set(names):
        return
    for i, row in enumerate(rows):
        for name in row:
            known = means is not read_header or name not in read_header((name,)).further
            if name not in names and known:
                said = f"has {quoted(name)}, which the first rows of the file lack"
                raise ParseError(uri, number + i, said)


def make_array(values: Sequence[Any]) -> pa.Array:
    """Values of JSON as a column; of several types all become text as JSON writes it."""
    if any(isinstance(value, list) for value in values):
        values = [*map(_make_list, values)]
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_write(value) for value in values], pa.string())


def _make_list(value: Any) -> list[Any] | None:
    return value if value is None or isinstance(value, list) else [value]


def _write(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return encode(value).decode()


# ---- columns --------------------------------------------------------------------------------


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of a column hold lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def to_text_column(column: pa.Array) -> pa.Array:
    """A column as text."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(column.type):
        return to_text_column(column.dictionary_decode())
    coded = column.dictionary_encode()
    texts = pa.array(to_texts(coded.dictionary), pa.large_string())
    return texts.take(coded.indices)


def to_texts(values: pa.Array) -> list[str]:
    """Distinct values as text, '' for none; a number as its shortest text."""
    if pa.types.is_floating(values.type):
        return ["" if v is None or v != v else repr(v) for v in values.to_pylist()]  # noqa: PLR0124 - NaN
    return ["" if value is None else str(value) for value in values.to_pylist()]


def read_flags(column: pa.Array) -> pa.Array:
    """A column of 1 and 0 that may be written as `true` and `false`."""
    try:
        return column.cast(pa.bool_()).cast(pa.int8())
    except pa.ArrowException:
        return column


def parse_column(column: pa.Array) -> tuple[pa.Array, int]:
    """A column as numbers, NaN for none; and the first place of something else, or -1."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _parse_numbers(column)
    if pa.types.is_boolean(column.type):
        return column, 0
    try:
        return column.cast(pa.float64()), -1
    except pa.ArrowException:
        return column, 0


def _parse_numbers(column: pa.Array) -> tuple[pa.Array, int]:
    compute = pa.compute
    try:
        return column.cast(pa.float64()), -1
    except pa.ArrowInvalid:
        pass
    trimmed = compute.utf8_trim_whitespace(column)
    is_none = compute.is_in(trimmed, value_set=pa.array(_NO_VALUES))
    filled = compute.if_else(is_none, pa.scalar(None, pa.string()), trimmed)
    try:
        return filled.cast(pa.float64()), -1
    except pa.ArrowInvalid:
        return column, _find_no_number(filled.to_pylist())


def _find_no_number(texts: Sequence[str | None]) -> int:
    for i, text in enumerate(texts):
        try:
            float(text or 0)
        except ValueError:
            return i
    return 0

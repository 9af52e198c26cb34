"""All rows of a table in memory: images and labels as codes, numbers as columns of floats."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
from msgspec import MsgspecError
from msgspec.json import Decoder
from numpy.typing import NDArray

from mlrek.errors import ParseError
from mlrek.evaluation import BoolArray, FloatArray, IntArray, SliceColumn
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.json_text import join_some, quoted, say_first
from mlrek.formats.tables.batches import (
    Columns,
    TableFile,
    is_list,
    list_candidates,
    open_table,
    parse_column,
    read_flags,
    seems_one,
    to_texts,
)
from mlrek.formats.tables.columns import LABELS, Header, Role, read_image_header
from mlrek.formats.tables.further import (
    FurtherColumn,
    RowsOfImages,
    finish_asked,
    finish_columns,
    list_read,
    warn_unread,
)
from mlrek.formats.tables.growing import GrowingColumn, ImageCodes
from mlrek.metrics.test_set import take_rows

_MAY_BE_LISTS: Final = (*LABELS, Role.CONFIDENCE)

NONE: Final = -1
"""The code of an empty cell."""

_LISTS: Final = Decoder(list[str])
_NO_LABEL: Final = "[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The labels in a column: codes, -1 for an empty cell; `counts` a row, None: one each.

    Where cells hold lists, `is_blank` (n_rows,) tells those that hold none, not even an empty one.
    """

    codes: IntArray
    counts: IntArray | None = None
    is_blank: BoolArray | None = None

    def spread(self, rows: NDArray[Any]) -> NDArray[Any]:
        """What belongs to rows, (n_rows,), for each label: (n_labels,)."""
        return rows if self.counts is None else np.repeat(rows, self.counts)

    @property
    def row_idx(self) -> IntArray:
        """The row of each label."""
        n = len(self.codes) if self.counts is None else len(self.counts)
        return np.asarray(self.spread(np.arange(n)))

    @property
    def empty_lists(self) -> IntArray:
        """The rows that say on purpose that there is no label: their list is written empty."""
        if self.counts is None or self.is_blank is None:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero((self.counts == 0) & ~self.is_blank)

    def take(self, kept: IntArray) -> "Cells":
        """The cells of some rows."""
        if self.counts is None:
            return Cells(codes=self.codes[kept])
        taken, _ = take_rows(np.append(0, np.cumsum(self.counts)), kept)
        is_blank = None if self.is_blank is None else self.is_blank[kept]
        return Cells(codes=self.codes[taken], counts=self.counts[kept], is_blank=is_blank)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """The rows of one table or of several with equal columns, in file order.

    `images` stand in the order in which they come up, `image_idx` (n,) are places in them; codes
    of `cells` are places in `labels`. `numbers` (n,) by role are NaN where a cell is empty; where
    cells hold lists of confidences, `confidence_counts` (n,) are their lengths.
    `scores` (n, n_scores) and `hot` stand in the order of the header's columns. `columns` are what
    further ones say of each of the `images`.
    """

    header: Header
    images: Sequence[str]
    image_idx: IntArray
    labels: tuple[str, ...]
    cells: Mapping[Role, Cells]
    numbers: Mapping[Role, FloatArray]
    confidence_counts: IntArray | None
    scores: FloatArray | None
    hot: BoolArray | None
    files: tuple[tuple[int, str], ...]
    columns: tuple[SliceColumn, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """The first file."""
        return self.files[0][1]

    def name_row(self, row: int) -> str:
        """A row, by its number from 1 in its file and by its image."""
        return f"row {self._find(row)[1]} ({quoted(self.images[self.image_idx[row]])})"

    def refuse(self, row: int, said: str) -> ParseError:
        """The error of a row."""
        return ParseError(self._find(row)[0], 0, f"{self.name_row(row)}: {said}")

    def _find(self, row: int) -> tuple[str, int]:
        start, uri = max(file for file in self.files if file[0] <= row)
        return uri, row - start + 1


def read_rows(files: Files, roles: Collection[Role], *, scores: bool, hot: bool) -> TableRows:
    """The rows of all tables at a place, with those of its columns that have one of the roles.

    Raises:
        ParseError: There is no table, it names no images, or a cell holds no number.
    """
    names, passed = choose_files(files)
    tables = [open_table(files, name) for name in names]
    header = tables[0].header
    _check_alike(tables)
    if Role.IMAGE not in header:
        raise ParseError(tables[0].uri, 0, say_lacking(header))
    gathered = _Gathered(
        header=header,
        roles=[role for role in header.roles if role in roles],
        further=[FurtherColumn(name) for name in list_read(header)],
    )
    while tables:  # each is let go then, as it may hold all of its file
        gathered.read(tables.pop(0), scores=scores, hot=hot)
    return gathered.finish((*passed, *header.warn(), *warn_unread(header)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTable:
    """A table whose columns say something of images: `columns` are of the `images`."""

    uri: str
    images: Sequence[str]
    columns: tuple[SliceColumn, ...]
    warnings: tuple[str, ...] = ()


def read_image_table(files: Files) -> ImageTable:
    """A table of images, each column of which is one of theirs, whatever it is called.

    Raises:
        ParseError: It is no table, names no images, has no further column, or rows of one image
            differ.
        EvaluationError: A column has more values than are kept.
    """
    table = open_table(files, ITSELF, read_image_header)
    header = table.header
    if not header.further:
        raise ParseError(table.uri, 0, "has no column besides the images: nothing to slice by")
    further = [FurtherColumn(name) for name in header.further]
    gathered = _Gathered(header=header, roles=[Role.IMAGE], further=further)
    gathered.read(table, scores=False, hot=False)
    if not gathered.n_rows:
        raise ParseError(table.uri, 0, "has a header, but not one row")
    images, image_idx = gathered.images.finish()
    rows = RowsOfImages.of(image_idx, len(images))
    columns, warnings = finish_asked(further, rows, images, table.uri)
    return ImageTable(
        uri=table.uri, images=images, columns=columns, warnings=(*header.warn(), *warnings)
    )


def choose_files(files: Files) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of files that hold tables, and what is to be said of the others.

    Raises:
        ParseError: No file does.
    """
    if not files.is_folder:
        return (ITSELF,), ()
    found = [name for name in list_candidates(files) if seems_one(files, name)]
    if not found:
        raise ParseError(files.uri, 0, "holds no table of images and labels")
    others = sorted(set(files.names).difference(found))
    if not others:
        return tuple(found), ()
    said = join_some([quoted(name) for name in others[:4]], ", ")
    return tuple(found), (f"{len(others)} files that are no tables are passed over: {said}",)


def _check_alike(tables: Sequence[TableFile]) -> None:
    first = tables[0]
    for table in tables:
        if set(table.header.names) != set(first.header.names):
            raise ParseError(table.uri, 0, f"has other columns than {quoted(first.uri)}")


def say_lacking(header: Header) -> str:
    """What a table has, where it lacks the columns that make it one of truth or predictions."""
    shown = join_some([quoted(name) for name in header.names[:11]], ", ", 10)
    known = header.roles or header.scores or header.hot
    hint = "" if known else "; the first line must name the columns"
    if Role.IMAGE in header and Role.CONFIDENCE not in header and header.further:
        name = next(iter(header.further))
        hint = f"; a column of one label's confidences is named {quoted(f'score_{name}')}"
    return (
        f"is no table of truth or predictions: its columns are {shown}; needed are `image` and "
        f"`label` (with `confidence`), or `image`, `truth`, `predicted` or `score_<label>`{hint}"
    )


@dataclass(slots=True)
class TextCodes:
    """Codes of texts in the order in which they come up; `strips`: blanks alone are no text."""

    strips: bool = False
    codes: dict[str, int] = field(default_factory=dict)

    def encode(self, column: pa.Array) -> IntArray:
        """The code of each cell, -1 for an empty one."""
        if pa.types.is_null(column.type):
            return np.full(len(column), NONE, dtype=np.int32)
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        used = coded.indices.unique().drop_null()  # a dictionary may have more
        codes, strips = self.codes, self.strips
        places = np.full(len(coded.dictionary) + 1, NONE, dtype=np.int32)
        places[used.to_numpy()] = [
            codes.setdefault(text, len(codes)) if text and not (strips and text.isspace()) else NONE
            for text in to_texts(coded.dictionary.take(used))
        ]
        at = coded.indices.fill_null(len(places) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(places[at])


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """Columns as they grow, batch by batch."""

    header: Header
    roles: list[Role]
    further: list[FurtherColumn]
    images: ImageCodes = field(default_factory=ImageCodes)
    labels: TextCodes = field(default_factory=lambda: TextCodes(strips=True))
    codes: dict[Role, GrowingColumn] = field(default_factory=dict)
    counts: dict[Role, GrowingColumn] = field(default_factory=dict)
    numbers: dict[Role, GrowingColumn] = field(default_factory=dict)
    scores: GrowingColumn | None = None
    hot: GrowingColumn | None = None
    files: list[tuple[int, str]] = field(default_factory=list)
    n_rows: int = 0

    def read(self, table: TableFile, *, scores: bool, hot: bool) -> None:
        """Append the rows of a table."""
        header = table.header
        places = [header.roles[role] for role in self.roles]
        of_scores, of_hot = ([*header.scores] if scores else []), ([*header.hot] if hot else [])
        places += [header.scores[label] for label in of_scores]
        places += [header.hot[label] for label in of_hot]
        n_known = len(places)
        places += [header.further[column.name] for column in self.further]
        if of_scores and self.scores is None:
            self.scores = GrowingColumn(len(of_scores), dtype=np.float64)
        if of_hot and self.hot is None:
            self.hot = GrowingColumn(len(of_hot), dtype=np.float64)
        start = self.n_rows
        self.files.append((start, table.uri))
        for columns in table.iter_batches(places):
            for role, column in zip(self.roles, columns, strict=False):
                try:
                    self._add(table, start, role, column)
                except (UnicodeDecodeError, pa.ArrowInvalid) as exc:
                    said = f"{table.header.name_of(role)} holds bytes that are no UTF-8 text"
                    raise ParseError(table.uri, 0, said) from exc
            many = columns[len(self.roles) : n_known]
            for further, column in zip(self.further, columns[n_known:], strict=True):
                further.add(column)
            if self.scores:
                self.scores.append(self._stack(table, start, many[: len(of_scores)], of_scores))
            if self.hot:
                flags = [*map(read_flags, many[len(of_scores) :])]
                self.hot.append(self._stack(table, start, flags, of_hot))
            self.n_rows += len(columns[0])

    def _add(self, table: TableFile, start: int, role: Role, column: pa.Array) -> None:
        """Append some cells of a column.

        Raises:
            ParseError: One holds something else than belongs there.
        """
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            column = column.cast(pa.large_string())
        inner = column.type.value_type if is_list(column.type) else column.type
        if pa.types.is_nested(inner) or (is_list(column.type) and role not in _MAY_BE_LISTS):
            name = table.header.name_of(role)
            raise ParseError(table.uri, 0, f"{name} holds {column.type}, where one value belongs")
        if role is Role.IMAGE:
            if (empty := self.images.add(column)) != NONE:
                row = self.n_rows - start + empty + 1
                raise ParseError(table.uri, 0, f"row {row}: names no image")
            return
        if is_list(column.type):
            lengths = column.value_lengths().fill_null(NONE if role in LABELS else 0)
            counts = lengths.to_numpy(zero_copy_only=False)
            self._append(self.counts, role, counts.astype(np.int32))
            column = column.flatten()
        if role in LABELS:
            self._append(self.codes, role, self.labels.encode(column))
        else:
            numbers = self._convert(table, start, column, table.header.name_of(role))
            self._append(self.numbers, role, numbers)

    def _append(self, columns: dict[Role, GrowingColumn], role: Role, part: NDArray[Any]) -> None:
        columns.setdefault(role, GrowingColumn(dtype=part.dtype)).append(part)

    def _stack(
        self, table: TableFile, start: int, columns: Columns, names: Sequence[str]
    ) -> FloatArray:
        stacked = np.empty((len(columns[0]), len(columns)))
        for i, (column, name) in enumerate(zip(columns, names, strict=True)):
            stacked[:, i] = self._convert(table, start, column, f"the column of {quoted(name)}")
        return stacked

    def _convert(self, table: TableFile, start: int, column: pa.Array, name: str) -> FloatArray:
        """A column as numbers.

        Raises:
            ParseError: A cell holds something else.
        """
        numbers, bad = parse_column(column)
        if bad >= 0:
            row, found = self.n_rows - start + bad + 1, column[bad].as_py()
            raise ParseError(table.uri, 0, f"row {row}: {name} is {quoted(found)}, not a number")
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)

    def finish(self, warnings: tuple[str, ...]) -> TableRows:
        """All of it.

        Raises:
            ParseError: There is not one row.
        """
        if not self.n_rows:
            raise ParseError(self.files[0][1], 0, "has a header, but not one row")
        pa.default_memory_pool().release_unused()  # before as many texts of Python are made
        cells = {
            role: _make_cells(column.finish(), self.counts[role].finish())
            if role in self.counts
            else Cells(codes=column.finish())
            for role, column in self.codes.items()
        }
        images, image_idx = self.images.finish()
        if images.may_hold("\0"):
            self._check_texts(images)
        self._check_texts(self.labels.codes)
        labels, cells = _open_lists(tuple(self.labels.codes), cells)
        rows = RowsOfImages.of(image_idx, len(images))
        further, said = finish_columns(self.further, rows, images)
        return TableRows(
            header=self.header,
            images=_strip_zeros(images),
            image_idx=image_idx,
            labels=tuple(_strip_zeros(labels)),
            cells=cells,
            numbers={role: column.finish() for role, column in self.numbers.items()},
            confidence_counts=self.counts[Role.CONFIDENCE].finish()
            if Role.CONFIDENCE in self.counts
            else None,
            scores=self.scores.finish() if self.scores else None,
            hot=self._find_hot(),
            files=tuple(self.files),
            columns=further,
            warnings=(*warnings, *said),
        )

    def _check_texts(self, texts: Iterable[str]) -> None:
        """Refuse names that no store takes."""
        if (first := next((text for text in texts if "\0" in text), None)) is not None:
            raise ParseError(self.files[0][1], 0, f"{quoted(first)} holds a NUL character")

    def _find_hot(self) -> BoolArray | None:
        if self.hot is None:
            return None
        hot = self.hot.finish()
        wrong = ~np.isin(hot, (0.0, 1.0))
        if wrong.any():
            row, place = np.unravel_index(int(np.argmax(wrong)), hot.shape)
            name = quoted(self.header.names[[*self.header.hot.values()][int(place)]])
            said = f"row {row + 1}: {name} is {hot[row, place]:g}, neither 1 nor 0"
            raise ParseError(self.files[0][1], 0, said)
        return np.asarray(hot == 1)


def _make_cells(codes: IntArray, lengths: IntArray) -> Cells:
    """The labels in a column of lists of these lengths, -1 where there is none."""
    return Cells(codes=codes, counts=np.maximum(lengths, 0), is_blank=lengths == NONE)


def _open_lists(
    texts: tuple[str, ...], cells: dict[Role, Cells]
) -> tuple[tuple[str, ...], dict[Role, Cells]]:
    """Labels that are each a list in JSON, as text holds several, one by one.

    `[]` is no label also where the others are no lists, as a cell must be able to say so.
    """
    if not texts or any(c.counts is not None for c in cells.values()):
        return texts, cells
    lists = [*_decode_lists(texts)]
    are_lists = len(lists) == len(texts)
    if not are_lists:
        if _NO_LABEL not in texts:
            return texts, cells
        lists = [[] if text == _NO_LABEL else [text] for text in texts]
    codes: dict[str, int] = {}
    flat = [codes.setdefault(label, len(codes)) for labels in lists for label in labels]
    offsets = np.cumsum([0, *map(len, lists), 0])  # the last, empty, for -1
    opened = {}
    for role, found in cells.items():
        taken, ends = take_rows(offsets, found.codes)
        lengths = np.diff(ends).astype(np.int32)
        is_blank = found.codes == NONE
        lengths[is_blank] = NONE
        opened[role] = _make_cells(np.array(flat, dtype=np.int32)[taken], lengths)
        if not are_lists and not len(opened[role].empty_lists):
            new = np.array([*(codes[one[0]] if one else NONE for one in lists), NONE], np.int32)
            opened[role] = Cells(codes=new[found.codes])
    return tuple(codes), opened


def _decode_lists(texts: Sequence[str]) -> Iterator[list[str]]:
    for text in texts:
        if not text.startswith("["):
            return
        try:
            yield _LISTS.decode(text)
        except MsgspecError:
            return


def _strip_zeros(texts: Sequence[str]) -> Sequence[str]:
    """Whole numbers of a column of floats without their `.0`."""
    if not texts or not texts[0].endswith(".0"):  # mostly, and then no other is looked at
        return texts
    if not all(text.endswith(".0") and text[:-2].lstrip("-").isdigit() for text in texts):
        return texts
    return tuple(text[:-2] for text in texts)


def take(rows: TableRows, kept: IntArray) -> TableRows:
    """Some of the rows, which have an image each; images that have none of them stay."""
    return replace(
        rows,
        image_idx=rows.image_idx[kept],
        cells={role: found.take(kept) for role, found in rows.cells.items()},
        numbers={role: column[kept] for role, column in rows.numbers.items()},
        scores=None if rows.scores is None else rows.scores[kept],
        hot=None if rows.hot is None else rows.hot[kept],
    )


def count_rows_once(rows: TableRows) -> tuple[TableRows, tuple[str, ...]]:
    """A table with one row an image, of which an image that is there again counts once.

    Raises:
        ParseError: Two rows of an image differ.
    """
    n_rows, n_images = len(rows.image_idx), len(rows.images)
    if n_rows == n_images:
        return rows, ()
    if rows.confidence_counts is not None:
        raise ParseError(rows.uri, 0, "has several rows of one image, with lists; keep one each")
    first = np.zeros(n_images, dtype=np.int64)
    first[rows.image_idx[::-1]] = np.arange(n_rows)[::-1]
    again = np.setdiff1d(np.arange(n_rows), first)
    before = first[rows.image_idx[again]]
    for row, earlier in zip(again.tolist(), before.tolist(), strict=True):
        if not _is_same(rows, row, earlier):
            said = f"differs from {rows.name_row(earlier)}, of the same image; keep one of them"
            raise rows.refuse(row, said)
    image = rows.images[int(rows.image_idx[again[0]])]
    said = say_first(len(again), n_rows, "rows are there twice and count once", image)
    return take(rows, np.sort(first)), (said,)


def _is_same(rows: TableRows, row: int, earlier: int) -> bool:
    columns = [*rows.numbers.values(), *(c for c in (rows.scores, rows.hot) if c is not None)]
    if not all(np.array_equal(c[row], c[earlier], equal_nan=True) for c in columns):
        return False
    for cells in rows.cells.values():
        if cells.counts is None:
            if cells.codes[row] != cells.codes[earlier]:
                return False
            continue
        if cells.is_blank is not None and cells.is_blank[row] != cells.is_blank[earlier]:
            return False
        ends = np.append(0, np.cumsum(cells.counts))
        one, other = (set(cells.codes[ends[i] : ends[i + 1]].tolist()) for i in (row, earlier))
        if one != other:
            return False
    return True

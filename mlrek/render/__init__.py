"""Results -> what people see: blocks, tables, pages, files.

What people are shown is described once as blocks; each output renders the same blocks its way. The
terminal's renderer is `Output.show`, that of pages the macro `table_of` in `parts.html`; those of
markdown and CSV are here. The text of a block is plain and may come from strangers: whoever renders
it escapes it.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import chain, groupby, islice
from math import isfinite
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.text import UNDEFINED, escape_markdown, escape_unencodable, escape_unprintable

# The full-width signs do the same in East Asian settings.
_STARTS_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "'")
_NEEDS_QUOTES: Final = re.compile('[",\r\n]')
_FURTHER: Final = re.compile(r"[~$]|&(?=\w+;)")
"""What GitHub, GitLab and notebooks read besides: struck text, formulas, entities."""
_REFERENCE: Final = re.compile(
    r"(?<![A-Za-z0-9_])(?:@(?=\S)(?!&#8203;)|[!&%$~](?=\d)|GH-(?=\d))|(?<!&)#(?=\d)", re.IGNORECASE
)
"""How GitHub and GitLab write to the people, teams, issues and the like that a text names."""
_BREAK: Final = "&#8203;"
"""A space without width: no backslash keeps GitHub from a mention."""
WIDE: Final = 104
"""Columns of a terminal from which on numbers have their intervals."""
_MAX_NAME: Final = 80
_BLOCK_ROWS: Final = 20_000
_HAZARDS: Final = ('"', ",", "\r", "\n", *(f"\0{start}" for start in _STARTS_FORMULA))


@dataclass(frozen=True, slots=True)
class Heading:
    """What the blocks below it are about."""

    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph; the words that are `strong` come before its text.

    An empty one is a blank line of the terminal. Other outputs have their own gaps.
    """

    text: str = ""
    _: KW_ONLY
    strong: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """One of a list of remarks, after a word that says of what kind it is."""

    text: str
    _: KW_ONLY
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of finished cells; the columns named in `numeric` are right-aligned.

    Words of those in `toned` have a colour where there are colours. A terminal breaks the cells of
    no column that is `numeric` or among `whole`.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    _: KW_ONLY
    numeric: frozenset[str] = frozenset()
    toned: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()

    def without_empty(self, names: Iterable[str] | None = None) -> "Table":
        """The table without those columns (of `names`) that have no value in any row.

        >>> Table(["name", "AP"], [["cat", "—"], ["dog", ""]]).without_empty().columns
        ['name']
        """
        may_go = set(self.columns if names is None else names)
        kept = [
            i
            for i, name in enumerate(self.columns)
            if name not in may_go or any(row[i] not in {"", UNDEFINED} for row in self.rows)
        ]
        columns, *rows = ([row[i] for i in kept] for row in (self.columns, *self.rows))
        return replace(self, columns=columns, rows=rows)


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are folded away, where that can be done, behind a text of our own."""

    text: str
    blocks: Sequence["Block"]


Block = Heading | Line | Note | Table | Folded

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"


def render_markdown(blocks: Iterable[Block]) -> str:
    """The blocks as markdown that shows every name as plain text, in any UTF-8 file."""
    shown = (block for block in blocks if block != Line())
    paragraphs = [
        ("\n" if is_list else "\n\n").join(map(_write_markdown, together))
        for is_list, together in groupby(shown, lambda block: isinstance(block, Note))
    ]
    return escape_unencodable("\n\n".join(paragraphs) + "\n")


def render_csv(table: Table) -> bytes:
    """The table as CSV; cells of columns that are not numeric are made harmless."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    cells = [
        list(column) if name in table.numeric else text_cells(column)
        for name, column in zip(table.columns, columns, strict=True)
    ]
    return write_csv(table.columns, cells)


def text_cells(texts: Iterable[str]) -> list[str]:
    """Cells of untrusted text: harmless to spreadsheets, quoted where CSV needs it."""
    cells = list(texts)
    joined = "\0".join(("", *cells))
    if not any(hazard in joined for hazard in _HAZARDS):  # most columns: far faster at once
        return cells
    return [_cell(text) for text in cells]


def number_cells(numbers: NDArray[Any]) -> list[str]:
    """Cells of numbers, each the shortest text that reads back as the same; NaN is empty."""
    cells = list(map(repr, np.asarray(numbers).tolist()))
    return ["" if cell == "nan" else cell for cell in cells]


def write_csv(header: Sequence[str], columns: Sequence[Sequence[str]]) -> bytes:
    """A CSV file of finished cells."""
    return _encode_row(header) + _encode_rows(columns)


def write_long_csv(
    header: Sequence[str], n_rows: int, cells: Callable[[slice], Sequence[Sequence[str]]]
) -> bytes:
    """A CSV file whose cells exist a block of rows at a time: `cells` gives a block's columns."""
    blocks = (slice(start, start + _BLOCK_ROWS) for start in range(0, n_rows, _BLOCK_ROWS))
    return b"".join((_encode_row(header), *(_encode_rows(cells(block)) for block in blocks)))


def number_or_null(value: float) -> float | None:
    """A number as JSON has it: what is not finite is null."""
    return value if isfinite(value) else None


def cut_name(name: str) -> str:
    """The name of a slice, not too long for a table."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def null_undefined(value: Any) -> Any:
    """A document as JSON has it: what is not finite is null, and tuples are lists."""
    if isinstance(value, Mapping):
        return {key: null_undefined(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [null_undefined(item) for item in value]
    return number_or_null(value) if isinstance(value, float) else value


def build_fields(record: object, *names: str) -> dict[str, Json]:
    """These fields as JSON; a number that is not finite and a text that is empty are null."""
    return {name: _describe_field(getattr(record, name)) for name in names}


def write_json(document: Mapping[str, Json]) -> bytes:
    """A JSON file in UTF-8; half a character, which UTF-8 cannot hold, is escaped.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return f"{_write(dict(document), '')}\n".encode("utf-8", "backslashreplace")


def _write_markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"### {_escape(block.text)}"
        case Line():
            return _stress(block.strong) + _escape(block.text)
        case Note():
            return " ".join(filter(None, ("-", _stress(block.kind), _escape(block.text))))
        case Folded():
            inner = render_markdown(block.blocks)
            summary = html.escape(escape_unprintable(block.text), quote=False)
            return f"<details><summary>{summary}</summary>\n\n{inner}\n</details>"
        case Table():
            marks = ["---:" if name in block.numeric else "---" for name in block.columns]
            names, *rows = (list(map(_escape, row)) for row in (block.columns, *block.rows))
            return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, marks, *rows))


def _stress(text: str) -> str:
    return f"**{_escape(text)}**" if text else ""


def _escape(text: str) -> str:
    """Untrusted text as plain text in markdown, all of it visible; it calls nobody."""
    escaped = _FURTHER.sub(r"\\\g<0>", escape_markdown(escape_unprintable(text)))
    return quiet_references(escaped)


def quiet_references(markdown: str) -> str:
    """Markdown in which nothing is a mention of a person or a reference to an issue.

    What has gone through it once stays as it is.

    >>> quiet_references("- @dog, models:/m@champion, a/b#1")
    '- @&#8203;dog, models:/m@champion, a/b#&#8203;1'
    """
    return _REFERENCE.sub(rf"\g<0>{_BREAK}", markdown)


def _encode_row(cells: Sequence[str]) -> bytes:
    return (",".join(cells) + "\n").encode("utf-8", "backslashreplace")


def _encode_rows(columns: Sequence[Sequence[str]]) -> bytes:
    rows = map(",".join, zip(*columns, strict=True))
    return "\n".join((*rows, "")).encode("utf-8", "backslashreplace")


def _cell(text: str) -> str:
    if text.startswith(_STARTS_FORMULA):
        text = "'" + text
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _describe_field(value: Any) -> Json:
    if isinstance(value, str):
        return str(value) or None
    if isinstance(value, float):
        return number_or_null(value)
    found: Json = list(value) if isinstance(value, tuple) else value
    return found


def _write(value: Json, indent: str) -> str:
    deeper = f"{indent}  "
    if isinstance(value, dict) and value:
        items = [f"{_line(key)}: {_write(item, deeper)}" for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items, brackets = _write_lines(value), "[]"
    else:
        return _line(value)
    inner = f",\n{deeper}".join(items)
    return f"{brackets[0]}\n{deeper}{inner}\n{indent}{brackets[1]}"


def _write_lines(items: list[Json]) -> list[str]:
    """Each item in one line; the cells of rows are encoded all at once, which is far faster."""
    rows = [item for item in items if isinstance(item, list)]
    if len(rows) == len(items):
        cells = _cells_by_line([*chain.from_iterable(rows)])[1:-1].split("\n")
        if len(cells) == sum(map(len, rows)):  # no cell holds several
            left = iter(cells)
            return [f"[{', '.join(islice(left, len(row)))}]" for row in rows]
    return [_line(item) for item in items]


_line: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
"""A value in one line; `json.dumps` would make an encoder for each."""

_cells_by_line: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=("\n", ": ")
).encode
"""A list with each item in a line of its own: in JSON no item holds the end of a line."""

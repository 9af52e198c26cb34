"""What people are shown, described once as blocks; each output renders the same blocks its way.

The terminal's renderer is `Output.show`, that of pages the macro `table_of` in `parts.html`; those
of markdown and CSV are here. The text of a block is plain and may come from strangers: whoever
renders it escapes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import groupby

from mlrek.formatting import UNDEFINED
from mlrek.printable import escape_markdown, escape_unencodable, escape_unprintable
from mlrek.tables.csv_text import text_cells, write_csv


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
    """Rows of finished cells; the columns named in `numeric` are right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    _: KW_ONLY
    numeric: frozenset[str] = frozenset()

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


Block = Heading | Line | Note | Table


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


def _write_markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"### {_escape(block.text)}"
        case Line():
            return _stress(block.strong) + _escape(block.text)
        case Note():
            return " ".join(filter(None, ("-", _stress(block.kind), _escape(block.text))))
        case Table():
            marks = ["---:" if name in block.numeric else "---" for name in block.columns]
            names, *rows = (list(map(_escape, row)) for row in (block.columns, *block.rows))
            return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, marks, *rows))


def _stress(text: str) -> str:
    return f"**{_escape(text)}**" if text else ""


def _escape(text: str) -> str:
    """Untrusted text as plain text in markdown, all of it visible."""
    return escape_markdown(escape_unprintable(text))

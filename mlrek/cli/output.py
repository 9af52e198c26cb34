"""The one output sink: results to stdout, everything else to stderr."""

import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.errors import UsageError
from mlrek.printable import escape_unprintable
from mlrek.redaction import hide_secrets

if TYPE_CHECKING:
    from rich.console import Console

    from mlrek.tables.blocks import Block

PIPE_WIDTH = 160
"""Columns of a table that no terminal bounds."""


@dataclass(frozen=True)
class Output:
    """Where a command's words go; each field is an option of every command."""

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, warnings or hints.")
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say what is done on the way.")
    ] = False

    @cached_property
    def console(self) -> "Console":
        """Rich's console on stdout; it minds NO_COLOR and pipes by itself."""
        return _console(stderr=False)

    @cached_property
    def err_console(self) -> "Console":
        """Rich's console on stderr."""
        return _console(stderr=True)

    @property
    def width(self) -> int:
        """Columns that a table may take; a document has none, and needs no console."""
        return 0 if self.as_json else self.console.width

    @property
    def shows_progress(self) -> bool:
        """Progress bars are for people at a terminal."""
        return not self.quiet and sys.stderr.isatty()

    def set_up_logging(self) -> None:
        """With --verbose, what libraries and mlrek say on the way goes to stderr."""
        level = logging.INFO if self.verbose else logging.ERROR
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_DiscreetFormatter("%(name)s: %(message)s"))
        logging.basicConfig(level=level, handlers=[handler])
        ours = level if self.verbose or self.quiet else logging.WARNING
        logging.getLogger("mlrek").setLevel(ours)

    def document(self, value: Mapping[str, Any]) -> None:
        """Print one JSON document; a number that does not exist is null."""
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        typer.echo(json.dumps(_strict(value), indent=2, ensure_ascii=not is_utf8))

    def line(self, text: str = "") -> None:
        """One line of the result; long links are not wrapped."""
        typer.echo(_for_stdout(escape_unprintable(text)))

    def show(
        self,
        blocks: "Iterable[Block]",
        document: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        """The blocks for a person, notes wrapped at the terminal's width; or the document."""
        if document and self.as_json:
            self.document(document())
            return
        from mlrek.tables.blocks import Heading, Line, Note

        for block in blocks:
            match block:
                case Heading():
                    self.line(block.text)
                case Line():
                    self.line(block.strong + block.text)
                case Note():
                    self._wrapped(f"{block.kind}  {block.text}" if block.kind else block.text)
                case _:
                    self.table(block.columns, block.rows, numeric=block.numeric)

    def _wrapped(self, text: str) -> None:
        for line in wrap(
            text,
            self.width,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        ):
            self.line(line)

    def warn(self, lines: Iterable[str]) -> None:
        """Warnings, a line each."""
        if not self.quiet:
            for line in lines:
                typer.echo(f"warning: {escape_unprintable(line)}", err=True)

    def hint(self, text: str) -> None:
        """What to do next."""
        if not self.quiet:
            typer.echo(escape_unprintable(text), err=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        numeric: frozenset[str] = frozenset(),
    ) -> None:
        """A table of plain text; columns named in `numeric` are right-aligned."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=SIMPLE_HEAD, pad_edge=False, padding=0, header_style="bold", show_edge=False
        )
        for column in columns:
            table.add_column(
                column,
                justify="right" if column in numeric else "left",
                no_wrap=column in numeric,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text(_for_stdout(escape_unprintable(cell))) for cell in row))
        self.console.print(table)


def write_file(option: str, path: str, content: bytes) -> None:
    """Write what an option asked for into its file.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        Path(path).write_bytes(content)
    except (OSError, ValueError) as exc:
        said = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise UsageError(f"{option} {path}: cannot be written: {said}") from exc


class _DiscreetFormatter(logging.Formatter):
    """Log lines of any library, without the secrets of URLs."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


def _for_stdout(text: str) -> str:
    """Text with dashes and dots that a stdout without UTF-8 can show."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return text if encoding.startswith("utf") else text.translate(_IN_ASCII)


_IN_ASCII = {ord("—"): "-", ord("–"): "-", ord("…"): "...", ord("→"): "->", ord("≥"): ">="}
"""What our own words have beyond ASCII; names of others are escaped where that is needed."""


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, soft_wrap=False)


def _strict(value: Any) -> Any:
    """JSON without NaN: what does not exist is null."""
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

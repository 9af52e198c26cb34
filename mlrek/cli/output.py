"""What a command says: results to stdout, everything else, errors too, to stderr; its exit code."""

import gc
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mlrek.errors import IncomparableError, MlrekError, PolicyError, UsageError
from mlrek.text import escape_unprintable, hide_secrets

if TYPE_CHECKING:
    from rich.console import Console

    from mlrek.render import Block


PIPE_WIDTH = 160
"""Columns of a table that no terminal bounds."""

_TITLE_WIDTH: Final = 18
"""Columns up to which the title of a number stays on one line."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNDECIDED = 4
EXIT_CODES: dict[type[MlrekError], int] = {
    UsageError: EXIT_USAGE,
    PolicyError: EXIT_USAGE,
    IncomparableError: EXIT_UNDECIDED,
}
"""Errors with an exit code of their own; every other one is `EXIT_FAILED`."""


@dataclass(frozen=True)
class Output:
    """Where a command's words go; each field is an option of every command."""

    as_json: Annotated[
        bool,
        typer.Option("--json", rich_help_panel="Common options", help="Print one JSON document."),
    ] = False
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            rich_help_panel="Common options",
            help="No progress, warnings or hints.",
        ),
    ] = False
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", rich_help_panel="Common options", help="Say what is done on the way."
        ),
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

    def is_wide(self, columns: int) -> bool:
        """Whether there is a terminal of so many columns; logs and pull requests have 80."""
        return not self.as_json and self.console.is_terminal and self.width >= columns

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
        from mlrek.render import null_undefined

        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        typer.echo(json.dumps(null_undefined(value), indent=2, ensure_ascii=not is_utf8))

    def text(self, text: str) -> None:
        """A whole file as the result: in UTF-8 where it goes into one."""
        is_shown = sys.stdout.isatty() or sys.stdout.encoding.lower().startswith("utf")
        typer.echo(text if is_shown else text.encode(), nl=False)

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
        from mlrek.render import Folded, Heading, Line, Note, Table

        for block in blocks:
            match block:
                case Heading():
                    self.line(block.text)
                case Line():
                    self._toned(block.strong + block.text, block.strong)
                case Note():
                    self._wrapped(block.text, block.kind)
                case Folded():
                    self.line(block.text)
                    self.show(block.blocks)
                case Table():
                    self.table(
                        block.columns,
                        block.rows,
                        numeric=block.numeric,
                        toned=block.toned,
                        whole=block.whole,
                    )

    def _wrapped(self, text: str, kind: str) -> None:
        first, *rest = wrap(
            f"{kind}  {text}" if kind else text,
            self.width,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
        self._toned(first, kind)
        for line in rest:
            self.line(line)

    def _toned(self, text: str, word: str) -> None:
        """A line whose first word has its colour, where it has one and stdout shows colours."""
        if word not in _TONES:
            self.line(text)
            return
        from rich.text import Text

        shown = Text(_for_stdout(escape_unprintable(text)))
        shown.stylize(_TONES[word], 0, len(_for_stdout(word)))
        self.console.print(shown, soft_wrap=True)

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
        toned: frozenset[str] = frozenset(),
        whole: frozenset[str] = frozenset(),
    ) -> None:
        """A table of plain text; columns named in `numeric` are right-aligned.

        No cell of these is broken, nor any of the columns named in `whole`. Words in columns named
        in `toned` have their colour.
        """
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=SIMPLE_HEAD, pad_edge=False, padding=0, header_style="bold", show_edge=False
        )
        rows = [list(row) for row in rows]
        for place, column in enumerate(columns):
            cells = [row[place] for row in rows]
            table.add_column(
                _break_title(column, cells) if column in numeric else column,
                justify="right" if column in numeric else "left",
                no_wrap=column in numeric | whole,
                overflow="fold",
            )
        for row in rows:
            tones = [_TONES.get(row[i], "") if columns[i] in toned else "" for i in range(len(row))]
            texts = (_for_stdout(escape_unprintable(cell)) for cell in row)
            table.add_row(*map(Text, texts, tones))
        self.console.print(table)


class _DiscreetFormatter(logging.Formatter):
    """Log lines of any library, without the secrets of URLs."""

    def format(self, record: logging.LogRecord) -> str:
        return hide_secrets(super().format(record))


_TONES: Final = {
    "passed": "green",
    "holds": "green",
    "✓": "green",
    "failed": "bold red",
    "broken": "bold red",
    "undecided": "yellow",
    "unknown": "yellow",
    "ignored": "dim",
    "weak": "bold red",
    "worse": "bold red",
    "better": "green",
}
"""The colours of words that say how something ended."""

_IN_ASCII = str.maketrans(
    {"—": "-", "–": "-", "…": "...", "→": "->", "≥": ">=", "≤": "<=", "✓": "ok"}
)
"""What our own words have beyond ASCII; names of others are escaped where that is needed."""

_COMMANDS: Final = ("::", "##[")
_PARTS: Final = frozenset({":", "#", "##"})
"""What may become the beginning of a command with the next piece."""


class HarmlessStream(TextIOWrapper):
    """A text stream that puts a backslash before what GitHub would take for a command."""

    _at_line_start = True

    def write(self, text: str) -> int:
        """Write text, of which a line may come in several pieces."""
        if not isinstance(text, str):
            raise TypeError("a text stream takes no bytes")  # so Typer tells them apart
        super().write("".join(map(self._escape, text.splitlines(keepends=True))))
        return len(text)

    def write_command(self, line: str) -> None:
        """Write a line that is meant for GitHub."""
        super().write(f"{line}\n")

    def _escape(self, piece: str) -> str:
        """A piece of one line, with the line's end if it has come."""
        content = piece.strip()
        is_command = content.startswith(_COMMANDS) or content in _PARTS
        escapes = self._at_line_start and is_command
        is_ended = piece.splitlines()[0] != piece
        self._at_line_start = is_ended or (self._at_line_start and not content)
        return piece.replace(content, f"\\{content}", 1) if escapes else piece


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


def import_much() -> None:
    """Look for no garbage while what is imported makes millions of objects, which stay."""
    gc.disable()


def collect_figures() -> None:
    """From now on look for garbage often, but in nothing that is there already.

    So does a process that reads for `mlrek sync`.
    """
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


def make_streams_harmless(environ: Mapping[str, str]) -> None:
    """Let stdout and stderr take any text; under GitHub Actions without orders to the runner."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, TextIOWrapper):
            continue
        stream.reconfigure(errors="backslashreplace")
        if environ.get("GITHUB_ACTIONS") == "true":
            stream.flush()
            harmless = HarmlessStream(
                stream.buffer,
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, harmless)


def write_command(line: str) -> None:
    """Write a workflow command to stderr, where GitHub reads it as well."""
    if isinstance(sys.stderr, HarmlessStream):
        sys.stderr.write_command(line)
    else:
        sys.stderr.write(f"{line}\n")


def say_error(text: str) -> None:
    """One error line on stderr, its control characters made visible."""
    sys.stderr.write(f"mlrek: {escape_unprintable(text)}\n")


def say_fault(exc: Exception) -> None:
    """What mlrek did not expect: one line without secrets, with --verbose the traceback too."""
    logging.getLogger("mlrek").info("", exc_info=exc)
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    say_error(
        hide_secrets(
            f"unexpected {type(exc).__name__}: {exc}{place}; this is a fault of mlrek: please "
            "report it with what `mlrek … -v` prints"
        )
    )


def _break_title(title: str, cells: Iterable[str]) -> str:
    """The title of a column on several lines where it is wider than what stands below it."""
    width = max(_TITLE_WIDTH, *map(len, cells), 0)
    return title if "\n" in title else "\n".join(wrap(title, width, break_long_words=False))


def _for_stdout(text: str) -> str:
    """Text with dashes and dots that a stdout without UTF-8 can show."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    return text if encoding.startswith("utf") else text.translate(_IN_ASCII)


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

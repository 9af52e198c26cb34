"""stdout and stderr, as any name may be printed on them.

What their encoding lacks is escaped, where Python would fail. Under GitHub Actions no printed name
gives the runner an order: it takes each line that begins with `::` or `##[` for a command.
"""

import sys
from collections.abc import Mapping
from io import TextIOWrapper
from typing import Final

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

"""The one place where an error becomes a line on stderr and an exit code."""

import logging
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from mlrek.errors import (
    EXIT_INTERRUPTED,
    SAID,
    IncomparableError,
    MlrekError,
    PolicyError,
    UsageError,
    begin_command,
    end_command,
)
from mlrek.text import escape_unprintable, hide_secrets

if TYPE_CHECKING:
    from typer._click import Context  # pragma: no cover - a name for the type checker only

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNDECIDED = 4
EXIT_CODES: dict[type[MlrekError], int] = {
    UsageError: EXIT_USAGE,
    PolicyError: EXIT_USAGE,
    IncomparableError: EXIT_UNDECIDED,
}
"""Errors with an exit code of their own; every other one is `EXIT_FAILED`."""


class CommandGroup(TyperGroup):
    """Commands whose errors are one line each, never a traceback."""

    def invoke(self, ctx: "Context") -> Any:
        """Run the command that was typed."""
        ends_at_once, interrupted = begin_command(), False
        try:
            return super().invoke(ctx)
        except MlrekError as exc:
            say_error(str(exc))
            raise typer.Exit(EXIT_CODES.get(type(exc), EXIT_FAILED)) from exc
        except KeyboardInterrupt as exc:
            interrupted = True
            say_error(SAID)
            raise typer.Exit(EXIT_INTERRUPTED) from exc
        finally:
            if ends_at_once:
                end_command(said=interrupted)


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

"""Ctrl-C outside of a command: in the imports before it, and while the interpreter ends.

Python would print a traceback there, or swallow it. Nothing is under way, so the process may end at
once. Inside a command Ctrl-C is Python's `KeyboardInterrupt`, and what was begun is taken back.
"""

import os
import signal
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130
SAID = "interrupted; what is complete stays"


def end_at_once() -> None:
    """Let Ctrl-C end the process with one line, unless it is ignored (`nohup`, `&` in a script)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def begin_command() -> bool:
    """Let Ctrl-C raise, as in any program; False where nobody has changed that."""
    changed = signal.getsignal(signal.SIGINT) is _end
    if changed:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return changed


def end_command(*, said: bool) -> None:
    """Let Ctrl-C end the process again; without a line where one was `said` already."""
    signal.signal(signal.SIGINT, _end_silently if said else _end)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, f"mlrek: {SAID}\n".encode())
    os._exit(EXIT_INTERRUPTED)


def _end_silently(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(EXIT_INTERRUPTED)

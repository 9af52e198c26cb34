"""What a forked process computes of what is here, while this one goes on."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, TypeVar

from mlrek.formats.dealing import CAN_FORK

T = TypeVar("T")


def has_one_thread() -> bool:
    """Whether no thread could hold a lock at the moment of a fork, which nobody would let go."""
    return CAN_FORK and len([*Path("/proc/self/task").iterdir()]) == 1


class Meanwhile(Generic[T]):
    """Something to compute; with `is_shared` it is under way in another process at once."""

    def __init__(self, compute: Callable[[], T], *, is_shared: bool) -> None:
        self._compute = compute
        self._answer = _start(compute) if is_shared else None

    def result(self) -> T:
        """What it is; computed here where no other process does that, or it is lost or fails."""
        if self._answer is not None:
            with suppress(EOFError, OSError), self._answer:
                result: T = self._answer.recv()
                return result
        return self._compute()


def _start(compute: Callable[[], T]) -> Connection | None:
    """Where the result will come from; None where no process can be started."""
    context = get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(compute, mine, theirs), daemon=True)
    with theirs:
        try:
            with warnings.catch_warnings():  # whoever asks has looked for other threads
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
        except OSError:  # no process or no memory left
            mine.close()
            return None
    return mine


def _answer(compute: Callable[[], T], mine: Connection, theirs: Connection) -> None:
    """Send the result; nothing where it fails, as the parent then meets the same error itself."""
    mine.close()
    with suppress(Exception):
        theirs.send(compute())

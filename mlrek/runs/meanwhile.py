"""Further processes: what they compute or import, while this one goes on.

The process that workers are forked from needs longest for its imports. So it is started as soon as
it is sure to be needed, while this one has some of its own to do: this module imports nearly none.
"""

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from mlrek.formats.dealing import CAN_FORK
from mlrek.tracking.database import is_fresh

WORTH_SHARING: Final = 64 << 20
"""Bytes of a version's files from which on processors that have no version help with it."""
_TOLD_BY: Final = frozenset((".json", ".jsonl", ".manifest", ".csv", ".tsv", ".parquet"))
"""Endings of files that are read, unlike images next to them."""
_LOOKED_AT: Final = 2_000
_IN_AWS: Final = ("s3://", "arn:")
_OF_AWS: Final = "botocore.session"

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
                result: T = _receive(self._answer)
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
        _send(theirs, compute())


def _send(connection: Connection, made: object) -> None:
    """Files one by one: of what comes as a whole there are two copies for a moment."""
    if isinstance(made, dict) and all(type(file) is bytes for file in made.values()):
        connection.send([*made])
        for file in made.values():
            connection.send_bytes(file)
    else:
        connection.send(None)
        connection.send(made)


def _receive(connection: Connection) -> Any:
    names = connection.recv()
    if names is None:
        return connection.recv()
    return {name: connection.recv_bytes() for name in names}


def default_jobs() -> int:
    """Versions worked on at once: one for each processor that this process may use."""
    if sys.platform == "linux":
        return min(4, len(os.sched_getaffinity(0)))
    return min(4, os.cpu_count() or 1)


def start_ahead(
    sources: Iterable[str], tracking_uri: str, jobs: int, environ: Mapping[str, str]
) -> None:
    """Start the process where there is much to read that no run can be of yet.

    What is in the cloud mostly is much: to list it takes as long as the imports.
    """
    if jobs > 1 and is_fresh(tracking_uri, environ):
        of_aws = any(source.startswith(_IN_AWS) for source in sources)
        if of_aws or any(map(_holds_much, sources)):
            make_context(of_aws=of_aws)


def _holds_much(source: str) -> bool:
    """Whether the first files of a folder, or a file, take more than one process to read."""
    size, path = 0, Path(source)
    with suppress(OSError, ValueError):  # whoever reads it says what is wrong
        for file in islice(chain([path], path.rglob("*")), _LOOKED_AT):
            if file.suffix.lower() in _TOLD_BY and file.is_file():
                size += file.stat().st_size
            if size >= WORTH_SHARING:
                return True
    return False


def make_context(*, of_aws: bool = False) -> multiprocessing.context.BaseContext:
    """Processes forked from a clean one that has the imports; where there is no fork, spawned.

    `of_aws`: they will read from AWS, which this process may not have imported yet.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    far = [_OF_AWS] if of_aws or _OF_AWS in sys.modules else []
    context.set_forkserver_preload([*far, "mlrek.runs.preload"])
    _start_fork_server()
    return context


def _start_fork_server() -> None:
    """Start it deaf to Ctrl-C, which at a terminal meets it too: in its imports it would protest.

    A process inherits which signals are blocked; the tracker, started first, unblocks them again.
    """
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Progress on stderr: only on a terminal, only for what takes longer than a second."""

import contextlib
import time
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING

from mlrek.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from mlrek.results import VersionResult

SHOW_AFTER_S = 1.0


class SilentProgress:
    """Says nothing: for pipes, --quiet and --json."""

    def start(self, versions: int) -> None:
        """Nothing to show."""

    def on_bytes(self, n: int) -> None:
        """Nothing to show."""

    def finish_version(self, result: "VersionResult") -> None:
        """Nothing to show."""


class BarProgress:
    """A bar of versions with the bytes read so far."""

    def __init__(self, bar: "RichProgress") -> None:
        self.bar = bar
        self.task: TaskID | None = None
        self.lock = Lock()
        self.began = time.monotonic()
        self.bytes_read = 0

    def start(self, versions: int) -> None:
        """Know the number of versions."""
        self.task = self.bar.add_task("reading", total=versions, megabytes="")

    def on_bytes(self, n: int) -> None:
        """Count bytes; show the bar once the wait is worth it."""
        with self.lock:
            self.bytes_read += n
            self._update(advance=0)

    def finish_version(self, result: "VersionResult") -> None:
        """One version further."""
        with self.lock:
            self._update(advance=1, name=result.entry.version.name)

    def _update(self, *, advance: int, name: str = "") -> None:
        if time.monotonic() - self.began > SHOW_AFTER_S and not self.bar.live.is_started:
            self.bar.start()
        if self.task is not None:
            megabytes = f"{self.bytes_read / 1e6:,.0f} MB" if self.bytes_read else ""
            self.bar.update(self.task, advance=advance, megabytes=megabytes)
            if name:
                self.bar.update(self.task, description=name[:40])


@contextlib.contextmanager
def show_progress(output: Output) -> Iterator[SilentProgress | BarProgress]:
    """A progress bar where somebody watches, else silence."""
    if not output.shows_progress or output.as_json:
        yield SilentProgress()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[megabytes]}"),
        console=output.err_console,
        transient=True,
    )
    try:
        yield BarProgress(bar)
    finally:
        bar.stop()


class CallWatch:
    """Says what calls cost, and shows how many are done where somebody watches."""

    def __init__(self, output: Output, bar: "RichProgress | None") -> None:
        self.output = output
        self.bar = bar
        self.task: TaskID | None = None

    def say(self, text: str) -> None:
        """What a person should know."""
        self.output.hint(text)

    def start(self, calls: int) -> None:
        """Know the number of calls."""
        if self.bar is not None:
            self.task = self.bar.add_task("calling", total=calls)
            self.bar.start()

    def advance(self) -> None:
        """One call further."""
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)


@contextlib.contextmanager
def show_calls(output: Output) -> Iterator[CallWatch]:
    """A progress bar of calls where somebody watches; what they cost is said in any case."""
    if not output.shows_progress:
        yield CallWatch(output, None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=output.err_console, transient=True)
    try:
        yield CallWatch(output, bar)
    finally:
        bar.stop()

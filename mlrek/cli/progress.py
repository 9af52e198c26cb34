"""What goes on in a command, and since when: a bar at a terminal, else a line every ten seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread, Timer
from typing import TYPE_CHECKING, Protocol

from mlrek.cli.output import Output, collect_figures
from mlrek.text import escape_unprintable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mlrek.runs.results import Progress, VersionResult
    from mlrek.sources.entries import VersionEntry
    from mlrek.sources.search import Searched

SHOW_AFTER_S = 1.0
LINE_EVERY_S = 10.0
BAR_WIDTH = 20
MAX_NAME = 40

Clock = Callable[[], float]


class Activity:
    """So many of so many are done, what is worked on now, and how long it took so far."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.lock = Lock()
        self.unit = ""
        self.done = 0
        self.total = 0
        self.n_bytes = 0
        self.search = ""
        self.current: dict[str, str] = {}
        """What is done at the moment by the name of what it is done to, the last begun last."""

    @property
    def counted(self) -> str:
        """How many are done, '' before their number is known."""
        return f"{self.done:,} of {self.total:,} {self.unit}" if self.total else ""

    @property
    def now(self) -> str:
        """What is worked on: `digits / v3-neighbours (logging)`."""
        with self.lock:
            name, step = next(reversed(self.current.items()), ("", ""))
        shown = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
        return escape_unprintable(f"{shown} ({step})" if shown and step else shown or step)

    @property
    def elapsed(self) -> str:
        """Since it began."""
        return say_elapsed(self.clock() - self.began)

    @property
    def line(self) -> str:
        """All of it, for those who read lines."""
        return ", ".join(filter(None, (self.search or self.counted, self.now, self.elapsed)))

    def begin(self, total: int, unit: str) -> None:
        """Know how many there are."""
        self.total, self.unit = total, unit

    def enter(self, name: str, step: str = "") -> None:
        """Something is worked on, and what is done to it now."""
        with self.lock:
            self.current.pop(name, None)
            self.current[name] = step

    def leave(self, name: str) -> None:
        """It is not worked on any more."""
        with self.lock:
            self.current.pop(name, None)

    def advance(self) -> None:
        """One is done."""
        with self.lock:
            self.done += 1

    def on_bytes(self, n: int) -> None:
        """So many more bytes are read."""
        with self.lock:
            self.n_bytes += n

    def render(self) -> "RenderableType":
        """The same as a line with a bar, for a terminal."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        megabytes = f"{self.n_bytes / 1e6:,.0f} MB" if self.n_bytes and not self.search else ""
        texts = [self.search or self.counted, self.now, megabytes, self.elapsed]
        cells: list[RenderableType] = [Text(text) for text in texts if text]
        if self.total and not self.search:
            cells.insert(1, ProgressBar(total=self.total, completed=self.done, width=BAR_WIDTH))
        grid.add_row(*cells)
        return grid


def say_elapsed(seconds: float) -> str:
    """A time as people say it.

    >>> say_elapsed(9.7), say_elapsed(80), say_elapsed(3 * 3600 + 125)
    ('9 s', '1 min 20 s', '3 h 2 min')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class View(Protocol):
    """Shows an activity while it goes on."""

    def start(self) -> None:
        """Begin to show."""

    def stop(self) -> None:
        """Leave nothing behind."""


class NoView:
    """For --quiet."""

    def start(self) -> None:
        """Nothing to show."""

    def stop(self) -> None:
        """Nothing was shown."""


class BarView:
    """A bar that is drawn over and over, once the wait is worth it."""

    def __init__(self, activity: Activity, output: Output) -> None:
        from rich.live import Live

        self.live: Live = Live(
            get_renderable=activity.render,
            console=output.err_console,
            refresh_per_second=4,
            transient=True,
        )
        self.timer = Timer(SHOW_AFTER_S, self.live.start)
        self.timer.daemon = True

    def start(self) -> None:
        """Begin to show."""
        self.timer.start()

    def stop(self) -> None:
        """Leave nothing behind."""
        self.timer.cancel()
        self.timer.join()
        self.live.stop()


class LineView:
    """A line now and then, for logs: the first one after as long as between any two.

    `wait` waits so many seconds, and says whether it was told to stop.
    """

    def __init__(
        self,
        activity: Activity,
        write: Callable[[str], None],
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.activity = activity
        self.write = write
        self.stopped = Event()
        self.wait = wait or self.stopped.wait
        self.thread = Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Write lines until it is told to stop."""
        while not self.wait(LINE_EVERY_S):
            if self.activity.search or self.activity.counted:
                self.write(self.activity.line)

    def start(self) -> None:
        """Begin to wait."""
        self.thread.start()

    def stop(self) -> None:
        """End; a line that is being written is finished."""
        self.stopped.set()
        self.thread.join()


class VersionsProgress:
    """A sync's `Progress` as an activity."""

    def __init__(self, activity: Activity) -> None:
        self.activity = activity

    def start(self, versions: int) -> None:
        """Know the number of versions."""
        self.activity.begin(versions, "versions" if versions != 1 else "version")
        self.activity.enter("", "opening MLflow")

    def open_store(self) -> None:
        """MLflow is open: what its import made stays."""
        self.activity.leave("")
        collect_figures()

    def on_bytes(self, n: int) -> None:
        """Count bytes."""
        self.activity.on_bytes(n)

    def enter_version(self, entry: "VersionEntry", step: str) -> None:
        """A version is worked on."""
        self.activity.enter(_name(entry), step)

    def finish_version(self, result: "VersionResult") -> None:
        """One version further."""
        self.activity.leave(_name(result.entry))
        self.activity.advance()


class CallWatch:
    """Says what calls cost, and shows how many are done."""

    def __init__(self, output: Output, activity: Activity) -> None:
        self.output = output
        self.activity = activity

    def say(self, text: str) -> None:
        """What a person should know."""
        self.output.hint(text)

    def start(self, calls: int) -> None:
        """Know the number of calls."""
        self.activity.begin(calls, "calls" if calls != 1 else "call")

    def advance(self) -> None:
        """One call further."""
        self.activity.advance()


@contextmanager
def show_progress(output: Output) -> "Iterator[Progress]":
    """How a sync goes on, on stderr."""
    from mlrek.sources.search import watch_searches

    activity = Activity()
    with _shown(activity, output), watch_searches(lambda found: _tell(activity, found)):
        yield VersionsProgress(activity)


@contextmanager
def show_calls(output: Output) -> Iterator[CallWatch]:
    """How many calls are done, on stderr."""
    activity = Activity()
    with _shown(activity, output):
        yield CallWatch(output, activity)


@contextmanager
def show_searches(output: Output) -> Iterator[None]:
    """While the files of a folder are looked through, how many they are, on stderr."""
    from mlrek.sources.search import watch_searches

    views: dict[str, View] = {}
    activity = Activity()

    def tell(found: "Searched") -> None:
        _tell(activity, found)
        if found.is_over and found.place in views:
            views.pop(found.place).stop()
        elif not found.is_over and not views:
            activity.began = activity.clock()
            views[found.place] = _choose_view(activity, output)
            views[found.place].start()

    with watch_searches(tell):
        yield


@contextmanager
def _shown(activity: Activity, output: Output) -> Iterator[None]:
    view = _choose_view(activity, output)
    view.start()
    try:
        yield
    finally:
        view.stop()


def _choose_view(activity: Activity, output: Output) -> View:
    """By who watches."""
    if output.quiet:
        return NoView()
    return BarView(activity, output) if sys.stderr.isatty() else LineView(activity, output.hint)


def _tell(activity: Activity, found: "Searched") -> None:
    activity.search = "" if found.is_over else escape_unprintable(str(found))


def _name(entry: "VersionEntry") -> str:
    return f"{entry.version.project.name} / {entry.version.name}"

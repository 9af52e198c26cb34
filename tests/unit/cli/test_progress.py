"""How a command goes on: what is said, and when, by a clock of the test's own."""

import gc
import io
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterable

import pytest
from fakes.evaluations import save_archive

from mlrek.cli.output import Output, import_much
from mlrek.cli.progress import (
    LINE_EVERY_S,
    Activity,
    BarView,
    LineView,
    NoView,
    VersionsProgress,
    _choose_view,
)
from mlrek.evaluation import Project, Provider, Version
from mlrek.runs.results import VersionResult
from mlrek.sources.entries import VersionEntry


class Clock:
    """Says the time that it is given."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """As `time.monotonic` does."""
        return self.now


def _build_entry(name: str) -> VersionEntry:
    project = Project(provider=Provider.REKOGNITION, arn="arn:digits", name="digits")
    return VersionEntry(version=Version(project=project, arn=f"arn:{name}", name=name))


def _write_lines(activity: Activity, clock: Clock, events: Iterable) -> list[tuple[float, str]]:
    """The lines of a view, each with its time; an event happens in each wait but the last."""
    written: list[tuple[float, str]] = []
    left = iter(events)

    def wait(seconds: float) -> bool:
        event = next(left, None)
        if event is None:
            return True
        event()
        clock.now += seconds
        return False

    LineView(activity, lambda line: written.append((clock.now, line)), wait).run()
    return written


def test_a_line_says_how_many_are_done_what_is_worked_on_and_since_when():
    """`12 of 40 versions, digits / v3-neighbours, 1 min 20 s`."""
    clock = Clock()
    activity = Activity(clock)
    activity.begin(40, "versions")
    for _ in range(12):
        activity.advance()
    activity.enter("digits / v3-neighbours")
    clock.now = 80

    assert activity.line == "12 of 40 versions, digits / v3-neighbours, 1 min 20 s"


def test_lines_come_every_ten_seconds_and_none_before():
    """A log of hours stays short, and that of a quick command has none."""
    clock = Clock()
    activity = Activity(clock)
    progress = VersionsProgress(activity)
    first, second = _build_entry("v1"), _build_entry("v2")
    events = [
        lambda: progress.start(2),
        lambda: progress.enter_version(first, "reading"),
        lambda: progress.enter_version(second, "reading"),
        lambda: progress.enter_version(first, "logging"),
        lambda: progress.finish_version(VersionResult(entry=first, action="created")),
    ]

    assert LINE_EVERY_S == 10
    assert _write_lines(activity, clock, events) == [
        (10, "0 of 2 versions, opening MLflow, 10 s"),
        (20, "0 of 2 versions, digits / v1 (reading), 20 s"),
        (30, "0 of 2 versions, digits / v2 (reading), 30 s"),
        (40, "0 of 2 versions, digits / v1 (logging), 40 s"),
        (50, "1 of 2 versions, digits / v2 (reading), 50 s"),
    ]


def test_no_garbage_is_looked_for_while_mlflow_is_opened() -> None:
    """Nor later in what its import made, which stays; from then on again in all that is new."""
    thresholds = gc.get_threshold()
    try:
        import_much()
        assert not gc.isenabled()
        VersionsProgress(Activity()).open_store()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.enable()
        gc.set_threshold(*thresholds)


def test_nothing_is_said_where_nothing_is_known_yet():
    """A bare time would tell nobody anything."""
    clock = Clock()

    assert _write_lines(Activity(clock), clock, [lambda: None] * 3) == []


def test_a_name_cannot_draw_on_the_terminal():
    """Names of versions come from files of others."""
    activity = Activity(Clock())
    activity.begin(1, "version")
    activity.enter("digits / \x1b[2J" + "v" * 99, "reading")

    assert "\x1b" not in activity.line
    assert len(activity.line) < 100


@pytest.mark.parametrize(
    ("quiet", "is_terminal", "view"),
    [(True, True, NoView), (True, False, NoView), (False, True, BarView), (False, False, LineView)],
)
def test_who_watches_decides_what_is_shown(monkeypatch, quiet, is_terminal, view):
    """A bar for a person, lines for a log, nothing with --quiet."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)

    assert type(_choose_view(Activity(), Output(quiet=quiet))) is view


_DRAWN_AT_EACH_STEP = """
import mlrek.cli.progress as progress
from mlrek.__main__ import main

class View(progress.BarView):
    def __init__(self, activity, output):
        super().__init__(activity, output)
        self.enter, activity.enter = activity.enter, self.enter_and_draw

    def enter_and_draw(self, *step):
        self.enter(*step)
        self.timer.join()
        self.live.refresh()

progress.SHOW_AFTER_S, progress.BarView = 0, View
main()
"""


def _watch(*args: str, cwd) -> tuple[str, str]:
    """What a command writes to a terminal of 100 columns as stderr, and to a pipe as stdout."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", _DRAWN_AT_EACH_STEP, *args]
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        seen = bytearray()
        while select.select([ours], [], [])[0]:
            try:
                seen += os.read(ours, 1 << 16)
            except OSError:  # the terminal is closed
                break
        out = process.stdout.read()
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode()), out.decode()


def test_a_terminal_shows_a_bar_with_the_project_the_version_and_the_time(tmp_path):
    """On stderr alone: what goes through the pipe is the result."""
    save_archive(tmp_path / "saved", "v1")
    seen, out = _watch(
        *("sync", "saved", "--tracking-uri", f"sqlite:///{tmp_path}/m.db", "--json"), cwd=tmp_path
    )

    assert re.search(r"0 of 1 version ━+ opening MLflow +\d+ s", seen)
    assert re.search(r"0 of 1 version ━+ pets / v1 \((reading|logging)\)", seen)
    assert out.startswith("{")
    assert "━" not in out

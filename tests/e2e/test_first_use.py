"""The first use of a new database file as processes: killed at any moment, and four at once."""

import os
import random
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from fakes.effort import choose
from fakes.evaluations import save_archive
from fakes.warm import read_cpu_s

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
KILLS_EACH = choose(2, whole=3)
AT_ONCE = 2
SET_UP_CPU_S = 2.0
"""Seconds of CPU that the setup takes about, from the first file on."""
STORE = ("--tracking-uri", "sqlite:///mlflow.db", "--jobs", "1", "--json")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """One small version."""
    return save_archive(tmp_path_factory.mktemp("saved"), "v1")


def list_tables(database: Path) -> set[str]:
    """The tables of a database."""
    with closing(sqlite3.connect(database)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master")}


def kill_when_it_sets_up(warm, number: int, delay_s: float, *args: object, cwd: Path) -> int:
    """Start a command; send a signal so much CPU after its first file appeared: the exit code."""
    pid = warm.start(*args, cwd=cwd)
    while not any(cwd.iterdir()) and read_cpu_s(pid) is not None:
        time.sleep(0.002)
    begun = read_cpu_s(pid) or 0
    while (taken := read_cpu_s(pid)) is not None and taken < begun + delay_s:
        time.sleep(0.002)

    os.kill(pid, number)
    return warm.wait(pid).returncode


def test_killed_in_its_first_use_a_store_is_complete_or_not_there(
    warm, project, tmp_path, empty_store
):
    """By four signals, at random moments; the next sync works and leaves no litter."""
    complete, moments = list_tables(empty_store), random.Random(9)
    tries = [(number, moments.uniform(0, SET_UP_CPU_S)) for number in SIGNALS * KILLS_EACH]

    def kill_and_sync(n: int) -> bool:
        folder = tmp_path / str(n)
        folder.mkdir()
        code = kill_when_it_sets_up(warm, *tries[n], "sync", project, *STORE, cwd=folder)
        database = folder / "mlflow.db"
        was_there = database.exists()
        assert not was_there or list_tables(database) == complete
        done = warm.run("sync", project, *STORE, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert {file.name for file in folder.iterdir()} <= {"mlflow.db", "mlruns"}
        return code != 0 and not was_there

    with ThreadPoolExecutor(AT_ONCE) as pool:
        met = list(pool.map(kill_and_sync, range(len(tries))))

    assert sum(met) > len(tries) / 3, "too few were killed while the database was being made"


def test_four_first_uses_at_once_all_succeed(warm, project, tmp_path):
    """Each has a temporary folder of its own, as in containers: they share the database alone."""
    pids = []
    for n in range(4):
        own = tmp_path / f"tmp-{n}"
        own.mkdir()
        (tmp_path / "work").mkdir(exist_ok=True)
        env = {"TMPDIR": str(own)}
        pids.append(warm.start("sync", project, *STORE, cwd=tmp_path / "work", env=env))
    ended = [warm.wait(pid) for pid in pids]

    assert [(one.returncode, one.stderr[-500:]) for one in ended if one.returncode] == []
    assert {file.name for file in (tmp_path / "work").iterdir()} == {"mlflow.db", "mlruns"}

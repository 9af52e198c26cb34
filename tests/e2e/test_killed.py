"""A sync that is killed or interrupted at any moment: the next one leaves what one alone would."""

import random
import shutil
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from fakes.effort import choose
from fakes.evaluations import save_archive
from fakes.logged import count_runs, read_versions
from fakes.said import list_said
from mlflow import MlflowClient

COLOUR_TAG = "mlflow.runColor"
KILLS = choose(12, whole=50)
KILLS_OF_REPLACING = choose(4, whole=8)
INTERRUPTS = choose(4, whole=8)
AT_ONCE = 2
STORE = ("--tracking-uri", "sqlite:///mlflow.db", "--jobs", "1", "--json")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Two small versions."""
    return save_archive(tmp_path_factory.mktemp("saved"), "v1", "v2")


@pytest.fixture
def new_folder(tmp_path, empty_store):
    """A function: a new folder that has such a database."""

    def make(name: object) -> Path:
        folder = tmp_path / str(name)
        folder.mkdir()
        shutil.copy(empty_store, folder / "mlflow.db")
        return folder

    return make


@pytest.fixture
def undisturbed(warm, project, new_folder):
    """What a sync alone leaves in the store, and how much CPU it takes next to another one."""

    def sync(n: int) -> tuple[dict, float]:
        folder = new_folder(f"alone-{n}")
        done = warm.run("sync", project, *STORE, cwd=folder)
        assert done.returncode == 0, done.stderr
        return read_versions(folder / "mlflow.db"), done.cpu_s

    with ThreadPoolExecutor(AT_ONCE) as pool:
        (found, first), (again, second) = pool.map(sync, range(2))
    assert found == again
    assert {"v1", "v2"} < found.keys()
    return found, min(first, second)


def test_killed_at_any_moment_the_next_sync_leaves_the_same(warm, project, new_folder, undisturbed):
    """SIGKILL at random moments: one complete run a version, equal to an undisturbed."""
    expected, cpu_s = undisturbed
    moments = random.Random(7)
    delays = [moments.uniform(0, cpu_s) for _ in range(KILLS)]

    def kill_and_sync(n: int) -> tuple[bool, dict]:
        folder = new_folder(n)
        killed = warm.signal_after(delays[n], signal.SIGKILL, "sync", project, *STORE, cwd=folder)
        done = warm.run("sync", project, *STORE, cwd=folder)
        assert done.returncode == 0, done.stderr
        return killed.returncode == -signal.SIGKILL, read_versions(folder / "mlflow.db")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(kill_and_sync, range(KILLS)))

    assert [found == expected for _, found in outcomes] == [True] * KILLS
    assert sum(killed for killed, _ in outcomes) > KILLS / 2


def test_killed_while_it_replaces_runs_the_next_sync_leaves_the_same(warm, project, new_folder):
    """The old run goes only after the new one is complete; afterwards none is there twice."""
    folder, moments = new_folder("replaced"), random.Random(8)
    rules = [(*STORE, "--prediction-rule", rule) for rule in ("top1", "threshold")]
    warm.run("sync", project, *rules[0], cwd=folder)
    expected, taken = {}, []
    for n in (1, 0):
        taken.append(warm.run("sync", project, *rules[n], cwd=folder).cpu_s)
        expected[n] = read_versions(folder / "mlflow.db")

    for i in range(KILLS_OF_REPLACING):
        rule, delay = rules[(i + 1) % 2], moments.uniform(0, min(taken))
        warm.signal_after(delay, signal.SIGKILL, "sync", project, *rule, cwd=folder)
        assert {"v1", "v2"} <= read_any_versions(folder / "mlflow.db")
        assert warm.run("sync", project, *rule, cwd=folder).returncode == 0
        assert read_versions(folder / "mlflow.db") == expected[(i + 1) % 2]


def test_what_killed_syncs_left_behind_is_cleared_away(warm, project, new_folder):
    """Once its heartbeat is old, a half written run is nobody's work in progress any more."""
    folder = new_folder("leftover")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    warm.run("sync", project, *STORE, cwd=folder)
    (complete, *_) = client.search_runs(["1"])
    tags = {k: v for k, v in complete.data.tags.items() if k != "mlrek.complete"}
    client.create_run("1", tags=tags | {"mlrek.heartbeat": str(int(time.time() * 1000))})
    client.create_run("1", tags=tags | {"mlrek.heartbeat": "1"})
    warm.run("sync", project, *STORE, cwd=folder)

    assert count_runs(folder / "mlflow.db") == 3


def test_a_note_that_was_not_written_any_more_is_written(warm, project, new_folder):
    """Killed after the last run and before the experiment's note."""
    folder = new_folder("note")
    warm.run("sync", project, *STORE, cwd=folder)
    expected = read_versions(folder / "mlflow.db")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("DELETE FROM experiment_tags WHERE key = 'mlflow.note.content'")
    warm.run("sync", project, *STORE, cwd=folder)

    assert read_versions(folder / "mlflow.db") == expected


def test_interrupted_at_any_moment_what_is_complete_stays(warm, project, new_folder, undisturbed):
    """Ctrl-C: one line, exit 130, and each run that is there is a whole one."""
    expected, cpu_s = undisturbed
    moments = random.Random(9)
    codes = set()
    for n in range(INTERRUPTS):
        folder, delay = new_folder(n), moments.uniform(0.1, 0.9) * cpu_s
        done = warm.signal_after(delay, signal.SIGINT, "sync", project, *STORE, cwd=folder)
        codes.add(done.returncode)
        found = read_versions(folder / "mlflow.db")

        assert found.keys() <= expected.keys()
        for name in found.keys() - {"note"}:
            assert without_end(found[name]) == without_end(expected[name])
        if done.returncode:
            assert list_said(done.stderr) == ["mlrek: interrupted; what is complete stays"]
            assert done.stdout == ""
            assert count_runs(folder / "mlflow.db") == len(found) - 1
    assert codes <= {0, 130}
    assert 130 in codes


def without_end(version: dict) -> dict:
    """A version without its colour and the page of all, made when all versions are there."""
    tags = {key: value for key, value in version["tags"].items() if key != COLOUR_TAG}
    artifacts = {path: of for path, of in version["artifacts"].items() if path != "project.html"}
    return version | {"tags": tags, "artifacts": artifacts}


def read_any_versions(database: Path) -> set[str]:
    """The names of versions of which at least one run is complete."""
    client = MlflowClient(f"sqlite:///{database}")
    runs = client.search_runs(["1"], "tags.mlrek.complete = 'true'")
    return {run.info.run_name for run in runs}

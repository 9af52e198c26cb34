"""The page of all versions of a project in a real store: where it is, and what a kill leaves."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fakes.evaluations import save_archive
from mlflow import MlflowClient

from mlrek.errors import TrackingError
from mlrek.render.project_page import read_project_page
from mlrek.runs.results import SilentProgress, SyncOptions
from mlrek.runs.sync import sync_sources
from mlrek.tracking.connection import connect
from mlrek.tracking.store import Store

MOVED = "went to its run"


@pytest.fixture
def project(tmp_path):
    """A function: a folder with these small versions, the older first."""

    def make(*versions: str) -> Path:
        return save_archive(tmp_path / "-".join(versions), *versions)

    return make


@pytest.fixture
def sync(new_store, tmp_path, monkeypatch):
    """A function: sync a folder; the result."""
    monkeypatch.chdir(tmp_path)

    def run(folder: Path, **options):
        return sync_sources(
            [str(folder)], new_store, SyncOptions(**options), SilentProgress(), environ=os.environ
        )

    return run


@pytest.fixture
def pages(new_store):
    """A function: the text of `project.html` by version, of all complete runs that have one."""
    client = MlflowClient(new_store)

    def read() -> dict[str, str]:
        found = {}
        for run in client.search_runs(["1"], "tags.`mlrek.complete` = 'true'"):
            if any(file.path == "project.html" for file in client.list_artifacts(run.info.run_id)):
                path = client.download_artifacts(run.info.run_id, "project.html")
                found[run.info.run_name] = Path(path).read_text()
        return found

    return read


def names_on(page: str) -> set[str]:
    """The versions that a page shows."""
    return set(re.findall(r'"run":"\w+","name":"([^"]+)"', page))


def count(store: str) -> dict[str, int]:
    """How many rows of each kind the database has, and when what it last changed was written."""
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as db:
        tables = ("runs", "tags", "metrics", "experiment_tags")
        return {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}  # noqa: S608


def test_the_page_is_in_the_newest_run(project, sync, pages):
    """And in no other; it shows all versions."""
    result = sync(project("v1", "v2"))
    (found,) = result.projects

    assert {name: names_on(page) for name, page in pages().items()} == {"v2": {"v1", "v2"}}
    assert found.links.project.partition("/artifacts/")[0].endswith(found.runs[-1].run_id)
    assert "artifacts/project.html" in found.links.project


def test_an_unchanged_sync_reads_and_writes_no_page(project, sync, pages, new_store, monkeypatch):
    """Not one artifact is asked for or stored."""
    folder = project("v1", "v2")
    sync(folder)
    before, rows = pages(), count(new_store)
    asked = []
    for name in ("read_artifact", "write_artifact", "set_run_tags"):
        monkeypatch.setattr(Store, name, lambda *args, _name=name: asked.append((_name, args[1:])))
    again = sync(folder)

    assert {version.action for version in again.versions} == {"unchanged"}
    assert asked == []
    assert (pages(), count(new_store)) == (before, rows)
    assert again.projects[0].links.project


def test_a_newer_version_takes_the_page_over(project, sync, pages):
    """Where it was, a short page names the new place: no stale numbers stay."""
    sync(project("v1", "v2"))
    result = sync(project("v1", "v2", "v3"))
    found = pages()

    assert names_on(found["v3"]) == {"v1", "v2", "v3"}
    assert names_on(found["v2"]) == set()
    assert MOVED in found["v2"]
    assert result.projects[0].runs[-1].run_id in found["v2"]
    assert len(found["v2"]) < len(found["v3"])


def test_what_the_page_before_shows_is_read_from_it_alone(project, sync, monkeypatch):
    """One file, however many versions there are."""
    sync(project("v1", "v2"))
    read = []
    real = Store.read_artifact
    monkeypatch.setattr(
        Store, "read_artifact", lambda s, run, path: (read.append(path), real(s, run, path))[1]
    )
    sync(project("v1", "v2", "v3"))

    assert read == ["project.html"]


def test_runs_of_before_get_a_page(project, sync, pages, new_store):
    """Runs that were logged when there were no such pages are read once, from the runs alone."""
    folder = project("v1", "v2")
    sync(folder)
    expected = pages()
    client = MlflowClient(new_store)
    for run in client.search_runs(["1"]):
        Path(client.download_artifacts(run.info.run_id, "")).joinpath("project.html").unlink(
            missing_ok=True
        )
        if "mlflow.mlrek_project_page" in run.data.tags:
            client.delete_tag(run.info.run_id, "mlflow.mlrek_project_page")
    assert pages() == {}
    again = sync(folder)

    assert {version.action for version in again.versions} == {"unchanged"}
    assert pages() == expected


@pytest.mark.parametrize("killed_at", range(4))
def test_killed_at_any_step_the_next_sync_does_the_rest(
    project, sync, pages, new_store, monkeypatch, killed_at
):
    """Before and after each write of the page and its mark: no stale page stays."""
    sync(project("v1", "v2"))
    folder = project("v1", "v2", "v3")
    steps = []

    class _KilledError(BaseException):
        pass

    def dying(real):
        def step(*args):
            is_ours = "project.html" in args or "mlflow.mlrek_project_page" in (*args[-1],)
            if is_ours and len(steps) == killed_at:
                raise _KilledError
            steps.extend([1] * is_ours)
            return real(*args)

        return step

    with monkeypatch.context() as patched:
        for name in ("write_artifact", "set_run_tags"):
            patched.setattr(Store, name, dying(getattr(Store, name)))
        with pytest.raises(_KilledError):
            sync(folder)
    again = sync(folder)
    found = pages()

    assert {version.action for version in again.versions} == {"unchanged"}
    assert names_on(found["v3"]) == {"v1", "v2", "v3"}
    assert names_on(found["v2"]) == set()
    assert MOVED in found["v2"]


def test_a_replaced_version_is_shown_as_it_is_now(project, sync, pages):
    """The run that counts now, and not the one before."""
    folder = project("v1", "v2")
    sync(folder)
    result = sync(folder, force=True)
    (page,) = pages().values()

    assert set(read_project_page(page.encode())) == {run.run_id for run in result.projects[0].runs}


def test_a_file_that_is_gone_takes_only_its_own_numbers_along(project, sync, pages, new_store):
    """What MLflow lists of its run is there, and the page says that no more is."""
    sync(project("v1", "v2"))
    client = MlflowClient(new_store)
    runs = {run.info.run_name: run.info.run_id for run in client.search_runs(["1"])}
    for name, path in (("v1", "evaluation.json"), ("v2", "project.html")):
        Path(client.download_artifacts(runs[name], "")).joinpath(path).unlink()
    sync(project("v1", "v2", "v3"))
    page = pages()["v3"]

    assert names_on(page) == {"v1", "v2", "v3"}
    assert "could not be read" in page
    assert set(read_project_page(page.encode())).isdisjoint({runs["v1"]})


def test_a_store_that_takes_no_file_stops_no_sync(project, sync, pages, monkeypatch):
    """All versions are logged; what went wrong is said, and the next sync mends it."""
    folder = project("v1", "v2")

    def refuse(*_args):
        raise TrackingError("403")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write_artifact", refuse)
        result = sync(folder)

    assert {version.action for version in result.versions} == {"created"}
    assert any("all versions of pets is not up to date: 403" in hint for hint in result.hints)
    assert result.projects[0].links.project == ""
    assert pages() == {}
    sync(folder)
    assert set(pages()) == {"v2"}


def test_a_dry_run_writes_no_page(project, sync, new_store):
    """Nor anything else."""
    sync(project("v1", "v2"), dry_run=True)

    assert connect(new_store).list_experiments() == ()


def test_a_page_and_a_promotion_do_not_disturb_each_other(project, sync, pages, new_store):
    """A run that a decision rests on may hold the page, and loses it to a newer one as any does."""
    folder = project("v1", "v2")
    sync(folder, register=True)
    client = MlflowClient(new_store)
    client.set_registered_model_alias("pets", "champion", "2")
    sync(project("v1", "v2", "v3"), register=True)

    assert MOVED in pages()["v2"]
    assert names_on(pages()["v3"]) == {"v1", "v2", "v3"}


def test_two_processes_leave_a_page_that_the_next_sync_finds_right(project, sync, pages, new_store):
    """The one that wrote last may not have known the other's version: it is made again then."""
    folder = project("v1", "v2")
    sync(folder)
    client = MlflowClient(new_store)
    (newest,) = client.search_runs(["1"], "tags.version_name = 'v2'")
    client.set_tag(newest.info.run_id, "mlflow.mlrek_project_page", "of another process")
    folder_of = Path(client.download_artifacts(newest.info.run_id, ""))
    folder_of.joinpath("project.html").write_text("cut <htm")
    sync(folder)

    assert names_on(pages()["v2"]) == {"v1", "v2"}

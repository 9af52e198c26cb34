"""What a sync asks of a database while a project grows."""

import os
from collections import Counter
from contextlib import chdir

import pytest
from fakes.evaluations import save_archive
from sqlalchemy import event
from sqlalchemy.engine import Engine

from mlrek.runs.results import SilentProgress, SyncOptions
from mlrek.runs.sync import sync_sources

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
FIRST, SECOND, THIRD = VERSIONS[:2], VERSIONS[2:4], VERSIONS[4:]


@pytest.fixture(scope="module")
def asked():
    """How often the database was asked so far."""
    found = Counter()

    def count(*_):
        found["queries"] += 1

    event.listen(Engine, "before_cursor_execute", count)
    yield found
    event.remove(Engine, "before_cursor_execute", count)


@pytest.fixture(scope="module")
def growth(tmp_path_factory, empty_store, asked):
    """What each sync of a growing project asked: two versions at a time, and then all again."""
    folder = tmp_path_factory.mktemp("growth")
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    project = save_archive(folder / "project", *VERSIONS)

    def sync(*names: str) -> dict[str, int]:
        asked.clear()
        options = SyncOptions(versions=names, jobs=1)
        uri = f"sqlite:///{folder}/mlflow.db"
        sync_sources([str(project)], uri, options, SilentProgress(), environ=os.environ)
        return dict(asked)

    with chdir(folder):
        return {
            "first": sync(*FIRST),
            "two again": sync(*FIRST),
            "second": sync(*SECOND),
            "third": sync(*THIRD),
            "six again": sync(*VERSIONS),
        }


def test_a_second_sync_asks_as_often_for_six_versions_as_for_two(growth):
    """The queries of an unchanged project do not grow with its versions."""
    assert growth["six again"] == growth["two again"]


def test_a_new_version_costs_as_many_queries_next_to_many_as_next_to_few(growth):
    """Two versions next to four ask the database as often as next to two."""
    assert growth["third"] == growth["second"]

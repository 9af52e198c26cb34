"""The first use of a database file, and what an interrupted one left, against the real MLflow."""

import errno
import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from mlrek.errors import TrackingError
from mlrek.tracking import first_use
from mlrek.tracking import first_use as waiting
from mlrek.tracking.connection import connect


@pytest.fixture
def database(tmp_path) -> Path:
    """Where a database is to be, in a folder of its own."""
    return tmp_path / "store" / "mlflow.db"


@pytest.fixture
def half_set_up(database, empty_store) -> Path:
    """A database whose setup was interrupted: a table is missing, and others came too early."""
    database.parent.mkdir()
    shutil.copy(empty_store, database)
    execute(
        database,
        "DROP TABLE registered_model_aliases",
        f"UPDATE alembic_version SET version_num = '{OLD}'",  # noqa: S608 - ours
    )
    return database


OLD = "2d6e25af4d3e"  # a revision of MLflow 1.x


def execute(database: Path, *statements: str) -> None:
    """Change a database behind MLflow's back."""
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def uri(database: Path) -> str:
    """As `--tracking-uri` takes it."""
    return f"sqlite:///{database}"


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def impatient(monkeypatch):
    """Waiting is told and given up after moments."""
    monkeypatch.setattr(waiting, "TOLD_AFTER_S", 0.1)
    monkeypatch.setattr(waiting, "GIVEN_UP_AFTER_S", 0.5)
    monkeypatch.setattr(first_use, "STILL_AFTER_S", 0.2)


def test_a_new_database_is_complete_and_alone(database):
    """Its default experiment keeps artifacts where MLflow itself would; nothing lies next to it."""
    store = connect(uri(database))

    assert names(database.parent) == ["mlflow.db"]
    (experiment,) = store.client.search_experiments()
    assert experiment.artifact_location == f"{Path.cwd()}/mlruns/0"


def test_an_empty_file_becomes_a_database(database, impatient):
    """As `touch` leaves it, or an MLflow that was killed at once."""
    database.parent.mkdir()
    database.touch()

    assert len(connect(uri(database)).client.search_experiments()) == 1


def test_what_sqlite_kept_of_a_database_that_is_gone_is_not_played_into_a_new_one(database):
    """Its journal lies next to it."""
    database.parent.mkdir()
    database.with_name("mlflow.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" * 64)

    assert len(connect(uri(database)).client.search_experiments()) == 1


def test_where_somebody_else_is_faster_their_database_stays(database, empty_store, monkeypatch):
    """It appears while ours is being made."""
    link = os.link

    def link_later(part: Path, path: Path) -> None:
        shutil.copy(empty_store, path)
        execute(path, "UPDATE experiments SET name = 'theirs'")
        link(part, path)

    monkeypatch.setattr(os, "link", link_later)
    (experiment,) = connect(uri(database)).client.search_experiments()

    assert experiment.name == "theirs"
    assert names(database.parent) == ["mlflow.db"]


def test_a_file_system_without_hard_links_will_do(database, monkeypatch):
    """Then the lock alone keeps others away."""

    def refuse(*_args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    connect(uri(database))

    assert names(database.parent) == ["mlflow.db"]


@pytest.mark.parametrize(
    "refused", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("flock")]
)
def test_a_file_system_without_locks_is_named(database, monkeypatch, refused):
    """No database file could be shared there."""

    def refuse(*_args: object, **_more: object) -> None:
        raise refused

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(TrackingError, match=r"has no locks.*--tracking-uri sqlite:///FILE"):
        connect(uri(database))


def test_waiting_for_another_setup_is_told_and_ends(database, impatient, caplog):
    """The error names the lock."""
    database.parent.mkdir()
    lock = database.with_name(".mlflow.db.mlrek.lock")
    with FileLock(lock), pytest.raises(TrackingError, match=r"waited .* seconds.*mlrek\.lock"):
        connect(uri(database))

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "another process is setting this database up" in caplog.text


def test_waiting_for_a_locked_database_is_told_and_ends(new_store, tmp_path, impatient, caplog):
    """Another program has an open transaction."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingError, match="keeps the database locked"):
            connect(new_store)

    assert "waiting: " in caplog.text


def test_litter_of_killed_processes_is_taken_away(new_store, tmp_path):
    """Parts and the lock, by any command that opens the store; other files stay."""
    for name in (
        "mlflow.db.0123456789abcdef.part",
        "mlflow.db.0123456789abcdef.part-journal",
        ".mlflow.db.mlrek.lock",
        "mlflow.db.part",
        "notes.part",
    ):
        (tmp_path / name).touch()
    connect(new_store)

    assert names(tmp_path) == ["mlflow.db", "mlflow.db.part", "notes.part"]


def test_parts_of_a_setup_under_way_stay(new_store, tmp_path):
    """Its process holds the lock."""
    part = tmp_path / "mlflow.db.0123456789abcdef.part"
    part.touch()
    with FileLock(tmp_path / ".mlflow.db.mlrek.lock"):
        connect(new_store)

    assert part.exists()


def test_a_database_left_half_set_up_is_set_up_again(half_set_up, impatient):
    """It certainly holds nothing; "table … already exists" would be its end for ever."""
    store = connect(uri(half_set_up))

    assert [one.name for one in store.client.search_experiments()] == ["Default"]
    assert names(half_set_up.parent) == ["mlflow.db"]


def test_a_database_that_another_program_sets_up_right_now_is_left_to_it(
    half_set_up, empty_store, impatient, monkeypatch
):
    """Its file changes; in the end it is complete, and stays the same file."""
    number = half_set_up.stat().st_ino
    steps = iter(range(6))

    def look_later(path: Path) -> tuple[int, int]:
        step = next(steps)
        if step == 5:
            path.write_bytes(empty_store.read_bytes())
        return step, 0

    monkeypatch.setattr(first_use, "_sign", look_later)
    connect(uri(half_set_up))

    assert half_set_up.stat().st_ino == number


def test_a_database_without_a_revision_that_holds_something_stays_as_it_is(half_set_up):
    """The message says what to do."""
    execute(
        half_set_up,
        "DELETE FROM alembic_version",
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'x', 'active')",
    )
    before = half_set_up.read_bytes()
    with pytest.raises(TrackingError, match=r"half set up, and holds something.*move it away"):
        connect(uri(half_set_up))

    assert half_set_up.read_bytes() == before


def test_a_migration_that_fails_leaves_a_copy_and_says_where(half_set_up, caplog):
    """It holds an experiment; told before, copied before."""
    execute(
        half_set_up,
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'x', 'active')",
    )
    copy = half_set_up.with_name(f"mlflow.db.{OLD}.backup")
    with pytest.raises(TrackingError, match=rf"as it was before it is in {copy}"):
        connect(uri(half_set_up))

    assert "was made by an older MLflow" in caplog.text
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("SELECT name FROM experiments WHERE experiment_id = 7").fetchall() == [
            ("x",)
        ]


def test_a_store_of_an_older_mlflow_is_migrated_after_it_was_told(database, caplog):
    """Its experiments are there afterwards, and in the copy that only older ones read."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    database.parent.mkdir()
    engine = sqlalchemy.create_engine(uri(database))
    Base.metadata.create_all(engine)
    config = _get_alembic_config(uri(database))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0584bdc529eb")  # MLflow 2.4
    engine.dispose()
    execute(
        database,
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'x', 'active')",
    )
    store = connect(uri(database))

    assert {one.name for one in store.client.search_experiments()} == {"Default", "x"}
    assert names(database.parent) == ["mlflow.db", "mlflow.db.0584bdc529eb.backup"]
    assert "changes its tables now, and older ones cannot open it" in caplog.text


@pytest.mark.parametrize(
    "also", ["", "DROP TABLE registered_model_aliases"], ids=["newer", "much newer"]
)
def test_a_store_of_a_newer_mlflow_says_to_update_here(new_store, tmp_path, also):
    """MLflow's own advice, `mlflow db upgrade`, would not help."""
    statements = ["UPDATE alembic_version SET version_num = 'fedcba987654'", also]
    statements.append("UPDATE experiments SET name = 'x', experiment_id = 7")
    execute(tmp_path / "mlflow.db", *filter(None, statements))
    with pytest.raises(TrackingError, match=r"a newer MLflow.*pip install --upgrade mlflow"):
        connect(new_store)


def test_only_a_database_that_nobody_knows_yet_waits_for_no_disk(database, monkeypatch):
    """A new one is on the disk as a whole before it has its name; later steps wait."""
    levels: dict[str, set[int]] = {}
    synced = []
    sync = os.fsync

    def note_level(connection: Connection) -> None:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        _, _, file = next(raw.execute("PRAGMA database_list"))
        ((level,),) = raw.execute("PRAGMA synchronous")
        levels.setdefault(Path(file).suffix, set()).add(level)

    def note_sync(number: int) -> None:
        synced.append((os.fstat(number).st_ino, database.exists()))
        sync(number)

    monkeypatch.setattr(os, "fsync", note_sync)
    event.listen(Engine, "begin", note_level)
    try:
        connect(uri(database)).list_experiments()
    finally:
        event.remove(Engine, "begin", note_level)

    assert levels == {".part": {0}, ".db": {2}}
    assert synced == [(database.stat().st_ino, False)]

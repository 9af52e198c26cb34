"""The first use of a database file: it appears complete or not at all, whoever is killed.

MLflow sets a new database up in a hundred steps that cannot be taken back, in the file itself. Two
processes that meet there, or one that is killed, leave a file that no MLflow opens any more. So it
is made next to its name and moved there; what guards it lies there too, since processes with
temporary folders of their own share nothing else.
"""

import contextlib
import errno
import logging
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from glob import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mlrek.errors import TrackingError
from mlrek.tracking.database import DATABASE_URI, find_database
from mlrek.tracking.translation import (
    explain_revision,
    hide_userinfo,
    is_known_revision,
    newest_revision,
)

TOLD_AFTER_S = 5.0
GIVEN_UP_AFTER_S = 60.0
"""Without a sign of life of the other process."""
LOOK_EVERY_S = 0.1

_LOG = logging.getLogger("mlrek")


class Patience:
    """Waits in short steps; says so once, and gives up when nothing moves any more."""

    def __init__(
        self,
        reason: str,
        advice: str,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reason, self._advice = reason, advice
        self._now, self._sleep = now, sleep
        self._begun = self._moved = now()
        self._seen: object = None
        self._is_told = False

    def step(self, sign_of_life: object) -> None:
        """Wait a moment; `sign_of_life` is something that changes while the other one works.

        Raises:
            TrackingError: It has not changed for too long.
        """
        now = self._now()
        if sign_of_life != self._seen:
            self._seen, self._moved = sign_of_life, now
        if now - self._begun > TOLD_AFTER_S and not self._is_told:
            self._is_told = True
            _LOG.warning("waiting: %s", self._reason)
        if now - self._moved > GIVEN_UP_AFTER_S:
            waited = f"{now - self._begun:.0f} seconds"
            raise TrackingError(f"{self._reason}; waited {waited} for it: {self._advice}")
        self._sleep(LOOK_EVERY_S)

    @property
    def still_for_s(self) -> float:
        """Seconds since the last sign of life."""
        return self._now() - self._moved


STILL_AFTER_S: Final = 3.0
"""A database half set up that has not changed for so long is nobody's work any more."""
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
_REBUILT: Final = ("-journal", "-wal", "-shm")
"""What sqlite keeps next to a database: of one that is gone, it would be played into a new one."""
_EVER_THERE: Final = {"experiments": "experiment_id <> 0", "workspaces": "name <> 'default'"}
"""Tables of a store without content that have rows; what further rows fulfil."""


class _State(Enum):
    """What a database file is."""

    ABSENT = auto()
    EMPTY = auto()  # a file without a table
    PARTIAL = auto()  # tables are missing: half set up, or of an older MLflow
    LOCKED = auto()  # by another program: nothing can be told
    READY = auto()  # or whatever else MLflow shall say what it thinks of


SERVERS: Final = ("postgresql", "mysql", "mssql")
"""What the URIs of databases on servers begin with, as MLflow takes them."""


def list_known_tables() -> frozenset[str]:
    """The tables of the MLflow that is installed here."""
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - both name their tables to `Base`
    from mlflow.store.db.base_sql_model import Base

    return frozenset(Base.metadata.tables)


@contextlib.contextmanager
def prepared_database(uri: str) -> Iterator[None]:
    """See that a database file is one that MLflow can open; with the block it does.

    A new one is set up; one that was left half set up is set up again, if it holds nothing; that
    one of an older MLflow is about to be migrated is told, and a copy of it is kept.

    Raises:
        TrackingError: It cannot be set up, or was broken and holds something.
    """
    path = find_database(uri)
    if path is None:
        yield
        return
    path = path.resolve() if path.is_symlink() else path
    if _wait_until_unlocked(path) is _State.READY:
        _remove_litter(path)
        yield
        return
    with _guard(path):
        copy = _set_up(uri, path)
        try:
            yield
        except Exception as exc:
            if copy is None:
                raise
            raise TrackingError(
                f"{path}: MLflow could not change the tables of this database "
                f"({str(exc).partition(chr(10))[0]}); "
                f"as it was before it is in {copy}"
            ) from exc


def _set_up(uri: str, path: Path) -> Path | None:
    """Set a database up, or make ready for its migration: then its copy from before comes back."""
    state = _inspect(path)
    if state is _State.PARTIAL and not _is_bare(path):
        return _prepare_migration(path)
    _set_up_anew(uri, path, state)
    return None


def _set_up_anew(uri: str, path: Path, state: _State) -> None:
    if state in {_State.PARTIAL, _State.EMPTY}:
        state = _wait_until_still(path)
    if state is _State.READY:
        return
    _remove_parts(path)
    with _build(uri, path) as part:
        if state is _State.ABSENT:
            _remove(path.with_name(path.name + end) for end in _REBUILT)
            _place(part, path)
        else:
            _take_over(path)
            part.replace(path)


# ---- what is there -------------------------------------------------------------------------


def _inspect(path: Path) -> _State:
    if not path.exists():
        return _State.ABSENT
    try:
        tables = _list_tables(path)
    except sqlite3.Error as exc:  # no database at all: MLflow says what
        return _State.LOCKED if "locked" in str(exc) else _State.READY
    if not tables:
        return _State.EMPTY
    if not tables <= _own_tables(tables):
        return _State.READY
    revision = _read_revision(path)
    is_complete = bool(revision) and list_known_tables() <= tables
    return _State.READY if is_complete or revision == newest_revision() else _State.PARTIAL


def _own_tables(tables: frozenset[str]) -> frozenset[str]:
    """Those that may be MLflow's: a database that has others too is somebody's own affair."""
    passing = {name for name in tables if name.startswith(("_alembic_tmp", "alembic_", "sqlite_"))}
    return list_known_tables() | passing


def _is_bare(path: Path) -> bool:
    """Whether a database certainly holds nothing that anybody made."""
    with _open(path) as database:
        for table in _list_tables(path):
            if table.startswith(("alembic_", "sqlite_")):
                continue
            further = f" WHERE {_EVER_THERE[table]}" if table in _EVER_THERE else ""
            try:
                rows = database.execute(f'SELECT 1 FROM "{table}"{further} LIMIT 1')  # noqa: S608
                if rows.fetchone():
                    return False
            except sqlite3.Error:
                return False
    return True


def _list_tables(path: Path) -> frozenset[str]:
    with _open(path) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return frozenset(str(name) for (name,) in rows)


def _read_revision(path: Path) -> str:
    """The revision of the database's tables, '' where none is noted."""
    with contextlib.suppress(sqlite3.Error), _open(path) as database:
        for (revision,) in database.execute("SELECT version_num FROM alembic_version"):
            return str(revision)
    return ""


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, to be read; nothing is made where none is.

    Not read-only: sqlite takes back what a killed process began, as it does for MLflow.
    """
    place = f"file:{quote(str(path))}?mode=rw"
    with contextlib.closing(sqlite3.connect(place, uri=True, timeout=1)) as database:
        yield database


def _wait_until_unlocked(path: Path) -> _State:
    """Wait for a program that keeps the database locked: what it is then."""
    patience = Patience(
        f"{path}: another program keeps the database locked",
        "run the command again when that is done, or let several people write to an MLflow server",
    )
    while (state := _inspect(path)) is _State.LOCKED:
        patience.step(None)
    return state


def _wait_until_still(path: Path) -> _State:
    """Let another program go on that sets the database up right now: what it is then."""
    patience = Patience(
        f"{path}: another program is setting this database up", "run the command again later"
    )
    while True:
        state = _inspect(path)
        if state in {_State.ABSENT, _State.READY} or patience.still_for_s > STILL_AFTER_S:
            return state
        patience.step(_sign(path))


def _sign(path: Path) -> tuple[int, int]:
    """Changes whenever a file does; zeros without one."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return 0, 0


# ---- a new one -----------------------------------------------------------------------------


@contextlib.contextmanager
def _build(uri: str, path: Path) -> Iterator[Path]:
    """A complete database without runs, in a file next to `path`; what is left of it goes."""
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    found = DATABASE_URI.fullmatch(uri)
    query = (found["query"] or "") if found else ""
    try:
        with _unsynced(part):
            store = SqlAlchemyStore(  # type: ignore[no-untyped-call]
                f"sqlite:///{part}{query}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
            )
            store.engine.dispose()
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        yield part
    finally:
        _remove([part, *(part.with_name(part.name + end) for end in _REBUILT)])


@contextlib.contextmanager
def _unsynced(part: Path) -> Iterator[None]:
    """Let sqlite wait for the disk at none of the hundreds of steps of a new database.

    Nobody opens the file before it is complete, and by then it is on the disk as a whole.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: sqlite3.Connection, _: object) -> None:
        _, _, file = next(connection.execute("PRAGMA database_list"))
        if file and Path(file) == part.resolve():
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


def _place(part: Path, path: Path) -> None:
    """Move a file to a name that is free; where somebody was faster, theirs stays."""
    try:
        os.link(part, path)
    except FileExistsError:
        return
    except OSError as exc:
        if exc.errno not in _NO_LINKS or path.exists():
            raise
        part.rename(path)  # no hard links here: the lock alone keeps others away


def _take_over(path: Path) -> None:
    """Let sqlite finish with what a killed process left, so that nothing of it is left there."""
    with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        database.execute("ROLLBACK")
    _remove(path.with_name(path.name + end) for end in _REBUILT)


# ---- one of an older MLflow ----------------------------------------------------------------


def _prepare_migration(path: Path) -> Path:
    """Tell of a migration that MLflow makes when it opens the database, and keep a copy.

    Returns:
        The copy; where an earlier migration was begun and not ended, the one from before that.

    Raises:
        TrackingError: A newer MLflow made it, or it was left half set up.
    """
    revision = _read_revision(path)
    if not (revision and is_known_revision(revision)):
        raise TrackingError(f"{path}: {explain_revision(revision)}")
    earlier = sorted(path.parent.glob(f"{escape(path.name)}.*.backup"), key=_sign)
    copy = path.with_name(f"{path.name}.{revision}.backup")
    _LOG.warning(
        "%s was made by an older MLflow; the one installed here changes its tables now, and older "
        "ones cannot open it afterwards. As it was before it stays in %s",
        path,
        copy,
    )
    if not copy.exists():
        _copy(path, copy)
    return earlier[-1] if earlier else copy


def _copy(path: Path, copy: Path) -> None:
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with _open(path) as old, contextlib.closing(sqlite3.connect(part)) as new:
            old.backup(new)
        part.replace(copy)
    finally:
        _remove([part])


# ---- guard and litter ----------------------------------------------------------------------


@contextlib.contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Let one process at a time set a database up.

    Raises:
        TrackingError: Another one has been at it for too long, or there are no locks here.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(path), timeout=0, mode=0o666)
    patience = Patience(
        f"{path}: another process is setting this database up",
        f"if none is running any more, delete {_lock_file(path)}; else run the command again later",
    )
    while True:
        try:
            lock.acquire()
            break
        except Timeout:
            patience.step([_sign(file) for file in (path, *sorted(_list_parts(path)))])
        except (OSError, NotImplementedError) as exc:
            raise _explain_lock(path, exc) from exc
    try:
        yield
        _remove([_lock_file(path)])  # while it is held: who waits for it finds the database ready
    finally:
        lock.release()


def _explain_lock(path: Path, exc: OSError | NotImplementedError) -> TrackingError:
    if isinstance(exc, NotImplementedError) or exc.errno in _NO_LOCKS:
        said = "its file system has no locks, which a database file needs"
    else:
        said = exc.strerror or type(exc).__name__
    return TrackingError(
        f"{path}: a database cannot be made here: {said}; name another place with "
        "--tracking-uri sqlite:///FILE"
    )


def _remove_litter(path: Path) -> None:
    """Take away what killed processes left of setting a database up, unless one is at it."""
    from filelock import FileLock, Timeout

    if not (_list_parts(path) or _lock_file(path).exists()):
        return
    lock = FileLock(_lock_file(path), timeout=0, mode=0o666)
    with contextlib.suppress(Timeout, OSError, NotImplementedError), lock:
        _remove_parts(path)
        _remove([_lock_file(path)])


def _remove_parts(path: Path) -> None:
    _remove(_list_parts(path))


def _list_parts(path: Path) -> list[Path]:
    named = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{16}}\.part(?:-\w+)?")
    with contextlib.suppress(OSError):
        return [file for file in path.parent.iterdir() if named.fullmatch(file.name)]
    return []


def _lock_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.mlrek.lock")


def _remove(files: "Iterator[Path] | list[Path]") -> None:
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()


def tell_migration(uri: str) -> None:
    """Say that MLflow is about to change the tables of a database that others use too.

    MLflow does so without a word where tables are missing; where none is, it refuses to.

    Raises:
        TrackingError: A newer MLflow made the database.
    """
    if not uri.startswith(SERVERS):
        return
    tables, revision = _look(uri)
    known = list_known_tables()
    if not revision or not known & tables or known <= tables:
        return
    if not is_known_revision(revision):
        raise TrackingError(f"{hide_userinfo(uri)}: {explain_revision(revision)}")
    import mlflow

    _LOG.warning(
        "%s was made by an older MLflow; the one installed here (%s) changes its tables now, and "
        "older ones cannot open it afterwards: update MLflow wherever else this database is used",
        hide_userinfo(uri),
        mlflow.__version__,
    )


def _look(uri: str) -> tuple[frozenset[str], str]:
    """The tables of a database and their revision; nothing where it cannot be asked."""
    from mlflow.store.db.utils import create_sqlalchemy_engine
    from sqlalchemy import inspect, text
    from sqlalchemy.exc import SQLAlchemyError

    with contextlib.suppress(SQLAlchemyError, ImportError):  # MLflow says what is wrong
        engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
        try:
            with engine.connect() as connection:
                tables = frozenset(inspect(connection).get_table_names())
                if "alembic_version" not in tables:
                    return tables, ""
                found = connection.execute(text("SELECT version_num FROM alembic_version"))
                return tables, str(found.scalar() or "")
        finally:
            engine.dispose()
    return frozenset(), ""

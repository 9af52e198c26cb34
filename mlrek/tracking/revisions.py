"""Revisions of an MLflow database's tables: which of two MLflows is the older one."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


def newest_revision() -> str:
    """The revision that the MLflow installed here makes."""
    return _read_scripts().get_current_head() or ""


def is_known_revision(revision: str) -> bool:
    """Whether the MLflow installed here knows a revision: else a newer one made it."""
    from alembic.util import CommandError

    try:
        return _read_scripts().get_revision(revision) is not None
    except CommandError:
        return False


def explain_revision(revision: str) -> str:
    """What a database of another revision is, and what to do, as the end of a sentence."""
    import mlflow

    if not revision:
        return (
            "this database was left half set up, and holds something; restore a copy from before, "
            "or move it away and sync again"
        )
    if is_known_revision(revision):
        return (
            "an older MLflow made this database; `mlflow db upgrade URI` brings it along (keep "
            "a copy: older ones cannot open it afterwards)"
        )
    return (
        f"a newer MLflow than the one installed here ({mlflow.__version__}) made this database: "
        "`pip install --upgrade mlflow` here; `mlflow db upgrade` does not help"
    )


@cache
def _read_scripts() -> "ScriptDirectory":
    import mlflow
    from alembic.script import ScriptDirectory

    place = Path(mlflow.__path__[0], "store", "db_migrations")
    return ScriptDirectory(str(place))

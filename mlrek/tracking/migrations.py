"""A database on a server: what MLflow changes in it when it opens one, told before."""

import contextlib
import logging
from typing import Final

from mlrek.errors import TrackingError
from mlrek.tracking.first_use import list_known_tables
from mlrek.tracking.revisions import explain_revision, is_known_revision
from mlrek.tracking.translation import hide_userinfo

SERVERS: Final = ("postgresql", "mysql", "mssql")
"""What the URIs of databases on servers begin with, as MLflow takes them."""

_LOG = logging.getLogger("mlrek")


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

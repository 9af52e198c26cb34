"""A database on a server that an MLflow of another age made: a real PostgreSQL and MariaDB."""

import pytest

from mlrek.errors import TrackingError
from mlrek.tracking.connection import connect

pytestmark = pytest.mark.server
OLD = "0584bdc529eb"
"""The tables of MLflow 2.4."""

NEWER = r"a newer MLflow.*pip install --upgrade mlflow"


@pytest.fixture(params=["postgres", "mariadb"])
def place(request) -> str:
    """The URI of an empty database, with a login that nobody shall read."""
    import sqlalchemy

    server = request.getfixturevalue(request.param)
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE aged"))
    engine.dispose()
    return f"{server.removesuffix('/postgres')}/aged"


def as_another(uri: str, n: int) -> str:
    """The same database by another URI, since MLflow keeps what it opened."""
    option = "application_name=" if uri.startswith("postgresql") else "read_timeout=10"
    return f"{uri}?{option}{n}"


def execute(uri: str, *statements: str) -> None:
    """Run statements."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def make_old(uri: str) -> None:
    """The tables as an older MLflow made them, with an experiment."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = sqlalchemy.create_engine(uri)
    Base.metadata.create_all(engine)
    config = _get_alembic_config(uri)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLD)
    engine.dispose()
    execute(
        uri,
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (7, 'x', 'active')",
    )


def test_a_migration_is_told_before_and_a_newer_store_says_so(place, caplog):
    """The experiments of before are there afterwards, and nothing is said any more."""
    make_old(place)
    store = connect(place)
    said = [record.getMessage() for record in caplog.records if record.name == "mlrek"]

    assert {one.name for one in store.client.search_experiments()} == {"Default", "x"}
    assert len(said) == 1
    assert said[0].startswith(place.replace("root@", "").replace("mlflow@", ""))
    assert "was made by an older MLflow; the one installed here" in said[0]

    caplog.clear()
    connect(place)
    assert [record for record in caplog.records if record.name == "mlrek"] == []

    execute(place, "UPDATE alembic_version SET version_num = 'fedcba987654'")
    with pytest.raises(TrackingError, match=NEWER):
        connect(as_another(place, 1))
    execute(place, "DROP TABLE registered_model_aliases")
    with pytest.raises(TrackingError, match=NEWER):
        connect(as_another(place, 2))

"""What logging one run costs: requests and connections of a server, statements of a database."""

from collections import Counter
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from mlflow.store.tracking.abstract_store import AbstractStore
from requests.adapters import HTTPAdapter
from sqlalchemy import event
from sqlalchemy.engine import Engine
from urllib3.connection import HTTPConnection

from mlrek.evaluation import Project, Provider
from mlrek.tracking.artifacts import AT_ONCE
from mlrek.tracking.connection import connect
from mlrek.tracking.description import DatasetInput, GridPicture, MetricPoint, RunDescription

FILES = 20
MOST_WRITTEN, MOST_SETTLED = 32, 3
"""Statements of writing a run, and of looking whether another process wrote the same."""
PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:cost/1", name="cost")


@pytest.fixture
def description() -> RunDescription:
    """Numbers of one batch, files of two folders, pictures, a note and a test set."""
    grid = [GridPicture(key="charts/x", step=step, png=b"p", webp=b"w") for step in range(3)]
    return RunDescription(
        run_name="v1",
        start_ms=1_690_556_751_958,
        end_ms=1_690_558_410_827,
        tags={"version_arn": "v1", "mlrek.evaluation_key": "k", "mlflow.note.content": "A note"},
        params={"labels": "2"},
        metrics=tuple(MetricPoint(key=f"label_f1/{i}", value=0.5) for i in range(300)),
        files={
            "report.html": b"page",
            **{f"file_{i}.csv": b"0" * 1000 for i in range(FILES - 2)},
            "source/summary.json": b"{}",
        },
        grid=tuple(grid),
        dataset=DatasetInput(uri="s3://b/T.json", name="T.json", digest="d" * 32),
    )


def name_key(description: RunDescription, key: str) -> RunDescription:
    """The same run of another evaluation."""
    return replace(description, tags={**description.tags, "mlrek.evaluation_key": key})


@pytest.fixture
def requests_sent(monkeypatch) -> list[str]:
    """Every request, as it is sent: its method, and what it is for."""
    sent = []
    send = HTTPAdapter.send

    def count(self, request, **kwargs):
        path = urlsplit(request.url).path
        is_file = "/mlflow-artifacts/" in path
        sent.append(f"{request.method} {'file' if is_file else path.partition('/mlflow/')[2]}")
        return send(self, request, **kwargs)

    monkeypatch.setattr(HTTPAdapter, "send", count)
    return sent


@pytest.fixture
def connections_opened(monkeypatch) -> list[str]:
    """The host of every connection, as it is opened."""
    opened = []
    open_connection = HTTPConnection.connect

    def count(self):
        opened.append(self.host)
        return open_connection(self)

    monkeypatch.setattr(HTTPConnection, "connect", count)
    return opened


@pytest.fixture
def statements(new_store):
    """The statements that a database is given, without the settings of each connection."""
    given = []

    @event.listens_for(Engine, "before_cursor_execute")
    def count(_conn, _cursor, statement, _params, _context, _many) -> None:
        if not statement.startswith("PRAGMA"):
            given.append(statement)

    yield given
    event.remove(Engine, "before_cursor_execute", count)


def test_a_run_over_http_asks_for_nothing_that_is_known(mlflow_server, description, requests_sent):
    """One request each for what MLflow takes at once, and one for each file."""
    store = connect(mlflow_server)
    experiment_id = store.get_or_create_experiment(PROJECT).experiment_id
    store.write_run(experiment_id, description)
    requests_sent.clear()
    store.settle(experiment_id, store.write_run(experiment_id, name_key(description, "another")))

    assert Counter(requests_sent) == {
        "POST runs/create": 1,
        "POST runs/log-batch": 1,
        "POST runs/log-inputs": 1,
        "PUT file": FILES + 2 * len(description.grid),
        "POST runs/update": 1,
        "POST runs/set-tag": 1,
        "POST runs/delete-tag": 1,
        "POST runs/search": 1,
    }
    begun, *between, updated, marked, ended, _ = requests_sent
    assert (begun, updated, marked) == ("POST runs/create", "POST runs/update", "POST runs/set-tag")
    assert ended == "POST runs/delete-tag"
    assert "POST runs/log-batch" in between


def test_connections_are_kept_from_run_to_run(mlflow_server, description, connections_opened):
    """One for each file that is sent at once and one for the numbers; the next run opens none."""
    store = connect(mlflow_server)
    experiment_id = store.get_or_create_experiment(PROJECT).experiment_id
    store.write_run(experiment_id, description)
    first = len(connections_opened)
    store.write_run(experiment_id, description)

    assert first <= 1 + AT_ONCE + 2  # `connect` itself asks without MLflow's client
    assert len(connections_opened) <= 1 + AT_ONCE + 2


def test_a_run_in_a_database_file_costs_so_many_statements(new_store, description, statements):
    """A run is not asked for while it is written."""
    store = connect(new_store)
    experiment_id = store.get_or_create_experiment(PROJECT).experiment_id
    store.write_run(experiment_id, description)
    statements.clear()
    written = store.write_run(experiment_id, name_key(description, "another"))
    n_written = len(statements)
    store.settle(experiment_id, written)

    assert n_written <= MOST_WRITTEN
    assert len(statements) - n_written <= MOST_SETTLED


def test_numbers_are_there_before_a_run_counts(new_store, description, monkeypatch):
    """Where MLflow is to log in the background, a run is still complete at its mark."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    late = []
    monkeypatch.setattr(AbstractStore, "log_batch_async", lambda *args, **_: late.append(args))
    store = connect(new_store)
    experiment = store.get_or_create_experiment(PROJECT)

    run = store.write_run(experiment.experiment_id, description)

    assert not late
    assert len(store.get_run(run.run_id).metrics) == len(description.metrics)

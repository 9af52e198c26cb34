"""Logging one run: mlrek's writer against MLflow's fluent API with one call per number.

Both log the same 300 numbers, parameters, tags and files, into a database file and over HTTP.

    python tests/benchmarks/bench_logging.py
"""

# ruff: noqa: TID251 - the yardstick uses MLflow's global state, as a notebook does

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import mlflow
from rows import print_row
from serve_mlflow import serve_mlflow

from mlrek.evaluation import Project, Provider
from mlrek.tracking.connection import connect
from mlrek.tracking.description import MetricPoint, RunDescription

NUMBERS, PARAMS, TAGS, FILES = 300, 5, 15, 20
ROUNDS = 5
WORKERS = 4
"""Processes of the server: as many as `mlflow server` has by itself."""
WANTED = {"sqlite": 15, "HTTP": 30}


def main() -> int:
    """Both stores; the exit code says whether both targets are met."""
    with tempfile.TemporaryDirectory(prefix="bench-logging-") as scratch:
        local, served = Path(scratch, "local"), Path(scratch, "served")
        local.mkdir()
        served.mkdir()
        missed = compare("sqlite", f"sqlite:///{local}/mlflow.db", local)
        with serve_mlflow(served, WORKERS) as uri:
            return compare("HTTP", uri, served) or missed


def compare(name: str, uri: str, folder: Path) -> bool:
    """One store: whether the target is missed."""
    description = describe()
    store = connect(uri)
    project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="logging")
    experiment = store.get_or_create_experiment(project)
    files = folder / "files"
    files.mkdir()
    for path, content in description.files.items():
        (files / path).write_bytes(content)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("fluent")
    log_fluently(description, files)
    store.write_run(experiment.experiment_id, description)
    rounds = [
        (
            measure(lambda: store.write_run(experiment.experiment_id, description)),
            measure(lambda: log_fluently(description, files)),
        )
        for _ in range(ROUNDS)
    ]
    ratio = median(fluent / ours for ours, fluent in rounds)
    ours, fluent = (median(times) for times in zip(*rounds, strict=True))
    print_row(
        f"logging one run of {NUMBERS} numbers and {FILES} files, {name}, against one fluent call "
        "per number",
        f"{WANTED[name]} ×",
        f"{ratio:.0f} × ({ours:.2f} s, {fluent:.1f} s)",
        met=ratio >= WANTED[name],
    )
    return ratio < WANTED[name]


def describe() -> RunDescription:
    """A run as large as those of many labels."""
    return RunDescription(
        run_name="v1",
        start_ms=1_767_600_000_000,
        end_ms=1_767_605_400_000,
        tags={f"tag_{i}": "value" * 8 for i in range(TAGS)},
        params={f"param_{i}": str(i) for i in range(PARAMS)},
        metrics=tuple(MetricPoint(key=f"label_f1/{i}", value=i / NUMBERS) for i in range(NUMBERS)),
        files={f"file_{i:02}.csv": b"0123456789" * 2000 for i in range(FILES)},
    )


def log_fluently(description: RunDescription, files: Path) -> None:
    """The same, call by call."""
    with mlflow.start_run(run_name=description.run_name):
        for key, value in description.tags.items():
            mlflow.set_tag(key, value)
        for key, value in description.params.items():
            mlflow.log_param(key, value)
        for point in description.metrics:
            mlflow.log_metric(point.key, point.value)
        for path in sorted(files.iterdir()):
            mlflow.log_artifact(str(path))


def measure(run: Callable[[], object]) -> float:
    """Seconds by the clock."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

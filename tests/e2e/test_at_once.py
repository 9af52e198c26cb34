"""Several processes sync one project at once: one run a version is left."""

import json
import re

import pytest
from fakes.effort import choose
from fakes.evaluations import save_archive
from mlflow import MlflowClient

VERSIONS = ["v1", "v2"]


@pytest.fixture(params=["database", "mlflow_server", "postgres_server"])
def store(request, tmp_path) -> str:
    """A new database file, and servers over HTTP with either database behind them."""
    if request.param == "database":
        return f"sqlite:///{tmp_path}/mlflow.db"
    return request.getfixturevalue(request.param)


HOW_IT_GOES = re.compile(r"mlrek: waiting: |^\d+ of \d+ versions\b")
"""Said of a sync that takes its time."""


@pytest.mark.parametrize("n", [2, choose(4, whole=8)])
def test_one_run_a_version_is_left(warm, store, tmp_path, n):
    """Nothing fails, nothing is doubled, and a further sync finds everything unchanged."""
    arn = f"arn:aws:rekognition:us-east-1:111122223333:project/pets-{n}/1690474772815"
    project = save_archive(tmp_path / "saved", *VERSIONS, project_arn=arn)
    args = ("sync", project, "--tracking-uri", store, "--json")
    started = [warm.start(*args, cwd=tmp_path) for _ in range(n)]
    ended = [warm.wait(pid) for pid in started]
    again = json.loads(warm.run(*args, cwd=tmp_path).stdout)["versions"]
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name(f"mlrek/pets-{n}")
    runs = client.search_runs([experiment.experiment_id])

    for done in ended:
        said = [line for line in done.stderr.splitlines() if not HOW_IT_GOES.search(line)]
        assert (done.returncode, said) == (0, []), done.stdout
    assert sorted(run.info.run_name for run in runs) == VERSIONS
    assert all(run.data.tags["mlrek.complete"] == "true" for run in runs)
    assert [v["action"] for v in again] == ["unchanged"] * 2
    assert {v["run_id"] for v in again} == {run.info.run_id for run in runs}

"""`mlflow run` on the project folder, for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def mlflow_run(tmp_path, clean_environment):
    """Run an entry point of the project folder with `mlflow.db` in the test's folder."""

    def run(*arguments: str, manager: str = "local") -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db", "PATH": path}
        command = [sys.executable, "-m", "mlflow", "run", str(REPOSITORY), "--env-manager", manager]
        return subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=clean_environment | store,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("manager", ["local", "uv"])
def test_the_project_syncs_and_its_wrapper_run_is_no_version(tmp_path, manager, mlflow_run):
    """Every version has its run in the experiment that was named; the wrapper is marked."""
    source = f"source={REPOSITORY}/examples/digits"
    done = mlflow_run("--experiment-name", "chosen", "-P", source, manager=manager)
    assert done.returncode == 0, done.stdout + done.stderr
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("chosen")
    runs = client.search_runs([experiment.experiment_id])
    versions = [run for run in runs if "version_arn" in run.data.tags]
    (wrapper,) = (run for run in runs if "version_arn" not in run.data.tags)

    assert len(versions) == 4
    assert all(run.data.tags["mlrek.complete"] == "true" for run in versions)
    assert wrapper.data.tags["mlrek.kind"] == "project-wrapper"
    assert "4 created" in wrapper.data.tags["mlflow.note.content"]
    assert not wrapper.data.metrics


@pytest.mark.parametrize(
    ("limit", "verdict", "status"), [("0.9", "passed", "FINISHED"), ("0.99", "failed", "FAILED")]
)
def test_a_check_makes_the_wrapper_run_what_it_answers(
    tmp_path, mlflow_run, limit, verdict, status
):
    """A run of `mlflow run -e check` ends as the policy says; its note is the answer."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[floor]]\nmetric = "aggregate/accuracy"\nmin = {limit}\n')
    candidate = f"candidate={REPOSITORY}/examples/digits#v2-linear"
    done = mlflow_run("-e", "check", "-P", candidate, "-P", f"policy={policy}")
    (wrapper,) = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["0"])

    assert (done.returncode == 0) == (verdict == "passed")
    assert wrapper.info.status == status
    assert wrapper.data.tags["mlrek.kind"] == "project-wrapper"
    assert verdict in wrapper.data.tags["mlflow.note.content"]


def test_without_a_named_experiment_the_project_has_its_own(tmp_path, clean_environment):
    """`mlflow run` chooses experiment 0 when nobody names one: that is no choice."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-m", "mlrek", "sync", str(REPOSITORY / "examples/digits"), "--json"],
        cwd=tmp_path,
        env=clean_environment | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_EXPERIMENT_ID": "0"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["projects"][0]["experiment"] == "mlrek/digits"

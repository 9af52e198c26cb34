"""`mlflow run` on the project folder, for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("manager", ["local", "uv"])
def test_the_project_syncs_and_its_wrapper_run_is_no_version(tmp_path, manager, clean_environment):
    """Every version has its run in the experiment that was named; the wrapper is marked."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    bin_folder = Path(sys.executable).parent
    command = [sys.executable, "-m", "mlflow", "run", str(REPOSITORY), "--env-manager", manager]
    command += ["--experiment-name", "chosen", "-P", f"source={REPOSITORY}/examples/digits"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=clean_environment
        | {"MLFLOW_TRACKING_URI": uri, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("chosen")
    runs = client.search_runs([experiment.experiment_id])
    versions = [run for run in runs if "version_arn" in run.data.tags]
    (wrapper,) = (run for run in runs if "version_arn" not in run.data.tags)

    assert len(versions) == 4
    assert all(run.data.tags["mlrek.complete"] == "true" for run in versions)
    assert wrapper.data.tags["mlrek.kind"] == "project-wrapper"
    assert "4 created" in wrapper.data.tags["mlflow.note.content"]
    assert not wrapper.data.metrics


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

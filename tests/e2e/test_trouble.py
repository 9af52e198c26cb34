"""What goes wrong for one project or version stops no other, and ends in one line."""

import json

import pytest
from fakes.evaluations import PROJECT_ARN, save_archive
from fakes.said import list_said
from mlflow import MlflowClient


@pytest.fixture
def archive(tmp_path):
    """A folder with two archived projects of one small version each, `cats` and `dogs`."""
    for name in ("cats", "dogs"):
        arn = PROJECT_ARN.replace("pets", name)
        save_archive(tmp_path / "saved" / name, "v1", project_arn=arn)
    return tmp_path / "saved"


@pytest.fixture
def store(new_store):
    """A database file."""
    return new_store


def test_an_experiment_in_the_trash_stops_no_other_project(run_mlrek, archive, store):
    """The versions of that project fail with what to do about it."""
    client = MlflowClient(store)
    client.delete_experiment(client.create_experiment("mlrek/cats"))
    done = run_mlrek("sync", archive, "--tracking-uri", store, "--json", check=False)
    cats, dogs = json.loads(done.stdout)["versions"]

    assert done.returncode == 1
    assert (cats["action"], dogs["action"]) == ("failed", "created")
    assert "mlflow experiments restore" in cats["reason"]


def test_an_artifact_store_out_of_reach_fails_versions_not_the_command(run_mlrek, archive, store):
    """MLflow may send artifacts to a place that this machine cannot reach."""
    MlflowClient(store).create_experiment("e", artifact_location="s3://bucket/artifacts")
    env = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    args = ["sync", archive, "--tracking-uri", store, "--experiment", "e", "--json"]
    done = run_mlrek(*args, env=env, check=False)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for version in json.loads(done.stdout)["versions"]:
        assert version["action"] == "failed"
        assert "EndpointConnectionError" in version["reason"]


def test_an_experiment_id_that_is_not_there_is_one_line(run_mlrek, archive, store):
    """`mlflow run` hands it over in the environment."""
    args = ["sync", archive, "--tracking-uri", store]
    done = run_mlrek(*args, env={"MLFLOW_EXPERIMENT_ID": "77"}, check=False)

    assert done.returncode == 1
    assert len(list_said(done.stderr)) == 1
    assert "77" in done.stderr


def test_a_run_of_somebody_else_in_the_environment_is_left_alone(run_mlrek, archive, store):
    """Only the run that `mlflow run` opens around the command is marked as such."""
    client = MlflowClient(store)
    run_id = client.create_run("0", tags={"mlflow.note.content": "mine"}).info.run_id
    args = ["sync", archive / "cats", "--tracking-uri", store]
    run_mlrek(*args, env={"MLFLOW_RUN_ID": run_id})
    gone = run_mlrek(*args, env={"MLFLOW_RUN_ID": "0123456789abcdef"})

    assert "unchanged" in gone.stdout
    assert client.get_run(run_id).data.tags["mlflow.note.content"] == "mine"
    assert "mlrek.kind" not in client.get_run(run_id).data.tags


def test_a_folder_whose_name_the_locale_cannot_write_is_one_line(run_mlrek, archive, tmp_path):
    """LC_ALL=C without UTF-8: MLflow's own default store cannot be named there."""
    folder = tmp_path / "grün"
    folder.mkdir()
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run_mlrek("sync", archive, cwd=folder, env=env, check=False, cold=True)

    assert done.returncode == 1
    (said,) = list_said(done.stderr)
    assert "set PYTHONUTF8=1" in said

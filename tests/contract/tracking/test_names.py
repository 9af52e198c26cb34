"""Names that a shell completes, as MLflow itself has written them: a file, and a server."""

import pytest
from mlflow import MlflowClient

from mlrek.tracking import names as names_module
from mlrek.tracking.names import StoreNames


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """A busy machine's server answers late."""
    monkeypatch.setattr(names_module, "PATIENCE_S", 60)


@pytest.fixture(params=["database", "mlflow_server"])
def store(request, tmp_path):
    """The address of a store."""
    if request.param == "mlflow_server":
        return request.getfixturevalue("mlflow_server")
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_names_are_read_as_mlflow_wrote_them(store):
    """Models with their versions and aliases, complete runs, experiments of projects, labels."""
    client = MlflowClient(store)
    experiment = client.create_experiment("mlrek/names", tags={"project_arn": "arn:names"})
    client.create_experiment("no project")
    run = client.create_run(experiment, run_name="v1", tags={"mlrek.complete": "true"})
    client.create_run(experiment, run_name="left over")
    run_id = run.info.run_id
    client.log_dict(run_id, {"golden retriever": {"index": 0}, "pug": {"index": 1}}, "labels.json")
    client.create_registered_model("named")
    client.create_model_version("named", f"runs:/{run_id}/model", run_id=run_id)
    client.set_registered_model_alias("named", "champion", "1")
    names = StoreNames(store)
    (model,) = [one for one in names.list_models() if one.name == "named"]
    (listed,) = [one for one in names.list_runs() if one.run_id == run_id]

    assert (dict(model.runs), dict(model.aliases)) == ({"1": run_id}, {"champion": "1"})
    assert listed.name == "v1"
    assert "mlrek/names" in names.list_experiments()
    assert "no project" not in names.list_experiments()
    assert "left over" not in [one.name for one in names.list_runs()]
    assert names.list_labels(run_id) == ["golden retriever", "pug"]
    assert names.list_labels("nothing") == []


def test_a_server_that_wants_a_user_is_told_the_one_of_the_environment(auth_server, monkeypatch):
    """As MLflow does; without one nothing is known."""
    refused = StoreNames(auth_server).list_models()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-long-password-1")
    MlflowClient(auth_server).create_registered_model("guarded")

    assert refused == []
    assert [model.name for model in StoreNames(auth_server).list_models()] == ["guarded"]

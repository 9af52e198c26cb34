"""Registering runs in real registries: a database file, and a server over HTTP."""

import os
import shutil
import threading
import time
import warnings

import mlflow
import pytest
from fakes.tracking_uri import use_store
from mlflow import MlflowClient
from sklearn.dummy import DummyClassifier

from mlrek.errors import ModelNotFoundError, TrackingError, UsageError
from mlrek.evaluation import Project, Provider
from mlrek.registry.door import Registry, current_version
from mlrek.registry.own_model import find_own_model
from mlrek.registry.registering import register_run
from mlrek.tracking import LoggedRun
from mlrek.tracking.connection import connect
from mlrek.tracking.description import DatasetInput, MetricPoint, RunDescription
from mlrek.tracking.store import Store

DOCUMENT = (
    b'{"provider": "rekognition", "task": "classification", "version": {"arn": "arn:v1"},'
    b' "project": {"arn": "arn:p"}, "labels": ["cat"],'
    b' "per_label": [{"label": "cat", "threshold": 0.5}]}'
)

URI = "MLFLOW_TRACKING_URI"


@pytest.fixture(scope="module")
def database(tmp_path_factory, empty_store) -> str:
    """A database file for all tests here."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('registry'))}"


@pytest.fixture(params=["database", "mlflow_server"])
def registry(request) -> Registry:
    """A registry of each kind."""
    return Registry(connect(request.getfixturevalue(request.param)))


@pytest.fixture
def project(request) -> Project:
    """A project of this test alone, since the server is shared."""
    name = f"p{abs(hash(request.node.nodeid))}"
    arn = f"arn:aws:rekognition:eu-west-1:111122223333:project/{name}/1"
    return Project(provider=Provider.REKOGNITION, arn=arn, name=name)


@pytest.fixture
def log(registry, project, tmp_path):
    """Log a run of version v1 of the project."""
    store = registry.store
    if store.tracking_uri.startswith("sqlite"):
        location = (tmp_path / "artifacts").as_uri()
        store.client.create_experiment(f"mlrek/{project.name}", artifact_location=location)
    experiment_id = store.get_or_create_experiment(project).experiment_id

    def write(logged_at: str = "2026-01-01") -> LoggedRun:
        description = RunDescription(
            run_name="v1.0",
            start_ms=1_690_556_751_958,
            end_ms=1_690_558_410_827,
            tags={
                "project_arn": project.arn,
                "version_arn": f"{project.arn}/v1",
                "version_name": "v1.0",
                "project_name": "pets",
                "provider": "rekognition",
                "mlrek.logged_at": logged_at,
                "mlrek.evaluation_key": logged_at,  # equal content is logged at one time here
                "mlflow.note.content": "Version v1.0 of pets.",
            },
            params={"test_images": "3"},
            metrics=(
                MetricPoint(key="aggregate/accuracy", value=2 / 3),
                MetricPoint(key="curve/recall", value=1.0, step=0),
                MetricPoint(key="curve/recall", value=0.0, step=100),
            ),
            files={"evaluation.json": DOCUMENT},
            dataset=DatasetInput(uri="s3://b/T.json", name="T.json", digest="d" * 32),
        )
        return store.write_run(experiment_id, description)

    return write


@pytest.fixture
def register(registry, project):
    """Register a run under the project's name."""

    def write(run: LoggedRun):
        name = registry.choose_name(project)
        registry.open_model(name, project)
        return register_run(registry, name, run, registry.list_versions(name))[1]

    return write


def model_name(run: LoggedRun) -> str:
    """The registered model of a run's project."""
    return run.tags["project_arn"].split("/")[1]


def test_a_model_version_is_linked_to_its_run_and_says_what_it_is(registry, log, register, project):
    """Tags, key numbers, a description; not yet checked."""
    run = log()
    version = register(run)
    found = registry.client.get_model_version(version.name, str(version.number))

    assert (version.name, version.number) == (project.name, 1)
    assert found.run_id == run.run_id
    assert found.tags == {
        "project_arn": project.arn,
        "version_arn": f"{project.arn}/v1",
        "version_name": "v1.0",
        "accuracy": "0.6667",
        "test_images": "3",
        "validation_status": "pending",
    }
    assert found.description.startswith("Version v1.0 of pets.")
    assert "costs money by the hour" in found.description


def test_the_logged_model_has_numbers_and_test_set(registry, log, register):
    """Without the curves, whose last step would stand in the table; the run's stay as they were."""
    run = log()
    version = register(run)
    client = MlflowClient(registry.store.tracking_uri)
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    after = client.get_run(run.run_id)

    assert (model.name, str(model.status), model.source_run_id) == ("v1-0", "READY", run.run_id)
    assert [(m.key, m.value, m.dataset_name, m.dataset_digest) for m in model.metrics] == [
        ("aggregate/accuracy", 2 / 3, "pets test set dddddddd", "d" * 32)
    ]
    assert len(client.get_metric_history(run.run_id, "aggregate/accuracy")) == 1
    assert [output.model_id for output in after.outputs.model_outputs] == [model.model_id]
    assert (after.info.status, after.info.end_time) == ("FINISHED", 1_690_558_410_827)


def test_what_is_registered_loads(registry, log, register):
    """With MLflow's own loader, from the registry of that store."""
    version = register(log())
    with use_store(registry.store.tracking_uri):
        model = mlflow.pyfunc.load_model(version.uri)

    assert model.model_config["version_arn"] == "arn:v1"
    assert model.model_config["thresholds"] == {"cat": 0.5}


@pytest.mark.parametrize("elsewhere", ["", "sqlite:////elsewhere.db"])
def test_registering_leaves_mlflows_own_store_as_it_was(log, register, elsewhere, monkeypatch):
    """It is process-wide, and the model registry of a database asks it."""
    monkeypatch.delenv(URI, raising=False)
    if elsewhere:
        monkeypatch.setenv(URI, elsewhere)
    before = mlflow.get_tracking_uri()
    register(log())

    assert mlflow.get_tracking_uri() == before
    assert os.environ.get(URI, "") == elsewhere
    monkeypatch.setenv(URI, "sqlite:////third.db")
    assert mlflow.get_tracking_uri() == "sqlite:////third.db"


def test_a_registered_run_is_not_registered_again(registry, log, register):
    """Nothing is written: the second time gives the first version."""
    run = log()
    first, second = register(run), register(run)

    assert second == first
    assert [v.number for v in registry.list_versions(first.name)] == [1]


def test_two_at_once_leave_one_model_version(registry, log, register):
    """That with the smallest number; both name it, and the other's logged model is gone."""
    run = log()
    barrier = threading.Barrier(2)
    kept = []

    def work():
        barrier.wait()
        kept.append(register(run).number)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (left,) = registry.list_versions(model_name(run))

    assert kept == [left.number] * 2


def test_a_run_that_another_process_deleted_gives_way_to_the_one_that_counts(
    registry, log, register
):
    """It had logged the same version and settled on its own run; that one is registered once."""
    ours, theirs = log(), log()
    registry.client.delete_run(ours.run_id)
    late, early = register(ours), register(theirs)
    (left,) = registry.list_versions(early.name)

    assert late == early == left
    assert (left.run_id, left.is_superseded) == (theirs.run_id, False)


@pytest.mark.parametrize("theirs_is_registered", [False, True])
def test_a_run_deleted_while_it_is_registered_leaves_no_model_version(
    registry, log, register, monkeypatch, theirs_is_registered
):
    """Whether or not the other process has registered its run by then."""
    ours, theirs = log(), log()
    create = registry.create_version

    def create_late(name: str, **said):
        monkeypatch.setattr(registry, "create_version", create)
        created = create(name, **said)
        registry.client.delete_run(ours.run_id)
        if theirs_is_registered:
            register(theirs)
        return created

    monkeypatch.setattr(registry, "create_version", create_late)
    kept = register(ours)
    models = registry.client.search_logged_models(
        [registry.client.get_run(ours.run_id).info.experiment_id]
    )

    assert registry.list_versions(kept.name) == (kept,)
    assert (kept.run_id, kept.is_superseded) == (theirs.run_id, False)
    assert [model.source_run_id for model in models] == [theirs.run_id]


def test_a_run_deleted_by_hand_cannot_be_registered(registry, log, register):
    """MLflow's reason is told; nothing is registered."""
    run = log()
    registry.client.delete_run(run.run_id)

    with pytest.raises(TrackingError, match="must be in the 'active' state"):
        register(run)
    assert registry.list_versions(model_name(run)) == ()


def test_a_replaced_run_gets_a_new_model_version(registry, log, register):
    """The old one is tagged; its alias stays where it is."""
    old = register(log("2026-01-01"))
    registry.set_alias(old.name, "champion", old.number)
    new_run = log("2026-01-02")
    new = register(new_run)
    versions = registry.list_versions(old.name)

    assert (new.number, new.run_id) == (2, new_run.run_id)
    assert [version.is_superseded for version in versions] == [True, False]
    assert current_version(versions, new.version_arn) == new
    assert registry.get_aliases(old.name) == {"champion": 1}


def test_a_model_that_was_never_finished_is_cleared_away(registry, log, register, monkeypatch):
    """But only when it is too old to be somebody's work in progress."""
    run = log()
    client = registry.client
    experiment_id = client.get_run(run.run_id).info.experiment_id
    begun = client.create_logged_model(experiment_id, name="begun", source_run_id=run.run_id)
    register(run)
    still_there = client.get_logged_model(begun.model_id)
    later = time.time() + 16 * 60
    monkeypatch.setattr(time, "time", lambda: later)
    registry.delete_version(registry.list_versions(model_name(run))[0])
    again = register(run)

    assert str(still_there.status) == "PENDING"
    models = client.search_logged_models([experiment_id])
    assert [model.model_id for model in models] == [again.source.removeprefix("models:/")]


def test_projects_of_one_name_do_not_share_a_model(registry, project):
    """The second gets its account and region into the name."""
    registry.open_model(registry.choose_name(project), project)
    other = Project(
        provider=project.provider,
        name=project.name,
        arn=project.arn.replace("eu-west-1", "us-east-1"),
    )

    assert registry.choose_name(project) == project.name
    assert registry.choose_name(other) == f"{project.name}-111122223333-us-east-1"
    assert registry.choose_name(other, "mine") == "mine"


def test_opening_a_model_twice_is_no_error(registry, project):
    """Another process may have been faster."""
    registry.open_model(project.name, project)
    registry.open_model(project.name, project)

    assert registry.get_model_tags(project.name)["project_arn"] == project.arn


def test_a_model_version_is_found_by_the_versions_arn(registry, log, register, project):
    """Whatever the registered model is called; quotes in an ARN are no query."""
    version = register(log())

    assert registry.find_versions(f"{project.arn}/v1") == (version,)
    assert registry.find_versions(f"{project.arn}/v1' or name = '") == ()


def test_what_is_not_there_is_named(registry, project):
    """A model, a version."""
    with pytest.raises(ModelNotFoundError, match="there is no registered model"):
        registry.get_aliases("nobody")
    registry.open_model(project.name, project)
    with pytest.raises(ModelNotFoundError, match=f"there is no models:/{project.name}/7"):
        registry.get_version(project.name, 7)
    assert registry.list_versions("nobody") == ()


def test_databricks_wants_names_with_catalog_and_schema():
    """It refuses others with a message of its own that helps nobody."""
    store = Store(client=None, tracking_uri="databricks")

    with pytest.raises(UsageError, match=r"catalog\.schema\.name"):
        Registry(store).check_name("digits")


def test_a_store_without_a_registry_is_told_of_before_anything_is_logged():
    """With what to do instead."""
    client = MlflowClient(tracking_uri="sqlite:///:memory:", registry_uri="nothing://here")

    with pytest.raises(TrackingError, match="sync without --register"):
        Registry(Store(client, "sqlite:///:memory:")).check()


@pytest.fixture
def own_model(registry, tmp_path):
    """A scikit-learn model that always answers 7, logged by a run of somebody's own."""
    store = registry.store
    fitted = DummyClassifier(strategy="constant", constant=7).fit([[0]], [7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of type hints in MLflow itself
        mlflow.sklearn.save_model(fitted, tmp_path / "saved")
    place = store.client.create_experiment(
        f"own {tmp_path.name} {time.time()}", **_keep_artifacts(store, tmp_path)
    )
    run_id = store.client.create_run(place).info.run_id
    model = store.client.create_logged_model(place, name="model", source_run_id=run_id)
    store.client.log_model_artifacts(model.model_id, str(tmp_path / "saved"))
    store.client.finalize_logged_model(model.model_id, "READY")
    return {
        "run": f"runs:/{run_id}/model",
        "logged": f"models:/{model.model_id}",
        "folder": str(tmp_path / "saved"),
    }


def _keep_artifacts(store, tmp_path):
    is_file = store.tracking_uri.startswith("sqlite")
    return {"artifact_location": (tmp_path / "own").as_uri()} if is_file else {}


@pytest.mark.parametrize("form", ["run", "logged", "folder"])
def test_a_version_loads_your_own_model(registry, log, project, own_model, form):
    """Whoever loads the registered version, or its alias, gets the model that was attached."""
    run = log()
    registry.open_model(project.name, project)
    own = find_own_model(registry, own_model[form])

    _, version = register_run(registry, project.name, run, (), own)
    registry.set_alias(project.name, "champion", version.number)

    assert registry.get_version(project.name, version.number).run_id == run.run_id
    with use_store(registry.store.tracking_uri):
        model = mlflow.pyfunc.load_model(f"models:/{project.name}@champion")
    assert model.predict([[0]]).tolist() == [7]


def test_your_own_model_is_attached_once_and_later(registry, log, register, project, own_model):
    """A version without a model gets a successor with it; a second time nothing is written."""
    run = log()
    bare = register(run)
    own = find_own_model(registry, own_model["run"])

    _, attached = register_run(
        registry, project.name, run, registry.list_versions(project.name), own
    )
    _, again = register_run(registry, project.name, run, registry.list_versions(project.name), own)

    assert (bare.number, attached.number, again.number) == (1, 2, 2)
    superseded = [version.is_superseded for version in registry.list_versions(project.name)]
    assert superseded == [True, False]
    assert register(run).number == 2


@pytest.mark.parametrize("uri", ["runs:/0123/model", "models:/m-0123", "models:/none/1", "."])
def test_a_model_that_is_not_there_is_wrong_usage(registry, uri):
    """The message names what was given, and the forms that there are."""
    with pytest.raises(UsageError, match=r"--model-uri .*: is no .*; give runs:/ID/NAME"):
        find_own_model(registry, uri)

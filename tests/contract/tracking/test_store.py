"""What mlrek writes to real MLflow stores: a database file, and a server over HTTP."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace

import pytest
from fakes.tracking_uri import use_store
from mlflow import MlflowClient

from mlrek.errors import ModelNotFoundError, TrackingError, UsageError
from mlrek.evaluation import Project, Provider
from mlrek.render.places import write_slot
from mlrek.runs.log import write_overview
from mlrek.tracking import OWN_TEST_SET_TAG, current_run
from mlrek.tracking.connection import connect, connect_existing
from mlrek.tracking.description import (
    DatasetInput,
    GridPicture,
    MetricPoint,
    RunDescription,
)
from mlrek.tracking.store import Store


@pytest.fixture(scope="module")
def database(tmp_path_factory, empty_store) -> str:
    """A database file for all tests here."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('store'))}"


@pytest.fixture(params=["database", "mlflow_server"])
def store(request) -> Store:
    """A store of each kind."""
    return connect(request.getfixturevalue(request.param))


@pytest.fixture
def project(request) -> Project:
    """A project of this test alone, since the server is shared."""
    name = f"p{abs(hash(request.node.nodeid))}"
    arn = f"arn:aws:rekognition:eu-west-1:111122223333:project/{name}/1"
    return Project(provider=Provider.REKOGNITION, arn=arn, name=name)


@pytest.fixture
def experiment_id(store, project, tmp_path) -> str:
    """An experiment whose artifacts do not land in this folder."""
    if store.tracking_uri.startswith("sqlite"):
        store.client.create_experiment(
            f"mlrek/{project.name}",
            artifact_location=(tmp_path / "artifacts").as_uri(),
            tags={"project_arn": project.arn},
        )
    return store.get_or_create_experiment(project).experiment_id


@pytest.fixture
def description(project) -> RunDescription:
    """A small run with one thing of each kind."""
    return RunDescription(
        run_name="v1",
        start_ms=1_690_556_751_958,
        end_ms=1_690_558_410_827,
        tags={
            "project_arn": project.arn,
            "version_arn": "v1",
            "mlrek.evaluation_key": "key",
            "mlrek.logged_at": "2026-01-01",
        },
        params={"labels": "2"},
        metrics=(
            *(MetricPoint(key="curve/recall", value=i / 100, step=i) for i in range(101)),
            *(MetricPoint(key=f"label_f1/{i}", value=0.5) for i in range(950)),
        ),
        files={
            "labels.json": b"{}",
            "source/summary.json": b"{ }",
            "predictions.json": b'{"columns":["image","predicted"],"data":[["a","b"]]}',
        },
        grid=(GridPicture(key="charts/confusion_matrix", step=0, png=b"png", webp=b"webp"),),
        dataset=DatasetInput(uri="s3://b/T.json", name="T.json", digest="d" * 32),
    )


def test_a_report_names_its_run(store, experiment_id, description):
    """Its id is written into the page when there is one, in as many bytes."""
    report = write_slot().encode()
    described = replace(description, files={**description.files, "report.html": report})
    run = store.write_run(experiment_id, described)
    placed = store.read_artifact(run.run_id, "report.html")

    assert f"#/experiments/{experiment_id}/runs/{run.run_id}?".encode() in placed
    assert len(placed) == len(report)


def test_a_run_holds_all_that_was_described(store, experiment_id, description):
    """Name, times, numbers with their steps, files, the picture grid's image, the dataset."""
    written = store.write_run(experiment_id, description)
    run = MlflowClient(store.tracking_uri).get_run(written.run_id)
    paths = {item.path for item in store.client.list_artifacts(written.run_id)}
    history = store.client.get_metric_history(written.run_id, "curve/recall")
    dataset = run.inputs.dataset_inputs[0]

    assert (run.info.run_name, run.info.status) == ("v1", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1_690_556_751_958, 1_690_558_410_827)
    assert run.data.tags["mlrek.complete"] == "true"
    assert run.data.params == {"labels": "2"}
    assert [(point.step, point.value) for point in history] == [(i, i / 100) for i in range(101)]
    assert len(run.data.metrics) == 951
    assert {"labels.json", "source", "predictions.json", "images"} <= paths
    assert store.read_artifact(written.run_id, "source/summary.json") == b"{ }"
    assert (dataset.dataset.name, dataset.dataset.digest) == ("T.json", "d" * 32)
    assert dataset.tags[0].value == "testing"


def test_what_was_written_is_what_mlflow_tells_of_it(store, experiment_id, description):
    """The writer does not ask again for the run that it returns; MLflow adds tags of its own."""
    written = store.write_run(experiment_id, description)
    told = store.get_run(written.run_id)
    tags = {key: told.tags[key] for key in written.tags}

    assert (written.start_ms, written.end_ms) == (told.start_ms, told.end_ms)
    assert (written.metrics, written.params) == (told.metrics, told.params)
    assert written.tags == tags


def test_a_complete_run_has_one_tag_that_only_mlrek_reads(store, experiment_id, description):
    """No sign of life stays, and the parts are as they were described."""
    own = {"mlrek.log_schema": "4", "mlrek.doubts": "[]", "mlrek.picture_steps": "0 10"}
    described = replace(description, tags=description.tags | own)
    written = store.write_run(experiment_id, described)
    tags = store.client.get_run(written.run_id).data.tags

    assert json.loads(tags["mlrek.bookkeeping"]) == {
        "log_schema": "4",
        "picture_steps": "0 10",
        "doubts": [],
    }
    assert not {*own, "mlrek.heartbeat"} & tags.keys()
    assert own.items() <= store.get_run(written.run_id).tags.items()


def test_a_run_of_an_earlier_mlrek_tells_the_same(store, experiment_id, description):
    """It has a tag for each part."""
    own = {"mlrek.log_schema": "4", "mlrek.doubts": "[]", "mlrek.picture_steps": "0 10"}
    run = store.client.create_run(experiment_id, tags=dict(description.tags) | own)

    assert own.items() <= store.get_run(run.info.run_id).tags.items()


def test_the_note_of_a_run_links_its_report(store, experiment_id, description):
    """At the place where MLflow's pages show it."""
    note = "A version.\n- Where to look: `report.html` among the artifacts has curves."
    written = store.write_run(
        experiment_id, replace(description, tags=description.tags | {"mlflow.note.content": note})
    )
    place = f"#/experiments/{experiment_id}/runs/{written.run_id}/artifacts/report.html"

    assert (
        f"- Where to look: [`report.html`]({place}?"
        in (store.client.get_run(written.run_id).data.tags["mlflow.note.content"])
    )


def test_equal_test_sets_are_one_dataset(store, experiment_id, description):
    """Whatever the files are called that they were read from; MLflow keeps the first's."""
    name = "test set dddddddd, 2 images"
    for uri in ("s3://b/v1.json", "s3://b/v2.json"):
        dataset = DatasetInput(uri=uri, name=name, digest="d" * 32)
        store.write_run(experiment_id, replace(description, dataset=dataset))
    found = store.client.search_runs([experiment_id])
    datasets = {run.inputs.dataset_inputs[0].dataset.name for run in found}

    assert (len(found), datasets) == (2, {name})


def test_a_comparison_is_linked_in_the_note_of_its_run(store, experiment_id, description):
    """The last one alone; its address is told."""
    note = "A version.\n- Where to look: `report.html` among the artifacts has curves."
    written = store.write_run(
        experiment_id, replace(description, tags=description.tags | {"mlflow.note.content": note})
    )
    for baseline in ("v0", "v1"):
        link = store.link_comparison(
            written.run_id, baseline, f"comparison/{baseline}/comparison.html"
        )
    lines = store.get_run(written.run_id).tags["mlflow.note.content"].splitlines()

    assert link.endswith("/artifacts/comparison/v1/comparison.html?workflowType=machine_learning")
    assert lines[2:] == [f"- Last comparison: [with v1]({link[link.index('#') :]})."]


def test_the_newest_place_is_where_a_version_was_logged_last(store, experiment_id, description):
    """Of one sync's, the one with the newest training; a half written run is none."""
    other, third = (store.client.create_experiment(f"{experiment_id}-{i}") for i in range(2))
    later = replace(description, start_ms=description.start_ms + 1)
    store.write_run(experiment_id, description)
    store.write_run(other, later)
    store.client.create_run(third, tags={"mlrek.logged_at": "2027"})

    assert store.find_newest_place([experiment_id, other, third]) == other
    store.write_run(
        experiment_id, replace(description, tags=description.tags | {"mlrek.logged_at": "2026-02"})
    )
    assert store.find_newest_place([experiment_id, other, third]) == experiment_id
    assert store.find_newest_place([third]) == ""


def test_a_note_of_an_earlier_mlrek_is_written_again_with_all_that_it_told(
    store, experiment_id, description
):
    """Also with the runs on your own test sets, though no version is new."""
    written = store.write_run(experiment_id, description)
    own = {OWN_TEST_SET_TAG: "x", "mlrek.exam_name": "ours", "version_name": "v1"}
    store.write_run(experiment_id, replace(description, tags=description.tags | own))
    old = "Evaluations of digits: 1 version, logged by mlrek.\n\nold"
    store.client.set_experiment_tag(experiment_id, "mlflow.note.content", old)
    experiment = store.get_experiment(experiment_id)
    write_overview(store, experiment, [written], is_changed=False)
    note = store.get_experiment(experiment_id).tags["mlflow.note.content"]

    assert "On your own test sets" in note
    assert "| ours | v1 |" in note


def test_a_training_without_an_end_did_not_take_until_today(store, experiment_id, description):
    """MLflow would end the run now and show years of training."""
    written = store.write_run(experiment_id, replace(description, end_ms=None))

    assert (written.start_ms, written.end_ms) == (1_690_556_751_958, 1_690_556_751_958)


def test_the_predictions_are_a_table_for_mlflow(store, experiment_id, description):
    """MLflow's own reader of tables gives them back."""
    written = store.write_run(experiment_id, description)
    with use_store(store.tracking_uri):
        client = MlflowClient(store.tracking_uri)
        table = client.load_table(experiment_id, "predictions.json", run_ids=[written.run_id])

    assert table.to_dict("records") == [{"image": "a", "predicted": "b"}]


def test_a_run_that_fails_half_way_counts_for_nothing(store, experiment_id, description, project):
    """What was begun is taken back, and the error says what happened."""
    bad = replace(description, metrics=(MetricPoint(key="../x", value=1.0),))
    with pytest.raises(TrackingError):
        store.write_run(experiment_id, bad)

    assert store.list_runs(experiment_id, {"project_arn": project.arn}) == ()


def test_two_writers_leave_one_run(store, experiment_id, description, project):
    """After both settled, one run is left, and both name it."""
    barrier = threading.Barrier(2)
    kept = []

    def write():
        written = store.write_run(experiment_id, description)
        barrier.wait()
        kept.append(store.settle(experiment_id, written).run_id)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = store.list_runs(experiment_id, {"project_arn": project.arn})

    assert [run.run_id for run in runs] == [kept[0]]
    assert kept[0] == kept[1]


def test_nothing_but_the_result_goes_to_stdout(store, experiment_id, description, capsys):
    """MLflow prints links of its own when a run ends."""
    store.write_run(experiment_id, description)

    assert capsys.readouterr().out == ""


def test_a_run_of_somebody_at_work_is_left_alone(store, experiment_id, description, project):
    """Only an incomplete run whose heartbeat is old is a leftover."""
    now_ms = int(time.time() * 1000)
    tags = {**description.tags, "mlrek.heartbeat": str(now_ms)}
    run = store.client.create_run(experiment_id, tags=tags, run_name="v1")
    listed = store.list_runs(experiment_id, {"project_arn": project.arn})

    assert [r.run_id for r in listed] == [run.info.run_id]
    assert current_run(listed) is None
    assert not listed[0].is_leftover(now_ms)
    assert listed[0].is_leftover(now_ms + 15 * 60 * 1000 + 1)


def test_projects_of_one_name_do_not_share_an_experiment(store, project):
    """The second gets its account and region into the name."""
    other = replace(project, arn=project.arn.replace("eu-west-1", "us-east-1"))

    assert store.get_or_create_experiment(project).name == f"mlrek/{project.name}"
    assert (
        store.get_or_create_experiment(other).name == f"mlrek/{project.name}@111122223333-us-east-1"
    )
    assert store.find_experiment(other).name.endswith("@111122223333-us-east-1")


def test_an_experiment_in_the_trash_says_how_to_get_it_out(store, project):
    """MLflow itself only says that it exists already."""
    experiment = store.get_or_create_experiment(project)
    store.client.delete_experiment(experiment.experiment_id)

    with pytest.raises(TrackingError, match="mlflow experiments restore"):
        store.get_or_create_experiment(project)


def test_an_experiment_in_the_trash_is_not_found(store, project):
    """It takes no runs, so nobody should be led to it."""
    experiment = store.get_or_create_experiment(project)
    store.client.delete_experiment(experiment.experiment_id)

    assert store.find_experiment(project) is None
    assert store.find_experiment(project, experiment.name) is None


def test_deleting_what_is_deleted_is_no_error(store, experiment_id, description):
    """Another process may have been faster."""
    written = store.write_run(experiment_id, description)
    store.delete_runs([written, written])


@pytest.mark.parametrize("key", ["o'neil", 'o"neil', "o'neil\" or 1=1", "a`b; -- \n%_"])
def test_a_quote_in_a_value_is_no_query(store, experiment_id, description, project, key):
    """Names come from outside: a run is found by any, and by no other."""
    tags = {**description.tags, "mlrek.evaluation_key": key}
    written = store.write_run(experiment_id, replace(description, tags=tags))
    store.write_run(experiment_id, description)

    found = store.list_runs(experiment_id, {"mlrek.evaluation_key": key})
    assert [run.run_id for run in found] == [written.run_id]


def test_databricks_wants_absolute_names(project):
    """It refuses `mlrek/…` with a message of its own that helps nobody."""
    store = Store(client=None, tracking_uri="databricks")

    with pytest.raises(UsageError, match="/Users/"):
        store.get_or_create_experiment(project)


def test_a_server_that_does_not_answer_is_named_at_once():
    """MLflow's client alone retries for minutes."""
    with pytest.raises(TrackingError, match="does not answer") as caught:
        connect("http://me:secret@127.0.0.1:9")

    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_be_opened_is_named_at_once(tmp_path):
    """MLflow alone retries for two minutes."""
    with pytest.raises(TrackingError, match=r"is a folder; .*--tracking-uri sqlite:///"):
        connect(f"sqlite:///{tmp_path}")
    with pytest.raises(TrackingError, match=r"is no folder; "):
        connect(f"sqlite:///{__file__}/mlflow.db")


def test_a_database_that_cannot_be_made_is_named_at_once(tmp_path, monkeypatch):
    """In a folder that this user may not write to."""
    monkeypatch.setattr(os, "access", lambda place, mode: not mode & os.W_OK)
    with pytest.raises(TrackingError, match=r"no permission for .*--tracking-uri sqlite:///"):
        connect(f"sqlite:///{tmp_path}/new/mlflow.db")

    assert list(tmp_path.iterdir()) == []


def test_looking_does_not_create_a_database(tmp_path):
    """`mlrek versions` and a dry run leave nothing behind."""
    assert connect_existing(f"sqlite:///{tmp_path}/mlflow.db") is None
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_database_survives_two_first_uses(tmp_path):
    """Its migrations race without a lock."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    failures = []

    def use():
        try:
            connect(uri)
        except TrackingError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_a_model_that_is_not_registered_is_told_from_other_trouble(store, project):
    """No such model, version or alias is a `ModelNotFoundError`; an alias found has its version."""
    name = f"model-{project.name}"
    with pytest.raises(ModelNotFoundError, match=f"models:/{name}@champion"):
        store.find_model_version(name, "champion", is_alias=True)
    store.client.create_registered_model(name)
    with pytest.raises(ModelNotFoundError, match=f"models:/{name}@champion"):
        store.find_model_version(name, "champion", is_alias=True)
    with pytest.raises(ModelNotFoundError, match=f"models:/{name}/3"):
        store.find_model_version(name, "3", is_alias=False)

    with pytest.raises(TrackingError) as caught:
        store.find_model_version("", "champion", is_alias=True)
    assert not isinstance(caught.value, ModelNotFoundError)


def test_tags_of_a_registered_version(store, project):
    """What an alias names can be tagged, and has its tag."""
    name = f"model-{project.name}"
    store.client.create_registered_model(name)
    store.client.create_model_version(name, "s3://bucket/model")
    store.client.set_registered_model_alias(name, "champion", "1")
    found = store.find_model_version(name, "champion", is_alias=True)
    store.set_model_version_tags(found, {"validation_status": "approved"})

    assert (found.uri, found.run_id) == (f"models:/{name}/1", "")
    tags = store.client.get_model_version(name, "1").tags
    assert tags["validation_status"] == "approved"


def test_a_run_on_ones_own_test_set_is_seen_by_those_alone_who_ask(
    store, experiment_id, description, project
):
    """It is kept next to the version's run: nobody takes it for that one, or deletes it for it."""
    described = replace(description, tags={**description.tags, OWN_TEST_SET_TAG: "d1"})
    on_own_set = store.get_run(store.write_run(experiment_id, described).run_id)
    own = store.get_run(store.write_run(experiment_id, description).run_id)
    assert store.settle(experiment_id, own) == own
    assert store.settle(experiment_id, on_own_set) == on_own_set
    assert store.list_runs(experiment_id, {"project_arn": project.arn}) == (own,)
    assert store.list_runs(experiment_id, {"version_arn": "v1", OWN_TEST_SET_TAG: "d1"}) == (
        on_own_set,
    )
    assert store.list_runs(experiment_id, {OWN_TEST_SET_TAG: "d2"}) == ()


def test_two_runs_on_one_test_set_settle_on_one(store, experiment_id, description):
    """As those of a version do."""
    described = replace(description, tags={**description.tags, OWN_TEST_SET_TAG: "d1"})
    written = [store.write_run(experiment_id, described) for _ in range(2)]
    kept = min(written, key=lambda run: run.run_id)
    assert {store.settle(experiment_id, run).run_id for run in written} == {kept.run_id}
    (left,) = store.list_runs(experiment_id, {OWN_TEST_SET_TAG: "d1"})
    assert left.run_id == kept.run_id

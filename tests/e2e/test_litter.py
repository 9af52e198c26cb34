"""What killed commands leave in a store, and the next command takes away."""

import time

import pytest
from fakes.evaluations import save_archive
from mlflow import MlflowClient

LONG_AGO_MS = 20 * 60 * 1000


@pytest.fixture
def store(run_mlrek, tmp_path, new_store):
    """A store with a run of one version, and its project."""
    project = save_archive(tmp_path / "pets", "v1")
    run_mlrek("sync", project, "--register", "--tracking-uri", new_store)
    return new_store, project


def age(uri: str, table: str, column: str, condition: str) -> None:
    """Make something look as if it had been there for twenty minutes."""
    import sqlite3
    from contextlib import closing

    then = int(time.time() * 1000) - LONG_AGO_MS
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        database.execute(f"UPDATE {table} SET {column} = '{then}' WHERE {condition}")  # noqa: S608
        database.commit()


def list_models(client: MlflowClient) -> set[str]:
    """The logged models, finished or not."""
    experiment = client.get_experiment_by_name("mlrek/pets")
    return {one.model_id for one in client.search_logged_models([experiment.experiment_id])}


def test_a_model_that_was_never_finished_goes_by_a_plain_sync(run_mlrek, store):
    """When it is old; a new one may be somebody's work, and one without our tags is not ours."""
    uri, project = store
    client = MlflowClient(uri)
    place = client.get_experiment_by_name("mlrek/pets").experiment_id
    before = list_models(client)
    ours, new, other = (
        client.create_logged_model(place, name=name, tags=tags).model_id
        for name, tags in (
            ("ours", {"version_arn": "arn"}),
            ("new", {"version_arn": "arn"}),
            ("other", {}),
        )
    )
    for model_id in (ours, other):
        age(uri, "logged_models", "creation_timestamp_ms", f"model_id = '{model_id}'")
    run_mlrek("sync", project, "--tracking-uri", uri)

    assert list_models(client) == before | {new, other}


def test_a_run_of_another_version_that_was_given_up_goes_too(run_mlrek, store):
    """Its version is not synced any more."""
    uri, project = store
    client = MlflowClient(uri)
    place = client.get_experiment_by_name("mlrek/pets").experiment_id
    tags = {"mlrek.version": "0", "version_arn": "arn:gone", "project_arn": "arn:other"}
    old, new = (client.create_run(place, tags=tags).info.run_id for _ in range(2))
    client.set_tag(old, "mlrek.heartbeat", str(int(time.time() * 1000) - LONG_AGO_MS))
    client.set_tag(new, "mlrek.heartbeat", str(int(time.time() * 1000)))
    run_mlrek("sync", project, "--tracking-uri", uri)

    assert client.get_run(old).info.lifecycle_stage == "deleted"
    assert client.get_run(new).info.lifecycle_stage == "active"


def test_a_given_up_run_goes_by_whatever_command_comes_across_it(run_mlrek, new_store, tmp_path):
    """And an unfinished model with it; one that is to write nothing deletes nothing."""
    project, policy = save_archive(tmp_path / "pets", "v1", "v2"), tmp_path / "policy.toml"
    policy.write_text('[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.1\n')
    run_mlrek("sync", project, "--register", "--tracking-uri", new_store)
    client, first, second = MlflowClient(new_store), "models:/pets/1", "models:/pets/2"
    run = client.get_run(client.get_model_version("pets", "2").run_id)
    tags = {k: v for k, v in run.data.tags.items() if k != "mlrek.complete"}

    def leave() -> tuple[str, str]:
        """What a process that was killed twenty minutes ago left: a run, and a model."""
        left = client.create_run(run.info.experiment_id, tags=tags).info.run_id
        client.set_tag(left, "mlrek.heartbeat", str(int(time.time() * 1000) - LONG_AGO_MS))
        place = run.info.experiment_id
        model_id = client.create_logged_model(place, name="left", tags=tags).model_id
        age(new_store, "logged_models", "creation_timestamp_ms", f"model_id = '{model_id}'")
        return left, model_id

    def is_there(left: str) -> bool:
        return client.get_run(left).info.lifecycle_stage == "active"

    left, model_id = leave()
    run_mlrek("sync", project, "--dry-run", "--tracking-uri", new_store)
    assert is_there(left)
    for writing in (
        ("check", second, "--policy", policy),
        ("compare", first, f"{project}#v2"),
        ("promote", second, "--policy", policy, "--yes"),
    ):
        run_mlrek(*writing, "--tracking-uri", new_store, check=False)
        assert not is_there(left), writing
        assert model_id not in list_models(client)
        left, model_id = leave()

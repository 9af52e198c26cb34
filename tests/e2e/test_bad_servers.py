"""MLflow on a bad day: a sync waits, goes on, or fails versions in one line; nothing is doubled."""

import contextlib
import json
import sqlite3
import threading
import time

import pytest
from conftest import free_port, serve_mlflow
from fakes.evaluations import PROJECT_ARN, save_archive
from fakes.s3_proxy import S3Fault, S3Proxy
from fakes.said import list_said
from mlflow import MlflowClient

VERSIONS = ["v1", "v2"]
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}
PATIENT = {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}
BUSY = '{"error_code": "RESOURCE_EXHAUSTED", "message": "busy"}'
FULL = '{"error_code": "INTERNAL_ERROR", "message": "No space left on device"}'
UNKNOWN = '{"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}'
FLASK_404 = """<!doctype html>
<html lang=en>
<title>404 Not Found</title>
<h1>Not Found</h1>
<p>The requested URL was not found on the server. If you entered the URL manually please \
check your spelling and try again.</p>
"""
REQUESTS = ["runs/create", "runs/log-batch", "runs/log-inputs", "runs/set-tag", "labels.json"]


@pytest.fixture
def name(request) -> str:
    """The name of a project of this test alone, since the server is shared."""
    return f"pets-{abs(hash(request.node.nodeid))}"


@pytest.fixture
def project(tmp_path, name):
    """Two small versions."""
    arn = PROJECT_ARN.replace("pets", name)
    return save_archive(tmp_path / "saved", *VERSIONS, project_arn=arn)


@pytest.fixture
def proxy(mlflow_server):
    """A proxy in front of the server."""
    proxy = S3Proxy(mlflow_server)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def sync(warm, project, tmp_path):
    """A function: sync the project to a store, what was said, and what became of each version."""

    def run(store, *args, env=None):
        done = warm.run(
            "sync", project, "--tracking-uri", store, "--json", *args, cwd=tmp_path, env=env
        )
        assert "Traceback" not in done.stderr
        return done, json.loads(done.stdout)["versions"] if done.stdout else []

    return run


def actions(versions: list[dict]) -> list[str]:
    """What became of each."""
    return [version["action"] for version in versions]


def complete_runs(store: str, experiment: str) -> list[str]:
    """The names of the complete runs that an experiment has."""
    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], "tags.mlrek.complete = 'true'")
    return sorted(run.info.run_name for run in runs)


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_for_a_moment_is_waited_for(sync, proxy, name, status):
    """Each kind of request is refused twice, and every version is logged."""
    proxy.faults += [S3Fault(key=key, status=status, body=BUSY, times=2) for key in REQUESTS]
    done, versions = sync(proxy.url, env=PATIENT)

    assert (done.returncode, done.stderr) == (0, "")
    assert actions(versions) == ["created"] * 2
    assert complete_runs(proxy.target, f"mlrek/{name}") == VERSIONS


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_stays_busy_fails_versions(sync, proxy, name, status):
    """One line says so; what was begun is taken back, and later everything is made up for."""
    fault = S3Fault(key="runs/log-batch", status=status, body=BUSY)
    proxy.faults.append(fault)
    done, versions = sync(proxy.url, env=IMPATIENT)
    fault.times = 0
    _, again = sync(proxy.url)

    assert (done.returncode, done.stderr) == (1, "")
    assert actions(versions) == ["failed"] * 2
    assert all(f"({status})" in version["reason"] for version in versions)
    assert all("again later" in version["reason"] for version in versions)
    assert actions(again) == ["created"] * 2
    assert complete_runs(proxy.target, f"mlrek/{name}") == VERSIONS


def test_an_answer_that_is_lost_doubles_nothing(sync, proxy, name):
    """The server has done it, the client does not know, and asks again."""
    proxy.faults += [S3Fault(key=key, lost=True, times=1) for key in REQUESTS]
    done, versions = sync(proxy.url, env=PATIENT)

    assert (done.returncode, done.stderr) == (0, "")
    assert actions(versions) == ["created"] * 2
    assert complete_runs(proxy.target, f"mlrek/{name}") == VERSIONS


def test_a_server_that_restarts_in_the_middle_is_waited_for(warm, project, tmp_path, name):
    """Killed while runs are written, and started again on the same port."""
    port, folder = free_port(), tmp_path / "server"
    folder.mkdir()
    args = ("sync", project, "--json", "--tracking-uri", f"http://127.0.0.1:{port}")
    with serve_mlflow(folder, port=port) as store:
        MlflowClient(store).search_experiments()
        sync = warm.start(*args, cwd=tmp_path)
        wait_for_runs(store, name)
    with serve_mlflow(folder, port=port) as store:
        done = warm.wait(sync)
        assert (done.returncode, done.stderr) == (0, "")
        assert actions(json.loads(done.stdout)["versions"]) == ["created"] * 2
        assert complete_runs(store, f"mlrek/{name}") == VERSIONS


def test_an_artifact_store_that_is_full_fails_versions(sync, proxy, name):
    """The numbers fit, the files do not: no such run counts."""
    fault = S3Fault(key="confusion_matrix.png", method="PUT", status=507, body=FULL)
    proxy.faults.append(fault)
    done, versions = sync(proxy.url, env=IMPATIENT)
    fault.times = 0
    _, again = sync(proxy.url)

    assert (done.returncode, done.stderr) == (1, "")
    assert actions(versions) == ["failed"] * 2
    assert all("507" in version["reason"] for version in versions)
    assert actions(again) == ["created"] * 2
    assert complete_runs(proxy.target, f"mlrek/{name}") == VERSIONS


def test_a_file_that_is_refused_is_named_in_a_line(sync, warm, proxy, tmp_path):
    """By its name, not by a long address: what is read makes the command fail, a note does not."""
    _, versions = sync(proxy.url)
    run = f"runs:/{versions[0]['run_id']}"
    policy = tmp_path / "policy.toml"
    policy.write_text('[[floor]]\nmetric = "aggregate/accuracy"\nmin = 0.0\n')
    args = ("check", run, "--policy", policy, "--tracking-uri", proxy.url)
    proxy.faults[:] = [S3Fault(key="/check/policy.toml.json", method="PUT", status=403)]
    kept_nothing = warm.run(*args, cwd=tmp_path, env=IMPATIENT)
    proxy.faults[:] = [S3Fault(key="/evaluation.parquet", method="GET", status=403)]
    read_nothing = warm.run(*args, cwd=tmp_path, env=IMPATIENT)

    assert kept_nothing.returncode == 0
    assert (
        f"the answer could not be kept in MLflow: {proxy.url}: policy.toml.json: the server "
        "answers 403 Forbidden; ask there for permission on the files of this run\n"
    ) in kept_nothing.stderr
    assert (read_nothing.returncode, read_nothing.stdout) == (1, "")
    assert "a file of the run is gone, or this user may not read it" in read_nothing.stderr
    assert "'evaluation.parquet'" in read_nothing.stderr
    assert read_nothing.stderr.count("\n") == 1


def test_an_artifact_folder_that_is_read_only_fails_versions(sync, tmp_path):
    """Also for root: nobody makes files in /sys."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(store).create_experiment("e", artifact_location="file:///sys/mlrek")
    done, versions = sync(store, "--experiment", "e")

    assert (done.returncode, done.stderr) == (1, "")
    assert actions(versions) == ["failed"] * 2
    assert all("/sys/mlrek" in version["reason"] for version in versions)
    assert complete_runs(store, "e") == []


def test_a_database_that_is_locked_for_a_moment_is_waited_for(warm, project, tmp_path, name):
    """By another program, for longer than a write takes."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(store).search_experiments()
    sync = warm.start("sync", project, "--tracking-uri", store, "--json", cwd=tmp_path)
    wait_for_runs(store, name)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=300)) as database:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(3)
        database.rollback()
    done = warm.wait(sync)

    assert (done.returncode, done.stderr) == (0, "")
    assert complete_runs(store, f"mlrek/{name}") == VERSIONS


def test_a_run_deleted_by_hand_is_logged_again(sync, mlflow_server, name):
    """It is gone, so it is made; the others stay."""
    _, before = sync(mlflow_server)
    MlflowClient(mlflow_server).delete_run(before[0]["run_id"])
    _, after = sync(mlflow_server)

    assert actions(after) == ["created", "unchanged"]
    assert complete_runs(mlflow_server, f"mlrek/{name}") == VERSIONS


def test_a_run_deleted_while_it_is_written_fails_alone(sync, proxy, name):
    """By somebody who tidied up too early."""
    client, deleted = MlflowClient(proxy.target), threading.Event()
    proxy.faults.append(S3Fault(key="runs/log-inputs", until=deleted, times=1))
    deleting = threading.Thread(target=delete_first_run, args=(client, name, deleted))
    deleting.start()
    done, versions = sync(proxy.url, "--jobs", "1")
    deleting.join()
    _, again = sync(proxy.url)

    assert done.returncode == 1
    assert sorted(actions(versions)) == ["created", "failed"]
    assert any("deleted" in str(version["reason"]) for version in versions)
    assert sorted(actions(again)) == ["created", "unchanged"]
    assert complete_runs(proxy.target, f"mlrek/{name}") == VERSIONS


def test_an_experiment_that_was_renamed_is_found(sync, mlflow_server, name):
    """Its runs are there, under another name: nothing is logged a second time."""
    _, before = sync(mlflow_server)
    client = MlflowClient(mlflow_server)
    client.rename_experiment(before[0]["experiment_id"], f"Our {name}")
    done, after = sync(mlflow_server)

    assert actions(after) == ["unchanged"] * 2
    assert json.loads(done.stdout)["projects"][0]["experiment"] == f"Our {name}"
    assert client.get_experiment_by_name(f"mlrek/{name}") is None


def test_an_experiment_in_the_trash_is_named_and_used_once_restored(sync, tmp_path, name):
    """Nothing is logged elsewhere meanwhile."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    _, before = sync(store)
    client = MlflowClient(store)
    client.delete_experiment(before[0]["experiment_id"])
    refused, nothing = sync(store)
    client.restore_experiment(before[0]["experiment_id"])
    _, after = sync(store)

    assert (refused.returncode, nothing) == (1, [])
    assert "mlflow experiments restore" in refused.stderr
    assert actions(after) == ["unchanged"] * 2


def test_a_server_that_says_it_is_too_old_is_asked_nothing_more(sync, proxy):
    """As `mlflow server` of 2.22.5 answers `/version`; the version that is needed is told."""
    proxy.faults.append(S3Fault(key="/version", status=200, body="2.22.5"))
    done, versions = sync(proxy.url)

    assert (done.returncode, versions) == (1, [])
    assert "runs MLflow 2.22.5, which is too old" in done.stderr
    assert "MLflow 3.0 or newer is needed there" in done.stderr
    assert len(list_said(done.stderr)) == 1
    assert [path for _, path, _ in proxy.requests] == ["/version"]


def test_a_very_old_server_that_says_nothing_is_told_by_what_it_lacks(sync, proxy, name):
    """As `mlflow server` of 2.0.1 answers, which knows neither its version nor datasets."""
    faults = [S3Fault(key=key, status=404, body=FLASK_404) for key in ("/version", "log-inputs")]
    proxy.faults += faults
    done, versions = sync(proxy.url)

    assert (done.returncode, done.stderr, actions(versions)) == (1, "", ["failed"] * 2)
    assert all("MLflow 3.0 or newer is needed there" in v["reason"] for v in versions)
    assert complete_runs(proxy.target, f"mlrek/{name}") == []


@pytest.mark.parametrize("body", [UNKNOWN, "<!doctype html><title>404 Not Found</title>"])
@pytest.mark.parametrize("key", ["experiments/search", "runs/log-inputs"])
def test_a_server_too_old_for_a_request_says_so(sync, proxy, name, key, body):
    """One that does not know what is asked of it, in either way to say so."""
    fault = S3Fault(key=key, status=404, body=body)
    proxy.faults.append(fault)
    done, versions = sync(proxy.url)
    fault.times = 0
    sync(proxy.url)

    assert done.returncode == 1
    assert "too old" in done.stderr + " ".join(str(version["reason"]) for version in versions)
    assert complete_runs(proxy.target, f"mlrek/{name}") == VERSIONS


def wait_for_runs(store: str, name: str) -> None:
    """Wait until a run of the project is begun."""
    client = MlflowClient(store)
    while not (
        (found := client.get_experiment_by_name(f"mlrek/{name}"))
        and client.search_runs([found.experiment_id])
    ):
        time.sleep(0.05)


def delete_first_run(client: MlflowClient, name: str, deleted: threading.Event) -> None:
    """Delete the first run as soon as it is there, and say so."""
    try:
        wait_for_runs(client.tracking_uri, name)
        found = client.get_experiment_by_name(f"mlrek/{name}")
        client.delete_run(client.search_runs([found.experiment_id])[0].info.run_id)
    finally:
        deleted.set()

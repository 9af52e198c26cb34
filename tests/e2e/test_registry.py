"""`mlrek sync --register` as a process, against a real server and a database file."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

VERSIONS = ["v1-naive-bayes", "v2-linear", "v3-neighbours", "v4-new-split"]


@pytest.fixture
def database(tmp_path) -> str:
    """A store of this test, in a database file that is not there yet."""
    return f"sqlite:///{tmp_path}/mlflow.db"


def dump(uri: str) -> str:
    """Everything the database holds."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        return "\n".join(connection.iterdump())


def models(done: subprocess.CompletedProcess) -> list[tuple[str, str, int]]:
    """What `sync --json` tells: version, registered model, number."""
    return [
        (v["version"], v["model"]["name"], v["model"]["version"])
        for v in json.loads(done.stdout)["versions"]
    ]


def test_versions_are_registered_by_age_and_a_second_sync_writes_nothing(
    run_mlrek, digits, new_store
):
    """Four model versions; then not one row of the database is another."""
    database = new_store
    first = run_mlrek("sync", "--register", digits, "--tracking-uri", database, "--json")
    before = dump(database)
    second = run_mlrek("sync", digits, "--register", "--tracking-uri", database, "--json")
    client = MlflowClient(database)
    found = client.search_model_versions("name = 'digits'")

    assert models(first) == [(version, "digits", i + 1) for i, version in enumerate(VERSIONS)]
    assert models(second) == models(first)
    assert dump(database) == before
    assert {v.version: v.tags["version_name"] for v in found} == dict(enumerate(VERSIONS, 1))
    assert {v.run_id for v in found} == {v["run_id"] for v in json.loads(first.stdout)["versions"]}
    assert (first.stderr, second.stderr) == (second.stderr, first.stderr)


def test_runs_that_are_there_already_are_registered(run_mlrek, digits, digits_store):
    """Under your own name; without `--register` nothing is."""
    plain = run_mlrek("sync", digits, "--tracking-uri", digits_store, "--json")
    named = run_mlrek("sync", digits, "--register=mine", "--tracking-uri", digits_store, "--json")
    shown = run_mlrek("sync", digits, "--register", "mine", "--tracking-uri", digits_store)

    assert [v["model"] for v in json.loads(plain.stdout)["versions"]] == [None] * 4
    assert [v["action"] for v in json.loads(named.stdout)["versions"]] == ["unchanged"] * 4
    assert models(named) == [(version, "mine", i + 1) for i, version in enumerate(VERSIONS)]
    assert "registered models:/mine: 1 (v1-naive-bayes), 2 (v2-linear)," in shown.stdout


def test_a_dry_run_registers_nothing(run_mlrek, digits, database, tmp_path):
    """Not even a store is made."""
    done = run_mlrek(
        "sync", digits, "--register", "--dry-run", "--tracking-uri", database, "--json"
    )

    assert [v["model"] for v in json.loads(done.stdout)["versions"]] == [None] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_mlflow_cannot_hold_is_wrong_usage(run_mlrek, digits, database, tmp_path):
    """Told before anything is logged."""
    done = run_mlrek("sync", digits, "--register=a/b", "--tracking-uri", database, check=False)

    assert done.returncode == 2
    assert "'a-b' would do" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_two_syncs_at_once_leave_one_model_version_each(digits, mlflow_server, tmp_path):
    """Both say the same of each version."""
    name = f"twice-{os.getpid()}"
    command = [sys.executable, "-m", "mlrek", "sync", str(digits), f"--register={name}", "--json"]
    command += ["--tracking-uri", mlflow_server, "--experiment", name]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [json.loads(process.communicate(timeout=240)[0]) for process in both]
    client = MlflowClient(mlflow_server)
    found = client.search_model_versions(f"name = '{name}'")
    runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])

    assert sorted(v.tags["version_name"] for v in found) == VERSIONS
    assert {v.run_id for v in found} == {run.info.run_id for run in runs}
    numbers = {v.tags["version_name"]: int(v.version) for v in found}
    assert [process.returncode for process in both] == [0, 0]
    for result in told:
        assert {v["version"]: v["model"]["version"] for v in result["versions"]} == numbers


def test_a_replaced_run_is_registered_anew_and_its_alias_is_told_of(
    run_mlrek, digits, digits_store
):
    """The champion is not moved silently; the hint has the command that would."""
    database = digits_store
    run_mlrek("sync", digits, "--register", "--tracking-uri", database)
    client = MlflowClient(database)
    client.set_registered_model_alias("digits", "champion", "2")
    again = run_mlrek(
        *("sync", digits, "--version", "v2-linear", "--force"),
        *("--register", "--tracking-uri", database, "--json"),
    )

    assert models(again) == [("v2-linear", "digits", 5)]
    assert client.get_model_version("digits", "2").tags["mlrek.superseded"] == "true"
    assert client.get_registered_model("digits").aliases == {"champion": 2}
    assert "models:/digits@champion still is version 2" in again.stderr
    assert "mlrek promote models:/digits/5 --policy FILE --alias champion" in again.stderr


def test_a_version_with_an_automatic_split_leads_to_an_own_test_set(
    run_mlrek, digits, digits_store
):
    """The hint names the command and the run of that version."""
    database = digits_store
    done = run_mlrek("sync", digits, "--tracking-uri", database, "--json")
    run_id = json.loads(done.stdout)["versions"][3]["run_id"]
    quiet = run_mlrek("sync", digits, "--tracking-uri", database, "--quiet")

    assert f"mlrek evaluate runs:/{run_id} --on MANIFEST" in done.stderr
    assert "v4-new-split" in done.stderr
    assert quiet.stderr == ""


def test_a_registered_champion_predicts(run_mlrek, digits, mlflow_server, rekognition_server):
    """Loaded by alias over HTTP: bytes, a path and an S3 URI go to the version's own ARN."""
    name = f"served-{os.getpid()}"
    done = run_mlrek(
        *("sync", digits, f"--register={name}", "--experiment", name),
        *("--tracking-uri", mlflow_server, "--json"),
    )
    version = json.loads(done.stdout)["versions"][1]
    client = MlflowClient(mlflow_server)
    client.set_registered_model_alias(name, "champion", "2")
    image = next(Path(digits, "images").rglob("*.png"))
    rekognition_server.running.add(version["version_arn"])
    rekognition_server.images[image.read_bytes()] = [{"Name": "eight", "Confidence": 75.0}]
    rekognition_server.images["s3://digits/a.png"] = [{"Name": "one", "Confidence": 50.0}]
    code = (
        "import sys, mlflow; model = mlflow.pyfunc.load_model(sys.argv[1]); path = sys.argv[2];"
        "frame = model.predict([open(path, 'rb').read(), path, 's3://digits/a.png']);"
        "print(frame[['image', 'label', 'confidence']].to_csv(index=False))"
    )
    predicted = subprocess.run(
        [sys.executable, "-c", code, f"models:/{name}@champion", image],
        env=os.environ | rekognition_server.env | {"MLFLOW_TRACKING_URI": mlflow_server},
        capture_output=True,
        text=True,
        check=True,
    )

    assert predicted.stdout.split() == [
        "image,label,confidence",
        "#0,eight,0.75",
        f"{image},eight,0.75",
        "s3://digits/a.png,one,0.5",
    ]
    assert [params["ProjectVersionArn"] for _, params in rekognition_server.requests] == [
        version["version_arn"]
    ] * 3

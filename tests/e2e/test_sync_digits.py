"""`mlrek sync` on the shipped example, as a process, against real stores."""

import json
import os
import random
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from fakes.said import list_said
from sklearn import metrics as sk

VERSIONS = ["v1-naive-bayes", "v2-linear", "v3-neighbours", "v4-new-split"]


@pytest.fixture
def folder(tmp_path) -> str:
    """A store of this test, in a database file that is not there yet."""
    return f"sqlite:///{tmp_path}/mlflow.db"


def read_manifest(digits: Path, version: str) -> list[dict]:
    """The lines of a version's evaluation manifest, parsed by nothing of mlrek."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth-*.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


def top1(line: dict) -> tuple[str, str]:
    """True label, and the label of the record with the highest confidence."""
    prefix = "rekognition-custom-labels-"
    true = line[f"{prefix}training-0-metadata"]["class-name"]
    records = [
        value
        for key, value in line.items()
        if key.startswith(f"{prefix}evaluation-") and key.endswith("-metadata")
    ]
    best = max(record["confidence"] for record in records)
    return true, min(r["class-name"] for r in records if r["confidence"] == best)


def runs_by_version(uri: str, experiment: str = "mlrek/digits") -> dict:
    """The active runs of the experiment, read with MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: run for run in runs}


def dump(uri: str) -> str:
    """Everything the database holds."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        return "\n".join(database.iterdump())


def test_every_version_becomes_a_run_and_a_second_sync_writes_nothing(run_mlrek, digits, folder):
    """Four runs; then four times `unchanged`, and not one row of the database is another."""
    args = ["sync", digits, "--tracking-uri", folder, "--json"]
    first = json.loads(run_mlrek(*args, cold=True).stdout)
    before = dump(folder)
    second = json.loads(run_mlrek(*args, cold=True).stdout)

    assert [(v["version"], v["action"]) for v in first["versions"]] == [
        (version, "created") for version in VERSIONS
    ]
    assert [v["action"] for v in second["versions"]] == ["unchanged"] * 4
    assert [v["run_id"] for v in second["versions"]] == [v["run_id"] for v in first["versions"]]
    assert dump(folder) == before


def test_the_numbers_are_scikit_learns(digits, digits_store):
    """Each aggregate of each version equals scikit-learn on the manifest, to 1e-12."""
    runs = runs_by_version(digits_store)
    for version in VERSIONS:
        y_true, y_pred = zip(*map(top1, read_manifest(digits, version)), strict=True)
        expected = {
            "accuracy": sk.accuracy_score(y_true, y_pred),
            "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
            "hamming_loss": sk.hamming_loss(y_true, y_pred),
            "mcc": sk.matthews_corrcoef(y_true, y_pred),
            "cohen_kappa": sk.cohen_kappa_score(y_true, y_pred),
        }
        for average in ("micro", "macro", "weighted"):
            for name, score in (
                ("precision", sk.precision_score),
                ("recall", sk.recall_score),
                ("f1", sk.f1_score),
                ("jaccard", sk.jaccard_score),
            ):
                expected[f"{name}_{average}"] = score(
                    y_true, y_pred, average=average, zero_division=0
                )
        logged = runs[version].data.metrics
        actual = {name: logged[f"aggregate/{name}"] for name in expected}
        assert actual == pytest.approx(expected, abs=1e-12, rel=0)
        assert logged["accuracy_score"] == pytest.approx(expected["accuracy"], abs=1e-12)
        assert logged["f1_score"] == pytest.approx(expected["f1_weighted"], abs=1e-12)


def test_each_run_holds_the_contracts_artifacts(digits, digits_store, tmp_path):
    """The same paths in every run; the tables load, the matrix has every image."""
    from mlflow import MlflowClient

    client = MlflowClient(digits_store)
    for version, run in runs_by_version(digits_store).items():
        local = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path / version)))
        paths = {str(path.relative_to(local)) for path in local.rglob("*") if path.is_file()}
        assert {
            "confusion_matrix.png",
            "confusion_matrix.csv",
            "most_confused.csv",
            "classification_report.txt",
            "classification_report.json",
            "per_label.csv",
            "threshold_curves.png",
            "threshold_curves.csv",
            "precision_recall.png",
            "predictions.json",
            "predictions.csv",
            "labels.json",
            "evaluation.json",
            "evaluation.parquet",
        } <= paths
        (source,) = (path for path in paths if path.startswith("source/"))
        (summary,) = (digits / "versions" / version).glob("EvaluationResultSummary-*.json")
        assert (local / source).read_bytes() == summary.read_bytes()
        lines = (local / "confusion_matrix.csv").read_text().splitlines()
        cells = [[int(cell) for cell in line.split(",")[1:]] for line in lines[1:]]
        assert np.sum(cells) == len(read_manifest(digits, version))


def test_runs_bear_the_contracts_tags_params_and_times(digits, digits_store):
    """ARNs are tags; the run's times are the training's."""
    run = runs_by_version(digits_store)["v2-linear"]
    description = json.loads((digits / "versions" / "v2-linear" / "version.json").read_text())
    tags = run.data.tags

    assert tags["version_arn"] == description["ProjectVersionArn"]
    assert tags["project_arn"] == description["ProjectVersionArn"].rsplit("/version/")[0] + (
        "/" + json.loads((digits / "project.json").read_text())["project_arn"].rsplit("/")[-1]
    )
    assert (tags["provider"], tags["task"], tags["project_name"], tags["version_name"]) == (
        "rekognition",
        "classification",
        "digits",
        "v2-linear",
    )
    assert tags["mlrek.complete"] == "true"
    assert set(run.data.params) == {
        "labels",
        "test_images",
        "train_images",
        "prediction_rule",
        "records",
    }
    assert run.info.end_time - run.info.start_time > 60_000
    assert "mlflow.parentRunId" not in tags
    assert len(run.data.metrics) <= 400


def test_equal_test_sets_have_equal_digests(digits_store):
    """The first three versions share one test set, the fourth had another."""
    runs = runs_by_version(digits_store)
    digests = [runs[version].data.tags["test_set_digest"] for version in VERSIONS]

    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]


def test_another_rule_replaces_the_run_and_force_logs_again(run_mlrek, digits, new_store):
    """One run a version remains, whatever was asked for before."""
    args = ["sync", digits, "--version", "v2-linear", "--tracking-uri", new_store, "--json"]
    rule = ["--prediction-rule", "threshold"]
    actions = [
        json.loads(run_mlrek(*args, *more).stdout)["versions"][0]["action"]
        for more in ([], rule, rule, [*rule, "--force"])
    ]

    assert actions == ["created", "replaced", "unchanged", "replaced"]
    assert list(runs_by_version(new_store)) == ["v2-linear"]


def test_a_dry_run_writes_nothing(run_mlrek, digits, tmp_path):
    """Not even a database."""
    done = run_mlrek("sync", digits, "--dry-run", "--json")

    assert [v["action"] for v in json.loads(done.stdout)["versions"]] == ["created"] * 4
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_default_is_a_database_here(run_mlrek, digits, tmp_path):
    """No server, no account: MLflow's own default; the links that will work are printed."""
    done = run_mlrek("sync", digits)

    assert (tmp_path / "mlflow.db").exists()
    assert "`mlrek ui`" in done.stdout
    assert "workflowType=machine_learning&compareRunsMode=CHART" in done.stdout
    for version in VERSIONS:
        assert version in done.stdout


def test_killed_at_any_moment_the_next_sync_mends_it(digits, new_store, tmp_path, warm):
    """SIGKILL at random moments; then one complete run for each version."""
    args = ("sync", digits, "--tracking-uri", new_store)
    warm.run(*args, "--version", "v1-naive-bayes", cwd=tmp_path)
    cpu_s = warm.run(*args, "--dry-run", cwd=tmp_path).cpu_s
    moments = random.Random(7)
    for _ in range(4):
        warm.signal_after(moments.uniform(0.2, 1) * cpu_s, signal.SIGKILL, *args, cwd=tmp_path)
    assert warm.run(*args, cwd=tmp_path).returncode == 0
    complete = [run for run in all_runs(new_store) if run.data.tags.get("mlrek.complete") == "true"]

    assert sorted(run.info.run_name for run in complete) == VERSIONS


def test_two_processes_at_once_leave_one_run_a_version(digits, folder, tmp_path, warm):
    """Both succeed on a fresh store, and nothing is doubled, whoever was first."""
    args = ("sync", digits, "--tracking-uri", folder, "--json")
    ended = [warm.wait(pid) for pid in [warm.start(*args, cwd=tmp_path) for _ in range(2)]]
    told = [{v["version"]: v["action"] for v in json.loads(d.stdout)["versions"]} for d in ended]

    assert [done.returncode for done in ended] == [0, 0]
    assert sorted(run.info.run_name for run in all_runs(folder)) == VERSIONS
    for version in VERSIONS:
        assert {"created"} <= {each[version] for each in told} <= {"created", "unchanged"}


def all_runs(uri: str) -> list:
    """Every active run of the experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name("mlrek/digits").experiment_id])


def test_works_over_http(run_mlrek, digits, mlflow_server):
    """A server, as in a team; links point there; the second sync finds everything unchanged."""
    name = f"http-{os.getpid()}"
    args = ["sync", digits, "--tracking-uri", mlflow_server, "--experiment", name, "--json"]
    first, second = (json.loads(run_mlrek(*args).stdout) for _ in range(2))

    assert [v["action"] for v in first["versions"]] == ["created"] * 4
    assert [v["action"] for v in second["versions"]] == ["unchanged"] * 4
    assert first["projects"][0]["experiment"] == name
    assert first["projects"][0]["links"]["charts"].startswith(f"{mlflow_server}/#/experiments/")
    assert sorted(runs_by_version(mlflow_server, name)) == VERSIONS


def test_a_server_with_users_takes_user_and_password(run_mlrek, digits, auth_server):
    """With them it works; without, one clear line, and no traceback."""
    args = ["sync", digits, "--tracking-uri", auth_server, "--version", "v1-naive-bayes"]
    login = {
        "MLFLOW_TRACKING_USERNAME": "admin",
        "MLFLOW_TRACKING_PASSWORD": "a-long-password-1",
    }
    refused = run_mlrek(*args, check=False)
    wrong = run_mlrek(*args, env=login | {"MLFLOW_TRACKING_PASSWORD": "x"}, check=False)
    accepted = run_mlrek(*args, env=login)
    in_address = auth_server.replace("http://", "http://admin:a-long-password-1@")
    again = run_mlrek("sync", digits, "--tracking-uri", in_address, *args[4:], "--json")

    for done in (refused, wrong):
        assert done.returncode == 1
        assert done.stdout == ""
        assert "401" in done.stderr
        assert "MLFLOW_TRACKING_USERNAME" in done.stderr
        assert len(list_said(done.stderr.strip())) == 1
    assert "created" in accepted.stdout
    assert json.loads(again.stdout)["versions"][0]["action"] == "unchanged"
    for done in (accepted, again):
        assert "a-long-password-1" not in done.stdout + done.stderr


def test_a_user_without_permission_is_told_so(run_mlrek, digits, auth_server):
    """403 is not 401: the login is right, the right is missing."""
    import requests

    admin = ("admin", "a-long-password-1")
    guest = {"username": "guest", "password": "another-password-2"}
    answer = requests.post(
        f"{auth_server}/api/2.0/mlflow/users/create", json=guest, auth=admin, timeout=30
    )
    answer.raise_for_status()
    args = ["sync", digits, "--tracking-uri", auth_server, "--version", "v3-neighbours"]
    args += ["--experiment", "only-for-admin"]
    run_mlrek(
        *args,
        env={"MLFLOW_TRACKING_USERNAME": admin[0], "MLFLOW_TRACKING_PASSWORD": admin[1]},
    )
    refused = run_mlrek(
        *args,
        "--force",
        env={
            "MLFLOW_TRACKING_USERNAME": guest["username"],
            "MLFLOW_TRACKING_PASSWORD": guest["password"],
        },
        check=False,
    )

    assert refused.returncode == 1
    assert "403" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr

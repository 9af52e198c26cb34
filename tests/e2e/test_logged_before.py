"""Runs that an earlier mlrek logged: their numbers are made anew from their own evaluation."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from mlrek.tracking import part_tags

DATA = Path(__file__).parents[1] / "data" / "logged-schema-3"
ARN = "arn:aws:rekognition:us-east-1:111122223333:project/digits/1772442724118"
VERSIONS = ("v1-naive-bayes", "v2-linear")
RIGHT, IMAGES = 703, 754
"""Of the second version, each image once, counted in its manifest."""


@pytest.fixture
def old_runs(new_store) -> dict[str, str]:
    """A store with both runs; their ids by version."""
    client = MlflowClient(new_store)
    tags = {"project_arn": ARN, "project_name": "digits", "mlrek.named": "by default"}
    experiment = client.create_experiment("mlrek/digits", tags=tags)
    return {version: load_run(client, experiment, version) for version in VERSIONS}


def load_run(client, experiment, version) -> str:
    """Log what one run held; returns its id."""
    held = json.loads((DATA / version / "run.json").read_text())
    run = client.create_run(experiment, start_time=held["start_ms"], run_name=version)
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(k, v, held["start_ms"], 0) for k, v in held["metrics"].items()],
        params=[Param(k, v) for k, v in held["params"].items()],
        tags=[RunTag(k, v) for k, v in held["tags"].items()],
    )
    for name in ("evaluation.parquet", "evaluation.json"):
        client.log_artifact(run.info.run_id, str(DATA / version / name))
    client.set_terminated(run.info.run_id, end_time=held["end_ms"])
    return run.info.run_id


def test_the_old_document_says_another_number():
    """Else the other tests would show nothing."""
    document = json.loads((DATA / "v2-linear" / "evaluation.json").read_text())
    assert document["aggregate"]["accuracy"]["value"] == pytest.approx(903 / 954)


def test_show_counts_each_image_of_an_old_run_once(run_mlrek, old_runs, new_store):
    """Under present rules, and with doubts that the old file shows or cannot show."""
    where = ("--tracking-uri", new_store)
    shown = json.loads(run_mlrek("show", f"runs:/{old_runs['v2-linear']}", "--json", *where).stdout)
    kinds = {doubt["kind"] for doubt in shown["doubts"]}
    assert shown["test_images"] == IMAGES
    assert shown["aggregate"]["accuracy"]["value"] == pytest.approx(RIGHT / IMAGES)
    assert {"images_repeated", "doubts_unknown"} <= kinds


def test_compare_pairs_the_images_of_old_runs_under_present_rules(run_mlrek, old_runs, new_store):
    """The difference is that of 754 images, not of 954 lines."""
    uris = [f"runs:/{old_runs[version]}" for version in VERSIONS]
    compared = json.loads(
        run_mlrek("compare", *uris, "--json", "--tracking-uri", new_store).stdout
    )["candidates"][0]
    (accuracy,) = [
        row
        for row in compared["metrics"]
        if row["name"] == "aggregate/accuracy" and row["scope"] == "shared"
    ]
    assert compared["test_set"]["shared"] == IMAGES
    assert accuracy["candidate"] == pytest.approx(RIGHT / IMAGES)


@pytest.mark.parametrize(("floor", "code"), [(0.94, 3), (0.92, 0)])
def test_check_reads_no_number_of_the_old_document(
    run_mlrek, tmp_path, old_runs, new_store, floor, code
):
    """A limit between the old number and the present one fails."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[floor]]\nmetric = "aggregate/accuracy"\nmin = {floor}\n')
    done = run_mlrek(
        *("check", f"runs:/{old_runs['v2-linear']}", "--policy", policy, "--json"),
        *("--tracking-uri", new_store),
        check=False,
    )
    (found,) = [c for c in json.loads(done.stdout)["checks"] if c["kind"] == "floor"]
    assert done.returncode == code, done.stderr
    assert found["value"] == pytest.approx(RIGHT / IMAGES)


@pytest.fixture
def source(tmp_path, digits) -> Path:
    """What the old runs were read from."""
    folder = tmp_path / "digits"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(digits / "project.json", folder)
    for version in VERSIONS:
        shutil.copytree(digits / "versions" / version, folder / "versions" / version)
    manifest = folder / "versions" / "v2-linear" / "TestingGroundTruth-digits-v2-linear.json"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join([lines[0]] * 200 + lines))
    return folder


def test_a_sync_after_the_update_says_once_why_runs_are_logged_again(
    run_mlrek, old_runs, new_store, source
):
    """The files are the same: each result has the reason, and stderr says once what changed."""
    first, again = (
        run_mlrek("sync", source, "--json", "--tracking-uri", new_store) for _ in range(2)
    )
    versions = json.loads(first.stdout)["versions"]
    assert [version["action"] for version in versions] == ["replaced", "replaced"]
    assert all("an earlier mlrek logged it" in version["reason"] for version in versions)
    assert first.stderr.count("2 versions were logged by an earlier mlrek") == 1
    assert "each image counts once" in first.stderr
    assert {version["run_id"] for version in versions}.isdisjoint(old_runs.values())
    assert [v["action"] for v in json.loads(again.stdout)["versions"]] == ["unchanged"] * 2
    assert "earlier mlrek" not in again.stderr


def test_evaluate_says_that_an_earlier_mlrek_logged_the_run_it_replaces(
    run_mlrek, digits, tmp_path, new_store
):
    """A run on an own test set without the tag of this edition is of an earlier one."""
    image, label = "s3://own/1.png", {"Name": "zero", "Confidence": 90}
    metadata = {"class-name": "zero", "type": "groundtruth/image-classification"}
    manifest, answers = tmp_path / "own.manifest", tmp_path / "answers.jsonl"
    manifest.write_text(json.dumps({"source-ref": image, "own": 0, "own-metadata": metadata}))
    answers.write_text(json.dumps({"image": image, "response": {"CustomLabels": [label]}}))
    command = ("evaluate", f"{digits}#v2-linear", "--on", manifest, "--responses", answers)
    where = ("--json", "--tracking-uri", new_store)
    created = json.loads(run_mlrek(*command, *where).stdout)["versions"][0]
    client = MlflowClient(new_store)
    client.delete_tag(created["run_id"], "mlrek.bookkeeping")
    client.set_tag(created["run_id"], "mlrek.exam_name", "own")
    client.set_tag(created["run_id"], "mlrek.evaluation_key", "of an earlier edition")
    replaced = json.loads(run_mlrek(*command, *where).stdout)["versions"][0]
    assert (created["reason"], replaced["action"]) == (None, "replaced")
    assert "an earlier mlrek logged it" in replaced["reason"]


def test_runs_with_a_tag_for_each_part_stay_as_they_are(run_mlrek, digits, new_store):
    """As an earlier mlrek logged them: a sync says `unchanged`, and the same doubts."""
    where = ("--json", "--tracking-uri", new_store)
    first = json.loads(run_mlrek("sync", digits, *where).stdout)["versions"]
    client = MlflowClient(new_store)
    for version in first:
        tags = client.get_run(version["run_id"]).data.tags
        for tag, value in part_tags(tags).items() - tags.items():
            client.set_tag(version["run_id"], tag, value)
        client.delete_tag(version["run_id"], "mlrek.bookkeeping")
    again = json.loads(run_mlrek("sync", digits, *where).stdout)["versions"]
    tags = client.get_run(first[0]["run_id"]).data.tags

    assert [version["action"] for version in again] == ["unchanged"] * 4
    assert [version["doubts"] for version in again] == [version["doubts"] for version in first]
    assert "mlrek.doubts" in tags
    assert "mlrek.bookkeeping" not in tags

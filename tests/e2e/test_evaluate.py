"""`mlrek evaluate` as a process: versions on a test set of one's own, against real stores."""

import json
from pathlib import Path

import pytest
from sklearn import metrics as sk

PREFIX = "rekognition-custom-labels-"
VERSIONS = ("v1-naive-bayes", "v2-linear")


@pytest.fixture
def store(tmp_path) -> str:
    """A store in a database file of this test."""
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def exam(digits, tmp_path):
    """A manifest of one's own of 200 digits, and what two versions answered on them."""
    lines = {version: read_manifest(digits, version)[:200] for version in VERSIONS}
    truth = {line["source-ref"]: true_label(line) for line in lines[VERSIONS[0]]}
    manifest = tmp_path / "holdout.manifest"
    write_lines(manifest, [to_truth(image, label) for image, label in truth.items()])
    for version, each in lines.items():
        answers = [{"image": line["source-ref"], "response": to_response(line)} for line in each]
        write_lines(tmp_path / f"{version}.jsonl", answers)
    return manifest, truth


def read_manifest(digits: Path, version: str) -> list[dict]:
    """The lines of a version's evaluation manifest, parsed by nothing of mlrek."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth-*.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


def true_label(line: dict) -> str:
    """What is true of an image."""
    return line[f"{PREFIX}training-0-metadata"]["class-name"]


def to_truth(image: str, label: str) -> dict:
    """A line as Ground Truth writes it, under a name of the customer's."""
    metadata = {"class-name": label, "type": "groundtruth/image-classification"}
    metadata |= {"job-name": "labeling-job/my digits", "human-annotated": "yes", "confidence": 1}
    return {"source-ref": image, "my digits": "0", "my digits-metadata": metadata}


def to_response(line: dict) -> dict:
    """The records of a line as DetectCustomLabels would answer them."""
    records = [
        value
        for key, value in line.items()
        if key.startswith(f"{PREFIX}evaluation-") and key.endswith("-metadata")
    ]
    return {
        "CustomLabels": [
            {"Name": record["class-name"], "Confidence": record["confidence"] * 100}
            for record in records
        ]
    }


def write_lines(path: Path, lines: list[dict]) -> None:
    """JSON Lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def predict(path: Path) -> dict[str, str]:
    """The most confident label of each answer in a file."""
    answers = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        answer["image"]: max(
            answer["response"]["CustomLabels"], key=lambda label: label["Confidence"]
        )["Name"]
        for answer in answers
        if "response" in answer
    }


def evaluate(run_mlrek, digits, store, version, manifest, *args, **kwargs):
    """One version's entry of the JSON result."""
    source = f"{digits}#{version}"
    done = run_mlrek(
        "evaluate", source, "--on", manifest, *args, "--tracking-uri", store, "--json", **kwargs
    )
    return json.loads(done.stdout)["versions"][0] if done.returncode == 0 else done


def read_run(store, run_id):
    """A run, by MLflow's own client."""
    from mlflow import MlflowClient

    return MlflowClient(store).get_run(run_id)


def test_two_versions_sit_one_exam(run_mlrek, digits, store, exam, tmp_path):
    """Numbers are scikit-learn's, digests are equal, a sync minds its own runs, and back."""
    manifest, truth = exam
    synced = json.loads(run_mlrek("sync", digits, "--tracking-uri", store, "--json").stdout)
    runs = {}
    for version in VERSIONS:
        answers = tmp_path / f"{version}.jsonl"
        entry = evaluate(run_mlrek, digits, store, version, manifest, "--responses", answers)
        assert entry["action"] == "created"
        assert entry["exam"]["name"] == "holdout"
        runs[version] = run = read_run(store, entry["run_id"])
        y_true, y_pred = list(truth.values()), [predict(answers)[image] for image in truth]
        expected = {
            "accuracy": sk.accuracy_score(y_true, y_pred),
            "f1_macro": sk.f1_score(y_true, y_pred, average="macro", zero_division=0),
            "mcc": sk.matthews_corrcoef(y_true, y_pred),
        }
        logged = {name: run.data.metrics[f"aggregate/{name}"] for name in expected}
        assert logged == pytest.approx(expected, abs=1e-12)
        assert run.info.run_name == f"{version} on holdout"
        assert not any(key.startswith("reported/") for key in run.data.metrics)
        (dataset,) = run.inputs.dataset_inputs
        assert dataset.dataset.name == "holdout.manifest"
    digests = {run.data.tags["test_set_digest"] for run in runs.values()}
    assert digests == {run.data.tags["mlrek.exam"] for run in runs.values()}
    assert len(digests) == 1

    again = json.loads(run_mlrek("sync", digits, "--tracking-uri", store, "--json").stdout)
    assert [v["action"] for v in again["versions"]] == ["unchanged"] * 4
    forced = json.loads(
        run_mlrek("sync", digits, "--tracking-uri", store, "--json", "--force").stdout
    )
    assert [v["action"] for v in forced["versions"]] == ["replaced"] * 4
    assert {v["run_id"] for v in synced["versions"]}.isdisjoint(
        run.info.run_id for run in runs.values()
    )
    for run in runs.values():
        assert read_run(store, run.info.run_id).info.lifecycle_stage == "active"
    listed = json.loads(run_mlrek("versions", digits, "--tracking-uri", store, "--json").stdout)
    assert [v["run_id"] for v in listed["versions"]] == [v["run_id"] for v in forced["versions"]]

    entry = evaluate(
        run_mlrek, digits, store, "v2-linear", manifest, "--responses", tmp_path / "v2-linear.jsonl"
    )
    assert (entry["action"], entry["run_id"]) == (
        "unchanged",
        runs["v2-linear"].info.run_id,
    )


def test_a_run_is_evaluated_without_its_source(run_mlrek, digits, store, exam, tmp_path):
    """Labels and thresholds come from the run's own artifact; it is the same exam, unchanged."""
    manifest, _ = exam
    answers = tmp_path / "v2-linear.jsonl"
    synced = json.loads(run_mlrek("sync", digits, "--tracking-uri", store, "--json").stdout)
    (run_id,) = (v["run_id"] for v in synced["versions"] if v["version"] == "v2-linear")
    first = evaluate(run_mlrek, digits, store, "v2-linear", manifest, "--responses", answers)
    done = run_mlrek(
        *("evaluate", f"runs:/{run_id}", "--on", manifest, "--responses", answers),
        *("--tracking-uri", store, "--json"),
    )
    (second,) = json.loads(done.stdout)["versions"]
    assert (second["action"], second["run_id"]) == ("unchanged", first["run_id"])


def test_changed_answers_replace_the_run(run_mlrek, digits, store, exam, tmp_path):
    """The old run goes when the new one is complete; missing answers are misses, and counted."""
    manifest, truth = exam
    answers = tmp_path / "v2-linear.jsonl"
    before = evaluate(run_mlrek, digits, store, "v2-linear", manifest, "--responses", answers)
    kept = answers.read_text().splitlines(keepends=True)[:150]
    answers.write_text("".join(kept))
    after = evaluate(run_mlrek, digits, store, "v2-linear", manifest, "--responses", answers)

    assert after["action"] == "replaced"
    assert read_run(store, before["run_id"]).info.lifecycle_stage == "deleted"
    found = predict(answers)
    right = sum(found.get(image) == label for image, label in truth.items())
    accuracy = read_run(store, after["run_id"]).data.metrics["aggregate/accuracy"]
    assert accuracy == pytest.approx(right / 200, abs=1e-12)
    assert any(w.startswith("50 of 200 images have no response") for w in after["warnings"])


def test_without_answers_it_says_how_to_get_them(run_mlrek, digits, store, exam):
    """Nothing is called that was not asked for."""
    done = evaluate(run_mlrek, digits, store, "v2-linear", exam[0], check=False)
    assert done.returncode == 2
    assert "--responses FILE" in done.stderr
    assert "--call" in done.stderr

"""`mlrek evaluate` as a process: versions on your own test set, against real stores."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import clean_env
from fakes.rekognition_server import Fault
from mlflow import MlflowClient
from sklearn import metrics as sk

PREFIX = "rekognition-custom-labels-"
VERSIONS = ("v1-naive-bayes", "v2-linear")


@pytest.fixture
def store(new_store) -> str:
    """A store of this test."""
    return new_store


@pytest.fixture
def holdout(digits, tmp_path):
    """Your own manifest of 200 digits, and what two versions answered on them."""
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
    return MlflowClient(store).get_run(run_id)


def test_two_versions_on_one_own_test_set(run_mlrek, digits, store, holdout, tmp_path):
    """Numbers are scikit-learn's, digests are equal, and the two compare."""
    manifest, truth = holdout
    runs = []
    for version in VERSIONS:
        answers = tmp_path / f"{version}.jsonl"
        entry = evaluate(run_mlrek, digits, store, version, manifest, "--responses", answers)
        assert (entry["action"], entry["exam"]["name"]) == ("created", "holdout")
        runs.append(read_run(store, entry["run_id"]))
        y_true, y_pred = list(truth.values()), [predict(answers)[image] for image in truth]
        expected = {
            "accuracy": sk.accuracy_score(y_true, y_pred),
            "f1_macro": sk.f1_score(y_true, y_pred, average="macro", zero_division=0),
            "mcc": sk.matthews_corrcoef(y_true, y_pred),
        }
        metrics = runs[-1].data.metrics
        logged = {name: metrics[f"aggregate/{name}"] for name in expected}
        assert logged == pytest.approx(expected, abs=1e-12)
        assert not any(key.startswith("reported/") for key in metrics)
    tags = [run.data.tags for run in runs]
    (digest,) = {each["test_set_digest"] for each in tags}
    assert {each["mlrek.exam"] for each in tags} == {digest}
    assert [run.info.run_name for run in runs] == [f"{v} on holdout" for v in VERSIONS]
    datasets = {(i.dataset.name, i.dataset.digest) for r in runs for i in r.inputs.dataset_inputs}
    assert datasets == {(f"test set {digest[:8]}, {len(truth)} images", digest)}

    ids = [f"runs:/{run.info.run_id}" for run in runs]
    done = run_mlrek("compare", *ids, "--tracking-uri", store, "--json")
    (candidate,) = json.loads(done.stdout)["candidates"]
    assert candidate["test_set"]["verdict"] == "same"
    assert candidate["test_set"]["shared"] == 200


def test_a_sync_and_an_own_test_set_leave_each_others_runs_alone(
    run_mlrek, digits, digits_store, holdout, tmp_path
):
    """Neither replaces the other's, and `versions` shows the run on the provider's test set."""
    store = digits_store

    def sync(*args):
        done = run_mlrek("sync", digits, "--tracking-uri", store, "--json", *args)
        return json.loads(done.stdout)["versions"]

    first = sync()
    args = ["--responses", tmp_path / "v2-linear.jsonl"]
    on_holdout = evaluate(run_mlrek, digits, store, "v2-linear", holdout[0], *args)
    second, forced = sync(), sync("--force")
    listed = json.loads(run_mlrek("versions", digits, "--tracking-uri", store, "--json").stdout)

    assert [v["action"] for v in second] == ["unchanged"] * 4
    assert [v["run_id"] for v in second] == [v["run_id"] for v in first]
    assert [v["action"] for v in forced] == ["replaced"] * 4
    assert [v["run_id"] for v in listed["versions"]] == [v["run_id"] for v in forced]
    assert read_run(store, on_holdout["run_id"]).info.lifecycle_stage == "active"
    again = evaluate(run_mlrek, digits, store, "v2-linear", holdout[0], *args)
    assert (again["action"], again["run_id"]) == ("unchanged", on_holdout["run_id"])


def test_a_run_is_evaluated_without_its_source(run_mlrek, digits, digits_store, holdout, tmp_path):
    """Labels and thresholds come from the run's own artifact; it is the same set, unchanged."""
    store = digits_store
    manifest, _ = holdout
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


def test_changed_answers_replace_the_run(run_mlrek, digits, store, holdout, tmp_path):
    """The old run goes when the new one is complete; missing answers are misses, and counted.

    Fewer answers replace it with --force only.
    """
    manifest, truth = holdout
    answers = tmp_path / "v2-linear.jsonl"
    before = evaluate(run_mlrek, digits, store, "v2-linear", manifest, "--responses", answers)
    kept = answers.read_text().splitlines(keepends=True)[:150]
    answers.write_text("".join(kept))
    args = ("v2-linear", manifest, "--responses", answers)
    asked = evaluate(run_mlrek, digits, store, *args)
    after = evaluate(run_mlrek, digits, store, *args, "--force")

    assert (asked["action"], asked["run_id"]) == ("unchanged", before["run_id"])
    assert after["action"] == "replaced"
    assert read_run(store, before["run_id"]).info.lifecycle_stage == "deleted"
    found = predict(answers)
    right = sum(found.get(image) == label for image, label in truth.items())
    accuracy = read_run(store, after["run_id"]).data.metrics["aggregate/accuracy"]
    assert accuracy == pytest.approx(right / 200, abs=1e-12)
    (doubt,) = [doubt for doubt in after["doubts"] if doubt["kind"] == "unanswered"]
    assert (doubt["count"], doubt["of"], doubt["effect"]) == (50, 200, "said")
    assert doubt["text"] in after["warnings"]


def test_images_of_ones_own_that_were_trained_on_are_told(
    run_mlrek, digits, store, holdout, tmp_path
):
    """The version's own training manifest is looked into for these images too, and for copies."""
    manifest, truth = holdout
    project = tmp_path / "kept"
    shutil.copytree(digits, project)
    folder = project / "versions" / "v2-linear"
    described = json.loads((folder / "version.json").read_text())
    place = {"Bucket": "digits", "Name": "evaluation/TrainingGroundTruth-digits-v2-linear.json"}
    asset = {"GroundTruthManifest": {"S3Object": place}}
    described["TrainingDataResult"] = {"Output": {"Assets": [asset]}}
    (folder / "version.json").write_text(json.dumps(described))
    trained_on = [*list(truth)[:3], "s3://digits/elsewhere.png"]
    write_lines(folder / Path(place["Name"]).name, [to_truth(i, "one") for i in trained_on])

    copied = list(truth)[5]
    for image in [*truth, trained_on[-1]]:
        own = copied if image == trained_on[-1] else image
        (tmp_path / image.rpartition("/")[2]).write_bytes(own.encode())

    args = ["--responses", tmp_path / "v2-linear.jsonl"]
    entry = evaluate(run_mlrek, project, store, "v2-linear", manifest, *args)
    (doubt,) = [doubt for doubt in entry["doubts"] if doubt["kind"] == "seen_in_training"]
    assert (doubt["count"], doubt["of"], doubt["effect"]) == (4, 200, "stops")
    assert doubt["text"].startswith("v2-linear was trained on 4 of its 200 test images: ")
    client = MlflowClient(store)
    path = client.download_artifacts(entry["run_id"], "evaluation.json", str(tmp_path))
    seen = json.loads(Path(path).read_text())["test_set"]["seen_in_training"]
    assert seen == {"count": 4, "images": [*trained_on[:3], copied]}
    again = evaluate(run_mlrek, project, store, "v2-linear", manifest, *args)
    assert again["action"] == "unchanged"


def is_predicted(record: dict) -> bool:
    """Whether the service counts a box as predicted."""
    details = record[f"{PREFIX}evaluation-details"]
    return details["is-true-positive"] or details["is-false-positive"]


def test_found_objects_are_matched_as_the_providers_own(run_mlrek, digits, store, tmp_path):
    """Boxes come as shares of the image: the boxes it predicted give the numbers it has."""
    project = digits.parent / "detection"
    (path,) = (project / "versions" / "v1-linear").glob("TestingGroundTruth-*.json")
    answers = []
    for line in map(json.loads, path.read_text().splitlines()):
        found, told = (line.get(f"{PREFIX}evaluation{end}", {}) for end in ("", "-metadata"))
        (size,) = line[f"{PREFIX}training-0"]["image_size"]
        labels = [
            {
                "Name": told["class-map"][str(box["class_id"])],
                "Confidence": one["confidence"] * 100,
                "Geometry": {
                    "BoundingBox": {
                        "Left": box["left"] / size["width"],
                        "Top": box["top"] / size["height"],
                        "Width": box["width"] / size["width"],
                        "Height": box["height"] / size["height"],
                    }
                },
            }
            for box, one in zip(found.get("annotations", []), told.get("objects", []), strict=True)
            if is_predicted(one)
        ]
        answers.append({"image": line["source-ref"], "response": {"CustomLabels": labels}})
    write_lines(tmp_path / "answers.jsonl", answers)
    args = ["sync", project, "--version", "v1-linear", "--tracking-uri", store, "--json"]
    (synced,) = json.loads(run_mlrek(*args).stdout)["versions"]
    args = ["--responses", tmp_path / "answers.jsonl"]
    entry = evaluate(run_mlrek, project, store, "v1-linear", path, *args)
    own, ours = (read_run(store, v["run_id"]).data for v in (synced, entry))
    assert own.tags["test_set_digest"] == ours.tags["test_set_digest"]
    for name in ("ap", "ap_50", "ap_75", "ar_100"):
        assert ours.metrics[f"aggregate/{name}"] == pytest.approx(
            own.metrics[f"aggregate/{name}"], abs=1e-9
        )


def test_without_answers_it_says_how_to_get_them(run_mlrek, digits, store, holdout):
    """Nothing is called that was not asked for."""
    done = evaluate(run_mlrek, digits, store, "v2-linear", holdout[0], check=False)
    assert done.returncode == 2
    assert "--responses FILE" in done.stderr
    assert "--call" in done.stderr


@pytest.fixture
def running(digits, rekognition_server, holdout):
    """v2-linear runs and answers for every image of the test set, as its records say."""
    lines = read_manifest(digits, "v2-linear")[:200]
    for line in lines:
        rekognition_server.images[line["source-ref"]] = to_response(line)["CustomLabels"]
    description = json.loads((digits / "versions" / "v2-linear" / "version.json").read_text())
    rekognition_server.running.add(description["ProjectVersionArn"])
    return rekognition_server


def called(server) -> list[str]:
    """The images that were asked about, each as often as it was answered or refused.

    A process that is killed may leave half a request, which asks for nothing.
    """
    return [
        f"s3://{p['Image']['S3Object']['Bucket']}/{p['Image']['S3Object']['Name']}"
        for operation, p in server.requests
        if operation == "DetectCustomLabels" and "Image" in p
    ]


def test_a_running_version_is_called_once_for_each_image(
    run_mlrek, digits, store, holdout, running, tmp_path
):
    """Throttled and all; what it costs is said before; a second time nothing is called."""
    manifest, truth = holdout
    running.faults += [
        Fault("DetectCustomLabels", "ThrottlingException", times=2),
        Fault("DetectCustomLabels", "ProvisionedThroughputExceededException", times=2),
    ]
    args = ["--call", "--responses", tmp_path / "called.jsonl"]
    args += ["--tracking-uri", store, "--json"]
    source = f"{digits}#v2-linear"
    done = run_mlrek("evaluate", source, "--on", manifest, *args, env=running.env)
    (entry,) = json.loads(done.stdout)["versions"]

    assert "200 times" in done.stderr
    assert "4 USD an hour" in done.stderr
    assert sorted(set(called(running))) == sorted(truth)
    assert len(called(running)) == 204
    assert all(p["MinConfidence"] == 0 for _, p in running.requests)
    right = predict(tmp_path / "v2-linear.jsonl")
    expected = sum(right[image] == label for image, label in truth.items()) / 200
    run = read_run(store, entry["run_id"])
    assert run.data.metrics["aggregate/accuracy"] == pytest.approx(expected, abs=1e-12)

    running.requests.clear()
    again = run_mlrek("evaluate", source, "--on", manifest, *args, env=running.env)
    assert json.loads(again.stdout)["versions"][0]["action"] == "unchanged"
    assert called(running) == []


def test_a_version_that_does_not_run_is_not_started(
    run_mlrek, digits, store, holdout, rekognition_server, tmp_path
):
    """The command that starts it, and that it costs money; no file, no run."""
    done = evaluate(
        *(run_mlrek, digits, store, "v2-linear", holdout[0]),
        *("--call", "--responses", tmp_path / "called.jsonl"),
        env=rekognition_server.env,
        check=False,
    )
    assert done.returncode == 1
    assert "aws rekognition start-project-version --project-version-arn arn:aws" in done.stderr
    assert "costs money" in done.stderr
    assert "Traceback" not in done.stderr
    assert {operation for operation, _ in rekognition_server.requests} == {"DetectCustomLabels"}


def test_one_broken_image_is_recorded_and_counts_as_a_miss(
    run_mlrek, digits, store, holdout, running, tmp_path
):
    """The others are answered all the same; it is not asked again."""
    manifest, truth = holdout
    broken = list(truth)[7]
    del running.images[broken]
    args = ["--call", "--responses", tmp_path / "called.jsonl"]
    entry = evaluate(run_mlrek, digits, store, "v2-linear", manifest, *args, env=running.env)
    assert any(
        w.startswith("1 of 200 images have no prediction") and "InvalidS3Object" in w
        for w in entry["warnings"]
    )
    found = predict(tmp_path / "called.jsonl")
    assert broken not in found
    running.requests.clear()
    evaluate(run_mlrek, digits, store, "v2-linear", manifest, *args, env=running.env)
    assert called(running) == []


def test_images_out_of_reach_stop_the_calls(run_mlrek, digits, store, holdout, running, tmp_path):
    """Where not one image can be read, it is not the images' fault: nothing is kept of it."""
    running.images.clear()
    done = evaluate(
        *(run_mlrek, digits, store, "v2-linear", holdout[0]),
        *("--call", "--responses", tmp_path / "called.jsonl"),
        env=running.env,
        check=False,
    )
    assert done.returncode == 1
    assert "in the version's own region" in done.stderr
    assert (tmp_path / "called.jsonl").read_bytes() == b""
    assert len(called(running)) < 40


def test_a_denied_call_stops_with_what_is_there_kept(
    run_mlrek, digits, store, holdout, running, tmp_path
):
    """Expired credentials: the answers before stay, and the next run asks for the rest only."""
    manifest, truth = holdout
    answers = tmp_path / "called.jsonl"
    args = ["--call", "--responses", answers, "--jobs", "1"]
    first = list(truth)[:5]
    images = {image: running.images.pop(image) for image in list(truth)[5:]}
    write_lines(
        answers, [{"image": i, "response": {"CustomLabels": running.images[i]}} for i in first]
    )
    running.faults.append(Fault("DetectCustomLabels", "ExpiredTokenException", times=1))
    denied = evaluate(
        run_mlrek, digits, store, "v2-linear", manifest, *args, env=running.env, check=False
    )
    assert denied.returncode == 1
    assert "expired" in denied.stderr
    running.images |= images
    running.requests.clear()
    entry = evaluate(run_mlrek, digits, store, "v2-linear", manifest, *args, env=running.env)
    assert entry["action"] == "created"
    assert sorted(called(running)) == sorted(set(truth) - set(first))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_calls_go_on_where_they_stopped(
    run_mlrek, digits, holdout, running, tmp_path, how
):
    """Whatever stops it, no answer that was written is asked for again."""
    manifest, truth = holdout
    answers, store = tmp_path / "called.jsonl", f"sqlite:///{tmp_path}/mlflow.db"
    running.faults += [  # the first are answered at once, the others take a minute
        Fault("DetectCustomLabels", times=30),
        Fault("DetectCustomLabels", times=10_000, delay=1.5),
    ]
    args = ["evaluate", f"{digits}#v2-linear", "--on", manifest, "--call", "--responses", answers]
    args += ["--jobs", "4", "--tracking-uri", store, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlrek", *map(str, args)],
        cwd=tmp_path,
        env=clean_env() | running.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and count_lines(answers) < 20:
        time.sleep(0.05)
    process.send_signal(how)
    _, stderr = process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -9), stderr
    assert b"Traceback" not in stderr
    kept = set(predict_whole(answers))
    assert 20 <= len(kept) < 200
    with answers.open("a") as file:
        file.write('{"image": "s3://digits/00')  # as a machine that lost power leaves it

    running.faults.clear()
    running.requests.clear()
    done = run_mlrek(*args, env=running.env)
    (entry,) = json.loads(done.stdout)["versions"]
    assert entry["action"] == "created"
    assert "cut off" in done.stderr
    assert sorted(called(running)) == sorted(set(truth) - kept)
    assert sorted(predict(answers)) == sorted(truth)


def count_lines(path: Path) -> int:
    """Whole lines of a file that may not be there yet."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def predict_whole(path: Path) -> list[str]:
    """The images of the whole lines of a file."""
    whole, _, _ = path.read_text().rpartition("\n")
    return [json.loads(line)["image"] for line in whole.splitlines()]


def test_two_processes_leave_one_run(digits, holdout, tmp_path, warm):
    """Of one version on one test set, in a store that is not there yet."""
    manifest, _ = holdout
    store = f"sqlite:///{tmp_path}/mlflow.db"
    args = ["evaluate", f"{digits}#v2-linear", "--on", manifest, "--tracking-uri", store]
    args += ["--responses", tmp_path / "v2-linear.jsonl", "--json"]
    ended = [warm.wait(pid) for pid in [warm.start(*args, cwd=tmp_path) for _ in range(2)]]
    assert [done.returncode for done in ended] == [0, 0]
    client = MlflowClient(store)
    (found,) = client.search_runs([json.loads(ended[0].stdout)["projects"][0]["experiment_id"]])
    assert found.data.tags["mlrek.complete"] == "true"

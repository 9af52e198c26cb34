"""A model from anywhere through the command line, against scikit-learn and pycocotools."""

import csv
import json
import re
import shlex
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from fakes.tracking_uri import use_store
from mlflow import MlflowClient
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn import metrics as sk
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB
from typer.testing import CliRunner

from mlrek.cli import make_app

ROOT = Path(__file__).parents[2]
ARN = "arn:aws:rekognition:us-east-1:111122223333:project/digits/1772442724118"
LABELS = ("cat", "dog", "fox")
FLOOR = '[[floor]]\nmetric = "aggregate/{metric}"\nmin = {least}\n'


@pytest.fixture
def mlrek(new_store, monkeypatch):
    """Run a command in this process against a store of its own: the exit code, and its JSON."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store)

    def run(*words):
        result = CliRunner().invoke(make_app(), [*map(str, words), "--json"])
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    return run


@pytest.fixture
def log(mlrek, new_store):
    """Sync predictions as a version of the project pets; its run comes back."""

    def sync(predictions, *options, version="v1", action="created"):
        words = ["sync", predictions, "--project", "pets", "--version", version, *options]
        code, said = mlrek(*words)
        (found,) = said["versions"]
        assert (code, found["action"]) == (0, action), found
        return MlflowClient(new_store).get_run(found["run_id"])

    return sync


def write_csv(path, header, rows):
    """A CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_the_readmes_commands_log_and_check_the_successor(mlrek):
    """The predecessor on Rekognition, the successor as Parquet: two commands, and it may pass."""
    readme = (ROOT / "README.md").read_text()
    section = readme.split("## A model from anywhere")[1].split("\n## ")[0]
    commands = re.findall(
        r"^mlrek (.*)$", re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1], re.MULTILINE
    )
    assert len(commands) == 2
    mlrek("sync", "examples/digits", "--version", "v2-linear")

    (code, synced), (verdict, decision) = (mlrek(*shlex.split(command)) for command in commands)

    assert (code, synced["versions"][0]["action"]) == (0, "created")
    assert synced["projects"][0]["experiment"] == "mlrek/digits"
    assert (verdict, decision["verdict"]) == (0, "passed")


def test_versions_of_two_providers_are_compared(mlrek):
    """Rekognition's and a foreign model on one test set: one verdict, reasons, and a gate."""
    manifest = "examples/digits/versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
    named = ("--truth", manifest, "--project", ARN, "--version", "v5-own")
    mlrek("sync", "examples/successor/predictions.parquet", *named)

    code, said = mlrek("compare", "examples/digits#v2-linear", f"{ARN}/custom/v5-own")

    (candidate,) = said["candidates"]
    assert code == 0
    assert candidate["test_set"]["verdict"] == "same"
    assert candidate["test_set"]["shared"] == 754
    why = candidate["why"]["aggregate/f1_macro"]
    assert why["total"] == pytest.approx(why["model"], abs=1e-12)


def test_a_long_table_gives_scikit_learns_numbers(log, tmp_path):
    """One label an image, all scores in a long CSV: published digits, another model."""
    pixels, y_true = load_digits(return_X_y=True)
    names = np.array([f"digit {i}" for i in range(10)])
    model = GaussianNB(var_smoothing=0.1).fit(pixels[:900:3] / 16, names[y_true[:900:3]])
    scores = model.predict_proba(pixels[900:] / 16)
    truth = names[y_true[900:]]
    images = [f"s3://b/{i}.png" for i in range(len(truth))]
    rows = [
        (image, label, score)
        for image, row in zip(images, scores.tolist(), strict=True)
        for label, score in zip(model.classes_, row, strict=True)
    ]
    predictions = write_csv(tmp_path / "p.csv", ["path", "class", "probability"], rows)
    test_set = write_csv(
        tmp_path / "t.csv", ["image", "label"], list(zip(images, truth, strict=True))
    )

    run = log(predictions, "--truth", test_set)

    y_pred = model.classes_[scores.argmax(axis=1)]
    expected = {
        "accuracy": sk.accuracy_score(truth, y_pred),
        "f1_macro": sk.f1_score(truth, y_pred, average="macro"),
        "mcc": sk.matthews_corrcoef(truth, y_pred),
        "log_loss": sk.log_loss(truth, scores, labels=model.classes_),
        "roc_auc_macro": sk.roc_auc_score(truth, scores, multi_class="ovr", average="macro"),
    }
    logged = {name: run.data.metrics[f"aggregate/{name}"] for name in expected}
    assert logged == pytest.approx(expected, abs=1e-9)
    assert run.data.params["records"] == "complete"
    assert run.data.tags["provider"] == "custom"
    assert run.data.tags["version_arn"] == "mlrek:project/pets/custom/v1"


def test_several_labels_give_scikit_learns_numbers(log, mlrek, tmp_path):
    """Several labels an image, a column of scores each, thresholds in a file."""
    random = np.random.default_rng(7)
    y_true = random.random((200, 3)) < 0.4
    y_true[~y_true.any(axis=1), 0] = True
    scores = np.clip(y_true * 0.5 + random.random((200, 3)) * 0.6, 0, 1).round(4)
    images = [f"{i}.jpg" for i in range(200)]
    predictions = write_csv(
        tmp_path / "p.csv",
        ["image", *(f"score_{label}" for label in LABELS)],
        [(image, *row) for image, row in zip(images, scores.tolist(), strict=True)],
    )
    test_set = write_csv(
        tmp_path / "t.csv",
        ["image", "label"],
        [(images[i], LABELS[j]) for i, j in np.argwhere(y_true)],
    )
    thresholds = write_csv(
        tmp_path / "h.csv", ["label", "threshold"], [("cat", 0.6), ("dog", 0.5), ("fox", 0.7)]
    )

    run = log(predictions, "--truth", test_set, "--thresholds", thresholds)

    y_pred = scores >= [0.6, 0.5, 0.7]
    expected = {
        "subset_accuracy": sk.accuracy_score(y_true, y_pred),
        "f1_macro": sk.f1_score(y_true, y_pred, average="macro"),
        "f1_micro": sk.f1_score(y_true, y_pred, average="micro"),
        "hamming_loss": sk.hamming_loss(y_true, y_pred),
        "average_precision_macro": sk.average_precision_score(y_true, scores, average="macro"),
    }
    logged = {name: run.data.metrics[f"aggregate/{name}"] for name in expected}
    assert run.data.tags["task"] == "multilabel"
    assert logged == pytest.approx(expected, abs=1e-9)


@pytest.fixture
def boxes(tmp_path):
    """COCO's files of 40 images: true boxes with crowds, and found ones with scores."""
    random = np.random.default_rng(3)
    images = [
        {"id": i + 1, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(40)
    ]
    categories = [{"id": 10 + i, "name": label} for i, label in enumerate(LABELS)]
    annotations, results = [], []
    for image in images:
        for _ in range(random.integers(1, 6)):
            x, y, w, h = (random.random(4) * [400, 300, 200, 150] + [0, 0, 8, 8]).tolist()
            category = int(random.integers(10, 13))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": [x, y, w, h],
                    "area": w * h * 0.8,
                    "iscrowd": int(random.random() < 0.1),
                }
            )
            moved = (np.array([x, y, w, h]) + random.normal(0, 6, 4)).clip(1).tolist()
            found = category if random.random() < 0.8 else int(random.integers(10, 13))
            score = round(float(random.random()), 6)
            results.append(
                {"image_id": image["id"], "category_id": found, "bbox": moved, "score": score}
            )
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path / "instances.json", tmp_path / "results.json"


def test_coco_boxes_give_pycocotools_numbers(log, mlrek, boxes, tmp_path):
    """Boxes with crowds and areas of their own, and a policy on them that says no."""
    instances, results = boxes
    with redirect_stdout(StringIO()):
        truth = COCO(str(instances))
        evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    run = log(results, "--truth", instances)

    names = ("ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large")
    expected = dict(zip(names, evaluation.stats[:6].tolist(), strict=True))
    expected["ar_100"] = evaluation.stats[8]
    logged = {name: run.data.metrics[f"aggregate/{name}"] for name in expected}
    assert run.data.tags["task"] == "detection"
    assert logged == pytest.approx(expected, abs=1e-9)
    policy = tmp_path / "policy.toml"
    policy.write_text(FLOOR.format(metric="ap_50", least=0.999))
    assert mlrek("check", "mlrek:project/pets/custom/v1", "--policy", policy)[0] == 3


def test_a_second_sync_writes_nothing_and_a_change_replaces(log, tmp_path):
    """The same files are unchanged, other options and other predictions make another run."""
    rows = [(f"{i}.jpg", LABELS[i % 3]) for i in range(30)]
    truth = write_csv(tmp_path / "t.csv", ["image", "label"], rows)
    said = [(image, label, 0.9 - i / 100) for i, (image, label) in enumerate(rows)]
    said[4] = (said[4][0], "cat", 0.8)
    predictions = write_csv(tmp_path / "p.csv", ["image", "label", "confidence"], said)

    first = log(predictions, "--truth", truth)
    again = log(predictions, "--truth", truth, action="unchanged")
    said[7] = (said[7][0], "fox", 0.7)
    write_csv(tmp_path / "p.csv", ["image", "label", "confidence"], said)
    other = log(predictions, "--truth", truth, action="replaced")

    assert first.info.run_id == again.info.run_id != other.info.run_id
    assert other.data.metrics["aggregate/accuracy"] == pytest.approx(28 / 30, abs=1e-12)
    log(predictions, "--truth", truth, "--task", "multilabel", action="replaced")


def test_a_name_that_is_taken_gets_another_experiment(mlrek):
    """A project of your own that is called like a service's does not land among its versions."""
    mlrek("sync", "examples/digits", "--version", "v2-linear")
    manifest = "examples/digits/versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
    named = ("--truth", manifest, "--project", "digits", "--version", "v5")

    _, said = mlrek("sync", "examples/successor/predictions.parquet", *named)

    assert said["projects"][0]["experiment"] == "mlrek/digits@custom"
    assert said["versions"][0]["version_arn"] == "mlrek:project/digits/custom/v5"


def test_what_is_archived_is_a_source_again(mlrek, tmp_path):
    """Archive, list, show and compare without the original files."""
    manifest = "examples/digits/versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
    named = ("--truth", manifest, "--project", ARN, "--version", "v5-own")
    kept = tmp_path / "kept"

    code, saved = mlrek("archive", "examples/successor/predictions.parquet", kept, *named)
    _, listed = mlrek("versions", kept)
    _, shown = mlrek("show", f"{kept}#v5-own")
    compared, _ = mlrek("compare", "examples/digits#v2-linear", kept)

    assert (code, saved["versions"][0]["action"], compared) == (0, "saved", 0)
    assert [row["version"] for row in listed["versions"]] == ["v5-own"]
    assert shown["version_arn"] == f"{ARN}/custom/v5-own"


def test_a_version_is_evaluated_on_another_test_set(mlrek, log, tmp_path):
    """`evaluate` reads truth and predictions in the same forms; the version's thresholds count."""
    rows = [(f"{i}.jpg", LABELS[i % 3]) for i in range(30)]
    truth = write_csv(tmp_path / "t.csv", ["image", "label"], rows)
    said = [(image, label, 0.9 - i / 100) for i, (image, label) in enumerate(rows)]
    said[4] = (said[4][0], "cat", 0.8)
    predictions = write_csv(tmp_path / "p.csv", ["image", "label", "score"], said)
    log(predictions, "--truth", truth)
    other = write_csv(tmp_path / "o.csv", ["image", "truth"], [("x.jpg", "fox"), ("y.jpg", "cat")])
    wide = [("x.jpg", 0.1, 0.2, 0.7), ("y.jpg", 0.3, 0.5, 0.2)]
    scores = write_csv(tmp_path / "s.csv", ["image", *(f"score_{label}" for label in LABELS)], wide)

    words = ("evaluate", "mlrek:project/pets/custom/v1", "--on", other, "--predictions", scores)
    code, created = mlrek(*words)
    _, again = mlrek(*words)

    assert (code, created["versions"][0]["action"]) == (0, "created")
    assert again["versions"][0]["action"] == "unchanged"
    run_id = created["versions"][0]["run_id"]
    _, shown = mlrek("show", f"runs:/{run_id}")
    assert shown["version_arn"] == "mlrek:project/pets/custom/v1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--version", "v1"], "--project ARN or NAME"),
        (["--project", "pets"], "--version NAME"),
        (["--project", "pets", "--version", "a/b"], "no slash"),
        (["--project", "pets", "--version", "v1", "--version", "v2"], "--version once"),
        (["--project", "pets", "--version", "v1", "--model-uri", "m"], "add --register"),
    ],
)
def test_wrong_usage_names_the_option(mlrek, options, said):
    """Nothing is read where it is not said whose predictions they are."""
    code, message = mlrek("sync", "README.md", "--truth", "README.md", *options)

    assert code == 2
    assert said in message


def test_a_successor_finds_its_predecessors_experiment_under_any_name(mlrek):
    """Whoever named the experiment of the project, the successor stands in it, by the ARN."""
    mlrek("sync", "examples/digits", "--version", "v2-linear", "--experiment", "Our digits")
    manifest = "examples/digits/versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
    named = ("--truth", manifest, "--project", ARN, "--version", "v5-own")

    _, said = mlrek("sync", "examples/successor/predictions.parquet", *named)

    assert said["projects"][0]["experiment"] == "Our digits"


def test_a_project_keeps_the_name_that_its_experiment_knows(mlrek, new_store):
    """A number in Google's resource names is no name: the one that is logged counts."""
    arn = "projects/7/locations/us-central1/models/83"
    tags = {"project_arn": arn, "project_name": "flowers", "mlrek.named": "by default"}
    MlflowClient(new_store).create_experiment("mlrek/flowers", tags=tags)
    manifest = "examples/digits/versions/v2-linear/TestingGroundTruth-digits-v2-linear.json"
    named = ("--truth", manifest, "--project", arn, "--version", "v5")

    _, said = mlrek("sync", "examples/successor/predictions.parquet", *named)

    (version,) = said["versions"]
    assert said["projects"][0]["experiment"] == "mlrek/flowers"
    assert version["version_arn"] == f"{arn}/custom/v5"
    run = MlflowClient(new_store).get_run(version["run_id"])
    assert run.data.tags["project_name"] == "flowers"


def test_your_own_model_is_what_the_alias_loads(mlrek, log, new_store, tmp_path, monkeypatch):
    """Register, promote with --model-uri, load by the alias; and the sealed decision holds."""
    rows = [(f"{i}.jpg", LABELS[i % 3]) for i in range(60)]
    truth = write_csv(tmp_path / "t.csv", ["image", "label"], rows)
    said = [(image, label, 0.9 - i / 100) for i, (image, label) in enumerate(rows)]
    predictions = write_csv(tmp_path / "p.csv", ["image", "label", "score"], said)
    fitted = DummyClassifier(strategy="constant", constant=7).fit([[0]], [7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of type hints in MLflow itself
        mlflow.sklearn.save_model(fitted, tmp_path / "model")
    policy = tmp_path / "policy.toml"
    policy.write_text(FLOOR.format(metric="accuracy", least=0.5))
    log(predictions, "--truth", truth, "--register")
    client = MlflowClient(new_store)
    note = client.get_model_version("pets", "1").description

    words = ("promote", "models:/pets/1", "--policy", policy, "--yes")
    code, said = mlrek(*words, "--model-uri", tmp_path / "model")
    verified, _ = mlrek("verify", "models:/pets@champion")

    assert "--model-uri" in note
    assert (code, said["promotion"]["version"], verified) == (0, 2, 0)
    with use_store(new_store):
        model = mlflow.pyfunc.load_model("models:/pets@champion")
    assert model.predict([[0]]).tolist() == [7]


@pytest.mark.parametrize("options", [[], ["--version", "v1"]])
def test_predictions_alone_are_not_logged(mlrek, options):
    """A file of predictions that nobody named is no source of a sync."""
    code, message = mlrek("sync", "examples/successor/predictions.parquet", *options)

    assert code == 2
    assert "--project ARN or NAME and --version NAME" in message


GATE = '[baseline]\nversion = "models:/pets/1"\n[[better]]\nmetric = "{}"\n'


@pytest.mark.parametrize("how", ["blank", "absent"])
def test_a_baseline_without_some_predictions_is_no_proof(log, mlrek, tmp_path, how):
    """A third of its labels are blank, or their rows are not there: nothing passes for better."""
    names, true = [f"{i:03}.jpg" for i in range(300)], [LABELS[i % 2] for i in range(300)]
    found, new = ([LABELS[(i + (i % 10 < n)) % 2] for i in range(300)] for n in (1, 2))
    rows = [(name, found[i] if i % 3 else "") for i, name in enumerate(names)]
    rows = [row for row in rows if how == "blank" or row[1]]
    truth = write_csv(tmp_path / "truth.csv", ["image", "label"], [*zip(names, true, strict=True)])
    base = write_csv(tmp_path / "base.csv", ["image", "predicted"], rows)
    new = write_csv(tmp_path / "new.csv", ["image", "label"], [*zip(names, new, strict=True)])
    options = ("--truth", truth, "--register", "pets")
    log(base, *options, *(("--unmatched", "miss") if how == "absent" else ()))
    log(new, *options, version="v2")
    policy = tmp_path / "policy.toml"
    policy.write_text(GATE.format("aggregate/accuracy"))

    code, decision = mlrek("check", "models:/pets/2", "--policy", policy)

    (doubt,) = decision["doubts"]
    assert (code, decision["verdict"]) == (4, "undecided")
    assert (doubt["kind"], doubt["side"], doubt["count"]) == ("unanswered", "baseline", 100)


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_truth_that_is_blank_where_the_model_is_wrong_is_said(log, mlrek, tmp_path, form):
    """120 of 300 images have no truth: they are left out, and the check that passes says so."""
    true = [LABELS[i % 2] if i % 5 < 3 else None for i in range(300)]
    found = [LABELS[(i + (i % 5 > 2)) % 2] for i in range(300)]
    images = [f"{i:03}.jpg" for i in range(300)]
    table = pd.DataFrame({"image": images, "truth": true, "predicted": found})
    path = tmp_path / f"cherry.{form}"
    write = {
        "csv": lambda: table.to_csv(path, index=False),
        "parquet": lambda: table.to_parquet(path),
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
    }
    write[form]()
    run = log(path, "--register", "pets")
    policy = tmp_path / "policy.toml"
    policy.write_text(FLOOR.format(metric="accuracy", least=0.95))

    code, decision = mlrek("check", "models:/pets/1", "--policy", policy)

    assert (code, run.data.params["test_images"]) == (0, "180")
    (doubt,) = decision["doubts"]
    assert (doubt["kind"], doubt["effect"], doubt["count"]) == ("truth_unknown", "said", 120)
    assert doubt["of"] == 300


def test_boxes_of_a_baseline_that_was_cut_are_no_proof(log, mlrek, tmp_path):
    """Its file ends after 85 of 150 images, and `--unmatched miss` says that these were missed."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (150, 1, 2)) + np.array([[0, 0], [40, 40]])
    rows = [(f"{i:03}.jpg", LABELS[i % 2], *c.ravel().tolist()) for i, c in enumerate(corners)]
    names = ["x_min", "y_min", "x_max", "y_max"]
    truth = write_csv(tmp_path / "truth.csv", ["image", "label", *names], rows)
    found = [(*row[:2], round(rng.uniform(0.6, 1), 3), *row[2:]) for row in rows]
    header = ["image", "label", "confidence", *names]
    base = write_csv(tmp_path / "base.csv", header, found[:85])
    new = write_csv(tmp_path / "new.csv", header, [row for i, row in enumerate(found) if i % 6])
    options = ("--truth", truth, "--register", "pets", "--unmatched", "miss")
    log(base, *options)
    log(new, *options, version="v2")
    policy = tmp_path / "policy.toml"
    policy.write_text(GATE.format("at_threshold/recall_micro"))

    code, decision = mlrek("check", "models:/pets/2", "--policy", policy)

    doubts = {d["side"]: d for d in decision["doubts"] if d["kind"] == "unanswered"}
    assert code == 4
    assert (doubts["baseline"]["count"], doubts["candidate"]["count"]) == (65, 25)
    assert (
        "of the baseline: 65 of 150 images have no prediction" in decision["checks"][-1]["reason"]
    )

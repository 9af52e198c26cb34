"""Doubts of reading, from files as the service writes them to what `promote` answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.projects import Tested, find_manifest, make_test, save_project
from mlflow import MlflowClient

from mlrek.formats.doubts import is_possible

CASES = Path(__file__).parents[1] / "data" / "cases"
OTHERS = CASES / "answers-of-other-images"
LABELS = ("bad", "good")
FLOOR = '[[floor]]\nmetric = "{}"\nmin = {}\n'
ACCURACY = FLOOR.format("aggregate/accuracy", 0.85)
N = 200


@pytest.fixture
def promote(run_mlrek, new_store, tmp_path):
    """Sync a project, then promote its newest version; the exit code and the kinds of doubts."""

    def run(folder: Path, policy: str, *, champion: int | None = None):
        store = ("--tracking-uri", new_store)
        run_mlrek("sync", folder, "--register=parts", "--quiet", *store)
        client = MlflowClient(new_store, registry_uri=new_store)
        versions = client.search_model_versions("name = 'parts'")
        if champion:
            client.set_registered_model_alias("parts", "champion", str(champion))
        path = tmp_path / "policy.toml"
        path.write_text(policy)
        newest = f"models:/parts/{len(versions)}"
        done = run_mlrek(
            "promote", newest, "--policy", path, "--json", "--yes", *store, check=False
        )
        doubts = json.loads(done.stdout)["doubts"]
        return done.returncode, {doubt["kind"]: doubt for doubt in doubts}

    return run


def make_version(n_right, **changed):
    """A version that has so many of its images right."""
    truth = [LABELS[i % 2] for i in range(N)]
    return make_test(truth, [LABELS[(i + (i >= n_right)) % 2] for i in range(N)], LABELS, **changed)


def edit_lines(folder, version, change, places):
    """Change some lines of a version's manifest."""
    manifest = find_manifest(folder, version)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for i in places:
        change(lines[i])
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))


def forget_truth(line):
    """As the service writes an image that nobody has labelled."""
    for key in [key for key in line if "-training-" in key]:
        del line[key]
    line["cl-metadata"] = {"is_labeled": False}


def forget_answer(line):
    """As a line on which nothing was evaluated."""
    for key in [key for key in line if "-evaluation-" in key]:
        del line[key]


def test_images_that_nobody_has_labelled_are_left_out_and_said(promote, tmp_path):
    """180 of 190 are right; the ten that nobody has labelled are neither right nor wrong."""
    folder = save_project(tmp_path / "p", v1=make_version(180))
    edit_lines(folder, "v1", forget_truth, range(190, 200))
    code, doubts = promote(folder, FLOOR.format("aggregate/accuracy", 180 / 190 - 1e-9))
    assert code == 0
    assert (doubts["truth_unknown"]["count"], doubts["truth_unknown"]["of"]) == (10, 200)
    assert doubts["truth_unknown"]["effect"] == "said"
    assert "images_missing" not in doubts


@pytest.mark.parametrize(("least", "code"), [(0.85, 0), (0.86, 3)])
def test_images_without_a_prediction_are_misses(promote, tmp_path, least, code):
    """Of 200 images 170 are right, 20 wrong and ten without a prediction: 0.85."""
    folder = save_project(tmp_path / "p", v1=make_version(180))
    edit_lines(folder, "v1", forget_answer, range(10))
    ended, doubts = promote(folder, FLOOR.format("aggregate/accuracy", least))
    assert ended == code
    assert (doubts["unanswered"]["count"], doubts["unanswered"]["of"]) == (10, 200)


@pytest.mark.parametrize(("version", "code"), [("v1", 4), ("v2", 0)])
def test_misses_of_the_baseline_make_nobody_better(promote, tmp_path, version, code):
    """Those of the candidate make it worse, and stop nothing."""
    folder = save_project(tmp_path / "p", v1=make_version(100), v2=make_version(190))
    edit_lines(folder, version, forget_answer, range(5))
    policy = '[baseline]\nversion = "models:/parts@champion"\n[[better]]\n'
    ended, doubts = promote(folder, f'{policy}metric = "aggregate/accuracy"\n', champion=1)
    assert ended == code
    assert doubts["unanswered"]["side"] == ("baseline" if version == "v1" else "candidate")


@pytest.mark.parametrize(
    ("metric", "code"), [("reported/f1", 4), ("aggregate/accuracy", 0), ("label_recall/good", 0)]
)
def test_reported_numbers_that_differ_are_no_floor(promote, tmp_path, metric, code):
    """The service says .999 of what its own records say is .9."""
    folder = save_project(tmp_path / "p", v1=make_version(180, changed={"F1Score": 0.999}))
    ended, doubts = promote(folder, FLOOR.format(metric, 0.7))
    assert ended == code
    assert doubts["reported_differs"]["touches"] == ["reported/*", "label_reported_*"]


def test_reported_numbers_that_cannot_be_are_none(run_mlrek, tmp_path):
    """An F1 of 7e307 and a recall in percent are named, and no numbers of any surface."""
    folder = save_project(tmp_path / "p", v1=make_version(180, changed={"F1Score": 7e307}))
    (path,) = (folder / "versions" / "v1").glob("EvaluationResultSummary*.json")
    summary = json.loads(path.read_text())
    summary["LabelEvaluationResults"][1]["Metrics"]["Recall"] = 90
    path.write_text(json.dumps(summary))
    (listed,) = json.loads(run_mlrek("versions", folder, "--json").stdout)["versions"]
    assert listed["reported_f1"] is None
    document = json.loads(run_mlrek("show", f"{folder}#v1", "--json").stdout)
    assert document["reported"].keys() == {"precision", "recall"}
    assert [sorted(label["reported"]) for label in document["labels"]] == [
        ["f1", "precision", "recall", "test_images", "threshold"],
        ["f1", "precision", "test_images", "threshold"],
    ]
    (doubt,) = (one for one in document["doubts"] if one["kind"] == "reported_differs")
    assert doubt["touches"] == ["reported/f1", "label_reported_recall/good"]
    assert doubt["effect"] == "stops"
    assert "'reported/f1' 7e+307" in doubt["text"]
    assert "'label_reported_recall/good' 90" in doubt["text"]


@pytest.mark.parametrize("name", ["average_precision", "roc_auc", "aiou", "precision_at_1"])
def test_shares_are_from_0_to_1(name):
    """Whoever reports them."""
    possible = [is_possible(name, value) for value in (0.0, 1.0, -0.1, 1.1, np.inf, np.nan)]
    assert possible == [True, True, False, False, False, False]


def test_a_log_loss_may_be_more_than_1():
    """It is no share, but neither negative nor endless."""
    possible = [is_possible("log_loss", value) for value in (0.0, 7.5, -0.1, np.inf, np.nan)]
    assert possible == [True, True, False, False, False]


@pytest.mark.parametrize(("leakage", "code"), [("", 4), ('[test_set]\nleakage = "allowed"\n', 0)])
def test_images_that_were_trained_on_promote_nobody(promote, tmp_path, leakage, code):
    """The version's own training manifest names three of them, and a copy of a fourth."""
    version_test = make_version(180)
    folder = save_project(tmp_path / "p", v1=version_test)
    version = folder / "versions" / "v1"
    described = json.loads((version / "version.json").read_text())
    name = "TrainingGroundTruth-parts-v1.json"
    place = {"Bucket": "parts", "Name": f"evaluation/{name}"}
    asset = {"GroundTruthManifest": {"S3Object": place}}
    described["TrainingDataResult"] = {"Output": {"Assets": [asset]}}
    (version / "version.json").write_text(json.dumps(described))
    seen = [*version_test.images[:3], "s3://parts/other.jpg"]
    (version / name).write_text("".join(json.dumps({"source-ref": i}) + "\n" for i in seen))
    (folder / "images").mkdir()
    for image in [*version_test.images, "other.jpg"]:
        place = folder / "images" / image.rpartition("/")[2]
        place.write_bytes(b"00007.jpg" if image == "other.jpg" else place.name.encode())
    ended, doubts = promote(folder, ACCURACY + leakage)
    assert ended == code
    assert (doubts["seen_in_training"]["count"], doubts["seen_in_training"]["of"]) == (4, 200)
    assert "'s3://parts/00000.jpg'" in doubts["seen_in_training"]["text"]


@pytest.mark.parametrize(
    ("metric", "code"), [("at_threshold/precision_macro", 4), ("aggregate/accuracy", 0)]
)
def test_top_labels_alone_promote_nobody_by_thresholds(promote, tmp_path, metric, code):
    """Any label may reach its threshold of 0.05 unseen: no false alarm is counted."""
    version_test = replace(make_version(180), thresholds=np.full(2, 0.05))
    folder = save_project(tmp_path / "p", v1=version_test)

    def keep_top(line):
        records = [key for key in line if "-evaluation-" in key and key.endswith("-metadata")]
        top = max(records, key=lambda key: line[key]["confidence"])
        for key in records:
            if key != top:
                del line[key], line[key.removesuffix("-metadata")]

    edit_lines(folder, "v1", keep_top, range(N))
    accept = '[test_set]\naccept = ["thresholds_fitted", "reported_differs"]\n'
    ended, doubts = promote(folder, FLOOR.format(metric, 0.5) + accept)
    assert ended == code
    assert doubts["records_partial"]["effect"] == "stops"


def test_answers_of_other_images_are_refused(run_mlrek, new_store, tmp_path):
    """Row 18: file names instead of addresses; the right file's run stays, and so does the no."""
    store = ("--tracking-uri", new_store)

    def evaluate(version, responses):
        args = ("evaluate", f"{OTHERS / 'project'}#{version}", "--on", OTHERS / "exam.manifest")
        return run_mlrek(*args, "--responses", responses, "--json", *store, check=False)

    refused = evaluate("champion", OTHERS / "champion-by-file-name.jsonl")
    assert refused.returncode == 1
    assert "'0.jpg' and 's3://exam/0.jpg'" in refused.stderr
    assert not MlflowClient(new_store).search_experiments(filter_string="name LIKE 'mlrek/%'")
    runs = {}
    for version in ("champion", "candidate"):
        (found,) = json.loads(evaluate(version, OTHERS / f"{version}.jsonl").stdout)["versions"]
        runs[version] = found["run_id"]
    assert evaluate("champion", OTHERS / "champion-by-file-name.jsonl").returncode == 1
    client = MlflowClient(new_store)
    accuracy = {
        v: client.get_run(run).data.metrics["aggregate/accuracy"] for v, run in runs.items()
    }
    assert accuracy == {"champion": 285 / 300, "candidate": 180 / 300}
    policy = tmp_path / "policy.toml"
    text = (OTHERS / "policy.toml").read_text()
    policy.write_text(text.replace("CHAMPION_RUN_ID", runs["champion"]))
    checked = run_mlrek(
        "check", f"runs:/{runs['candidate']}", "--policy", policy, *store, check=False
    )
    assert checked.returncode == 3


def test_an_interval_that_is_short_promotes_nobody(run_mlrek, new_store, tmp_path):
    """Of 300 images 12 are bad: few of them make the mean of both labels' ROC AUC.

    The interval lies far above .6, the value too; who accepts the doubt passes.
    """
    rng = np.random.default_rng(1)
    true = np.arange(300) % 25 > 0  # good: all but every 25th
    good = 1 / (1 + np.exp(-(rng.normal(size=300) + 3 * true - 1)))
    folder = save_project(
        tmp_path / "p",
        v1=Tested(
            images=[f"s3://parts/{i:05}.jpg" for i in range(300)],
            truth=[LABELS[int(is_good)] for is_good in true],
            labels=LABELS,
            scores=np.stack([1 - good, good], axis=1).round(6),
            is_complete=True,
        ),
    )
    store = ("--tracking-uri", new_store)
    run_mlrek("sync", folder, "--register=parts", "--quiet", *store)
    path = tmp_path / "policy.toml"

    def decide(command, policy):
        path.write_text(policy)
        asked = ("models:/parts/1", "--policy", path, "--json", *store)
        done = run_mlrek(command, *asked, check=False)
        answer = json.loads(done.stdout)
        doubts = [one for one in answer["doubts"] if one["kind"] == "interval_short"]
        return done.returncode, answer["checks"][-1], doubts

    value = FLOOR.format("aggregate/roc_auc_macro", 0.6)
    sure = f"{value}confidence = 0.95\n"
    for command in ("check", "promote"):
        code, check, (doubt,) = decide(command, sure)
        assert (code, check["status"]) == (4, "undecided")
        assert check["low"] > 0.6
        assert "12 images of the rarest kind" in check["reason"]
        assert 'accept = ["interval_short"]' in check["reason"]
        assert doubt["touches"] == ["interval/roc_auc_macro"]
        assert doubt["effect"] == "stops_intervals"
    assert decide("check", value)[0] == 0
    assert decide("check", f'[test_set]\naccept = ["interval_short"]\n{sure}')[0] == 0
    assert decide("check", sure.replace("roc_auc_macro", "accuracy"))[0] == 0

"""`mlrek compare` as a process: sources, runs, several candidates, and what cannot be compared."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from sklearn import metrics as sk
from statsmodels.stats.contingency_tables import mcnemar

BASELINE, CANDIDATE = "v2-linear", "v3-neighbours"
PREFIX = "rekognition-custom-labels-"
KEYS = {"version", "version_arn", "run_id", "test_set", "metrics", "fixed", "broken", "changed"}
KEYS |= {"why", "warnings"}
PARTS = ("label_set", "test_set", "relabelled", "model", "threshold", "unexplained")


def read_top1(digits: Path, version: str) -> dict[str, tuple[str, str, float]]:
    """Truth, top label and its confidence by image, parsed by nothing of mlrek."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth-*.json")
    return {
        line["source-ref"]: top1(line) for line in map(json.loads, path.read_text().splitlines())
    }


def top1(line: dict) -> tuple[str, str, float]:
    """True label, label of the highest confidence (ties: none in these files), and that."""
    records = [
        (value["confidence"], value["class-name"])
        for key, value in line.items()
        if key.startswith(f"{PREFIX}evaluation-") and key.endswith("-metadata")
    ]
    confidence, label = max(records)
    return line[f"{PREFIX}training-0-metadata"]["class-name"], label, confidence


def find(candidate: dict, name: str, scope: str = "shared") -> dict:
    """The row of a number."""
    (row,) = [
        row
        for row in candidate["metrics"]
        if (row["name"], row["scope"], row["label"]) == (name, scope, None)
    ]
    return row


@pytest.fixture
def store(digits_store) -> str:
    """A store of this test that holds the digits."""
    return digits_store


@pytest.fixture
def runs(run_mlrek, digits, store) -> dict[str, str]:
    """The digits as runs: run id by version."""
    done = run_mlrek("sync", digits, "--tracking-uri", store, "--json")
    return {v["version"]: v["run_id"] for v in json.loads(done.stdout)["versions"]}


def test_two_versions_on_one_test_set(run_mlrek, digits):
    """Verdict, numbers, p and lists of images, against scikit-learn, statsmodels and a count."""
    done = run_mlrek("compare", f"{digits}#{BASELINE}", f"{digits}#{CANDIDATE}", "--json")
    document = json.loads(done.stdout)
    (candidate,) = document["candidates"]
    old, new = read_top1(digits, BASELINE), read_top1(digits, CANDIDATE)
    truth = [old[image][0] for image in old]
    y_old, y_new = ([side[image][1] for image in old] for side in (old, new))
    fixed = {i for i in old if old[i][1] != old[i][0] == new[i][1]}
    broken = {i for i in old if new[i][1] != new[i][0] == old[i][1]}
    changed = {i for i in old if len({old[i][0], old[i][1], new[i][1]}) == 3}

    assert document["baseline"]["version"] == BASELINE
    assert candidate.keys() >= KEYS
    assert (
        candidate["test_set"].items()
        >= {
            "verdict": "same",
            "shared": 754,
            "only_baseline": 0,
            "only_candidate": 0,
            "relabelled": 0,
            "duplicated": 0,
        }.items()
    )
    for scope in ("whole", "shared"):
        accuracy, f1 = (find(candidate, f"aggregate/{n}", scope) for n in ("accuracy", "f1_macro"))
        assert accuracy["baseline"] == pytest.approx(sk.accuracy_score(truth, y_old), abs=1e-12)
        assert accuracy["candidate"] == pytest.approx(sk.accuracy_score(truth, y_new), abs=1e-12)
        expected = [sk.f1_score(truth, y, average="macro") for y in (y_old, y_new)]
        assert [f1["baseline"], f1["candidate"]] == pytest.approx(expected, abs=1e-12)
        assert f1["difference"] == pytest.approx(expected[1] - expected[0], abs=1e-12)
        assert 0 < f1["low"] < f1["difference"] < f1["high"]
    exact = mcnemar([[0, len(broken)], [len(fixed), 0]], exact=True).pvalue
    assert accuracy["p"] == pytest.approx(exact, rel=0.5)
    assert accuracy["p"] < exact
    for name, images in (("fixed", fixed), ("broken", broken), ("changed", changed)):
        assert {change["image"] for change in candidate[name]} == images
    change = candidate["broken"][0]
    assert change["truth"] == [old[change["image"]][0]]
    assert change["candidate"] == {
        "labels": [new[change["image"]][1]],
        "confidence": new[change["image"]][2],
    }


def test_the_parts_of_why_add_up(run_mlrek, digits):
    """Of the macro-F1 and of the service's own F1, also where the test sets only overlap."""
    done = run_mlrek("compare", f"{digits}#{BASELINE}", f"{digits}#v4-new-split", "--json")
    (candidate,) = json.loads(done.stdout)["candidates"]

    assert candidate["test_set"]["verdict"] == "overlapping"
    assert candidate["test_set"]["shared"] == 150
    assert {"aggregate/f1_macro", "reported/f1"} <= candidate["why"].keys()
    for name, why in candidate["why"].items():
        row = find(candidate, name, "whole")
        assert why["total"] == pytest.approx(row["difference"], abs=1e-12)
        assert sum(why[part] or 0 for part in PARTS) == pytest.approx(why["total"], abs=1e-12)
        low, high = why["intervals"]["test_set"]
        assert low < why["test_set"] < high
    assert candidate["why"]["aggregate/f1_macro"]["threshold"] == 0
    assert candidate["why"]["at_threshold/f1_macro"]["threshold"] is None
    assert "records stop" in candidate["why"]["at_threshold/f1_macro"]["note"]


def test_runs_are_enough(run_mlrek, runs, store, tmp_path, digits):
    """Runs alone give what the files gave, and the candidate's run keeps the comparison."""
    from mlflow import MlflowClient

    versions = [f"{digits}#{version}" for version in (BASELINE, CANDIDATE)]
    files = run_mlrek("compare", *versions, "--json", "--no-log")
    names = (f"runs:/{runs[v]}" for v in (BASELINE, CANDIDATE))
    done = run_mlrek("compare", *names, "--tracking-uri", store, "--json")
    from_files, from_runs = (json.loads(d.stdout)["candidates"][0] for d in (files, done))
    client = MlflowClient(store)
    folder = Path(
        client.download_artifacts(runs[CANDIDATE], f"comparison/{BASELINE}", str(tmp_path))
    )
    kept = json.loads((folder / "comparison.json").read_text())
    rows = list(csv.DictReader(StringIO((folder / "fixed_broken.csv").read_text())))

    assert from_runs.pop("run_id") == runs[CANDIDATE]
    assert from_files.pop("run_id") is None
    assert from_runs == from_files
    assert kept["candidates"][0]["metrics"] == from_runs["metrics"]
    assert {p.name for p in folder.iterdir()} >= {
        "comparison.json",
        "fixed_broken.csv",
        "confusion_difference.png",
        "summary.md",
    }
    assert [r["change"] for r in rows].count("fixed") == len(from_runs["fixed"])
    assert (folder / "summary.md").read_text().startswith("### v3-neighbours against v2-linear\n")


def test_a_version_read_from_files_finds_its_run(run_mlrek, runs, store, digits):
    """A comparison of files is kept in the run of the candidate, if it is logged."""
    versions = [f"{digits}#{v}" for v in (BASELINE, CANDIDATE)]
    done = run_mlrek("compare", *versions, "--tracking-uri", store, "--json")
    document = json.loads(done.stdout)

    assert document["candidates"][0]["run_id"] == runs[CANDIDATE]
    assert f"kept in runs:/{runs[CANDIDATE]}/comparison: http://127.0.0.1:5000/#/" in done.stderr
    assert "/artifacts/comparison/v2-linear/comparison.html?" in done.stderr
    assert "mlrek ui" in done.stderr


def test_three_versions(run_mlrek, digits):
    """Cochran's Q over all of them, and Holm over the three pairs."""
    from statsmodels.stats.contingency_tables import cochrans_q

    names = ("v1-naive-bayes", BASELINE, CANDIDATE)
    done = run_mlrek("compare", *(f"{digits}#{name}" for name in names), "--json")
    document = json.loads(done.stdout)
    sides = [read_top1(digits, name) for name in names]
    right = [[side[i][0] == side[i][1] for side in sides] for i in sides[0]]
    expected = cochrans_q(right)
    several = document["all_versions"]

    assert [c["version"] for c in document["candidates"]] == [BASELINE, CANDIDATE]
    assert several["cochran_q"] == pytest.approx(expected.statistic, rel=1e-12)
    assert several["p"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert len(several["pairs"]) == 3
    assert all(pair["p_adjusted"] >= pair["p"] for pair in several["pairs"])


def test_versions_on_other_images_too_adjust_each_pair_s_own_p(run_mlrek, digits):
    """Holm over all pairs, each on the images that both were tested on, as its p is."""
    from statsmodels.stats.multitest import multipletests

    names = (BASELINE, CANDIDATE, "v4-new-split")

    def compare(*chosen):
        done = run_mlrek("compare", *(f"{digits}#{name}" for name in chosen), "--json")
        candidates = json.loads(done.stdout)["candidates"]
        return [find(c, "aggregate/accuracy") for c in candidates]

    rows = compare(*names)
    p = [rows[0]["p"], rows[1]["p"], compare(*names[1:])[0]["p"]]
    expected = multipletests(p, method="holm")[1]

    assert [row["p_adjusted"] for row in rows] == pytest.approx(expected[:2], rel=1e-9)


def test_disjoint_test_sets(run_mlrek, tmp_path, digits):
    """Exit code 4; both numbers stand there, what moved them is not separable."""
    folder = tmp_path / "moved" / "versions" / CANDIDATE
    folder.mkdir(parents=True)
    for path in (digits / "versions" / CANDIDATE).iterdir():
        text = path.read_text()
        if path.name.startswith("TestingGroundTruth"):
            text = text.replace("s3://digits/", "s3://other/")
        (folder / path.name).write_text(text)
    (tmp_path / "moved" / "project.json").write_text((digits / "project.json").read_text())
    done = run_mlrek("compare", f"{digits}#{BASELINE}", tmp_path / "moved", "--json", check=False)
    (candidate,) = json.loads(done.stdout)["candidates"]
    why = candidate["why"]["aggregate/f1_macro"]

    assert done.returncode == 4, done.stderr
    assert candidate["test_set"]["verdict"] == "disjoint"
    assert find(candidate, "aggregate/f1_macro", "whole")["difference"] == pytest.approx(
        why["total"]
    )
    assert [why[part] for part in PARTS] == [None] * 6
    assert why["note"].startswith("not separable")


def test_different_tasks_are_refused(run_mlrek, digits):
    """Boxes and labels answer different questions: 4, in one line."""
    examples = digits.parent
    versions = f"{examples}/detection#v1-linear", f"{digits}#{BASELINE}"
    done = run_mlrek("compare", *versions, check=False)

    assert done.returncode == 4
    assert done.stderr.startswith("mlrek: v1-linear is a detection and v2-linear a classification")
    assert done.stderr.count("\n") == 1


def test_renamed_labels(run_mlrek, tmp_path, digits):
    """With a label map, a version whose labels were renamed has the same test set."""
    folder = tmp_path / "renamed"
    folder.mkdir()
    for path in (digits / "versions" / CANDIDATE).iterdir():
        (folder / path.name).write_text(path.read_text().replace('"eight"', '"8"'))
    (tmp_path / "map.csv").write_text("old,new\neight,8\n")
    versions = f"{digits}#{CANDIDATE}", folder
    plain = run_mlrek("compare", *versions, "--json")
    mapped = run_mlrek("compare", *versions, "--label-map", "map.csv", "--json")
    before, after = (json.loads(done.stdout)["candidates"][0] for done in (plain, mapped))

    assert before["test_set"]["relabelled"] > 0
    assert before["test_set"]["labels_only_candidate"] == ["8"]
    assert after["test_set"]["verdict"] == "same"
    assert find(after, "aggregate/f1_macro")["difference"] == 0
    assert after["fixed"] == after["broken"] == []


def test_a_store_that_is_away_loses_nothing(run_mlrek, digits):
    """Versions read from files are compared all the same; a warning says what was not kept."""
    versions = (f"{digits}#{version}" for version in (BASELINE, CANDIDATE))
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = run_mlrek("compare", *versions, "--json", env=away)

    assert json.loads(done.stdout)["candidates"][0]["test_set"]["verdict"] == "same"
    assert "warning: the comparison is kept in no run: http://127.0.0.1:9: " in done.stderr


def test_a_run_without_a_store(run_mlrek, tmp_path, digits):
    """One line that says what to do, and no database made in passing."""
    done = run_mlrek("compare", "runs:/0123", f"{digits}#{CANDIDATE}", check=False)

    assert done.returncode == 1
    assert "there is no such store; name another with --tracking-uri" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label-map", "nowhere.csv"], "no such file or folder"),
        (["--group-by", "("], "no regular expression"),
        (["--label-map", "unknown.json"], "renames 'twelve', which neither version has"),
    ],
)
def test_wrong_usage(run_mlrek, tmp_path, digits, options, said):
    """Exit code 2, in one line."""
    (tmp_path / "unknown.json").write_text('{"twelve": "12"}')
    versions = f"{digits}#{BASELINE}", f"{digits}#{CANDIDATE}"
    done = run_mlrek("compare", *versions, *options, check=False)

    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_a_person_reads(run_mlrek, tmp_path, digits):
    """The verdict first; a markdown file for a pull request."""
    versions = f"{digits}#{BASELINE}", f"{digits}#{CANDIDATE}"
    done = run_mlrek("compare", *versions, "--markdown", "summary.md")
    markdown = (tmp_path / "summary.md").read_text()

    assert done.stdout.splitlines()[1].startswith("Better: accuracy 0.9324 → 0.9854 (+0.0531")
    assert "Images: 42 fixed, 2 broken, 2 wrong in another way." in done.stdout
    assert "| accuracy | 0.9324 | 0.9854 | +0.0531 |" in markdown


@pytest.mark.parametrize(
    ("example", "versions", "number"),
    [
        ("multilabel", ("v1-linear", "v2-halves"), "aggregate/subset_accuracy"),
        ("detection", ("v1-linear", "v2-neighbours"), "aggregate/ap"),
        ("lookout-classification", ("1", "2"), "aggregate/accuracy"),
        ("lookout-segmentation", ("1", "2"), "aggregate/mean_iou"),
        ("vertex", ("1", "2"), "aggregate/f1_macro"),
    ],
)
def test_every_task_and_provider(run_mlrek, digits, example, versions, number):
    """Both versions of each example, the second one better, with an interval of the difference."""
    names = (f"{digits.parent / example}#{version}" for version in versions)
    done = run_mlrek("compare", *names, "--json")
    (candidate,) = json.loads(done.stdout)["candidates"]
    row = find(candidate, number)

    assert candidate["test_set"]["verdict"] == "same"
    assert row["difference"] > 0
    assert row["low"] <= row["difference"] <= row["high"]

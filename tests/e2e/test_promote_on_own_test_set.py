"""Versions whose test images the service chose by itself are promoted on your own test set."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

PREFIX = "rekognition-custom-labels-"
SPLIT = "v4-new-split"  # tested on images of its own
POLICY = """
[baseline]
version = "models:/digits@champion"

[test_set]
same = "required"

[[floor]]
metric = "label_recall/*"
min = 0.80

[[no_worse]]
metric = "aggregate/accuracy"
margin = 0.005
"""


@pytest.fixture
def uri(tmp_path) -> str:
    """A store of this test."""
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def holdout(digits, tmp_path) -> Path:
    """The images that v2 and v4 both answered, with their truth, and the answers next to them."""
    found = {version: read_answers(digits, version) for version in ("v2-linear", SPLIT)}
    shared = sorted(set(found["v2-linear"]) & set(found[SPLIT]))
    truth = {image: found[SPLIT][image][0] for image in shared}
    manifest = tmp_path / "holdout.manifest"
    write_lines(manifest, [describe_truth(image, label) for image, label in truth.items()])
    for version, answers in found.items():
        lines = [{"image": i, "response": {"CustomLabels": answers[i][1]}} for i in shared]
        write_lines(tmp_path / f"{version}.jsonl", lines)
    return manifest


def read_answers(digits: Path, version: str) -> dict[str, tuple[str, list[dict]]]:
    """True label and answer of each test image, parsed by nothing of mlrek."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth-*.json")
    answers = {}
    for line in map(json.loads, path.read_text().splitlines()):
        records = [v for k, v in line.items() if k.startswith(f"{PREFIX}evaluation-")]
        said = [
            {"Name": record["class-name"], "Confidence": 100 * record["confidence"]}
            for record in records
            if isinstance(record, dict)
        ]
        truth = line[f"{PREFIX}training-0-metadata"]["class-name"]
        answers[line["source-ref"]] = truth, said
    return answers


def describe_truth(image: str, label: str) -> dict:
    """A line as Ground Truth writes it."""
    metadata = {"class-name": label, "type": "groundtruth/image-classification"}
    metadata |= {"job-name": "labeling-job/digit", "human-annotated": "yes", "confidence": 1}
    return {"source-ref": image, "digit": 1, "digit-metadata": metadata}


def write_lines(path: Path, lines: list[dict]) -> None:
    """JSON Lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def ask(run_mlrek, uri, tmp_path):
    """Run a command with the policy: the exit code, its document, the first check's reason."""
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)

    def run(command: str, candidate: str, *args: str):
        done = run_mlrek(
            *(command, candidate, "--policy", policy, "--tracking-uri", uri, "--json", *args),
            check=False,
        )
        document = json.loads(done.stdout)
        return done.returncode, document, document["checks"][0]["reason"]

    return run


@pytest.fixture
def evaluate(run_mlrek, uri, holdout, digits, tmp_path):
    """Evaluate a version on the test set: its run."""

    def run(version: str) -> str:
        done = run_mlrek(
            *("evaluate", f"{digits}#{version}", "--on", holdout),
            *("--responses", tmp_path / f"{version}.jsonl", "--tracking-uri", uri, "--json"),
        )
        document = json.loads(done.stdout)
        (project,) = document["projects"]
        assert "viewStateShareKey=mlrek" in project["links"]["charts"]  # the view of the sync
        return f"runs:/{document['versions'][0]['run_id']}"

    return run


def test_what_a_refusal_advises_leads_to_a_promotion(run_mlrek, ask, evaluate, uri, digits):
    """No own test set yet, one without the champion, one with both: each says what next."""
    run_mlrek("sync", digits, "--register=digits", "--tracking-uri", uri, "--quiet")
    client = MlflowClient(uri)
    client.set_registered_model_alias("digits", "champion", "2")

    code, _, reason = ask("promote", "models:/digits/4", "--yes")
    assert code == 4
    assert "evaluate both on one test set (mlrek evaluate VERSION --on MANIFEST)" in reason

    candidate = evaluate(SPLIT)
    code, _, reason = ask("promote", candidate, "--yes")
    assert code == 4
    assert (
        "evaluate the baseline on 'holdout', too "
        "(mlrek evaluate models:/digits@champion --on MANIFEST)"
    ) in reason

    baseline = evaluate("v2-linear")
    code, _, reason = ask("promote", "models:/digits/4", "--yes")
    assert code == 4
    assert f"both were tested on 'holdout' as well: check {candidate} instead" in reason

    note = client.get_experiment_by_name("mlrek/digits").tags["mlflow.note.content"]
    assert "| holdout | v4-new-split | 150 | 1.000 | +0.080 | 1.000 |" in note

    code, found, reason = ask("check", candidate)
    assert (code, reason) == (0, "both were tested on the same 150 images")
    assert [f"runs:/{found[side]['run_id']}" for side in ("candidate", "baseline")] == [
        candidate,
        baseline,
    ]

    code, found, _ = ask("promote", candidate, "--yes")
    assert (code, found["promotion"]["outcome"]) == (0, "moved")
    champion = client.get_model_version_by_alias("digits", "champion")
    assert (int(champion.version), champion.tags["validation_status"]) == (4, "approved")
    verified = run_mlrek("verify", "models:/digits@champion", "--tracking-uri", uri, "--json")
    assert json.loads(verified.stdout)["verdict"] == "holds"
    assert (
        client.get_run(candidate.removeprefix("runs:/")).data.tags["mlrek.decision"]
        == (champion.tags["mlrek.decision"])
    )


def test_a_run_that_is_named_as_the_baseline_is_the_one_that_counts(
    run_mlrek, ask, evaluate, uri, digits
):
    """Also when its version was tested on the candidate's own test set in another run."""
    done = run_mlrek("sync", digits, "--version=v2-linear", "--tracking-uri", uri, "--json")
    own = json.loads(done.stdout)["versions"][0]["run_id"]
    candidate, _ = evaluate(SPLIT), evaluate("v2-linear")

    code, found, reason = ask("check", candidate, "--baseline", f"runs:/{own}")

    assert (code, found["baseline"]["run_id"]) == (4, own)
    assert "604 only the baseline's" in reason

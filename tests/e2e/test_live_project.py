"""A Rekognition project over HTTP, on a bad day, becomes runs with the right numbers."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from fakes.rekognition_server import Fault
from sklearn.metrics import accuracy_score

EVALUATION = "rekognition-custom-labels-evaluation-"
TRUTH = "rekognition-custom-labels-training-0-metadata"
IN_TRAINING = "v5-in-training"
FAILED = "v6-failed"


@pytest.fixture
def live(digits, rekognition_server, s3_server):
    """The digits project served live in pages of two, with what a bad day adds."""
    described = [read_description(path) for path in (digits / "versions").iterdir()]
    for description in described:
        upload(s3_server, digits, description)
    first = min(described, key=lambda d: d["CreationTimestamp"])
    project_arn = json.loads((digits / "project.json").read_text())["project_arn"]
    described += [
        bare(first, IN_TRAINING, "TRAINING_IN_PROGRESS"),
        bare(first, FAILED, "TRAINING_FAILED", StatusMessage="too few images"),
    ]
    rekognition_server.page_size = 2
    rekognition_server.add_project(project_arn, described[::-1])
    rekognition_server.faults += [
        Fault("DescribeProjectVersions", "ThrottlingException", times=2, page=0),
        Fault("DescribeProjectVersions", "ProvisionedThroughputExceededException", page=2),
    ]
    return project_arn


@pytest.fixture
def sync(live, run_mlrek, rekognition_server, s3_server, tmp_path):
    """Sync the live project and read the JSON."""

    def run(*args, check=True):
        store = f"sqlite:///{tmp_path}/mlflow.db"
        env = s3_server.env | rekognition_server.env
        done = run_mlrek(
            "sync", live, "--tracking-uri", store, "--json", *args, env=env, check=check
        )
        result = json.loads(done.stdout)
        return done.returncode, {v["version"]: v for v in result["versions"]}

    return run


def read_description(folder: Path) -> dict:
    """A version's description as the API gives it, with real times."""
    description = json.loads((folder / "version.json").read_text())
    for key in ("CreationTimestamp", "TrainingEndTimestamp"):
        description[key] = datetime.fromisoformat(description[key])
    return description


def bare(like: dict, name: str, status: str, **more: str) -> dict:
    """A version of the same project that has no evaluation."""
    head, _, rest = like["ProjectVersionArn"].partition("/version/")
    arn = f"{head}/version/{name}/{rest.split('/')[1]}"
    created = like["CreationTimestamp"]
    return {"ProjectVersionArn": arn, "CreationTimestamp": created, "Status": status, **more}


def place(description: dict, part: str) -> dict:
    """The S3 object of a version's summary or manifest."""
    if part == "summary":
        return description["EvaluationResult"]["Summary"]["S3Object"]
    (asset,) = description["TestingDataResult"]["Output"]["Assets"]
    return asset["GroundTruthManifest"]["S3Object"]


def upload(s3, digits: Path, description: dict) -> None:
    """Put the version's files where its description says they are."""
    folder = digits / "versions" / description["ProjectVersionArn"].split("/")[3]
    for part in ("summary", "manifest"):
        where = place(description, part)
        content = (folder / Path(where["Name"]).name).read_bytes()
        s3.put(where["Bucket"], where["Name"], content)


def expected_accuracy(digits: Path, version: str) -> float:
    """Accuracy of the highest-confidence records, by scikit-learn alone."""
    (path,) = (digits / "versions" / version).glob("TestingGroundTruth-*.json")
    y_true, y_pred = [], []
    for line in map(json.loads, path.read_text().splitlines()):
        records = [v for k, v in line.items() if k.startswith(EVALUATION) and isinstance(v, dict)]
        best = max(records, key=lambda record: record["confidence"])
        y_true.append(line[TRUTH]["class-name"])
        y_pred.append(best["class-name"])
    return accuracy_score(y_true, y_pred)


def logged_accuracy(tmp_path: Path, version: dict) -> float:
    """What the run holds."""
    from mlflow import MlflowClient

    run = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(version["run_id"])
    return run.data.metrics["aggregate/accuracy"]


def test_a_live_project_ends_as_promised(
    sync, digits, s3_server, rekognition_server, tmp_path, live
):
    """Small pages, throttling, versions in training, failed, without manifest, with a bad line."""
    descriptions = {path.name: read_description(path) for path in (digits / "versions").iterdir()}
    gone = place(descriptions["v1-naive-bayes"], "manifest")
    s3_server.client.delete_object(Bucket=gone["Bucket"], Key=gone["Name"])
    broken = place(descriptions["v2-linear"], "manifest")
    (good,) = (digits / "versions" / "v2-linear").glob("TestingGroundTruth-*.json")
    lines = good.read_bytes().splitlines(keepends=True)
    s3_server.put(
        broken["Bucket"], broken["Name"], b"".join([*lines[:9], b'{"half":\n', *lines[9:]])
    )
    code, versions = sync(check=False)

    assert code == 1
    assert {name: v["action"] for name, v in versions.items()} == {
        "v1-naive-bayes": "created",
        "v2-linear": "failed",
        "v3-neighbours": "created",
        "v4-new-split": "created",
        IN_TRAINING: "skipped",
        FAILED: "skipped",
    }
    assert "TestingGroundTruth" in versions["v2-linear"]["reason"]
    assert ":10:" in versions["v2-linear"]["reason"]
    assert "too few images" in versions[FAILED]["reason"]
    assert any("manifest" in w for w in versions["v1-naive-bayes"]["warnings"])
    for name in ("v3-neighbours", "v4-new-split"):
        accuracy = logged_accuracy(tmp_path, versions[name])
        assert accuracy == pytest.approx(expected_accuracy(digits, name), abs=1e-12)
    pages = [p.get("NextToken") for op, p in rekognition_server.requests if "Versions" in op]
    assert set(pages) == {None, "from-2", "from-4"}

    code, versions = sync("--skip-bad-lines", "--version", "v2-linear")
    assert (code, versions["v2-linear"]["action"]) == (0, "created")
    assert any("1 " in w and "10" in w for w in versions["v2-linear"]["warnings"])
    accuracy = logged_accuracy(tmp_path, versions["v2-linear"])
    assert accuracy == pytest.approx(expected_accuracy(digits, "v2-linear"), abs=1e-12)


def test_a_second_sync_downloads_no_manifest(sync, s3_server, digits):
    """ETag, size and version id tell `unchanged`."""
    sync()
    s3_server.proxy.reset()
    code, versions = sync()

    assert code == 0
    assert {v["action"] for v in versions.values()} == {"unchanged", "skipped"}
    described = read_description(digits / "versions" / "v3-neighbours")
    assert s3_server.proxy.requests_for(place(described, "manifest")["Name"]) == []


def test_a_denied_manifest_fails_that_version_alone(sync, s3_server, digits):
    """A 403 may mean anything: it is never taken for `gone`."""
    described = read_description(digits / "versions" / "v3-neighbours")
    s3_server.proxy.fail(place(described, "manifest")["Name"], 403, "AccessDenied")
    code, versions = sync(check=False)

    assert code == 1
    assert versions["v3-neighbours"]["action"] == "failed"
    assert "s3:GetObject" in versions["v3-neighbours"]["reason"]
    assert versions["v2-linear"]["action"] == "created"


def test_a_changed_evaluation_replaces_its_run(sync, s3_server, digits, tmp_path):
    """New content, new run; the old one is gone."""
    _, before = sync()
    described = read_description(digits / "versions" / "v3-neighbours")
    where = place(described, "manifest")
    (path,) = (digits / "versions" / "v3-neighbours").glob("TestingGroundTruth-*.json")
    content = path.read_bytes()
    s3_server.put(where["Bucket"], where["Name"], content.replace(b"0.99992", b"0.99991", 1))
    _, after = sync()

    assert after["v3-neighbours"]["action"] == "replaced"
    assert after["v3-neighbours"]["run_id"] != before["v3-neighbours"]["run_id"]
    assert after["v2-linear"]["action"] == "unchanged"
    assert logged_accuracy(tmp_path, after["v3-neighbours"]) > 0.9

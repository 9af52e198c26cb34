"""Files from a console, an archive and the service tell of one project: one experiment, one run."""

import json
import shutil
from pathlib import Path

import pytest
from fakes.evaluations import PROJECT_ARN, describe, make_files, version_arn
from mlflow import MlflowClient

from mlrek.sources import open_source

CASE = Path(__file__).parents[1] / "data" / "cases" / "one-project-two-experiments"
FULL = "arn:aws:rekognition:eu-west-1:111122223333:project/parts/1690474772815"


@pytest.mark.parametrize("order", [("downloaded", "archive"), ("archive", "downloaded")])
def test_downloaded_and_archived_versions_are_one_project(run_mlrek, new_store, order):
    """The fuller ARN wins, whichever comes first, and no version is logged twice."""
    for place in order:
        args = ["sync", CASE / place, "--tracking-uri", new_store, "--json"]
        document = json.loads(run_mlrek(*args).stdout)
    assert {one["action"] for one in document["versions"]} <= {"unchanged", "replaced"}
    assert {one["project_arn"] for one in document["versions"]} == {FULL}
    client = MlflowClient(new_store)
    places = [e for e in client.search_experiments() if e.name.startswith("mlrek/")]
    assert [(e.name, e.tags["project_arn"]) for e in places] == [("mlrek/parts", FULL)]
    runs = client.search_runs([places[0].experiment_id])
    assert sorted(run.data.tags["version_name"] for run in runs) == ["v1", "v2"]
    assert {run.data.tags["project_arn"] for run in runs} == {FULL}


def test_both_at_once_are_one_project(run_mlrek, new_store):
    """One experiment, each version once."""
    args = ["sync", CASE / "downloaded", CASE / "archive", "--tracking-uri", new_store, "--json"]
    document = json.loads(run_mlrek(*args).stdout)
    assert [one["action"] for one in document["versions"]] == ["created", "created"]
    assert [project["experiment"] for project in document["projects"]] == ["mlrek/parts"]


def test_a_saved_description_beside_the_files_is_read(run_mlrek):
    """Status, times and a test set that the service did not split off."""
    done = run_mlrek("versions", CASE / "with-describe", "--json")
    for version in json.loads(done.stdout)["versions"]:
        assert version["status"] == "TRAINING_COMPLETED"
    first = open_source(str(CASE / "with-describe")).list_versions()[0]
    assert first.version.training_start_ms == 1773153067000  # 2026-03-10T14:31:07Z
    assert first.version.training_end_ms == 1773156576000  # 2026-03-10T15:29:36Z
    assert (first.warnings, len(first.parts)) == ((), 2)


@pytest.mark.parametrize(
    "time", ["Tue Mar 10 14:31:07 UTC 2026", 1773153067500, "datetime.datetime(2026, 3, 10, 14)"]
)
def test_a_time_that_cannot_be_read_is_told(tmp_path, time):
    """As Java, JavaScript and Python write it."""
    folder = Path(shutil.copytree(CASE / "archive", tmp_path / "a"))
    path = folder / "versions" / "v1" / "version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"CreationTimestamp": time}))
    (entry,) = [e for e in open_source(str(folder)).list_versions() if e.version.name == "v1"]
    assert any("CreationTimestamp is not a time and was left out" in w for w in entry.warnings)


@pytest.fixture
def live(rekognition_server, s3_server) -> str:
    """The service's project of two versions, whose files are in S3."""
    described = [
        describe(version_arn(name, 1690556751958 + i)) for i, name in enumerate(("1", "2"))
    ]
    for (bucket, key), content in (item for d in described for item in make_files(d).items()):
        s3_server.put(bucket, key, content)
    return rekognition_server.add_project(PROJECT_ARN, described)


def test_the_service_its_archive_and_downloaded_files_are_one_project(
    run_mlrek, new_store, tmp_path, live, rekognition_server, s3_server
):
    """One experiment and one run a version, whichever is synced first, and all three at once."""
    env = s3_server.env | rekognition_server.env
    archive, downloaded = tmp_path / "archive", tmp_path / "downloaded"
    run_mlrek("archive", live, archive, env=env)
    downloaded.mkdir()
    for name in ("EvaluationResultSummary-*", "TestingGroundTruth-*"):
        for file in archive.glob(f"versions/*/{name}"):
            shutil.copy(file, downloaded)

    def sync(*places: object, at: str) -> list[tuple[str, str, str]]:
        done = run_mlrek("sync", *places, "--tracking-uri", at, "--json", env=env)
        versions = json.loads(done.stdout)["versions"]
        return [(one["project_arn"], one["version"], one["action"]) for one in versions]

    other = f"sqlite:///{shutil.copy(tmp_path / 'mlflow.db', tmp_path / 'other.db')}"
    created = [(PROJECT_ARN, name, "created") for name in ("1", "2")]
    assert sync(downloaded, at=new_store)[0][1:] == ("1", "created")
    for place in (live, archive):
        assert {one[0] for one in sync(place, at=new_store)} == {PROJECT_ARN}
    assert sync(live, archive, downloaded, at=other) == created
    for uri in (new_store, other):
        client = MlflowClient(uri)
        (place,) = (e for e in client.search_experiments() if e.name != "Default")
        assert (place.name, place.tags["project_arn"]) == ("mlrek/pets", PROJECT_ARN)
        runs = client.search_runs([place.experiment_id])
        assert sorted(run.data.tags["version_name"] for run in runs) == ["1", "2"]
        assert {run.data.tags["project_arn"] for run in runs} == {PROJECT_ARN}

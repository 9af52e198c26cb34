"""Files from a console, an archive and the service tell of one project: one experiment, one run."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

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

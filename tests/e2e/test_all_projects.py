"""`mlrek sync --all-projects`: an account with several projects, and the service's pace."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from fakes.rekognition_server import Fault

EXAMPLES = Path(__file__).parents[2] / "examples"
PROJECTS = {
    "digits": ("v1-naive-bayes", "v2-linear", "v3-neighbours", "v4-new-split"),
    "digit-pairs": ("v1-linear", "v2-halves"),
    "digit-scenes": ("v1-linear", "v2-neighbours"),
}
CALLS_A_SECOND = 5
"""What AWS allows an account: of DescribeProjects and DescribeProjectVersions together."""


@pytest.fixture
def account(rekognition_server, s3_server):
    """Three projects, each listed in pages of one, at the pace of the service."""
    for folder in ("digits", "multilabel", "detection"):
        upload_project(EXAMPLES / folder, rekognition_server, s3_server)
    rekognition_server.page_size = 1
    rekognition_server.calls_a_second = CALLS_A_SECOND
    return rekognition_server


@pytest.fixture
def sync(run_mlrek, rekognition_server, s3_server, tmp_path):
    """Sync and read the JSON."""

    def run(*args):
        store = f"sqlite:///{tmp_path}/mlflow.db"
        env = s3_server.env | rekognition_server.env
        command = ("sync", *args, "--tracking-uri", store, "--json")
        done = run_mlrek(*command, env=env, check=False)
        return done.returncode, json.loads(done.stdout)

    return run


def upload_project(folder: Path, rekognition, s3) -> str:
    """Serve an example as the service would; its ARN comes back."""
    descriptions = []
    for path in sorted(folder.glob("versions/*/version.json")):
        description = json.loads(path.read_text())
        for key in ("CreationTimestamp", "TrainingEndTimestamp"):
            description[key] = datetime.fromisoformat(description[key])
        descriptions.append(description)
        (asset,) = description["TestingDataResult"]["Output"]["Assets"]
        manifest = asset["GroundTruthManifest"]["S3Object"]
        for place in (description["EvaluationResult"]["Summary"]["S3Object"], manifest):
            content = (path.parent / Path(place["Name"]).name).read_bytes()
            s3.put(place["Bucket"], place["Name"], content)
    arn = json.loads((folder / "project.json").read_text())["project_arn"]
    return rekognition.add_project(arn, descriptions)


def by_project(result: dict) -> dict[str, tuple[str, ...]]:
    """The versions of each project, by its name."""
    found: dict[str, list[str]] = {}
    for version in result["versions"]:
        found.setdefault(version["project_arn"].split("/")[1], []).append(version["version"])
    return {name: tuple(versions) for name, versions in found.items()}


def test_every_project_of_the_account_is_logged(account, sync):
    """Each in an experiment of its own, at no more calls than the service allows."""
    code, result = sync("--all-projects")

    assert code == 0
    assert by_project(result) == PROJECTS
    assert {v["action"] for v in result["versions"]} == {"created"}
    experiments = {project["experiment"] for project in result["projects"]}
    assert experiments == {f"mlrek/{name}" for name in PROJECTS}
    assert len(account.requests) - account.throttled == sum(map(len, PROJECTS.values())) + 3
    code, result = sync("--all-projects")
    assert {v["action"] for v in result["versions"]} == {"unchanged"}


def test_a_named_source_that_is_among_them_counts_once(account, sync):
    """SOURCE and --all-projects add up."""
    code, result = sync(str(EXAMPLES / "digits"), "--all-projects", "--dry-run")

    assert code == 0
    assert {name: set(v) for name, v in by_project(result).items()} == {
        name: set(versions) for name, versions in PROJECTS.items()
    }


def test_a_project_that_cannot_be_listed_hides_no_other(account, sync):
    """It may be deleted or denied: that is told, and the others are logged."""
    account.calls_a_second = None
    arn = account.projects[0]["ProjectArn"]
    account.projects.append({**account.projects[0], "ProjectArn": arn.replace("digits", "gone")})
    code, result = sync("--all-projects")

    assert code == 1
    failed = [v for v in result["versions"] if v["action"] == "failed"]
    assert [(v["project_arn"].split("/")[1], v["version"]) for v in failed] == [("gone", "*")]
    assert "not there" in failed[0]["reason"]
    assert sum(v["action"] == "created" for v in result["versions"]) == 8


@pytest.mark.parametrize("name", ["v2-linear", "v9"])
def test_a_project_that_cannot_be_listed_is_told_whatever_versions_are_asked_for(
    account, sync, name
):
    """The version may be in that project: nobody may take silence for its absence."""
    account.calls_a_second = None
    arn = account.projects[0]["ProjectArn"]
    account.projects.append({**account.projects[0], "ProjectArn": arn.replace("digits", "gone")})
    code, result = sync("--all-projects", "--version", name)

    assert code == 1
    assert [(v["version"], v["action"]) for v in result["versions"]] == [
        *([("v2-linear", "created")] if name == "v2-linear" else []),
        ("*", "failed"),
    ]


def test_an_account_that_may_not_be_listed_is_one_line(account, run_mlrek):
    """The permission that is missing is named."""
    account.faults.append(Fault("DescribeProjects", "AccessDeniedException"))
    done = run_mlrek("sync", "--all-projects", env=account.env, check=False)

    assert done.returncode == 1
    assert "rekognition:DescribeProjects" in done.stderr


def test_a_source_or_all_projects_is_needed(run_mlrek):
    """Wrong usage says what to give."""
    done = run_mlrek("sync", check=False)

    assert done.returncode == 2
    assert done.stderr == (
        "mlrek: name a SOURCE, or give --all-projects; `mlrek sync --help` tells more\n"
    )

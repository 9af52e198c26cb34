"""ARNs of projects and versions."""

import pytest

from mlrek.evaluation import Project, Provider, Version
from mlrek.sources.description import parse_arn, parse_project_arn, parse_version_arn

PROJECT = "arn:aws:rekognition:us-east-1:111122223333:project/my-project/1690474772815"
VERSION = "arn:aws:rekognition:us-east-1:111122223333:project/my-project/version/1/1690556751958"


def test_project_arn():
    """The ARN of a project names it."""
    expected = Project(provider=Provider.REKOGNITION, arn=PROJECT, name="my-project")
    assert parse_project_arn(PROJECT) == expected


def test_version_arn():
    """A version's ARN tells its name, its training's start, and the beginning of its project's."""
    prefix = "arn:aws:rekognition:us-east-1:111122223333:project/my-project"
    project = Project(provider=Provider.REKOGNITION, arn=prefix, name="my-project")
    expected = Version(project=project, arn=VERSION, name="1", training_start_ms=1690556751958)
    assert parse_version_arn(VERSION) == expected


def test_parts():
    """Region and account can be read from an ARN."""
    arn = parse_arn(VERSION)
    assert arn is not None
    assert (arn.partition, arn.region, arn.account) == ("aws", "us-east-1", "111122223333")
    assert (arn.project_name, arn.version_name, arn.created_ms) == (
        *("my-project", "1"),
        1690556751958,
    )


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso-b"])
def test_any_partition(partition):
    """China, GovCloud and the others have ARNs of their own."""
    arn = parse_arn(PROJECT.replace("aws", partition, 1))
    assert arn is not None
    assert arn.partition == partition
    assert arn.project_prefix.startswith(f"arn:{partition}:rekognition:")


@pytest.mark.parametrize(
    "name", ["Rooms.2021-04-19T14.44.03", "version", "a_b-c.d", "x" * 255, "2021"]
)
def test_version_names(name):
    """Names made by the console, free ones, and those that look like a part of the ARN."""
    version = parse_version_arn(VERSION.replace("/1/", f"/{name}/"))
    assert version is not None
    assert version.name == name


def test_masked_account():
    """Published examples hide the account."""
    assert parse_version_arn(VERSION.replace("111122223333", "nnnnnnnnn")) is not None


def test_one_kind_is_not_the_other():
    """A project is no version."""
    assert parse_project_arn(VERSION) is None
    assert parse_version_arn(PROJECT) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "my-project",
        PROJECT + "/",
        PROJECT + "\n",
        " " + PROJECT,
        PROJECT.removesuffix("/1690474772815"),
        PROJECT.replace("rekognition", "lookoutvision"),
        "arn:aws:rekognition:us-east-1:111122223333:project/p/dataset/test/1690556751958",
        "arn:aws:rekognition:us-east-1:111122223333:project/a b/1690474772815",
        VERSION.replace("1690556751958", "١٦٩"),
        VERSION + "9" * 5000,
    ],
)
def test_anything_else_is_none(text):
    """What is no such ARN is neither."""
    assert parse_arn(text) is None
    assert parse_project_arn(text) is None
    assert parse_version_arn(text) is None


def test_an_id_that_is_no_time_tells_no_start():
    """Whatever its digits say, the version has none in the year 31,688,740."""
    version = parse_version_arn(VERSION.rpartition("/")[0] + "/999999999999999999")
    assert version.training_start_ms is None

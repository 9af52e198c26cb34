"""What the ARNs of projects and models name."""

import pytest

from mlrek.evaluation import Provider
from mlrek.formats.lookout import parse_lookout_arn, parse_lookout_version

SERVICE = "arn:aws-cn:lookoutvision:cn-north-1:111122223333"


def test_model():
    """Its project's own ARN follows from it."""
    version = parse_lookout_version(f"{SERVICE}:model/wood_panels-a/12")
    assert version is not None
    assert version.name == "12"
    assert version.project.arn == f"{SERVICE}:project/wood_panels-a"
    assert version.project.name == "wood_panels-a"
    assert version.project.provider is Provider.LOOKOUT


def test_project():
    """It is no model."""
    arn = parse_lookout_arn(f"{SERVICE}:project/wood")
    assert arn is not None
    assert (arn.project.arn, arn.version_name) == (f"{SERVICE}:project/wood", "")
    assert parse_lookout_version(f"{SERVICE}:project/wood") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{SERVICE}:model/wood",
        f"{SERVICE}:model/wood/0",
        f"{SERVICE}:model/wood/latest",
        f"{SERVICE}:model/wood/1/2",
        f"{SERVICE}:project/wood/1",
        f"{SERVICE}:project/a b",
        f"{SERVICE}:model/wood/1\n",
        "arn:aws:rekognition:eu-west-1:1:project/wood/1",
    ],
)
def test_anything_else(text):
    """Is no ARN of the service."""
    assert parse_lookout_arn(text) is None

"""Telling files by their content, and not taking other services' for ours."""

import json
from pathlib import Path

import pytest

from mlrek.formats.google_sniff import sniff_google
from mlrek.formats.lookout import (
    LookoutName,
    LookoutRole,
    find_lookout_version,
    parse_lookout_name,
    sniff_lookout,
)
from mlrek.formats.rekognition_sniff import Role, sniff

ARN = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/2"
RESULT = {
    "Version": 1,
    "EvaluationDetails": {"ModelArn": ARN},
    "AggregatedEvaluationResults": {"Metrics": {"ROCAUC": 0.5}},
}
DESCRIPTION = {"ModelDescription": {"ModelArn": ARN, "EvaluationResult": {"Bucket": "b"}}}


def _encode(value, **options):
    return json.dumps(value, **options).encode()


@pytest.fixture(scope="session")
def ours(make_image):
    """Files of Lookout for Vision by what they are."""
    return {
        LookoutRole.RESULT: _encode(RESULT, indent=2),
        LookoutRole.MANIFEST: _encode(make_image()) + b"\n" + _encode(make_image()),
        LookoutRole.DESCRIPTION: _encode(DESCRIPTION),
    }


@pytest.mark.parametrize("role", LookoutRole)
@pytest.mark.parametrize("name", ["any.txt", "EvaluationResultSummary-p-v.json"])
def test_content_tells(ours, role, name):
    """Whatever the file is called, with a byte-order mark and blanks before it."""
    assert sniff_lookout(ours[role], name) is role
    assert sniff_lookout(b"\xef\xbb\xbf \r\n" + ours[role], name) is role


@pytest.mark.parametrize("role", LookoutRole)
def test_no_other_service_takes_ours(ours, role):
    """Neither Rekognition's evaluation files nor any of Google's look like these."""
    assert sniff(ours[role], "a.json") not in {Role.SUMMARY, Role.MANIFEST}
    assert sniff_google(ours[role], "a.json") is None


def test_description_without_its_outer_key():
    """As a script may have saved it."""
    assert sniff_lookout(_encode({"ModelArn": ARN}), "v.json") is LookoutRole.DESCRIPTION


def test_result_with_a_masked_arn():
    """The numbers that no other service reports tell."""
    result = RESULT | {"EvaluationDetails": {"ModelArn": "xxx"}}
    assert sniff_lookout(_encode(result), "a.json") is LookoutRole.RESULT


def test_name_tells_where_a_manifest_begins_without_predictions(make_image):
    """The head of a file may hold none; a data set's manifest never does."""
    head = _encode(make_image("normal", None))
    assert sniff_lookout(head, "EvaluationManifest-cookies-2.json") is LookoutRole.MANIFEST
    assert sniff_lookout(head, "train.manifest") is None


@pytest.mark.parametrize("name", ["EvaluationManifest-p-1.json", "EvaluationResult-p-1.json"])
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"[]",
        b"\x89PNG",
        b"{}",
        b'{"EvaluationDetails": {"ProjectVersionArn": "x"}, "LabelEvaluationResults": []}',
        b'{"ModelArn": "arn:aws:sagemaker:eu-west-1:1:model/m"}',
        b'{"name": "projects/p/locations/l/models/1", "evaluationExampleCount": 5}',
    ],
)
def test_other_content_is_nothing_of_ours(head, name):
    """Whatever the file is called."""
    assert sniff_lookout(head, name) is None


def test_files_of_other_services_are_none_of_ours():
    """Real ones and published examples."""
    data = Path(__file__).parents[3] / "data"
    paths = [*(data / "rekognition-guide").iterdir(), *(data / "google").rglob("*.json*")]
    heads = {path.name: path.read_bytes()[:65536] for path in paths if path.suffix != ".md"}
    assert len(heads) > 5
    assert {name: sniff_lookout(head, name) for name, head in heads.items()} == dict.fromkeys(heads)


def test_attribute_of_a_customer_makes_no_prediction():
    """A manifest of Rekognition's may have a key that ends in -detected."""
    line = {"source-ref": "s3://b/1", "edge-detected": 1, "edge-detected-metadata": {}}
    assert sniff_lookout(_encode(line), "train.manifest") is None
    line |= {"rekognition-custom-labels-evaluation-0-metadata": {"class-name": "normal"}}
    assert sniff_lookout(_encode(line), "a.json") is None


@pytest.mark.parametrize("role", LookoutRole)
def test_version_stands_in_each_file(ours, role):
    """By its ARN."""
    version = find_lookout_version(ours[role])
    assert version is not None
    assert (version.arn, version.project.name, version.name) == (ARN, "cookies", "2")


@pytest.mark.parametrize("head", [b"", b'{"ModelArn": "arn:x"}', b'{"model-arn": 3}'])
def test_version_may_not_be_told(head):
    """Then there is none."""
    assert find_lookout_version(head) is None


@pytest.mark.parametrize(
    ("name", "role", "project", "version"),
    [
        ("EvaluationManifest-cookies-1.json", LookoutRole.MANIFEST, "cookies", "1"),
        ("EvaluationResult-a-b-10.json", LookoutRole.RESULT, "a-b", "10"),
        ("out-EvaluationResult-cookies-2 (1).json", LookoutRole.RESULT, "cookies", "2"),
        ("EvaluationResult-cookies.json", None, "", ""),
        ("EvaluationResultSummary-p-v.json", None, "", ""),
        ("EvaluationResult-cookies-0.json", None, "", ""),
    ],
)
def test_names_of_downloaded_files(name, role, project, version):
    """Project and version stand in them, behind any prefix."""
    expected = role and LookoutName(role=role, project_name=project, version_name=version)
    assert parse_lookout_name(name) == expected

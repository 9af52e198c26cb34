"""Telling files by their content, and not taking other services' for ours."""

import json
from pathlib import Path

import pytest

from mlrek.formats.lookout import find_lookout_version, parse_lookout_name
from mlrek.formats.sniff import Role, Service, sniff

ROLES = (Role.SUMMARY, Role.MANIFEST, Role.DESCRIPTION)

ARN = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/2"
RESULT = {
    "Version": 1,
    "EvaluationDetails": {"ModelArn": ARN},
    "AggregatedEvaluationResults": {"Metrics": {"ROCAUC": 0.5}},
}
DESCRIPTION = {"ModelDescription": {"ModelArn": ARN, "EvaluationResult": {"Bucket": "b"}}}


def _encode(value, **options):
    return json.dumps(value, **options).encode()


def find_role(head, name):
    """What a file of Lookout for Vision's holds; None for any other file."""
    kind = sniff(head, name)
    return kind.role if kind and kind.service is Service.LOOKOUT else None


@pytest.fixture(scope="session")
def ours(make_image):
    """Files of Lookout for Vision by what they are."""
    return {
        Role.SUMMARY: _encode(RESULT, indent=2),
        Role.MANIFEST: _encode(make_image()) + b"\n" + _encode(make_image()),
        Role.DESCRIPTION: _encode(DESCRIPTION),
    }


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["any.txt", "EvaluationResultSummary-p-v.json"])
def test_content_tells(ours, role, name):
    """Whatever the file is called, with a byte-order mark and blanks before it."""
    assert find_role(ours[role], name) is role
    assert find_role(b"\xef\xbb\xbf \r\n" + ours[role], name) is role


@pytest.mark.parametrize("role", ROLES)
def test_no_other_service_takes_ours(ours, role):
    """Neither Rekognition's evaluation files nor any of Google's look like these."""
    assert sniff(ours[role], "a.json") == (Service.LOOKOUT, role)


def test_description_without_its_outer_key():
    """As a script may have saved it."""
    assert find_role(_encode({"ModelArn": ARN}), "v.json") is Role.DESCRIPTION


def test_result_with_a_masked_arn():
    """The numbers that no other service reports tell."""
    result = RESULT | {"EvaluationDetails": {"ModelArn": "xxx"}}
    assert find_role(_encode(result), "a.json") is Role.SUMMARY


def test_name_tells_where_a_manifest_begins_without_predictions(make_image):
    """The head of a file may hold none; a data set's manifest never does."""
    head = _encode(make_image("normal", None))
    assert find_role(head, "EvaluationManifest-cookies-2.json") is Role.MANIFEST
    assert find_role(head, "train.manifest") is None


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
    assert find_role(head, name) is None


def test_files_of_other_services_are_none_of_ours():
    """Real ones and published examples."""
    data = Path(__file__).parents[3] / "data"
    paths = [*(data / "rekognition-guide").iterdir(), *(data / "google").rglob("*.json*")]
    heads = {path.name: path.read_bytes()[:65536] for path in paths if path.suffix != ".md"}
    assert len(heads) > 5
    assert {name: find_role(head, name) for name, head in heads.items()} == dict.fromkeys(heads)


def test_attribute_of_a_customer_makes_no_prediction():
    """A manifest of Rekognition's may have a key that ends in -detected."""
    line = {"source-ref": "s3://b/1", "edge-detected": 1, "edge-detected-metadata": {}}
    assert find_role(_encode(line), "train.manifest") is None
    line |= {"rekognition-custom-labels-evaluation-0-metadata": {"class-name": "normal"}}
    assert find_role(_encode(line), "a.json") is None


@pytest.mark.parametrize("role", ROLES)
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
    ("name", "expected"),
    [
        ("EvaluationManifest-cookies-1.json", ("cookies", "1")),
        ("EvaluationResult-a-b-10.json", ("a-b", "10")),
        ("out-EvaluationResult-cookies-2 (1).json", ("cookies", "2")),
        ("EvaluationResult-cookies.json", None),
        ("EvaluationResultSummary-p-v.json", None),
        ("EvaluationResult-cookies-0.json", None),
    ],
)
def test_names_of_downloaded_files(name, expected):
    """Project and version stand in them, behind any prefix."""
    named = parse_lookout_name(name)
    assert (named and (named.project_name, named.version_name)) == expected

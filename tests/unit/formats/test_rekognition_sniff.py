"""What a file is, by its first bytes."""

import json

import pytest

from mlrek.formats.json_text import HEAD_BYTES
from mlrek.formats.sniff import Role, Service, sniff


def find_role(head, name):
    """What a file of Rekognition's holds; None for any other file."""
    kind = sniff(head, name)
    return kind.role if kind and kind.service is Service.REKOGNITION else None


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("EvaluationResultSummary-capwatch.json", Role.SUMMARY),
        ("TestingGroundTruth-classification.jsonl", Role.MANIFEST),
        ("TestingGroundTruth-detection.jsonl", Role.MANIFEST),
        ("ManifestSummary.json", Role.MANIFEST_SUMMARY),
    ],
)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf\r\n"])
def test_files_of_the_guide(guide, name, role, bom):
    """Each file is known by its content, whatever it is called, with a byte-order mark or not."""
    assert find_role(bom + (guide / name).read_bytes()[:HEAD_BYTES], "download (1).json") == role


def test_minified_summary(make_summary):
    """Line ends do not matter."""
    assert find_role(make_summary(labels=["a"]), "x") == Role.SUMMARY


def test_input_manifest():
    """Images with the customer's own labels, and none of the service's, are the input."""
    metadata = {"class-name": "camellia", "type": "groundtruth/image-classification"}
    line = {"source-ref": "s3://b/1.jpg", "camellia": 1, "camellia-metadata": metadata}
    assert find_role(json.dumps(line).encode(), "x.json") == Role.INPUT_MANIFEST


def test_prediction_in_a_later_line(make_line):
    """One image with a prediction makes an evaluation manifest, also when the first has none."""
    lines = [{"source-ref": "1"}, make_line(truth=())]
    text = b"\n".join(json.dumps(line).encode() for line in lines)
    assert find_role(text, "x.json") == Role.MANIFEST


def test_truth_under_the_services_names_is_an_output(make_line):
    """The customer's names do not survive into the evaluation: truth under others is its mark."""
    assert find_role(json.dumps(make_line(records=())).encode(), "x.json") == Role.MANIFEST


def test_line_longer_than_the_head(make_line):
    """A head that ends in the middle of the first line is enough."""
    line = json.dumps(make_line(x="y" * HEAD_BYTES)).encode()
    assert find_role(line[:HEAD_BYTES], "x.json") == Role.MANIFEST


def test_name_decides_where_the_content_cannot(make_line):
    """Training images look like test images; a manifest may begin without labels at all."""
    line = json.dumps(make_line()).encode()
    assert find_role(line, "TrainingGroundTruth-pets-v1.json") == Role.TRAINING_MANIFEST
    assert find_role(b'{"source-ref": "1"}', "TestingGroundTruth-pets-v1.json") == Role.MANIFEST


@pytest.mark.parametrize(
    ("text", "role"),
    [
        (b'{"source-ref": "1", "detect-moderation-labels" : {}}', Role.MANIFEST),
        (b'{"source-ref": "1", "detect-moderation-labels-base-model": {}}', Role.MANIFEST),
        (b'{"source-ref": "1", "content-moderation-groundtruth": {}}', Role.INPUT_MANIFEST),
        (b'{"AggregatedEvaluationResults": {}, "ContentModeration": {}}', Role.SUMMARY),
    ],
)
def test_moderation(text, role):
    """Files of moderation adapters have the same parts; without answers it is an input."""
    assert find_role(text, "x.json") == role


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"  ",
        b"[]",
        b"\x89PNG",
        b"\xff\xfe",
        b'{"ProjectVersionDescriptions": []}',
        b'{"version": "1", "text": "rekognition-custom-labels-evaluation-0"}',
        rb'{"cells": ["{\"AggregatedEvaluationResults\": 1, \"source-ref\": 2}"]}',
        b'[{"source-ref": "1"}]',
        b'{"EvaluationDetails": {"ModelArn": "arn:aws:lookoutvision:us-east-1:1:model/p/1"}}',
    ],
)
def test_nothing_of_ours(text):
    """Other JSON, other bytes, and another service's files are none."""
    assert find_role(text, "EvaluationSummary-p-v.json") is None

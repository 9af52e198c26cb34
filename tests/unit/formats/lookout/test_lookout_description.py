"""Reading the description of a model, which an archive keeps next to the files."""

import json

import pytest

from mlrek.errors import EvaluationError, ParseError
from mlrek.evaluation import Provider
from mlrek.formats.lookout import parse_description

ARN = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/2"
MODEL = {
    "ModelVersion": "2",
    "ModelArn": ARN,
    "CreationTimestamp": "2021-03-01T00:00:00+00:00",
    "EvaluationEndTimestamp": 1614558600.5,
    "Status": "TRAINED",
    "StatusMessage": "Training completed successfully.",
    "Performance": {"F1Score": 0.875, "Recall": 0.75, "Precision": "NaN"},
    "OutputConfig": {"S3Location": {"Bucket": "b", "Prefix": "out/"}},
    "EvaluationManifest": {"Bucket": "b", "Key": "out/EvaluationManifest-cookies-2.json"},
    "EvaluationResult": {"Bucket": "b", "Key": "out/EvaluationResult-cookies-2.json"},
}


def _parse(model):
    return parse_description("s3://b/version.json", json.dumps(model).encode())


@pytest.mark.parametrize("answer", [MODEL, {"ModelDescription": MODEL}])
def test_description(answer):
    """Identity, times, status, places and numbers; with the answer's outer key or without."""
    description = _parse(answer)
    version = description.version
    assert (version.arn, version.name, version.status) == (ARN, "2", "TRAINED")
    assert version.project.provider is Provider.LOOKOUT
    assert version.project.arn == "arn:aws:lookoutvision:eu-west-1:111122223333:project/cookies"
    assert version.training_start_ms == 1614556800000
    assert version.training_end_ms == 1614558600500
    assert description.manifest_uri == "s3://b/out/EvaluationManifest-cookies-2.json"
    assert description.result_uri == "s3://b/out/EvaluationResult-cookies-2.json"
    assert description.reported == {"f1": 0.875, "recall": 0.75}
    assert description.names_evaluation


def test_description_of_a_failed_training():
    """It names no evaluation, and says why."""
    message = "The dataset\n has too few images."
    failed = {"ModelArn": ARN, "Status": "TRAINING_FAILED", "StatusMessage": message}
    description = _parse(failed)
    assert not description.names_evaluation
    assert description.status_message == "The dataset has too few images."
    assert description.version.training_end_ms is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"{}", "ModelArn is not the ARN of a model: None"),
        (b'{"ModelArn": "arn:aws:rekognition:a:1:project/p/version/v/1"}', "is not the ARN"),
        (b'{"ModelDescription": 3}', "is not the description of a model"),
    ],
)
def test_another_file_is_refused(data, reason):
    """The error says what it is not."""
    with pytest.raises(ParseError, match=reason):
        parse_description("s3://b/version.json", data)


def test_its_numbers_count_where_the_result_has_none(read_lookout):
    """What both say is taken from the result."""
    result = {"AggregatedEvaluationResults": {"Metrics": {"F1Score": 0.875, "Recall": 0.5}}}
    evaluation = read_lookout(result=result, description=_parse(MODEL))
    assert evaluation.reported.aggregate == {"f1": 0.875, "recall": 0.5}
    (warning,) = evaluation.warnings
    assert warning.endswith("of the model says recall 0.75, its result 0.5; the result counts")


def test_its_numbers_alone_are_an_evaluation(read_lookout):
    """The files may be gone."""
    evaluation = read_lookout(description=_parse(MODEL))
    assert evaluation.reported.aggregate == {"f1": 0.875, "recall": 0.75}


def test_nothing_is_no_evaluation(read_lookout):
    """A description without numbers adds none."""
    with pytest.raises(EvaluationError, match="no manifest, no result and no reported number"):
        read_lookout(description=_parse({"ModelArn": ARN}))

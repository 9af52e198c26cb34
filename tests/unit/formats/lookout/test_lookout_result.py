"""Reading result files: every number that is there, under its name."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind, Task
from mlrek.formats.lookout import parse_result

NUMBERS = ("ROCAUC", "AveragePrecision", "Precision", "Recall", "F1Score")


@pytest.fixture(scope="session")
def parse():
    """A function that parses a result of metrics, or a file as it stands."""

    def parse_file(metrics=None, *, data=None, **details):
        file = {
            "Version": 1,
            "EvaluationDetails": details,
            "AggregatedEvaluationResults": {"Metrics": metrics or {}},
        }
        data = json.dumps(file).encode() if data is None else data
        return parse_result("s3://b/r.json", data)

    return parse_file


def test_real_results(parse, real_rows):
    """The numbers of three real models, as the service wrote them."""
    for row in real_rows:
        images = {key: row[key] for key in ("NumberOfTrainingImages", "NumberOfTestingImages")}
        reported = parse({name: row[name] for name in NUMBERS}, **images).reported
        assert reported.aggregate == {
            "roc_auc": row["ROCAUC"],
            "average_precision": row["AveragePrecision"],
            "precision": row["Precision"],
            "recall": row["Recall"],
            "f1": row["F1Score"],
        }
        assert reported.train_images == row["NumberOfTrainingImages"]
        assert reported.test_images == row["NumberOfTestingImages"]


def test_details(parse):
    """The model, and when its evaluation ended: UTC, as no zone is told."""
    arn = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/2"
    result = parse(ModelArn=arn, EvaluationEndTimestamp="2021-03-01T00:00:00.500000")
    assert result.model_arn == arn
    assert result.evaluation_end_ms == 1614556800500
    assert result.warnings == ()


def test_kinds_of_anomaly(parse):
    """Each has its own numbers, average IoU among them; the background is no label."""
    kinds = [
        {"ClassName": "stain", "Precision": 0.5, "Recall": 0.25, "F1Score": 0.3, "AIOU": 0.2},
        {"ClassName": "BACKGROUND", "AIOU": 0.99},
        {"ClassName": "crack", "AIOU": None},
    ]
    result = parse({"PixelAnomalyClassMetrics": kinds})
    assert result.pixel_labels == ("stain", "crack")
    assert result.reported.per_label == {
        "stain": {"precision": 0.5, "recall": 0.25, "f1": 0.3, "aiou": 0.2},
        "BACKGROUND": {"aiou": 0.99},
        "crack": {},
    }


def test_repeated_kind_counts_once(parse):
    """The first result stays; a warning counts the others."""
    kinds = [{"ClassName": "stain", "AIOU": 0.5}, {"ClassName": "stain", "AIOU": 0.1}]
    result = parse({"PixelAnomalyClassMetrics": kinds})
    assert result.reported.per_label == {"stain": {"aiou": 0.5}}
    (warning,) = result.warnings
    assert "1 of 2 results are of a label that has some already" in warning


@pytest.mark.parametrize("value", [None, "NaN", "nan"])
def test_number_that_does_not_exist_is_absent(parse, value):
    """Older files leave F1 out; others write null or NaN."""
    reported = parse({"Precision": value, "Recall": 1}, NumberOfTestingImages=value).reported
    assert reported.aggregate == {"recall": 1.0}
    assert reported.test_images is None


def test_bare_nan_is_read(parse):
    """Though it is no JSON."""
    data = b'{"AggregatedEvaluationResults": {"Metrics": {"ROCAUC": NaN, "Recall": 0.5}}}'
    assert parse(data=data).reported.aggregate == {"recall": 0.5}


def test_byte_order_mark_does_not_matter(parse):
    """Some editors write one."""
    data = b'\xef\xbb\xbf{"AggregatedEvaluationResults": {"Metrics": {"Recall": 0.5}}}'
    assert parse(data=data).reported.aggregate == {"recall": 0.5}


def test_time_that_is_none_is_left_out(parse):
    """With a warning."""
    result = parse(EvaluationEndTimestamp="yesterday")
    assert result.evaluation_end_ms is None
    (warning,) = result.warnings
    assert "not a time and was left out: 'yesterday'" in warning


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b'{"EvaluationDetails": ', "not valid JSON"),
        (b"[]", "Expected `object`"),
        (b'{"LabelEvaluationResults": []}', "none of that file's keys"),
        (b'{"AggregatedEvaluationResults": {"Metrics": {"Recall": "high"}}}', r"\$.*Metrics"),
        (b'{"EvaluationDetails": {"NumberOfTestingImages": -1}}', "NumberOfTestingImages"),
    ],
)
def test_another_file_is_refused(parse, data, reason):
    """The error says what it is not."""
    with pytest.raises(ParseError, match=reason) as caught:
        parse(data=data)
    assert str(caught.value).startswith("s3://b/r.json: is not a Lookout for Vision evaluation")


def test_result_alone_is_an_evaluation(read_lookout, real_rows):
    """Without a manifest there are no images, only what the service reports."""
    metrics = {name: real_rows[0][name] for name in NUMBERS}
    file = {"AggregatedEvaluationResults": {"Metrics": metrics}}
    evaluation = read_lookout(result=file)
    assert evaluation.task is Task.CLASSIFICATION
    assert not evaluation.has_images
    assert evaluation.reported.aggregate["roc_auc"] == 0.99308
    assert json.loads(evaluation.summary) == file
    assert evaluation.warnings == ()


def test_result_with_pixels_alone_is_a_segmentation(read_lookout):
    """Its kinds of anomaly are labels, after the two classes of whole images."""
    kinds = [{"ClassName": "stain", "AIOU": 0.2}, {"ClassName": "crack", "AIOU": 0.5}]
    evaluation = read_lookout(
        result={"AggregatedEvaluationResults": {"Metrics": {"PixelAnomalyClassMetrics": kinds}}}
    )
    assert evaluation.task is Task.SEGMENTATION
    assert evaluation.labels == ("normal", "anomaly", "stain", "crack")
    assert evaluation.masks is not None
    assert evaluation.masks.readable.tolist() == []
    assert evaluation.warnings == ()


def test_result_of_another_model_is_named(read_lookout):
    """It may lie in the wrong folder; nothing that it says is used."""
    arn = "arn:aws:lookoutvision:eu-west-1:111122223333:model/cookies/3"
    scores = {"Metrics": {"F1Score": 0.997}}
    evaluation = read_lookout(
        result={"EvaluationDetails": {"ModelArn": arn}, "AggregatedEvaluationResults": scores}
    )
    assert evaluation.reported.aggregate == {}
    (doubt,) = evaluation.doubts
    assert doubt.kind is DoubtKind.FOREIGN_SUMMARY
    assert doubt.touches_number("reported/f1")
    assert doubt.touches_number("at_threshold/f1_macro")
    assert not doubt.touches_number("aggregate/accuracy")
    assert f"another version, {arn!r}" in doubt.text

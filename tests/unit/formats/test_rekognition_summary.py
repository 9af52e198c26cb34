"""The summary file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.errors import MlrekError, ParseError
from mlrek.formats.rekognition import parse_summary

ABSENT = ["null", '"NaN"', "NaN", "Infinity", "-Infinity"]


@pytest.fixture(scope="session")
def parse():
    """A function: a summary as a dict or text -> what it says."""

    def parse_file(file):
        return parse_summary(
            "s3://b/s.json", file if isinstance(file, bytes) else json.dumps(file).encode()
        )

    return parse_file


def test_real_summary(guide):
    """The guide's CAP/WATCH summary, read as it is printed."""
    data = (guide / "EvaluationResultSummary-capwatch.json").read_bytes()
    summary = parse_summary("capwatch", data)
    assert summary.version_arn == (
        "arn:aws:rekognition:us-east-1:nnnnnnnnn:project/my-project/version/v0/1574317227432"
    )
    assert summary.labels == ("CAP", "WATCH")
    assert summary.evaluation_end_ms == 1574321423910  # 2019-11-21T07:30:23.910 UTC
    assert summary.warnings == ()
    reported = summary.reported
    assert reported.aggregate == {
        "f1": 0.9726959470546408,
        "precision": 0.9719115848331294,
        "recall": 0.9735042735042735,
    }
    assert reported.per_label["WATCH"] == {
        "precision": 0.961864406779661,
        "recall": 0.9700854700854701,
        "f1": 0.9659574468085106,
        "threshold": 0.014450683258473873,
        "test_images": 234,
    }
    assert reported.confusion == (
        ("CAP", "CAP", 0.9948717948717949),
        ("CAP", "WATCH", 0.008547008547008548),
        ("WATCH", "CAP", 0.1794871794871795),
        ("WATCH", "WATCH", 0.7008547008547008),
    )
    assert (reported.test_images, reported.train_images) == (624, 5216)
    assert not summary.is_detection
    assert not summary.has_several_labels_an_image


def test_aggregates_stand_alone_or_under_metrics(parse):
    """Both layouts that the service's documentation shows mean the same."""
    cells = [{"GroundTruthLabel": "a", "PredictedLabel": "b", "Value": 0.25}]
    numbers = {"Precision": 0.5, "Recall": 0.25, "F1Score": 0.75, "ConfusionMatrix": cells}
    alone = parse({"AggregatedEvaluationResults": numbers}).reported
    under = parse({"AggregatedEvaluationResults": {"Metrics": numbers}}).reported
    assert alone == under
    assert under.aggregate == {"precision": 0.5, "recall": 0.25, "f1": 0.75}
    assert under.confusion == (("a", "b", 0.25),)


def test_detection_averages(parse):
    """Average precision and recall have names of their own, and tell detection."""
    summary = parse({"AggregatedEvaluationResults": {"AveragePrecision": 0.5, "AverageRecall": 1}})
    assert summary.reported.aggregate == {"average_precision": 0.5, "average_recall": 1.0}
    assert summary.is_detection


@pytest.mark.parametrize("value", ABSENT)
def test_numbers_that_do_not_exist_are_absent(parse, value):
    """Null, "NaN" and bare constants are no numbers, neither in aggregates nor for a label."""
    file = (
        '{"AggregatedEvaluationResults": {"F1Score": %s, "Precision": 0.5, "ConfusionMatrix":'
        '[{"GroundTruthLabel": "a", "PredictedLabel": "a", "Value": %s}]},'
        '"EvaluationDetails": {"NumberOfTestingImages": %s},'
        '"LabelEvaluationResults": [{"Label": "a", "NumberOfTestingImages": %s,'
        '"Metrics": {"F1Score": %s, "Recall": 1, "Threshold": %s}}]}'
    )
    reported = parse(file.replace("%s", value).encode()).reported
    assert reported.aggregate == {"precision": 0.5}
    assert reported.per_label == {"a": {"recall": 1.0}}
    assert reported.confusion == ()
    assert reported.test_images is None


def test_missing_parts_are_absent(parse):
    """Only what is there is reported; null objects are as good as none."""
    file = {
        "AggregatedEvaluationResults": None,
        "EvaluationDetails": {"Labels": None},
        "LabelEvaluationResults": [{"Label": "a"}, {"Label": "b", "Metrics": None}],
    }
    summary = parse(file)
    assert summary.labels == ("a", "b")
    assert summary.reported.aggregate == {}
    assert summary.reported.per_label == {"a": {}, "b": {}}


def test_labels_without_a_place_in_the_list_come_last(parse):
    """A label that only has results follows those of the list, in the order of the results."""
    file = {
        "EvaluationDetails": {"Labels": ["z", "b", "z"]},
        "LabelEvaluationResults": [{"Label": "y"}, {"Label": "b"}, {"Label": "a"}],
    }
    assert parse(file).labels == ("z", "b", "y", "a")


def test_unknown_keys_are_ignored(parse):
    """A key that the service may add one day does no harm."""
    file = {"EvaluationDetails": {"Labels": ["a"], "New": [1, {"x": None}]}, "Newer": "x"}
    assert parse(file).labels == ("a",)


def test_image_counts_tell_several_labels(parse):
    """When the labels' images add up to more than there are, some image has several labels."""
    results = [{"Label": name, "NumberOfTestingImages": 6} for name in "ab"]
    for total, several in ((12, False), (11, True)):
        details = {"NumberOfTestingImages": total}
        summary = parse({"EvaluationDetails": details, "LabelEvaluationResults": results})
        assert summary.has_several_labels_an_image is several


@pytest.mark.parametrize(
    ("text", "end_ms"),
    [
        ("1970-01-01T00:00:01", 1000),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T02:00:00.25+02:00", 250),
    ],
)
def test_time_without_a_zone_is_utc(parse, text, end_ms):
    """The service writes UTC without saying so; a zone that is there counts."""
    summary = parse({"EvaluationDetails": {"EvaluationEndTimestamp": text}})
    assert summary.evaluation_end_ms == end_ms


@pytest.mark.parametrize("text", ["soon", "0001-01-01T00:00:00+23:00", "9999-99-99"])
def test_what_is_no_time_is_left_out_with_a_warning(parse, text):
    """A time nobody can read does not fail the version."""
    summary = parse({"EvaluationDetails": {"EvaluationEndTimestamp": text}})
    assert summary.evaluation_end_ms is None
    assert len(summary.warnings) == 1


def test_results_given_twice_are_counted(parse):
    """The first results of a label count, and a warning says so."""
    results = [{"Label": "a", "Metrics": {"Recall": value}} for value in (0.25, 0.5)]
    summary = parse({"LabelEvaluationResults": results})
    assert summary.reported.per_label == {"a": {"recall": 0.25}}
    assert summary.warnings == (
        "s3://b/s.json: 1 of 2 results are of a label that has some already, and were left out",
    )


def test_byte_order_mark(parse):
    """A byte-order mark does not matter."""
    assert parse(b'\xef\xbb\xbf{"EvaluationDetails": {"Labels": ["a"]}}').labels == ("a",)


@pytest.mark.parametrize(
    ("file", "pointer"),
    [
        ({"AggregatedEvaluationResults": {"F1Score": "0.5"}}, "$.AggregatedEvaluationResults.F1"),
        ({"AggregatedEvaluationResults": {"F1Score": True}}, "$.AggregatedEvaluationResults.F1"),
        ({"AggregatedEvaluationResults": []}, "$.AggregatedEvaluationResults"),
        ({"EvaluationDetails": {"Labels": "a"}}, "$.EvaluationDetails.Labels"),
        ({"EvaluationDetails": {"Labels": ["a", 1]}}, "$.EvaluationDetails.Labels[1]"),
        ({"EvaluationDetails": {"Labels": [""]}}, "$.EvaluationDetails.Labels[0]"),
        ({"EvaluationDetails": {"Labels": ["a\0b"]}}, "$.EvaluationDetails.Labels[0]"),
        (
            {"EvaluationDetails": {"NumberOfTestingImages": -1}},
            "$.EvaluationDetails.NumberOfTestingImages",
        ),
        ({"LabelEvaluationResults": [{"Metrics": {}}]}, "$.LabelEvaluationResults[0]"),
        (
            {"LabelEvaluationResults": [{"Label": "a", "Metrics": {"Threshold": 98.8}}]},
            "$.LabelEvaluationResults[0].Metrics.Threshold",
        ),
    ],
)
def test_wrong_types_name_their_key(parse, file, pointer):
    """What is no number, list or label where one belongs is refused, with its place."""
    with pytest.raises(ParseError) as caught:
        parse(file)
    assert pointer in str(caught.value)
    assert str(caught.value).startswith("s3://b/s.json: is not a Rekognition evaluation summary")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"source-ref": "x"}', b"{", b"\0", b"[" * 99]
)
def test_what_is_no_summary_is_refused(parse, data):
    """Another file is not taken for an empty summary."""
    with pytest.raises(ParseError, match="is not a Rekognition evaluation summary"):
        parse(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("Metrics", "F1Score", "Label", "Labels", "Threshold", "ConfusionMatrix"),
                    *("Value", "EvaluationEndTimestamp", "NumberOfTestingImages"),
                    "ContentModeration",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_KEYS = ["EvaluationDetails", "AggregatedEvaluationResults", "LabelEvaluationResults"]


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(_KEYS), _JSON).map(lambda x: json.dumps(x).encode())
)
def test_any_bytes_parse_or_are_refused(parse, data):
    """No input gives any other error than one of mlrek's."""
    try:
        summary = parse(data)
    except MlrekError:
        return
    assert all(label for label in summary.labels)

"""The evaluation of a version from its manifest, its summary and its description."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.errors import EvaluationError, MlrekError, ParseError
from mlrek.evaluation import DoubtKind, RecordsKind, Reported, Task
from mlrek.formats.rekognition import Document, ManifestInput, parse_evaluation, parse_summary


class TestLabels:
    """Label order and thresholds come from the summary."""

    def test_summary_order_then_alphabetical(self, read, make_line, make_summary):
        """The provider's list first, then what else occurs in truth or records."""
        line = make_line(truth=["yak"], records=[("ape", 0.5, "FP"), ("cat", 0.4, "TN")])
        evaluation = read([line], summary=make_summary(labels=["dog", "cat"]))
        assert evaluation.labels == ("dog", "cat", "ape", "yak")

    def test_alphabetical_without_a_summary(self, read, make_line):
        """Without a list all labels are in alphabetical order."""
        line = make_line(truth=["dog"], records=[("cat", 0.5, "FP"), ("ape", 0.4, "TN")])
        assert read([line]).labels == ("ape", "cat", "dog")

    def test_thresholds(self, read, make_line, make_summary):
        """Each label has its assumed threshold, NaN where none is published."""
        summary = make_summary(labels=["dog", "cat"], thresholds={"cat": 0.25, "hen": 1})
        thresholds = read([make_line()], summary=summary).thresholds
        np.testing.assert_array_equal(thresholds, [np.nan, 0.25, 1.0])

    def test_rows_follow_the_label_order(self, read, make_line, make_summary):
        """Within an image labels stand in label order, whatever the file's."""
        line = make_line(truth=["a", "b"], records=[("a", 0.1, "FN"), ("b", 0.2, "FN")])
        evaluation = read([line], summary=make_summary(labels=["b", "a"]))
        assert evaluation.truth.label_idx.tolist() == [0, 1]
        assert evaluation.records.confidence.tolist() == [0.2, 0.1]


class TestTask:
    """The task follows from the images."""

    def test_one_label_each(self, read, make_line):
        """One true label at most on every image is classification."""
        lines = [make_line(), make_line(truth=()), make_line(truth=("dog", "dog"))]
        assert read(lines).task == Task.CLASSIFICATION

    def test_several_labels_on_an_image(self, read, make_line):
        """One image with two distinct true labels makes it multilabel."""
        assert read([make_line(), make_line(truth=("cat", "dog"))]).task == Task.MULTILABEL

    def test_several_records_are_no_several_labels(self, read, make_line):
        """Only the truth decides."""
        records = [("cat", 0.9, "TP"), ("dog", 0.8, "FP")]
        assert read([make_line(records=records)]).task == Task.CLASSIFICATION


def test_repeated_label_keeps_the_most_confident_record(read, make_line, describe):
    """Two records of one label on one image: the higher confidence, counted in a warning."""
    records = [("cat", 0.3, "FN"), ("dog", 0.1, "TN"), ("cat", 0.8, "TP"), ("cat", 0.5, "TP")]
    evaluation = read([make_line(image="1"), make_line(image="2", records=records)])
    assert describe(evaluation)[1] == ("2", {"cat"}, {"cat": 0.8, "dog": 0.1})
    assert evaluation.records.outcome.tolist() == [1, 1, 4]
    (warning,) = evaluation.warnings
    assert warning == (
        "2 of 5 records repeat a label of their image and were left out, the most confident one "
        "counts; first: '2'"
    )


def test_equal_records_keep_the_first(read, make_line):
    """Of equally confident ones the first in the file stays."""
    records = [("cat", 0.5, "TP"), ("cat", 0.5, "FN")]
    assert read([make_line(records=records)]).records.outcome.tolist() == [1]


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        ([[("a", 0.9, "TP")], [("b", 0.9, "FP")]], RecordsKind.TOP1),
        ([[("a", 0.9, "TP"), ("b", 0, "TN")], [("b", 1, "FP"), ("a", 0, "FN")]], "complete"),
        ([[("a", 0.9, "TP")], []], RecordsKind.PARTIAL),
    ],
)
def test_kind_of_records(read, make_line, records, kind):
    """How much the service wrote can be told from the records."""
    lines = [make_line(truth=["a"], records=each) for each in records]
    assert read(lines).records_kind == kind


class TestReported:
    """Reported numbers are the summary's, then the description's."""

    def test_description_fills_in(self, read, make_line):
        """What only the service's description says is reported."""
        assert read([make_line()], reported={"f1": 0.98}).reported.aggregate == {"f1": 0.98}

    def test_summary_counts(self, read, make_line, make_summary):
        """Where both speak and differ, the summary counts and a warning says so."""
        summary = make_summary(AggregatedEvaluationResults={"F1Score": 0.5, "Recall": 1})
        evaluation = read([make_line()], summary=summary, reported={"f1": 0.51, "precision": 0.25})
        assert evaluation.reported.aggregate == {"f1": 0.5, "recall": 1, "precision": 0.25}
        (warning,) = evaluation.warnings
        assert warning == (
            "the service's description of the version says f1 0.51, its summary 0.5; the summary "
            "counts"
        )

    def test_single_precision_is_no_difference(self, read, make_line, make_summary):
        """The description's number is rounded to single precision."""
        f1 = 0.9726959470546408
        summary = make_summary(AggregatedEvaluationResults={"F1Score": f1})
        evaluation = read([make_line()], summary=summary, reported={"f1": float(np.float32(f1))})
        assert evaluation.warnings == ()
        assert evaluation.reported.aggregate == {"f1": f1}

    def test_summary_is_kept_byte_for_byte(self, read, make_line, make_summary):
        """The summary file travels with the evaluation unchanged."""
        summary = b" " + make_summary() + b"\r\n"
        assert read([make_line()], summary=summary).summary == summary


class TestVersion:
    """The summary says which version it is of."""

    OTHER = "arn:aws:rekognition:eu-west-1:111122223333:project/pets/version/v0/1600000000000"

    def test_other_version(self, read, make_line, make_summary):
        """Neither numbers nor thresholds nor labels of another version's summary are used."""
        summary = make_summary(
            EvaluationDetails={
                "ProjectVersionArn": self.OTHER,
                "Labels": ["cow"],
                "NumberOfTestingImages": 9,
            },
            AggregatedEvaluationResults={"F1Score": 0.997},
            LabelEvaluationResults=[{"Label": "cat", "Metrics": {"Threshold": 0.25}}],
        )
        evaluation = read([make_line()], summary=summary)
        assert evaluation.reported == Reported()
        assert evaluation.labels == ("cat",)
        assert np.isnan(evaluation.thresholds).all()
        (doubt,) = evaluation.doubts
        assert doubt.kind is DoubtKind.FOREIGN_SUMMARY
        assert repr(self.OTHER) in doubt.text

    @pytest.mark.parametrize(
        ("truth", "number", "expected"),
        [
            (("cat",), "reported/f1", True),
            (("cat",), "at_threshold/f1_macro", True),
            (("cat",), "aggregate/accuracy", False),
            (("cat",), "label_recall", False),
            (("cat", "dog"), "aggregate/f1_macro", True),
            (("cat", "dog"), "label_recall", True),
            (("cat", "dog"), "aggregate/roc_auc_macro", False),
        ],
    )
    def test_what_lacks_the_thresholds(
        self, read, make_line, make_summary, truth, number, expected
    ):
        """What is read at them; of several labels an image every decision."""
        summary = make_summary(EvaluationDetails={"ProjectVersionArn": self.OTHER})
        (doubt,) = read([make_line(truth=truth)], summary=summary).doubts
        assert doubt.touches_number(number, "cat" if number.startswith("label") else "") is expected

    def test_nothing_but_a_summary_of_another_version(self, version, make_summary):
        """It tells nothing of this one."""
        summary = make_summary(EvaluationDetails={"ProjectVersionArn": self.OTHER})
        with pytest.raises(EvaluationError, match="the summary is of another version"):
            parse_evaluation(version, summary=Document(uri="s", data=summary))

    def test_copied_version(self, version, make_summary):
        """A copied model has the summary of the one that it was copied from."""
        summary = make_summary(EvaluationDetails={"ProjectVersionArn": self.OTHER})
        evaluation = parse_evaluation(
            replace(version, copied_from=self.OTHER),
            summary=Document(uri="s", data=summary),
        )
        assert evaluation.warnings == ()


class TestWithoutManifest:
    """The manifest may be gone; what is left still speaks."""

    def test_summary_alone(self, version, guide):
        """Labels, thresholds and reported numbers are there, images are not."""
        data = (guide / "EvaluationResultSummary-capwatch.json").read_bytes()
        version = replace(version, arn=parse_summary("s", data).version_arn)
        evaluation = parse_evaluation(version, summary=Document(uri="s", data=data))
        assert not evaluation.has_images
        assert evaluation.labels == ("CAP", "WATCH")
        assert evaluation.thresholds.tolist() == [0.9879502058029175, 0.014450683258473873]
        assert evaluation.reported.aggregate["f1"] == 0.9726959470546408
        assert evaluation.task == Task.CLASSIFICATION

    def test_description_alone(self, version):
        """The description's F1 is better than nothing."""
        evaluation = parse_evaluation(version, reported={"f1": 0.5}, warnings=["gone"])
        assert evaluation.reported.aggregate == {"f1": 0.5}
        assert (evaluation.labels, evaluation.images, evaluation.summary) == ((), (), b"")
        assert evaluation.warnings == ("gone",)

    def test_nothing(self, version):
        """Nothing at all is no evaluation."""
        with pytest.raises(EvaluationError, match="no manifest, no summary and no reported"):
            parse_evaluation(version)

    def test_detection_summary(self, version, make_summary):
        """A detection summary alone still tells its task."""
        data = make_summary(AggregatedEvaluationResults={"AveragePrecision": 0.5})
        evaluation = parse_evaluation(version, summary=Document(uri="s", data=data))
        assert evaluation.task == Task.DETECTION

    def test_multilabel_summary(self, version, make_summary):
        """So does one whose labels have more images than there are."""
        results = [{"Label": name, "NumberOfTestingImages": 6} for name in "ab"]
        details = {"NumberOfTestingImages": 10}
        data = make_summary(EvaluationDetails=details, LabelEvaluationResults=results)
        evaluation = parse_evaluation(version, summary=Document(uri="s", data=data))
        assert evaluation.task == Task.MULTILABEL


def test_bad_summary_fails(read, make_line):
    """A summary that is broken fails the version, though the manifest is good."""
    with pytest.raises(ParseError, match=r"s3://b/sum\.json"):
        read([make_line()], summary=b"{")


def test_errors_of_the_stream_pass(version):
    """What the place of the bytes raises is not taken for a bad line."""

    def broken():
        yield b"\n"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        parse_evaluation(version, manifest=ManifestInput(uri="m", chunks=broken()))


def test_chunks_are_used_up_once_and_lazily(version, make_line):
    """A manifest is a stream: the parser takes one chunk after the other, to the end."""
    taken = []

    def chunks():
        for i in range(5):
            taken.append(i)
            yield json.dumps(make_line(image=str(i))).encode() + b"\n"

    evaluation = parse_evaluation(version, manifest=ManifestInput(uri="m", chunks=chunks()))
    assert len(evaluation.images) == 5
    assert taken == [0, 1, 2, 3, 4]


_CONFIDENCE = st.floats(0, 1) | st.sampled_from([0, 1, 0.5])
_RECORD = st.tuples(st.sampled_from("abcd"), _CONFIDENCE, st.sampled_from(["TP", "FP", "FN", "TN"]))
_LINE = st.tuples(st.lists(st.sampled_from("abc"), max_size=3), st.lists(_RECORD, max_size=4))


@given(
    images=st.lists(_LINE, min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 10_000), max_size=10),
    end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
)
def test_what_was_written_is_read(version, make_line, describe, images, cuts, end):
    """Truth and records come out as they went in, however the file is cut into chunks."""
    images[0][1].append(("a", 0.5, "TP"))  # a manifest without any record is no evaluation
    lines = [
        json.dumps(make_line(truth, records, image=str(i))).encode()
        for i, (truth, records) in enumerate(images)
    ]
    text = end.join(lines)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[a:b] for a, b in pairwise(edges)]
    evaluation = parse_evaluation(version, manifest=ManifestInput(uri="m", chunks=chunks))
    assert describe(evaluation) == [
        (str(i), set(truth), _highest(records))
        for i, (truth, records) in enumerate(images)
        if truth
    ]


def _highest(records):
    return {label: max(c for n, c, _ in records if n == label) for label, _, _ in records}


_KEYS = st.sampled_from(
    [
        *("source-ref", "a", "a-metadata", "-metadata", "detect-moderation-labels"),
        *("rekognition-custom-labels-training-0", "rekognition-custom-labels-training-0-metadata"),
        *("rekognition-custom-labels-evaluation-0", "rekognition-custom-labels-evaluation"),
        *("rekognition-custom-labels-evaluation-0-metadata", "class-name", "confidence", "type"),
        *("rekognition-custom-labels-evaluation-metadata", "human-annotated", "annotations"),
        *("rekognition-custom-labels-evaluation-details", "is-true-positive"),
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["x", "no", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=10,
)
_TEXTS = st.dictionaries(_KEYS, _VALUES, max_size=8).map(lambda line: json.dumps(line).encode())


@given(
    lines=st.lists(_TEXTS | st.binary(max_size=30), max_size=6),
    skip=st.booleans(),
    size=st.integers(1, 200),
)
def test_any_bytes_parse_or_are_refused(version, make_line, lines, skip, size):
    """No bytes give any other error than one of mlrek's, wherever they are cut."""
    text = b"\n".join([json.dumps(make_line()).encode(), *lines])
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    try:
        evaluation = parse_evaluation(
            version, manifest=ManifestInput(uri="m", chunks=chunks), skip_bad_lines=skip
        )
    except MlrekError:
        return
    assert evaluation.images[0] == "s3://b/1.jpg"

"""Custom moderation adapters: what they and their base model answered, and what was counted."""

import json

import numpy as np
import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind, Task

GORE, WEAPONS = "Graphic Violence", "Weapons"


def _answer(*labels):
    found = [{"Name": name, "Confidence": c, "ParentName": "Violence"} for name, c in labels]
    return {"ModerationLabels": found, "ModerationModelVersion": "7.0", "ProjectVersion": "arn:…"}


def _line(truth=(), adapter=(), base=(), image="s3://b/1.jpg"):
    return {
        "source-ref": image,
        "content-moderation-groundtruth": {"ModerationLabels": [{"Name": t} for t in truth]},
        "detect-moderation-labels": _answer(*adapter),
        "detect-moderation-labels-base-model": _answer(*base),
    }


def _counts(tp, fp, fn, tn):
    names = ("TruePositive", "FalsePositive", "FalseNegative", "TrueNegative")
    return dict(zip(names, (tp, fp, fn, tn), strict=True))


def _at(threshold, adapter, base, labels=()):
    return {
        "ConfidenceThreshold": threshold,
        "AggregatedEvaluationResults": {"BaseModel": _counts(*base), "Adapter": _counts(*adapter)},
        "LabelEvaluationResults": [
            {"Label": label, "BaseModel": _counts(*of_base), "Adapter": _counts(*of_adapter)}
            for label, of_adapter, of_base in labels
        ],
    }


@pytest.fixture
def summary():
    """Two labels; at 50 the adapter has 3 hits, 1 false alarm and no miss, its base 1, 1 and 2."""
    labels = [(GORE, (2, 1, 0, 7), (0, 0, 2, 8)), (WEAPONS, (1, 0, 0, 9), (1, 1, 0, 8))]
    part = {
        "InputConfidenceThresholdEvalResults": _at(50, (3, 1, 0, 16), (1, 1, 2, 16), labels),
        "AllConfidenceThresholdsEvalResults": [
            _at(50, (3, 1, 0, 16), (1, 1, 2, 16), labels),
            _at(5, (3, 3, 0, 14), (3, 6, 0, 11)),
        ],
    }
    file = {
        "AggregatedEvaluationResults": {"F1Score": 0.8},
        "EvaluationDetails": {
            "Labels": [GORE, WEAPONS],
            "NumberOfTestingImages": 10,
            "NumberOfTrainingImages": 20,
        },
        "ContentModeration": part,
    }
    return json.dumps(file).encode()


def test_answers_of_both_models(read, describe):
    """Several labels an image; the base model's answers are kept as well, on the same images."""
    evaluation = read(
        [
            _line([GORE], adapter=[(GORE, 95.5), (WEAPONS, 5)], base=[(WEAPONS, 60)]),
            _line(image="s3://b/2.jpg"),
        ]
    )
    assert evaluation.task == Task.MULTILABEL
    assert describe(evaluation) == [
        ("s3://b/1.jpg", {GORE}, {GORE: 0.955, WEAPONS: 0.05}),
        ("s3://b/2.jpg", set(), {}),
    ]
    assert evaluation.baseline.offsets.tolist() == [0, 1, 1]
    assert evaluation.baseline.label_idx.tolist() == [evaluation.labels.index(WEAPONS)]
    assert evaluation.baseline.confidence.tolist() == [0.6]
    assert evaluation.warnings == ()


def test_training_threshold_is_that_of_every_label(read, summary):
    """The adapter was trained for one threshold, in percent; labels in the provider's order."""
    evaluation = read([_line([WEAPONS], adapter=[(WEAPONS, 50)])], summary=summary)
    assert evaluation.labels == (GORE, WEAPONS)
    assert evaluation.thresholds.tolist() == [0.5, 0.5]
    assert evaluation.reported.test_images == 10


def test_reported_numbers_of_both_models(read, summary):
    """Precision 3/4, recall 3/3 and the published F1; of the base model 1/2, 1/3 and 2/5."""
    reported = read([_line([GORE])], summary=summary).reported
    assert reported.aggregate == {
        "precision": 0.75,
        "recall": 1,
        "f1": 0.8,
        "threshold": 0.5,
        "tp": 3,
        "fp": 1,
        "fn": 0,
        "tn": 16,
    }
    assert reported.baseline.aggregate == {
        "precision": 0.5,
        "recall": pytest.approx(1 / 3),
        "f1": 0.4,
        "tp": 1,
        "fp": 1,
        "fn": 2,
        "tn": 16,
    }
    assert reported.per_label[GORE]["precision"] == pytest.approx(2 / 3)
    assert "precision" not in reported.baseline.per_label[GORE]  # nothing was predicted


def test_every_threshold_is_a_point(read, summary):
    """The curve rises in threshold, however the file lists them; a gap is NaN."""
    reported = read([_line([GORE])], summary=summary).reported
    curve = reported.curves[""]
    assert curve.thresholds.tolist() == [0.05, 0.5]
    assert curve.precision.tolist() == [0.5, 0.75]
    assert reported.baseline.curves[""].fp.tolist() == [6, 1]
    assert reported.curves[GORE].tp.tolist() == pytest.approx([np.nan, 2], nan_ok=True)


def test_summary_alone(read, version, summary):
    """Without a manifest the reported numbers are there, of the same task."""
    from mlrek.formats.rekognition import Document, parse_evaluation

    evaluation = parse_evaluation(version, summary=Document(uri="s3://b/s.json", data=summary))
    assert evaluation.task == Task.MULTILABEL
    assert evaluation.reported.baseline is not None
    assert evaluation.baseline is None


def test_answers_of_labels_it_was_not_trained_on(read, summary, describe):
    """The models answer with all of their labels; those that nobody looks for are left out."""
    line = _line([GORE], adapter=[("Violence", 90), (GORE, 90)], base=[("Smoking", 80)])
    evaluation = read([line], summary=summary)
    assert describe(evaluation) == [("s3://b/1.jpg", {GORE}, {GORE: 0.9})]
    assert evaluation.labels == (GORE, WEAPONS)
    [warning] = [text for text in evaluation.warnings if "trained" in text]
    assert warning.startswith("2 answers of labels that the adapter was not trained on")
    assert warning.endswith("'Violence', 'Smoking'")


def test_true_label_is_kept_though_not_trained_on(read, summary):
    """What is true somewhere counts, whatever the list says."""
    evaluation = read([_line(["Smoking"], base=[("Smoking", 80)])], summary=summary)
    assert evaluation.labels == (GORE, WEAPONS, "Smoking")
    assert len(evaluation.baseline.label_idx) == 1


def test_repeated_label_counts_once(read, describe):
    """The most confident answer counts, as in every manifest."""
    evaluation = read([_line([GORE], adapter=[(GORE, 40), (GORE, 90)])])
    assert describe(evaluation)[0][2] == {GORE: 0.9}
    assert evaluation.warnings[0].startswith("1 of 2 records repeat a label")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source-ref": None}, "source-ref"),
        ({"detect-moderation-labels": {"ModerationLabels": [{"Name": "a"}]}}, "Confidence"),
        ({"detect-moderation-labels": _answer(("a", 101))}, "100"),
        ({"detect-moderation-labels": _answer(("", 1))}, "Name"),
        ({"content-moderation-groundtruth": {"ModerationLabels": 1}}, "ModerationLabels"),
    ],
)
def test_malformed_line(read, change, reason):
    """The line and the reason are named; when it may be left out, the others are read."""
    good = _line([GORE], adapter=[(GORE, 90)])
    with pytest.raises(ParseError, match=rf"manifest.json:2: .*{reason}"):
        read([good, good | change])
    evaluation = read([good, good | change], skip_bad_lines=True)
    assert len(evaluation.images) == 1
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 2)


def test_training_manifest_holds_no_answers(read):
    """Lines with truth alone are not what was tested."""
    line = {"source-ref": "s3://b/1.jpg", "content-moderation-groundtruth": {}}
    with pytest.raises(ParseError, match="holds no answers of a moderation adapter"):
        read([line])

"""Flags against confidence, threshold and truth: counted, never believed."""

import pytest

from mlrek.evaluation import Outcome

DETAILS = "rekognition-custom-labels-evaluation-details"
RECORD = "rekognition-custom-labels-evaluation-0-metadata"
AGAINST_THRESHOLD = "records have flags that contradict confidence and threshold, which count"
AGAINST_TRUTH = "records have flags that contradict the true labels, which count"


@pytest.fixture(scope="module")
def warn(read, make_line, make_summary):
    """A function: one record of a cat (or another label) -> the warnings."""

    def read_one(outcome, confidence, *, truth=("cat",), threshold=0.5, label="cat"):
        line = make_line(truth=truth, records=[(label, confidence, outcome)])
        summary = make_summary(labels=["cat", "dog"], thresholds={label: threshold})
        return read([line], summary=summary).warnings

    return read_one


@pytest.mark.parametrize(
    ("outcome", "confidence", "label"),
    [("TP", 0.6, "cat"), ("FN", 0.4, "cat"), ("FP", 0.6, "dog"), ("TN", 0.4, "dog")],
)
def test_what_agrees_is_silent(warn, outcome, confidence, label):
    """Flags as they follow from confidence, threshold and truth give no warning."""
    assert warn(outcome, confidence, label=label) == ()


@pytest.mark.parametrize(("outcome", "label"), [("TP", "cat"), ("FN", "cat"), ("FP", "dog")])
def test_exactly_the_threshold_is_no_contradiction(warn, outcome, label):
    """Whether the service counts equality as reached is not published: both are fine."""
    assert warn(outcome, 0.5, label=label) == ()


@pytest.mark.parametrize(
    ("outcome", "confidence", "label"),
    [("TP", 0.4, "cat"), ("FP", 0.4, "dog"), ("FN", 0.6, "cat"), ("TN", 0.6, "dog")],
)
def test_flag_against_threshold(warn, outcome, confidence, label):
    """Predicted below the threshold, or not predicted above it."""
    assert warn(outcome, confidence, label=label) == (
        f"1 of 1 {AGAINST_THRESHOLD}; first: 's3://b/1.jpg'",
    )


def test_no_threshold_is_no_contradiction(warn):
    """Where no threshold is published none can be contradicted."""
    assert warn("FN", 0.9, threshold=None) == ()


@pytest.mark.parametrize(
    ("outcome", "confidence", "label"),
    [("TP", 0.6, "dog"), ("FN", 0.4, "dog"), ("FP", 0.6, "cat"), ("TN", 0.4, "cat")],
)
def test_flag_against_truth(warn, outcome, confidence, label):
    """Hit or missed, but not in the truth; or false, but in it."""
    assert warn(outcome, confidence, label=label) == (
        f"1 of 1 {AGAINST_TRUTH}; first: 's3://b/1.jpg'",
    )


def test_presence_against_truth(read, make_line):
    """The flag that says whether the label is in the truth may contradict it alone."""
    line = make_line()
    line[RECORD][DETAILS]["is-present-in-ground-truth"] = False
    assert read([line]).warnings == (f"1 of 1 {AGAINST_TRUTH}; first: 's3://b/1.jpg'",)


def test_image_without_truth_contradicts_nothing(warn):
    """Where the truth is unknown (or boxes) no flag can contradict it."""
    assert warn("TP", 0.6, truth=()) == ()


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"is-true-positive": None},
        {"is-true-positive": False, "is-false-negative": False},
        {"is-true-positive": True, "is-false-negative": True},
    ],
)
def test_not_exactly_one_flag_is_unknown(read, make_line, flags):
    """None or two of the four flags say nothing, which is counted."""
    line = make_line()
    line[RECORD][DETAILS] = flags
    evaluation = read([line])
    assert evaluation.records.outcome.tolist() == [Outcome.UNKNOWN]
    assert evaluation.warnings == (
        "1 of 1 records do not have exactly one of the four outcome flags; first: 's3://b/1.jpg'",
    )


def test_no_details_are_unknown(read, make_line):
    """A record without details is a record all the same."""
    line = make_line()
    del line[RECORD][DETAILS]
    assert read([line]).records.outcome.tolist() == [Outcome.UNKNOWN]


def test_counts_and_names_the_first(read, make_line, make_summary):
    """One warning for all, with the first image in the file's order."""
    outcomes = ["TP", "FN", "TP", "FN"]
    lines = [
        make_line(image=str(i), records=[("cat", 0.9, name)]) for i, name in enumerate(outcomes)
    ]
    summary = make_summary(labels=["cat"], thresholds={"cat": 0.5})
    assert read(lines, summary=summary).warnings == (f"2 of 4 {AGAINST_THRESHOLD}; first: '1'",)

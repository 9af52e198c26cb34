"""Reading evaluation manifests: what counts on a line, what does not, and what is refused."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind, Outcome, RecordsKind, Task
from mlrek.metrics.test_set import count_once

IMAGE = "s3://b/1.jpg"


def test_confidence_is_that_of_the_predicted_class(read_lookout, make_image, lay_out):
    """The other class has the rest, so that each class has a confidence on each image."""
    evaluation = read_lookout(
        [
            make_image("anomaly", "anomaly", 0.75),
            make_image("anomaly", "normal", 0.625, image="s3://b/2.jpg"),
        ]
    )
    assert lay_out(evaluation) == [
        (IMAGE, "anomaly", {"normal": 0.25, "anomaly": 0.75}),
        ("s3://b/2.jpg", "anomaly", {"normal": 0.625, "anomaly": 0.375}),
    ]
    assert evaluation.records_kind is RecordsKind.COMPLETE
    assert evaluation.warnings == ()


def test_labels_and_positive_class_are_always_the_same(read_lookout, make_image):
    """Normal and anomaly, in this order, also where only one of them occurs."""
    evaluation = read_lookout([make_image("anomaly", "anomaly")])
    assert evaluation.labels == ("normal", "anomaly")
    assert evaluation.pos_label == "anomaly"
    assert evaluation.task is Task.CLASSIFICATION
    assert evaluation.masks is None


@pytest.mark.parametrize(
    ("true", "predicted", "normal", "anomaly"),
    [
        ("normal", "normal", Outcome.TP, Outcome.TN),
        ("normal", "anomaly", Outcome.FN, Outcome.FP),
        ("anomaly", "normal", Outcome.FP, Outcome.FN),
        ("anomaly", "anomaly", Outcome.TN, Outcome.TP),
    ],
)
def test_outcomes_are_what_the_service_decided(
    read_lookout, make_image, true, predicted, normal, anomaly
):
    """Each class against the truth."""
    evaluation = read_lookout([make_image(true, predicted)])
    assert evaluation.records.outcome.tolist() == [normal, anomaly]


@pytest.mark.parametrize("value", [0, 1, "1", None, -7, 0.5, True, [1]])
def test_value_of_an_attribute_means_nothing(read_lookout, make_image, lay_out, value):
    """The class is the metadata's class-name: some tools write 1 for normal."""
    line = make_image("normal", "anomaly", 0.75) | {"x": value, "x-detected": value}
    scores = {"normal": 0.25, "anomaly": 0.75}
    assert lay_out(read_lookout([line])) == [(IMAGE, "normal", scores)]


@pytest.mark.parametrize(
    "name", ["anomaly-label", "Zustand ü", "is-detected", "x-metadata", "a-ref"]
)
def test_attributes_have_the_customers_names(read_lookout, make_image, lay_out, name):
    """The prediction is named after the truth, whatever that is called."""
    evaluation = read_lookout([make_image("normal", "anomaly", 0.75, name=name)])
    assert lay_out(evaluation) == [(IMAGE, "normal", {"normal": 0.25, "anomaly": 0.75})]


def test_other_attributes_of_a_line_mean_nothing(read_lookout, make_image, lay_out):
    """The truth is the attribute that the prediction is named after."""
    other = {"class-name": "anomaly", "type": "groundtruth/image-classification"}
    line = {"first": 0, "first-metadata": other} | make_image("normal", "normal", 0.75)
    line |= {"last": 1, "last-metadata": other, "note": "x", "cl-metadata": {"is_labeled": True}}
    assert lay_out(read_lookout([line]))[0][1] == "normal"


@pytest.mark.parametrize("class_name", ["scratch", "Anomaly", "", None, 1])
def test_another_class_is_no_label(read_lookout, make_image, lay_out, class_name):
    """As with the service, only normal and anomaly are; the rest is counted in a warning."""
    line = make_image()
    line["x-metadata"]["class-name"] = class_name
    evaluation = read_lookout([line])
    assert lay_out(evaluation) == []
    assert [doubt.kind for doubt in evaluation.doubts] == [DoubtKind.TRUTH_UNKNOWN]
    assert len(evaluation.warnings) == int(class_name is not None)


def test_another_class_is_named(read_lookout, make_image):
    """With the first image that has it."""
    lines = [make_image("scratch"), make_image("normal", image="s3://b/2.jpg")]
    (warning,) = read_lookout(lines).warnings
    assert warning.startswith("1 of 2 images have a true class that is neither normal nor anomaly")
    assert "'scratch' of 's3://b/1.jpg'" in warning


def test_image_without_truth_is_left_out(read_lookout, make_image):
    """Nobody has labelled it, which a doubt counts."""
    lines = [make_image(None, "normal", 0.75), make_image(image="s3://b/2.jpg")]
    evaluation = read_lookout(lines)
    assert evaluation.images == ("s3://b/2.jpg",)
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.TRUTH_UNKNOWN, 1, 2)
    assert doubt.text.endswith(f"first: {IMAGE!r}")


def test_image_without_prediction_is_a_miss(read_lookout, make_image, lay_out):
    """It stays, with no record; its truth is what other images' predictions are named after."""
    line = make_image("normal", None, image="s3://b/2.jpg")
    other = {"class-name": "anomaly", "type": "groundtruth/image-classification"}
    line = {"before": 1, "before-metadata": other} | line
    evaluation = read_lookout([line, make_image()])
    assert lay_out(evaluation)[0] == ("s3://b/2.jpg", "normal", {})
    assert evaluation.records_kind is RecordsKind.PARTIAL
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.UNANSWERED, 1, 2)
    assert doubt.text.startswith("1 of 2 images have no prediction and count as misses")


def test_truth_of_an_image_without_prediction_may_be_the_only_label(
    read_lookout, make_image, lay_out
):
    """Whatever it is called; of several that no prediction is named after, none is taken."""
    alone = make_image("normal", None, image="s3://b/2.jpg", name="y")
    several = alone | make_image("normal", None, image="s3://b/3.jpg", name="z")
    rows = lay_out(read_lookout([make_image(), alone, several]))
    assert [true for _, true, _ in rows] == ["anomaly", "normal"]  # the last one is left out


def test_confidence_that_speaks_for_the_other_class_is_counted(read_lookout, make_image, lay_out):
    """It counts, and the service's decision is kept as the outcome."""
    lines = [make_image("anomaly", "anomaly", 0.5), make_image("normal", "normal", 0.5)]
    evaluation = read_lookout(lines)
    assert any(
        line.startswith("1 of 2 predictions have a confidence that speaks for the other class")
        for line in evaluation.warnings
    )
    assert evaluation.records.outcome[:2].tolist() == [Outcome.TN, Outcome.TP]


def test_image_on_two_lines_stays_twice(read_lookout, make_image):
    """Every line is kept as it was published; `count_once` leaves out what they contradict."""
    evaluation = read_lookout([make_image(), make_image("normal", "normal")])
    assert len(evaluation.images) == 2
    (doubt,) = count_once(evaluation).doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.TRUTH_UNKNOWN, 1, 1)


def test_manifest_of_another_model_is_named(read_lookout, make_image):
    """The metadata of each prediction says whose it is."""
    line = make_image()
    line["x-detected-metadata"]["model-arn"] = "arn:aws:lookoutvision:eu-west-1:1:model/cookies/3"
    (doubt,) = read_lookout([line]).doubts
    assert doubt.kind is DoubtKind.FOREIGN_SUMMARY
    assert doubt.touches_number("aggregate/accuracy")
    assert "the answers of another version: 'arn:aws:lookoutvision" in doubt.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source-ref": ""}, "source-ref is '', not the place of an image"),
        ({"source-ref": 3}, "source-ref is 3, not the place of an image"),
        ({"source-ref": "a\0b"}, "not the place of an image"),
        ({"x-metadata": 3}, "x-metadata is 3, not a JSON object"),
        ({"x-detected-metadata": None}, "x-detected-metadata is None, not a JSON object"),
        (
            {"x-detected-metadata": {"class-name": "scratch", "confidence": 1}},
            "class-name in x-detected-metadata is 'scratch', not normal or anomaly",
        ),
        (
            {"x-detected-metadata": {"class-name": "anomaly"}},
            "confidence in x-detected-metadata is None, not a number from 0 to 1",
        ),
        (
            {"x-detected-metadata": {"class-name": "anomaly", "confidence": 1.5}},
            "confidence in x-detected-metadata is 1.5, not a number from 0 to 1",
        ),
        (
            {"x-detected-metadata": {"class-name": "anomaly", "confidence": "0.5"}},
            "confidence in x-detected-metadata is '0.5', not a number from 0 to 1",
        ),
        ({"y-detected": 1, "y-detected-metadata": {"class-name": "normal"}}, "two models"),
        ({"x-metadata": {"class-name": ["normal"]}}, "class-name"),
    ],
)
def test_malformed_line_fails_with_its_number(read_lookout, make_image, changes, reason):
    """The error says which line and what is wrong with it."""
    with pytest.raises(ParseError) as caught:
        read_lookout([make_image(), make_image() | changes])
    assert caught.value.line == 2
    assert reason in caught.value.reason


@pytest.mark.parametrize("text", [b"{", b"[1]", b'"x"', b"\xff", b"{} {}", b"null"])
def test_line_that_is_no_object_fails_with_its_number(read_lookout, make_image, text):
    """Nothing is guessed of half a line."""
    with pytest.raises(ParseError) as caught:
        read_lookout([make_image(), text])
    assert caught.value.line == 2


def test_malformed_lines_can_be_left_out(read_lookout, make_image):
    """They are counted, and the first ones are named."""
    lines = [b"{", make_image(), *([b"[]"] * 3)]
    evaluation = read_lookout(lines, skip_bad_lines=True)
    assert len(evaluation.images) == 1
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 4, 5)
    assert doubt.text.startswith("4 of 5 manifest lines are malformed and were left out: line 1: ")
    assert doubt.text.endswith("; …")


def test_manifest_of_a_data_set_is_explained(read_lookout, cookies):
    """It looks alike, but nothing was predicted."""
    lines = (cookies / "train_segmentation.manifest").read_bytes().splitlines()
    with pytest.raises(ParseError, match=r"holds no predictions .* data set"):
        read_lookout(lines)


@pytest.mark.parametrize("lines", [[], [b""], [b"\xef\xbb\xbf"]])
def test_empty_manifest_is_refused(read_lookout, lines):
    """No line is no evaluation."""
    with pytest.raises(ParseError, match="is empty: not one line"):
        read_lookout(lines)


def test_manifest_of_malformed_lines_alone_is_refused(read_lookout):
    """Leaving them all out leaves nothing; the first reason is the one to know."""
    with pytest.raises(ParseError, match="no line that could be read holds a prediction") as caught:
        read_lookout([b"", b"{"], skip_bad_lines=True)
    assert caught.value.line == 2


def test_form_of_the_text_does_not_matter(read_lookout, make_image, lay_out):
    """A byte-order mark, other line ends and blank lines are no part of it."""
    text = json.dumps(make_image()).encode()
    plain = read_lookout([text, text])
    odd = read_lookout([b"\xef\xbb\xbf" + text + b"\r", b"  ", text + b"\r"])
    assert lay_out(odd) == lay_out(plain)

"""Reading evaluation manifests: what counts on a line, what does not, and what is refused."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind, Outcome
from mlrek.metrics.test_set import count_once

DETAILS = "rekognition-custom-labels-evaluation-details"
RECORD = "rekognition-custom-labels-evaluation-0-metadata"
TRUTH = "rekognition-custom-labels-training-0-metadata"


def _with(line, name, **changes):
    """The line with some keys of one of its metadata objects changed."""
    return line | {name: line[name] | changes}


def _without(line, *names):
    return {name: value for name, value in line.items() if name not in names}


def test_guide_example(read, guide, describe):
    """The developer guide's line: one image, its true label, and one record of it."""
    evaluation = read([(guide / "TestingGroundTruth-classification.jsonl").read_bytes()])
    image = "s3://test-bucket/dataset/beckham.jpeg"
    assert describe(evaluation) == [(image, {"Football"}, {"Football": 0.95})]
    assert evaluation.records.outcome.tolist() == [Outcome.TP]
    assert evaluation.warnings == ()


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), (7, 3), ("", 12)])
def test_numbers_only_enumerate(read, make_line, describe, numbers):
    """The number in a key says nothing of the label; a key without a number counts too."""
    line = make_line(records=())
    for number, (label, confidence) in zip(numbers, [("cat", 0.9), ("dog", 0.4)], strict=True):
        name = f"rekognition-custom-labels-evaluation-{number}".removesuffix("-")
        line |= {name: 5, f"{name}-metadata": {"class-name": label, "confidence": confidence}}
    assert describe(read([line])) == [("s3://b/1.jpg", {"cat"}, {"cat": 0.9, "dog": 0.4})]


@pytest.mark.parametrize("value", [0, 1, 9, "0", "cat", None, [1, 0], 1.5, True])
def test_value_of_an_attribute_means_nothing(read, make_line, describe, value):
    """The label is the metadata's class-name, whatever the attribute's own value."""
    values = {
        "rekognition-custom-labels-training-0": value,
        "rekognition-custom-labels-evaluation-0": value,
    }
    expected = [("s3://b/1.jpg", {"cat"}, {"cat": 0.9})]
    assert describe(read([make_line() | values])) == expected


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([("dog", 0.9, "FP")], {"dog": 0.9}),
        ([("dog", 0.9, "FP"), ("cat", 0.1, "FN")], {"cat": 0.1, "dog": 0.9}),
        ([("cat", 0.1, "FN"), ("dog", 0.2, "TN"), ("cow", 0.7, "FP")], None),
    ],
)
def test_any_number_of_records(read, make_line, describe, records, expected):
    """One record, a wrong label with the true one missed, or one for each label: all are kept."""
    expected = expected or {"cat": 0.1, "cow": 0.7, "dog": 0.2}
    assert describe(read([make_line(records=records)])) == [("s3://b/1.jpg", {"cat"}, expected)]


def test_flags_name_the_outcome(read, make_line):
    """Each of the four flags is one outcome."""
    records = [("a", 0.9, "TP"), ("b", 0.8, "FP"), ("c", 0.2, "FN"), ("d", 0.1, "TN")]
    evaluation = read([make_line(truth=("a", "c"), records=records)])
    assert evaluation.records.outcome.tolist() == [
        *(Outcome.TP, Outcome.FP),
        *(Outcome.FN, Outcome.TN),
    ]


def test_image_without_a_record_stays(read, make_line, describe):
    """Nothing predicted is no reason to drop an image: it is a miss."""
    evaluation = read([make_line(), make_line(records=(), image="s3://b/2.jpg")])
    assert describe(evaluation)[1] == ("s3://b/2.jpg", {"cat"}, {})
    assert evaluation.warnings == ()


UNLABELLED = {
    "no label attribute": {},
    "the service says so": {"cl-metadata": {"is_labeled": False}},
    "labelling failed": {"pets-metadata": {"failure-reason": "the annotation task expired"}},
    "people judged labels only": {
        "verify": 1,
        "verify-metadata": {
            "class-name": "bad",
            "human-annotated": "yes",
            "type": "groundtruth/label-verification",
        },
    },
}


@pytest.mark.parametrize("name", UNLABELLED)
def test_image_that_nobody_has_labelled_is_left_out(read, make_line, name):
    """Its truth is unknown, which a doubt counts; a false alarm on it says nothing."""
    line = make_line(truth=(), image="s3://b/2.jpg", records=[("cat", 0.9, "FP")])
    evaluation = read([make_line(), line | UNLABELLED[name]])
    assert evaluation.images == ("s3://b/1.jpg",)
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.TRUTH_UNKNOWN, 1, 2)
    assert doubt.text.endswith("first: 's3://b/2.jpg'")


def test_label_of_an_image_that_the_service_calls_unlabelled_is_not_read(read, make_line):
    """Before and after lines without that remark."""
    line = make_line(image="s3://b/2.jpg") | {"cl-metadata": {"is_labeled": False}}
    good = make_line() | {"cl-metadata": {"is_labeled": True}}
    assert read([good, line, good]).images == ("s3://b/1.jpg", "s3://b/1.jpg")


def test_image_without_a_record_is_a_miss(read, make_line):
    """The test set holds it, so that it counts, and a doubt tells."""
    (doubt,) = read([make_line(), make_line(image="s3://b/2.jpg", records=())]).doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.UNANSWERED, 1, 2)


def test_boxes_are_no_truth_of_the_image(read, make_line, describe):
    """An image with boxes only, but whole-image predictions: nobody labelled it as a whole."""
    name = "rekognition-custom-labels-training-0"
    metadata = {"class-map": {"0": "Cap"}, "objects": [{}], "type": "groundtruth/object-detection"}
    box = {"class_id": 0, "left": 1, "top": 2, "width": 3, "height": 4}
    line = make_line(truth=()) | {name: {"annotations": [box]}, f"{name}-metadata": metadata}
    assert describe(read([line])) == []


@pytest.mark.parametrize(
    "extra",
    [
        {"rekognition-custom-labels-object-id": 1, "line-idx": 17},
        {"cl-metadata": {"is_labeled": True}, "cl-errors": [{"code": "X", "message": "y"}]},
        {"source-ref-metadata": {"class-name": "dog", "confidence": 1}},
        {"errors": [{"code": [[]]}], "new": {"a": {"b": [1]}}, "n": None, "x": 1e300, "y": True},
        {"dog": 1, "dog-metadata": {"class-name": "dog", "human-annotated": "yes"}},
        {"rekognition-custom-labels": 1, "rekognition-custom-labels-evaluation-x": 1},
        {"other-metadata": {"class-name": "dog"}, "-metadata": {"class-name": "dog"}},
        {"new": {"class-name": ["dog"], "confidence": True, "type": {}, "human-annotated": []}},
    ],
)
def test_other_keys_do_not_matter(read, make_line, describe, extra):
    """Ids, errors, metadata without an attribute and the customer's own labels change nothing."""
    assert describe(read([make_line() | extra])) == [("s3://b/1.jpg", {"cat"}, {"cat": 0.9})]


def test_lines_may_differ_in_their_keys(read, make_line, describe):
    """What one line's keys are says nothing of the next line's."""
    lines = [
        make_line(image="1", **{"line-idx": 1}),
        make_line(image="2", truth=("cat", "dog"), records=[("dog", 0.5, "TP")]),
        make_line(image="3", records=()),
        make_line(image="4"),
    ]
    assert describe(read(lines)) == [
        ("1", {"cat"}, {"cat": 0.9}),
        ("2", {"cat", "dog"}, {"dog": 0.5}),
        ("3", {"cat"}, {}),
        ("4", {"cat"}, {"cat": 0.9}),
    ]


def test_the_same_true_label_twice_is_one(read, make_line, describe):
    """True labels of an image are a set."""
    evaluation = read([make_line(truth=("cat", "cat"))])
    assert describe(evaluation) == [("s3://b/1.jpg", {"cat"}, {"cat": 0.9})]
    assert evaluation.warnings == ()


def test_label_names_are_kept_as_they_are(read, make_line, describe):
    """Any text is a label, also one that looks like something else."""
    names = ["", " ", "(none)", "naïve 🌹", "a/b", "null", "x" * 256, "1", "-metadata"][1:]
    lines = [make_line(truth=[name], records=[(name, 0.5, "TP")]) for name in names]
    assert [row[1] for row in describe(read(lines))] == [{name} for name in names]


@pytest.mark.parametrize("image", ["s3://b/a b+ü.jpg", "images/1.png", "C:\\1.png", "x" * 5000])
def test_images_are_kept_as_they_are(read, make_line, image):
    """Any text is the place of an image."""
    assert read([make_line(image=image)]).images == (image,)


def test_image_on_two_lines_stays_twice(read, make_line):
    """Every line is kept as it was published; `count_once` tells which of them counts."""
    evaluation = read([make_line(image=image) for image in ("c", "a", "b", "a", "b", "a")])
    assert evaluation.images == ("c", "a", "b", "a", "b", "a")
    assert evaluation.warnings == ()
    (doubt,) = count_once(evaluation).doubts
    assert doubt.text == ("2 of 3 images stand in more than one line; each counts once; first: 'a'")


class TestOwnNames:
    """Manifests in the style of Ground Truth, with label attributes under the customer's names."""

    def test_machine_with_details_is_a_record(self, read, describe):
        """Details of an evaluation make a machine's label a record; other labels are truth."""
        line = {
            "source-ref": "s3://b/1.jpg",
            "pets": 1,
            "pets-metadata": {"class-name": "cat", "human-annotated": "yes"},
            "auto": 1,
            "auto-metadata": {"class-name": "cow", "human-annotated": "no"},
            "model": 0,
            "model-metadata": {
                "class-name": "dog",
                "confidence": 0.5,
                "human-annotated": "no",
                DETAILS: {"is-false-positive": True},
            },
        }
        evaluation = read([line])
        assert describe(evaluation) == [("s3://b/1.jpg", {"cat", "cow"}, {"dog": 0.5})]
        assert evaluation.records.outcome.tolist() == [Outcome.FP]

    def test_other_kinds_are_no_labels(self, read, make_line, describe):
        """Boxes and masks are no labels of the image."""
        line = {
            "source-ref": "2",
            "boxes": {"annotations": []},
            "boxes-metadata": {"class-map": {"0": "cat"}},
            "mask-ref": "s3://b/m.png",
            "mask-ref-metadata": {"type": "groundtruth/semantic-segmentation"},
        }
        assert read([make_line(), line]).images == ("s3://b/1.jpg",)

    def test_label_list_is_malformed(self, read, make_line):
        """A job's labels as one list are not what the service writes, and not dropped silently."""
        metadata = {"class-map": {"1": "cat"}, "type": "groundtruth/image-classification"}
        line = {"source-ref": "2", "pets": [1], "pets-metadata": metadata}
        with pytest.raises(ParseError, match="2: class-name in pets-metadata is None"):
            read([make_line(), line])


MALFORMED = {
    "cut off": (b'{"source-ref": "x"', "not valid JSON"),
    "not UTF-8": (b'{"source-ref": "\xff"}', "not valid JSON"),
    "NUL": (b"\x00", "not valid JSON"),
    "nested": (b'{"x":' + b"[" * 100_000, "nested too deeply"),
    "surrogate": (rb'{"source-ref": "\ud800abc"}', "not valid JSON"),
    "array": (b"[1, 2]", "Expected `object`, got `array`"),
    "number": (b"1", "Expected `object`, got `int`"),
    "no image": (b"{}", "source-ref is None, not the place of an image"),
    "image is a number": (b'{"source-ref": 5}', "source-ref is 5, not the place of an image"),
    "image is empty": (b'{"source-ref": ""}', "source-ref is '', not the place"),
    "NUL in image": (rb'{"source-ref": "a\u0000b"}', "not the place of an image"),
    "two on a line": (b'{"source-ref": "x"} {"source-ref": "y"}', "not valid JSON"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_line_fails_with_its_number(read, make_line, name):
    """A line that is no image with labels fails the version: where, which line, and why."""
    text, reason = MALFORMED[name]
    with pytest.raises(ParseError) as caught:
        read([make_line(), b"", text, make_line()])
    assert caught.value.line == 3
    assert str(caught.value).startswith("s3://b/manifest.json:3: ")
    assert reason in caught.value.reason


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_line_can_be_left_out(read, make_line, describe, name):
    """The user may ask to skip such lines; the rest counts, and a warning says what is missing."""
    text, reason = MALFORMED[name]
    evaluation = read([make_line(image="1"), text, make_line(image="3")], skip_bad_lines=True)
    assert evaluation.images == ("1", "3")
    (doubt,) = evaluation.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 3)
    assert doubt.text.startswith("1 of 3 manifest lines are malformed and were left out: line 2: ")
    assert reason in doubt.text


@pytest.mark.parametrize(
    "confidence",
    [None, "NaN", "0.9", True, -0.1, 1.0000001, 95, float("nan"), float("inf"), 1e400, [0.9], {}],
)
def test_confidence_that_is_none_is_malformed(read, make_line, confidence):
    """A record counts by its confidence from 0 to 1; without one its line is malformed."""
    bad = _with(make_line(), RECORD, confidence=confidence)
    with pytest.raises(ParseError, match="confidence") as caught:
        read([make_line(), bad])
    assert caught.value.line == 2


def test_missing_confidence_is_malformed(read, make_line):
    """The reason says which key has what."""
    line = make_line()
    del line[RECORD]["confidence"]
    with pytest.raises(ParseError, match=f"confidence in {RECORD} is None, not a number from 0"):
        read([line])


@pytest.mark.parametrize("confidence", [0, 1, 0.0, 1.0, 5e-324])
def test_confidence_at_the_ends(read, make_line, describe, confidence):
    """0 and 1 are confidences, also written as integers."""
    line = _with(make_line(), RECORD, confidence=confidence)
    assert describe(read([line]))[0][2] == {"cat": confidence}


@pytest.mark.parametrize("name", [TRUTH, RECORD])
@pytest.mark.parametrize("label", [None, "", 5, True, "a\0b", ["cat"], {"a": 1}])
def test_class_name_that_is_no_label_is_malformed(read, make_line, name, label):
    """Whose label is missing is malformed, in truth and in records."""
    line = _with(make_line(), name, **{"class-name": label})
    with pytest.raises(ParseError, match="class-name"):
        read([line])


@pytest.mark.parametrize(
    "missing",
    [
        "rekognition-custom-labels-training-0",
        "rekognition-custom-labels-evaluation-0",
        TRUTH,
        RECORD,
    ],
)
def test_attribute_and_metadata_stand_together(read, make_line, missing):
    """The service's attributes come with their metadata: one without the other is malformed."""
    with pytest.raises(ParseError, match="do not stand together"):
        read([_without(make_line(), missing)])


@pytest.mark.parametrize("name", [TRUTH, RECORD])
@pytest.mark.parametrize("value", [None, 1, "x", []])
def test_metadata_is_an_object(read, make_line, name, value):
    """Metadata that is something else is malformed."""
    with pytest.raises(ParseError, match=f"{name} is .*, not a JSON object"):
        read([make_line() | {name: value}])


def test_flag_that_is_no_flag_is_malformed(read, make_line):
    """A flag is true, false or missing."""
    with pytest.raises(ParseError, match=r"Expected `bool \| null`, got `str`"):
        read([_with(make_line(), RECORD, **{DETAILS: {"is-true-positive": "yes"}})])


def test_line_left_out_leaves_no_trace(read, make_line, describe):
    """Neither labels nor records of a malformed line count, even when it begins well."""
    records = [("cow", 0.5, "FP"), ("hen", 0.4, "FP"), ("pig", 7, "FP")]
    bad = make_line(truth=("ox", "ass"), records=records)
    evaluation = read([make_line(), bad, make_line(image="3")], skip_bad_lines=True)
    assert evaluation.labels == ("cat",)
    assert describe(evaluation) == [
        ("s3://b/1.jpg", {"cat"}, {"cat": 0.9}),
        ("3", {"cat"}, {"cat": 0.9}),
    ]


def test_first_lines_left_out_are_named(read, make_line):
    """Of many malformed lines the doubt counts all and names three."""
    lines = [b"x", b"{}", make_line(), b'{"source-ref": 1}', b"x", b"x"]
    warning = read(lines, skip_bad_lines=True).doubts[0].text
    assert warning.startswith("5 of 6 manifest lines are malformed and were left out: line 1: not")
    assert "; line 2: source-ref is None" in warning
    assert "; line 4: source-ref is 1, " in warning
    assert warning.endswith("; …")


def test_endless_line_fails(read, make_line):
    """One line of more than 16 MiB ends the reading, whatever the user asked for."""
    line = b'{"x": "' + b"x" * (16 * 2**20) + b'"}'
    with pytest.raises(ParseError, match=r"manifest.json:2: is longer than 16 MiB"):
        read([make_line(), line], skip_bad_lines=True)


@pytest.mark.parametrize("skip", [False, True])
class TestRefused:
    """Whole files of another kind are refused, also when bad lines are skipped."""

    def test_empty(self, read, skip):
        """A manifest without a line is no test set of zero images."""
        with pytest.raises(ParseError, match=r"manifest.json: is empty"):
            read([b"", b" "], skip_bad_lines=skip)

    def test_input_manifest(self, read, make_line, skip):
        """A manifest without any prediction is the input manifest, and the message says so."""
        lines = [make_line(records=()), {"source-ref": "2"}]
        with pytest.raises(ParseError, match=r"holds no predictions: .*TestingGroundTruth") as c:
            read(lines, skip_bad_lines=skip)
        assert c.value.line == 0

    def test_customers_own_input_manifest(self, read, skip):
        """The same with the customer's own label names, as the service keeps them there."""
        metadata = {"class-name": "cat", "human-annotated": "yes", "confidence": 1}
        line = {"source-ref": "1", "pets": 1, "pets-metadata": metadata}
        with pytest.raises(ParseError, match="holds no predictions"):
            read([line], skip_bad_lines=skip)

    @pytest.mark.parametrize(
        "name",
        [
            *("content-moderation-groundtruth", "detect-moderation-labels"),
            "detect-moderation-labels-base-model",
        ],
    )
    def test_moderation_adapter(self, read, make_line, skip, name):
        """Lines of a moderation adapter do not stand among those of Custom Labels."""
        line = {"source-ref": "1", name: {"ModerationLabels": []}, f"{name}-metadata": {}}
        with pytest.raises(ParseError, match="belongs to a custom moderation adapter"):
            read([make_line(), line], skip_bad_lines=skip)


def test_no_line_could_be_read(read):
    """When nothing but malformed lines is there, the first one is the reason."""
    with pytest.raises(ParseError, match=r"manifest.json:1: not valid JSON") as caught:
        read([b"x", b"y"], skip_bad_lines=True)
    assert caught.value.line == 1


def test_only_lines_without_predictions_could_be_read(read, make_line):
    """Nor is it called an input manifest when the lines with predictions were left out."""
    bad = _with(make_line(), RECORD, confidence=None)
    with pytest.raises(ParseError, match=r"manifest.json:2: confidence .*holds a prediction"):
        read([make_line(records=()), bad], skip_bad_lines=True)


def test_bare_nan_matters_only_in_a_record(read, make_line):
    """A number that does not exist harms nothing in the truth, whose confidence is not used."""
    harmless = json.dumps(_with(make_line(), TRUTH, confidence=float("nan"))).encode()
    assert read([harmless]).images == ("s3://b/1.jpg",)

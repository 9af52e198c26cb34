"""Saved responses: one answer an image, in whatever order and shape it was saved."""

import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.errors import MlrekError, ParseError
from mlrek.evaluation import DoubtKind
from mlrek.formats.predictions.responses import parse_responses
from mlrek.formats.rekognition import ManifestInput

URI = "answers.jsonl"
CAT = [{"Name": "cat", "Confidence": 75.0}]


def parse(*lines, **options):
    """Parse lines given as objects, or as they are."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return parse_responses(ManifestInput(uri=URI, chunks=[b"\n".join(texts)]), **options)


def read(responses):
    """Image -> (label, confidence, corners) rows."""
    names, corners = list(responses.labels), iter(responses.corners)
    rows = [
        (
            names[responses.label[k]],
            responses.confidence[k],
            *([*islice(corners, 4)] if box else []),
        )
        for k, box in enumerate(responses.has_box)
    ]
    assert next(corners, None) is None
    return {
        image: rows[responses.offsets[i] : responses.offsets[i + 1]]
        for i, image in enumerate(responses.images)
    }


@pytest.mark.parametrize(
    "line",
    [
        {"image": "a", "response": {"CustomLabels": CAT}},
        {"source-ref": "a", "response": {"CustomLabels": CAT, "ResponseMetadata": {"x": 1}}},
        {"image": "a", "CustomLabels": CAT, "more": [1]},
        {"image": "a", "response": {"CustomLabels": CAT}, "min_confidence": 0},
    ],
)
def test_an_answer_may_stand_in_either_place(line):
    """Percent become fractions; a label of the whole image has no box."""
    assert read(parse(line)) == {"a": [("cat", 0.75)]}


def test_boxes_are_left_top_right_bottom_as_shares():
    """Geometry gives left, top, width and height; a polygon does not matter."""
    box = {"Left": 0.1, "Top": 0.25, "Width": 0.5, "Height": 0.5}
    geometry = {"BoundingBox": box, "Polygon": [{"X": 1, "Y": 2}]}
    labels = [{"Name": "cap", "Confidence": 50, "Geometry": geometry}]
    ((_, _, *corners),) = read(parse({"image": "a", "response": {"CustomLabels": labels}}))["a"]
    assert corners == [0.1, 0.25, 0.6, 0.75]


def test_an_empty_answer_is_an_answer():
    """The version saw nothing: that is no error and not missing."""
    assert read(parse({"image": "a", "response": {"CustomLabels": []}})) == {"a": []}


def test_an_error_is_kept_with_its_reason():
    """Until a later call mends it."""
    responses = parse({"image": "a", "error": "ImageTooLarge"}, {"image": "b", "CustomLabels": CAT})
    assert (responses.errors, responses.images) == ({"a": "ImageTooLarge"}, ["b"])
    answer = {"image": "a", "CustomLabels": CAT}
    for lines in ([{"image": "a", "error": "x"}, answer], [answer, {"image": "a", "error": "x"}]):
        mended = parse(*lines)
        assert (mended.errors, mended.images) == ({}, ["a"])


def test_the_same_answer_twice_is_one_and_another_is_an_error():
    """In whatever order its labels stand."""
    labels = [*CAT, {"Name": "dog", "Confidence": 25}]
    once = parse(
        {"image": "a", "CustomLabels": labels}, {"image": "a", "CustomLabels": labels[::-1]}
    )
    assert once.images == ["a"]
    with pytest.raises(ParseError, match=f"^{URI}:2: answers 'a' in another way than line 1"):
        parse({"image": "a", "CustomLabels": labels}, {"image": "a", "CustomLabels": CAT})


def test_answers_of_another_version_are_refused():
    """Where a line tells whose it is."""
    line = {"image": "a", "CustomLabels": CAT, "version_arn": "arn:v1"}
    assert parse(line, version_arns=["arn:v1", "arn:v0"]).images == ["a"]
    with pytest.raises(ParseError, match="of another version: 'arn:v1'"):
        parse(line, version_arns=["arn:v2"], skip_bad_lines=True)


def test_the_same_boxes_twice_are_one_answer():
    """Where boxes differ, the answer does."""

    def found(left):
        box = {"Left": left, "Top": 0, "Width": 0.5, "Height": 0.5}
        return {"Name": "cap", "Confidence": 50, "Geometry": {"BoundingBox": box}}

    first = {"image": "z", "CustomLabels": [found(0.5), *CAT]}
    lines = [first, {"image": "a", "CustomLabels": [*CAT, found(0.1), found(0.2)]}]
    again = {"image": "a", "CustomLabels": [found(0.2), found(0.1), *CAT]}
    assert len(read(parse(*lines, again))["a"]) == 3
    with pytest.raises(ParseError, match="in another way than line 2"):
        parse(*lines, {"image": "a", "CustomLabels": [*CAT, found(0.1), found(0.3)]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not valid JSON"),
        ({"CustomLabels": CAT}, "names no image"),
        ({"image": ""}, "image"),
        ({"image": "a"}, "neither a `response` nor an `error`"),
        ({"image": "a", "response": {}}, "CustomLabels"),
        ({"image": "a", "CustomLabels": [{"Name": "", "Confidence": 1}]}, "Name"),
        ({"image": "a", "CustomLabels": [{"Name": "x", "Confidence": 101}]}, "Confidence"),
        ({"image": "a", "CustomLabels": [{"Name": "x", "Confidence": -1}]}, "Confidence"),
        ({"image": "a", "CustomLabels": [{"Name": "x"}]}, "Confidence"),
    ],
)
def test_a_malformed_line_fails_with_its_number_or_is_counted(line, reason):
    """Unless malformed lines are to be skipped."""
    good = {"image": "b", "CustomLabels": CAT}
    with pytest.raises(ParseError, match=f"^{URI}:2: ") as caught:
        parse(good, line)
    assert reason in str(caught.value)
    responses = parse(good, line, skip_bad_lines=True)
    assert responses.images == ["b"]
    (doubt,) = responses.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 2)


_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
_LABELS = st.dictionaries(_NAME, st.floats(0, 100), max_size=4)


@given(st.dictionaries(_NAME, _LABELS, max_size=5))
@settings(deadline=None)
def test_what_is_written_is_read(answers):
    """Every label with its confidence, image by image."""
    lines = [
        {
            "image": image,
            "response": {"CustomLabels": [{"Name": n, "Confidence": c} for n, c in labels.items()]},
        }
        for image, labels in answers.items()
    ]
    lines.append({"image": "a sure one", "response": {"CustomLabels": CAT}})  # not all fractions
    found = read(parse(*lines))
    assert found.pop("a sure one") == [("cat", 0.75)]
    assert {image: {row[0]: row[1] for row in rows} for image, rows in found.items()} == {
        image: {name: percent / 100 for name, percent in labels.items()}
        for image, labels in answers.items()
    }


@given(st.binary(max_size=60), st.booleans())
def test_hostile_bytes_end_in_an_error_of_ours(data, skip):
    """Or in answers that hold together."""
    try:
        responses = parse(data, skip_bad_lines=skip)
    except MlrekError:
        return
    assert len(responses.offsets) == len(responses.images) + 1

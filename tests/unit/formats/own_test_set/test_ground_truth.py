"""Ground-truth manifests: whatever the customer called it, the truth is read, nothing is lost."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.errors import MlrekError, ParseError, UsageError
from mlrek.evaluation import DoubtKind, Task
from mlrek.formats.rekognition import ManifestInput
from mlrek.formats.truth import parse_ground_truth

URI = "s3://bucket/own.manifest"


def parse(*lines, **options):
    """Parse lines given as objects, or as they are."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return parse_ground_truth(ManifestInput(uri=URI, chunks=[b"\n".join(texts)]), **options)


def label(image, name, attribute="my attr", value="0", **more):
    """A line with one label."""
    metadata = {"class-name": name, "type": "groundtruth/image-classification", **more}
    return {"source-ref": image, attribute: value, f"{attribute}-metadata": metadata}


def boxes(image, *rows, attribute="bb", size=(100, 50), **more):
    """A line with boxes: (class id, left, top, width, height)."""
    names = ("class_id", "left", "top", "width", "height")
    sizes = [{"width": size[0], "height": size[1], "depth": 3}] if size else []
    value = {"annotations": [dict(zip(names, r, strict=True)) for r in rows], "image_size": sizes}
    metadata = {"class-map": {"0": "cap", "5": "hat"}, "type": "groundtruth/object-detection"}
    metadata |= {"objects": [{"confidence": 0.9} for _ in rows], **more}
    return {"source-ref": image, attribute: value, f"{attribute}-metadata": metadata}


def several(image, numbers, names, attribute="many"):
    """A line of a multi-label job."""
    metadata = {"class-map": names, "confidence-map": dict.fromkeys(names, 0.8)}
    metadata["type"] = "groundtruth/image-classification-multilabel"
    return {"source-ref": image, attribute: numbers, f"{attribute}-metadata": metadata}


def read_labels(truth):
    """The true labels of each image, by name."""
    offsets, codes = truth.truth.offsets, truth.truth.label_idx
    return [[truth.labels[code] for code in codes[start:end]] for start, end in pairwise(offsets)]


@pytest.mark.parametrize("value", [0, 1, "0", "anything", 1.5, True, None])
def test_the_class_name_is_the_label_whatever_the_value(value):
    """Ground Truth writes text, Rekognition any integer; neither means anything."""
    truth = parse(label("a", "dog", value=value), label("b", "cat", value=value))
    assert (truth.task, truth.labels) == (Task.CLASSIFICATION, ("cat", "dog"))
    assert (truth.images, read_labels(truth)) == (("a", "b"), [["dog"], ["cat"]])
    assert truth.warnings == ()


def test_several_attributes_are_several_labels():
    """As Rekognition's own entries write them: an attribute a label, and `cl-metadata` besides."""
    line = label("a", "camellia", "camellia", 1) | label("a", "with_leaves", "with_leaves", 1)
    truth = parse(line | {"cl-metadata": {"is_labeled": True}}, label("b", "camellia", "camellia"))
    assert truth.task is Task.MULTILABEL
    assert read_labels(truth) == [["camellia", "with_leaves"], ["camellia"]]


@pytest.mark.parametrize("name", ["a-metadata", "source-ref-x", "größe 🌹", "cl", ""])
def test_an_attribute_may_have_any_name(name):
    """Also one that ends as metadata does, in any script, or none."""
    assert read_labels(parse(label("a", "dog", name))) == [["dog"]]


def test_metadata_of_the_image_itself_is_no_label():
    """`source-ref` may have some."""
    line = label("a", "dog") | {"source-ref-metadata": {"class-name": "no label"}}
    assert read_labels(parse(line)) == [["dog"]]


def test_a_list_of_labels_is_read_by_its_own_class_map():
    """The next line may number them in another way; an empty list is an image without labels."""
    truth = parse(
        several("a", [1, 0], {"0": "car", "1": "bicycle"}),
        several("b", [1], {"1": "car"}),
        several("c", [], {}),
    )
    assert truth.task is Task.MULTILABEL
    assert read_labels(truth) == [["bicycle", "car"], ["car"], []]
    assert truth.warnings == ("1 of 3 images are labelled as having no label; first: 'c'",)


def test_boxes_are_read_in_pixels_with_the_size_of_their_image():
    """Left, top, right, bottom; an empty list is an image without objects, and labeled."""
    truth = parse(boxes("a", (5, 1, 2, 10, 20), (0, 3, 4, 5, 6)), boxes("b", size=None))
    assert (truth.task, truth.labels) == (Task.DETECTION, ("cap", "hat"))
    assert truth.boxes.boxes_xyxy.tolist() == [[1, 2, 11, 22], [3, 4, 8, 10]]
    assert truth.boxes.label_idx.tolist() == [1, 0]
    assert truth.boxes.offsets.tolist() == [0, 2, 2]
    assert truth.image_sizes[0].tolist() == [100, 50]
    assert np.isnan(truth.image_sizes[1]).all()
    assert truth.warnings == ()


UNLABELLED = {
    "no label attribute": {},
    "`is_labeled` is false": {"cl-metadata": {"is_labeled": False}},
    "its labelling failed": {"bb-metadata": {"failure-reason": "ClientError: it expired"}},
}


@pytest.mark.parametrize("reason", UNLABELLED)
@pytest.mark.parametrize(
    "known", [boxes("a", (0, 1, 2, 3, 4)), label("a", "dog"), several("a", [], {})]
)
def test_an_image_that_nobody_has_labelled_is_left_out_and_counted(known, reason):
    """Nobody said that there is nothing on it: Custom Labels ignores such lines too."""
    truth = parse(known, {"source-ref": "b", **UNLABELLED[reason]})
    assert (truth.images, truth.unlabelled) == (("a",), {"b"})
    (doubt,) = truth.doubts
    assert (doubt.kind, doubt.effect, doubt.count, doubt.of) == ("truth_unknown", "said", 1, 2)
    assert "1 of 2 lines of the test set are of images that nobody has labelled" in doubt.text
    assert reason in doubt.text


def test_an_image_that_is_told_unlabelled_is_unknown_whatever_stands_on_its_line():
    """The console leaves old attributes there."""
    truth = parse(label("a", "dog"), label("b", "cat") | {"cl-metadata": {"is_labeled": False}})
    assert (truth.images, truth.labels) == (("a",), ("dog",))


def test_a_label_beside_one_that_failed_is_not_all_that_is_true_of_an_image():
    """With --attribute the one that did not fail counts."""
    lines = (
        label("a", "dog", "x"),
        label("b", "dog", "x") | {"y-metadata": {"failure-reason": "expired"}},
    )
    assert parse(*lines).images == ("a",)
    assert parse(*lines, attributes=["x"]).images == ("a", "b")


def test_a_verification_that_failed_says_nothing_of_the_label():
    """It is of another job."""
    failed = {"type": "groundtruth/label-verification", "failure-reason": "expired"}
    assert parse(label("a", "dog") | {"verify-x-metadata": failed}).images == ("a",)


def test_a_set_of_unlabelled_images_alone_is_refused():
    """Nothing can be evaluated on it."""
    with pytest.raises(ParseError, match="no attribute with metadata of a known kind"):
        parse({"source-ref": "a", "cl-metadata": {"is_labeled": False}})


@pytest.mark.parametrize("on_all", [True, False])
def test_an_attribute_renamed_without_its_metadata_is_named(on_all):
    """The service's own code for it is ERROR_NO_LABEL_ATTRIBUTES."""
    half = {"normal": 0, "auto-label-metadata": {"class-name": "cat"}}
    lines = [half | {"source-ref": image} for image in "abc"]
    where = "all lines" if on_all else "3 lines"
    said = f"'auto-label-metadata' stands alone on {where}: its attribute 'auto-label' is missing"
    if on_all:
        with pytest.raises(ParseError) as caught:
            parse(*lines)
        text = str(caught.value)
    else:
        other = {"source-ref": "d", "cl-metadata": {"is_labeled": False}}
        text = parse(*lines, label("e", "dog"), other).doubts[0].text
    assert said in text
    assert f"'normal' has no 'normal-metadata' on {where}" in text


def test_attributes_of_videos_and_texts_are_named():
    """They are no test set of images."""
    video = {"car-ref": "s3://b/seq.json", "car-ref-metadata": {"type": "groundtruth/video-x"}}
    with pytest.raises(ParseError, match="'car-ref' are of another kind"):
        parse({"source-ref": "s3://b/frames.json"} | video)
    with pytest.raises(ParseError, match="has `source`, no `source-ref`: it is of a text"):
        parse({"source": "a text", "sentiment": 1, "sentiment-metadata": {"class-name": "good"}})


def test_adjusted_labels_count_instead_of_the_old_ones():
    """On the lines that have them."""
    adjusted = boxes("a", (0, 9, 9, 9, 9), attribute="adjusted-bb")
    truth = parse(boxes("a", (0, 1, 2, 3, 4)) | adjusted, boxes("b", (0, 1, 1, 1, 1)))
    assert truth.boxes.boxes_xyxy.tolist() == [[9, 9, 18, 18], [1, 1, 2, 2]]
    assert truth.warnings == (
        "1 of 2 lines have an adjusted label, which counts instead of the old one: 'bb'",
    )


def test_verifications_are_no_labels():
    """`good` and `bad` would become classes."""
    checked = label("a", "bad", "verify-bb", type="groundtruth/label-verification")
    truth = parse(label("a", "dog") | checked)
    assert read_labels(truth) == [["dog"]]
    assert truth.warnings == (
        "1 of 1 lines have verifications of labels, which are no labels: 'verify-bb'",
    )


def test_the_services_evaluation_manifest_gives_its_truth():
    """Its predictions are passed over, and that is said."""
    found = label("a", "cat", "rekognition-custom-labels-evaluation-0", **{"human-annotated": "no"})
    line = label("a", "dog", "rekognition-custom-labels-training-0") | found
    truth = parse(line)
    assert (truth.labels, read_labels(truth)) == (("dog",), [["dog"]])
    assert "hold predictions of a model" in truth.warnings[0]


def test_labels_that_a_machine_wrote_for_ground_truth_are_truth():
    """Automatic labeling has no model of the customer's."""
    assert read_labels(parse(label("a", "dog", **{"human-annotated": "no"}))) == [["dog"]]
    line = label("a", "dog") | label("a", "cat", "x", **{"human-annotated": "no", "model-arn": "m"})
    assert read_labels(parse(line)) == [["dog"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors": [{"code": "ERROR_INVALID_IMAGE", "message": "…"}]},
        {"cl-errors": [{"code": "ERROR_INVALID_IMAGE"}]},
        label("b", "x", errors=[{"code": "ERROR_INVALID_IMAGE"}]),
    ],
)
def test_lines_with_errors_of_the_service_are_left_out_and_counted(wrong):
    """At the top, under either name, or in the metadata of a label."""
    truth = parse(label("a", "dog"), label("b", "cat") | wrong)
    assert (truth.images, truth.labels) == (("a",), ("dog",))
    (warning,) = truth.warnings
    assert warning.startswith("1 of 2 manifest lines carry errors that the service found, and are")
    assert warning.endswith(": 'ERROR_INVALID_IMAGE'")


def test_an_error_in_an_annotation_counts_as_well():
    """And an empty list of errors is none."""
    bad = boxes("b", (0, 1, 2, 3, 4))
    bad["bb"]["annotations"][0]["errors"] = [{"code": "ERROR_BOUNDING_BOX_TOO_SMALL"}]
    good = boxes("a", (0, 1, 2, 3, 4)) | {"errors": [], "cl-errors": []}
    truth = parse(good, bad)
    assert truth.images == ("a",)
    assert "'ERROR_BOUNDING_BOX_TOO_SMALL'" in truth.warnings[0]


def test_two_sets_of_boxes_must_be_chosen_from():
    """Nobody can say whether one job went on with the other's work."""
    with pytest.raises(UsageError, match=r"'bb' \(boxes\), 'more' \(boxes\)"):
        parse(boxes("a", (0, 1, 2, 3, 4)) | boxes("a", (0, 1, 2, 3, 4), attribute="more"))


def test_several_kinds_of_truth_must_be_chosen_from():
    """The message names them all; the chosen one is read, the others counted."""
    both = label("a", "dog") | boxes("a", (0, 1, 2, 3, 4))
    with pytest.raises(UsageError, match=r"--attribute NAME: 'my attr' \(one label\), 'bb' \(box"):
        parse(both)
    truth = parse(both, attributes=["bb"])
    assert truth.task is Task.DETECTION
    assert truth.warnings == (
        "1 of 1 lines have labels that were not asked for with --attribute: 'my attr'",
    )
    assert parse(both, attributes=["my attr"]).task is Task.CLASSIFICATION


def test_an_attribute_that_is_not_there_is_wrong_usage():
    """With those that are."""
    with pytest.raises(UsageError, match="no line has the attribute 'other'; there are: 'my attr'"):
        parse(label("a", "dog"), attributes=["other"])


def test_masks_are_refused_and_the_labels_beside_them_can_be_had():
    """The way out stands in the message, even when malformed lines are skipped."""
    masks = {"internal-color-map": {"0": {"class-name": "x"}}}
    masks["type"] = "groundtruth/semantic-segmentation"
    line = label("a", "anomaly", "anomaly-label")
    line |= {"mask-ref": "s3://b/m.png", "mask-ref-metadata": masks}
    with pytest.raises(ParseError, match="--attribute anomaly-label"):
        parse(line, skip_bad_lines=True)
    assert read_labels(parse(line, attributes=["anomaly-label"])) == [["anomaly"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "object"),
        ({"my attr": 1}, "source-ref is None"),
        ({"source-ref": ""}, "source-ref is ''"),
        (label("a", None), "class-name in my attr-metadata is None, not a label"),
        (label("a", 5), "class-name in my attr-metadata is 5, not a label"),
        (label("a", "x\0"), "class-name"),
        (several("a", [7], {"1": "x"}), "class 7 in the class-map of many-metadata is None"),
        (several("a", "1", {"1": "x"}), "many is '1', not a list"),
        (boxes("a", (9, 1, 2, 3, 4)), "class '9' in the class-map"),
        (boxes("a", (0, 1, 2, -3, 4)), "annotations of bb-metadata"),
        (boxes("a", (0, 1, 2, 3, 4), objects=[]), "1 annotations, but 0 objects"),
    ],
)
def test_a_malformed_line_fails_with_its_number_or_is_counted(line, reason):
    """Unless malformed lines are to be skipped."""
    good = label("a", "dog")
    with pytest.raises(ParseError, match=f"^{URI}:2: ") as caught:
        parse(good, line)
    assert reason in str(caught.value)
    truth = parse(good, line, skip_bad_lines=True)
    assert truth.images == ("a",)
    (doubt,) = truth.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 2)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([b""], "not one line"),
        ([{"source-ref": "a"}], "holds no true labels"),
        (
            [{"source-ref": "a", "x": 1, "x-metadata": {"type": "groundtruth/text"}}],
            "no true labels",
        ),
        ([label("a", "x") | {"errors": [{"code": "E"}]}], "carries an error of the service"),
        ([{"source-ref": "a", "content-moderation-groundtruth": {}}], "moderation adapter"),
    ],
)
def test_a_file_without_truth_is_refused(lines, reason):
    """With what is wrong with it."""
    with pytest.raises(ParseError, match=reason):
        parse(*lines)


def test_an_image_on_two_lines_stays_twice():
    """As in the provider's manifests: `count_once` tells which of them counts."""
    truth = parse(label("a", "dog"), label("a", "dog"))
    assert truth.images == ("a", "a")
    assert truth.warnings == ()


_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@given(
    lines=st.lists(st.tuples(_NAME, st.sets(_NAME, max_size=4)), min_size=1, max_size=6),
    cut=st.integers(1, 50),
)
@settings(deadline=None)
def test_what_is_written_is_read(lines, cut):
    """Images in file order with their labels, wherever the file is cut into chunks."""
    written = [
        {"source-ref": image, "x": list(range(len(labels)))}
        | {"x-metadata": {"class-map": {str(i): name for i, name in enumerate(labels)}}}
        for image, labels in lines
    ]
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in written).encode()
    chunks = [data[i : i + cut] for i in range(0, len(data), cut)]
    truth = parse_ground_truth(ManifestInput(uri=URI, chunks=chunks))
    assert truth.images == tuple(image for image, _ in lines)
    assert [set(each) for each in read_labels(truth)] == [labels for _, labels in lines]
    assert list(truth.labels) == sorted(set().union(*(labels for _, labels in lines)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_KEY = st.sampled_from(
    ["source-ref", "x", "x-metadata", "adjusted-x", "adjusted-x-metadata", "errors", "cl-errors"]
)
_INNER = st.dictionaries(
    st.sampled_from(["class-name", "type", "annotations", "class-map", "objects", "errors"]), _JSON
)


@given(st.lists(st.dictionaries(_KEY, _JSON | _INNER, max_size=5), max_size=4), st.booleans())
@settings(deadline=None, max_examples=300)
def test_hostile_lines_end_in_an_error_of_ours(lines, skip):
    """Or in truth that holds together; never in anything else."""
    try:
        truth = parse(*lines, skip_bad_lines=skip)
    except MlrekError:
        return
    assert len(truth.truth.offsets) == len(truth.images) + 1

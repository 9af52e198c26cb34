"""Lines of batch predictions, as either service and any client writes them."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind
from mlrek.formats.google.predictions import parse_predictions


@pytest.fixture
def parse():
    """The columns of some lines."""

    def parse_lines(*lines, names=None, **options):
        text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        inputs = [("p.jsonl", [text])]
        return parse_predictions(inputs, label_names=names or {}, **options)

    return parse_lines


def vertex(labels=(), confidences=(), image="gs://b/1", **more) -> dict:
    """A line of Vertex AI."""
    prediction = {"displayNames": list(labels), "confidences": list(confidences), **more}
    return {"instance": {"content": image, "mimeType": "image/jpeg"}, "prediction": prediction}


def legacy(*annotations, image="gs://b/1") -> dict:
    """A line of the legacy service."""
    return {"ID": image, "annotations": list(annotations)}


def scores(columns) -> list[tuple[str, float]]:
    """Labels with their confidences, in file order."""
    names = list(columns.label_codes)
    return [(names[code], c) for code, c in zip(columns.label, columns.confidence, strict=True)]


@pytest.mark.parametrize(
    "line",
    [
        vertex(["cat", "dog"], [0.7, 0.5]),
        vertex(["cat", "dog"], [0.7, 0.5], ids=[1, 2]),
        vertex(["cat", "dog"], [0.7, 0.5], ids=["1", "2"]),
        {
            "instance": "gs://b/1",
            "prediction": {"display_names": ["cat", "dog"], "confidences": [0.7, 0.5]},
        },
        legacy(
            {"annotation_spec_id": "1", "display_name": "cat", "classification": {"score": 0.7}},
            {"annotationSpecId": "2", "displayName": "dog", "classification": {"score": 0.5}},
        ),
    ],
)
def test_labels_in_each_form(parse, line):
    """Either service in either spelling gives the same labels and confidences."""
    columns = parse(line)
    assert (columns.images, columns.has_boxes) == (["gs://b/1"], False)
    assert scores(columns) == [("cat", 0.7), ("dog", 0.5)]


@pytest.mark.parametrize(
    "line",
    [
        vertex(["cat"], [0.7], bboxes=[[0.1, 0.2, 0.3, 0.4]]),
        legacy(
            {
                "display_name": "cat",
                "image_object_detection": {
                    "bounding_box": {
                        "normalized_vertices": [{"x": 0.1, "y": 0.3}, {"x": 0.2, "y": 0.4}]
                    },
                    "score": 0.7,
                },
            }
        ),
        legacy(
            {
                "displayName": "cat",
                "imageObjectDetection": {
                    "boundingBox": {
                        "normalizedVertices": [
                            {"x": 0.1, "y": 0.3},
                            {"x": 0.2, "y": 0.3},
                            {"x": 0.2, "y": 0.4},
                            {"x": 0.1, "y": 0.4},
                        ]
                    },
                    "score": 0.7,
                },
            }
        ),
    ],
)
def test_boxes_in_each_form(parse, line):
    """Vertex AI writes xMin, xMax, yMin, yMax; the legacy service two or four corners."""
    columns = parse(line)
    assert columns.has_boxes
    assert columns.boxes.tolist() == [0.1, 0.3, 0.2, 0.4]
    assert scores(columns) == [("cat", 0.7)]


def test_missing_corner_coordinate_is_zero(parse):
    """A coordinate of 0 is left out of a corner, as is a score of 0."""
    box = {"bounding_box": {"normalized_vertices": [{"y": 0.5}, {"x": 1.0, "y": 1.0}]}}
    columns = parse(legacy({"display_name": "cat", "image_object_detection": box}))
    assert columns.boxes.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert scores(columns) == [("cat", 0.0)]


def test_real_samples(parse, data):
    """The two lines that Google prints are of two models: one file cannot hold both."""
    text = (data / "vertex-ioformat" / "batch_prediction.jsonl").read_text()
    labels, boxes = map(json.loads, text.splitlines())
    assert scores(parse(labels)) == [("cat", 0.7), ("dog", 0.5)]
    assert parse(boxes).boxes.tolist() == [0.1, 0.3, 0.2, 0.4, 0.2, 0.4, 0.3, 0.5]
    with pytest.raises(ParseError, match=r"p\.jsonl:2: boxes are given with labels"):
        parse(labels, boxes)


def test_labels_by_their_ids(parse):
    """A prediction that gives ids alone takes the evaluation's names for them."""
    line = {
        "instance": {"content": "x"},
        "prediction": {"ids": [7, "8"], "confidences": [0.5, 0.2]},
    }
    assert scores(parse(line, names={"7": "cat"})) == [("cat", 0.5), ("8", 0.2)]


def test_image_without_predictions(parse):
    """An image of which nothing was predicted stays an image."""
    columns = parse(legacy(), vertex(image="gs://b/2"))
    assert (columns.images, columns.counts.tolist()) == (["gs://b/1", "gs://b/2"], [0, 0])


def test_no_boxes_are_boxes_too(parse):
    """A detection that found nothing is told from a classification by its empty list."""
    assert parse(vertex(bboxes=[])).has_boxes


def test_failed_images(parse):
    """An image that could not be predicted is kept with what the service says."""
    columns = parse(
        {"instance": {"content": "gs://b/1"}, "error": {"code": 3, "message": "no image"}},
        {"instance": {"content": "gs://b/2"}, "status": "timed out"},
        {"ID": "gs://b/3", "error": {"message": "too large"}},
    )
    assert columns.images == []
    assert columns.failed == {
        "gs://b/1": "'no image'",
        "gs://b/2": "'timed out'",
        "gs://b/3": "'too large'",
    }


MALFORMED = [
    (vertex(["cat"], [0.7, 0.5]), "1 labels, 2 confidences"),
    (vertex(["cat"], [0.7], bboxes=[]), "1 labels, 1 confidences and 0 boxes"),
    (vertex(["cat"], [1.5]), "a confidence is not from 0 to 1"),
    (vertex(["cat"], [-0.1]), "a confidence is not from 0 to 1"),
    (vertex([""], [0.5]), "label without a name"),
    (vertex(["c\0at"], [0.5]), "label without a name"),
    (vertex(["cat"], [0.5], bboxes=[[0.1, 0.9, 0.5, 0.2]]), "not xMin, xMax, yMin, yMax"),
    (vertex(["cat"], [0.5], bboxes=[[0.1, 0.9]]), "not xMin, xMax, yMin, yMax"),
    (vertex(["cat"], [0.5], image=""), "names no image"),
    (vertex(["cat"], [0.5], image="gs://b/\0"), "names no image"),
    ({"instance": {"content": "x"}, "prediction": [0.1, 0.9]}, "not that of an image model"),
    ({"instance": {"content": "x"}, "prediction": "cat"}, "not that of an image model"),
    ({"instance": {"content": "x"}}, "neither a prediction nor an error"),
    (legacy({"display_name": "cat"}), "neither a classification nor a box"),
    (legacy({"display_name": "cat", "image_object_detection": {"score": 0.5}}), "no two corners"),
    ({"ID": 7, "annotations": []}, r"\$.ID"),
    (
        legacy(
            {"display_name": "cat", "classification": {"score": 0.5}},
            {
                "display_name": "cat",
                "image_object_detection": {
                    "bounding_box": {"normalized_vertices": [{}, {"x": 1, "y": 1}]}
                },
            },
        ),
        "boxes are given with labels",
    ),
]


@pytest.mark.parametrize(("line", "reason"), MALFORMED)
def test_malformed_line(parse, line, reason):
    """A malformed line is refused with its file, number and reason."""
    with pytest.raises(ParseError, match=rf"^p\.jsonl:2: .*{reason}"):
        parse(vertex(["cat"], [0.5]), line)


@pytest.mark.parametrize(("line", "reason"), MALFORMED)
def test_skipped_line_leaves_no_trace(parse, line, reason):
    """A malformed line that is skipped is counted, and nothing of it stays."""
    columns = parse(vertex(["cat"], [0.5]), line, skip_bad_lines=True)
    assert (columns.images, columns.counts.tolist()) == (["gs://b/1"], [1])
    assert scores(columns) == [("cat", 0.5)]
    assert (columns.boxes.tolist(), columns.has_boxes) == ([], False)
    (doubt,) = columns.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 2)
    assert doubt.text.startswith(
        "1 of 2 lines of the batch predictions are malformed and were left out: p.jsonl:2: "
    )


def test_shards_follow_each_other():
    """The shards of a job are one list, in the order in which they are given."""
    shards = [
        (f"{i}.jsonl", [json.dumps(vertex(["a"], [0.5], f"gs://b/{i}")).encode()]) for i in (1, 2)
    ]
    assert parse_predictions(shards, label_names={}).images == ["gs://b/1", "gs://b/2"]


def test_chunks_of_any_size():
    """Where the chunks are cut does not matter."""
    text = b"\n".join(json.dumps(vertex(["a"], [0.5], f"gs://b/{i}")).encode() for i in range(5))
    chunks = [text[i : i + 7] for i in range(0, len(text), 7)]
    found = parse_predictions([("x", chunks)], label_names={})
    assert found.images == [f"gs://b/{i}" for i in range(5)]

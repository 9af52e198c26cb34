"""Ground truth in each form that Google exports and imports."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.evaluation import DoubtKind
from mlrek.formats.google.predictions import MlUse, parse_truth

ML_USE = "aiplatform.googleapis.com/ml_use"


@pytest.fixture
def parse():
    """The columns of a text, or of lines of JSON."""

    def parse_text(*lines, has_boxes=False, **options):
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        chunks = [f"{text}\n".encode("utf-8", "surrogateescape") for text in texts]
        inputs = [("t", chunks)]
        return parse_truth(inputs, has_boxes=has_boxes, **options)

    return parse_text


def labels(columns) -> dict[str, list[str]]:
    """The labels of each image."""
    names, left = list(columns.label_codes), iter(columns.label)
    return {
        image: [names[next(left)] for _ in range(count)]
        for image, count in zip(columns.images, columns.counts, strict=True)
    }


def line(image="gs://b/1", use=None, **annotations) -> dict:
    """A line of Vertex AI's export."""
    resource_labels = {} if use is None else {"dataItemResourceLabels": {ML_USE: use}}
    return {"imageGcsUri": image, **annotations, **resource_labels}


def test_real_single_labels(data, parse):
    """One label an image, with the part of the data that each belongs to."""
    columns = parse((data / "vertex-ioformat" / "single_label.jsonl").read_text())
    assert labels(columns) == {
        "gs://bucket/filename1.jpeg": ["daisy"],
        "gs://bucket/filename2.gif": ["dandelion"],
        "gs://bucket/filename3.png": ["roses"],
        "gs://bucket/filename5.tiff": ["tulips"],
    }
    assert columns.use.tolist() == [MlUse.TEST, MlUse.OTHER, MlUse.OTHER, MlUse.OTHER]
    assert not columns.says_several


def test_real_several_labels(data, parse):
    """Several labels an image."""
    columns = parse((data / "vertex-ioformat" / "multi_label.jsonl").read_text())
    assert labels(columns)["gs://bucket/filename1.jpeg"] == ["daisy", "full_shot"]
    assert columns.says_several


def test_real_boxes(data, parse):
    """Boxes, with coordinates as strings: xMin, yMin, xMax, yMax come out."""
    columns = parse((data / "vertex-ioformat" / "bounding_box.jsonl").read_text(), has_boxes=True)
    assert labels(columns)["gs://bucket/filename2.gif"] == ["Tomato", "Salad"]
    assert columns.boxes.tolist()[:8] == [0.3, 0.3, 0.7, 0.6, 0.8, 0.2, 1.0, 0.4]


def test_numbers_for_coordinates(parse):
    """Coordinates may be numbers, and one of 0 may be left out."""
    box = {"displayName": "cat", "xMax": 0.5, "yMin": 0.25, "yMax": "1.0"}
    columns = parse(line(boundingBoxAnnotations=[box]), has_boxes=True)
    assert columns.boxes.tolist() == [0.0, 0.25, 0.5, 1.0]


def test_snake_case(parse):
    """The client libraries' spelling is the same truth."""
    annotation = {"display_name": "cat"}
    snake = {
        "image_gcs_uri": "gs://b/1",
        "classification_annotation": annotation,
        "data_item_resource_labels": {ML_USE: "test"},
    }
    columns = parse(snake)
    assert (labels(columns), columns.use.tolist()) == ({"gs://b/1": ["cat"]}, [MlUse.TEST])
    box = {"display_name": "cat", "x_min": 0.1, "x_max": 0.2, "y_min": 0.3, "y_max": 0.4}
    boxes = parse(
        {"image_gcs_uri": "gs://b/1", "bounding_box_annotations": [box]}, has_boxes=True
    ).boxes
    assert boxes.tolist() == [0.1, 0.3, 0.2, 0.4]


@pytest.mark.parametrize(
    "annotations",
    [{}, {"classificationAnnotations": []}, {"classificationAnnotation": {}}],
)
def test_image_without_labels(parse, annotations):
    """It is labelled as having none where a list says so, else by nobody."""
    columns = parse(line(**annotations))
    assert labels(columns) == {"gs://b/1": []}
    assert columns.is_labelled.tolist() == [int("classificationAnnotations" in annotations)]


@pytest.mark.parametrize(
    ("use", "found"),
    [
        ("test", MlUse.TEST),
        ("TEST", MlUse.TEST),
        ("training", MlUse.OTHER),
        ("train", MlUse.OTHER),
        ("validation", MlUse.OTHER),
        ("val", MlUse.OTHER),
        ("unassigned", MlUse.UNKNOWN),
        (None, MlUse.UNKNOWN),
    ],
)
def test_uses(parse, use, found):
    """The part of the data in any of the spellings."""
    assert parse(line(use=use)).use.tolist() == [found]


def test_csv_of_labels(parse):
    """Rows of labels: one, several, none, quoted, with and without the use before the image."""
    columns = parse(
        "TEST,gs://b/1.jpg,roses",
        "UNASSIGNED,gs://b/2.jpg,roses,closeup",
        "VALIDATE,gs://b/3.jpg,",
        '"TRAIN","gs://b/4,5.jpg","red ""roses"""',
        "gs://b/6.jpg,roses",
        "",
        ",gs://b/7.jpg",
    )
    assert labels(columns) == {
        "gs://b/1.jpg": ["roses"],
        "gs://b/2.jpg": ["roses", "closeup"],
        "gs://b/3.jpg": [],
        "gs://b/4,5.jpg": ['red "roses"'],
        "gs://b/6.jpg": ["roses"],
        "gs://b/7.jpg": [],
    }
    assert columns.use.tolist() == [1, 0, 2, 2, 0, 0]


def test_csv_of_boxes(parse):
    """A row a box, with two corners or four; a row without a label is an image without objects."""
    columns = parse(
        "TEST,gs://b/1.jpg,Tomato,0.1,0.2,,,0.3,0.4,,",
        "TEST,gs://b/1.jpg,Salad,0.5,0.5,0.9,0.5,0.9,0.8,0.5,0.8",
        "TEST,gs://b/2.jpg,,,,,,,,,",
        has_boxes=True,
    )
    assert labels(columns) == {"gs://b/1.jpg": ["Tomato", "Salad"], "gs://b/2.jpg": []}
    assert columns.boxes.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.9, 0.8]


def test_csv_rows_of_one_image_are_one_image(parse):
    """Labels of an image may stand on rows of their own, as Google's import takes them."""
    columns = parse("TEST,gs://b/1.jpg,roses", "TEST,gs://b/1.jpg,closeup")
    assert labels(columns) == {"gs://b/1.jpg": ["roses", "closeup"]}


def test_repeated_lines(parse):
    """An image with equal lines of JSON is one; with contradicting ones it has no known truth."""
    cat, dog = ({"classificationAnnotation": {"displayName": name}} for name in ("cat", "dog"))
    columns = parse(
        line(**cat), line(**cat), line(image="gs://b/2", **cat), line(image="gs://b/2", **dog)
    )
    assert labels(columns) == {"gs://b/1": ["cat"]}
    assert columns.repeated == {"gs://b/1"}
    assert columns.contradicted == {"gs://b/2": MlUse.UNKNOWN}


def test_repeated_rows(parse):
    """A row of CSV once more adds neither a label nor a box."""
    box = "TEST,gs://b/1.jpg,Tomato,0.1,0.2,,,0.3,0.4,,"
    columns = parse(box, box.replace("0.4", "0.5"), box, has_boxes=True)
    assert labels(columns) == {"gs://b/1.jpg": ["Tomato", "Tomato"]}
    assert columns.repeated == {"gs://b/1.jpg"}


@pytest.mark.parametrize("order", [1, -1])
def test_line_without_labels_says_nothing_against_one_with_them(parse, order):
    """Nor does the order of lines matter; a test image by one of them is a test image."""
    cat = {"displayName": "cat"}
    lines = [line(use="training"), line(use="test", classificationAnnotation=cat)]
    columns = parse(*lines[::order])
    assert labels(columns) == {"gs://b/1": ["cat"]}
    assert (columns.use.tolist(), columns.is_labelled.tolist()) == ([MlUse.TEST], [1])


def test_byte_order_marks_and_line_ends(parse):
    """A byte-order mark and Windows line ends do not matter."""
    assert labels(parse("\ufeffTEST,gs://b/1.jpg,roses\r")) == {"gs://b/1.jpg": ["roses"]}
    text = "\ufeff" + json.dumps(line(classificationAnnotation={"displayName": "cat"})) + "\r"
    assert labels(parse(text)) == {"gs://b/1": ["cat"]}


def test_blank_chunks_before_the_text():
    """Blank chunks do not hide what the file is."""
    text = json.dumps(line(classificationAnnotation={"displayName": "cat"})).encode()
    inputs = [("t", [b"\n", b"", b" \n", text])]
    assert labels(parse_truth(inputs, has_boxes=False)) == {"gs://b/1": ["cat"]}


MALFORMED = [
    ({"imageGcsUri": ""}, False, "names no image"),
    (line(classificationAnnotations=[{}]), False, "label without a name"),
    (line(boundingBoxAnnotations=[{"displayName": "a", "xMax": 1}]), False, "holds boxes"),
    (line(classificationAnnotation={"displayName": "a"}), True, "labels of the whole image"),
    (line(boundingBoxAnnotations=[{"displayName": "a"}]), True, "ends before it begins"),
    (
        line(boundingBoxAnnotations=[{"displayName": "a", "xMin": 0.9, "xMax": 0.1, "yMax": 1}]),
        True,
        "ends before it begins",
    ),
    (
        line(boundingBoxAnnotations=[{"displayName": "a", "xMax": "NaN", "yMax": 1}]),
        True,
        "no two corners",
    ),
    (
        line(boundingBoxAnnotations=[{"displayName": "a", "xMax": "wide", "yMax": 1}]),
        True,
        "could not convert",
    ),
    (line(polygonAnnotations=[]), False, "polygons or masks"),
    (line(segmentationAnnotation={}), True, "polygons or masks"),
]


@pytest.mark.parametrize(("bad", "has_boxes", "reason"), MALFORMED)
def test_malformed_line(parse, bad, has_boxes, reason):
    """A malformed line is refused with its file, number and reason, or skipped and counted."""
    with pytest.raises(ParseError, match=rf"^t:2: .*{reason}"):
        parse(line("gs://b/9"), bad, has_boxes=has_boxes)
    columns = parse(line("gs://b/9"), bad, has_boxes=has_boxes, skip_bad_lines=True)
    assert columns.images == ["gs://b/9"]
    (doubt,) = columns.doubts
    assert (doubt.kind, doubt.count, doubt.of) == (DoubtKind.LINES_SKIPPED, 1, 2)


@pytest.mark.parametrize(
    ("bad", "has_boxes", "reason"),
    [
        ("TEST", False, "names no image"),
        ("TEST,1.jpg,roses", False, "names no image"),
        ("TEST,gs://b/1.jpg,\0", False, "label without a name"),
        ("TEST,gs://b/1.jpg,r\udcffses", False, "not valid UTF-8"),
        ('TEST,gs://b/1.jpg,"ro"ses', False, "not valid CSV"),
        ("TEST,gs://b/1.jpg,roses", True, "no two corners"),
        ("TEST,gs://b/1.jpg,roses,0.1,0.2", True, "no two corners"),
        ("TEST,gs://b/1.jpg,roses,0.1,x,,,0.2,0.3,,", True, "could not convert"),
        ("TEST,gs://b/1.jpg,,0.1,0.1,,,0.2,0.3,,", True, "label without a name"),
        ("TEST,gs://b/1.jpg,roses,inf,0.1,,,0.2,0.3,,", True, "no two corners"),
    ],
)
def test_malformed_row(parse, bad, has_boxes, reason):
    """A malformed row of CSV is refused likewise; the rows after it are read."""
    good = "TEST,gs://b/8.jpg,roses,0.1,0.1,,,0.2,0.3,,"
    with pytest.raises(ParseError, match=rf"^t:2: .*{reason}"):
        parse(good, bad, good, has_boxes=has_boxes)
    last = good.replace("8.jpg", "9.jpg")
    columns = parse(good, bad, last, has_boxes=has_boxes, skip_bad_lines=True)
    assert columns.images == ["gs://b/8.jpg", "gs://b/9.jpg"]


def test_endless_line():
    """A file without a line end is given up before it fills the memory."""
    chunks = (b"x" * 2**20 for _ in range(64))
    with pytest.raises(ParseError, match="endless line"):
        parse_truth([("t", chunks)], has_boxes=False)

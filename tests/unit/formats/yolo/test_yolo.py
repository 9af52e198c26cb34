"""Folders of YOLO: a text file an image, a line a box."""

from io import BytesIO

import numpy as np
import pytest
from builders.answers import VERSION
from builders.coco import give_folder
from PIL import Image

from mlrek.errors import MlrekError, ParseError
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.yolo import read_yolo_answers, read_yolo_truth, seems_yolo
from mlrek.metrics.compute import compute_metrics

NAMES = "names: [cat, dog]\nnc: 2\n"
TRUTH = {
    "data.yaml": NAMES,
    "labels/a.txt": "0 0.5 0.5 0.5 0.25\n1 0.25 0.25 0.5 0.5\n",
    "labels/b.v2.txt": "",
}
FOUND = {"labels/a.txt": "0 0.5 0.5 0.5 0.25 0.9\n", "labels/b.v2.txt": "1 0.5 0.5 0.1 0.1 0.4\n"}


def draw_picture(width, height, *, turned=False):
    """The bytes of a JPEG, whose EXIF may say that it lies on its side."""
    sink, image = BytesIO(), Image.new("RGB", (width, height))
    exif = image.getexif()
    if turned:
        exif[0x0112] = 6
    image.save(sink, "JPEG", exif=exif)
    return sink.getvalue()


def test_true_boxes_are_shares_around_their_middle():
    """Corners come of middle and size, labels of data.yaml; an empty file is an image without."""
    truth = read_yolo_truth(give_folder(TRUTH))
    assert truth.labels == ("cat", "dog")
    assert truth.images == ("a", "b.v2")
    assert truth.boxes.offsets.tolist() == [0, 2, 2]
    assert truth.boxes.label_idx.tolist() == [0, 1]
    assert truth.boxes.boxes_xyxy.tolist() == [[0.25, 0.375, 0.75, 0.625], [0, 0, 0.5, 0.5]]
    assert (truth.normalized, truth.lacks_ending) == (True, True)
    assert np.isnan(truth.image_sizes).all()
    assert any("images are named without ending" in said for said in truth.warnings)


def test_images_in_the_folder_give_place_and_size():
    """The path is the image's place; a picture that lies on its side has the size as shown."""
    pictures = {
        "images/a.jpg": draw_picture(40, 20),
        "images/b.v2.jpeg": draw_picture(30, 10, turned=True),
        "images/c.png": draw_picture(8, 9),
    }
    truth = read_yolo_truth(give_folder(TRUTH | pictures, "s3://b/set/"))
    assert truth.images == (
        "s3://b/set/images/a.jpg",
        "s3://b/set/images/b.v2.jpeg",
        "s3://b/set/images/c.png",
    )
    assert truth.image_sizes.tolist() == [[40, 20], [10, 30], [8, 9]]
    assert not truth.lacks_ending
    assert any(said.startswith("1 of 3 images have no file of boxes") for said in truth.warnings)


@pytest.mark.parametrize(
    "names",
    [
        {"data.yaml": "names:\n  0: cat\n  1: dog\n"},
        {"dataset.yml": "path: x\nnames: {1: dog, 0: cat}\n"},
        {"labels/classes.txt": "cat\ndog\n"},
        {"obj.names": "cat\r\ndog\r\n"},
    ],
)
def test_labels_are_named_in_many_ways(names):
    """A list or a map in YAML, or a list of classes."""
    texts = {name: text for name, text in TRUTH.items() if name.endswith(".txt")}
    assert read_yolo_truth(give_folder(texts | names)).labels == ("cat", "dog")


def test_labels_without_names_are_numbers():
    """Without data.yaml the numbers of classes are the labels, and that is said."""
    truth = read_yolo_truth(give_folder({"labels/a.txt": "7 0.5 0.5 0.1 0.1\n"}))
    assert truth.labels == ("7",)
    assert any("no data.yaml" in said for said in truth.warnings)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt:2: has the class 2, but the folder names 2 classes"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"a\.txt:2: has a confidence: it is a prediction, not truth"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", r"a\.txt:2: has 7 numbers: polygons"),
        ("0 320 200 50 50", r"a\.txt:2: has a value that is no share"),
        ("0 0.5 0.5 -0.1 0.1", r"a\.txt:2: has a negative width"),
        ("cat 0.5 0.5 0.1 0.1", r"a\.txt:2: holds 'cat 0.5"),
        ("0.5 0.5 0.5 0.1 0.1", r"a\.txt:2: has the class 0.5"),
        ("0 nan 0.5 0.1 0.1", r"a\.txt:2: has a value that is no share"),
        ("0 0.5", r"a\.txt:2: has 2 numbers"),
    ],
)
def test_a_bad_line_is_an_error_with_file_and_line(line, reason):
    """Each bad line is refused in one line that names its file and its number."""
    folder = give_folder({"data.yaml": NAMES, "labels/a.txt": f"0 0.5 0.5 0.1 0.1\n{line}\n"})
    with pytest.raises(ParseError, match=reason) as caught:
        read_yolo_truth(folder)
    assert "\n" not in str(caught.value)


def test_predictions_without_confidence_are_truth():
    """A folder of truth that is given as predictions is refused."""
    with pytest.raises(ParseError, match="no confidence: it is truth, not predictions"):
        read_yolo_answers(give_folder(TRUTH))


def test_class_numbers_of_predictions_are_the_truths():
    """Predictions that lie without data.yaml have the labels of the truth's."""
    joined = join_answers(
        VERSION,
        read_yolo_truth(give_folder(TRUTH)),
        read_yolo_answers(give_folder(FOUND)),
        JoinOptions(),
    )
    assert joined.labels == ("cat", "dog")
    assert joined.detections.records.label_idx.tolist() == [0, 1]
    assert joined.detections.records.offsets.tolist() == [0, 1, 2]
    numbers = compute_metrics(joined).aggregate
    assert numbers["ap"].value == pytest.approx(0.5)  # the cat is found, the dog is not


def test_names_of_two_folders_count_before_their_numbers():
    """Where both folders name their classes, other numbers are no other labels."""
    turned = {"data.yaml": "names: [dog, cat]", "labels/a.txt": "1 0.5 0.5 0.5 0.25 0.9"}
    joined = join_answers(
        VERSION,
        read_yolo_truth(give_folder(TRUTH)),
        read_yolo_answers(give_folder(turned)),
        JoinOptions(),
    )
    assert joined.labels[joined.detections.records.label_idx[0]] == "cat"


def test_the_test_part_counts():
    """Of a folder with parts the test part counts, else the validation part, and that is said."""
    parts = {
        "data.yaml": NAMES,
        "train/labels/a.txt": "0 0.5 0.5 0.1 0.1",
        "valid/labels/b.txt": "0 0.5 0.5 0.1 0.1",
    }
    truth = read_yolo_truth(give_folder(parts))
    assert truth.images == ("valid/b",)
    assert any("the validation part counts" in said for said in truth.warnings)
    parts["test/labels/c.txt"] = "1 0.5 0.5 0.1 0.1"
    assert read_yolo_truth(give_folder(parts)).images == ("test/c",)


def test_a_name_of_two_classes_is_refused():
    """Two classes of one name cannot be told apart."""
    with pytest.raises(MlrekError, match="names two classes 'cat'"):
        read_yolo_truth(give_folder(TRUTH | {"data.yaml": "names: [cat, cat]"}))


def test_another_count_of_classes_is_said():
    """A count that contradicts the names is said, and the names count."""
    truth = read_yolo_truth(give_folder(TRUTH | {"data.yaml": "names: [cat, dog]\nnc: 80\n"}))
    assert any("`nc` is '80'" in said for said in truth.warnings)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (TRUTH, True),
        (FOUND, True),
        ({"a.txt": "0 0.5 0.5 0.1 0.1", "a.jpg": b""}, True),
        ({"labels/a.txt": ""}, True),
        ({"readme.txt": "0 0.5 0.5 0.1 0.1"}, False),
        ({"notes.txt": "a word"}, False),
        ({"cat/1.jpg": b""}, False),
    ],
)
def test_folders_of_yolo_are_recognised(folder, expected):
    """By text files with boxes, wherever they lie."""
    assert seems_yolo(give_folder(folder)) is expected

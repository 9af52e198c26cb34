"""Which form files have, by their content, and which side of an evaluation they can be."""

import json

import numpy as np
import pytest
from builders.evaluations import build_evaluation

from mlrek.errors import ParseError, UsageError
from mlrek.evaluation import Task
from mlrek.formats.files import ITSELF, Files
from mlrek.formats.forms import read_answers, read_truth, recognise, write_help
from mlrek.formats.stored import dump_evaluation

MANIFEST = b'{"source-ref": "s3://b/1.jpg", "pet": 1, "pet-metadata": {"class-name": "cat", "type": "groundtruth/image-classification", "confidence": 1, "human-annotated": "yes", "creation-date": "2026-01-01T00:00:00", "job-name": "j"}}\n'  # noqa: E501 (a manifest's line)
ANSWERS = b'{"image": "s3://b/1.jpg", "response": {"CustomLabels": [{"Name": "cat", "Confidence": 91.5}, {"Name": "dog", "Confidence": 8.5}]}}\n'  # noqa: E501 (an answer)


def make_files(content: bytes, uri: str = "some/file") -> Files:
    """One file that holds just this."""
    return Files(uri=uri, names=(ITSELF,), read=lambda _: [content])


def test_a_manifest_is_truth():
    """A Ground Truth manifest is read as truth."""
    truth = read_truth(make_files(MANIFEST))

    assert truth.images == ("s3://b/1.jpg",)
    assert truth.labels == ("cat",)


def test_a_listing_of_dataset_entries_is_truth():
    """What `aws rekognition list-dataset-entries` prints is read as truth."""
    listing = json.dumps({"DatasetEntries": [MANIFEST.decode()]}).encode()

    assert read_truth(make_files(listing)).images == ("s3://b/1.jpg",)


def test_saved_answers_are_predictions():
    """Answers of DetectCustomLabels become answers of any model, in fractions."""
    answers = read_answers(make_files(ANSWERS))

    assert answers.images == ("s3://b/1.jpg",)
    assert answers.labels == ("cat", "dog")
    assert answers.confidence == pytest.approx([0.915, 0.085], abs=1e-12)


def test_answers_with_boxes_have_corners_as_shares():
    """Boxes of DetectCustomLabels are shares of the image's size, right and bottom included."""
    box = {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}
    label = {"Name": "cat", "Confidence": 91.5, "Geometry": {"BoundingBox": box}}
    line = json.dumps({"image": "1.jpg", "response": {"CustomLabels": [label]}}).encode()

    answers = read_answers(make_files(line))

    assert answers.normalized
    assert answers.boxes.boxes_xyxy == pytest.approx(np.array([[0.1, 0.2, 0.4, 0.6]]), abs=1e-12)


def test_a_stored_evaluation_is_both():
    """`evaluation.parquet` holds the truth, and what the model said."""
    evaluation = build_evaluation([[0], [1]], [[(0, 0.9)], [(0, 0.8), (1, 0.1)]])
    stored = make_files(dump_evaluation(evaluation))

    truth, answers = read_truth(stored), read_answers(stored)

    assert truth.task is Task.CLASSIFICATION
    assert truth.images == answers.images == ("0", "1")
    assert truth.truth.label_idx.tolist() == [0, 1]
    assert answers.confidence.tolist() == [0.9, 0.8, 0.1]
    assert answers.truth is not None


def test_truth_is_refused_as_predictions():
    """A manifest given as predictions is one line that says where it belongs."""
    with pytest.raises(
        ParseError, match=r"some/file: is a Ground Truth manifest: truth, not .*--t"
    ):
        read_answers(make_files(MANIFEST))


def test_predictions_are_refused_as_truth():
    """Answers given as truth are one line that says what they are."""
    with pytest.raises(ParseError, match=r"is saved answers of DetectCustomLabels: predictions"):
        read_truth(make_files(ANSWERS))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n", "is a picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"Dear all,\nplease find attached", "Dear all"),
        (b'{"a": 1}', "it begins with"),
    ],
)
def test_what_is_unknown_is_named(content, said):
    """A file of no known form says what it is instead, and where all forms are listed."""
    with pytest.raises(ParseError, match=said) as caught:
        recognise(make_files(content))

    assert "mlrek sync --help-formats" in str(caught.value)


def test_an_unknown_folder_is_named():
    """A folder without anything that is read names some of its files."""
    files = Files(uri="folder", names=("a.xyz", "b.xyz"), read=lambda _: [b"?"])

    with pytest.raises(ParseError, match=r"folder: is a folder with 2 files.*'a.xyz', 'b.xyz'"):
        recognise(files)


def test_attributes_are_of_manifests_alone():
    """`--attribute` of another form is wrong usage."""
    stored = make_files(dump_evaluation(build_evaluation([[0]], [[(0, 0.9)]])))

    with pytest.raises(UsageError, match="no label attributes"):
        read_truth(stored, attributes=["pet"])


def test_the_help_names_each_form():
    """The table of forms names files of each side."""
    text = write_help()

    assert "Ground Truth manifest: truth" in text
    assert "evaluation.parquet of mlrek's: truth and predictions" in text


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"image,label\n1.jpg,cat\n", "a table"),
        (b'{"image": "1.jpg", "label": "cat", "score": 0.9}\n', "a table"),
        (b'{"source-ref": "1.jpg", "label": "cat"}\n', "a table"),
        (b'{"source-ref": "1.jpg"}\n', "a Ground Truth manifest"),
        (b'{"images": [], "annotations": [], "categories": []}', "COCO instances"),
        (
            b'[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]',
            "COCO results",
        ),
    ],
)
def test_a_file_is_known_by_its_content(content, name):
    """Whatever a file is called, what it holds decides."""
    assert recognise(make_files(content)).name.startswith(name)


def test_a_folder_is_known_by_its_files():
    """Text files with boxes are YOLO's; images in folders are named by these."""
    yolo = Files(uri="f", names=("labels/1.txt",), read=lambda _: [b"0 0.5 0.5 0.1 0.1\n"])
    folders = Files(uri="f", names=("cat/1.jpg", "dog/2.jpg"), read=lambda _: [b"?"])

    assert recognise(yolo).name == "a YOLO folder"
    assert recognise(folders).name == "a folder per label"

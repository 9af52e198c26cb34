"""A folder per label with its images."""

import pytest
from builders.coco import give_folder

from mlrek.errors import ParseError
from mlrek.formats.folders import read_label_folders, seems_label_folders


def give_images(*names):
    """A folder of files of these names."""
    return give_folder(dict.fromkeys(names, b"x"), "s3://b/root/")


def test_the_name_of_the_folder_is_the_label():
    """Images have their path as place, labels stand alphabetically, and nothing is said."""
    truth = read_label_folders(give_images("dog/2.JPG", "cat/1.jpg", "cat/3.png", "cat/.DS_Store"))
    assert truth.labels == ("cat", "dog")
    assert truth.images == (
        "s3://b/root/cat/1.jpg",
        "s3://b/root/cat/3.png",
        "s3://b/root/dog/2.JPG",
    )
    assert truth.truth.label_idx.tolist() == [0, 0, 1]
    assert truth.warnings == ()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("0.jpg", "1 of 3 images lie in no folder of a label, and are left out; first: '0.jpg'"),
        ("cat/notes.txt", "1 of 3 files are no images and are left out; first: 'cat/notes.txt'"),
        ("cat/old/9.jpg", "1 of 3 images lie in folders within the folder of a label"),
        ("fish/list.csv", "folders hold no image and are no labels: 'fish'"),
        ("dog/1.jpg", "1 of 3 images have a file name that another folder has too"),
    ],
)
def test_what_does_not_fit_is_said(name, said):
    """Loose images, other files, nested folders, empty ones and equal names are counted."""
    truth = read_label_folders(give_images("cat/1.jpg", "dog/2.jpg", name))
    assert any(warning.startswith(said) for warning in truth.warnings)


def test_a_single_folder_is_no_truth():
    """One label alone is refused: somebody gave the folder of a label, or of all images."""
    with pytest.raises(ParseError, match=r"only the folder 'cat'.* two labels or more"):
        read_label_folders(give_images("cat/1.jpg", "cat/2.jpg"))


def test_the_test_part_of_folders_counts():
    """Of train and test the test part counts, and that is said."""
    truth = read_label_folders(
        give_images("test/cat/1.jpg", "test/dog/2.jpg", "train/cat/3.jpg", "train/dog/4.jpg")
    )
    assert truth.images == ("s3://b/root/test/cat/1.jpg", "s3://b/root/test/dog/2.jpg")
    assert truth.labels == ("cat", "dog")
    assert truth.warnings == ("the folder has parts: 'test' counts, not 'train'",)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("cat/1.jpg", "dog/2.jpg", "readme.md"), True),
        (("1.jpg", "2.jpg"), False),
        (("images/1.jpg", "labels/1.txt", "data.yaml"), False),
        (("cat/1.json", "dog/2.json"), False),
    ],
)
def test_folders_of_labels_are_recognised(names, expected):
    """By images in folders, without boxes next to them."""
    assert seems_label_folders(give_images(*names)) is expected

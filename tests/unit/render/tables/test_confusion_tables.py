"""The confusion matrix as tables."""

import numpy as np
import pytest

from mlrek.metrics import ConfusionMatrix
from mlrek.render.document import write_confusion_matrix, write_most_confused


@pytest.fixture
def confusion():
    """Four a (one taken for b, one missed), two b (both taken for a), one c."""
    return ConfusionMatrix(
        counts=np.array([[2, 1, 0, 1], [2, 0, 0, 0], [0, 0, 1, 0]]),
        rows=("a", "b", "c"),
        columns=("a", "b", "c", "(none)"),
    )


def test_the_whole_matrix(confusion, read_csv):
    """Rows true, columns predicted, both named; `(none)` as any other column."""
    assert read_csv(write_confusion_matrix(confusion, 3)) == [
        ["true\\predicted", "a", "b", "c", "(none)"],
        ["a", "2", "1", "0", "1"],
        ["b", "2", "0", "0", "0"],
        ["c", "0", "0", "1", "0"],
    ]


def test_mistakes_by_frequency(confusion, read_csv):
    """Both b taken for a come first; of equals the label that stands first in label order."""
    assert read_csv(write_most_confused(confusion, 3)) == [
        ["true", "predicted", "count", "share"],
        ["b", "a", "2", "1.0"],
        ["a", "b", "1", "0.25"],
        ["a", "(none)", "1", "0.25"],
    ]


def test_of_equal_counts_the_larger_share_comes_first(read_csv):
    """One of one weighs more than one of three."""
    matrix = ConfusionMatrix(counts=np.array([[2, 1], [1, 0]]), rows=("a", "b"), columns=("a", "b"))
    assert [row[:2] for row in read_csv(write_most_confused(matrix, 2))[1:]] == [
        ["b", "a"],
        ["a", "b"],
    ]


def test_no_mistakes(read_csv):
    """A perfect version has a table without rows."""
    matrix = ConfusionMatrix(counts=np.eye(2, dtype=int), rows=("a", "b"), columns=("a", "b"))
    assert read_csv(write_most_confused(matrix, 2)) == [["true", "predicted", "count", "share"]]


def test_several_labels_an_image(read_csv):
    """Missed labels stand in the column, wrongly added ones in the row `(none)`."""
    names = ("a", "b", "(none)")
    matrix = ConfusionMatrix(
        counts=np.array([[3, 0, 1], [0, 2, 0], [0, 4, 0]]), rows=names, columns=names
    )
    assert read_csv(write_most_confused(matrix, 2))[1:] == [
        ["(none)", "b", "4", "1.0"],
        ["a", "(none)", "1", "0.25"],
    ]


def test_a_real_label_named_like_ours_is_quoted(read_csv):
    """A label called (none) and our own column stay apart."""
    matrix = ConfusionMatrix(
        counts=np.array([[1, 2]]), rows=("(none)",), columns=("(none)", "(none)")
    )
    assert read_csv(write_confusion_matrix(matrix, 1)) == [
        ["true\\predicted", '"(none)"', "(none)"],
        ['"(none)"', "1", "2"],
    ]
    assert read_csv(write_most_confused(matrix, 1))[1][:2] == ['"(none)"', "(none)"]


def test_names_from_strangers_are_disarmed(read_csv):
    """A label that a spreadsheet would run is harmless as row, column and cell."""
    matrix = ConfusionMatrix(
        counts=np.array([[0, 1], [1, 0]]), rows=("=1", "b"), columns=("=1", "b")
    )
    assert read_csv(write_confusion_matrix(matrix, 2))[0] == ["true\\predicted", "'=1", "b"]
    assert read_csv(write_most_confused(matrix, 2))[1][0] == "'=1"

"""The difference of two confusion matrices, and the images behind it."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix


@pytest.mark.parametrize("seed", range(3))
def test_confusion_difference_is_scikit_learns(build_top, compare, seed):
    """Two of its matrices; images without a prediction in a column of our own."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(3, size=40)
    predicted = rng.integers(-1, 3, size=(2, 40))

    confusion = compare(*(build_top(y_true, y_pred) for y_pred in predicted)).confusion

    codes = [0, 1, 2, -1]
    before, after = (confusion_matrix(y_true, y_pred, labels=codes) for y_pred in predicted)
    assert confusion.labels == ("a", "b", "c", "(none)")
    assert confusion.n_own == 1
    assert confusion.counts.tolist() == (after - before).tolist()


def test_confusion_difference_of_other_label_lists(build_top, compare):
    """Rows are the labels of both; the last one is of the candidate alone."""
    baseline = build_top([0, 1, 1], [0, 1, 0], labels=("x", "y"))
    candidate = build_top([1, 0, 0], [1, 0, 2], labels=("y", "x", "z"))

    confusion = compare(baseline, candidate).confusion

    assert confusion.labels == ("x", "y", "z")
    assert confusion.counts.tolist() == [[0, 0, 0], [-1, 0, 1], [0, 0, 0]]

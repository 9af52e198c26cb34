"""Numbers of a count matrix, against scikit-learn on the pairs that were counted."""

import warnings
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlrek.metrics.counts import (
    LabelCounts,
    compute_averages,
    compute_one_label_scores,
    count_labels,
    count_pairs,
)

SCORES = {
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "jaccard": sk.jaccard_score,
}
NONE = 99


@st.composite
def _pairs(draw):
    """True and predicted codes of some images (-1: no prediction), and the number of labels."""
    n_labels = draw(st.integers(1, 6))
    codes = st.tuples(st.integers(0, n_labels - 1), st.integers(-1, n_labels - 1))
    y_true, y_pred = zip(*draw(st.lists(codes, min_size=1, max_size=40)), strict=True)
    return np.array(y_true), np.array(y_pred), n_labels


def _count(y_true, y_pred, n_labels):
    return count_labels(count_pairs(y_true, y_pred, n_labels))


def _plain(values):
    return {name: float(value) for name, value in values.items()}


@given(_pairs())
def test_averages_are_scikit_learns(drawn):
    """Over labels that are true or predicted; no prediction is no label of any average."""
    y_true, y_pred, n_labels = drawn
    y_sklearn = np.where(y_pred < 0, NONE, y_pred)
    occurring = sorted({*y_true, *y_pred} - {-1})

    averages = _plain(compute_averages(_count(y_true, y_pred, n_labels)))

    expected = {
        f"{name}_{average}": score(
            y_true, y_sklearn, labels=occurring, average=average, zero_division=0
        )
        for name, score in SCORES.items()
        for average in ("micro", "macro", "weighted")
    }
    assert expected == pytest.approx(averages, abs=1e-12)


@given(_pairs())
def test_numbers_of_one_label_an_image_are_scikit_learns(drawn):
    """No prediction is a wrong one, and one more class of the correlation and of kappa."""
    y_true, y_pred, n_labels = drawn
    y_sklearn = np.where(y_pred < 0, NONE, y_pred)

    scores = _plain(compute_one_label_scores(_count(y_true, y_pred, n_labels)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy": sk.accuracy_score(y_true, y_sklearn),
            "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_sklearn),
            "hamming_loss": sk.hamming_loss(y_true, y_sklearn),
            "mcc": sk.matthews_corrcoef(y_true, y_sklearn),
            "cohen_kappa": sk.cohen_kappa_score(y_true, y_sklearn),
        }
    if len({*y_true}) == 1 or len({*y_pred}) == 1:  # zero denominator, scikit-learn gives 0
        expected["mcc"] = nan
    assert expected == pytest.approx(scores, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("y_true", "y_pred"), [([0, 0], [0, 0]), ([0, 0], [0, 1]), ([0, 1], [1, 1])]
)
def test_correlation_of_one_class_is_undefined(y_true, y_pred):
    """A zero denominator gives no number, never 0."""
    scores = compute_one_label_scores(_count(np.array(y_true), np.array(y_pred), 2))

    assert np.isnan(scores["mcc"])


def test_kappa_of_one_and_the_same_class_is_undefined():
    """Perfect agreement by chance alone leaves nothing to compare with."""
    scores = compute_one_label_scores(_count(np.array([1, 1]), np.array([1, 1]), 2))

    assert np.isnan(scores["cohen_kappa"])


def test_matrix_has_the_missing_predictions_in_the_last_column():
    """Rows are true, columns predicted, in label order."""
    matrix = count_pairs(np.array([0, 0, 1, 2, 2]), np.array([0, 1, -1, 2, -1]), 3)

    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]]


def test_no_image_gives_no_number():
    """Nothing is counted, nothing is defined."""
    nothing = _count(np.array([], dtype=int), np.array([], dtype=int), 2)

    values = compute_averages(nothing) | compute_one_label_scores(nothing)

    assert np.isnan(list(values.values())).all()


@given(st.lists(_pairs(), min_size=2, max_size=4))
def test_a_batch_gives_the_numbers_of_each(drawn):
    """Leading axes are computed as one by one."""
    each = [_count(y_true, y_pred, 6) for y_true, y_pred, _ in drawn]
    batch = LabelCounts(
        tp=np.array([counts.tp for counts in each]),
        predicted=np.array([counts.predicted for counts in each]),
        support=np.array([counts.support for counts in each]),
    )

    together = compute_averages(batch) | compute_one_label_scores(batch)

    for i, counts in enumerate(each):
        alone = _plain(compute_averages(counts) | compute_one_label_scores(counts))
        assert alone == pytest.approx(
            {name: values[i] for name, values in together.items()}, abs=1e-14, nan_ok=True
        )

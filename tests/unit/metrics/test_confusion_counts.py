"""Counts behind a provider's fractions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.metrics.confusion_counts import (
    Normalisation,
    find_normalisation,
    recover_confusion_counts,
)

NAN = float("nan")

# Real output of 2019 (Amazon Rekognition Custom Labels developer guide): CAP 390, WATCH 234 images.
CAP_WATCH = np.array(
    [[0.9948717948717949, 0.008547008547008548], [0.1794871794871795, 0.7008547008547008]]
)
# Real output of about 2022, as percentages in the same guide; rows true, columns predicted:
# backyard, bathroom, bedroom, closet, entry way, floor plan, front yard, kitchen, living, patio.
ROOMS = np.array(
    [
        [75, 0, 0, 0, 0, 0, 25, 0, 0, 0],
        [0, 67, 0, 0, 0, 0, 0, 33, 0, 0],
        [0, 0, 82, 0, 0, 0, 0, 0, 18, 0],
        [0, 0, 50, 50, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 33, 0, 0, 0, 67, 0],
        [0, 0, 0, 0, 0, 100, 0, 0, 0, 0],
        [33, 0, 0, 0, 0, 0, 67, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 88, 12, 0],
        [0, 0, 9, 0, 0, 0, 0, 0, 91, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 33, 67],
    ]
)


def test_cap_and_watch_were_divided_by_the_predicted_label():
    """Rows sum to 1.003 and 0.880, and give whole counts that sum to 390 and 234."""
    support = np.array([390.0, 234.0])

    assert find_normalisation(CAP_WATCH, support) == Normalisation.PREDICTED
    assert recover_confusion_counts(CAP_WATCH, support).tolist() == [[388, 2], [70, 164]]


def test_single_precision_is_enough():
    """Fractions that went through 32 bits give the same counts."""
    counts = np.array([[150_000, 3], [999, 98_998]])
    support = counts.sum(axis=1).astype(float)

    rounded = (counts / support).astype(np.float32).astype(float)

    assert recover_confusion_counts(rounded, support).tolist() == counts.tolist()


def test_rooms_were_divided_by_the_true_label():
    """Rounded to percent and without the counts of images, by their sums alone."""
    assert find_normalisation(ROOMS / 100, np.full(10, NAN)) == Normalisation.TRUE
    assert recover_confusion_counts(ROOMS / 100, np.full(10, NAN)) is None


@given(
    st.lists(st.integers(0, 50), min_size=9, max_size=9).filter(sum),
    st.sampled_from(Normalisation),
)
def test_counts_come_back(cells, normalisation):
    """Divided by either label's images; labels without a test image have no predictions here."""
    counts = np.reshape(cells, (3, 3))
    tested = counts.any(axis=1)
    counts[:, ~tested] = 0
    if not counts.any():
        return
    support = counts.sum(axis=1).astype(float)
    divisors = support[:, np.newaxis] if normalisation == Normalisation.TRUE else support
    values = counts / np.maximum(divisors, 1)

    recovered = recover_confusion_counts(values, support)

    tied = find_normalisation(values, support)
    assert recovered is not None
    if tied == normalisation:
        assert recovered.tolist() == counts.tolist()


@pytest.mark.parametrize(
    "values", [[[0.9, 0.2], [0.3, 0.3]], [[0.4999, 0.25], [0.5, 0.75]]], ids=["sums", "whole"]
)
def test_other_fractions_stay_fractions(values):
    """Neither sums of 1 nor whole counts: no count is made up."""
    values, support = np.array(values), np.array([40.0, 80.0])

    assert recover_confusion_counts(values, support) is None


def test_no_matrix_has_no_normalisation():
    """Nothing fits nothing."""
    assert find_normalisation(np.zeros((2, 2)), np.array([NAN, NAN])) is None

"""Log loss and calibration error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import log_loss

from mlrek.metrics.intervals import compute_margin, compute_statistic
from mlrek.metrics.probabilities import (
    bin_predictions,
    calibration_error,
    count_apart_from_one,
    debias_calibration_error,
    log_loss_of_images,
)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 5))
def test_log_loss_is_scikit_learns(seed, n_images, n_labels):
    """Of shares that sum to 1, some of them exactly 0 or 1."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(n_labels, 0.3), size=n_images).round(2)
    scores[:, 0] += 1 - scores.sum(axis=1)
    scores = np.clip(scores, 0, 1)
    scores /= scores.sum(axis=1, keepdims=True)
    y_true = rng.integers(n_labels, size=n_images)

    losses = log_loss_of_images(scores[np.arange(n_images), y_true], scores.sum(axis=1))

    expected = log_loss(y_true, scores, labels=range(n_labels))
    assert losses.mean() == pytest.approx(expected, abs=1e-12)


def test_log_loss_scales_each_image_to_one():
    """Rounded scores are shares of their own sum."""
    losses = log_loss_of_images(np.array([0.6, 0.3]), np.array([0.9, 0.5]))

    assert losses == pytest.approx([-np.log(2 / 3), -np.log(0.6)])


@pytest.mark.parametrize(("total", "count"), [(1.0009, 0), (0.9991, 0), (1.0011, 1), (0.998, 1)])
def test_sums_are_checked_within_a_thousandth(total, count):
    """Scores that are no probabilities are counted."""
    assert count_apart_from_one(np.array([total, 1.0])) == count


def _expected_error(confidence, is_right):
    """The definition, bin by bin."""
    error = 0.0
    for i in range(15):
        low, high = i / 15, (i + 1) / 15
        chosen = (confidence > low) & (confidence <= high) | ((i == 0) & (confidence == 0))
        if chosen.any():
            gap = abs(is_right[chosen].mean() - confidence[chosen].mean())
            error += chosen.sum() / len(confidence) * gap
    return error


@given(
    st.lists(
        st.tuples(
            st.one_of(st.floats(0, 1), st.sampled_from([i / 15 for i in range(16)])), st.booleans()
        ),
        min_size=1,
    )
)
def test_calibration_error_is_its_definition(drawn):
    """15 equal bins closed on the right, the first on the left as well."""
    confidence, is_right = (np.array(column) for column in zip(*drawn, strict=True))
    n = len(confidence)

    values = compute_statistic(calibration_error(confidence, is_right, np.arange(n), n), n)

    assert values["ece"] == pytest.approx(_expected_error(confidence, is_right))


def test_calibration_error_by_hand():
    """0.9 and 0.92 share a bin (one right of two), 0.5 has its own.

    (|1 - 1.82| + |1 - 0.5|) / 3.
    """
    statistic = calibration_error(
        np.array([0.9, 0.92, 0.5]), np.array([True, False, True]), np.arange(3), 4
    )

    assert compute_statistic(statistic, 4)["ece"] == pytest.approx((0.82 + 0.5) / 3)


@pytest.mark.parametrize("n", [2, 10, 30, 100, 300])
def test_the_upper_end_of_the_calibration_error_holds_where_nearly_all_are_right(n):
    """Of equally sure predictions, at most 2.5 % of test sets end below the error: exact chances.

    No confidence and no share of right predictions is an exception, not even where all are right.
    """
    right = np.arange(n + 1)
    for confidence in (0.7, 0.9, 0.98, 0.999, 1.0):
        ends = [
            debias_calibration_error(
                bin_predictions(np.full(n, confidence), np.arange(n) < k), compute_margin(0.95)
            ).high
            for k in right
        ]
        for p in np.linspace(0.5, 1, 51):
            error = abs(p - confidence)
            missed = binom.pmf(right, n, p)[np.array(ends) < error - 1e-9].sum()
            assert missed <= 0.025 + 1e-9, (confidence, p)

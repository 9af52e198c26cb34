"""Intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from mlrek.metrics.intervals import compute_wilson

SHARES = st.integers(1, 300_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SHARES)
def test_wilson_is_that_of_statsmodels(drawn):
    """For every share, none and all included."""
    successes, n = drawn

    low, high = compute_wilson(np.array([successes]), np.array([n]))

    expected = proportion_confint(successes, n, method="wilson")
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-12)


@given(SHARES, st.floats(0.5, 0.9999))
def test_wilson_is_that_of_statsmodels_at_any_confidence(drawn, confidence):
    """Not at 0.95 alone."""
    successes, n = drawn

    low, high = compute_wilson(np.array([successes]), np.array([n]), confidence)

    expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-12)


def test_wilson_stays_between_0_and_1():
    """Rounding never leads outside."""
    low, high = compute_wilson(np.array([0, 7]), np.array([7, 7]))

    assert (low[0], high[1]) == (0, 1)


def test_wilson_of_no_image_is_undefined():
    """A share of nothing has no interval."""
    assert np.isnan(compute_wilson(np.array([0]), np.array([0]))).all()

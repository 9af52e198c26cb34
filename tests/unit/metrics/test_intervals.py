"""Intervals."""

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from mlrek.metrics.intervals import compute_wilson, resampled_number, share_of_images

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


def test_share_has_its_interval():
    """35 of 37, as statsmodels has it."""
    number = share_of_images(35, 37)

    assert (number.value, number.low, number.high) == pytest.approx(
        (35 / 37, *proportion_confint(35, 37, method="wilson"))
    )


def test_interval_is_between_the_percentiles():
    """The 2.5th and the 97.5th of the values in resamples."""
    number = resampled_number(0.5, np.arange(1001) / 1000)

    assert (number.low, number.high) == pytest.approx((0.025, 0.975))


@pytest.mark.parametrize(("confidence", "ends"), [(0.9, (0.05, 0.95)), (0.99, (0.005, 0.995))])
def test_interval_is_between_other_percentiles_at_another_confidence(confidence, ends):
    """Half of what it leaves out lies on each side."""
    number = resampled_number(0.5, np.arange(1001) / 1000, confidence=confidence)

    assert (number.low, number.high) == pytest.approx(ends)


def test_usual_percentiles_are_exact():
    """1 - 0.95 is not 0.05 in binary, and still the percentiles are numpy's 2.5th and 97.5th."""
    resampled = np.random.default_rng(0).random(1000)
    number = resampled_number(0.5, resampled, confidence=0.95)

    assert [number.low, number.high] == np.percentile(resampled, [2.5, 97.5]).tolist()


def test_resamples_without_a_value_are_left_out():
    """Up to one in ten may be undefined."""
    number = resampled_number(0.5, np.append(np.arange(1001) / 1000, [nan] * 100))

    assert (number.low, number.high) == pytest.approx((0.025, 0.975))


def test_too_many_resamples_without_a_value_give_no_interval():
    """The number stays, the interval is undefined with its reason."""
    number = resampled_number(0.5, np.array([0.1, 0.2, 0.3, nan]))

    assert (number.value, isnan(number.low), isnan(number.high)) == (0.5, True, True)
    assert number.reason == "no interval: undefined in 1 of 4 resamples"


def test_zero_width_is_undefined_not_certain():
    """Resamples that all agree show too few images."""
    number = resampled_number(1.0, np.ones(1000))

    assert (number.value, isnan(number.low), isnan(number.high)) == (1.0, True, True)
    assert "never changes the value" in number.reason


def test_undefined_value_has_its_reason_and_no_interval():
    """NaN, whatever the resamples say."""
    number = resampled_number(nan, np.ones(3), undefined="zero denominator")

    assert (isnan(number.value), isnan(number.low), number.reason) == (
        True,
        True,
        "zero denominator",
    )

"""Tests of two groups of different images, against scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from mlrek.metrics.paired_tests import IndependentShares
from mlrek.metrics.two_samples import (
    Sums,
    compare_newcombe,
    compare_welch,
    fisher_mid_p,
    welch_p,
)

RNG = np.random.default_rng(5)
N, OTHERS = RNG.integers(20, 400, 200), RNG.integers(20, 5000, 200)
RIGHT, OTHER_RIGHT = RNG.binomial(N, 0.9), RNG.binomial(OTHERS, 0.85)


def test_fishers_mid_p_by_hand():
    """1 of 2 against 0 of 2: both outcomes are as likely, so that each tail is 0 + 1/4."""
    assert fisher_mid_p(*(np.array([x]) for x in (1, 2, 0, 2))).tolist() == pytest.approx([0.5])


def test_fishers_mid_p_is_twice_the_smaller_mid_tail_of_the_hypergeometric_distribution():
    """As scipy's distribution gives it, to nine digits."""
    drawn = stats.hypergeom(N + OTHERS, RIGHT + OTHER_RIGHT, N)
    half = drawn.pmf(RIGHT) / 2
    expected = 2 * np.minimum(drawn.cdf(RIGHT) - half, drawn.sf(RIGHT) + half)

    assert fisher_mid_p(RIGHT, N, OTHER_RIGHT, OTHERS) == pytest.approx(expected, rel=1e-9)


def test_fishers_mid_p_is_no_greater_than_fishers_one_sided_p_twice():
    """What the half of the probability of the table takes off, scipy's test being of a tail."""
    tables = [
        [[x, n - x], [y, m - y]] for x, n, y, m in zip(RIGHT, N, OTHER_RIGHT, OTHERS, strict=True)
    ]
    tails = [
        min(stats.fisher_exact(t, alternative=side).pvalue for side in ("less", "greater"))
        for t in tables
    ]

    assert (fisher_mid_p(RIGHT, N, OTHER_RIGHT, OTHERS) <= 2 * np.array(tails) + 1e-12).all()


def test_fishers_mid_p_is_one_where_all_images_are_right_or_none_is():
    """Nothing could tell the groups apart."""
    n, m = np.array([20, 20]), np.array([50, 50])

    assert fisher_mid_p(np.array([20, 0]), n, np.array([50, 0]), m).tolist() == [1.0, 1.0]


def test_fishers_mid_p_holds_of_a_quarter_million_images():
    """Far in the tail, where scipy's sums of logarithms agree to six digits."""
    x, n, y, m = (np.array([v]) for v in (100_000, 125_000, 101_500, 125_000))
    drawn = stats.hypergeom(250_000, 201_500, 125_000)

    expected = 2 * (drawn.cdf(100_000) - drawn.pmf(100_000) / 2)
    assert fisher_mid_p(x, n, y, m) == pytest.approx(expected, rel=1e-6)


def test_newcombes_interval_of_many_is_that_of_statsmodels_and_of_each():
    """First share minus second, each with Wilson's interval."""
    low, high = compare_newcombe((RIGHT, N), (OTHER_RIGHT, OTHERS), 0.95)
    expected = [
        confint_proportions_2indep(x, n, y, m, method="newcomb", compare="diff")
        for x, n, y, m in zip(RIGHT, N, OTHER_RIGHT, OTHERS, strict=True)
    ]
    shares = IndependentShares(
        baseline_right=int(OTHER_RIGHT[0]),
        baseline_n=int(OTHERS[0]),
        candidate_right=int(RIGHT[0]),
        candidate_n=int(N[0]),
    )

    assert np.transpose([low, high]) == pytest.approx(np.array(expected), abs=1e-9)
    assert (low[0], high[0]) == pytest.approx(shares.interval(0.95), abs=1e-12)


def make_sums(*groups):
    """What is known of each group."""
    return Sums(
        n=np.array([len(group) for group in groups]),
        total=np.array([np.sum(group) for group in groups]),
        squares=np.array([np.sum(np.square(group)) for group in groups]),
    )


def test_welchs_test_of_means_is_that_of_scipy():
    """The p and interval of two groups of unequal variance."""
    a, b = RNG.normal(0.5, 0.1, 25), RNG.normal(0.6, 0.3, 400)
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = compare_welch(make_sums(a), make_sums(b), 0.95)

    assert welch_p(make_sums(a), make_sums(b)) == pytest.approx([expected.pvalue], rel=1e-9)
    assert (*low, *high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_welchs_p_of_groups_without_any_spread_is_one_or_nought():
    """20 images at 1 against 20 at 1, and at 0."""
    ones, noughts = np.ones(20), np.zeros(20)

    assert welch_p(make_sums(ones, ones), make_sums(ones, noughts)).tolist() == [1.0, 0.0]

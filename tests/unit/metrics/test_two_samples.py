"""Tests of two groups of different images, against scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from mlrek.metrics.paired_tests import IndependentShares
from mlrek.metrics.two_samples import (
    Sums,
    compare_means,
    compare_newcombe,
    fisher_mid_p,
    permutation_p,
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
        squares=np.array([np.sum(np.power(group, 2)) for group in groups]),
        cubes=np.array([np.sum(np.power(group, 3)) for group in groups]),
    )


@pytest.mark.parametrize("shift", [0.0, 0.1, -0.08])
def test_the_p_of_means_is_near_that_of_many_permutations(shift):
    """20 skewed scores against 200, as scipy deals them out 100,000 times."""
    rng = np.random.default_rng(1)
    a, b = np.clip(rng.beta(8, 2, 20) - shift, 0, 1), rng.beta(8, 2, 200)
    dealt = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        vectorized=True,
        n_resamples=100_000,
        batch=5_000,
        rng=rng,
    )

    assert permutation_p(make_sums(a), make_sums(b)) == pytest.approx([dealt.pvalue], abs=0.01)


def test_the_p_of_means_of_noughts_and_ones_is_near_fishers():
    """The same question of the same values, asked of three moments only."""
    shares = Sums(n=N, total=RIGHT * 1.0, squares=RIGHT * 1.0, cubes=RIGHT * 1.0)
    others = Sums(
        n=OTHERS, total=OTHER_RIGHT * 1.0, squares=OTHER_RIGHT * 1.0, cubes=OTHER_RIGHT * 1.0
    )
    exact = fisher_mid_p(RIGHT, N, OTHER_RIGHT, OTHERS)

    assert permutation_p(shares, others) == pytest.approx(exact, abs=0.05)


def test_the_p_of_means_is_one_where_all_values_are_the_same():
    """No way to deal them out differs."""
    ones = make_sums(np.full(20, 0.3))

    assert permutation_p(ones, make_sums(np.full(50, 0.3))).tolist() == [1.0]


def test_the_interval_of_means_of_noughts_and_ones_is_newcombes():
    """But for n in place of n - 1: 16 of 20 are worth 19 images, 90 of 100 are worth 99."""
    a, b = make_sums([1.0] * 16 + [0.0] * 4), make_sums([1.0] * 90 + [0.0] * 10)
    expected = confint_proportions_2indep(
        0.8 * 19, 19, 0.9 * 99, 99, method="newcomb", compare="diff"
    )

    assert np.concatenate(compare_means(a, b, 0.95)) == pytest.approx(expected, abs=1e-9)


def test_the_interval_of_means_without_any_spread_is_that_of_all_images():
    """20 images at 1, and 30 at 1, are worth 20 and 30."""
    expected = confint_proportions_2indep(20, 20, 30, 30, method="newcomb", compare="diff")
    found = compare_means(make_sums(np.ones(20)), make_sums(np.ones(30)), 0.95)

    assert np.concatenate(found) == pytest.approx(expected, abs=1e-9)

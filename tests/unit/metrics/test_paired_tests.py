"""Whether chance alone explains how versions differ: McNemar, Cochran, Holm."""

import gc
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests

from mlrek.metrics.paired_tests import adjust_holm, cochran_q, format_p, mcnemar_mid_p

COUNTS = st.integers(0, 300_000)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((1, 7), 0.0390625),  # Bentur 2009, in Fagerland, Lydersen, Laake 2013: 0.039
        ((6, 16), 0.034690),  # Cavo 2012, in their book
        ((5, 5), 1 - 0.5 * 252 / 1024),
    ],
)
def test_mid_p_is_the_published_one(counts, expected):
    """To the digits that were printed; for equal counts by the paper's own formula."""
    assert mcnemar_mid_p(*counts) == pytest.approx(expected, abs=5e-7)


@example(2831, 2935)  # where scipy.special.bdtr is off in the 12th digit
@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mid_p_is_the_exact_p_less_the_point(only_baseline, only_candidate):
    """By statsmodels and scipy, for all counts that differ."""
    if only_baseline == only_candidate:
        return
    table = [[0, only_baseline], [only_candidate, 0]]
    n = only_baseline + only_candidate
    expected = mcnemar(table, exact=True).pvalue - stats.binom.pmf(only_baseline, n, 0.5)

    assert mcnemar_mid_p(only_baseline, only_candidate) == pytest.approx(expected, abs=1e-12)


def test_mid_p_of_many():
    """One for each pair of counts; 1 where nothing differs."""
    found = mcnemar_mid_p(np.array([0, 1, 7, 2]), np.array([0, 7, 1, 2]))

    assert found == pytest.approx([1, 0.0390625, 0.0390625, 1 - 0.5 * 6 / 16])


def test_mid_p_of_a_million():
    """As by the normal distribution, which is close there; the smallest become 0."""
    z = 3000 / 1_003_000**0.5
    found = mcnemar_mid_p(np.array([500_000, 1_000_000]), np.array([503_000, 0]))

    assert found[0] == pytest.approx(2 * stats.norm.sf(z), rel=1e-3)
    assert found[1] == 0


def test_mid_p_keeps_the_smallest_digits():
    """2⁻¹⁰⁰⁰: twice the tail, less the point that it is."""
    assert mcnemar_mid_p(0, 1000) == pytest.approx(2.0**-1000)


@given(COUNTS, COUNTS)
def test_mid_p_is_a_probability_and_knows_no_side(one, other):
    """Between 0 and 1, the same for swapped versions."""
    p = mcnemar_mid_p(one, other)

    assert 0 <= p <= 1
    assert p == mcnemar_mid_p(other, one)


def test_cochran_q_is_the_published_one():
    """Cochran 1950: four media, 69 specimens, Q = 8.05 with 3 degrees of freedom."""
    patterns = [[1, 1, 1, 1]] * 4 + [[1, 1, 0, 1]] * 2 + [[0, 1, 1, 1]] * 3
    patterns += [[0, 1, 0, 1]] + [[0, 0, 0, 0]] * 59

    found = cochran_q(np.array(patterns, dtype=bool))

    assert found.q == pytest.approx(153 / 19)
    assert found.df == 3
    assert found.p == pytest.approx(stats.chi2.sf(153 / 19, 3))


@given(st.integers(2, 6), st.integers(1, 80), st.integers(0, 2**32))
def test_cochran_q_is_that_of_statsmodels(k, n_images, seed):
    """For as many versions as one likes."""
    is_right = np.random.default_rng(seed).random((n_images, k)) < 0.7
    if (is_right.all(axis=1) | ~is_right.any(axis=1)).all():
        return
    expected = cochrans_q(is_right.astype(int))

    found = cochran_q(is_right)

    assert (found.q, found.p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-9)


@pytest.mark.parametrize("right", [True, False])
def test_versions_that_never_differ_have_q_zero(right):
    """And p 1: nothing speaks against chance."""
    assert cochran_q(np.full((5, 3), right)) == (0, 2, 1)


@pytest.mark.parametrize("shape", [(0, 3), (4, 1)])
def test_q_of_nothing_is_undefined(shape):
    """Without images, or with a single version."""
    found = cochran_q(np.ones(shape, dtype=bool))

    assert isnan(found.q)
    assert isnan(found.p)


def test_holm_by_hand():
    """0.005 · 4, 0.01 · 3, 0.03 · 2, and the last is no smaller than the one before."""
    found = adjust_holm(np.array([0.01, 0.04, nan, 0.03, 0.005]))

    assert found == pytest.approx([0.03, 0.06, nan, 0.06, 0.02], nan_ok=True)


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


@pytest.fixture(scope="module")
def frozen():
    """What other tests have left is out of the sight of statsmodels, which collects garbage."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen")
@given(P_VALUES)
def test_holm_is_that_of_statsmodels(p):
    """Whatever the order, ties included."""
    assert adjust_holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)


@given(P_VALUES)
def test_holm_keeps_the_order_and_lowers_nothing(p):
    """A smaller p is not adjusted to a larger one than its neighbour's."""
    adjusted = adjust_holm(p)

    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()


def test_holm_of_nothing():
    """No p, and none defined."""
    assert len(adjust_holm(np.array([]))) == 0
    assert np.isnan(adjust_holm(np.array([nan, nan]))).all()


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.0312, "0.031"),
        (1.0, "1"),
        (0.00002, "2e-05"),
        (1e-12, "1e-12"),
        (1e-300, "1e-300"),
        (9e-301, "<1e-300"),
        (0.0, "<1e-300"),
        (nan, "—"),
    ],
)
def test_p_is_printed_with_two_digits(p, expected):
    """And never as 0."""
    assert format_p(p) == expected

"""How two versions differ, on the same images or on others: standard errors and intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mlrek.metrics.paired_tests import IndependentShares, PairedCounts

COUNTS = st.integers(0, 300_000)
PAIRS = st.builds(
    PairedCounts, both=COUNTS, only_baseline=COUNTS, only_candidate=COUNTS, neither=COUNTS
)
CONFIDENCES = st.floats(0.5, 0.999)


def pair(both, only_candidate, only_baseline, neither):
    """Counts in the order of the published tables: the difference is that of the middle two."""
    return PairedCounts(
        both=both,
        only_baseline=only_baseline,
        only_candidate=only_candidate,
        neither=neither,
    )


def compute_newcombe(e, f, g, h, confidence):
    """Method 10 as the paper writes it: e both, f first only, g second only, h neither."""
    n = e + f + g + h
    p1, p2 = (e + f) / n, (e + g) / n
    l1, u1 = proportion_confint(e + f, n, alpha=1 - confidence, method="wilson")
    l2, u2 = proportion_confint(e + g, n, alpha=1 - confidence, method="wilson")
    margins = float(e + f) * (g + h) * (e + g) * (f + h)
    if margins == 0:
        phi = 0.0
    else:
        numerator = e * h - f * g
        if numerator > n / 2:
            numerator -= n / 2
        elif numerator >= 0:
            numerator = 0
        phi = numerator / margins**0.5
    delta2 = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    epsilon2 = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    return p1 - p2 - max(delta2, 0) ** 0.5, p1 - p2 + max(epsilon2, 0) ** 0.5


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ((36, 12, 2, 0), (0.0569, 0.3404)),  # an example of Newcombe 1998
        ((59, 6, 16, 80), (-0.1186, -0.0046)),  # Cavo 2012, in Fagerland, Lydersen, Laake 2017
        ((1, 1, 7, 12), (-0.5069, -0.0256)),  # Bentur 2009, in the same book
    ],
)
def test_paired_interval_is_the_published_one(table, expected):
    """Newcombe's method 10, to the digits that were printed."""
    assert pair(*table).interval(0.95) == pytest.approx(expected, abs=5e-5)


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS).filter(any), CONFIDENCES)
def test_paired_interval_is_the_formula_of_the_paper(table, confidence):
    """Written down a second time with Wilson's ends from statsmodels."""
    expected = compute_newcombe(*table, confidence)

    assert pair(*table).interval(confidence) == pytest.approx(expected, abs=1e-7)


def test_correlation_is_corrected_for_continuity():
    """A positive numerator loses n / 2, at most all of it; a negative one stays."""
    by_hand = {
        (30, 5, 5, 10): (300 - 25 - 25) / (35 * 15),  # 30·10 - 5·5, less 50 / 2
        (3, 2, 2, 2): 0.0,  # 3·2 - 2·2 = 2 is below 9 / 2
        (2, 6, 6, 2): (4 - 36) / (8 * 8),
        (9, 0, 0, 0): 0.0,  # no margin to divide by
    }

    found = {table: pair(*table)._correlation for table in by_hand}  # noqa: SLF001 - by hand

    assert found == pytest.approx(by_hand)


def test_difference_of_pairs_and_its_error_by_hand():
    """(12 - 2) / 50, and sqrt(14 - 100 / 50) / 50."""
    counts = pair(36, 12, 2, 0)

    assert (counts.n, counts.difference) == (50, 0.2)
    assert counts.standard_error == pytest.approx(12**0.5 / 50)


@pytest.mark.parametrize(
    "nothing",
    [
        pair(0, 0, 0, 0),
        IndependentShares(baseline_right=0, baseline_n=0, candidate_right=3, candidate_n=4),
        IndependentShares(baseline_right=3, baseline_n=4, candidate_right=0, candidate_n=0),
    ],
)
def test_difference_of_nothing_is_undefined(nothing):
    """No images on one side: neither difference nor interval."""
    found = (nothing.difference, nothing.standard_error, *nothing.interval(0.95))

    assert np.isnan(found).all()


@given(PAIRS, CONFIDENCES)
def test_swapping_paired_versions_mirrors_everything(counts, confidence):
    """To the last bit."""
    swapped = PairedCounts(
        both=counts.both,
        only_baseline=counts.only_candidate,
        only_candidate=counts.only_baseline,
        neither=counts.neither,
    )
    low, high = swapped.interval(confidence)

    assert np.array_equal(counts.interval(confidence), (-high, -low), equal_nan=True)
    assert np.array_equal(counts.difference, -swapped.difference, equal_nan=True)
    assert np.array_equal(counts.standard_error, swapped.standard_error, equal_nan=True)


@given(PAIRS.filter(lambda counts: counts.n > 0), CONFIDENCES)
def test_paired_interval_holds_the_difference(counts, confidence):
    """And stays between -1 and 1."""
    low, high = counts.interval(confidence)

    assert -1 - 1e-12 <= low <= counts.difference <= high <= 1 + 1e-12


@given(st.integers(1, 300_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_version_against_itself_differs_by_zero_but_not_surely(right_of):
    """The interval holds 0 within."""
    right, n = right_of
    counts = pair(right, 0, 0, n - right)
    low, high = counts.interval(0.95)

    assert counts.difference == 0
    assert low < 0 < high


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_unpaired_interval_is_the_published_one(shares, expected):
    """Examples of Newcombe 1998, method 10: first minus second."""
    right, n, other_right, other_n = shares
    found = IndependentShares(
        candidate_right=right, candidate_n=n, baseline_right=other_right, baseline_n=other_n
    )

    assert found.interval(0.95) == pytest.approx(expected, abs=5e-5)


SHARES = st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SHARES, SHARES, CONFIDENCES)
def test_unpaired_interval_is_that_of_statsmodels(baseline, candidate, confidence):
    """Newcombe's hybrid score interval at every confidence."""
    found = IndependentShares(
        baseline_right=baseline[0],
        baseline_n=baseline[1],
        candidate_right=candidate[0],
        candidate_n=candidate[1],
    )
    expected = confint_proportions_2indep(
        *candidate, *baseline, compare="diff", method="newcomb", alpha=1 - confidence
    )

    assert found.interval(confidence) == pytest.approx(expected, abs=1e-9)


@given(SHARES, SHARES, CONFIDENCES)
def test_swapping_unpaired_versions_mirrors_everything(baseline, candidate, confidence):
    """To the last bit."""
    one, other = (
        IndependentShares(
            baseline_right=a[0], baseline_n=a[1], candidate_right=b[0], candidate_n=b[1]
        )
        for a, b in ((baseline, candidate), (candidate, baseline))
    )
    low, high = other.interval(confidence)

    assert one.interval(confidence) == (-high, -low)
    assert one.difference == -other.difference
    assert one.standard_error == pytest.approx(other.standard_error, rel=1e-15)


def test_unpaired_error_by_hand():
    """sqrt(0.8 · 0.2 / 70 + 0.6 · 0.4 / 80)."""
    found = IndependentShares(
        candidate_right=56, candidate_n=70, baseline_right=48, baseline_n=80
    ).standard_error

    assert found == pytest.approx((0.16 / 70 + 0.24 / 80) ** 0.5)

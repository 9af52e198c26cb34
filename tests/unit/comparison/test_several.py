"""Three versions and more: Cochran's Q of all, McNemar of each pair, Holm over the pairs."""

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.multitest import multipletests

from mlrek.comparison.compare import CompareSettings, Side, compare_several

SETTINGS = CompareSettings(intervals=False)


def mid_p(b: int, c: int) -> float:
    """Both tails of the smaller count, less its own probability."""
    return 2 * binom.cdf(min(b, c), b + c, 0.5) - binom.pmf(min(b, c), b + c, 0.5)


def test_three_versions_are_tested_together_and_in_pairs(build_top):
    """By statsmodels and scipy, on 60 images of which each version has others right."""
    right = np.random.default_rng(4).random((60, 3)) < [0.6, 0.75, 0.9]
    sides = [Side(evaluation=build_top([0] * 60, 1 - column.astype(int))) for column in right.T]

    comparisons, several = compare_several(sides[0], sides[1:], SETTINGS)

    expected = cochrans_q(right)
    assert (several.images, several.df) == (60, 2)
    assert (several.q, several.p) == pytest.approx((expected.statistic, expected.pvalue))
    places = [(0, 1), (0, 2), (1, 2)]
    only = [
        (int(np.sum(right[:, i] & ~right[:, j])), int(np.sum(right[:, j] & ~right[:, i])))
        for i, j in places
    ]
    plain = [mid_p(*counts) for counts in only]
    holm = multipletests(plain, method="holm")[1]
    assert [(pair.first, pair.second) for pair in several.pairs] == places
    assert [(pair.only_first, pair.only_second) for pair in several.pairs] == only
    assert [pair.difference for pair in several.pairs] == pytest.approx(
        [right[:, j].mean() - right[:, i].mean() for i, j in places]
    )
    assert [pair.p for pair in several.pairs] == pytest.approx(plain)
    assert [pair.p_adjusted for pair in several.pairs] == pytest.approx(holm)
    accuracy = [one.find("aggregate/accuracy") for one in comparisons]
    assert [found.p_adjusted for found in accuracy] == pytest.approx(holm[:2])


def test_two_versions_need_no_test_of_all(build_top):
    """And their p is not adjusted."""
    sides = [
        Side(evaluation=build_top([0] * 9, [0] * right + [1] * (9 - right))) for right in (3, 9)
    ]

    (comparison,), several = compare_several(sides[0], sides[1:], SETTINGS)

    assert several is None
    assert np.isnan(comparison.find("aggregate/accuracy").p_adjusted)

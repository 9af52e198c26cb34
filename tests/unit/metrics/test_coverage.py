"""Of intervals at 95 %, 92 to 98 in a hundred hold the truth: 500 images, labels with 20 or more.

Test sets are drawn from known probabilities, so that the truth is known.
"""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, norm

from mlrek.metrics.areas import delong
from mlrek.metrics.intervals import compute_wilson
from mlrek.metrics.paired_tests import IndependentShares, PairedCounts

N_IMAGES = 500


def share_covered(intervals, truth):
    """The share of intervals that hold the truth; one that is undefined does not."""
    return np.mean([low <= truth <= high for low, high in intervals])


@pytest.mark.parametrize(
    "cells", [(0.80, 0.04, 0.06, 0.10), (0.93, 0.02, 0.01, 0.04), (0.40, 0.15, 0.25, 0.20)]
)
def test_paired_shares(cells):
    """Newcombe's paired interval: few and many images that only one version has right."""
    drawn = np.random.default_rng(1).multinomial(N_IMAGES, cells, size=2000).tolist()
    intervals = [
        PairedCounts(both=a, only_baseline=b, only_candidate=c, neither=d).interval(0.95)
        for a, b, c, d in drawn
    ]

    assert 0.92 <= share_covered(intervals, cells[2] - cells[1]) <= 0.98


def test_unpaired_shares():
    """Newcombe's hybrid interval: 500 images against 300 others."""
    rng = np.random.default_rng(2)
    intervals = [
        IndependentShares(
            baseline_right=b, baseline_n=300, candidate_right=c, candidate_n=500
        ).interval(0.95)
        for b, c in zip(rng.binomial(300, 0.9, 2000), rng.binomial(500, 0.93, 2000), strict=True)
    ]

    assert 0.92 <= share_covered(intervals, 0.93 - 0.9) <= 0.98


@pytest.mark.parametrize(
    ("n", "share"), [*product((N_IMAGES,), (0.5, 0.9, 0.97)), *product((20, 50), (0.6, 0.75, 0.9))]
)
def test_share(n, share):
    """Wilson's interval, exactly: each count by its probability."""
    counts = np.arange(n + 1)
    low, high = compute_wilson(counts, np.array(n))

    covered = binom.pmf(counts, n, share)[(low <= share) & (share <= high)].sum()
    assert 0.92 <= covered <= 0.98


def test_area_difference():
    """DeLong's: normal scores of two versions that agree by half, 100 positives of 500."""
    rng = np.random.default_rng(3)
    is_true = np.arange(N_IMAGES) < 100
    shift = np.array([1.2, 1.5])
    truth = np.diff(norm.cdf(shift / np.sqrt(2)))[0]
    intervals = []
    for _ in range(1500):
        noise = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=N_IMAGES)
        found = delong(*(noise + shift * is_true[:, None]).T, is_true)
        intervals.append(norm.interval(0.95, found.difference, found.standard_error))

    assert 0.92 <= share_covered(intervals, truth) <= 0.98

"""How many images would decide what is undecided."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from mlrek.metrics.paired_tests import PairedCounts, smallest_decidable_share


def test_an_undecided_difference_says_how_many_images_would_settle_it(build_top, compare):
    """A true difference of one point, at both ends of the interval of the discordance, 8 of 30.

    By Connor's formula: (1.96 sqrt(d) + 0.8416 sqrt(d - 0.01²))² / 0.01².
    """
    right = [(1, 1)] * 20 + [(1, 0)] * 3 + [(0, 1)] * 5 + [(0, 0)] * 2
    predicted = [[0 if side[i] else 1 for side in right] for i in range(2)]
    counts = PairedCounts(both=20, only_baseline=3, only_candidate=5, neither=2)

    settling = compare(*(build_top([0] * 30, y_pred) for y_pred in predicted)).settling

    wilson = binomtest(8, 30).proportion_ci(method="wilson")
    z, z_power = norm.ppf(0.975), norm.ppf(0.8)
    ends = [
        np.ceil((z * d**0.5 + z_power * (d - 1e-4) ** 0.5) ** 2 / 1e-4)
        for d in (wilson.low, wilson.high)
    ]
    assert settling.needed.ends == tuple(ends)
    assert settling.images_needed == ends[1]
    assert settling.smallest_difference == smallest_decidable_share(counts)


def test_a_decided_difference_needs_no_more_images(build_top, compare):
    """Thirty images that the candidate alone has right."""
    comparison = compare(build_top([0] * 30, [1] * 30), build_top([0] * 30, [0] * 30))

    assert comparison.settling is None
    assert comparison.find("aggregate/accuracy").low > 0


def test_groups_take_the_spread_between_objects_for_what_would_settle_it(build_top, compare):
    """Not a formula of independent images, and no p: 1.96 + 0.84 standard errors."""
    rng = np.random.default_rng(0)
    right = rng.random((2, 40)) < 0.8
    names = [f"{i % 20:02}-{i}" for i in range(40)]
    sides = [build_top([0] * 40, 1 - one.astype(int), images=names) for one in right]

    comparison = compare(*sides, intervals=True, group_by="^[0-9]+")

    gain = right[1].astype(int) - right[0]
    by_object = gain[:20] + gain[20:]
    spread = np.std(by_object / 2, ddof=1) / np.sqrt(20)
    plain = np.sqrt(gain.var() / 40)
    assert spread > plain  # else the groups would tell no more than images do
    reach = norm.ppf(0.975) + norm.ppf(0.8)
    assert comparison.settling.smallest_difference == pytest.approx(reach * spread)
    low, high = comparison.settling.needed.ends
    assert low < 40 * (reach * spread / 0.01) ** 2 < high
    assert np.isnan(comparison.find("aggregate/accuracy").p)

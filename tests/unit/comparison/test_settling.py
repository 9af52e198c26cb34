"""How many images would decide what is undecided."""

import numpy as np
import pytest
from scipy.stats import norm

from mlrek.metrics.paired_tests import PairedCounts
from mlrek.metrics.power import images_to_decide_shares, smallest_decidable_share


def test_an_undecided_difference_says_how_many_images_would_settle_it(build_top, compare):
    """By the power of what was counted: 20 right for both, 3 and 5 for one, 2 for neither."""
    right = [(1, 1)] * 20 + [(1, 0)] * 3 + [(0, 1)] * 5 + [(0, 0)] * 2
    predicted = [[0 if side[i] else 1 for side in right] for i in range(2)]
    counts = PairedCounts(both=20, only_baseline=3, only_candidate=5, neither=2)

    settling = compare(*(build_top([0] * 30, y_pred) for y_pred in predicted)).settling

    assert settling.images_needed == images_to_decide_shares(counts)
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
    assert comparison.settling.images_needed == np.ceil(40 * (reach * spread / gain.mean()) ** 2)
    assert np.isnan(comparison.find("aggregate/accuracy").p)

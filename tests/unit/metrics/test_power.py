"""How many images would settle a difference: published formulas, worked out here again."""

from itertools import pairwise
from math import isnan, sqrt

import numpy as np
import pytest
from scipy.stats import binom, norm

from mlrek.metrics.paired_tests import PairedCounts
from mlrek.metrics.power import (
    images_to_decide,
    images_to_decide_shares,
    smallest_decidable,
    smallest_decidable_share,
)

REACH = norm.ppf(0.975), norm.ppf(0.8)


def find_power(n: int, difference: float) -> float:
    """How often McNemar's mid-p decides, of `n` images that differ in one direction alone."""
    discordant = np.arange(n + 1)
    mid_p = np.minimum(1, 2 * 0.5**discordant - 0.5**discordant)  # b of b, both tails, mid-p
    return binom.pmf(discordant, n, difference)[mid_p < 0.05].sum()


def test_images_for_two_shares_are_connors():
    """Connor 1987: (z √ψ + z' √(ψ - δ²))² / δ², with ψ = 0.1 and δ = 0.02."""
    counts = PairedCounts(both=850, only_baseline=40, only_candidate=60, neither=50)

    connor = (REACH[0] * sqrt(0.1) + REACH[1] * sqrt(0.1 - 0.02**2)) ** 2 / 0.02**2

    assert images_to_decide_shares(counts) == np.ceil(connor) == 1960


def test_a_limit_of_its_own_has_its_own_variance():
    """Of a limit -0.03: ψ - limit² where the limit is true, the distance in the denominator."""
    counts = PairedCounts(both=850, only_baseline=40, only_candidate=60, neither=50)

    reach = REACH[0] * sqrt(0.1 - 0.03**2) + REACH[1] * sqrt(0.1 - 0.02**2)

    assert images_to_decide_shares(counts, limit=-0.03) == np.ceil((reach / 0.05) ** 2)


def test_the_smallest_share_is_that_which_the_images_decide():
    """With the smallest difference itself, Connor's formula asks for just these images."""
    counts = PairedCounts(both=850, only_baseline=40, only_candidate=60, neither=50)

    smallest = smallest_decidable_share(counts)

    needed = (REACH[0] * sqrt(0.1) + REACH[1] * sqrt(0.1 - smallest**2)) ** 2 / smallest**2
    assert needed == pytest.approx(1000)


def test_versions_that_never_differed_need_a_difference_that_the_test_can_see():
    """One image of 1,000 decides nothing: the smallest difference has a power of about 80 %."""
    counts = PairedCounts(both=900, only_baseline=0, only_candidate=0, neither=100)

    smallest = smallest_decidable_share(counts)

    assert smallest == pytest.approx((REACH[0] + REACH[1] * sqrt(1 - smallest)) ** 2 / 1000)
    assert 0.75 < find_power(1000, smallest) < 0.95


def test_no_difference_is_decided_by_hardly_any_image():
    """Of three images not even all of them, in one direction, tell anything: mid-p is 1/8."""
    counts = PairedCounts(both=3, only_baseline=0, only_candidate=0, neither=0)

    assert isnan(smallest_decidable_share(counts))
    assert isnan(smallest_decidable_share(PairedCounts(**dict.fromkeys(PairedCounts.__slots__, 0))))


@pytest.mark.parametrize("power", [0.5, 0.8, 0.9])
def test_images_for_any_number_follow_from_its_standard_error(power):
    """N ((z + z') se / d)²: four times as many for half the distance."""
    reach = norm.ppf(0.975) + norm.ppf(power)

    needed = [images_to_decide(200, distance, 0.03, power=power) for distance in (0.02, 0.01)]

    assert needed == [np.ceil(200 * (reach * 0.03 / d) ** 2) for d in (0.02, 0.01)]
    assert smallest_decidable(0.03, power=power) == pytest.approx(reach * 0.03)


def test_more_confidence_needs_more_images():
    """Also of shares."""
    counts = PairedCounts(both=850, only_baseline=40, only_candidate=60, neither=50)

    needed = [images_to_decide_shares(counts, confidence=c) for c in (0.8, 0.9, 0.95, 0.99)]

    assert all(fewer < more for fewer, more in pairwise(needed))


def test_no_number_of_images_decides_a_difference_of_nothing():
    """Nor one whose spread nobody knows."""
    equal = PairedCounts(both=10, only_baseline=2, only_candidate=2, neither=0)

    assert images_to_decide_shares(equal) is None
    assert images_to_decide(200, 0.0, 0.03) is None
    assert images_to_decide(200, float("nan"), 0.03) is None
    assert images_to_decide(200, 0.1, 0.0) is None
    assert isnan(smallest_decidable(0.0))

"""How many images would settle a difference: by formula, by hand, and by drawing test sets."""

from math import nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from mlrek.metrics.paired_tests import (
    PairedCounts,
    mcnemar_mid_p,
    range_for_shares,
    range_to_decide,
    smallest_decidable,
    smallest_decidable_share,
)

NEVER_DIFFERED = PairedCounts(both=19, only_baseline=0, only_candidate=0, neither=1)
NOTHING = PairedCounts(both=0, only_baseline=0, only_candidate=0, neither=0)

COUNTS = st.integers(0, 5000)
PAIRS = st.builds(
    PairedCounts, both=COUNTS, only_baseline=COUNTS, only_candidate=COUNTS, neither=COUNTS
)


def draw(counts, n_images, n_sets=4000):
    """Test sets of `n_images` with the shares seen: both, only baseline, only candidate, none."""
    seen = np.array([counts.both, counts.only_baseline, counts.only_candidate, counts.neither])
    return np.random.default_rng(0).multinomial(n_images, seen / counts.n, size=n_sets)


def test_smallest_difference_is_the_one_that_needs_all_images():
    """15 + 15 of 500 differ: at δ, with 0.06 of discordance, Connor's formula gives 500."""
    counts = PairedCounts(both=400, only_baseline=15, only_candidate=15, neither=70)
    delta = smallest_decidable_share(counts)
    z, z_power = norm.ppf(0.975), norm.ppf(0.8)

    needed = (z * 0.06**0.5 + z_power * (0.06 - delta**2) ** 0.5) ** 2 / delta**2
    assert needed == pytest.approx(500)
    assert delta == pytest.approx(0.03062, abs=5e-6)


def test_smallest_difference_is_at_least_its_own_discordance():
    """Where 20 images never differed, all that differ would have to be on one side."""
    delta = smallest_decidable_share(NEVER_DIFFERED)
    z, z_power = norm.ppf(0.975), norm.ppf(0.8)

    assert (z * delta**0.5 + z_power * (delta - delta**2) ** 0.5) ** 2 / delta**2 == pytest.approx(
        20
    )


@given(PAIRS)
def test_smallest_difference_falls_with_images(counts):
    """Four times as many of the same tell a smaller one."""
    more = PairedCounts(
        both=4 * counts.both,
        only_baseline=4 * counts.only_baseline,
        only_candidate=4 * counts.only_candidate,
        neither=4 * counts.neither,
    )
    few, many = smallest_decidable_share(counts), smallest_decidable_share(more)

    assert np.isnan(few) or 0 < many < few <= 1


@pytest.mark.parametrize(
    "counts", [NOTHING, PairedCounts(both=3, only_baseline=0, only_candidate=0, neither=0)]
)
def test_too_few_images_decide_nothing(counts):
    """1.96² is more than three."""
    assert np.isnan(smallest_decidable_share(counts))


@pytest.mark.parametrize("power", [0.5, 0.8, 0.9])
def test_smallest_difference_of_any_number_follows_from_its_standard_error(power):
    """(z + z') times the error; none where no spread is known."""
    reach = norm.ppf(0.975) + norm.ppf(power)

    assert smallest_decidable(0.03, power=power) == pytest.approx(reach * 0.03)
    assert np.isnan([smallest_decidable(error) for error in (0.0, nan)]).all()


def find_power(n: int, difference: float) -> float:
    """How often McNemar's mid-p decides, of `n` images that differ in one direction alone."""
    discordant = np.arange(n + 1)
    mid_p = np.minimum(1, 2 * 0.5**discordant - 0.5**discordant)  # b of b, both tails, mid-p
    return binom.pmf(discordant, n, difference)[mid_p < 0.05].sum()


def test_versions_that_never_differed_need_a_difference_that_the_test_can_see():
    """One image of 1,000 decides nothing: the smallest difference has a power of about 80 %."""
    counts = PairedCounts(both=900, only_baseline=0, only_candidate=0, neither=100)

    smallest = smallest_decidable_share(counts)

    assert smallest == pytest.approx(
        (norm.ppf(0.975) + norm.ppf(0.8) * sqrt(1 - smallest)) ** 2 / 1000
    )
    assert 0.75 < find_power(1000, smallest) < 0.95


def test_the_range_holds_the_right_answer_and_its_end_keeps_the_promise():
    """Of 2,000 test sets of 300 images with 3 and 4 % right for one version alone.

    5,492 images tell their true difference of one point with 80 % power (Connor). An estimate of
    the difference seen would be off ten times; the range holds it in 95 of 100 test sets, and so
    many images as its upper end have the power in 97 of 100. McNemar's test shows the power.
    """
    shares = 0.85, 0.03, 0.04, 0.08
    rng = np.random.default_rng(1)
    ranges = [
        range_for_shares(PairedCounts(both=a, only_baseline=b, only_candidate=c, neither=d))
        for a, b, c, d in rng.multinomial(300, shares, size=2000).tolist()
    ]

    assert {r.distance for r in ranges} == {0.01}
    assert np.mean([r.low <= 5492 <= r.high for r in ranges]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([r.high >= 5492 for r in ranges]) >= 0.96
    drawn = rng.multinomial(5492, shares, size=4000)
    power = np.mean(mcnemar_mid_p(drawn[:, 1], drawn[:, 2]) < 0.05)
    assert power == pytest.approx(0.8, abs=0.02)


def test_so_many_images_tell_equal_versions_from_a_margin():
    """At the true discordance: Newcombe's interval lies above -0.02 in four of five test sets."""
    equal = PairedCounts(both=8500, only_baseline=350, only_candidate=350, neither=800)
    low, high = range_for_shares(
        PairedCounts(both=255, only_baseline=10, only_candidate=11, neither=24), margin=0.02
    ).ends
    n = 1373  # (1.96 sqrt(0.07 - 0.02²) + 0.8416 sqrt(0.07))² / 0.02²

    assert low < n < high
    passed = [
        PairedCounts(both=a, only_baseline=b, only_candidate=c, neither=d).interval(0.95)[0] > -0.02
        for a, b, c, d in draw(equal, n, 2000).tolist()
    ]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.04)


def test_what_the_present_images_could_tell_is_halved():
    """20,000 images with 7 % discordance would have told one point: half of that is asked for."""
    many = PairedCounts(both=17000, only_baseline=700, only_candidate=700, neither=1600)

    found = range_for_shares(many)

    assert found.distance == 0.005
    assert 20_000 < found.low < 21_956 < found.high  # 7.84 · 0.07 / 0.005²


@pytest.mark.parametrize(("n", "error"), [(0, 0.1), (100, 0.0), (100, nan), (100, 1e6)])
def test_no_range_without_a_spread_or_within_reach(n, error):
    """No images, no error, or more images than anybody has."""
    assert range_to_decide(n, error) is None
    assert range_for_shares(NOTHING) is None

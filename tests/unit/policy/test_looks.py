"""The chance of a false "better" among many candidates, against simulation."""

import numpy as np
import pytest
from builders.policies import make_candidate, make_comparison, make_difference, make_opponent

from mlrek.errors import PolicyError
from mlrek.metrics.paired_tests import PairedCounts
from mlrek.policy import Looks
from mlrek.policy.deciding import decide
from mlrek.policy.parsing import parse_policy
from mlrek.policy.reading import bound_chance, compute_chance, hold_to_look

N_IMAGES, N_VERSIONS, N_PROJECTS = 300, 20, 250
POLICY = """
[baseline]
version = "models:/m@champion"
[test_set]
adjust_for_looks = {adjust}
[[better]]
metric = "aggregate/accuracy"
"""


def test_the_chance_is_that_of_normal_scores_which_share_a_baseline():
    """20 versions, one baseline: 100,000 simulated projects."""
    generator = np.random.default_rng(7)
    baseline = generator.normal(size=(100_000, 1))
    best = (generator.normal(size=(100_000, 20)) - baseline).max(axis=1)
    share = (best / np.sqrt(2) > 1.959964).mean()

    assert compute_chance(20, 0.95) == pytest.approx(share, abs=0.005)
    assert compute_chance(1, 0.95) == pytest.approx(0.025, abs=1e-6)
    assert compute_chance(1, 0.9) == pytest.approx(0.05, abs=1e-6)


def test_what_all_candidates_may_spend_is_bounded():
    """α/2 of 1·2, 2·3, … never adds up to more than α/2."""
    spent = [(1 - hold_to_look(0.95, k)) / 2 for k in range(1, 1001)]

    assert sum(spent) < 0.025
    assert bound_chance(1000, 0.95) == pytest.approx(sum(spent))


def passes(policy, counts: list[int], k: int) -> bool:
    """Whether a candidate passes by its paired counts as the k-th."""
    both, only_baseline, only_candidate, neither = counts
    evidence = PairedCounts(
        both=both, only_baseline=only_baseline, only_candidate=only_candidate, neither=neither
    )
    difference = make_difference(
        name="aggregate/accuracy",
        baseline=(both + only_baseline) / N_IMAGES,
        candidate=(both + only_candidate) / N_IMAGES,
        evidence=evidence,
    )
    opponent = make_opponent(make_comparison(difference))
    decision = decide(policy, make_candidate(), opponent, Looks(count=k, k=k))
    return decision.exit_code() == 0


def test_twenty_retrainings_that_are_no_better():
    """Each image has a chance of its own to be right, the same for every version.

    Some version passes as "better" in about a fifth of projects; at most 2.5 % (here within three
    simulation errors) with adjust_for_looks.
    """
    generator = np.random.default_rng(11)
    plain, adjusted = (parse_policy(POLICY.format(adjust=word)) for word in ("false", "true"))
    found = np.zeros(2)
    for _ in range(N_PROJECTS):
        chance = generator.beta(4, 1, N_IMAGES)
        right = generator.random((N_VERSIONS + 1, N_IMAGES)) < chance
        baseline, candidates = right[0], right[1:]
        counts = np.stack(
            [
                (candidates & baseline).sum(1),
                (~candidates & baseline).sum(1),
                (candidates & ~baseline).sum(1),
                (~candidates & ~baseline).sum(1),
            ],
            axis=1,
        ).tolist()
        ahead = [(one, k) for k, one in enumerate(counts, start=1) if one[2] > one[1] + 10]
        found[0] += any(passes(plain, *pair) for pair in ahead)
        found[1] += any(passes(adjusted, *pair) for pair in ahead)
    without, with_adjusting = found / N_PROJECTS

    assert 0.12 < without < 0.30
    assert with_adjusting <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / N_PROJECTS)


def decide_with(looks, *, won: int, lost: int, adjust: str = "true"):
    """The decision on a candidate with so many images fixed and broken."""
    counts = PairedCounts(both=200, only_baseline=lost, only_candidate=won, neither=20)
    n = 220 + lost + won
    difference = make_difference(
        name="aggregate/accuracy",
        baseline=(200 + lost) / n,
        candidate=(200 + won) / n,
        evidence=counts,
    )
    policy = parse_policy(POLICY.format(adjust=adjust))
    return decide(policy, make_candidate(), make_opponent(make_comparison(difference)), looks)


def test_what_fails_fails_as_before():
    """40 broken and 5 fixed: a wider interval would make that undecided."""
    for looks in (Looks(count=1, k=1), Looks(count=500, k=500), Looks(count=None, unknown="x")):
        assert decide_with(looks, won=5, lost=40).exit_code() == 3


def test_an_unknown_place_is_not_forgiven():
    """Too little evidence may be forgiven (`--undecided pass`), but not that nobody counts."""
    unknown = Looks(count=3, unknown="the tag cannot be written")
    assert decide_with(unknown, won=40, lost=5).exit_code("pass") == 4
    assert decide_with(unknown, won=40, lost=5, adjust="false").exit_code() == 0
    assert decide_with(Looks(count=3, k=3), won=40, lost=5).exit_code() == 0


def test_the_key_is_true_or_false():
    """Anything else is an invalid policy, with the line."""
    with pytest.raises(PolicyError, match=r"policy:5: .*adjust_for_looks: must be true or false"):
        parse_policy(POLICY.format(adjust='"yes"'))

"""What holds for every policy, and how often the gate says yes wrongly."""

from math import sqrt

import numpy as np
import pytest
from builders.policies import (
    F1,
    Interval,
    make_candidate,
    make_comparison,
    make_difference,
    make_opponent,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrek.metrics.paired_tests import PairedCounts
from mlrek.policy import Figure

CONFIDENCES = [0.5, 0.8, 0.9, 0.95, 0.99]
NAMES = st.sampled_from([F1, "aggregate/ece"])
SHARES = st.floats(0, 1, allow_nan=False).map(lambda value: round(value, 3))
CHANGES = st.floats(-0.2, 0.2, allow_nan=False).map(lambda value: round(value, 3))


def relative(kind, name, change, error, *, margin=0.0, confidence=0.95):
    """How a relative check ends for a change with a standard error."""
    toml = f'[[{kind}]]\nmetric = "{name}"\nconfidence = {confidence}\n'
    toml += f"margin = {margin}\n" if kind == "no_worse" else ""
    difference = make_difference(
        name=name, baseline=0.5, candidate=0.5 + change, evidence=Interval(change, error)
    )
    return run(toml, opponent=make_opponent(make_comparison(difference))).checks[-1].status


@settings(deadline=None)  # the first case loads scipy
@given(NAMES, CHANGES, st.floats(0.001, 0.1), st.tuples(SHARES, SHARES))
def test_a_smaller_margin_never_turns_no_into_yes(name, change, error, margins):
    """What passes with the smaller margin passes with the larger."""
    if relative("no_worse", name, change, error, margin=min(margins)) == "passed":
        assert relative("no_worse", name, change, error, margin=max(margins)) == "passed"


@settings(deadline=None)  # the first case loads scipy
@given(
    NAMES,
    st.sampled_from(["no_worse", "better"]),
    CHANGES,
    st.floats(0.001, 0.1),
    st.tuples(st.sampled_from(CONFIDENCES), st.sampled_from(CONFIDENCES)),
)
def test_more_confidence_never_turns_no_into_yes(name, kind, change, error, confidences):
    """What passes at the higher confidence passes at the lower."""
    low, high = sorted(confidences)
    if relative(kind, name, change, error, confidence=high) == "passed":
        assert relative(kind, name, change, error, confidence=low) == "passed"


@settings(deadline=None)  # the first case loads scipy
@given(SHARES, st.floats(0.001, 0.2), st.tuples(SHARES, SHARES), st.booleans())
def test_a_higher_floor_never_turns_no_into_yes(value, half, limits, is_sure):
    """What reaches the higher minimum reaches the lower; so do maximums, mirrored."""
    candidate = make_candidate({F1: Figure(value=value, low=value - half, high=value + half)})
    sure = "confidence = 0.95\n" if is_sure else ""
    low, high = sorted(limits)
    for key, strict, loose in (("min", high, low), ("max", low, high)):
        floor = f'[[floor]]\nmetric = "{F1}"\n{sure}{key} = '
        if run(f"{floor}{strict}", candidate).exit_code() == 0:
            assert run(f"{floor}{loose}", candidate).exit_code() == 0


@settings(deadline=None)  # the first case loads scipy
@given(st.integers(1, 1000), st.tuples(st.integers(1, 2000), st.integers(1, 2000)))
def test_more_images_asked_for_never_turn_no_into_yes(total, wanted):
    """What has enough for the larger minimum has enough for the smaller."""
    low, high = sorted(wanted)
    candidate = make_candidate(total=total)
    floor = f'[[floor]]\nmetric = "{F1}"\nmin = 0.1\n'
    if run(f"{floor}[test_set]\nmin_images = {high}\n", candidate).exit_code() == 0:
        assert run(f"{floor}[test_set]\nmin_images = {low}\n", candidate).exit_code() == 0


@settings(deadline=None)  # the first case loads scipy
@given(NAMES, CHANGES, st.floats(0.001, 0.1))
def test_swapping_the_versions_mirrors_the_answer(name, change, error):
    """If A is better than B, then B is not better than A, and fails that question."""
    forward = relative("better", name, change, error)
    backward = relative("better", name, -change, error)

    if forward == "passed":
        assert backward == "failed"
    if forward == "undecided":
        assert backward == "undecided"


def wrong_yes_rate(kind: str, margin: float, worse_by: float, n_trials: int = 2000) -> float:
    """How often a version that is `worse_by` passes, on 500 images with 12 % discordance."""
    generator = np.random.default_rng(20240517)
    discordant = 0.12
    shares = [
        0.85 - worse_by / 2,
        (discordant + worse_by) / 2,
        (discordant - worse_by) / 2,
        1 - 0.85 + worse_by / 2 - discordant,
    ]
    n_yes = 0
    for both, only_baseline, only_candidate, neither in generator.multinomial(
        500, shares, n_trials
    ).tolist():
        counts = PairedCounts(
            both=both,
            only_baseline=only_baseline,
            only_candidate=only_candidate,
            neither=neither,
        )
        baseline, candidate = (both + only_baseline) / 500, (both + only_candidate) / 500
        difference = make_difference(
            name="aggregate/accuracy", baseline=baseline, candidate=candidate, evidence=counts
        )
        toml = f'[[{kind}]]\nmetric = "aggregate/accuracy"\n'
        toml += f"margin = {margin}\n" if kind == "no_worse" else ""
        decision = run(toml, opponent=make_opponent(make_comparison(difference)))
        n_yes += decision.exit_code() == 0
    return n_yes / n_trials


@pytest.mark.parametrize(
    ("kind", "margin", "worse_by"), [("better", 0, 0), ("no_worse", 0.02, 0.02)]
)
def test_the_gate_says_yes_wrongly_at_most_at_the_nominal_rate(kind, margin, worse_by):
    """At 95 %: equally good versions are seldom "better", one worse by the margin seldom passes.

    The nominal rate of one side is 2.5 %; five standard errors of 2,000 trials are allowed.
    """
    nominal, n_trials = 0.025, 2000
    rate = wrong_yes_rate(kind, margin, worse_by, n_trials)

    assert rate <= nominal + 5 * sqrt(nominal * (1 - nominal) / n_trials) < 0.05

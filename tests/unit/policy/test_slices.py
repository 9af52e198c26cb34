"""Checks in slices on literal numbers: Holm over slices, doubts, how often the gate is wrong."""

from dataclasses import replace
from functools import cache, partial
from math import sqrt

import numpy as np
import pytest
from builders.policies import (
    F1,
    Fixed,
    make_candidate,
    make_comparison,
    make_difference,
    make_opponent,
)
from scipy.stats import binomtest

from mlrek.evaluation import Doubt, DoubtKind, Task
from mlrek.metrics.intervals import compute_wilson
from mlrek.metrics.paired_tests import PairedCounts
from mlrek.policy import Figure, Opponent, Portion, Portions
from mlrek.policy.deciding import decide
from mlrek.policy.parsing import parse_policy

ACCURACY = "aggregate/accuracy"
FLOOR = f'[[floor]]\nmetric = "{ACCURACY}"\nslice = "site=*"\nconfidence = 0.95\nmin = '
NO_WORSE = f'[[no_worse]]\nmetric = "{F1}"\nslice = "site=*"\nmargin = 0.02\n'


@cache
def find_numbers(k: int, n: int, confidence: float):
    """The accuracy of a slice that has k of n images right, with Wilson's interval."""
    low, high = compute_wilson(np.array([k]), np.array([n]), confidence)
    figure = Figure(value=k / n, low=float(low[0]), high=float(high[0]))
    return make_candidate({ACCURACY: figure}, labels=()).numbers


def make_portion(name: str, k: int, n: int, doubts=(), **changed) -> Portion:
    """A slice with k of n images right."""
    numbers_at = partial(find_numbers, k, n)
    candidate = make_candidate(labels=(), total=n, doubts=doubts)
    candidate = replace(candidate, numbers=numbers_at(0.95), numbers_at=numbers_at)
    return Portion(name=name, n_images=n, candidate=candidate, **changed)


def answer(toml, portions, candidate=None, opponent=None, **changed):
    """The decision on slices."""
    found = Portions(portions=tuple(portions), **changed)
    return decide(
        parse_policy(toml, baseline="models:/m@champion"),
        candidate or make_candidate(total=1000),
        opponent or Opponent(absent="first promotion"),
        slices={"site=*": found},
    )


def statuses(decision):
    """How the checks of numbers ended."""
    return [c.status.value for c in decision.checks if c.kind != "test_set"]


def test_of_many_slices_one_fails_only_by_holms_step_down():
    """Alone 26 of 40 fails a limit of 0.8; among 20 slices it is undecided, and 20 of 40 fails."""
    alone = answer(FLOOR + "0.8", [make_portion("site=s", 26, 40)])
    others = [make_portion(f"site={i}", 32, 40) for i in range(19)]
    among = answer(FLOOR + "0.8", [make_portion("site=s", 26, 40), *others])
    clear = answer(FLOOR + "0.8", [make_portion("site=s", 20, 40), *others])

    chances = [binomtest(k, 40, 0.8, "less").pvalue for k in (26, 20)]

    assert chances[0] > 0.05 / 2 / 20 > chances[1]
    assert statuses(alone) == ["failed"]
    assert statuses(among)[0] == "undecided"
    assert "of 20 slices checked at once" in among.checks[0].reason
    assert statuses(clear)[0] == "failed"


def test_a_slice_that_passes_needs_no_correction():
    """Its own interval lies above the limit, however many others there are."""
    others = [make_portion(f"site={i}", 39, 40) for i in range(19)]
    decision = answer(FLOOR + "0.8", [make_portion("site=s", 38, 40), *others])

    assert statuses(decision) == ["passed"] * 20
    assert decision.exit_code() == 0


def test_without_a_confidence_the_value_of_each_slice_decides():
    """Nothing is tested, so nothing is corrected."""
    toml = FLOOR.replace("confidence = 0.95\n", "") + "0.8"
    portions = [make_portion("site=a", 31, 40), make_portion("site=b", 32, 40)]

    assert statuses(answer(toml, portions)) == ["failed", "passed"]


def test_differences_in_slices_fail_by_holm_too():
    """Of five slices one interval leaves the limit out at 95 %, and not at 99 %."""

    class Narrowing(Fixed):
        def interval(self, confidence):
            return (-0.06, -0.021) if confidence <= 0.95 else (-0.07, -0.01)

    def make(name, evidence):
        low, high = evidence.interval(0.95)
        difference = make_difference(low, high, evidence=evidence)
        return make_portion(
            name, 32, 40, opponent=make_opponent(make_comparison(difference, shared=40))
        )

    good = [make(f"site={i}", Fixed(-0.01, 0.03)) for i in range(4)]
    opponent = make_opponent(make_comparison(make_difference(0.0, 0.01)))
    found = answer(NO_WORSE, [make("site=s", Narrowing(0, 0)), *good], opponent=opponent)
    alone = answer(NO_WORSE, [make("site=s", Narrowing(0, 0))], opponent=opponent)

    assert statuses(found) == ["undecided", *["passed"] * 4]
    assert "of 5 slices compared at once" in found.checks[1].reason
    assert statuses(alone) == ["failed"]


def test_a_slice_in_which_nothing_can_be_judged_is_undecided():
    """The others are answered all the same."""
    gone = Portion(name="site=b", missing="this slice has 3 test images")
    decision = answer(FLOOR + "0.8", [make_portion("site=a", 39, 40), gone])

    assert sorted(statuses(decision)) == ["passed", "undecided"]
    assert (decision.exit_code(), decision.exit_code("pass")) == (4, 4)


def test_slices_that_nobody_cut_are_undecided():
    """A version without a record of its images has no slice."""
    policy = parse_policy(FLOOR + "0.8")
    decision = decide(policy, make_candidate(), Opponent(absent="first promotion"))

    assert statuses(decision) == ["undecided"]


@pytest.mark.parametrize(
    ("whole", "own", "status"),
    [
        ((), (), "passed"),
        ((DoubtKind.IMAGES_MISSING,), (), "undecided"),
        ((DoubtKind.GROUPED,), (), "undecided"),
        ((), (DoubtKind.GROUPED,), "undecided"),
        ((DoubtKind.INTERVAL_SHORT,), (), "passed"),
        ((), (DoubtKind.INTERVAL_SHORT,), "undecided"),
        ((), (DoubtKind.CONFIDENCE_CONSTANT,), "undecided"),
        ((), (DoubtKind.REPORTED_DIFFERS,), "passed"),
    ],
)
def test_a_slice_has_the_doubts_of_the_whole_and_those_that_its_images_show(whole, own, status):
    """Whether an interval holds for its size is asked of the slice alone."""

    def make(kinds):
        return [Doubt(kind=kind, text=f"some {kind}", side="candidate") for kind in kinds]

    portion = make_portion("site=a", 39, 40, doubts=make(own))
    decision = answer(FLOOR + "0.8", [portion], make_candidate(total=1000, doubts=make(whole)))

    assert statuses(decision) == [status]


@pytest.mark.parametrize(
    ("task", "n", "status"),
    [
        (Task.DETECTION, 99, "undecided"),
        (Task.DETECTION, 100, "passed"),
        (Task.SEGMENTATION, 99, "undecided"),
        (Task.MULTILABEL, 40, "passed"),
    ],
)
def test_intervals_over_few_images_with_boxes_or_masks_let_no_slice_pass(task, n, status):
    """In simulation they lie above the true number too often; the value itself may be asked."""
    portion = make_portion("site=a", n, n)
    numbers = replace(portion.candidate.numbers, task=task)
    candidate = replace(portion.candidate, numbers=numbers, numbers_at=lambda _: numbers)
    portion = replace(portion, candidate=candidate)
    value = FLOOR.replace("confidence = 0.95\n", "") + "0.8"

    assert statuses(answer(FLOOR + "0.8", [portion])) == [status]
    assert statuses(answer(value, [portion])) == ["passed"]


def test_weighted_precision_over_few_images_of_many_labels_lets_no_slice_pass():
    """Of 60 images with 50 labels its interval lay above the true number in 7 % of test sets."""
    name = "aggregate/precision_weighted"
    figures = {name: Figure(value=0.95, low=0.9, high=0.98)}
    toml = FLOOR.replace(ACCURACY, name) + "0.8"
    found = []
    for n_labels in (50, 20):
        labels = tuple(f"l{i}" for i in range(n_labels))
        candidate = make_candidate(figures, labels=labels, total=60)
        found += statuses(answer(toml, [Portion(name="site=a", n_images=60, candidate=candidate)]))

    assert found == ["undecided", "passed"]


def test_a_test_set_that_the_policy_does_not_accept_stops_slices_too():
    """Too few images in all: a comparison in a slice does not pass either."""
    opponent = make_opponent(make_comparison(make_difference(0.0, 0.01)))
    portion = make_portion("site=a", 39, 40, opponent=opponent)
    decision = answer(f"[test_set]\nmin_images = 5000\n{NO_WORSE}", [portion], opponent=opponent)

    assert statuses(decision) == ["undecided"]


def draw_failures(p: float, n: int, trials: int) -> tuple[float, float]:
    """With 20 slices at the limit: test sets in which one fails; slices that pass."""
    rng = np.random.default_rng(7)
    n_failed = n_passed = 0
    for drawn in rng.binomial(n, p, size=(trials, 20)).tolist():
        portions = [make_portion(f"site={i}", k, n) for i, k in enumerate(drawn)]
        found = statuses(answer(f"{FLOOR}{p}", portions))
        n_failed += "failed" in found
        n_passed += found.count("passed")
    return n_failed / trials, n_passed / trials / 20


@pytest.mark.parametrize(("p", "n"), [(0.8, 100), (0.9, 30), (0.98, 30)])
def test_of_20_slices_truly_at_the_limit_seldom_one_fails_and_seldom_one_passes(p, n):
    """At most 5 % of test sets fail and 3.5 % of slices pass, plus three simulation errors."""
    trials = 200
    failed, passed = draw_failures(p, n, trials)

    assert failed <= 0.05 + 3 * sqrt(0.05 * 0.95 / trials)
    assert passed <= 0.035 + 3 * sqrt(0.035 * 0.965 / trials / 20)


def test_of_20_slices_equally_good_in_both_versions_seldom_one_fails():
    """Pairs of 50 images, 12 % of them different: at most 5 % of test sets, 3.5 % pass."""
    rng, trials, n = np.random.default_rng(7), 200, 50
    opponent = make_opponent(make_comparison(make_difference(0.0, 0.01)))
    toml = NO_WORSE.replace("0.02", "0.05")
    shares = [0.79, 0.085, 0.035, 0.09]  # worse by the margin
    n_failed = n_passed = 0
    for drawn in rng.multinomial(n, shares, size=(trials, 20)).tolist():
        portions = []
        for i, (both, only_baseline, only_candidate, neither) in enumerate(drawn):
            counts = PairedCounts(
                both=both,
                only_baseline=only_baseline,
                only_candidate=only_candidate,
                neither=neither,
            )
            difference = make_difference(
                baseline=(both + only_baseline) / n,
                candidate=(both + only_candidate) / n,
                evidence=counts,
            )
            compared = make_opponent(make_comparison(difference, shared=n))
            portions.append(make_portion(f"site={i}", both, n, opponent=compared))
        found = statuses(answer(toml, portions, opponent=opponent))
        n_failed += "failed" in found
        n_passed += found.count("passed")

    assert n_failed / trials <= 0.05 + 3 * sqrt(0.05 * 0.95 / trials)
    assert n_passed / trials / 20 <= 0.035 + 3 * sqrt(0.035 * 0.965 / trials / 20)

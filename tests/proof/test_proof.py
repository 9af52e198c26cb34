"""A small, seeded part of the proof: 500 test sets a setting, on the code as it is.

`run_all.py` is the whole. Coverage and each side hold the goals of the contract up to three errors
of the simulation; what misses them has `interval_short` and is not counted here.
"""

import numpy as np
import pytest
from proof.coverage import BLOCK, COUNTS, WILSON, Tally, load_targets, run_block
from proof.paired import simulate

from mlrek.metrics.paired_tests import PairedCounts

SETS = 500


@pytest.mark.parametrize(
    ("name", "size"),
    [("2 labels, 97:3", 300), ("10 labels, 75 %", 100), ("masks", 100)],
)
def test_intervals_hold(name, size):
    """Of each number with an interval that is not doubted."""
    targets = load_targets(name)
    total = {}
    for block in range(SETS // BLOCK):
        for key, tally in run_block(name, size, block, targets).items():
            total[key] = total.get(key, Tally()).add(tally)
    missed = {
        key: tally.find_miss()
        for key, tally in total.items()
        if key not in COUNTS and (name == "masks" or key not in WILSON)
    }

    assert {key: miss for key, miss in missed.items() if miss} == {}
    assert sum(tally.n > SETS / 2 for tally in total.values()) > 3


@pytest.mark.parametrize(
    ("cells", "n"),
    [
        ((0.70, 0.05, 0.05, 0.20), 100),
        ((0.96, 0.01, 0.01, 0.02), 300),
        ((0.72, 0.08, 0.05, 0.15), 300),
    ],
)
def test_better_and_no_worse_pass_wrongly_in_one_of_forty(cells, n):
    """At the limit itself, in 4,000 draws.

    `cells` are right for both, for the baseline, for the candidate, for neither. `better` is held
    to 0 where both are equally right, `no_worse` to the very loss that there is.
    """
    _, lost, won, _ = cells
    limit = won - lost
    drawn = np.random.default_rng(1).multinomial(n, cells, size=4000)
    passed = [
        PairedCounts(both=a, only_baseline=b, only_candidate=c, neither=d).interval(0.95)[0] > limit
        for a, b, c, d in drawn.tolist()
    ]

    assert np.mean(passed) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / len(passed))


def test_differences_hold_and_pass_wrongly_seldom():
    """Of a macro number and others of two versions on the same images, 97:3."""
    sets = 100
    for name, tally in simulate("2 labels 97:3", 300, sets).items():
        if name in ("aggregate/accuracy", "aggregate/f1_macro", "aggregate/balanced_accuracy"):
            allowed = 0.035 + 3 * np.sqrt(0.035 * 0.965 / sets)
            assert tally.given > sets / 2, name
            assert max(tally.low_above, tally.high_below) <= allowed * tally.given, name

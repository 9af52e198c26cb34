"""A small, seeded part of the proof: 500 test sets a setting, on the code as it is.

`run_all.py` is the whole. Coverage and each side hold the goals of the contract up to three errors
of the simulation; what misses them bears `interval_short` and is not counted here.
"""

import pytest
from proof.coverage import BLOCK, COUNTS, WILSON, Tally, load_targets, run_block

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

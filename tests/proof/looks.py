"""How often 20 retrainings that are no better pass as "better": `python tests/proof/looks.py`.

Each image has a chance of its own to be right, the same for every version (beta 4:1, so that
versions are right on 80 % and disagree on about 30 %); Newcombe's interval, 300 images.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from mlrek.metrics.paired_tests import PairedCounts
from mlrek.policy.reading import compute_chance, hold_to_look

N_IMAGES, N_VERSIONS = 300, 20


@cache
def find_low(both: int, lost: int, won: int, confidence: float) -> float:
    """The lower end of the interval of the difference."""
    neither = N_IMAGES - both - lost - won
    counts = PairedCounts(both=both, only_baseline=lost, only_candidate=won, neither=neither)
    return counts.interval(confidence)[0]


def simulate(n_projects: int, seed: int = 1) -> tuple[float, float]:
    """The shares of projects in which some version passes: plain, and with adjust_for_looks."""
    generator = np.random.default_rng(seed)
    plain = adjusted = 0
    for _ in range(n_projects):
        chance = generator.beta(4, 1, N_IMAGES)
        right = generator.random((N_VERSIONS + 1, N_IMAGES)) < chance
        baseline, versions = right[0], right[1:]
        both, lost = (versions & baseline).sum(1), (~versions & baseline).sum(1)
        won = (versions & ~baseline).sum(1)
        counts = list(zip(both.tolist(), lost.tolist(), won.tolist(), strict=True))
        plain += any(find_low(*one, 0.95) > 0 for one in counts)
        adjusted += any(
            find_low(*one, hold_to_look(0.95, k)) > 0
            for k, one in enumerate(counts, start=1)
            if one[2] > one[1]
        )
    return plain / n_projects, adjusted / n_projects


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print(n, "projects:", simulate(n), "said:", compute_chance(N_VERSIONS, 0.95))

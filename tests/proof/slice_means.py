"""Does the test of mean scores of a slice hold, where no slice is weak, and does its interval?

Of each kind of score and size of slice: how often the slice is called worse, and better, as a
multiple of what is allowed on each side, at p of 0.05, 0.01 and 0.0005, by the test that is used
and by Welch's; and how often the 95 % interval of the difference lies above and below 0.

    python tests/proof/slice_means.py --sets 100000
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlrek.metrics.two_samples import Sums, compare_means, permutation_p

SIZES = (20, 50, 300)
LEVELS = (0.05, 0.01, 0.0005)
N_ALL = 3_000
AT_ONCE = 4_000
RESTS = 400
VALUES = np.array([1, 0, 0.5, 2 / 3, 0.8])
KINDS = {
    "F1, 80 % perfect": np.array([0.8, 0.05, 0.05, 0.05, 0.05]),
    "F1, 97 % perfect": np.array([0.97, 0.01, 0.01, 0.005, 0.005]),
    "F1, 30 % perfect": np.array([0.3, 0.2, 0.2, 0.15, 0.15]),
    "IoU, mean 0.80": (8.0, 2.0),
    "IoU, mean 0.14": (1.0, 6.0),
}

Scores = NDArray[np.float64]


def main() -> None:
    """A row for each kind and size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=100_000)
    options = parser.parse_args()
    print("| scores | images | used: worse | better | Welch: worse | better | above | below |")
    print("|---|---|---|---|---|---|---|---|")
    for name in KINDS:
        for size in SIZES:
            print_row(name, size, options.sets)


def print_row(name: str, size: int, n_sets: int) -> None:
    """Draw slices and the rest, and count."""
    rng, calls, ends = np.random.default_rng(0), np.zeros((2, 2, len(LEVELS))), np.zeros(2)
    for _ in range(n_sets // AT_ONCE):
        mine = draw(name, (AT_ONCE, size), rng)
        others = draw(name, (RESTS, N_ALL - size), rng)
        first, second = add_up(mine), add_up(others).take(rng.integers(RESTS, size=AT_ONCE))
        difference = first.mean - second.mean
        with np.errstate(all="ignore"):
            welch = stats.ttest_ind_from_stats(
                first.mean,
                np.sqrt(first.variance),
                first.n,
                second.mean,
                np.sqrt(second.variance),
                second.n,
                equal_var=False,
            ).pvalue
        for i, p in enumerate((permutation_p(first, second), welch)):
            for j, level in enumerate(LEVELS):
                calls[i, 0, j] += np.count_nonzero((p <= level) & (difference < 0))
                calls[i, 1, j] += np.count_nonzero((p <= level) & (difference > 0))
        low, high = compare_means(first, second, 0.95)
        ends += np.count_nonzero(low > 0), np.count_nonzero(high < 0)
    n = n_sets // AT_ONCE * AT_ONCE
    times = calls / n / (np.array(LEVELS) / 2)
    said = [" / ".join(f"{x:.1f}" for x in row) for rows in times for row in rows]
    print(
        f"| {name} | {size} | {' | '.join(said)} | {ends[0] / n:.1%} | {ends[1] / n:.1%} |",
        flush=True,
    )


def draw(name: str, shape: tuple[int, int], rng: np.random.Generator) -> Scores:
    """Scores of images."""
    how = KINDS[name]
    return (
        rng.beta(*how, size=shape) if isinstance(how, tuple) else rng.choice(VALUES, shape, p=how)
    )


def add_up(scores: Scores) -> Sums:
    """What is known of each row."""
    n = np.full(len(scores), scores.shape[1])
    total, squares, cubes = ((scores**power).sum(axis=1) for power in (1, 2, 3))
    return Sums(n=n, total=total, squares=squares, cubes=cubes)


if __name__ == "__main__":
    main()

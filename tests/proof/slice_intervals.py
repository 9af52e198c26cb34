"""Do the intervals of small slices hold the population's numbers, and those of differences?

python tests/proof/slice_intervals.py --slices 20000
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from mlrek.metrics.slice_counts import CellCounter, compute_cell_numbers
from mlrek.metrics.two_samples import compare_newcombe

Codes = NDArray[np.int64]

SIZES = (20, 50, 300)
N_POPULATION = 4_000_000
N_REST = 3_000
SETTINGS = {
    "10 labels, 90 %": (np.full(10, 0.1), 0.9),
    "10 labels, 75 %": (np.full(10, 0.1), 0.75),
    "3 labels, 98 %": (np.full(3, 1 / 3), 0.98),
    "2 labels 97:3, 95 %": (np.array([0.97, 0.03]), 0.95),
}


def main() -> None:
    """A row for each setting, size and number."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=20_000)
    options = parser.parse_args()
    print("| setting | images | number | without | coverage | above | below |")
    print("|---|---|---|---|---|---|---|")
    for name, (shares, accuracy) in SETTINGS.items():
        rng = np.random.default_rng(0)
        target = compute(*draw(shares, accuracy, N_POPULATION, rng), 1, len(shares))[0]
        for size in SIZES:
            y_true, y_pred = draw(shares, accuracy, size * options.slices, rng)
            found = compute(y_true, y_pred, options.slices, len(shares))
            for number, wanted in target.items():
                ends = np.array([(one[number].low, one[number].high) for one in found])
                undefined = np.isnan([one[number].value for one in found])
                print_row((name, size, number), ends[~undefined].T, wanted.value)
            right = (y_true == y_pred).reshape(options.slices, size).sum(axis=1)
            rest = rng.binomial(N_REST, accuracy_of(shares, accuracy), options.slices)
            sizes, rests = np.full(len(right), size), np.full(len(right), N_REST)
            low, high = compare_newcombe((right, sizes), (rest, rests), 0.95)
            print_row((name, size, "difference to the rest"), np.array([low, high]), 0.0)


def draw(
    shares: NDArray[np.float64], accuracy: float, n: int, rng: np.random.Generator
) -> tuple[Codes, Codes]:
    """True and predicted labels; mistakes are spread over all labels."""
    y_true = rng.choice(len(shares), p=shares, size=n)
    wrong = rng.integers(len(shares), size=n)
    return y_true, np.where(rng.random(n) < accuracy, y_true, wrong)


def accuracy_of(shares: NDArray[np.float64], accuracy: float) -> float:
    """A mistake that is drawn may be the true label."""
    return accuracy + (1 - accuracy) / len(shares)


def compute(y_true: Codes, y_pred: Codes, n_slices: int, n_labels: int):
    """The headline numbers of slices of one size."""
    codes = np.repeat(np.arange(n_slices), len(y_true) // n_slices)
    cells = CellCounter(y_true, y_pred, n_labels).count(codes, n_slices)
    return compute_cell_numbers(cells, 0.95)


def print_row(names: tuple[str, int, str], ends: NDArray[np.float64], target: float) -> None:
    """How often intervals are there, and hold the target."""
    low, high = ends
    without = np.isnan(low)
    low, high = low[~without], high[~without]
    above, below = np.mean(low > target), np.mean(high < target)
    held = f"{1 - above - below:.1%} | {above:.1%} | {below:.1%}" if len(low) else " | | "
    print(f"| {' | '.join(map(str, names))} | {without.mean():.1%} | {held} |", flush=True)


if __name__ == "__main__":
    main()

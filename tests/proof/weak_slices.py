"""Is a weak slice found, and is none named where there is none?

Draws test sets and asks `compute_slices` of each. Every line of the table is one setting: how many
test sets name a weak single slice, how many name the hidden one, and name it first, and how many
name a weak pair.

    python tests/proof/weak_slices.py --sets 1000
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    SliceColumn,
    Task,
    Version,
)
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slices import SliceJudgement, SliceReport

N_IMAGES = 3_000
N_COLUMNS = 10
N_VALUES = 10
N_LABELS = 10
ACCURACY = 0.90
WEAK_ACCURACY = 0.80
OTHERS_ACCURACY = 0.915
WEAK = "column 0=value 0"
WEAK_PAIR = "column 0=value 0 & column 1=value 0"

Codes = NDArray[np.int64]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Codes of each column, (n_columns, n_images), and how likely each image is right."""

    codes: Codes
    accuracy: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of how many test sets a weak slice, the hidden one, and it first; and a weak pair."""

    sets: int
    any_weak: int
    hidden: int
    hidden_first: int
    weak_pair: int
    hidden_pair: int


def main() -> None:
    """A row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=1_000)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS))
    options = parser.parse_args()
    print("| setting | sets | some slice | the hidden one | it first | some pair | hidden pair |")
    print("|---|---|---|---|---|---|---|")
    for name in options.only:
        found = simulate(SETTINGS[name], options.sets)
        shares = [
            say(n, found.sets)
            for n in (
                found.any_weak,
                found.hidden,
                found.hidden_first,
                found.weak_pair,
                found.hidden_pair,
            )
        ]
        print(f"| {name} | {found.sets:,} | {' | '.join(shares)} |", flush=True)


def say(n: int, sets: int) -> str:
    """A share with its simulation error."""
    share = n / sets
    return f"{share:.1%} ± {sqrt(share * (1 - share) / sets):.1%}"


def simulate(draw: Callable[[Rng], Drawn], n_sets: int, seed: int = 0) -> Found:
    """Draw test sets, and count what is named."""
    reports = [ask(draw, np.random.default_rng((seed, i))) for i in range(n_sets)]
    return Found(
        sets=n_sets,
        any_weak=sum(bool(report.weak) for report in reports),
        hidden=sum(any(WEAK in row.names for row in report.weak) for report in reports),
        hidden_first=sum(any(WEAK in row.names for row in report.weak[:1]) for report in reports),
        weak_pair=sum(bool(list_weak_pairs(report)) for report in reports),
        hidden_pair=sum(WEAK_PAIR in list_weak_pairs(report) for report in reports),
    )


def list_weak_pairs(report: SliceReport) -> list[str]:
    """Names of pairs that are worse."""
    return [row.name for row in report.pairs if row.judgement is SliceJudgement.WORSE]


def ask(draw: Callable[[Rng], Drawn], rng: Rng) -> SliceReport:
    """The slices of one test set."""
    return compute_slices(build(draw(rng), rng))


def build(drawn: Drawn, rng: Rng) -> Evaluation:
    """Labels and mistakes drawn at random, and the columns."""
    n_images = len(drawn.accuracy)
    y_true = rng.integers(N_LABELS, size=n_images)
    off = rng.integers(1, N_LABELS, size=n_images)
    is_right = rng.random(n_images) < drawn.accuracy
    offsets = np.arange(n_images + 1)
    project = Project(provider=Provider.CUSTOM, arn="project", name="project")
    return Evaluation(
        version=Version(project=project, arn="version", name="version"),
        task=Task.CLASSIFICATION,
        labels=tuple(f"label {i}" for i in range(N_LABELS)),
        images=tuple(f"{i:05}.jpg" for i in range(n_images)),
        truth=LabelSets(offsets=offsets, label_idx=y_true),
        records=Records(
            offsets=offsets,
            label_idx=np.where(is_right, y_true, (y_true + off) % N_LABELS),
            confidence=np.full(n_images, 0.9),
            outcome=np.zeros(n_images, dtype=np.uint8),
        ),
        thresholds=np.full(N_LABELS, np.nan),
        slice_columns=tuple(
            SliceColumn(
                name=f"column {i}",
                values=tuple(f"value {j}" for j in range(int(codes.max()) + 1)),
                codes=codes,
            )
            for i, codes in enumerate(drawn.codes)
        ),
    )


def draw_even(rng: Rng) -> Codes:
    """Each value has a tenth of the images."""
    return rng.integers(N_VALUES, size=(N_COLUMNS, N_IMAGES))


def draw_correlated(rng: Rng) -> Codes:
    """Each column repeats the first one on four of five images."""
    codes = draw_even(rng)
    return np.where(rng.random(codes.shape) < 0.8, codes[0], codes)


def draw_rare(rng: Rng) -> Codes:
    """Values from a half of the images to less than 20 of them."""
    shares = 0.5 ** np.arange(1, N_VALUES + 1)
    return rng.choice(N_VALUES, p=shares / shares.sum(), size=(N_COLUMNS, N_IMAGES))


def no_weak(draw: Callable[[Rng], Codes], accuracy: float = ACCURACY) -> Callable[[Rng], Drawn]:
    """All images are as likely right."""
    return lambda rng: Drawn(codes=draw(rng), accuracy=np.full(N_IMAGES, accuracy))


def one_weak(
    draw: Callable[[Rng], Codes], others: float = OTHERS_ACCURACY
) -> Callable[[Rng], Drawn]:
    """The first value of the first column is worse than all others."""

    def drawn(rng: Rng) -> Drawn:
        codes = draw(rng)
        return Drawn(codes=codes, accuracy=np.where(codes[0] == 0, WEAK_ACCURACY, others))

    return drawn


def weak_pair(draw: Callable[[Rng], Codes]) -> Callable[[Rng], Drawn]:
    """Only where both columns have their first value, every other image is wrong."""

    def drawn(rng: Rng) -> Drawn:
        codes = draw(rng)
        is_weak = (codes[0] == 0) & (codes[1] == 0)
        return Drawn(codes=codes, accuracy=np.where(is_weak, 0.4, OTHERS_ACCURACY))

    return drawn


SETTINGS: Mapping[str, Callable[[Rng], Drawn]] = MappingProxyType(
    {
        "none weak": no_weak(draw_even),
        "none weak, 98 % right": no_weak(draw_even, 0.98),
        "none weak, correlated columns": no_weak(draw_correlated),
        "none weak, rare values": no_weak(draw_rare),
        "one weak (0.80; others 0.915)": one_weak(draw_even),
        "one weak (0.80; others 0.90)": one_weak(draw_even, ACCURACY),
        "one weak, correlated columns": one_weak(draw_correlated),
        "a weak pair (0.40; others 0.915)": weak_pair(draw_even),
    }
)


if __name__ == "__main__":
    main()

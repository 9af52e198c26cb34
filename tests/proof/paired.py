"""Simulate paired test sets and print how often the interval of a difference misses its truth.

    python tests/proof/paired.py --sets 10000

Both versions answer the same images: their scores share some noise, and the candidate's true label
stands out more. Of boxes some images are hard for both versions. The target is the population's
difference (of `n_target` images). "low above" are test sets whose whole interval lies above it: as
often does a check against a margin at this very difference pass wrongly. "high below" are those
whose interval lies below it. "at end" are those whose own difference lies not inside its interval.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from builders.evaluations import build_evaluation
from proof.populations import detect, draw_scene

from mlrek.comparison import Scope
from mlrek.comparison.compare import CompareSettings, Side, compare_versions

NAMES = (
    "aggregate/accuracy",
    "aggregate/balanced_accuracy",
    "aggregate/precision_macro",
    "aggregate/precision_weighted",
    "aggregate/f1_macro",
    "aggregate/mcc",
    "aggregate/cohen_kappa",
    "aggregate/log_loss",
    "aggregate/roc_auc_macro",
    "aggregate/average_precision_macro",
    "label_recall",
    "label_precision",
    "label_f1",
    "label_ap",
    "label_roc_auc",
    "aggregate/ap",
    "aggregate/ap_50",
    "aggregate/ap_75",
    "aggregate/ap_small",
    "aggregate/ap_medium",
    "aggregate/ap_large",
    "aggregate/ar_100",
    "at_threshold/precision_macro",
    "at_threshold/recall_macro",
    "at_threshold/f1_macro",
)


@dataclass(frozen=True, kw_only=True)
class Population:
    """Labels by their share; how far the true label stands out for each version."""

    priors: tuple[float, ...]
    signals: tuple[float, float]
    sizes: tuple[int, ...] = (100, 300)
    n_target: int = 60_000

    @property
    def rarest(self):
        """The last label, which none is rarer than."""
        return str(len(self.priors) - 1)

    def draw(self, rng, n):
        """Two versions on n images."""
        priors = np.array(self.priors)
        y_true = rng.choice(len(priors), n, p=priors)
        one_hot = np.eye(len(priors))[y_true]
        common = rng.normal(size=one_hot.shape)
        return [
            _build(y_true, signal * one_hot + common + 0.7 * rng.normal(size=common.shape), priors)
            for signal in self.signals
        ]


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Objects of five labels; how strong each version is in finding them."""

    strengths: tuple[float, float]
    sizes: tuple[int, ...] = (100, 300)
    n_target: int = 20_000
    rarest: str = "e"

    def draw(self, rng, n):
        """Two versions on n images."""
        scene = draw_scene(rng, n)
        return [detect(rng, scene, strength) for strength in self.strengths]


POPULATIONS = {
    "10 labels at 75 %": Population(priors=(0.1,) * 10, signals=(3.6, 3.6)),
    "10 labels, better": Population(priors=(0.1,) * 10, signals=(3.2, 3.8)),
    "10 labels at 98 %": Population(priors=(0.1,) * 10, signals=(6.2, 6.6)),
    "20 labels, ten rare": Population(priors=(0.087,) * 10 + (0.013,) * 10, signals=(3.6, 4.0)),
    "2 labels 97:3": Population(priors=(0.97, 0.03), signals=(2.5, 3.5)),
    "50 labels": Population(priors=(0.02,) * 50, signals=(3.6, 3.9), sizes=(300,)),
    "boxes, better": Boxes(strengths=(1.0, 1.6)),
    "boxes, worse": Boxes(strengths=(3.0, 1.0)),
    "boxes, equal": Boxes(strengths=(1.6, 1.6)),
}


@dataclass
class Tally:
    """Test sets with an interval of a number, without one, and those that miss the target."""

    given: int = 0
    without: int = 0
    low_above: int = 0
    high_below: int = 0
    at_end: int = 0
    width: list[float] = field(default_factory=list)

    def add(self, difference, target):
        """One more test set."""
        if difference is None or np.isnan(difference.low):
            self.without += 1
            return
        self.given += 1
        self.low_above += difference.low > target
        self.high_below += difference.high < target
        self.at_end += not difference.low < difference.difference < difference.high
        self.width.append(difference.high - difference.low)


def main():
    """Print a table of all settings that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--setting", action="append", choices=list(POPULATIONS))
    options = parser.parse_args()
    columns = ("coverage", "low above", "high below", "at end", "width", "without")
    print(f"| setting | images | number | {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.setting or POPULATIONS:
        for size in POPULATIONS[name].sizes:
            for number, tally in simulate(name, size, options.sets).items():
                print(_describe(name, size, number, tally), flush=True)


def simulate(name, size, sets, seed=0):
    """How often the interval of each number misses; per label that of the last, rarest one."""
    population = POPULATIONS[name]
    rng = np.random.default_rng([seed, size])
    label = population.rarest
    drawn = population.draw(np.random.default_rng(99), population.n_target)
    target = _find(drawn, label, intervals=False)
    tallies = defaultdict(Tally)
    for _ in range(sets):
        found = _find(population.draw(rng, size), label)
        for number in NAMES:
            if number in target:
                tallies[number].add(found.get(number), target[number].difference)
    return tallies


def _find(sides, label, *, intervals=True):
    comparison = compare_versions(
        *(Side(evaluation=side) for side in sides), CompareSettings(intervals=intervals)
    )
    return {
        d.name: d
        for d in comparison.differences
        if d.scope is Scope.SHARED and d.name in NAMES and d.label in ("", label)
    }


def _build(y_true, logits, priors):
    scores = np.exp(logits + np.log(priors))
    scores /= scores.sum(axis=1, keepdims=True)
    labels = [str(i) for i in range(len(priors))]
    return build_evaluation(
        [[code] for code in y_true.tolist()],
        [list(enumerate(row)) for row in scores.tolist()],
        labels=labels,
    )


def _describe(name, size, number, tally):
    n = max(tally.given, 1)
    missed = tally.low_above + tally.high_below
    return (
        f"| {name} | {size} | {number} | {1 - missed / n:.1%} | {tally.low_above / n:.1%} | "
        f"{tally.high_below / n:.1%} | {tally.at_end} | {np.mean(tally.width or [np.nan]):.3f} | "
        f"{tally.without} |"
    )


if __name__ == "__main__":
    main()

"""Do the parts of a change, and their intervals, hold? Pairs of versions of known populations.

`python tests/proof/why.py --pairs 1000` draws pairs of test sets in which several causes move the
number at once, and prints how often the interval of each part holds the part that it has in the
population. Targets are the parts of a test set `TARGET` times as large.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Outcome,
    Project,
    Provider,
    Records,
    Task,
    Version,
)
from mlrek.metrics import PredictionRule

TARGET = 200_000 // 300
PROJECT = Project(provider=Provider.REKOGNITION, arn="arn:project", name="project")
NUMBERS = ("aggregate/f1_macro", "at_threshold/f1_macro")
PARTS = ("label_set", "test_set", "relabelled", "model", "threshold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """What the candidate has otherwise: all by itself, or at once.

    `relabelled` of the images had another truth when the baseline was tested, and the baseline
    learned that. `signals` are how sure both models are of a true label, `thresholds` where each
    label is predicted. `alone` images a shared one stand in one test set alone, where they are
    harder. `new` is a label that the baseline does not know: its images were of the last one.
    """

    n_labels: int = 5
    signals: tuple[float, float] = (2.0, 2.0)
    relabelled: float = 0.0
    learned: float = 1.0
    thresholds: tuple[float, float] = (0.5, 0.5)
    alone: float = 0.0
    new: float = 0.0

    def draw(self, rng, n):
        """Both versions, tested on n shared images and `alone` times n of each version's own."""
        own = round(self.alone * n)
        total = n + 2 * own
        truth = rng.integers(self.n_labels, size=total)
        old = np.where(
            rng.random(total) < self.relabelled, rng.integers(self.n_labels, size=total), truth
        )
        new = (truth == self.n_labels - 1) & (rng.random(total) < self.new)
        labels = self.n_labels + (self.new > 0)
        truth = np.where(new, self.n_labels, truth)
        hard = np.concatenate([np.zeros(n), np.full(own, 0.8), np.full(own, -0.5)])
        learned = np.where(rng.random(total) < self.learned, old, truth % self.n_labels)
        noise = rng.normal(size=(total, labels))
        kept = np.arange(n + own), np.concatenate([np.arange(n), np.arange(n + own, total)])
        sides = []
        for i, target in enumerate((learned, truth)):
            logits = noise + 0.7 * rng.normal(size=noise.shape)
            logits[np.arange(total), target] += self.signals[i] - hard
            known = self.n_labels if i == 0 else labels
            scores = np.exp(logits[:, :known])
            scores /= scores.sum(axis=1, keepdims=True)
            said = old if i == 0 else truth
            sides.append(_build(kept[i], said[kept[i]], scores[kept[i]], self.thresholds[i]))
        return sides


MIXTURES: Mapping[str, Mixture] = MappingProxyType(
    {
        "model": Mixture(signals=(1.6, 2.0)),
        "truth and model": Mixture(signals=(2.5, 2.7), relabelled=0.12),
        "rare changes": Mixture(signals=(3.5, 3.6), relabelled=0.01, n_labels=10),
        "model and thresholds": Mixture(signals=(1.7, 2.0), thresholds=(0.4, 0.6)),
        "truth and thresholds": Mixture(relabelled=0.06, thresholds=(0.6, 0.4)),
        "other images and model": Mixture(signals=(1.7, 2.0), alone=0.5),
        "label set and model": Mixture(signals=(2.0, 2.3), new=0.5),
        "all at once": Mixture(
            signals=(1.8, 2.1), relabelled=0.05, thresholds=(0.45, 0.55), alone=0.3, new=0.5
        ),
    }
)


def simulate(mixture, n, pairs, *, seed=0, times=TARGET):
    """How often each interval holds its target: name and part to (held, too high, too low)."""
    rng = np.random.default_rng([seed, n])
    target = _explain(mixture.draw(np.random.default_rng(99), n * times), intervals=False)
    tallies = defaultdict(lambda: np.zeros(3, dtype=np.int64))
    for _ in range(pairs):
        for name, why in _explain(mixture.draw(rng, n)).items():
            for part in PARTS:
                low, high = why.intervals[part]
                true = getattr(target[name], part)
                if low < high:
                    tallies[name, part] += (low <= true <= high, low > true, high < true)
    return tallies, target


def _explain(sides, *, intervals=True):
    """The parts of both numbers, by the number's name."""
    sides = (Side(evaluation=side, rule=PredictionRule.TOP1) for side in sides)
    why = compare_versions(*sides, CompareSettings(intervals=intervals)).why
    return {name: why[name] for name in NUMBERS}


def _build(images, truth, scores, threshold):
    n, n_labels = scores.shape
    return Evaluation(
        version=Version(project=PROJECT, arn="arn:version", name="v1"),
        task=Task.CLASSIFICATION,
        labels=tuple(f"label {i}" for i in range(n_labels)),
        images=tuple(map(str, images)),
        truth=LabelSets(offsets=np.arange(n + 1), label_idx=truth),
        records=Records(
            offsets=np.arange(n + 1) * n_labels,
            label_idx=np.tile(np.arange(n_labels), n),
            confidence=scores.ravel(),
            outcome=np.full(scores.size, Outcome.UNKNOWN, dtype=np.uint8),
        ),
        thresholds=np.full(n_labels, threshold),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--only", nargs="+", default=list(MIXTURES))
    options = parser.parse_args()
    for name in options.only:
        for n in options.sizes:
            tallies, target = simulate(MIXTURES[name], n, options.pairs)
            for (number, part), (held, above, below) in sorted(tallies.items()):
                total = held + above + below
                print(
                    f"| {name} | {n} | {number} | {part} | {getattr(target[number], part):+.4f} | "
                    f"{held / total:.1%} | {above / total:.1%} | {below / total:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

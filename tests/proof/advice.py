"""Is what is said of a threshold true? Test sets of one label whose precision is known everywhere.

`python tests/proof/advice.py` draws 1,000 test sets a setting and prints how often what is said,
"precision >= 0.95 from t", is true of the population or not said at all, how often it is true where
it is said, and how often it is not said. Scores of what is true and of what is false are normal, so
that the precision at every threshold follows from two normal distributions.
"""

import argparse
from types import SimpleNamespace

import numpy as np
from scipy.stats import norm

from mlrek.metrics.thresholds import Trials, advise

SIZES = (300, 1000, 5000)
PREVALENCES = (0.1, 0.3)
SIGNALS = (1.5, 2.5, 3.5)
STEPS = np.arange(101) / 100


def simulate(n, prevalence, signal, sets=1000, goal=0.95, seed=0):
    """How often advice is true, false and not given."""
    rng = np.random.default_rng([seed, n, round(100 * prevalence), round(10 * signal)])
    cut = _to_score(STEPS)
    tp, fp = prevalence * norm.sf(cut - signal), (1 - prevalence) * norm.sf(cut)
    precision = np.divide(tp, tp + fp, out=np.ones_like(tp), where=tp + fp > 0)
    told = SimpleNamespace(true=0, false=0, none=0)
    for _ in range(sets):
        is_true = rng.random(n) < prevalence
        scores = rng.normal(size=n) + signal * is_true
        reaches = scores[:, np.newaxis] >= cut
        trials = Trials(
            n=reaches.sum(axis=0), wrong=(reaches & ~is_true[:, np.newaxis]).sum(axis=0)
        )
        step = advise(trials, goal).step
        if step is None:
            told.none += 1
        elif precision[step] >= goal:
            told.true += 1
        else:
            told.false += 1
    return told


def _to_score(confidence):
    """A confidence as a score: 0.5 lies between what is false, at 0, and what is true."""
    with np.errstate(divide="ignore"):
        return 1.5 + np.log(confidence / (1 - confidence)) / 1.5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=1000)
    options = parser.parse_args()
    for n in SIZES:
        for prevalence in PREVALENCES:
            for signal in SIGNALS:
                told = simulate(n, prevalence, signal, options.sets)
                said = told.true + told.false
                print(
                    f"| {n} | {prevalence} | {signal} | {1 - told.false / options.sets:.1%} | "
                    f"{told.true / said if said else float('nan'):.1%} | "
                    f"{told.none / options.sets:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

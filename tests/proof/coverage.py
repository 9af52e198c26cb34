"""How often intervals hold the population's number, and on which side they miss it."""

import json
import zlib
from dataclasses import dataclass
from math import isnan, sqrt
from pathlib import Path

import numpy as np
from proof.populations import SETTINGS

from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics, compute_numbers
from mlrek.metrics.numbers import list_numbers

BLOCK = 50  # test sets drawn from one seed
PATH = Path(__file__).with_name("targets.json")
COUNTS = ("label_support", "label_tp", "label_fp", "label_fn", "label_threshold")
GROUPS = ("aggregate/", "at_threshold/", "label_")
MIN_COVERAGE, MAX_COVERAGE, MAX_SIDE = 0.93, 0.99, 0.035
WILSON = frozenset(
    (
        "aggregate/accuracy",
        "aggregate/hamming_loss",
        "aggregate/precision_micro",
        "aggregate/recall_micro",
        "aggregate/recall_weighted",
        "aggregate/f1_micro",
        "aggregate/jaccard_micro",
        "aggregate/subset_accuracy",
        "at_threshold/recall_micro",
        "at_threshold/recall_weighted",
        "label_precision",
        "label_recall",
        "label_f1",
    )
)  # plain shares: their figures are exact and printed, not held to the goal of each side


@dataclass(slots=True)
class Tally:
    """What became of the intervals of one number: counts of test sets (or of labels in them)."""

    given: int = 0  # the value is defined
    none: int = 0  # but has no interval
    doubted: int = 0  # or one with the doubt interval_short
    above: int = 0  # the interval lies above the population's number: a floor passes wrongly
    below: int = 0
    width: float = 0.0

    @property
    def n(self):
        """Intervals that claim to hold."""
        return self.given - self.none - self.doubted

    @property
    def coverage(self):
        """The share of them that hold the number."""
        return 1 - (self.above + self.below) / self.n

    def add(self, other):
        """The sum of both."""
        return Tally(*(getattr(self, f) + getattr(other, f) for f in self.__slots__))

    def find_miss(self):
        """Which goal is missed by more than three simulation errors, '' where none is."""
        if not self.n:
            return ""
        goals = (
            ("coverage below 93 %", MIN_COVERAGE - self.coverage, MIN_COVERAGE),
            ("wide: above 99 %", self.coverage - MAX_COVERAGE, MAX_COVERAGE),
            ("above too often", self.above / self.n - MAX_SIDE, MAX_SIDE),
            ("below too often", self.below / self.n - MAX_SIDE, MAX_SIDE),
        )
        return ", ".join(
            what for what, excess, p in goals if excess > 3 * sqrt(p * (1 - p) / self.n)
        )


def load_targets(name):
    """The population's numbers, by name and label, as `run_all.py --targets` has written them."""
    return {(number, label): value for number, label, value in json.loads(PATH.read_text())[name]}


def write_targets():
    """Compute those of all settings anew."""
    found = {
        name: [
            [*key, float(f"{value:.9g}")]
            for key, value in compute_targets(name).items()
            if not isnan(value) and key[0] not in COUNTS
        ]
        for name in SETTINGS
    }
    rows = {name: ",\n".join("  " + json.dumps(row) for row in own) for name, own in found.items()}
    text = ",\n".join(f" {json.dumps(name)}: [\n{own}\n ]" for name, own in rows.items())
    PATH.write_text(f"{{\n{text}\n}}\n")


def compute_targets(name):
    """The population's numbers, by name and label: the means of very large test sets."""
    setting, drawn = SETTINGS[name], []
    for seed in range(setting.n_targets):
        rng = np.random.default_rng([7 + seed, zlib.crc32(name.encode())])
        evaluation = setting.draw(rng, setting.n_target)
        rows = list_numbers(evaluation, compute_numbers(evaluation, PredictionRule.TOP1))
        drawn.append({(r.name, r.label): r.number.value for r in rows if r.name.startswith(GROUPS)})
    targets = {key: float(np.mean([one[key] for one in drawn])) for key in drawn[0]}
    if name != "over-confident":
        targets["aggregate/ece_debiased", ""] = targets.get(("aggregate/ece", ""), np.nan)
    return targets


def run_block(name, n_images, block, targets):
    """The tallies of the test sets of one seed, by the number's name (labels together)."""
    rng = np.random.default_rng([block, n_images, zlib.crc32(name.encode())])
    tallies = {}
    for _ in range(BLOCK):
        evaluation = SETTINGS[name].draw(rng, n_images)
        metrics = compute_metrics(evaluation)
        short = [d for d in metrics.doubts if d.kind == "interval_short"]
        for row in list_numbers(evaluation, metrics):
            target = targets.get((row.name, row.label), np.nan)
            if isnan(target) or isnan(row.number.value):
                continue
            short_name = row.name.rpartition("/")[2]
            doubted = any(d.touches_number(f"interval/{short_name}", row.label) for d in short)
            tally = tallies.setdefault(row.name, Tally())
            count(tally, row.number, target, doubted=doubted)
    return tallies


def count(tally, number, target, *, doubted):
    """Add one number of a test set."""
    tally.given += 1
    if isnan(number.low):
        tally.none += 1
    elif doubted:
        tally.doubted += 1
    else:
        tally.above += number.low > target + 1e-12
        tally.below += number.high < target - 1e-12
        tally.width += number.high - number.low


def dump(tallies):
    """As JSON."""
    return json.dumps(
        {k: [getattr(t, f) for f in Tally.__slots__] for k, t in tallies.items()}, sort_keys=True
    )


def parse(text):
    """From JSON."""
    return {k: Tally(*values) for k, values in json.loads(text).items()}

"""All numbers of a version as functions of image weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from mlrek.comparison.rows import CountSums
from mlrek.evaluation import BoolArray, FloatArray, IntArray, Task
from mlrek.metrics.at_threshold import AT_THRESHOLD_NAMES
from mlrek.metrics.classification import compute_aggregates
from mlrek.metrics.counts import FRACTIONS, LabelCounts, compute_averages, divide
from mlrek.metrics.intervals import Plan
from mlrek.metrics.resampling import Statistic, Weights

LABEL_SCORES: Final = ("precision", "recall", "f1")
Key: TypeAlias = tuple[str, int | None]
"""Name of a number (`aggregate/ap`, `label_ap`), and the shared code of its label, if any."""

Values: TypeAlias = dict[Key, FloatArray]
"""Values by number, each (n,)."""

Scorer: TypeAlias = Callable[[Weights], Values]
"""Image weights (n_images, n) -> values."""

HAMMING: Final[Key] = ("aggregate/hamming_loss", None)

_Averages = Callable[[LabelCounts, BoolArray | None], Mapping[str, FloatArray]]
_AVERAGES: Mapping[Task, _Averages] = MappingProxyType(
    {Task.CLASSIFICATION: compute_aggregates, Task.MULTILABEL: compute_averages}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What computes values of weighted images, (n_rows, n), and these images in its order."""

    order: IntArray
    compute: Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How the numbers of one version follow from the weights of its images.

    `labels` counts what is predicted of each label, `at_threshold` what is at the assumed
    thresholds (None: none are published); all else are `statistics`. `known_share` of the labels
    of both versions are the version's own.
    """

    task: Task
    known_share: float
    statistics: tuple[Ordered, ...]
    labels: CountSums
    at_threshold: CountSums | None

    def count(self, weights: Weights) -> dict[str, LabelCounts]:
        """Label counts of weighted images by what they are for."""
        counts = {"labels": self.labels.compute(weights)}
        if self.at_threshold is not None:
            counts["at_threshold"] = self.at_threshold.compute(weights)
        return counts

    def average(self, counts: Mapping[str, LabelCounts], among: Mapping[str, BoolArray]) -> Values:
        """The numbers that follow from label counts.

        `among` are the labels of macro averages where they are not the version's own.
        """
        values: Values = {}
        if "labels" in counts and self.task in _AVERAGES:
            found = _AVERAGES[self.task](counts["labels"], among.get("labels"))
            values |= {(f"aggregate/{name}", None): v for name, v in found.items()}
        if "at_threshold" in counts:
            found = compute_averages(counts["at_threshold"], among.get("at_threshold"))
            values |= {(f"at_threshold/{n}", None): found[n] for n in AT_THRESHOLD_NAMES}
        return values

    def compute_statistics(self, weights: Weights) -> Values:
        """The numbers that do not follow from label counts; weights (n_images, n)."""
        values: Values = {}
        for statistic in self.statistics:
            if len(statistic.order):
                values |= statistic.compute(take_rows(weights, statistic.order))
        return values


def take_rows(weights: Weights, order: IntArray) -> Weights:
    """The weights in that order; they themselves where it is their own, as it mostly is."""
    is_own = len(order) == len(weights) and np.array_equal(order, np.arange(len(order)))
    return weights if is_own else weights[order]


def name_aggregates(plans: Mapping[tuple[str, ...], Plan]) -> list[Scorer]:
    """What can be computed of plans, named as aggregates."""
    return [name_aggregate(plan) for plan in plans.values() if not isinstance(plan, str)]


def name_aggregate(statistic: Statistic) -> Scorer:
    """The statistic with its values named as aggregates."""

    def compute(weights: Weights) -> Values:
        return {(f"aggregate/{name}", None): values for name, values in statistic(weights).items()}

    return compute


def score_labels(counts: LabelCounts) -> Values:
    """Precision, recall and F1 of each label, of counts (n, n_labels): (n,) each."""
    values: Values = {}
    for score in LABEL_SCORES:
        columns = np.moveaxis(divide(*FRACTIONS[score](counts)), -1, 0)
        values |= {(f"label_{score}", code): column for code, column in enumerate(columns)}
    return values

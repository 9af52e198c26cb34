"""All numbers of a version as functions of image weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import scipy.sparse as sp

from mlrek.evaluation import BoolArray, FloatArray, IntArray, Task
from mlrek.metrics import Metrics, Predictions
from mlrek.metrics.classification import compute_aggregates
from mlrek.metrics.counts import FRACTIONS, LabelCounts, compute_averages, divide
from mlrek.metrics.curves import AT_THRESHOLD_NAMES
from mlrek.metrics.intervals import Plan, Statistic, Weights

NO_LABEL: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A row per image (one label an image), per image and label, or per box.

    `image_idx`, `y_true`, `y_pred` (codes among the labels of both versions, -1: none) and
    `confidence` are (n,); `counted` (n_images,) tells which images count at all.
    """

    image_idx: IntArray
    y_true: IntArray
    y_pred: IntArray
    confidence: FloatArray
    counted: BoolArray

    @property
    def is_mistake(self) -> BoolArray:
        """Whether truth and prediction of a row differ, (n,)."""
        return np.asarray(self.y_true != self.y_pred)

    @property
    def is_right(self) -> BoolArray:
        """Whether nothing of an image is wrong, (n_images,)."""
        wrong = np.bincount(self.image_idx[self.is_mistake], minlength=len(self.counted))
        return np.asarray((wrong == 0) & self.counted)

    def keep(self, kept: BoolArray) -> "Rows":
        """The rows of `kept` (n,)."""
        return Rows(
            image_idx=self.image_idx[kept],
            y_true=self.y_true[kept],
            y_pred=self.y_pred[kept],
            confidence=self.confidence[kept],
            counted=self.counted,
        )

    def count(self, n_labels: int) -> LabelCounts:
        """Right predictions, predictions and truth of each label, (n_labels,)."""
        right = (self.y_true == self.y_pred) & (self.y_true >= 0)
        return LabelCounts(
            tp=np.bincount(self.y_true[right], minlength=n_labels),
            predicted=np.bincount(self.y_pred[self.y_pred >= 0], minlength=n_labels),
            support=np.bincount(self.y_true[self.y_true >= 0], minlength=n_labels),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CountSums:
    """What each image adds to the counts of each label: `rows` (3 * n_labels, n_images)."""

    rows: sp.csr_array

    @property
    def n_labels(self) -> int:
        """How many labels are counted."""
        return int(self.rows.shape[0]) // 3

    def compute(self, weights: Weights) -> LabelCounts:
        """The counts of weighted images, (n, n_labels) each; weights (n_images, n)."""
        parts = np.split(self.rows @ weights, 3)
        tp, predicted, support = (part.T.round().astype(np.int64) for part in parts)
        return LabelCounts(tp=tp, predicted=predicted, support=support)


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
                values |= statistic.compute(take_weights(weights, statistic.order))
        return values


def take_weights(weights: Weights, order: IntArray) -> Weights:
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


def compute_label_scores(counts: LabelCounts) -> Values:
    """Precision, recall and F1 of each label, of counts (n, n_labels): (n,) each."""
    values: Values = {}
    for score in LABEL_SCORES:
        columns = np.moveaxis(divide(*FRACTIONS[score](counts)), -1, 0)
        values |= {(f"label_{score}", code): column for code, column in enumerate(columns)}
    return values


def translate_rows(metrics: Metrics, codes: IntArray, n_images: int) -> Rows:
    """The predictions of a version with its label codes translated.

    Images without truth count nowhere where an image has one label.
    """
    rows = translate_predictions(metrics.predictions or _nothing(), codes, n_images)
    if metrics.task is not Task.CLASSIFICATION:
        return rows
    has_truth = rows.y_true >= 0
    counted = np.zeros(n_images, dtype=np.bool_)
    counted[rows.image_idx[has_truth]] = True
    kept = rows.keep(has_truth)
    return Rows(
        image_idx=kept.image_idx,
        y_true=kept.y_true,
        y_pred=kept.y_pred,
        confidence=kept.confidence,
        counted=counted,
    )


def translate_predictions(predictions: Predictions, codes: IntArray, n_images: int) -> Rows:
    """All rows of the predictions with their label codes translated."""
    translated = np.append(codes, NO_LABEL)
    return Rows(
        image_idx=predictions.image_idx,
        y_true=translated[predictions.y_true],
        y_pred=translated[predictions.y_pred],
        confidence=predictions.confidence,
        counted=np.ones(n_images, dtype=np.bool_),
    )


def sum_rows(rows: Rows, n_labels: int) -> CountSums:
    """Lay out what each image adds."""
    right = (rows.y_true == rows.y_pred) & (rows.y_true >= 0)
    predicted, true = rows.y_pred >= 0, rows.y_true >= 0
    return sum_cells(
        [
            (rows.y_true[right], rows.image_idx[right]),
            (rows.y_pred[predicted], rows.image_idx[predicted]),
            (rows.y_true[true], rows.image_idx[true]),
        ],
        n_labels,
        len(rows.counted),
    )


def sum_cells(parts: list[tuple[IntArray, IntArray]], n_labels: int, n_images: int) -> CountSums:
    """Counts from (label, image) of what is right, what is predicted, and what is true."""
    labels = np.concatenate([label + i * n_labels for i, (label, _) in enumerate(parts)])
    images = np.concatenate([image for _, image in parts])
    ones = np.ones(len(labels), dtype=np.float32)
    shape = (3 * n_labels, n_images)
    return CountSums(rows=sp.csr_array((ones, (labels, images)), shape=shape))


def _nothing() -> Predictions:
    none = np.empty(0, dtype=np.int64)
    return Predictions(image_idx=none, y_true=none, y_pred=none, confidence=np.empty(0), outcome=())

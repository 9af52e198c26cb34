"""One count matrix, and every number that follows from it alone.

All functions take counts with any leading batch axes, `(..., n_labels)`: the same code gives the
value of the whole sample and those of 1,000 resamples of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray

AVERAGES = ("micro", "macro", "weighted")
NO_TRUTH_REASON = "no test image has a true label"
NOTHING_REASON = "no label is true or predicted on any test image"
UNDEFINED_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "mcc": "zero denominator: the truth or the predictions hold one class only",
        "cohen_kappa": "zero denominator: truth and predictions hold one and the same class only",
        "balanced_accuracy": "no label has a true image",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """On how many images each label is rightly predicted, predicted at all, and true.

    `tp`, `predicted`, `support` are all (..., n_labels).
    """

    tp: IntArray
    predicted: IntArray
    support: IntArray

    @property
    def fp(self) -> IntArray:
        """Images where the label is predicted but not true, (..., n_labels)."""
        return self.predicted - self.tp

    @property
    def fn(self) -> IntArray:
        """Images where the label is true but not predicted, (..., n_labels)."""
        return self.support - self.tp

    @property
    def occurs(self) -> BoolArray:
        """Whether the label is true or predicted at all, (..., n_labels)."""
        return np.asarray((self.predicted > 0) | (self.support > 0))


_Fraction: TypeAlias = Callable[[LabelCounts], tuple[IntArray, IntArray]]

FRACTIONS: Mapping[str, _Fraction] = MappingProxyType(
    {
        "precision": lambda counts: (counts.tp, counts.predicted),
        "recall": lambda counts: (counts.tp, counts.support),
        "f1": lambda counts: (2 * counts.tp, counts.support + counts.predicted),
        "jaccard": lambda counts: (counts.tp, counts.support + counts.predicted - counts.tp),
    }
)
"""Numerator and denominator of each score of a label."""


def count_pairs(y_true: IntArray, y_pred: IntArray, n_labels: int) -> NDArray[np.int64]:
    """Count (true, predicted) pairs; -1 in `y_pred` is no prediction.

    Returns:
        (n_labels, n_labels + 1), rows true, columns predicted, the last column no prediction.

    >>> count_pairs(np.array([0, 0, 1]), np.array([0, 1, -1]), 2)
    array([[1, 1, 0],
           [0, 0, 1]])
    """
    columns = n_labels + 1
    cells = y_true.astype(np.int64) * columns + np.where(y_pred < 0, n_labels, y_pred)
    return np.bincount(cells, minlength=n_labels * columns).reshape(n_labels, columns)


def count_labels(matrix: IntArray) -> LabelCounts:
    """The counts of each label in a matrix as `count_pairs` returns it."""
    return LabelCounts(
        tp=np.diagonal(matrix), predicted=matrix[:, :-1].sum(axis=0), support=matrix.sum(axis=1)
    )


def divide(numerator: NDArray[Any], denominator: NDArray[Any], *, empty: float = nan) -> FloatArray:
    """Divide element by element; `empty` where the denominator is 0."""
    quotient = np.full(np.shape(denominator), empty)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def compute_averages(counts: LabelCounts, among: BoolArray | None = None) -> dict[str, FloatArray]:
    """Precision, recall, F1 and Jaccard, each averaged micro, macro and weighted by support.

    As scikit-learn's functions with `zero_division=0` over the labels that are true or predicted
    (in a resample: in that resample).

    Args:
        counts: Of each label.
        among: Other labels for the macro averages, (..., n_labels): all that occur, and more.

    Returns:
        `precision_micro`, … each of the counts' batch shape; NaN where no label occurs.
    """
    averages: dict[str, FloatArray] = {}
    n_occurring = (counts.occurs if among is None else among).sum(axis=-1)
    for name, fraction in FRACTIONS.items():
        numerator, denominator = fraction(counts)
        scores = divide(numerator, denominator, empty=0.0)
        pooled = numerator.sum(axis=-1), denominator.sum(axis=-1)
        weighted = (scores * counts.support).sum(axis=-1)
        averages[f"{name}_micro"] = divide(*pooled, empty=0.0)
        averages[f"{name}_macro"] = divide(scores.sum(axis=-1), n_occurring)
        averages[f"{name}_weighted"] = divide(weighted, counts.support.sum(axis=-1), empty=0.0)
    return {name: np.where(n_occurring > 0, values, nan) for name, values in averages.items()}


def compute_one_label_scores(counts: LabelCounts) -> dict[str, FloatArray]:
    """The numbers that need exactly one true label and at most one prediction an image.

    Returns:
        `accuracy`, `balanced_accuracy`, `hamming_loss`, `mcc`, `cohen_kappa`, each of the counts'
        batch shape; NaN where a denominator is 0.
    """
    n_images = counts.support.sum(axis=-1)
    correct = counts.tp.sum(axis=-1)
    recall = divide(counts.tp, counts.support, empty=0.0)
    return {
        "accuracy": divide(correct, n_images),
        "balanced_accuracy": divide(recall.sum(axis=-1), (counts.support > 0).sum(axis=-1)),
        "hamming_loss": divide(n_images - correct, n_images),
        "mcc": compute_mcc(counts),
        "cohen_kappa": compute_cohen_kappa(counts),
    }


def compute_mcc(counts: LabelCounts) -> FloatArray:
    """Matthews correlation of many classes (Gorodkin 2004), no prediction being one more class.

    With c right of n images, t true and p predicted images of each class:
    (c n - Σ t p) / sqrt((n² - Σ p²) (n² - Σ t²)).
    """
    n_images, expected, unpredicted = _chance(counts)
    covariance = counts.tp.sum(axis=-1) * n_images - expected
    spread_pred = n_images**2 - (counts.predicted**2).sum(axis=-1) - unpredicted**2
    spread_true = n_images**2 - (counts.support**2).sum(axis=-1)
    return divide(covariance, np.sqrt(spread_pred.astype(np.float64) * spread_true))


def compute_cohen_kappa(counts: LabelCounts) -> FloatArray:
    """Cohen's kappa (1960), no prediction being one more class.

    With c right of n images, t true and p predicted images of each class:
    1 - (n - c) / (n - Σ t p / n).
    """
    n_images, expected, _ = _chance(counts)
    wrong = n_images - counts.tp.sum(axis=-1)
    return 1 - divide(wrong * n_images, n_images**2 - expected)


def _chance(counts: LabelCounts) -> tuple[IntArray, IntArray, IntArray]:
    """Images, Σ t p over classes, and images without a prediction, each of the batch shape."""
    n_images = counts.support.sum(axis=-1)
    expected = (counts.support * counts.predicted).sum(axis=-1)
    return n_images, expected, n_images - counts.predicted.sum(axis=-1)

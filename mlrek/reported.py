"""A provider's own numbers: read at a threshold, taken as counts, rounded as it rounds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, Provider, ReportedCurve

DEFAULT_THRESHOLD = 0.5  # where numbers published over thresholds are read unless asked otherwise
SAME_THRESHOLD = 1e-6  # published thresholds are 32-bit numbers

_PUBLISHES_COUNTS = frozenset((Provider.AUTOML, Provider.VERTEX))
_COLUMNS = ("precision", "recall", "f1", "tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedAt:
    """A curve's numbers at its point nearest to the threshold that was asked for.

    `threshold` is the published one; `values` hold only what the provider gives there.
    """

    threshold: float
    values: Mapping[str, float]
    is_exact: bool


def reported_at(curve: ReportedCurve, threshold: float) -> ReportedAt | None:
    """The published numbers at or nearest to a threshold; None where nothing is published.

    Nothing is interpolated; half way between two points the lower one counts.
    """
    i = nearest_index(curve.thresholds, threshold)
    if i is None:
        return None
    values = {name: float(getattr(curve, name)[i]) for name in _COLUMNS}
    used = float(curve.thresholds[i])
    return ReportedAt(
        threshold=used,
        values={name: value for name, value in values.items() if not isnan(value)},
        is_exact=abs(used - threshold) <= SAME_THRESHOLD,
    )


def nearest_index(thresholds: FloatArray, threshold: float) -> int | None:
    """The position of the nearest of rising thresholds, the lower of two; None of none."""
    if not len(thresholds):
        return None
    distance = np.abs(thresholds - threshold)
    return int(np.flatnonzero(distance <= distance.min() + SAME_THRESHOLD / 1000)[0])


def count_reported(evaluation: Evaluation) -> tuple[tuple[str, ...], IntArray] | None:
    """The published confusion matrix, where its provider publishes counts (Google; not Amazon).

    Returns:
        The labels of the matrix in its own order and the counts, rows true, columns predicted; None
        where there is none. It holds every test image exactly when the counts add up to
        `reported.test_images`: Google may publish the ten most confused labels only.
    """
    cells = evaluation.reported.confusion
    if not cells or evaluation.version.project.provider not in _PUBLISHES_COUNTS:
        return None
    if any(value < 0 or not value.is_integer() for *_, value in cells):
        return None
    labels = dict.fromkeys((*(true for true, _, _ in cells), *(found for _, found, _ in cells)))
    code = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(code), len(code)), dtype=np.int64)
    for true, predicted, value in cells:
        counts[code[true], code[predicted]] += int(value)
    return tuple(code), counts

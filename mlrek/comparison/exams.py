"""One version on the images of a scope: its predictions, its numbers, and how they follow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.comparison.box_measure import measure_detection
from mlrek.comparison.image_measure import measure_classification, measure_multilabel
from mlrek.comparison.mask_measure import measure_segmentation
from mlrek.comparison.measure import LABEL_SCORES, Measure
from mlrek.comparison.rows import Rows, translate_rows
from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.compute import compute_numbers
from mlrek.metrics.crossfit import PREFIX
from mlrek.metrics.numbers import NumberRow, list_numbers
from mlrek.metrics.ranking import RankedPairs, rank_pairs

GROUPS: Final = ("aggregate/", "at_threshold/", "reported/")
OF_BASE: Final = "reported/base_"
AT_THRESHOLD: Final = "label_at_threshold_"
NOT_COMPARED: Final = frozenset(
    ("label_support", "label_tp", "label_fp", "label_fn", "label_threshold")
)

_Describe = Callable[[Evaluation, RankedPairs, Rows, IntArray, int, PredictionRule], Measure]
MEASURES: Mapping[Task, _Describe] = MappingProxyType(
    {
        Task.CLASSIFICATION: measure_classification,
        Task.MULTILABEL: measure_multilabel,
        Task.DETECTION: measure_detection,
        Task.SEGMENTATION: measure_segmentation,
    }
)
"""How the numbers of an evaluation follow from weights.

Of the evaluation, its ranked scores, its predictions in shared codes, the shared code of each of
its labels, how many shared codes there are, and the rule of its predictions.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One version on the images of a scope, label codes shared with the other version.

    `metrics` are without intervals; `codes` (n_own_labels,) the shared code of each own label.
    """

    evaluation: Evaluation
    metrics: Metrics
    rows: Rows
    measure: Measure
    codes: IntArray


def measure_version(
    evaluation: Evaluation, rule: PredictionRule, labels: tuple[str, ...]
) -> Measured:
    """Compute what one version does; `labels` are those of both, in shared order."""
    codes = _code_labels(evaluation, labels)
    ranked = rank_pairs(evaluation)
    metrics = compute_numbers(evaluation, rule, ranked)
    rows = translate_rows(metrics, codes, len(evaluation.images))
    return Measured(
        evaluation=evaluation,
        metrics=metrics,
        rows=rows,
        measure=MEASURES[evaluation.task](evaluation, ranked, rows, codes, len(labels), rule),
        codes=codes,
    )


def find_rows(evaluation: Evaluation, rule: PredictionRule, labels: tuple[str, ...]) -> Rows:
    """The predictions alone, in the codes of `labels`."""
    codes = _code_labels(evaluation, labels)
    return translate_rows(compute_numbers(evaluation, rule), codes, len(evaluation.images))


def list_values(metrics: Metrics, evaluation: Evaluation) -> Iterator[tuple[str, str, float, str]]:
    """Name, label, value and reason of every number that two versions are compared by."""
    for row in list_numbers(evaluation, metrics):
        if _is_compared(row, has_labels=metrics.per_label is not None):
            number = row.number
            reason = "" if number.is_defined or row.label else number.reason
            yield row.name, row.label, number.value, reason


def _is_compared(row: NumberRow, *, has_labels: bool) -> bool:
    """Whether more or less of the number says something of a version; counts alone do not.

    Cross-fitted numbers are compared by themselves (`mlrek.comparison.crossfit`).
    """
    if row.name.startswith(PREFIX):
        return False
    if row.label:
        reported = row.name.removeprefix("label_reported_")
        if reported != row.name:
            return has_labels and reported in LABEL_SCORES and row.number.is_defined
        return has_labels and row.name not in NOT_COMPARED and not row.name.startswith(AT_THRESHOLD)
    return row.name.startswith(GROUPS) and not row.name.startswith(OF_BASE)


def _code_labels(evaluation: Evaluation, labels: tuple[str, ...]) -> IntArray:
    """The shared code of each label of an evaluation, (n_own_labels,)."""
    places = {label: code for code, label in enumerate(labels)}
    return np.array([places[label] for label in evaluation.labels], dtype=np.int64)

"""One version on the images of a scope: its predictions, its numbers, and how they follow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.comparison.rows import (
    LABEL_SCORES,
    CountSums,
    Measure,
    Ordered,
    Rows,
    Scorer,
    Values,
    name_aggregate,
    name_aggregates,
    sum_cells,
    sum_rows,
    translate_rows,
)
from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.compute import compute_numbers
from mlrek.metrics.counts import Pairs, find_reached
from mlrek.metrics.crossfit import PREFIX
from mlrek.metrics.decisions import decide_records, predict, sum_images
from mlrek.metrics.intervals import Weights
from mlrek.metrics.numbers import NumberRow, list_numbers
from mlrek.metrics.positive_class import plan_positive_class
from mlrek.metrics.probabilities import plan_score_means
from mlrek.metrics.ranking import RankedPairs, average_rankings, rank_pairs, rank_pooled

GROUPS: Final = ("aggregate/", "at_threshold/", "reported/")
OF_BASE: Final = "reported/base_"
AT_THRESHOLD: Final = "label_at_threshold_"
NOT_COMPARED: Final = frozenset(
    ("label_support", "label_tp", "label_fp", "label_fn", "label_threshold")
)

_Describe = Callable[[Evaluation, RankedPairs, Rows, IntArray, int, PredictionRule], Measure]


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
    ranked = rank_pairs(evaluation, is_shared=True)
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

    Cross-fitted numbers are compared by themselves (`mlrek.comparison.differences`).
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


def measure_classification(
    evaluation: Evaluation,
    ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`."""
    has_truth = evaluation.truth.counts > 0
    pairs = ranked.pairs
    statistics: list[Scorer] = []
    if pairs.n_images:
        plans = plan_score_means(pairs, predict(evaluation, rule), ranked.missing)
        if evaluation.pos_label:
            plans |= plan_positive_class(evaluation, pairs, rule)
        statistics = [*name_aggregates(plans), *_rank_labels(ranked, codes)]
    kept = np.flatnonzero(has_truth)
    order = kept[np.argsort(pairs.places)]
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=_find_at_threshold(evaluation, pairs, kept, codes, n_labels),
    )


def measure_multilabel(
    evaluation: Evaluation,
    ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    _rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`, the rule being of no use here."""
    pairs = ranked.pairs
    is_predicted = decide_records(evaluation).is_predicted
    sums = sum_images(pairs, is_predicted, evaluation.truth)
    statistics = [name_aggregate(sums.compute), *_rank_labels(ranked, codes)]
    if not ranked.missing:
        statistics.append(name_aggregate(rank_pooled(pairs)))
    order = np.argsort(pairs.places)
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=_find_at_threshold(
            evaluation, pairs, np.arange(len(evaluation.images)), codes, n_labels
        ),
    )


def _rank_labels(ranked: RankedPairs, codes: IntArray) -> list[Scorer]:
    """Both areas of each label and their means over labels, of complete records."""

    def compute(weights: Weights) -> Values:
        ap, roc_auc = ranked.ranking.compute_labels(weights)
        means = average_rankings(ap, roc_auc)
        values: Values = {(f"aggregate/{name}", None): mean for name, mean in means.items()}
        for i, code in enumerate(codes.tolist()):
            values |= {("label_ap", code): ap[i], ("label_roc_auc", code): roc_auc[i]}
        return values

    return [] if ranked.missing else [compute]


def _find_at_threshold(
    evaluation: Evaluation, pairs: Pairs, kept: IntArray, codes: IntArray, n_labels: int
) -> CountSums | None:
    """Counts at the assumed thresholds; None where none is published."""
    if np.isnan(evaluation.thresholds).all():
        return None
    return sum_at_threshold(evaluation, pairs, kept, codes, n_labels)


def sum_at_threshold(
    evaluation: Evaluation, pairs: Pairs, kept: IntArray, codes: IntArray, n_labels: int
) -> CountSums:
    """Counts at the assumed thresholds; a label that has none is predicted nowhere.

    `kept` are the images that the pairs count, in order; `codes` (n_own_labels,) the shared code of
    each label.
    """
    reaches = find_reached(pairs.confidence, pairs.label_idx, evaluation.thresholds)
    right = reaches & pairs.is_true
    images, label_idx, truth = kept[pairs.image_idx], codes[pairs.label_idx], evaluation.truth
    parts = [(label_idx[mask], images[mask]) for mask in (right, reaches)]
    parts.append((codes[truth.label_idx], truth.image_idx))
    return sum_cells(parts, n_labels, len(evaluation.images))


def _measure_detection(
    evaluation: Evaluation,
    _ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    _rule: PredictionRule,
) -> Measure:
    from mlrek.comparison.measured_areas import measure_detection  # no other task needs it

    return measure_detection(evaluation, rows, codes, n_labels)


def _measure_segmentation(
    evaluation: Evaluation,
    _ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    rule: PredictionRule,
) -> Measure:
    from mlrek.comparison.measured_areas import measure_segmentation  # no other task needs it

    return measure_segmentation(evaluation, rows, codes, n_labels, rule)


MEASURES: Mapping[Task, _Describe] = MappingProxyType(
    {
        Task.CLASSIFICATION: measure_classification,
        Task.MULTILABEL: measure_multilabel,
        Task.DETECTION: _measure_detection,
        Task.SEGMENTATION: _measure_segmentation,
    }
)
"""How the numbers of an evaluation follow from weights.

Of the evaluation, its ranked scores, its predictions in shared codes, the shared code of each of
its labels, how many shared codes there are, and the rule of its predictions.
"""

"""One version on the images of a scope: its predictions, its numbers, and how they follow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from mlrek.evaluation import Evaluation, IntArray, RecordsKind, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.compute import compute_numbers
from mlrek.metrics.counts import FRACTIONS, Pairs, divide, find_reached, order_images, pair_records
from mlrek.metrics.crossfit import PREFIX
from mlrek.metrics.decisions import decide_records, predict, sum_images
from mlrek.metrics.detection import IOU_THRESHOLD
from mlrek.metrics.detection.ap import (
    ALL_SIZES,
    IOU_THRESHOLDS,
    RECALL,
    RankedDetections,
    average_areas,
    plan_sizes,
    rank_boxes,
)
from mlrek.metrics.detection.matching import arrange_boxes
from mlrek.metrics.detection.outcomes import decide_boxes
from mlrek.metrics.intervals import Weights
from mlrek.metrics.numbers import NumberRow, list_numbers
from mlrek.metrics.positive_class import plan_positive_class
from mlrek.metrics.probabilities import plan_score_means
from mlrek.metrics.ranking import RankedPairs, average_rankings, rank_pairs, rank_pooled
from mlrek.metrics.segmentation import ImageAreas, sum_areas

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


def measure_detection(
    evaluation: Evaluation,
    _ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    _rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`, rule and scores being of no use here."""
    detections = evaluation.detections
    assert detections is not None  # noqa: S101 - the metrics have refused it before
    decision = decide_boxes(evaluation, detections.records)
    scenes = arrange_boxes(
        detections,
        decision.is_detection,
        len(evaluation.labels),
        min(IOU_THRESHOLD, IOU_THRESHOLDS[0]),
    )
    if decision.kind != RecordsKind.COMPLETE:
        scenes = scenes.keep(decision.is_predicted[scenes.records])
    places = order_images(evaluation.images)
    ranked = rank_boxes(scenes, places, ALL_SIZES)
    statistics: list[Scorer] = [partial(_recall_boxes, ranked)]
    if evaluation.is_scored:
        statistics = [
            partial(_average_boxes, ranked, codes),
            *name_aggregates(plan_sizes(scenes, places)),
        ]
    order, labels = np.argsort(places), sum_rows(rows, n_labels)
    flagged = decision.is_flagged.all()
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=labels,
        at_threshold=_sum_flags(evaluation, codes, n_labels) if flagged else labels,
    )


def _average_boxes(ranked: Sequence[RankedDetections], codes: IntArray, weights: Weights) -> Values:
    """COCO's averages, and the average precision of each label."""
    computed = [one.compute(weights) for one in ranked]
    ap = np.mean([area for area, _ in computed], axis=0)
    averages = average_areas(computed)
    values: Values = {(f"aggregate/{name}", None): mean for name, mean in averages.items()}
    return values | {("label_ap", code): ap[i] for i, code in enumerate(codes.tolist())}


def _recall_boxes(ranked: Sequence[RankedDetections], weights: Weights) -> Values:
    """What needs no confidences."""
    averages = average_areas([one.compute(weights) for one in ranked])
    return {(f"aggregate/{RECALL}", None): averages[RECALL]}


def _sum_flags(evaluation: Evaluation, codes: IntArray, n_labels: int) -> CountSums:
    """Counts by the provider's flags; true boxes without a record are misses of their image."""
    assert evaluation.detections is not None  # noqa: S101 - the metrics have refused it before
    records, truth = evaluation.detections.records, evaluation.detections.truth
    decision = decide_boxes(evaluation, records)
    images, label_idx = records.image_idx, codes[records.label_idx]
    hit = decision.is_predicted & decision.is_matched
    n_images = len(evaluation.images)
    own = np.bincount(
        images[decision.is_matched] * n_labels + label_idx[decision.is_matched],
        minlength=n_images * n_labels,
    )
    cells = truth.image_idx * n_labels + codes[truth.label_idx]
    true = np.bincount(cells[truth.counted], minlength=n_images * n_labels)
    support = np.maximum(own, true)
    cells = np.repeat(np.arange(len(support)), support)
    return sum_cells(
        [
            (label_idx[hit], images[hit]),
            (label_idx[decision.is_predicted], images[decision.is_predicted]),
            (cells % n_labels, cells // n_labels),
        ],
        n_labels,
        n_images,
    )


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


def measure_segmentation(
    evaluation: Evaluation,
    _ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`."""
    masks = evaluation.masks
    assert masks is not None  # noqa: S101 - the metrics have refused it before
    places = order_images(evaluation.images)
    areas = sum_areas(masks, places, len(evaluation.labels))
    readable = np.flatnonzero(masks.readable)
    order = readable[np.argsort(places[readable])]
    statistics = [
        Ordered(order=order, compute=name_aggregate(areas.compute_averages)),
        Ordered(order=order, compute=partial(_score_areas, areas, codes)),
    ]
    has_truth = evaluation.truth.counts > 0
    if evaluation.pos_label and has_truth.any():
        pairs = pair_records(evaluation, has_truth)
        order = np.flatnonzero(has_truth)[np.argsort(pairs.places)]
        plans = plan_positive_class(evaluation, pairs, rule)
        statistics += [Ordered(order=order, compute=each) for each in name_aggregates(plans)]
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=None,
    )


def _score_areas(areas: ImageAreas, codes: IntArray, weights: Weights) -> Values:
    """IoU, Dice, and the scores in pixels of each label."""
    sums = areas.sum(weights)
    pixels = {score: divide(*FRACTIONS[score](sums.pixels)).T for score in LABEL_SCORES}
    scores = {"iou": sums.mean_iou, "dice": sums.mean_dice, **pixels}
    return {
        (f"label_{name}", code): values[i]
        for name, values in scores.items()
        for i, code in enumerate(codes.tolist())
    }


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

"""All numbers of a model that finds objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import nan
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import Detections, Evaluation, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics import (
    ConfusionMatrix,
    LabelScores,
    Metrics,
    Number,
    PrecisionRecallCurve,
    Predictions,
    Reconciled,
    ThresholdCurves,
)
from mlrek.metrics.counts import LabelCounts, Pairs, compute_averages, order_images
from mlrek.metrics.curves import (
    AT_THRESHOLD_NAMES,
    LabelCurves,
    estimate_at_threshold,
)
from mlrek.metrics.detection.ap import (
    LabelAp,
    compute_box_numbers,
    compute_optimistic,
    leave_areas_out,
    leave_averages_out,
)
from mlrek.metrics.detection.ap import (
    compute_averages as compute_box_averages,
)
from mlrek.metrics.detection.matching import NO_MATCH, Scenes, arrange_boxes, warn_sizes
from mlrek.metrics.detection.outcomes import (
    BoxDecision,
    BoxOutcomes,
    count_confusion,
    count_flags,
    decide_boxes,
    find_outcomes,
    list_box_decisions,
    list_box_predictions,
    list_flag_decisions,
)
from mlrek.metrics.left_out import (
    CountsLeftOut,
    Sampling,
    Units,
    leave_out_decisions,
    score_labels,
    warn_zero_division,
)
from mlrek.metrics.reported import put_side_by_side

_AREAS: Final = {
    "average_precision": ("ap", "over IoU 0.50 to 0.95"),
    "average_precision_50": ("ap_50", "at IoU 0.50"),
    "average_precision_75": ("ap_75", "at IoU 0.75"),
    "average_recall": ("ar_100", "over IoU 0.50 to 0.95"),
}
_AREA_RULE: Final = "COCO's, {}; the provider does not say how it computes its own"
_MACRO_RULE: Final = (
    "macro average of counts of boxes at the assumed thresholds; the provider counts otherwise"
)
_LABEL_RULE: Final = "counts of boxes at the assumed threshold; the provider counts otherwise"
_SUPPORT_RULE: Final = (
    "images with a true box of the label; the provider does not say whether it counts images"
)

IOU_THRESHOLD: Final = 0.5
NOTHING_REASON: Final = "no box is true or predicted on any test image"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """What our own matching gives each label, and the confidence of intervals."""

    counts: LabelCounts
    left_out: CountsLeftOut
    label_ap: LabelAp
    units: Units

    def score(self, counts: LabelCounts, left_out: CountsLeftOut) -> LabelScores:
        """The numbers of each label from counts, these or those of the provider's flags."""
        areas = self.label_ap
        scores = score_labels(
            counts,
            areas.ap,
            np.full(len(areas.ap), nan),
            self.units.confidence,
            left_out.by_group,
            are_groups=left_out.are_groups,
        )
        return replace(scores, ap_low=areas.ap_low, ap_high=areas.ap_high)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AtThreshold:
    numbers: dict[str, Number]
    per_label: LabelScores
    warnings: tuple[str, ...]


def compute_detection(
    evaluation: Evaluation,
    sampling: Sampling,
    *,
    curves: bool = True,
) -> Metrics:
    """Every number of a detection that has images.

    Average precision and recall follow COCO's protocol. The service's own flags give the numbers
    at its threshold; without flags, and for the matrix, curves, labels and kinds of error, a box
    has found a true one by our own greedy matching.

    Args:
        evaluation: What was read.
        sampling: What intervals are made over.
        curves: Whether to describe the curves over the confidence, too.

    Raises:
        EvaluationError: There are no boxes to compute from.
    """
    detections, labels = _find_boxes(evaluation), evaluation.labels
    decision = decide_boxes(evaluation, detections.records)
    scenes = arrange_boxes(detections, decision.is_detection, len(labels), IOU_THRESHOLD)
    predictions = scenes.keep(decision.is_predicted[scenes.records])
    ranked = scenes if decision.kind == RecordsKind.COMPLETE else predictions
    places, units = order_images(evaluation.images), sampling.find_units(len(evaluation.images))
    numbers, label_ap = compute_box_numbers(ranked, places, units)
    if not evaluation.is_scored:
        numbers, label_ap = leave_areas_out(numbers, label_ap)
    outcomes = find_outcomes(predictions, IOU_THRESHOLD)
    confusion, errors = count_confusion(outcomes, labels), outcomes.errors.count()
    matched = _Matched(
        counts=_count_confusion(confusion),
        left_out=leave_out_decisions(
            list_box_decisions(outcomes), units, len(labels), are_boxes=True
        ),
        label_ap=label_ap,
        units=units,
    )
    at_threshold = _compute_at_threshold(evaluation, decision, detections, matched)
    pairs = _pair_found(ranked, places)
    drawn = LabelCurves.of(evaluation, pairs) if curves else None
    reconciled = reconcile_boxes(
        evaluation, detections, numbers | at_threshold.numbers, at_threshold.per_label
    )
    return Metrics(
        task=Task.DETECTION,
        labels=labels,
        prediction_rule=decision.rule,
        records=decision.kind,
        test_images=len(evaluation.images),
        aggregate=numbers,
        at_threshold=at_threshold.numbers,
        per_label=matched.score(matched.counts, matched.left_out),
        at_threshold_per_label=at_threshold.per_label,
        confusion=confusion,
        curves=_compute_curves(drawn, evaluation, decision) if drawn else None,
        precision_recall=_compute_precision_recall(drawn, evaluation, label_ap) if drawn else (),
        predictions=_list_predictions(evaluation, outcomes),
        reconciliation=reconciled,
        extra=_compute_extra(decision, scenes, places) if evaluation.is_scored else {},
        errors=errors,
        warnings=(
            *decision.warnings,
            *warn_sizes(detections),
            *at_threshold.warnings,
        ),
    )


def compute_average_precision(evaluation: Evaluation, sampling: Sampling) -> dict[str, Number]:
    """COCO's averages over all boxes alone, as `compute_detection` makes them.

    Raises:
        EvaluationError: There are no boxes to compute from.
    """
    detections, n_labels = _find_boxes(evaluation), len(evaluation.labels)
    decision = decide_boxes(evaluation, detections.records)
    scenes = arrange_boxes(detections, decision.is_detection, n_labels, IOU_THRESHOLD)
    if decision.kind != RecordsKind.COMPLETE:
        scenes = scenes.keep(decision.is_predicted[scenes.records])
    units = sampling.find_units(len(evaluation.images))
    numbers = compute_box_averages(scenes, order_images(evaluation.images), units)
    return numbers if evaluation.is_scored else leave_averages_out(numbers)


def pair_detections(evaluation: Evaluation, detections: Detections) -> tuple[Pairs, str]:
    """What the curves count: detections, each with whether it has found a true box of its label.

    Of partial records only the predictions. The text says where they stop, '' where they do not.
    """
    decision = decide_boxes(evaluation, detections.records)
    n_labels = len(evaluation.labels)
    scenes = arrange_boxes(detections, decision.is_detection, n_labels, IOU_THRESHOLD)
    if decision.kind != RecordsKind.COMPLETE:
        scenes = scenes.keep(decision.is_predicted[scenes.records])
    pairs = _pair_found(scenes, order_images(evaluation.images))
    return pairs, _say_stop(evaluation, decision, len(pairs.confidence))


def match_predictions(evaluation: Evaluation) -> Predictions:
    """Which boxes at the assumed thresholds have found a true one, by our own matching.

    Raises:
        EvaluationError: There are no boxes.
    """
    detections = _find_boxes(evaluation)
    decision = decide_boxes(evaluation, detections.records)
    n_labels = len(evaluation.labels)
    scenes = arrange_boxes(detections, decision.is_detection, n_labels, IOU_THRESHOLD)
    predicted = scenes.keep(decision.is_predicted[scenes.records])
    return _list_predictions(evaluation, find_outcomes(predicted, IOU_THRESHOLD))


def _list_predictions(evaluation: Evaluation, outcomes: BoxOutcomes) -> Predictions:
    """Without confidences where the answers have none."""
    predictions = list_box_predictions(outcomes)
    if evaluation.is_scored:
        return predictions
    return replace(predictions, confidence=np.full(len(predictions.confidence), nan))


def _find_boxes(evaluation: Evaluation) -> Detections:
    if evaluation.detections is None:
        raise EvaluationError(f"{evaluation.version.arn}: a detection without a table of boxes")
    return evaluation.detections


def _compute_at_threshold(
    evaluation: Evaluation, decision: BoxDecision, detections: Detections, matched: _Matched
) -> _AtThreshold:
    """Numbers at the threshold: by the provider's flags, or where one lacks by our own matching."""
    counts, warnings = matched.counts, tuple(_warn_without_flags(decision))
    left_out, truth, records = matched.left_out, detections.truth, detections.records
    if decision.is_flagged.all():
        counts, warnings = count_flags(evaluation, records, decision, matched.counts.support)
        left_out = leave_out_decisions(
            list_flag_decisions(evaluation, truth, records, decision),
            matched.units,
            len(evaluation.labels),
            are_boxes=True,
        )
    averages = compute_averages(counts)
    estimated = estimate_at_threshold(left_out, matched.units, nothing=NOTHING_REASON)
    return _AtThreshold(
        numbers={
            name: replace(estimated[name], value=float(averages[name]))
            for name in AT_THRESHOLD_NAMES
        },
        per_label=matched.score(counts, left_out),
        warnings=(
            *warnings,
            *warn_zero_division(counts, evaluation.labels, where=" at the assumed thresholds"),
        ),
    )


def _count_confusion(confusion: ConfusionMatrix) -> LabelCounts:
    """Boxes of each label: rightly predicted, predicted, true."""
    counts = confusion.counts
    return LabelCounts(
        tp=np.diagonal(counts)[:-1],
        predicted=counts.sum(axis=0)[:-1],
        support=counts.sum(axis=1)[:-1],
    )


def _pair_found(scenes: Scenes, places: IntArray) -> Pairs:
    """Detections as recorded pairs; one is true when it has found a true box of its label."""
    scenes = scenes.drop_crowds(IOU_THRESHOLD)
    found = scenes.found
    return Pairs(
        n_images=scenes.n_images,
        places=places,
        offsets=np.searchsorted(found.image_idx, np.arange(scenes.n_images + 1)),
        label_idx=found.label_idx,
        confidence=found.confidence,
        is_true=scenes.match(np.array([IOU_THRESHOLD]))[0] != NO_MATCH,
        support=scenes.n_true,
    )


def _compute_curves(
    drawn: LabelCurves, evaluation: Evaluation, decision: BoxDecision
) -> ThresholdCurves:
    """Counts over the confidence. Greedy matching in falling confidence needs no second pass.

    What a detection finds depends on surer ones alone, so that leaving out less sure ones changes
    nothing.
    """
    return replace(
        drawn.count_thresholds(), stops_at=_say_stop(evaluation, decision, drawn.n_pairs)
    )


def _say_stop(evaluation: Evaluation, decision: BoxDecision, n_found: int) -> str:
    if not n_found:
        return "no box is found on any image"
    if decision.kind == RecordsKind.COMPLETE:
        return ""
    published = evaluation.thresholds[~np.isnan(evaluation.thresholds)]
    if not len(published):
        return "only predicted boxes count: others are incomplete"
    low, high = f"{published.min():.2g}", f"{published.max():.2g}"
    span = low if low == high else f"{low} to {high}"
    return f"below the assumed thresholds ({span}) the boxes are incomplete, and none counts"


def _compute_precision_recall(
    drawn: LabelCurves, evaluation: Evaluation, label_ap: LabelAp
) -> tuple[PrecisionRecallCurve, ...]:
    """Curves at the IoU of our matching, 0.50; the area of a label is COCO's at that."""
    areas = dict(zip(evaluation.labels, label_ap.ap_50.tolist(), strict=True))
    curves = drawn.trace_precision()
    return tuple(
        replace(curve, average_precision=areas.get(curve.label, nan) if i else nan)
        for i, curve in enumerate(curves)  # the first one is all labels together
    )


def _compute_extra(decision: BoxDecision, scenes: Scenes, places: IntArray) -> dict[str, Number]:
    """Of partial records the averages with the matched boxes below the threshold."""
    if decision.kind == RecordsKind.PARTIAL and not decision.is_predicted[scenes.records].all():
        return compute_optimistic(scenes, places)
    return {}


def _warn_without_flags(decision: BoxDecision) -> Iterator[str]:
    """Says so where some boxes have a flag, but not all."""
    if decision.is_flagged.any():
        n = np.count_nonzero(~decision.is_flagged)
        yield (
            f"{n} of {len(decision.is_flagged)} recorded boxes have no flag: the numbers at the "
            "threshold come from our own matching instead"
        )


def reconcile_boxes(
    evaluation: Evaluation,
    detections: Detections,
    numbers: Mapping[str, Number],
    per_label: LabelScores,
) -> tuple[Reconciled, ...]:
    """Every number the provider reported, with ours of that name.

    Args:
        evaluation: What was read.
        detections: Its boxes.
        numbers: Our aggregates, and those at the threshold.
        per_label: The scores of each label at the threshold.
    """
    scores = {
        "precision": per_label.precision,
        "recall": per_label.recall,
        "f1": per_label.f1,
    }
    areas = {
        name: (numbers[ours].value, _AREA_RULE.format(where))
        for name, (ours, where) in _AREAS.items()
    }
    labels = {name: (column, _LABEL_RULE) for name, column in scores.items()}
    return put_side_by_side(
        evaluation,
        areas | {name: (numbers[f"{name}_macro"].value, _MACRO_RULE) for name in scores},
        labels
        | {
            "average_precision": (per_label.ap, areas["average_precision"][1]),
            "test_images": (_count_images(detections, len(evaluation.labels)), _SUPPORT_RULE),
        },
    )


def _count_images(detections: Detections, n_labels: int) -> FloatArray:
    """Images with a true box of each label, (n_labels,)."""
    truth = detections.truth
    cells = np.sort((truth.image_idx * n_labels + truth.label_idx)[truth.counted])
    is_first = np.diff(cells, prepend=-1) > 0
    return np.bincount(cells[is_first] % max(n_labels, 1), minlength=n_labels).astype(np.float64)

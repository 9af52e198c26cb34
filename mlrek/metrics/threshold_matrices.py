"""The confusion matrix at a threshold that is the same for every label, 0 to 100 percent."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, RecordsKind, Task
from mlrek.label_keys import NONE_LABEL
from mlrek.metrics import ConfusionMatrix, PredictionRule
from mlrek.metrics.counts import count_pairs
from mlrek.metrics.decisions import decide_records
from mlrek.metrics.detection import IOU_THRESHOLD
from mlrek.metrics.detection_boxes import arrange_boxes
from mlrek.metrics.detection_outcomes import describe_confusion, find_outcomes
from mlrek.metrics.detection_records import decide_boxes
from mlrek.metrics.multilabel import describe_decisions
from mlrek.metrics.pairs import count_predicted, pair_records
from mlrek.metrics.prediction import predict

PERCENTS: Final = tuple(range(0, 101, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdMatrices:
    """`matrices` by threshold in percent, and what a prediction is there, for a person."""

    matrices: Mapping[int, ConfusionMatrix]
    rule: str


_Matrices = Iterator[tuple[int, ConfusionMatrix]]


def compute_threshold_matrices(evaluation: Evaluation) -> ThresholdMatrices:
    """The matrix at each of `PERCENTS` of which the records tell it; none without images.

    One label an image: the top label where its confidence reaches the threshold, else `(none)`; an
    image whose top label is not published had it below its assumed threshold, so that lower ones
    are left out. Several labels or boxes: all that reach the threshold. Where the records below the
    assumed thresholds are incomplete, only what also reaches its assumed one.
    """
    compute = _COMPUTE.get(evaluation.task)
    if compute is None or not evaluation.has_images:
        return ThresholdMatrices(matrices={}, rule="")
    is_partial = _is_partial(evaluation)
    rule = "own threshold and confidence" if is_partial else "confidence"
    return ThresholdMatrices(matrices=dict(compute(evaluation)), rule=rule)


def _is_partial(evaluation: Evaluation) -> bool:
    if evaluation.task == Task.CLASSIFICATION:
        return False
    if evaluation.detections is not None:
        decision = decide_boxes(evaluation, evaluation.detections.records)
        return decision.kind != RecordsKind.COMPLETE
    return evaluation.records_kind != RecordsKind.COMPLETE


def _of_top_labels(evaluation: Evaluation) -> _Matrices:
    sample = predict(evaluation, PredictionRule.TOP1)
    counted = sample.counted
    y_true, y_pred = sample.y_true[counted], sample.y_pred[counted]
    confidence = sample.confidence[counted]
    start = 0.0
    if np.any(y_pred < 0):
        published = evaluation.thresholds
        start = np.inf if np.isnan(published).all() else float(np.nanmax(published))
    labels = evaluation.labels
    for percent in PERCENTS:
        if percent / 100 >= start and len(y_true):
            shown = np.where(confidence >= percent / 100, y_pred, -1)
            counts = count_pairs(y_true, shown, len(labels))
            yield (
                percent,
                ConfusionMatrix(counts=counts, rows=labels, columns=(*labels, NONE_LABEL)),
            )


def _of_label_sets(evaluation: Evaluation) -> _Matrices:
    pairs = pair_records(evaluation)
    eligible = np.ones(len(pairs.confidence), dtype=np.bool_)
    if _is_partial(evaluation):
        eligible = decide_records(evaluation).is_predicted
    for percent in PERCENTS:
        counts = count_predicted(pairs, eligible & (pairs.confidence >= percent / 100))
        yield percent, describe_decisions(counts, evaluation.labels)


def _of_boxes(evaluation: Evaluation) -> _Matrices:
    if evaluation.detections is None:
        return
    decision = decide_boxes(evaluation, evaluation.detections.records)
    eligible = decision.is_predicted if _is_partial(evaluation) else decision.is_detection
    scenes = arrange_boxes(evaluation.detections, eligible, len(evaluation.labels), IOU_THRESHOLD)
    for percent in PERCENTS:
        outcomes = find_outcomes(
            scenes.keep(scenes.found.confidence >= percent / 100), IOU_THRESHOLD
        )
        yield percent, describe_confusion(outcomes, evaluation.labels)


_COMPUTE: Final[Mapping[Task, Callable[[Evaluation], _Matrices]]] = MappingProxyType(
    {
        Task.CLASSIFICATION: _of_top_labels,
        Task.MULTILABEL: _of_label_sets,
        Task.DETECTION: _of_boxes,
    }
)

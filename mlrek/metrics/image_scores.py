"""One score for each image, from 0 to 1, by which a slice is compared with the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import BoolArray, Evaluation, FloatArray, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.counts import LabelCounts, divide, pair_records
from mlrek.metrics.decisions import Sample, count_images, decide_records, find_exact, predict
from mlrek.metrics.detection import IOU_THRESHOLD
from mlrek.metrics.detection.matching import NO_MATCH, arrange_boxes
from mlrek.metrics.detection.outcomes import decide_boxes, find_outcomes

TOP_LABEL_NOTE: Final = (
    "under the notebook rule images count several times: slices are compared by the top label of "
    "each image"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScores:
    """The score of each image, (n_images,), NaN of one that does not count.

    `name` is the number that is its mean. `is_share`: each is 0 or 1. `sample` are
    the predictions that decide it, where each image has one label.
    """

    name: str
    values: FloatArray
    is_share: bool
    sample: Sample | None = None
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> BoolArray:
        """Which images count, (n_images,)."""
        return ~np.isnan(self.values)


def score_each_image(evaluation: Evaluation, rule: PredictionRule) -> ImageScores:
    """Whether an image is wholly right; of boxes their F1 and of masks their mean IoU.

    An image on which nothing is true and nothing predicted has the score 1. Images without truth
    do not count where each has one label, nor do images whose masks could not be read.

    Raises:
        EvaluationError: The evaluation contradicts its task.
    """
    return _SCORES[evaluation.task](evaluation, rule)


def _score_top_labels(evaluation: Evaluation, rule: PredictionRule) -> ImageScores:
    is_notebook = rule is PredictionRule.NOTEBOOK
    sample = predict(evaluation, PredictionRule.TOP1 if is_notebook else rule)
    values = np.where(sample.counted, sample.is_right.astype(np.float64), np.nan)
    notes = (TOP_LABEL_NOTE,) if is_notebook else ()
    return ImageScores(name="accuracy", values=values, is_share=True, sample=sample, notes=notes)


def _score_label_sets(evaluation: Evaluation, _rule: PredictionRule) -> ImageScores:
    is_predicted = decide_records(evaluation).is_predicted
    images = count_images(pair_records(evaluation), is_predicted, evaluation.truth)
    values = find_exact(images).astype(np.float64)
    return ImageScores(name="subset_accuracy", values=values, is_share=True)


def _score_boxes(evaluation: Evaluation, _rule: PredictionRule) -> ImageScores:
    if evaluation.detections is None:
        raise EvaluationError(f"{evaluation.version.arn}: a detection without boxes")
    detections, n = evaluation.detections, len(evaluation.images)
    decision = decide_boxes(evaluation, detections.records)
    scenes = arrange_boxes(detections, decision.is_detection, len(evaluation.labels), IOU_THRESHOLD)
    outcomes = find_outcomes(scenes.keep(decision.is_predicted[scenes.records]), IOU_THRESHOLD)
    found = outcomes.predicted.image_idx[outcomes.matches != NO_MATCH]
    tp, predicted, support = (
        np.bincount(image_idx, minlength=n)
        for image_idx in (found, outcomes.predicted.image_idx, outcomes.truth.image_idx)
    )
    values = divide(2 * tp, predicted + support, empty=1.0)
    return ImageScores(name="f1_samples", values=values, is_share=False)


def _score_masks(evaluation: Evaluation, _rule: PredictionRule) -> ImageScores:
    if evaluation.masks is None:
        raise EvaluationError(f"{evaluation.version.arn}: a segmentation without counts of pixels")
    masks, n = evaluation.masks, len(evaluation.images)
    counts = LabelCounts(tp=masks.tp, predicted=masks.tp + masks.fp, support=masks.tp + masks.fn)
    kept = counts.occurs
    iou = divide(masks.tp, masks.tp + masks.fp + masks.fn, empty=0.0)
    total = np.bincount(masks.image_idx[kept], weights=iou[kept], minlength=n)
    values = divide(total, np.bincount(masks.image_idx[kept], minlength=n), empty=1.0)
    values[~masks.readable] = np.nan
    return ImageScores(name="iou_samples", values=values, is_share=False)


_Score = Callable[[Evaluation, PredictionRule], ImageScores]
_SCORES: Mapping[Task, _Score] = MappingProxyType(
    {
        Task.CLASSIFICATION: _score_top_labels,
        Task.MULTILABEL: _score_label_sets,
        Task.DETECTION: _score_boxes,
        Task.SEGMENTATION: _score_masks,
    }
)

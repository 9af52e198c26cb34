"""All numbers of one version: the one entry to this package."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from mlrek.evaluation import Evaluation, IntArray, Reported, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.classification import compute_classification, compute_from_counts
from mlrek.metrics.doubts import doubt_constant, doubt_fitted, doubt_records, doubt_short
from mlrek.metrics.grouped import doubt_grouped
from mlrek.metrics.intervals import CONFIDENCE
from mlrek.metrics.left_out import Sampling
from mlrek.metrics.multilabel import compute_multilabel
from mlrek.metrics.positive_class import add_positive_class
from mlrek.metrics.ranking import RankedPairs
from mlrek.metrics.reported import Basis, reconcile


class _Compute(Protocol):
    def __call__(
        self,
        evaluation: Evaluation,
        rule: PredictionRule,
        sampling: Sampling,
        *,
        curves: bool = True,
        ranked: RankedPairs | None = None,
    ) -> Metrics: ...


def compute_metrics(
    evaluation: Evaluation,
    *,
    prediction_rule: PredictionRule = PredictionRule.TOP1,
    intervals: bool = True,
    confidence: float = CONFIDENCE,
    groups: IntArray | None = None,
) -> Metrics:
    """Every number of a version, with intervals, curves, predictions and warnings.

    Args:
        evaluation: What was read. Without images only the provider's own numbers are reconciled.
        prediction_rule: Which record is an image's prediction in one-label classification.
        intervals: False leaves out those that follow by no formula.
        confidence: Of every interval, between 0 and 1.
        groups: A code for the group of each image, (n_images,): the units of every interval.

    Raises:
        EvaluationError: The evaluation contradicts its task.
    """
    sampling = Sampling(confidence=confidence, groups=groups, intervals=intervals)
    if not evaluation.has_images:
        counted = compute_from_counts(evaluation, sampling)
        if counted is None:
            return _doubt(_list_reported(evaluation, prediction_rule), evaluation)
        counted = _doubt(counted, evaluation)
        return _warn_unused(prediction_rule, counted, "published counts are of the top labels")
    compute = _COMPUTE[evaluation.task]
    metrics = compute(evaluation, prediction_rule, sampling, curves=evaluation.is_scored)
    if evaluation.baseline is not None:
        base = replace(evaluation, records=evaluation.baseline, reported=Reported(), baseline=None)
        numbers = compute(base, prediction_rule, sampling, curves=False).aggregate
        metrics = replace(metrics, baseline=numbers)
    metrics = _add_positive_class(metrics, evaluation, prediction_rule, sampling)
    return _doubt(metrics, evaluation, groups)


def compute_numbers(
    evaluation: Evaluation, rule: PredictionRule, ranked: RankedPairs | None = None
) -> Metrics:
    """The numbers and predictions alone: no curves, and of intervals those by formula.

    Also without the numbers of the model that this one was adapted from. `ranked` are the scores of
    a classification, where they are ranked already.

    Raises:
        EvaluationError: The evaluation contradicts its task.
    """
    if not evaluation.has_images:
        return compute_metrics(evaluation, prediction_rule=rule, intervals=False)
    sampling = Sampling(intervals=False)
    metrics = _COMPUTE[evaluation.task](evaluation, rule, sampling, curves=False, ranked=ranked)
    return _doubt(_add_positive_class(metrics, evaluation, rule, sampling), evaluation)


def _doubt(metrics: Metrics, evaluation: Evaluation, groups: IntArray | None = None) -> Metrics:
    """The metrics with the doubts that show in them."""
    doubts = (
        *doubt_records(evaluation, metrics),
        *doubt_fitted(evaluation, metrics),
        *doubt_grouped(evaluation, metrics),
        *doubt_constant(evaluation, metrics),
        *doubt_short(evaluation, metrics, groups),
    )
    return replace(metrics, doubts=(*metrics.doubts, *doubts))


def _add_positive_class(
    metrics: Metrics, evaluation: Evaluation, rule: PredictionRule, sampling: Sampling
) -> Metrics:
    """The metrics with those of the positive class, where there is one."""
    if not evaluation.pos_label:
        return metrics
    return add_positive_class(metrics, evaluation, rule, sampling)


def _compute_multilabel(
    evaluation: Evaluation,
    rule: PredictionRule,
    sampling: Sampling,
    *,
    curves: bool = True,
    ranked: RankedPairs | None = None,
) -> Metrics:
    metrics = compute_multilabel(evaluation, sampling, curves=curves, ranked=ranked)
    return _warn_unused(
        rule, metrics, f"images here may have several, predicted by {metrics.prediction_rule}"
    )


def _compute_detection(
    evaluation: Evaluation,
    rule: PredictionRule,
    sampling: Sampling,
    *,
    curves: bool = True,
    **_scores: object,
) -> Metrics:
    from mlrek.metrics.detection import compute_detection  # no other task needs it

    metrics = compute_detection(evaluation, sampling, curves=curves)
    return _warn_unused(rule, metrics, "images here have boxes")


def _compute_segmentation(
    evaluation: Evaluation, rule: PredictionRule, sampling: Sampling, **_scores: object
) -> Metrics:
    from mlrek.metrics.segmentation import compute_segmentation  # no other task needs it

    return _warn_unused(rule, compute_segmentation(evaluation, sampling), "images here have masks")


def _warn_unused(rule: PredictionRule, metrics: Metrics, why: str) -> Metrics:
    """Say so where a rule was asked for that this task does not have."""
    if rule == PredictionRule.TOP1:
        return metrics
    warning = f"the prediction rule {rule.value} is for one label an image and was not used: {why}"
    return replace(metrics, warnings=(warning, *metrics.warnings))


_COMPUTE: Mapping[Task, _Compute] = MappingProxyType(
    {
        Task.CLASSIFICATION: compute_classification,
        Task.MULTILABEL: _compute_multilabel,
        Task.DETECTION: _compute_detection,
        Task.SEGMENTATION: _compute_segmentation,
    }
)


def _list_reported(evaluation: Evaluation, rule: PredictionRule) -> Metrics:
    """Without images there is nothing but the provider's own numbers."""
    reconciled = reconcile(evaluation, Basis())
    return Metrics(
        task=evaluation.task,
        labels=evaluation.labels,
        prediction_rule=rule.value if evaluation.task == Task.CLASSIFICATION else "",
        records=None,
        test_images=evaluation.reported.test_images,
        reconciliation=reconciled,
        warnings=(
            "there are no test images to compute from: only the numbers that the provider reports",
        ),
    )

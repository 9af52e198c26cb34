"""All numbers of a model that gives an image one label."""

from collections.abc import Iterator
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import NONE_LABEL, BoolArray, Evaluation, FloatArray, Task
from mlrek.metrics import ConfusionMatrix, Metrics, Number, PredictionRule
from mlrek.metrics.at_threshold import compute_at_threshold
from mlrek.metrics.counts import (
    NO_TRUTH_REASON,
    UNDEFINED_REASONS,
    LabelCounts,
    compute_averages,
    compute_one_label_scores,
    count_labels,
    count_pairs,
)
from mlrek.metrics.crossfit import compute_crossfit
from mlrek.metrics.curves import (
    compute_precision_recall,
    compute_threshold_curves,
    warn_constant,
)
from mlrek.metrics.intervals import resampled_numbers, share_of_images
from mlrek.metrics.label_scores import score_labels, warn_zero_division
from mlrek.metrics.prediction import Sample, describe_predictions, predict
from mlrek.metrics.probabilities import compute_probability_numbers
from mlrek.metrics.ranking import RankedPairs, rank_pairs
from mlrek.metrics.reconciliation import Basis, reconcile
from mlrek.metrics.resampling import Bootstrap, resample_counts

DEPENDENT_REASON: Final = (
    "no interval: some images count several times under the notebook rule, so these are no sample"
)


def compute_classification(
    evaluation: Evaluation,
    rule: PredictionRule,
    bootstrap: Bootstrap,
    *,
    curves: bool = True,
    ranked: RankedPairs | None = None,
) -> Metrics:
    """Every number of a one-label classification that has images.

    Images without truth are left out of all of them, and stand in the predictions alone.

    Args:
        evaluation: What was read.
        rule: Which record is an image's prediction.
        bootstrap: How to resample images for intervals.
        curves: Whether to describe the curves over the confidence, too.
        ranked: The scores, where they are ranked already.
    """
    labels = evaluation.labels
    sample = predict(evaluation, rule)
    ranked = ranked or rank_pairs(evaluation)
    pairs, ranking = ranked.pairs, ranked.ranking
    ap, roc_auc = ranking.score_labels(pairs)
    matrix = _count_sample(sample, len(labels))
    at_threshold = compute_at_threshold(evaluation, pairs, ap, roc_auc, bootstrap.confidence)
    top1 = sample if rule == PredictionRule.TOP1 else predict(evaluation, PredictionRule.TOP1)
    crossfit = compute_crossfit(evaluation, pairs, confidence=bootstrap.confidence)
    reconciled = reconcile(
        evaluation,
        Basis(
            support=pairs.support,
            at_threshold=at_threshold,
            top1=_count_sample(top1, len(labels)),
        ),
    )
    return Metrics(
        task=Task.CLASSIFICATION,
        labels=labels,
        prediction_rule=rule.value,
        records=evaluation.records_kind,
        test_images=len(evaluation.images),
        aggregate=compute_count_numbers(matrix, sample, bootstrap)
        | compute_probability_numbers(pairs, sample, ranking, bootstrap),
        at_threshold=at_threshold.numbers,
        per_label=score_labels(count_labels(matrix), ap, roc_auc, bootstrap.confidence),
        at_threshold_per_label=at_threshold.per_label,
        crossfit=crossfit.numbers,
        crossfit_per_label=crossfit.per_label,
        confusion=_describe_matrix(matrix, labels),
        curves=compute_threshold_curves(evaluation, pairs) if curves else None,
        precision_recall=compute_precision_recall(evaluation, pairs) if curves else (),
        predictions=describe_predictions(sample),
        reconciliation=reconciled,
        warnings=(
            *_warn_without_truth(evaluation),
            *sample.warnings,
            *warn_zero_division(count_labels(matrix), labels),
            *at_threshold.warnings,
            *warn_constant(evaluation, pairs),
        ),
    )


def compute_count_numbers(
    matrix: NDArray[np.int64], sample: Sample, bootstrap: Bootstrap
) -> dict[str, Number]:
    """What follows from the count matrix: plain shares of images by Wilson, the rest resampled."""
    if sample.has_one_row_an_image or not matrix.sum():
        return compute_matrix_numbers(matrix, bootstrap)
    return {
        name: Number(
            value=float(value),
            reason=UNDEFINED_REASONS[name] if np.isnan(value) else DEPENDENT_REASON,
        )
        for name, value in compute_aggregates(count_labels(matrix)).items()
    }


def compute_matrix_numbers(matrix: NDArray[np.int64], bootstrap: Bootstrap) -> dict[str, Number]:
    """What follows from a matrix that counts every image once."""
    counts = count_labels(matrix)
    values = compute_aggregates(counts)
    if not matrix.sum():
        return dict.fromkeys(values, Number(value=nan, reason=NO_TRUTH_REASON))
    resampled = compute_aggregates(resample_counts(matrix, bootstrap))
    numbers = resampled_numbers(values, resampled, UNDEFINED_REASONS, bootstrap.confidence)
    return numbers | _compute_shares(counts, bootstrap.confidence)


def compute_aggregates(
    counts: LabelCounts, among: BoolArray | None = None
) -> dict[str, FloatArray]:
    """All that follows from the counts, in the order of the contract; the counts' batch shape.

    `among` are the labels of macro averages, as in `compute_averages`.
    """
    one_label = compute_one_label_scores(counts)
    first = {name: one_label.pop(name) for name in ("accuracy", "balanced_accuracy")}
    return first | compute_averages(counts, among) | one_label


def _compute_shares(counts: LabelCounts, confidence: float) -> dict[str, Number]:
    """Plain shares of images; each of the three recalls here is the accuracy by another name."""
    n_images = int(counts.support.sum())
    n_predicted = int(counts.predicted.sum())
    n_right = int(counts.tp.sum())
    accuracy = share_of_images(n_right, n_images, confidence)
    shares = {
        "accuracy": accuracy,
        "hamming_loss": share_of_images(n_images - n_right, n_images, confidence),
        "recall_micro": accuracy,
        "recall_weighted": accuracy,
    }
    if n_predicted:
        shares["precision_micro"] = share_of_images(n_right, n_predicted, confidence)
    return shares


def _count_sample(sample: Sample, n_labels: int) -> NDArray[np.int64]:
    return count_pairs(sample.y_true[sample.counted], sample.y_pred[sample.counted], n_labels)


def _describe_matrix(matrix: NDArray[np.int64], labels: tuple[str, ...]) -> ConfusionMatrix:
    """The matrix, with the column `(none)` where some image has no prediction."""
    if matrix[:, -1].any():
        return ConfusionMatrix(counts=matrix, rows=labels, columns=(*labels, NONE_LABEL))
    return ConfusionMatrix(counts=matrix[:, :-1], rows=labels, columns=labels)


def _warn_without_truth(evaluation: Evaluation) -> Iterator[str]:
    n = np.count_nonzero(evaluation.truth.counts == 0)
    if n:
        yield f"{n} of {len(evaluation.images)} test images have no true label and are left out"

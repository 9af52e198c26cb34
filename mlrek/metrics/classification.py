"""All numbers of a model that gives an image one label."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, Task
from mlrek.metrics import ConfusionMatrix, Metrics, Number, PredictionRule
from mlrek.metrics.counts import (
    NO_TRUTH_REASON,
    UNDEFINED_REASONS,
    LabelCounts,
    compute_averages,
    compute_one_label_scores,
    count_labels,
    count_pairs,
)
from mlrek.metrics.curves import compute_at_threshold, warn_constant
from mlrek.metrics.decisions import Sample, list_predictions, predict
from mlrek.metrics.estimates import estimate_counted, widen_means
from mlrek.metrics.left_out import (
    CountsLeftOut,
    Decisions,
    Sampling,
    Units,
    leave_out_decisions,
    leave_out_matrix,
    list_decisions,
    score_labels,
    warn_zero_division,
)
from mlrek.metrics.order_numbers import compute_order_numbers
from mlrek.metrics.probabilities import compute_consistency, compute_probability_numbers
from mlrek.metrics.ranking import RankedPairs, rank_pairs
from mlrek.metrics.reported import Basis, count_reported, reconcile
from mlrek.text import NONE_LABEL

NO_PREDICTION_REASON: Final = "no interval: no image has a prediction"
DEPENDENT_REASON: Final = (
    "no interval: some images count several times under the notebook rule, so these are no sample"
)

_FROM_COUNTS: Final = (
    "there are no test images to compute from: computed are the numbers that the published "
    "confusion matrix gives, of each image's top label whatever its confidence"
)


def compute_classification(
    evaluation: Evaluation,
    rule: PredictionRule,
    sampling: Sampling,
    *,
    curves: bool = True,
    ranked: RankedPairs | None = None,
) -> Metrics:
    """Every number of a one-label classification that has images.

    Images without truth are left out of all of them, and stand in the predictions alone.

    Args:
        evaluation: What was read.
        rule: Which record is an image's prediction.
        sampling: What intervals are made over.
        curves: Whether to describe the curves over the confidence, too.
        ranked: The scores, where they are ranked already.
    """
    labels = evaluation.labels
    sample = predict(evaluation, rule)
    ranked = ranked or rank_pairs(evaluation, is_shared=sampling.groups is not None)
    units = sampling.find_units(len(evaluation.images), evaluation.truth.counts > 0)
    matrix = _count_sample(sample, len(labels))
    ordered = compute_order_numbers(evaluation, ranked, sampling, units, curves=curves)
    areas = ordered.areas
    at_threshold = compute_at_threshold(evaluation, ranked.pairs, areas, units)
    top1 = sample if rule == PredictionRule.TOP1 else predict(evaluation, PredictionRule.TOP1)
    reconciled = reconcile(
        evaluation,
        Basis(
            support=ranked.pairs.support,
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
        aggregate=compute_count_numbers(matrix, sample, units)
        | compute_probability_numbers(ranked, sample, areas, units),
        at_threshold=at_threshold.numbers,
        per_label=areas.score_labels(
            count_labels(matrix), sampling.confidence, _count_groups(sample, units, matrix)
        ),
        at_threshold_per_label=at_threshold.per_label,
        crossfit=ordered.crossfit.numbers,
        crossfit_per_label=ordered.crossfit.per_label,
        confusion=_build_matrix(matrix, labels),
        curves=ordered.curves,
        precision_recall=ordered.precision_recall,
        predictions=list_predictions(sample),
        reconciliation=reconciled,
        extra=compute_consistency(sample) if units.asked and not units.are_groups else {},
        warnings=(
            *_warn_without_truth(evaluation),
            *sample.warnings,
            *warn_zero_division(count_labels(matrix), labels),
            *at_threshold.warnings,
            *warn_constant(evaluation, ranked.pairs),
        ),
    )


def compute_count_numbers(
    matrix: NDArray[np.int64], sample: Sample, units: Units
) -> dict[str, Number]:
    """What follows from the count matrix: plain shares of images by Wilson, the rest by jackknife.

    Args:
        matrix: As `count_pairs` returns it.
        sample: The predictions that it counts.
        units: The units of the images with truth.
    """
    if not sample.has_one_row_an_image and matrix.any():
        return {
            name: Number(
                value=float(value),
                reason=UNDEFINED_REASONS[name] if np.isnan(value) else DEPENDENT_REASON,
            )
            for name, value in compute_aggregates(count_labels(matrix)).items()
        }
    if units.are_groups and matrix.any():
        return _estimate(leave_out_decisions(_list_decisions(sample), units, len(matrix)), units)
    return compute_matrix_numbers(matrix, units)


def compute_matrix_numbers(matrix: NDArray[np.int64], units: Units) -> dict[str, Number]:
    """What follows from a matrix that counts every image once, which are the units."""
    if not matrix.any():
        values = compute_aggregates(count_labels(matrix))
        return dict.fromkeys(values, Number(value=nan, reason=NO_TRUTH_REASON))
    return _estimate(leave_out_matrix(matrix), units)


def _estimate(left_out: CountsLeftOut, units: Units) -> dict[str, Number]:
    numbers = estimate_counted(compute_aggregates, left_out, units, UNDEFINED_REASONS)
    return (
        numbers | widen_means(numbers, left_out, units) | _estimate_shares(numbers, left_out, units)
    )


def compute_aggregates(
    counts: LabelCounts, among: BoolArray | None = None
) -> dict[str, FloatArray]:
    """All that follows from the counts, in the order of the contract; the counts' batch shape.

    `among` are the labels of macro averages, as in `compute_averages`.
    """
    one_label = compute_one_label_scores(counts)
    first = {name: one_label.pop(name) for name in ("accuracy", "balanced_accuracy")}
    return first | compute_averages(counts, among) | one_label


def _estimate_shares(
    numbers: Mapping[str, Number], left_out: CountsLeftOut, units: Units
) -> dict[str, Number]:
    """Plain shares of images; each of the three recalls here is the accuracy by another name.

    Where all images have a prediction, the micro averages of F1 and Jaccard follow from it.
    """
    shares = {
        name: left_out.find_shares("tp", "support").pool()
        for name in ("accuracy", "recall_micro", "recall_weighted")
    }
    shares["hamming_loss"] = left_out.find_shares("fn", "support").pool()
    shares["precision_micro"] = left_out.find_shares("tp", "predicted").pool()
    if not left_out.whole.predicted.any():
        numbers = {**numbers, "precision_micro": Number(value=0.0, reason=NO_PREDICTION_REASON)}
    if left_out.whole.predicted.sum() == left_out.whole.support.sum():
        shares["f1_micro"] = shares["accuracy"]
    found = {name: share.add_to(numbers[name], units.confidence) for name, share in shares.items()}
    if "f1_micro" in found:
        low, high = (_to_jaccard(end) for end in (found["f1_micro"].low, found["f1_micro"].high))
        found["jaccard_micro"] = replace(
            numbers["jaccard_micro"], low=low, high=high, reason=found["f1_micro"].reason
        )
    return found


def _to_jaccard(f1: float) -> float:
    """TP / (TP + FP + FN) from 2 TP / (2 TP + FP + FN)."""
    return f1 / (2 - f1)


def _count_groups(sample: Sample, units: Units, matrix: NDArray[np.int64]) -> LabelCounts | None:
    """The counts of each group, (n_groups, n_labels), where there are groups."""
    if not units.are_groups or not sample.has_one_row_an_image:
        return None
    return leave_out_decisions(_list_decisions(sample), units, len(matrix)).by_group


def _list_decisions(sample: Sample) -> Decisions:
    return list_decisions(sample.y_true[sample.counted], sample.y_pred[sample.counted])


def _count_sample(sample: Sample, n_labels: int) -> NDArray[np.int64]:
    return count_pairs(sample.y_true[sample.counted], sample.y_pred[sample.counted], n_labels)


def _build_matrix(matrix: NDArray[np.int64], labels: tuple[str, ...]) -> ConfusionMatrix:
    """The matrix, with the column `(none)` where some image has no prediction."""
    if matrix[:, -1].any():
        return ConfusionMatrix(counts=matrix, rows=labels, columns=(*labels, NONE_LABEL))
    return ConfusionMatrix(counts=matrix[:, :-1], rows=labels, columns=labels)


def _warn_without_truth(evaluation: Evaluation) -> Iterator[str]:
    n = np.count_nonzero(evaluation.truth.counts == 0)
    if n:
        yield f"{n} of {len(evaluation.images)} test images have no true label and are left out"


def compute_from_counts(evaluation: Evaluation, sampling: Sampling) -> Metrics | None:
    """Accuracy, averages, kappa, … from published counts; None where these are not all there.

    Google's matrix holds the top label of each image, so the numbers are those of the rule `top1`.
    """
    matrix = find_whole_matrix(evaluation)
    if matrix is None:
        return None
    labels, counts = evaluation.labels, count_labels(matrix)
    unknown = np.full(len(labels), nan)
    units = replace(sampling, groups=None).find_units(int(matrix.sum()))
    reconciled = reconcile(evaluation, Basis(support=counts.support))
    return Metrics(
        task=Task.CLASSIFICATION,
        labels=labels,
        prediction_rule=PredictionRule.TOP1.value,
        records=None,
        test_images=int(matrix.sum()),
        aggregate=compute_matrix_numbers(matrix, units),
        per_label=score_labels(counts, unknown, unknown, sampling.confidence),
        confusion=ConfusionMatrix(counts=matrix[:, :-1], rows=labels, columns=labels),
        reconciliation=reconciled,
        warnings=(
            _FROM_COUNTS,
            *warn_zero_division(counts, labels),
        ),
    )


def find_whole_matrix(evaluation: Evaluation) -> NDArray[np.int64] | None:
    """The published counts, where they are those of the whole test set and of all labels.

    Returns:
        (n_labels, n_labels + 1), rows true, columns predicted, the last one (no prediction) empty.
    """
    published = count_reported(evaluation)
    if evaluation.task is not Task.CLASSIFICATION or published is None:
        return None
    labels, counts = published
    n_images = evaluation.reported.test_images
    is_whole = n_images is None or counts.sum() == n_images
    if not is_whole or not counts.any() or set(labels) != set(evaluation.labels):
        return None
    places = [labels.index(label) for label in evaluation.labels]
    matrix = np.zeros((len(places), len(places) + 1), dtype=np.int64)
    matrix[:, :-1] = counts[np.ix_(places, places)]
    return matrix

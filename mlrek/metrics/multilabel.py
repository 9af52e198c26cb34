"""All numbers of a model that gives an image any number of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, Task
from mlrek.metrics import ConfusionMatrix, Metrics, Number, Predictions
from mlrek.metrics.areas import estimate_areas
from mlrek.metrics.counts import (
    FRACTIONS,
    NOTHING_REASON,
    LabelCounts,
    Pairs,
    compute_averages,
    count_predicted,
    divide,
    find_codes,
    pair_codes,
)
from mlrek.metrics.curves import compute_at_threshold, warn_constant
from mlrek.metrics.decisions import (
    AVERAGE_NAMES,
    count_images,
    decide_records,
    find_exact,
    score_images,
    warn_empty_images,
)
from mlrek.metrics.estimates import (
    estimate_counted,
    estimate_number,
    estimate_statistic,
    leave_out_of_mean,
    widen_means,
)
from mlrek.metrics.left_out import (
    CountsLeftOut,
    Sampling,
    Units,
    leave_out_decisions,
    list_pair_decisions,
    warn_zero_division,
)
from mlrek.metrics.order_numbers import compute_order_numbers
from mlrek.metrics.ranking import RANKING_REASONS, RankedPairs, rank_pairs, rank_pooled
from mlrek.metrics.reported import Basis, reconcile
from mlrek.metrics.shares import Shares
from mlrek.text import NONE_LABEL

_MICRO_NAMES: Final = ("average_precision_micro",)
_UNDEFINED_REASONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(AVERAGE_NAMES, NOTHING_REASON),
        "hamming_loss": "there is no label",
        **RANKING_REASONS,
    }
)

_OUTCOMES: Final = np.array(["TP", "FP", "FN", "TN"], dtype=object)
_TP, _FP, _FN, _TN = range(4)


def compute_multilabel(
    evaluation: Evaluation,
    sampling: Sampling,
    *,
    curves: bool = True,
    ranked: RankedPairs | None = None,
) -> Metrics:
    """Every number of a multi-label classification that has images; its `curves` if asked for.

    Images without truth count: they can only add false positives. `ranked` are the scores, where
    they are ranked already.
    """
    labels, truth = evaluation.labels, evaluation.truth
    decision = decide_records(evaluation)
    ranked = ranked or rank_pairs(evaluation, is_shared=sampling.groups is not None)
    pairs, units = ranked.pairs, sampling.find_units(len(evaluation.images))
    counts = count_predicted(pairs, decision.is_predicted)
    images = count_images(pairs, decision.is_predicted, truth)
    left_out = leave_out_decisions(
        list_pair_decisions(truth, pairs, decision.is_predicted), units, len(labels)
    )
    ordered = compute_order_numbers(evaluation, ranked, sampling, units, curves=curves)
    areas = ordered.areas
    at_threshold = compute_at_threshold(evaluation, pairs, areas, units)
    reconciled = reconcile(evaluation, Basis(support=pairs.support, at_threshold=at_threshold))
    return Metrics(
        task=Task.MULTILABEL,
        labels=labels,
        prediction_rule=decision.rule,
        records=evaluation.records_kind,
        test_images=len(evaluation.images),
        aggregate=_estimate_averages(left_out, images, units)
        | dict(areas.macro)
        | _estimate_pooled(ranked, units),
        at_threshold=at_threshold.numbers,
        per_label=areas.score_labels(counts, sampling.confidence, left_out.by_group),
        at_threshold_per_label=at_threshold.per_label,
        crossfit=ordered.crossfit.numbers,
        crossfit_per_label=ordered.crossfit.per_label,
        confusion=count_decisions(counts, labels),
        curves=ordered.curves,
        precision_recall=ordered.precision_recall,
        predictions=list_label_predictions(evaluation, pairs, decision.is_predicted),
        reconciliation=reconciled,
        warnings=(
            *decision.warnings,
            *warn_zero_division(counts, labels),
            *warn_empty_images(images),
            *at_threshold.warnings,
            *warn_constant(evaluation, pairs),
        ),
    )


def compute_label_averages(evaluation: Evaluation, sampling: Sampling) -> dict[str, Number]:
    """The averages alone: of decisions, and of the areas of labels."""
    decision = decide_records(evaluation)
    ranked = rank_pairs(evaluation, is_shared=sampling.groups is not None)
    pairs, units = ranked.pairs, sampling.find_units(len(evaluation.images))
    images = count_images(pairs, decision.is_predicted, evaluation.truth)
    decisions = list_pair_decisions(evaluation.truth, pairs, decision.is_predicted)
    left_out = leave_out_decisions(decisions, units, len(evaluation.labels))
    macro = estimate_areas(ranked, units).macro
    return _estimate_averages(left_out, images, units) | dict(macro)


def _estimate_averages(
    left_out: CountsLeftOut, images: LabelCounts, units: Units
) -> dict[str, Number]:
    """What follows from decisions: averages over labels and over images, with their intervals.

    Args:
        left_out: The decisions of all units, and without each.
        images: The counts of each image in place of each label, (n_images,).
        units: The units of the images.
    """
    numbers = estimate_counted(compute_averages, left_out, units, _UNDEFINED_REASONS)
    numbers |= widen_means(numbers, left_out, units)
    occurs, n_labels = left_out.whole.occurs.any(), left_out.whole.support.shape[-1]
    means = {f"{s}_samples": v for s, v in zip(FRACTIONS, score_images(images), strict=True)}
    for name, values in means.items():
        numbers[name] = _estimate_mean(name, values if occurs else None, units)
    wrong = divide(images.fp + images.fn, np.full(len(images.tp), n_labels))
    return {name: numbers[name] for name in AVERAGE_NAMES} | {
        "subset_accuracy": _estimate_exact(find_exact(images), units),
        "hamming_loss": _estimate_mean("hamming_loss", wrong if n_labels else None, units),
    }


def _estimate_mean(name: str, values: FloatArray | None, units: Units) -> Number:
    """The mean of values of images, with its interval; None: there is none."""
    if values is None or not len(values):
        return Number(value=nan, reason=_UNDEFINED_REASONS[name])
    value = float(values.mean())
    if units.lacking:
        return Number(value=value, reason=units.lacking)
    return estimate_number(name, value, leave_out_of_mean(values, units), units)


def _estimate_exact(is_exact: BoolArray, units: Units) -> Number:
    """The share of images whose labels are all right."""
    once, right = np.ones(len(is_exact), dtype=np.int64), is_exact.astype(np.int64)
    number = Number(value=float(is_exact.mean()), reason=units.lacking)
    shares = Shares(successes=right.sum(keepdims=True), n=once.sum(keepdims=True))
    if units.are_groups:
        successes = np.bincount(units.unit_idx, weights=right)[:, np.newaxis]
        n = np.bincount(units.unit_idx)[:, np.newaxis]
        shares = replace(shares, group_successes=successes.astype(np.int64), group_n=n)
    return shares.add_to(number, units.confidence)


def _estimate_pooled(ranked: RankedPairs, units: Units) -> dict[str, Number]:
    """`average_precision_micro`: all pairs ranked as those of one label."""
    if ranked.missing:
        return dict.fromkeys(_MICRO_NAMES, Number(value=nan, reason=ranked.missing))
    pooled = rank_pooled(ranked.pairs)
    return estimate_statistic(pooled, units.put_in_order(ranked.pairs.places), RANKING_REASONS)


def count_decisions(counts: LabelCounts, labels: Sequence[str]) -> ConfusionMatrix:
    """The decisions on each label as a matrix: no label is confused with another one.

    On the diagonal what is rightly predicted; in the column `(none)` what is true but not
    predicted, in the row `(none)` what is predicted but not true. The row of a label sums to the
    images where it is true, its column to those where it is predicted.
    """
    matrix = np.zeros((len(labels) + 1, len(labels) + 1), dtype=np.int64)
    np.fill_diagonal(matrix[:-1, :-1], counts.tp)
    matrix[:-1, -1], matrix[-1, :-1] = counts.fn, counts.fp
    names = (*labels, NONE_LABEL)
    return ConfusionMatrix(counts=matrix, rows=names, columns=names)


def list_label_predictions(
    evaluation: Evaluation, pairs: Pairs, is_predicted: BoolArray
) -> Predictions:
    """A row for each label of an image that is true or predicted; one for an image without any."""
    truth, n_labels = evaluation.truth, pairs.n_labels
    images_of = pairs.image_idx
    recorded = pair_codes(images_of, pairs.label_idx, n_labels)
    true = pair_codes(truth.image_idx, truth.label_idx, n_labels)
    unrecorded = true[~find_codes(true, recorded)]
    shown = is_predicted | pairs.is_true
    counts = count_images(pairs, is_predicted, truth)
    empty = np.flatnonzero(~counts.occurs)
    outcome = np.where(is_predicted, np.where(pairs.is_true, _TP, _FP), _FN)[shown]

    image_idx = np.concatenate([images_of[shown], unrecorded // max(n_labels, 1), empty])
    label_idx = np.concatenate(
        [pairs.label_idx[shown], unrecorded % max(n_labels, 1), np.full(len(empty), -1)]
    )
    n_others = len(unrecorded), len(empty)
    outcome = np.concatenate([outcome, np.repeat([_FN, _TN], n_others)])
    known = pairs.confidence[shown] if evaluation.is_scored else np.full(shown.sum(), nan)
    confidence = np.concatenate([known, np.full(sum(n_others), nan)])
    order = np.lexsort((label_idx, image_idx))
    outcome, label_idx = outcome[order], label_idx[order]
    return Predictions(
        image_idx=image_idx[order],
        y_true=np.where(outcome == _FP, -1, label_idx),
        y_pred=np.where(outcome == _FN, -1, label_idx),
        confidence=confidence[order],
        outcome=tuple(_OUTCOMES[outcome].tolist()),
    )

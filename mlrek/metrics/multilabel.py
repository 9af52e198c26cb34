"""All numbers of a model that gives an image any number of labels."""

from collections.abc import Mapping, Sequence
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import NONE_LABEL, BoolArray, Evaluation, Task
from mlrek.metrics import ConfusionMatrix, Metrics, Predictions
from mlrek.metrics.at_threshold import compute_at_threshold
from mlrek.metrics.counts import NOTHING_REASON, LabelCounts
from mlrek.metrics.crossfit import compute_crossfit
from mlrek.metrics.curves import (
    compute_precision_recall,
    compute_threshold_curves,
    warn_constant,
)
from mlrek.metrics.decisions import decide_records
from mlrek.metrics.image_sums import (
    AVERAGE_NAMES,
    count_images,
    find_exact,
    sum_images,
    warn_empty_images,
)
from mlrek.metrics.intervals import Plan, compute_planned, share_of_images
from mlrek.metrics.label_scores import score_labels, warn_zero_division
from mlrek.metrics.pairs import (
    Pairs,
    count_predicted,
    find_codes,
    pair_codes,
)
from mlrek.metrics.ranking import RANKING_REASONS, RankedPairs, rank_pairs, rank_pooled
from mlrek.metrics.reconciliation import Basis, reconcile
from mlrek.metrics.resampling import Bootstrap

_SUM_NAMES: Final = (*AVERAGE_NAMES, "subset_accuracy", "hamming_loss")
_MACRO_NAMES: Final = ("average_precision_macro", "roc_auc_macro")
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
    bootstrap: Bootstrap,
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
    ranked = ranked or rank_pairs(evaluation)
    pairs, ranking = ranked.pairs, ranked.ranking
    counts = count_predicted(pairs, decision.is_predicted)
    images = count_images(pairs, decision.is_predicted, truth)
    ap, roc_auc = ranking.score_labels(pairs)
    at_threshold = compute_at_threshold(evaluation, pairs, ap, roc_auc, bootstrap.confidence)
    crossfit = compute_crossfit(evaluation, pairs, confidence=bootstrap.confidence)
    reconciled = reconcile(evaluation, Basis(support=pairs.support, at_threshold=at_threshold))
    plans: dict[tuple[str, ...], Plan] = {
        _SUM_NAMES: sum_images(pairs, decision.is_predicted, truth).compute,
        _MACRO_NAMES: ranking.missing or ranking.compute_macro,
        _MICRO_NAMES: ranking.missing or rank_pooled(pairs),
    }
    numbers = compute_planned(plans, pairs.n_images, bootstrap, _UNDEFINED_REASONS)
    exact = share_of_images(int(find_exact(images).sum()), pairs.n_images, bootstrap.confidence)
    return Metrics(
        task=Task.MULTILABEL,
        labels=labels,
        prediction_rule=decision.rule,
        records=evaluation.records_kind,
        test_images=len(evaluation.images),
        aggregate=numbers | {"subset_accuracy": exact},
        at_threshold=at_threshold.numbers,
        per_label=score_labels(counts, ap, roc_auc, bootstrap.confidence),
        at_threshold_per_label=at_threshold.per_label,
        crossfit=crossfit.numbers,
        crossfit_per_label=crossfit.per_label,
        confusion=describe_decisions(counts, labels),
        curves=compute_threshold_curves(evaluation, pairs) if curves else None,
        precision_recall=compute_precision_recall(evaluation, pairs) if curves else (),
        predictions=describe_predictions(evaluation, pairs, decision.is_predicted),
        reconciliation=reconciled,
        warnings=(
            *decision.warnings,
            *warn_zero_division(counts, labels),
            *warn_empty_images(images),
            *at_threshold.warnings,
            *warn_constant(evaluation, pairs),
        ),
    )


def describe_decisions(counts: LabelCounts, labels: Sequence[str]) -> ConfusionMatrix:
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


def describe_predictions(
    evaluation: Evaluation, pairs: Pairs, is_predicted: BoolArray
) -> Predictions:
    """A row for each label of an image that is true or predicted; one for an image without any."""
    truth, n_labels = evaluation.truth, pairs.n_labels
    recorded = pair_codes(pairs.image_idx, pairs.label_idx, n_labels)
    true = pair_codes(truth.image_idx, truth.label_idx, n_labels)
    unrecorded = true[~find_codes(true, recorded)]
    shown = is_predicted | pairs.is_true
    counts = count_images(pairs, is_predicted, truth)
    empty = np.flatnonzero(~counts.occurs)
    outcome = np.where(is_predicted, np.where(pairs.is_true, _TP, _FP), _FN)[shown]

    image_idx = np.concatenate([pairs.image_idx[shown], unrecorded // max(n_labels, 1), empty])
    label_idx = np.concatenate(
        [pairs.label_idx[shown], unrecorded % max(n_labels, 1), np.full(len(empty), -1)]
    )
    n_others = len(unrecorded), len(empty)
    outcome = np.concatenate([outcome, np.repeat([_FN, _TN], n_others)])
    confidence = np.concatenate([pairs.confidence[shown], np.full(sum(n_others), nan)])
    order = np.lexsort((label_idx, image_idx))
    outcome, label_idx = outcome[order], label_idx[order]
    return Predictions(
        image_idx=image_idx[order],
        y_true=np.where(outcome == _FP, -1, label_idx),
        y_pred=np.where(outcome == _FN, -1, label_idx),
        confidence=confidence[order],
        outcome=tuple(_OUTCOMES[outcome].tolist()),
    )

"""Numbers of one label against the other, where the provider calls one of two the positive class.

They stand beside the averages over both labels, and are scikit-learn's for `pos_label`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import isnan, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray
from mlrek.metrics import Metrics, Number, PredictionRule, Reconciled
from mlrek.metrics.counts import NO_TRUTH_REASON, divide
from mlrek.metrics.curve_scores import score_counts
from mlrek.metrics.decisions import decide_records
from mlrek.metrics.intervals import Plan, compute_planned, share_of_images
from mlrek.metrics.pairs import Pairs, count_predicted, pair_records
from mlrek.metrics.prediction import predict
from mlrek.metrics.ranking import RankedScores, rank_scores
from mlrek.metrics.reconciliation import TOLERANCE
from mlrek.metrics.resampling import Bootstrap, Weights

NAMES: Final = ("precision", "recall", "f1", "roc_auc", "average_precision")

_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "precision": "share of the images predicted as {pos_label} where it is true",
        "recall": "share of the images where {pos_label} is true that are predicted as it",
        "f1": "2 TP / (2 TP + FP + FN) of {pos_label}",
        "roc_auc": (
            "share of (image with {pos_label}, image without) pairs that the confidence in "
            "{pos_label} puts in right order, ties counting half"
        ),
        "average_precision": (
            "Σ (R_k - R_(k-1)) P_k over falling distinct confidences in {pos_label}, without "
            "interpolation"
        ),
    }
)

_F1: Final = NAMES[2:3]
_AREAS: Final = NAMES[3:]
_DECIDED_RULE: Final = "positive class {pos_label}, as the provider decided each image"
_AREA_RULE: Final = "positive class {pos_label}, over all confidences"


def describe_positive_class(pos_label: str) -> dict[str, str]:
    """What each number means, in plain words."""
    return {name: text.format(pos_label=repr(pos_label)) for name, text in _DEFINITIONS.items()}


def add_positive_class(
    metrics: Metrics, evaluation: Evaluation, rule: PredictionRule, bootstrap: Bootstrap
) -> Metrics:
    """The metrics with those of the positive class, which also answer to what was reported."""
    numbers = compute_positive_class(evaluation, rule, bootstrap)
    known = {each.name: each for each in _reconcile(evaluation, numbers)}
    return replace(
        metrics,
        aggregate={**metrics.aggregate, **numbers},
        reconciliation=tuple(known.get(each.name, each) for each in metrics.reconciliation),
        warnings=(
            *metrics.warnings,
            *_warn_notebook(evaluation, rule),
        ),
    )


def compute_positive_class(
    evaluation: Evaluation, rule: PredictionRule, bootstrap: Bootstrap
) -> dict[str, Number]:
    """The numbers in `NAMES`, with intervals; images without truth count nowhere.

    The areas need the confidence in the positive class on every image with truth.

    Args:
        evaluation: With images, and `pos_label` among its labels.
        rule: Which record is an image's prediction; `notebook` counts as `top1`.
        bootstrap: How to resample.
    """
    pairs = pair_records(evaluation, evaluation.truth.counts > 0)
    if not pairs.n_images:
        return dict.fromkeys(NAMES, Number(value=nan, reason=NO_TRUTH_REASON))
    pos_label = repr(evaluation.pos_label)
    counts = _count_hits(evaluation, pairs, rule)
    n_right, n_predicted, n_true = (int(column.sum()) for column in counts.columns)
    plans: dict[tuple[str, ...], Plan] = {
        _F1: counts.compute,
        _AREAS: _plan_areas(evaluation, pairs),
    }
    undefined = {
        "f1": f"no image is {pos_label} or predicted as it",
        "roc_auc": f"{pos_label} is true on all images or on none",
        "average_precision": f"no image is {pos_label}",
    }
    return {
        "precision": _share(
            (n_right, n_predicted), f"no image is predicted as {pos_label}", bootstrap.confidence
        ),
        "recall": _share((n_right, n_true), f"no image is {pos_label}", bootstrap.confidence),
        **compute_planned(plans, pairs.n_images, bootstrap, undefined),
    }


def plan_positive_class(
    evaluation: Evaluation, pairs: Pairs, rule: PredictionRule
) -> dict[tuple[str, ...], Plan]:
    """How to compute all numbers in `NAMES` of weighted images; `pairs` of those with truth."""
    hits = _count_hits(evaluation, pairs, rule)
    return {NAMES[:3]: hits.compute_scores, _AREAS: _plan_areas(evaluation, pairs)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hits:
    """Which images are rightly predicted as the positive class, predicted as it, and truly it.

    `columns` (3, n_images), images by place.
    """

    columns: FloatArray

    def compute(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of `f1`."""
        return {"f1": self.compute_scores(weights)["f1"]}

    def compute_scores(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of `precision`, `recall` and `f1`."""
        n_right, n_predicted, n_true = self.columns @ weights
        return {
            "precision": divide(n_right, n_predicted),
            "recall": divide(n_right, n_true),
            "f1": divide(2 * n_right, n_predicted + n_true),
        }


def _count_hits(evaluation: Evaluation, pairs: Pairs, rule: PredictionRule) -> _Hits:
    sample = predict(evaluation, _replace_notebook(rule))
    code = evaluation.labels.index(evaluation.pos_label)
    is_true = sample.y_true[sample.counted] == code
    is_predicted = sample.y_pred[sample.counted] == code
    columns = np.zeros((3, pairs.n_images))
    columns[:, pairs.places] = is_true & is_predicted, is_predicted, is_true
    return _Hits(columns=columns)


def _replace_notebook(rule: PredictionRule) -> PredictionRule:
    return PredictionRule.TOP1 if rule == PredictionRule.NOTEBOOK else rule


def _warn_notebook(evaluation: Evaluation, rule: PredictionRule) -> Iterator[str]:
    if rule == PredictionRule.NOTEBOOK:
        yield (
            f"the notebook rule knows no positive class: the numbers of {evaluation.pos_label!r} "
            "are those of the rule top1"
        )


def _share(counts: tuple[int, int], undefined: str, confidence: float) -> Number:
    n, n_images = counts
    if not n_images:
        return Number(value=nan, reason=undefined)
    return share_of_images(n, n_images, confidence)


def _plan_areas(evaluation: Evaluation, pairs: Pairs) -> Plan:
    rows = pairs.label_idx == evaluation.labels.index(evaluation.pos_label)
    if n_missing := pairs.n_images - np.count_nonzero(rows):
        return (
            f"needs the confidence in {evaluation.pos_label!r} on every image; it is missing on "
            f"{n_missing} of {pairs.n_images}"
        )
    places = pairs.places[pairs.image_idx[rows]]
    ranked = rank_scores(places, pairs.confidence[rows], pairs.is_true[rows], pairs.n_images)
    return partial(_compute_areas, ranked)


def _compute_areas(ranked: RankedScores, weights: Weights) -> dict[str, FloatArray]:
    average_precision, roc_auc = ranked.compute(weights)
    return {"roc_auc": roc_auc, "average_precision": average_precision}


def _reconcile(evaluation: Evaluation, numbers: Mapping[str, Number]) -> Iterator[Reconciled]:
    """What was reported beside the areas, and beside the scores of the provider's own decisions."""
    decided = _score_decisions(evaluation)
    for name, reported in evaluation.reported.aggregate.items():
        if name not in NAMES:
            continue
        computed = decided.get(name, numbers[name].value)
        rule = _DECIDED_RULE if name in decided else _AREA_RULE
        yield Reconciled(
            name=name,
            reported=reported,
            computed=computed,
            agrees=None if isnan(computed) else abs(reported - computed) <= TOLERANCE,
            rule=rule.format(pos_label=repr(evaluation.pos_label)),
        )


def _score_decisions(evaluation: Evaluation) -> dict[str, float]:
    has_truth = evaluation.truth.counts > 0
    pairs = pair_records(evaluation, has_truth)
    is_predicted = decide_records(evaluation).is_predicted[has_truth[evaluation.records.image_idx]]
    counts = count_predicted(pairs, is_predicted)
    code = evaluation.labels.index(evaluation.pos_label)
    scores = score_counts(counts.tp[code], counts.fp[code], counts.fn[code])
    return {name: float(value) for name, value in scores._asdict().items()}

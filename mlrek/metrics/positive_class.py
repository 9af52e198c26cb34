"""Numbers of one label against the other, where the provider calls one of two the positive class.

They are given as well as the averages over both labels, and are scikit-learn's for `pos_label`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import isnan, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray
from mlrek.metrics import NO_CONFIDENCES, Metrics, Number, PredictionRule, Reconciled
from mlrek.metrics.areas import estimate_area
from mlrek.metrics.counts import (
    NO_TRUTH_REASON,
    LabelCounts,
    Pairs,
    count_predicted,
    divide,
    pair_records,
    score_counts,
)
from mlrek.metrics.decisions import decide_records, predict
from mlrek.metrics.estimates import estimate_statistic
from mlrek.metrics.falling import sort_scores
from mlrek.metrics.intervals import Plan, Statistic, Weights, compute_statistic
from mlrek.metrics.left_out import Sampling, Units, score_labels
from mlrek.metrics.ranking import RankedScores, rank_scores
from mlrek.metrics.reported import TOLERANCE

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

_AREAS: Final = NAMES[3:]
_DECIDED_RULE: Final = "positive class {pos_label}, as the provider decided each image"
_AREA_RULE: Final = "positive class {pos_label}, over all confidences"


def define_positive_class(pos_label: str) -> dict[str, str]:
    """What each number means, in plain words."""
    return {name: text.format(pos_label=repr(pos_label)) for name, text in _DEFINITIONS.items()}


def add_positive_class(
    metrics: Metrics, evaluation: Evaluation, rule: PredictionRule, sampling: Sampling
) -> Metrics:
    """The metrics with those of the positive class, which also answer to what was reported."""
    numbers = compute_positive_class(evaluation, rule, sampling)
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
    evaluation: Evaluation, rule: PredictionRule, sampling: Sampling
) -> dict[str, Number]:
    """The numbers in `NAMES`, with intervals; images without truth count nowhere.

    The areas need the confidence in the positive class on every image with truth.

    Args:
        evaluation: With images, and `pos_label` among its labels.
        rule: Which record is an image's prediction; `notebook` counts as `top1`.
        sampling: What intervals are made over.
    """
    pairs = pair_records(evaluation, evaluation.truth.counts > 0)
    if not pairs.n_images:
        return dict.fromkeys(NAMES, Number(value=nan, reason=NO_TRUTH_REASON))
    pos_label = repr(evaluation.pos_label)
    units = sampling.find_units(len(evaluation.images), evaluation.truth.counts > 0)
    undefined = {
        "precision": f"no image is predicted as {pos_label}",
        "recall": f"no image is {pos_label}",
        "f1": f"no image is {pos_label} or predicted as it",
        "roc_auc": f"{pos_label} is true on all images or on none",
        "average_precision": f"no image is {pos_label}",
    }
    hits = _count_hits(evaluation, pairs, rule).columns[:, pairs.places].astype(np.int64)
    numbers = _estimate_scores(hits, units, undefined)
    plan = _plan_areas(evaluation, pairs)
    if isinstance(plan, str):
        return numbers | dict.fromkeys(_AREAS, Number(value=nan, reason=plan))
    return numbers | _estimate_areas(evaluation, pairs, plan, units, undefined)


def _estimate_scores(
    hits: IntArray, units: Units, undefined: Mapping[str, str]
) -> dict[str, Number]:
    """Precision, recall and F1; `hits` (3, n_images) as `_Hits`, images in their own order."""
    tables = np.array([np.bincount(units.unit_idx, weights=h) for h in hits]).astype(np.int64)
    by_unit = LabelCounts(
        tp=tables[0][:, np.newaxis],
        predicted=tables[1][:, np.newaxis],
        support=tables[2][:, np.newaxis],
    )
    whole = LabelCounts(
        tp=by_unit.tp.sum(axis=0),
        predicted=by_unit.predicted.sum(axis=0),
        support=by_unit.support.sum(axis=0),
    )
    unknown = np.full(1, nan)
    by_group = by_unit if units.are_groups else None
    scores = score_labels(whole, unknown, unknown, units.confidence, by_group)
    return {
        name: _pick(getattr(scores, name), *ends, undefined=undefined[name], lacking=units.lacking)
        for name, ends in (
            ("precision", (scores.precision_low, scores.precision_high)),
            ("recall", (scores.recall_low, scores.recall_high)),
            ("f1", (scores.f1_low, scores.f1_high)),
        )
    }


def _pick(
    value: FloatArray,
    low: FloatArray | None,
    high: FloatArray | None,
    *,
    undefined: str,
    lacking: str,
) -> Number:
    """The number of the only label."""
    ends = [nan if end is None else float(end[0]) for end in (low, high)]
    if isnan(value[0]):
        return Number(value=nan, reason=undefined)
    return Number(
        value=float(value[0]),
        low=ends[0],
        high=ends[1],
        reason=lacking if isnan(ends[0]) else "",
    )


def _estimate_areas(
    evaluation: Evaluation,
    pairs: Pairs,
    statistic: Statistic,
    units: Units,
    undefined: Mapping[str, str],
) -> dict[str, Number]:
    """ROC AUC and average precision of the confidence in the positive class."""
    values = {name: float(v) for name, v in compute_statistic(statistic, pairs.n_images).items()}
    numbers = {
        name: Number(value=value, reason=undefined[name] if isnan(value) else units.lacking)
        for name, value in values.items()
    }
    if units.lacking or not all(number.is_defined for number in numbers.values()):
        return numbers
    if units.are_groups:
        return estimate_statistic(statistic, units.put_in_order(pairs.places), undefined)
    rows = pairs.label_idx == evaluation.labels.index(evaluation.pos_label)
    falling = sort_scores(pairs.confidence[rows], pairs.is_true[rows])
    return estimate_area(falling, values, units)


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


def _plan_areas(evaluation: Evaluation, pairs: Pairs) -> Plan:
    if not evaluation.is_scored:
        return NO_CONFIDENCES
    rows = np.flatnonzero(pairs.label_idx == evaluation.labels.index(evaluation.pos_label))
    if n_missing := pairs.n_images - len(rows):
        return (
            f"needs the confidence in {evaluation.pos_label!r} on every image; it is missing on "
            f"{n_missing} of {pairs.n_images}"
        )
    places = pairs.places[pairs.find_images(rows)]
    ranked = rank_scores(places, pairs.confidence[rows], pairs.is_true[rows], pairs.n_images)
    return partial(_compute_areas, ranked)


def _compute_areas(ranked: RankedScores, weights: Weights) -> dict[str, FloatArray]:
    average_precision, roc_auc = ranked.compute(weights)
    return {"roc_auc": roc_auc, "average_precision": average_precision}


def _reconcile(evaluation: Evaluation, numbers: Mapping[str, Number]) -> Iterator[Reconciled]:
    """What was reported, with the areas and with the scores of the provider's own decisions."""
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

"""The numbers of a version that names what images show, as functions of image weights."""

import numpy as np

from mlrek.comparison.measure import (
    Measure,
    Ordered,
    Scorer,
    Values,
    name_aggregate,
    name_aggregates,
)
from mlrek.comparison.rows import CountSums, Rows, sum_cells, sum_rows
from mlrek.evaluation import Evaluation, IntArray
from mlrek.metrics import PredictionRule
from mlrek.metrics.decisions import decide_records
from mlrek.metrics.image_sums import sum_images
from mlrek.metrics.pairs import Pairs
from mlrek.metrics.positive_class import plan_positive_class
from mlrek.metrics.prediction import predict
from mlrek.metrics.probabilities import plan_score_means
from mlrek.metrics.ranking import RankedPairs, Ranking, average_rankings, rank_pooled
from mlrek.metrics.resampling import Weights


def measure_classification(
    evaluation: Evaluation,
    ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`."""
    has_truth = evaluation.truth.counts > 0
    pairs, ranking = ranked.pairs, ranked.ranking
    statistics: list[Scorer] = []
    if pairs.n_images:
        plans = plan_score_means(pairs, predict(evaluation, rule), ranking)
        if evaluation.pos_label:
            plans |= plan_positive_class(evaluation, pairs, rule)
        statistics = [*name_aggregates(plans), *_rank_labels(ranking, codes)]
    kept = np.flatnonzero(has_truth)
    order = kept[np.argsort(pairs.places)]
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=_find_at_threshold(evaluation, pairs, kept, codes, n_labels),
    )


def measure_multilabel(
    evaluation: Evaluation,
    ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    _rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`, the rule being of no use here."""
    pairs, ranking = ranked.pairs, ranked.ranking
    is_predicted = decide_records(evaluation).is_predicted
    sums = sum_images(pairs, is_predicted, evaluation.truth)
    statistics = [name_aggregate(sums.compute), *_rank_labels(ranking, codes)]
    if not ranking.missing:
        statistics.append(name_aggregate(rank_pooled(pairs)))
    order = np.argsort(pairs.places)
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=_find_at_threshold(
            evaluation, pairs, np.arange(len(evaluation.images)), codes, n_labels
        ),
    )


def _rank_labels(ranking: Ranking, codes: IntArray) -> list[Scorer]:
    """Both areas of each label and their means over labels, of complete records."""

    def compute(weights: Weights) -> Values:
        ap, roc_auc = ranking.compute_labels(weights)
        means = average_rankings(ap, roc_auc)
        values: Values = {(f"aggregate/{name}", None): mean for name, mean in means.items()}
        for i, code in enumerate(codes.tolist()):
            values |= {("label_ap", code): ap[i], ("label_roc_auc", code): roc_auc[i]}
        return values

    return [] if ranking.missing else [compute]


def _find_at_threshold(
    evaluation: Evaluation, pairs: Pairs, kept: IntArray, codes: IntArray, n_labels: int
) -> CountSums | None:
    """Counts at the assumed thresholds; None where none is published."""
    if np.isnan(evaluation.thresholds).all():
        return None
    return sum_at_threshold(evaluation, pairs, kept, codes, n_labels)


def sum_at_threshold(
    evaluation: Evaluation, pairs: Pairs, kept: IntArray, codes: IntArray, n_labels: int
) -> CountSums:
    """Counts at the assumed thresholds; a label that has none is predicted nowhere.

    `kept` are the images that the pairs count, in order; `codes` (n_own_labels,) the shared code of
    each label.
    """
    reaches = pairs.confidence >= evaluation.thresholds[pairs.label_idx]
    right = reaches & pairs.is_true
    images, label_idx, truth = kept[pairs.image_idx], codes[pairs.label_idx], evaluation.truth
    parts = [(label_idx[mask], images[mask]) for mask in (right, reaches)]
    parts.append((codes[truth.label_idx], truth.image_idx))
    return sum_cells(parts, n_labels, len(evaluation.images))

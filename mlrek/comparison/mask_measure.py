"""The numbers of a version that marks areas, as functions of image weights."""

from functools import partial

import numpy as np

from mlrek.comparison.measure import (
    LABEL_SCORES,
    Measure,
    Ordered,
    Values,
    name_aggregate,
    name_aggregates,
)
from mlrek.comparison.rows import Rows, sum_rows
from mlrek.evaluation import Evaluation, IntArray
from mlrek.metrics import PredictionRule
from mlrek.metrics.counts import FRACTIONS, divide
from mlrek.metrics.pairs import order_images, pair_records
from mlrek.metrics.positive_class import plan_positive_class
from mlrek.metrics.ranking import RankedPairs
from mlrek.metrics.resampling import Weights
from mlrek.metrics.segmentation import ImageAreas, sum_areas


def measure_segmentation(
    evaluation: Evaluation,
    _ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`."""
    masks = evaluation.masks
    assert masks is not None  # noqa: S101 - the metrics have refused it before
    places = order_images(evaluation.images)
    areas = sum_areas(masks, places, len(evaluation.labels))
    readable = np.flatnonzero(masks.readable)
    order = readable[np.argsort(places[readable])]
    statistics = [
        Ordered(order=order, compute=name_aggregate(areas.compute_averages)),
        Ordered(order=order, compute=partial(_score_areas, areas, codes)),
    ]
    has_truth = evaluation.truth.counts > 0
    if evaluation.pos_label and has_truth.any():
        pairs = pair_records(evaluation, has_truth)
        order = np.flatnonzero(has_truth)[np.argsort(pairs.places)]
        plans = plan_positive_class(evaluation, pairs, rule)
        statistics += [Ordered(order=order, compute=each) for each in name_aggregates(plans)]
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=None,
    )


def _score_areas(areas: ImageAreas, codes: IntArray, weights: Weights) -> Values:
    """IoU, Dice, and the scores in pixels of each label."""
    sums = areas.sum(weights)
    pixels = {score: divide(*FRACTIONS[score](sums.pixels)).T for score in LABEL_SCORES}
    scores = {"iou": sums.mean_iou, "dice": sums.mean_dice, **pixels}
    return {
        (f"label_{name}", code): values[i]
        for name, values in scores.items()
        for i, code in enumerate(codes.tolist())
    }

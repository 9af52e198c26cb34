"""How the numbers of a version with boxes or masks follow from weights of its images."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from mlrek.comparison.rows import (
    LABEL_SCORES,
    CountSums,
    Measure,
    Ordered,
    Rows,
    Scorer,
    Values,
    name_aggregate,
    name_aggregates,
    sum_cells,
    sum_rows,
)
from mlrek.evaluation import Evaluation, IntArray, RecordsKind
from mlrek.metrics import PredictionRule
from mlrek.metrics.counts import FRACTIONS, divide, order_images, pair_records
from mlrek.metrics.detection import IOU_THRESHOLD
from mlrek.metrics.detection.ap import (
    ALL_SIZES,
    IOU_THRESHOLDS,
    RECALL,
    RankedDetections,
    average_areas,
    plan_sizes,
    rank_boxes,
)
from mlrek.metrics.detection.matching import arrange_boxes
from mlrek.metrics.detection.outcomes import decide_boxes
from mlrek.metrics.intervals import Weights
from mlrek.metrics.positive_class import plan_positive_class
from mlrek.metrics.segmentation import ImageAreas, sum_areas


def measure_detection(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int
) -> Measure:
    """Those of boxes; arguments as of `mlrek.comparison.measured.MEASURES`."""
    detections = evaluation.detections
    assert detections is not None  # noqa: S101 - the metrics have refused it before
    decision = decide_boxes(evaluation, detections.records)
    scenes = arrange_boxes(
        detections,
        decision.is_detection,
        len(evaluation.labels),
        min(IOU_THRESHOLD, IOU_THRESHOLDS[0]),
    )
    if decision.kind != RecordsKind.COMPLETE:
        scenes = scenes.keep(decision.is_predicted[scenes.records])
    places = order_images(evaluation.images)
    ranked = rank_boxes(scenes, places, ALL_SIZES)
    statistics: list[Scorer] = [partial(_recall_boxes, ranked)]
    if evaluation.is_scored:
        statistics = [
            partial(_average_boxes, ranked, codes),
            *name_aggregates(plan_sizes(scenes, places)),
        ]
    order, labels = np.argsort(places), sum_rows(rows, n_labels)
    flagged = decision.is_flagged.all()
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=labels,
        at_threshold=_sum_flags(evaluation, codes, n_labels) if flagged else labels,
    )


def _average_boxes(ranked: Sequence[RankedDetections], codes: IntArray, weights: Weights) -> Values:
    """COCO's averages, and the average precision of each label."""
    computed = [one.compute(weights) for one in ranked]
    ap = np.mean([area for area, _ in computed], axis=0)
    averages = average_areas(computed)
    values: Values = {(f"aggregate/{name}", None): mean for name, mean in averages.items()}
    return values | {("label_ap", code): ap[i] for i, code in enumerate(codes.tolist())}


def _recall_boxes(ranked: Sequence[RankedDetections], weights: Weights) -> Values:
    """What needs no confidences."""
    averages = average_areas([one.compute(weights) for one in ranked])
    return {(f"aggregate/{RECALL}", None): averages[RECALL]}


def _sum_flags(evaluation: Evaluation, codes: IntArray, n_labels: int) -> CountSums:
    """Counts by the provider's flags; true boxes without a record are misses of their image."""
    assert evaluation.detections is not None  # noqa: S101 - the metrics have refused it before
    records, truth = evaluation.detections.records, evaluation.detections.truth
    decision = decide_boxes(evaluation, records)
    images, label_idx = records.image_idx, codes[records.label_idx]
    hit = decision.is_predicted & decision.is_matched
    n_images = len(evaluation.images)
    own = np.bincount(
        images[decision.is_matched] * n_labels + label_idx[decision.is_matched],
        minlength=n_images * n_labels,
    )
    cells = truth.image_idx * n_labels + codes[truth.label_idx]
    true = np.bincount(cells[truth.counted], minlength=n_images * n_labels)
    support = np.maximum(own, true)
    cells = np.repeat(np.arange(len(support)), support)
    return sum_cells(
        [
            (label_idx[hit], images[hit]),
            (label_idx[decision.is_predicted], images[decision.is_predicted]),
            (cells % n_labels, cells // n_labels),
        ],
        n_labels,
        n_images,
    )


def measure_segmentation(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int, rule: PredictionRule
) -> Measure:
    """Those of masks; arguments as of `mlrek.comparison.measured.MEASURES`."""
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

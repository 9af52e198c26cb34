"""The numbers of a version that finds objects, as functions of image weights."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from mlrek.comparison.measure import Measure, Ordered, Scorer, Values, name_aggregates
from mlrek.comparison.rows import CountSums, Rows, sum_cells, sum_rows
from mlrek.evaluation import Evaluation, IntArray, RecordsKind
from mlrek.metrics import PredictionRule
from mlrek.metrics.detection import IOU_THRESHOLD
from mlrek.metrics.detection_ap import IOU_THRESHOLDS, RankedDetections, average_areas
from mlrek.metrics.detection_boxes import arrange_boxes
from mlrek.metrics.detection_numbers import ALL_SIZES, plan_sizes, rank_boxes
from mlrek.metrics.detection_records import decide_boxes
from mlrek.metrics.pairs import order_images
from mlrek.metrics.ranking import RankedPairs
from mlrek.metrics.resampling import Weights


def measure_detection(
    evaluation: Evaluation,
    _ranked: RankedPairs,
    rows: Rows,
    codes: IntArray,
    n_labels: int,
    _rule: PredictionRule,
) -> Measure:
    """How they follow; arguments as of `MEASURES`, rule and scores being of no use here."""
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
    statistics: list[Scorer] = [
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
    true = np.bincount(
        truth.image_idx * n_labels + codes[truth.label_idx], minlength=n_images * n_labels
    )
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

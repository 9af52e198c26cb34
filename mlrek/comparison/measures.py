"""All numbers of a version as functions of image weights, so that two can share resamples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.comparison.rows import CountSums, Rows, sum_cells, sum_rows
from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.at_threshold import AT_THRESHOLD_NAMES
from mlrek.metrics.classification import compute_aggregates
from mlrek.metrics.counts import FRACTIONS, LabelCounts, compute_averages, divide
from mlrek.metrics.decisions import decide_records
from mlrek.metrics.detection import IOU_THRESHOLD
from mlrek.metrics.detection_ap import IOU_THRESHOLDS, RankedDetections, average_areas
from mlrek.metrics.detection_boxes import arrange_boxes
from mlrek.metrics.detection_numbers import ALL_SIZES, plan_sizes, rank_boxes
from mlrek.metrics.detection_records import decide_boxes
from mlrek.metrics.image_sums import sum_images
from mlrek.metrics.intervals import Plan
from mlrek.metrics.pairs import Pairs, order_images, pair_records
from mlrek.metrics.positive_class import plan_positive_class
from mlrek.metrics.prediction import predict
from mlrek.metrics.probabilities import plan_score_means
from mlrek.metrics.ranking import Ranking, average_rankings, rank_pooled, rank_records
from mlrek.metrics.resampling import Statistic, Weights
from mlrek.metrics.segmentation import ImageAreas, sum_areas

LABEL_SCORES: Final = ("precision", "recall", "f1")
AREA_SCORES: Final = ("iou", "dice")
HAMMING: Final = ("aggregate/hamming_loss", "")

Values = dict[tuple[str, str], FloatArray]
"""Values of resamples, each (n,), by the number's name and label ('' for none)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A statistic and the images, (n_rows,), whose weights it takes, in its order.

    Its names are whole (`aggregate/ap`), or `label_<score>/<shared code>`.
    """

    order: IntArray
    compute: Statistic

    def apply(self, weights: Weights, labels: tuple[str, ...]) -> Values:
        """Its values by name and label; weights (n_images, n) of all images."""
        values: Values = {}
        for name, column in self.compute(np.ascontiguousarray(weights[self.order])).items():
            group, _, rest = name.partition("/")
            is_label = group.startswith("label_")
            values[(group, labels[int(rest)]) if is_label else (name, "")] = column
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How the numbers of one version follow from the weights of its images.

    `labels` counts what is predicted of each label, `at_threshold` what is at the assumed
    thresholds (None: none are published); all else are `statistics`. `known_share` of the labels
    of both versions are the version's own.
    """

    task: Task
    known_share: float
    statistics: tuple[Ordered, ...]
    labels: CountSums
    at_threshold: CountSums | None

    def count(self, weights: Weights) -> dict[str, LabelCounts]:
        """Label counts of weighted images by what they are for."""
        counts = {"labels": self.labels.compute(weights)}
        if self.at_threshold is not None:
            counts["at_threshold"] = self.at_threshold.compute(weights)
        return counts

    def average(self, counts: Mapping[str, LabelCounts], among: Mapping[str, BoolArray]) -> Values:
        """The numbers that follow from label counts; `among` as in `compute`."""
        values: Values = {}
        if self.task in _AVERAGES:
            found = _AVERAGES[self.task](counts["labels"], among.get("labels"))
            values |= {(f"aggregate/{name}", ""): v for name, v in found.items()}
        if "at_threshold" in counts:
            found = compute_averages(counts["at_threshold"], among.get("at_threshold"))
            values |= {(f"at_threshold/{n}", ""): found[n] for n in AT_THRESHOLD_NAMES}
        return values

    def compute(
        self,
        weights: Weights,
        counts: Mapping[str, LabelCounts],
        among: Mapping[str, BoolArray],
        labels: tuple[str, ...],
    ) -> Values:
        """Every number of weighted images; weights (n_images, n), `counts` of them.

        `among` are the labels of macro averages where they are not the version's own; wrong cells
        are then a share of those of all labels.
        """
        values: Values = {}
        for statistic in self.statistics:
            if len(statistic.order):
                values |= statistic.apply(weights, labels)
        if among and HAMMING in values and self.task is Task.MULTILABEL:
            values[HAMMING] = values[HAMMING] * self.known_share
        values |= self.average(counts, among)
        if self.task is not Task.SEGMENTATION:  # whose labels are counted in pixels
            values |= _score_labels(counts["labels"], labels)
        return values


def _score_labels(counts: LabelCounts, labels: tuple[str, ...]) -> Values:
    values: Values = {}
    for score in LABEL_SCORES:
        columns = divide(*FRACTIONS[score](counts))
        values |= {(f"label_{score}", label): columns[..., i] for i, label in enumerate(labels)}
    return values


def describe_measure(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int, rule: PredictionRule
) -> Measure:
    """How the numbers of an evaluation follow from image weights.

    Args:
        evaluation: With images.
        rows: Its predictions in shared codes.
        codes: The shared code of each of its labels.
        n_labels: How many shared codes there are.
        rule: What is an image's prediction, where it has one label.
    """
    return _MEASURES[evaluation.task](evaluation, rows, codes, n_labels, rule)


def _measure_classification(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int, rule: PredictionRule
) -> Measure:
    has_truth = evaluation.truth.counts > 0
    pairs = pair_records(evaluation, has_truth)
    statistics: list[Statistic] = []
    if pairs.n_images:
        ranking = rank_records(evaluation, pairs)
        plans = plan_score_means(pairs, predict(evaluation, rule), ranking)
        if evaluation.pos_label:
            plans |= plan_positive_class(evaluation, pairs, rule)
        statistics = [*_name_aggregates(plans), *_rank_labels(ranking, codes)]
    kept = np.flatnonzero(has_truth)
    order = kept[np.argsort(pairs.places)]
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=_sum_at_threshold(evaluation, pairs, kept, codes, n_labels),
    )


def _measure_multilabel(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int, _rule: PredictionRule
) -> Measure:
    pairs = pair_records(evaluation)
    ranking = rank_records(evaluation, pairs)
    is_predicted = decide_records(evaluation).is_predicted
    sums = sum_images(pairs, is_predicted, evaluation.truth)
    plans: dict[tuple[str, ...], Plan] = {
        ("sums",): sums.compute,
        ("micro",): ranking.missing or rank_pooled(pairs),
    }
    statistics = [*_name_aggregates(plans), *_rank_labels(ranking, codes)]
    order = np.argsort(pairs.places)
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(Ordered(order=order, compute=each) for each in statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=_sum_at_threshold(
            evaluation, pairs, np.arange(len(evaluation.images)), codes, n_labels
        ),
    )


def _measure_detection(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int, _rule: PredictionRule
) -> Measure:
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
    statistics: list[Statistic] = [
        partial(_average_boxes, ranked, codes),
        *_name_aggregates(plan_sizes(scenes, places)),
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


def _measure_segmentation(
    evaluation: Evaluation, rows: Rows, codes: IntArray, n_labels: int, rule: PredictionRule
) -> Measure:
    masks = evaluation.masks
    assert masks is not None  # noqa: S101 - the metrics have refused it before
    places = order_images(evaluation.images)
    areas = sum_areas(masks, places, len(evaluation.labels))
    readable = np.flatnonzero(masks.readable)
    order = readable[np.argsort(places[readable])]
    statistics = [
        Ordered(order=order, compute=_name_aggregate(areas.compute_averages)),
        Ordered(order=order, compute=partial(_score_areas, areas, codes)),
    ]
    has_truth = evaluation.truth.counts > 0
    if evaluation.pos_label and has_truth.any():
        pairs = pair_records(evaluation, has_truth)
        order = np.flatnonzero(has_truth)[np.argsort(pairs.places)]
        plans = plan_positive_class(evaluation, pairs, rule)
        statistics += [Ordered(order=order, compute=each) for each in _name_aggregates(plans)]
    return Measure(
        task=evaluation.task,
        known_share=len(codes) / max(n_labels, 1),
        statistics=tuple(statistics),
        labels=sum_rows(rows, n_labels),
        at_threshold=None,
    )


def _name_aggregates(plans: Mapping[tuple[str, ...], Plan]) -> list[Statistic]:
    """What can be computed of plans, named as aggregates."""
    return [_name_aggregate(plan) for plan in plans.values() if not isinstance(plan, str)]


def _name_aggregate(statistic: Statistic) -> Statistic:
    def compute(weights: Weights) -> dict[str, FloatArray]:
        return {f"aggregate/{name}": values for name, values in statistic(weights).items()}

    return compute


def _rank_labels(ranking: Ranking, codes: IntArray) -> list[Statistic]:
    """Both areas of each label and their means over labels, of complete records."""

    def compute(weights: Weights) -> dict[str, FloatArray]:
        ap, roc_auc = ranking.compute_labels(weights)
        values = {f"aggregate/{name}": v for name, v in average_rankings(ap, roc_auc).items()}
        for i, code in enumerate(codes.tolist()):
            values |= {f"label_ap/{code}": ap[i], f"label_roc_auc/{code}": roc_auc[i]}
        return values

    return [] if ranking.missing else [compute]


def _average_boxes(
    ranked: Sequence[RankedDetections], codes: IntArray, weights: Weights
) -> dict[str, FloatArray]:
    """COCO's averages, and the average precision of each label."""
    computed = [one.compute(weights) for one in ranked]
    ap = np.mean([area for area, _ in computed], axis=0)
    averages = {f"aggregate/{name}": v for name, v in average_areas(computed).items()}
    return averages | {f"label_ap/{code}": ap[i] for i, code in enumerate(codes.tolist())}


def _score_areas(areas: ImageAreas, codes: IntArray, weights: Weights) -> dict[str, FloatArray]:
    """IoU, Dice, and the scores in pixels of each label."""
    sums = areas.sum(weights)
    pixels = {score: divide(*FRACTIONS[score](sums.pixels)).T for score in LABEL_SCORES}
    scores = {"iou": sums.mean_iou, "dice": sums.mean_dice, **pixels}
    return {
        f"label_{name}/{code}": values[i]
        for name, values in scores.items()
        for i, code in enumerate(codes.tolist())
    }


def _sum_at_threshold(
    evaluation: Evaluation, pairs: Pairs, kept: IntArray, codes: IntArray, n_labels: int
) -> CountSums | None:
    """Counts at the assumed thresholds; None where none is published.

    `kept` are the images that the pairs count, in order.
    """
    if np.isnan(evaluation.thresholds).all():
        return None
    reaches = pairs.confidence >= evaluation.thresholds[pairs.label_idx]
    right = reaches & pairs.is_true
    images, label_idx, truth = kept[pairs.image_idx], codes[pairs.label_idx], evaluation.truth
    parts = [(label_idx[mask], images[mask]) for mask in (right, reaches)]
    parts.append((codes[truth.label_idx], truth.image_idx))
    return sum_cells(parts, n_labels, len(evaluation.images))


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


_Averages = Callable[[LabelCounts, BoolArray | None], Mapping[str, FloatArray]]
_AVERAGES: Mapping[Task, _Averages] = MappingProxyType(
    {Task.CLASSIFICATION: compute_aggregates, Task.MULTILABEL: compute_averages}
)
_Describe = Callable[[Evaluation, Rows, IntArray, int, PredictionRule], Measure]
_MEASURES: Mapping[Task, _Describe] = MappingProxyType(
    {
        Task.CLASSIFICATION: _measure_classification,
        Task.MULTILABEL: _measure_multilabel,
        Task.DETECTION: _measure_detection,
        Task.SEGMENTATION: _measure_segmentation,
    }
)


def list_values(metrics: Metrics, evaluation: Evaluation) -> Iterator[tuple[str, str, float, str]]:
    """Name, label, value and reason of every number that was computed or reported."""
    for group, numbers in (
        ("aggregate", metrics.aggregate),
        ("at_threshold", metrics.at_threshold),
    ):
        for name, number in numbers.items():
            yield f"{group}/{name}", "", number.value, "" if number.is_defined else number.reason
    for name, value in evaluation.reported.aggregate.items():
        yield f"reported/{name}", "", value, ""
    scores = metrics.per_label
    if scores is None:
        return
    names = (*LABEL_SCORES, "ap", "roc_auc", *(AREA_SCORES if scores.iou is not None else ()))
    for name in names:
        for label, value in zip(metrics.labels, getattr(scores, name).tolist(), strict=True):
            yield f"label_{name}", label, value, ""
    for label in metrics.labels:
        reported = evaluation.reported.per_label.get(label, {})
        for name in (name for name in LABEL_SCORES if name in reported):
            yield f"label_reported_{name}", label, reported[name], ""

"""Average precision and recall of boxes, by COCO's protocol.

What the protocol needs of ranked detections is how many are hits and misses in each run of them, so
a sparse matrix of runs times image weights gives the values of the test set and of its resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isqrt, nan
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics import NO_CONFIDENCES, Number
from mlrek.metrics.counts import divide
from mlrek.metrics.detection.matching import MAX_AREA, MAX_DETECTIONS, NO_MATCH, SIZES, Scenes
from mlrek.metrics.estimates import estimate_interpolated
from mlrek.metrics.intervals import Plan, Weights, compute_statistic
from mlrek.metrics.left_out import Units

IOU_THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
AP_50: Final = 0
AP_75: Final = 5
RECALL: Final = "ar_100"
"""Of the averages the one that ranks no boxes."""
_RECALL_STEPS: Final = 100
_RECALL_STEP: Final = 0.01  # times i this is numpy's linspace(0, 1, 101), to the last bit
_MAX_BLOCK: Final = 2**17  # numbers worked on at once: a few such arrays stay near the processor
_MIN_COLUMNS: Final = 8
_MAX_PIECE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedDetections:
    """The detections of each label in falling confidence at one IoU threshold, summed up to runs.

    A run is some misses, then some hits. The runs of a label are cut into pieces of `size` runs,
    the last one filled up with empty ones; label `labels[i]` has the pieces `starts[i]` up to
    `starts[i + 1]`. The rows of `runs` are all misses, then all hits; each by place in the piece,
    then by piece, so that one step through the places works on all pieces at once. `truth`
    (n_labels, n_images) counts the true boxes.
    """

    runs: sp.csr_array
    size: int
    labels: IntArray
    starts: IntArray
    truth: sp.csr_array

    def compute(self, weights: Weights) -> tuple[FloatArray, FloatArray]:
        """Average precision and recall of each label over weighted images.

        Average precision is the mean, over recalls 0, 0.01 … 1, of the greatest precision at that
        recall or a higher one (0 where it is never reached).

        Args:
            weights: How often each image counts, (n_images, n).

        Returns:
            Average precision and recall, (n_labels, n) each; NaN where a label has no true box.
        """
        n_truth = np.asarray(self.truth @ weights, dtype=np.float64)
        area, found = np.zeros_like(n_truth), np.zeros_like(n_truth)
        width = max(_MIN_COLUMNS, 2 * _MAX_BLOCK // max(1, self.runs.shape[0]))
        for first in range(0, weights.shape[1] if len(self.labels) else 0, width):
            part = np.s_[:, first : first + width]
            block = np.s_[self.labels, first : first + width]
            area[block], found[block] = self._compute_block(weights[part], n_truth[block])
        return np.where(n_truth > 0, area, np.nan), divide(found, n_truth)

    def _compute_block(
        self, weights: Weights, n_truth: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Area and true boxes found of the labels that have runs, (len(labels), n) each."""
        shape = 2, self.size, self.starts[-1], weights.shape[1]
        precision, tp = np.asarray(self.runs @ weights, dtype=np.float64).reshape(shape)
        self._sum(tp)
        self._sum(precision)
        precision += tp
        np.maximum(precision, 1, out=precision)  # weights are whole: below 1 there is nothing
        np.divide(tp, precision, out=precision)
        self._find_best_ahead(precision)
        found = tp[-1, self.starts[1:] - 1]
        tp /= self._repeat(np.maximum(n_truth, 1))
        n_reached = np.rint(tp * _RECALL_STEPS)  # of the recall points, but for the nearest one
        n_reached += n_reached * _RECALL_STEP <= tp
        n_reached -= self._shift(n_reached)
        pieces = np.einsum("ijk,ijk->jk", precision, n_reached)
        return np.add.reduceat(pieces, self.starts[:-1]) / (_RECALL_STEPS + 1), found

    def _sum(self, runs: FloatArray) -> None:
        """Sum up the runs of each label, in place."""
        for i in range(1, self.size):
            runs[i] += runs[i - 1]
        before = np.cumsum(runs[-1], axis=0) - runs[-1]
        runs += before - self._repeat(before[self.starts[:-1]])

    def _find_best_ahead(self, runs: FloatArray) -> None:
        """Replace what is in [0, 1] by the greatest of the same or a later run of the label."""
        for i in range(self.size - 2, -1, -1):
            np.maximum(runs[i], runs[i + 1], out=runs[i])
        level = self._repeat(np.arange(len(self.labels), 0.0, -1.0)[:, np.newaxis])
        ahead = np.zeros_like(runs[0])  # one label lies a level above the next: none reaches over
        ahead[:-1] = (np.maximum.accumulate((runs[0] + level)[::-1])[::-1] - level)[1:]
        ahead[self.starts[1:] - 1] = 0
        np.maximum(runs, ahead, out=runs)

    def _repeat(self, values: FloatArray) -> FloatArray:
        """A row for each piece from a row for each label."""
        return np.repeat(values, np.diff(self.starts), axis=0)

    def _shift(self, runs: FloatArray) -> FloatArray:
        """What stands in the run before, 0 before the first of a label."""
        shifted = np.empty_like(runs)
        shifted[1:] = runs[:-1]
        shifted[0, 1:] = runs[-1, :-1]
        shifted[0, self.starts[:-1]] = 0
        return shifted


AVERAGE_NAMES: Final = ("ap", "ap_50", "ap_75", "ar_100")
NO_TRUTH_REASON: Final = "no image has a true box"
ALL_SIZES: Final = (0.0, MAX_AREA)
MIN_OF_LABEL: Final = 5
"""Images with a label that its average precision needs for an interval."""
_WHERE: Final = {
    "small": "no true box has at most 32² pixels",
    "medium": "no true box has 32² to 96² pixels",
    "large": "no true box has 96² pixels or more",
}
_SIZE_REASONS: Final = {f"ap_{size}": reason for size, reason in _WHERE.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAp:
    """Average precision of each label, (n_labels,); NaN for labels without a true box.

    `ap` is the mean over `IOU_THRESHOLDS` with the ends of its interval, `ap_50` that at the first.
    """

    ap: FloatArray
    ap_low: FloatArray
    ap_high: FloatArray
    ap_50: FloatArray


def rank_detections(
    image_idx: IntArray, label_idx: IntArray, is_hit: BoolArray, truth: sp.csr_array
) -> RankedDetections:
    """Sum up detections that stand by label, then in falling confidence.

    Args:
        image_idx: The column of the image of each, (n,).
        label_idx: The label of each, (n,), rising.
        is_hit: Whether it found a true box, (n,).
        truth: The true boxes, (n_labels, n_images).
    """
    first = np.diff(label_idx, prepend=-1) > 0
    after_hit = np.concatenate(([False], is_hit))[: len(is_hit)]
    run_starts = np.flatnonzero(first | (after_hit & ~is_hit))
    run = np.repeat(np.arange(len(run_starts)), np.diff(run_starts, append=len(is_hit)))
    hits = np.flatnonzero(is_hit)
    with_hits = np.zeros(len(run_starts), dtype=np.bool_)
    with_hits[run[hits]] = True
    misses = np.flatnonzero(~is_hit & with_hits[run])  # those below a label's last hit say nothing
    run = (np.cumsum(with_hits) - 1)[run]

    labels, n_runs = np.unique(label_idx[run_starts[with_hits]], return_counts=True)
    size = min(_MAX_PIECE, isqrt(max(1, n_runs.sum() // max(1, len(labels)))))
    starts = np.concatenate(([0], np.cumsum(-(-n_runs // size))))
    place = np.arange(n_runs.sum()) - np.repeat(np.cumsum(n_runs) - n_runs, n_runs)
    row = place % size * starts[-1] + place // size + np.repeat(starts[:-1], n_runs)
    n_rows = size * int(starts[-1])
    rows = np.concatenate((row[run[misses]], n_rows + row[run[hits]]))
    columns = image_idx[np.concatenate((misses, hits))]
    return RankedDetections(
        runs=_count_columns(rows, columns, (2 * n_rows, truth.shape[1])),
        size=size,
        labels=labels,
        starts=starts,
        truth=truth,
    )


def count_truth(image_idx: IntArray, label_idx: IntArray, shape: tuple[int, int]) -> sp.csr_array:
    """How often each label is true on each image, of shape (n_labels, n_images)."""
    return _count_columns(label_idx, image_idx, shape)


def average_labels(ranked: Sequence[RankedDetections], weights: Weights) -> dict[str, FloatArray]:
    """`ap`, `ap_50`, `ap_75` and `ar_100`: means over the labels that have a true box.

    Args:
        ranked: One for each of `IOU_THRESHOLDS`.
        weights: How often each image counts, (n_images, n).

    Returns:
        Each (n,); NaN where no label has a true box.
    """
    return average_areas([one.compute(weights) for one in ranked])


def average_areas(computed: Sequence[tuple[FloatArray, FloatArray]]) -> dict[str, FloatArray]:
    """The same from what `RankedDetections.compute` gives at each of `IOU_THRESHOLDS`."""
    ap = np.array([_mean(area) for area, _ in computed])
    recall = np.array([_mean(found) for _, found in computed])
    return {
        "ap": ap.mean(axis=0),
        "ap_50": ap[AP_50],
        "ap_75": ap[AP_75],
        RECALL: recall.mean(axis=0),
    }


def _count_columns(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> sp.csr_array:
    """A sparse matrix of how often each column stands in each row."""
    ones = np.ones(len(columns), dtype=np.float32)
    return sp.csr_array((ones, (rows.astype(np.int32), columns.astype(np.int32))), shape=shape)


def _mean(values: FloatArray) -> FloatArray:
    """Mean over rows of what is defined, (rows, n) -> (n,)."""
    return divide(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0))


def compute_box_numbers(
    scenes: Scenes, places: IntArray, units: Units
) -> tuple[dict[str, Number], LabelAp]:
    """The aggregates with their intervals, and the average precision of each label.

    Args:
        scenes: The boxes.
        places: The place of each image among the weights, (n_images,).
        units: The units of the images.
    """
    ranked = rank_boxes(scenes, places, ALL_SIZES)
    ordered = units.put_in_order(places)
    undefined = dict.fromkeys(AVERAGE_NAMES, NO_TRUTH_REASON)
    found = estimate_interpolated(partial(_average_all, ranked), ordered, undefined)
    numbers = {name: found.pop(name) for name in AVERAGE_NAMES}
    for names, plan in plan_sizes(scenes, places).items():
        numbers |= (
            dict.fromkeys(names, Number(value=nan, reason=plan))
            if isinstance(plan, str)
            else estimate_interpolated(plan, ordered, _SIZE_REASONS)
        )
    ap_50 = ranked[0].compute(np.ones((scenes.n_images, 1), dtype=np.float32))[0][:, 0]
    few = scenes.count_images() < MIN_OF_LABEL
    ap = [found[f"ap/{code}"] for code in range(scenes.n_labels)]
    return numbers, LabelAp(
        ap=np.array([number.value for number in ap], dtype=np.float64),
        ap_low=np.where(few, nan, np.array([number.low for number in ap], dtype=np.float64)),
        ap_high=np.where(few, nan, np.array([number.high for number in ap], dtype=np.float64)),
        ap_50=ap_50,
    )


def compute_averages(scenes: Scenes, places: IntArray, units: Units) -> dict[str, Number]:
    """`ap`, `ap_50`, `ap_75` and `ar_100` alone; arguments as of `compute_box_numbers`."""
    ranked = rank_boxes(scenes, places, ALL_SIZES)
    undefined = dict.fromkeys(AVERAGE_NAMES, NO_TRUTH_REASON)
    statistic = partial(average_labels, ranked)
    return estimate_interpolated(statistic, units.put_in_order(places), undefined)


def leave_areas_out(
    numbers: Mapping[str, Number], label_ap: LabelAp
) -> tuple[dict[str, Number], LabelAp]:
    """What `compute_box_numbers` gives, of boxes that have no confidences to rank them by."""
    unknown = np.full(len(label_ap.ap), nan)
    return (
        leave_averages_out(numbers),
        LabelAp(ap=unknown, ap_low=unknown, ap_high=unknown, ap_50=unknown),
    )


def leave_averages_out(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The same of boxes that have no confidences: recall alone ranks none."""
    left_out = Number(value=nan, reason=NO_CONFIDENCES)
    return {name: number if name == RECALL else left_out for name, number in numbers.items()}


def plan_sizes(scenes: Scenes, places: IntArray) -> dict[tuple[str, ...], Plan]:
    """How to compute the average precision of boxes of each size."""
    plans: dict[tuple[str, ...], Plan] = {}
    for size, area_range in SIZES.items():
        plans[f"ap_{size}",] = (
            partial(_average_size, size, rank_boxes(scenes, places, area_range))
            if scenes.has_sizes
            else "the sizes of images are unknown"
        )
    return plans


def compute_optimistic(scenes: Scenes, places: IntArray) -> dict[str, Number]:
    """The averages over all detections, also where only matched ones are published below it."""
    statistic = partial(average_labels, rank_boxes(scenes, places, ALL_SIZES))
    return {
        f"{name}_optimistic": Number(
            value=float(value), reason=NO_TRUTH_REASON if np.isnan(value) else ""
        )
        for name, value in compute_statistic(statistic, scenes.n_images).items()
    }


def rank_boxes(
    scenes: Scenes, places: IntArray, area_range: tuple[float, float]
) -> list[RankedDetections]:
    """Detections in order at each IoU threshold, boxes of other sizes left out.

    Equal confidences go by the URIs of their images, then in the provider's order.
    A true box of another size, or a crowd, is no miss, and neither it nor a detection that finds it
    counts; a detection of another size that finds nothing does not count either.
    """
    truth, found = scenes.truth, scenes.found
    ignored, outside = truth.lies_outside(area_range), found.lies_outside(area_range)
    if truth.is_crowd is not None:
        ignored |= truth.is_crowd
    rows = np.flatnonzero(scenes.rank < MAX_DETECTIONS)
    keys = places[found.image_idx[rows]], -found.confidence[rows], found.label_idx[rows]
    rows = rows[np.lexsort(keys)]
    images, label_idx = places[found.image_idx[rows]], found.label_idx[rows]
    counted = np.flatnonzero(~ignored)
    n_true = count_truth(
        places[truth.image_idx[counted]],
        truth.label_idx[counted],
        (scenes.n_labels, scenes.n_images),
    )
    if_match, if_none = np.append(~ignored, False), ~outside[rows]
    ranked = []
    for matches in scenes.match(IOU_THRESHOLDS, ignored if ignored.any() else None):
        match = matches[rows]
        is_hit = match != NO_MATCH
        kept = np.flatnonzero(if_match[match] | (if_none & ~is_hit))
        ranked.append(rank_detections(images[kept], label_idx[kept], is_hit[kept], n_true))
    return ranked


def _average_all(ranked: Sequence[RankedDetections], weights: Weights) -> dict[str, FloatArray]:
    """The averages, and `ap/<code>` of each label."""
    computed = [one.compute(weights) for one in ranked]
    labels = np.mean([area for area, _ in computed], axis=0)
    return average_areas(computed) | {f"ap/{code}": row for code, row in enumerate(labels)}


def _average_size(
    size: str, ranked: Sequence[RankedDetections], weights: Weights
) -> dict[str, FloatArray]:
    return {f"ap_{size}": average_labels(ranked, weights)["ap"]}

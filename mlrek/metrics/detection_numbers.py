"""The aggregate numbers of a detection evaluation: COCO's averages, of all boxes and by size."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics import Number
from mlrek.metrics.detection_ap import (
    IOU_THRESHOLDS,
    RankedDetections,
    average_areas,
    average_labels,
    count_truth,
    rank_detections,
)
from mlrek.metrics.detection_boxes import MAX_AREA, MAX_DETECTIONS, SIZES, Scenes
from mlrek.metrics.estimates import estimate_interpolated
from mlrek.metrics.intervals import Plan
from mlrek.metrics.matching import NO_MATCH
from mlrek.metrics.resampling import Weights, evaluate
from mlrek.metrics.sampling import Units

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
        for name, value in evaluate(statistic, scenes.n_images).items()
    }


def rank_boxes(
    scenes: Scenes, places: IntArray, area_range: tuple[float, float]
) -> list[RankedDetections]:
    """Detections in order at each IoU threshold, boxes of other sizes left out.

    Equal confidences go by the URIs of their images, then in the provider's order.
    A true box of another size is no miss, and neither it nor a detection that finds it counts; a
    detection of another size that finds nothing does not count either.
    """
    truth, found = scenes.truth, scenes.found
    ignored, outside = truth.lies_outside(area_range), found.lies_outside(area_range)
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

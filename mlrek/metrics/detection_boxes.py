"""The boxes of a detection evaluation as columns, in the order that matching needs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Boxes, Detections, FloatArray, IntArray
from mlrek.metrics.matching import BoxPairs, compute_areas, match_boxes, pair_boxes

MAX_AREA: Final = 1e5**2
SIZES: Final = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, MAX_AREA),
}
"""COCO's size ranges, in square pixels with both ends; `MAX_AREA` holds for all sizes together."""

MAX_DETECTIONS: Final = 100
"""COCO's detections of an image and label that average precision looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxTable:
    """Boxes of all images: `image_idx`, `label_idx`, `confidence` (n,), `boxes_xyxy` (n, 4)."""

    image_idx: IntArray
    label_idx: IntArray
    boxes_xyxy: FloatArray
    confidence: FloatArray

    def take(self, rows: IntArray) -> "BoxTable":
        """The boxes of `rows`, in that order."""
        return BoxTable(
            image_idx=self.image_idx[rows],
            label_idx=self.label_idx[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            confidence=self.confidence[rows],
        )

    def lies_outside(self, area_range: tuple[float, float]) -> BoolArray:
        """Whether the area of each box is less or greater than the range, (n,)."""
        areas = compute_areas(self.boxes_xyxy)
        return np.asarray((areas < area_range[0]) | (areas > area_range[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """True boxes and detections of all images, and which of them overlap.

    `found` stands by image, then label, then in falling confidence (ties in the provider's order);
    `records` (n_found,) are the rows that it comes from, `cells` (n_found,) its (image, label) as
    one number, and `pairs` the overlaps of boxes of one image and label. `has_sizes` tells whether
    boxes are in pixels.
    """

    truth: BoxTable
    found: BoxTable
    records: IntArray
    cells: IntArray
    pairs: BoxPairs
    n_images: int
    n_labels: int
    has_sizes: bool

    @property
    def n_true(self) -> IntArray:
        """True boxes of each label, (n_labels,)."""
        return np.bincount(self.truth.label_idx, minlength=self.n_labels)

    @property
    def rank(self) -> IntArray:
        """Detections of the same image and label before each one, (n_found,)."""
        starts = np.flatnonzero(np.diff(self.cells, prepend=-1))
        sizes = np.diff(starts, append=len(self.cells))
        return np.arange(len(self.cells)) - np.repeat(starts, sizes)

    def count_images(self) -> IntArray:
        """Images that have a true box of each label, (n_labels,)."""
        cells = np.unique(self.truth.image_idx * self.n_labels + self.truth.label_idx)
        return np.bincount(cells % max(1, self.n_labels), minlength=self.n_labels)

    def keep(self, kept: BoolArray) -> "Scenes":
        """The same images with the detections of `kept` (n_found,) only."""
        places = np.cumsum(kept) - 1
        pairs = self.pairs.select(kept[self.pairs.detection])
        return replace(
            self,
            found=self.found.take(np.flatnonzero(kept)),
            records=self.records[kept],
            cells=self.cells[kept],
            pairs=replace(pairs, detection=places[pairs.detection]),
        )

    def match(self, iou_thresholds: FloatArray, ignored: BoolArray | None = None) -> IntArray:
        """Match detections with true boxes of their label, as `match_boxes` says."""
        return match_boxes(
            self.pairs, self.cells, len(self.truth.label_idx), iou_thresholds, ignored
        )


def arrange_boxes(
    detections: Detections, is_detection: BoolArray, n_labels: int, min_iou: float
) -> Scenes:
    """Put boxes in order and find those that overlap.

    Args:
        detections: What was read.
        is_detection: Which recorded boxes are detections, (n_records,).
        n_labels: The number of labels.
        min_iou: The least overlap that matters (above 0).
    """
    truth, found = (
        _describe(boxes, detections) for boxes in (detections.truth, detections.records)
    )
    rows = np.flatnonzero(is_detection)
    cells = found.image_idx[rows] * n_labels + found.label_idx[rows]
    order = np.lexsort((-found.confidence[rows], cells))
    rows, cells = rows[order], cells[order]
    found = found.take(rows)
    true_cells = truth.image_idx * n_labels + truth.label_idx
    return Scenes(
        truth=truth,
        found=found,
        records=rows,
        cells=cells,
        pairs=pair_boxes(found.boxes_xyxy, cells, truth.boxes_xyxy, true_cells, min_iou),
        n_images=len(detections.truth.offsets) - 1,
        n_labels=n_labels,
        has_sizes=not detections.normalized or not _lacks_size(detections).any(),
    )


def warn_sizes(detections: Detections) -> Iterator[str]:
    """Counts the images with boxes in shares of an unknown width or height."""
    if detections.normalized and (n := np.count_nonzero(_lacks_size(detections))):
        yield (
            f"the width and height of {n} images with boxes are unknown: the average precision by "
            "size of box is left out"
        )


def _describe(boxes: Boxes, detections: Detections) -> BoxTable:
    image_idx = boxes.image_idx
    return BoxTable(
        image_idx=image_idx,
        label_idx=boxes.label_idx,
        boxes_xyxy=_to_pixels(boxes.boxes_xyxy, image_idx, detections),
        confidence=boxes.confidence,
    )


def _to_pixels(boxes_xyxy: FloatArray, image_idx: IntArray, detections: Detections) -> FloatArray:
    """Boxes in pixels where the size of the image is known; overlaps do not depend on it."""
    if not detections.normalized:
        return boxes_xyxy
    sizes = np.nan_to_num(detections.image_sizes, nan=1.0)
    return np.asarray(boxes_xyxy * np.tile(sizes, 2)[image_idx])


def _lacks_size(detections: Detections) -> BoolArray:
    """Images that have boxes, but no known width and height, (n_images,)."""
    n_boxes = np.diff(detections.truth.offsets) + np.diff(detections.records.offsets)
    return np.asarray(np.isnan(detections.image_sizes).any(axis=1) & (n_boxes > 0))

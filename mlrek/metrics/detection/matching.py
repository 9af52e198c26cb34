"""Which predicted box finds which true one: overlaps, and greedy matching by confidence.

Boxes are in groups (an image, or an image and label); only boxes of one group can meet. Everything
is columns: groups by the hundred thousand are matched side by side, and a loop runs only over the
places of contested boxes within their group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Boxes, Detections, FloatArray, IntArray

ObjectArray: TypeAlias = NDArray[np.object_]

NO_MATCH: Final = -1
_MAX_BLOCK: Final = 2**18  # pairs whose overlaps are computed at once
_MAX_IOU_THRESHOLD: Final = 1 - 1e-10  # as pycocotools: equal boxes match at 1, despite rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPairs:
    """Detections and true boxes of one group that overlap, by detection, then true box.

    `detection`, `truth` (positions in the columns they come from) and `iou` are all (n,).
    """

    detection: IntArray
    truth: IntArray
    iou: FloatArray

    def select(self, keep: BoolArray) -> "BoxPairs":
        """The pairs of `keep` (n,)."""
        return self.take(np.flatnonzero(keep))

    def reach(self, min_iou: float) -> "BoxPairs":
        """The pairs that overlap by at least `min_iou`."""
        return self.select(self.iou >= min_iou)

    def take(self, rows: IntArray) -> "BoxPairs":
        """The pairs of `rows`, in that order."""
        return BoxPairs(detection=self.detection[rows], truth=self.truth[rows], iou=self.iou[rows])


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
    """Boxes of all images: `image_idx`, `label_idx`, `confidence` (n,), `boxes_xyxy` (n, 4).

    `is_crowd`, `areas` and `sizes` are as in `Boxes`, in pixels; `masks` (n,) are COCO's compressed
    RLE, `{"size": [height, width], "counts": bytes}`.
    """

    image_idx: IntArray
    label_idx: IntArray
    boxes_xyxy: FloatArray
    confidence: FloatArray
    is_crowd: BoolArray | None = None
    areas: FloatArray | None = None
    sizes: FloatArray | None = None
    masks: ObjectArray | None = None

    def take(self, rows: IntArray) -> "BoxTable":
        """The boxes of `rows`, in that order."""
        return BoxTable(
            image_idx=self.image_idx[rows],
            label_idx=self.label_idx[rows],
            boxes_xyxy=self.boxes_xyxy[rows],
            confidence=self.confidence[rows],
            is_crowd=None if self.is_crowd is None else self.is_crowd[rows],
            areas=None if self.areas is None else self.areas[rows],
            sizes=None if self.sizes is None else self.sizes[rows],
            masks=None if self.masks is None else self.masks[rows],
        )

    def measure(self, rows: IntArray) -> FloatArray:
        """Width and height of the boxes of `rows`, (len(rows), 2)."""
        if self.sizes is not None:
            return self.sizes[rows]
        return np.asarray(self.boxes_xyxy[rows, 2:] - self.boxes_xyxy[rows, :2])

    def lies_outside(self, area_range: tuple[float, float]) -> BoolArray:
        """Whether the area of each box is less or greater than the range, (n,)."""
        areas = self.areas
        if areas is None:
            areas = self.measure(np.arange(len(self.label_idx))).prod(axis=1)
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
        cells = self.truth.image_idx * self.n_labels + self.truth.label_idx
        if self.truth.is_crowd is not None:
            cells = cells[~self.truth.is_crowd]
        cells = np.unique(cells)
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
            self.pairs,
            self.cells,
            len(self.truth.label_idx),
            iou_thresholds,
            ignored,
            self.truth.is_crowd,
        )

    def drop_crowds(self, iou_threshold: float) -> "Scenes":
        """The same without crowds, and without the detections that find one: neither counts."""
        crowds = self.truth.is_crowd
        if crowds is None:
            return self
        found = self.match(np.array([iou_threshold]))[0]
        scenes = self.keep(~np.append(crowds, False)[found])
        pairs, places = scenes.pairs.select(~crowds[scenes.pairs.truth]), np.cumsum(~crowds) - 1
        truth = replace(self.truth.take(np.flatnonzero(~crowds)), is_crowd=None)
        return replace(scenes, truth=truth, pairs=replace(pairs, truth=places[pairs.truth]))


def pair_boxes(
    found: BoxTable,
    found_group: IntArray,
    truth: BoxTable,
    truth_group: IntArray,
    min_iou: float,
) -> BoxPairs:
    """All pairs of one group whose intersection over union is at least `min_iou` (above 0).

    Of a crowd it is the intersection over the area of the predicted box. Masks are compared where
    there are any, else boxes, rounded as pycocotools does, which keeps a corner, width and height.

    Args:
        found: Predicted boxes.
        found_group: The group of each, (n_found,); rising where there are masks.
        truth: True boxes.
        truth_group: The group of each, (n_truth,).
        min_iou: What a pair must reach.
    """
    if found.masks is not None and truth.masks is not None:
        return _pair_masks(found, found_group, truth, truth_group).reach(min_iou)
    by_group = np.argsort(truth_group, kind="stable")
    first, last = (
        np.searchsorted(truth_group[by_group], found_group, side=side) for side in ("left", "right")
    )
    blocks = [
        _pair_block(found, truth, detection, by_group[place]).reach(min_iou)
        for detection, place in _list_pairs(first, last - first)
    ]
    return _join_pairs(blocks)


def match_boxes(
    pairs: BoxPairs,
    detection_group: IntArray,
    n_truth: int,
    iou_thresholds: FloatArray,
    ignored: BoolArray | None = None,
    crowds: BoolArray | None = None,
) -> NDArray[np.int32]:
    """Match greedily: each detection, in falling confidence, takes the best true box still free.

    The best is the one with the greatest overlap, ties to the later one; an ignored true box only
    when no other reaches the threshold. A crowd is always free. This is COCO's protocol.

    Args:
        pairs: What overlaps, at least by the lowest threshold.
        detection_group: The group of each detection, (n_detections,); within a group detections
            stand in falling confidence.
        n_truth: Number of true boxes.
        iou_thresholds: What an overlap must reach, (n_thresholds,).
        ignored: The true boxes that come last, (n_truth,), crowds among them; without it these.
        crowds: The true boxes that stand for many objects, (n_truth,); none without it.

    Returns:
        The true box of each detection at each threshold, (n_thresholds, n_detections);
        `NO_MATCH` where there is none.
    """
    iou_thresholds = np.minimum(iou_thresholds, _MAX_IOU_THRESHOLD)
    matches = np.full((len(iou_thresholds), len(detection_group)), NO_MATCH, dtype=np.int32)
    contested = (np.bincount(pairs.detection, minlength=len(detection_group)) > 1)[pairs.detection]
    contested |= (np.bincount(pairs.truth, minlength=n_truth) > 1)[pairs.truth]
    alone = pairs.select(~contested)
    reached = alone.iou >= iou_thresholds[:, np.newaxis]
    matches[:, alone.detection] = np.where(reached, alone.truth, NO_MATCH)
    taken = np.zeros((len(iou_thresholds), n_truth), dtype=np.bool_)
    last = crowds if ignored is None else ignored
    for turn in _take_turns(_prefer(pairs.select(contested), last), detection_group):
        _match_turn(turn, iou_thresholds, matches, taken)
        if crowds is not None:
            taken[:, crowds] = False
    return matches


def _list_pairs(first: IntArray, n: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Blocks of (detection, place among the sorted true boxes); one block at least."""
    ends = np.cumsum(n)
    start, n_detections = 0, len(n)
    while True:
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _MAX_BLOCK, side="right"))
        stop = min(max(stop, start + 1), n_detections)
        counts = n[start:stop]
        detection = np.repeat(np.arange(start, stop), counts)
        offset = first[start:stop] - (ends[start:stop] - counts - before)
        yield detection, np.arange(len(detection)) + np.repeat(offset, counts)
        start = stop
        if start >= n_detections:
            return


def _pair_block(found: BoxTable, truth: BoxTable, a: IntArray, b: IntArray) -> BoxPairs:
    """The overlap of boxes of the rows `a` of `found` and `b` of `truth`, where they meet."""
    a_xyxy, b_xyxy = found.boxes_xyxy, truth.boxes_xyxy
    for axis in (0, 1):  # most boxes of an image are apart, to the side or above
        start = np.maximum(a_xyxy[a, axis], b_xyxy[b, axis])
        end = np.minimum(a_xyxy[a, axis + 2], b_xyxy[b, axis + 2])
        meets = np.flatnonzero(end > start)  # many times faster than a mask
        a, b = a[meets], b[meets]
    return BoxPairs(detection=a, truth=b, iou=_compute_iou(found, truth, a, b))


def _compute_iou(found: BoxTable, truth: BoxTable, a: IntArray, b: IntArray) -> FloatArray:
    """Intersection over union, row by row; of a crowd over the found box. 0 where they touch."""
    a_start, a_size = found.boxes_xyxy[a, :2], found.measure(a)
    b_start, b_size = truth.boxes_xyxy[b, :2], truth.measure(b)
    overlap = np.minimum(a_start + a_size, b_start + b_size) - np.maximum(a_start, b_start)
    intersection, a_area = overlap.prod(axis=1), a_size.prod(axis=1)
    union = a_area + b_size.prod(axis=1) - intersection
    if truth.is_crowd is not None:
        union = np.where(truth.is_crowd[b], a_area, union)
    iou = np.zeros(len(overlap))
    np.divide(intersection, union, out=iou, where=(overlap > 0).all(axis=1))
    return iou


def _pair_masks(
    found: BoxTable, found_group: IntArray, truth: BoxTable, truth_group: IntArray
) -> BoxPairs:
    """The overlap of all masks of one group, by pycocotools."""
    from pycocotools import mask  # 30 ms, for masks alone

    assert found.masks is not None  # noqa: S101 - for the type checker
    assert truth.masks is not None  # noqa: S101 - same
    crowds = np.zeros(len(truth_group)) if truth.is_crowd is None else truth.is_crowd
    by_group, blocks = _list_groups(truth_group), []
    for group, a in _list_groups(found_group).items():
        if group in by_group:
            b = by_group[group]
            iou = mask.iou(list(found.masks[a]), list(truth.masks[b]), crowds[b].tolist())
            blocks.append(
                BoxPairs(
                    detection=np.repeat(a, len(b)), truth=np.tile(b, len(a)), iou=np.ravel(iou)
                )
            )
    return _join_pairs(blocks)


def _list_groups(groups: IntArray) -> dict[int, IntArray]:
    """The rows of each group, groups rising."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=NO_MATCH))
    return dict(zip(groups[order][starts].tolist(), np.split(order, starts[1:]), strict=False))


def _join_pairs(blocks: Sequence[BoxPairs]) -> BoxPairs:
    rows, none = np.zeros(0, dtype=np.int64), np.zeros(0)
    return BoxPairs(
        detection=np.concatenate([rows, *(block.detection for block in blocks)]),
        truth=np.concatenate([rows, *(block.truth for block in blocks)]),
        iou=np.concatenate([none, *(block.iou for block in blocks)]),
    )


def _prefer(pairs: BoxPairs, ignored: BoolArray | None) -> BoxPairs:
    """The pairs of each detection from the least to the most preferred."""
    counts = () if ignored is None else (~ignored[pairs.truth],)
    return pairs.take(np.lexsort((pairs.truth, pairs.iou, *counts, pairs.detection)))


def _take_turns(pairs: BoxPairs, detection_group: IntArray) -> Iterator[BoxPairs]:
    """Pairs of the first contested detection of every group, then of the second, and so on."""
    if not len(pairs.detection):
        return
    detections, n_pairs = np.unique(pairs.detection, return_counts=True)
    group = detection_group[detections]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
    turn = np.empty(len(group), dtype=np.int64)
    turn[order] = np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))
    pair_turn = np.repeat(turn, n_pairs)
    by_turn = np.argsort(pair_turn, kind="stable")
    for places in np.split(by_turn, np.cumsum(np.bincount(pair_turn))[:-1]):
        yield pairs.take(places)


def _match_turn(
    pairs: BoxPairs, iou_thresholds: FloatArray, matches: NDArray[np.int32], taken: BoolArray
) -> None:
    """Match at most one detection of each group; writes `matches` and `taken`."""
    starts = np.flatnonzero(np.diff(pairs.detection, prepend=NO_MATCH))
    free = (pairs.iou >= iou_thresholds[:, np.newaxis]) & ~taken[:, pairs.truth]
    places = np.where(free, np.arange(len(pairs.truth)), NO_MATCH)
    best = np.maximum.reduceat(places, starts, axis=1)
    threshold, column = np.nonzero(best != NO_MATCH)
    truth = pairs.truth[best[threshold, column]]
    matches[threshold, pairs.detection[starts][column]] = truth
    taken[threshold, truth] = True


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
        _build_table(boxes, detections) for boxes in (detections.truth, detections.records)
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
        pairs=pair_boxes(found, cells, truth, true_cells, min_iou),
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


def _build_table(boxes: Boxes, detections: Detections) -> BoxTable:
    image_idx = boxes.image_idx
    scale = _scale_to_pixels(image_idx, detections)
    return BoxTable(
        image_idx=image_idx,
        label_idx=boxes.label_idx,
        boxes_xyxy=boxes.boxes_xyxy * np.tile(scale, 2) if scale is not None else boxes.boxes_xyxy,
        confidence=boxes.confidence,
        is_crowd=boxes.is_crowd,
        areas=boxes.areas,
        sizes=boxes.sizes if boxes.sizes is None or scale is None else boxes.sizes * scale,
        masks=_frame_masks(boxes, detections),
    )


def _frame_masks(boxes: Boxes, detections: Detections) -> ObjectArray | None:
    """Masks with the size of their image, as pycocotools takes them, (n,)."""
    if boxes.masks is None:
        return None
    sizes = np.nan_to_num(detections.image_sizes[:, ::-1]).astype(np.int64).tolist()
    masks = np.empty(len(boxes.masks), dtype=object)
    for row, (image, counts) in enumerate(zip(boxes.image_idx.tolist(), boxes.masks, strict=True)):
        masks[row] = {"size": sizes[image], "counts": counts}
    return masks


def _scale_to_pixels(image_idx: IntArray, detections: Detections) -> FloatArray | None:
    """What makes pixels of shares, (n, 2), 1 where the size is unknown; None where they are pixels.

    Overlaps do not depend on it.
    """
    if not detections.normalized:
        return None
    return np.asarray(np.nan_to_num(detections.image_sizes, nan=1.0)[image_idx])


def _lacks_size(detections: Detections) -> BoolArray:
    """Images that have boxes, but no known width and height, (n_images,)."""
    n_boxes = np.diff(detections.truth.offsets) + np.diff(detections.records.offsets)
    return np.asarray(np.isnan(detections.image_sizes).any(axis=1) & (n_boxes > 0))

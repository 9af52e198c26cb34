"""Which predicted box finds which true one: overlaps, and greedy matching by confidence.

Boxes are in groups (an image, or an image and label); only boxes of one group can meet. Everything
is columns: groups by the hundred thousand are matched side by side, and a loop runs only over the
places of contested boxes within their group.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray

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

    def take(self, rows: IntArray) -> "BoxPairs":
        """The pairs of `rows`, in that order."""
        return BoxPairs(detection=self.detection[rows], truth=self.truth[rows], iou=self.iou[rows])


def compute_areas(boxes_xyxy: FloatArray) -> FloatArray:
    """Width times height, (n,)."""
    width, height = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).T
    return np.asarray(width * height)


def compute_iou(a_xyxy: FloatArray, b_xyxy: FloatArray) -> FloatArray:
    """Intersection over union, row by row; 0 where boxes only touch.

    Rounds as pycocotools does, which keeps a corner, a width and a height.

    >>> compute_iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]]))
    array([0.33333333])
    """
    (a_start, a_size), (b_start, b_size) = (
        (boxes[:, :2], boxes[:, 2:] - boxes[:, :2]) for boxes in (a_xyxy, b_xyxy)
    )
    overlap = np.minimum(a_start + a_size, b_start + b_size) - np.maximum(a_start, b_start)
    intersection = overlap.prod(axis=1)
    union = a_size.prod(axis=1) + b_size.prod(axis=1) - intersection
    iou = np.zeros(len(overlap))
    np.divide(intersection, union, out=iou, where=(overlap > 0).all(axis=1))
    return iou


def pair_boxes(
    detections_xyxy: FloatArray,
    detection_group: IntArray,
    truth_xyxy: FloatArray,
    truth_group: IntArray,
    min_iou: float,
) -> BoxPairs:
    """All pairs of one group whose intersection over union is at least `min_iou` (above 0).

    Args:
        detections_xyxy: Predicted boxes, (n_detections, 4).
        detection_group: The group of each, (n_detections,).
        truth_xyxy: True boxes, (n_truth, 4).
        truth_group: The group of each, (n_truth,).
        min_iou: What a pair must reach.
    """
    by_group = np.argsort(truth_group, kind="stable")
    first, last = (
        np.searchsorted(truth_group[by_group], detection_group, side=side)
        for side in ("left", "right")
    )
    blocks = [
        _pair_block(detections_xyxy, truth_xyxy, detection, by_group[place], min_iou)
        for detection, place in _list_pairs(first, last - first)
    ]
    return BoxPairs(
        detection=np.concatenate([block.detection for block in blocks]),
        truth=np.concatenate([block.truth for block in blocks]),
        iou=np.concatenate([block.iou for block in blocks]),
    )


def match_boxes(
    pairs: BoxPairs,
    detection_group: IntArray,
    n_truth: int,
    iou_thresholds: FloatArray,
    ignored: BoolArray | None = None,
) -> NDArray[np.int32]:
    """Match greedily: each detection, in falling confidence, takes the best true box still free.

    The best is the one with the greatest overlap, ties to the later one; an ignored true box only
    when no other reaches the threshold. This is COCO's protocol without crowds.

    Args:
        pairs: What overlaps, at least by the lowest threshold.
        detection_group: The group of each detection, (n_detections,); within a group detections
            stand in falling confidence.
        n_truth: Number of true boxes.
        iou_thresholds: What an overlap must reach, (n_thresholds,).
        ignored: The true boxes that come last, (n_truth,); none without it.

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
    for turn in _take_turns(_prefer(pairs.select(contested), ignored), detection_group):
        _match_turn(turn, iou_thresholds, matches, taken)
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


def _pair_block(
    detections_xyxy: FloatArray,
    truth_xyxy: FloatArray,
    detection: IntArray,
    truth: IntArray,
    min_iou: float,
) -> BoxPairs:
    for axis in (0, 1):  # most boxes of an image are beside or above one another
        start = np.maximum(detections_xyxy[detection, axis], truth_xyxy[truth, axis])
        end = np.minimum(detections_xyxy[detection, axis + 2], truth_xyxy[truth, axis + 2])
        meets = np.flatnonzero(end > start)  # many times faster than a mask
        detection, truth = detection[meets], truth[meets]
    iou = compute_iou(detections_xyxy[detection], truth_xyxy[truth])
    return BoxPairs(detection=detection, truth=truth, iou=iou).select(iou >= min_iou)


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

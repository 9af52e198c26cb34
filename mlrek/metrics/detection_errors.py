"""What is wrong with predicted boxes, in the kinds of TIDE (Bolya et al., ECCV 2020)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.matching import NO_MATCH, BoxPairs

BACKGROUND_IOU: Final = 0.1
"""TIDE's t_b: a box that overlaps less is on the background."""


class BoxError(IntEnum):
    """Why a prediction is wrong, or a true box missed. `NONE`: it is right, or told elsewhere."""

    NONE = 0
    CLASSIFICATION = 1  # at the place of a true box of another label
    LOCALIZATION = 2  # on a true box of its label, but with too little overlap
    BOTH = 3  # with too little overlap on a true box of another label
    DUPLICATE = 4  # on a true box of its label that a surer prediction has found
    BACKGROUND = 5  # on no true box at all
    MISSED = 6  # a true box that no prediction finds, nor would but for its label or place


BOX_ERRORS: Final = tuple(kind.name.lower() for kind in BoxError if kind != BoxError.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxErrors:
    """Codes of `BoxError`: `predictions` (n_predictions,) and `truth` (n_truth,)."""

    predictions: NDArray[np.uint8]
    truth: NDArray[np.uint8]

    def count(self) -> dict[str, int]:
        """How many there are of each kind."""
        n = np.bincount(self.predictions, minlength=len(BoxError))
        n += np.bincount(self.truth, minlength=len(BoxError))
        return dict(zip(BOX_ERRORS, n[1:].tolist(), strict=True))


def find_errors(
    pairs: BoxPairs, same_label: BoolArray, matches: IntArray, n_truth: int, iou_threshold: float
) -> BoxErrors:
    """Sort every wrong prediction and missed true box into one kind.

    A wrong prediction overlaps true boxes of its label by at most `own`, those of other labels by
    at most `other`. Its kind is the first that holds of: localization, `own` from `BACKGROUND_IOU`
    to `iou_threshold`; classification, `other >= iou_threshold`; duplicate, `own >= iou_threshold`;
    background, neither above `BACKGROUND_IOU`; else both. A true box without a prediction is missed
    unless it is the one that a localization or classification error is about.

    Args:
        pairs: Predictions and true boxes of an image, of any labels, that overlap by at least
            `BACKGROUND_IOU`.
        same_label: Which of them have the same label, (n_pairs,).
        matches: The true box that each prediction has found, (n_predictions,); `NO_MATCH` for none.
        n_truth: The number of true boxes.
        iou_threshold: The overlap that finds a true box, TIDE's t_f.
    """
    own, own_truth = _find_best(pairs.select(same_label), len(matches))
    other, other_truth = _find_best(pairs.select(~same_label), len(matches))
    is_wrong = matches == NO_MATCH
    localization = is_wrong & (own >= BACKGROUND_IOU) & (own <= iou_threshold)
    classification = is_wrong & ~localization & (other >= iou_threshold)
    kinds = np.select(
        [
            ~is_wrong,
            localization,
            classification,
            own >= iou_threshold,
            np.maximum(own, other) <= BACKGROUND_IOU,
        ],
        [
            BoxError.NONE,
            BoxError.LOCALIZATION,
            BoxError.CLASSIFICATION,
            BoxError.DUPLICATE,
            BoxError.BACKGROUND,
        ],
        BoxError.BOTH,
    )
    explained = np.zeros(n_truth, dtype=np.bool_)
    explained[matches[~is_wrong]] = True
    explained[own_truth[localization]] = True
    explained[other_truth[classification]] = True
    return BoxErrors(
        predictions=kinds.astype(np.uint8),
        truth=np.where(explained, BoxError.NONE, BoxError.MISSED).astype(np.uint8),
    )


def _find_best(pairs: BoxPairs, n_detections: int) -> tuple[FloatArray, IntArray]:
    """The greatest overlap of each detection, and with which box; ties to the later one.

    Returns:
        Two arrays (n_detections,); 0 and `NO_MATCH` without a pair.
    """
    iou, truth = np.zeros(n_detections), np.full(n_detections, NO_MATCH, dtype=np.int64)
    order = np.lexsort((pairs.truth, pairs.iou, pairs.detection))
    detection = pairs.detection[order]
    last = order[np.flatnonzero(np.diff(detection, append=n_detections))]
    iou[pairs.detection[last]] = pairs.iou[last]
    truth[pairs.detection[last]] = pairs.truth[last]
    return iou, truth

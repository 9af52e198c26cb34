"""Which true box each predicted one found: the rows of predictions, and their matrix."""

from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import IntArray
from mlrek.label_keys import BACKGROUND_LABEL
from mlrek.metrics import ConfusionMatrix, Predictions
from mlrek.metrics.detection_boxes import BoxTable, Scenes
from mlrek.metrics.detection_errors import BACKGROUND_IOU, BOX_ERRORS, BoxErrors, find_errors
from mlrek.metrics.left_out import Counted, Decisions
from mlrek.metrics.matching import NO_MATCH, BoxPairs, match_boxes, pair_boxes

_OUTCOMES: Final = np.array(["TP", "FP", "FN"], dtype=object)
_TP, _FP, _FN = range(3)
_ERRORS: Final = np.array(["", *BOX_ERRORS], dtype=object)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxOutcomes:
    """The fate of every predicted and every true box.

    `predicted` stands by image, then in falling confidence. `matches` and `confused` (n_predicted,)
    are the true boxes found, of the same label and of any label; `NO_MATCH` for none.
    """

    truth: BoxTable
    predicted: BoxTable
    matches: IntArray
    confused: IntArray
    errors: BoxErrors


def find_outcomes(scenes: Scenes, iou_threshold: float) -> BoxOutcomes:
    """Match predictions with true boxes, first of the same label, then of others.

    Both times greedily, in falling confidence, each prediction taking the true box still free with
    the greatest overlap of at least `iou_threshold`. So a true box goes to a prediction of its own
    label if one reaches it, and only what then is left counts as confused.

    Args:
        scenes: True boxes and the predictions alone.
        iou_threshold: The overlap that finds a true box.
    """
    truth, order = scenes.truth, np.lexsort((-scenes.found.confidence, scenes.found.image_idx))
    predicted = scenes.found.take(order)
    matches = scenes.match(np.array([iou_threshold]))[0, order]
    pairs = pair_boxes(
        predicted.boxes_xyxy,
        predicted.image_idx,
        truth.boxes_xyxy,
        truth.image_idx,
        min(iou_threshold, BACKGROUND_IOU),
    )
    same_label = predicted.label_idx[pairs.detection] == truth.label_idx[pairs.truth]
    overlaps = pairs.iou >= BACKGROUND_IOU
    errors = find_errors(
        pairs.select(overlaps), same_label[overlaps], matches, len(truth.label_idx), iou_threshold
    )
    confused = _match_others(pairs, predicted, matches, len(truth.label_idx), iou_threshold)
    return BoxOutcomes(
        truth=truth, predicted=predicted, matches=matches, confused=confused, errors=errors
    )


def list_box_decisions(outcomes: BoxOutcomes) -> Decisions:
    """What is rightly predicted, predicted and true, box by box."""
    predicted, truth = outcomes.predicted, outcomes.truth
    right = predicted.take(np.flatnonzero(outcomes.matches != NO_MATCH))
    return Decisions(
        right=Counted(image_idx=right.image_idx, label_idx=right.label_idx),
        predicted=Counted(image_idx=predicted.image_idx, label_idx=predicted.label_idx),
        true=Counted(image_idx=truth.image_idx, label_idx=truth.label_idx),
    )


def describe_confusion(outcomes: BoxOutcomes, labels: tuple[str, ...]) -> ConfusionMatrix:
    """Counts of boxes, rows true, columns predicted.

    In the row `(background)` what is predicted where no true box is, in its column what is missed.
    The row of a label sums to its true boxes, its column to its predictions.
    """
    y_true, y_pred = _label_rows(outcomes)
    size = len(labels) + 1
    cells = (y_true % size) * size + y_pred % size  # -1 is the last row or column
    names = (*labels, BACKGROUND_LABEL)
    counts = np.bincount(cells, minlength=size * size).reshape(size, size)
    return ConfusionMatrix(counts=counts, rows=names, columns=names)


def describe_boxes(outcomes: BoxOutcomes) -> Predictions:
    """A row for each predicted box, and one for each true box that none has found.

    By image; predictions in falling confidence, then what is missed. A box that found one of
    another label has both labels; it is a false positive of the one and a miss of the other.
    """
    truth, predicted = outcomes.truth, outcomes.predicted
    missed = _find_missed(outcomes)
    y_true, y_pred = _label_rows(outcomes)
    outcome = np.where(y_true == y_pred, _TP, np.where(y_pred < 0, _FN, _FP))
    image_idx = np.concatenate([predicted.image_idx, truth.image_idx[missed]])
    order = np.argsort(image_idx, kind="stable")
    boxes_xyxy = np.concatenate([predicted.boxes_xyxy, truth.boxes_xyxy[missed]])
    errors = np.concatenate([outcomes.errors.predictions, outcomes.errors.truth[missed]])
    return Predictions(
        image_idx=image_idx[order],
        y_true=y_true[order],
        y_pred=y_pred[order],
        confidence=np.concatenate([predicted.confidence, np.full(len(missed), nan)])[order],
        outcome=tuple(_OUTCOMES[outcome[order]].tolist()),
        boxes_xyxy=boxes_xyxy[order],
        error=tuple(_ERRORS[errors[order]].tolist()),
    )


def _match_others(
    pairs: BoxPairs, predicted: BoxTable, matches: IntArray, n_truth: int, iou_threshold: float
) -> IntArray:
    """The true box found by each prediction, (n_predicted,): of its own label, else of another."""
    free = np.ones(n_truth, dtype=np.bool_)
    free[matches[matches != NO_MATCH]] = False
    is_open = (matches == NO_MATCH)[pairs.detection] & free[pairs.truth]
    others = match_boxes(
        pairs.select(is_open & (pairs.iou >= iou_threshold)),
        predicted.image_idx,
        n_truth,
        np.array([iou_threshold]),
    )
    return np.where(matches == NO_MATCH, others[0], matches)


def _find_missed(outcomes: BoxOutcomes) -> IntArray:
    """True boxes that no prediction of any label has found."""
    is_found = np.zeros(len(outcomes.truth.label_idx), dtype=np.bool_)
    is_found[outcomes.confused[outcomes.confused != NO_MATCH]] = True
    return np.flatnonzero(~is_found)


def _label_rows(outcomes: BoxOutcomes) -> tuple[IntArray, IntArray]:
    """True and predicted label of each prediction, then of each missed box; -1 for none."""
    truth, predicted, missed = outcomes.truth, outcomes.predicted, _find_missed(outcomes)
    true_labels = np.append(truth.label_idx, -1)  # the last one stands for no match
    y_true = np.concatenate([true_labels[outcomes.confused], truth.label_idx[missed]])
    y_pred = np.concatenate([predicted.label_idx, np.full(len(missed), -1)])
    return y_true, y_pred

"""Which true box each predicted one found: the rows of predictions, and their matrix."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import (
    BoolArray,
    Boxes,
    Evaluation,
    FloatArray,
    IntArray,
    Outcome,
    Provider,
    RecordsKind,
)
from mlrek.kinds import BOX_ERRORS, BoxError
from mlrek.metrics import ConfusionMatrix, Predictions
from mlrek.metrics.counts import LabelCounts, name_labels, select_labels
from mlrek.metrics.decisions import DEFAULT_THRESHOLD, FLAGS_RULE, THRESHOLD_RULE
from mlrek.metrics.detection.matching import (
    NO_MATCH,
    BoxPairs,
    BoxTable,
    Scenes,
    match_boxes,
    pair_boxes,
)
from mlrek.metrics.left_out import Counted, Decisions
from mlrek.text import BACKGROUND_LABEL

BACKGROUND_IOU: Final = 0.1
"""TIDE's t_b: a box that overlaps less is on the background."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxDecision:
    """What each recorded box counts as, by which rule, and how much was recorded.

    All (n_records,): `is_detection`, the box has a confidence above 0 (0 is the placeholder of a
    true box that was never found); `is_predicted`, it also reaches the threshold; `is_flagged`, the
    provider says what it is; `is_matched`, by that flag it has found a true box.
    """

    is_detection: BoolArray
    is_predicted: BoolArray
    is_flagged: BoolArray
    is_matched: BoolArray
    rule: str
    kind: RecordsKind
    warnings: tuple[str, ...] = ()


def find_outcomes(scenes: Scenes, iou_threshold: float) -> BoxOutcomes:
    """Match predictions with true boxes, first of the same label, then of others.

    Both times greedily, in falling confidence, each prediction taking the true box still free with
    the greatest overlap of at least `iou_threshold`. So a true box goes to a prediction of its own
    label if one reaches it, and only what then is left counts as confused. Crowds, and predictions
    that find one of their label, are left out.

    Args:
        scenes: True boxes and the predictions alone.
        iou_threshold: The overlap that finds a true box.
    """
    scenes = scenes.drop_crowds(iou_threshold)
    truth, order = scenes.truth, np.lexsort((-scenes.found.confidence, scenes.found.image_idx))
    predicted = scenes.found.take(order)
    matches = scenes.match(np.array([iou_threshold]))[0, order]
    pairs = pair_boxes(
        predicted, predicted.image_idx, truth, truth.image_idx, min(iou_threshold, BACKGROUND_IOU)
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


def count_confusion(outcomes: BoxOutcomes, labels: tuple[str, ...]) -> ConfusionMatrix:
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


def list_box_predictions(outcomes: BoxOutcomes) -> Predictions:
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


def decide_boxes(evaluation: Evaluation, records: Boxes) -> BoxDecision:
    """Which recorded boxes reach the assumed threshold of their label.

    Where a label has none: the flag of the box; where that is missing too: 0.5. Records are
    complete when they hold a box below its threshold that is not known to have found a true one.
    """
    thresholds = evaluation.thresholds[records.label_idx]
    has_threshold = ~np.isnan(thresholds)
    outcome = records.outcome
    is_flagged = np.asarray(outcome != Outcome.UNKNOWN)
    is_matched = np.asarray((outcome == Outcome.TP) | (outcome == Outcome.FN))
    flagged_predicted = np.asarray((outcome == Outcome.TP) | (outcome == Outcome.FP))
    reaches = records.confidence >= np.where(has_threshold, thresholds, DEFAULT_THRESHOLD)
    is_detection = records.confidence > 0
    if evaluation.version.project.provider is Provider.CUSTOM:  # has no placeholders of its own
        is_detection |= (records.confidence == 0) & ~is_flagged
    by_flag = ~has_threshold & is_flagged
    is_predicted = is_detection & np.where(by_flag, flagged_predicted, reaches)
    contradicts = is_flagged & has_threshold & is_detection & (flagged_predicted != is_predicted)
    complete = np.any(is_detection & ~is_predicted & ~is_matched)
    rule = str(DEFAULT_THRESHOLD)
    if has_threshold.any() or not np.isnan(evaluation.thresholds).all():
        rule = THRESHOLD_RULE
    elif is_flagged.any():
        rule = FLAGS_RULE
    return BoxDecision(
        is_detection=is_detection,
        is_predicted=is_predicted,
        is_flagged=is_flagged,
        is_matched=is_matched,
        rule=rule,
        kind=RecordsKind.COMPLETE if complete else RecordsKind.PARTIAL,
        warnings=(
            *_warn_without_confidence(records),
            *_warn_contradictions(contradicts),
            *_warn_without_threshold(evaluation, records, by_flag & is_detection, rule),
            *_warn_default(is_detection & ~has_threshold & ~is_flagged),
        ),
    )


def count_flags(
    evaluation: Evaluation, records: Boxes, decision: BoxDecision, n_true: IntArray
) -> tuple[LabelCounts, tuple[str, ...]]:
    """Boxes of each label by the provider's flags; warns of true boxes that no flag speaks of.

    A flag that contradicts confidence and threshold keeps only what it says of the truth. True
    boxes without a record are misses.

    Args:
        evaluation: What was read.
        records: The recorded boxes, all with a flag.
        decision: What they count as.
        n_true: True boxes of each label, (n_labels,).
    """
    n_labels = len(evaluation.labels)
    predicted, matched = decision.is_predicted, decision.is_matched
    tp = np.bincount(records.label_idx[predicted & matched], minlength=n_labels)
    fn = np.bincount(records.label_idx[~predicted & matched], minlength=n_labels)
    unrecorded = np.maximum(n_true - tp - fn, 0)
    warnings: tuple[str, ...] = ()
    if unrecorded.any():
        names = name_labels(select_labels(evaluation.labels, unrecorded > 0))
        n = f"{unrecorded.sum()} of {n_true.sum()} true boxes"
        warnings = (f"{n} have no record and count as missed at the threshold; labels: {names}",)
    counts = LabelCounts(
        tp=tp,
        predicted=np.bincount(records.label_idx[predicted], minlength=n_labels),
        support=tp + fn + unrecorded,
    )
    return counts, warnings


def list_flag_decisions(
    evaluation: Evaluation, truth: Boxes, records: Boxes, decision: BoxDecision
) -> Decisions:
    """What `count_flags` counts, box by box; true boxes without a record stand on their images."""
    predicted, matched = decision.is_predicted, decision.is_matched
    own = Counted(image_idx=records.image_idx[matched], label_idx=records.label_idx[matched])
    image_idx, label_idx = _find_unrecorded(truth, own, len(evaluation.labels))
    right = predicted & matched
    return Decisions(
        right=Counted(image_idx=records.image_idx[right], label_idx=records.label_idx[right]),
        predicted=Counted(
            image_idx=records.image_idx[predicted], label_idx=records.label_idx[predicted]
        ),
        true=Counted(
            image_idx=np.concatenate([own.image_idx, image_idx]),
            label_idx=np.concatenate([own.label_idx, label_idx]),
        ),
    )


def _find_unrecorded(truth: Boxes, own: Counted, n_labels: int) -> tuple[IntArray, IntArray]:
    """Image and label of as many true boxes as `count_flags` finds without a record."""
    n_images, counted = len(truth.offsets) - 1, truth.counted
    images, labels = truth.image_idx[counted], truth.label_idx[counted]
    true = np.bincount(labels, minlength=n_labels)
    n_missing = np.maximum(true - np.bincount(own.label_idx, minlength=n_labels), 0)
    shape = (n_images * max(1, n_labels),)
    lacking = np.zeros(shape, dtype=np.int64)
    np.add.at(lacking, images * n_labels + labels, 1)
    np.subtract.at(lacking, own.image_idx * n_labels + own.label_idx, 1)
    cells = np.repeat(np.arange(shape[0]), np.maximum(lacking, 0))
    cells = cells[np.lexsort((cells, cells % max(1, n_labels)))]
    label_idx = cells % max(1, n_labels)
    first = np.searchsorted(label_idx, np.arange(n_labels))
    kept = np.arange(len(cells)) - first[label_idx] < n_missing[label_idx]
    return cells[kept] // max(1, n_labels), label_idx[kept]


def _warn_without_confidence(records: Boxes) -> Iterator[str]:
    if n := np.count_nonzero(np.isnan(records.confidence)):
        n_records = len(records.confidence)
        yield f"{n} of {n_records} recorded boxes have no confidence and are no detections"


def _warn_contradictions(contradicts: BoolArray) -> Iterator[str]:
    if n := np.count_nonzero(contradicts):
        yield (
            f"the flags of {n} of {len(contradicts)} recorded boxes contradict their confidence "
            "and the assumed threshold of their label: confidence decides"
        )


def _warn_without_threshold(
    evaluation: Evaluation, records: Boxes, by_flag: BoolArray, rule: str
) -> Iterator[str]:
    if rule == THRESHOLD_RULE and by_flag.any():
        found = np.bincount(records.label_idx[by_flag], minlength=len(evaluation.labels)) > 0
        names = name_labels(select_labels(evaluation.labels, found))
        n = np.count_nonzero(by_flag)
        yield f"no threshold is published for {names}: the flags of {n} boxes decide"


def _warn_default(by_default: BoolArray) -> Iterator[str]:
    if n := np.count_nonzero(by_default):
        yield (
            f"{n} of {len(by_default)} recorded boxes have neither a published threshold nor a "
            f"flag: predicted are those at or above {DEFAULT_THRESHOLD}"
        )

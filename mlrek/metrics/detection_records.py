"""Which recorded boxes are detections, which are predictions, and what the provider's flags say."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlrek.evaluation import BoolArray, Boxes, Evaluation, IntArray, Outcome, RecordsKind
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.decisions import DEFAULT_THRESHOLD, FLAGS_RULE, THRESHOLD_RULE
from mlrek.metrics.left_out import Counted, Decisions
from mlrek.metrics.naming import name_labels, select_labels


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
    n_images = len(truth.offsets) - 1
    true = np.bincount(truth.label_idx, minlength=n_labels)
    n_missing = np.maximum(true - np.bincount(own.label_idx, minlength=n_labels), 0)
    shape = (n_images * max(1, n_labels),)
    lacking = np.zeros(shape, dtype=np.int64)
    np.add.at(lacking, truth.image_idx * n_labels + truth.label_idx, 1)
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

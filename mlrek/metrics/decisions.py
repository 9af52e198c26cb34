"""Which records of an evaluation are predictions: by threshold, by flag, or by rank."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, IntArray, Outcome
from mlrek.metrics.naming import name_labels, select_labels

DEFAULT_THRESHOLD: Final = 0.5
THRESHOLD_RULE: Final = "threshold"
FLAGS_RULE: Final = "flags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Which records are predictions: `is_predicted` (n_records,), and by which rule."""

    is_predicted: BoolArray
    rule: str
    warnings: tuple[str, ...] = ()


def decide_records(evaluation: Evaluation) -> Decided:
    """Which records reach their assumed threshold.

    Where a label has none: the provider's flag of the record; where that is missing too: 0.5. The
    rule is named after what decides first: `threshold`, `flags` or `0.5`.
    """
    records = evaluation.records
    thresholds = evaluation.thresholds[records.label_idx]
    has_threshold = ~np.isnan(thresholds)
    has_flag = records.outcome != Outcome.UNKNOWN
    by_default = ~has_threshold & ~has_flag
    is_predicted = np.where(
        has_threshold,
        records.confidence >= thresholds,
        np.where(
            has_flag, is_flagged_predicted(evaluation), records.confidence >= DEFAULT_THRESHOLD
        ),
    )
    rule = str(DEFAULT_THRESHOLD)
    if not np.isnan(evaluation.thresholds).all():
        rule = THRESHOLD_RULE
    elif has_flag.any():
        rule = FLAGS_RULE
    return Decided(
        is_predicted=is_predicted,
        rule=rule,
        warnings=(
            *_warn_without_threshold(evaluation, ~has_threshold & has_flag, rule),
            *_warn_default(evaluation, by_default),
        ),
    )


def is_flagged_predicted(evaluation: Evaluation) -> BoolArray:
    """Whether the provider's flags call each record a prediction, (n_records,)."""
    outcome = evaluation.records.outcome
    return np.asarray((outcome == Outcome.TP) | (outcome == Outcome.FP))


def top_records(evaluation: Evaluation, eligible: BoolArray | None = None) -> IntArray:
    """The record with the highest confidence of each image, ties to the first in label order.

    Args:
        evaluation: What was read.
        eligible: Which records count, (n_records,); all without it.

    Returns:
        Positions in the records' columns, (n_images,); -1 where an image has none that counts.
    """
    records = evaluation.records
    confidence, image_idx = records.confidence, records.image_idx
    if eligible is not None:
        confidence = np.where(eligible, confidence, -1.0)
    top = np.full(len(evaluation.images), -1, dtype=np.int64)
    if not len(confidence):
        return top
    highest = np.maximum.reduceat(confidence, records.offsets[:-1][records.counts > 0])
    is_top = confidence == np.repeat(highest, records.counts[records.counts > 0])
    places = np.flatnonzero(is_top & (confidence >= 0))
    first = np.diff(image_idx[places], prepend=-1) > 0
    top[image_idx[places[first]]] = places[first]
    return top


def _warn_without_threshold(evaluation: Evaluation, by_flag: BoolArray, rule: str) -> Iterator[str]:
    if rule == THRESHOLD_RULE and by_flag.any():
        n_labels = len(evaluation.labels)
        found = np.bincount(evaluation.records.label_idx[by_flag], minlength=n_labels) > 0
        names = name_labels(select_labels(evaluation.labels, found))
        n = np.count_nonzero(by_flag)
        yield f"no threshold is published for {names}: the flags of {n} records decide"


def _warn_default(evaluation: Evaluation, by_default: BoolArray) -> Iterator[str]:
    if n := np.count_nonzero(by_default):
        yield (
            f"{n} of {len(evaluation.records.confidence)} records have neither a published "
            f"threshold nor a flag: predicted are those at or above {DEFAULT_THRESHOLD}"
        )

"""The service's flags against what they should follow from: confidence, threshold and truth.

Numbers are computed from confidence and truth alone; flags that disagree are only counted.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray, LabelSets, Outcome, Records
from mlrek.formats.columns import warn_first
from mlrek.formats.rekognition_line import (
    IS_ABSENT,
    IS_FALSE_NEGATIVE,
    IS_FALSE_POSITIVE,
    IS_PRESENT,
    IS_TRUE_NEGATIVE,
    IS_TRUE_POSITIVE,
)

NO_SINGLE_FLAG = "do not have exactly one of the four outcome flags"

_OUTCOMES = np.full(16, Outcome.UNKNOWN, dtype=np.uint8)  # by the four flags; two say nothing
_OUTCOMES[IS_TRUE_POSITIVE] = Outcome.TP
_OUTCOMES[IS_FALSE_POSITIVE] = Outcome.FP
_OUTCOMES[IS_FALSE_NEGATIVE] = Outcome.FN
_OUTCOMES[IS_TRUE_NEGATIVE] = Outcome.TN


def find_outcomes(flags: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outcome that each record's flags name, (n,); `UNKNOWN` where not exactly one does."""
    outcomes: NDArray[np.uint8] = _OUTCOMES[flags & (len(_OUTCOMES) - 1)]
    return outcomes


def check_flags(
    images: tuple[str, ...],
    truth: LabelSets,
    records: Records,
    flags: NDArray[np.uint8],
    thresholds: FloatArray,
) -> Iterator[str]:
    """Yield a counted warning for each way in which flags are missing or disagree."""
    doubts = {
        NO_SINGLE_FLAG: records.outcome == Outcome.UNKNOWN,
        "have flags that contradict confidence and threshold, which count": _contradict_threshold(
            records, thresholds
        ),
        "have flags that contradict the true labels, which count": _contradict_truth(
            truth, records, flags
        ),
    }
    for reason, doubtful in doubts.items():
        yield from warn_first(images, doubtful, f"records {reason}", image_idx=records.image_idx)


def _contradict_threshold(records: Records, thresholds: FloatArray) -> BoolArray:
    """Flagged as predicted below the threshold, or as not predicted above it; equal is neither."""
    assumed = thresholds[records.label_idx]  # NaN where not published: compares as False
    is_predicted = _is_any(records, Outcome.TP, Outcome.FP)
    is_left_out = _is_any(records, Outcome.FN, Outcome.TN)
    below, above = records.confidence < assumed, records.confidence > assumed
    return (is_predicted & below) | (is_left_out & above)


def _contradict_truth(truth: LabelSets, records: Records, flags: NDArray[np.uint8]) -> BoolArray:
    """Flagged as in the truth but not there, or the other way round; only where there is truth."""
    true_keys, keys = _pair_keys(truth), _pair_keys(records)  # both rise
    place = np.searchsorted(true_keys, keys)
    is_true = np.append(true_keys, -1)[place] == keys
    says_true = _is_any(records, Outcome.TP, Outcome.FN) | ((flags & IS_PRESENT) > 0)
    says_untrue = _is_any(records, Outcome.FP, Outcome.TN) | ((flags & IS_ABSENT) > 0)
    has_truth = truth.counts[records.image_idx] > 0
    contradicted: BoolArray = (says_true & ~is_true) | (says_untrue & is_true)
    return contradicted & has_truth


def _is_any(records: Records, one: Outcome, other: Outcome) -> BoolArray:
    is_any: BoolArray = (records.outcome == one) | (records.outcome == other)
    return is_any


def _pair_keys(rows: LabelSets | Records) -> IntArray:
    """One integer for each (image, label) pair."""
    return (rows.image_idx.astype(np.int64) << 32) | rows.label_idx

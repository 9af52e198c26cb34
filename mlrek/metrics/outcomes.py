"""Each label's true positives, false negatives and false positives: which images they are on."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, Task
from mlrek.metrics import Predictions


class LabelOutcome(StrEnum):
    """What became of one label on an image; in the order in which they are shown."""

    TP = "tp"
    FN = "fn"
    FP = "fp"


_TP, _FN, _FP = range(3)
_NO_LABEL: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOutcomes:
    """A row for each label that is true or predicted on an image (of a box: somewhere on it).

    By label, then outcome, then in rising confidence, so that the least sure come first; what has
    no confidence (NaN) comes last. `outcome` are places in `LabelOutcome`; all (n,).
    """

    label_idx: IntArray
    image_idx: IntArray
    outcome: IntArray
    confidence: FloatArray

    def select(self, label_idx: int, outcome: LabelOutcome) -> IntArray:
        """The rows of a label with an outcome."""
        code = list(LabelOutcome).index(outcome)
        return np.flatnonzero((self.label_idx == label_idx) & (self.outcome == code))


def list_outcomes(evaluation: Evaluation, predictions: Predictions) -> LabelOutcomes:
    """What became of each label, from what was predicted.

    One label predicted for another is a false positive of the one and a false negative of the
    other, which has its own recorded confidence if there is one. With one label an image, images
    without truth are left out.
    """
    y_true, y_pred = predictions.y_true, predictions.y_pred
    counts = np.full(len(y_true), fill_value=True)
    if evaluation.task == Task.CLASSIFICATION:
        counts = y_true != _NO_LABEL
    is_hit = counts & (y_true == y_pred) & (y_true != _NO_LABEL)
    hits = np.flatnonzero(is_hit)
    false = np.flatnonzero(counts & ~is_hit & (y_pred != _NO_LABEL))
    missed = np.flatnonzero(counts & ~is_hit & (y_true != _NO_LABEL))
    rows = np.concatenate([hits, missed, false])
    label_idx = np.concatenate([y_true[hits], y_true[missed], y_pred[false]])
    confidence = predictions.confidence[rows]
    is_missed = np.repeat([False, True, False], [len(hits), len(missed), len(false)])
    confidence[is_missed] = _find_confidence(evaluation, predictions.image_idx, y_true, missed)
    outcome = np.repeat([_TP, _FN, _FP], [len(hits), len(missed), len(false)])
    order = np.lexsort((predictions.image_idx[rows], confidence, outcome, label_idx))
    return LabelOutcomes(
        label_idx=label_idx[order],
        image_idx=predictions.image_idx[rows][order],
        outcome=outcome[order],
        confidence=confidence[order],
    )


def _find_confidence(
    evaluation: Evaluation, image_idx: IntArray, label_idx: IntArray, rows: IntArray
) -> FloatArray:
    """The recorded confidence of a label on its image, NaN where there is no record."""
    records, n_labels = evaluation.records, max(len(evaluation.labels), 1)
    keys = records.image_idx * n_labels + records.label_idx  # rises
    wanted = image_idx[rows].astype(np.int64) * n_labels + label_idx[rows]
    place = np.searchsorted(keys, wanted)
    found = np.append(keys, _NO_LABEL)[place] == wanted
    return np.where(found, np.append(records.confidence, np.nan)[place], np.nan)

"""Numbers at one threshold that a person chose, the same for every label."""

from dataclasses import dataclass
from math import nan

import numpy as np

from mlrek.evaluation import Evaluation, Task
from mlrek.metrics import LabelScores
from mlrek.metrics.counts import divide
from mlrek.metrics.curves import describe_stop
from mlrek.metrics.detection import pair_detections
from mlrek.metrics.label_scores import score_labels
from mlrek.metrics.pairs import Pairs, count_predicted, pair_records


@dataclass(frozen=True, slots=True, kw_only=True)
class AtChosenThreshold:
    """Every recorded pair with confidence >= `threshold` is predicted.

    `precision`, `recall` and `f1` are micro averages (NaN where undefined), as on the run's
    `curve/`; `stops_at` says where the records stop, '' where they do not.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    per_label: LabelScores
    stops_at: str


def compute_at_chosen_threshold(evaluation: Evaluation, threshold: float) -> AtChosenThreshold:
    """One label against the rest at `threshold` (0 to 1); an absent record is not predicted.

    Of a detection boxes count, as in its curves.
    """
    pairs, stops_at = _pair(evaluation)
    counts = count_predicted(pairs, pairs.confidence >= threshold)
    unknown = np.full(pairs.n_labels, nan)
    tp, fp, fn = (int(column.sum()) for column in (counts.tp, counts.fp, counts.fn))
    return AtChosenThreshold(
        threshold=threshold,
        tp=tp,
        fp=fp,
        fn=fn,
        precision=float(divide(np.array(tp), np.array(tp + fp))),
        recall=float(divide(np.array(tp), np.array(tp + fn))),
        f1=float(divide(np.array(2 * tp), np.array(2 * tp + fp + fn))),
        per_label=score_labels(counts, unknown, unknown),
        stops_at=stops_at,
    )


def _pair(evaluation: Evaluation) -> tuple[Pairs, str]:
    """What is recorded, and where the records stop."""
    if evaluation.detections is not None:
        return pair_detections(evaluation, evaluation.detections)
    has_truth = evaluation.truth.counts > 0
    keep = has_truth if evaluation.task == Task.CLASSIFICATION else None
    return pair_records(evaluation, keep), describe_stop(evaluation)

"""What other thresholds would give: matrices, one chosen threshold, and advice."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import Evaluation, IntArray, RecordsKind, Task
from mlrek.metrics import (
    NO_CONFIDENCES,
    ConfusionMatrix,
    LabelScores,
    PredictionRule,
    ThresholdCurves,
)
from mlrek.metrics.counts import Pairs, count_pairs, count_predicted, divide, pair_records
from mlrek.metrics.curves import N_STEPS, say_stop
from mlrek.metrics.decisions import decide_records, predict
from mlrek.metrics.detection import IOU_THRESHOLD, pair_detections
from mlrek.metrics.detection.matching import arrange_boxes
from mlrek.metrics.detection.outcomes import count_confusion, decide_boxes, find_outcomes
from mlrek.metrics.intervals import CONFIDENCE
from mlrek.metrics.left_out import score_labels
from mlrek.metrics.multilabel import count_decisions
from mlrek.text import NONE_LABEL

PERCENTS: Final = tuple(range(0, 101, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdMatrices:
    """`matrices` by threshold in percent, and what a prediction is there, for a person."""

    matrices: Mapping[int, ConfusionMatrix]
    rule: str


_Matrices = Iterator[tuple[int, ConfusionMatrix]]


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


GOALS: Final = (0.8, 0.9, 0.95, 0.99)
"""The precisions that are looked for."""

_MOST_NEEDED: Final = 10**6
_GROWTH: Final = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """How many predictions there are at each threshold in percent, and how many are wrong.

    Both (101,). Where an image may have several they are counted by images: a wrong prediction is a
    wrong image, as predictions on one image are no independent trials.
    """

    n: IntArray
    wrong: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The lowest `step` in percent from which on a precision holds; None: it cannot be promised.

    Of `n` predictions there `wrong` are wrong; without a step: at the threshold that was tested
    first, or all there are where these are too few. `needed` predictions would show it were the
    share of wrong ones as it is, None where it is too large for any number of them.
    """

    step: int | None
    n: int
    wrong: int
    needed: int | None = None


def compute_threshold_matrices(evaluation: Evaluation) -> ThresholdMatrices:
    """The matrix at each of `PERCENTS` of which the records tell it; none without images.

    One label an image: the top label where its confidence reaches the threshold, else `(none)`; an
    image whose top label is not published had it below its assumed threshold, so that lower ones
    are left out. Several labels or boxes: all that reach the threshold. Where the records below the
    assumed thresholds are incomplete, only what also reaches its assumed one. None without
    confidences.
    """
    compute = _COMPUTE.get(evaluation.task)
    if compute is None or not evaluation.has_images or not evaluation.is_scored:
        return ThresholdMatrices(matrices={}, rule="")
    rule = "own threshold and confidence" if is_partial(evaluation) else "confidence"
    return ThresholdMatrices(matrices=dict(compute(evaluation)), rule=rule)


def is_partial(evaluation: Evaluation) -> bool:
    """Whether records below the assumed thresholds are incomplete where several count."""
    if evaluation.task == Task.CLASSIFICATION:
        return False
    if evaluation.detections is not None:
        decision = decide_boxes(evaluation, evaluation.detections.records)
        return decision.kind != RecordsKind.COMPLETE
    return evaluation.records_kind != RecordsKind.COMPLETE


def _of_top_labels(evaluation: Evaluation) -> _Matrices:
    sample = predict(evaluation, PredictionRule.TOP1)
    counted = sample.counted
    y_true, y_pred = sample.y_true[counted], sample.y_pred[counted]
    confidence = sample.confidence[counted]
    start = find_first_known(evaluation, y_pred)
    labels = evaluation.labels
    for percent in PERCENTS:
        if percent / 100 >= start and len(y_true):
            shown = np.where(confidence >= percent / 100, y_pred, -1)
            counts = count_pairs(y_true, shown, len(labels))
            yield (
                percent,
                ConfusionMatrix(counts=counts, rows=labels, columns=(*labels, NONE_LABEL)),
            )


def find_first_known(evaluation: Evaluation, y_pred: IntArray) -> float:
    """The threshold from which on every image's answer is known, infinite where none is."""
    if not np.any(y_pred < 0):
        return 0.0
    published = evaluation.thresholds
    return np.inf if np.isnan(published).all() else float(np.nanmax(published))


def _of_label_sets(evaluation: Evaluation) -> _Matrices:
    pairs = pair_records(evaluation)
    eligible = np.ones(len(pairs.confidence), dtype=np.bool_)
    if is_partial(evaluation):
        eligible = decide_records(evaluation).is_predicted
    for percent in PERCENTS:
        counts = count_predicted(pairs, eligible & (pairs.confidence >= percent / 100))
        yield percent, count_decisions(counts, evaluation.labels)


def _of_boxes(evaluation: Evaluation) -> _Matrices:
    if evaluation.detections is None:
        return
    decision = decide_boxes(evaluation, evaluation.detections.records)
    eligible = decision.is_predicted if is_partial(evaluation) else decision.is_detection
    scenes = arrange_boxes(evaluation.detections, eligible, len(evaluation.labels), IOU_THRESHOLD)
    for percent in PERCENTS:
        outcomes = find_outcomes(
            scenes.keep(scenes.found.confidence >= percent / 100), IOU_THRESHOLD
        )
        yield percent, count_confusion(outcomes, evaluation.labels)


_COMPUTE: Final[Mapping[Task, Callable[[Evaluation], _Matrices]]] = MappingProxyType(
    {
        Task.CLASSIFICATION: _of_top_labels,
        Task.MULTILABEL: _of_label_sets,
        Task.DETECTION: _of_boxes,
    }
)


def compute_at_chosen_threshold(evaluation: Evaluation, threshold: float) -> AtChosenThreshold:
    """One label against the rest at `threshold` (0 to 1); an absent record is not predicted.

    Of a detection boxes count, as in its curves.

    Raises:
        EvaluationError: The predictions hold no confidences.
    """
    if not evaluation.is_scored:
        raise EvaluationError(
            f"{evaluation.version.name}: {NO_CONFIDENCES}, so that no other threshold can be tried"
        )
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
    return pair_records(evaluation, keep), say_stop(evaluation)


def count_least(goal: float, confidence: float = CONFIDENCE) -> int:
    """The fewest predictions, all right, that show a precision.

    >>> [count_least(goal) for goal in GOALS]
    [14, 29, 59, 299]
    """
    return ceil(log(1 - confidence) / log(goal))


def advise(
    trials: Trials, goal: float, *, lowest: int = 0, confidence: float = CONFIDENCE
) -> Advice:
    """Look for a precision of at least `goal`, not below the step `lowest`."""
    from scipy.special import bdtr

    least = count_least(goal, confidence)
    n, wrong = trials.n[lowest:], np.minimum(trials.wrong, trials.n)[lowest:]
    first = int(np.count_nonzero(n >= least)) - 1  # n falls with the step
    if first < 0:
        return Advice(step=None, n=int(n[0]), wrong=int(wrong[0]), needed=least)
    chance = bdtr(wrong[: first + 1], n[: first + 1], 1 - goal)
    failed = np.flatnonzero(chance > 1 - confidence)
    step = int(failed[-1]) + 1 if len(failed) else 0
    if step > first:
        tried, failures = int(n[first]), int(wrong[first])
        needed = _count_needed(tried, failures, goal, confidence)
        return Advice(step=None, n=tried, wrong=failures, needed=needed)
    return Advice(step=lowest + step, n=int(n[step]), wrong=int(wrong[step]))


def count_trials(evaluation: Evaluation, curves: ThresholdCurves) -> tuple[Trials, list[Trials]]:
    """Of all labels together, by images, and of each label; boxes of a label by images, too."""
    if evaluation.detections is not None:
        pairs, _ = pair_detections(evaluation, evaluation.detections)
        columns = pairs.image_idx, pairs.label_idx, pairs.confidence
        found = _count_images(*columns, len(evaluation.labels))
        together = _count_images(columns[0], np.zeros_like(columns[1]), columns[2], 1)[:, 0]
    else:
        found, together = curves.tp + curves.fp, _count_predicted(evaluation)
    return (
        Trials(n=together, wrong=curves.fp.sum(axis=1)),
        [Trials(n=n, wrong=wrong) for n, wrong in zip(found.T, curves.fp.T, strict=True)],
    )


def _count_predicted(evaluation: Evaluation) -> IntArray:
    """Images on which any label is predicted at each step, by the records that count, (101,)."""
    records = evaluation.records
    has_records = records.counts > 0
    counted = np.ones_like(has_records)
    if evaluation.task is Task.CLASSIFICATION:
        counted = evaluation.truth.counts > 0
    highest = np.zeros(0)
    if has_records.any():  # what stands between two such images is of the first one
        first = records.offsets[:-1][has_records]
        highest = np.maximum.reduceat(records.confidence, first)[counted[has_records]]
    reached = np.searchsorted(np.arange(N_STEPS) / 100, highest, side="right")
    counts = np.bincount(reached, minlength=N_STEPS + 1)
    return np.cumsum(counts[::-1])[::-1][1:]


def _count_images(
    image_idx: IntArray, label_idx: IntArray, confidence: np.ndarray, n_labels: int
) -> IntArray:
    """Images on which each label is predicted at each step, (101, n_labels)."""
    reached = np.searchsorted(np.arange(N_STEPS) / 100, confidence, side="right")
    codes = image_idx.astype(np.int64) * n_labels + label_idx
    order = np.argsort(codes, kind="stable")  # mostly in order already
    first = np.flatnonzero(np.diff(codes[order], prepend=-1))
    counts = np.zeros((N_STEPS + 1, n_labels), dtype=np.int64)
    highest = np.maximum.reduceat(reached[order], first) if len(first) else first
    np.add.at(counts, (highest, label_idx[order[first]]), 1)
    return np.cumsum(counts[::-1], axis=0)[::-1][1:]


def _count_needed(n: int, wrong: int, goal: float, confidence: float) -> int | None:
    """Predictions of which the same share is wrong that would show the precision."""
    from scipy.special import bdtr

    if wrong >= (1 - goal) * n:
        return None
    wanted = float(n)
    while wanted < _MOST_NEEDED:
        wanted *= _GROWTH
        if bdtr(ceil(wanted * wrong / n), ceil(wanted), 1 - goal) <= 1 - confidence:
            return ceil(wanted)
    return None

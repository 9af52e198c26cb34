"""From which threshold on a precision can be promised, with a confidence, and what is missing.

Learn then test (Angelopoulos, Bates, Candès, Jordan & Lei 2021): thresholds are tested in a fixed
order, from the highest downwards, and the first one that fails ends it. So nothing is lost for
trying many (fixed sequence testing): all that is said of a label is true with the confidence. It
begins at the highest threshold with enough predictions to show anything at all: 59 for a precision
of 0.95, which is true of 59 right ones of 59 with a probability of at most 0.95^59 = 0.0485.
"""

from dataclasses import dataclass
from math import ceil, log
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.metrics import ThresholdCurves
from mlrek.metrics.curves import N_STEPS
from mlrek.metrics.detection import pair_detections
from mlrek.metrics.resampling import CONFIDENCE

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
    else:
        found = curves.tp + curves.fp
        columns = _list_records(evaluation)
    together = _count_images(columns[0], np.zeros_like(columns[1]), columns[2], 1)[:, 0]
    return (
        Trials(n=together, wrong=curves.fp.sum(axis=1)),
        [Trials(n=n, wrong=wrong) for n, wrong in zip(found.T, curves.fp.T, strict=True)],
    )


def _list_records(evaluation: Evaluation) -> tuple[IntArray, IntArray, np.ndarray]:
    """Image, label and confidence of each record that counts."""
    records = evaluation.records
    image_idx = records.image_idx
    kept = np.ones(len(image_idx), dtype=np.bool_)
    if evaluation.task is Task.CLASSIFICATION:
        kept = evaluation.truth.counts[image_idx] > 0
    return image_idx[kept], records.label_idx[kept], records.confidence[kept]


def _count_images(
    image_idx: IntArray, label_idx: IntArray, confidence: np.ndarray, n_labels: int
) -> IntArray:
    """Images on which each label is predicted at each step, (101, n_labels)."""
    reached = np.searchsorted(np.arange(N_STEPS) / 100, confidence, side="right")
    codes = image_idx.astype(np.int64) * n_labels + label_idx
    order = np.lexsort((-reached, codes))
    is_first = np.diff(codes[order], prepend=-1) != 0
    surest = order[is_first]
    counts = np.zeros((N_STEPS + 1, n_labels), dtype=np.int64)
    np.add.at(counts, (reached[surest], label_idx[surest]), 1)
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

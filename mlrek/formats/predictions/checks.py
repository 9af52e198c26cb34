"""Answers that cannot be what a model said of these images, although they fit: each in one line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    BoolArray,
    Doubt,
    DoubtKind,
    Effect,
    Evaluation,
    FloatArray,
    IntArray,
    Records,
    RecordsKind,
    Task,
)
from mlrek.formats.columns import add_up
from mlrek.formats.json_text import join_some, quoted, say_first
from mlrek.formats.predictions import Answers
from mlrek.formats.predictions.boxes import equals_truth, list_overlapping
from mlrek.metrics.decisions import DEFAULT_THRESHOLD, top_records
from mlrek.metrics.doubts import RANKED_NUMBERS

_MIN_EQUAL: Final = 10
_MIN_TOLD: Final = 10
"""Images by which chance is told from agreement."""
_QUANTILE: Final = 1.645
_MIN_TOGETHER: Final = 3
_ALIKE: Final = 1 / 3
_FAR_BETTER: Final = 3
_MUCH: Final = 1 / 3
_MAX_NAMED: Final = 10
_ROUNDING: Final = 1e-6
_ROWS_AT_ONCE: Final = 1 << 16


def check_truth_given(evaluation: Evaluation, answers: Answers) -> None:
    """Refuse the truth as predictions: right everywhere, and nowhere more or less sure.

    Raises:
        EvaluationError: It is.
    """
    rows = evaluation.detections.records if evaluation.detections else evaluation.records
    given = rows.confidence
    least = np.min(given, where=given > 0, initial=np.inf)
    says_how_sure = answers.is_scored and least < np.max(given, initial=0)
    if says_how_sure or answers.truth is not None:
        return
    answered, is_equal = _compare_sets(evaluation)
    if np.count_nonzero(answered) >= _MIN_EQUAL and is_equal:
        held = "the same confidence everywhere" if answers.is_scored else "no confidences"
        raise EvaluationError(
            f"the predictions equal the truth on all {np.count_nonzero(answered)} images that they "
            f"name, and hold {held}: this is the truth itself; give what the model said, with its "
            "confidences, or truth and predictions as two columns of one file"
        )


def _compare_sets(evaluation: Evaluation) -> tuple[BoolArray, bool]:
    """Which images have predictions, and whether these are exactly what is true of them."""
    if evaluation.detections is not None:
        answered = np.diff(evaluation.detections.records.offsets) > 0
        return answered, equals_truth(evaluation.detections)
    records, truth = evaluation.records, evaluation.truth
    answered, n_labels = records.counts > 0, len(evaluation.labels)
    found = (records.image_idx * n_labels + records.label_idx)[records.confidence > 0]
    true = truth.image_idx * n_labels + truth.label_idx
    return answered, np.array_equal(found, true[answered[truth.image_idx]])


def warn_contradicted(
    records: Records, named: IntArray, images: Sequence[str], labels: Sequence[str]
) -> Iterator[str]:
    """That a file names other labels as predicted than those with the highest confidence.

    Args:
        records: Of all images.
        named: The label that the file names for each image, (n_images,), -1 for none.
        images: Their names.
        labels: The labels.

    Raises:
        EvaluationError: It does so of most images.
    """
    known = np.flatnonzero((named >= 0) & (records.counts > 0))
    highest = np.zeros(len(images))
    np.maximum.at(highest, records.image_idx, records.confidence)
    own = np.full(len(images), -1.0)
    is_named = records.label_idx == named[records.image_idx]
    own[records.image_idx[is_named]] = records.confidence[is_named]
    wrong = known[own[known] < highest[known] - _ROUNDING]
    if not len(wrong):
        return
    first = images[wrong[0]]
    if 2 * len(wrong) > len(known):
        what = "images have another predicted label than that with the highest confidence"
        raise EvaluationError(
            f"{say_first(len(wrong), len(known), what, first)} (predicted is "
            f"{quoted(labels[named[wrong[0]]])}): are the columns of confidences in another order "
            "than their names?"
        )
    what = "images have another predicted label than that with the highest confidence, which counts"
    yield say_first(len(wrong), len(known), what, first)


def doubt_thresholds_given(evaluation: Evaluation) -> Iterator[Doubt]:
    """That each label has one confidence wherever it stands: a threshold, no confidence.

    That all have the same one is doubted with the numbers, where these rank anything; here it is
    where they do not.
    """
    rows = evaluation.detections.records if evaluation.detections else evaluation.records
    if not evaluation.is_scored or not len(rows.confidence):
        return
    n_labels = len(evaluation.labels)
    low, high = np.full(n_labels, np.inf), np.full(n_labels, -np.inf)
    for start in range(0, len(rows.confidence), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        np.minimum.at(low, rows.label_idx[some], rows.confidence[some])
        np.maximum.at(high, rows.label_idx[some], rows.confidence[some])
        if np.any(low < high):
            return
    repeats = np.bincount(rows.label_idx, minlength=n_labels) > 1
    n_values = len(np.unique(low[repeats]))
    ranks = evaluation.detections is not None or evaluation.records_kind is RecordsKind.COMPLETE
    if n_values <= ranks:
        return
    shown = [f"{quoted(evaluation.labels[i])} {low[i]:g}" for i in np.flatnonzero(repeats)]
    yield Doubt(
        kind=DoubtKind.CONFIDENCE_CONSTANT,
        text=(
            f"each label has the same confidence on all its images ({join_some(shown, ', ')}): "
            "these are thresholds or averages, not what the model said of each image"
        ),
        count=len(rows.confidence),
        of=len(rows.confidence),
        touches=(*RANKED_NUMBERS, "aggregate/ece*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Together:
    """Labels that are true and predicted of the same images: `true`, `found`, `count`, (n,) each.

    `n_true` and `n_found` (n_labels,) are the images of each label.
    """

    true: IntArray
    found: IntArray
    count: IntArray
    n_true: IntArray
    n_found: IntArray

    @property
    def likeness(self) -> FloatArray:
        """The share of the images with either label that have both (F1), (n,)."""
        return 2 * self.count / (self.n_true[self.true] + self.n_found[self.found])

    @property
    def n_right(self) -> int:
        """How often a label is true and predicted."""
        return int(self.count[self.true == self.found].sum())


def doubt_names(evaluation: Evaluation) -> Iterator[Doubt | str]:
    """Doubts and warnings of labels that seem to be called otherwise in the predictions.

    One label is taken for another where they go together on a third of the images with either,
    and neither goes with itself on a third of that.
    """
    together = _count_together(evaluation)
    moved = _find_moved(together)
    if not moved:
        yield from _warn_chance(evaluation, together)
        return
    n_moved = int(together.n_true[list(moved)].sum())
    said = _say_moved(evaluation.labels, moved)
    if n_moved < _MUCH * together.n_true.sum():
        yield said
        return
    yield Doubt(
        kind=DoubtKind.OTHER_RULE,
        text=said,
        count=len(moved),
        of=int(np.count_nonzero(together.n_true)),
        own_effect=Effect.STOPS,
    )


def _count_together(evaluation: Evaluation) -> _Together:
    """Of boxes those count that overlap, whatever their labels."""
    n_labels = len(evaluation.labels)
    if evaluation.detections is not None:
        true, found = list_overlapping(evaluation.detections)
        of_true: IntArray = np.arange(len(true) + 1)
        of_found = of_true
    else:
        true, of_true = evaluation.truth.label_idx, evaluation.truth.offsets
        kept, of_found = _find_predicted(evaluation)
        found = evaluation.records.label_idx[kept]
    counts = (_tabulate(true, of_true, n_labels).T @ _tabulate(found, of_found, n_labels)).tocoo()
    return _Together(
        true=counts.row,
        found=counts.col,
        count=counts.data,
        n_true=np.bincount(true, minlength=n_labels),
        n_found=np.bincount(found, minlength=n_labels),
    )


def _tabulate(label: IntArray, offsets: IntArray, n_labels: int) -> sp.csr_array:
    """Which labels each unit has; unit i those of `offsets[i]:offsets[i + 1]`, each once."""
    shape = len(offsets) - 1, n_labels
    return sp.csr_array((np.ones(len(label), dtype=np.int64), label, offsets), shape=shape)


def _find_predicted(evaluation: Evaluation) -> tuple[IntArray, IntArray]:
    """The records that are predictions, and the offsets of each image among them."""
    if evaluation.task is Task.CLASSIFICATION:
        top = top_records(evaluation)
        is_found = (top >= 0) & (evaluation.truth.counts > 0)
        return top[is_found], add_up(is_found)
    thresholds = np.nan_to_num(evaluation.thresholds, nan=DEFAULT_THRESHOLD)
    records = evaluation.records
    kept = np.flatnonzero(records.confidence >= thresholds[records.label_idx])
    return kept, np.searchsorted(kept, records.offsets)


def _find_moved(together: _Together) -> dict[int, int]:
    """What each true label seems to be called in the predictions, by code."""
    likeness = together.likeness
    is_own = together.true == together.found
    own = np.zeros(len(together.n_true))
    own[together.true[is_own]] = likeness[is_own]
    least = np.maximum(own[together.true], own[together.found]) * _FAR_BETTER
    moved = ~is_own & (together.count >= _MIN_TOGETHER) & (likeness >= np.maximum(_ALIKE, least))
    pairs: dict[int, int] = {}
    for i in np.flatnonzero(moved)[np.argsort(-likeness[moved], kind="stable")].tolist():
        true, found = int(together.true[i]), int(together.found[i])
        if true not in pairs and found not in pairs.values():
            pairs[true] = found
    return pairs


def _say_moved(labels: Sequence[str], moved: Mapping[int, int]) -> str:
    named = [f"{quoted(labels[found])} for {quoted(labels[true])}" for true, found in moved.items()]
    steps = {found - true for true, found in moved.items()}
    shift = ", each its neighbour in the list, as where indices begin at 0 and at 1,"
    return (
        f"{len(moved)} labels{shift if steps in ({1}, {-1}) else ''} seem to be called otherwise "
        f"in the predictions than in the truth: {join_some(sorted(named), most=_MAX_NAMED)}; "
        "--label-map renames them"
    )


def _warn_chance(evaluation: Evaluation, together: _Together) -> Iterator[str]:
    """That predictions are right no more often than if they were of other images.

    How often a label would be right by chance follows the hypergeometric distribution.
    """
    n_images = len(evaluation.images)
    n_true, n_found = (one.astype(np.float64) for one in (together.n_true, together.n_found))
    has_several = np.count_nonzero(n_true) > 1 and np.count_nonzero(n_found) > 1
    if evaluation.task is Task.DETECTION or n_images < _MIN_TOLD or not has_several:
        return
    expected = float(n_true @ n_found) / n_images
    spread = (n_true * n_found) @ ((n_images - n_true) * (n_images - n_found))
    error = float(np.sqrt(spread / (n_images - 1))) / n_images  # of each label by itself
    if error and together.n_right <= expected + _QUANTILE * error:
        yield (
            f"predictions are right {together.n_right} times, and would be {expected:.0f} times if "
            "truth were dealt out by chance: rows or names of truth and predictions may not belong "
            "together"
        )

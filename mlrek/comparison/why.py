"""Why a number moved: the parts of the change of macro-F1, which add up to the whole.

In this order, each step changing one thing and leaving all else: which labels are averaged, which
images there are, which truth the shared images have, what the model predicts on them. A step from
the baseline's whole test set to the shared images, and one from those to the candidate's, make up
the part of the test set together. Then the thresholds: what the number at the assumed thresholds
has beyond that of the predictions, each version with its own. What the provider's own figure has
beyond that is unexplained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

import numpy as np

from mlrek.comparison import Why
from mlrek.comparison.exams import Exam
from mlrek.comparison.rows import NO_LABEL, Rows
from mlrek.evaluation import BoolArray, Task
from mlrek.metrics import Metrics
from mlrek.metrics.counts import LabelCounts, compute_averages

NOT_SEPARABLE: Final = "not separable: the test sets have no image in common"
NO_THRESHOLDS: Final = "no number at assumed thresholds: their part is not told apart"
OWN: Final = "aggregate/f1_macro"
AT_THRESHOLD: Final = "at_threshold/f1_macro"
REPORTED: Final = "reported/f1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The same predictions step by step, in shared label codes.

    `baseline` and `candidate` on their whole test sets, `shared_baseline` and `shared_candidate` on
    the shared images, `relabelled` the baseline's predictions there with the candidate's truth.
    `is_common` (n_labels,) tells which labels both versions know.
    """

    baseline: Rows
    shared_baseline: Rows
    relabelled: Rows
    shared_candidate: Rows
    candidate: Rows
    is_common: BoolArray

    @property
    def n_shared(self) -> int:
        """Images that both versions were tested on."""
        return len(self.shared_baseline.counted)


def explain(baseline: Exam, candidate: Exam, steps: Steps) -> dict[str, Why]:
    """The parts of the change of macro-F1, of that at the thresholds, and of the provider's F1.

    `baseline` and `candidate` are the whole exams. For boxes the predictions are matched by
    mlrek's own rule, and the thresholds' part is what the service's flags say beyond that.
    """
    own = _score_own(baseline, steps.is_common), _score_own(candidate, steps.is_common)
    if any(map(isnan, own)):
        return {}
    parts = _split_own(own, steps)
    exams = baseline, candidate
    at_threshold = [_find(exam.metrics, AT_THRESHOLD) for exam in exams]
    reported = [exam.evaluation.reported.aggregate.get("f1", nan) for exam in exams]
    found = {}
    if baseline.metrics.task in (Task.CLASSIFICATION, Task.MULTILABEL):
        found[OWN] = _finish(parts, own, own, own)
    if not any(map(isnan, at_threshold)):
        found[AT_THRESHOLD] = _finish(parts, own, at_threshold, at_threshold)
    if not any(map(isnan, reported)):
        found[REPORTED] = _finish(parts, own, at_threshold, reported)
    return found


def describe_steps(
    exams: tuple[Exam, Exam], shared: tuple[Rows, Rows], relabelled: Rows, n_labels: int
) -> Steps:
    """Put the predictions of both versions in a row; `shared` are those on all shared images."""
    known = [np.isin(np.arange(n_labels), exam.codes) for exam in exams]
    return Steps(
        baseline=exams[0].rows,
        shared_baseline=shared[0],
        relabelled=relabelled,
        shared_candidate=shared[1],
        candidate=exams[1].rows,
        is_common=known[0] & known[1],
    )


def exchange_truth(baseline: Rows, candidate: Rows) -> Rows:
    """One label an image: the baseline's predictions with the candidate's truth."""
    n = len(baseline.counted)
    y_pred, confidence = np.full(n, NO_LABEL), np.full(n, nan)
    y_pred[baseline.image_idx] = baseline.y_pred
    confidence[baseline.image_idx] = baseline.confidence
    return Rows(
        image_idx=candidate.image_idx,
        y_true=candidate.y_true,
        y_pred=y_pred[candidate.image_idx],
        confidence=confidence[candidate.image_idx],
        counted=candidate.counted,
    )


def _split_own(own: tuple[float, float], steps: Steps) -> dict[str, float]:
    """Label set, test set, relabelled images and model."""
    if not steps.n_shared:
        return dict.fromkeys(("label_set", "test_set", "relabelled", "model"), nan)
    common = steps.is_common
    whole = [_leave_common(rows, common) for rows in (steps.baseline, steps.candidate)]
    shared = [
        _leave_common(rows, common)
        for rows in (steps.shared_baseline, steps.relabelled, steps.shared_candidate)
    ]
    among_whole, among_shared = _either(whole), _either(shared)
    first, last = (_average(counts, among_whole) for counts in whole)
    start, middle, end = (_average(counts, among_shared) for counts in shared)
    return {
        "label_set": (first - own[0]) + (own[1] - last),
        "test_set": (start - first) + (last - end),
        "relabelled": middle - start,
        "model": end - middle,
    }


def _finish(
    parts: Mapping[str, float],
    own: tuple[float, float],
    at_threshold: list[float] | tuple[float, float],
    reported: list[float] | tuple[float, float],
) -> Why:
    """The parts of the change of a number, given what comes before it on the way."""
    total = reported[1] - reported[0]
    note = NOT_SEPARABLE if isnan(parts["model"]) else ""
    if any(map(isnan, at_threshold)):
        note, at_threshold = note or NO_THRESHOLDS, own
    threshold = (at_threshold[1] - own[1]) - (at_threshold[0] - own[0])
    unexplained = (reported[1] - at_threshold[1]) - (reported[0] - at_threshold[0])
    if note == NOT_SEPARABLE:
        threshold = unexplained = nan
    return Why(threshold=threshold, unexplained=unexplained, total=total, note=note, **parts)


def _leave_common(rows: Rows, common: BoolArray) -> LabelCounts:
    """The counts of labels that both versions know, on what is truly one of them."""
    known = np.append(common, True)  # the last one stands for no label
    kept = rows.keep(known[rows.y_true])
    y_pred = np.where(known[kept.y_pred], kept.y_pred, NO_LABEL)
    some = Rows(
        image_idx=kept.image_idx,
        y_true=kept.y_true,
        y_pred=y_pred,
        confidence=kept.confidence,
        counted=kept.counted,
    )
    return some.count(len(common))


def _either(counts: list[LabelCounts]) -> BoolArray:
    return np.asarray(np.any([one.occurs for one in counts], axis=0))


def _average(counts: LabelCounts, among: BoolArray) -> float:
    return float(compute_averages(counts, among)["f1_macro"])


def _score_own(exam: Exam, is_common: BoolArray) -> float:
    """Macro-F1 of the version on its own test set and over its own labels."""
    return float(compute_averages(exam.rows.count(len(is_common)))["f1_macro"])


def _find(metrics: Metrics, name: str) -> float:
    number = metrics.at_threshold.get(name.rpartition("/")[2])
    return nan if number is None else number.value

"""`crossfit/<name>`: what thresholds chosen on other images give, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, RecordsKind, Task
from mlrek.kinds import CROSSFIT_OF_LABELS
from mlrek.metrics import LabelScores, Number
from mlrek.metrics.counts import (
    AVERAGES,
    FRACTIONS,
    NOTHING_REASON,
    LabelCounts,
    Pairs,
    compute_averages,
    divide,
)
from mlrek.metrics.curves import AT_THRESHOLD_NAMES
from mlrek.metrics.decisions import AVERAGE_NAMES, find_exact, score_images
from mlrek.metrics.falling import FallingScores
from mlrek.metrics.fitting import N_FOLDS, N_PARTS, CrossFit, Folds, LabelFits, deal_folds
from mlrek.metrics.intervals import CONFIDENCE, compute_wilson
from mlrek.metrics.left_out import score_labels
from mlrek.metrics.ranking import RankedPairs
from mlrek.metrics.shares import MIN_PARTS, Ends, count_interval, find_interval, widen

PREFIX: Final = "crossfit/"
LABEL_NAMES: Final = ("precision", "recall", "f1")
_COUNTED_NAMES: Final = frozenset(
    f"{score}_{average}" for score in FRACTIONS for average in AVERAGES
)
_DECISION_NAMES: Final = (*AVERAGE_NAMES, "subset_accuracy", "hamming_loss")
CROSSFIT_NAMES: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        Task.CLASSIFICATION: AT_THRESHOLD_NAMES,
        Task.MULTILABEL: (
            *AT_THRESHOLD_NAMES,
            *(name for name in _DECISION_NAMES if name not in AT_THRESHOLD_NAMES),
        ),
    }
)
"""The numbers that have a cross-fitted value: those at the thresholds, and for several labels an
image all that are made from decisions."""

LOGGED_NAMES: Final = (*AT_THRESHOLD_NAMES, "subset_accuracy")
"""Those that MLflow gets a key of; `evaluation.json` has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFitted:
    """Averages and label scores at cross-fitted thresholds, empty where nothing is fitted."""

    numbers: Mapping[str, Number]
    per_label: LabelScores | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFitValues:
    """Numbers at cross-fitted thresholds: of all images, and without each part of them.

    `values` by name and `per_label` by name, shapes (1 + n_parts,) and (1 + n_parts, n_labels), and
    `counts`: the first row is of all images, each other one leaves out a part and fits again
    without it. `is_filled` (n_parts,) tells which parts hold an image, `n` is the number of images
    (or groups of them).
    """

    values: Mapping[str, FloatArray]
    per_label: Mapping[str, FloatArray]
    counts: LabelCounts
    is_filled: BoolArray
    n: int

    @property
    def whole(self) -> LabelCounts:
        """The counts of all images, (n_labels,)."""
        counts = self.counts
        return LabelCounts(
            tp=counts.tp[0], predicted=counts.predicted[0], support=counts.support[0]
        )

    def find_ends(self, name: str, confidence: float) -> Ends:
        """The interval of a number, never narrower than if the thresholds had been given."""
        ends = find_interval(self.values[name], self.is_filled, self.n, confidence)
        if name in _COUNTED_NAMES:
            return widen(ends, count_interval(self.whole, name, confidence))
        return ends

    def find_label_ends(self, name: str, label_idx: int, confidence: float) -> Ends:
        """The same of precision or recall of a label."""
        successes, n = (int(part[label_idx]) for part in FRACTIONS[name](self.whole))
        ends = find_interval(self.per_label[name][:, label_idx], self.is_filled, n, confidence)
        low, high = compute_wilson(np.array(successes), np.array(n), confidence)
        return widen(ends, (float(low), float(high)))


def find_crossfit(task: Task, name: str) -> str:
    """What a number is called when its thresholds are cross-fitted, '' where nothing is.

    >>> find_crossfit(Task.CLASSIFICATION, "at_threshold/f1_macro")
    'crossfit/f1_macro'
    >>> find_crossfit(Task.MULTILABEL, "label_recall")
    'crossfit/label_recall'
    >>> find_crossfit(Task.CLASSIFICATION, "aggregate/f1_macro")
    ''
    """
    group, slash, own = name.rpartition("/")
    names = CROSSFIT_NAMES.get(task, ())
    if slash:
        is_decided = group == "at_threshold" or (group == "aggregate" and task == Task.MULTILABEL)
        return PREFIX + own if is_decided and own in names else ""
    label = name.removeprefix("label_at_threshold_")
    if label == name and task == Task.MULTILABEL:
        label = name.removeprefix("label_")
    return CROSSFIT_OF_LABELS + label if label != name and names and label in LABEL_NAMES else ""


def estimate_crossfit(fitted: CrossFitValues | None, confidence: float = CONFIDENCE) -> CrossFitted:
    """The numbers with their intervals; none of None."""
    if fitted is None:
        return CrossFitted(numbers={})
    return CrossFitted(
        numbers={name: _make_number(name, fitted, confidence) for name in fitted.values},
        per_label=_score_labels(fitted, confidence),
    )


def fit_evaluation(
    evaluation: Evaluation, ranked: RankedPairs, *, groups: Sequence[str] | None = None
) -> CrossFitValues | None:
    """All cross-fitted numbers with what they are without each part, None where there are none.

    Two evaluations of the same images can be compared part by part, since their folds are the same.
    Arguments as of `EvaluationFits.start`.
    """
    fits = EvaluationFits.start(evaluation, ranked.pairs, groups=groups)
    if fits is None:
        return None
    for scores in ranked.falling:
        fits.add(scores)
    return fits.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFits:
    """Fits thresholds across the folds of an evaluation, label by label."""

    task: Task
    pairs: Pairs
    folds: Folds
    labels: LabelFits

    @staticmethod
    def start(
        evaluation: Evaluation, pairs: Pairs, *, groups: Sequence[str] | None = None
    ) -> "EvaluationFits | None":
        """None where records are not complete, or a threshold is unknown.

        Args:
            evaluation: A classification, of one label an image or of several.
            pairs: The recorded pairs of the images that count.
            groups: The group of each image of the evaluation, where images come in groups.
        """
        if not _can_be_fitted(evaluation, pairs):
            return None
        keys, counted = groups or evaluation.images, find_counted(evaluation)
        folds = deal_folds(keys if counted.all() else tuple(compress(keys, counted)))
        return EvaluationFits(
            task=evaluation.task,
            pairs=pairs,
            folds=folds,
            labels=LabelFits(evaluation.thresholds, folds),
        )

    def add(self, scores: FallingScores) -> None:
        """The next label."""
        self.labels.add(scores)

    def finish(self) -> CrossFitValues:
        """The numbers, once all labels are there."""
        fit, folds = self.labels.finish(), self.folds
        values = compute_averages(fit.counts)
        if self.task == Task.MULTILABEL:
            values |= _compute_decisions(self.pairs, fit, folds)
        return CrossFitValues(
            values={name: values[name] for name in CROSSFIT_NAMES[self.task]},
            per_label={name: divide(*FRACTIONS[name](fit.counts)) for name in LABEL_NAMES},
            counts=fit.counts,
            is_filled=np.bincount(folds.part, minlength=N_PARTS) > 0,
            n=folds.n_keys,
        )


def _can_be_fitted(evaluation: Evaluation, pairs: Pairs) -> bool:
    """Whether records are complete, and thresholds of all true labels known."""
    unknown = np.isnan(evaluation.thresholds)
    is_lacking = unknown.all() or np.any(unknown & (pairs.support > 0))
    is_complete = evaluation.is_scored and evaluation.records_kind == RecordsKind.COMPLETE
    is_known = evaluation.task in CROSSFIT_NAMES and not is_lacking
    return is_known and is_complete and pairs.n_images > 0


def find_counted(evaluation: Evaluation) -> BoolArray:
    """The images that count: with truth where an image has one label, else all, (n_images,)."""
    if evaluation.task == Task.CLASSIFICATION:
        return np.asarray(evaluation.truth.counts > 0)
    return np.ones(len(evaluation.images), dtype=np.bool_)


def _make_number(name: str, fitted: CrossFitValues, confidence: float) -> Number:
    value = float(fitted.values[name][0])
    low, high = fitted.find_ends(name, confidence)
    reason = ""
    if np.isnan(value):
        reason = NOTHING_REASON
    elif np.isnan(low):
        reason = (
            f"no interval: needs images in {MIN_PARTS} of {N_PARTS} parts, each of which the "
            f"value is defined without; there are {fitted.n} images or groups"
        )
    return Number(value=value, low=low, high=high, reason=reason)


def _score_labels(fitted: CrossFitValues, confidence: float) -> LabelScores:
    """The numbers of each label, with intervals that hold Wilson's and what refitting shows."""
    n_labels = len(fitted.whole.tp)
    unknown = np.full(n_labels, nan)
    ends = {}
    for name in ("precision", "recall"):
        found = [fitted.find_label_ends(name, i, confidence) for i in range(n_labels)]
        ends[f"{name}_low"], ends[f"{name}_high"] = np.array(found).reshape(-1, 2).T
    return replace(score_labels(fitted.whole, unknown, unknown, confidence), **ends)


def _compute_decisions(pairs: Pairs, fit: CrossFit, folds: Folds) -> dict[str, FloatArray]:
    """What needs the decisions on each image: averages over images and shares of images."""
    order = np.argsort(folds.fold, kind="stable")
    shape = pairs.n_images, pairs.n_labels
    confidence = pairs.confidence.reshape(shape)[order]
    is_true = pairs.is_true.reshape(shape)[order]
    part, support = folds.part[order], is_true.sum(axis=1)
    ends = np.cumsum(np.bincount(folds.fold, minlength=N_FOLDS))
    slices = [slice(end - n, end) for end, n in zip(ends, np.diff(ends, prepend=0), strict=True)]
    rows = []
    for left_out in range(-1, N_PARTS):
        thresholds = fit.thresholds[:, 1 + left_out].T
        is_predicted = np.vstack(
            [confidence[own] >= fitted for own, fitted in zip(slices, thresholds, strict=True)]
        )
        images = LabelCounts(
            tp=(is_predicted & is_true).sum(axis=1),
            predicted=is_predicted.sum(axis=1),
            support=support,
        )
        kept = part != left_out
        own = [*score_images(images), find_exact(images)]
        rows.append([column[kept].mean() if kept.any() else nan for column in own])
    *samples, exact = np.array(rows).T
    counts, n_kept = fit.counts, _count_kept(folds)
    occurs = counts.occurs.any(axis=-1)
    return {
        **{
            f"{score}_samples": np.where(occurs, mean, nan)
            for score, mean in zip(FRACTIONS, samples, strict=True)
        },
        "subset_accuracy": exact,
        "hamming_loss": divide((counts.fp + counts.fn).sum(axis=-1), n_kept * pairs.n_labels),
    }


def _count_kept(folds: Folds) -> FloatArray:
    """Images of all parts, then without each, (1 + N_PARTS,)."""
    sizes = np.bincount(folds.part, minlength=N_PARTS)
    return np.append(0, -sizes).astype(np.float64) + len(folds.part)

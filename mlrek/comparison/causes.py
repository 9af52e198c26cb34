"""The label counts of shared images with some things the baseline's and some the candidate's.

A model can be asked what it would have counted by the other's truth, or at the other's thresholds:
nothing is needed for that but what both versions wrote down of the same images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from mlrek.comparison.exams import Measured, find_rows
from mlrek.comparison.image_measure import sum_at_threshold
from mlrek.comparison.rows import NO_LABEL, CountSums, Rows, sum_rows, translate_predictions
from mlrek.comparison.selection import with_truth_of
from mlrek.evaluation import Evaluation, FloatArray, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.detection import match_predictions
from mlrek.metrics.pairs import pair_records
from mlrek.metrics.prediction import predict


class Cause(StrEnum):
    """What moves a number on one set of images, named as the parts of `Why`."""

    LABEL_SET = "label_set"
    RELABELLED = "relabelled"
    MODEL = "model"
    THRESHOLD = "threshold"


State = frozenset[Cause]
"""The causes that have come: what is the candidate's already."""

ONE_PART: Final = (
    "the records stop above the baseline's thresholds, so that what the model and what the "
    "thresholds did is one part: the model's"
)
OF_PREDICTIONS: Final = (
    "these predictions are made at thresholds, which differ: they are part of the model here"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Both versions on all images that they share, each with its own truth.

    `evaluations` and `rows` have the same order of images and the codes of the labels of both.
    `reaching` are the counts at each version's own thresholds, where they are known already.
    `reach_down` tells of which version the records do not stop at its thresholds.
    """

    evaluations: tuple[Evaluation, Evaluation]
    rows: tuple[Rows, Rows]
    reaching: tuple[CountSums | None, CountSums | None]
    rules: tuple[PredictionRule, PredictionRule]
    has_changed_truth: bool
    reach_down: tuple[bool, bool]

    @property
    def n_labels(self) -> int:
        """Labels of both versions."""
        return len(self.evaluations[0].labels)

    @property
    def task(self) -> Task:
        """What both versions do."""
        return self.evaluations[0].task

    @property
    def differs_in_thresholds(self) -> bool:
        """Whether a label that has a threshold in both versions has another one."""
        first, second = (e.thresholds for e in self.evaluations)
        return bool(np.any((first != second) & ~np.isnan(first) & ~np.isnan(second)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseBasis:
    """What the counts of one kind of number are in each state, and which causes may move them.

    `whole` are those of both versions on their whole test sets. `before` are pairs of causes that
    come in this order alone; `has_threshold` is False where the part of the thresholds cannot be
    told from the model's, as `note` says.
    """

    whole: tuple[CountSums, CountSums]
    count: Callable[[State], CountSums]
    causes: tuple[Cause, ...]
    before: tuple[tuple[Cause, Cause], ...] = ()
    has_threshold: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Taken:
    """Whose is what: 0 the baseline's, 1 the candidate's."""

    model: int
    truth: int
    thresholds: int


def base_on_predictions(whole: tuple[Measured, Measured], shared: Shared) -> CauseBasis:
    """The predictions of each version by its own rule; boxes as mlrek matches them itself."""
    sums = whole[0].measure.labels, whole[1].measure.labels
    if shared.task is Task.DETECTION:
        return _with_thresholds(sums, shared, _count_boxes)
    uses_thresholds = shared.task is Task.MULTILABEL or PredictionRule.THRESHOLD in shared.rules
    is_merged = uses_thresholds and shared.differs_in_thresholds
    return CauseBasis(
        whole=sums,
        count=lambda state: _count_predictions(shared, _take(shared, state, by_model=True)),
        causes=_list_causes(shared),
        has_threshold=not is_merged,
        note=OF_PREDICTIONS if is_merged else "",
    )


def base_on_thresholds(whole: tuple[Measured, Measured], shared: Shared) -> CauseBasis | None:
    """What reaches the assumed thresholds; None where nothing but the predictions does, or none."""
    first, second = (version.measure.at_threshold for version in whole)
    if shared.task is Task.DETECTION or first is None or second is None:
        return None
    return _with_thresholds((first, second), shared, _count_reaching)


def _with_thresholds(
    whole: tuple[CountSums, CountSums],
    shared: Shared,
    count: Callable[[Shared, _Taken], CountSums],
) -> CauseBasis:
    """The basis of numbers at thresholds.

    The baseline's thresholds are held against the candidate's scores: where the records of these
    stop above, the model and the thresholds are one cause. Where it is the baseline's records that
    stop above the candidate's thresholds, the thresholds come after the model.
    """
    differ = shared.differs_in_thresholds
    is_merged = differ and not _can_lower(shared, model=1)
    is_apart = differ and not is_merged
    ordered = is_apart and not _can_lower(shared, model=0)
    return CauseBasis(
        whole=whole,
        count=lambda state: count(shared, _take(shared, state, by_model=not is_apart)),
        causes=(*_list_causes(shared), *((Cause.THRESHOLD,) if is_apart else ())),
        before=((Cause.MODEL, Cause.THRESHOLD),) if ordered else (),
        has_threshold=not is_merged,
        note=ONE_PART if is_merged else "",
    )


def _list_causes(shared: Shared) -> tuple[Cause, ...]:
    """Those of every number."""
    truth = (Cause.RELABELLED,) if shared.has_changed_truth else ()
    return (Cause.LABEL_SET, *truth, Cause.MODEL)


def _take(shared: Shared, state: State, *, by_model: bool) -> _Taken:
    """What a state takes of which version; what is no cause of its own comes with the model."""
    model, truth, thresholds = (
        int(cause in state) for cause in (Cause.MODEL, Cause.RELABELLED, Cause.THRESHOLD)
    )
    return _Taken(
        model=model,
        truth=truth if shared.has_changed_truth else model,
        thresholds=model if by_model else thresholds,
    )


def _count_predictions(shared: Shared, taken: _Taken) -> CountSums:
    if taken.truth == taken.model or shared.task is Task.SEGMENTATION:
        return sum_rows(shared.rows[taken.model], shared.n_labels)
    if shared.task is Task.CLASSIFICATION:
        return sum_rows(_exchange_truth(shared, taken), shared.n_labels)
    evaluation = _put_together(shared, taken)
    rows = find_rows(evaluation, shared.rules[taken.model], evaluation.labels)
    return sum_rows(rows, shared.n_labels)


def _exchange_truth(shared: Shared, taken: _Taken) -> Rows:
    """One label an image: one version's predictions with the truth of the other."""
    own, other = shared.rows[taken.model], shared.rows[taken.truth]
    y_pred = np.full(len(own.counted), NO_LABEL)
    if not own.counted.all():  # images without truth have no row, and a prediction all the same
        sample = predict(shared.evaluations[taken.model], shared.rules[taken.model])
        y_pred[sample.image_idx] = sample.y_pred
    y_pred[own.image_idx] = own.y_pred
    return replace(other, y_pred=y_pred[other.image_idx])


def _count_boxes(shared: Shared, taken: _Taken) -> CountSums:
    if taken.truth == taken.model == taken.thresholds:
        return sum_rows(shared.rows[taken.model], shared.n_labels)
    evaluation = _put_together(shared, taken)
    predictions = match_predictions(evaluation)
    codes, n_images = np.arange(shared.n_labels), len(evaluation.images)
    return sum_rows(translate_predictions(predictions, codes, n_images), shared.n_labels)


def _count_reaching(shared: Shared, taken: _Taken) -> CountSums:
    known = shared.reaching[taken.model]
    if known is not None and taken.truth == taken.model == taken.thresholds:
        return known
    evaluation = _put_together(shared, taken)
    is_kept = evaluation.truth.counts > 0
    if shared.task is not Task.CLASSIFICATION:
        is_kept[:] = True
    pairs = pair_records(evaluation, is_kept)
    codes = np.arange(shared.n_labels)
    return sum_at_threshold(evaluation, pairs, np.flatnonzero(is_kept), codes, shared.n_labels)


def _put_together(shared: Shared, taken: _Taken) -> Evaluation:
    """One version's records with the truth and the thresholds of this one or the other."""
    one = shared.evaluations[taken.model]
    if taken.truth != taken.model:
        one = with_truth_of(one, shared.evaluations[taken.truth])
    return replace(one, thresholds=_choose_thresholds(shared, taken.model, taken.thresholds))


def _choose_thresholds(shared: Shared, model: int, side: int) -> FloatArray:
    """The thresholds of a side for a model; a label that has none there keeps the model's own."""
    own, wanted = (shared.evaluations[i].thresholds for i in (model, side))
    return np.where(np.isnan(wanted), own, wanted)


def _can_lower(shared: Shared, *, model: int) -> bool:
    """Whether a model's records tell what reaches the other version's thresholds."""
    own, wanted = shared.evaluations[model].thresholds, _choose_thresholds(shared, model, 1 - model)
    is_lower = (wanted < own) | (np.isnan(own) & ~np.isnan(wanted))
    return shared.reach_down[model] or not is_lower.any()

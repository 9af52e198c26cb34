"""Which label is an image's prediction in one-label classification: the three rules."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, Outcome
from mlrek.metrics import PredictionRule, Predictions
from mlrek.metrics.decisions import FLAGS_RULE, decide_records, top_records

_OUTCOMES: Final = np.array(["no truth", "missed", "wrong", "correct"], dtype=object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """True and predicted label codes, -1 for none; every image of the evaluation is there.

    One row an image (rule `notebook`: one a record, and one for an image without), in image order:
    `image_idx`, `y_true`, `y_pred`, `confidence` (NaN without a prediction), all (n,). Rows without
    truth are `counted` nowhere.
    """

    rule: PredictionRule
    image_idx: IntArray
    y_true: IntArray
    y_pred: IntArray
    confidence: FloatArray
    counted: BoolArray
    warnings: tuple[str, ...] = ()

    @property
    def is_right(self) -> BoolArray:
        """Whether the prediction is the true label, (n,)."""
        return np.asarray((self.y_pred == self.y_true) & (self.y_true >= 0))

    @property
    def has_one_row_an_image(self) -> bool:
        """Whether no image counts more than once."""
        return not np.any(np.diff(self.image_idx[self.counted]) == 0)


def predict(evaluation: Evaluation, rule: PredictionRule) -> Sample:
    """The predictions of every image by one of the rules.

    Raises:
        EvaluationError: An image has several true labels.
    """
    return _RULES[rule](evaluation, _one_true_label(evaluation))


def describe_predictions(sample: Sample) -> Predictions:
    """The rows of a sample, each with its outcome."""
    code = np.where(sample.is_right, 3, 2)
    code[sample.y_pred < 0] = 1
    code[sample.y_true < 0] = 0
    return Predictions(
        image_idx=sample.image_idx,
        y_true=sample.y_true,
        y_pred=sample.y_pred,
        confidence=sample.confidence,
        outcome=tuple(_OUTCOMES[code].tolist()),
    )


def _one_true_label(evaluation: Evaluation) -> IntArray:
    truth = evaluation.truth
    several = np.flatnonzero(truth.counts > 1)
    if len(several):
        raise EvaluationError(
            f"{evaluation.version.arn}: {len(several)} images have more than one true label "
            f"(first: {evaluation.images[several[0]]!r}), so this is no one-label classification"
        )
    y_true = np.full(len(evaluation.images), -1, dtype=np.int64)
    y_true[truth.image_idx] = truth.label_idx
    return y_true


def _predict_top1(evaluation: Evaluation, y_true: IntArray) -> Sample:
    """The record with the highest confidence, whatever its threshold."""
    unknown = _has_unknown_top(evaluation)
    top = np.where(unknown, -1, top_records(evaluation))
    warnings = tuple(_warn_unknown_top(int(np.count_nonzero(unknown))))
    return _choose(evaluation, y_true, top, PredictionRule.TOP1, warnings)


def _predict_threshold(evaluation: Evaluation, y_true: IntArray) -> Sample:
    """The record with the highest confidence among those that reach their label's threshold."""
    decision = decide_records(evaluation)
    warnings = decision.warnings
    if decision.rule == FLAGS_RULE:
        warnings = ("no thresholds are published: the flags of the records decide", *warnings)
    top = top_records(evaluation, decision.is_predicted)
    return _choose(evaluation, y_true, top, PredictionRule.THRESHOLD, warnings)


def _predict_notebook(evaluation: Evaluation, y_true: IntArray) -> Sample:
    """Every record is a pair with its image's true label; images without records vanish."""
    records = evaluation.records
    without = np.flatnonzero(records.counts == 0)
    none = np.full(len(without), -1)
    image_idx = np.concatenate([records.image_idx, without])
    order = np.argsort(image_idx, kind="stable")
    y_pred = np.concatenate([records.label_idx, none])[order]
    confidence = np.concatenate([records.confidence, np.full(len(without), nan)])[order]
    image_idx = image_idx[order]
    n = np.count_nonzero(y_true[without] >= 0)
    return Sample(
        rule=PredictionRule.NOTEBOOK,
        image_idx=image_idx,
        y_true=y_true[image_idx],
        y_pred=y_pred,
        confidence=confidence,
        counted=(y_true[image_idx] >= 0) & (y_pred >= 0),
        warnings=(f"the notebook rule leaves out {n} images that have no record",) if n else (),
    )


_Rule = Callable[[Evaluation, IntArray], Sample]

_RULES: Mapping[PredictionRule, _Rule] = MappingProxyType(
    {
        PredictionRule.TOP1: _predict_top1,
        PredictionRule.THRESHOLD: _predict_threshold,
        PredictionRule.NOTEBOOK: _predict_notebook,
    }
)


def _has_unknown_top(evaluation: Evaluation) -> BoolArray:
    """Images with false negatives only, where the service left true negatives out, (n_images,)."""
    records = evaluation.records
    is_missed = records.outcome == Outcome.FN
    if np.any(records.outcome == Outcome.TN):
        return np.zeros(len(evaluation.images), dtype=np.bool_)
    n_missed = np.bincount(records.image_idx[is_missed], minlength=len(evaluation.images))
    return np.asarray((n_missed > 0) & (n_missed == records.counts))


def _warn_unknown_top(n: int) -> Iterator[str]:
    if n:
        yield (
            f"{n} images hold nothing but false negatives, and the service left true negatives "
            "out: their top label is unknown and counts as no prediction"
        )


def _choose(
    evaluation: Evaluation,
    y_true: IntArray,
    chosen: IntArray,
    rule: PredictionRule,
    warnings: tuple[str, ...],
) -> Sample:
    """One row an image; `chosen` (n_images,) is the predicted record, -1 for none."""
    records = evaluation.records
    y_pred = np.full(len(chosen), -1, dtype=np.int64)
    confidence = np.full(len(chosen), nan)
    has_one = chosen >= 0
    y_pred[has_one] = records.label_idx[chosen[has_one]]
    confidence[has_one] = records.confidence[chosen[has_one]]
    return Sample(
        rule=rule,
        image_idx=np.arange(len(chosen)),
        y_true=y_true,
        y_pred=y_pred,
        confidence=confidence,
        counted=y_true >= 0,
        warnings=warnings,
    )

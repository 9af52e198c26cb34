"""Which records of an evaluation are predictions: by threshold, by flag, or by rank."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    BoolArray,
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    Outcome,
    RecordsKind,
)
from mlrek.metrics import PredictionRule, Predictions
from mlrek.metrics.counts import (
    AVERAGES,
    FRACTIONS,
    LabelCounts,
    Pairs,
    compute_averages,
    divide,
    find_reached,
    name_labels,
    select_labels,
)
from mlrek.metrics.intervals import Weights

DEFAULT_THRESHOLD: Final = 0.5
THRESHOLD_RULE: Final = "threshold"
FLAGS_RULE: Final = "flags"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Which records are predictions: `is_predicted` (n_records,), and by which rule."""

    is_predicted: BoolArray
    rule: str
    warnings: tuple[str, ...] = ()


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


_Rule = Callable[[Evaluation, IntArray], Sample]

AVERAGE_NAMES: Final = tuple(
    f"{score}_{average}" for score in FRACTIONS for average in (*AVERAGES, "samples")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSums:
    """Sums over images as a sparse matrix; times image weights it gives all that is needed.

    `rows` (3 * n_labels + 5, n_images): right predictions, predictions, and truth of each label;
    then the image's own precision, recall, F1 and Jaccard; then whether its labels are all right.
    """

    rows: sp.csr_array
    n_labels: int

    def compute(self, weights: Weights) -> dict[str, FloatArray]:
        """The statistic of all averages, `subset_accuracy` and `hamming_loss`."""
        sums = self.rows @ weights
        n_images = weights.sum(axis=0, dtype=np.float64)
        tp, predicted, support = (
            part.T.astype(np.int64) for part in np.split(sums[: 3 * self.n_labels], 3)
        )
        counts = LabelCounts(tp=tp, predicted=predicted, support=support)
        own = sums[3 * self.n_labels :]
        *samples, exact = divide(own, np.broadcast_to(n_images, own.shape))
        occurs = counts.occurs.any(axis=-1)
        values = compute_averages(counts) | {
            f"{score}_samples": np.where(occurs, mean, nan)
            for score, mean in zip(FRACTIONS, samples, strict=True)
        }
        n_wrong = (counts.fp + counts.fn).sum(axis=-1)
        return {name: values[name] for name in AVERAGE_NAMES} | {
            "subset_accuracy": exact,
            "hamming_loss": divide(n_wrong, n_images * self.n_labels),
        }


def decide_records(evaluation: Evaluation) -> Decided:
    """Which records reach their assumed threshold.

    Where a label has none: the provider's flag of the record; where that is missing too: 0.5. The
    rule is named after what decides first: `threshold`, `flags` or `0.5`.
    """
    records = evaluation.records
    if len(evaluation.labels) and not np.isnan(evaluation.thresholds).any():
        reached = find_reached(records.confidence, records.label_idx, evaluation.thresholds)
        return Decided(is_predicted=reached, rule=THRESHOLD_RULE)
    thresholds = evaluation.thresholds[records.label_idx]
    has_threshold = ~np.isnan(thresholds)
    has_flag = records.outcome != Outcome.UNKNOWN
    by_default = ~has_threshold & ~has_flag
    is_predicted = np.where(
        has_threshold,
        records.confidence >= thresholds,
        np.where(
            has_flag, is_flagged_predicted(evaluation), records.confidence >= DEFAULT_THRESHOLD
        ),
    )
    rule = str(DEFAULT_THRESHOLD)
    if not np.isnan(evaluation.thresholds).all():
        rule = THRESHOLD_RULE
    elif has_flag.any():
        rule = FLAGS_RULE
    return Decided(
        is_predicted=is_predicted,
        rule=rule,
        warnings=(
            *_warn_without_threshold(evaluation, ~has_threshold & has_flag, rule),
            *_warn_default(evaluation, by_default),
        ),
    )


def is_flagged_predicted(evaluation: Evaluation) -> BoolArray:
    """Whether the provider's flags call each record a prediction, (n_records,)."""
    outcome = evaluation.records.outcome
    return np.asarray((outcome == Outcome.TP) | (outcome == Outcome.FP))


def top_records(evaluation: Evaluation, eligible: BoolArray | None = None) -> IntArray:
    """The record with the highest confidence of each image, ties to the first in label order.

    Args:
        evaluation: What was read.
        eligible: Which records count, (n_records,); all without it.

    Returns:
        Positions in the records' columns, (n_images,); -1 where an image has none that counts.
    """
    records = evaluation.records
    confidence = records.confidence
    if eligible is not None:
        confidence = np.where(eligible, confidence, -1.0)
    if evaluation.records_kind is RecordsKind.COMPLETE:
        top = records.offsets[:-1] + confidence.reshape(-1, len(evaluation.labels)).argmax(axis=1)
        return np.where(confidence[top] >= 0, top, -1)
    top = np.full(len(evaluation.images), -1, dtype=np.int64)
    if not len(confidence):
        return top
    highest = np.maximum.reduceat(confidence, records.offsets[:-1][records.counts > 0])
    is_top = confidence == np.repeat(highest, records.counts[records.counts > 0])
    places = np.flatnonzero(is_top & (confidence >= 0))
    image_idx = records.image_idx[places]
    first = np.diff(image_idx, prepend=-1) > 0
    top[image_idx[first]] = places[first]
    return top


def _warn_without_threshold(evaluation: Evaluation, by_flag: BoolArray, rule: str) -> Iterator[str]:
    if rule == THRESHOLD_RULE and by_flag.any():
        n_labels = len(evaluation.labels)
        found = np.bincount(evaluation.records.label_idx[by_flag], minlength=n_labels) > 0
        names = name_labels(select_labels(evaluation.labels, found))
        n = np.count_nonzero(by_flag)
        yield f"no threshold is published for {names}: the flags of {n} records decide"


def _warn_default(evaluation: Evaluation, by_default: BoolArray) -> Iterator[str]:
    if n := np.count_nonzero(by_default):
        yield (
            f"{n} of {len(evaluation.records.confidence)} records have neither a published "
            f"threshold nor a flag: predicted are those at or above {DEFAULT_THRESHOLD}"
        )


def predict(evaluation: Evaluation, rule: PredictionRule) -> Sample:
    """The predictions of every image by one of the rules.

    Raises:
        EvaluationError: An image has several true labels.
    """
    return _RULES[rule](evaluation, _one_true_label(evaluation))


def list_predictions(sample: Sample) -> Predictions:
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
    known = records.confidence if evaluation.is_scored else np.full(len(records.confidence), nan)
    confidence = np.concatenate([known, np.full(len(without), nan)])[order]
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


def _has_unknown_top(evaluation: Evaluation) -> BoolArray:
    """Images with false negatives only, where the service left true negatives out, (n_images,)."""
    records, n = evaluation.records, len(evaluation.images)
    missed = np.flatnonzero(records.outcome == Outcome.FN)
    if not len(missed) or np.any(records.outcome == Outcome.TN):
        return np.zeros(n, dtype=np.bool_)
    image_idx = np.searchsorted(records.offsets, missed, side="right") - 1
    n_missed = np.bincount(image_idx, minlength=n)
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
    if evaluation.is_scored:
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


_RULES: Mapping[PredictionRule, _Rule] = MappingProxyType(
    {
        PredictionRule.TOP1: _predict_top1,
        PredictionRule.THRESHOLD: _predict_threshold,
        PredictionRule.NOTEBOOK: _predict_notebook,
    }
)


def count_images(pairs: Pairs, is_predicted: BoolArray, truth: LabelSets) -> LabelCounts:
    """The counts of each image in place of each label, (n_images,).

    Args:
        pairs: The recorded pairs of all images.
        is_predicted: Which of them are predictions, (n_pairs,).
        truth: The true labels of the same images.
    """
    n, rows = pairs.n_images, np.flatnonzero(is_predicted)
    image_idx = pairs.find_images(rows)
    return LabelCounts(
        tp=np.bincount(image_idx[pairs.is_true[rows]], minlength=n),
        predicted=np.bincount(image_idx, minlength=n),
        support=truth.counts,
    )


def sum_images(pairs: Pairs, is_predicted: BoolArray, truth: LabelSets) -> ImageSums:
    """Lay out what each image adds; arguments as of `count_images`."""
    images = count_images(pairs, is_predicted, truth)
    own = np.array([*score_images(images), find_exact(images)], dtype=np.float64)
    predicted = np.flatnonzero(is_predicted)
    label_idx, image_idx = pairs.label_idx[predicted], pairs.find_images(predicted)
    is_right = pairs.is_true[predicted]
    cells = [
        (label_idx[is_right], image_idx[is_right]),
        (label_idx + pairs.n_labels, image_idx),
        (truth.label_idx + 2 * pairs.n_labels, truth.image_idx),
    ]
    own_rows, own_images = np.indices(own.shape)
    cells.append((own_rows.ravel() + 3 * pairs.n_labels, own_images.ravel()))
    rows, columns = (np.concatenate(part) for part in zip(*cells, strict=True))
    values = np.concatenate([np.ones(len(rows) - own.size), own.ravel()])
    shape = (3 * pairs.n_labels + len(own), pairs.n_images)
    return ImageSums(
        rows=sp.csr_array((values, (rows, pairs.places[columns])), shape=shape),
        n_labels=pairs.n_labels,
    )


def score_images(images: LabelCounts) -> list[FloatArray]:
    """Precision, recall, F1 and Jaccard of each image, 0 where undefined, (n_images,) each."""
    return [divide(*fraction(images), empty=0.0) for fraction in FRACTIONS.values()]


def find_exact(images: LabelCounts) -> BoolArray:
    """Whether the predicted labels of each image are its true ones, (n_images,)."""
    return np.asarray((images.tp == images.predicted) & (images.tp == images.support))


def warn_empty_images(images: LabelCounts) -> Iterator[str]:
    """Counts the images whose undefined scores count as 0 in the averages over images."""
    for names, what, lacking in (
        ("precision_samples counts", "a predicted label", images.predicted == 0),
        ("recall_samples counts", "a true label", images.support == 0),
        ("f1_samples and jaccard_samples count", "any label", ~images.occurs),
    ):
        if n := np.count_nonzero(lacking):
            yield f"{names} as 0 on {n} of {len(lacking)} images, which are without {what}"

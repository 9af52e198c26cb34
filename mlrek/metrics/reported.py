"""What the service reported, and whether it equals what we compute by the same rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import (
    BoolArray,
    Evaluation,
    FloatArray,
    IntArray,
    Provider,
    RecordsKind,
    ReportedCurve,
)
from mlrek.metrics import Reconciled
from mlrek.metrics.counts import Normalisation, denominators, divide, find_normalisation
from mlrek.metrics.curves import AtThreshold

DEFAULT_THRESHOLD = 0.5  # where numbers published over thresholds are read unless asked otherwise
SAME_THRESHOLD = 1e-6  # published thresholds are 32-bit numbers

_PUBLISHES_COUNTS = frozenset((Provider.AUTOML, Provider.VERTEX))
_COLUMNS = ("precision", "recall", "f1", "tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedAt:
    """A curve's numbers at its point nearest to the threshold that was asked for.

    `threshold` is the published one; `values` hold only what the provider gives there.
    """

    threshold: float
    values: Mapping[str, float]
    is_exact: bool


TOLERANCE: Final = 1e-6
"""Providers publish single precision; a count that differs by one shows far above this."""

NO_RULE: Final = "no rule is known to compute this number"
MEAN_RULE: Final = "unweighted mean of the labels' reported values"
MACRO_RULE: Final = "macro average at the assumed thresholds"
LABEL_RULE: Final = "one label against the rest, at its assumed threshold"
SUPPORT_RULE: Final = "test images where the label is true"
IMAGES_RULE: Final = "images in the evaluation manifest"
TRAINING_RULE: Final = "training images are no part of an evaluation"
UNKNOWN_MATRIX_RULE: Final = "top label, divided by an unknown number"
MATRIX_RULES: Mapping[Normalisation, str] = MappingProxyType(
    {
        Normalisation.TRUE: "top label, divided by the test images of the true label",
        Normalisation.PREDICTED: "top label, divided by the test images of the predicted label",
    }
)

_AT_THRESHOLD_PROVIDERS: Final = frozenset({Provider.REKOGNITION})
_SCORES: Final = ("precision", "recall", "f1")
_THRESHOLD: Final = "threshold"  # a setting among the reported numbers, not a result


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What mlrek computed, to hold the reported numbers against; nothing of it without images.

    `support` (n_labels,) and the counts of top labels `top1` (n_labels, n_labels + 1), the latter
    only where an image has one label.
    """

    support: IntArray | None = None
    at_threshold: AtThreshold | None = None
    top1: NDArray[np.int64] | None = None


Ours: TypeAlias = Mapping[str, tuple[float, str]]
"""Our number, and its rule, by the name that the provider reports."""

OurLabels: TypeAlias = Mapping[str, tuple[FloatArray, str]]
"""The same of every label, (n_labels,)."""


def reported_at(curve: ReportedCurve, threshold: float) -> ReportedAt | None:
    """The published numbers at or nearest to a threshold; None where nothing is published.

    Nothing is interpolated; half way between two points the lower one counts.
    """
    i = nearest_index(curve.thresholds, threshold)
    if i is None:
        return None
    values = {name: float(getattr(curve, name)[i]) for name in _COLUMNS}
    used = float(curve.thresholds[i])
    return ReportedAt(
        threshold=used,
        values={name: value for name, value in values.items() if not isnan(value)},
        is_exact=abs(used - threshold) <= SAME_THRESHOLD,
    )


def nearest_index(thresholds: FloatArray, threshold: float) -> int | None:
    """The position of the nearest of rising thresholds, the lower of two; None of none."""
    if not len(thresholds):
        return None
    distance = np.abs(thresholds - threshold)
    return int(np.flatnonzero(distance <= distance.min() + SAME_THRESHOLD / 1000)[0])


def count_reported(evaluation: Evaluation) -> tuple[tuple[str, ...], IntArray] | None:
    """The published confusion matrix, where its provider publishes counts (Google; not Amazon).

    Returns:
        The labels of the matrix in its own order and the counts, rows true, columns predicted; None
        where there is none. It holds every test image exactly when the counts add up to
        `reported.test_images`: Google may publish the ten most confused labels only.
    """
    cells = evaluation.reported.confusion
    if not cells or evaluation.version.project.provider not in _PUBLISHES_COUNTS:
        return None
    if any(value < 0 or not value.is_integer() for *_, value in cells):
        return None
    labels = dict.fromkeys((*(true for true, _, _ in cells), *(found for _, found, _ in cells)))
    code = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(code), len(code)), dtype=np.int64)
    for true, predicted, value in cells:
        counts[code[true], code[predicted]] += int(value)
    return tuple(code), counts


def reconcile(evaluation: Evaluation, basis: Basis) -> tuple[Reconciled, ...]:
    """Every number the provider reported, with what mlrek computes by the same rule."""
    return (
        *_reconcile_images(evaluation),
        *_reconcile_aggregate(evaluation, basis),
        *_reconcile_labels(evaluation, basis),
        *_reconcile_matrix(evaluation, basis),
    )


def _compare(name: str, reported: float, computed: float, rule: str) -> Reconciled:
    agrees = None if isnan(computed) else abs(reported - computed) <= TOLERANCE
    return Reconciled(name=name, reported=reported, computed=computed, agrees=agrees, rule=rule)


def _reconcile_images(evaluation: Evaluation) -> Iterator[Reconciled]:
    reported = evaluation.reported
    if reported.test_images is not None:
        n_images = len(evaluation.images) if evaluation.has_images else nan
        yield _compare("test_images", reported.test_images, n_images, IMAGES_RULE)
    if reported.train_images is not None:
        yield _compare("train_images", reported.train_images, nan, TRAINING_RULE)


def _reconcile_aggregate(evaluation: Evaluation, basis: Basis) -> Iterator[Reconciled]:
    """Each aggregate against the mean of the provider's own label values, and against ours."""
    reported, is_top1 = evaluation.reported, evaluation.records_kind == RecordsKind.TOP1
    is_known = evaluation.version.project.provider in _AT_THRESHOLD_PROVIDERS
    is_known &= reported.baseline is None  # an adapter's aggregates are pooled, by rules untold
    for name, value in reported.aggregate.items():
        if name == _THRESHOLD:
            continue
        if not is_known or name not in _SCORES:
            yield _compare(name, value, nan, NO_RULE)
            continue
        own = [scores[name] for scores in reported.per_label.values() if name in scores]
        yield _compare(name, value, float(np.mean(own)) if own else nan, MEAN_RULE)
        if basis.at_threshold is not None:
            computed = basis.at_threshold.numbers[f"{name}_macro"].value
            yield _lenient(_compare(name, value, computed, MACRO_RULE), is_top1=is_top1)


def _reconcile_labels(evaluation: Evaluation, basis: Basis) -> Iterator[Reconciled]:
    columns = _computed_columns(evaluation, basis)
    is_top1 = evaluation.records_kind == RecordsKind.TOP1
    codes = {label: code for code, label in enumerate(evaluation.labels)}
    for label, scores in evaluation.reported.per_label.items():
        for name, value in scores.items():
            if name == _THRESHOLD:
                continue
            rule, column = columns.get(name, (NO_RULE, None))
            computed = nan if column is None or label not in codes else float(column[codes[label]])
            number = _compare(f"{name}/{label}", value, computed, rule)
            yield _lenient(number, is_top1=is_top1) if rule == LABEL_RULE else number


def _computed_columns(
    evaluation: Evaluation, basis: Basis
) -> dict[str, tuple[str, FloatArray | IntArray | None]]:
    """Name of a label's number -> its rule, and our values (n_labels,) where there are any."""
    columns: dict[str, tuple[str, FloatArray | IntArray | None]] = {
        "test_images": (SUPPORT_RULE, basis.support)
    }
    if evaluation.version.project.provider in _AT_THRESHOLD_PROVIDERS:
        scores = basis.at_threshold.per_label if basis.at_threshold else None
        columns["precision"] = LABEL_RULE, scores.precision if scores else None
        columns["recall"] = LABEL_RULE, scores.recall if scores else None
        columns["f1"] = LABEL_RULE, scores.f1 if scores else None
    return columns


def _lenient(number: Reconciled, *, is_top1: bool) -> Reconciled:
    """Records of the top label alone can confirm a number at the thresholds, not refute it."""
    if number.agrees is False and is_top1:
        rule = f"{number.rule}; labels below the top one are not recorded"
        return replace(number, agrees=None, rule=rule)
    return number


def _reconcile_matrix(evaluation: Evaluation, basis: Basis) -> Iterator[Reconciled]:
    """Each cell that the provider lists, or that we count in; a cell left out is zero.

    Where the top label of some image is unknown, its true label's row is compared in part only: a
    cell that differs says nothing.
    """
    reported = evaluation.reported
    if not reported.confusion:
        return
    named = [name for true, pred, _ in reported.confusion for name in (true, pred)]
    labels = tuple(dict.fromkeys((*evaluation.labels, *named)))
    codes = {label: code for code, label in enumerate(labels)}
    values = np.full((len(labels), len(labels)), nan)
    for true, pred, value in reported.confusion:
        values[codes[true], codes[pred]] = value
    listed, values = ~np.isnan(values), np.nan_to_num(values)
    support = _test_images(evaluation, basis, labels)
    normalisation = find_normalisation(values, support)
    rule = MATRIX_RULES[normalisation] if normalisation else UNKNOWN_MATRIX_RULE
    computed, is_partial = _top1_shares(basis, normalisation, support)
    for i, j in np.argwhere(listed | (computed > 0)):
        number = _compare(
            f"confusion_matrix/{labels[i]}/{labels[j]}",
            float(values[i, j]),
            float(computed[i, j]),
            rule,
        )
        yield replace(number, agrees=number.agrees or None) if is_partial[i] else number


def _test_images(evaluation: Evaluation, basis: Basis, labels: Sequence[str]) -> FloatArray:
    """Test images of each label, the provider's number before ours; NaN where unknown."""
    ours = (
        dict(zip(evaluation.labels, basis.support, strict=True))
        if basis.support is not None
        else {}
    )
    per_label = evaluation.reported.per_label
    return np.array(
        [per_label.get(label, {}).get("test_images", ours.get(label, nan)) for label in labels],
        dtype=np.float64,
    )


def _top1_shares(
    basis: Basis, normalisation: Normalisation | None, support: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Our counts of top labels as the provider divides them, NaN where unknown.

    Returns:
        Shares (n_labels, n_labels), and which rows have images of unknown top label, (n_labels,).
    """
    n = len(support)
    if basis.top1 is None or normalisation is None:
        return np.full((n, n), nan), np.zeros(n, dtype=np.bool_)
    counts, unknown = np.zeros((n, n)), np.zeros(n, dtype=np.bool_)
    n_known = len(basis.top1)
    counts[:n_known, :n_known] = basis.top1[:, :-1]
    unknown[:n_known] = basis.top1[:, -1] > 0
    divisors = denominators(normalisation, support)
    return np.where(divisors > 0, divide(counts, divisors), nan), unknown


def put_side_by_side(
    evaluation: Evaluation, ours: Ours, labels: OurLabels
) -> tuple[Reconciled, ...]:
    """Every number the provider reported, with ours of that name.

    Only the number of images is compared; all else just stands side by side.
    """
    return (
        *_compare_images(evaluation),
        *(
            _stand_beside(name, value, *ours.get(name, (nan, NO_RULE)))
            for name, value in evaluation.reported.aggregate.items()
            if name != _THRESHOLD
        ),
        *_list_labels(evaluation, labels),
    )


def _compare_images(evaluation: Evaluation) -> Iterator[Reconciled]:
    reported, n_images = evaluation.reported, len(evaluation.images)
    if reported.test_images is not None:
        yield Reconciled(
            name="test_images",
            reported=reported.test_images,
            computed=n_images,
            agrees=reported.test_images == n_images,
            rule=IMAGES_RULE,
        )
    if reported.train_images is not None:
        yield _stand_beside("train_images", reported.train_images, nan, TRAINING_RULE)


def _list_labels(evaluation: Evaluation, labels: OurLabels) -> Iterator[Reconciled]:
    codes = {label: code for code, label in enumerate(evaluation.labels)}
    for label, scores in evaluation.reported.per_label.items():
        for name, value in scores.items():
            if name == _THRESHOLD:
                continue
            column, rule = labels.get(name, (None, NO_RULE))
            computed = nan
            if column is not None and label in codes:
                computed = float(column[codes[label]])
            yield _stand_beside(f"{name}/{label}", value, computed, rule)


def _stand_beside(name: str, reported: float, computed: float, rule: str) -> Reconciled:
    return Reconciled(name=name, reported=reported, computed=computed, agrees=None, rule=rule)

"""`crossfit/<name>` of two versions: what thresholds give that the other images chose.

Where a service chooses thresholds on the test set itself, numbers at them differ between versions
as the thresholds fit these images, not as the versions will do on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt
from typing import Final, TypeAlias

import numpy as np

from mlrek.comparison import Difference, Evidence, Scope
from mlrek.comparison.exams import Measured
from mlrek.comparison.judgements import with_evidence
from mlrek.comparison.pairing import group_images
from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.counts import LabelCounts, compute_averages
from mlrek.metrics.crossfit import (
    LABEL_NAMES,
    LABEL_PREFIX,
    PREFIX,
    CrossFitValues,
    fit_evaluation,
)
from mlrek.metrics.jackknife import LeftOut, Scale, compute_interval, jackknife
from mlrek.metrics.part_intervals import MIN_PARTS, Ends
from mlrek.metrics.ranking import rank_pairs
from mlrek.metrics.resampling import CONFIDENCE

FITTED_ALIKE: Final = (
    "only thresholds differ between the versions, and they were chosen on this very test set: at "
    "thresholds that the other images choose, both versions do the same"
)

HAMMING_LOSS: Final = "hamming_loss"

Key: TypeAlias = tuple[str, str]
"""Name and label of a number."""


def compare_crossfit(
    versions: tuple[Measured, Measured],
    *,
    labels: Sequence[str],
    group_by: str,
    scope: Scope,
    intervals: bool,
) -> tuple[Difference, ...]:
    """The cross-fitted numbers of both versions, none where either has none.

    On shared images the macro averages are over the labels of both versions, and the interval of a
    difference comes from leaving out the same images on both sides, with both fitted anew.

    Args:
        versions: Baseline and candidate; of shared images in the same order.
        labels: Those of both, in shared order.
        group_by: What groups images, as `group_images` takes it; '' for none.
        scope: Which images they are measured on.
        intervals: Whether the differences have their intervals, too.
    """
    fits = [_fit(version, group_by) for version in versions]
    if fits[0] is None or fits[1] is None:
        return ()
    first, second = fits[0], fits[1]
    if scope is Scope.SHARED:
        first, second = _average_over_both((first, second), versions, len(labels))
    sides = [
        _list_sides(fit, version.codes, labels)
        for fit, version in zip((first, second), versions, strict=True)
    ]
    is_same = _find_same(versions) if scope is Scope.SHARED else False
    found = [
        _compare(key, (sides[0][key], sides[1][key]), scope, is_same=is_same)
        for key in sides[0]
        if key in sides[1]
    ]
    return tuple(with_evidence(*one) if intervals else one[0] for one in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedParts:
    """The evidence of a difference that was computed anew without each part of the same images."""

    difference: float
    left_out: FloatArray

    def interval(self, confidence: float) -> Ends:
        """The delete-a-group jackknife's interval of the difference itself, NaN of few parts."""
        if len(self.left_out) < MIN_PARTS or isnan(self.standard_error):
            return nan, nan
        once = np.ones(len(self.left_out), dtype=np.int64)
        left_out = LeftOut(values=self.left_out, times=once)
        unbiased = replace(jackknife(self.difference, left_out), bias=0.0)
        return compute_interval(unbiased, Scale.PLAIN, confidence)

    @property
    def standard_error(self) -> float:
        """The jackknife's; NaN where the difference is undefined without some part."""
        n = len(self.left_out)
        spread = np.square(self.left_out - self.left_out.mean()).sum()
        return sqrt((n - 1) / n * float(spread))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One number of one version: of all images, and without each part."""

    values: FloatArray
    fit: CrossFitValues
    name: str
    label_idx: int = -1

    def find_ends(self, confidence: float) -> Ends:
        """Its own interval; F1 of a label has none."""
        if self.label_idx < 0:
            return self.fit.find_ends(self.name, confidence)
        if self.name == "f1":
            return nan, nan
        return self.fit.find_label_ends(self.name, self.label_idx, confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoIntervals:
    """The evidence of a difference of two test sets: from both intervals (Zou & Donner 2008).

    Images that both have make the difference surer than this says.
    """

    baseline: _Side
    candidate: _Side

    def interval(self, confidence: float) -> Ends:
        """Lower and upper end, NaN where a side has none."""
        was, now = float(self.baseline.values[0]), float(self.candidate.values[0])
        was_low, was_high = self.baseline.find_ends(confidence)
        now_low, now_high = self.candidate.find_ends(confidence)
        below = sqrt((now - now_low) ** 2 + (was_high - was) ** 2)
        above = sqrt((now_high - now) ** 2 + (was - was_low) ** 2)
        return now - was - below, now - was + above

    @property
    def standard_error(self) -> float:
        """A quarter of the 95 % interval's width."""
        low, high = self.interval(CONFIDENCE)
        return (high - low) / 4


def _fit(version: Measured, group_by: str) -> CrossFitValues | None:
    if not version.metrics.crossfit:
        return None
    evaluation = version.evaluation
    groups = group_images(evaluation.images, group_by)[0] if group_by else None
    return fit_evaluation(evaluation, rank_pairs(evaluation).pairs, groups=groups)


def _average_over_both(
    fits: tuple[CrossFitValues, CrossFitValues], versions: tuple[Measured, Measured], n_labels: int
) -> tuple[CrossFitValues, CrossFitValues]:
    """The same with averages over the labels that are true or predicted by either version."""
    counts = [
        _recode(fit.counts, version.codes, n_labels)
        for fit, version in zip(fits, versions, strict=True)
    ]
    among = counts[0].occurs | counts[1].occurs
    first, second = (
        replace(fit, values={**fit.values, **_average(fit, own, among, n_labels)})
        for fit, own in zip(fits, counts, strict=True)
    )
    return first, second


def _recode(counts: LabelCounts, codes: IntArray, n_labels: int) -> LabelCounts:
    """Counts (n, n_own_labels) under shared codes, (n, n_labels)."""

    def place(own: IntArray) -> IntArray:
        placed = np.zeros((len(own), n_labels), dtype=np.int64)
        placed[:, codes] = own
        return placed

    return LabelCounts(
        tp=place(counts.tp), predicted=place(counts.predicted), support=place(counts.support)
    )


def _average(
    fit: CrossFitValues, counts: LabelCounts, among: BoolArray, n_labels: int
) -> dict[str, FloatArray]:
    """What changes where the labels of both versions count."""
    averages = compute_averages(counts, among)
    found = {name: averages[name] for name in fit.values if name in averages}
    if HAMMING_LOSS in fit.values:  # wrong cells are a share of those of all labels
        known = fit.counts.tp.shape[-1] / n_labels
        found[HAMMING_LOSS] = fit.values[HAMMING_LOSS] * known
    return found


def _list_sides(fit: CrossFitValues, codes: IntArray, labels: Sequence[str]) -> dict[Key, _Side]:
    """Every number of a version by name and label."""
    sides = {
        (PREFIX + name, ""): _Side(values=values, fit=fit, name=name)
        for name, values in fit.values.items()
    }
    for name in LABEL_NAMES:
        for i, code in enumerate(codes.tolist()):
            sides[LABEL_PREFIX + name, labels[code]] = _Side(
                values=fit.per_label[name][:, i], fit=fit, name=name, label_idx=i
            )
    return sides


def _compare(
    key: Key, sides: tuple[_Side, _Side], scope: Scope, *, is_same: bool
) -> tuple[Difference, Evidence]:
    """A number of both versions, and how surely it differs."""
    name, label = key
    was, now = (side.values for side in sides)
    plain = Difference(
        name=name,
        label=label,
        scope=scope,
        baseline=float(was[0]),
        candidate=float(now[0]),
        reason=FITTED_ALIKE if is_same else "",
    )
    if scope is Scope.WHOLE:
        return plain, TwoIntervals(baseline=sides[0], candidate=sides[1])
    filled = np.append(False, sides[0].fit.is_filled)
    return plain, PairedParts(difference=plain.difference, left_out=(now - was)[filled])


def _find_same(versions: tuple[Measured, Measured]) -> bool:
    """Whether both versions are as sure of everything, so that only thresholds can differ."""
    first, second = (version.evaluation for version in versions)
    return (
        np.array_equal(versions[0].codes, versions[1].codes)
        and np.array_equal(first.records.confidence, second.records.confidence)
        and not np.array_equal(first.thresholds, second.thresholds, equal_nan=True)
    )

"""Every number of two versions side by side, with how surely they differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt
from typing import Final, TypeAlias

import numpy as np

from mlrek.comparison import (
    ConfusionDifference,
    Difference,
    Evidence,
    ImageAnswer,
    ImageChange,
    Scope,
)
from mlrek.comparison.judgements import judge_pairs, judge_shares, with_evidence
from mlrek.comparison.left_out import FoundEvidence, find_evidence
from mlrek.comparison.measured import Measured, list_values
from mlrek.comparison.pairing import Setting, group_images
from mlrek.comparison.rows import HAMMING, Rows
from mlrek.evaluation import BoolArray, FloatArray, IntArray, Task
from mlrek.kinds import CROSSFIT_OF_LABELS
from mlrek.metrics.counts import NOTHING_REASON, LabelCounts, compute_averages
from mlrek.metrics.crossfit import LABEL_NAMES, PREFIX, CrossFitValues, fit_evaluation
from mlrek.metrics.intervals import CONFIDENCE, LeftOut, Scale, compute_interval, jackknife
from mlrek.metrics.ranking import rank_pairs
from mlrek.metrics.shares import MIN_PARTS, Ends

REPORTED_REASON: Final = "no interval: the provider publishes the number alone"
_ROUNDING: Final = 1e-12

_Numbers: TypeAlias = dict[tuple[str, str], tuple[float, str]]
"""Value and reason by name and label."""

_Gathered: TypeAlias = dict[int, tuple[list[int], list[int], list[float]]]
"""True codes, predicted codes and confidences by image."""

FITTED_ALIKE: Final = (
    "only thresholds differ between the versions, and they were chosen on this very test set: at "
    "thresholds that the other images choose, both versions do the same"
)

HAMMING_LOSS: Final = "hamming_loss"

Key: TypeAlias = tuple[str, str]
"""Name and label of a number."""


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


def compare_shared(
    versions: tuple[Measured, Measured], setting: Setting, *, intervals: bool
) -> tuple[Difference, ...]:
    """The numbers of both versions on paired images, with the interval of each difference.

    The macro averages are over the labels of both versions, those that are true or predicted by
    either. Without `intervals` only those that follow from a formula are there.
    """
    plain = _put_side_by_side(_average_over_both(versions), Scope.SHARED)
    computed = [difference for difference in plain if not _is_reported(difference.name)]
    found = _add_intervals(computed, versions, setting if intervals else None)
    return tuple(judge_pairs(found, versions, setting))


def compare_whole(
    versions: tuple[Measured, Measured],
    setting: Setting,
    shared: Sequence[Difference] = (),
    *,
    intervals: bool,
) -> tuple[Difference, ...]:
    """The numbers of both versions, each on its own test set, with their intervals.

    Of one and the same test set the differences of `shared` hold wherever the numbers are equal.
    """
    known = {(d.name, d.label): replace(d, scope=Scope.WHOLE) for d in shared}
    found = {
        (d.name, d.label): d
        for d in _put_side_by_side([_list_numbers(version) for version in versions], Scope.WHOLE)
    }
    own = [d for key, d in found.items() if key not in known or not _agree(known[key], d)]
    found = {key: known.get(key, d) for key, d in found.items()}
    added = _add_intervals(own, versions, setting if intervals else None)
    found |= {(d.name, d.label): d for d in added}
    if not setting.grouped and not shared:
        found = {(d.name, d.label): d for d in judge_shares(list(found.values()), versions)}
    return tuple({**known, **found}[key] for key in dict.fromkeys((*found, *known)))


def _list_numbers(version: Measured) -> _Numbers:
    return {
        (name, label): (value, reason)
        for name, label, value, reason in list_values(version.metrics, version.evaluation)
    }


def _average_over_both(versions: tuple[Measured, Measured]) -> list[_Numbers]:
    """The values of both versions, averages over labels being over those of both."""
    ones = (np.ones((len(version.evaluation.images), 1), dtype=np.float32) for version in versions)
    counts = [
        version.measure.count(weights) for version, weights in zip(versions, ones, strict=True)
    ]
    among = _find_among(*counts)
    both = []
    for version, count in zip(versions, counts, strict=True):
        values = _list_numbers(version)
        for (name, _), found in version.measure.average(count, among).items():
            value, reason = values[name, ""]
            if not isnan(value) or reason == NOTHING_REASON:
                average = float(found[0])
                values[name, ""] = average, reason if isnan(average) else ""
        if version.metrics.task is Task.MULTILABEL:
            name, _ = HAMMING
            value, reason = values[name, ""]
            values[name, ""] = value * version.measure.known_share, reason
        both.append(values)
    return both


def _find_among(
    baseline: Mapping[str, LabelCounts], candidate: Mapping[str, LabelCounts]
) -> dict[str, BoolArray]:
    """The labels that occur for either version, by kind of counts."""
    return {
        kind: baseline[kind].occurs | candidate[kind].occurs
        for kind in baseline
        if kind in candidate
    }


def _put_side_by_side(values: Sequence[_Numbers], scope: Scope) -> Iterator[Difference]:
    """The plain numbers of both versions, without intervals."""
    for name, label in dict.fromkeys((*values[0], *values[1])):
        (baseline, reason), (candidate, other_reason) = (
            side.get((name, label), (nan, "only one of the versions has this number"))
            for side in values
        )
        yield Difference(
            name=name,
            label=label,
            scope=scope,
            baseline=baseline,
            candidate=candidate,
            reason=reason or other_reason or (REPORTED_REASON if _is_reported(name) else ""),
        )


def _add_intervals(
    differences: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting | None
) -> list[Difference]:
    """The differences with their evidence, none without a setting."""
    codes = {label: code for code, label in enumerate(setting.labels)} if setting else {}
    keys = [(d.name, codes.get(d.label)) for d in differences]
    shown = {
        key: d.difference
        for key, d in zip(keys, differences, strict=True)
        if not _is_reported(d.name)
    }
    found = FoundEvidence(evidence={}, reasons={})
    if setting is not None and shown:
        found = find_evidence(versions, setting, shown)
    return [
        with_evidence(
            replace(d, reason=d.reason or found.reasons.get(key, "")), found.evidence.get(key)
        )
        for key, d in zip(keys, differences, strict=True)
    ]


def _agree(one: Difference, other: Difference) -> bool:
    return all(
        abs(mine - its) <= _ROUNDING or (isnan(mine) and isnan(its))
        for mine, its in ((one.baseline, other.baseline), (one.candidate, other.candidate))
    )


def _is_reported(name: str) -> bool:
    return name.startswith(("reported/", "label_reported_"))


def find_changes(
    shared: tuple[Measured, Measured], images: tuple[str, ...], labels: tuple[str, ...]
) -> tuple[tuple[ImageChange, ...], tuple[ImageChange, ...], tuple[ImageChange, ...]]:
    """Images that only the candidate has right, only the baseline, and wrong in different ways."""
    first, second = (version.rows for version in shared)
    counted = first.counted & second.counted
    right = first.is_right & counted, second.is_right & counted
    wrong = counted & ~right[0] & ~right[1]
    kinds = ~right[0] & right[1], right[0] & ~right[1], wrong
    places = {int(i) for kind in kinds for i in np.flatnonzero(kind)}
    gathered = [_gather(rows, places) for rows in (first, second)]
    answers = [_list_answers(one, labels) for one in gathered]
    truth = _list_truth(gathered[1], labels)

    def build(i: int) -> ImageChange:
        return ImageChange(
            image=images[i],
            truth=truth[i],
            baseline=answers[0][i],
            candidate=answers[1][i],
        )

    fixed, broken, both_wrong = (
        tuple(build(i) for i in np.flatnonzero(kind).tolist()) for kind in kinds
    )
    changed = tuple(c for c in both_wrong if c.baseline.labels != c.candidate.labels)
    return fixed, broken, changed


def _list_answers(gathered: _Gathered, labels: tuple[str, ...]) -> dict[int, ImageAnswer]:
    """What was predicted; several labels have the confidence of the least sure."""
    return {
        image: ImageAnswer(
            labels=tuple([labels[code] for code in sorted(y_pred)]),
            confidence=min(confidence, default=nan),
        )
        for image, (_, y_pred, confidence) in gathered.items()
    }


def _list_truth(gathered: _Gathered, labels: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """The true labels; of boxes as often as they stand there."""
    return {
        image: tuple([labels[code] for code in sorted(y_true)])
        for image, (y_true, _, _) in gathered.items()
    }


def _gather(rows: Rows, images: set[int]) -> _Gathered:
    found: _Gathered = {image: ([], [], []) for image in images}
    wanted = np.zeros(len(rows.counted), dtype=np.bool_)
    wanted[list(images)] = True
    columns = (rows.image_idx, rows.y_true, rows.y_pred, rows.confidence)
    mine = wanted[rows.image_idx]
    for image, y_true, y_pred, confidence in zip(*(c[mine].tolist() for c in columns), strict=True):
        true, predicted, sure = found[image]
        true += [y_true] * (y_true >= 0)
        predicted += [y_pred] * (y_pred >= 0)
        sure += [confidence] * (y_pred >= 0)
    return found


def subtract_confusion(
    shared: tuple[Measured, Measured], images: tuple[str, ...], labels: tuple[str, ...]
) -> ConfusionDifference | None:
    """The candidate's confusion matrix minus the baseline's, with the labels of both."""
    matrices = [version.metrics.confusion for version in shared]
    own = dict.fromkeys(
        name
        for version, matrix in zip(shared, matrices, strict=True)
        if matrix is not None
        for name in (*matrix.rows[len(version.codes) :], *matrix.columns[len(version.codes) :])
    )
    size = len(labels) + len(own)
    sides = np.zeros((2, size, size), dtype=np.int64)
    places = {name: len(labels) + i for i, name in enumerate(own)}
    for counts, version, matrix in zip(sides, shared, matrices, strict=True):
        if matrix is None:
            return None
        n = len(version.codes)
        rows = [*version.codes, *(places[name] for name in matrix.rows[n:])]
        columns = [*version.codes, *(places[name] for name in matrix.columns[n:])]
        counts[np.ix_(rows, columns)] += matrix.counts
    return ConfusionDifference(
        counts=sides[1] - sides[0],
        baseline=sides[0],
        labels=(*labels, *own),
        n_own=len(own),
        moves=find_moves(shared[0].rows, shared[1].rows, len(labels)),
        images=images,
    )


def find_moves(baseline: Rows, candidate: Rows, n_labels: int) -> IntArray:
    """Image, true row, predicted column and change of count wherever the versions differ, (n, 4).

    No label, true or predicted, has the code `n_labels`.
    """
    size = n_labels + 1
    keys = [
        (rows.image_idx * size + rows.y_true % size) * size + rows.y_pred % size
        for rows in (baseline, candidate)
    ]
    cells, places = np.unique(np.concatenate(keys), return_inverse=True)
    signs = np.repeat([-1, 1], [len(key) for key in keys])
    change = np.bincount(places, weights=signs, minlength=len(cells)).astype(np.int64)
    moved = change != 0
    image_idx, cell = np.divmod(cells[moved], size * size)
    return np.stack([image_idx, *np.divmod(cell, size), change[moved]], axis=1)


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
        first, second = _average_fits_over_both((first, second), versions, len(labels))
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


def _fit(version: Measured, group_by: str) -> CrossFitValues | None:
    if not version.metrics.crossfit:
        return None
    evaluation = version.evaluation
    groups = group_images(evaluation.images, group_by)[0] if group_by else None
    return fit_evaluation(evaluation, rank_pairs(evaluation), groups=groups)


def _average_fits_over_both(
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
            sides[CROSSFIT_OF_LABELS + name, labels[code]] = _Side(
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

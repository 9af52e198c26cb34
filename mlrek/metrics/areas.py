"""Average precision and ROC AUC with their intervals, of labels and as means over labels.

Where a label has few images, how far these lie apart tells little of the error of its ROC AUC, and
too small an error is as likely as too large a one. So the variance is pooled with the one that an
AUC of this size has where scores are normal (Hanley and McNeil, Radiology 143, 1982, with normal
scores in place of exponential ones), as that of two images more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import erfc, isnan, nan, sqrt
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics import LabelScores, Number
from mlrek.metrics.counts import LabelCounts, divide
from mlrek.metrics.estimates import AT_BOUND, Known, bound, estimate_number
from mlrek.metrics.falling import FallingScores, Places
from mlrek.metrics.intervals import (
    AREA,
    LeftOut,
    Weights,
    explain_few,
    find_degrees,
    leave_out_units,
)
from mlrek.metrics.left_out import Units, score_labels
from mlrek.metrics.ranking import RANKING_REASONS, RankedPairs, average_rankings, compute_areas

MIN_OF_KIND: Final = 20
"""Units with and without a label that its areas need for an interval: of 5 to 19 the intervals lie
above too often (ROC AUC) or are wider than they say (AP), see `tests/proof/README.md`."""

_MIRRORED: Final = 2
_AP, _AUC = "average_precision", "roc_auc"
_COLUMNS: Mapping[str, str] = {_AP: "ap", _AUC: "roc_auc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """Average precision and ROC AUC of each label, (n_labels,) each, NaN where undefined.

    `ends` are `ap_low`, `ap_high`, `roc_auc_low` and `roc_auc_high`, (n_labels,) each; `macro` the
    means over labels with their intervals.
    """

    ap: FloatArray
    roc_auc: FloatArray
    ends: Mapping[str, FloatArray]
    macro: Mapping[str, Number]

    def score_labels(
        self, counts: LabelCounts, confidence: float, by_group: LabelCounts | None
    ) -> LabelScores:
        """The numbers of each label; arguments as of `label_scores.score_labels`."""
        scores = score_labels(counts, self.ap, self.roc_auc, confidence, by_group)
        return replace(
            scores,
            ap_low=self.ends["ap_low"],
            ap_high=self.ends["ap_high"],
            roc_auc_low=self.ends["roc_auc_low"],
            roc_auc_high=self.ends["roc_auc_high"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Area:
    """One area of a label, and without each unit.

    `by_unit` is it without each, (n_units,), in the same order for all labels.
    `n_least` are the units with the label or without it, whichever are fewer, `n_most` the others:
    a group may be of both.
    """

    name: str
    value: float
    left_out: LeftOut
    by_unit: FloatArray
    n_least: int
    n_most: int

    def find_variance(self) -> float:
        """By formula, NaN where there is none."""
        has_formula = self.name == _AUC and not isnan(self.value) and self.n_least > 0
        return find_variance(self.value, self.n_least, self.n_most) if has_formula else nan

    def estimate(self, units: Units) -> Number:
        if isnan(self.value) or units.lacking:
            return Number(value=self.value, reason=units.lacking)
        if self.n_least < MIN_OF_KIND:
            few = explain_kind(self.n_least, units.n_units, units.what)
            return Number(value=self.value, reason=few)
        return estimate_number(
            self.name,
            self.value,
            self.left_out,
            units,
            n_bound=self.n_least,
            known=Known(max_degrees=self.n_least - 1, variance=self.find_variance()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kinds:
    """Images of one label that are alike: the areas without each of them are the same.

    A rise is a place that some image with the label has, the highest first. First come images with
    the label, by rise, (n_rises,), then those without it at each rise, then those without it before
    each rise and after the last one. `tp` and `predicted` (n_rises,) are the right images, and all,
    at each rise or above; `times` (3 * n_rises + 1,) the images of each kind.
    """

    rises: IntArray
    tp: IntArray
    predicted: IntArray
    times: IntArray

    @staticmethod
    def of(places: Places) -> "_Kinds":
        """Those of a label."""
        rises = np.flatnonzero(places.positive)
        positive, negative = places.positive[rises], places.negative[rises]
        tp, predicted = places.tp[rises], places.predicted[rises]
        wrong = np.append(predicted - tp, places.negative.sum())  # at each rise or above, and all
        between = np.diff(wrong, prepend=0)
        between[:-1] -= negative
        return _Kinds(
            rises=rises,
            tp=tp,
            predicted=predicted,
            times=np.concatenate([positive, negative, between]),
        )

    def find(self, places: Places, is_true: BoolArray) -> IntArray:
        """The kind of each score in falling order, (n,)."""
        n, is_rise = len(self.rises), places.positive > 0
        negative = np.cumsum(is_rise, dtype=places.tp.dtype)
        negative += 2 * n
        negative[self.rises] -= n + 1
        kind = np.repeat(negative, places.positive + places.negative)
        kind[is_true] = np.repeat(np.arange(n, dtype=kind.dtype), self.times[:n])
        return kind

    def take(self, without: FloatArray) -> LeftOut:
        """A number without an image of each kind; the order of images does not matter."""
        kinds = np.flatnonzero(self.times)
        return LeftOut(values=without[kinds], times=self.times[kinds], is_in_order=True)

    def divide(self, values: FloatArray, n_with: int, n_without: int) -> FloatArray:
        """Values of images with the label over one number, the others over another; NaN over 0."""
        for part, n in zip(np.split(values, [len(self.rises)]), (n_with, n_without), strict=True):
            np.divide(part, n or nan, out=part)
        return values


class _Mean:
    """The mean over labels of an area without each unit, label by label: few numbers are held."""

    def __init__(self) -> None:
        self._sums, self._n = np.zeros(1), np.zeros(1)
        self._least: list[int] = []
        self._variances: list[float] = []

    def add(self, one: _Area) -> None:
        """One label more; it has no area where all units have it, or none."""
        self._least.append(one.n_least)
        if isnan(one.value):
            return
        self._variances.append(one.find_variance())
        values = one.by_unit
        is_defined = ~np.isnan(values)
        are_all = bool(is_defined.all())
        self._sums = self._sums + (values if are_all else np.where(is_defined, values, 0))
        self._n = self._n + (1 if are_all else is_defined)

    def estimate(self, name: str, number: Number, units: Units) -> Number:
        """The mean with its interval."""
        least, variances = np.array(self._least, dtype=np.int64), np.array(self._variances)
        if isnan(number.value):
            return number
        if len(least) == _MIRRORED:  # of two labels both areas are of the same images
            least, variances = least[:1], variances[:1]
        if few := explain_few(name, least, units.n_units, units.what):
            return Number(value=number.value, reason=few)
        if bound(AREA, number.value, units.n_units, units.confidence) is not None:
            return self._bound(number.value, least, units)
        values = divide(self._sums, np.broadcast_to(self._n, self._sums.shape))
        left_out = LeftOut(values=values, times=np.ones(len(values), dtype=np.int64))
        degrees = find_degrees(least, 1 / np.maximum(least, 1))
        known = Known(max_degrees=degrees, variance=variances.mean() / len(variances))
        return estimate_number(name, number.value, left_out, units, known=known)

    def _bound(self, value: float, least: IntArray, units: Units) -> Number:
        """All labels perfect (or all wrong): what MOVER makes of the bounds of each (see there)."""
        ends = [bound(AREA, value, n, units.confidence) for n in least.tolist() if n]
        far = np.array([low if value > 1 / 2 else high for low, high in filter(None, ends)])
        reach = float(np.sqrt(np.square(far - value).sum())) / len(far)
        return Number(
            value=value,
            low=value - reach if value > 1 / 2 else value,
            high=value if value > 1 / 2 else value + reach,
            reason=AT_BOUND.format(what=f"{units.what} with the label, label by label"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeLong:
    """Areas under both curves, the standard error of their difference, and the two-sided p.

    Areas are NaN where no image is positive or none negative. Standard error and p are NaN with a
    single one of a kind, and where the areas differ by the same for every image: no spread seen is
    no certainty. Areas that are alike for every image have standard error 0 and p 1.
    """

    baseline_auc: float
    candidate_auc: float
    standard_error: float
    p: float

    @property
    def difference(self) -> float:
        """Candidate minus baseline."""
        return self.candidate_auc - self.baseline_auc


class LabelAreas:
    """Estimates the areas of each label and their means, label by label.

    Args:
        ranked: Of these scores.
        units: Those of the ranked images.
    """

    def __init__(self, ranked: RankedPairs, units: Units) -> None:
        n_labels = ranked.pairs.n_labels
        self._missing, self._units, self._n_added = ranked.missing, units, 0
        self._values = {name: np.full(n_labels, nan) for name in _COLUMNS}
        self._ends = {
            f"{column}_{end}": np.full(n_labels, nan)
            for column in _COLUMNS.values()
            for end in ("low", "high")
        }
        asked = not (ranked.missing or units.lacking) and ranked.pairs.n_images > 0
        self._means = {name: _Mean() for name in _COLUMNS} if asked else {}
        self._groups = _leave_out_groups(ranked, units) if asked and units.are_groups else {}

    def add(self, scores: FallingScores) -> None:
        """The next label."""
        i, self._n_added = self._n_added, self._n_added + 1
        places = scores.count_places()
        values = dict(zip(_COLUMNS, compute_areas(places), strict=True))
        for name, value in values.items():
            self._values[name][i] = value
        if not self._means:
            return
        unit_idx = self._units.unit_idx[scores.image_idx] if self._groups else None
        n_least, n_most = _count_kinds(scores.is_true, unit_idx)
        for name, left_out, by_unit in self._leave_out(i, scores, places):
            one = _Area(
                name=name,
                value=values[name],
                left_out=left_out,
                by_unit=by_unit,
                n_least=n_least,
                n_most=n_most,
            )
            self._means[name].add(one)
            number = one.estimate(self._units)
            self._ends[f"{_COLUMNS[name]}_low"][i] = number.low
            self._ends[f"{_COLUMNS[name]}_high"][i] = number.high

    def _leave_out(
        self, label_idx: int, scores: FallingScores, places: Places
    ) -> Iterator[tuple[str, LeftOut, FloatArray]]:
        if not self._groups:
            yield from _leave_out_images(scores, places)
            return
        for name in _COLUMNS:
            group = self._groups[f"{name}/{label_idx}"]
            yield name, group, group.values

    def finish(self) -> Areas:
        """The areas, once all labels are there."""
        ap, roc_auc = self._values[_AP], self._values[_AUC]
        reason = self._missing or self._units.lacking
        macro = _average(ap, roc_auc, reason, is_missing=bool(self._missing))
        macro |= {
            f"{name}_macro": mean.estimate(f"{name}_macro", macro[f"{name}_macro"], self._units)
            for name, mean in self._means.items()
        }
        return Areas(ap=ap, roc_auc=roc_auc, ends=self._ends, macro=macro)


def estimate_areas(ranked: RankedPairs, units: Units) -> Areas:
    """The areas of each label and their means; `units` are those of the ranked images."""
    areas = LabelAreas(ranked, units)
    for scores in () if ranked.missing else ranked.read():
        areas.add(scores)
    return areas.finish()


def estimate_area(
    falling: FallingScores, values: Mapping[str, float], units: Units
) -> dict[str, Number]:
    """Both areas of one label with intervals, of images that are the units.

    Args:
        falling: The score of each image.
        values: The areas by name, NaN where undefined.
        units: The images, and the confidence.
    """
    places = falling.count_places()
    kinds = _Kinds.of(places)
    n_least, n_most = _count_kinds(falling.is_true)
    return {
        name: _Area(
            name=name,
            value=value,
            left_out=kinds.take(_LEAVE_OUT[name](kinds)),
            by_unit=np.zeros(0),
            n_least=n_least,
            n_most=n_most,
        ).estimate(units)
        for name, value in values.items()
    }


def find_variance(auc: float, n_least: int, n_most: int) -> float:
    """That of a ROC AUC of normal scores, equally spread with and without the label.

    (A (1 - A) + (m + n - 2) (Q - A²)) / (m n) of the area A and m and n units of both kinds, where
    Q = A - 2 T(z, 1 / sqrt(3)) is the chance that a unit with the label is above two without it,
    with z the normal quantile of A and T Owen's function.

    >>> round(find_variance(0.5, 10, 100), 5)
    0.00925
    """
    from scipy.special import ndtri, owens_t

    together = auc - 2 * float(owens_t(ndtri(auc), 1 / sqrt(3))) - auc**2
    return (auc * (1 - auc) + (n_least + n_most - 2) * together) / (n_least * n_most)


def explain_kind(
    n_least: int, n_units: int, what: str, kind: str = "rarer kind (with or without the label)"
) -> str:
    """Why an area has no interval of so few units of a kind, and how many units would do."""
    needed = -(-n_units * MIN_OF_KIND // max(n_least, 1))
    return (
        f"no interval: {n_least} {what} of the {kind}, and {MIN_OF_KIND} are needed: "
        f"about {needed:,} {what} like these"
    )


def _leave_out_of_precision(kinds: _Kinds) -> FloatArray:
    """Average precision without an image of each kind, in O(n).

    Without an image, the places before its score keep their precision, and those from there on have
    one prediction less: sums over places before and after give each value at once.
    """
    n = len(kinds.rises)
    n_true = int(kinds.tp[-1]) if n else 0
    positive, tp, predicted = (  # whole numbers, of which NumPy divides doubles much faster
        column.astype(np.float64) for column in (kinds.times[:n], kinds.tp, kinds.predicted)
    )
    found = positive * tp
    precision = found / predicted
    before = np.cumsum(precision)
    whole = before[-1:].copy()
    before -= precision
    del precision
    predicted -= 1
    fewer = np.maximum(predicted, 1, out=predicted)  # where it is 0, so are the numerators
    found /= fewer
    at_rise = before + _sum_from(found)
    after = np.multiply(positive, tp - 1, out=found)
    after /= fewer
    own = np.maximum(positive - 1, 0, out=positive)
    own *= np.maximum(tp - 1, 0)
    own /= fewer
    with_label = before
    with_label += own
    with_label += _sum_from(after)
    with_label -= after
    without = np.concatenate([with_label, at_rise, at_rise, whole if n else np.zeros(1)])
    return kinds.divide(without, n_true - 1, n_true)


def _leave_out_of_order(kinds: _Kinds) -> FloatArray:
    """ROC AUC without an image of each kind; ties count half."""
    n, tp = len(kinds.rises), kinds.tp
    positive, tied = kinds.times[:n], kinds.times[n : 2 * n]
    n_true, n_false = int(positive.sum()), int(kinds.times[n:].sum())
    below = n_false - (kinds.predicted - tp) + tied / 2  # right pairs that a positive is in
    above = np.concatenate([tp - positive / 2, [0], tp])
    without = float(positive @ below) - np.concatenate([below, above])
    return kinds.divide(without, (n_true - 1) * n_false, n_true * (n_false - 1))


_LEAVE_OUT: Mapping[str, Callable[[_Kinds], FloatArray]] = MappingProxyType(
    {_AP: _leave_out_of_precision, _AUC: _leave_out_of_order}
)


def _average(
    ap: FloatArray, roc_auc: FloatArray, reason: str, *, is_missing: bool
) -> dict[str, Number]:
    """The means over labels, without intervals; `reason` tells why, or why there is no mean."""
    values = average_rankings(ap[:, np.newaxis], roc_auc[:, np.newaxis])
    return {
        name: Number(
            value=float(value[0]),
            reason=RANKING_REASONS[name] if np.isnan(value[0]) and not is_missing else reason,
        )
        for name, value in values.items()
    }


def _leave_out_images(
    falling: FallingScores, places: Places
) -> Iterator[tuple[str, LeftOut, FloatArray]]:
    """Each area of a label without an image of each kind, and without each image."""
    kinds = _Kinds.of(places)
    kind = kinds.find(places, falling.is_true)
    of_image = np.empty_like(kind)
    of_image[falling.image_idx] = kind
    for name, leave_out in _LEAVE_OUT.items():
        without = leave_out(kinds)
        yield name, kinds.take(without), without[of_image]


def _leave_out_groups(ranked: RankedPairs, units: Units) -> dict[str, LeftOut]:
    def compute(weights: Weights) -> dict[str, FloatArray]:
        areas = zip((_AP, _AUC), ranked.ranking.compute_labels(weights), strict=True)
        return {f"{name}/{i}": row for name, rows in areas for i, row in enumerate(rows)}

    ordered = units.put_in_order(ranked.pairs.places).deal()
    return leave_out_units(compute, ordered.unit_idx, ordered.n_units)


def _count_kinds(is_true: BoolArray, group_idx: IntArray | None = None) -> tuple[int, int]:
    """Units with the label and those without it, the fewer ones first; a group may be of both."""
    if group_idx is None:
        n_true = int(np.count_nonzero(is_true))
        n_least, n_most = sorted((n_true, len(is_true) - n_true))
    else:
        n_least, n_most = sorted(
            len(np.unique(group_idx[is_true == kind])) for kind in (True, False)
        )
    return n_least, n_most


def _sum_from(values: FloatArray) -> FloatArray:
    """Sums of each value and all after it."""
    return np.asarray(np.cumsum(values[::-1])[::-1])


def delong(baseline_scores: FloatArray, candidate_scores: FloatArray, is_true: BoolArray) -> DeLong:
    """Compare the areas of two scores of the same images (DeLong et al., Biometrics 44, 1988).

    With V the share of negatives below each positive, W that of positives above each negative (ties
    half), and D their changes from baseline to candidate, m positives and n negatives: the variance
    of the difference is var(D V) / m + var(D W) / n. V and W come from sorted scores, as in the
    fast algorithm of Sun and Xu (IEEE Signal Processing Letters 21, 2014).

    Args:
        baseline_scores: (n_images,), without NaN, as the others.
        candidate_scores: (n_images,), the same images.
        is_true: (n_images,), which images are positive.
    """
    m = int(np.count_nonzero(is_true))
    n = len(is_true) - m
    if not m or not n:
        return DeLong(baseline_auc=nan, candidate_auc=nan, standard_error=nan, p=nan)
    baseline = _count_pairs(baseline_scores[is_true], baseline_scores[~is_true])
    candidate = _count_pairs(candidate_scores[is_true], candidate_scores[~is_true])
    twice_all = 2 * m * n
    change = [after - before for before, after in zip(baseline, candidate, strict=True)]
    difference = int(change[0].sum()) / twice_all
    standard_error = _compute_error(change[0], change[1], difference)
    return DeLong(
        baseline_auc=int(baseline[0].sum()) / twice_all,
        candidate_auc=int(candidate[0].sum()) / twice_all,
        standard_error=standard_error,
        p=_compute_p(difference, standard_error),
    )


def _count_pairs(positives: FloatArray, negatives: FloatArray) -> tuple[IntArray, IntArray]:
    """Twice the pairs in right order that each positive, then each negative is in; ties once."""
    return _count_below(positives, negatives), _count_below(-negatives, -positives)


def _count_below(scores: FloatArray, others: FloatArray) -> IntArray:
    """Twice the number of others below each score, plus those equal to it, in the scores' order."""
    order, others = np.argsort(scores), np.sort(others)
    counts = np.empty(len(scores), dtype=np.int64)
    rising = scores[order]  # neighbours are found close together, which is much faster
    counts[order] = np.searchsorted(others, rising, "left") + np.searchsorted(
        others, rising, "right"
    )
    return counts


def _compute_error(by_positive: IntArray, by_negative: IntArray, difference: float) -> float:
    """The standard error, from whole numbers, so that no spread is seen exactly."""
    m, n = len(by_positive), len(by_negative)
    if min(m, n) < 2:  # noqa: PLR2004 - a variance needs two
        return nan
    if not np.ptp(by_positive) and not np.ptp(by_negative):
        return nan if difference else 0.0
    variance = np.var(by_positive / (2 * n), ddof=1) / m + np.var(by_negative / (2 * m), ddof=1) / n
    return float(np.sqrt(variance))


def _compute_p(difference: float, standard_error: float) -> float:
    if not difference and standard_error == 0:
        return 1.0
    return erfc(abs(difference) / standard_error / sqrt(2))

"""Numbers with the interval that belongs to each: by jackknife, by formula, or why it lacks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan, nan, sqrt
from typing import Final, TypeAlias

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics import Number
from mlrek.metrics.counts import LabelCounts, divide
from mlrek.metrics.intervals import (
    CONFIDENCE,
    LOGIT,
    MIN_DEGREES,
    Form,
    Jackknife,
    LeftOut,
    Scale,
    Statistic,
    Tails,
    compute_interval,
    compute_statistic,
    compute_wilson,
    explain_few,
    find_form,
    jackknife,
    leave_out_units,
    may_lack_labels,
)
from mlrek.metrics.left_out import CountsLeftOut, Units
from mlrek.metrics.shares import widen_mean

AT_BOUND: Final = (
    "a perfect or wholly wrong score: the other end of the interval goes with Wilson's bound on "
    "the share of {what} with any error (or with anything right)"
)
UNDEFINED_WITHOUT_ONE: Final = "no interval: without one of the {what} the number is undefined"
NO_SPREAD: Final = (
    "no interval: no single one of the {what} changes the value, which shows too few, not certainty"
)

CountStatistic: TypeAlias = Callable[[LabelCounts], Mapping[str, FloatArray]]
"""Label counts (..., n_labels) -> values by name, (...) each."""

MIN_OF_LABEL: Final = 5
"""Images (or groups) of each label with which a mean of their Wilson intervals holds."""

MISSED_BIAS: Final = 2.0
"""How often the bias of the highest precisions is what parts that are left out find of it."""

_BORROWED: Final = 2.0
_PARTS: Final = 20
_DEALINGS: Final = 5
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the error of a number, besides what units that are left out tell of it.

    It has at most `max_degrees` of freedom, where few of the units tell it. Its `variance` by a
    formula, NaN without one, counts as much as two units more.
    """

    max_degrees: float = inf
    variance: float = nan

    def apply(self, estimate: Jackknife) -> Jackknife:
        """The estimate with both; an error of 0 stays, as it tells that nothing was seen."""
        degrees = min(estimate.degrees, self.max_degrees)
        error = estimate.standard_error
        if isnan(self.variance) or not error > _ROUNDING:
            return replace(estimate, degrees=degrees)
        known = degrees + _BORROWED
        pooled = (degrees * error**2 + _BORROWED * self.variance) / known
        return replace(estimate, standard_error=sqrt(pooled), degrees=known)


NOTHING_KNOWN: Final = Known()


def estimate_number(
    name: str,
    value: float,
    left_out: LeftOut,
    units: Units,
    *,
    n_bound: int = 0,
    known: Known = NOTHING_KNOWN,
) -> Number:
    """A number with its jackknife interval; at a bound of its scale with Wilson's.

    Args:
        name: Its short name, which tells its form (`find_form`).
        value: Not NaN.
        left_out: The number without each unit.
        units: What they are, and the confidence.
        n_bound: How many of them count at a bound, where these are not all.
        known: What is known of its error besides.
    """
    form, estimate = find_form(name), known.apply(jackknife(value, left_out))
    if (ends := bound(form, value, n_bound or units.n_units, units.confidence)) is not None:
        low, high = ends
        return Number(value=value, low=low, high=high, reason=AT_BOUND.format(what=units.what))
    if estimate.n_units <= MIN_DEGREES:
        reason = (
            f"no interval: of {estimate.n_units} {units.what}, and {MIN_DEGREES + 1:.0f} are needed"
        )
        return Number(value=value, reason=reason)
    if isnan(estimate.standard_error):
        return Number(value=value, reason=UNDEFINED_WITHOUT_ONE.format(what=units.what))
    if estimate.standard_error <= _ROUNDING:
        return Number(value=value, reason=NO_SPREAD.format(what=units.what))
    low, high = compute_interval(estimate, form.scale, units.confidence, form.tails)
    reason = NO_SPREAD.format(what=units.what) if isnan(low) else ""
    return Number(value=value, low=low, high=high, reason=reason)


def estimate_counted(
    compute: CountStatistic,
    left_out: CountsLeftOut,
    units: Units,
    undefined: Mapping[str, str],
) -> dict[str, Number]:
    """All numbers of a statistic of label counts, with intervals.

    Args:
        compute: The statistic.
        left_out: The counts of all units, and without each.
        units: What the counts are of, and the confidence.
        undefined: Why a number that is NaN is undefined.
    """
    numbers = _list_values(compute(left_out.whole), undefined, units.lacking)
    if units.lacking:
        return numbers
    without = left_out.compute(compute)
    for name, number in numbers.items():
        few = explain_few(name, left_out.count_units(name), units.n_units, units.what)
        if number.is_defined and few:
            numbers[name] = Number(value=number.value, reason=few)
        elif number.is_defined:
            numbers[name] = estimate_number(name, number.value, without[name], units)
    return numbers


def widen_means(
    numbers: Mapping[str, Number], left_out: CountsLeftOut, units: Units
) -> dict[str, Number]:
    """The means of shares over labels with intervals that hold MOVER's, where they may have one.

    The jackknife needs enough images of the rarest labels, MOVER five of each.
    """
    if units.lacking:
        return {}
    counts = left_out.whole
    n_true, n_any = int(np.count_nonzero(counts.support)), int(np.count_nonzero(counts.occurs))
    widened = {}
    for name, n, n_labels in (
        ("balanced_accuracy", "support", n_true),
        ("recall_macro", "support", n_any),
        ("precision_macro", "predicted", n_any),
    ):
        own = left_out.count_units(name)
        are_enough = (own[own > 0] >= MIN_OF_LABEL).all() and not may_lack_labels(name, own)
        if name in numbers and n_labels and (are_enough or not isnan(numbers[name].low)):
            shares = left_out.find_shares("tp", n)
            widened[name] = widen_mean(numbers[name], shares, n_labels, units.confidence)
    return widened


def estimate_statistic(
    statistic: Statistic, units: Units, undefined: Mapping[str, str]
) -> dict[str, Number]:
    """All numbers of a statistic of image weights, with intervals; units in its order of images."""
    values = compute_statistic(statistic, len(units.unit_idx))
    numbers = _list_values(values, undefined, units.lacking)
    if units.lacking:
        return numbers
    dealt = units.deal()
    without = leave_out_units(statistic, dealt.unit_idx, dealt.n_units)
    for name, number in numbers.items():
        if number.is_defined:
            numbers[name] = estimate_number(name, number.value, without[name], units)
    return numbers


def estimate_interpolated(
    statistic: Statistic, units: Units, undefined: Mapping[str, str]
) -> dict[str, Number]:
    """All numbers of interpolated precision-recall curves, with intervals.

    What single units change tells little of them: the highest precision at a recall or beyond
    jumps. So twentieths of the units are left out, in five dealings that are averaged (delete-d
    jackknife, Shao & Wu, Annals of Statistics 17, 1989). The highest of precisions is too high by
    chance, which falls slower than 1 / n, so the jackknife finds a part of it; twice what it finds
    is taken off the lower end, nothing off the upper one (see `tests/proof/README.md`).
    """
    values = compute_statistic(statistic, len(units.unit_idx))
    numbers = _list_values(values, undefined, units.lacking)
    if units.lacking:
        return numbers
    dealings = [
        leave_out_units(statistic, dealt[units.unit_idx], n_parts)
        for dealt, n_parts in deal_parts(units.n_units)
    ]
    for name, number in numbers.items():
        if number.is_defined:
            without = [left_out[name] for left_out in dealings]
            numbers[name] = _estimate_dealt(name, number.value, without, units)
    return numbers


def deal_parts(n_units: int) -> Iterator[tuple[IntArray, int]]:
    """The part of each unit, (n_units,), and how many parts there are, in each dealing."""
    n_parts = max(min(_PARTS, n_units), 1)
    for seed in range(_DEALINGS):
        yield np.random.default_rng(seed).permutation(n_units) % n_parts, n_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """A number from what it is without parts of its `n_units` units, over several dealings.

    `bias` and `standard_error` are NaN where it is undefined without some part.
    """

    value: float
    bias: float
    standard_error: float
    n_parts: int
    n_units: int

    @classmethod
    def of(cls, value: float, without: Sequence[LeftOut], n_units: int) -> "Dealt":
        """From the number without each part, in each dealing."""
        found = [jackknife(value, left_out) for left_out in without]
        return cls(
            value=value,
            bias=float(np.mean([one.bias for one in found])),
            standard_error=sqrt(float(np.mean([one.standard_error**2 for one in found]))),
            n_parts=found[0].n_units,
            n_units=n_units,
        )

    @property
    def is_at_bound(self) -> bool:
        """Whether it is 0 or 1."""
        return bound(LOGIT, self.value, self.n_units, CONFIDENCE) is not None

    def find_ends(self, confidence: float, times_bias: float = 0.0) -> tuple[float, float]:
        """Its interval with so much of the bias taken off; at a bound Wilson's.

        NaN where no part moves it, or it is undefined without one.
        """
        if (ends := bound(LOGIT, self.value, self.n_units, confidence)) is not None:
            return ends
        if not self.standard_error > _ROUNDING or self.n_units <= MIN_DEGREES:
            return nan, nan
        estimate = Jackknife(
            value=self.value,
            bias=times_bias * self.bias,
            standard_error=self.standard_error,
            n_units=self.n_parts,
            degrees=float(self.n_parts - 1),
        )
        return compute_interval(estimate, Scale.LOGIT, confidence, Tails.BOTH)


def _estimate_dealt(name: str, value: float, without: Sequence[LeftOut], units: Units) -> Number:
    """A number from what it is without parts of its units, in several dealings."""
    plain = estimate_number(name, value, without[0], units)
    if isnan(plain.low) or plain.reason:
        return plain
    dealt = Dealt.of(value, without, units.n_units)
    ends = [dealt.find_ends(units.confidence, times) for times in (0.0, MISSED_BIAS)]
    return replace(plain, low=min(ends[0][0], ends[1][0]), high=max(ends[0][1], ends[1][1]))


def leave_out_of_mean(values: FloatArray, units: Units) -> LeftOut:
    """The mean of values of images, (n_images,), without each unit."""
    n = np.bincount(units.unit_idx, minlength=units.n_units)
    sums = np.bincount(units.unit_idx, weights=values, minlength=units.n_units)
    return LeftOut(
        values=divide(values.sum() - sums, len(values) - n), times=np.ones(len(n), dtype=np.int64)
    )


def bound(form: Form, value: float, n_units: int, confidence: float) -> tuple[float, float] | None:
    """The interval of a number at a bound of its scale, None where it is not."""
    lowest = {Scale.LOGIT: 0.0, Scale.FISHER: -1.0}.get(form.scale, nan)
    is_perfect, is_wrong = value >= 1 - _ROUNDING, value <= lowest + _ROUNDING
    if isnan(lowest) or not (is_perfect or is_wrong):
        return None
    wrong = float(compute_wilson(np.array([0]), np.array([n_units]), confidence)[1][0])
    far = max(form.at_share(wrong), lowest)
    return (far, value) if is_perfect else (value, lowest + 1 - far)


def _list_values(
    values: Mapping[str, FloatArray], undefined: Mapping[str, str], lacking: str
) -> dict[str, Number]:
    return {
        name: Number(
            value=nan if np.isnan(value) else float(value),
            reason=undefined.get(name, "") if np.isnan(value) else lacking,
        )
        for name, value in values.items()
    }

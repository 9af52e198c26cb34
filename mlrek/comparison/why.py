"""Why a number moved: the parts of the change of macro-F1, which add up to the whole.

The part of the test set is what the baseline's number becomes on the images that both versions were
tested on, and what the candidate's is on its own images beyond that. On the shared images the label
set, the truth, the model and the thresholds change: each gets what it adds on average over all
orders in which they may (`mlrek.comparison.shapley`). What the provider's own figure has beyond
that is unexplained. Each part has an interval, from what it is without each unit of images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import isnan, nan, sqrt
from types import MappingProxyType
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.comparison import TestSets, Verdict, Why
from mlrek.comparison.causes import (
    Cause,
    CauseBasis,
    Shared,
    State,
    base_on_predictions,
    base_on_thresholds,
)
from mlrek.comparison.exams import Measured
from mlrek.comparison.left_out import MIN_GROUPS
from mlrek.comparison.rows import CountSums
from mlrek.comparison.shapley import share_out
from mlrek.comparison.units import PairUnits
from mlrek.evaluation import BoolArray, FloatArray, IntArray, Task
from mlrek.metrics import Metrics
from mlrek.metrics.counts import LabelCounts, compute_averages, divide
from mlrek.metrics.jackknife import compute_student
from mlrek.metrics.resampling import CONFIDENCE

NO_THRESHOLDS: Final = "no number at assumed thresholds: their part is not told apart"
OWN: Final = "aggregate/f1_macro"
AT_THRESHOLD: Final = "at_threshold/f1_macro"
REPORTED: Final = "reported/f1"

MIN_SHARED: Final = 30
"""Shared images below which the parts are not separable."""

MIN_SHARE: Final = 0.1
"""Of the larger test set, below which they are not either."""

MAX_UNITS: Final = 400
_MAX_CELLS: Final = 2**22
_MIN_UNITS: Final = 100
_MIN_DEGREES: Final = 3.0
_ROUNDING: Final = 1e-12
_NO_INTERVALS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({})
_TEST_SET: Final = "test_set"
_SEEN_IN_IMAGES: Final = frozenset({Cause.RELABELLED, Cause.MODEL, Cause.THRESHOLD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What a comparison knows of both versions.

    `whole` are they on their whole test sets, `shared` on all images that these share; `places`
    (n_shared,) are those of the shared images in the baseline's test set. `units` are those of
    whole test sets, the shared ones first. `grouped`: units are objects that several images show.
    """

    whole: tuple[Measured, Measured]
    shared: Shared
    places: IntArray
    units: PairUnits
    grouped: bool
    intervals: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one basis, with `total`, their sum."""

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    note: str

    @property
    def total(self) -> float:
        """What they add up to."""
        return sum(value for value in self.values.values() if not isnan(value))


def explain(
    whole: tuple[Measured, Measured], sets: TestSets, prepare: Callable[[], Pair]
) -> dict[str, Why]:
    """The parts of the change of macro-F1, of that at the thresholds, and of the provider's F1.

    Args:
        whole: Both versions on their whole test sets.
        sets: What these have in common.
        prepare: Makes what the parts are computed from, where they can be told apart.
    """
    ends = _find_ends(whole)
    if not ends:
        return {}
    if reason := _say_inseparable(sets):
        return {name: _leave_open(end - start, reason) for name, (start, end) in ends.items()}
    pair = prepare()
    own = split(pair, base_on_predictions(pair.whole, pair.shared))
    at_threshold = own
    if AT_THRESHOLD in ends and (basis := base_on_thresholds(pair.whole, pair.shared)):
        at_threshold = split(pair, basis)
    found = {}
    for name, (start, end) in ends.items():
        lacking = NO_THRESHOLDS if name == REPORTED and AT_THRESHOLD not in ends else ""
        parts = own if name == OWN else at_threshold
        found[name] = _finish(parts, end - start, lacking)
    return found


def _find_ends(whole: tuple[Measured, Measured]) -> dict[str, tuple[float, float]]:
    """Both versions' values of each number that is explained."""
    task, n_labels = whole[0].metrics.task, whole[0].measure.labels.n_labels
    own = [_score_rows(version, n_labels) for version in whole]
    if any(map(isnan, own)):
        return {}
    values = {
        AT_THRESHOLD: [_find(version.metrics, AT_THRESHOLD) for version in whole],
        REPORTED: [version.evaluation.reported.aggregate.get("f1", nan) for version in whole],
    }
    if task in (Task.CLASSIFICATION, Task.MULTILABEL):
        values = {OWN: own, **values}
    return {name: (pair[0], pair[1]) for name, pair in values.items() if not any(map(isnan, pair))}


def _say_inseparable(sets: TestSets) -> str:
    """Why the parts cannot be told apart, '' where they can."""
    if sets.verdict is Verdict.DISJOINT:
        return "not separable: the test sets have no image in common"
    larger = sets.shared + max(sets.only_baseline, sets.only_candidate)
    said = f"not separable: {sets.shared:,} images are shared"
    if sets.shared < MIN_SHARED:
        return f"{said}, and fewer than {MIN_SHARED} tell nothing"
    if sets.shared < MIN_SHARE * larger:
        return f"{said}, fewer than a tenth of the {larger:,} of the larger test set"
    return ""


def _leave_open(total: float, note: str) -> Why:
    parts = dict.fromkeys((*Cause, _TEST_SET, "unexplained"), nan)
    return Why(total=total, note=note, intervals=_NO_INTERVALS, **parts)


def _finish(parts: Parts, total: float, lacking: str) -> Why:
    """The parts of the change of a number; what they leave of it is unexplained."""
    rest = total - parts.total
    unexplained = 0.0 if abs(rest) <= _ROUNDING else rest
    note = "; ".join(filter(None, (parts.note, lacking)))
    return Why(
        total=total, unexplained=unexplained, note=note, intervals=parts.intervals, **parts.values
    )


def split(pair: Pair, basis: CauseBasis) -> Parts:
    """The parts of the change of macro-F1 of one basis."""
    units = pair.units.deal(_most_units(pair.shared.n_labels))
    n_units = units.total if pair.intervals else 0
    known = [_know(version, pair.shared.n_labels) for version in pair.whole]
    unit_idx = units.baseline[pair.places]

    @cache
    def score_counts(state: State) -> _Scores:
        return _Scores.of(basis.count(state), unit_idx, n_units)

    def measure(state: State) -> FloatArray:
        counted = score_counts(state - {Cause.LABEL_SET})
        return counted.average(known[Cause.LABEL_SET in state])

    whole = [
        _Scores.of(sums, idx, n_units).average(mask)
        for sums, idx, mask in zip(basis.whole, units.of_versions, known, strict=True)
    ]
    shares = share_out(basis.causes, measure, basis.before)
    start, end = measure(frozenset()), measure(frozenset(basis.causes))
    columns = {
        **{cause.value: np.zeros(1 + n_units) for cause in Cause},
        **{cause.value: column for cause, column in shares.items()},
        _TEST_SET: (start - whole[0]) + (whole[1] - end),
    }
    if not basis.has_threshold:
        columns[Cause.THRESHOLD] = np.full(1 + n_units, nan)
    return Parts(
        values={name: _round_off(float(column[0])) for name, column in columns.items()},
        intervals=_find_intervals(pair, basis, columns, units.sizes)
        if pair.intervals
        else _NO_INTERVALS,
        note=basis.note,
    )


@dataclass(frozen=True, slots=True)
class _Scores:
    """F1 of each label and whether it occurs, of all units and without each, (1 + n, n_labels)."""

    f1: FloatArray
    occurs: BoolArray

    @classmethod
    def of(cls, sums: CountSums, unit_idx: IntArray, n_units: int) -> "_Scores":
        """Add up the images of each unit; an image of unit -1 is left out."""
        kept = np.flatnonzero(unit_idx >= 0)
        columns = np.zeros(len(kept), dtype=np.int64)
        rows = np.concatenate([kept, kept]) if n_units else kept
        places = np.concatenate([columns, 1 + unit_idx[kept]]) if n_units else columns
        members = sp.csr_array(
            (np.ones(len(rows)), (rows, places)), shape=(len(unit_idx), 1 + n_units)
        )
        counted = np.asarray((sums.rows @ members).todense()).T.reshape(1 + n_units, 3, -1)
        counted[1:] = counted[0] - counted[1:]
        counts = LabelCounts(tp=counted[:, 0], predicted=counted[:, 1], support=counted[:, 2])
        f1 = divide(2 * counts.tp, counts.support + counts.predicted, empty=0.0)
        return cls(f1, counts.occurs)

    def average(self, known: BoolArray) -> FloatArray:
        """Macro-F1 over the labels of `known` (n_labels,) that occur, (1 + n,)."""
        n = (self.occurs & known).sum(axis=1)
        return divide((self.f1 * known).sum(axis=1), n)


def _find_intervals(
    pair: Pair, basis: CauseBasis, columns: Mapping[str, FloatArray], sizes: tuple[int, ...]
) -> dict[str, tuple[float, float]]:
    """The interval of each part; NaN where the part is not known, or there are too few units.

    One image more that the versions do not judge alike is imagined of each cause that is at work: a
    test set that happens to hold none does not show that there are none.
    """
    if pair.grouped and pair.units.total < MIN_GROUPS:
        return dict.fromkeys(columns, (nan, nan))
    at_work = _SEEN_IN_IMAGES & set(basis.causes)
    imagined = 1 / len(pair.places)
    return {
        name: _find_interval(column, sizes, imagined if name in at_work else 0.0)
        for name, column in columns.items()
    }


def _find_interval(
    column: FloatArray, sizes: tuple[int, ...], imagined: float
) -> tuple[float, float]:
    """From the part, and what it is without each unit: strata of units are drawn independently.

    `imagined` is how far an image that is not there would have moved the part.
    """
    value, without = float(column[0]), column[1:]
    if np.isnan(column).any():
        return nan, nan
    moves = []
    for n, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True):
        stratum = without[end - n : end]
        if n > 1:
            moves.append((stratum.mean() - stratum) * sqrt((n - 1) / n))
    moved = np.concatenate(moves)
    moved[np.abs(moved) <= _ROUNDING] = 0.0
    error = sqrt(float(np.square(moved).sum()) + imagined**2)
    reach = compute_student(CONFIDENCE, _count_degrees(moved)) * error
    return value - reach, value + reach


def _count_degrees(moved: FloatArray) -> float:
    """Of the error that so many units make: few where few of them make it (Satterthwaite)."""
    n, squares = len(moved), float(np.square(moved).sum())
    excess = n * float(np.square(np.square(moved)).sum()) - squares * squares
    most = float(max(n - 1, 1))
    if excess <= 0:
        return most
    return float(min(max(2 * n * squares * squares / excess, _MIN_DEGREES), most))


def _most_units(n_labels: int) -> int:
    return max(_MIN_UNITS, min(MAX_UNITS, _MAX_CELLS // (3 * max(n_labels, 1))))


def _know(version: Measured, n_labels: int) -> BoolArray:
    """Which labels are the version's own, (n_labels,)."""
    known = np.zeros(n_labels, dtype=np.bool_)
    known[version.codes] = True
    return known


def _round_off(value: float) -> float:
    """A part that nothing but rounding made is none."""
    return 0.0 if abs(value) <= _ROUNDING else value


def _score_rows(version: Measured, n_labels: int) -> float:
    """Macro-F1 of the version's predictions on its own test set and over its own labels."""
    return float(compute_averages(version.rows.count(n_labels))["f1_macro"])


def _find(metrics: Metrics, name: str) -> float:
    number = metrics.at_threshold.get(name.rpartition("/")[2])
    return nan if number is None else number.value

"""Why a number moved: the parts of the change of macro-F1, which add up to the whole.

The part of the test set is what the baseline's number becomes on the images that both versions were
tested on, and what the candidate's is on its own images beyond that. On the shared images the label
set, the truth, the model and the thresholds change: each gets what it adds on average over all
orders in which they may (`mlrek.comparison.why`). What the provider's own figure has beyond
that is unexplained. Each part has an interval, from what it is without each unit of images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import pairwise, permutations
from math import isnan, nan, sqrt
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
import scipy.sparse as sp

from mlrek.comparison import TestSets, Verdict, Why
from mlrek.comparison.left_out import MIN_GROUPS
from mlrek.comparison.measured import Measured, find_rows, sum_at_threshold
from mlrek.comparison.pairing import PairUnits, with_truth_of
from mlrek.comparison.rows import NO_LABEL, CountSums, Rows, sum_rows, translate_predictions
from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, Task
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.counts import LabelCounts, compute_averages, divide, pair_records
from mlrek.metrics.decisions import predict
from mlrek.metrics.intervals import CONFIDENCE, compute_student


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


CauseT = TypeVar("CauseT")

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


def explain_change(
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
    from mlrek.metrics.detection import match_predictions  # no other task needs it

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


def share_out(
    causes: Sequence[CauseT],
    measure: Callable[[frozenset[CauseT]], FloatArray],
    before: Sequence[tuple[CauseT, CauseT]] = (),
) -> dict[CauseT, FloatArray]:
    """The part of each cause.

    Args:
        causes: All there are.
        measure: The number where these causes have already come, (n,).
        before: Pairs of which the first always comes before the second.
    """
    measure = cache(measure)
    parts: dict[CauseT, FloatArray] = {
        cause: np.zeros_like(measure(frozenset())) for cause in causes
    }
    orders = [
        order
        for order in permutations(causes)
        if all(order.index(one) < order.index(other) for one, other in before)
    ]
    for order in orders:
        states = [frozenset(order[:i]) for i in range(len(order) + 1)]
        for cause, (was, now) in zip(order, pairwise(states), strict=True):
            parts[cause] += (measure(now) - measure(was)) / len(orders)
    return parts

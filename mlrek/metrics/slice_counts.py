"""Headline numbers of many slices at once, where each image has one label.

They are what `compute_count_numbers` gives on the images of each slice, by the same methods. An
image that is left out touches its true and its predicted label alone, so that no table of images
times labels is made, however many labels there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics import Number
from mlrek.metrics.counts import UNDEFINED_REASONS, LabelCounts, compute_mcc, divide
from mlrek.metrics.estimates import AT_BOUND, MIN_OF_LABEL, NO_SPREAD, UNDEFINED_WITHOUT_ONE
from mlrek.metrics.intervals import (
    MAX_SINGLES,
    MIN_DEGREES,
    Scale,
    compute_wilson,
    explain_few,
    find_form,
)

Codes = NDArray[np.int64]

_ROUNDING: Final = 1e-12
_LEAST_DEGREES: Final = 3.0
_SPARSE: Final = 4  # cells for each image, with more of which sorting is faster than counting
_WHAT: Final = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCells:
    """What the images of each slice are.

    `tp` (n_slices, n_labels) counts right images; `support` and `predicted` (n_slices,
    n_labels + 1) those with each label, the last one being no prediction. Wrong images that are
    alike are one of `n_kinds`, which stand by slice: `slice_idx`, `true_cell` and `pred_cell`
    (n_kinds,) are the slice and places in the flat tables, `times` how many they are.
    """

    tp: Codes
    support: Codes
    predicted: Codes
    slice_idx: Codes
    true_cell: Codes
    pred_cell: Codes
    times: Codes

    @property
    def n_images(self) -> Codes:
        """Images of each slice, (n_slices,)."""
        return np.asarray(self.support.sum(axis=1), dtype=np.int64)

    @property
    def own_support(self) -> Codes:
        """The support of labels alone, (n_slices, n_labels)."""
        return self.support[:, :-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LeftOut:
    """A number without one right image of each label, (n_slices, n_labels), or one wrong image.

    `right` means nothing where no image is right; `wrong` is (n_kinds,).
    """

    right: FloatArray
    wrong: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """What the jackknife tells of a number of each slice, (n_slices,) each."""

    bias: FloatArray
    standard_error: FloatArray
    degrees: FloatArray


class CellCounter:
    """Counts the images of slices by true and predicted label."""

    def __init__(self, y_true: IntArray, y_pred: IntArray, n_labels: int) -> None:
        """Labels of each image, (n_images,) both, -1 for no prediction or no truth."""
        self._n_labels, self._width = n_labels, n_labels + 1
        self._true = np.where(y_true < 0, n_labels, y_true).astype(np.int64)
        self._wrong = np.flatnonzero(y_true != y_pred)
        self._wrong_true = self._true[self._wrong]
        self._wrong_pred = np.where(y_pred < 0, n_labels, y_pred)[self._wrong].astype(np.int64)
        self._codes = np.empty(len(y_true), dtype=np.int64)

    def take(self, image_idx: IntArray) -> "CellCounter":
        """That of some images, in their order."""
        pred = self._true.copy()
        pred[self._wrong] = self._wrong_pred
        taken = [
            np.where(codes == self._n_labels, -1, codes)[image_idx] for codes in (self._true, pred)
        ]
        return CellCounter(taken[0], taken[1], self._n_labels)

    def count(self, codes: Codes, n_slices: int) -> SliceCells:
        """Of each slice; `codes` (n_images,) is that of each image, `n_slices` for none."""
        size, width = n_slices * self._width, self._width
        np.multiply(codes, width, out=self._codes)
        self._codes += self._true
        support = np.bincount(self._codes, minlength=size)[:size].reshape(n_slices, width)
        of_wrong = codes[self._wrong]
        kept = np.flatnonzero(of_wrong < n_slices)
        cells = of_wrong[kept] * width + self._wrong_true[kept]
        cells = cells * width + self._wrong_pred[kept]
        found, times = _count_distinct(cells, size * width)
        true_cell, pred = np.divmod(found, width)
        slice_idx = true_cell // width
        pred_cell = slice_idx * width + pred
        tp = support - _add_up(true_cell, times, support.shape)
        return SliceCells(
            tp=tp[:, :-1],
            support=support,
            predicted=tp + _add_up(pred_cell, times, support.shape),
            slice_idx=slice_idx,
            true_cell=true_cell,
            pred_cell=pred_cell,
            times=times,
        )


def join_cells(parts: Sequence[SliceCells]) -> SliceCells:
    """All slices of several counts, one after the other; of at least one."""
    starts = np.cumsum([0, *(len(part.support) for part in parts)])[:-1].tolist()
    width = parts[0].support.shape[1]

    def join(name: str, step: int) -> Codes:
        columns = zip(parts, starts, strict=True)
        return np.concatenate([getattr(part, name) + start * step for part, start in columns])

    return SliceCells(
        tp=join("tp", 0),
        support=join("support", 0),
        predicted=join("predicted", 0),
        slice_idx=join("slice_idx", 1),
        true_cell=join("true_cell", width),
        pred_cell=join("pred_cell", width),
        times=join("times", 0),
    )


def compute_cell_numbers(cells: SliceCells, confidence: float) -> list[dict[str, Number]]:
    """`accuracy`, `f1_macro`, `balanced_accuracy` and `mcc` of each slice, with intervals."""
    values, without = _compute_values(cells), _leave_out(cells)
    columns = {"accuracy": _share_right(cells, confidence)}
    for name in ("f1_macro", "balanced_accuracy", "mcc"):
        spread = _jackknife(cells, values[name], without[name])
        columns[name] = _estimate(name, values[name], spread, cells, confidence)
    columns["balanced_accuracy"] = _widen(columns["balanced_accuracy"], cells, confidence)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _count_distinct(cells: Codes, size: int) -> tuple[Codes, Codes]:
    """The distinct cells, rising, and how often each is there."""
    if size > _SPARSE * max(len(cells), 1):
        return np.unique(cells, return_counts=True)
    counts = np.bincount(cells, minlength=size)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _add_up(cells: Codes, times: Codes, shape: tuple[int, ...]) -> Codes:
    size = shape[0] * shape[1]
    sums = np.bincount(cells, weights=times, minlength=size)
    return sums.astype(np.int64).reshape(shape)


def _compute_values(cells: SliceCells) -> dict[str, FloatArray]:
    """The three numbers without a formula for their interval, (n_slices,) each."""
    tp, support, predicted = cells.tp, cells.own_support, cells.predicted[:, :-1]
    f1 = divide(2 * tp, support + predicted, empty=0.0)
    recall = divide(tp, support, empty=0.0)
    return {
        "f1_macro": divide(f1.sum(axis=1), ((support + predicted) > 0).sum(axis=1)),
        "balanced_accuracy": divide(recall.sum(axis=1), (support > 0).sum(axis=1)),
        "mcc": compute_mcc(LabelCounts(tp=tp, predicted=predicted, support=support)),
    }


def _leave_out(cells: SliceCells) -> dict[str, _LeftOut]:
    """The same without each image. One that is wrong is taken off two labels, a right one off one.

    Of no prediction all counts that the mean over labels needs are 0.
    """
    tp = np.pad(cells.tp, ((0, 0), (0, 1)))
    both = cells.support + cells.predicted
    both[:, -1] = 0
    f1 = _leave_out_of_mean(cells, (2 * tp, both), (2, 2), touches_predicted=True)
    recall = _leave_out_of_mean(cells, (tp, cells.support), (1, 1), touches_predicted=False)
    return {"f1_macro": f1, "balanced_accuracy": recall, "mcc": _leave_out_of_mcc(cells)}


def _leave_out_of_mean(
    cells: SliceCells,
    fraction: tuple[Codes, Codes],
    taken_by_right: tuple[int, int],
    *,
    touches_predicted: bool,
) -> _LeftOut:
    """The mean over labels of a fraction, of those whose denominator is above 0.

    A right image takes `taken_by_right` off numerator and denominator, a wrong one 1 off the
    denominator of its true label, and of its predicted one where that is in the fraction.
    """
    above, below = fraction
    scores = above / np.maximum(below, 1)
    total, n_labels = scores.sum(axis=1), (below > 0).sum(axis=1)
    left = below - taken_by_right[1]
    change = (above - taken_by_right[0]) / np.maximum(left, 1) - scores
    n_left = np.maximum(n_labels[:, np.newaxis] - (left == 0), 1)
    right = (total[:, np.newaxis] + change) / n_left
    change, is_last = above / np.maximum(below - 1, 1) - scores, below == 1
    wrong = total[cells.slice_idx] + change.ravel()[cells.true_cell]
    n_wrong = n_labels[cells.slice_idx] - is_last.ravel()[cells.true_cell]
    if touches_predicted:
        wrong += change.ravel()[cells.pred_cell]
        n_wrong -= is_last.ravel()[cells.pred_cell]
    return _LeftOut(right=right[:, :-1], wrong=divide(wrong, n_wrong))


def _leave_out_of_mcc(cells: SliceCells) -> _LeftOut:
    """From the sums of `compute_mcc`, of which an image changes those of its two labels."""
    support, predicted, s = cells.support, cells.predicted, cells.slice_idx
    n_left, n_right = cells.n_images - 1, cells.tp.sum(axis=1)
    expected = (support * predicted).sum(axis=1)
    spread_pred = n_left**2 - (predicted**2).sum(axis=1)
    spread_true = n_left**2 - (support**2).sum(axis=1)
    gain_pred, gain_true = 2 * predicted - 1, 2 * support - 1
    right = _correlate(
        ((n_right - 1) * n_left - expected - 1)[:, np.newaxis] + support + predicted,
        spread_pred[:, np.newaxis] + gain_pred,
        spread_true[:, np.newaxis] + gain_true,
    )
    t, p = cells.true_cell, cells.pred_cell
    wrong = _correlate(
        (n_right * n_left - expected)[s] + predicted.ravel()[t] + support.ravel()[p],
        spread_pred[s] + gain_pred.ravel()[p],
        spread_true[s] + gain_true.ravel()[t],
    )
    return _LeftOut(right=right[:, :-1], wrong=wrong)


def _correlate(covariance: Codes, spread_pred: Codes, spread_true: Codes) -> FloatArray:
    product = np.maximum(spread_pred.astype(np.float64) * spread_true, 0.0)
    return divide(covariance, np.sqrt(product))


def _jackknife(cells: SliceCells, values: FloatArray, left_out: _LeftOut) -> _Spread:
    """As `jackknife` for each slice."""
    s, n = cells.slice_idx, cells.n_images
    has_right = cells.tp > 0
    starts = np.flatnonzero(np.diff(s, prepend=-1))

    def add_up(right: FloatArray, wrong: FloatArray) -> FloatArray:
        sums = np.asarray((cells.tp * np.where(has_right, right, 0.0)).sum(axis=1))
        if len(starts):
            sums[s[starts]] += np.add.reduceat(cells.times * wrong, starts)
        return sums

    moves = left_out.right - values[:, np.newaxis], left_out.wrong - values[s]
    mean = divide(add_up(*moves), n)
    squares = [np.square(moves[0] - mean[:, np.newaxis]), np.square(moves[1] - mean[s])]
    spread = add_up(squares[0], squares[1])
    fourths = add_up(np.square(squares[0]), np.square(squares[1]))
    excess = np.maximum(n * fourths - np.square(spread), 0.0)
    degrees = divide(2 * n * np.square(spread), excess, empty=np.inf)
    return _Spread(
        bias=(n - 1) * mean,
        standard_error=np.sqrt(spread * divide(n - 1, n)),
        degrees=np.clip(degrees, np.minimum(_LEAST_DEGREES, n - 1), n - 1),
    )


def _estimate(
    name: str, values: FloatArray, spread: _Spread, cells: SliceCells, confidence: float
) -> list[Number]:
    """As `estimate_counted` for each slice."""
    n, form = cells.n_images, find_form(name)
    lowest = -1.0 if form.scale is Scale.FISHER else 0.0
    low, high = _find_ends(values, spread, n, form.scale, confidence)
    wrong = compute_wilson(np.zeros(len(n), dtype=np.int64), n, confidence)[1].tolist()
    few = _explain_few(name, cells)
    columns = (values, low, high, spread.standard_error, n)
    numbers = []
    for value, below, above, error, size, share, why in zip(
        *(column.tolist() for column in columns), wrong, few, strict=True
    ):
        far = max(form.at_share(share), lowest)
        if np.isnan(value):
            numbers.append(Number(value=value, reason=UNDEFINED_REASONS.get(name, "")))
        elif why:
            numbers.append(Number(value=value, reason=why))
        elif value >= 1 - _ROUNDING:
            reason = AT_BOUND.format(what=_WHAT)
            numbers.append(Number(value=value, low=far, high=value, reason=reason))
        elif value <= lowest + _ROUNDING:
            reason = AT_BOUND.format(what=_WHAT)
            numbers.append(Number(value=value, low=value, high=lowest + 1 - far, reason=reason))
        elif size <= MIN_DEGREES:
            needed = f"{MIN_DEGREES + 1:.0f} are needed"
            reason = f"no interval: of {size} {_WHAT}, and {needed}"
            numbers.append(Number(value=value, reason=reason))
        elif np.isnan(error):
            reason = UNDEFINED_WITHOUT_ONE.format(what=_WHAT)
            numbers.append(Number(value=value, reason=reason))
        elif error <= _ROUNDING or np.isnan(below):
            numbers.append(Number(value=value, reason=NO_SPREAD.format(what=_WHAT)))
        else:
            numbers.append(Number(value=value, low=below, high=above))
    return numbers


def _find_ends(
    values: FloatArray, spread: _Spread, n: Codes, scale: Scale, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """As `compute_interval` with the tails `NEAR` for each slice; NaN at a bound."""
    from scipy.special import expit, logit, stdtrit

    is_fisher = scale is Scale.FISHER
    with np.errstate(divide="ignore", invalid="ignore"):
        room = 1 - values**2 if is_fisher else values * (1 - values)
        slope = np.where(room > _ROUNDING, 1 / room, np.nan)
        middle = (np.arctanh(values) if is_fisher else logit(values)) - spread.bias * slope
        is_high = values > (0.0 if is_fisher else 0.5)
        ends = []
        for side, has_few in ((-1, ~is_high), (1, is_high)):
            degrees = np.where(has_few, spread.degrees, n - 1)
            reach = side * stdtrit(degrees, 0.5 + confidence / 2) * spread.standard_error * slope
            ends.append(np.tanh(middle + reach) if is_fisher else expit(middle + reach))
    return np.minimum(ends[0], values), np.maximum(ends[1], values)


def _explain_few(name: str, cells: SliceCells) -> list[str]:
    """As `explain_few` for each slice, which is asked only where it has something to say."""
    support, n = cells.own_support, cells.n_images
    moves = (
        (n[:, np.newaxis] - support).astype(np.float64)
        if name == "mcc"
        else divide(np.ones(support.shape), support, empty=0.0)
    )
    variances = support * np.square(moves)
    spread = divide(np.square(variances), np.maximum(support - 1, 1)).sum(axis=1)
    degrees = divide(np.square(variances.sum(axis=1)), spread)
    are_few = np.isnan(degrees) | (degrees < MIN_DEGREES)
    if name != "mcc":
        are_few |= _may_lack(support)
    return [
        explain_few(name, row, size) if few else ""
        for row, size, few in zip(support, n.tolist(), are_few.tolist(), strict=True)
    ]


def _may_lack(support: IntArray) -> BoolArray:
    """As `may_lack_labels` for each slice."""
    return np.asarray((support <= 1).sum(axis=1) > MAX_SINGLES * support.shape[1])


def _share_right(cells: SliceCells, confidence: float) -> list[Number]:
    right, n = cells.tp.sum(axis=1), cells.n_images
    ends = compute_wilson(right, n, confidence)
    columns = (divide(right, n), *ends)
    return [
        Number(value=value, low=low, high=high)
        for value, low, high in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _widen(numbers: list[Number], cells: SliceCells, confidence: float) -> list[Number]:
    """As `widen_means` for each slice."""
    tp, support = cells.tp, cells.own_support
    share, ends = divide(tp, support), compute_wilson(tp, support, confidence)
    n_labels = (support > 0).sum(axis=1)
    reach = [np.sqrt(np.nansum(np.square(share - end), axis=1)) / n_labels for end in ends]
    are_enough = ((support == 0) | (support >= MIN_OF_LABEL)).all(axis=1) & ~_may_lack(support)
    widened = []
    for number, below, above, enough in zip(
        numbers, reach[0].tolist(), reach[1].tolist(), are_enough.tolist(), strict=True
    ):
        if np.isnan(number.low) and not enough:
            widened.append(number)
            continue
        low, high = number.value - below, number.value + above
        if not np.isnan(number.low):
            low, high = min(low, number.low), max(high, number.high)
        widened.append(Number(value=number.value, low=max(low, 0.0), high=min(high, 1.0)))
    return widened

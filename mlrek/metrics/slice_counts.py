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
_WHAT: Final = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceCells:
    """What the images of each slice are: `counts` (n_slices, n_labels), and kinds of images.

    All (n_kinds,): the slice, the true and the predicted label (`n_labels` for none) of images that
    are alike, and how many they are. Kinds stand by slice.
    """

    counts: LabelCounts
    slice_idx: Codes
    y_true: Codes
    y_pred: Codes
    times: Codes

    @property
    def n_images(self) -> Codes:
        """Images of each slice, (n_slices,)."""
        return np.asarray(self.counts.support.sum(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    """What the jackknife tells of a number of each slice, (n_slices,) each."""

    bias: FloatArray
    standard_error: FloatArray
    degrees: FloatArray


def count_cells(
    y_true: Codes, y_pred: Codes, codes: IntArray, n_slices: int, n_labels: int
) -> SliceCells:
    """Count the images of each slice.

    Args:
        y_true: True labels, (n,).
        y_pred: Predicted ones, (n,), -1 for none.
        codes: The slice of each, (n,); `n_slices` and more for none.
        n_slices: How many slices there are.
        n_labels: How many labels.
    """
    wrong = np.flatnonzero(y_true != y_pred)
    right = codes * n_labels + y_true
    right[wrong] = n_slices * n_labels
    size = n_slices * n_labels
    tp = np.bincount(right, minlength=size)[:size].reshape(n_slices, n_labels)
    wrong = wrong[codes[wrong] < n_slices]
    width = n_labels + 1
    cells = codes[wrong] * (n_labels * width) + y_true[wrong] * width
    cells += np.where(y_pred[wrong] < 0, n_labels, y_pred[wrong])
    found, times = np.unique(cells, return_counts=True)
    of_slice, rest = np.divmod(found, n_labels * width)
    true, predicted = np.divmod(rest, width)
    counts = LabelCounts(
        tp=tp,
        predicted=tp + _add_up(of_slice, predicted, times, (n_slices, width))[:, :n_labels],
        support=tp + _add_up(of_slice, true, times, (n_slices, n_labels)),
    )
    right_slice, right_label = np.nonzero(tp)
    columns = (
        (right_slice, of_slice),
        (right_label, true),
        (right_label, predicted),
        (tp[right_slice, right_label], times),
    )
    joined = [np.concatenate(column) for column in columns]
    return _in_order(counts, joined)


def join_cells(parts: Sequence[SliceCells]) -> SliceCells:
    """All slices of several counts, one after the other; of at least one."""
    starts = np.cumsum([0, *(len(part.counts.support) for part in parts)])[:-1]
    return SliceCells(
        counts=LabelCounts(
            tp=np.concatenate([part.counts.tp for part in parts]),
            predicted=np.concatenate([part.counts.predicted for part in parts]),
            support=np.concatenate([part.counts.support for part in parts]),
        ),
        slice_idx=np.concatenate(
            [part.slice_idx + start for part, start in zip(parts, starts, strict=True)]
        ),
        y_true=np.concatenate([part.y_true for part in parts]),
        y_pred=np.concatenate([part.y_pred for part in parts]),
        times=np.concatenate([part.times for part in parts]),
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


def _add_up(rows: Codes, columns: Codes, times: Codes, shape: tuple[int, int]) -> Codes:
    sums = np.bincount(rows * shape[1] + columns, weights=times, minlength=shape[0] * shape[1])
    return np.rint(sums).astype(np.int64).reshape(shape)


def _in_order(counts: LabelCounts, columns: Sequence[Codes]) -> SliceCells:
    order = np.argsort(columns[0], kind="stable")
    slice_idx, y_true, y_pred, times = (column[order] for column in columns)
    return SliceCells(counts=counts, slice_idx=slice_idx, y_true=y_true, y_pred=y_pred, times=times)


def _compute_values(cells: SliceCells) -> dict[str, FloatArray]:
    """The three numbers without a formula for their interval, (n_slices,) each."""
    counts = cells.counts
    f1 = divide(2 * counts.tp, counts.support + counts.predicted, empty=0.0)
    recall = divide(counts.tp, counts.support, empty=0.0)
    return {
        "f1_macro": divide(f1.sum(axis=1), counts.occurs.sum(axis=1)),
        "balanced_accuracy": divide(recall.sum(axis=1), (counts.support > 0).sum(axis=1)),
        "mcc": compute_mcc(counts),
    }


def _leave_out(cells: SliceCells) -> dict[str, FloatArray]:
    """The same without one image of each kind, (n_kinds,) each."""
    return {
        "f1_macro": _leave_out_of_f1(cells),
        "balanced_accuracy": _leave_out_of_recall(cells),
        "mcc": _leave_out_of_mcc(cells),
    }


def _leave_out_of_f1(cells: SliceCells) -> FloatArray:
    counts, s, t = cells.counts, cells.slice_idx, cells.y_true
    n_labels = counts.support.shape[1]
    is_right, p = cells.y_true == cells.y_pred, np.minimum(cells.y_pred, n_labels - 1)
    is_other = ~is_right & (cells.y_pred < n_labels)
    twice, both = 2 * counts.tp, counts.support + counts.predicted
    f1 = divide(twice, both, empty=0.0)
    left = both[s, t] - 1 - is_right
    total = f1.sum(axis=1)[s] - f1[s, t] + divide(twice[s, t] - 2 * is_right, left, empty=0.0)
    n_occurring = counts.occurs.sum(axis=1)[s] - (left == 0)
    left = both[s, p] - 1
    total += np.where(is_other, divide(twice[s, p], left, empty=0.0) - f1[s, p], 0.0)
    return divide(total, n_occurring - (is_other & (left == 0)))


def _leave_out_of_recall(cells: SliceCells) -> FloatArray:
    counts, s, t = cells.counts, cells.slice_idx, cells.y_true
    is_right = cells.y_true == cells.y_pred
    recall = divide(counts.tp, counts.support, empty=0.0)
    left = counts.support[s, t] - 1
    own = divide(counts.tp[s, t] - is_right, left, empty=0.0)
    return divide(
        recall.sum(axis=1)[s] - recall[s, t] + own,
        (counts.support > 0).sum(axis=1)[s] - (left == 0),
    )


def _leave_out_of_mcc(cells: SliceCells) -> FloatArray:
    """From the sums of `compute_mcc`, of which an image changes those of its two labels."""
    counts, s, t = cells.counts, cells.slice_idx, cells.y_true
    n_labels = counts.support.shape[1]
    has_one, p = cells.y_pred < n_labels, np.minimum(cells.y_pred, n_labels - 1)
    is_right = cells.y_true == cells.y_pred
    support, predicted = counts.support.astype(np.int64), counts.predicted.astype(np.int64)
    n = support.sum(axis=1)
    n_left = n[s] - 1
    n_right = counts.tp.sum(axis=1)[s] - is_right
    expected = (support * predicted).sum(axis=1)[s] - predicted[s, t]
    expected -= np.where(has_one, support[s, p] - is_right, 0)
    squares = (predicted**2).sum(axis=1)[s] - np.where(has_one, 2 * predicted[s, p] - 1, 0)
    unpredicted = (n - predicted.sum(axis=1))[s] - ~has_one
    spread_pred = n_left**2 - squares - unpredicted**2
    spread_true = n_left**2 - (support**2).sum(axis=1)[s] + 2 * support[s, t] - 1
    scale = np.sqrt(spread_pred.astype(np.float64) * spread_true)
    return divide(n_right * n_left - expected, scale)


def _jackknife(cells: SliceCells, values: FloatArray, without: FloatArray) -> _Spread:
    """As `jackknife` for each slice."""
    s, n, n_slices = cells.slice_idx, cells.n_images, len(values)

    def add_up(moves: FloatArray) -> FloatArray:
        sums = np.bincount(s, weights=cells.times * moves, minlength=n_slices)
        return np.asarray(sums, dtype=np.float64)

    mean = values + divide(add_up(without - values[s]), n)
    squares = np.square(without - mean[s])
    spread, fourths = add_up(squares), add_up(np.square(squares))
    excess = n * fourths - np.square(spread)
    with np.errstate(invalid="ignore"):
        degrees = divide(2 * n * np.square(spread), np.maximum(excess, 0.0), empty=np.inf)
    return _Spread(
        bias=(n - 1) * (mean - values),
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
    support, n = cells.counts.support, cells.n_images
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
    right, n = cells.counts.tp.sum(axis=1), cells.n_images
    ends = compute_wilson(right, n, confidence)
    columns = (divide(right, n), *ends)
    return [
        Number(value=value, low=low, high=high)
        for value, low, high in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _widen(numbers: list[Number], cells: SliceCells, confidence: float) -> list[Number]:
    """As `widen_means` for each slice."""
    tp, support = cells.counts.tp, cells.counts.support
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

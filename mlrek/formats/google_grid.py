"""The numbers of an evaluation over confidence thresholds, as Google lists them -> columns.

A number that is 0 is left out of the JSON; what is undefined looks the same, and is told from 0 by
the counts beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple

from mlrek.evaluation import BoolArray, FloatArray, ReportedCurve
from mlrek.formats.google_resources import Count, Number

RATES = {
    "precision": "precision",
    "recall": "recall",
    "f1": "f1_score",
    "false_positive_rate": "false_positive_rate",
    "precision_at_1": "precision_at1",
    "recall_at_1": "recall_at1",
    "f1_at_1": "f1_score_at1",
}
_COUNT_FIELDS = {
    "tp": "true_positive_count",
    "fp": "false_positive_count",
    "fn": "false_negative_count",
    "tn": "true_negative_count",
}


class GridEntry(Struct, rename="camel"):
    """The numbers at one threshold."""

    confidence_threshold: Number = None
    position_threshold: Number = None
    max_predictions: Number = None
    recall: Number = None
    precision: Number = None
    f1_score: Number = None
    false_positive_rate: Number = None
    recall_at1: Number = None
    precision_at1: Number = None
    f1_score_at1: Number = None
    true_positive_count: Count = None
    false_positive_count: Count = None
    false_negative_count: Count = None
    true_negative_count: Count = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Numbers over rising thresholds, (n,) each; NaN where undefined or not published.

    `columns` are `precision`, `recall`, `f1`, `false_positive_rate`, the same three with `_at_1`
    (an image's top label only), and `tp`, `fp`, `fn`, `tn`. `position` is the largest number of
    labels an image that was counted (0: not told). `n_beyond` entries had thresholds above 1 and
    are left out.
    """

    thresholds: FloatArray
    columns: Mapping[str, FloatArray]
    position: float = 0.0
    n_beyond: int = 0

    def to_curve(self) -> ReportedCurve:
        """The part of it that an evaluation keeps."""
        names = ("precision", "recall", "f1", *_COUNT_FIELDS)
        return ReportedCurve(
            thresholds=self.thresholds, **{name: self.columns[name] for name in names}
        )


def read_grid(entries: Sequence[GridEntry], *, boxes: int | None, is_legacy: bool) -> Grid:
    """The entries of one list, over thresholds.

    Of entries at one threshold the first counts. A threshold below 0 stands for "everything" and
    repeats the one at 0. Entries that count fewer labels an image than others are another table,
    which the service mixes in.

    Args:
        entries: In any order, with thresholds that repeat or lie outside 0 to 1.
        boxes: How many true boxes a detection was tested on; None for classification.
        is_legacy: Whether a 0 may stand for a number that was left out.

    Raises:
        ValueError: A rate is not between 0 and 1.
    """
    table = np.array([astuple(entry) for entry in entries], dtype=np.float64)  # None becomes NaN
    table = table.reshape(len(entries), len(GridEntry.__struct_fields__))
    columns = dict(zip(GridEntry.__struct_fields__, table.T, strict=True))
    missing = [entry.confidence_threshold is None for entry in entries]
    thresholds = _shorten_all(np.where(missing, 0.0, columns["confidence_threshold"]))
    wide = np.fmax(columns["max_predictions"], columns["position_threshold"])
    position = np.where(np.isfinite(wide), wide, 0.0)
    widest = float(np.max(position, initial=0.0))
    within = np.flatnonzero((thresholds >= 0) & (thresholds <= 1) & (position == widest))
    rising, first = np.unique(thresholds[within], return_index=True)
    kept = within[first]
    chosen = {name: _read_rates(name, columns[field][kept]) for name, field in RATES.items()}
    if is_legacy:
        chosen = {name: np.where(rates == 0, nan, rates) for name, rates in chosen.items()}
    chosen |= {name: columns[field][kept] for name, field in _COUNT_FIELDS.items()}
    _tell_zeros(chosen, boxes)
    n_beyond = int(np.sum(~(thresholds <= 1)))
    return Grid(thresholds=rising, columns=chosen, position=widest, n_beyond=n_beyond)


def _read_rates(name: str, rates: FloatArray) -> FloatArray:
    check_rates((name, float(rate)) for rate in rates[(rates < 0) | (rates > 1)])
    return _shorten_all(rates)


def _tell_zeros(columns: dict[str, FloatArray], boxes: int | None) -> None:
    """Tell, of the numbers that are left out, which are 0, undefined, or never published at all."""
    has_counts = any(np.any(columns[name] > 0) for name in _COUNT_FIELDS)
    for name in _COUNT_FIELDS:
        columns[name] = np.nan_to_num(columns[name]) if has_counts else columns[name] * nan
    tp, fp, fn, tn = (columns[name] for name in _COUNT_FIELDS)  # NaN is equal to nothing below
    no_truth = (tp + fn == 0) | (boxes == 0)
    is_published = has_counts or bool(boxes)
    columns["recall"] = _fill(columns["recall"], no_truth, is_published=is_published)
    columns["recall_at_1"] = _fill(columns["recall_at_1"], no_truth)
    columns["false_positive_rate"] = _fill(columns["false_positive_rate"], fp + tn == 0)
    if has_counts:
        columns["precision"] = _fill(columns["precision"], tp + fp == 0, is_published=True)
    for suffix in ("", "_at_1"):
        precision, recall = columns[f"precision{suffix}"], columns[f"recall{suffix}"]
        neither = (precision != 0) & (recall != 0)
        columns[f"f1{suffix}"] = _fill(columns[f"f1{suffix}"], neither)


def _fill(column: FloatArray, undefined: BoolArray, *, is_published: bool = False) -> FloatArray:
    """A column that is published somewhere is 0 where it is left out, unless it is undefined."""
    if not is_published and not np.any(column > 0):
        return column
    filled = np.nan_to_num(column)
    return np.where((filled == 0) & undefined, nan, filled)


def finite(value: Number) -> float | None:
    """The number, unless it is none."""
    return value if value is not None and isfinite(value) else None


def shorten(value: float) -> float:
    """A 32-bit number that was widened to 64 (0.05000000074505806) as REST writes it (0.05)."""
    return float(_shorten_all(np.array([value]))[0])


def _shorten_all(values: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    widened = np.flatnonzero(narrow.astype(np.float64) == values)
    short = values.copy()
    short[widened] = [float(str(value)) for value in narrow[widened]]
    return short


def check_rates(rates: Iterable[tuple[str, float]]) -> None:
    """Raise ValueError where a rate is not between 0 and 1; NaN passes."""
    for name, value in rates:
        if value < 0 or value > 1:
            raise ValueError(f"{name.replace('_', ' ')} is {value}, which is not from 0 to 1")

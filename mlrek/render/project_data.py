"""What the page of a project holds of each version: read from its run, and from a page before."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Any, Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.metrics import Number
from mlrek.render import Json
from mlrek.render.report_data import encode_falling, round_number
from mlrek.text import display_label, escape_unencodable

OTHER: Final = -1
"""The code of all labels that are not drawn; our own rows have the codes below."""

LABEL_METRICS: Final = ("f1", "precision", "recall", "iou", "dice", "ap", "roc_auc", "reported_f1")
"""The numbers of labels that the page can show, the first that is there by default."""
SUPPORT: Final = "support"

_GROUPS: Final = ("aggregate", "at_threshold", "crossfit", "errors")
_ENDS: Final = ("_low", "_high")
_END_DIGITS: Final = 4
_BASE: Final = 36
_FAULTS: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCells:
    """A confusion matrix by its cells that are not empty: (n, 3) row, column and count.

    Rows and columns are places in the labels of the version, `OTHER`, or `OTHER - 1 - i` for
    `own[i]`. `drawn` are the labels that are not in `OTHER`, None where all stand by themselves;
    `right` counts what is right in the cell of `OTHER` with itself.
    """

    counts: tuple[tuple[int, int, int], ...]
    own: tuple[str, ...] = ()
    drawn: tuple[int, ...] | None = None
    right: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CountCurve:
    """Counts of all labels together at the thresholds 0 to 100 percent.

    `stops_at` says from where on records are missing, '' where none is.
    """

    tp: tuple[int, ...]
    fp: tuple[int, ...]
    support: int
    stops_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNumbers:
    """What a run holds of its version. Labels are named as people see them.

    `numbers` are those of all labels by the names they are logged under; `columns` those of each
    label, in the order of `labels`, None where undefined.
    """

    numbers: Mapping[str, Number] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    columns: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    cells: HeldCells | None = None
    curve: CountCurve | None = None


def parse_held(content: bytes) -> HeldNumbers:
    """What the `evaluation.json` of a run holds, also one that an earlier mlrek wrote.

    Raises:
        EvaluationError: It is no such file.
    """
    try:
        document: dict[str, Any] = json.loads(content)
        labels = document.get("labels") or []
        return HeldNumbers(
            numbers=_parse_numbers(document),
            labels=tuple(map(name_held_label, labels)),
            columns=_parse_columns(document.get("per_label") or []),
            cells=_parse_matrix(document.get("confusion_matrix"), len(labels)),
            curve=_parse_curve(document.get("curves")),
        )
    except _FAULTS as exc:
        raise EvaluationError(f"evaluation.json: is not what a run holds ({exc!r})") from exc


def name_held_label(label: str) -> str:
    """A label as the page names it."""
    return escape_unencodable(display_label(label))


def _parse_numbers(document: Mapping[str, Any]) -> dict[str, Number]:
    numbers = {
        f"{group}/{name}": Number(
            value=_float(found["value"]),
            low=_float(found.get("low")),
            high=_float(found.get("high")),
            reason=escape_unencodable(found.get("reason") or ""),
        )
        for group in _GROUPS
        for name, found in (document.get(group) or {}).items()
    }
    reported = (document.get("reported") or {}).get("aggregate") or {}
    return numbers | {
        f"reported/{escape_unencodable(name)}": Number(value=_float(value))
        for name, value in reported.items()
    }


def _parse_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float | None, ...]]:
    """The columns that hold anything, each with the ends of its intervals."""
    columns: dict[str, tuple[float | None, ...]] = {}
    for name in (SUPPORT, *LABEL_METRICS):
        for column in (name, *(f"{name}{end}" for end in _ENDS)):
            values = tuple(_number(row.get(column)) for row in rows)
            if any(value is not None for value in values):
                columns[column] = values
    return columns


def _parse_matrix(found: Mapping[str, Any] | None, n_labels: int) -> HeldCells | None:
    if not found:
        return None
    rows, columns = found["rows"][n_labels:], found["columns"][n_labels:]
    own = tuple(dict.fromkeys((*rows, *columns)))
    codes = [
        [*range(n_labels), *(OTHER - 1 - own.index(name) for name in names)]
        for names in (rows, columns)
    ]
    counts = np.array(found["counts"], dtype=np.int64).reshape(len(codes[0]), len(codes[1]))
    return HeldCells(
        counts=tuple(
            (codes[0][i], codes[1][j], int(counts[i, j])) for i, j in np.argwhere(counts).tolist()
        ),
        own=own,
    )


def _parse_curve(found: Mapping[str, Any] | None) -> CountCurve | None:
    if not found or not found["tp"]:
        return None
    tp, fp = (tuple(map(int, found[name])) for name in ("tp", "fp"))
    support = tp[0] + int(found["fn"][0])
    return CountCurve(tp=tp, fp=fp, support=support, stops_at=found.get("stops_at") or "")


def draw_cells(held: HeldNumbers, drawn: Iterable[str]) -> HeldNumbers:
    """The same with all labels that are not `drawn` together in `OTHER`."""
    cells = held.cells
    if cells is None or cells.drawn is not None:
        return held
    wanted = set(drawn)
    kept = tuple(i for i, label in enumerate(held.labels) if label in wanted)
    if len(kept) == len(held.labels):
        return held
    stays = {*kept}
    counts: dict[tuple[int, int], int] = {}
    right = 0
    for row, column, n in cells.counts:
        place = tuple(OTHER if c >= 0 and c not in stays else c for c in (row, column))
        counts[place[0], place[1]] = counts.get((place[0], place[1]), 0) + n
        right += n if row == column and place == (OTHER, OTHER) else 0
    flat = tuple((row, column, n) for (row, column), n in counts.items())
    return replace(held, cells=replace(cells, counts=flat, drawn=kept, right=right))


def name_drawn(held: HeldNumbers) -> tuple[str, ...] | None:
    """The labels that the cells are cut to, None where they are whole."""
    if held.cells is None or held.cells.drawn is None:
        return None
    return tuple(held.labels[i] for i in held.cells.drawn)


def cut_labels(held: HeldNumbers, names: Iterable[str]) -> HeldNumbers:
    """The same without the numbers of other labels; the cells must be cut to some of `names`."""
    wanted = set(names)
    kept = [i for i, label in enumerate(held.labels) if label in wanted]
    if len(kept) == len(held.labels):
        return held
    places = {i: place for place, i in enumerate(kept)}
    cells = held.cells
    if cells is not None:
        counts = tuple((places.get(r, r), places.get(c, c), n) for r, c, n in cells.counts)
        drawn = tuple(places[i] for i in cells.drawn or () if i in places)
        cells = replace(cells, counts=counts, drawn=drawn)
    columns = {name: tuple(values[i] for i in kept) for name, values in held.columns.items()}
    labels = tuple(held.labels[i] for i in kept)
    return replace(held, labels=labels, columns=columns, cells=cells)


def build_held_json(held: HeldNumbers, label_lists: list[tuple[str, ...]]) -> dict[str, Json]:
    """The form that it has in a page; labels that several versions share stand there once."""
    if held.labels not in label_lists:
        label_lists.append(held.labels)
    return {
        "numbers": {name: _build_number(number) for name, number in held.numbers.items()},
        "labels": label_lists.index(held.labels),
        "columns": {name: _build_column(name, values) for name, values in held.columns.items()},
        "cells": _build_cells(held.cells),
        "curve": _build_curve(held.curve),
    }


def parse_held_json(
    entry: Mapping[str, Any], label_lists: Sequence[Sequence[str]]
) -> HeldNumbers | None:
    """What an entry of a page holds, None where it is not of this form."""
    try:
        return HeldNumbers(
            numbers={str(n): _parse_number(found) for n, found in entry["numbers"].items()},
            labels=tuple(map(str, label_lists[entry["labels"]])),
            columns={
                str(name): tuple(map(_number, values)) for name, values in entry["columns"].items()
            },
            cells=_parse_cells(entry["cells"]),
            curve=_parse_page_curve(entry["curve"]),
        )
    except _FAULTS:
        return None


def _build_number(number: Number) -> Json:
    ends = [round_number(number.low), round_number(number.high)]
    if not number.is_defined:
        return [None, None, None, number.reason]
    return [round_number(number.value), *(ends if None not in ends else [])]


def _parse_number(found: Sequence[Any]) -> Number:
    value, low, high = map(_float, (*found[:3], None, None)[:3])
    return Number(value=value, low=low, high=high, reason="".join(found[3:]))


def _build_column(name: str, values: Sequence[float | None]) -> Json:
    if name == SUPPORT:
        return [None if value is None else int(value) for value in values]
    digits = _END_DIGITS if name.endswith(_ENDS) else 6
    return [None if value is None else round_number(value, digits) for value in values]


def _build_cells(cells: HeldCells | None) -> Json:
    if cells is None:
        return None
    return {
        "counts": [code for cell in cells.counts for code in cell],
        "own": list(cells.own),
        "drawn": None if cells.drawn is None else list(cells.drawn),
        "right": cells.right,
    }


def _parse_cells(found: Mapping[str, Any] | None) -> HeldCells | None:
    if found is None:
        return None
    flat = list(map(int, found["counts"]))
    drawn = found["drawn"]
    return HeldCells(
        counts=tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True)),
        own=tuple(map(str, found["own"])),
        drawn=None if drawn is None else tuple(map(int, drawn)),
        right=int(found["right"]),
    )


def _build_curve(curve: CountCurve | None) -> Json:
    if curve is None:
        return None
    return {
        "tp": encode_falling(np.array(curve.tp)),
        "fp": encode_falling(np.array(curve.fp)),
        "support": curve.support,
        "stops_at": curve.stops_at,
    }


def _parse_page_curve(found: Mapping[str, Any] | None) -> CountCurve | None:
    if found is None:
        return None
    return CountCurve(
        tp=_decode_falling(found["tp"]),
        fp=_decode_falling(found["fp"]),
        support=int(found["support"]),
        stops_at=str(found["stops_at"]),
    )


def _decode_falling(text: str) -> tuple[int, ...]:
    first, *steps = (int(step, _BASE) if step else 0 for step in text.split(","))
    return tuple((first - np.cumsum([0, *steps])).tolist())


def _float(value: float | None) -> float:
    found = _number(value)
    return nan if found is None else found


def _number(value: float | None) -> float | None:
    """A number of a JSON file: what is none, or not finite, is None."""
    return float(value) if value is not None and isfinite(value) else None

"""What the script of a page draws confusion matrices of."""

from collections.abc import Sequence
from itertools import groupby
from string import ascii_lowercase, digits
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.comparison import ConfusionDifference
from mlrek.evaluation import FloatArray
from mlrek.metrics import ConfusionMatrix
from mlrek.metrics.drawn_labels import count_shown, find_drawn, find_most_confused
from mlrek.metrics.matrix_steps import MatrixSteps
from mlrek.render import Json

MAX_ENTRIES: Final = 120_000
"""Past so many entries the matrices are told at whole tens of percent; past as many there, not."""

MAX_CELLS: Final = 60_000
_MAX_CLUSTERED: Final = 600
_MIN_CLUSTERED: Final = 3
_DIGITS: Final = digits + ascii_lowercase


def build_steps_json(steps: MatrixSteps | None) -> dict[str, Json] | None:
    """The matrices at rising thresholds, small enough for a page; null where there are none."""
    if steps is not None and len(steps.row) > MAX_ENTRIES:
        steps = steps.thin()
    if steps is None or not steps.percents or len(steps.row) > MAX_ENTRIES:
        return None
    return {
        "percents": [*steps.percents],
        "rule": steps.rule,
        "own": steps.own,
        "sums": steps.sums.tolist(),
        "rows": [*_encode_rows(steps)],
    }


def build_matrix_json(
    confusion: ConfusionMatrix | None, n_labels: int, drawn_labels: Sequence[str] = ()
) -> dict[str, Json] | None:
    """Cells that are not empty, row by row, as `[column, count, column, count, …]`.

    Past `MAX_CELLS` the largest ones; `left_out` counts what the others hold. `own_rows` and
    `own_columns` are the names that follow the labels. `drawn` are the labels of the picture, in
    its order, empty where it shows all of them; `is_drawn_alike` tells that all versions of the
    project are drawn with these.
    """
    if confusion is None or not confusion.counts.any():
        return None
    counts = confusion.counts
    cells, left_out = _list_cells(counts)
    return {
        "cells": cells,
        "row_sums": counts.sum(axis=1).tolist(),
        "column_sums": counts.sum(axis=0).tolist(),
        "own_rows": list(confusion.rows[n_labels:]),
        "own_columns": list(confusion.columns[n_labels:]),
        "left_out": left_out,
        **_list_drawn(confusion, n_labels, drawn_labels),
        "by_confusion": order_by_confusion(counts, n_labels),
        "by_cluster": order_by_cluster(counts, n_labels),
    }


def _list_drawn(
    confusion: ConfusionMatrix, n_labels: int, drawn_labels: Sequence[str]
) -> dict[str, Json]:
    chosen = find_drawn(confusion.rows[:n_labels], drawn_labels)
    drawn, most = chosen, count_shown(n_labels)
    if drawn is None and most < n_labels:
        drawn = find_most_confused(confusion.counts, n_labels, most)
    codes: list[Json] = [] if drawn is None else drawn.tolist()
    return {"drawn": codes, "is_drawn_alike": chosen is not None}


def order_by_confusion(counts: NDArray[np.int64], n_labels: int) -> list[Json]:
    """Label codes by the mistakes in their row and column, most first, ties in label order."""
    total = counts.sum(axis=1)[:n_labels] + counts.sum(axis=0)[:n_labels]
    wrong = total - 2 * np.diagonal(counts)[:n_labels]
    order: list[Json] = np.argsort(-wrong, kind="stable").tolist()
    return order


def order_by_cluster(counts: NDArray[np.int64], n_labels: int) -> list[Json]:
    """Label codes so that labels confused with each other stand together; empty of too many.

    Average linkage of 1 - the share of both labels' images that are taken for each other.
    """
    if not _MIN_CLUSTERED <= n_labels <= _MAX_CLUSTERED:
        return []
    between = counts[:n_labels, :n_labels] + counts[:n_labels, :n_labels].T
    if not (between - np.diag(np.diagonal(between))).any():
        return []
    from scipy.cluster.hierarchy import leaves_list, linkage

    order: list[Json] = leaves_list(linkage(_distances(between), "average")).tolist()
    return order


def _distances(between: NDArray[np.int64]) -> FloatArray:
    """The upper triangle of distances, row by row, as scipy takes it."""
    total = between.sum(axis=1)
    i, j = np.triu_indices(len(between), 1)
    return np.asarray(1 - between[i, j] / np.maximum(total[i] + total[j], 1))


def build_difference_json(
    confusion: ConfusionDifference | None, drawn_labels: Sequence[str] = ()
) -> dict[str, Json]:
    """The cells that changed as row, column and change, and the baseline's own cells row by row.

    These are null where they are too many. `drawn` as in `build_matrix_json`.
    """
    if confusion is None:
        return {"cells": [], "baseline_cells": None, "drawn": []}
    counts, n_labels = confusion.counts, len(confusion.labels) - confusion.n_own
    sizes = np.abs(counts)
    names = confusion.labels
    return {
        "cells": [[i, j, int(counts[i, j])] for i, j in np.argwhere(counts).tolist()],
        "baseline_cells": (
            _list_cells(confusion.baseline)[0]
            if np.count_nonzero(confusion.baseline) <= MAX_CELLS
            else None
        ),
        "drawn": _list_drawn(
            ConfusionMatrix(counts=sizes, rows=names, columns=names), n_labels, drawn_labels
        )["drawn"],
    }


def _list_cells(counts: NDArray[np.int64]) -> tuple[list[Json], int]:
    """The largest `MAX_CELLS` cells, row by row, and what all others hold together."""
    row, column = np.nonzero(counts)
    count = counts[row, column]
    if len(count) > MAX_CELLS:
        kept = np.sort(np.argsort(-count, kind="stable")[:MAX_CELLS])
        row, column, count = row[kept], column[kept], count[kept]
    cells: list[list[Json]] = [[] for _ in range(len(counts))]
    for i, j, n in zip(row.tolist(), column.tolist(), count.tolist(), strict=True):
        cells[i] += (j, n)
    return [*cells], int(counts.sum() - count.sum())


def encode_number(number: int) -> str:
    """A whole number in base 36, the empty text for 0, as JavaScript's `parseInt(text, 36)` reads.

    >>> encode_number(1295), encode_number(-36), encode_number(0)
    ('zz', '-10', '')
    """
    text, left = "", abs(number)
    while left:
        left, digit = divmod(left, len(_DIGITS))
        text = _DIGITS[digit] + text
    return f"-{text}" if number < 0 else text


def _encode_rows(steps: MatrixSteps) -> list[str]:
    """Each row as cells between `;`: the column, then the steps, and `:` and the change but for 1.

    All in base 36; a step is its distance from the one before.
    """
    columns = (steps.row, steps.column, steps.step, steps.change)
    entries = zip(*(column.tolist() for column in columns), strict=True)
    rows = [""] * (len(steps.sums) + 1)
    for row, in_row in groupby(entries, lambda entry: entry[0]):
        cells = groupby(in_row, lambda entry: entry[1])
        rows[row] = ";".join(_encode_cell(column, [*found]) for column, found in cells)
    return rows


def _encode_cell(column: int, entries: list[tuple[int, ...]]) -> str:
    parts, before = [encode_number(column)], 0
    for _, _, step, change in entries:
        many = "" if change == 1 else f":{encode_number(change)}"
        parts.append(encode_number(step - before) + many)
        before = step
    return ",".join(parts)

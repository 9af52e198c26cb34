"""The confusion matrix of a page: its cells, and the orders in which labels make sense."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray
from mlrek.metrics import ConfusionMatrix
from mlrek.tables.json_text import Json

MAX_CELLS: Final = 60_000
MAX_CLUSTERED: Final = 600
_MIN_CLUSTERED: Final = 3


def describe_matrix(confusion: ConfusionMatrix | None, n_labels: int) -> dict[str, Json] | None:
    """Cells that are not empty, row by row, as `[column, count, column, count, …]`.

    Past `MAX_CELLS` the largest ones; `left_out` counts what the others hold. `own_rows` and
    `own_columns` are the names that follow the labels.
    """
    if confusion is None or not confusion.counts.any():
        return None
    counts = confusion.counts
    row, column = np.nonzero(counts)
    count = counts[row, column]
    if len(count) > MAX_CELLS:
        kept = np.sort(np.argsort(-count, kind="stable")[:MAX_CELLS])
        row, column, count = row[kept], column[kept], count[kept]
    cells: list[list[Json]] = [[] for _ in range(len(counts))]
    for i, j, n in zip(row.tolist(), column.tolist(), count.tolist(), strict=True):
        cells[i] += (j, n)
    return {
        "cells": list(cells),
        "row_sums": counts.sum(axis=1).tolist(),
        "column_sums": counts.sum(axis=0).tolist(),
        "own_rows": list(confusion.rows[n_labels:]),
        "own_columns": list(confusion.columns[n_labels:]),
        "left_out": int(counts.sum() - count.sum()),
        "by_confusion": order_by_confusion(counts, n_labels),
        "by_cluster": order_by_cluster(counts, n_labels),
    }


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
    if not _MIN_CLUSTERED <= n_labels <= MAX_CLUSTERED:
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

"""What a heat map shows of a confusion matrix: all of it, or the most confused labels."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import IntArray
from mlrek.label_keys import OTHER_LABEL
from mlrek.metrics import ConfusionMatrix

MAX_LABELS: Final = 25
"""Past so many labels only the most confused ones are shown, and the others as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A matrix to be drawn.

    `counts` (rows, columns): first the labels `shown` (label codes), then our own rows and columns:
    `(other)`, which pools `pooled` labels, and those of the matrix that have any count.
    """

    counts: NDArray[np.int64]
    shown: IntArray
    own_rows: tuple[str, ...]
    own_columns: tuple[str, ...]
    pooled: int


def describe_heatmap(
    confusion: ConfusionMatrix, labels: int, top_labels: int = 0, shown: IntArray | None = None
) -> Heatmap:
    """Leave out empty rows and columns of our own, and pool all but the most confused labels.

    Args:
        confusion: Its first `labels` rows and columns are the labels.
        labels: Number of labels; what follows them is our own.
        top_labels: Show so many, if there are more; 0: all, up to `MAX_LABELS`.
        shown: Show these labels, and our own rows and columns though they are empty.

    Returns:
        A heat map whose counts have the same sum as those of the matrix.
    """
    counts = confusion.counts
    own_rows, own_columns = (np.arange(labels, size) for size in counts.shape)
    if shown is None:
        most = count_shown(labels, top_labels)
        shown = np.arange(labels) if most == labels else _find_most_confused(counts, labels, most)
        own_rows = labels + np.flatnonzero(counts.sum(axis=1)[labels:])
        own_columns = labels + np.flatnonzero(counts.sum(axis=0)[labels:])
    other = (OTHER_LABEL,) if len(shown) < labels else ()
    places = (
        _place(counts.shape[0], shown, own_rows, len(other)),
        _place(counts.shape[1], shown, own_columns, len(other)),
    )
    size = [len(shown) + len(other) + len(own) for own in (own_rows, own_columns)]
    pooled = np.zeros(size, dtype=np.int64)
    np.add.at(pooled, np.ix_(*places), counts)
    return Heatmap(
        counts=pooled,
        shown=shown,
        own_rows=(*other, *(confusion.rows[i] for i in own_rows)),
        own_columns=(*other, *(confusion.columns[i] for i in own_columns)),
        pooled=labels - len(shown),
    )


def count_shown(labels: int, top_labels: int = 0) -> int:
    """How many of the labels a heat map shows; one place is kept for the others."""
    if not top_labels and labels <= MAX_LABELS:
        return labels
    return min(labels, top_labels or MAX_LABELS, MAX_LABELS - 1)


def _place(n: int, shown: IntArray, own: IntArray, n_other: int) -> IntArray:
    """Where each of n rows stands in the heat map, (n,).

    What is neither shown nor ours is in the row of the others; without one it has no counts.
    """
    places = np.full(n, len(shown) if n_other else 0)
    places[shown] = np.arange(len(shown))
    places[own] = len(shown) + n_other + np.arange(len(own))
    return places


def _find_most_confused(counts: NDArray[np.int64], labels: int, most: int) -> IntArray:
    """The labels with most wrong counts in their row and column, ties to the first, in order."""
    total = counts.sum(axis=1)[:labels] + counts.sum(axis=0)[:labels]
    wrong = total - 2 * np.diagonal(counts)[:labels]
    return np.sort(np.argsort(-wrong, kind="stable")[:most])

"""The candidate's confusion matrix minus the baseline's, and the images that moved."""

import numpy as np

from mlrek.comparison import ConfusionDifference
from mlrek.comparison.exams import Measured
from mlrek.comparison.rows import Rows
from mlrek.evaluation import IntArray


def subtract_confusion(
    shared: tuple[Measured, Measured], images: tuple[str, ...], labels: tuple[str, ...]
) -> ConfusionDifference | None:
    """The candidate's confusion matrix minus the baseline's, with the labels of both."""
    matrices = [version.metrics.confusion for version in shared]
    own = dict.fromkeys(
        name
        for version, matrix in zip(shared, matrices, strict=True)
        if matrix is not None
        for name in (*matrix.rows[len(version.codes) :], *matrix.columns[len(version.codes) :])
    )
    size = len(labels) + len(own)
    counts = np.zeros((size, size), dtype=np.int64)
    places = {name: len(labels) + i for i, name in enumerate(own)}
    for sign, version, matrix in zip((-1, 1), shared, matrices, strict=True):
        if matrix is None:
            return None
        n = len(version.codes)
        rows = [*version.codes, *(places[name] for name in matrix.rows[n:])]
        columns = [*version.codes, *(places[name] for name in matrix.columns[n:])]
        counts[np.ix_(rows, columns)] += sign * matrix.counts
    return ConfusionDifference(
        counts=counts,
        labels=(*labels, *own),
        n_own=len(own),
        moves=find_moves(shared[0].rows, shared[1].rows, len(labels)),
        images=images,
    )


def find_moves(baseline: Rows, candidate: Rows, n_labels: int) -> IntArray:
    """Image, true row, predicted column and change of count wherever the versions differ, (n, 4).

    No label, true or predicted, has the code `n_labels`.
    """
    size = n_labels + 1
    keys = [
        (rows.image_idx * size + rows.y_true % size) * size + rows.y_pred % size
        for rows in (baseline, candidate)
    ]
    cells, places = np.unique(np.concatenate(keys), return_inverse=True)
    signs = np.repeat([-1, 1], [len(key) for key in keys])
    change = np.bincount(places, weights=signs, minlength=len(cells)).astype(np.int64)
    moved = change != 0
    image_idx, cell = np.divmod(cells[moved], size * size)
    return np.stack([image_idx, *np.divmod(cell, size), change[moved]], axis=1)

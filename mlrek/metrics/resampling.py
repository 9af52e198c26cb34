"""The bootstrap over images: draw as many images as there are, with replacement, many times.

Two ways with the same distribution. What follows from a count matrix resamples its cells and never
touches an image. All else is computed from how often each image is drawn: sums over images are one
product of a sparse matrix with these weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.counts import LabelCounts

Weights: TypeAlias = NDArray[np.float32]
"""How often each image counts: whole numbers, (n_images, n_resamples)."""

Statistic: TypeAlias = Callable[[Weights], Mapping[str, FloatArray]]
"""Image weights (n_images, n_resamples) -> values by name, each (n_resamples,)."""

CONFIDENCE: Final = 0.95
"""Of an interval, unless another one is asked for."""

MAX_BLOCK: Final = 3 * 2**19
"""Most numbers held at once for a block of resamples: 6 MiB in single precision."""

EXACT_FLOAT32: Final = 2**24
"""Whole numbers below it are exact in single precision."""

# Enough columns for a product with a sparse matrix to run at full speed; of few images more, so
# that a block is worth its overhead.
_ENOUGH_COLUMNS: Final = 64
_SMALL_BLOCK: Final = 2**18

# Drawing the count of one cell takes about as long as drawing so many single images.
_DRAWS_PER_CELL: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How to resample, the same seed gives the same resamples, and the confidence of intervals.

    `confidence`, between 0 and 1, is also that of the intervals by formula beside the resampled.
    """

    seed: int = 0
    resamples: int = 1000
    confidence: float = CONFIDENCE

    def start(self) -> np.random.Generator:
        """A generator at its start."""
        return np.random.default_rng(self.seed)


def resample_counts(matrix: NDArray[np.int64], bootstrap: Bootstrap) -> LabelCounts:
    """The label counts of resampled images, from a matrix as `count_pairs` returns it.

    Returns:
        Counts (n_resamples, n_labels).
    """
    if not matrix.sum() or not bootstrap.resamples:
        empty = np.zeros((bootstrap.resamples, len(matrix)), dtype=np.int64)
        return LabelCounts(tp=empty, predicted=empty, support=empty)
    n_wrong = matrix.sum() - np.trace(matrix)
    if n_wrong > _DRAWS_PER_CELL * np.count_nonzero(matrix):
        return _resample_cells(matrix, bootstrap)
    return _resample_mistakes(matrix, bootstrap)


def count_labels_in_cells(
    cells: tuple[IntArray, IntArray], weights: IntArray, n_labels: int
) -> LabelCounts:
    """Label counts of resamples, given how often each cell of the matrix was drawn in them.

    Args:
        cells: True and predicted code of each cell, (n_cells,) each; rising by row, then column;
            the code `n_labels` in the column is no prediction.
        weights: (n_resamples, n_cells).
        n_labels: The number of labels.

    Returns:
        Counts (n_resamples, n_labels).
    """
    y_true, y_pred = cells
    by_column = np.argsort(y_pred, kind="stable")
    right = y_true == y_pred
    tp = np.zeros((len(weights), n_labels), dtype=np.int64)
    tp[:, y_true[right]] = weights[:, right]
    predicted = _sum_runs(weights[:, by_column], y_pred[by_column], n_labels + 1)[:, :-1]
    return LabelCounts(tp=tp, predicted=predicted, support=_sum_runs(weights, y_true, n_labels))


def draw_weights(n_images: int, bootstrap: Bootstrap) -> Iterator[Weights]:
    """How often each image is drawn: blocks (n_images, n) whose n add up to all resamples.

    There must be an image.
    """
    return draw_strata((n_images,), bootstrap)


def draw_strata(sizes: Sequence[int], bootstrap: Bootstrap) -> Iterator[Weights]:
    """As `draw_weights`, from strata that each keep their number of draws.

    Args:
        sizes: How many things to draw each stratum has; they follow each other in the rows.
        bootstrap: How to resample.
    """
    rng = bootstrap.start()
    n, starts = sum(sizes), np.cumsum([0, *sizes])
    width = max(1, min(max(_ENOUGH_COLUMNS, _SMALL_BLOCK // n), MAX_BLOCK // n))
    for start in range(0, bootstrap.resamples, width):
        drawn = np.empty((min(width, bootstrap.resamples - start), n), dtype=np.int32)
        for row in drawn:
            for first, size in zip(starts[:-1], sizes, strict=True):
                picked = rng.integers(size, size=size) if size else np.empty(0, dtype=np.int64)
                row[first : first + size] = np.bincount(picked, minlength=size)
        weights = drawn.T.astype(np.float32, order="C")
        del drawn, row  # as large as the weights themselves
        yield weights


def resample(statistic: Statistic, n_images: int, bootstrap: Bootstrap) -> dict[str, FloatArray]:
    """The values of a statistic in resampled images, each (n_resamples,)."""
    blocks = [statistic(weights) for weights in draw_weights(n_images, bootstrap)]
    names = blocks[0] if blocks else ()
    return {name: np.concatenate([block[name] for block in blocks]) for name in names}


def count_drawn(weights: NDArray[Any]) -> NDArray[Any]:
    """Images drawn in each resample, (n,); whole numbers, added up in a type that holds them."""
    small = len(weights) < EXACT_FLOAT32
    return np.asarray(weights.sum(axis=0, dtype=np.float32 if small else np.float64))


def evaluate(statistic: Statistic, n_images: int) -> dict[str, FloatArray]:
    """The values of a statistic on the images as they are, each of shape ()."""
    return {
        name: value[0]
        for name, value in statistic(np.ones((n_images, 1), dtype=np.float32)).items()
    }


def merge(statistics: Sequence[Statistic]) -> Statistic:
    """One statistic with the values of all, so that they share their resamples."""
    return partial(_compute_all, tuple(statistics))


def _resample_cells(matrix: NDArray[np.int64], bootstrap: Bootstrap) -> LabelCounts:
    """Draw the count of each cell: one multinomial draw a resample."""
    n_images = matrix.sum()
    y_true, y_pred = np.nonzero(matrix)
    shares = matrix[y_true, y_pred] / n_images
    rng = bootstrap.start()
    height = max(1, MAX_BLOCK // len(shares))
    parts = [
        count_labels_in_cells(
            (y_true, y_pred), rng.multinomial(n_images, shares, size=n), len(matrix)
        )
        for n in _split(bootstrap.resamples, height)
    ]
    return LabelCounts(
        tp=np.concatenate([part.tp for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        support=np.concatenate([part.support for part in parts]),
    )


def _resample_mistakes(matrix: NDArray[np.int64], bootstrap: Bootstrap) -> LabelCounts:
    """Draw the right ones label by label, and the mistakes, few against cells, one by one."""
    n_labels = len(matrix)
    rng = bootstrap.start()
    right = np.diagonal(matrix)
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    cells = np.nonzero(wrong)
    mistakes = [np.repeat(codes, wrong[cells]).astype(np.int32) for codes in cells]
    n_mistakes = len(mistakes[0])
    shares = np.append(right, n_mistakes) / matrix.sum()
    drawn = rng.multinomial(matrix.sum(), shares, size=bootstrap.resamples)
    predicted, support = drawn[:, :-1].copy(), drawn[:, :-1].copy()
    for i, n in enumerate(drawn[:, -1]):
        if n:
            picked = rng.integers(n_mistakes, size=n)
            support[i] += np.bincount(np.take(mistakes[0], picked), minlength=n_labels)
            columns = np.bincount(np.take(mistakes[1], picked), minlength=n_labels + 1)
            predicted[i] += columns[:-1]
    return LabelCounts(tp=drawn[:, :-1], predicted=predicted, support=support)


def _sum_runs(values: IntArray, codes: IntArray, n_codes: int) -> IntArray:
    """Sum columns of equal code, codes rising: (rows, len(codes)) -> (rows, n_codes)."""
    sums = np.zeros((len(values), n_codes), dtype=np.int64)
    present, starts = np.unique(codes, return_index=True)
    sums[:, present] = np.add.reduceat(values, starts, axis=1)
    return sums


def _split(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def _compute_all(statistics: tuple[Statistic, ...], weights: Weights) -> dict[str, FloatArray]:
    return {name: v for statistic in statistics for name, v in statistic(weights).items()}

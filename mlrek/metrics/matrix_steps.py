"""The confusion matrix at every threshold, as what leaves each cell while it rises."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.counts import pair_records
from mlrek.metrics.curves import N_STEPS
from mlrek.metrics.decisions import decide_records, predict
from mlrek.metrics.thresholds import compute_threshold_matrices, find_first_known, is_partial
from mlrek.text import BACKGROUND_LABEL, NONE_LABEL

_PERCENTS: Final = tuple(range(N_STEPS))
_COARSE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSteps:
    """The matrix at each threshold of `percents` (rising), and what a prediction is there.

    The count of a cell at `percents[k]` is the sum of `change` over its entries with `step` >= k;
    `row`, `column`, `step` and `change` are all (n,), sorted by row, column, step. The first column
    after the labels (`(none)`, `(background)`) has no entries in the rows of labels: it has what is
    left of `sums` (n_labels,), the images or boxes of each label. `own` is its name.
    """

    percents: tuple[int, ...]
    sums: NDArray[np.int64]
    row: IntArray
    column: IntArray
    step: IntArray
    change: IntArray
    rule: str
    own: str

    def thin(self) -> "MatrixSteps":
        """The same at whole tens of percent alone."""
        kept = [k for k, percent in enumerate(self.percents) if percent % _COARSE == 0]
        step = np.searchsorted(kept, self.step, side="right") - 1
        known = step >= 0
        columns = self.row[known], self.column[known], step[known], self.change[known]
        return _gather(
            columns, tuple(self.percents[k] for k in kept), self.sums, (self.rule, self.own)
        )


def compute_matrix_steps(evaluation: Evaluation) -> MatrixSteps | None:
    """The matrices of `compute_threshold_matrices`, at each percent where they can be told so.

    Of boxes at whole tens of percent, as at each threshold they are matched anew. None where no
    threshold has a matrix.
    """
    if not evaluation.has_images or not evaluation.is_scored:
        return None
    if evaluation.task == Task.CLASSIFICATION:
        return _of_top_labels(evaluation)
    if evaluation.task == Task.MULTILABEL:
        return _of_label_sets(evaluation)
    return _of_boxes(evaluation) if evaluation.detections is not None else None


def _of_top_labels(evaluation: Evaluation) -> MatrixSteps | None:
    sample = predict(evaluation, PredictionRule.TOP1)
    counted = sample.counted
    y_true, y_pred = sample.y_true[counted], sample.y_pred[counted]
    first = find_first_known(evaluation, y_pred)
    percents = tuple(percent for percent in _PERCENTS if percent / 100 >= first)
    if not percents or not len(y_true):
        return None
    known = y_pred >= 0
    step = _find_steps(sample.confidence[counted][known]) - percents[0]
    columns = y_true[known], y_pred[known], step, np.ones(int(known.sum()), dtype=np.int64)
    sums = np.bincount(y_true, minlength=len(evaluation.labels))
    return _gather(tuple(c[step >= 0] for c in columns), percents, sums, ("confidence", NONE_LABEL))


def _of_label_sets(evaluation: Evaluation) -> MatrixSteps:
    pairs = pair_records(evaluation)
    rule, eligible = "confidence", np.ones(len(pairs.confidence), dtype=np.bool_)
    if is_partial(evaluation):
        rule, eligible = "own threshold and confidence", decide_records(evaluation).is_predicted
    label_idx = pairs.label_idx[eligible].astype(np.int64)
    row = np.where(pairs.is_true[eligible], label_idx, pairs.n_labels)
    step = _find_steps(pairs.confidence[eligible])
    columns = row, label_idx, step, np.ones(len(row), dtype=np.int64)
    return _gather(columns, _PERCENTS, pairs.support, (rule, NONE_LABEL))


def _of_boxes(evaluation: Evaluation) -> MatrixSteps | None:
    found = compute_threshold_matrices(evaluation)
    if not found.matrices:
        return None
    n_labels = len(evaluation.labels)
    counts = np.stack([matrix.counts for matrix in found.matrices.values()])
    sums = counts[0, :n_labels].sum(axis=1)
    counts[:, :n_labels, n_labels:] = 0
    changes = -np.diff(counts, axis=0, append=np.zeros_like(counts[:1]))
    step, row, column = np.nonzero(changes)
    columns = row, column, step, changes[step, row, column]
    return _gather(columns, tuple(found.matrices), sums, (found.rule, BACKGROUND_LABEL))


def _find_steps(confidence: NDArray[np.float64]) -> IntArray:
    """The highest threshold in percent that each confidence reaches."""
    return np.searchsorted(np.arange(N_STEPS) / 100, confidence, side="right") - 1


def _gather(
    columns: tuple[IntArray, ...],
    percents: tuple[int, ...],
    sums: IntArray,
    words: tuple[str, str],
) -> MatrixSteps:
    """One entry a row, column and step, in this order; `words` are the rule and our own name."""
    row, column, step, change = columns
    size = len(sums) + 1
    codes = (row.astype(np.int64) * size + column) * N_STEPS + step
    cells, places = np.unique(codes, return_inverse=True)
    totals = np.bincount(places, weights=change, minlength=len(cells)).astype(np.int64)
    cells, totals = cells[totals != 0], totals[totals != 0]
    cell, steps = np.divmod(cells, N_STEPS)
    rows, found_columns = np.divmod(cell, size)
    return MatrixSteps(
        percents=percents,
        sums=np.asarray(sums, dtype=np.int64),
        row=rows,
        column=found_columns,
        step=steps,
        change=totals,
        rule=words[0],
        own=words[1],
    )

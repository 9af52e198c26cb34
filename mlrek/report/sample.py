"""Which images a page knows of: all of few, else mistakes first and every kind of them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, Evaluation, IntArray, Task
from mlrek.metrics import Predictions
from mlrek.metrics.outcomes import LabelOutcome, LabelOutcomes

MAX_SUSPECTS: Final = 60
_RIGHT_COSTS: Final = 3
"""So many mistakes of a kind are kept for each right image of a label."""
_SUSPECT_THUMBNAILS: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of the images fits on a page; `pairs` are wrong labels with their confidence."""

    images: int = 5_000
    name_bytes: int = 500_000
    rows: int = 30_000
    pairs: int = 45_000

    def scale(self, share: float) -> "Budget":
        """A share of it."""
        return Budget(
            images=int(self.images * share),
            name_bytes=int(self.name_bytes * share),
            rows=int(self.rows * share),
            pairs=int(self.pairs * share),
        )


def choose_images(evaluation: Evaluation, predictions: Predictions, budget: Budget) -> IntArray:
    """Images in the order of their interest, as many as the budget allows.

    Of each pair of a true and a predicted label the first few come first: of mistakes the surest,
    of what is right the least sure.
    """
    n_images = len(evaluation.images)
    priority = np.full(n_images, np.inf)
    np.minimum.at(priority, predictions.image_idx, _rank_rows(evaluation, predictions))
    order = np.argsort(priority, kind="stable")[: budget.images]
    sizes = np.array([len(evaluation.images[i]) for i in order.tolist()], dtype=np.int64)
    n_rows = np.bincount(predictions.image_idx, minlength=n_images)[order]
    fits = (np.cumsum(sizes) <= budget.name_bytes) & (np.cumsum(n_rows) <= budget.rows)
    return order[fits]


def find_suspects(predictions: Predictions, task: Task, images: IntArray) -> IntArray:
    """Rows that may be mistakes of the truth, the surest first, of the images shown.

    A prediction against the truth that is as sure as right predictions of its label are on average
    (after Northcutt, Jiang and Chuang 2021, whose threshold is the mean confidence of the label).
    A box on a true box of its label, badly placed or found twice, says nothing of the label.
    """
    y_true, y_pred, confidence = predictions.y_true, predictions.y_pred, predictions.confidence
    if task == Task.SEGMENTATION or not len(y_pred):
        return np.empty(0, dtype=np.int64)
    n_labels = int(max(y_pred.max(), y_true.max(), -1)) + 1
    right = (y_true == y_pred) & (y_pred >= 0)
    wrong = (y_true != y_pred) & (y_pred >= 0)
    if task == Task.CLASSIFICATION:
        wrong &= y_true >= 0
    if predictions.error:
        about_label = np.isin(np.array(predictions.error), ("classification", "background"))
        wrong &= about_label
    n_right = np.bincount(y_pred[right], minlength=n_labels)
    sums = np.bincount(y_pred[right], weights=confidence[right], minlength=n_labels)
    usual = np.where(n_right > 0, sums / np.maximum(n_right, 1), np.inf)
    rows = np.flatnonzero(wrong & np.isin(predictions.image_idx, images))
    rows = rows[confidence[rows] >= usual[y_pred[rows]]]
    order = np.argsort(-confidence[rows], kind="stable")
    return np.asarray(rows[order][:MAX_SUSPECTS])


def order_for_thumbnails(images: IntArray, outcomes: LabelOutcomes, suspects: IntArray) -> IntArray:
    """The images in the order in which a page shows them: `suspects` first, then galleries."""
    group = outcomes.label_idx.astype(np.int64) * len(LabelOutcome) + outcomes.outcome
    rank = _count_within(group)
    by_rank = outcomes.image_idx[np.argsort(rank, kind="stable")]
    wanted = np.concatenate([suspects[:_SUSPECT_THUMBNAILS], by_rank, images])
    _, first = np.unique(wanted, return_index=True)
    ordered = wanted[np.sort(first)]
    return np.asarray(ordered[np.isin(ordered, images)])


def _rank_rows(evaluation: Evaluation, predictions: Predictions) -> IntArray:
    """The place of each row among those of its true and predicted label, (n_rows,)."""
    y_true, y_pred = predictions.y_true.astype(np.int64), predictions.y_pred
    right = y_true == y_pred
    cell = (y_true + 1) * (len(evaluation.labels) + 1) + y_pred + 1
    confidence = np.nan_to_num(predictions.confidence, nan=-1.0)
    order = np.lexsort((np.where(right, confidence, -confidence), cell))
    rank = np.empty(len(cell), dtype=np.int64)
    rank[order] = _count_within(cell[order])
    return np.where(right, rank * _RIGHT_COSTS + _RIGHT_COSTS - 1, rank)


def _count_within(sorted_groups: IntArray) -> IntArray:
    """The place of each entry within its group, (n,)."""
    n = len(sorted_groups)
    starts = np.flatnonzero(np.diff(sorted_groups, prepend=-1))
    return np.arange(n) - np.repeat(starts, np.diff(starts, append=n))


def select_rows(predictions: Predictions, n_images: int, images: IntArray) -> IntArray:
    """The rows of the predictions on these images."""
    return np.flatnonzero(_mask(n_images, images)[predictions.image_idx])


def _mask(n: int, places: IntArray) -> BoolArray:
    mask = np.zeros(n, dtype=np.bool_)
    mask[places] = True
    return mask

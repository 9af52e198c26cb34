"""What was true and what was predicted, row by row, with label codes that both versions share."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from mlrek.comparison import Answer
from mlrek.evaluation import BoolArray, FloatArray, IntArray, Task
from mlrek.metrics import Metrics, Predictions
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.resampling import Weights

NO_LABEL = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A row per image (one label an image), per image and label, or per box.

    `image_idx`, `y_true`, `y_pred` (codes among the labels of both versions, -1: none) and
    `confidence` are (n,); `counted` (n_images,) tells which images count at all.
    """

    image_idx: IntArray
    y_true: IntArray
    y_pred: IntArray
    confidence: FloatArray
    counted: BoolArray

    @property
    def is_mistake(self) -> BoolArray:
        """Whether truth and prediction of a row differ, (n,)."""
        return np.asarray(self.y_true != self.y_pred)

    @property
    def is_right(self) -> BoolArray:
        """Whether nothing of an image is wrong, (n_images,)."""
        wrong = np.bincount(self.image_idx[self.is_mistake], minlength=len(self.counted))
        return np.asarray((wrong == 0) & self.counted)

    def keep(self, kept: BoolArray) -> "Rows":
        """The rows of `kept` (n,)."""
        return Rows(
            image_idx=self.image_idx[kept],
            y_true=self.y_true[kept],
            y_pred=self.y_pred[kept],
            confidence=self.confidence[kept],
            counted=self.counted,
        )

    def count(self, n_labels: int) -> LabelCounts:
        """Right predictions, predictions and truth of each label, (n_labels,)."""
        right = (self.y_true == self.y_pred) & (self.y_true >= 0)
        return LabelCounts(
            tp=np.bincount(self.y_true[right], minlength=n_labels),
            predicted=np.bincount(self.y_pred[self.y_pred >= 0], minlength=n_labels),
            support=np.bincount(self.y_true[self.y_true >= 0], minlength=n_labels),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CountSums:
    """What each image adds to the counts of each label: `rows` (3 * n_labels, n_images)."""

    rows: sp.csr_array

    def compute(self, weights: Weights) -> LabelCounts:
        """The counts of weighted images, (n, n_labels) each; weights (n_images, n)."""
        parts = np.split(self.rows @ weights, 3)
        tp, predicted, support = (part.T.round().astype(np.int64) for part in parts)
        return LabelCounts(tp=tp, predicted=predicted, support=support)


def describe_rows(metrics: Metrics, codes: IntArray, n_images: int) -> Rows:
    """The predictions of a version with its label codes translated.

    Images without truth count nowhere where an image has one label.
    """
    predictions = metrics.predictions or _nothing()
    translated = np.append(codes, NO_LABEL)
    counted = np.ones(n_images, dtype=np.bool_)
    rows = Rows(
        image_idx=predictions.image_idx,
        y_true=translated[predictions.y_true],
        y_pred=translated[predictions.y_pred],
        confidence=predictions.confidence,
        counted=counted,
    )
    if metrics.task is not Task.CLASSIFICATION:
        return rows
    has_truth = rows.y_true >= 0
    counted = np.zeros(n_images, dtype=np.bool_)
    counted[rows.image_idx[has_truth]] = True
    kept = rows.keep(has_truth)
    return Rows(
        image_idx=kept.image_idx,
        y_true=kept.y_true,
        y_pred=kept.y_pred,
        confidence=kept.confidence,
        counted=counted,
    )


def sum_rows(rows: Rows, n_labels: int) -> CountSums:
    """Lay out what each image adds."""
    right = (rows.y_true == rows.y_pred) & (rows.y_true >= 0)
    predicted, true = rows.y_pred >= 0, rows.y_true >= 0
    return sum_cells(
        [
            (rows.y_true[right], rows.image_idx[right]),
            (rows.y_pred[predicted], rows.image_idx[predicted]),
            (rows.y_true[true], rows.image_idx[true]),
        ],
        n_labels,
        len(rows.counted),
    )


def sum_cells(parts: list[tuple[IntArray, IntArray]], n_labels: int, n_images: int) -> CountSums:
    """Counts from (label, image) of what is right, what is predicted, and what is true."""
    labels = np.concatenate([label + i * n_labels for i, (label, _) in enumerate(parts)])
    images = np.concatenate([image for _, image in parts])
    ones = np.ones(len(labels), dtype=np.float32)
    shape = (3 * n_labels, n_images)
    return CountSums(rows=sp.csr_array((ones, (labels, images)), shape=shape))


def list_answers(rows: Rows, labels: tuple[str, ...], images: set[int]) -> dict[int, Answer]:
    """What was predicted on some images; several labels have the confidence of the least sure."""
    return {
        image: Answer(
            labels=tuple(labels[code] for code in sorted(y_pred)),
            confidence=min(confidence, default=np.nan),
        )
        for image, (_, y_pred, confidence) in _gather(rows, images).items()
    }


def list_truth(rows: Rows, labels: tuple[str, ...], images: set[int]) -> dict[int, tuple[str, ...]]:
    """The true labels of some images; of boxes as often as they stand there."""
    return {
        image: tuple(labels[code] for code in sorted(y_true))
        for image, (y_true, _, _) in _gather(rows, images).items()
    }


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


def _gather(rows: Rows, images: set[int]) -> dict[int, tuple[list[int], list[int], list[float]]]:
    found: dict[int, tuple[list[int], list[int], list[float]]] = {
        image: ([], [], []) for image in images
    }
    columns = (rows.image_idx, rows.y_true, rows.y_pred, rows.confidence)
    for image, y_true, y_pred, confidence in zip(*(c.tolist() for c in columns), strict=True):
        if image in found:
            true, predicted, sure = found[image]
            true += [y_true] * (y_true >= 0)
            predicted += [y_pred] * (y_pred >= 0)
            sure += [confidence] * (y_pred >= 0)
    return found


def _nothing() -> Predictions:
    none = np.empty(0, dtype=np.int64)
    return Predictions(image_idx=none, y_true=none, y_pred=none, confidence=np.empty(0), outcome=())

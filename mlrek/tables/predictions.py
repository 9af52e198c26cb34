"""What was predicted, image by image."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, Task
from mlrek.label_keys import BACKGROUND_LABEL, NONE_LABEL, display_label
from mlrek.metrics import Predictions
from mlrek.printable import escape_unencodable
from mlrek.tables.csv_text import number_cells, text_cells, write_long_csv

COLUMNS: Final = ("image", "predicted", "truth", "confidence", "outcome")
"""In this order MLflow's evaluation view groups by image and compares the predictions."""

BOX_COLUMNS: Final = ("left", "top", "right", "bottom", "error")
"""Further columns of boxes, in pixels where the size of the image is known."""

MAX_TABLE_ROWS: Final = 5000
"""More rows freeze the browser in MLflow's evaluation view."""

_NO_TRUTH: Final = "no truth"
_SIDES: Final[tuple[Literal["left"], Literal["right"]]] = ("left", "right")


def write_predictions(evaluation: Evaluation, predictions: Predictions) -> bytes:
    """All predictions in image order; `(none)` is no prediction, or no true label.

    Of boxes the one and the other is `(background)`. They also have their corners, and the kind of
    error where there is one.
    """
    labels = text_cells(_displayed(evaluation))
    boxes = predictions.boxes_xyxy

    def cells(block: slice) -> list[list[str]]:
        columns = [
            text_cells(evaluation.images[i] for i in predictions.image_idx[block].tolist()),
            [labels[i] for i in predictions.y_pred[block].tolist()],
            [labels[i] for i in predictions.y_true[block].tolist()],
            number_cells(predictions.confidence[block]),
            text_cells(predictions.outcome[block]),
        ]
        if boxes is None:
            return columns
        corners = [number_cells(corner) for corner in boxes[block].T]
        return [*columns, *corners, text_cells(predictions.error[block])]

    header = COLUMNS if boxes is None else (*COLUMNS, *BOX_COLUMNS)
    return write_long_csv(header, len(predictions.image_idx), cells)


def describe_predictions(
    evaluation: Evaluation, predictions: Predictions
) -> dict[str, list[str] | list[float | None]]:
    """The columns of MLflow's table: at most 5,000 rows, mistakes first.

    MLflow's evaluation view shows one value an image and version. So where an image has several
    labels, boxes or areas, its row joins them.
    """
    if evaluation.task == Task.CLASSIFICATION:
        return _describe_labels(evaluation, predictions)
    return _describe_images(evaluation, predictions)


def _describe_labels(
    evaluation: Evaluation, predictions: Predictions
) -> dict[str, list[str] | list[float | None]]:
    """Mistakes with the highest confidence come first and those without a prediction last.

    Then what is right, least confident first; then images without truth.
    """
    rows = _order_rows(predictions)[:MAX_TABLE_ROWS].tolist()
    labels = [escape_unencodable(label) for label in _displayed(evaluation)]
    confidence = predictions.confidence
    return {
        "image": [escape_unencodable(evaluation.images[predictions.image_idx[i]]) for i in rows],
        "predicted": [labels[predictions.y_pred[i]] for i in rows],
        "truth": [labels[predictions.y_true[i]] for i in rows],
        "confidence": _nan_to_none(confidence[i] for i in rows),
        "outcome": [predictions.outcome[i] for i in rows],
    }


def _describe_images(
    evaluation: Evaluation, predictions: Predictions
) -> dict[str, list[str] | list[float | None]]:
    """One row an image: its labels joined, the least sure prediction, and whether all is right.

    An image with a false label, box or area is wrong, one where something is only lacking missed.
    Most mistakes first, then the least sure.
    """
    n_false, n_missed = (_count_images(evaluation, predictions, name) for name in ("FP", "FN"))
    least = _find_least_sure(evaluation, predictions)
    n = len(evaluation.images)
    known = np.arange(n) if evaluation.masks is None else np.flatnonzero(evaluation.masks.readable)
    order = np.lexsort((np.nan_to_num(least, nan=2.0)[known], -(n_false + n_missed)[known]))
    images = known[order[:MAX_TABLE_ROWS]]
    verdict = np.select([n_false > 0, n_missed > 0], ["wrong", "missed"], "correct")
    labels = [escape_unencodable(display_label(label)) for label in evaluation.labels]
    starts, ends = (np.searchsorted(predictions.image_idx, images, side) for side in _SIDES)
    rows = [slice(*ends_of) for ends_of in zip(starts.tolist(), ends.tolist(), strict=True)]
    return {
        "image": [escape_unencodable(evaluation.images[i]) for i in images.tolist()],
        "predicted": [_join_labels(predictions.y_pred[row], labels) for row in rows],
        "truth": [_join_labels(predictions.y_true[row], labels) for row in rows],
        "confidence": _nan_to_none(least[images]),
        "outcome": verdict[images].tolist(),
    }


def _count_images(evaluation: Evaluation, predictions: Predictions, outcome: str) -> IntArray:
    """How many rows of that outcome each image has, (n_images,)."""
    has_it = np.array([found == outcome for found in predictions.outcome], dtype=np.bool_)
    return np.bincount(predictions.image_idx[has_it], minlength=len(evaluation.images))


def _find_least_sure(evaluation: Evaluation, predictions: Predictions) -> FloatArray:
    """The smallest confidence of a prediction of each image, (n_images,); NaN without one."""
    least = np.full(len(evaluation.images), np.nan)
    is_predicted = predictions.y_pred >= 0
    confidence = predictions.confidence[is_predicted]
    np.fmin.at(least, predictions.image_idx[is_predicted], confidence)
    return least


def _join_labels(codes: IntArray, labels: Sequence[str]) -> str:
    """Labels in label order; one that is there several times with how often: `car ×2, bus`."""
    found, times = np.unique(codes[codes >= 0], return_counts=True)
    names = (
        labels[code] if n == 1 else f"{labels[code]} ×{n}"
        for code, n in zip(found.tolist(), times.tolist(), strict=True)
    )
    return ", ".join(names) or NONE_LABEL


def _nan_to_none(values: Iterable[float]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _order_rows(predictions: Predictions) -> IntArray:
    is_right = predictions.y_true == predictions.y_pred
    has_no_truth = np.array([outcome == _NO_TRUTH for outcome in predictions.outcome], dtype=bool)
    group = np.where(has_no_truth, 2, np.where(is_right, 1, 0))
    confidence = np.nan_to_num(predictions.confidence, nan=-1.0)
    return np.lexsort((np.where(group == 0, -confidence, confidence), group))


def _displayed(evaluation: Evaluation) -> list[str]:
    """Display names by label code; the last one, code -1, is no label."""
    nothing = BACKGROUND_LABEL if evaluation.task == Task.DETECTION else NONE_LABEL
    return [*map(display_label, evaluation.labels), nothing]

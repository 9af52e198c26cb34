"""What was predicted, image by image."""

from typing import Final

import numpy as np

from mlrek.evaluation import BACKGROUND_LABEL, NONE_LABEL, Evaluation, IntArray, Task
from mlrek.label_keys import display_label
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

    Mistakes with the highest confidence come first and those without a prediction last; then what
    is right, least confident first; then images without truth.
    """
    rows = _order_rows(predictions)[:MAX_TABLE_ROWS].tolist()
    labels = [escape_unencodable(label) for label in _displayed(evaluation)]
    confidence = predictions.confidence
    return {
        "image": [escape_unencodable(evaluation.images[predictions.image_idx[i]]) for i in rows],
        "predicted": [labels[predictions.y_pred[i]] for i in rows],
        "truth": [labels[predictions.y_true[i]] for i in rows],
        "confidence": [None if np.isnan(confidence[i]) else float(confidence[i]) for i in rows],
        "outcome": [predictions.outcome[i] for i in rows],
    }


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

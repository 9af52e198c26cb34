"""What the provider reported about its boxes, beside ours."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from mlrek.evaluation import Detections, Evaluation, FloatArray
from mlrek.metrics import LabelScores, Number, Reconciled
from mlrek.metrics.side_by_side import put_side_by_side

_AREAS: Final = {
    "average_precision": ("ap", "over IoU 0.50 to 0.95"),
    "average_precision_50": ("ap_50", "at IoU 0.50"),
    "average_precision_75": ("ap_75", "at IoU 0.75"),
    "average_recall": ("ar_100", "over IoU 0.50 to 0.95"),
}
_AREA_RULE: Final = "COCO's, {}; the provider does not say how it computes its own"
_MACRO_RULE: Final = (
    "macro average of counts of boxes at the assumed thresholds; the provider counts otherwise"
)
_LABEL_RULE: Final = "counts of boxes at the assumed threshold; the provider counts otherwise"
_SUPPORT_RULE: Final = (
    "images with a true box of the label; the provider does not say whether it counts images"
)


def reconcile_boxes(
    evaluation: Evaluation,
    detections: Detections,
    numbers: Mapping[str, Number],
    per_label: LabelScores,
) -> tuple[Reconciled, ...]:
    """Every number the provider reported, with ours of that name.

    Args:
        evaluation: What was read.
        detections: Its boxes.
        numbers: Our aggregates, and those at the threshold.
        per_label: The scores of each label at the threshold.
    """
    scores = {
        "precision": per_label.precision,
        "recall": per_label.recall,
        "f1": per_label.f1,
    }
    areas = {
        name: (numbers[ours].value, _AREA_RULE.format(where))
        for name, (ours, where) in _AREAS.items()
    }
    labels = {name: (column, _LABEL_RULE) for name, column in scores.items()}
    return put_side_by_side(
        evaluation,
        areas | {name: (numbers[f"{name}_macro"].value, _MACRO_RULE) for name in scores},
        labels
        | {
            "average_precision": (per_label.ap, areas["average_precision"][1]),
            "test_images": (_count_images(detections, len(evaluation.labels)), _SUPPORT_RULE),
        },
    )


def _count_images(detections: Detections, n_labels: int) -> FloatArray:
    """Images with a true box of each label, (n_labels,)."""
    truth = detections.truth
    cells = np.sort(truth.image_idx * n_labels + truth.label_idx)
    is_first = np.diff(cells, prepend=-1) > 0
    return np.bincount(cells[is_first] % max(n_labels, 1), minlength=n_labels).astype(np.float64)

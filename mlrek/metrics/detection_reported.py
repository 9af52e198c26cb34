"""What the provider reported about its boxes, beside ours."""

from collections.abc import Iterator, Mapping
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray
from mlrek.metrics import LabelScores, Number, Reconciled
from mlrek.metrics.reconciliation import IMAGES_RULE, NO_RULE, TRAINING_RULE

_THRESHOLD: Final = "threshold"  # a setting among the reported numbers, not a result
_SCORES: Final = ("precision", "recall", "f1")
_UNKNOWN_IOU: Final = "the provider does not say which IoU it takes"
_AREA_RULES: Final = {
    "average_precision": ("ap", f"COCO's, over IoU 0.50 to 0.95; {_UNKNOWN_IOU}"),
    "average_recall": ("ar_100", f"COCO's, over IoU 0.50 to 0.95; {_UNKNOWN_IOU}"),
}
MACRO_RULE: Final = (
    "macro average of counts of boxes at the assumed thresholds; the provider counts otherwise"
)
LABEL_RULE: Final = "counts of boxes at the assumed threshold; the provider counts otherwise"
SUPPORT_RULE: Final = (
    "images with a true box of the label; the provider does not say whether it counts images"
)


def reconcile_boxes(
    evaluation: Evaluation, numbers: Mapping[str, Number], per_label: LabelScores
) -> tuple[Reconciled, ...]:
    """Every number the provider reported, with ours of that name.

    Only the number of images is counted by the same rule; all else stands side by side.

    Args:
        evaluation: What was read.
        numbers: Our aggregates, and those at the threshold.
        per_label: The scores of each label at the threshold.
    """
    return (
        *_reconcile_images(evaluation),
        *_reconcile_aggregate(evaluation, numbers),
        *_reconcile_labels(evaluation, per_label),
    )


def _beside(name: str, reported: float, computed: float, rule: str) -> Reconciled:
    return Reconciled(name=name, reported=reported, computed=computed, agrees=None, rule=rule)


def _reconcile_images(evaluation: Evaluation) -> Iterator[Reconciled]:
    reported, n_images = evaluation.reported, len(evaluation.images)
    if reported.test_images is not None:
        yield Reconciled(
            name="test_images",
            reported=reported.test_images,
            computed=n_images,
            agrees=reported.test_images == n_images,
            rule=IMAGES_RULE,
        )
    if reported.train_images is not None:
        yield _beside("train_images", reported.train_images, nan, TRAINING_RULE)


def _reconcile_aggregate(
    evaluation: Evaluation, numbers: Mapping[str, Number]
) -> Iterator[Reconciled]:
    rules = _AREA_RULES | {name: (f"{name}_macro", MACRO_RULE) for name in _SCORES}
    for name, value in evaluation.reported.aggregate.items():
        if name != _THRESHOLD:
            ours, rule = rules.get(name, ("", NO_RULE))
            yield _beside(name, value, numbers[ours].value if ours else nan, rule)


def _reconcile_labels(evaluation: Evaluation, per_label: LabelScores) -> Iterator[Reconciled]:
    if not evaluation.reported.per_label:
        return
    columns: dict[str, tuple[FloatArray, str]] = {
        "precision": (per_label.precision, LABEL_RULE),
        "recall": (per_label.recall, LABEL_RULE),
        "f1": (per_label.f1, LABEL_RULE),
        "average_precision": (per_label.ap, _AREA_RULES["average_precision"][1]),
        "test_images": (_count_images(evaluation), SUPPORT_RULE),
    }
    codes = {label: code for code, label in enumerate(evaluation.labels)}
    for label, scores in evaluation.reported.per_label.items():
        for name, value in scores.items():
            if name == _THRESHOLD:
                continue
            column, rule = columns.get(name, (None, NO_RULE))
            computed = nan if column is None or label not in codes else float(column[codes[label]])
            yield _beside(f"{name}/{label}", value, computed, rule)


def _count_images(evaluation: Evaluation) -> FloatArray:
    """Images with a true box of each label, (n_labels,); NaN without boxes at all."""
    n_labels = len(evaluation.labels)
    if evaluation.detections is None or not n_labels:
        return np.full(n_labels, nan)
    truth = evaluation.detections.truth
    cells = np.sort(truth.image_idx * n_labels + truth.label_idx)
    is_first = np.diff(cells, prepend=-1) > 0
    return np.bincount(cells[is_first] % n_labels, minlength=n_labels).astype(np.float64)

"""Evaluation -> numbers. Pure: arrays in, frozen results out. This module holds the results' types.

`compute_metrics` of `mlrek.metrics.compute` dispatches by task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isnan, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Doubt, FloatArray, IntArray, RecordsKind, Task

NO_CONFIDENCES: Final = "the predictions hold no confidences"
"""Why there is no number that needs them (`Evaluation.is_scored`)."""


class PredictionRule(StrEnum):
    """Which record is an image's prediction in one-label classification."""

    TOP1 = "top1"
    THRESHOLD = "threshold"
    NOTEBOOK = "notebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One metric: its value, its interval, and why either is undefined where it is NaN.

    `low` and `high` are the ends at the confidence that was asked for (95 % in every run), NaN
    where there is none; `reason` says why something is missing, '' where nothing is.
    """

    value: float
    low: float = nan
    high: float = nan
    reason: str = ""

    @property
    def is_defined(self) -> bool:
        """Whether there is a value at all."""
        return not isnan(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionMatrix:
    """Counts, rows true, columns predicted.

    `counts` (rows, columns) int64. Rows and columns carry raw label names; our own `(none)`,
    `(background)` stand last, after all labels. Several labels an image: no label is confused with
    another, `(none)` has what is true but not predicted (column) or the reverse (row).
    """

    counts: NDArray[np.int64]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScores:
    """Per-label numbers in label order, each (n_labels,); NaN where undefined.

    `precision_low` … are ends of intervals; `ap` and `roc_auc` need complete records. Boxes count
    in detection, pixels in segmentation, which alone has `iou` and `dice`.
    """

    support: IntArray
    tp: IntArray
    fp: IntArray
    fn: IntArray
    precision: FloatArray
    precision_low: FloatArray
    precision_high: FloatArray
    recall: FloatArray
    recall_low: FloatArray
    recall_high: FloatArray
    f1: FloatArray
    f1_low: FloatArray | None = None
    f1_high: FloatArray | None = None
    ap: FloatArray
    ap_low: FloatArray | None = None
    ap_high: FloatArray | None = None
    roc_auc: FloatArray
    roc_auc_low: FloatArray | None = None
    roc_auc_high: FloatArray | None = None
    iou: FloatArray | None = None
    iou_low: FloatArray | None = None
    iou_high: FloatArray | None = None
    dice: FloatArray | None = None
    dice_low: FloatArray | None = None
    dice_high: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdCurves:
    """Counts at thresholds 0.00, 0.01 … 1.00: a record counts as predicted where confidence >= t.

    `thresholds` (101,); `tp`, `fp`, `fn` (101, n_labels) int64 per label; the overall curve is
    their sum over labels (micro). `stops_at` says where the records stop, '' when they do not.
    """

    thresholds: FloatArray
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    stops_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRecallCurve:
    """One precision-recall curve with points in order of falling threshold; `label` '' is micro."""

    label: str
    precision: FloatArray
    recall: FloatArray
    average_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What was predicted: a row per image (classification), image and label (multilabel), or box.

    `image_idx`, `y_true`, `y_pred` (label codes, -1: none), `confidence` (NaN: none) and `outcome`
    (str) are all (n,), in image order. Detection also has `boxes_xyxy` (n, 4), of what is missed
    the true box, and `error` (n,), the kind of a mistake or '' (a key of `Metrics.errors`).
    """

    image_idx: IntArray
    y_true: IntArray
    y_pred: IntArray
    confidence: FloatArray
    outcome: tuple[str, ...]
    boxes_xyxy: FloatArray | None = None
    error: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """A number the provider reported, and what mlrek computes by the same rule."""

    name: str  # as in `reported/…`; per label `f1/<label>`
    reported: float
    computed: float  # NaN: cannot be computed from what was published
    agrees: bool | None  # None: cannot be compared
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Every number of one version. Undefined ones are there as NaN with their reason.

    `crossfit` and `crossfit_per_label` are numbers at thresholds that the other images chose.
    `extra` are numbers that stand in `evaluation.json` alone; `errors` counts the mistakes of a
    detection by kind; `baseline` are the aggregates of the model that this one was adapted from.
    `doubts` are those that show when the numbers are made; the evaluation has its own.
    """

    task: Task
    labels: tuple[str, ...]
    prediction_rule: str
    records: RecordsKind | None  # None: no manifest
    test_images: int | None
    aggregate: Mapping[str, Number] = field(default_factory=dict)
    at_threshold: Mapping[str, Number] = field(default_factory=dict)
    per_label: LabelScores | None = None
    at_threshold_per_label: LabelScores | None = None
    crossfit: Mapping[str, Number] = field(default_factory=dict)
    crossfit_per_label: LabelScores | None = None
    confusion: ConfusionMatrix | None = None
    curves: ThresholdCurves | None = None
    precision_recall: tuple[PrecisionRecallCurve, ...] = ()
    predictions: Predictions | None = None
    reconciliation: tuple[Reconciled, ...] = ()
    extra: Mapping[str, Number] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    baseline: Mapping[str, Number] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...] = ()

"""Tables with a row for each label: its numbers, its curves, and its names."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray
from mlrek.label_keys import ALL_LABEL, display_label, metric_key_labels
from mlrek.metrics import LabelScores, Metrics, ThresholdCurves
from mlrek.metrics.curve_scores import score_counts
from mlrek.tables.csv_text import number_cells, text_cells, write_csv
from mlrek.tables.json_text import Json

_COUNTS: Final = ("support", "tp", "fp", "fn")
_SCORES: Final = (
    "precision",
    "precision_low",
    "precision_high",
    "recall",
    "recall_low",
    "recall_high",
    "f1",
    "ap",
    "roc_auc",
)
_AREA_SCORES: Final = ("iou", "iou_low", "iou_high", "dice")  # of masks alone
_MAIN_SCORES: Final = ("precision", "recall", "f1")
_THRESHOLD: Final = "threshold"


def write_per_label(evaluation: Evaluation, metrics: Metrics) -> bytes:
    """Everything known of each label, in label order; what is undefined is an empty cell.

    `threshold` is the provider's assumed one, `at_threshold_…` what mlrek computes there,
    `reported_…` what the provider published.
    """
    columns = {
        "label": text_cells(map(display_label, metrics.labels)),
        **{
            name: number_cells(values)
            for name, values in label_columns(evaluation, metrics).items()
        },
    }
    return write_csv(tuple(columns), tuple(columns.values()))


def label_columns(evaluation: Evaluation, metrics: Metrics) -> dict[str, FloatArray | IntArray]:
    """The numbers of `per_label.csv` by column, each (n_labels,), NaN where undefined."""
    n = len(metrics.labels)
    columns = {name: _column(metrics.per_label, name, n) for name in (*_COUNTS, *_SCORES)}
    for name in _AREA_SCORES:
        if getattr(metrics.per_label, name, None) is not None:
            columns[name] = _column(metrics.per_label, name, n)
    columns[_THRESHOLD] = evaluation.thresholds
    for name in _MAIN_SCORES:
        columns[f"at_threshold_{name}"] = _column(metrics.at_threshold_per_label, name, n)
    for name in reported_names(evaluation.reported.per_label):
        columns[f"reported_{name}"] = np.array(
            [
                evaluation.reported.per_label.get(label, {}).get(name, nan)
                for label in metrics.labels
            ]
        )
    return columns


def reported_names(per_label: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The scores that every run has a column for, then whatever else a provider reports."""
    found = dict.fromkeys(name for numbers in per_label.values() for name in numbers)
    return (*_MAIN_SCORES, *(name for name in found if name not in (*_MAIN_SCORES, _THRESHOLD)))


def write_threshold_curves(curves: ThresholdCurves, labels: Sequence[str]) -> bytes:
    """Counts and scores at each threshold: all labels together, `(all)`, then label by label."""
    tp, fp, fn = (_with_total(counts) for counts in (curves.tp, curves.fp, curves.fn))
    n_curves, n_thresholds = tp.shape
    names = text_cells((ALL_LABEL, *map(display_label, labels)))
    return write_csv(
        ("label", "threshold", "tp", "fp", "fn", "precision", "recall", "f1"),
        (
            [name for name in names for _ in range(n_thresholds)],
            number_cells(curves.thresholds) * n_curves,
            *(number_cells(values.ravel()) for values in (tp, fp, fn, *score_counts(tp, fp, fn))),
        ),
    )


def describe_labels(labels: Sequence[str]) -> dict[str, Json]:
    """What each label, by its own name, is called elsewhere, and its place in label order."""
    keys = metric_key_labels(labels)
    return {
        label: {"metric_key": keys[i], "index": i, "display": display_label(label)}
        for i, label in enumerate(labels)
    }


def _column(scores: LabelScores | None, name: str, n: int) -> FloatArray | IntArray:
    return np.full(n, nan) if scores is None else np.asarray(getattr(scores, name))


def _with_total(counts: IntArray) -> IntArray:
    """Counts (n_thresholds, n_labels) as (1 + n_labels, n_thresholds), first all labels'."""
    return np.vstack([counts.sum(axis=1), counts.T])

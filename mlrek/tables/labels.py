"""Tables with a row for each label: its numbers, its curves, and its names."""

from collections.abc import Sequence

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray
from mlrek.label_keys import ALL_LABEL, display_label, metric_key_labels
from mlrek.metrics import Metrics, ThresholdCurves
from mlrek.metrics.curve_scores import score_counts
from mlrek.metrics.numbers import list_label_columns
from mlrek.tables.csv_text import number_cells, text_cells, write_csv
from mlrek.tables.json_text import Json


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
    """The numbers of `per_label.csv` by column, each (n_labels,), NaN where undefined.

    The ends of an interval follow their number as `…_low` and `…_high`.
    """
    columns: dict[str, FloatArray | IntArray] = {}
    for name, column in list_label_columns(evaluation, metrics).items():
        ends = {f"{name}_low": column.low, f"{name}_high": column.high}
        columns[name] = column.values
        columns |= {end: values for end, values in ends.items() if values is not None}
    return columns


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


def _with_total(counts: IntArray) -> IntArray:
    """Counts (n_thresholds, n_labels) as (1 + n_labels, n_thresholds), first all labels'."""
    return np.vstack([counts.sum(axis=1), counts.T])

"""The numbers of a run as MLflow logs them: keys of the contract, values, and steps of curves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlrek.evaluation import Evaluation, Reported
from mlrek.label_keys import metric_key_labels
from mlrek.metrics import Metrics, ThresholdCurves
from mlrek.metrics.crossfit import LOGGED_NAMES, PREFIX
from mlrek.metrics.curve_scores import score_all_labels
from mlrek.metrics.headlines import list_headlines
from mlrek.metrics.numbers import NumberRow, list_numbers

MAX_METRIC_KEYS = 400
MAX_DETAILED_LABELS = 50
NOT_LOGGED = "extra/"
"""Begins what stands in `evaluation.json` alone."""
AGGREGATE = "aggregate"
LABEL_GROUPS = ("label_f1", "label_precision", "label_recall", "label_ap")
"""What is logged of single labels; of many labels the first alone."""
EVALUATOR_NAMES = {
    "accuracy_score": "accuracy",
    "precision_score": "precision_weighted",
    "recall_score": "recall_weighted",
    "f1_score": "f1_weighted",
}
"""MLflow's own evaluator's names -> ours, where both mean the same (weighted averages)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One logged number."""

    key: str
    value: float
    step: int = 0


def describe_metrics(evaluation: Evaluation, metrics: Metrics) -> tuple[MetricPoint, ...]:
    """Every number of a run under its contract key, at most `MAX_METRIC_KEYS` keys."""
    rows = tuple(list_numbers(evaluation, metrics))
    points = [*_scores(metrics), *_numbers(rows), *_intervals(rows), *_evaluator_names(metrics)]
    points += _reported_curve_points(evaluation)
    if metrics.curves is not None:
        points += _curve_points(metrics.curves)
    if metrics.per_label is not None:
        room = MAX_METRIC_KEYS - len({point.key for point in points})
        points += _label_points(metrics.labels, rows, room)
    return tuple(points)


def _scores(metrics: Metrics) -> Iterator[MetricPoint]:
    """The headline numbers of the task again, under keys of which charts show the first letters."""
    for name, number in list_headlines(metrics).items():
        yield MetricPoint(key=f"score/{name}", value=number.value)


def _numbers(rows: Sequence[NumberRow]) -> Iterator[MetricPoint]:
    for row in rows:
        is_logged = not row.label and not row.name.startswith(NOT_LOGGED)
        if row.name.startswith(PREFIX):
            is_logged = not row.label and row.name.removeprefix(PREFIX) in LOGGED_NAMES
        if is_logged and row.number.is_defined:
            yield MetricPoint(key=row.name, value=row.number.value)


def _intervals(rows: Sequence[NumberRow]) -> Iterator[MetricPoint]:
    for row in rows:
        group, _, name = row.name.partition("/")
        number = row.number
        has_interval = not np.isnan([number.low, number.high]).any()
        if group == AGGREGATE and number.is_defined and has_interval:
            yield MetricPoint(key=f"interval/{name}_low", value=number.low)
            yield MetricPoint(key=f"interval/{name}_high", value=number.high)


def _evaluator_names(metrics: Metrics) -> Iterator[MetricPoint]:
    if "accuracy" not in metrics.aggregate:
        return
    for name, ours in EVALUATOR_NAMES.items():
        if metrics.aggregate[ours].is_defined:
            yield MetricPoint(key=name, value=metrics.aggregate[ours].value)
    if metrics.per_label is not None:
        yield MetricPoint(key="example_count", value=float(metrics.per_label.support.sum()))


def _curve_points(curves: ThresholdCurves) -> Iterator[MetricPoint]:
    for name, values in score_all_labels(curves)._asdict().items():
        for step in np.flatnonzero(~np.isnan(values)):
            yield MetricPoint(key=f"curve/{name}", value=float(values[step]), step=int(step))


def _reported_curve_points(evaluation: Evaluation) -> Iterator[MetricPoint]:
    """The provider's own curve of all labels; of thresholds with one whole percent the first."""
    for prefix, reported in _reported_models(evaluation):
        curve = reported.curves.get("")
        if curve is None:
            continue
        steps, first = np.unique(np.rint(curve.thresholds * 100).astype(int), return_index=True)
        for name in ("precision", "recall", "f1"):
            values = getattr(curve, name)[first]
            for i in np.flatnonzero(~np.isnan(values)):
                key = f"reported_curve/{prefix}{name}"
                yield MetricPoint(key=key, value=float(values[i]), step=int(steps[i]))


def _reported_models(evaluation: Evaluation) -> Iterator[tuple[str, Reported]]:
    """What is reported of the version, and under a prefix of the model it was adapted from."""
    yield "", evaluation.reported
    if evaluation.reported.baseline is not None:
        yield "base_", evaluation.reported.baseline


def _label_points(
    labels: Sequence[str], rows: Sequence[NumberRow], room: int
) -> Iterator[MetricPoint]:
    """The numbers of single labels, of the most frequent ones where not all have room."""
    keys = metric_key_labels(labels)
    groups = LABEL_GROUPS if len(labels) <= MAX_DETAILED_LABELS else LABEL_GROUPS[:1]
    by_group = {group: [row.number.value for row in rows if row.name == group] for group in groups}
    support = np.array([row.number.value for row in rows if row.name == "label_support"])
    most_frequent = np.sort(np.argsort(-support, kind="stable")[: room // len(groups)])
    for group, values in by_group.items():
        for i in most_frequent:
            if not np.isnan(values[i]):
                yield MetricPoint(key=f"{group}/{keys[i]}", value=values[i])

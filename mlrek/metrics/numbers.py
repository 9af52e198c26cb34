"""All numbers of a version in one list, what they are called, and the few that say most."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from math import isnan, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, Task
from mlrek.metrics import LabelScores, Metrics, Number
from mlrek.metrics.crossfit import LABEL_PREFIX

MAIN_SCORES: Final = ("precision", "recall", "f1")
NO_REPORTED_INTERVAL: Final = "the service reports no interval of its numbers"
NO_IMAGE: Final = "undefined: the test set has nothing of this label; add images of it"
UNDEFINED_LABEL: Final = "undefined for this label: see the warnings of its evaluation.json"

CROSSFIT_COLUMN: Final = "crossfit_"

_THRESHOLD: Final = "threshold"
_ENDS: Final = ("_low", "_high")
_Group = Callable[[Metrics], Mapping[str, Number]]
_GROUPS: Mapping[str, _Group] = MappingProxyType(
    {
        "aggregate": lambda metrics: metrics.aggregate,
        "at_threshold": lambda metrics: metrics.at_threshold,
        "crossfit": lambda metrics: metrics.crossfit,
        "base_model": lambda metrics: metrics.baseline,
        "extra": lambda metrics: metrics.extra,
        "errors": lambda metrics: {n: Number(value=count) for n, count in metrics.errors.items()},
    }
)
"""What is computed of all labels together, by the group that begins its name."""
NUMBER_GROUPS: Final = tuple(_GROUPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRow:
    """One number by its name: `aggregate/f1_macro`, or `label_recall` with a raw label."""

    name: str
    number: Number
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumn:
    """One number of each label in label order, (n_labels,), NaN where undefined.

    `low` and `high` are the ends of intervals, None for a number that never has one.
    """

    values: FloatArray | IntArray
    low: FloatArray | None = None
    high: FloatArray | None = None


_OPTIONAL: Final = frozenset(field.name for field in fields(LabelScores) if field.default is None)
"""Scores that only some tasks have."""

HEADLINES: Mapping[Task, tuple[str, ...]] = MappingProxyType(
    {
        Task.CLASSIFICATION: ("accuracy", "f1_macro", "balanced_accuracy", "mcc"),
        Task.MULTILABEL: ("subset_accuracy", "f1_macro", "f1_micro", "average_precision_macro"),
        Task.DETECTION: ("ap", "ap_50", "ap_75", "ar_100"),
        Task.SEGMENTATION: ("mean_iou", "mean_dice", "pixel_f1", "pixel_recall"),
    }
)
"""Names of `aggregate/` by task, at most 6, the one that stands for the version first.

Terminal, notes, pages, comparison and charts show these.
"""
SERVICE_F1: Final = "reported/f1"
"""What stands beside them where the service reports it, and for them where nothing is computed."""

_WORDS: Final = MappingProxyType(
    {
        "f1": "F1",
        "ece": "calibration error (ECE)",
        "mcc": "Matthews correlation",
        "cohen_kappa": "Cohen's kappa",
        "ap": "AP",
        "ap_50": "AP at IoU 0.50",
        "ap_75": "AP at IoU 0.75",
        "ar_100": "AR, 100 detections",
        "auc": "AUC",
        "roc": "ROC",
        "iou": "IoU",
        "dice": "Dice",
        "tp": "TP",
        "fp": "FP",
        "fn": "FN",
    }
)
_PARTS: Final = MappingProxyType(
    {
        "aggregate": "{}",
        "extra": "{}",
        "score": "{}",
        "at_threshold": "{} at the assumed thresholds",
        "base_model": "{} of the base model",
        "reported": "service {}",
        "crossfit": "{}, cross-fitted",
        "errors": "{} errors",
        "training": "{}",
        "curve": "{} over thresholds",
        "interval": "interval of {}",
    }
)
"""How a number of a group is called."""
_LABEL_PARTS: Final = (
    ("label_reported_", "service {}"),
    ("label_at_threshold_", "{} at the assumed threshold"),
    ("label_", "{}"),
)


def list_numbers(evaluation: Evaluation, metrics: Metrics) -> Iterator[NumberRow]:
    """Every number of a version, undefined ones with their reason.

    Of all labels together: `aggregate/…`, `at_threshold/…`, `crossfit/…`, `base_model/…`,
    `extra/…`, `errors/…`, `reported/…` (`reported/base_…` of the model that this one was adapted
    from) and `training/billable_minutes`. Then those of each label with the raw label: `label_…`
    and `crossfit/label_…`.
    """
    for group, find in _GROUPS.items():
        for name, number in find(metrics).items():
            yield NumberRow(name=f"{group}/{name}", number=number)
    yield from _list_reported(evaluation)
    minutes = evaluation.version.billable_minutes
    if minutes is not None:
        yield NumberRow(name="training/billable_minutes", number=Number(value=minutes))
    yield from _list_labels(evaluation, metrics)


def list_label_columns(evaluation: Evaluation, metrics: Metrics) -> dict[str, LabelColumn]:
    """The numbers of labels by name, without `label_` before it.

    `threshold` is the provider's assumed one, `at_threshold_…` what is computed there,
    `crossfit_…` what thresholds give that the other images chose, where there is such a number,
    `reported_…` what the provider published.
    """
    columns = _list_scores(metrics.per_label, len(metrics.labels))
    columns[_THRESHOLD] = LabelColumn(values=evaluation.thresholds)
    for name in MAIN_SCORES:
        columns[f"at_threshold_{name}"] = LabelColumn(
            values=_column(metrics.at_threshold_per_label, name, len(metrics.labels))
        )
    if metrics.crossfit_per_label is not None:
        fitted = _list_scores(metrics.crossfit_per_label, len(metrics.labels))
        columns |= {f"{CROSSFIT_COLUMN}{name}": fitted[name] for name in MAIN_SCORES}
    per_label = evaluation.reported.per_label
    for name in reported_names(per_label):
        values = [per_label.get(label, {}).get(name, nan) for label in metrics.labels]
        columns[f"reported_{name}"] = LabelColumn(values=np.array(values, dtype=np.float64))
    return columns


def reported_names(per_label: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The scores that every run has a column for, then whatever else a provider reports."""
    found = dict.fromkeys(name for numbers in per_label.values() for name in numbers)
    return (*MAIN_SCORES, *(name for name in found if name not in (*MAIN_SCORES, _THRESHOLD)))


def _list_reported(evaluation: Evaluation) -> Iterator[NumberRow]:
    reported = evaluation.reported
    base = reported.baseline.aggregate if reported.baseline else {}
    for prefix, numbers in (("", reported.aggregate), ("base_", base)):
        for name, value in numbers.items():
            number = Number(value=value, reason=NO_REPORTED_INTERVAL)
            yield NumberRow(name=f"reported/{prefix}{name}", number=number)


def _list_labels(evaluation: Evaluation, metrics: Metrics) -> Iterator[NumberRow]:
    columns = list_label_columns(evaluation, metrics)
    support = columns["support"].values
    for name, column in columns.items():
        for i, label in enumerate(metrics.labels):
            undefined = NO_IMAGE if support[i] == 0 else UNDEFINED_LABEL
            value = float(column.values[i])
            number = Number(
                value=value,
                low=nan if column.low is None else float(column.low[i]),
                high=nan if column.high is None else float(column.high[i]),
                reason=undefined if isnan(value) else "",
            )
            yield NumberRow(name=name_label_number(name), label=label, number=number)


def name_label_number(column: str) -> str:
    """The name of a number of labels from that of its column.

    >>> name_label_number("recall"), name_label_number("crossfit_recall")
    ('label_recall', 'crossfit/label_recall')
    """
    if column.startswith(CROSSFIT_COLUMN):
        return LABEL_PREFIX + column.removeprefix(CROSSFIT_COLUMN)
    return f"label_{column}"


def _list_scores(scores: LabelScores | None, n: int) -> dict[str, LabelColumn]:
    """Whatever `LabelScores` has, in its order; without images what every task has, undefined."""
    known = [field for field in fields(scores or LabelScores) if _is_there(scores, field.name)]
    names = [field.name for field in known if not field.name.endswith(_ENDS)]
    ends = {field.name for field in known if field.name.endswith(_ENDS)}
    return {
        name: LabelColumn(
            values=_column(scores, name, n),
            low=_column(scores, f"{name}_low", n) if f"{name}_low" in ends else None,
            high=_column(scores, f"{name}_high", n) if f"{name}_high" in ends else None,
        )
        for name in names
    }


def _is_there(scores: LabelScores | None, name: str) -> bool:
    """Whether a task has this score of labels at all."""
    if scores is None:
        return name not in _OPTIONAL
    return getattr(scores, name) is not None


def _column(scores: LabelScores | None, name: str, n: int) -> FloatArray:
    return np.full(n, nan) if scores is None else np.asarray(getattr(scores, name))


def list_headlines(metrics: "Metrics") -> dict[str, "Number"]:
    """The headline numbers that a version has, by name, the most telling first."""
    names = [name for name in HEADLINES[metrics.task] if name in metrics.aggregate]
    return {name: metrics.aggregate[name] for name in names if metrics.aggregate[name].is_defined}


def name_metric(name: str) -> str:
    """A number's name as people write it.

    >>> name_metric("aggregate/f1_macro"), name_metric("reported/f1"), name_metric("label_recall")
    ('F1 macro', 'service F1', 'recall')
    >>> name_metric("at_threshold/precision_micro")
    'precision micro at the assumed thresholds'
    """
    group, slash, rest = name.partition("/")
    if slash:
        rest = rest.removeprefix("label_")
        return _PARTS.get(group, f"{group} {{}}").format(_spell(rest))
    for prefix, words in _LABEL_PARTS:
        if name.startswith(prefix):
            return words.format(_spell(name.removeprefix(prefix)))
    return _spell(name)


def _spell(name: str) -> str:
    """The words of a name without its group."""
    if name in _WORDS:
        return _WORDS[name]
    return " ".join(_WORDS.get(word, word) for word in name.split("_"))

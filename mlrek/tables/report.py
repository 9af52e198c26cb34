"""scikit-learn's classification report, from our own counts: rows in label order, rightly named.

Rows are the labels that are true or predicted on some image, as scikit-learn has them when it
chooses them itself, so that its averages are those of `aggregate/`. As in scikit-learn an undefined
score prints as 0, the line `accuracy` is `micro avg` where an image has no prediction, and
`samples avg` is there for several labels an image. tests/ holds it against scikit-learn's own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np

from mlrek.evaluation import Task
from mlrek.label_keys import display_label
from mlrek.metrics import LabelScores, Metrics
from mlrek.printable import escape_unprintable
from mlrek.tables.json_text import Json

_TASKS: Final = (Task.CLASSIFICATION, Task.MULTILABEL)
_HEADERS: Final = ("precision", "recall", "f1-score", "support")
_ACCURACY: Final = "accuracy"
_AVERAGES: Final = ("micro", "macro", "weighted", "samples")
_LONGEST_HEADING: Final = "weighted avg"
_RESERVED: Final = re.compile(f'"*({_ACCURACY}|({"|".join(_AVERAGES)}) avg)"*')


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One line of the report; an undefined score is 0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationReport:
    """The lines of labels, in label order, and those of averages."""

    labels: tuple[ReportRow, ...]
    averages: tuple[ReportRow, ...]


def describe_report(metrics: Metrics) -> ClassificationReport | None:
    """The report of a classification, of one label an image or several; None without any image.

    Boxes and areas have none.
    """
    scores = metrics.per_label
    if metrics.task not in _TASKS or scores is None or not _occurring(scores).any():
        return None
    return ClassificationReport(
        labels=tuple(_label_rows(metrics.labels, scores)),
        averages=tuple(_average_rows(metrics, scores)),
    )


def format_report(report: ClassificationReport, *, digits: int = 2) -> str:
    """The report as scikit-learn prints it. Characters that cannot be seen are escaped."""
    names = [escape_unprintable(row.name) for row in report.labels]
    width = max(*map(len, names), len(_LONGEST_HEADING), digits)
    lines = [f"{'':>{width}} " + "".join(f" {header:>9}" for header in _HEADERS), ""]
    for name, row in zip(names, report.labels, strict=True):
        lines.append(_format_line(f"{name:>{width}}", row, digits))
    lines.append("")
    for row in report.averages:
        line = _format_line(f"{row.name:>{width}}", row, digits)
        lines.append(_blank_scores(line, width) if row.name == _ACCURACY else line)
    return "\n".join((*lines, ""))


def report_document(report: ClassificationReport) -> dict[str, Json]:
    """The report as scikit-learn's dictionary, by display name of the label.

    A label that is named like one of the averages gets quotes.
    """
    document: dict[str, Json] = {_report_key(row.name): _scores(row) for row in report.labels}
    for row in report.averages:
        document[row.name] = row.f1 if row.name == _ACCURACY else _scores(row)
    return document


def _label_rows(labels: tuple[str, ...], scores: LabelScores) -> Iterator[ReportRow]:
    for i in np.flatnonzero(_occurring(scores)):
        yield ReportRow(
            name=display_label(labels[i]),
            precision=_defined(scores.precision[i]),
            recall=_defined(scores.recall[i]),
            f1=_defined(scores.f1[i]),
            support=int(scores.support[i]),
        )


def _average_rows(metrics: Metrics, scores: LabelScores) -> Iterator[ReportRow]:
    n_predicted = scores.tp.sum() + scores.fp.sum()
    is_accuracy = metrics.task == Task.CLASSIFICATION and n_predicted == scores.support.sum()
    for average in _AVERAGES:
        if f"f1_{average}" not in metrics.aggregate:
            continue
        precision, recall, f1 = (
            _defined(metrics.aggregate[f"{name}_{average}"].value)
            for name in ("precision", "recall", "f1")
        )
        yield ReportRow(
            name=_ACCURACY if average == "micro" and is_accuracy else f"{average} avg",
            precision=precision,
            recall=recall,
            f1=f1,
            support=int(scores.support.sum()),
        )


def _format_line(name: str, row: ReportRow, digits: int) -> str:
    scores = (f"{score:.{digits}f}" for score in (row.precision, row.recall, row.f1))
    return f"{name} " + "".join(f" {cell:>9}" for cell in (*scores, row.support))


def _blank_scores(line: str, width: int) -> str:
    """The line without precision and recall, which accuracy has not: two columns of ten."""
    return line[: width + 1] + " " * 20 + line[width + 21 :]


def _scores(row: ReportRow) -> Json:
    values = (row.precision, row.recall, row.f1, float(row.support))
    return dict(zip(_HEADERS, values, strict=True))


def _report_key(name: str) -> str:
    return f'"{name}"' if _RESERVED.fullmatch(name) else name


def _occurring(scores: LabelScores) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(scores.tp + scores.fp + scores.fn > 0)


def _defined(score: float) -> float:
    return 0.0 if isnan(score) else float(score)

"""Tables of a run as files: its predictions, mistakes first, and the classification report."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from typing import Final, Literal

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, Task
from mlrek.metrics import LabelScores, Metrics, Predictions
from mlrek.render import Json, number_cells, text_cells, write_long_csv
from mlrek.text import (
    BACKGROUND_LABEL,
    NONE_LABEL,
    display_label,
    escape_unencodable,
    escape_unprintable,
)

COLUMNS: Final = ("image", "predicted", "truth", "confidence", "outcome")
"""In this order MLflow's evaluation view groups by image and compares the predictions."""

BOX_COLUMNS: Final = ("left", "top", "right", "bottom", "error")
"""Further columns of boxes, in pixels where the size of the image is known."""

MAX_TABLE_ROWS: Final = 5000
"""More rows freeze the browser in MLflow's evaluation view."""

_NO_TRUTH: Final = "no truth"
_SIDES: Final[tuple[Literal["left"], Literal["right"]]] = ("left", "right")


class LabelOutcome(StrEnum):
    """What became of one label on an image; in the order in which they are shown."""

    TP = "tp"
    FN = "fn"
    FP = "fp"


_TP, _FN, _FP = range(3)
_NO_LABEL: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOutcomes:
    """A row for each label that is true or predicted on an image (of a box: somewhere on it).

    By label, then outcome, then in rising confidence, so that the least sure come first; what has
    no confidence (NaN) comes last. `outcome` are places in `LabelOutcome`; all (n,).
    """

    label_idx: IntArray
    image_idx: IntArray
    outcome: IntArray
    confidence: FloatArray

    def select(self, label_idx: int, outcome: LabelOutcome) -> IntArray:
        """The rows of a label with an outcome."""
        code = list(LabelOutcome).index(outcome)
        return np.flatnonzero((self.label_idx == label_idx) & (self.outcome == code))


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
    rows = _order_rows(predictions)[:MAX_TABLE_ROWS]
    labels = [escape_unencodable(label) for label in _displayed(evaluation)]
    images = predictions.image_idx[rows].tolist()
    return {
        "image": [escape_unencodable(evaluation.images[i]) for i in images],
        "predicted": [labels[code] for code in predictions.y_pred[rows].tolist()],
        "truth": [labels[code] for code in predictions.y_true[rows].tolist()],
        "confidence": _nan_to_none(predictions.confidence[rows]),
        "outcome": [predictions.outcome[i] for i in rows.tolist()],
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


def _nan_to_none(values: FloatArray) -> list[float | None]:
    return [None if isnan(value) else value for value in values.tolist()]


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


def write_outcomes(evaluation: Evaluation, outcomes: LabelOutcomes) -> bytes:
    """By label, then TP, FN and FP, the least sure first; no confidence is an empty cell."""
    labels = text_cells(map(display_label, evaluation.labels))
    names = [outcome.name for outcome in LabelOutcome]

    def cells(block: slice) -> list[list[str]]:
        return [
            [labels[i] for i in outcomes.label_idx[block].tolist()],
            text_cells(evaluation.images[i] for i in outcomes.image_idx[block].tolist()),
            [names[i] for i in outcomes.outcome[block].tolist()],
            number_cells(outcomes.confidence[block]),
        ]

    header = ("label", "image", "outcome", "confidence")
    return write_long_csv(header, len(outcomes.label_idx), cells)


def list_outcomes(evaluation: Evaluation, predictions: Predictions) -> LabelOutcomes:
    """What became of each label, from what was predicted.

    One label predicted for another is a false positive of the one and a false negative of the
    other, which has its own recorded confidence if there is one. With one label an image, images
    without truth are left out.
    """
    y_true, y_pred = predictions.y_true, predictions.y_pred
    counts = np.full(len(y_true), fill_value=True)
    if evaluation.task == Task.CLASSIFICATION:
        counts = y_true != _NO_LABEL
    is_hit = counts & (y_true == y_pred) & (y_true != _NO_LABEL)
    hits = np.flatnonzero(is_hit)
    false = np.flatnonzero(counts & ~is_hit & (y_pred != _NO_LABEL))
    missed = np.flatnonzero(counts & ~is_hit & (y_true != _NO_LABEL))
    rows = np.concatenate([hits, missed, false])
    label_idx = np.concatenate([y_true[hits], y_true[missed], y_pred[false]])
    confidence = predictions.confidence[rows]
    is_missed = np.repeat([False, True, False], [len(hits), len(missed), len(false)])
    confidence[is_missed] = _find_confidence(evaluation, predictions.image_idx, y_true, missed)
    outcome = np.repeat([_TP, _FN, _FP], [len(hits), len(missed), len(false)])
    order = np.lexsort((predictions.image_idx[rows], confidence, outcome, label_idx))
    return LabelOutcomes(
        label_idx=label_idx[order],
        image_idx=predictions.image_idx[rows][order],
        outcome=outcome[order],
        confidence=confidence[order],
    )


def _find_confidence(
    evaluation: Evaluation, image_idx: IntArray, label_idx: IntArray, rows: IntArray
) -> FloatArray:
    """The recorded confidence of a label on its image, NaN where there is no record."""
    records, n_labels = evaluation.records, max(len(evaluation.labels), 1)
    keys = records.image_idx * n_labels + records.label_idx  # rises
    wanted = image_idx[rows].astype(np.int64) * n_labels + label_idx[rows]
    place = np.searchsorted(keys, wanted)
    found = np.append(keys, _NO_LABEL)[place] == wanted
    return np.where(found, np.append(records.confidence, np.nan)[place], np.nan)


def build_report(metrics: Metrics) -> ClassificationReport | None:
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

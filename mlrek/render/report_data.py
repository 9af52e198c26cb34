"""What the script of a page works on: counts, curves, and what is to be found on its images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite
from os.path import commonprefix
from typing import Final

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics import Metrics, Predictions, ThresholdCurves
from mlrek.metrics.curves import N_STEPS
from mlrek.metrics.probabilities import bin_predictions
from mlrek.metrics.thresholds import GOALS, Trials, advise, count_least, count_trials
from mlrek.render import Json
from mlrek.render.labels import label_columns
from mlrek.render.matrix_data import build_matrix_json, encode_number
from mlrek.render.report_images import (
    Thumbnails,
    build_boxes,
    build_masks,
    compute_frames,
    find_records,
    select_rows,
)
from mlrek.render.tables import LabelOutcome, LabelOutcomes
from mlrek.text import display_label, escape_unencodable

CONFIDENCE_STEPS: Final = 100_000
"""A confidence stands as a whole number of these parts."""

_PER_THRESHOLD: Final = CONFIDENCE_STEPS // 100


_COUNT_COLUMNS: Final = frozenset(("support", "tp", "fp", "fn"))
_MAX_PUBLISHED: Final = 60
_MAX_POINTS: Final = 250
_COUNTED: Final = {Task.DETECTION: "boxes", Task.SEGMENTATION: "pixels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageImages:
    """The images that a page knows of, in the order of their interest, and what it says of them.

    `suspects` are rows of the predictions; `outcomes` are those of all images.
    """

    images: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    outcomes: LabelOutcomes | None = None
    suspects: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    max_pairs: int = 0


def build_page_json(
    evaluation: Evaluation,
    metrics: Metrics,
    contents: PageImages,
    thumbnails: Thumbnails,
    drawn_labels: Sequence[str] = (),
) -> dict[str, Json]:
    """The document that is embedded in a page; what a task has no meaning for is null.

    `drawn_labels` are those that the matrices of all versions of the project are drawn with.
    """
    images = np.sort(contents.images)
    return {
        "task": metrics.task.value,
        "version": escape_unencodable(evaluation.version.name),
        "who": evaluation.version.project.provider.author,
        "counted": _COUNTED.get(metrics.task, "images"),
        "rule": metrics.prediction_rule,
        "labels": [escape_unencodable(display_label(label)) for label in metrics.labels],
        "thresholds": round_numbers(evaluation.thresholds),
        "columns": _build_columns(evaluation, metrics),
        "curves": _build_curves(evaluation, metrics),
        "published": _build_published(evaluation),
        "precision_recall": _build_precision_recall(metrics),
        "matrix": build_matrix_json(metrics.confusion, len(metrics.labels), drawn_labels),
        "calibration": _build_calibration(metrics),
        "images": _build_images(evaluation, images, thumbnails),
        "masks": build_masks(evaluation, images),
        "rows": _build_rows(evaluation, metrics, contents, thumbnails),
        "records": _build_records(evaluation, metrics, contents),
        "outcome_totals": _count_outcomes(contents.outcomes, len(metrics.labels)),
    }


def _build_columns(evaluation: Evaluation, metrics: Metrics) -> dict[str, Json]:
    """The columns of `per_label.csv` that hold anything; counts by name, whole."""
    if metrics.per_label is None and not evaluation.reported.per_label:
        return {}
    columns: dict[str, Json] = {}
    for name, values in label_columns(evaluation, metrics).items():
        if not np.isnan(values).all():
            columns[name] = values.tolist() if _is_whole(name, values) else round_numbers(values)
    return columns


def _is_whole(name: str, values: FloatArray | IntArray) -> bool:
    return name in _COUNT_COLUMNS and bool(np.issubdtype(values.dtype, np.integer))


def _build_curves(evaluation: Evaluation, metrics: Metrics) -> dict[str, Json] | None:
    """Counts at the thresholds 0 to 100 percent of each label.

    `from_step` is the lowest threshold from which on the records are complete (null: none is), of
    all labels together and of each; `negatives` tells whether what is rightly not predicted is
    recorded too.
    """
    curves = metrics.curves
    if curves is None or not metrics.labels:
        return None
    support = curves.tp[0] + curves.fn[0]
    complete = metrics.records == RecordsKind.COMPLETE and metrics.task != Task.DETECTION
    steps = _find_complete_steps(evaluation, metrics, curves)
    known = [step for step in steps if step is not None]
    return {
        "support": support.tolist(),
        "tp": [encode_falling(column) for column in curves.tp.T],
        "fp": [encode_falling(column) for column in curves.fp.T],
        "all_tp": encode_falling(curves.tp.sum(axis=1)),
        "all_fp": encode_falling(curves.fp.sum(axis=1)),
        "stops_at": curves.stops_at,
        "from_step": max(known) if known and len(known) == len(steps) else None,
        "from_steps": [*steps],
        "advice": _build_advice(evaluation, curves, steps),
        "images": _count_images(evaluation) if complete else None,
    }


def _build_advice(
    evaluation: Evaluation, curves: ThresholdCurves, steps: list[int | None]
) -> dict[str, Json]:
    """The threshold from which on each precision can be promised, of all labels and of each.

    A step, how many predictions there are, how many are wrong, and how many would be needed where
    there is no step; null where the records do not tell.
    """
    known = [step for step in steps if step is not None]
    together, by_label = count_trials(evaluation, curves)
    lowest = max(known) if known and len(known) == len(steps) else None
    return {
        "goals": [*GOALS],
        "least": [count_least(goal) for goal in GOALS],
        "all": _advise(together, lowest),
        "labels": [_advise(trials, step) for trials, step in zip(by_label, steps, strict=True)],
    }


def _advise(trials: Trials, lowest: int | None) -> Json:
    if lowest is None:
        return None
    found = (advise(trials, goal, lowest=min(lowest, N_STEPS - 1)) for goal in GOALS)
    return [[one.step, one.n, one.wrong, one.needed] for one in found]


def _find_complete_steps(
    evaluation: Evaluation, metrics: Metrics, curves: ThresholdCurves
) -> list[int | None]:
    """Of each label: the first threshold in percent at which nothing is missing, or None."""
    if not curves.stops_at:
        return [0] * len(metrics.labels)
    if metrics.records == RecordsKind.TOP1:
        return [None] * len(metrics.labels)
    return [None if np.isnan(t) else ceil(round(t * 100, 9)) for t in evaluation.thresholds]


def _count_images(evaluation: Evaluation) -> int:
    """The images that curves count: in classification those with truth."""
    if evaluation.task == Task.CLASSIFICATION:
        return int(np.count_nonzero(evaluation.truth.counts))
    return len(evaluation.images)


def _build_published(evaluation: Evaluation) -> dict[str, Json]:
    """The provider's own numbers over thresholds by label code, -1 of all labels together."""
    codes = {label: code for code, label in enumerate(("", *evaluation.labels), start=-1)}
    return {
        str(codes[label]): {
            name: round_numbers(_thin(getattr(curve, name)))
            for name in ("thresholds", "precision", "recall", "f1", "tp", "fp", "fn")
        }
        for label, curve in list(evaluation.reported.curves.items())[:_MAX_PUBLISHED]
        if label in codes and len(curve.thresholds)
    }


def _thin(values: FloatArray) -> FloatArray:
    """At most so many points of a published curve, evenly spread."""
    step = -(-len(values) // _MAX_POINTS)
    return values[::step]


def _build_precision_recall(metrics: Metrics) -> list[Json]:
    """Points of each curve; `label` is a code, -1 of all labels together."""
    codes = {label: code for code, label in enumerate(metrics.labels)}
    return [
        {
            "label": codes[curve.label] if i else -1,
            "recall": round_numbers(curve.recall, 4),
            "precision": round_numbers(curve.precision, 4),
            "area": round_numbers(np.array([curve.average_precision]))[0],
        }
        for i, curve in enumerate(metrics.precision_recall)
    ]


def _build_calibration(metrics: Metrics) -> dict[str, Json] | None:
    """The bins of `ece`; only where that is computed."""
    ece, predictions = metrics.aggregate.get("ece"), metrics.predictions
    if ece is None or not ece.is_defined or predictions is None:
        return None
    counted = (predictions.y_pred >= 0) & (predictions.y_true >= 0)
    is_right = (predictions.y_true == predictions.y_pred)[counted]
    bins = bin_predictions(predictions.confidence[counted], is_right)
    return {
        "ece": round_numbers(np.array([ece.value, ece.low, ece.high])),
        "count": bins.count.tolist(),
        "right": np.rint(np.nan_to_num(bins.accuracy) * bins.count).astype(np.int64).tolist(),
        "confidence": round_numbers(bins.confidence, 4),
        "accuracy": round_numbers(bins.accuracy, 4),
    }


def _build_images(
    evaluation: Evaluation, images: IntArray, thumbnails: Thumbnails
) -> dict[str, Json]:
    """Names without what all begin with; thumbnails by place among the images of the page."""
    names = [escape_unencodable(evaluation.images[i]) for i in images.tolist()]
    prefix = commonprefix(names).rpartition("/")[0] if len(names) > 1 else ""  # noqa: RUF071 (cut at a slash)
    place = {image: i for i, image in enumerate(images.tolist())}
    return {
        "total": len(evaluation.images),
        "prefix": prefix,
        "names": [name[len(prefix) :] for name in names],
        "asked": thumbnails.asked,
        "refused": thumbnails.refused,
        "thumbnails": {
            str(place[image]): thumbnail.data_uri
            for image, thumbnail in thumbnails.by_image.items()
            if image in place
        },
    }


def _build_rows(
    evaluation: Evaluation, metrics: Metrics, contents: PageImages, thumbnails: Thumbnails
) -> dict[str, Json] | None:
    """The predictions on the images of the page, and which rows are suspect."""
    predictions = metrics.predictions
    if predictions is None:
        return None
    rows = select_rows(predictions, len(evaluation.images), contents.images)
    images = np.sort(contents.images)
    return {
        "image": encode_rising(np.searchsorted(images, predictions.image_idx[rows])),
        "truth": predictions.y_true[rows].tolist(),
        "predicted": predictions.y_pred[rows].tolist(),
        "confidence": encode_confidence(predictions.confidence[rows]).tolist(),
        "suspects": np.searchsorted(rows, contents.suspects).tolist(),
        **_build_box_columns(evaluation, predictions, rows, images, thumbnails),
    }


def _build_box_columns(
    evaluation: Evaluation,
    predictions: Predictions,
    rows: IntArray,
    images: IntArray,
    thumbnails: Thumbnails,
) -> dict[str, Json]:
    if predictions.boxes_xyxy is None or evaluation.detections is None:
        return {}
    frames = compute_frames(evaluation, predictions, images, thumbnails)
    return {
        "frames": [*np.rint(frames).astype(np.int64).ravel().tolist()],
        "boxes": build_boxes(evaluation, predictions, rows, images, frames),
        "errors": [predictions.error[row] for row in rows.tolist()] if predictions.error else [],
    }


def _build_records(
    evaluation: Evaluation, metrics: Metrics, contents: PageImages
) -> dict[str, Json] | None:
    """True labels of the page's images, and recorded ones: for galleries at any threshold.

    `code` is twice the confidence, plus 1 where the label is true; -1 for a true label without a
    record.
    """
    if metrics.curves is None or evaluation.detections is not None:
        return None
    found = find_records(evaluation, np.sort(contents.images), contents.max_pairs)
    confidence = encode_confidence(found.confidence)
    return {
        "image": encode_rising(found.image_place),
        "label": found.label_idx.tolist(),
        "code": np.where(confidence < 0, -1, 2 * confidence + found.is_true).tolist(),
        "left_out": found.left_out,
    }


def _count_outcomes(outcomes: LabelOutcomes | None, n_labels: int) -> Json:
    """How often each label is TP, FN and FP on all images, one list a label."""
    if outcomes is None:
        return None
    n_kinds = len(LabelOutcome)
    cells = outcomes.label_idx.astype(np.int64) * n_kinds + outcomes.outcome
    counts = np.bincount(cells, minlength=n_labels * n_kinds).reshape(-1, n_kinds)
    return [list(row) for row in counts.tolist()]


def encode_falling(counts: IntArray) -> str:
    """Counts that never rise: the first one, then by how much each is less; 0 is empty.

    >>> encode_falling(np.array([40, 40, 4, 4]))
    '14,,10,'
    """
    steps = np.concatenate([counts[:1], -np.diff(counts)])
    return ",".join(map(encode_number, steps.tolist()))


def encode_confidence(confidence: FloatArray) -> IntArray:
    """Confidences as whole numbers, cut, never rounded; -1 where there is none, (n,).

    `value // 1000` is exactly the highest threshold in percent that the confidence reaches, by the
    same comparison as that of the curves.
    """
    known = np.nan_to_num(confidence, nan=0.0)
    reached = np.searchsorted(np.arange(101) / 100, known, side="right") - 1
    first = reached * _PER_THRESHOLD
    parts = np.floor(known * CONFIDENCE_STEPS).astype(np.int64)
    parts = np.clip(parts, first, first + _PER_THRESHOLD - 1)
    return np.where(np.isnan(confidence), -1, parts)


def encode_rising(codes: IntArray) -> list[Json]:
    """Whole numbers that never fall, each as its distance from the one before."""
    steps: list[Json] = np.diff(codes, prepend=0).tolist()
    return steps


def round_number(value: float, digits: int = 6) -> float | None:
    """A number in so many significant digits; None where it is undefined."""
    return float(f"{value:.{digits}g}") if isfinite(value) else None


def round_numbers(values: FloatArray | IntArray, digits: int = 6) -> list[Json]:
    """`round_number` of each."""
    return [round_number(value, digits) for value in np.asarray(values).tolist()]

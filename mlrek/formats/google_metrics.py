"""The metrics of one Google evaluation (JSON) -> its numbers, grids over thresholds and matrix.

The legacy service and Vertex AI write the same under different names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeAlias

from msgspec import Struct
from msgspec.json import Decoder

from mlrek.formats.google_grid import (
    Grid,
    GridEntry,
    check_rates,
    finite,
    read_grid,
    shorten,
)
from mlrek.formats.google_resources import Count, Number
from mlrek.formats.json_text import decode_json

_Id: TypeAlias = str | int


class _IouEntry(Struct, rename="camel"):
    iou_threshold: Number = None
    mean_average_precision: Number = None
    confidence_metrics_entries: list[GridEntry] | None = None
    confidence_metrics: list[GridEntry] | None = None


class _Row(Struct, rename="camel"):
    example_count: list[Count] | None = None
    row: list[Count] | None = None


class _Spec(Struct, rename="camel"):
    id: _Id = ""
    display_name: str = ""


class _Matrix(Struct, rename="camel"):
    annotation_spec_id: list[_Id] | None = None
    display_name: list[str] | None = None
    row: list[_Row] | None = None
    annotation_specs: list[_Spec] | None = None
    rows: list[list[Count] | _Row] | None = None


class _Metrics(Struct, rename="camel"):
    au_prc: Number = None
    au_roc: Number = None
    log_loss: Number = None
    annotation_spec_id: list[_Id] | None = None
    confidence_metrics_entry: list[GridEntry] | None = None
    confidence_metrics: list[GridEntry] | None = None
    confusion_matrix: _Matrix | None = None
    evaluated_bounding_box_count: Count = None
    bounding_box_mean_average_precision: Number = None
    bounding_box_metrics_entries: list[_IouEntry] | None = None
    bounding_box_metrics: list[_IouEntry] | None = None


_DECODER = Decoder(_Metrics, strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMatrix:
    """A confusion matrix of counts, rows true, columns predicted; `ids` stand beside `names`."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedMetrics:
    """What Google publishes of one model, or of one of its labels.

    `scores` need no threshold. `grids` are one for classification (at IoU NaN), one for each IoU
    threshold of a detection, rising. `boxes` counts true boxes.
    """

    is_detection: bool
    scores: Mapping[str, float]
    grids: tuple[tuple[float, Grid], ...] = ()
    boxes: int | None = None
    label_ids: tuple[str, ...] = ()
    matrix: PublishedMatrix | None = None


def parse_metrics(data: bytes, *, is_legacy: bool) -> PublishedMetrics:
    """The metrics object of an evaluation or a slice, with keys in camelCase.

    Args:
        data: The JSON object.
        is_legacy: Whether the legacy service wrote it: its client library writes a number that was
            left out as 0, so a 0 says nothing there.

    Raises:
        ValueError: It is not JSON, a field is of another kind, a rate is not between 0 and 1, or
            the confusion matrix is not square.
    """
    metrics = decode_json(_DECODER, data)
    by_iou = metrics.bounding_box_metrics_entries or metrics.bounding_box_metrics
    if by_iou or metrics.evaluated_bounding_box_count is not None:
        return _read_detection(metrics, by_iou or [], is_legacy=is_legacy)
    return _read_classification(metrics, is_legacy=is_legacy)


def name_of_iou(iou: float) -> str:
    """The name of the average precision at an IoU threshold.

    >>> name_of_iou(0.5), name_of_iou(0.05)
    ('average_precision_50', 'average_precision_05')
    """
    return f"average_precision_{f'{round(iou * 100, 4):g}'.zfill(2).replace('.', '_')}"


def _read_classification(metrics: _Metrics, *, is_legacy: bool) -> PublishedMetrics:
    named = {
        "average_precision": finite(metrics.au_prc),
        "roc_auc": finite(metrics.au_roc),
        "log_loss": finite(metrics.log_loss),
    }
    scores = {name: shorten(value) for name, value in named.items() if value is not None}
    check_rates((name, scores[name]) for name in scores if name != "log_loss")
    entries = metrics.confidence_metrics_entry or metrics.confidence_metrics or []
    grid = read_grid(entries, boxes=None, is_legacy=is_legacy)
    return PublishedMetrics(
        is_detection=False,
        scores={name: value for name, value in scores.items() if value or not is_legacy},
        grids=((nan, grid),) if len(grid.thresholds) else (),
        label_ids=tuple(map(str, metrics.annotation_spec_id or ())),
        matrix=_read_matrix(metrics.confusion_matrix),
    )


def _read_detection(
    metrics: _Metrics, by_iou: Sequence[_IouEntry], *, is_legacy: bool
) -> PublishedMetrics:
    boxes = metrics.evaluated_bounding_box_count or 0
    left_out = 0.0 if boxes and by_iou else None  # an average over no box is undefined
    mean = finite(metrics.bounding_box_mean_average_precision)
    averages = {"average_precision": mean or left_out}
    grids: dict[float, Grid] = {}
    for entry in sorted(by_iou, key=_iou):
        average = finite(entry.mean_average_precision)
        averages.setdefault(name_of_iou(_iou(entry)), average or left_out)
        entries = entry.confidence_metrics_entries or entry.confidence_metrics or []
        grid = read_grid(entries, boxes=boxes, is_legacy=is_legacy)
        if len(grid.thresholds):
            grids.setdefault(_iou(entry), grid)
    scores = {name: shorten(value) for name, value in averages.items() if value is not None}
    check_rates(scores.items())
    return PublishedMetrics(
        is_detection=True, scores=scores, grids=tuple(grids.items()), boxes=boxes
    )


def _iou(entry: _IouEntry) -> float:
    iou = shorten(entry.iou_threshold or 0.0)
    check_rates([("IoU threshold", iou)])
    return iou


def _read_matrix(matrix: _Matrix | None) -> PublishedMatrix | None:
    if matrix is None:
        return None
    if matrix.annotation_specs:
        ids = [str(spec.id) for spec in matrix.annotation_specs]
        names = [spec.display_name for spec in matrix.annotation_specs]
    else:
        ids = list(map(str, matrix.annotation_spec_id or ()))
        names = matrix.display_name or []
    rows = [_read_row(row) for row in matrix.row or matrix.rows or ()]
    n = len(rows)
    if odd := {len(ids), len(names), *map(len, rows)} - {0, n}:
        raise ValueError(f"the confusion matrix has {n} rows, but a list of {min(odd)} in it")
    if not rows:
        return None
    return PublishedMatrix(
        ids=tuple(ids) or ("",) * n,
        names=tuple(names) or ("",) * n,
        rows=tuple(tuple(row) or (0,) * n for row in rows),
    )


def _read_row(row: list[Count] | _Row) -> list[int]:
    counts = row if isinstance(row, list) else row.example_count or row.row or []
    return [count or 0 for count in counts]

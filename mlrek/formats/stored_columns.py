"""The columns of `evaluation.parquet`: fields of an evaluation, to rows of images and back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlrek.evaluation import (
    Boxes,
    Contents,
    Detections,
    Evaluation,
    IntArray,
    LabelSets,
    MaskCounts,
    Outcome,
    Records,
)
from mlrek.formats.columns import find_offsets

_CORNERS = ("left", "top", "right", "bottom")
_PIXELS = ("tp", "fp", "fn")
_TEXTS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnGroup:
    """Columns that stand together: when an evaluation has them, how they are written and read.

    `read` gives the fields of the evaluation that they hold.
    """

    schema: pa.Schema
    is_in: Callable[[Evaluation], bool]
    write: Callable[[Evaluation], list[pa.Array | pa.ChunkedArray]]
    read: Callable[[pa.Table], dict[str, Any]]


def find_groups(names: list[str]) -> Iterator[ColumnGroup]:
    """The groups that a file with columns of these names has."""
    return (group for group in GROUPS if group.schema.names[0] in names)


def _write_image_labels(evaluation: Evaluation) -> list[pa.Array | pa.ChunkedArray]:
    truth = evaluation.truth
    return [
        _write_texts(evaluation.images),
        _write_lists(truth.offsets, truth.label_idx, pa.int32()),
        *_write_records(evaluation.records),
    ]


def _read_image_labels(table: pa.Table) -> dict[str, Any]:
    if table["image"].null_count:
        raise ValueError("an image has no place")
    offsets, label_idx = _read_lists(table, "truth")
    return {
        "images": tuple(table["image"].to_pylist()),
        "truth": LabelSets(offsets=offsets, label_idx=label_idx),
        "records": _read_records(table, ("label", "confidence", "outcome")),
    }


def _write_baseline(evaluation: Evaluation) -> list[pa.Array]:
    assert evaluation.baseline is not None  # noqa: S101 - for the type checker
    return _write_records(evaluation.baseline)


def _read_baseline(table: pa.Table) -> dict[str, Any]:
    names = ("base_label", "base_confidence", "base_outcome")
    return {"baseline": _read_records(table, names)}


def _write_records(records: Records) -> list[pa.Array]:
    return [
        _write_lists(records.offsets, records.label_idx, pa.int32()),
        _write_lists(records.offsets, records.confidence, pa.float64()),
        _write_lists(records.offsets, records.outcome, pa.uint8()),
    ]


def _read_records(table: pa.Table, names: tuple[str, ...]) -> Records:
    offsets, (label_idx, confidence, outcome) = _read_rows(table, names, "records")
    return Records(offsets=offsets, label_idx=label_idx, confidence=confidence, outcome=outcome)


def _write_boxes(evaluation: Evaluation) -> list[pa.Array]:
    assert evaluation.detections is not None  # noqa: S101 - for the type checker
    truth, records = evaluation.detections.truth, evaluation.detections.records
    return [
        _write_lists(records.offsets, records.label_idx, pa.int32()),
        *_write_corners(records),
        _write_lists(records.offsets, records.confidence, pa.float64()),
        _write_lists(records.offsets, records.outcome, pa.uint8()),
        _write_lists(truth.offsets, truth.label_idx, pa.int32()),
        *_write_corners(truth),
        *(pa.array(column, pa.float64()) for column in evaluation.detections.image_sizes.T),
    ]


def _write_corners(boxes: Boxes) -> Iterator[pa.Array]:
    for column in boxes.boxes_xyxy.T:
        yield _write_lists(boxes.offsets, column, pa.float64())


def _read_boxes(table: pa.Table) -> dict[str, Any]:
    names = ("box_label", "box_confidence", "box_outcome", *(f"box_{end}" for end in _CORNERS))
    offsets, (label_idx, confidence, outcome, *corners) = _read_rows(table, names, "boxes")
    records = Boxes(
        offsets=offsets,
        label_idx=label_idx,
        boxes_xyxy=np.stack(corners, axis=1),
        confidence=confidence,
        outcome=outcome,
    )
    names = ("true_box_label", *(f"true_box_{end}" for end in _CORNERS))
    offsets, (label_idx, *corners) = _read_rows(table, names, "true boxes")
    truth = Boxes(
        offsets=offsets,
        label_idx=label_idx,
        boxes_xyxy=np.stack(corners, axis=1),
        confidence=np.full(len(label_idx), nan),
        outcome=np.full(len(label_idx), Outcome.UNKNOWN, dtype=np.uint8),
    )
    sizes = np.stack([table[name].to_numpy() for name in ("width", "height")], axis=1)
    return {"detections": Detections(truth=truth, records=records, image_sizes=sizes)}


def _write_masks(evaluation: Evaluation) -> list[pa.Array]:
    masks = evaluation.masks
    assert masks is not None  # noqa: S101 - for the type checker
    order = np.argsort(masks.image_idx, kind="stable")
    offsets = find_offsets(masks.image_idx[order], len(evaluation.images))
    return [
        pa.array(masks.readable, pa.bool_()),
        _write_lists(offsets, masks.label_idx[order], pa.int32()),
        *(_write_lists(offsets, getattr(masks, part)[order], pa.int64()) for part in _PIXELS),
    ]


def _read_masks(table: pa.Table) -> dict[str, Any]:
    names = ("mask_label", *(f"mask_{part}" for part in _PIXELS))
    offsets, (label_idx, tp, fp, fn) = _read_rows(table, names, "masks")
    if table["mask_readable"].null_count:
        raise ValueError("column mask_readable has gaps")
    masks = MaskCounts(
        image_idx=np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)),
        label_idx=label_idx,
        tp=tp,
        fp=fp,
        fn=fn,
        readable=table["mask_readable"].to_numpy(),
    )
    return {"masks": masks}


def _write_seen(evaluation: Evaluation) -> list[pa.Array]:
    return [pa.array(evaluation.seen_in_training, pa.bool_())]


def _read_seen(table: pa.Table) -> dict[str, Any]:
    if table["seen_in_training"].null_count:
        raise ValueError("column seen_in_training has gaps")
    return {"seen_in_training": table["seen_in_training"].to_numpy()}


def _write_contents(evaluation: Evaluation) -> list[pa.Array | pa.ChunkedArray]:
    contents = evaluation.contents
    assert contents is not None  # noqa: S101 - for the type checker
    return [
        pa.array(contents.sizes, pa.int64(), mask=contents.sizes < 0),
        _write_texts(contents.etags),
        pa.array(contents.is_md5, pa.bool_()),
        _write_texts(contents.sha256),
        pa.array(contents.modified_ms, pa.int64(), mask=contents.modified_ms < 0),
    ]


def _read_contents(table: pa.Table) -> dict[str, Any]:
    for name in ("content_etag", "content_etag_is_md5", "content_sha256"):
        if table[name].null_count:
            raise ValueError(f"column {name} has gaps")
    sizes, modified = (
        table[name].fill_null(-1).to_numpy() for name in ("content_size", "content_modified_ms")
    )
    contents = Contents(
        sizes=sizes,
        etags=tuple(table["content_etag"].to_pylist()),
        is_md5=table["content_etag_is_md5"].to_numpy(),
        sha256=tuple(table["content_sha256"].to_pylist()),
        modified_ms=modified,
    )
    return {"contents": contents}


def _write_texts(texts: Sequence[str]) -> pa.ChunkedArray:
    """A column in parts: what grows to the size of a long one leaves its smaller copies behind."""
    parts = range(0, len(texts), _TEXTS_AT_ONCE)
    return pa.chunked_array(
        [pa.array(texts[start : start + _TEXTS_AT_ONCE], pa.string()) for start in parts],
        pa.string(),
    )


def _write_lists(offsets: IntArray, values: NDArray[Any], value_type: pa.DataType) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values), value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def _read_rows(
    table: pa.Table, names: tuple[str, ...], what: str
) -> tuple[IntArray, list[NDArray[Any]]]:
    """Offsets (n_images + 1,) and values of columns whose lists are of equal length."""
    offsets, first = _read_lists(table, names[0])
    values = [first]
    for name in names[1:]:
        own, column = _read_lists(table, name)
        if not np.array_equal(offsets, own):
            raise ValueError(f"the columns of the {what} differ in length")
        values.append(column)
    return offsets, values


def _read_lists(table: pa.Table, name: str) -> tuple[IntArray, NDArray[Any]]:
    """Offsets (n_images + 1,) and values of a column of lists."""
    lists = table[name].combine_chunks()
    values = lists.flatten()
    if lists.null_count or values.null_count:
        raise ValueError(f"column {name} has gaps")
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], values.to_numpy()


def _schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema(types)


GROUPS = (
    ColumnGroup(
        schema=_schema(
            image=pa.string(),
            truth=pa.list_(pa.int32()),
            label=pa.list_(pa.int32()),
            confidence=pa.list_(pa.float64()),
            outcome=pa.list_(pa.uint8()),
        ),
        is_in=lambda _: True,
        write=_write_image_labels,
        read=_read_image_labels,
    ),
    ColumnGroup(
        schema=_schema(
            base_label=pa.list_(pa.int32()),
            base_confidence=pa.list_(pa.float64()),
            base_outcome=pa.list_(pa.uint8()),
        ),
        is_in=lambda evaluation: evaluation.baseline is not None,
        write=_write_baseline,
        read=_read_baseline,
    ),
    ColumnGroup(
        schema=_schema(
            box_label=pa.list_(pa.int32()),
            **{f"box_{end}": pa.list_(pa.float64()) for end in _CORNERS},
            box_confidence=pa.list_(pa.float64()),
            box_outcome=pa.list_(pa.uint8()),
            true_box_label=pa.list_(pa.int32()),
            **{f"true_box_{end}": pa.list_(pa.float64()) for end in _CORNERS},
            width=pa.float64(),
            height=pa.float64(),
        ),
        is_in=lambda evaluation: evaluation.detections is not None,
        write=_write_boxes,
        read=_read_boxes,
    ),
    ColumnGroup(
        schema=_schema(
            mask_readable=pa.bool_(),
            mask_label=pa.list_(pa.int32()),
            **{f"mask_{part}": pa.list_(pa.int64()) for part in _PIXELS},
        ),
        is_in=lambda evaluation: evaluation.masks is not None,
        write=_write_masks,
        read=_read_masks,
    ),
    ColumnGroup(
        schema=_schema(seen_in_training=pa.bool_()),
        is_in=lambda evaluation: evaluation.seen_in_training is not None,
        write=_write_seen,
        read=_read_seen,
    ),
    ColumnGroup(
        schema=_schema(
            content_size=pa.int64(),
            content_etag=pa.string(),
            content_etag_is_md5=pa.bool_(),
            content_sha256=pa.string(),
            content_modified_ms=pa.int64(),
        ),
        is_in=lambda evaluation: evaluation.contents is not None,
        write=_write_contents,
        read=_read_contents,
    ),
)

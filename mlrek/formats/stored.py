"""`evaluation.parquet`: a whole evaluation, image by image and lossless. A schema is read forever.

One row an image, in the order of the provider's manifest:

| column       | type           | what                                                   |
| ---          | ---            | ---                                                    |
| `image`      | string         | URI of the image                                       |
| `truth`      | list of int32  | codes of its true labels, rising                       |
| `label`      | list of int32  | codes of the labels it has a record for, rising        |
| `confidence` | list of double | of those records, 0 to 1                               |
| `outcome`    | list of uint8  | the provider's flag: 0 unknown, 1 TP, 2 FP, 3 FN, 4 TN |

Where the evaluation has boxes, masks, the answers of the model that this one was adapted from,
knows the training images, or what the bytes of its test images were:

| column                               | type           | what                                   |
| ---                                  | ---            | ---                                    |
| `box_label`                          | list of int32  | codes of recorded boxes, in their order|
| `box_left`, `…_top`, `…_right`, …    | list of double | their corners (see `normalized`)       |
| `box_confidence`                     | list of double | 0 to 1; NaN: none                      |
| `box_outcome`                        | list of uint8  | as `outcome`                           |
| `true_box_label`                     | list of int32  | codes of true boxes                    |
| `true_box_left`, `…_top`, …          | list of double | their corners                          |
| `width`, `height`                    | double         | of the image in pixels; NaN: unknown   |
| `true_box_crowd`                     | list of bool   | whether it stands for many objects     |
| `true_box_area`, `box_area`          | list of double | square pixels, where they are not      |
|                                      |                | width times height of the box          |
| `true_box_width`, `…_height`,        | list of double | to the last bit, where corners do not  |
| `box_width`, `box_height`            |                | give them                              |
| `true_box_mask`, `box_mask`          | list of binary | `counts` of COCO's compressed RLE      |
| `mask_readable`                      | bool           | whether both masks could be read       |
| `mask_label`                         | list of int32  | codes of labels that either mask has   |
| `mask_tp`, `mask_fp`, `mask_fn`      | list of int64  | pixels of each: in both masks, in the  |
|                                      |                | predicted one only, the true one only  |
| `base_label`, `…_confidence`, …      | as `label`, …  | the records of the model adapted from  |
| `seen_in_training`                   | bool           | whether the version was trained on it  |
| `content_size`                       | int64          | bytes of the image when it was logged  |
| `content_etag`                       | string         | its ETag in S3; '': none               |
| `content_etag_is_md5`                | bool           | whether that is the MD5 of its bytes   |
| `content_sha256`                     | string         | SHA-256 of a local file; '': none      |
| `content_modified_ms`                | int64          | when S3 last changed it, since 1970    |
| `slice:NAME`                         | dictionary of  | what files tell of the image besides,  |
|                                      | string, double | in the column NAME; null: nothing      |

A code is a position in `labels`. The schema's metadata holds one JSON object under `mlrek`:
`schema_version`, `task`, `labels`, `thresholds` (null: not published), `pos_label` ('': none),
`normalized` (whether corners are shares of the image's width and height, else they are pixels),
`version` with its project, `reported`, `files`, `is_scored` (false where the predictions hold no
confidences and each stands as 1; else it is not there), `doubts` (since schema 2), `warnings`,
`summary`, the provider's file as base64 of zlib, and `rows` and `columns`: how many rows and which
columns were written (files of an earlier mlrek have neither); a file that has lost any is refused.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from math import nan
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import UNSET, MsgspecError, Struct, UnsetType, json
from numpy.typing import NDArray
from pyarrow import parquet

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Boxes,
    Contents,
    Detections,
    Doubt,
    DoubtKind,
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    MaskCounts,
    Outcome,
    Records,
    Reported,
    SourceFile,
    Task,
    Version,
)
from mlrek.formats.columns import find_offsets
from mlrek.formats.doubts import complete_doubts, doubt_unanswered
from mlrek.formats.json_text import quoted, quoted_some
from mlrek.formats.stored_slices import (
    SLICE_PREFIX,
    choose_encodings,
    read_slice_columns,
    write_slice_column,
)

_CORNERS = ("left", "top", "right", "bottom")
_PIXELS = ("tp", "fp", "fn")
_FURTHER = "detections."  # begins the keys of what only some boxes have
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


SCHEMA_VERSION = 2

_WITHOUT_DOUBTS = 1

MAX_HEADER = 256 << 20
"""Bytes of the metadata, and of the provider's file in it."""

MAX_CONTENT = 16 << 30
"""Bytes of all columns; a million images with a thousand labels each take 13 GB."""

_MAX_ENTRIES = 1_000_000  # of a list in the file's own header: row groups, columns
_ROWS_A_GROUP = 25_000  # what is encoded at once
_METADATA_KEY = b"mlrek"
_UNKNOWN = Doubt(
    kind=DoubtKind.DOUBTS_UNKNOWN,
    text=(
        "an earlier mlrek logged this evaluation: skipped lines, a missing part of the manifest or "
        "the summary of another version would not be known; sync the version again to know"
    ),
)


class _SchemaVersion(Struct):
    schema_version: int


class _Header(Struct, kw_only=True):
    schema_version: int = SCHEMA_VERSION
    task: Task
    labels: tuple[str, ...]
    thresholds: FloatArray
    pos_label: str = ""
    normalized: bool = False
    version: Version
    reported: Reported
    files: tuple[SourceFile, ...]
    is_scored: bool | UnsetType = UNSET  # not there where records have confidences
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...]
    summary: bytes
    rows: int | UnsetType = UNSET  # not there in files of an earlier mlrek, as `columns`
    columns: tuple[str, ...] = ()


# made at import: threads that made them at once would meet what is not made to its end
_SCHEMA_DECODER = json.Decoder(_SchemaVersion)


def dump_evaluation(evaluation: Evaluation) -> bytes:
    """The evaluation as the bytes of a Parquet file; equal evaluations give equal bytes."""
    groups = [group for group in GROUPS if group.is_in(evaluation)]
    schema = pa.unify_schemas([group.schema for group in groups])
    columns = [column for group in groups for column in group.write(evaluation)]
    for one in evaluation.slice_columns:
        columns.append(write_slice_column(one))
        schema = schema.append(pa.field(f"{SLICE_PREFIX}{one.name}", columns[-1].type))
    header = json.encode(_build_header(evaluation, schema.names), enc_hook=_encode_array)
    table = pa.Table.from_arrays(columns, schema=schema.with_metadata({_METADATA_KEY: header}))
    sink = BytesIO()
    parquet.write_table(
        table,
        sink,
        row_group_size=_ROWS_A_GROUP,
        **choose_encodings(schema, evaluation.slice_columns),
    )
    del table
    pa.default_memory_pool().release_unused()
    return sink.getvalue()


def load_stored(data: bytes) -> Evaluation:
    """The evaluation that `dump_evaluation` wrote, by this version or an earlier one.

    Raises:
        EvaluationError: It is no such file, it is damaged, or a later version wrote it.
    """
    try:
        file = _open(data)
        header = _decode_header(file.schema_arrow.metadata or {})
        _check_complete(file, header)
        columns: dict[str, Any] = {}
        for group in find_groups(file.schema_arrow.names):
            table = file.read(columns=group.schema.names)
            columns |= group.read(table.select(group.schema.names).cast(group.schema))
        columns["slice_columns"] = read_slice_columns(file)
        if "detections" in columns:
            further = [columns.pop(name) for name in [*columns] if name.startswith(_FURTHER)]
            columns["detections"] = replace(
                _add_further(columns["detections"], further), normalized=header.normalized
            )
        summary = _decompress(header.summary)
    except (pa.ArrowException, OSError, MsgspecError, zlib.error, LookupError, ValueError) as exc:
        raise EvaluationError(f"this is no evaluation.parquet that can be read: {exc}") from exc
    evaluation = Evaluation(
        version=header.version,
        task=header.task,
        labels=header.labels,
        thresholds=header.thresholds,
        pos_label=header.pos_label,
        reported=header.reported,
        files=header.files,
        is_scored=header.is_scored is not False,
        doubts=header.doubts,
        warnings=header.warnings,
        summary=summary,
        **columns,
    )
    return evaluation if header.schema_version > _WITHOUT_DOUBTS else _doubt_anew(evaluation)


def _doubt_anew(evaluation: Evaluation) -> Evaluation:
    """With the doubts that the columns show, and that there may be others."""
    unanswered: Iterator[Doubt] = iter(())
    if evaluation.task is Task.CLASSIFICATION:
        places = np.flatnonzero(evaluation.records.counts == 0)
        missed = list(dict.fromkeys(quoted(evaluation.images[i]) for i in places))
        unanswered = doubt_unanswered(missed, len(set(evaluation.images)))
    return complete_doubts(replace(evaluation, doubts=(_UNKNOWN, *unanswered)))


def _open(data: bytes) -> parquet.ParquetFile:
    """The file, when no size that it declares is absurd.

    Raises:
        ValueError: One is.
    """
    file = parquet.ParquetFile(
        pa.BufferReader(data),
        thrift_string_size_limit=MAX_HEADER,
        thrift_container_size_limit=_MAX_ENTRIES,
    )
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    if sum(group.total_byte_size for group in groups) > MAX_CONTENT:
        raise ValueError(f"its columns would take more than {MAX_CONTENT >> 30} GiB")
    return file


def _check_complete(file: parquet.ParquetFile, header: _Header) -> None:
    """That the file still has the rows and columns it was written with.

    Whatever else is missing, a whole group of columns would read as never there.

    Raises:
        ValueError: Something was lost.
    """
    lost = set(header.columns).difference(file.schema_arrow.names)
    if lost:
        raise ValueError(f"columns were lost: {quoted_some(sorted(lost))}")
    if header.rows is not UNSET and header.rows != file.metadata.num_rows:
        raise ValueError(f"it has {file.metadata.num_rows} rows, {header.rows} were written")


def _decompress(summary: bytes) -> bytes:
    """The provider's file.

    Raises:
        ValueError: It is larger than any such file.
        zlib.error: It is damaged.
    """
    stream = zlib.decompressobj()
    content = stream.decompress(summary, MAX_HEADER)
    if stream.unconsumed_tail:
        raise ValueError(f"its summary is larger than {MAX_HEADER >> 20} MiB")
    if not stream.eof:
        raise ValueError("its summary is cut off")
    return content


def _build_header(evaluation: Evaluation, columns: Sequence[str]) -> _Header:
    return _Header(
        task=evaluation.task,
        labels=evaluation.labels,
        thresholds=evaluation.thresholds,
        pos_label=evaluation.pos_label,
        normalized=evaluation.detections is not None and evaluation.detections.normalized,
        version=evaluation.version,
        reported=evaluation.reported,
        files=evaluation.files,
        is_scored=UNSET if evaluation.is_scored else False,
        doubts=evaluation.doubts,
        warnings=evaluation.warnings,
        summary=zlib.compress(evaluation.summary),
        rows=len(evaluation.images),
        columns=tuple(columns),
    )


def _decode_header(metadata: Mapping[bytes, bytes]) -> _Header:
    if _METADATA_KEY not in metadata:
        raise ValueError("mlrek did not write it")
    header = metadata[_METADATA_KEY]
    written = _SCHEMA_DECODER.decode(header).schema_version
    if written > SCHEMA_VERSION:
        raise EvaluationError(
            f"this evaluation.parquet has schema {written}, this mlrek reads up to "
            f"{SCHEMA_VERSION}: upgrade it (`pip install --upgrade mlrek`)"
        )
    return _HEADER_DECODER.decode(header)


def _encode_array(array: object) -> list[float]:
    if not isinstance(array, np.ndarray):
        raise NotImplementedError
    values: list[float] = array.tolist()  # NaN becomes null
    return values


def _decode_array(_type: type, values: object) -> FloatArray:
    return np.array(values, dtype=np.float64)  # null becomes NaN


_HEADER_DECODER = json.Decoder(_Header, dec_hook=_decode_array)


def find_groups(names: list[str]) -> Iterator[ColumnGroup]:
    """The groups that a file with columns of these names should have; always that of images."""
    always = GROUPS[0]
    for group in GROUPS:
        if group is always or not set(names).isdisjoint(group.schema.names):
            yield group


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Further:
    """A field of the true or the found boxes that few files have, with the rows of each image."""

    side: str
    field: str
    offsets: IntArray
    values: Any


def _add_further(detections: Detections, further: Sequence[_Further]) -> Detections:
    """The boxes with what else is known about them."""
    sides = {"truth": detections.truth, "records": detections.records}
    for one in further:
        if not np.array_equal(one.offsets, sides[one.side].offsets):
            raise ValueError("the columns of the boxes differ in length")
        sides[one.side] = replace(sides[one.side], **{one.field: one.values})
    return replace(detections, truth=sides["truth"], records=sides["records"])


def _make_further(
    side: str, field: str, names: Sequence[str], value_type: pa.DataType
) -> ColumnGroup:
    """The columns of a field of the true or the found boxes."""

    def find(evaluation: Evaluation) -> Any:
        return getattr(getattr(evaluation.detections, side, None), field, None)

    def write(evaluation: Evaluation) -> list[pa.Array]:
        offsets, values = getattr(evaluation.detections, side).offsets, find(evaluation)
        if value_type == pa.binary():
            values = np.array(values, dtype=object)
        columns = [values] if len(names) == 1 else [*values.T]
        return [_write_lists(offsets, column, value_type) for column in columns]

    def read(table: pa.Table) -> dict[str, Any]:
        offsets, columns = _read_rows(table, tuple(names), "boxes")
        values: Any = columns[0] if len(names) == 1 else np.stack(columns, axis=1)
        if value_type == pa.binary():
            values = tuple(values.tolist())
        further = _Further(side=side, field=field, offsets=offsets, values=values)
        return {f"{_FURTHER}{side}.{field}": further}

    return ColumnGroup(
        schema=_schema(**{name: pa.list_(value_type) for name in names}),
        is_in=lambda evaluation: find(evaluation) is not None,
        write=write,
        read=read,
    )


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
    return offsets - offsets[0], values.to_numpy(zero_copy_only=False)


def _schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema(types)


_FURTHER_GROUPS = (
    _make_further("truth", "is_crowd", ["true_box_crowd"], pa.bool_()),
    _make_further("truth", "areas", ["true_box_area"], pa.float64()),
    _make_further("truth", "sizes", ["true_box_width", "true_box_height"], pa.float64()),
    _make_further("truth", "masks", ["true_box_mask"], pa.binary()),
    _make_further("records", "areas", ["box_area"], pa.float64()),
    _make_further("records", "sizes", ["box_width", "box_height"], pa.float64()),
    _make_further("records", "masks", ["box_mask"], pa.binary()),
)

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
    *_FURTHER_GROUPS,
)

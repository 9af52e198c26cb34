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

A code is a position in `labels`. The schema's metadata holds one JSON object under `mlrek`:
`schema_version`, `task`, `labels`, `thresholds` (null: not published), `pos_label` ('': none),
`normalized` (whether corners are shares of the image's width and height, else they are pixels),
`version` with its project, `reported`, `files`, `doubts` (since schema 2), `warnings`, and
`summary`, the provider's file as base64 of zlib.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import MsgspecError, Struct, json
from pyarrow import parquet

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Doubt,
    DoubtKind,
    Evaluation,
    FloatArray,
    Reported,
    SourceFile,
    Task,
    Version,
)
from mlrek.formats.doubts import complete_doubts, doubt_unanswered
from mlrek.formats.json_text import show
from mlrek.formats.stored_columns import GROUPS, find_groups

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


def dump_evaluation(evaluation: Evaluation) -> bytes:
    """The evaluation as the bytes of a Parquet file; equal evaluations give equal bytes."""
    groups = [group for group in GROUPS if group.is_in(evaluation)]
    header = json.encode(_describe(evaluation), enc_hook=_encode_array)
    schema = pa.unify_schemas([group.schema for group in groups])
    table = pa.Table.from_arrays(
        [column for group in groups for column in group.write(evaluation)],
        schema=schema.with_metadata({_METADATA_KEY: header}),
    )
    sink = BytesIO()
    parquet.write_table(table, sink, compression="zstd", row_group_size=_ROWS_A_GROUP)
    del table
    pa.default_memory_pool().release_unused()
    return sink.getvalue()


def load_evaluation(data: bytes) -> Evaluation:
    """The evaluation that `dump_evaluation` wrote, by this version or an earlier one.

    Raises:
        EvaluationError: It is no such file, it is damaged, or a later version wrote it.
    """
    try:
        file = _open(data)
        header = _decode_header(file.schema_arrow.metadata or {})
        columns: dict[str, Any] = {}
        for group in find_groups(file.schema_arrow.names):
            table = file.read(columns=group.schema.names)
            columns |= group.read(table.select(group.schema.names).cast(group.schema))
        if "detections" in columns:
            columns["detections"] = replace(columns["detections"], normalized=header.normalized)
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
        missed = list(dict.fromkeys(show(evaluation.images[i]) for i in places))
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
    doubts: tuple[Doubt, ...] = ()
    warnings: tuple[str, ...]
    summary: bytes


def _describe(evaluation: Evaluation) -> _Header:
    return _Header(
        task=evaluation.task,
        labels=evaluation.labels,
        thresholds=evaluation.thresholds,
        pos_label=evaluation.pos_label,
        normalized=evaluation.detections is not None and evaluation.detections.normalized,
        version=evaluation.version,
        reported=evaluation.reported,
        files=evaluation.files,
        doubts=evaluation.doubts,
        warnings=evaluation.warnings,
        summary=zlib.compress(evaluation.summary),
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


# made at import: threads that made them at once would meet what is not made to its end
_SCHEMA_DECODER = json.Decoder(_SchemaVersion)
_HEADER_DECODER = json.Decoder(_Header, dec_hook=_decode_array)

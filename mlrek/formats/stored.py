"""`evaluation.parquet`: a whole evaluation, image by image and lossless. A schema is read forever.

One row an image, in the order of the provider's manifest:

| column       | type           | what                                                   |
| ---          | ---            | ---                                                    |
| `image`      | string         | URI of the image                                       |
| `truth`      | list of int32  | codes of its true labels, rising                       |
| `label`      | list of int32  | codes of the labels it has a record for, rising        |
| `confidence` | list of double | of those records, 0 to 1                               |
| `outcome`    | list of uint8  | the provider's flag: 0 unknown, 1 TP, 2 FP, 3 FN, 4 TN |

A code is a position in `labels`. The schema's metadata holds one JSON object under `mlrek`:
`schema_version`, `task`, `labels`, `thresholds` (null: not published), `pos_label` ('': none),
`version` with its project, `reported`, `files`, `warnings`, and `summary`, the provider's file as
base64 of zlib.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import MsgspecError, Struct, json
from numpy.typing import NDArray
from pyarrow import parquet

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Evaluation,
    FloatArray,
    IntArray,
    LabelSets,
    Records,
    Reported,
    SourceFile,
    Task,
    Version,
)

SCHEMA_VERSION = 1

_METADATA_KEY = b"mlrek"


def dump_evaluation(evaluation: Evaluation) -> bytes:
    """The evaluation as the bytes of a Parquet file; equal evaluations give equal bytes.

    Raises:
        EvaluationError: It has columns that this schema has no place for.
    """
    if evaluation.detections is not None or evaluation.masks is not None:
        reason = f"boxes and masks cannot be stored yet (task {evaluation.task})"
        raise EvaluationError(f"{evaluation.version.arn}: {reason}")
    layout = _LAYOUTS[evaluation.task]
    header = json.encode(_describe(evaluation), enc_hook=_encode_array)
    table = pa.Table.from_arrays(
        layout.write(evaluation), schema=layout.schema.with_metadata({_METADATA_KEY: header})
    )
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def load_evaluation(data: bytes) -> Evaluation:
    """The evaluation that `dump_evaluation` wrote, by this version or an earlier one.

    Raises:
        EvaluationError: It is no such file, it is damaged, or a later version wrote it.
    """
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        header = _decode_header(file.schema_arrow.metadata or {})
        layout = _LAYOUTS[header.task]
        table = file.read(columns=layout.schema.names)
        columns = layout.read(table.select(layout.schema.names).cast(layout.schema))
        summary = zlib.decompress(header.summary)
    except (pa.ArrowException, OSError, MsgspecError, zlib.error, LookupError, ValueError) as exc:
        raise EvaluationError(f"this is no evaluation.parquet that can be read: {exc}") from exc
    return Evaluation(
        version=header.version,
        task=header.task,
        labels=header.labels,
        thresholds=header.thresholds,
        pos_label=header.pos_label,
        reported=header.reported,
        files=header.files,
        warnings=header.warnings,
        summary=summary,
        **columns,
    )


class _SchemaVersion(Struct):
    schema_version: int


class _Header(Struct, kw_only=True):
    schema_version: int = SCHEMA_VERSION
    task: Task
    labels: tuple[str, ...]
    thresholds: FloatArray
    pos_label: str = ""
    version: Version
    reported: Reported
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...]
    summary: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The columns of a task, and how they become fields of an evaluation and back."""

    schema: pa.Schema
    write: Callable[[Evaluation], list[pa.Array]]
    read: Callable[[pa.Table], dict[str, Any]]


def _describe(evaluation: Evaluation) -> _Header:
    return _Header(
        task=evaluation.task,
        labels=evaluation.labels,
        thresholds=evaluation.thresholds,
        pos_label=evaluation.pos_label,
        version=evaluation.version,
        reported=evaluation.reported,
        files=evaluation.files,
        warnings=evaluation.warnings,
        summary=zlib.compress(evaluation.summary),
    )


def _decode_header(metadata: Mapping[bytes, bytes]) -> _Header:
    if _METADATA_KEY not in metadata:
        raise ValueError("mlrek did not write it")
    header = metadata[_METADATA_KEY]
    written = json.decode(header, type=_SchemaVersion).schema_version
    if written > SCHEMA_VERSION:
        raise EvaluationError(
            f"this evaluation.parquet has schema {written}, this mlrek reads up to "
            f"{SCHEMA_VERSION}: upgrade it (`pip install --upgrade mlrek`)"
        )
    return json.decode(header, type=_Header, dec_hook=_decode_array)


def _encode_array(array: object) -> list[float]:
    if not isinstance(array, np.ndarray):
        raise NotImplementedError
    values: list[float] = array.tolist()  # NaN becomes null
    return values


def _decode_array(_type: type, values: object) -> FloatArray:
    return np.array(values, dtype=np.float64)  # null becomes NaN


def _write_image_labels(evaluation: Evaluation) -> list[pa.Array]:
    truth, records = evaluation.truth, evaluation.records
    return [
        pa.array(evaluation.images, pa.string()),
        _write_lists(truth.offsets, truth.label_idx, pa.int32()),
        _write_lists(records.offsets, records.label_idx, pa.int32()),
        _write_lists(records.offsets, records.confidence, pa.float64()),
        _write_lists(records.offsets, records.outcome, pa.uint8()),
    ]


def _read_image_labels(table: pa.Table) -> dict[str, Any]:
    offsets, label_idx = _read_lists(table, "label")
    lists = {name: _read_lists(table, name) for name in ("truth", "confidence", "outcome")}
    if not all(np.array_equal(offsets, lists[name][0]) for name in ("confidence", "outcome")):
        raise ValueError("the columns of the records differ in length")
    if table["image"].null_count:
        raise ValueError("an image has no place")
    return {
        "images": tuple(table["image"].to_pylist()),
        "truth": LabelSets(offsets=lists["truth"][0], label_idx=lists["truth"][1]),
        "records": Records(
            offsets=offsets,
            label_idx=label_idx,
            confidence=lists["confidence"][1],
            outcome=lists["outcome"][1],
        ),
    }


def _write_lists(offsets: IntArray, values: NDArray[Any], value_type: pa.DataType) -> pa.Array:
    flat = pa.array(values, value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def _read_lists(table: pa.Table, name: str) -> tuple[IntArray, NDArray[Any]]:
    """Offsets (n_images + 1,) and values of a column of lists."""
    lists = table[name].combine_chunks()
    values = lists.flatten()
    if lists.null_count or values.null_count:
        raise ValueError(f"column {name} has gaps")
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], values.to_numpy()


_IMAGE_LABELS = _Layout(
    schema=pa.schema(
        {
            "image": pa.string(),
            "truth": pa.list_(pa.int32()),
            "label": pa.list_(pa.int32()),
            "confidence": pa.list_(pa.float64()),
            "outcome": pa.list_(pa.uint8()),
        }
    ),
    write=_write_image_labels,
    read=_read_image_labels,
)

# Detection and segmentation: only what has no images as yet, the provider's numbers alone.
_LAYOUTS: Mapping[Task, _Layout] = dict.fromkeys(Task, _IMAGE_LABELS)

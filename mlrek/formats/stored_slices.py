"""The columns of `evaluation.parquet` by which slices are made: `slice:NAME`, one a column.

Names are whatever files call their columns, so a prefix keeps them from those of mlrek's own.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mlrek.evaluation import SliceColumn

SLICE_PREFIX: Final = "slice:"

_LOOKED_AT: Final = 1_000
_TEXTS: Final = pa.dictionary(pa.int32(), pa.string())


def write_slice_column(column: SliceColumn) -> pa.Array:
    """A column as it is stored: texts as a dictionary, numbers as doubles, null for no value."""
    if column.numbers is not None:
        return pa.array(column.numbers, pa.float64(), mask=np.isnan(column.numbers))
    assert column.codes is not None  # noqa: S101 - for the type checker
    codes = pa.array(column.codes, pa.int32(), mask=column.codes < 0)
    return pa.DictionaryArray.from_arrays(codes, pa.array(column.values, pa.string()))


def choose_encodings(schema: pa.Schema, columns: Sequence[SliceColumn]) -> dict[str, Any]:
    """How Parquet writes a table with such columns: those are packed fast, all others small.

    A dictionary of numbers that hardly repeat takes more time, and more room, than these do.
    """
    if not columns:
        return {"compression": "zstd"}
    leaves = {field.name: _find_leaf(field) for field in schema}
    own = [f"{SLICE_PREFIX}{column.name}" for column in columns]
    plain = {name for name, column in zip(own, columns, strict=True) if _hardly_repeats(column)}
    return {
        "compression": dict.fromkeys(leaves.values(), "zstd") | dict.fromkeys(own, "snappy"),
        "use_dictionary": [leaf for name, leaf in leaves.items() if name not in plain],
        "write_statistics": False,  # of many columns they take a third longer
    }


def _find_leaf(field: pa.Field) -> str:
    """What Parquet calls the column."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name


def _hardly_repeats(column: SliceColumn) -> bool:
    if column.numbers is None:
        return False
    first = column.numbers[:_LOOKED_AT]
    return 2 * len(np.unique(first)) > len(first)


def read_slice_columns(file: parquet.ParquetFile) -> tuple[SliceColumn, ...]:
    """All such columns of a file, in its order.

    Raises:
        ValueError: Two have one name, or one holds something else than texts or numbers.
    """
    names = [name for name in file.schema_arrow.names if name.startswith(SLICE_PREFIX)]
    return tuple(_read_columns(file, names)) if names else ()


def _read_columns(file: parquet.ParquetFile, names: list[str]) -> Iterator[SliceColumn]:
    if len(set(names)) < len(names):
        raise ValueError("two of its columns for slices have one name")
    table = file.read(columns=names)
    for name in names:
        column = table.column(table.schema.get_all_field_indices(name)[0])
        yield _read_column(name.removeprefix(SLICE_PREFIX), column)


def _read_column(name: str, column: pa.ChunkedArray) -> SliceColumn:
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers = column.cast(pa.float64()).to_numpy()
        return SliceColumn(name=name, numbers=np.array(numbers, dtype=np.float64))
    if not pa.types.is_dictionary(kind):
        column = column.cast(pa.string()).dictionary_encode()
    column = column.unify_dictionaries().cast(_TEXTS)
    if not column.num_chunks:
        return SliceColumn(name=name, codes=np.zeros(0, dtype=np.int32))
    codes = [chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks]
    values = column.chunk(0).dictionary
    if values.null_count:
        raise ValueError("a column for slices has a value that is none")
    return SliceColumn(name=name, values=tuple(values.to_pylist()), codes=np.concatenate(codes))

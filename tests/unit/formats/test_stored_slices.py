"""`evaluation.parquet`: the columns of its images by which slices are made."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    SliceColumn,
    Task,
    Version,
)
from mlrek.formats.stored import dump_evaluation, load_stored

_FOLDER = Path(__file__).parents[2] / "data" / "stored"

SITES = SliceColumn(name="site", values=("north", "a\nb=*<script>"), codes=np.array([1, -1, 0]))
LUX = SliceColumn(name="lux", numbers=np.array([0.1, np.nan, 1e300]))


def _evaluation(*columns: SliceColumn) -> Evaluation:
    project = Project(provider=Provider.CUSTOM, arn="mlrek:project/p", name="p")
    offsets = np.array([0, 1, 2, 3])
    return Evaluation(
        version=Version(project=project, arn="mlrek:project/p/custom/v", name="v"),
        task=Task.CLASSIFICATION,
        labels=("cat",),
        images=("1.jpg", "2.jpg", "3.jpg"),
        truth=LabelSets(offsets=offsets, label_idx=np.zeros(3, dtype=np.int32)),
        records=Records(
            offsets=offsets,
            label_idx=np.zeros(3, dtype=np.int32),
            confidence=np.array([0.5, 1, 0]),
            outcome=np.zeros(3, dtype=np.uint8),
        ),
        thresholds=np.array([np.nan]),
        slice_columns=columns,
    )


def _name_columns(data: bytes) -> list[str]:
    return parquet.read_schema(io.BytesIO(data)).names


def _replace(data: bytes, name: str, column: object) -> bytes:
    table = parquet.read_table(io.BytesIO(data))
    place = table.schema.get_field_index(name)
    sink = io.BytesIO()
    parquet.write_table(table.set_column(place, name, pa.array(column)), sink)
    return sink.getvalue()


def _describe(evaluation: Evaluation) -> list[tuple[str, list[object]]]:
    """Name and value of each image of each column, None for none."""
    found = []
    for column in evaluation.slice_columns:
        if column.codes is not None:
            cells = [None if code < 0 else column.values[code] for code in column.codes]
        else:
            cells = [None if np.isnan(number) else number for number in column.numbers.tolist()]
        found.append((column.name, cells))
    return found


def test_columns_are_stored_as_documented():
    """Any reader of Parquet finds texts and numbers by image, and null where there is no value."""
    table = parquet.read_table(io.BytesIO(dump_evaluation(_evaluation(SITES, LUX))))
    assert table["slice:site"].to_pylist() == ["a\nb=*<script>", None, "north"]
    assert table["slice:lux"].to_pylist() == [0.1, None, 1e300]
    assert pa.types.is_dictionary(table.schema.field("slice:site").type)
    assert pa.types.is_float64(table.schema.field("slice:lux").type)


def test_without_columns_nothing_is_added():
    """An evaluation of which files tell nothing besides has no column more than before."""
    names = _name_columns(dump_evaluation(_evaluation()))
    assert names == ["image", "truth", "label", "confidence", "outcome"]


def test_values_that_no_image_has_are_kept():
    """The list of values of a column comes back whole, in its order."""
    column = SliceColumn(name="s", values=("z", "unused", "a"), codes=np.array([2, 2, 0]))
    (loaded,) = load_stored(dump_evaluation(_evaluation(column))).slice_columns
    assert loaded.values == ("z", "unused", "a")
    assert loaded.codes.tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    "name",
    [
        "image",
        "truth",
        "slice:image",
        "a.b",
        "a",
        "",
        " ",
        "x\ny",
        "a\0b",
        "<script>",
        "n" * 10_000,
    ],
)
def test_any_name_can_be_a_column(name):
    """A column named like one of mlrek's own, or in any other way, collides with none."""
    named = replace(SITES, name=name), replace(LUX, name="a.b.c"), replace(LUX, name="slice")
    loaded = load_stored(dump_evaluation(_evaluation(*named)))
    assert _describe(loaded) == _describe(_evaluation(*named))
    assert loaded.images == ("1.jpg", "2.jpg", "3.jpg")


def test_columns_of_many_row_groups_come_back():
    """A file with several row groups gives one column, whose codes are of one list of values."""
    evaluation = _evaluation(SITES, LUX)
    n = 60_000
    places = np.tile(np.arange(3), n // 3)
    many = replace(
        evaluation,
        images=tuple(map(str, range(n))),
        truth=LabelSets(offsets=np.zeros(n + 1, dtype=np.int64), label_idx=np.zeros(0, np.int32)),
        records=Records(
            offsets=np.zeros(n + 1, dtype=np.int64),
            label_idx=np.zeros(0, dtype=np.int32),
            confidence=np.zeros(0),
            outcome=np.zeros(0, dtype=np.uint8),
        ),
        slice_columns=(SITES.take(places), LUX.take(places)),
    )
    loaded = load_stored(dump_evaluation(many)).slice_columns
    assert loaded[0].values == SITES.values
    assert np.array_equal(loaded[0].codes, SITES.codes[places])
    assert np.array_equal(loaded[1].numbers, LUX.numbers[places], equal_nan=True)


def test_plain_texts_are_read_too():
    """Another program may have written the file again, without dictionaries and with integers."""
    data = dump_evaluation(_evaluation(SITES, LUX))
    data = _replace(data, "slice:site", ["b", None, "a"])
    data = _replace(data, "slice:lux", pa.array([3, None, 4], pa.int64()))
    assert _describe(load_stored(data)) == [("site", ["b", None, "a"]), ("lux", [3, None, 4])]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([["a"], [], []], "can be read"),
        ([float("inf"), 1, 2], "a number is not finite"),
    ],
)
def test_damaged_columns_are_refused(column, reason):
    """A column for slices that holds lists, or a number without end, is no such column."""
    data = _replace(dump_evaluation(_evaluation(LUX)), "slice:lux", column)
    with pytest.raises(EvaluationError, match=reason):
        load_stored(data)


def test_columns_are_read_forever():
    """Schema 2, as it was when columns for slices came to it."""
    loaded = load_stored((_FOLDER / "evaluation-schema-2-slices.parquet").read_bytes())
    assert _describe(loaded) == [
        ("site", ["a\nb=*<script>", None, "north"]),
        ("lux", [0.1, None, 1e300]),
    ]


def test_numbers_that_hardly_repeat_are_stored_without_a_dictionary():
    """Such a column has no dictionary, others have one; all others are packed as without them."""
    columns = (
        SITES,
        SliceColumn(name="lux", numbers=np.array([0.5, 2, 3])),
        SliceColumn(name="n.list.element", numbers=np.array([1.0, 1, 1])),
    )
    first = [
        parquet.ParquetFile(io.BytesIO(dump_evaluation(_evaluation(*own)))).metadata.row_group(0)
        for own in ((), columns)
    ]
    plain, sliced = (
        {
            (one := group.column(i)).path_in_schema: (one.compression, one.has_dictionary_page)
            for i in range(group.num_columns)
        }
        for group in first
    )

    assert {name: how for name, how in sliced.items() if name in plain} == plain
    assert {name: how for name, how in sliced.items() if name not in plain} == {
        "slice:site": ("SNAPPY", True),
        "slice:lux": ("SNAPPY", False),
        "slice:n.list.element": ("SNAPPY", True),
    }
    assert [*load_stored(dump_evaluation(_evaluation(*columns))).slice_columns[1].numbers] == [
        *(0.5, 2, 3)
    ]

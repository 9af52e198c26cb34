"""Crowds, areas, sizes and masks of boxes in `evaluation.parquet`."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from builders.answers import VERSION
from builders.coco import draw_coco, give_file
from builders.detections import build_detection
from pyarrow import parquet

from mlrek.errors import EvaluationError
from mlrek.formats.coco import read_coco_answers, read_coco_truth
from mlrek.formats.predictions import JoinOptions
from mlrek.formats.predictions.join import join_answers
from mlrek.formats.stored import dump_evaluation, load_stored
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.test_set import digest_test_set

FURTHER = ("is_crowd", "areas", "sizes", "masks")


def read_drawn(*, masks):
    """An evaluation of drawn COCO files."""
    truth, results = draw_coco(3, masks=masks)
    files = read_coco_truth(give_file(truth)), read_coco_answers(give_file(results))
    return join_answers(VERSION, *files, JoinOptions())


@pytest.mark.parametrize("masks", [False, True])
def test_all_that_is_said_of_boxes_comes_back(masks):
    """Every field of true and found boxes, the digest and all averages are as before."""
    evaluation = read_drawn(masks=masks)
    again = load_stored(dump_evaluation(evaluation))
    for side in ("truth", "records"):
        before, after = (getattr(one.detections, side) for one in (evaluation, again))
        for name in FURTHER:
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert digest_test_set(again) == digest_test_set(evaluation)
    values = [
        {name: number.value for name, number in compute_metrics(one).aggregate.items()}
        for one in (evaluation, again)
    ]
    assert values[0] == pytest.approx(values[1], abs=0, nan_ok=True)


def test_further_columns_of_boxes_as_documented():
    """Columns have the names and types of the table."""
    data = dump_evaluation(read_drawn(masks=True))
    schema = parquet.ParquetFile(BytesIO(data)).schema_arrow
    types = {
        "true_box_crowd": pa.bool_(),
        "true_box_area": pa.float64(),
        "true_box_width": pa.float64(),
        "true_box_height": pa.float64(),
        "true_box_mask": pa.binary(),
        "box_width": pa.float64(),
        "box_height": pa.float64(),
        "box_mask": pa.binary(),
    }
    assert {name: schema.field(name).type.value_type for name in types} == types


def test_plain_boxes_have_no_further_columns():
    """A file of plain boxes has the columns that it always had."""
    data = dump_evaluation(build_detection([[(0, (0, 0, 9, 9))]], [[]]))
    schema = parquet.ParquetFile(BytesIO(data)).schema_arrow
    assert schema.names[-2:] == ["width", "height"]


def test_further_columns_of_another_length_are_refused():
    """A crowd for each box, or the file is damaged."""
    evaluation = build_detection([[(0, (0, 0, 9, 9))], [(0, (0, 0, 9, 9))]], [[], []])
    truth = replace(evaluation.detections.truth, is_crowd=np.array([True, False]))
    evaluation = replace(evaluation, detections=replace(evaluation.detections, truth=truth))
    table = parquet.read_table(BytesIO(dump_evaluation(evaluation)))
    place = table.schema.names.index("true_box_crowd")
    moved = pa.array([[True, False], []], pa.list_(pa.bool_()))
    sink = BytesIO()
    parquet.write_table(table.set_column(place, "true_box_crowd", moved), sink)
    with pytest.raises(EvaluationError, match="columns of the boxes differ in length"):
        load_stored(sink.getvalue())

"""Definitions are given with their numbers."""

from dataclasses import replace

import numpy as np
import pytest

from mlrek.evaluation import Boxes, Detections, MaskCounts, Task
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.numbers import list_definitions

NONE = np.empty(0, dtype=np.int64)
NO_BOXES = Boxes(
    offsets=np.zeros(2, dtype=np.int64),
    label_idx=NONE,
    boxes_xyxy=np.empty((0, 4)),
    confidence=np.empty(0),
    outcome=NONE.astype(np.uint8),
)
EMPTY = {
    "detection": {
        "detections": Detections(
            truth=NO_BOXES, records=NO_BOXES, image_sizes=np.full((1, 2), np.nan)
        )
    },
    "segmentation": {
        "masks": MaskCounts(
            image_idx=NONE, label_idx=NONE, tp=NONE, fp=NONE, fn=NONE, readable=np.ones(1, bool)
        )
    },
}


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
def test_every_number_has_a_definition(build, task):
    """And no definition is without a number."""
    metrics = compute_metrics(build([[0]], [[(0, 0.9)]], task=task))

    definitions = list_definitions(task)

    aggregate = {name for name in definitions if name.startswith("aggregate/")}
    assert aggregate == {f"aggregate/{name}" for name in metrics.aggregate}
    assert {f"at_threshold/{name}" for name in metrics.at_threshold} <= definitions.keys()
    assert metrics.at_threshold
    assert all(definitions.values())


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_every_number_of_boxes_and_areas_has_a_definition(build, kind):
    """Also those that stand in `evaluation.json` alone."""
    metrics = compute_metrics(replace(build([[]], [[]]), task=Task(kind), **EMPTY[kind]))

    definitions = list_definitions(Task(kind))

    named = {name for name in definitions if name.startswith("aggregate/")}
    assert named == {f"aggregate/{name}" for name in metrics.aggregate}
    assert {f"at_threshold/{name}" for name in metrics.at_threshold} <= definitions.keys()
    assert {f"extra/{name}" for name in metrics.extra} <= definitions.keys()
    assert all(definitions.values())

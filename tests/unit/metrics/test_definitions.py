"""Definitions stand beside their numbers."""

import pytest

from mlrek.evaluation import Task
from mlrek.metrics.at_threshold import AT_THRESHOLD_NAMES
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.definitions import describe_metrics


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
def test_every_number_has_a_definition(build, task):
    """And no definition is without a number."""
    metrics = compute_metrics(build([[0]], [[(0, 0.9)]], task=task))

    definitions = describe_metrics(task)

    aggregate = {name for name in definitions if name.startswith("aggregate/")}
    assert aggregate == {f"aggregate/{name}" for name in metrics.aggregate}
    assert {f"at_threshold/{name}" for name in AT_THRESHOLD_NAMES} <= definitions.keys()
    assert all(definitions.values())


def test_a_task_without_numbers_has_no_definitions():
    """Nothing is described that is not computed."""
    assert describe_metrics(Task.SEGMENTATION) == {}

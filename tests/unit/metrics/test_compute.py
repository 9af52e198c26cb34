"""The one entry to all numbers."""

import pytest

from mlrek.errors import EvaluationError
from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics


def test_a_task_that_cannot_be_computed_is_refused(build):
    """The message names it, and what can be computed."""
    evaluation = build([[]], [[]], task=Task.SEGMENTATION)

    with pytest.raises(EvaluationError, match="for the task segmentation, only for classification"):
        compute_metrics(evaluation)


def test_same_seed_gives_the_same_metrics(build):
    """A second run of the same input changes nothing."""
    evaluation = build(
        [[0], [1], [1], [0]], [[(0, 0.9)], [(1, 0.8)], [(0, 0.7)], [(0, 0.4)]], n_labels=2
    )

    first, second = (compute_metrics(evaluation).aggregate for _ in range(2))

    assert repr(first) == repr(second)

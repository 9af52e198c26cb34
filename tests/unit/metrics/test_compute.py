"""The one entry to all numbers."""

from dataclasses import replace

import pytest

from mlrek.errors import EvaluationError
from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics


@pytest.mark.parametrize(
    ("task", "lacks"), [(Task.DETECTION, "table of boxes"), (Task.SEGMENTATION, "counts of pixels")]
)
def test_an_evaluation_that_contradicts_its_task_is_refused(build, task, lacks):
    """Labels of images are neither boxes nor areas."""
    with pytest.raises(EvaluationError, match=f"without .*{lacks}"):
        compute_metrics(build([[]], [[]], task=task))


def test_same_seed_gives_the_same_metrics(build):
    """A second run of the same input changes nothing."""
    evaluation = build(
        [[0], [1], [1], [0]], [[(0, 0.9)], [(1, 0.8)], [(0, 0.7)], [(0, 0.4)]], n_labels=2
    )

    first, second = (compute_metrics(evaluation).aggregate for _ in range(2))

    assert repr(first) == repr(second)


def test_the_model_it_was_adapted_from_has_numbers_of_its_own(build):
    """Both are held against the same truth; here the one is right twice, the other once."""
    better = build([[0], [1]], [[(0, 0.9)], [(1, 0.9)]], n_labels=2, task=Task.MULTILABEL)
    worse = build([[0], [1]], [[(0, 0.9)], [(0, 0.9)]], n_labels=2, task=Task.MULTILABEL)

    metrics = compute_metrics(replace(better, baseline=worse.records))

    assert metrics.aggregate["subset_accuracy"].value == 1
    assert metrics.baseline["subset_accuracy"].value == 0.5
    assert compute_metrics(better).baseline == {}

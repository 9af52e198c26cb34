"""One list of headline numbers a task, and one name for each number."""

import pytest

from mlrek.evaluation import Task
from mlrek.metrics.numbers import HEADLINES, list_definitions, name_metric


@pytest.mark.parametrize("task", list(Task))
def test_each_task_has_at_most_six_headline_numbers_that_it_defines(task):
    """The charts' first section has room for six; each is a number that the task has."""
    names = HEADLINES[task]

    assert 1 <= len(names) <= 6
    assert {f"aggregate/{name}" for name in names} <= list_definitions(task).keys()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("aggregate/balanced_accuracy", "balanced accuracy"),
        ("aggregate/roc_auc_macro", "ROC AUC macro"),
        ("aggregate/mean_iou", "mean IoU"),
        ("aggregate/ap_50", "AP at IoU 0.50"),
        ("reported/average_precision", "service average precision"),
        ("base_model/f1_macro", "F1 macro of the base model"),
        ("crossfit/f1_macro", "F1 macro, cross-fitted"),
        ("label_at_threshold_f1", "F1 at the assumed threshold"),
        ("label_reported_f1", "service F1"),
        ("made/up", "made up"),
    ],
)
def test_a_number_is_called_what_people_call_it(name, words):
    """With what tells it from others of the same kind."""
    assert name_metric(name) == words

"""The confusion matrix at every threshold, against one that is counted at each by numpy."""

import numpy as np
import pytest
from builders.detections import build_detection
from builders.evaluations import build_evaluation

from mlrek.evaluation import Task
from mlrek.metrics.matrix_steps import compute_matrix_steps
from mlrek.metrics.thresholds import compute_threshold_matrices


def matrix_at(steps, percent):
    """The labels' rows and columns and the last column at one threshold, added up."""
    n = len(steps.sums)
    counts = np.zeros((n + 1, n + 1), dtype=int)
    kept = steps.step >= steps.percents.index(percent)
    np.add.at(counts, (steps.row[kept], steps.column[kept]), steps.change[kept])
    counts[:n, n] = steps.sums - counts[:n, :n].sum(axis=1)
    return counts


def draw_scores(n_images=300, n_labels=4):
    """Truth and confidences of one label an image, as arrays."""
    rng = np.random.default_rng(7)
    truth = rng.integers(0, n_labels, n_images)
    scores = rng.dirichlet(np.ones(n_labels), n_images)
    scores[np.arange(n_images), truth] += rng.random(n_images)
    scores = np.floor(100 * scores / scores.sum(axis=1, keepdims=True)) / 100  # many on a threshold
    return truth, scores


def test_a_top_label_counts_at_each_percent_that_it_reaches():
    """At all 101 thresholds the counts are those of numpy; what falls below them is no answer."""
    truth, scores = draw_scores()
    records = [list(enumerate(row)) for row in scores.tolist()]
    steps = compute_matrix_steps(
        build_evaluation([[t] for t in truth.tolist()], records, n_labels=4)
    )

    assert steps.percents == tuple(range(101))
    top, sure = scores.argmax(axis=1), scores.max(axis=1)
    for percent in range(101):
        expected = np.zeros((5, 5), dtype=int)
        np.add.at(expected, (truth, np.where(sure >= percent / 100, top, 4)), 1)
        assert matrix_at(steps, percent).tolist() == expected.tolist()


def test_each_of_several_labels_counts_at_each_percent_that_it_reaches():
    """Right on the diagonal, missed in the last column, false alarms in the last row."""
    rng = np.random.default_rng(3)
    truth, scores = rng.random((80, 3)) < 0.4, rng.integers(0, 101, (80, 3)) / 100
    evaluation = build_evaluation(
        [np.flatnonzero(row).tolist() for row in truth],
        [list(enumerate(row)) for row in scores.tolist()],
        n_labels=3,
        task=Task.MULTILABEL,
    )
    steps = compute_matrix_steps(evaluation)

    for percent in range(101):
        reached = scores >= percent / 100
        expected = np.zeros((4, 4), dtype=int)
        np.fill_diagonal(expected[:3, :3], (truth & reached).sum(axis=0))
        expected[:3, 3] = (truth & ~reached).sum(axis=0)
        expected[3, :3] = (~truth & reached).sum(axis=0)
        assert matrix_at(steps, percent).tolist() == expected.tolist()


def test_boxes_are_matched_anew_at_each_ten_percent():
    """A box that a surer one of another label holds is free again once that falls below."""
    evaluation = build_detection(
        [[(0, (0, 0, 10, 10))], [(1, (0, 0, 10, 10))]],
        [
            [(0, (0, 0, 10, 10), 0.6, "TP"), (1, (0, 0, 10, 9), 0.95, "FP")],
            [(0, (0, 0, 10, 10), 0.65, "FP"), (1, (80, 80, 90, 90), 0.1, "FP")],
        ],
        thresholds=[0.5, 0.5],
    )
    steps = compute_matrix_steps(evaluation)

    assert steps.percents == tuple(range(0, 101, 10))
    # Up to 60 % the first box is found by its own label, above by the other one alone.
    assert matrix_at(steps, 60)[0].tolist() == [1, 0, 0]
    assert matrix_at(steps, 70)[0].tolist() == [0, 1, 0]
    for percent, matrix in compute_threshold_matrices(evaluation).matrices.items():
        assert matrix_at(steps, percent).tolist() == matrix.counts.tolist()


def test_thresholds_below_which_a_top_label_is_unknown_have_no_matrix(build):
    """The service left out what did not reach 0.55 or 0.7: from 70 % on nothing is missing."""
    evaluation = build(
        [[0], [1]], [[(0, 0.9, "TP")], [(1, 0.2, "FN")]], n_labels=2, thresholds=[0.55, 0.7]
    )
    steps = compute_matrix_steps(evaluation)

    assert steps.percents == tuple(range(70, 101))
    assert matrix_at(steps, 90).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert matrix_at(steps, 91).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_fewer_thresholds_have_the_same_counts():
    """At whole tens of percent, thinned out, each matrix is as before."""
    truth, scores = draw_scores()
    records = [list(enumerate(row)) for row in scores.tolist()]
    steps = compute_matrix_steps(
        build_evaluation([[t] for t in truth.tolist()], records, n_labels=4)
    )
    thin = steps.thin()

    assert thin.percents == tuple(range(0, 101, 10))
    assert len(thin.row) < len(steps.row)
    for percent in thin.percents:
        assert matrix_at(thin, percent).tolist() == matrix_at(steps, percent).tolist()


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL])
def test_without_images_there_are_no_matrices_at_thresholds(build, task):
    """Numbers of the provider alone tell none."""
    assert compute_matrix_steps(build([], [], n_labels=2, task=task)) is None

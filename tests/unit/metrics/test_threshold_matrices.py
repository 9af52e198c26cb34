"""The confusion matrix at rising thresholds."""

from math import nan

from mlrek.evaluation import Task
from mlrek.metrics.threshold_matrices import PERCENTS, compute_threshold_matrices


def matrices(evaluation):
    """Counts as lists, by threshold in percent."""
    found = compute_threshold_matrices(evaluation).matrices
    return {percent: matrix.counts.tolist() for percent, matrix in found.items()}


def test_a_top_label_below_the_threshold_is_no_prediction(build_scores):
    """One image of a at 0.9, one of b taken for a at 0.6: a row each, the last column is none."""
    found = matrices(build_scores([[0], [1]], [[0.9, 0.1], [0.6, 0.4]]))

    assert list(found) == list(PERCENTS)
    assert found[0] == found[60] == [[1, 0, 0], [1, 0, 0]]
    assert found[70] == found[90] == [[1, 0, 0], [0, 0, 1]]
    assert found[100] == [[0, 0, 1], [0, 0, 1]]


def test_thresholds_below_which_top_labels_are_unknown_are_left_out(build):
    """The service left out what did not reach 0.55 or 0.7: from 0.7 on nothing is missing."""
    evaluation = build(
        [[0], [1]], [[(0, 0.9, "TP")], [(1, 0.2, "FN")]], n_labels=2, thresholds=[0.55, 0.7]
    )

    assert list(matrices(evaluation)) == [70, 80, 90, 100]


def test_without_published_thresholds_an_unknown_top_label_leaves_nothing(build):
    """Nothing tells how sure the version was of what it did not write down."""
    evaluation = build([[0], [1]], [[(0, 0.9, "TP")], [(1, 0.2, "FN")]], n_labels=2)

    assert matrices(evaluation) == {}


def test_several_labels_are_each_decided_at_the_threshold(build_scores):
    """No label is confused with another: row and column `(none)` have what is wrong."""
    evaluation = build_scores([[0, 1]], [[0.9, 0.3]], task=Task.MULTILABEL)
    found = matrices(evaluation)

    assert found[30] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert found[40] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_of_incomplete_records_only_predictions_count(build):
    """Label b reached 0.3, but its own threshold is 0.4, and others below it were left out."""
    evaluation = build(
        [[0], [1]],
        [[(0, 0.9, "TP")], [(1, 0.3, "FN")]],
        n_labels=2,
        thresholds=[0.5, 0.4],
        task=Task.MULTILABEL,
    )
    found = compute_threshold_matrices(evaluation)

    assert found.rule == "own threshold and confidence"
    assert found.matrices[0].counts.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_there_are_none_without_images(build):
    """Numbers of the provider alone tell no matrix at other thresholds."""
    assert matrices(build([], [], n_labels=2, thresholds=[nan, nan])) == {}

"""The confusion matrix at rising thresholds."""

from math import nan

from builders.detections import build_detection

from mlrek.evaluation import Task
from mlrek.metrics.thresholds import PERCENTS, compute_threshold_matrices


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


def test_boxes_below_the_threshold_are_missed_ones():
    """One on nothing at 0.6, and one of a at 0.65 that found a box of b: from 0.7 on neither."""
    evaluation = build_detection(
        [[(0, (0, 0, 10, 10))], [(1, (0, 0, 10, 10))]],
        [
            [(0, (0, 0, 10, 10), 0.9, "TP"), (1, (50, 50, 60, 60), 0.6, "FP")],
            [(0, (0, 0, 10, 10), 0.65, "FP"), (1, (80, 80, 90, 90), 0.1, "FP")],
        ],
        thresholds=[0.5, 0.5],
    )
    found = compute_threshold_matrices(evaluation)
    counts = {percent: matrix.counts.tolist() for percent, matrix in found.matrices.items()}

    assert list(counts) == list(PERCENTS)
    assert counts[60] == [[1, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert counts[70] == counts[90] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert counts[100] == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert found.matrices[60].rows[-1] == "(background)"
    assert {sum(map(sum, rows[:2])) for rows in counts.values()} == {2}  # each true box once


def test_of_incomplete_boxes_only_those_that_reach_their_own_threshold_count():
    """The service left out unmatched boxes below it, so that a matched one there would flatter."""
    evaluation = build_detection(
        [[(0, (0, 0, 10, 10))], [(0, (0, 0, 10, 10))]],
        [[(0, (0, 0, 10, 10), 0.9, "TP")], [(0, (0, 0, 10, 10), 0.3, "FN")]],
        thresholds=[0.5, 0.5],
    )
    found = compute_threshold_matrices(evaluation)

    assert found.rule == "own threshold and confidence"
    assert found.matrices[0].counts.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_there_are_none_without_images(build):
    """Numbers of the provider alone tell no matrix at other thresholds."""
    assert matrices(build([], [], n_labels=2, thresholds=[nan, nan])) == {}

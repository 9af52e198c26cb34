"""The numbers of two versions side by side, and why one stands alone."""

from dataclasses import replace

import numpy as np

from mlrek.comparison import Scope


def test_without_intervals_there_are_those_of_formulas_alone(build_scores, compare, draw_pair):
    """Accuracy keeps Newcombe's."""
    truth, *scores = draw_pair(1)

    comparison = compare(*(build_scores(truth, one) for one in scores))

    assert np.isnan(comparison.find("aggregate/f1_macro").low)
    assert comparison.find("aggregate/f1_macro").reason
    assert comparison.find("aggregate/accuracy").low < comparison.find("aggregate/accuracy").high


def test_a_number_that_one_version_lacks_has_no_difference(build, build_scores, compare):
    """With its reason, and the value of the version that has it."""
    scores = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]]
    baseline = build([[0], [1], [0]], [[(0, 0.6)], [(1, 0.7)], [(0, 0.5)]])
    candidate = build_scores([[0], [1], [0]], scores)

    difference = compare(baseline, candidate).find("aggregate/roc_auc_macro")

    assert np.isnan(difference.baseline)
    assert difference.candidate == 1
    assert np.isnan(difference.difference)
    assert "complete" in difference.reason or "confidence of every label" in difference.reason


def test_reported_numbers_stand_side_by_side_without_interval(build_top, compare):
    """Of the whole test sets only: nobody knows what the provider would say of fewer images."""
    sides = [
        replace(
            build_top([0, 1, 1], y_pred),
            reported=replace(build_top([0], [0]).reported, aggregate={"f1": f1}),
        )
        for y_pred, f1 in (([0, 1, 0], 0.8), ([0, 1, 1], 0.9))
    ]

    comparison = compare(*sides, intervals=True)

    reported = comparison.find("reported/f1", scope=Scope.WHOLE)
    assert (reported.baseline, reported.candidate) == (0.8, 0.9)
    assert np.isnan(reported.low)
    assert reported.reason == "no interval: the provider publishes the number alone"
    assert comparison.find("reported/f1") is None

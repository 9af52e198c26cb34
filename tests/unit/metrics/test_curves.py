"""Curves over the confidence."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from mlrek.evaluation import Task
from mlrek.metrics.compute import compute_metrics


def _draw_curves(evaluation):
    return compute_metrics(evaluation, intervals=False).curves


def _trace(evaluation):
    return compute_metrics(evaluation, intervals=False).precision_recall


@given(
    records=st.lists(
        st.dictionaries(
            st.integers(0, 2),
            st.one_of(st.floats(0, 1), st.integers(0, 100).map(lambda i: i / 100)),
        ),
        min_size=1,
        max_size=8,
    ),
    data=st.data(),
)
def test_counts_are_those_at_each_threshold(build, records, data):
    """Pair by pair: recorded with confidence >= i / 100, or missed."""
    truth = [data.draw(st.sets(st.integers(0, 2))) for _ in records]
    evaluation = build(truth, [list(image.items()) for image in records], task=Task.MULTILABEL)

    curves = _draw_curves(evaluation)

    for i in (0, 1, 29, 50, 57, 99, 100):
        for label in range(3):
            predicted = [image.get(label, -1) >= i / 100 for image in records]
            true = [label in codes for codes in truth]
            both = list(zip(predicted, true, strict=True))
            assert curves.tp[i, label] == both.count((True, True))
            assert curves.fp[i, label] == both.count((True, False))
            assert curves.fn[i, label] == both.count((False, True))


def test_a_confidence_on_a_threshold_reaches_it(build):
    """0.29 is predicted at 29 %, though 0.29 * 100 is less than 29 in floating point."""
    curves = _draw_curves(build([[0]], [[(0, 0.29)]]))

    assert curves.tp[:, 0].tolist() == [1] * 30 + [0] * 71


def test_an_image_without_record_is_missed_everywhere(build):
    """Its true label is a false negative at each threshold, 0 included."""
    curves = _draw_curves(build([[1]], [[]]))

    assert (curves.fn[:, 1] == 1).all()
    assert not (curves.tp.any())
    assert not (curves.fp.any())


@pytest.mark.parametrize(
    ("truth", "records", "thresholds", "text"),
    [
        ([[0]], [[(0, 0.9), (1, 0.1), (2, 0.0)]], None, ""),
        ([[0]], [[]], None, "no label is recorded on any image"),
        ([[0]], [[(0, 0.9)]], None, "only the top label of each image is recorded"),
        (
            [[0], [1]],
            [[(0, 0.9)], []],
            [0.25, 0.75, np.nan],
            "below the assumed thresholds (0.25 to 0.75) the records are incomplete",
        ),
        (
            [[0], [1]],
            [[(0, 0.9)], [(0, 0.4), (1, 0.5)]],
            None,
            "the records are incomplete: 50% of all labels of all images",
        ),
    ],
)
def test_curve_says_where_records_stop(build, truth, records, thresholds, text):
    """Complete records do not stop."""
    assert _draw_curves(build(truth, records, thresholds=thresholds)).stops_at == text


@given(seed=st.integers(0, 2**32 - 1))
def test_precision_recall_has_scikit_learns_points(build_scores, seed):
    """Pooled and per label: every distinct confidence is a point, in falling order."""
    rng = np.random.default_rng(seed)
    truth = rng.random((12, 2)) < 0.4
    scores = rng.integers(0, 6, size=truth.shape) / 5
    evaluation = build_scores([np.flatnonzero(row) for row in truth], scores, task=Task.MULTILABEL)

    curves = {curve.label: curve for curve in _trace(evaluation)}

    columns = {"": (truth.ravel(), scores.ravel())}
    columns |= {"ab"[i]: (truth[:, i], scores[:, i]) for i in range(2)}
    columns = {label: column for label, column in columns.items() if column[0].any()}
    assert list(curves) == (list(columns) if truth.any() else [])
    for label, (y_true, y_score) in columns.items():
        precision, recall, _ = precision_recall_curve(y_true, y_score)
        ours = curves[label]
        assert ours.precision[::-1] == pytest.approx(precision[:-1], abs=1e-12)
        assert ours.recall[::-1] == pytest.approx(recall[:-1], abs=1e-12)
        expected = average_precision_score(y_true, y_score)
        assert ours.average_precision == pytest.approx(expected, abs=1e-12)


def test_precision_recall_of_partial_records_has_no_area(build):
    """What is not recorded is not guessed; a true label without record lowers recall."""
    micro, label_a = _trace(build([[0], [0]], [[(0, 0.9), (1, 0.3)], []]))

    assert (micro.precision.tolist(), micro.recall.tolist()) == ([1.0, 0.5], [0.5, 0.5])
    assert (label_a.label, label_a.recall.tolist()) == ("a", [0.5])
    assert isnan(micro.average_precision)


def test_long_curves_are_thinned(build_scores):
    """At most 400 points, the first and last among them; the area is that of all points."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=5000)
    scores = rng.random((5000, 2))
    evaluation = build_scores([[code] for code in truth], scores)

    micro, *_ = _trace(evaluation)

    assert 300 < len(micro.recall) <= 400
    assert micro.recall[-1] == 1
    assert micro.precision[-1] == 0.5
    y_true = np.eye(2)[truth].ravel()
    expected = average_precision_score(y_true, scores.ravel())
    assert micro.average_precision == pytest.approx(expected, abs=1e-12)


def test_many_labels_show_the_ten_worst(build_scores):
    """26 labels: label i is ranked below i other images, so the last ten are the worst."""
    n = 26
    scores = np.full((n, n), 0.5)
    for i in range(n):
        scores[i, i] = 0.4
        scores[:n, i][np.arange(n) != i] = np.where(np.arange(n - 1) < i, 0.5, 0.3)
    evaluation = build_scores([[i] for i in range(n)], scores)

    micro, *worst = _trace(evaluation)

    assert micro.label == ""
    assert [curve.label for curve in worst] == list("qrstuvwxyz")
    assert worst[0].average_precision == pytest.approx(1 / 17)


def test_constant_confidences_are_told(build):
    """Curves drawn from them say nothing."""
    constant, varied, single = (
        [w for w in compute_metrics(evaluation, intervals=False).warnings if "curves" in w]
        for evaluation in (
            build([[0], [1]], records)
            for records in ([[(0, 0.9)], [(1, 0.9)]], [[(0, 0.9)], [(1, 0.8)]], [[(0, 0.9)], []])
        )
    )

    assert constant == ["all 2 records have the confidence 0.9: curves say nothing"]
    assert varied == single == []


def test_nothing_recorded_or_nothing_true_has_no_curve(build):
    """There is no point to draw."""
    assert _trace(build([[0]], [[]])) == ()
    assert _trace(build([[]], [[(0, 0.9)]], task=Task.MULTILABEL)) == ()

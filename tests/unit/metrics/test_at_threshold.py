"""Numbers at the assumed threshold of each label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from mlrek.metrics.compute import compute_metrics

AT_THRESHOLD_NAMES = tuple(
    f"{score}_{average}"
    for score in ("precision", "recall", "f1")
    for average in ("micro", "macro", "weighted")
)
SAID = "at_threshold", "at the assumed thresholds"


def _compute(evaluation):
    return compute_metrics(evaluation, intervals=False)


def _warnings(evaluation):
    """Those of the numbers at the thresholds."""
    warnings = _compute(evaluation).warnings
    return tuple(warning for warning in warnings if any(words in warning for words in SAID))


@given(seed=st.integers(0, 2**32 - 1))
def test_averages_are_scikit_learns(build_scores, seed):
    """Predicted is every label whose confidence reaches its own threshold."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 11, size=(15, 3)) / 10
    thresholds = rng.integers(0, 11, size=3) / 10
    truth = rng.integers(3, size=15)
    evaluation = build_scores([[code] for code in truth], scores, thresholds=thresholds)

    numbers = _compute(evaluation).at_threshold

    y_true, y_pred = np.eye(3)[truth], scores >= thresholds
    occurring = np.flatnonzero((y_true + y_pred).any(axis=0))
    for average in ("micro", "macro", "weighted"):
        expected = precision_recall_fscore_support(
            y_true, y_pred, labels=occurring, average=average, zero_division=0
        )
        ours = [numbers[f"{score}_{average}"].value for score in ("precision", "recall", "f1")]
        assert ours == pytest.approx(expected[:3], abs=1e-12)


def test_label_scores_count_one_label_against_the_rest(build):
    """Image 0 is predicted as both; image 2 has no truth and is left out."""
    evaluation = build(
        [[0], [1], []],
        [[(0, 0.5), (1, 0.9)], [(0, 0.4), (1, 0.1)], [(0, 1.0)]],
        n_labels=2,
        thresholds=[0.5, 0.2],
    )

    scores = _compute(evaluation).at_threshold_per_label

    assert scores.support.tolist() == [1, 1]
    assert scores.tp.tolist() == [1, 0]
    assert scores.fp.tolist() == [0, 1]
    assert scores.fn.tolist() == [0, 1]
    assert scores.f1.tolist() == [1.0, 0.0]


def test_no_thresholds_leave_all_out(build):
    """Every name is there, with the reason."""
    result = _compute(build([[0]], [[(0, 0.9)]]))

    assert tuple(result.at_threshold) == AT_THRESHOLD_NAMES
    assert {(np.isnan(n.value), n.reason) for n in result.at_threshold.values()} == {
        (True, "the provider publishes no thresholds")
    }
    assert result.at_threshold_per_label is None


def test_a_true_label_without_threshold_undefines_the_averages(build):
    """The reason names it; other labels keep their scores."""
    evaluation = build(
        [[0], [1]], [[(0, 0.9)], [(1, 0.9), (0, 0.1)]], thresholds=[0.5, np.nan, 0.5]
    )

    result = _compute(evaluation)

    assert {(np.isnan(n.value), n.reason) for n in result.at_threshold.values()} == {
        (True, "no threshold is published for 'b'")
    }
    assert result.at_threshold_per_label.f1.tolist() == pytest.approx(
        [1.0, np.nan, np.nan], nan_ok=True
    )
    assert result.at_threshold_per_label.support.tolist() == [1, 0, 0]


def test_an_untested_label_without_threshold_stays_out(build):
    """The averages are of the others; its records are mentioned."""
    evaluation = build([[0], [0]], [[(0, 0.9), (1, 0.8)], []], n_labels=2, thresholds=[0.5, np.nan])

    result = _compute(evaluation)

    assert result.at_threshold["f1_macro"].value == pytest.approx(2 / 3)
    assert _warnings(evaluation) == ("no threshold is published for 'b': left out of at_threshold",)


def test_records_of_the_top_label_are_enough_where_no_other_can_reach(build):
    """Every other label's threshold is above the top confidence."""
    evaluation = build([[0]], [[(0, 0.6)]], n_labels=2, thresholds=[0.5, 0.7])

    assert _warnings(evaluation) == ()


def test_zero_division_names_the_labels(build):
    """Label b is true but never reaches its threshold, c is predicted but never true."""
    evaluation = build(
        [[0], [1], []],
        [[(0, 0.9), (2, 0.9)], [(1, 0.1), (2, 0.6)], [(0, 0.2)]],
        thresholds=[0.5, 0.5, 0.5],
    )

    assert _warnings(evaluation) == (
        (
            "precision counts as 0 in the averages at the assumed thresholds for labels never "
            "predicted: 'b'"
        ),
        (
            "recall counts as 0 in the averages at the assumed thresholds for labels true on no "
            "image: 'c'"
        ),
    )

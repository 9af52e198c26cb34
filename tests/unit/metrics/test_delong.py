"""DeLong's test of two ROC areas of the same images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mlrek.metrics.areas import delong

SEEDS = st.integers(0, 2**32)


def draw(seed, n_values=12):
    """Scores of up to 60 images with many ties: baseline, candidate, truth of both kinds."""
    rng = np.random.default_rng(seed)
    n = rng.integers(4, 60)
    is_true = np.arange(n) < rng.integers(2, n - 1)
    rng.shuffle(is_true)
    baseline = rng.integers(0, n_values, n) / n_values
    return baseline, baseline + rng.integers(-3, 4, n) / n_values, is_true


def compute_slowly(baseline, candidate, is_true):
    """The paper's matrices of structural components, from every pair of images."""
    components = []
    for scores in (baseline, candidate):
        gap = scores[is_true][:, None] - scores[~is_true][None, :]
        psi = (gap > 0) + 0.5 * (gap == 0)
        components.append((psi.mean(), psi.mean(axis=1), psi.mean(axis=0)))
    areas = [area for area, _, _ in components]
    s10 = np.cov([v for _, v, _ in components])
    s01 = np.cov([w for _, _, w in components])
    s = s10 / np.count_nonzero(is_true) + s01 / np.count_nonzero(~is_true)
    return *areas, np.sqrt(max(s[0, 0] + s[1, 1] - 2 * s[0, 1], 0))


@given(SEEDS)
def test_areas_and_error_are_those_of_all_pairs(seed):
    """However many scores are tied."""
    baseline_auc, candidate_auc, error = compute_slowly(*draw(seed))
    found = delong(*draw(seed))

    assert (found.baseline_auc, found.candidate_auc) == pytest.approx((baseline_auc, candidate_auc))
    if error > 1e-9:
        assert found.standard_error == pytest.approx(error)
        assert found.p == pytest.approx(2 * norm.sf(abs(candidate_auc - baseline_auc) / error))


@given(SEEDS)
def test_areas_are_those_of_sklearn(seed):
    """Ties count half."""
    baseline, candidate, is_true = draw(seed)
    found = delong(baseline, candidate, is_true)

    assert found.baseline_auc == pytest.approx(roc_auc_score(is_true, baseline))
    assert found.candidate_auc == pytest.approx(roc_auc_score(is_true, candidate))


def test_example_worked_by_hand():
    """R. Draelos, "Comparing AUCs … with DeLong's test" (2020): five patients.

    Areas 2/3 and 1. The components of the difference are 1, 0, 0 over the positives, of variance
    1/3, and 1/3 twice over the negatives: z = (1/3) / sqrt(1/3 / 3) = 1.
    """
    found = delong(
        np.array([0.3, 0.6, 0.2, 0.7, 0.9]),
        np.array([0.1, 0.2, 0.6, 0.7, 0.8]),
        np.array([False, False, True, True, True]),
    )

    assert (found.baseline_auc, found.candidate_auc) == pytest.approx((2 / 3, 1))
    assert found.standard_error == pytest.approx(1 / 3)
    assert found.p == pytest.approx(2 * norm.sf(1))


def test_example_of_proc():
    """The same text's second example, where R's pROC prints areas 0.964, 0.738 and p = 0.09453."""
    candidate = [0.1, 0.2, 0.05, 0.3, 0.1, 0.6, 0.6, 0.7, 0.8, 0.99, 0.8, 0.67, 0.5]
    baseline = [0.3, 0.6, 0.2, 0.1, 0.1, 0.9, 0.23, 0.7, 0.9, 0.4, 0.77, 0.3, 0.89]

    found = delong(np.array(baseline), np.array(candidate), np.arange(13) >= 6)

    assert found.candidate_auc == pytest.approx(0.9642857)
    assert found.baseline_auc == pytest.approx(0.7380952)
    assert found.p == pytest.approx(0.09453, abs=5e-6)


@given(SEEDS)
def test_swapping_versions_mirrors_everything(seed):
    """To the last bit."""
    baseline, candidate, is_true = draw(seed)
    one, other = delong(baseline, candidate, is_true), delong(candidate, baseline, is_true)

    assert one.difference == -other.difference
    assert np.array_equal(
        (one.p, one.standard_error), (other.p, other.standard_error), equal_nan=True
    )


@given(SEEDS)
def test_version_against_itself_has_p_one(seed):
    """Difference and standard error are exactly 0."""
    scores, _, is_true = draw(seed)
    found = delong(scores, scores, is_true)

    assert (found.difference, found.standard_error, found.p) == (0, 0, 1)


@given(SEEDS)
def test_order_of_images_does_not_matter(seed):
    """Areas to the last bit, the rest up to rounding."""
    order = np.random.default_rng(seed).permutation(len(draw(seed)[2]))
    one, other = delong(*draw(seed)), delong(*(array[order] for array in draw(seed)))

    assert (one.baseline_auc, one.candidate_auc) == (other.baseline_auc, other.candidate_auc)
    assert (one.p, one.standard_error) == pytest.approx(
        (other.p, other.standard_error), nan_ok=True
    )


@pytest.mark.parametrize("is_true", [[], [True, True], [False]])
def test_area_needs_both_kinds(is_true):
    """All NaN without positives, negatives or images."""
    scores = np.linspace(0, 1, len(is_true))
    found = delong(scores, scores, np.array(is_true, dtype=bool))

    assert np.isnan((found.baseline_auc, found.candidate_auc, found.standard_error, found.p)).all()


def test_single_positive_has_areas_but_no_error():
    """A variance needs two."""
    found = delong(np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.3, 0.2]), np.arange(3) == 2)

    assert (found.baseline_auc, found.candidate_auc) == (1, 0.5)
    assert np.isnan((found.standard_error, found.p)).all()


def test_reversed_order_without_spread_is_not_certain():
    """Areas 0 and 1, and every image agrees: no standard error, no p."""
    scores, is_true = np.array([0.1, 0.2, 0.8, 0.9]), np.arange(4) >= 2
    found = delong(-scores, scores, is_true)

    assert found.difference == 1
    assert np.isnan((found.standard_error, found.p)).all()

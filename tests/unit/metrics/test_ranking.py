"""Average precision and ROC AUC, against scikit-learn on images that are really drawn again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from mlrek.evaluation import RecordsKind, Task
from mlrek.metrics import ranking
from mlrek.metrics.areas import estimate_areas
from mlrek.metrics.counts import pair_records
from mlrek.metrics.left_out import Sampling
from mlrek.metrics.ranking import (
    RankedPairs,
    average_rankings,
    rank_pairs,
    rank_pooled,
    rank_scores,
)

# Few distinct scores, so that ties within and across true and untrue are common.
SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.7, 0.9, 1.0])


@st.composite
def _resampled_images(draw, n_labels=1):
    """Scores and truth (images, labels), and which images a resample draws."""
    n = draw(st.integers(1, 25))
    scores = draw(st.lists(SCORES, min_size=n * n_labels, max_size=n * n_labels))
    truth = draw(st.lists(st.booleans(), min_size=n * n_labels, max_size=n * n_labels))
    drawn = draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    shape = n, n_labels
    return np.reshape(scores, shape), np.reshape(truth, shape), np.array(drawn)


def _weigh(drawn):
    return np.bincount(drawn, minlength=len(drawn)).astype(np.float32)[:, np.newaxis]


@given(_resampled_images())
def test_areas_of_a_resample_are_scikit_learns(images):
    """Weights of a resample give exactly what scikit-learn gives of the images drawn."""
    scores, truth, drawn = (column.ravel() for column in images)
    ranked = rank_scores(np.arange(len(scores)), scores, truth, len(scores))

    ap, roc_auc = ranked.compute(_weigh(drawn))[:, 0]

    y_true, y_score = truth[drawn], scores[drawn]
    if y_true.any():
        assert ap == pytest.approx(average_precision_score(y_true, y_score), abs=1e-12)
    else:
        assert np.isnan(ap)
    if y_true.any() and not y_true.all():
        assert roc_auc == pytest.approx(roc_auc_score(y_true, y_score), abs=1e-12)
    else:
        assert np.isnan(roc_auc)


@given(images=_resampled_images(n_labels=3))
def test_pooled_area_of_a_resample_is_scikit_learns(build_scores, images):
    """An image that is drawn twice counts twice with all its labels."""
    scores, truth, drawn = images
    evaluation = build_scores([np.flatnonzero(row) for row in truth], scores, task=Task.MULTILABEL)
    pairs = pair_records(evaluation)

    value = rank_pooled(pairs)(_weigh(pairs.places[drawn]))["average_precision_micro"][0]

    if truth[drawn].any():
        expected = average_precision_score(truth[drawn], scores[drawn], average="micro")
        assert value == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(value)


@given(images=_resampled_images(n_labels=3))
def test_true_labels_of_complete_records_are_those_of_the_truth(build_scores, images):
    """Of complete records the true ones are found by their places alone."""
    scores, truth, _ = images
    evaluation = build_scores([np.flatnonzero(row) for row in truth], scores, task=Task.MULTILABEL)

    assert pair_records(evaluation).is_true.reshape(truth.shape).tolist() == truth.tolist()


@given(images=_resampled_images(n_labels=3))
def test_macro_areas_are_means_of_defined_ones(build_scores, images):
    """A label that a resample lacks is skipped in it."""
    scores, truth, drawn = images
    evaluation = build_scores([np.flatnonzero(row) for row in truth], scores, task=Task.MULTILABEL)
    pairs = pair_records(evaluation)

    areas = RankedPairs(pairs=pairs).ranking.compute_labels(_weigh(pairs.places[drawn]))
    values = average_rankings(*areas)

    y_true, y_score = truth[drawn], scores[drawn]
    aps = [
        average_precision_score(t, s) for t, s in zip(y_true.T, y_score.T, strict=True) if t.any()
    ]
    aucs = [
        roc_auc_score(t, s)
        for t, s in zip(y_true.T, y_score.T, strict=True)
        if t.any() and not t.all()
    ]
    for name, defined in (("average_precision_macro", aps), ("roc_auc_macro", aucs)):
        expected = np.mean(defined) if defined else np.nan
        assert values[name][0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_splitting_blocks_changes_nothing(monkeypatch):
    """How much memory may be used is no part of the result."""
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(20, size=200) / 20, rng.random(200) < 0.3
    weights = rng.multinomial(200, np.full(200, 1 / 200), size=9).T.astype(np.float32)
    ranked = rank_scores(np.arange(200), scores, truth, 200)
    whole = ranked.compute(weights)
    monkeypatch.setattr(ranking, "MAX_BLOCK", 60)

    assert ranked.compute(weights) == pytest.approx(whole, abs=1e-15)


def test_double_precision_gives_the_same(monkeypatch):
    """Past 2**24 scores sums are kept in double precision."""
    args = np.arange(4), np.array([0.9, 0.9, 0.5, 0.1]), np.array([True, False, True, False]), 4
    single = rank_scores(*args).compute(np.ones((4, 1), dtype=np.float32))
    monkeypatch.setattr(ranking, "EXACT_FLOAT32", 1)

    assert np.array_equal(rank_scores(*args).compute(np.ones((4, 1), dtype=np.float32)), single)


@pytest.mark.parametrize("heaviest", [1, 90_000])
def test_images_that_count_very_often_are_summed_exactly(build_scores, heaviest):
    """Sums of 16 bits, and those that these do not hold: scikit-learn's weights of images."""
    rng = np.random.default_rng(0)
    codes, scores = rng.integers(2, size=40), rng.dirichlet(np.ones(2), size=40)
    evaluation = build_scores([[code] for code in codes], scores)
    pairs = pair_records(evaluation)
    weights = rng.integers(1, 9, size=40)
    weights[0] = heaviest
    placed = np.empty((40, 1), dtype=np.float32)
    placed[pairs.places, 0] = weights

    ap, roc_auc = RankedPairs(pairs=pairs).ranking.compute_labels(placed)

    for code in range(2):
        args = codes == code, scores[:, code]
        expected = (
            average_precision_score(*args, sample_weight=weights),
            roc_auc_score(*args, sample_weight=weights),
        )
        assert (ap[code, 0], roc_auc[code, 0]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [100, 1000])
def test_long_columns_are_summed_exactly(n):
    """Cumulative sums over more rows than a block, against the area by hand.

    n positives above n negatives but for the last positive, below them all:
    AP = (n - 1 + n / 2n) / n, AUC = (n - 1) / n.
    """
    scores = np.linspace(1, 0, 2 * n)
    truth = np.array([True] * (n - 1) + [False] * n + [True])
    weights = np.ones((2 * n, 1), dtype=np.float32)

    areas = rank_scores(np.arange(2 * n), scores, truth, 2 * n).compute(weights)

    assert areas[:, 0] == pytest.approx([1 - 1 / (2 * n), 1 - 1 / n], abs=1e-14)


@pytest.mark.parametrize(
    ("records", "kind"),
    [([[(0, 0.5)], [(1, 0.5)]], RecordsKind.TOP1), ([[(0, 0.5)], []], RecordsKind.PARTIAL)],
)
def test_incomplete_records_have_no_areas(build, records, kind):
    """An absent record is no score of 0: there is a reason in place of a number."""
    ranked = rank_pairs(build([[0], [1]], records))

    assert kind in ranked.missing
    areas = estimate_areas(ranked, Sampling().find_units(2))
    assert np.isnan([areas.ap, areas.roc_auc]).all()

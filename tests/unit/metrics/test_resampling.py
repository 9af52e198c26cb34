"""The bootstrap over images: its sums are exact, and its distribution is the right one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.metrics import resampling
from mlrek.metrics.counts import compute_one_label_scores, count_labels, count_pairs
from mlrek.metrics.resampling import (
    Bootstrap,
    count_labels_in_cells,
    draw_weights,
    evaluate,
    merge,
    resample,
    resample_counts,
)

N_LABELS = 4
FEW_MISTAKES = np.array([[40, 1, 0, 0], [0, 30, 0, 2], [0, 0, 0, 0]])
MANY_IMAGES = FEW_MISTAKES[:2, [0, 1, 3]] * 1000


@given(
    st.lists(st.tuples(st.integers(0, N_LABELS - 1), st.integers(-1, N_LABELS - 1)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_cells_of_a_resample_count_as_the_images_themselves(pairs, random):
    """Drawing images, then counting, equals counting how often each cell is drawn."""
    drawn = [random.choice(pairs) for _ in pairs]
    y_true, y_pred = np.array(drawn).T
    cells = np.nonzero(count_pairs(*np.array(pairs).T, N_LABELS))
    resampled = count_pairs(y_true, y_pred, N_LABELS)

    counts = count_labels_in_cells(cells, resampled[cells][np.newaxis], N_LABELS)

    expected = count_labels(resampled)
    assert counts.tp.tolist() == [expected.tp.tolist()]
    assert counts.predicted.tolist() == [expected.predicted.tolist()]
    assert counts.support.tolist() == [expected.support.tolist()]


@pytest.mark.parametrize("matrix", [FEW_MISTAKES, MANY_IMAGES], ids=["one by one", "by cells"])
def test_resampled_counts_have_the_moments_of_the_bootstrap(matrix):
    """Means n p and variances n p (1 - p) of the multinomial distribution, within 5 errors."""
    n, expected = matrix.sum(), count_labels(matrix)

    counts = resample_counts(matrix, Bootstrap(resamples=20_000))

    for drawn, whole in (
        (counts.tp, expected.tp),
        (counts.predicted, expected.predicted),
        (counts.support, expected.support),
    ):
        variance = whole * (1 - whole / n)
        assert (np.abs(drawn.mean(axis=0) - whole) <= 5 * np.sqrt(variance / 20_000)).all()
        assert drawn.var(axis=0) == pytest.approx(variance, rel=0.1)
    assert (counts.support.sum(axis=1) == n).all()


def test_both_ways_of_resampling_agree():
    """Cell by cell and mistake by mistake: the same quantiles of kappa."""
    whole = MANY_IMAGES // 100
    bootstrap = Bootstrap(resamples=20_000)

    by_cells = compute_one_label_scores(resampling._resample_cells(whole, bootstrap))  # noqa: SLF001 both ways are private
    one_by_one = compute_one_label_scores(resampling._resample_mistakes(whole, bootstrap))  # noqa: SLF001 same

    quantiles = [0.025, 0.25, 0.5, 0.75, 0.975]
    assert np.quantile(by_cells["cohen_kappa"], quantiles) == pytest.approx(
        np.quantile(one_by_one["cohen_kappa"], quantiles), abs=2e-3
    )


def test_weights_draw_as_many_images_as_there_are():
    """Each column sums to the number of images, over all blocks."""
    blocks = list(draw_weights(7, Bootstrap(resamples=100)))

    assert sum(block.shape[1] for block in blocks) == 100
    assert all((block.sum(axis=0) == 7).all() for block in blocks)


def test_blocks_do_not_change_what_is_drawn(monkeypatch):
    """How much memory may be used is no part of the result."""
    whole = np.hstack(list(draw_weights(9, Bootstrap(resamples=30))))
    monkeypatch.setattr(resampling, "MAX_BLOCK", 9 * 4)

    assert np.array_equal(np.hstack(list(draw_weights(9, Bootstrap(resamples=30)))), whole)


def test_same_seed_gives_the_same_resamples():
    """And another seed gives others."""
    first, again, other = (
        resample_counts(FEW_MISTAKES, Bootstrap(seed=seed, resamples=50)).predicted
        for seed in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_merged_statistics_share_their_resamples():
    """Values computed twice from the same weights are equal."""
    images = np.arange(5.0)
    statistic = merge([lambda w: {"one": images @ w}, lambda w: {"two": 2 * images @ w}])

    values = resample(statistic, 5, Bootstrap(resamples=20))

    assert values["two"].tolist() == (2 * values["one"]).tolist()
    assert evaluate(statistic, 5) == {"one": 10, "two": 20}


@pytest.mark.parametrize("matrix", [np.zeros((0, 1), dtype=int), np.zeros((2, 3), dtype=int)])
def test_nothing_to_resample(matrix):
    """No images: zero counts, so that every number is undefined."""
    counts = resample_counts(matrix, Bootstrap(resamples=3))

    assert counts.support.tolist() == np.zeros((3, len(matrix))).tolist()

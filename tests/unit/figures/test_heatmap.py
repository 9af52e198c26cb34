"""Which rows and columns of a confusion matrix a heat map shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.figures.confusion import build_heatmap
from mlrek.metrics import ConfusionMatrix


def test_a_small_matrix_is_shown_as_it_is(confusion):
    """Up to 25 labels all of them are there, in their order."""
    heatmap = build_heatmap(confusion([[5, 1], [2, 7]], ["a", "b"]), 2)
    assert heatmap.counts.tolist() == [[5, 1], [2, 7]]
    assert heatmap.shown.tolist() == [0, 1]
    assert heatmap.pooled == 0


def test_an_own_column_without_counts_is_left_out(confusion):
    """`(none)` without a count takes no room, so that versions line up."""
    matrix = confusion([[5, 1, 0], [2, 7, 0]], ["a", "b"], own_columns=["(none)"])
    heatmap = build_heatmap(matrix, 2)
    assert heatmap.counts.tolist() == [[5, 1], [2, 7]]
    assert heatmap.own_columns == ()


def test_own_rows_and_columns_with_counts_are_shown(confusion):
    """Of several own columns just those with a count stay; rows likewise."""
    matrix = confusion(
        [[5, 1, 0, 3], [2, 7, 0, 0], [4, 0, 0, 0]],
        ["a", "b"],
        own_rows=["(none)"],
        own_columns=["(background)", "(none)"],
    )
    heatmap = build_heatmap(matrix, 2)
    assert heatmap.counts.tolist() == [[5, 1, 3], [2, 7, 0], [4, 0, 0]]
    assert heatmap.own_rows == ("(none)",)
    assert heatmap.own_columns == ("(none)",)


def test_a_label_named_like_our_column_is_a_label(confusion):
    """What is ours follows from the place, not from the name."""
    heatmap = build_heatmap(confusion([[1, 0], [0, 0]], ["a", "(none)"]), 2)
    assert heatmap.counts.shape == (2, 2)
    assert heatmap.own_columns == ()


def test_past_25_labels_the_most_confused_ones_are_shown(confusion):
    """Of 30 labels the last 24 have confusions with their neighbour; the first six are pooled."""
    counts = np.diag(np.full(30, 10))
    for i in range(6, 30, 2):
        counts[i, i + 1] = 2
    counts[0, 6] = 1
    heatmap = build_heatmap(confusion(counts, [str(i) for i in range(30)]), 30)
    assert heatmap.shown.tolist() == list(range(6, 30))
    assert heatmap.own_rows == heatmap.own_columns == ("(other)",)
    assert heatmap.pooled == 6
    assert heatmap.counts[-1, -1] == 60
    assert heatmap.counts[-1, 0] == 1


def test_misses_count_as_confusion(confusion):
    """A label that is often not predicted at all is among the most confused ones."""
    counts = np.hstack([np.diag(np.full(26, 10)), np.zeros((26, 1), dtype=int)])
    counts[25, 26] = 4
    matrix = confusion(counts, [str(i) for i in range(26)], own_columns=["(none)"])
    heatmap = build_heatmap(matrix, 26)
    assert heatmap.shown.tolist() == [*range(23), 25]
    assert heatmap.own_columns == ("(other)", "(none)")


@pytest.mark.parametrize("n", [0, 1])
def test_very_few_labels(n, confusion):
    """A matrix of one label, or of none, is shown too."""
    heatmap = build_heatmap(confusion(np.ones((n, n)), ["a"][:n]), n)
    assert heatmap.counts.shape == (n, n)


@given(n=st.integers(1, 60), own=st.booleans(), seed=st.integers(0, 1000))
def test_no_count_is_lost(n, own, seed):
    """The heat map counts as many images as the matrix, in each of the shown rows too."""
    counts = np.random.default_rng(seed).integers(0, 4, (n + own, n + own))
    names = (*map(str, range(n)), *(["(none)"] if own else []))
    heatmap = build_heatmap(ConfusionMatrix(counts=counts, rows=names, columns=names), n)
    assert heatmap.counts.sum() == counts.sum()
    rows = heatmap.counts[: len(heatmap.shown)].sum(axis=1)
    assert rows.tolist() == counts.sum(axis=1)[heatmap.shown].tolist()


def test_asked_for_the_top_labels_the_most_confused_ones_are_shown(confusion):
    """Mistakes in row and column: a 5, b 1, c 6, d 0; the others are pooled, nothing is lost."""
    matrix = confusion([[9, 0, 3, 0], [0, 9, 1, 0], [2, 0, 9, 0], [0, 0, 0, 9]], list("abcd"))
    heatmap = build_heatmap(matrix, 4, top_labels=2)
    assert heatmap.shown.tolist() == [0, 2]
    assert (heatmap.own_rows, heatmap.pooled) == (("(other)",), 2)
    assert heatmap.counts.tolist() == [[9, 3, 0], [2, 9, 0], [0, 1, 18]]


@pytest.mark.parametrize(
    ("labels", "top_labels", "shown"),
    [(5, 0, 5), (5, 5, 5), (5, 9, 5), (25, 0, 25), (26, 0, 24), (30, 10, 10), (99, 60, 24)],
)
def test_so_many_labels_are_shown(even_confusion, labels, top_labels, shown):
    """All, where there are not more; never more than are legible with the row of the others."""
    heatmap = build_heatmap(even_confusion(labels), labels, top_labels)
    assert (len(heatmap.shown), heatmap.pooled) == (shown, labels - shown)

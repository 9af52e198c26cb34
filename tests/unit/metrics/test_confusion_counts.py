"""Counts behind a provider's fractions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlrek.metrics.counts import Normalisation, denominators, find_normalisation

NAN = float("nan")

# Real output of 2019 (Amazon Rekognition Custom Labels developer guide): CAP 390, WATCH 234 images.
CAP_WATCH = np.array(
    [[0.9948717948717949, 0.008547008547008548], [0.1794871794871795, 0.7008547008547008]]
)
# Real output of about 2022, as percentages in the same guide; rows true, columns predicted:
# backyard, bathroom, bedroom, closet, entry way, floor plan, front yard, kitchen, living, patio.
ROOMS = np.array(
    [
        [75, 0, 0, 0, 0, 0, 25, 0, 0, 0],
        [0, 67, 0, 0, 0, 0, 0, 33, 0, 0],
        [0, 0, 82, 0, 0, 0, 0, 0, 18, 0],
        [0, 0, 50, 50, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 33, 0, 0, 0, 67, 0],
        [0, 0, 0, 0, 0, 100, 0, 0, 0, 0],
        [33, 0, 0, 0, 0, 0, 67, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 88, 12, 0],
        [0, 0, 9, 0, 0, 0, 0, 0, 91, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 33, 67],
    ]
)


def recover(values, support):
    """The counts behind the fractions, by the way that fits."""
    return np.rint(values * denominators(find_normalisation(values, support), support)).astype(int)


def test_cap_and_watch_were_divided_by_the_predicted_label():
    """Rows sum to 1.003 and 0.880, and give whole counts that sum to 390 and 234."""
    support = np.array([390.0, 234.0])

    assert find_normalisation(CAP_WATCH, support) == Normalisation.PREDICTED
    assert recover(CAP_WATCH, support).tolist() == [[388, 2], [70, 164]]


def test_single_precision_is_enough():
    """Fractions that went through 32 bits give the same counts."""
    counts = np.array([[150_000, 3], [999, 98_998]])
    support = counts.sum(axis=1).astype(float)

    rounded = (counts / support).astype(np.float32).astype(float)

    assert recover(rounded, support).tolist() == counts.tolist()


def test_rooms_were_divided_by_the_true_label():
    """Rounded to percent and without the counts of images, by their sums alone."""
    assert find_normalisation(ROOMS / 100, np.full(10, NAN)) == Normalisation.TRUE


@given(
    st.lists(st.integers(0, 50), min_size=9, max_size=9).filter(sum),
    st.sampled_from(Normalisation),
)
def test_counts_come_back(cells, normalisation):
    """Divided by either label's images; labels without a test image have no predictions here."""
    counts = np.reshape(cells, (3, 3))
    tested = counts.any(axis=1)
    counts[:, ~tested] = 0
    if not counts.any():
        return
    support = counts.sum(axis=1).astype(float)
    divisors = support[:, np.newaxis] if normalisation == Normalisation.TRUE else support
    values = counts / np.maximum(divisors, 1)

    tied = find_normalisation(values, support)
    assert tied is not None
    if tied == normalisation:
        assert recover(values, support).tolist() == counts.tolist()


def test_other_fractions_have_no_normalisation():
    """Sums that are not 1, and no whole counts of either label."""
    values, support = np.array([[0.9, 0.2], [0.3, 0.3]]), np.array([40.0, 80.0])

    assert find_normalisation(values, support) is None


def test_no_matrix_has_no_normalisation():
    """Nothing fits nothing."""
    assert find_normalisation(np.zeros((2, 2)), np.array([NAN, NAN])) is None

"""How surely two calibration errors differ: of paired predictions whose true errors are known."""

import numpy as np
import pytest

from mlrek.metrics.probabilities import Predicted, compare_calibration


def draw(rng, n, confidences):
    """Predictions of versions on the same images, right by common luck: (sure, true) of each."""
    first = rng.random(n)
    second = np.where(rng.random(n) < 0.7, first, rng.random(n))
    return [
        Predicted(
            confidence=np.full(n, sure),
            is_right=luck < true,
            unit_idx=np.arange(n),
        )
        for luck, (sure, true) in zip((first, second), confidences, strict=False)
    ]


def test_swapped_versions_have_the_mirrored_interval():
    """Which is baseline and which candidate is a name."""
    sides = draw(np.random.default_rng(0), 200, ((0.9, 0.8), (0.7, 0.69)))
    low, high = compare_calibration(sides, 200, are_groups=False).interval(0.95)
    back = compare_calibration(sides[::-1], 200, are_groups=False).interval(0.95)

    assert back == pytest.approx((-high, -low), abs=1e-12)


def test_a_version_does_not_differ_from_itself():
    """No image moves the difference, and 0 is inside."""
    side = draw(np.random.default_rng(1), 200, ((0.9, 0.8),))[0]
    found = compare_calibration((side, side), 200, are_groups=False)

    low, high = found.interval(0.95)
    assert found.standard_error == 0
    assert found.correlation == pytest.approx(1)
    assert low <= 0 <= high


def test_of_calibrated_versions_neither_is_better():
    """Chance alone makes plain errors of .02 and more; one is not sure to be the smaller."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        sides = draw(rng, 300, ((0.8, 0.8), (0.7, 0.7)))
        low, high = compare_calibration(sides, 300, are_groups=False).interval(0.95)
        wrong += not low <= 0 <= high

    assert wrong <= 0.05 * 200


def test_groups_make_it_less_sure():
    """Each image twice tells nothing new: as wide as once, and wider than of twice as many."""
    once = draw(np.random.default_rng(3), 200, ((0.9, 0.7), (0.8, 0.75)))
    twice = [
        Predicted(
            confidence=np.repeat(side.confidence, 2),
            is_right=np.repeat(side.is_right, 2),
            unit_idx=np.repeat(side.unit_idx, 2),
        )
        for side in once
    ]
    widths = [
        np.ptp(compare_calibration(sides, 200, are_groups=are_groups).interval(0.95))
        for sides, are_groups in ((once, False), (twice, True), (twice, False))
    ]

    assert widths[0] == pytest.approx(widths[1], rel=0.01)
    assert widths[2] < 0.8 * widths[0]

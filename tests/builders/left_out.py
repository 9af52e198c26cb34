"""Intervals of differences by hand: what both versions are without each unit, and MOVER."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm, t

IMAGINED = 4.0
"""Imagined images count so many together."""


def leave_out(score, units):
    """`score(kept)` of all images, and of those that are left without each unit, by name."""
    units = np.asarray(units)
    whole = score(np.arange(len(units))[units >= 0])
    left = [
        score(np.flatnonzero((units != unit) & (units >= 0))) for unit in range(units.max() + 1)
    ]
    return whole, {name: np.array([one[name] for one in left]) for name in whole}


def find_interval(shown, before, after, *, shares=None, scale="logit", degrees=None):
    """The 95 % interval of a difference.

    Args:
        shown: The difference.
        before: Value, and values without each unit, of the baseline.
        after: Those of the candidate.
        shares: How much each unit counts: 1, or less for an imagined one.
        scale: `logit` of 0..1, `fisher` of -1..1 (the logit of the half), or `log`.
        degrees: Of freedom at most; None: a normal distribution.
    """
    shares = np.ones(len(before[1])) if shares is None else np.asarray(shares)
    real = shares == 1
    sides, effects = [], []
    for value, left in (before, after):
        moved = value - left
        bias = -moved.sum() + moved[real].mean()
        error = np.sqrt(np.sum(moved**2 / shares))
        sides.append((value - bias, error, _count_degrees(moved[real]), moved))
        effects.append(moved / np.sqrt(shares))
    product = sides[0][1] * sides[1][1]
    correlation = effects[0] @ effects[1] / product if product else 0
    ends = []
    for value, error, free, _ in sides:
        quantile = norm.ppf(0.975)
        if degrees is not None:
            quantile = t.ppf(0.975, int(min(free, degrees)))
        ends.append(_reach(value, error, quantile, scale))
    (x, low, high), (other_x, other_low, other_high) = ends
    middle = other_x - x

    def add(one, other):
        return np.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0))

    return (
        min(middle - add(other_x - other_low, high - x), shown),
        max(middle + add(other_high - other_x, x - low), shown),
    )


def find_interval_of_parts(before, after):
    """The 95 % interval of a difference of numbers that are known without each part.

    Each number's on the logit scale; the bias that the parts show counts twice, towards wider.

    Args:
        before: Value, and values without each part, of the baseline.
        after: Those of the candidate.
    """
    n = len(before[1])
    factor, quantile = (n - 1) / n, t.ppf(0.975, n - 1)
    moved = [left - np.mean(left) for _, left in (before, after)]
    bias = [(n - 1) * (np.mean(left) - value) for value, left in (before, after)]
    errors = [np.sqrt(factor * np.sum(one**2)) for one in moved]
    correlation = factor * (moved[0] @ moved[1]) / (errors[0] * errors[1])
    (x, low, high), (other_x, other_low, other_high) = (
        _reach(value, error, quantile, "logit")
        for (value, _), error in zip((before, after), errors, strict=True)
    )
    middle, shift = other_x - x, 2 * (bias[1] - bias[0])

    def add(one, other):
        return np.sqrt(one**2 + other**2 - 2 * correlation * one * other)

    return (
        max(min(middle, middle - shift) - add(other_x - other_low, high - x), -1),
        min(max(middle, middle - shift) + add(other_high - other_x, x - low), 1),
    )


def assert_interval(comparison, scope, name, ends, label=""):
    """The comparison has this interval."""
    difference = comparison.find(name, label=label, scope=scope)
    assert (difference.low, difference.high) == pytest.approx(ends, abs=1e-9), (name, label)


def imagine(labels):
    """True label, answers of both versions, weight and place of imagined images of these labels.

    A wrong answer is shared out among the other labels, so that an image has several rows.
    """
    rows = []
    pairs = [(True, True), (False, True), (True, False), (False, False)]
    weight = IMAGINED / (4 * len(labels))
    for i, (first, second) in enumerate(pairs):
        for j, label in enumerate(labels):
            others = [other for other in labels if other != label]
            for other in others:
                answers = [label if right else other for right in (first, second)]
                rows.append((label, *answers, weight / len(others), i * len(labels) + j))
    return [np.array(column) for column in zip(*rows, strict=True)]


def _count_degrees(moved):
    squares = moved**2
    spread = np.sum(squares**2) - np.sum(squares) ** 2 / len(moved)
    return max(2 * np.sum(squares) ** 2 / spread, 1) if spread > 0 else 1e9


def _reach(value, error, quantile, scale):
    """The number, and the ends of its interval."""
    if scale == "log":
        return (
            value,
            value * np.exp(-quantile * error / value),
            value * np.exp(quantile * error / value),
        )
    if scale == "fisher":
        half, low, high = _reach((value + 1) / 2, error / 2, quantile, "logit")
        return 2 * half - 1, 2 * low - 1, 2 * high - 1
    value = np.clip(value, 1e-4, 1 - 1e-4)  # the correction may lead beyond the scale
    reach = quantile * error / (value * (1 - value))
    return value, expit(logit(value) - reach), expit(logit(value) + reach)

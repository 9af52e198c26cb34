"""How many images would settle a difference.

All are for a two-sided decision at a confidence, reached with a power: in that share of test sets.
The difference that was seen tells little of the true one, so that a number of images for it would
be off by ten times. What is told is a range for a difference that is worth knowing, from the
interval of what the images told about its spread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isfinite, nan, sqrt
from typing import Final

import numpy as np

from mlrek.metrics.intervals import compute_margin, compute_quantile, compute_wilson
from mlrek.metrics.paired_tests import PairedCounts
from mlrek.metrics.resampling import CONFIDENCE

POWER: Final = 0.8

WORTH_KNOWING: Final = 0.01
"""A difference, of a number or from a limit, that people ask for where no margin is named."""

_HALVINGS: Final = 60
_TOO_MANY: Final = 10**8


@dataclass(frozen=True, slots=True)
class ImagesNeeded:
    """Test images that would tell a true difference of `distance`: from `low` to `high`."""

    low: int
    high: int
    distance: float

    @property
    def ends(self) -> tuple[int, int]:
        """Both."""
        return self.low, self.high


def find_spread_range(
    n_changed: float, n: float, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """A share of images: Wilson's lower end, what was seen, and the upper end."""
    low, high = compute_wilson(np.array(n_changed), np.array(n), confidence)
    return float(low), n_changed / n, float(high)


def range_for_shares(
    counts: PairedCounts,
    *,
    margin: float = 0.0,
    confidence: float = CONFIDENCE,
    power: float = POWER,
) -> ImagesNeeded | None:
    """Images that would tell a difference of two shares, from the interval of the discordance.

    Without `margin` a difference of `WORTH_KNOWING` is told from 0. With one, versions that are
    equally good are told from a candidate that is worse by the margin. A distance that the present
    images could tell as well as that is halved until they could not.
    """
    if not counts.n:
        return None

    def need(distance: float, discordance: float) -> float:
        ends = (0.0, -distance) if margin else (distance, 0.0)
        return _count_images(ends[0], discordance, ends[1], (confidence, power))

    n_changed = counts.only_baseline + counts.only_candidate
    return _range(counts.n, need, find_spread_range(n_changed, counts.n), margin)


def range_to_decide(
    n_images: int,
    standard_error: float,
    spread: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    margin: float = 0.0,
    confidence: float = CONFIDENCE,
    power: float = POWER,
) -> ImagesNeeded | None:
    """Images that would tell any number from a limit that it lies `margin` from.

    Args:
        n_images: Those that the number was computed from.
        standard_error: Of the number with `n_images`.
        spread: What its variance goes with: at least, as seen, and at most.
        margin: How far from the limit the number is taken to lie; 0: `WORTH_KNOWING`.
        confidence: Of the interval that must not hold the limit.
        power: How often it should not.
    """
    if not standard_error > 0 or not isfinite(standard_error) or not n_images:
        return None
    reach = compute_margin(confidence) + compute_quantile(power)

    def need(distance: float, share: float) -> float:
        ratio = reach * standard_error / distance
        return n_images * ratio * ratio * share

    seen = spread[1]
    factors = tuple(share / seen for share in spread) if seen else (0.0, 1.0, 1.0)
    return _range(n_images, need, (factors[0], 1.0, factors[2]), margin)


def _range(
    n_images: float,
    need: Callable[[float, float], float],
    spread: tuple[float, float, float],
    margin: float,
) -> ImagesNeeded | None:
    distance = margin or WORTH_KNOWING
    for _ in range(_HALVINGS):
        if need(distance, spread[1]) > n_images:
            break
        distance /= 2
    few, many = (need(distance, share) for share in (spread[0], spread[2]))
    if not many <= _TOO_MANY:
        return None
    more = round(n_images) + 1  # what is undecided takes more
    return ImagesNeeded(max(ceil(few), more), max(ceil(many), more), distance)


def smallest_decidable_share(
    counts: PairedCounts, *, confidence: float = CONFIDENCE, power: float = POWER
) -> float:
    """The smallest difference that as many images could tell from 0 at the discordance seen.

    A difference larger than the discordance needs one as large as itself.

    Returns:
        Above 0, at most 1; NaN where not even a difference of 1 could be told.
    """
    if not counts.n:
        return nan
    discordance = (counts.only_baseline + counts.only_candidate) / counts.n
    low, high = 0.0, 1.0
    if _count_images(high, discordance, 0, (confidence, power)) > counts.n:
        return nan
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _count_images(middle, discordance, 0, (confidence, power)) > counts.n:
            low = middle
        else:
            high = middle
    return high


def smallest_decidable(
    standard_error: float, *, confidence: float = CONFIDENCE, power: float = POWER
) -> float:
    """The smallest difference of any number that the same images could tell from 0.

    (z of confidence + z of power) · standard error; NaN where no spread is known.
    """
    if not standard_error > 0:
        return nan
    return (compute_margin(confidence) + compute_quantile(power)) * standard_error


def _count_images(
    difference: float, discordance: float, limit: float, sureness: tuple[float, float]
) -> float:
    """(z sqrt(ψ - limit²) + z' sqrt(ψ - difference²))² / (difference - limit)², with discordance ψ.

    An image's variance where the limit is true, then where the difference is; z is of the
    confidence, z' of the power. No difference can be larger than its discordance, so ψ is at least
    that, and at the limit also the limit: where the versions never differed nothing is decided
    without images.
    """
    confidence, power = sureness
    discordance = max(discordance, abs(difference))
    at_limit = sqrt(max(max(discordance, abs(limit)) - limit**2, 0))
    at_difference = sqrt(discordance - difference**2)
    reach = compute_margin(confidence) * at_limit + compute_quantile(power) * at_difference
    ratio = reach / (difference - limit)
    return ratio * ratio  # a power would raise where this is infinite

"""Tests of two versions on the same images, and how many images a difference needs."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isfinite, isnan, nan, sqrt
from typing import Final, NamedTuple

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.intervals import (
    CONFIDENCE,
    compute_margin,
    compute_quantile,
    compute_student,
    compute_wilson,
)
from mlrek.text import UNDEFINED

NO_INTERVAL: Final = (nan, nan)

_SMALLEST_P: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts:
    """How many pairs are right for both versions, for one alone, and for neither.

    A pair is the answers of both versions on one image, or on one label of one image. Counts need
    not be whole where pairs tell less than independent ones.
    """

    both: float
    only_baseline: float
    only_candidate: float
    neither: float

    def scale(self, divisor: float) -> "PairedCounts":
        """The same shares of fewer pairs."""
        return PairedCounts(
            both=self.both / divisor,
            only_baseline=self.only_baseline / divisor,
            only_candidate=self.only_candidate / divisor,
            neither=self.neither / divisor,
        )

    @property
    def n(self) -> float:
        """All pairs."""
        return self.both + self.only_baseline + self.only_candidate + self.neither

    @property
    def baseline(self) -> float:
        """Pairs for which the baseline is right."""
        return self.both + self.only_baseline

    @property
    def candidate(self) -> float:
        """Pairs for which the candidate is right."""
        return self.both + self.only_candidate

    @property
    def difference(self) -> float:
        """Share of right ones, candidate minus baseline; NaN without pairs."""
        return (self.only_candidate - self.only_baseline) / self.n if self.n else nan

    @property
    def standard_error(self) -> float:
        """sqrt(b + c - (c - b)² / n) / n, with b and c right for one version alone."""
        if not self.n:
            return nan
        change = self.only_candidate - self.only_baseline
        return sqrt(self.only_candidate + self.only_baseline - change**2 / self.n) / self.n

    def interval(self, confidence: float) -> tuple[float, float]:
        """Newcombe's paired score interval (Statistics in Medicine 17, 2635-2650, 1998, method 10).

        Wilson's intervals of both shares, squared and added with the correlation of the pairs.
        """
        return _square_and_add(
            (self.baseline, self.n), (self.candidate, self.n), self._correlation, confidence
        )

    @property
    def _correlation(self) -> float:
        """Phi with Newcombe's correction for continuity of a positive numerator; 0 without one."""
        n, right, right_too = self.n, self.baseline, self.candidate
        margins = sqrt(right * (n - right)) * sqrt(right_too * (n - right_too))
        if not margins:
            return 0.0
        agreement = self.both * self.neither - self.only_baseline * self.only_candidate
        corrected = max(agreement - n / 2, 0) if agreement > 0 else agreement
        return corrected / margins


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedCounts:
    """Pairs of which several show one object: as many as tell as much, were they independent.

    `design_effect` is how much larger the variance of the difference is than that of independent
    pairs, at least 1. The number of pairs is divided by it, and by what the few groups cost
    (Korn & Graubard, Survey Methodology 24, 193-201, 1998): the squared ratio of Student's quantile
    for `n_groups` - 1 degrees of freedom to the normal one.
    """

    counts: PairedCounts
    n_groups: int
    design_effect: float

    @property
    def difference(self) -> float:
        """Share of right ones, candidate minus baseline; NaN without pairs."""
        return self.counts.difference

    @property
    def standard_error(self) -> float:
        """That of independent pairs times the root of the design effect."""
        return self.counts.standard_error * sqrt(self.design_effect)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Newcombe's paired score interval of fewer pairs."""
        ratio = compute_student(confidence, self.n_groups - 1) / compute_margin(confidence)
        return self.counts.scale(self.design_effect * ratio * ratio).interval(confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndependentShares:
    """Right ones of two versions that were tested on different images."""

    baseline_right: int
    baseline_n: int
    candidate_right: int
    candidate_n: int

    @property
    def difference(self) -> float:
        """Candidate minus baseline; NaN where one has no images."""
        if not self.baseline_n or not self.candidate_n:
            return nan
        return self.candidate_right / self.candidate_n - self.baseline_right / self.baseline_n

    @property
    def standard_error(self) -> float:
        """sqrt(Σ p (1 - p) / n) over both shares; NaN where one has no images."""
        if isnan(self.difference):
            return nan
        p, q = self.baseline_right / self.baseline_n, self.candidate_right / self.candidate_n
        return sqrt(p * (1 - p) / self.baseline_n + q * (1 - q) / self.candidate_n)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Newcombe's hybrid score interval (Statistics in Medicine 17, 873-890, 1998, method 10).

        Wilson's intervals of both shares, squared and added.
        """
        return _square_and_add(
            (self.baseline_right, self.baseline_n),
            (self.candidate_right, self.candidate_n),
            0.0,
            confidence,
        )


class CochranQ(NamedTuple):
    """Cochran's Q with its degrees of freedom, and p by the chi-squared distribution."""

    q: float
    df: int
    p: float


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


def mcnemar_mid_p(only_baseline: IntArray | float, only_candidate: IntArray | float) -> FloatArray:
    """McNemar's test of pairs, two-sided mid-p, for each pair of counts.

    Twice the smaller tail of the binomial distribution with probability 1/2, less the probability
    of what was seen; 1 less half of it where both counts are equal (Fagerland, Lydersen, Laake,
    BMC Medical Research Methodology 13:91, 2013). 1 where nothing differs. With k of n the smaller
    count this is P(X < k) + min(P(X <= k), 1/2), in which no two close numbers are subtracted.

    Returns:
        Between 0 (below the smallest double) and 1, of the arguments' broadcast shape.
    """
    from scipy.special import betainc

    smaller = np.minimum(only_baseline, only_candidate)
    n = np.add(only_baseline, only_candidate)
    larger = n - smaller
    # P(X <= k) of n is the incomplete beta function at (n - k, k + 1), exact to the last digits.
    below = np.where(smaller > 0, betainc(larger + 1, np.maximum(smaller, 1), 0.5), 0.0)
    upto = betainc(np.maximum(larger, 1), smaller + 1, 0.5)
    return np.where(n > 0, below + np.minimum(upto, 0.5), 1.0)


def cochran_q(is_right: BoolArray) -> CochranQ:
    """Whether any of several versions differs from the others (Cochran, Biometrika 37, 1950).

    With k versions, T right ones of each, L right versions of each image:
    Q = (k - 1) (k Σ T² - (Σ T)²) / (k Σ L - Σ L²).

    Args:
        is_right: (n_images, k), images all alike.

    Returns:
        Q 0 and p 1 where no image tells the versions apart; NaN without images or with one version.
    """
    from scipy.special import chdtrc

    n_images, k = is_right.shape
    df = k - 1
    if not n_images or df < 1:
        return CochranQ(q=nan, df=max(df, 0), p=nan)
    by_version, by_image = (is_right.sum(axis=axis, dtype=np.int64) for axis in (0, 1))
    total = int(by_version.sum())
    spread = k * total - int((by_image**2).sum())
    if not spread:
        return CochranQ(q=0.0, df=df, p=1.0)
    q = df * (k * int((by_version**2).sum()) - total**2) / spread
    return CochranQ(q=q, df=df, p=float(chdtrc(df, q)))


def adjust_holm(p: FloatArray) -> FloatArray:
    """P-values adjusted for their number (Holm, Scandinavian Journal of Statistics 6, 65-70, 1979).

    The i-th smallest of m times m - i + 1, at most 1, and never below a smaller one's.

    Args:
        p: (n,); NaN stays NaN and does not count.
    """
    adjusted = np.full(len(p), nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted


def format_p(p: float) -> str:
    """Two significant digits; `<1e-300` for what a double cannot hold apart, `—` for NaN.

    >>> format_p(0.0312), format_p(1e-12), format_p(0.0)
    ('0.031', '1e-12', '<1e-300')
    """
    if isnan(p):
        return UNDEFINED
    return f"{p:.2g}" if p >= _SMALLEST_P else f"<{_SMALLEST_P:g}"


def _square_and_add(
    baseline: tuple[float, float],
    candidate: tuple[float, float],
    correlation: float,
    confidence: float,
) -> tuple[float, float]:
    """The interval of the difference of two shares, each given as right ones and all."""
    if not baseline[1] or not candidate[1]:
        return NO_INTERVAL
    share, down, up = _reach(*baseline, confidence)
    other_share, other_down, other_up = _reach(*candidate, confidence)
    difference = other_share - share
    return (
        difference - _combine(other_down, up, correlation),
        difference + _combine(other_up, down, correlation),
    )


def _reach(right: float, n: float, confidence: float) -> tuple[float, float, float]:
    """A share, and how far Wilson's interval reaches below and above it."""
    low, high = compute_wilson(np.array(right), np.array(n), confidence)
    share = right / n
    return share, share - float(low), float(high) - share


def _combine(x: float, y: float, correlation: float) -> float:
    return sqrt(max((x * x + y * y) - 2 * correlation * (x * y), 0.0))


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

"""The jackknife: what a number becomes without each image gives its bias, error and interval.

Leave out one unit (an image, or a group of images), compute the number again, and so for each unit:
the spread of these values tells the standard error, their mean tells the bias of order 1 / n
(Quenouille 1956, Tukey 1958; Efron & Stein 1981). An interval on the logit scale follows the skew
of a number near its bounds, and never leaves them. Where few units carry all the spread, the spread
is itself uncertain: Student's quantile is taken at the degrees of freedom that it has
(Satterthwaite 1946), towards the near bound, where nothing else guards against it.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import atanh, exp, inf, isnan, log, nan, sqrt, tanh
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.resampling import CONFIDENCE, Statistic

MAX_GROUPS: Final = 200
"""Units that are left out of a number which is slow to compute: more are put together at random."""

_COLUMNS: Final = 64
_ROUNDING: Final = 1e-12
_MIN_DEGREES: Final = 3.0


class Scale(StrEnum):
    """Where the interval of a number is symmetric."""

    LOGIT = "logit"  # ln(x / (1 - x)): numbers in 0..1
    FISHER = "fisher"  # artanh(x): numbers in -1..1
    LOG = "log"  # ln(x): numbers above 0
    PLAIN = "plain"  # the number itself, as the difference of two


class Tails(StrEnum):
    """Which ends of an interval allow for an error that few units tell."""

    NONE = "none"
    NEAR = "near"  # the end towards the nearer bound of the scale
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What a number becomes without one unit: units that are alike stand once.

    `values` (n_kinds,) is the number without one unit of each kind, `times` (n_kinds,) how many
    such units there are, and `kind` (n_units,) the kind of each unit where it is known.
    """

    values: FloatArray
    times: IntArray
    kind: IntArray | None = None

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return int(self.times.sum())

    @property
    def mean(self) -> float:
        """The mean of the values over units."""
        return float(self.times @ self.values / self.n_units)

    @property
    def influences(self) -> FloatArray:
        """How far each unit moves the number, (n_units,): they sum to 0.

        Each is (n - 1) (mean - value without the unit). Two numbers of the same units have the
        covariance Σ a b / (n (n - 1)) over their influences a and b.
        """
        moved = (self.n_units - 1) * (self.mean - self.values)
        return np.repeat(moved, self.times) if self.kind is None else moved[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jackknife:
    """A number with its bias and standard error, both on its own scale, from `n_units` units.

    Bias and error are NaN where the number is undefined without some unit. `degrees` of freedom has
    the error: 2 n / (kurtosis of influences - 1), from 3 to n - 1.
    """

    value: float
    bias: float
    standard_error: float
    n_units: int
    degrees: float


def jackknife(value: float, left_out: LeftOut) -> Jackknife:
    """The bias and the standard error of a number.

    >>> heads = LeftOut(values=np.array([2 / 3, 1.0]), times=np.array([3, 1]))
    >>> jackknife(0.75, heads)
    Jackknife(value=0.75, bias=0.0, standard_error=0.25, n_units=4, degrees=3.0)
    """
    left_out = _sort(left_out)
    n, mean = left_out.n_units, left_out.mean
    if n < 2:  # noqa: PLR2004 - without its one unit a number is of nothing
        return Jackknife(value=value, bias=nan, standard_error=nan, n_units=n, degrees=nan)
    squares = left_out.times * np.square(left_out.values - mean)
    spread = float(squares.sum())
    return Jackknife(
        value=value,
        bias=(n - 1) * (mean - value),
        standard_error=sqrt(spread * (n - 1) / n),
        n_units=n,
        degrees=_find_degrees(n, spread, float(squares @ np.square(left_out.values - mean))),
    )


def compute_interval(
    estimate: Jackknife,
    scale: Scale,
    confidence: float = CONFIDENCE,
    tails: Tails = Tails.NONE,
) -> tuple[float, float]:
    """The interval about the corrected number on the scale.

    Errors and bias are carried over by the scale's slope at the number; the quantile is Student's
    for n - 1 degrees of freedom, in the `tails` for those of the error. Where the correction leaves
    the number outside, the nearer end is extended to it.

    Returns:
        Lower and upper end; NaN where the number stands at a bound of its scale, and where bias or
        error are undefined.
    """
    x = estimate.value
    slope = _find_slope(x, scale)
    if isnan(estimate.standard_error) or isnan(slope):
        return nan, nan
    middle = _to_scale(x, scale) - estimate.bias * slope
    low, high = (
        _from_scale(
            middle + side * compute_student(confidence, degrees) * estimate.standard_error * slope,
            scale,
        )
        for side, degrees in zip((-1, 1), _choose_degrees(estimate, scale, tails), strict=True)
    )
    return min(low, x), max(high, x)


def compute_skewed_interval(
    value: float, left_out: LeftOut, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The interval of a mean of skewed values: Hall's transformation of Student's t (Hall 1992).

    g(t) = t + s t² / 3 + s² t³ / 27 + s / (6 n) of t = error / (deviation of one unit) takes the
    skewness s out of it; the quantile has the degrees of freedom of the error.

    Returns:
        Lower and upper end; NaN where there is no spread.
    """
    estimate, moves = jackknife(value, left_out), _sort(left_out).influences
    n, deviation = estimate.n_units, estimate.standard_error * sqrt(estimate.n_units)
    if isnan(deviation) or deviation <= _ROUNDING:
        return nan, nan
    skewness = float(np.mean(moves**3)) / (float(np.mean(moves**2)) ** 1.5)
    reach = compute_student(confidence, estimate.degrees) / sqrt(n)
    low, high = (value - deviation * _invert_hall(side * reach, skewness, n) for side in (1, -1))
    return min(low, value), max(high, value)


@lru_cache
def compute_student(confidence: float, degrees: float) -> float:
    """How many standard errors an interval reaches to each side: 1.98 at 0.95 of 100 units."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsLeftOut:
    """The label counts without one image of each occupied cell of a count matrix, row by row.

    `counts` (n_cells, n_labels); `times` (n_cells,) the images of each cell.
    """

    counts: LabelCounts
    times: IntArray


def leave_out_cells(matrix: NDArray[np.int64]) -> CellsLeftOut:
    """The counts without one image, from a matrix as `count_pairs` returns it."""
    y_true, y_pred = np.nonzero(matrix)
    rows = np.arange(len(y_true))
    right, predicted = y_true == y_pred, y_pred < len(matrix)
    whole = np.diagonal(matrix), matrix[:, :-1].sum(axis=0), matrix.sum(axis=1)
    tp, columns, support = (np.tile(part, (len(rows), 1)) for part in whole)
    tp[rows[right], y_true[right]] -= 1
    columns[rows[predicted], y_pred[predicted]] -= 1
    support[rows, y_true] -= 1
    return CellsLeftOut(
        counts=LabelCounts(tp=tp, predicted=columns, support=support),
        times=matrix[y_true, y_pred],
    )


def leave_out_units(statistic: Statistic, unit_idx: IntArray, n_units: int) -> dict[str, LeftOut]:
    """The values of a statistic of image weights without each unit.

    Args:
        statistic: Image weights (n_images, n) -> values by name, each (n,).
        unit_idx: The unit of each image in the statistic's order, (n_images,).
        n_units: How many there are.
    """
    blocks = []
    for start in range(0, n_units, _COLUMNS):
        units = np.arange(start, min(start + _COLUMNS, n_units))
        blocks.append(statistic((unit_idx[:, np.newaxis] != units).astype(np.float32)))
    once = np.ones(n_units, dtype=np.int64)
    return {
        name: LeftOut(
            values=np.concatenate([block[name] for block in blocks]), times=once, kind=unit_idx
        )
        for name in (blocks[0] if blocks else ())
    }


def deal_units(unit_idx: IntArray, n_units: int, seed: int = 0) -> tuple[IntArray, int]:
    """Put units together at random so that at most `MAX_GROUPS` are left, of nearly equal size.

    Returns:
        The new unit of each image, (n_images,), and how many there are.
    """
    if n_units <= MAX_GROUPS:
        return unit_idx, n_units
    dealt = np.random.default_rng(seed).permutation(n_units) % MAX_GROUPS
    return dealt[unit_idx], MAX_GROUPS


def _sort(left_out: LeftOut) -> LeftOut:
    """The units by value, so that rounding in sums does not depend on the order of images."""
    order = np.argsort(left_out.values, kind="stable")
    return LeftOut(values=left_out.values[order], times=left_out.times[order])


def _invert_hall(u: float, skewness: float, n: int) -> float:
    """The t of which Hall's transformation is u."""
    if abs(skewness) <= _ROUNDING:
        return u
    return 3 / skewness * (float(np.cbrt(1 + skewness * (u - skewness / (6 * n)))) - 1)


def _find_degrees(n: int, squares: float, fourths: float) -> float:
    """Of an error from n units, given the sums of second and fourth powers of their moves."""
    excess = n * fourths - squares * squares
    if excess <= 0:  # all units move the number alike far
        return float(n - 1)
    return float(min(max(2 * n * squares * squares / excess, _MIN_DEGREES), n - 1))


def _choose_degrees(estimate: Jackknife, scale: Scale, tails: Tails) -> tuple[float, float]:
    """Those of the lower and of the upper end."""
    few, many = estimate.degrees, float(estimate.n_units - 1)
    if tails is Tails.BOTH:
        return few, few
    if tails is Tails.NONE or scale is Scale.PLAIN:
        return many, many
    middle = {Scale.LOGIT: 0.5, Scale.FISHER: 0.0, Scale.LOG: inf}[scale]
    return (many, few) if estimate.value > middle else (few, many)


def _find_slope(x: float, scale: Scale) -> float:
    """The slope of the scale at a number, NaN at its bounds."""
    if scale is Scale.PLAIN:
        return 1.0
    spread = {Scale.LOGIT: x * (1 - x), Scale.FISHER: 1 - x * x, Scale.LOG: x}[scale]
    return 1 / spread if spread > _ROUNDING else nan


def _to_scale(x: float, scale: Scale) -> float:
    if scale is Scale.LOGIT:
        return log(x / (1 - x))
    if scale is Scale.FISHER:
        return atanh(x)
    return log(x) if scale is Scale.LOG else x


def _from_scale(y: float, scale: Scale) -> float:
    if scale is Scale.LOGIT:
        return 1 / (1 + exp(-y)) if y > 0 else exp(y) / (1 + exp(y))
    if scale is Scale.FISHER:
        return tanh(y)
    return exp(min(y, 700)) if scale is Scale.LOG else y

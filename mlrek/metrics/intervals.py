"""Intervals: by leaving out one image (or group) at a time, on the scale that suits the number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import atanh, exp, inf, isnan, log, nan, sqrt, tanh
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import FloatArray, IntArray
from mlrek.metrics.counts import LabelCounts

Weights: TypeAlias = NDArray[np.float32]
"""How often each image counts: whole numbers, a column for each value, (n_images, n)."""

Statistic: TypeAlias = Callable[[Weights], Mapping[str, FloatArray]]
"""Image weights (n_images, n) -> values by name, each (n,)."""

CONFIDENCE: Final = 0.95
"""Of an interval, unless another one is asked for."""

MAX_BLOCK: Final = 3 * 2**19
"""Most numbers held at once for a block of weights: 6 MiB in single precision."""

EXACT_FLOAT32: Final = 2**24
"""Whole numbers below it are exact in single precision."""

Plan: TypeAlias = Statistic | str
"""How to compute numbers, or why they cannot be."""

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
    such units there are, and `kind` (n_units,) the kind of each unit where it is known. Kinds that
    are `is_in_order` stand in one that the order of images does not change.
    """

    values: FloatArray
    times: IntArray
    kind: IntArray | None = None
    is_in_order: bool = False

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsLeftOut:
    """The label counts without one image of each occupied cell of a count matrix, row by row.

    `counts` (n_cells, n_labels); `times` (n_cells,) the images of each cell.
    """

    counts: LabelCounts
    times: IntArray


MIN_DEGREES: Final = 7.0
"""Degrees of freedom that the error of a number must have by the images of each label."""

MAX_SINGLES: Final = 0.1
"""Most labels with one image or none, as a share: with more, the mean is of other labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How the interval of a number is made.

    `at_share` gives the worst number that goes with a share of images with any error, where all
    others are right: it is the end at a perfect score.
    """

    scale: Scale = Scale.LOGIT
    tails: Tails = Tails.NEAR
    at_share: Callable[[float], float] = lambda wrong: 1 - wrong


LOGIT: Final = Form()
AREA: Final = Form(tails=Tails.BOTH)
"""Of areas a few positives carry the error, of masks a few large ones, on both sides."""

_CORRELATIONS: Final = ("mcc", "cohen_kappa")
_FISHER: Final = Form(scale=Scale.FISHER, at_share=lambda wrong: 1 - 2 * wrong)
_JACCARD: Final = Form(at_share=lambda wrong: (1 - wrong) / (1 + wrong))
_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        **dict.fromkeys(_CORRELATIONS, _FISHER),
        **dict.fromkeys(("jaccard_micro", "jaccard_macro", "jaccard_weighted"), _JACCARD),
        **dict.fromkeys(
            (
                "roc_auc_macro",
                "average_precision_macro",
                "average_precision_micro",
                "roc_auc",
                "average_precision",
                "mean_iou",
                "mean_dice",
                "mean_iou_pooled",
                "mean_iou_all_images",
                "pixel_precision",
                "pixel_recall",
                "pixel_f1",
            ),
            AREA,
        ),
    }
)


def compute_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution: 1.96 at 0.975."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def compute_margin(confidence: float) -> float:
    """How many standard errors an interval reaches to each side: 1.96 at 0.95."""
    return compute_quantile(0.5 + confidence / 2)


def compute_wilson(
    successes: IntArray | FloatArray, n: IntArray | FloatArray, confidence: float = CONFIDENCE
) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of a share (Wilson 1927), without continuity correction.

    Returns:
        Lower and upper ends, of the arguments' shape; NaN where `n` is 0.
    """
    z = compute_margin(confidence)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        scale = 1 + z**2 / n
        center = (share + z**2 / (2 * n)) / scale
        half = z / scale * np.sqrt(share * (1 - share) / n + z**2 / (4 * np.square(n)))
        low = np.where(np.equal(successes, 0) & np.greater(n, 0), 0.0, center - half)
        high = np.where(np.equal(successes, n) & np.greater(n, 0), 1.0, center + half)
    return low, high


def jackknife(value: float, left_out: LeftOut) -> Jackknife:
    """The bias and the standard error of a number.

    >>> heads = LeftOut(values=np.array([0.0, 1.0]), times=np.array([1, 1]))
    >>> jackknife(0.5, heads)
    Jackknife(value=0.5, bias=0.0, standard_error=0.5, n_units=2, degrees=1.0)
    """
    left_out = _sort(left_out)
    n, times, moved = left_out.n_units, left_out.times, left_out.values - value
    if n < 2:  # noqa: PLR2004 - without its one unit a number is of nothing
        return Jackknife(value=value, bias=nan, standard_error=nan, n_units=n, degrees=nan)
    mean = float(times @ moved / n)  # of small differences, whose sums hardly round
    around = np.square(moved - mean)
    squares = times * around
    spread = float(squares.sum())
    return Jackknife(
        value=value,
        bias=(n - 1) * mean,
        standard_error=sqrt(spread * (n - 1) / n),
        n_units=n,
        degrees=_find_degrees(n, spread, float(squares @ around)),
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
    if left_out.is_in_order:
        return left_out
    times = left_out.times
    if len(times) and times.min() == times.max():  # plain numbers are sorted much faster
        return LeftOut(values=np.sort(left_out.values), times=times)
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


def find_form(name: str) -> Form:
    """The form of a number by its short name (`f1_macro`, `iou/<code>` of a label's masks)."""
    return AREA if "/" in name else _FORMS.get(name, LOGIT)


def find_degrees(support: IntArray, moves: FloatArray) -> float:
    """Degrees of freedom of an error that images of all labels make alike often.

    Satterthwaite's (1946) for a sum over labels with variances in proportion to n_l moves_l²; few
    degrees tell that a few images of a rare label decide.

    Args:
        support: Images (or groups) of each label, (n_labels,); labels without any say nothing.
        moves: How far one wrong image of each label moves the number, (n_labels,).

    >>> round(find_degrees(np.array([97, 3]), 1 / np.array([97, 3])), 1)
    2.1
    """
    known = support > 0
    variances = support[known] * np.square(moves[known])
    spread = np.square(variances) / np.maximum(support[known] - 1, 1)
    return float(variances.sum() ** 2 / spread.sum()) if spread.sum() > 0 else nan


def explain_few(name: str, support: IntArray, n_units: int, what: str = "images") -> str:
    """Why a number that weighs labels has no interval; '' where its labels have enough images.

    Args:
        name: Of the number.
        support: Images (or groups) of each label, (n_labels,).
        n_units: All of them.
        what: What the units are.
    """
    moves = compute_moves(name, support)
    if moves is None:
        return ""
    degrees = find_degrees(support, moves)
    is_open = isnan(degrees) or may_lack_labels(name, support)
    factor = max(2.0 if is_open else 0.0, 0.0 if isnan(degrees) else MIN_DEGREES / max(degrees, 1))
    if factor <= 1:
        return ""
    needed = int(np.ceil(n_units * factor))
    return (
        f"no interval: the rarest labels have too few {what}; with labels as frequent as here "
        f"about {needed:,} {what} are needed"
    )


def may_lack_labels(name: str, support: IntArray) -> bool:
    """Whether a mean over labels may lack some that the population has.

    So it is where more than a tenth of the labels have no image here, or a single one.
    """
    if name in _CORRELATIONS:
        return False
    return bool(np.count_nonzero(support <= 1) > MAX_SINGLES * len(support))


def compute_moves(name: str, support: IntArray) -> FloatArray | None:
    """How far one wrong image of each label moves a number, up to a factor, (n_labels,).

    None for numbers in which every image weighs alike. The correlations weigh labels by the
    variance of having them, so that of two labels both weigh alike.
    """
    if name in _CORRELATIONS:
        return np.asarray(support.sum() - support, dtype=np.float64)
    if name == "balanced_accuracy" or name.endswith("_macro"):
        moves = np.zeros(len(support))
        np.divide(1.0, support, out=moves, where=support > 0)
        return moves
    return None


def count_drawn(weights: NDArray[Any]) -> NDArray[Any]:
    """How many images each column counts, (n,), added up in a type that holds whole numbers."""
    small = len(weights) < EXACT_FLOAT32
    return np.asarray(weights.sum(axis=0, dtype=np.float32 if small else np.float64))


def compute_statistic(statistic: Statistic, n_images: int) -> dict[str, FloatArray]:
    """The values of a statistic on the images as they are, each of shape ()."""
    return {
        name: value[0]
        for name, value in statistic(np.ones((n_images, 1), dtype=np.float32)).items()
    }

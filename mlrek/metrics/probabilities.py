"""Numbers of confidences as probabilities: log loss, calibration error, and how it changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import nan, pi, sqrt
from typing import Final

import numpy as np
import scipy.sparse as sp

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics import NO_CONFIDENCES, Number, PredictionRule
from mlrek.metrics.areas import Areas
from mlrek.metrics.counts import NO_TRUTH_REASON, Pairs, divide
from mlrek.metrics.decisions import Sample
from mlrek.metrics.estimates import leave_out_of_mean
from mlrek.metrics.intervals import (
    Plan,
    Statistic,
    Weights,
    compute_margin,
    compute_skewed_interval,
    compute_statistic,
    count_drawn,
)
from mlrek.metrics.left_out import Units
from mlrek.metrics.ranking import RankedPairs
from mlrek.metrics.roots import find_root

N_BINS: Final = 15
_SUM_TOLERANCE: Final = 0.001
_ROUNDING: Final = 1e-9
_ROWS: Final = 4096
_RESAMPLES: Final = 999
_ALL_ONE_SIDE: Final = 8.0  # standard errors from 0 at which a gap has one sign
_FEW: Final = 100  # predictions in a bin that are drawn one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBins:
    """The bins of `ece`, all (15,): predictions, their mean confidence, and the share right.

    Both means are NaN where a bin is empty.
    """

    count: IntArray
    confidence: FloatArray
    accuracy: FloatArray


@dataclass(frozen=True, slots=True)
class Debiased:
    """The calibration error without what chance adds to it, and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Gaps:
    """The bins that hold predictions: their weight, size, mean confidence and gap, (n_bins,)."""

    weight: FloatArray
    n: IntArray
    mean: FloatArray
    gap: FloatArray
    effect: float

    @staticmethod
    def of(bins: CalibrationBins, effect: float) -> "_Gaps":
        """Those of the bins."""
        known = bins.count > 0
        n, mean = bins.count[known], bins.confidence[known]
        return _Gaps(n / n.sum(), n, mean, bins.accuracy[known] - mean, effect)

    @property
    def plain(self) -> float:
        """The calibration error as it is."""
        return float(self.weight @ np.abs(self.gap))

    def bound_whole(self, margin: float) -> float:
        """How far the mean confidence may be from the probability to be right, of all bins."""
        from scipy.special import betaincinv, ndtr

        n = float(self.n.sum()) / self.effect
        mean = float(self.weight @ self.mean)
        right = min(max(n * (mean + float(self.weight @ self.gap)), 0.0), n)
        tail = ndtr(-margin)
        low = betaincinv(right, n - right + 1, tail) if right > 0 else 0.0
        high = betaincinv(right + 1, n - right, 1 - tail) if right < n else 1.0
        return max(mean - float(low), float(high) - mean)

    def shrink(self) -> "_Gaps":
        """The gaps without half of what chance makes of their squares, all where none is left."""
        p = np.clip(self.mean + self.gap, 0, 1)
        variance = np.maximum(self.mean * (1 - self.mean), p * (1 - p)) * self.effect / self.n
        left = np.maximum(0, 1 - variance / 2 / np.maximum(np.square(self.gap), _ROUNDING**2))
        gap = self.gap * left
        return self if not gap.any() else _Gaps(self.weight, self.n, self.mean, gap, self.effect)

    def expect(self, times: float, margin: float) -> float:
        """The plain error, `margin` standard errors above its mean, of gaps so many times these.

        Its quantile allows for skew (Cornish and Fisher 1938), as sums of absolute values have it,
        and shares of predictions that are nearly all right or nearly all wrong.
        """
        center = self.gap * times
        p = np.clip(self.mean + center, 0, 1)
        s = np.sqrt(self.effect * p * (1 - p) / self.n) + _ROUNDING
        far = np.abs(center) > _ALL_ONE_SIDE * s  # not folded any more: a gap of one sign
        z = np.where(far, 0.0, np.abs(center) / s)
        density, within = 2 * np.exp(-np.square(z) / 2) / sqrt(2 * pi), _within(z)
        first = density + z * within  # of |N(z, 1)|, times s that of the gap
        second = 1 + np.square(z) - np.square(first)
        third = (z**3 + 3 * z) * within + density * (np.square(z) + 2)
        third += -3 * first * (1 + np.square(z)) + 2 * first**3
        mean = float(np.where(far, np.abs(center), s * first) @ self.weight)
        spread = self.weight * s
        error = sqrt(float(np.where(far, 1.0, second) @ np.square(spread)))
        if error <= _ROUNDING:
            return mean
        of_share = self.effect * (1 - 2 * p) / (self.n * s)  # skew of the share of right ones
        one_sided = np.sign(center) * np.where(far, 1.0, within)
        skew = float((np.where(far, 0.0, third) + one_sided * of_share) @ spread**3) / error**3
        return mean + error * (margin + (margin**2 - 1) * skew / 6 if margin else 0.0)


NAMES: Final = ("ece", "ece_debiased", "log_loss", "roc_auc_macro", "average_precision_macro")
CONSISTENCY: Final = "ece_consistency_p"
NO_ECE_INTERVAL: Final = (
    "no interval: chance alone makes the plain error positive; ece_debiased has one"
)
_NOTEBOOK: Final = "the notebook rule counts every record, not the top one of each image"
MIN_WRONG: Final = 5
"""Wrong images that the interval of a log loss needs: their losses make most of the mean."""
_FEW_WRONG: Final = (
    "no interval: {} images are wrong, whose losses make most of the mean, and 5 are needed"
)
_NO_PREDICTION: Final = "no image has a prediction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The predictions of one version, (n,) each; `unit_idx` is -1 where its image is no unit."""

    confidence: FloatArray
    is_right: BoolArray
    unit_idx: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChange:
    """The difference of two debiased calibration errors, candidate minus baseline.

    Its interval is made of those of both errors and of the correlation between them (MOVER, Zou &
    Donner 2008). An error that may be 0 is held to be as low as that, where the other is not: of a
    calibrated version chance makes the value too high, never too low. `effects` are how many times
    as uncertain the gaps are as of independent images, as where groups are the units.
    """

    baseline: CalibrationBins
    candidate: CalibrationBins
    effects: tuple[float, float]
    correlation: float
    standard_error: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end; always there, as an error of 0 may be one of chance."""
        margin = compute_margin(confidence)
        before, after = (
            debias_calibration_error(bins, margin, effect)
            for bins, effect in zip((self.baseline, self.candidate), self.effects, strict=True)
        )
        change = after.value - before.value
        low = change - self._combine(after.value - after.low, before.high - before.value)
        high = change + self._combine(after.high - after.value, before.value - before.low)
        if before.low == 0 < after.low:
            high = max(high, after.high)
        if after.low == 0 < before.low:
            low = min(low, -before.high)
        return low, high

    def _combine(self, x: float, y: float) -> float:
        """As of numbers whose correlation is the square: what they share is half of chance."""
        shared = self.correlation * abs(self.correlation)
        return sqrt(max(x * x + y * y - 2 * shared * x * y, 0.0))


def compute_probability_numbers(
    ranked: RankedPairs, sample: Sample, areas: Areas, units: Units
) -> dict[str, Number]:
    """`ece`, `ece_debiased`, `log_loss`, `roc_auc_macro` and `average_precision_macro`.

    All but `ece` have intervals.

    Args:
        ranked: The scores of the images with truth.
        sample: The predictions.
        areas: The areas of labels.
        units: The units of the images with truth.
    """
    pairs = ranked.pairs
    if not pairs.n_images:
        return dict.fromkeys(NAMES, Number(value=nan, reason=NO_TRUTH_REASON))
    return {
        **_estimate_calibration(pairs, sample, units),
        "log_loss": _estimate_log_loss(
            pairs, ranked.missing, units, int(np.count_nonzero(~sample.is_right[sample.counted]))
        ),
        **{name: areas.macro[name] for name in NAMES[-2:]},
    }


def _estimate_calibration(pairs: Pairs, sample: Sample, units: Units) -> dict[str, Number]:
    """`ece` and `ece_debiased`."""
    confidence, is_right, predicted = _select_predictions(sample)
    if lacking := _explain_uncalibrated(sample.rule, confidence):
        return dict.fromkeys(NAMES[:2], Number(value=nan, reason=lacking))
    found, moves = find_bins(confidence), is_right - confidence
    gaps = _sum_in_order(found, moves, pairs.places[predicted], pairs.n_images)
    value = float(np.abs(gaps).sum()) / len(confidence)
    bins = _average_bins(found, confidence, is_right)
    effect = find_effect(moves, units.unit_idx[predicted]) if units.are_groups else 1.0
    debiased = debias_calibration_error(bins, compute_margin(units.confidence), effect)
    return {
        "ece": Number(value=value, reason=NO_ECE_INTERVAL),
        "ece_debiased": Number(value=debiased.value, reason=units.lacking)
        if units.lacking
        else Number(value=debiased.value, low=debiased.low, high=debiased.high),
    }


def _sum_in_order(bins: IntArray, moves: FloatArray, places: IntArray, n_images: int) -> FloatArray:
    """The sum over each bin, (15,), in the order of places: no bit depends on that of lines."""
    ordered, bin_of = np.zeros(n_images), np.full(n_images, N_BINS, dtype=np.uint8)
    ordered[places], bin_of[places] = moves, bins
    sums = np.bincount(bin_of, weights=ordered, minlength=N_BINS + 1)
    return np.asarray(sums[:N_BINS], dtype=np.float64)


def compute_consistency(sample: Sample) -> dict[str, Number]:
    """The p of the test that the confidences are calibrated, where there are predictions."""
    confidence, is_right, _ = _select_predictions(sample)
    is_lacking = not len(confidence) or np.isnan(confidence).any()
    if sample.rule == PredictionRule.NOTEBOOK or is_lacking:
        return {}
    return {CONSISTENCY: Number(value=check_consistency(confidence, is_right))}


def _select_predictions(sample: Sample) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Confidence and rightness of the predictions, and which images with truth have one."""
    predicted = sample.y_pred[sample.counted] >= 0
    confidence, is_right = sample.confidence[sample.counted], sample.is_right[sample.counted]
    return confidence[predicted], is_right[predicted], predicted


def _estimate_log_loss(pairs: Pairs, missing: str, units: Units, n_wrong: int) -> Number:
    """The mean over images; few wrong ones make most of it, so they must be there."""
    losses = _find_losses(pairs, missing)
    if isinstance(losses, str):
        return Number(value=nan, reason=losses)
    value = float(
        compute_statistic(mean_of_images("log_loss", losses, pairs.places), len(losses))["log_loss"]
    )
    if units.lacking:
        return Number(value=value, reason=units.lacking)
    if n_wrong < MIN_WRONG:
        return Number(value=value, reason=_FEW_WRONG.format(n_wrong))
    low, high = compute_skewed_interval(value, leave_out_of_mean(losses, units), units.confidence)
    return Number(value=value, low=max(low, 0.0), high=high)


def plan_score_means(pairs: Pairs, sample: Sample, missing: str) -> dict[tuple[str, ...], Plan]:
    """How to compute `ece` and `log_loss` of weighted images, of which there must be one.

    `missing` says why scores are no complete rows, '' where they are.
    """
    return {
        ("ece",): _plan_calibration_error(pairs, sample),
        ("log_loss",): _plan_log_loss(pairs, missing),
    }


def _plan_calibration_error(pairs: Pairs, sample: Sample) -> Plan:
    confidence, is_right, predicted = _select_predictions(sample)
    if lacking := _explain_uncalibrated(sample.rule, confidence):
        return lacking
    return calibration_error(confidence, is_right, pairs.places[predicted], pairs.n_images)


def _explain_uncalibrated(rule: PredictionRule, confidence: FloatArray) -> str:
    """Why predictions of these confidences have no calibration error, '' where they have."""
    if rule == PredictionRule.NOTEBOOK:
        return _NOTEBOOK
    if not len(confidence):
        return _NO_PREDICTION
    return NO_CONFIDENCES if np.isnan(confidence).any() else ""


def _plan_log_loss(pairs: Pairs, missing: str) -> Plan:
    losses = _find_losses(pairs, missing)
    return losses if isinstance(losses, str) else mean_of_images("log_loss", losses, pairs.places)


def _find_losses(pairs: Pairs, missing: str) -> FloatArray | str:
    """The loss of each image, or why there is none; complete records have its true label."""
    if missing:
        return missing
    sums = pairs.confidence.reshape(pairs.n_images, pairs.n_labels).sum(axis=1)
    if n := count_apart_from_one(sums):
        return f"the confidences of {n} of {len(sums)} images do not sum to 1 within 0.001"
    return log_loss_of_images(pairs.confidence[pairs.is_true], sums)


def bin_predictions(confidence: FloatArray, is_right: BoolArray) -> CalibrationBins:
    """How sure predictions are and how often right, bin by bin; both (n,)."""
    return _average_bins(find_bins(confidence), confidence, is_right)


def _average_bins(bins: IntArray, confidence: FloatArray, is_right: BoolArray) -> CalibrationBins:
    count = np.bincount(bins, minlength=N_BINS)
    sums = np.bincount(bins, weights=confidence, minlength=N_BINS)
    right = np.bincount(bins, weights=is_right, minlength=N_BINS)
    return CalibrationBins(
        count=count, confidence=divide(sums, count), accuracy=divide(right, count)
    )


def debias_calibration_error(bins: CalibrationBins, margin: float, effect: float = 1.0) -> Debiased:
    """Estimate the calibration error that gives the plain one on average.

    Chance alone makes the plain error Σ w |gap| positive: a gap of n predictions that are right
    with probability p has the error sqrt(p (1 - p) / n), and the mean of its absolute value is that
    of a folded normal distribution (the normal approximation by which Kumar, Liang and Ma 2019
    debias, "Verified uncertainty calibration"). Of all models whose gaps are c times those that
    were seen, the value is the error of the one that gives the plain error on average (0 where even
    a calibrated model gives more), and the ends are those of the models that give it with the
    probability of a tail, the upper one no less than the plain error: the interval of a calibrated
    model begins at 0. Where all or nearly all are right, such gaps say nothing of how many more
    may be wrong, so the upper end is no less than that of the gap between the mean confidence and
    the share right either, which is no larger than the error (Clopper and Pearson 1934).

    Args:
        bins: How sure predictions are and how often right.
        margin: How many standard errors the interval reaches to each side.
        effect: How many times as uncertain the gaps are as of independent images.
    """
    gaps = _Gaps.of(bins, effect)
    least = gaps.bound_whole(margin)
    if gaps.plain <= _ROUNDING:  # no gap at all, as of a model that is always sure and right
        return Debiased(value=0.0, low=0.0, high=least)
    shrunk = gaps.shrink()
    value, low = (_find_times(shrunk, gaps.plain, side) * shrunk.plain for side in (0.0, margin))
    high = _find_times(gaps, gaps.plain, -margin) * gaps.plain
    return Debiased(value, min(low, value), max(high, gaps.plain, least))


def find_slopes(
    bins: CalibrationBins, effect: float = 1.0, *, are_sure: bool = False
) -> FloatArray:
    """How the error of each bin grows with its gap, -1 to 1, 0 where the gap may be chance alone.

    The mean of |gap| over test sets has the slope 2 Phi(z) - 1 in a gap of z standard errors, here
    of the gaps that are left of chance.

    Args:
        bins: How sure predictions are and how often right.
        effect: How many times as uncertain the gaps are as of independent images.
        are_sure: Whether all gaps count as they are: the slopes are their signs.

    Returns:
        Of each bin, (15,), 0 where it is empty.
    """
    slopes, known = np.zeros(N_BINS), bins.count > 0
    gaps = _Gaps.of(bins, effect)
    if are_sure:
        slopes[known] = np.sign(gaps.gap)
        return slopes
    left = gaps.shrink().gap
    p = np.clip(gaps.mean + left, 0, 1)
    error = np.sqrt(effect * p * (1 - p) / gaps.n) + _ROUNDING
    slopes[known] = np.sign(left) * _within(np.abs(left) / error)
    return slopes


def find_effect(moves: FloatArray, unit_idx: IntArray) -> float:
    """The design effect of groups on a mean: its variance over groups to that over images."""
    alone = float(np.square(moves - moves.mean()).sum())
    sums = np.bincount(unit_idx, weights=moves - moves.mean())
    return max(1.0, float(np.square(sums).sum()) / alone) if alone else 1.0


def _find_times(gaps: _Gaps, plain: float, margin: float) -> float:
    """How many times these gaps give the plain error, `margin` errors above its mean.

    0 where even a calibrated model gives more.
    """

    def exceed(times: float) -> float:
        return gaps.expect(times, margin) - plain

    if exceed(0) >= 0:
        return 0.0
    far = 1.0
    while exceed(far) < 0:
        far *= 2
    return find_root(exceed, 0.0, far)


def _within(z: FloatArray) -> FloatArray:
    """The share of a normal distribution within z standard errors."""
    from scipy.special import ndtr

    return np.asarray(2 * ndtr(z) - 1)


def check_consistency(confidence: FloatArray, is_right: BoolArray) -> float:
    """The p of a test that the model is calibrated: consistency resampling.

    The share of test sets with these confidences, each prediction right with its own, whose plain
    calibration error is no less (Broecker and Smith 2007). Few predictions of a bin are drawn one
    by one, of many the number of right ones by the normal approximation.

    Args:
        confidence: Of each prediction, (n,).
        is_right: Whether it is right, (n,).
    """
    rng, bins = np.random.default_rng(0), find_bins(confidence)
    drawn, seen = np.zeros(_RESAMPLES), 0.0
    by_bin = np.argsort(bins.astype(np.uint8), kind="stable")
    confidence, is_right = confidence[by_bin], is_right[by_bin]
    ends = np.cumsum(np.bincount(bins, minlength=N_BINS)).tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        if start == end:
            continue
        own = confidence[start:end]
        total = float(own.sum())
        seen += abs(float(np.count_nonzero(is_right[start:end])) - total)
        drawn += np.abs(_draw_right(own, rng) - total)
    n_more = np.count_nonzero(drawn >= seen * (1 - _ROUNDING))
    return (1 + int(n_more)) / (1 + _RESAMPLES)


def _draw_right(confidence: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How many predictions are right in each resample, (_RESAMPLES,)."""
    if len(confidence) <= _FEW:
        draws = rng.random((_RESAMPLES, len(confidence))) < confidence
        n_right = draws.view(np.uint8).sum(axis=1, dtype=np.uint8)  # which holds up to 255
        return np.asarray(n_right, dtype=np.float64)
    spread = sqrt(float(np.sum(confidence * (1 - confidence))))
    return np.asarray(rng.normal(confidence.sum(), spread, _RESAMPLES))


def calibration_error(
    confidence: FloatArray, is_right: BoolArray, places: IntArray, n_images: int
) -> Statistic:
    """The statistic of `ece`: Σ over bins of |right - Σ confidence|, over all predictions.

    15 equal bins closed on the right, the first also on the left (Guo et al. 2017).

    Args:
        confidence: Of each prediction, (n,).
        is_right: Whether it is right, (n,).
        places: The place of its image among the weights, (n,).
        n_images: The number of weights.
    """
    bins = find_bins(confidence)
    rows = np.concatenate([bins, np.full(len(bins), N_BINS)])
    values = np.concatenate([is_right - confidence, np.ones(len(bins))])
    sums = sp.csr_array((values, (rows, np.tile(places, 2))), shape=(N_BINS + 1, n_images))
    return partial(_compute_calibration_error, sums)


def log_loss_of_images(own: FloatArray, sums: FloatArray) -> FloatArray:
    """-log of the true label's share of the scores of each image, (n_images,).

    Shares are kept away from 0 and 1 by the smallest step of a double, as scikit-learn does.

    Args:
        own: The score of the true label of each image, (n_images,).
        sums: Of all scores of each image, (n_images,).
    """
    share = own / sums
    eps = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(share, eps, 1 - eps)))


def count_apart_from_one(sums: FloatArray) -> int:
    """Images whose scores do not sum to 1 within 0.001; `sums` (n_images,)."""
    off = np.abs(sums - 1)
    return int(np.count_nonzero(off > _SUM_TOLERANCE + _ROUNDING))


def mean_of_images(name: str, values: FloatArray, places: IntArray) -> Statistic:
    """The statistic of a mean over images: `values` (n_images,), their `places`."""
    ordered = np.empty(len(values))
    ordered[places] = values
    return partial(_compute_mean, name, ordered)


def find_bins(confidence: FloatArray) -> IntArray:
    """The bin of each confidence: closed on the right, the first also on the left."""
    edges = np.arange(N_BINS + 1) / N_BINS
    return np.asarray(np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0))


def _compute_calibration_error(sums: sp.csr_array, weights: Weights) -> dict[str, FloatArray]:
    *gaps, n = sums @ weights
    return {"ece": divide(np.abs(gaps).sum(axis=0), n)}


def _compute_mean(name: str, values: FloatArray, weights: Weights) -> dict[str, FloatArray]:
    sums = np.zeros(weights.shape[1])
    for start in range(0, len(values), _ROWS):  # in parts, whose doubles stay in the cache
        rows = np.s_[start : start + _ROWS]
        sums += values[rows] @ weights[rows]
    return {name: divide(sums, count_drawn(weights))}


def compare_calibration(
    sides: Sequence[Predicted], n_units: int, *, are_groups: bool
) -> CalibrationChange:
    """The evidence of two versions, each with a prediction at least.

    How far a prediction moves the error of its version is the gap of its own, right or wrong minus
    confidence, times the slope of the error in the gap of its bin; the errors are as correlated as
    these moves are over the units.

    Args:
        sides: Baseline and candidate.
        n_units: How many units there are.
        are_groups: Whether these are groups of images.
    """
    bins = [bin_predictions(side.confidence, side.is_right) for side in sides]
    effects = [
        find_effect(side.is_right - side.confidence, side.unit_idx + 1) if are_groups else 1.0
        for side in sides
    ]
    expected, plain = (
        [
            _sum_moves(side, find_slopes(own, effect, are_sure=are_sure), n_units)
            for side, own, effect in zip(sides, bins, effects, strict=True)
        ]
        for are_sure in (False, True)
    )
    size = sqrt(float(expected[0] @ expected[0]) * float(expected[1] @ expected[1]))
    return CalibrationChange(
        baseline=bins[0],
        candidate=bins[1],
        effects=(effects[0], effects[1]),
        correlation=float(expected[0] @ expected[1]) / size if size else 0.0,
        standard_error=float(np.linalg.norm(plain[1] - plain[0])),
    )


def _sum_moves(side: Predicted, slopes: FloatArray, n_units: int) -> FloatArray:
    """How far each unit moves the calibration error of a version, (n_units,)."""
    own = slopes[find_bins(side.confidence)]
    moves = own * (side.is_right - side.confidence) / len(own)
    moves -= moves.mean()
    kept = side.unit_idx >= 0
    sums = np.bincount(side.unit_idx[kept], weights=moves[kept], minlength=n_units)
    return np.asarray(sums, dtype=np.float64)

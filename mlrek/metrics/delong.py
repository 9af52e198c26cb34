"""Whether two versions rank the same images differently: DeLong's test of paired ROC areas."""

from dataclasses import dataclass
from math import erfc, nan, sqrt

import numpy as np

from mlrek.evaluation import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DeLong:
    """Areas under both curves, the standard error of their difference, and the two-sided p.

    Areas are NaN where no image is positive or none negative. Standard error and p are NaN with a
    single one of a kind, and where the areas differ by the same for every image: no spread seen is
    no certainty. Areas that are alike for every image have standard error 0 and p 1.
    """

    baseline_auc: float
    candidate_auc: float
    standard_error: float
    p: float

    @property
    def difference(self) -> float:
        """Candidate minus baseline."""
        return self.candidate_auc - self.baseline_auc


def delong(baseline_scores: FloatArray, candidate_scores: FloatArray, is_true: BoolArray) -> DeLong:
    """Compare the areas of two scores of the same images (DeLong et al., Biometrics 44, 1988).

    With V the share of negatives below each positive, W that of positives above each negative (ties
    half), and D their changes from baseline to candidate, m positives and n negatives: the variance
    of the difference is var(D V) / m + var(D W) / n. V and W come from sorted scores, as in the
    fast algorithm of Sun and Xu (IEEE Signal Processing Letters 21, 2014).

    Args:
        baseline_scores: (n_images,), without NaN, as the others.
        candidate_scores: (n_images,), the same images.
        is_true: (n_images,), which images are positive.
    """
    m = int(np.count_nonzero(is_true))
    n = len(is_true) - m
    if not m or not n:
        return DeLong(baseline_auc=nan, candidate_auc=nan, standard_error=nan, p=nan)
    baseline = _count_pairs(baseline_scores[is_true], baseline_scores[~is_true])
    candidate = _count_pairs(candidate_scores[is_true], candidate_scores[~is_true])
    twice_all = 2 * m * n
    change = [after - before for before, after in zip(baseline, candidate, strict=True)]
    difference = int(change[0].sum()) / twice_all
    standard_error = _compute_error(change[0], change[1], difference)
    return DeLong(
        baseline_auc=int(baseline[0].sum()) / twice_all,
        candidate_auc=int(candidate[0].sum()) / twice_all,
        standard_error=standard_error,
        p=_compute_p(difference, standard_error),
    )


def _count_pairs(positives: FloatArray, negatives: FloatArray) -> tuple[IntArray, IntArray]:
    """Twice the pairs in right order that each positive, then each negative is in; ties once."""
    return _count_below(positives, negatives), _count_below(-negatives, -positives)


def _count_below(scores: FloatArray, others: FloatArray) -> IntArray:
    """Twice the number of others below each score, plus those equal to it, in the scores' order."""
    order, others = np.argsort(scores), np.sort(others)
    counts = np.empty(len(scores), dtype=np.int64)
    rising = scores[order]  # neighbours are found close together, which is much faster
    counts[order] = np.searchsorted(others, rising, "left") + np.searchsorted(
        others, rising, "right"
    )
    return counts


def _compute_error(by_positive: IntArray, by_negative: IntArray, difference: float) -> float:
    """The standard error, from whole numbers, so that no spread is seen exactly."""
    m, n = len(by_positive), len(by_negative)
    if min(m, n) < 2:  # noqa: PLR2004 - a variance needs two
        return nan
    if not np.ptp(by_positive) and not np.ptp(by_negative):
        return nan if difference else 0.0
    variance = np.var(by_positive / (2 * n), ddof=1) / m + np.var(by_negative / (2 * m), ddof=1) / n
    return float(np.sqrt(variance))


def _compute_p(difference: float, standard_error: float) -> float:
    if not difference and standard_error == 0:
        return 1.0
    return erfc(abs(difference) / standard_error / sqrt(2))

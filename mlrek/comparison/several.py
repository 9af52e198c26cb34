"""Three versions and more: do any of them differ at all, and if so, which two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import nan

import numpy as np

from mlrek.comparison import Comparison
from mlrek.comparison.compare import CompareSettings, Side, compare_versions, judge_images
from mlrek.comparison.judgements import GROUPED_REASON, RIGHT_NAMES
from mlrek.evaluation import BoolArray
from mlrek.metrics.paired_tests import CochranQ, adjust_holm, cochran_q, mcnemar_mid_p


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTest:
    """Two of the versions by their places (0 is the baseline), on images that all were tested on.

    `only_first` and `only_second` count images that only one of them has right.
    """

    first: int
    second: int
    only_first: int
    only_second: int
    difference: float
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """Cochran's Q over all versions, then McNemar's mid-p of each pair, adjusted by Holm.

    `images` all of them were tested on. `reason` says why there is no test.
    """

    images: int
    q: float
    df: int
    p: float
    pairs: tuple[PairTest, ...] = ()
    reason: str = ""


def compare_several(
    baseline: Side, candidates: Sequence[Side], settings: CompareSettings
) -> tuple[tuple[Comparison, ...], Several | None]:
    """Each candidate against the baseline; of several candidates also the test of all together.

    Of the images that are right, `p_adjusted` is Holm's over all pairs of versions, each pair on
    the images that both were tested on, as `p` is.

    Raises:
        IncomparableError: Two versions do different things, or one has no record of its images.
    """
    comparisons = tuple(compare_versions(baseline, side, settings) for side in candidates)
    if len(candidates) == 1:
        return comparisons, None
    judged = [judge_images(side, settings) for side in (baseline, *candidates)]
    several = _test_all(judged, settings)
    adjusted = _adjust_pairs(judged)
    return (
        tuple(
            _adjust(comparison, adjusted.get((0, i), nan))
            for i, comparison in enumerate(comparisons, start=1)
        ),
        several,
    )


def _test_all(judged: Sequence[Mapping[str, bool]], settings: CompareSettings) -> Several:
    shared = sorted(set.intersection(*(set(images) for images in judged)))
    none = Several(images=len(shared), q=nan, df=len(judged) - 1, p=nan)
    if settings.group_by:
        return replace(none, reason=GROUPED_REASON)
    if not shared:
        return replace(none, reason="no image is in the test sets of all versions")
    is_right = np.array([[images[image] for images in judged] for image in shared], dtype=np.bool_)
    test: CochranQ = cochran_q(is_right)
    pairs = [_test_pair(is_right, i, j) for i, j in combinations(range(len(judged)), 2)]
    adjusted = adjust_holm(np.array([pair.p for pair in pairs]))
    return replace(
        none,
        q=test.q,
        p=test.p,
        pairs=tuple(
            replace(pair, p_adjusted=float(p)) for pair, p in zip(pairs, adjusted, strict=True)
        ),
    )


def _adjust_pairs(judged: Sequence[Mapping[str, bool]]) -> dict[tuple[int, int], float]:
    """Holm over the pairs that have images in common, each on all that it has."""
    found: dict[tuple[int, int], float] = {}
    for i, j in combinations(range(len(judged)), 2):
        a, b = judged[i], judged[j]
        if shared := a.keys() & b.keys():
            is_right = np.array([[a[image], b[image]] for image in shared], dtype=np.bool_)
            found[i, j] = _test_pair(is_right, 0, 1).p
    adjusted = adjust_holm(np.array(list(found.values())))
    return dict(zip(found, adjusted.tolist(), strict=True))


def _test_pair(is_right: BoolArray, first: int, second: int) -> PairTest:
    a, b = is_right[:, first], is_right[:, second]
    only_first, only_second = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    return PairTest(
        first=first,
        second=second,
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / len(a),
        p=float(mcnemar_mid_p(only_first, only_second)),
        p_adjusted=nan,
    )


def _adjust(comparison: Comparison, p_adjusted: float) -> Comparison:
    names = RIGHT_NAMES.get(comparison.task, ())
    return replace(
        comparison,
        differences=tuple(
            replace(d, p_adjusted=p_adjusted) if d.name in names and not np.isnan(d.p) else d
            for d in comparison.differences
        ),
    )

"""Numbers at thresholds that were chosen without the images they are counted on.

A service that chooses each label's threshold for the best F1 on its own test set reports a score
that new images do not reach. Cross-fitting chooses the thresholds of each fifth of the images on
the other four fifths, by the same rule, and pools the counts.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.folds import N_FOLDS, PARTS, Folds
from mlrek.metrics.pairs import Pairs

N_PARTS: Final = N_FOLDS * PARTS
_MAX_CELLS: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFit:
    """Counts at cross-fitted thresholds: of all images first, then without each part of them.

    `counts` have the shape (1 + N_PARTS, n_labels): row 1 + p leaves part p out, and fits again
    without it. `thresholds` (n_labels, 1 + N_PARTS, N_FOLDS) are those of each fold, infinite where
    nothing is predicted.
    """

    counts: LabelCounts
    thresholds: FloatArray


def fit_across(
    pairs: Pairs, assumed: FloatArray, folds: Folds, support: IntArray | None = None
) -> CrossFit:
    """Count every image at the thresholds that the other folds choose.

    Of each label and fold the threshold is the one with the best F1 on the other folds, the highest
    of several; where these hold no positive, it is the assumed one.

    Args:
        pairs: With the confidence of every label on every image.
        assumed: The assumed threshold of each label, (n_labels,); NaN: the label is never predicted
            where the other folds do not choose one.
        folds: Of the images of `pairs`.
        support: Of each label the true ones in each part, (n_labels, N_PARTS), where not every one
            has a record.
    """
    part = folds.part[pairs.image_idx]
    if support is None:
        true = pairs.label_idx[pairs.is_true] * N_PARTS + part[pairs.is_true]
        support = np.bincount(true, minlength=pairs.n_labels * N_PARTS)
        support = support.reshape(pairs.n_labels, N_PARTS)
    codes = pairs.label_idx.astype(np.min_scalar_type(pairs.n_labels))  # short ones sort faster
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(pairs.label_idx, minlength=pairs.n_labels))
    fitted = [
        _fit_label(
            _Scores(
                confidence=pairs.confidence[rows],
                is_true=pairs.is_true[rows],
                part=part[rows],
                support=own,
            ),
            float(threshold),
        )
        for rows, own, threshold in zip(
            np.split(order, ends[:-1]), support, assumed.tolist(), strict=True
        )
    ]
    tp, predicted, thresholds = (
        np.array([columns[i] for columns in fitted]).reshape(pairs.n_labels, 1 + N_PARTS, -1)
        for i in range(3)
    )
    whole = support.sum(axis=1, keepdims=True)
    return CrossFit(
        counts=LabelCounts(
            tp=tp[..., 0].T,
            predicted=predicted[..., 0].T,
            support=np.hstack([whole, whole - support]).T,
        ),
        thresholds=thresholds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """The records of one label, (n,) each, and its true images in each part, (N_PARTS,)."""

    confidence: FloatArray
    is_true: BoolArray
    part: IntArray
    support: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    """Thresholds of one label, falling, and what is predicted at each, in each part.

    Candidates are the confidences of positives, since between two of these a higher threshold only
    loses false positives. The last one is the assumed threshold. `thresholds` (n,); `tp` and
    `predicted` (N_PARTS, n).
    """

    thresholds: FloatArray
    tp: IntArray
    predicted: IntArray


def _fit_label(
    scores: _Scores, assumed: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """True positives and predictions, (1 + N_PARTS,) each, and thresholds, (1 + N_PARTS, folds)."""
    candidates = _count_candidates(scores, assumed)
    chosen = _choose(scores.support, candidates)
    tp, predicted = (_count_held_out(c, chosen) for c in (candidates.tp, candidates.predicted))
    return tp, predicted, candidates.thresholds[chosen].T


def _count_candidates(scores: _Scores, assumed: float) -> _Candidates:
    rising = np.unique(scores.confidence[scores.is_true])
    n = len(rising)
    reached = n - np.searchsorted(rising, scores.confidence, side="right")
    by_assumed = scores.confidence >= assumed

    def count(among: BoolArray) -> IntArray:
        cells = scores.part[among] * (n + 1) + reached[among]
        at_places = np.bincount(cells, minlength=N_PARTS * (n + 1)).reshape(N_PARTS, n + 1)
        counts = np.cumsum(at_places, axis=1)
        counts[:, n] = np.bincount(scores.part[among & by_assumed], minlength=N_PARTS)
        return counts

    return _Candidates(
        thresholds=np.append(rising[::-1], inf if np.isnan(assumed) else assumed),
        tp=count(scores.is_true),
        predicted=count(np.ones(len(scores.part), dtype=np.bool_)),
    )


def _choose(support: IntArray, candidates: _Candidates) -> NDArray[np.int64]:
    """The candidate that each fold gets from the others: of all parts, then without each part.

    Args:
        support: True images in each part, (N_PARTS,).
        candidates: Of which the last one is the assumed threshold.

    Returns:
        (N_FOLDS, 1 + N_PARTS) places among the candidates.
    """
    n = len(candidates.thresholds) - 1
    chosen = np.full((N_FOLDS, 1 + N_PARTS), n, dtype=np.int64)
    # The last row is of no part: nothing is left out. F1 is twice tp / total.
    tp = np.vstack([candidates.tp[:, :n], np.zeros((1, n))]).astype(np.float64)
    total = np.vstack([candidates.predicted[:, :n] + support[:, np.newaxis], np.zeros((1, n))])
    step = max(1, _MAX_CELLS // (N_PARTS * max(n, 1)))
    for start in range(0, N_FOLDS if n else 0, step):
        folds = range(start, min(start + step, N_FOLDS))
        whole = [[c[_others(fold)].sum(axis=0) for fold in folds] for c in (tp, total)]
        f1 = np.array(whole[0])[:, np.newaxis] - tp
        f1 /= np.maximum(np.array(whole[1])[:, np.newaxis] - total, 1)
        best = f1.argmax(axis=2)  # the first one, so the highest threshold
        is_fitted = np.take_along_axis(f1, best[..., np.newaxis], axis=2)[..., 0] > 0
        chosen[folds] = np.roll(np.where(is_fitted, best, n), 1, axis=1)
    for fold in range(N_FOLDS):  # which learns nothing of its own parts
        chosen[fold, 1 + fold * PARTS : 1 + (fold + 1) * PARTS] = chosen[fold, 0]
    return chosen


def _others(fold: int) -> NDArray[np.int64]:
    """The parts of all folds but one."""
    parts = np.arange(N_PARTS)
    return np.asarray(parts[parts // PARTS != fold])


def _count_held_out(counts: IntArray, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (N_PARTS, n) of each fold at what it gets, summed up, without the part left out.

    Args:
        counts: Of each part at each candidate.
        chosen: Of each fold the candidates, (N_FOLDS, 1 + N_PARTS).
    """
    by_fold = counts.reshape(N_FOLDS, PARTS, -1).sum(axis=1)
    totals = np.take_along_axis(by_fold, chosen, axis=1).sum(axis=0)
    parts = np.arange(N_PARTS)
    totals[1:] -= counts[parts, chosen[parts // PARTS, 1 + parts]]
    return np.asarray(totals)

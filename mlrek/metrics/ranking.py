"""Numbers that need the order of scores: average precision and the area under the ROC curve."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from math import nan
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics import NO_CONFIDENCES
from mlrek.metrics.counts import Pairs, divide, pair_records
from mlrek.metrics.falling import FallingScores, Places, sort_labels, sort_scores
from mlrek.metrics.intervals import EXACT_FLOAT32, MAX_BLOCK, Statistic, Weights, count_drawn

_EXACT_UINT16: Final = 2**16
_BLOCK: Final = 16
_MANY_ROWS: Final = 300

RANKING_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "roc_auc_macro": "no label is true on some images and not on others",
        "average_precision_macro": "no label is true on any image",
        "average_precision_micro": "no label is true on any image",
    }
)
"""Why areas of complete records are undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedScores:
    """Scores of one label in falling order, summed up to what the areas depend on.

    A place is a distinct score that some positive has. Times image weights, `runs` gives for each
    place the negatives since the place before (its own score included), then the positives of each
    place, then for the places in `tied_places` the negatives of exactly this score:
    (2 * n_places + n_tied, n_images). Sums of these numbers are whole and exact in its float type;
    `short_runs` are the same in 16 bits.
    `per_image` scores are there of each image, on average; the `longest` run has so many.
    """

    per_image: float
    longest: int
    runs: sp.csr_array
    short_runs: sp.csr_array
    tied_places: IntArray

    def compute(self, weights: NDArray[Any], n_drawn: NDArray[Any] | None = None) -> FloatArray:
        """Average precision and ROC AUC of weighted images.

        Average precision is Σ (R_k - R_(k-1)) P_k over falling distinct scores, without
        interpolation; the AUC is the share of (positive, negative) pairs in right order, ties
        counting half (Mann-Whitney). Both as scikit-learn's.

        Args:
            weights: How often each image counts, (n_images, n); whole numbers of any type.
            n_drawn: Their sums over images, (n,), where they are known already.

        Returns:
            (2, n); NaN without positives, the AUC also without negatives.
        """
        n_rows, n = self.runs.shape[0], weights.shape[1]
        if n > 1 and n_rows * n > MAX_BLOCK:
            halves = np.s_[: n // 2], np.s_[n // 2 :]
            return np.concatenate(
                [
                    self.compute(weights[:, half], None if n_drawn is None else n_drawn[half])
                    for half in halves
                ],
                axis=1,
            )
        n_drawn = count_drawn(weights) if n_drawn is None else n_drawn
        n_places = (n_rows - len(self.tied_places)) // 2
        fp, positive, tied = np.split(self._sum_runs(weights), [n_places, 2 * n_places])
        tp = positive.copy()
        _accumulate(fp)
        _accumulate(tp)
        n_positive = positive.sum(axis=0).astype(np.float64)
        wrong_order = _sum_products(positive, fp)
        wrong_order -= _sum_products(positive[self.tied_places], tied) / 2
        n_predicted = np.maximum(np.add(tp, fp, out=fp), 1, out=fp)  # 0 only where tp is 0
        precision = np.divide(tp, n_predicted, dtype=np.float64)
        n_pairs = n_positive * (self.per_image * n_drawn - n_positive)
        return np.array(
            [
                divide(_sum_products(positive, precision), n_positive),
                1 - divide(wrong_order, n_pairs),
            ]
        )

    def _sum_runs(self, weights: NDArray[Any]) -> NDArray[Any]:
        """`runs` times weights; of small ones in whole numbers, half as long and twice as fast."""
        if weights.dtype != np.uint16:
            return np.asarray(self.runs @ weights)
        return np.asarray((self.short_runs @ weights).astype(self.runs.dtype))


def rank_scores(
    image_idx: IntArray, scores: FloatArray, is_true: BoolArray, n_images: int
) -> RankedScores:
    """Order the scores of one label; an image may have several (all labels pooled).

    >>> ranked = rank_scores(np.arange(3), np.array([0.9, 0.4, 0.6]), np.array([1, 1, 0]) > 0, 3)
    >>> ranked.compute(np.ones((3, 1), dtype=np.float32))
    array([[0.83333333],
           [0.5       ]])
    """
    falling = sort_scores(scores, is_true, image_idx)
    return _lay_out(falling, falling.image_idx, n_images)


def _lay_out(falling: FallingScores, image_idx: IntArray, n_images: int) -> RankedScores:
    """Sum up scores in falling order; `image_idx` (n,) are their images."""
    places, positive = falling.count_places(), falling.is_true
    tie, ties_with_positive = places.find(), np.flatnonzero(places.positive)
    n_places = len(ties_with_positive)
    place = np.searchsorted(ties_with_positive, tie)
    negative = ~positive & (place < n_places)  # what ranks below all positives never matters
    is_tied = negative.copy()
    is_tied[negative] = tie[negative] == ties_with_positive[place[negative]]
    tied_places, tied_row = np.unique(place[is_tied], return_inverse=True)
    row = np.concatenate([place[negative], n_places + place[positive], 2 * n_places + tied_row])
    column = np.concatenate([image_idx[negative], image_idx[positive], image_idx[is_tied]])
    n_rows = 2 * n_places + len(tied_places)
    starts = np.searchsorted(row, np.arange(n_rows + 1))
    # Whole numbers below 2**24 are exact in single precision, which is twice as fast.
    ones = np.ones(len(row), dtype=np.float32 if len(tie) < EXACT_FLOAT32 else np.float64)
    runs = sp.csr_array((ones, column.astype(np.int32), starts), shape=(n_rows, n_images))
    short = ones.astype(np.uint16), runs.indices, runs.indptr
    return RankedScores(
        per_image=len(tie) / max(n_images, 1),
        longest=int(np.diff(starts).max(initial=0)),
        runs=runs,
        short_runs=sp.csr_array(short, shape=runs.shape),
        tied_places=tied_places,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The scores of each label laid out for weighted images."""

    labels: tuple[RankedScores, ...] = ()

    def compute_labels(self, weights: Weights) -> tuple[FloatArray, FloatArray]:
        """Both areas of each label, (n_labels, n) each."""
        n_drawn = count_drawn(weights)
        whole = self._shorten(weights)
        areas = np.array([label.compute(whole, n_drawn) for label in self.labels])
        return areas[:, 0], areas[:, 1]

    def _shorten(self, weights: Weights) -> NDArray[Any]:
        """The weights in 16 bits where these hold every sum of a run."""
        highest = weights.max(initial=0) * max((label.longest for label in self.labels), default=0)
        return weights.astype(np.uint16) if highest < _EXACT_UINT16 else weights


@dataclass(frozen=True, kw_only=True)  # no slots: what is sorted once is kept
class RankedPairs:
    """The recorded pairs of the images that count, and the scores of each label in order.

    `missing` says why their areas are undefined: these are of complete records only. `is_shared`
    tells whether the order of scores is needed more than once.
    """

    pairs: Pairs
    missing: str = ""
    is_shared: bool = False

    @cached_property
    def falling(self) -> tuple[FallingScores, ...]:
        """The recorded scores of each label, sorted at the first use."""
        return tuple(sort_labels(self.pairs))

    def read(self) -> Iterator[FallingScores]:
        """The same label by label; they are kept only where others share them."""
        return iter(self.falling) if self.is_shared else sort_labels(self.pairs)

    @cached_property
    def ranking(self) -> Ranking:
        """The same laid out for weighted images; empty where areas are `missing`."""
        places, n_images = self.pairs.places, self.pairs.n_images
        return Ranking(
            labels=()
            if self.missing
            else tuple(_lay_out(one, places[one.image_idx], n_images) for one in self.falling)
        )


def rank_pairs(evaluation: Evaluation, *, is_shared: bool = False) -> RankedPairs:
    """Of a classification the images with truth count, of several labels an image all."""
    keep = evaluation.truth.counts > 0 if evaluation.task == Task.CLASSIFICATION else None
    return RankedPairs(
        pairs=pair_records(evaluation, keep),
        missing=_explain_missing(evaluation),
        is_shared=is_shared,
    )


def _explain_missing(evaluation: Evaluation) -> str:
    """Why there are no areas, '' where there are."""
    if not evaluation.is_scored:
        return NO_CONFIDENCES
    kind = evaluation.records_kind
    if kind == RecordsKind.COMPLETE:
        return ""
    return f"needs the confidence of every label on every image; records are {kind}"


def compute_areas(places: Places) -> tuple[float, float]:
    """Average precision and ROC AUC of images that count once each, as `RankedScores.compute`."""
    n_true, n_false = int(places.positive.sum()), int(places.negative.sum())
    wrong_order = places.positive @ (places.predicted - places.tp - places.negative / 2)
    precision = places.tp / places.predicted
    return (
        float(places.positive @ precision) / n_true if n_true else nan,
        1 - float(wrong_order) / (n_true * n_false) if n_true and n_false else nan,
    )


def average_rankings(ap: FloatArray, roc_auc: FloatArray) -> dict[str, FloatArray]:
    """`average_precision_macro` and `roc_auc_macro` of the areas of labels, (n_labels, n) each.

    Each is the mean over the labels for which it is defined (in a resample: there).
    """
    return {"average_precision_macro": _mean(ap), "roc_auc_macro": _mean(roc_auc)}


def rank_pooled(pairs: Pairs) -> Statistic:
    """The statistic of `average_precision_micro`: all pairs ranked as those of one label."""
    places = pairs.places[pairs.image_idx]
    return partial(
        _compute_micro, rank_scores(places, pairs.confidence, pairs.is_true, pairs.n_images)
    )


def _compute_micro(ranked: RankedScores, weights: Weights) -> dict[str, FloatArray]:
    return {"average_precision_micro": ranked.compute(weights)[0]}


def _mean(values: FloatArray) -> FloatArray:
    """Mean over rows of what is defined, (rows, n) -> (n,)."""
    return divide(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0))


def _sum_products(a: FloatArray, b: FloatArray) -> FloatArray:
    """Σ a b over rows, (rows, n) each -> (n,)."""
    return np.asarray(np.einsum("ij,ij->j", a, b, dtype=np.float64))


def _accumulate(values: NDArray[Any]) -> None:
    """Cumulative sums over rows in place, (rows, n); of many rows twice as fast as `np.cumsum`."""
    if len(values) < _MANY_ROWS:
        np.cumsum(values, axis=0, out=values)
        return
    whole = len(values) // _BLOCK * _BLOCK
    blocks = values[:whole].reshape(-1, _BLOCK, values.shape[1])
    for i in range(1, _BLOCK):
        blocks[:, i] += blocks[:, i - 1]
    blocks[1:] += np.cumsum(blocks[:-1, -1], axis=0)[:, np.newaxis]
    for i in range(max(whole, 1), len(values)):
        values[i] += values[i - 1]

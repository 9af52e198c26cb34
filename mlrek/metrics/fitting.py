"""Thresholds that are chosen on other images, and what they give: images dealt to folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray, are_rising, encode_names
from mlrek.metrics.counts import LabelCounts
from mlrek.metrics.falling import FallingScores, find_ends
from mlrek.metrics.ranking import RankedPairs

N_FOLDS: Final = 5
PARTS: Final = 4
"""Each fold is cut into so many parts: an interval leaves out one part of one fold at a time."""

_WORDS: Final = 4  # of 64 bits in a digest; by the first one the keys of a fold are put in order
_AT_ONCE: Final = 4096  # keys
_FEW: Final = 512  # thresholds that are tried one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """The fold and the part of each image: `part` is 0 to 19, its fold is `part // PARTS`.

    `part` (n_images,). `n_keys` distinct keys stand behind the images.
    """

    part: IntArray
    n_keys: int

    @property
    def fold(self) -> IntArray:
        """The fold of each image, 0 to 4, (n_images,)."""
        return self.part // PARTS


N_PARTS: Final = N_FOLDS * PARTS
_OTHERS: Final = np.array(
    [[part for part in range(N_PARTS) if part // PARTS != fold] for fold in range(N_FOLDS)]
)
"""The parts of all folds but one, (N_FOLDS, N_PARTS - PARTS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossFit:
    """Counts at cross-fitted thresholds: of all images first, then without each part of them.

    `counts` have the shape (1 + N_PARTS, n_labels): row 1 + p leaves part p out, and fits again
    without it. `thresholds` (n_labels, 1 + N_PARTS, N_FOLDS) are those of each fold, infinite where
    nothing is predicted.
    """

    counts: LabelCounts
    thresholds: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidates:
    """Thresholds of one label, falling, and what is predicted at each, in each part.

    `thresholds` (n,); `tp` and `predicted` (N_PARTS, n).
    """

    thresholds: FloatArray
    tp: IntArray
    predicted: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """The scores of one label, with the part of each, and all thresholds that may be chosen.

    These are the distinct confidences of positives, the highest first, since between two of them a
    higher threshold only loses false positives; `n_true` are the positives of this size or above.
    `rising` (n,) are all scores, the lowest first, `part` (n,) and `true_part` (n_positives,) the
    parts of all and of the positives, the highest score first.
    """

    rising: FloatArray
    part: NDArray[np.uint8]
    true_part: NDArray[np.uint8]
    thresholds: FloatArray
    n_true: IntArray

    @staticmethod
    def of(scores: FallingScores, part: NDArray[np.uint8]) -> "_Scores":
        """Those of a label, with the part of each score, (n,)."""
        positive = scores.confidence[scores.is_true]
        n_true = find_ends(positive)
        return _Scores(
            rising=scores.confidence[::-1],
            part=part,
            true_part=part[scores.is_true],
            thresholds=positive[n_true - 1],
            n_true=n_true,
        )

    def count(self, places: IntArray) -> _Candidates:
        """What is predicted at the thresholds at these places, which rise."""
        thresholds = self.thresholds[places]
        n_predicted = len(self.rising) - np.searchsorted(self.rising, thresholds, side="left")
        return _Candidates(
            thresholds=thresholds,
            tp=_count_parts(self.true_part, self.n_true[places]),
            predicted=_count_parts(self.part, n_predicted),
        )

    def count_assumed(self, assumed: float, is_true: BoolArray) -> _Candidates:
        """The same at the assumed threshold; NaN: nothing is predicted."""
        n = len(self.rising) - np.searchsorted(self.rising, [assumed], side="left")
        return _Candidates(
            thresholds=np.array([inf if np.isnan(assumed) else assumed]),
            tp=_count_parts(self.true_part, np.array([np.count_nonzero(is_true[: n[0]])])),
            predicted=_count_parts(self.part, n),
        )


class LabelFits:
    """Counts every image at the thresholds that the other folds choose, label by label.

    Of each label and fold the threshold is the one with the best F1 on the other folds, the highest
    of several; where these hold no positive, it is the assumed one.

    Args:
        assumed: The assumed threshold of each label, (n_labels,); NaN: the label is never predicted
            where the other folds do not choose one.
        folds: Of the images that the scores are of.
    """

    def __init__(self, assumed: FloatArray, folds: Folds) -> None:
        self._assumed = assumed.tolist()
        self._part = folds.part.astype(np.uint8, copy=False)
        self._fitted: list[tuple[NDArray[np.int64], NDArray[np.int64], FloatArray, IntArray]] = []

    def add(self, scores: FallingScores) -> None:
        """The next label: its confidence on every image."""
        part = self._part[scores.image_idx]
        self._fitted.append(_fit_label(scores, part, self._assumed[len(self._fitted)]))

    def finish(self) -> CrossFit:
        """The counts, once all labels are there."""
        tp, predicted, thresholds, support = map(np.array, zip(*self._fitted, strict=True))
        whole = support.sum(axis=1, keepdims=True)
        return CrossFit(
            counts=LabelCounts(
                tp=tp.T, predicted=predicted.T, support=np.hstack([whole, whole - support]).T
            ),
            thresholds=thresholds,
        )


def fit_across(ranked: RankedPairs, assumed: FloatArray, folds: Folds) -> CrossFit:
    """The same of all labels; `ranked` has the confidence of each on every image."""
    fits = LabelFits(assumed, folds)
    for scores in ranked.falling:
        fits.add(scores)
    return fits.finish()


def _fit_label(
    falling: FallingScores, part: NDArray[np.uint8], assumed: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray, IntArray]:
    """What is predicted, and by which thresholds, of all images and without each part.

    Args:
        falling: The scores of the label.
        part: The part of the image of each of them, (n,).
        assumed: The assumed threshold.

    Returns:
        True positives and predictions, (1 + N_PARTS,) each, thresholds, (1 + N_PARTS, folds), and
        true images in each part, (N_PARTS,).
    """
    scores = _Scores.of(falling, part)
    support = np.bincount(scores.true_part, minlength=N_PARTS)
    candidates = scores.count(_find_contenders(scores, support))
    chosen = _choose(support, candidates)
    known = candidates, scores.count_assumed(assumed, falling.is_true)
    tp, predicted = (
        _count_held_out(np.hstack(counts), chosen)
        for counts in ([one.tp for one in known], [one.predicted for one in known])
    )
    return tp, predicted, np.concatenate([one.thresholds for one in known])[chosen].T, support


def _find_contenders(scores: _Scores, support: IntArray) -> IntArray:
    """Places of thresholds that hold all which may be chosen, without a look at each.

    From one threshold to a lower one, neither true positives nor predictions become fewer. So no
    F1 between two is above that of the true positives at the lower and the predictions at the
    higher one, and where another threshold reaches more, none of these is the best.
    """
    n = len(scores.thresholds)
    if n <= _FEW:
        return np.arange(n)
    width = round(n ** (1 / 3))
    ends = np.append(np.arange(width, n, width), n)
    few = scores.count(ends - 1)
    tp, predicted = (np.pad(counts, ((0, 0), (1, 0))) for counts in (few.tp, few.predicted))
    is_open = np.zeros(len(ends), dtype=np.bool_)
    for _, right, total in _leave_out(support, tp, predicted):  # from no prediction on
        most = right[..., 1:] / total[..., :-1]
        best = np.divide(right, total, out=right).max(axis=-1, keepdims=True)
        is_open |= ((most >= best) & (most > 0)).any(axis=(0, 1))
    blocks = np.flatnonzero(is_open)
    return np.arange(blocks[0] * width, ends[blocks[-1]]) if len(blocks) else np.arange(0)


def _count_parts(part: NDArray[np.uint8], ends: IntArray) -> IntArray:
    """How many of the first ones are of each part, (N_PARTS, n_ends); `ends` (n_ends,) rise."""
    if not len(ends):
        return np.zeros((N_PARTS, 0), dtype=np.int64)
    start, end = int(ends[0]), int(ends[-1])
    cells = np.repeat(np.arange(len(ends)) * N_PARTS, np.diff(ends, prepend=start))
    cells += part[start:end]
    counts = np.bincount(cells, minlength=len(ends) * N_PARTS).reshape(-1, N_PARTS)
    counts[0] += np.bincount(part[:start], minlength=N_PARTS)
    return np.ascontiguousarray(np.cumsum(counts, axis=0).T)


def _choose(support: IntArray, candidates: _Candidates) -> NDArray[np.int64]:
    """The candidate that each fold gets from the others: of all parts, then without each part.

    Args:
        support: True images in each part, (N_PARTS,).
        candidates: All that may be chosen.

    Returns:
        (N_FOLDS, 1 + N_PARTS) places among the candidates; their number is the assumed threshold.
    """
    n = len(candidates.thresholds)
    chosen = np.full((N_FOLDS, 1 + N_PARTS), n, dtype=np.int64)
    if not n:
        return chosen
    for folds, tp, total in _leave_out(support, candidates.tp, candidates.predicted):
        f1 = np.divide(tp, total, out=tp)  # which is twice this
        best = f1.argmax(axis=-1)  # the first one, so the highest threshold
        is_fitted = np.take_along_axis(f1, best[..., np.newaxis], axis=-1)[..., 0] > 0
        found = np.where(is_fitted, best, n)
        chosen[folds] = found[:, :1]  # also without parts of its own, of which it learns nothing
        np.put_along_axis(chosen[folds], 1 + _OTHERS[folds], found[:, 1:], axis=1)
    return chosen


def _leave_out(
    support: IntArray, tp: IntArray, predicted: IntArray
) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Some folds at a time, and what counts at each candidate in the parts of the other folds.

    True positives, and predictions with the support: of all these parts, then without each of them,
    (n_folds, 1 + n_others, n) both; 1 in place of 0 of the second.
    """
    right = tp.astype(np.float64)
    total = (predicted + support[:, np.newaxis]).astype(np.float64)
    at_once = N_FOLDS if tp.shape[1] <= _FEW else 1  # of many, one fills the cache
    for start in range(0, N_FOLDS, at_once):
        folds = slice(start, start + at_once)
        sums = _leave_each_out(total[_OTHERS[folds]])
        yield folds, _leave_each_out(right[_OTHERS[folds]]), np.maximum(sums, 1, out=sums)


def _leave_each_out(counts: FloatArray) -> FloatArray:
    """The sum of all parts of each fold, then without each of them; counts (n_folds, parts, n)."""
    n_folds, n_parts, n = counts.shape
    sums = np.empty((n_folds, 1 + n_parts, n))
    np.sum(counts, axis=1, out=sums[:, 0])
    np.subtract(sums[:, :1], counts, out=sums[:, 1:])
    return sums


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


def deal_folds(keys: Sequence[str]) -> Folds:
    """Deal images out to folds, and the keys of each fold to parts of equal size.

    The fold of a key is its SHA-256 (of UTF-8, as a whole number) modulo 5. Within a fold the keys
    in order of their digests go to the parts in turn.

    Args:
        keys: Of each image: its URI, or the name of its group.

    >>> deal_folds(["s3://b/1.jpg", "s3://b/2.jpg"]).fold.tolist()
    [2, 1]
    """
    are_distinct = are_rising(keys) or len(set(keys)) == len(keys)
    distinct = keys if are_distinct else tuple(dict.fromkeys(keys))
    first, fold = _digest(distinct)
    part = np.empty(len(distinct), dtype=np.uint8)
    for own in range(N_FOLDS):
        rows = np.flatnonzero(fold == own)
        rows = rows[_find_order(first[rows])]
        part[rows] = own * PARTS + np.arange(len(rows)) % PARTS
    if not are_distinct:  # else each has its own place already
        codes = {key: code for code, key in enumerate(distinct)}
        part = part[np.fromiter(map(codes.__getitem__, keys), dtype=np.int64, count=len(keys))]
    return Folds(part=part, n_keys=len(distinct))


def _find_order(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order of numbers, of which equal ones go as they came."""
    order = np.argsort(numbers)
    rising = numbers[order]
    are_apart = np.all(rising[1:] > rising[:-1])
    return order if are_apart else np.argsort(numbers, kind="stable")


def _digest(keys: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The first bytes of the digest of each key as a whole number, and its fold, (n,) both."""
    first, fold = np.empty(len(keys), dtype=np.uint64), np.empty(len(keys), dtype=np.uint8)
    for start in range(0, len(keys), _AT_ONCE):  # few at once, which stay in the cache
        own = slice(start, min(start + _AT_ONCE, len(keys)))
        encoded = encode_names(keys, own.start, own.stop)
        digests = b"".join([sha256(key).digest() for key in encoded])
        words = np.frombuffer(digests, dtype=">u8").reshape(-1, _WORDS)
        first[own] = words[:, 0]
        fold[own] = (words % N_FOLDS).sum(axis=1) % N_FOLDS  # 2**64 % 5 is 1
    return first, fold

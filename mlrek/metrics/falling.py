"""Scores in falling order, sorted once: areas, curves and chosen thresholds all start from here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.metrics.counts import Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What stands at each distinct score, the highest first: (n_places,) each.

    `positive` and `negative` are the scores of exactly this size of images with and without the
    label; `tp` and `predicted` the right ones, and all, of this size or above.
    """

    positive: IntArray
    negative: IntArray
    tp: IntArray
    predicted: IntArray

    def find(self) -> IntArray:
        """The place of each score in falling order, (n,)."""
        places = np.arange(len(self.tp), dtype=self.tp.dtype)
        return np.repeat(places, self.positive + self.negative)


@dataclass(frozen=True, slots=True, kw_only=True)
class FallingScores:
    """The recorded scores of one label, the highest first; (n,) each.

    `image_idx` are their images. Equal scores stand in any order, which differs from machine to
    machine: what is made of them must not depend on it.
    """

    image_idx: IntArray
    confidence: FloatArray
    is_true: BoolArray

    def count_places(self) -> Places:
        """What stands at each distinct score."""
        return _count_places(self.is_true, find_ends(self.confidence))


def sort_scores(
    confidence: FloatArray, is_true: BoolArray, image_idx: IntArray | None = None
) -> FallingScores:
    """Sort scores, (n,) all; without `image_idx` there is one of each image, in their order."""
    order, falling = _find_order(np.ascontiguousarray(confidence))
    return FallingScores(
        image_idx=order.astype(find_type(len(order))) if image_idx is None else image_idx[order],
        confidence=falling,
        is_true=is_true[order],
    )


def sort_labels(pairs: Pairs) -> Iterator[FallingScores]:
    """The recorded scores of each label, in the order of labels, sorted as they are asked for."""
    if _are_in_order(pairs):
        for i in range(pairs.n_labels):
            rows = np.s_[i :: pairs.n_labels]
            yield sort_scores(pairs.confidence[rows], pairs.is_true[rows])
    else:
        image_idx = pairs.image_idx
        for own in _split_labels(pairs):
            yield sort_scores(pairs.confidence[own], pairs.is_true[own], image_idx[own])


def _are_in_order(pairs: Pairs) -> bool:
    """Whether each label of each image is recorded, in their order."""
    n_labels, shape = pairs.n_labels, (pairs.n_images, pairs.n_labels)
    return bool(
        np.all(np.diff(pairs.offsets) == n_labels)
        and np.all(pairs.label_idx.reshape(shape) == np.arange(n_labels))
    )


def _split_labels(pairs: Pairs) -> Sequence[IntArray]:
    """The rows of each label."""
    n, n_labels = len(pairs.confidence), pairs.n_labels
    codes = pairs.label_idx.astype(np.min_scalar_type(n_labels))  # short ones sort faster
    by_label = np.argsort(codes, kind="stable").astype(find_type(n))
    ends = np.cumsum(np.bincount(pairs.label_idx, minlength=n_labels))
    return np.split(by_label, ends[:-1])[:n_labels]


def _find_order(confidence: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """The order of numbers from 0 to 1, the highest first, and the numbers in it.

    Their bits are in the order of the numbers, and plain numbers are sorted much faster than an
    order is found. So the first bits of each, turned round, are sorted with its place behind them;
    numbers that only differ in the last bits are put in order after that.
    """
    n = len(confidence)
    places = np.uint64((1 << n.bit_length()) - 1)
    keys = (confidence + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
    keys |= places
    np.invert(keys, out=keys)
    keys |= np.arange(n, dtype=np.uint64)
    keys = np.sort(keys)
    order = (keys & places).view(np.int64)
    falling = confidence[order]
    if np.any(falling[1:] > falling[:-1]):
        keys &= ~places
        is_same = keys[1:] == keys[:-1]
        alike = np.flatnonzero(np.append(is_same, False) | np.append(False, is_same))
        order[alike] = order[alike][np.argsort(-falling[alike])]
        falling = confidence[order]
    return order, falling


def pool_places(confidence: FloatArray, is_true: BoolArray) -> Places:
    """What stands at each distinct score of all labels together, whatever their order before.

    The bits of numbers from 0 to 1 are in the order of these numbers, and the two highest are 0. So
    one more bit at the end tells which are true, and plain numbers are sorted: several times faster
    than finding the order of scores.
    """
    keys = (confidence + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
    keys <<= np.uint64(1)
    keys |= is_true
    keys = np.sort(np.invert(keys, out=keys))  # so the highest come first
    is_true = (keys.astype(np.uint8) & np.uint8(1)) == 0
    keys >>= np.uint64(1)
    ends = find_ends(keys)
    del keys
    return _count_places(is_true, ends)


def find_type(n: int) -> type[np.signedinteger[Any]]:
    """A short type that counts to n: columns of millions take half the memory."""
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


def find_ends(falling: NDArray[np.float64] | NDArray[np.uint64]) -> IntArray:
    """How many numbers are of each distinct one or above, (n_places,); `falling` (n,)."""
    if not len(falling):
        return np.zeros(0, dtype=np.int64)
    before = np.flatnonzero(falling[1:] != falling[:-1])
    ends = np.empty(len(before) + 1, dtype=find_type(len(falling)))
    ends[:-1], ends[-1] = before, len(falling) - 1
    ends += 1
    return ends


def _count_places(is_true: BoolArray, ends: IntArray) -> Places:
    tp: IntArray = np.cumsum(is_true, dtype=ends.dtype)
    if len(ends) < len(tp):
        tp = tp[ends - 1]
    positive, negative = tp.copy(), ends - tp
    positive[1:] -= tp[:-1]
    negative[1:] -= ends[:-1] - tp[:-1]
    return Places(positive=positive, negative=negative, tp=tp, predicted=ends)

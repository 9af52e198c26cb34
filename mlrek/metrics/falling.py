"""Scores in falling order, sorted once: areas, curves and chosen thresholds all start from here."""

from collections.abc import Sequence
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

    `rows` are their places in the columns that they were sorted from. Equal scores stand in any
    order, which differs from machine to machine: what is made of them must not depend on it.
    """

    rows: IntArray
    confidence: FloatArray
    is_true: BoolArray

    def count_places(self) -> Places:
        """What stands at each distinct score."""
        return _count_places(self.is_true, find_ends(self.confidence))


def sort_scores(confidence: FloatArray, is_true: BoolArray) -> FallingScores:
    """Sort scores, (n,) both."""
    order = _find_order(confidence)
    return FallingScores(
        rows=order.astype(find_type(len(order))),
        confidence=confidence[order],
        is_true=is_true[order],
    )


def sort_labels(pairs: Pairs) -> tuple[FallingScores, ...]:
    """The recorded scores of each label, in the order of labels."""
    return tuple(_sort_rows(pairs, rows) for rows in _split_labels(pairs))


def _sort_rows(pairs: Pairs, rows: IntArray | slice) -> FallingScores:
    confidence, is_true = pairs.confidence[rows], pairs.is_true[rows]
    order = _find_order(confidence)
    if isinstance(rows, slice):
        places = order * rows.step
        places += rows.start
    else:
        places = rows[order]
    return FallingScores(
        rows=places.astype(find_type(len(pairs.confidence)), copy=False),
        confidence=confidence[order],
        is_true=is_true[order],
    )


def _split_labels(pairs: Pairs) -> Sequence[IntArray | slice]:
    """The rows of each label."""
    n, n_labels = len(pairs.confidence), pairs.n_labels
    shape = pairs.n_images, n_labels
    if n == pairs.n_images * n_labels and np.all(
        pairs.label_idx.reshape(shape) == np.arange(n_labels)
    ):  # each label of each image, in their order
        return [slice(i, None, n_labels) for i in range(n_labels)]
    codes = pairs.label_idx.astype(np.min_scalar_type(n_labels))  # short ones sort faster
    by_label = np.argsort(codes, kind="stable").astype(find_type(n))
    ends = np.cumsum(np.bincount(pairs.label_idx, minlength=n_labels))
    return np.split(by_label, ends[:-1])[:n_labels]


def _find_order(confidence: FloatArray) -> NDArray[np.int64]:
    """The order of numbers from 0 to 1, the highest first.

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
    return order


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

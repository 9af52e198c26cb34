"""Label counts without each unit: of a count matrix, of images with any labels, of groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray, LabelSets
from mlrek.metrics.counts import LabelCounts, count_labels
from mlrek.metrics.jackknife import LeftOut, deal_units, leave_out_cells
from mlrek.metrics.pairs import Pairs
from mlrek.metrics.sampling import Units
from mlrek.metrics.shares import Shares

_MAX_TABLE: Final = 2**21  # numbers in a table of images x labels; of more, images go in groups
MAX_KINDS: Final = 2**17
"""Most numbers in a table of images x labels, images that are alike once: of more, images go in
groups."""
_BLOCK: Final = 2**15


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsLeftOut:
    """Counts of all units, `whole` (n_labels,), and without one of each kind, (n_kinds, n_labels).

    `times` (n_kinds,) are the units of each kind; `support` (n_labels,) those with each label, and
    `predicted` (n_labels,) those predicted as it.
    `by_group` (n_groups, n_labels) are the counts of each unit where these are groups, or images of
    which each may count several times.
    """

    whole: LabelCounts
    counts: LabelCounts
    times: IntArray
    support: IntArray
    predicted: IntArray
    by_group: LabelCounts | None = None
    are_groups: bool = False

    def count_units(self, name: str) -> IntArray:
        """The units of each label that a number is of, (n_labels,).

        Of precision those predicted as it; a label that never is leaves its precision open, as one
        of a single image does.
        """
        if name.startswith("precision"):
            return np.asarray(np.where(self.support > 0, np.maximum(self.predicted, 1), 0))
        return self.support

    def find_shares(self, successes: str, n: str) -> Shares:
        """The shares `tp` / `support` of labels, and the like, (n_labels,)."""
        return Shares(
            successes=getattr(self.whole, successes),
            n=getattr(self.whole, n),
            group_successes=getattr(self.by_group, successes, None),
            group_n=getattr(self.by_group, n, None),
            are_groups=self.are_groups,
        )

    def compute(
        self, statistic: Callable[[LabelCounts], Mapping[str, FloatArray]]
    ) -> dict[str, LeftOut]:
        """The values of a statistic of counts without each unit, by name."""
        height = max(1, _BLOCK // max(1, self.counts.tp.shape[-1]))
        blocks = [
            statistic(_take(self.counts, slice(start, start + height)))
            for start in range(0, max(1, len(self.times)), height)
        ]
        return {
            name: LeftOut(
                values=np.concatenate([block[name] for block in blocks]), times=self.times
            )
            for name in blocks[0]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What counts once for each row: its image and its label, (n,) both."""

    image_idx: IntArray
    label_idx: IntArray

    def count(self, units: Units, n_labels: int) -> NDArray[np.int64]:
        """How often each label is there in each unit, (n_units, n_labels)."""
        unit_idx = units.unit_idx[self.image_idx].astype(np.int64)
        counts = np.bincount(
            unit_idx * n_labels + self.label_idx, minlength=units.n_units * n_labels
        )
        return counts.reshape(units.n_units, n_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What is rightly predicted, predicted at all, and true."""

    right: Counted
    predicted: Counted
    true: Counted


def leave_out_matrix(matrix: NDArray[np.int64]) -> CountsLeftOut:
    """Without each image, from a matrix as `count_pairs` returns it.

    Where too many cells are occupied, images are put together at random (`deal_units`).
    """
    whole = count_labels(matrix)
    if np.count_nonzero(matrix) * len(matrix) > MAX_KINDS:
        units = _deal_images(int(matrix.sum()))
        return leave_out_decisions(_repeat_cells(matrix), units, len(matrix))
    cells = leave_out_cells(matrix)
    return CountsLeftOut(
        whole=whole,
        counts=cells.counts,
        times=cells.times,
        support=whole.support,
        predicted=whole.predicted,
    )


def leave_out_decisions(
    decisions: Decisions, units: Units, n_labels: int, *, are_boxes: bool = False
) -> CountsLeftOut:
    """Without each unit; of images, those with equal decisions stand once.

    Where too many differ, they are put together at random (`deal_units`).

    Args:
        decisions: On all images.
        units: The units of the images.
        n_labels: The number of labels.
        are_boxes: Whether an image may have a label several times.
    """
    if units.n_units * n_labels > _MAX_TABLE:
        units = units.deal()
    tables = _tabulate(decisions, units, n_labels)
    whole, times = _as_counts([table.sum(axis=0) for table in tables]), _count_once(units)
    predicted, support = (np.count_nonzero(table, axis=0) for table in tables[1:])
    by_group = _as_counts(tables) if units.are_groups or are_boxes else None
    if not units.are_groups:
        tables, times = _join_alike(tables, units.n_units)
        if len(times) * n_labels > MAX_KINDS:
            units = units.deal()
            tables, times = _tabulate(decisions, units, n_labels), _count_once(units)
    totals = (whole.tp, whole.predicted, whole.support)
    without = [total - table for total, table in zip(totals, tables, strict=True)]
    return CountsLeftOut(
        whole=whole,
        counts=_as_counts(without),
        times=times,
        support=support,
        predicted=predicted,
        by_group=by_group,
        are_groups=units.are_groups,
    )


def list_decisions(y_true: IntArray, y_pred: IntArray) -> Decisions:
    """The decisions on images with one true label each, -1 in `y_pred` for no prediction."""
    right, predicted = np.flatnonzero(y_true == y_pred), np.flatnonzero(y_pred >= 0)
    return Decisions(
        right=Counted(image_idx=right, label_idx=y_true[right]),
        predicted=Counted(image_idx=predicted, label_idx=y_pred[predicted]),
        true=Counted(image_idx=np.arange(len(y_true)), label_idx=y_true),
    )


def list_pair_decisions(truth: LabelSets, pairs: Pairs, is_predicted: BoolArray) -> Decisions:
    """The decisions on recorded pairs.

    Args:
        truth: The true labels of all images of the evaluation.
        pairs: Of all its images, or of those with truth.
        is_predicted: Which pairs are predictions, (n_pairs,).
    """
    is_right = is_predicted & pairs.is_true
    kept = np.cumsum(truth.counts > 0) - 1
    return Decisions(
        right=Counted(image_idx=pairs.image_idx[is_right], label_idx=pairs.label_idx[is_right]),
        predicted=Counted(
            image_idx=pairs.image_idx[is_predicted], label_idx=pairs.label_idx[is_predicted]
        ),
        true=Counted(
            image_idx=truth.image_idx
            if pairs.n_images == len(truth.counts)
            else kept[truth.image_idx],
            label_idx=truth.label_idx,
        ),
    )


def _tabulate(decisions: Decisions, units: Units, n_labels: int) -> list[NDArray[np.int64]]:
    parts = decisions.right, decisions.predicted, decisions.true
    return [part.count(units, n_labels) for part in parts]


def _join_alike(
    tables: list[NDArray[np.int64]], n_units: int
) -> tuple[list[NDArray[np.int64]], IntArray]:
    """One row for each kind of image, and how many there are."""
    joined = np.concatenate(tables, axis=1)
    highest = joined.max(initial=0)
    packed = (
        np.packbits(joined.astype(np.bool_), axis=1)
        if highest <= 1
        else joined.astype(np.min_scalar_type(highest)).view(np.uint8)
    )
    if not packed.shape[1]:  # no label at all
        return [table[:1] for table in tables], np.array([n_units])
    keys = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    _, first, times = np.unique(keys, return_index=True, return_counts=True)
    return [table[first] for table in tables], times


def _repeat_cells(matrix: NDArray[np.int64]) -> Decisions:
    """A row for each image that was counted, in the order of cells."""
    y_true, y_pred = (np.repeat(codes, matrix[matrix > 0]) for codes in np.nonzero(matrix))
    return list_decisions(y_true, np.where(y_pred < len(matrix), y_pred, -1))


def _deal_images(n_images: int) -> Units:
    unit_idx, n_units = deal_units(np.arange(n_images), n_images)
    return Units(unit_idx=unit_idx, n_units=n_units, are_groups=False, confidence=nan, asked=True)


def _count_once(units: Units) -> IntArray:
    return np.ones(units.n_units, dtype=np.int64)


def _as_counts(parts: list[NDArray[np.int64]]) -> LabelCounts:
    tp, predicted, support = parts
    return LabelCounts(tp=tp, predicted=predicted, support=support)


def _take(counts: LabelCounts, rows: slice) -> LabelCounts:
    return LabelCounts(
        tp=counts.tp[rows], predicted=counts.predicted[rows], support=counts.support[rows]
    )

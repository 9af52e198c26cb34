"""Label counts without each unit: of a count matrix, of images with any labels, of groups."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, FloatArray, IntArray, LabelSets
from mlrek.metrics import LabelScores
from mlrek.metrics.counts import (
    FRACTIONS,
    LabelCounts,
    Pairs,
    count_labels,
    divide,
    name_labels,
    select_labels,
)
from mlrek.metrics.intervals import CONFIDENCE, LeftOut, deal_units, leave_out_cells
from mlrek.metrics.shares import MIN_GROUPS, Shares

Table: TypeAlias = NDArray[np.int64] | NDArray[np.bool_]
"""How often each label counts in each unit, (n_units, n_labels), or whether, where once at most."""

NOT_ASKED: Final = "no interval: none was asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What is drawn independently: the unit of each image, (n_images,), and how many there are.

    `confidence` is that of the intervals over them, which are there where they are `asked` for.
    """

    unit_idx: IntArray
    n_units: int
    are_groups: bool
    confidence: float
    asked: bool

    @property
    def what(self) -> str:
        """What the units are, in words."""
        return "groups" if self.are_groups else "images"

    @property
    def lacking(self) -> str:
        """Why there can be no interval at all, '' where there can."""
        if not self.asked:
            return NOT_ASKED
        if self.are_groups and self.n_units < MIN_GROUPS:
            return f"no interval: of {self.n_units} groups, and {MIN_GROUPS} are needed"
        return ""

    @property
    def are_single(self) -> bool:
        """Whether each unit is one image."""
        return not self.are_groups and self.n_units == len(self.unit_idx)

    def put_in_order(self, places: IntArray) -> "Units":
        """The same with each image at its place, (n_images,)."""
        ordered = np.empty_like(self.unit_idx)
        ordered[places] = self.unit_idx
        return replace(self, unit_idx=ordered)

    def deal(self) -> "Units":
        """The same put together at random where they are too many to leave out each."""
        unit_idx, n_units = deal_units(self.unit_idx, self.n_units)
        return replace(self, unit_idx=unit_idx, n_units=n_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to make intervals; `groups` (n_images,) are codes of the group of each image, if any.

    Without `intervals` only those are made that follow from a share by formula.
    """

    confidence: float = CONFIDENCE
    groups: IntArray | None = None
    intervals: bool = True

    def name_groups(self) -> tuple[str, ...] | None:
        """A name for the group of each image of the evaluation, if there are groups."""
        return None if self.groups is None else tuple(map(str, self.groups.tolist()))

    def find_units(self, n_images: int, keep: BoolArray | None = None) -> Units:
        """The units of an evaluation's images, of those in `keep` (n_images,) where it is given."""
        if self.groups is None:
            n_units = n_images if keep is None else int(np.count_nonzero(keep))
            codes: IntArray = np.arange(n_units)
        else:
            kept = self.groups if keep is None else self.groups[keep]
            found, codes = np.unique(kept, return_inverse=True)
            n_units = len(found)
        return Units(
            unit_idx=codes,
            n_units=n_units,
            are_groups=self.groups is not None,
            confidence=self.confidence,
            asked=self.intervals,
        )


_MAX_TABLE: Final = 2**21  # numbers in a table of images x labels; of more, images go in groups
MAX_KINDS: Final = 2**17
"""Most numbers in a table of images x labels, images that are alike once: of more, images go in
groups."""
_BLOCK: Final = 2**15
_WORD: Final = 8  # bytes


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

    def mark(self, units: Units, n_labels: int) -> BoolArray:
        """Whether each label is there in each unit, (n_units, n_labels)."""
        table = np.zeros((units.n_units, n_labels), dtype=np.bool_)
        table[units.unit_idx[self.image_idx], self.label_idx] = True
        return table

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

    Where too many differ, they are put together at random (`deal_units`). Where no interval is
    asked for, no image is left out.

    Args:
        decisions: On all images.
        units: The units of the images.
        n_labels: The number of labels.
        are_boxes: Whether an image may have a label several times.
    """
    if not (units.asked or units.are_groups or are_boxes):
        return _count_whole(decisions, n_labels)
    if units.n_units * n_labels > _MAX_TABLE:
        units = units.deal()
    tables = _tabulate(decisions, units, n_labels, are_boxes=are_boxes)
    by_group = (
        _as_counts([table.astype(np.int64, copy=False) for table in tables])
        if units.are_groups or are_boxes
        else None
    )
    times = _count_once(units)
    if not units.are_groups:
        tables, times = _join_alike(tables, units.n_units)
    whole = _as_counts([times @ table for table in tables])
    predicted, support = (times @ (table > 0) for table in tables[1:])
    if not units.are_groups and len(times) * n_labels > MAX_KINDS:
        units = units.deal()
        tables = _tabulate(decisions, units, n_labels, are_boxes=are_boxes)
        times = _count_once(units)
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


def _count_whole(decisions: Decisions, n_labels: int) -> CountsLeftOut:
    parts = decisions.right, decisions.predicted, decisions.true
    whole = _as_counts([np.bincount(part.label_idx, minlength=n_labels) for part in parts])
    nothing: NDArray[np.int64] = np.zeros((0, n_labels), dtype=np.int64)
    return CountsLeftOut(
        whole=whole,
        counts=_as_counts([nothing] * len(parts)),
        times=np.zeros(0, dtype=np.int64),
        support=whole.support,
        predicted=whole.predicted,
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
    rows = np.flatnonzero(is_predicted)
    predicted = Counted(image_idx=pairs.find_images(rows), label_idx=pairs.label_idx[rows])
    is_right = pairs.is_true[rows]
    kept = np.cumsum(truth.counts > 0) - 1
    return Decisions(
        right=Counted(
            image_idx=predicted.image_idx[is_right], label_idx=predicted.label_idx[is_right]
        ),
        predicted=predicted,
        true=Counted(
            image_idx=truth.image_idx
            if pairs.n_images == len(truth.counts)
            else kept[truth.image_idx],
            label_idx=truth.label_idx,
        ),
    )


def _tabulate(
    decisions: Decisions, units: Units, n_labels: int, *, are_boxes: bool
) -> Sequence[Table]:
    parts = decisions.right, decisions.predicted, decisions.true
    if units.are_single and not are_boxes:
        return [part.mark(units, n_labels) for part in parts]
    return [part.count(units, n_labels) for part in parts]


def _join_alike(tables: Sequence[Table], n_units: int) -> tuple[Sequence[Table], IntArray]:
    """One row for each kind of image, and how many there are."""
    joined = np.concatenate(tables, axis=1)
    highest = joined.max(initial=False)
    packed = (
        np.packbits(joined.astype(np.bool_, copy=False), axis=1)
        if highest <= 1
        else joined.astype(np.min_scalar_type(highest)).view(np.uint8)
    )
    if not packed.shape[1]:  # no label at all
        return [table[:1] for table in tables], np.array([n_units])
    _, first, times = np.unique(_name_rows(packed), return_index=True, return_counts=True)
    return [table[first] for table in tables], times


def _name_rows(packed: NDArray[np.uint8]) -> NDArray[Any]:
    """A key for each row, equal where rows are: of short ones whole numbers, which sort fast."""
    n, width = packed.shape
    if width > _WORD:
        return np.ascontiguousarray(packed).view(f"V{width}").ravel()
    padded = np.zeros((n, _WORD), dtype=np.uint8)
    padded[:, :width] = packed
    return padded.view(np.uint64).ravel()


def _repeat_cells(matrix: NDArray[np.int64]) -> Decisions:
    """A row for each image that was counted, in the order of cells."""
    y_true, y_pred = (np.repeat(codes, matrix[matrix > 0]) for codes in np.nonzero(matrix))
    return list_decisions(y_true, np.where(y_pred < len(matrix), y_pred, -1))


def _deal_images(n_images: int) -> Units:
    unit_idx, n_units = deal_units(np.arange(n_images), n_images)
    return Units(unit_idx=unit_idx, n_units=n_units, are_groups=False, confidence=nan, asked=True)


def _count_once(units: Units) -> IntArray:
    return np.ones(units.n_units, dtype=np.int64)


def _as_counts(parts: Sequence[IntArray]) -> LabelCounts:
    tp, predicted, support = parts
    return LabelCounts(tp=tp, predicted=predicted, support=support)


def _take(counts: LabelCounts, rows: slice) -> LabelCounts:
    return LabelCounts(
        tp=counts.tp[rows], predicted=counts.predicted[rows], support=counts.support[rows]
    )


def score_labels(
    counts: LabelCounts,
    ap: FloatArray,
    roc_auc: FloatArray,
    confidence: float = CONFIDENCE,
    by_group: LabelCounts | None = None,
    *,
    are_groups: bool = True,
) -> LabelScores:
    """Counts, precision, recall and F1 of each label, undefined where the denominator is 0.

    The intervals are Wilson's, of F1 by way of the share of right images among those that have the
    label or are predicted as it, J: F1 = 2 J / (1 + J).

    Args:
        counts: Of each label, (n_labels,).
        ap: Average precision of each, (n_labels,).
        roc_auc: ROC AUC of each, (n_labels,).
        confidence: Of the intervals.
        by_group: The counts of each unit, (n_units, n_labels), where one may count several times.
        are_groups: Whether these are groups of images, or images with boxes.
    """
    ends = {
        name: _list_shares(score, counts, by_group, are_groups).compute_ends(confidence)
        for name, score in (("precision", "precision"), ("recall", "recall"), ("f1", "jaccard"))
    }
    f1_low, f1_high = (2 * end / (1 + end) for end in ends["f1"])
    return LabelScores(
        support=counts.support,
        tp=counts.tp,
        fp=counts.fp,
        fn=counts.fn,
        precision=divide(*FRACTIONS["precision"](counts)),
        precision_low=ends["precision"][0],
        precision_high=ends["precision"][1],
        recall=divide(*FRACTIONS["recall"](counts)),
        recall_low=ends["recall"][0],
        recall_high=ends["recall"][1],
        f1=divide(*FRACTIONS["f1"](counts)),
        f1_low=f1_low,
        f1_high=f1_high,
        ap=ap,
        roc_auc=roc_auc,
    )


def warn_zero_division(
    counts: LabelCounts, labels: Sequence[str], *, where: str = ""
) -> Iterator[str]:
    """Names the labels whose undefined precision or recall counts as 0 in the averages."""
    for score, lacking, why in (
        ("precision", counts.predicted == 0, "never predicted"),
        ("recall", counts.support == 0, "true on no image"),
    ):
        names = select_labels(labels, lacking & counts.occurs)
        if names:
            named = name_labels(names)
            yield f"{score} counts as 0 in the averages{where} for labels {why}: {named}"


def _list_shares(
    score: str,
    counts: LabelCounts,
    by_group: LabelCounts | None,
    are_groups: bool,
) -> Shares:
    successes, n = FRACTIONS[score](counts)
    if by_group is None:
        return Shares(successes=successes, n=n)
    group_successes, group_n = FRACTIONS[score](by_group)
    return Shares(
        successes=successes,
        n=n,
        group_successes=group_successes,
        group_n=group_n,
        are_groups=are_groups,
    )

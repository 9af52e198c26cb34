"""What intervals are made over: images, or groups of images, at which confidence."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlrek.evaluation import BoolArray, IntArray
from mlrek.metrics.jackknife import deal_units
from mlrek.metrics.resampling import CONFIDENCE
from mlrek.metrics.shares import MIN_GROUPS

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
        unit_idx = np.arange(n_images) if self.groups is None else self.groups
        kept = unit_idx if keep is None else unit_idx[keep]
        found, codes = np.unique(kept, return_inverse=True)
        return Units(
            unit_idx=codes,
            n_units=len(found),
            are_groups=self.groups is not None,
            confidence=self.confidence,
            asked=self.intervals,
        )

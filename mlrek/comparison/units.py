"""What is left out of the test sets to see how surely numbers differ, in which scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from mlrek.comparison import Scope
from mlrek.comparison.pairing import group_images
from mlrek.evaluation import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUnits:
    """What is left out at once: images, or the objects that several images show.

    `sizes` are the units of each stratum, which follow each other; `baseline` and `candidate`
    (n_images,) the unit of each image of the two test sets, -1 for an image that does not count.
    """

    sizes: tuple[int, ...]
    baseline: IntArray
    candidate: IntArray

    @property
    def of_versions(self) -> tuple[IntArray, IntArray]:
        """The unit of each image of the baseline, and of the candidate."""
        return self.baseline, self.candidate

    @property
    def total(self) -> int:
        """How many units there are."""
        return sum(self.sizes)

    def deal(self, most: int) -> "PairUnits":
        """Units put together at random, stratum by stratum, so that about `most` are left."""
        if self.total <= most:
            return self
        rng = np.random.default_rng(0)
        sizes = [min(size, max(1, round(most * size / self.total))) for size in self.sizes]
        starts = np.cumsum([0, *sizes])
        dealt = np.concatenate(
            [
                start + rng.permutation(size) % max(fewer, 1)
                for start, size, fewer in zip(starts[:-1], self.sizes, sizes, strict=True)
            ]
        )
        lookup = np.append(dealt, -1)  # the last one stands for no unit
        return PairUnits(
            sizes=tuple(sizes), baseline=lookup[self.baseline], candidate=lookup[self.candidate]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the differences of one scope are of. `paired`: image i is the same of both versions.

    `grouped`: units are objects, so that images are not independent of each other.
    """

    scope: Scope
    labels: tuple[str, ...]
    units: PairUnits
    paired: bool
    grouped: bool


def set_shared(images: Sequence[str], labels: tuple[str, ...], group_by: str) -> Setting:
    """Images that both versions were tested on, in the order that both have."""
    groups = group_images(images, group_by)[0] if group_by else images
    units = number_groups(groups)
    return Setting(
        scope=Scope.SHARED,
        labels=labels,
        units=PairUnits(sizes=(int(units.max()) + 1,), baseline=units, candidate=units),
        paired=True,
        grouped=bool(group_by),
    )


def set_whole(
    images: tuple[Sequence[str], Sequence[str]],
    labels: tuple[str, ...],
    group_by: str,
    left_out: frozenset[str] = frozenset(),
) -> Setting:
    """Strata of units that both versions were tested on, and of those that only one was.

    Their order tells nothing of which is the baseline: swapped versions have the same units.
    Images of `left_out`, whose truth differs, tell of no version how good it is.
    """
    groups = [group_images(own, group_by)[0] if group_by else own for own in images]
    counts = [[image not in left_out for image in own] for own in images]
    members = [set(compress(*pair)) for pair in zip(groups, counts, strict=True)]
    alone = sorted(sorted(mine - other) for mine, other in (members, members[::-1]))
    strata = sorted(members[0] & members[1]), *alone
    names = [name for stratum in strata for name in stratum]
    places = {name: i for i, name in enumerate(names)}
    baseline, candidate = (
        np.array(
            [places[name] if is_in else -1 for name, is_in in zip(*pair, strict=True)],
            dtype=np.int64,
        )
        for pair in zip(groups, counts, strict=True)
    )
    return Setting(
        scope=Scope.WHOLE,
        labels=labels,
        units=PairUnits(sizes=tuple(map(len, strata)), baseline=baseline, candidate=candidate),
        paired=False,
        grouped=bool(group_by),
    )


def number_groups(groups: Sequence[str]) -> IntArray:
    """The place of each group in alphabetical order, so that lines may stand in any order."""
    places = {name: i for i, name in enumerate(sorted(set(groups)))}
    return np.array([places[name] for name in groups], dtype=np.int64)

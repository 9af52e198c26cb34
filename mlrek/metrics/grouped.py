"""The doubt `grouped`: images that come in groups, of which whole groups go right or wrong.

Many photographs of one object, or frames of one film, are no independent evidence: an interval that
takes them for such is too narrow. Whether images come so is written nowhere, but it shows in their
names, and in which of them are right. That some labels are harder than others is no such group, so
what the true labels explain is taken out first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import digits
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek.evaluation import Doubt, DoubtKind, Evaluation, FloatArray, IntArray
from mlrek.metrics import Metrics
from mlrek.metrics.image_outcomes import ImageOutcomes, describe_outcomes

MIN_GROUPS: Final = 20
MIN_LARGE: Final = 5  # groups of two images or more
MIN_EFFECT: Final = 1.5
ALPHA: Final = 0.01
PERMUTATIONS: Final = 999
SEED: Final = 0

_FIRST: Final = 49
"""Permutations after which most cases are clear."""
_CLEAR: Final = 8.0
"""So many standard deviations above what permuting gives need no more of them: beyond 10 of 10,000
for one group that holds nearly all images, far beyond for several."""
_BLOCK: Final = 2**21  # numbers held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """A grouping of images within which right and wrong go together.

    `effect` is the design effect: how much larger the variance of a share of images is than that of
    as many independent ones. Of `n_groups` groups, `n_together` images are in those of two or more.
    `pattern` finds the group in a URI, as `--group-by` takes it.
    """

    name: str
    pattern: str
    effect: float
    n_groups: int
    n_together: int


def doubt_grouped(evaluation: Evaluation, metrics: Metrics) -> Iterator[Doubt]:
    """The doubt, with the grouping of the greatest effect and the pattern that finds it."""
    found = find_grouping(evaluation, metrics)
    if found is not None:
        n_images = len(evaluation.images)
        yield Doubt(
            kind=DoubtKind.GROUPED,
            text=(
                f"right and wrong go together within {found.name}: {found.n_together:,} of "
                f"{n_images:,} images are in {found.n_groups:,} groups (design effect "
                f"{found.effect:.1f}), so intervals over single images are too narrow; name the "
                f"groups with --group-by '{found.pattern}', or in the policy under [test_set] with "
                f"group_by = '{found.pattern}'"
            ),
            count=found.n_together,
            of=n_images,
        )


def find_grouping(evaluation: Evaluation, metrics: Metrics) -> Grouping | None:
    """The grouping of images with the greatest design effect; None where none is sure.

    Sure is: at least 20 groups, 5 of them of two images or more, a design effect above 1.5, and
    p < 0.01 in a permutation test within labels, Bonferroni over the groupings tried. The order of
    images does not matter.
    """
    groups = _list_groups(evaluation.images)
    outcomes = describe_outcomes(evaluation, metrics) if groups else None
    if outcomes is None or not any(
        find_effect(outcomes, group[outcomes.image_idx]) > MIN_EFFECT * _ALIKE
        for group in groups.values()
    ):
        return None
    outcomes = describe_outcomes(
        evaluation, metrics, by_uri=True
    )  # so that no order of lines counts
    groups = _keep_enough(
        {name: _number(group[outcomes.image_idx]) for name, group in groups.items()}
    )
    sure = [
        (effect, name)
        for name, group in groups.items()
        if (effect := find_effect(outcomes, group)) > MIN_EFFECT
        and is_beyond_chance(outcomes, group, ALPHA / len(groups))
    ]
    if not sure:
        return None
    effect, name = max(sure)
    sizes = np.bincount(groups[name])
    return Grouping(
        name=name,
        pattern=GROUPINGS[name].pattern,
        effect=effect,
        n_groups=len(sizes),
        n_together=int(sizes[sizes > 1].sum()),
    )


def are_independent(evaluation: Evaluation, metrics: Metrics, groups: Sequence[str]) -> bool:
    """Whether right and wrong go together no more once images of one of `groups` are taken as one.

    Groups that are too fine, such as of one image each, leave images together that are right and
    wrong together. Then the sums over what goes together vary more than the sums over its groups.
    """
    outcomes = describe_outcomes(evaluation, metrics)
    if outcomes is None:
        return True
    own = _number(np.unique(np.array(groups, dtype=object), return_inverse=True)[1])
    own = own[outcomes.image_idx]
    for together in _list_groups(evaluation.images).values():
        within = together[outcomes.image_idx]
        apart = np.unique(np.stack([within, own]), axis=1, return_inverse=True)[1].ravel()
        sums = [
            float(np.square(np.bincount(codes, weights=outcomes.rest)).sum())
            for codes in (within, apart)
        ]
        if sums[0] > MIN_EFFECT * sums[1]:
            return False
    return True


def find_effect(outcomes: ImageOutcomes, group: IntArray) -> float:
    """The design effect of groups: the variance of sums over groups, to that without dependence.

    Without dependence the images of a stratum trade places freely. Of n images with variance v in a
    stratum, m of which are in a group, these add m (1 - m / n) v to the variance of its sum.

    Args:
        outcomes: Of images.
        group: Of each image, 0 to the number of groups - 1, (n,).

    Returns:
        1 on average where images are independent; 0 where labels explain all.
    """
    n_groups = int(group.max(initial=0)) + 1
    sizes = np.bincount(outcomes.stratum)
    squares = np.bincount(outcomes.stratum, weights=outcomes.rest**2)
    variance = squares / np.maximum(sizes - 1, 1)
    cells, in_cell = np.unique(outcomes.stratum * n_groups + group, return_counts=True)
    stratum = cells // n_groups
    expected = float((in_cell * (1 - in_cell / sizes[stratum]) * variance[stratum]).sum())
    sums = np.bincount(group, weights=outcomes.rest)
    return float(np.square(sums).sum()) / expected if expected > _NOTHING else 0.0


def is_beyond_chance(outcomes: ImageOutcomes, group: IntArray, alpha: float) -> bool:
    """Whether sums over groups vary more than in all but a share `alpha` of permutations.

    Within each stratum the images trade places, 999 times, with one seed. Fewer where the answer is
    clear before.
    """
    order = np.argsort(outcomes.stratum, kind="stable")
    rest, group = outcomes.rest[order], group[order]
    ends = np.cumsum(np.bincount(outcomes.stratum))
    starts = ends - np.bincount(outcomes.stratum)
    slices = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    own = float(np.square(np.bincount(group, weights=rest)).sum())
    generator = np.random.default_rng(SEED)
    permuted: list[float] = []
    n_most = alpha * (1 + PERMUTATIONS) - 1  # so many permutations may reach it, no more
    while len(permuted) < PERMUTATIONS:
        wanted = PERMUTATIONS - len(permuted) if permuted else _FIRST
        n = max(1, min(wanted, _BLOCK // max(len(rest), 1)))
        permuted += _permute(rest, group, slices, generator, n)
        if sum(value >= own * _ALIKE for value in permuted) >= n_most:
            return False
        if len(permuted) >= _FIRST and own > np.mean(permuted) + _CLEAR * np.std(permuted):
            return True
    return True


def _permute(
    rest: FloatArray,
    group: IntArray,
    slices: Sequence[slice],
    generator: np.random.Generator,
    n: int,
) -> list[float]:
    """Sums of squares over groups in `n` permutations within slices."""
    drawn = np.tile(rest, (n, 1))
    for stratum in slices:
        drawn[:, stratum] = generator.permuted(drawn[:, stratum], axis=1)
    return [float(np.square(np.bincount(group, weights=row)).sum()) for row in drawn]


def _list_groups(images: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The group of each image in every grouping that has enough of them."""
    found = {}
    for name, rule in GROUPINGS.items():
        codes: dict[str, int] = {}
        find = rule.find
        found[name] = np.array(
            [codes.setdefault(find(image), len(codes)) for image in images], dtype=np.int64
        )
    return _keep_enough(found)


def _keep_enough(groups: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Groupings of enough groups, numbered as they come; of the same ones the first."""
    kept: dict[str, NDArray[np.int64]] = {}
    for name, group in groups.items():
        sizes = np.bincount(group)
        has_enough = len(sizes) >= MIN_GROUPS and np.count_nonzero(sizes > 1) >= MIN_LARGE
        if has_enough and not any(np.array_equal(group, other) for other in kept.values()):
            kept[name] = group
    return kept


def _number(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups numbered as they come, from 0."""
    _, first, codes = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[codes])


def _find_folder(image: str) -> str:
    return image.rpartition("/")[0] or image


def _strip_number(image: str) -> str:
    """The URI up to the number at the end of its file name; all of it without one."""
    stem, dot, ending = image.rpartition(".")
    ends = (stem, image) if dot and "/" not in ending else (image,)
    for text in ends:
        stripped = text.rstrip(digits)
        if len(stripped) < len(text):
            return stripped or image
    return image


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How a group is found in a URI, and the pattern that finds the same."""

    find: Callable[[str], str]
    pattern: str


_NOTHING: Final = 1e-9
_ALIKE: Final = 1 - 1e-9  # sums of the same numbers in another order
GROUPINGS: Mapping[str, _Rule] = MappingProxyType(
    {
        "parent folders": _Rule(find=_find_folder, pattern="^(.*)/[^/]*$"),
        "file names without their trailing number": _Rule(
            find=_strip_number, pattern=r"^(.*?)[0-9]+(?:\.[^./]*)?$"
        ),
    }
)

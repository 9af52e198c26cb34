"""The doubt `grouped`: images that come in groups, of which whole groups go right or wrong.

Many photographs of one object, or frames of one film, are no independent evidence: an interval that
takes them for such is too narrow. Whether images come so is written nowhere, but it shows in their
names, and in which of them are right. That some labels are harder than others is no such group, so
what the true labels explain is taken out first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mlrek.evaluation import Doubt, DoubtKind, Evaluation, FloatArray, IntArray, MaskCounts, Task
from mlrek.metrics import Metrics, Predictions
from mlrek.metrics.name_groups import GROUPINGS, number_name_groups

MIN_STRATUM: Final = 10
_MAX_LABELS: Final = 300
_SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcomes:
    """What is left of each image's score when the mean of its stratum is taken off.

    Images of one stratum have the same true labels, so they may trade places if images are
    independent. `image_idx`, `rest`, `stratum` (n,): the image of the evaluation, from -1 to 1, and
    0 to the number of strata - 1.
    """

    image_idx: IntArray
    rest: FloatArray
    stratum: IntArray


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


_NOTHING: Final = 1e-9
_ALIKE: Final = 1 - 1e-9  # sums of the same numbers in another order


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
    outcomes = compute_outcomes(evaluation, metrics) if groups else None
    if outcomes is None or not any(
        find_effect(outcomes, group[outcomes.image_idx]) > MIN_EFFECT * _ALIKE
        for group in groups.values()
    ):
        return None
    outcomes = compute_outcomes(
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
    outcomes = compute_outcomes(evaluation, metrics)
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
    return _keep_enough(number_name_groups(images))


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


def compute_outcomes(
    evaluation: Evaluation, metrics: Metrics, *, by_uri: bool = False
) -> ImageOutcomes:
    """How right the images that count are, in their order or in that of their URIs.

    The score of an image is 1 or 0 where it has one label; else the share of right ones among its
    true and predicted labels, boxes, or pixels. With one label an image, strata are labels. Else
    what a linear model of the labels explains is taken off, and strata are sets of true labels;
    those of under 10 images are one.
    """
    image_idx, scores = _score_images(evaluation, metrics)
    if by_uri:
        images = [evaluation.images[i] for i in image_idx.tolist()]
        order = sorted(range(len(images)), key=images.__getitem__)
        image_idx, scores = image_idx[order], scores[order]
    labels = _list_labels(evaluation)[image_idx]
    if evaluation.task == Task.CLASSIFICATION:
        stratum = np.unique(labels @ np.arange(labels.shape[1]), return_inverse=True)[1]
    else:
        scores, stratum = _fit_labels(labels, scores), _name_sets(labels)
    sizes = np.bincount(stratum)
    means = np.bincount(stratum, weights=scores) / np.maximum(sizes, 1)
    return ImageOutcomes(image_idx=image_idx, rest=scores - means[stratum], stratum=stratum)


def _score_images(evaluation: Evaluation, metrics: Metrics) -> tuple[IntArray, FloatArray]:
    """The images that count and the score of each, both (n,)."""
    n = len(evaluation.images)
    if evaluation.masks is not None:
        return _score_masks(evaluation.masks, n)
    if metrics.predictions is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    right, total = _count_rows(metrics.predictions, n)
    counted: IntArray = np.arange(n)
    if evaluation.task == Task.CLASSIFICATION:
        counted = np.flatnonzero((evaluation.truth.counts > 0) & (total > 0))
    scores = np.ones(n)  # without any box there is nothing wrong
    np.divide(right, total, out=scores, where=total > 0)
    return counted, scores[counted]


def _count_rows(predictions: Predictions, n: int) -> tuple[FloatArray, FloatArray]:
    """Of each image the right rows and all of them, (n_images,)."""
    is_right = predictions.y_true == predictions.y_pred
    right = np.bincount(predictions.image_idx[is_right], minlength=n)
    total = np.bincount(predictions.image_idx, minlength=n)
    return right.astype(np.float64), total.astype(np.float64)


def _score_masks(masks: MaskCounts, n: int) -> tuple[IntArray, FloatArray]:
    counted = np.flatnonzero(masks.readable)
    right = np.bincount(masks.image_idx, weights=masks.tp, minlength=n)
    total = np.bincount(masks.image_idx, weights=masks.tp + masks.fp + masks.fn, minlength=n)
    scores = np.ones(n)
    np.divide(right, total, out=scores, where=total > 0)
    return counted, scores[counted]


def _list_labels(evaluation: Evaluation) -> sp.csr_array:
    """Whether each label is true on each image, (n_images, n_labels), of 0 and 1."""
    pairs = [(evaluation.truth.image_idx, evaluation.truth.label_idx)]
    if evaluation.detections is not None:
        boxes = evaluation.detections.truth
        pairs.append((boxes.image_idx[boxes.counted], boxes.label_idx[boxes.counted]))
    if evaluation.masks is not None:
        masks = evaluation.masks
        is_true = masks.tp + masks.fn > 0
        pairs.append((masks.image_idx[is_true], masks.label_idx[is_true]))
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    shape = len(evaluation.images), max(len(evaluation.labels), 1)
    labels = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    labels.data[:] = 1.0  # several boxes of one label count once
    return labels


def _fit_labels(labels: sp.csr_array, scores: FloatArray) -> FloatArray:
    """What a linear model of the (most frequent) labels leaves of the scores, (n,)."""
    frequent = np.argsort(-labels.sum(axis=0), kind="stable")[:_MAX_LABELS]
    design = sp.hstack([np.ones((len(scores), 1)), labels[:, np.sort(frequent)]], format="csr")
    weights, *_ = np.linalg.lstsq(
        (design.T @ design).toarray(), np.asarray(design.T @ scores), rcond=None
    )
    return np.asarray(scores - design @ weights)


def _name_sets(labels: sp.csr_array) -> NDArray[np.int64]:
    """A number for the set of labels of each image, (n,); rare sets share one."""
    names = np.random.default_rng(_SEED).integers(2**40, size=labels.shape[1])
    sums = labels.astype(np.int64) @ names
    _, codes, sizes = np.unique(sums, return_inverse=True, return_counts=True)
    return np.asarray(
        np.unique(np.where(sizes[codes] < MIN_STRATUM, -1, codes), return_inverse=True)[1]
    )

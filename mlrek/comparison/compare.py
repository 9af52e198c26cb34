"""Two evaluations, or several, -> their comparison: the one entry to this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, compress
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.comparison import Comparison, Difference, Scope, judge_differences
from mlrek.comparison.differences import (
    compare_crossfit,
    compare_shared,
    compare_whole,
    find_changes,
    subtract_confusion,
)
from mlrek.comparison.doubts import doubt_comparison, doubt_intervals, find_leakage
from mlrek.comparison.judgements import GROUPED_REASON, RIGHT_NAMES, settle
from mlrek.comparison.measured import Measured, find_rows, measure_version
from mlrek.comparison.pairing import (
    MAX_NAMED,
    Pairing,
    Setting,
    pair_images,
    recode_labels,
    rename_labels,
    select_images,
    set_shared,
    set_whole,
    warn,
)
from mlrek.comparison.rows import Rows
from mlrek.comparison.slices import ComparedSlices, compare_slices
from mlrek.comparison.why import Pair, Shared, explain_change
from mlrek.errors import IncomparableError, UsageError
from mlrek.evaluation import (
    BoolArray,
    DoubtKind,
    Evaluation,
    IntArray,
    RecordsKind,
    Task,
    order_labels,
)
from mlrek.metrics import PredictionRule
from mlrek.metrics.paired_tests import CochranQ, adjust_holm, cochran_q, mcnemar_mid_p
from mlrek.metrics.test_set import count_once, take_images

_ONE_WAY: Final = frozenset({Task.CLASSIFICATION, Task.MULTILABEL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One version to be compared, and what counts as its prediction of an image."""

    evaluation: Evaluation
    rule: PredictionRule = PredictionRule.TOP1


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """How to compare. `label_map` renames labels; for `group_by` see `group_images`.

    Without `intervals` there are only those that follow from a formula; with `slices` each slice
    of the shared images is compared, too.
    """

    intervals: bool = True
    slices: bool = False
    group_by: str = ""
    label_map: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scopes:
    """Both versions on their whole test sets and on the images that these share, in one order.

    `labels` are those of both versions. `shared` are of `images`, the shared images with one truth;
    `rows` are the predictions on all shared images, those with another truth included.
    """

    sides: tuple[Side, Side]
    labels: tuple[str, ...]
    pairing: Pairing
    images: tuple[str, ...]
    whole: tuple[Measured, Measured]
    shared: tuple[Measured, Measured]
    rows: tuple[Rows, Rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTest:
    """Two of the versions by their places (0 is the baseline), on images that all were tested on.

    `only_first` and `only_second` count images that only one of them has right.
    """

    first: int
    second: int
    only_first: int
    only_second: int
    difference: float
    p: float
    p_adjusted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """Cochran's Q over all versions, then McNemar's mid-p of each pair, adjusted by Holm.

    `images` all of them were tested on. `reason` says why there is no test.
    """

    images: int
    q: float
    df: int
    p: float
    pairs: tuple[PairTest, ...] = ()
    reason: str = ""


def compare_versions(
    baseline: Side, candidate: Side, settings: CompareSettings | None = None
) -> Comparison:
    """Everything that tells a candidate from a baseline, image by image.

    Raises:
        IncomparableError: The versions do different things, or one has no record of its images.
        UsageError: A label map or a grouping is not valid.
    """
    settings = settings or CompareSettings()
    sides = _prepare(_take_once(baseline), _take_once(candidate), settings)
    scopes = _measure_scopes(sides)
    first, second = (side.evaluation for side in sides)
    comparison = Comparison(
        baseline=first.version,
        candidate=second.version,
        task=first.task,
        labels=scopes.labels,
        test_sets=scopes.pairing.test_sets,
        baseline_leakage=find_leakage(first),
        candidate_leakage=find_leakage(second),
        doubts=tuple(
            doubt
            for doubt in doubt_comparison(
                (first, second),
                (scopes.whole[0].metrics, scopes.whole[1].metrics),
                scopes.pairing,
                settings.label_map,
                (baseline.evaluation.task, candidate.evaluation.task),
            )
            if not (settings.group_by and doubt.kind is DoubtKind.GROUPED)  # it is answered
        ),
        warnings=tuple(warn(scopes.pairing, group_by=settings.group_by)),
        why=explain_change(
            scopes.whole, scopes.pairing.test_sets, partial(_pair_up, scopes, settings)
        ),
    )
    if scopes.images:
        return _compare_images(comparison, scopes, settings)
    whole = _set_whole(scopes, settings)
    differences = compare_whole(scopes.whole, whole, intervals=settings.intervals)
    crossfit = _compare_crossfit(scopes, settings)
    return replace(
        comparison,
        differences=judge_differences((*differences, *crossfit)),
        doubts=(*comparison.doubts, *doubt_intervals(differences, scopes.whole, whole)),
    )


def judge_images(side: Side, settings: CompareSettings) -> dict[str, bool]:
    """Whether a version has each image wholly right; images that count nowhere are left out."""
    evaluation = rename_labels(_take_once(side).evaluation, settings.label_map)
    version = measure_version(evaluation, side.rule, evaluation.labels)
    right, counted = version.rows.is_right.tolist(), version.rows.counted.tolist()
    return {image: right[i] for i, image in enumerate(evaluation.images) if counted[i]}


def _compare_images(
    comparison: Comparison, scopes: _Scopes, settings: CompareSettings
) -> Comparison:
    """All that needs images that both versions were tested on."""
    shared, images, intervals = scopes.shared, scopes.images, settings.intervals
    setting = set_shared(images, scopes.labels, settings.group_by)
    differences = compare_shared(shared, setting, intervals=intervals)
    known = differences if scopes.pairing.is_exact else ()
    whole = compare_whole(scopes.whole, _set_whole(scopes, settings), known, intervals=intervals)
    crossfit = _compare_crossfit(scopes, settings)
    fixed, broken, changed = find_changes(shared, images, scopes.labels)
    found = _compare_slices(scopes, setting, settings) if settings.slices else ComparedSlices()
    return replace(
        comparison,
        slices=found.slices,
        n_slices_tried=found.n_tried,
        warnings=(*comparison.warnings, *found.warnings),
        differences=judge_differences((*whole, *differences, *crossfit)),
        fixed=fixed,
        broken=broken,
        changed=changed,
        confusion=subtract_confusion(shared, images, scopes.labels),
        settling=settle(differences, shared, grouped=bool(settings.group_by)),
        doubts=(*comparison.doubts, *doubt_intervals(differences, shared, setting)),
    )


def _compare_slices(scopes: _Scopes, setting: Setting, settings: CompareSettings) -> ComparedSlices:
    """Each slice of the shared images."""

    def compare_images(images: IntArray) -> tuple[Difference, ...]:
        first, second = (
            measure_version(take_images(version.evaluation, images), side.rule, scopes.labels)
            for version, side in zip(scopes.shared, scopes.sides, strict=True)
        )
        named = tuple(scopes.images[i] for i in images.tolist())
        part = set_shared(named, scopes.labels, settings.group_by)
        return compare_shared((first, second), part, intervals=settings.intervals)

    return compare_slices(scopes.shared, setting, compare_images)


def _set_whole(scopes: _Scopes, settings: CompareSettings) -> Setting:
    """The scope of the whole test sets; images whose truth was changed move nothing."""
    first, second = (version.evaluation.images for version in scopes.whole)
    relabelled = frozenset(compress(scopes.pairing.images, scopes.pairing.relabelled))
    return set_whole((first, second), scopes.labels, settings.group_by, relabelled)


def _take_once(side: Side) -> Side:
    """The side with each image once."""
    return replace(side, evaluation=count_once(side.evaluation))


def _compare_crossfit(scopes: _Scopes, settings: CompareSettings) -> tuple[Difference, ...]:
    """The cross-fitted numbers in both scopes."""
    find = partial(
        compare_crossfit,
        labels=scopes.labels,
        group_by=settings.group_by,
        intervals=settings.intervals,
    )
    shared = find(scopes.shared, scope=Scope.SHARED) if scopes.images else ()
    if scopes.pairing.is_exact:
        return (*(replace(d, scope=Scope.WHOLE) for d in shared), *shared)
    return (*find(scopes.whole, scope=Scope.WHOLE), *shared)


def _prepare(baseline: Side, candidate: Side, settings: CompareSettings) -> tuple[Side, Side]:
    """The sides with labels renamed and the same task; refuses what cannot be compared."""
    for side in (baseline, candidate):
        version = side.evaluation.version
        if not side.evaluation.has_images:
            raise IncomparableError(
                f"{version.arn}: there is no record of its test images, so it cannot be compared "
                "image by image; `mlrek show` prints what its provider reports"
            )
        if side.rule is PredictionRule.NOTEBOOK:
            raise UsageError(
                f"{version.arn}: the notebook rule counts images several times and is for "
                "cross-checks only; compare by top1 or threshold"
            )
    _check_label_map((baseline, candidate), settings)
    sides = [
        replace(side, evaluation=rename_labels(side.evaluation, settings.label_map))
        for side in (baseline, candidate)
    ]
    tasks = {side.evaluation.task for side in sides}
    if tasks == _ONE_WAY:
        sides = [
            replace(side, evaluation=replace(side.evaluation, task=Task.MULTILABEL, pos_label=""))
            for side in sides
        ]
    elif len(tasks) > 1:
        raise IncomparableError(
            f"{baseline.evaluation.version.name} is a {baseline.evaluation.task} and "
            f"{candidate.evaluation.version.name} a {candidate.evaluation.task}: they answer "
            "different questions and cannot be compared"
        )
    return sides[0], sides[1]


def _check_label_map(sides: tuple[Side, Side], settings: CompareSettings) -> None:
    known = {label for side in sides for label in side.evaluation.labels}
    if unknown := [label for label in settings.label_map if label not in known]:
        raise UsageError(
            f"the label map renames {', '.join(map(repr, unknown[:MAX_NAMED]))}, which neither "
            f"version has; there are: {', '.join(map(repr, sorted(known)[:20]))}"
        )


def _measure_scopes(sides: tuple[Side, Side]) -> _Scopes:
    """Both versions in both scopes; one and the same test set is taken once."""
    first, second = (side.evaluation for side in sides)
    labels = order_labels(first.labels, set(second.labels))
    pairing = pair_images(first, second)
    kept = ~pairing.relabelled
    one, other = (
        measure_version(_select(side.evaluation, image_idx[kept], pairing), side.rule, labels)
        for side, image_idx in zip(sides, _places(pairing), strict=True)
    )
    if pairing.is_exact:
        whole = one, other
    else:
        whole = (
            measure_version(first, sides[0].rule, labels),
            measure_version(second, sides[1].rule, labels),
        )
    return _Scopes(
        sides=sides,
        labels=labels,
        pairing=pairing,
        images=tuple(compress(pairing.images, kept)),
        whole=whole,
        shared=(one, other),
        rows=(one.rows, other.rows) if kept.all() else _list_rows(sides, pairing, labels),
    )


def _places(pairing: Pairing) -> tuple[IntArray, IntArray]:
    return pairing.baseline_idx, pairing.candidate_idx


def _select(evaluation: Evaluation, image_idx: IntArray, pairing: Pairing) -> Evaluation:
    """The evaluation of these images; of all there are, with what the provider says of them."""
    selected = select_images(evaluation, image_idx)
    return replace(selected, reported=evaluation.reported) if pairing.is_exact else selected


def _list_rows(
    sides: tuple[Side, Side], pairing: Pairing, labels: tuple[str, ...]
) -> tuple[Rows, Rows]:
    """What both versions predict on all shared images, each with its own truth."""
    first, second = (
        find_rows(select_images(side.evaluation, image_idx), side.rule, labels)
        for side, image_idx in zip(sides, _places(pairing), strict=True)
    )
    return first, second


def _pair_up(scopes: _Scopes, settings: CompareSettings) -> Pair:
    """What the parts of a change are computed from."""
    images = scopes.whole[0].evaluation.images, scopes.whole[1].evaluation.images
    is_changed = bool(scopes.pairing.relabelled.any())
    first, second = (
        recode_labels(select_images(side.evaluation, image_idx), scopes.labels)
        for side, image_idx in zip(scopes.sides, _places(scopes.pairing), strict=True)
    )
    one, other = (None if is_changed else version.measure.at_threshold for version in scopes.shared)
    down, down_too = (version.metrics.records != RecordsKind.PARTIAL for version in scopes.whole)
    return Pair(
        whole=scopes.whole,
        shared=Shared(
            evaluations=(first, second),
            rows=scopes.rows,
            rules=(scopes.sides[0].rule, scopes.sides[1].rule),
            reaching=(one, other),
            has_changed_truth=is_changed,
            reach_down=(down, down_too),
        ),
        places=np.arange(len(scopes.pairing.images))
        if scopes.pairing.is_exact  # where both versions stand in the order of the shared images
        else scopes.pairing.baseline_idx,
        units=set_whole(images, scopes.labels, settings.group_by).units,
        grouped=bool(settings.group_by),
        intervals=settings.intervals,
    )


def compare_several(
    baseline: Side, candidates: Sequence[Side], settings: CompareSettings
) -> tuple[tuple[Comparison, ...], Several | None]:
    """Each candidate against the baseline; of several candidates also the test of all together.

    Of the images that are right, `p_adjusted` is Holm's over all pairs of versions, each pair on
    the images that both were tested on, as `p` is.

    Raises:
        IncomparableError: Two versions do different things, or one has no record of its images.
    """
    comparisons = tuple(compare_versions(baseline, side, settings) for side in candidates)
    if len(candidates) == 1:
        return comparisons, None
    judged = [judge_images(side, settings) for side in (baseline, *candidates)]
    several = _test_all(judged, settings)
    adjusted = _adjust_pairs(judged)
    return (
        tuple(
            _adjust(comparison, adjusted.get((0, i), nan))
            for i, comparison in enumerate(comparisons, start=1)
        ),
        several,
    )


def _test_all(judged: Sequence[Mapping[str, bool]], settings: CompareSettings) -> Several:
    shared = sorted(set.intersection(*(set(images) for images in judged)))
    none = Several(images=len(shared), q=nan, df=len(judged) - 1, p=nan)
    if settings.group_by:
        return replace(none, reason=GROUPED_REASON)
    if not shared:
        return replace(none, reason="no image is in the test sets of all versions")
    is_right = np.array([[images[image] for images in judged] for image in shared], dtype=np.bool_)
    test: CochranQ = cochran_q(is_right)
    pairs = [_test_pair(is_right, i, j) for i, j in combinations(range(len(judged)), 2)]
    adjusted = adjust_holm(np.array([pair.p for pair in pairs]))
    return replace(
        none,
        q=test.q,
        p=test.p,
        pairs=tuple(
            replace(pair, p_adjusted=float(p)) for pair, p in zip(pairs, adjusted, strict=True)
        ),
    )


def _adjust_pairs(judged: Sequence[Mapping[str, bool]]) -> dict[tuple[int, int], float]:
    """Holm over the pairs that have images in common, each on all that it has."""
    found: dict[tuple[int, int], float] = {}
    for i, j in combinations(range(len(judged)), 2):
        a, b = judged[i], judged[j]
        if shared := a.keys() & b.keys():
            is_right = np.array([[a[image], b[image]] for image in shared], dtype=np.bool_)
            found[i, j] = _test_pair(is_right, 0, 1).p
    adjusted = adjust_holm(np.array(list(found.values())))
    return dict(zip(found, adjusted.tolist(), strict=True))


def _test_pair(is_right: BoolArray, first: int, second: int) -> PairTest:
    a, b = is_right[:, first], is_right[:, second]
    only_first, only_second = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    return PairTest(
        first=first,
        second=second,
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / len(a),
        p=float(mcnemar_mid_p(only_first, only_second)),
        p_adjusted=nan,
    )


def _adjust(comparison: Comparison, p_adjusted: float) -> Comparison:
    names = RIGHT_NAMES.get(comparison.task, ())
    return replace(
        comparison,
        differences=tuple(
            replace(d, p_adjusted=p_adjusted) if d.name in names and not np.isnan(d.p) else d
            for d in comparison.differences
        ),
    )

"""Two evaluations -> their comparison: the one entry to this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from types import MappingProxyType
from typing import Final

import numpy as np

from mlrek.comparison import (
    Comparison,
    ConfusionDifference,
    Difference,
    ImageChange,
    Scope,
    Settling,
)
from mlrek.comparison.differences import (
    CONFIDENCE,
    IMAGES_RIGHT,
    REPORTED_REASON,
    RIGHT_NAMES,
    Exam,
    Setting,
    Units,
    compute_differences,
    count_right,
)
from mlrek.comparison.measures import describe_measure
from mlrek.comparison.pairing import Pairing, group_images, pair_images
from mlrek.comparison.rows import Rows, describe_rows, find_moves, list_answers, list_truth
from mlrek.comparison.selection import (
    recode_labels,
    rename_labels,
    select_images,
    with_truth_of,
)
from mlrek.comparison.warnings import MAX_NAMED, find_leakage, warn
from mlrek.comparison.why import describe_steps, exchange_truth, explain
from mlrek.errors import IncomparableError, UsageError
from mlrek.evaluation import Evaluation, IntArray, Task, order_labels
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.power import (
    images_to_decide,
    images_to_decide_shares,
    smallest_decidable,
    smallest_decidable_share,
)
from mlrek.metrics.resampling import Bootstrap

_ONE_WAY: Final = frozenset({Task.CLASSIFICATION, Task.MULTILABEL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One version to be compared, and what counts as its prediction of an image."""

    evaluation: Evaluation
    rule: PredictionRule = PredictionRule.TOP1


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """How to compare. `label_map` renames labels; for `group_by` see `group_images`."""

    seed: int = 0
    resamples: int = 1000
    group_by: str = ""
    label_map: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def bootstrap(self) -> Bootstrap:
        """How to resample."""
        return Bootstrap(seed=self.seed, resamples=self.resamples)


def compare_versions(
    baseline: Side, candidate: Side, settings: CompareSettings | None = None
) -> Comparison:
    """Everything that tells a candidate from a baseline, image by image.

    Raises:
        IncomparableError: The versions do different things, or one has no record of its images.
        UsageError: A label map or a grouping is not valid.
    """
    settings = settings or CompareSettings()
    sides = _prepare(baseline, candidate, settings)
    first, second = (side.evaluation for side in sides)
    labels = order_labels(first.labels, set(second.labels))
    pairing = pair_images(first, second)
    whole = _examine(sides, labels)
    # On one and the same test set the resamples of what is shared are those of the whole.
    resamples = 0 if pairing.is_exact else settings.resamples
    differences = _compare_whole(whole, labels, replace(settings, resamples=resamples))
    comparison = Comparison(
        baseline=first.version,
        candidate=second.version,
        task=first.task,
        labels=labels,
        test_sets=pairing.test_sets,
        differences=differences,
        baseline_leakage=find_leakage(first),
        candidate_leakage=find_leakage(second),
        warnings=tuple(
            warn(
                pairing,
                (first, second),
                is_mixed=baseline.evaluation.task != candidate.evaluation.task,
                rules=(baseline.rule, candidate.rule),
                group_by=settings.group_by,
            )
        ),
    )
    if not pairing.images:
        steps = describe_steps(whole, _select(sides, pairing, labels), _no_rows(), len(labels))
        return replace(comparison, why=explain(*whole, steps))
    return _compare_shared(comparison, sides, whole, pairing, settings)


def judge_images(side: Side, settings: CompareSettings) -> dict[str, bool]:
    """Whether a version has each image wholly right; images that count nowhere are left out."""
    evaluation = rename_labels(side.evaluation, settings.label_map)
    exam = _examine_one(replace(side, evaluation=evaluation), evaluation.labels)
    right, counted = exam.rows.is_right.tolist(), exam.rows.counted.tolist()
    return {image: right[i] for i, image in enumerate(evaluation.images) if counted[i]}


def _compare_shared(
    comparison: Comparison,
    sides: tuple[Side, Side],
    whole: tuple[Exam, Exam],
    pairing: Pairing,
    settings: CompareSettings,
) -> Comparison:
    """All that needs images that both versions were tested on."""
    labels = comparison.labels
    shared = _select(sides, pairing, labels)
    setting = _set_shared(pairing, labels, settings)
    differences = compute_differences(*shared, setting, settings.bootstrap)
    complete = comparison.differences
    if pairing.is_exact:
        if not _is_all_shared(complete, differences):
            complete = _compare_whole(whole, labels, settings)
        complete = _share_evidence(complete, differences)
    relabelled = _relabel(sides, shared, labels)
    steps = describe_steps(whole, shared, relabelled, len(labels))
    fixed, broken, changed = _find_changes(shared, pairing, labels)
    return replace(
        comparison,
        differences=(*complete, *differences),
        why=explain(*whole, steps),
        fixed=fixed,
        broken=broken,
        changed=changed,
        confusion=_subtract_confusion(shared, pairing, labels),
        settling=_settle(differences, shared, grouped=setting.grouped),
    )


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


def _examine(sides: tuple[Side, Side], labels: tuple[str, ...]) -> tuple[Exam, Exam]:
    first, second = (_examine_one(side, labels) for side in sides)
    return first, second


def _examine_one(side: Side, labels: tuple[str, ...]) -> Exam:
    evaluation = side.evaluation
    places = {label: code for code, label in enumerate(labels)}
    codes = np.array([places[label] for label in evaluation.labels], dtype=np.int64)
    metrics = compute_metrics(evaluation, prediction_rule=side.rule, resamples=0)
    rows = describe_rows(metrics, codes, len(evaluation.images))
    return Exam(
        evaluation=evaluation,
        metrics=metrics,
        rows=rows,
        measure=describe_measure(evaluation, rows, codes, len(labels), side.rule),
        codes=codes,
    )


def _select(
    sides: tuple[Side, Side], pairing: Pairing, labels: tuple[str, ...]
) -> tuple[Exam, Exam]:
    """Both versions on the shared images, in the same order."""
    places = pairing.baseline_idx, pairing.candidate_idx
    first, second = (
        replace(side, evaluation=select_images(side.evaluation, image_idx))
        for side, image_idx in zip(sides, places, strict=True)
    )
    return _examine((first, second), labels)


def _set_shared(pairing: Pairing, labels: tuple[str, ...], settings: CompareSettings) -> Setting:
    groups = list(pairing.images)
    if settings.group_by:
        groups, _ = group_images(pairing.images, settings.group_by)
    units = _number(groups)
    return Setting(
        scope=Scope.SHARED,
        labels=labels,
        units=Units(sizes=(int(units.max()) + 1,), baseline=units, candidate=units),
        paired=True,
        grouped=bool(settings.group_by),
    )


def _set_whole(
    whole: tuple[Exam, Exam], labels: tuple[str, ...], settings: CompareSettings
) -> Setting:
    """Strata of units that both versions were tested on, and of those that only one was.

    Their order tells nothing of which is the baseline: swapped versions have the same resamples.
    """
    groups = [
        group_images(exam.evaluation.images, settings.group_by)[0]
        if settings.group_by
        else list(exam.evaluation.images)
        for exam in whole
    ]
    members = [set(names) for names in groups]
    alone = sorted(sorted(mine - other) for mine, other in (members, members[::-1]))
    strata = sorted(members[0] & members[1]), *alone
    names = [name for stratum in strata for name in stratum]
    places = {name: i for i, name in enumerate(names)}
    baseline, candidate = (np.array([places[n] for n in own], dtype=np.int64) for own in groups)
    return Setting(
        scope=Scope.WHOLE,
        labels=labels,
        units=Units(sizes=tuple(map(len, strata)), baseline=baseline, candidate=candidate),
        paired=False,
        grouped=bool(settings.group_by),
    )


def _number(groups: Sequence[str]) -> IntArray:
    """The place of each group in alphabetical order, so that lines may stand in any order."""
    places = {name: i for i, name in enumerate(sorted(set(groups)))}
    return np.array([places[name] for name in groups], dtype=np.int64)


def _compare_whole(
    whole: tuple[Exam, Exam], labels: tuple[str, ...], settings: CompareSettings
) -> tuple[Difference, ...]:
    return compute_differences(*whole, _set_whole(whole, labels, settings), settings.bootstrap)


def _share_evidence(
    whole: Sequence[Difference], shared: Sequence[Difference]
) -> tuple[Difference, ...]:
    """On one and the same test set the whole is what is shared: the same tests hold."""
    by_key = {(d.name, d.label): d for d in whole}
    complete = dict(by_key)
    for difference in shared:
        key = difference.name, difference.label
        if key not in by_key or _agree(by_key[key], difference):
            complete[key] = replace(difference, scope=Scope.WHOLE)
    return tuple(complete.values())


def _is_all_shared(whole: Sequence[Difference], shared: Sequence[Difference]) -> bool:
    """Whether every number of the whole that has an interval is the same of what is shared."""
    by_key = {(d.name, d.label): d for d in shared}
    return all(
        (d.name, d.label) in by_key and _agree(d, by_key[d.name, d.label])
        for d in whole
        if d.reason != REPORTED_REASON
    )


def _agree(one: Difference, other: Difference) -> bool:
    values = np.array([one.baseline, one.candidate]), np.array([other.baseline, other.candidate])
    return bool(np.allclose(*values, rtol=0, atol=1e-12, equal_nan=True))


def _relabel(sides: tuple[Side, Side], shared: tuple[Exam, Exam], labels: tuple[str, ...]) -> Rows:
    """The baseline's predictions on shared images with the candidate's truth."""
    if shared[0].metrics.task is Task.CLASSIFICATION:
        return exchange_truth(shared[0].rows, shared[1].rows)
    if shared[0].metrics.task is Task.SEGMENTATION:
        return shared[0].rows
    first, second = (recode_labels(exam.evaluation, labels) for exam in shared)
    side = replace(sides[0], evaluation=with_truth_of(first, second))
    return _examine_one(side, labels).rows


def _find_changes(
    shared: tuple[Exam, Exam], pairing: Pairing, labels: tuple[str, ...]
) -> tuple[tuple[ImageChange, ...], tuple[ImageChange, ...], tuple[ImageChange, ...]]:
    """Images that only the candidate has right, only the baseline, and wrong in different ways."""
    first, second = (exam.rows for exam in shared)
    counted = first.counted & second.counted
    right = first.is_right & counted, second.is_right & counted
    wrong = counted & ~right[0] & ~right[1]
    kinds = ~right[0] & right[1], right[0] & ~right[1], wrong
    images = {int(i) for kind in kinds for i in np.flatnonzero(kind)}
    answers = [list_answers(rows, labels, images) for rows in (first, second)]
    truth = list_truth(second, labels, images)

    def describe(i: int) -> ImageChange:
        return ImageChange(
            image=pairing.images[i],
            truth=truth[i],
            baseline=answers[0][i],
            candidate=answers[1][i],
        )

    fixed, broken, both_wrong = (
        tuple(describe(i) for i in np.flatnonzero(kind).tolist()) for kind in kinds
    )
    changed = tuple(c for c in both_wrong if c.baseline.labels != c.candidate.labels)
    return fixed, broken, changed


def _subtract_confusion(
    shared: tuple[Exam, Exam], pairing: Pairing, labels: tuple[str, ...]
) -> ConfusionDifference | None:
    """The candidate's confusion matrix minus the baseline's, with the labels of both."""
    matrices = [exam.metrics.confusion for exam in shared]
    own = dict.fromkeys(
        name
        for exam, matrix in zip(shared, matrices, strict=True)
        if matrix is not None
        for name in (*matrix.rows[len(exam.codes) :], *matrix.columns[len(exam.codes) :])
    )
    size = len(labels) + len(own)
    counts = np.zeros((size, size), dtype=np.int64)
    places = {name: len(labels) + i for i, name in enumerate(own)}
    for sign, exam, matrix in zip((-1, 1), shared, matrices, strict=True):
        if matrix is None:
            return None
        n = len(exam.codes)
        rows = [*exam.codes, *(places[name] for name in matrix.rows[n:])]
        columns = [*exam.codes, *(places[name] for name in matrix.columns[n:])]
        counts[np.ix_(rows, columns)] += sign * matrix.counts
    return ConfusionDifference(
        counts=counts,
        labels=(*labels, *own),
        n_own=len(own),
        moves=find_moves(shared[0].rows, shared[1].rows, len(labels)),
        images=pairing.images,
    )


def _settle(
    differences: Sequence[Difference], shared: tuple[Exam, Exam], *, grouped: bool
) -> Settling | None:
    """What would decide a difference of images wholly right that is undecided.

    Images that show one object are no independent trials: there the spread is that of resamples.
    """
    names = (*RIGHT_NAMES.get(shared[0].metrics.task, ()), IMAGES_RIGHT)
    difference = next((d for d in differences if d.name in names), None)
    if difference is None or not difference.low <= 0 <= difference.high:
        return None
    counted = shared[0].rows.counted & shared[1].rows.counted
    counts = count_right(*(exam.rows.is_right[counted] for exam in shared))
    if grouped:
        spread = difference.evidence.standard_error if difference.evidence else nan
        return Settling(
            images_needed=images_to_decide(counts.n, difference.difference, spread),
            smallest_difference=smallest_decidable(spread),
        )
    return Settling(
        images_needed=images_to_decide_shares(counts, confidence=CONFIDENCE),
        smallest_difference=smallest_decidable_share(counts, confidence=CONFIDENCE),
    )


def _no_rows() -> Rows:
    none = np.empty(0, dtype=np.int64)
    return Rows(
        image_idx=none,
        y_true=none,
        y_pred=none,
        confidence=np.empty(0),
        counted=np.empty(0, dtype=np.bool_),
    )

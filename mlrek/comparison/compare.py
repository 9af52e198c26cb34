"""Two evaluations -> their comparison: the one entry to this package."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from mlrek.comparison import Comparison, Difference, Scope
from mlrek.comparison.changes import find_changes
from mlrek.comparison.confusion import subtract_confusion
from mlrek.comparison.differences import compare_shared, compare_whole
from mlrek.comparison.exams import Exam, examine
from mlrek.comparison.pairing import Pairing, pair_images
from mlrek.comparison.resamples import resample_differences
from mlrek.comparison.rows import NO_ROWS, Rows
from mlrek.comparison.selection import (
    recode_labels,
    rename_labels,
    select_images,
    with_truth_of,
)
from mlrek.comparison.settling import settle
from mlrek.comparison.units import set_shared, set_whole
from mlrek.comparison.warnings import MAX_NAMED, find_leakage, warn
from mlrek.comparison.why import describe_steps, exchange_truth, explain
from mlrek.errors import IncomparableError, UsageError
from mlrek.evaluation import Evaluation, Task, order_labels
from mlrek.metrics import PredictionRule
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exams:
    """Both versions on their whole test sets and on the images that these share, in one order.

    `labels` are those of both versions.
    """

    sides: tuple[Side, Side]
    labels: tuple[str, ...]
    pairing: Pairing
    whole: tuple[Exam, Exam]
    shared: tuple[Exam, Exam]


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
    exams = _examine(sides)
    first, second = (side.evaluation for side in sides)
    comparison = Comparison(
        baseline=first.version,
        candidate=second.version,
        task=first.task,
        labels=exams.labels,
        test_sets=exams.pairing.test_sets,
        baseline_leakage=find_leakage(first),
        candidate_leakage=find_leakage(second),
        warnings=tuple(
            warn(
                exams.pairing,
                (first, second),
                is_mixed=baseline.evaluation.task != candidate.evaluation.task,
                rules=(baseline.rule, candidate.rule),
                group_by=settings.group_by,
            )
        ),
    )
    if not exams.pairing.images:
        steps = describe_steps(exams.whole, exams.shared, NO_ROWS, len(exams.labels))
        differences, _ = _compare_scopes(exams, settings)
        return replace(comparison, differences=differences, why=explain(*exams.whole, steps))
    return _compare_images(comparison, exams, settings)


def judge_images(side: Side, settings: CompareSettings) -> dict[str, bool]:
    """Whether a version has each image wholly right; images that count nowhere are left out."""
    evaluation = rename_labels(side.evaluation, settings.label_map)
    exam = examine(evaluation, side.rule, evaluation.labels)
    right, counted = exam.rows.is_right.tolist(), exam.rows.counted.tolist()
    return {image: right[i] for i, image in enumerate(evaluation.images) if counted[i]}


def _compare_images(comparison: Comparison, exams: _Exams, settings: CompareSettings) -> Comparison:
    """All that needs images that both versions were tested on."""
    whole, shared, images = exams.whole, exams.shared, exams.pairing.images
    complete, differences = _compare_scopes(exams, settings)
    steps = describe_steps(whole, shared, _relabel(exams), len(exams.labels))
    fixed, broken, changed = find_changes(shared, images, exams.labels)
    return replace(
        comparison,
        differences=(*complete, *differences),
        why=explain(*whole, steps),
        fixed=fixed,
        broken=broken,
        changed=changed,
        confusion=subtract_confusion(shared, images, exams.labels),
        settling=settle(differences, shared, grouped=bool(settings.group_by)),
    )


def _compare_scopes(
    exams: _Exams, settings: CompareSettings
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """The differences on the whole test sets, and on the images that these share.

    On one and the same test set both scopes are of the same resamples.
    """
    labels, group_by, images = exams.labels, settings.group_by, exams.pairing.images
    first, second = (exam.evaluation.images for exam in exams.whole)
    whole = set_whole((first, second), labels, group_by)
    if not images:
        samples = resample_differences(exams.whole, [whole], settings.bootstrap)
        return compare_whole(exams.whole, whole, samples[Scope.WHOLE]), ()
    shared = set_shared(images, labels, group_by)
    if exams.pairing.is_exact:
        samples = resample_differences(exams.shared, [whole, shared], settings.bootstrap)
    else:
        samples = {
            **resample_differences(exams.whole, [whole], settings.bootstrap),
            **resample_differences(exams.shared, [shared], settings.bootstrap),
        }
    differences = compare_shared(exams.shared, shared, samples[Scope.SHARED])
    known = differences if exams.pairing.is_exact else ()
    return compare_whole(exams.whole, whole, samples[Scope.WHOLE], known), differences


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


def _examine(sides: tuple[Side, Side]) -> _Exams:
    """Both versions in both scopes; one and the same test set is taken once."""
    first, second = (side.evaluation for side in sides)
    labels = order_labels(first.labels, set(second.labels))
    pairing = pair_images(first, second)
    places = pairing.baseline_idx, pairing.candidate_idx
    one, other = (
        examine(select_images(side.evaluation, image_idx), side.rule, labels)
        for side, image_idx in zip(sides, places, strict=True)
    )
    if pairing.is_exact:
        whole = _with_reported(one, first), _with_reported(other, second)
    else:
        whole = (
            examine(first, sides[0].rule, labels),
            examine(second, sides[1].rule, labels),
        )
    return _Exams(sides=sides, labels=labels, pairing=pairing, whole=whole, shared=(one, other))


def _with_reported(exam: Exam, evaluation: Evaluation) -> Exam:
    """The exam of all images with what the provider says of them."""
    return replace(exam, evaluation=replace(exam.evaluation, reported=evaluation.reported))


def _relabel(exams: _Exams) -> Rows:
    """The baseline's predictions on shared images with the candidate's truth."""
    shared, labels = exams.shared, exams.labels
    if shared[0].metrics.task is Task.CLASSIFICATION:
        return exchange_truth(shared[0].rows, shared[1].rows)
    if shared[0].metrics.task is Task.SEGMENTATION or not exams.pairing.relabelled.any():
        return shared[0].rows
    first, second = (recode_labels(exam.evaluation, labels) for exam in shared)
    return examine(with_truth_of(first, second), exams.sides[0].rule, labels).rows

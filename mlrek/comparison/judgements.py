"""Shares and areas of paired images by tests of their own: McNemar, Newcombe, DeLong, and Holm."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Final, TypeAlias

import numpy as np

from mlrek.comparison import LABEL_DECISIONS, Difference, Evidence, Settling
from mlrek.comparison.left_out import MIN_GROUPS, say_few_groups
from mlrek.comparison.measured import Measured
from mlrek.comparison.pairing import PairUnits, Setting
from mlrek.comparison.rows import Rows
from mlrek.evaluation import BoolArray, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics.areas import delong
from mlrek.metrics.counts import pair_records
from mlrek.metrics.intervals import CONFIDENCE
from mlrek.metrics.paired_tests import (
    GroupedCounts,
    IndependentShares,
    PairedCounts,
    adjust_holm,
    find_spread_range,
    mcnemar_mid_p,
    range_for_shares,
    range_to_decide,
    smallest_decidable,
    smallest_decidable_share,
)

RIGHT_NAMES: Final = {
    Task.CLASSIFICATION: (
        "aggregate/accuracy",
        "aggregate/recall_micro",
        "aggregate/recall_weighted",
    ),
    Task.MULTILABEL: ("aggregate/subset_accuracy",),
}
"""Numbers that are the share of images wholly right."""

MICRO_NAMES: Final = ("aggregate/precision_micro", "aggregate/f1_micro")
"""The same share where one label an image is true and each image has a prediction."""

WRONG_NAMES: Final = {Task.CLASSIFICATION: ("aggregate/hamming_loss",)}
IMAGES_RIGHT: Final = "aggregate/images_right"
"""The share of images of a detection or segmentation on which no label or box is wrong."""

ROC_AUC: Final = "label_roc_auc"
NO_INTERVAL: Final = "no interval: the records of one version or both cannot carry this number"
_Scores: TypeAlias = tuple[FloatArray, BoolArray]
GROUPED_REASON: Final = "no p: several images show one object, so they are not independent"


def judge_pairs(
    found: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting
) -> list[Difference]:
    """The differences of paired images, with those that only tests of pairs give."""
    found = list(_judge_right(found, versions, setting))
    if versions[0].metrics.task in RIGHT_NAMES:
        found = _judge_recall(found, versions, setting)
        found = [*found, *_judge_labels(versions, setting)]
    return _judge_areas(found, versions, setting)


def judge_shares(
    found: Sequence[Difference], versions: tuple[Measured, Measured]
) -> Iterator[Difference]:
    """Shares of images of which none was in both test sets: independent samples."""
    task = versions[0].metrics.task
    independent = set(versions[0].evaluation.images).isdisjoint(versions[1].evaluation.images)
    right = [int(np.count_nonzero(version.rows.is_right)) for version in versions]
    n = [int(np.count_nonzero(version.rows.counted)) for version in versions]
    shares = IndependentShares(
        baseline_right=right[0], baseline_n=n[0], candidate_right=right[1], candidate_n=n[1]
    )
    for difference in found:
        if independent and difference.name in RIGHT_NAMES.get(task, ()):
            yield with_evidence(replace(difference, reason=""), shares)
        else:
            yield difference


def with_evidence(difference: Difference, evidence: Evidence | None, p: float = nan) -> Difference:
    """The difference with its interval; none where a value is undefined."""
    if isnan(difference.difference):
        return difference
    if evidence is None:
        return replace(difference, reason=difference.reason or NO_INTERVAL)
    low, high = evidence.interval(CONFIDENCE)
    reason = difference.reason
    if isnan(low):
        reason = reason or (
            "no interval: resampling the images never changes the difference, or often leaves it "
            "undefined, which shows too few images, not certainty"
        )
    return replace(difference, low=low, high=high, p=p, evidence=evidence, reason=reason)


def judge_slice(
    name: str, right: tuple[BoolArray, BoolArray], images: IntArray, setting: Setting
) -> Difference:
    """The share of some shared images that is right, by Newcombe and McNemar.

    Args:
        name: Of the share.
        right: Which shared images each version has right, (n_shared,) each.
        images: Places of the images, of which there is one at least.
        setting: All shared images.
    """
    sides = right[0][images], right[1][images]
    counts = count_right(*sides)
    share = Difference(
        name=name,
        scope=setting.scope,
        baseline=float(np.mean(sides[0])),
        candidate=float(np.mean(sides[1])),
    )
    if not setting.grouped:
        return _by_mcnemar(share, counts, setting)
    units = np.unique(setting.units.baseline[images], return_inverse=True)[1]
    within = PairUnits(sizes=(int(units.max()) + 1,), baseline=units, candidate=units)
    part = replace(setting, units=within)
    effect = _find_effect_of_images(sides, counts, part, np.ones(len(images), dtype=np.bool_))
    return _by_mcnemar(share, counts, part, effect)


def count_right(baseline: BoolArray, candidate: BoolArray) -> PairedCounts:
    """Images right for both, for one, for neither; (n_images,) each."""
    return PairedCounts(
        both=int(np.count_nonzero(baseline & candidate)),
        only_baseline=int(np.count_nonzero(baseline & ~candidate)),
        only_candidate=int(np.count_nonzero(~baseline & candidate)),
        neither=int(np.count_nonzero(~baseline & ~candidate)),
    )


def _judge_right(
    found: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting
) -> Iterator[Difference]:
    """Shares of images that are right by Newcombe and McNemar; for boxes and masks one more."""
    task = versions[0].metrics.task
    counted = versions[0].rows.counted & versions[1].rows.counted
    right = [version.rows.is_right[counted] for version in versions]
    counts = count_right(*right)
    effect = _find_effect_of_images(right, counts, setting, counted)
    names = RIGHT_NAMES.get(task, ())
    if task is Task.CLASSIFICATION and all(_is_answered(version, counted) for version in versions):
        names = (*names, *MICRO_NAMES)
    evidence = dict.fromkeys(names, counts)
    evidence |= {name: _mirror(counts) for name in WRONG_NAMES.get(task, ())}
    for difference in found:
        mine = evidence.get(difference.name)
        if mine is None or not _is_plain(versions):
            yield difference
        else:
            yield _by_mcnemar(difference, mine, setting, effect)
    if task not in RIGHT_NAMES and counts.n:
        share = Difference(
            name=IMAGES_RIGHT,
            scope=setting.scope,
            baseline=(counts.both + counts.only_baseline) / counts.n,
            candidate=(counts.both + counts.only_candidate) / counts.n,
        )
        yield _by_mcnemar(share, counts, setting, effect)


def _find_effect_of_images(
    right: Sequence[BoolArray], counts: PairedCounts, setting: Setting, counted: BoolArray
) -> float:
    """The design effect of images that are right; 1 where images are the units."""
    n_groups = setting.units.total
    if not setting.grouped or n_groups < MIN_GROUPS:
        return 1.0
    groups = setting.units.baseline[counted]
    change = right[1].astype(np.float64) - right[0]
    return _find_design_effect(
        np.asarray(np.bincount(groups, change, n_groups), dtype=np.float64),
        np.bincount(groups, minlength=n_groups).astype(np.float64),
        counts,
        n_groups,
    )


def _is_answered(version: Measured, counted: BoolArray) -> bool:
    """Whether each image that counts has a prediction."""
    n_predicted = np.count_nonzero(version.rows.y_pred >= 0)
    return bool(n_predicted == np.count_nonzero(counted) == len(version.rows.y_pred))


def _is_plain(versions: tuple[Measured, Measured]) -> bool:
    """Whether the same images count for both versions."""
    return bool(np.array_equal(versions[0].rows.counted, versions[1].rows.counted))


def _mirror(counts: PairedCounts) -> PairedCounts:
    """The same of images that are wrong."""
    return PairedCounts(
        both=counts.neither,
        only_baseline=counts.only_candidate,
        only_candidate=counts.only_baseline,
        neither=counts.both,
    )


def _by_mcnemar(
    difference: Difference, counts: PairedCounts, setting: Setting, design_effect: float = 1.0
) -> Difference:
    """Images that show one object are no independent trials: there is no p, and fewer pairs."""
    if not setting.grouped:
        p = float(mcnemar_mid_p(counts.only_baseline, counts.only_candidate))
        return with_evidence(replace(difference, reason=""), counts, p)
    n_groups = setting.units.total
    if n_groups < MIN_GROUPS:
        return replace(difference, reason=say_few_groups(n_groups))
    evidence = GroupedCounts(counts=counts, n_groups=n_groups, design_effect=design_effect)
    return replace(with_evidence(difference, evidence), reason=difference.reason or GROUPED_REASON)


def _find_design_effect(
    changes: FloatArray, sizes: FloatArray, counts: PairedCounts, n_groups: int
) -> float:
    """How much larger the variance of a difference is than that of independent pairs, at least 1.

    The variance over groups is that of a ratio: G / (G - 1) Σ (change - size · difference)² / n².
    Where no pair differs nothing tells the effect: it is that of groups in which all go together.

    Args:
        changes: Right for the candidate alone minus right for the baseline alone, (n_groups,).
        sizes: The pairs of each group, (n_groups,).
        counts: All pairs.
        n_groups: How many groups there are.
    """
    independent = counts.standard_error**2
    together = float(sizes @ sizes) / max(counts.n, 1)
    if not independent > 0:
        return max(together, 1.0)
    residual = changes - sizes * counts.difference
    variance = n_groups / (n_groups - 1) * float(residual @ residual) / counts.n**2
    return max(variance / independent, 1.0)


def _judge_labels(versions: tuple[Measured, Measured], setting: Setting) -> list[Difference]:
    """Each label's decisions by McNemar, and Holm over the labels that occur."""
    size, counted = len(setting.labels), versions[0].rows.counted & versions[1].rows.counted
    n = int(np.count_nonzero(counted))
    first, second = (_find_wrong_decisions(version.rows, counted, size) for version in versions)
    by_label = _count_labels(np.full(size, n), (first, second), size)
    everywhere = np.flatnonzero(counted)[:, np.newaxis] * size + np.arange(size)
    effects = _find_effects_of_labels(everywhere.ravel(), (first, second), by_label, setting)
    judged = []
    for code in np.flatnonzero(_find_occurring(versions, size)).tolist():
        counts = by_label[code]
        share = Difference(
            name=LABEL_DECISIONS,
            label=setting.labels[code],
            scope=setting.scope,
            baseline=(counts.both + counts.only_baseline) / n if n else nan,
            candidate=(counts.both + counts.only_candidate) / n if n else nan,
        )
        judged.append(_by_mcnemar(share, counts, setting, effects[code]))
    return _adjust(judged)


def _judge_recall(
    found: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting
) -> list[Difference]:
    """The recall of a label is a share of the images where it is true, the same for both."""
    size = len(setting.labels)
    (true, missed), (_, missed_too) = (_find_recalled(e.rows, size) for e in versions)
    n_true = np.bincount(true % size, minlength=size)
    by_label = _count_labels(n_true, (missed, missed_too), size)
    effects = _find_effects_of_labels(true, (missed, missed_too), by_label, setting)
    codes = {label: code for code, label in enumerate(setting.labels)}
    judged = {
        d.label: _by_mcnemar(d, by_label[codes[d.label]], setting, effects[codes[d.label]])
        for d in found
        if d.name == "label_recall" and not isnan(d.difference)
    }
    adjusted = dict(zip(judged, _adjust(list(judged.values())), strict=True))
    return [adjusted.get(d.label, d) if d.name == "label_recall" else d for d in found]


def _count_labels(
    n_images: IntArray, wrong: tuple[IntArray, IntArray], n_labels: int
) -> list[PairedCounts]:
    """The counts of each label.

    Args:
        n_images: How many images each label is judged on, (n_labels,).
        wrong: Of both versions the wrong decisions, image times `n_labels` plus label, distinct.
        n_labels: How many labels there are.
    """
    neither = np.intersect1d(wrong[0], wrong[1], assume_unique=True)
    n_wrong = [np.bincount(codes % n_labels, minlength=n_labels) for codes in wrong]
    n_neither = np.bincount(neither % n_labels, minlength=n_labels)
    return [
        PairedCounts(
            both=n - baseline - candidate + both_wrong,
            only_baseline=candidate - both_wrong,
            only_candidate=baseline - both_wrong,
            neither=both_wrong,
        )
        for n, baseline, candidate, both_wrong in zip(
            *(column.tolist() for column in (n_images, *n_wrong, n_neither)), strict=True
        )
    ]


def _find_effects_of_labels(
    decided: IntArray,
    wrong: tuple[IntArray, IntArray],
    by_label: Sequence[PairedCounts],
    setting: Setting,
) -> list[float]:
    """The design effect of each label's decisions; 1 where images are the units.

    `decided` and `wrong` are codes as in `_count_labels`: all decisions, and the wrong ones.
    """
    n_labels, n_groups = len(by_label), setting.units.total
    if not setting.grouped or n_groups < MIN_GROUPS:
        return [1.0] * n_labels
    groups = setting.units.baseline

    def count(codes: IntArray) -> FloatArray:
        cells = groups[codes // n_labels] * n_labels + codes % n_labels
        counts = np.bincount(cells, minlength=n_groups * n_labels)
        return counts.reshape(n_groups, n_labels).astype(np.float64)

    sizes, changes = count(decided), count(wrong[0]) - count(wrong[1])
    return [
        _find_design_effect(changes[:, code], sizes[:, code], counts, n_groups)
        for code, counts in enumerate(by_label)
    ]


def _adjust(judged: list[Difference]) -> list[Difference]:
    """The same with p adjusted for there being several of them (Holm)."""
    adjusted = adjust_holm(np.array([d.p for d in judged], dtype=np.float64))
    return [replace(d, p_adjusted=float(p)) for d, p in zip(judged, adjusted, strict=True)]


def _find_occurring(versions: tuple[Measured, Measured], n_labels: int) -> BoolArray:
    """Which labels are true or predicted, (n_labels,)."""
    return np.asarray(np.any([version.rows.count(n_labels).occurs for version in versions], axis=0))


def _find_recalled(rows: Rows, n_labels: int) -> tuple[IntArray, IntArray]:
    """Where a label is true, and where of these it is not predicted: image and label in a code."""
    is_true = rows.y_true >= 0
    codes = rows.image_idx[is_true] * n_labels + rows.y_true[is_true]
    return codes, codes[rows.is_mistake[is_true]]


def _find_wrong_decisions(rows: Rows, counted: BoolArray, n_labels: int) -> IntArray:
    """Where a label is wrongly predicted or wrongly not, of images that count, in such codes."""
    wrong = rows.is_mistake & counted[rows.image_idx]
    codes = [
        (rows.image_idx * n_labels + labels)[wrong & (labels >= 0)]
        for labels in (rows.y_true, rows.y_pred)
    ]
    return np.unique(np.concatenate(codes))


def _judge_areas(
    found: Sequence[Difference], versions: tuple[Measured, Measured], setting: Setting
) -> list[Difference]:
    """The area under the ROC curve of each label by DeLong, where both have every score."""
    complete = all(
        version.evaluation.records_kind is RecordsKind.COMPLETE
        and version.metrics.task in RIGHT_NAMES
        for version in versions
    )
    if not complete or setting.grouped:
        return list(found)
    scores = [_list_scores(version) for version in versions]
    judged = _adjust(
        [
            _by_delong(difference, *(one[difference.label] for one in scores))
            for difference in found
            if difference.name == ROC_AUC and not isnan(difference.difference)
        ]
    )
    by_label = {difference.label: difference for difference in judged}
    return [by_label.get(d.label, d) if d.name == ROC_AUC else d for d in found]


def _by_delong(difference: Difference, baseline: _Scores, candidate: _Scores) -> Difference:
    """The difference with DeLong's p, where there are images enough for an interval."""
    if isnan(difference.low) or not np.array_equal(baseline[1], candidate[1]):
        return difference
    return replace(difference, p=delong(baseline[0], candidate[0], baseline[1]).p)


def _list_scores(version: Measured) -> dict[str, _Scores]:
    """Confidence and truth of each label on every image that counts, of complete records."""
    evaluation = version.evaluation
    keep = version.rows.counted if evaluation.task is Task.CLASSIFICATION else None
    pairs = pair_records(evaluation, keep)
    shape = pairs.n_images, pairs.n_labels
    columns = pairs.confidence.reshape(shape).T, pairs.is_true.reshape(shape).T
    return dict(zip(evaluation.labels, zip(*columns, strict=True), strict=True))


def settle(
    differences: Sequence[Difference], shared: tuple[Measured, Measured], *, grouped: bool
) -> Settling | None:
    """What would decide a difference of images wholly right that is undecided.

    Images that show one object are no independent trials: there the spread is that between objects.
    """
    names = (*RIGHT_NAMES.get(shared[0].metrics.task, ()), IMAGES_RIGHT)
    difference = next((d for d in differences if d.name in names), None)
    if difference is None or not difference.low <= 0 <= difference.high:
        return None
    counted = shared[0].rows.counted & shared[1].rows.counted
    counts = count_right(*(version.rows.is_right[counted] for version in shared))
    if grouped:
        spread = difference.evidence.standard_error if difference.evidence else nan
        return Settling(
            needed=range_to_decide(round(counts.n), spread, _range_discordance(counts, spread)),
            smallest_difference=smallest_decidable(spread),
        )
    return Settling(
        needed=range_for_shares(counts, confidence=CONFIDENCE),
        smallest_difference=smallest_decidable_share(counts, confidence=CONFIDENCE),
    )


def _range_discordance(counts: PairedCounts, error: float) -> tuple[float, float, float]:
    """The interval of the discordance of so many independent images as tell the same."""
    n_changed = counts.only_baseline + counts.only_candidate
    variance = (n_changed / counts.n - counts.difference**2) / counts.n
    effect = max(error * error / variance, 1.0) if variance > 0 and error > 0 else 1.0
    return find_spread_range(n_changed / effect, counts.n / effect)

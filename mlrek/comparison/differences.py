"""Every number of two versions side by side, with how surely they differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Final, TypeAlias

import numpy as np

from mlrek.comparison import Difference, Evidence, Scope
from mlrek.comparison.measures import HAMMING, Measure, Values, list_values
from mlrek.comparison.rows import Rows
from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, RecordsKind, Task
from mlrek.metrics import Metrics
from mlrek.metrics.counts import NOTHING_REASON, LabelCounts
from mlrek.metrics.delong import delong
from mlrek.metrics.paired_tests import (
    IndependentShares,
    Normal,
    PairedCounts,
    Resampled,
    adjust_holm,
    mcnemar_mid_p,
)
from mlrek.metrics.pairs import pair_records
from mlrek.metrics.resampling import Bootstrap, Weights, draw_strata

CONFIDENCE: Final = 0.95
RIGHT_NAMES: Final = {
    Task.CLASSIFICATION: (
        "aggregate/accuracy",
        "aggregate/recall_micro",
        "aggregate/recall_weighted",
    ),
    Task.MULTILABEL: ("aggregate/subset_accuracy",),
}
"""Numbers that are the share of images wholly right."""

WRONG_NAMES: Final = {Task.CLASSIFICATION: ("aggregate/hamming_loss",)}
IMAGES_RIGHT: Final = "aggregate/images_right"
"""The share of images of a detection or segmentation on which no label or box is wrong."""

ROC_AUC: Final = "label_roc_auc"
LABEL_DECISIONS: Final = "label_decisions"
"""The share of images on which a label is rightly predicted or rightly not."""

NO_INTERVAL: Final = "no interval: the records of one version or both cannot carry this number"
REPORTED_REASON: Final = "no interval: the provider publishes the number alone"
_Scores: TypeAlias = tuple[FloatArray, BoolArray]
GROUPED_REASON: Final = "no p: several images show one object, so they are not independent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """One version on the images of a scope, label codes shared with the other version.

    `metrics` are without intervals; `codes` (n_own_labels,) the shared code of each own label.
    """

    evaluation: Evaluation
    metrics: Metrics
    rows: Rows
    measure: Measure
    codes: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What is drawn when images are resampled: images, or the objects that several images show.

    `sizes` are the units of each stratum, which follow each other; `baseline` and `candidate`
    (n_images,) the unit of each image of the two exams.
    """

    sizes: tuple[int, ...]
    baseline: IntArray
    candidate: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the differences of one scope are of. `paired`: image i is the same in both exams.

    `grouped`: units are objects, so that images are not independent of each other.
    """

    scope: Scope
    labels: tuple[str, ...]
    units: Units
    paired: bool
    grouped: bool


def compute_differences(
    baseline: Exam, candidate: Exam, setting: Setting, bootstrap: Bootstrap
) -> tuple[Difference, ...]:
    """The numbers of both versions on the images of a scope, with the interval of each difference.

    On paired images the macro averages are over the labels of both versions, those that are true
    or predicted by either.
    """
    exams = baseline, candidate
    samples = resample_differences(exams, setting, bootstrap)
    values = _average_over_both(exams) if setting.paired else [_values(exam) for exam in exams]
    keys = dict.fromkeys((*values[0], *values[1]))
    found = [
        _describe(key, values, samples.get(key), setting.scope)
        for key in keys
        if setting.scope is Scope.WHOLE or not _is_reported(key[0])
    ]
    if not setting.paired:
        return tuple(found if setting.grouped else _judge_shares(found, exams))
    found = _judge_recall(list(_judge_right(found, exams, setting)), exams, setting)
    return tuple(_judge_areas([*found, *_judge_labels(exams, setting)], exams, setting))


def resample_differences(
    exams: tuple[Exam, Exam], setting: Setting, bootstrap: Bootstrap
) -> Values:
    """Candidate minus baseline in each resample, (n_resamples,) by name and label."""
    units = setting.units
    if not sum(units.sizes) or not bootstrap.resamples:
        return {}
    blocks: list[Values] = []
    for drawn in draw_strata(units.sizes, bootstrap):
        weights = drawn[units.baseline], drawn[units.candidate]
        blocks.append(_subtract(exams, weights, setting))
    return {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}


def _subtract(
    exams: tuple[Exam, Exam], weights: tuple[Weights, Weights], setting: Setting
) -> Values:
    counts = [e.measure.count(w) for e, w in zip(exams, weights, strict=True)]
    among = _find_among(counts[0], counts[1]) if setting.paired else {}
    both: list[Values] = []
    for exam, weight, count in zip(exams, weights, counts, strict=True):
        both.append(exam.measure.compute(weight, count, among, setting.labels))
    return {key: both[1][key] - both[0][key] for key in both[0] if key in both[1]}


def _find_among(
    baseline: Mapping[str, LabelCounts], candidate: Mapping[str, LabelCounts]
) -> dict[str, BoolArray]:
    """The labels that occur for either version, by kind of counts."""
    return {
        kind: baseline[kind].occurs | candidate[kind].occurs
        for kind in baseline
        if kind in candidate
    }


def _values(exam: Exam) -> dict[tuple[str, str], tuple[float, str]]:
    return {
        (name, label): (value, reason)
        for name, label, value, reason in list_values(exam.metrics, exam.evaluation)
    }


def _average_over_both(exams: tuple[Exam, Exam]) -> list[dict[tuple[str, str], tuple[float, str]]]:
    """The values of both versions, averages over labels being over those of both."""
    ones = (np.ones((len(exam.evaluation.images), 1), dtype=np.float32) for exam in exams)
    counts = [exam.measure.count(weights) for exam, weights in zip(exams, ones, strict=True)]
    among = _find_among(*counts)
    both = []
    for exam, count in zip(exams, counts, strict=True):
        values = _values(exam)
        for key, found in exam.measure.average(count, among).items():
            value, reason = values[key]
            if not isnan(value) or reason == NOTHING_REASON:
                average = float(found[0])
                values[key] = average, reason if isnan(average) else ""
        if exam.metrics.task is Task.MULTILABEL:
            value, reason = values[HAMMING]
            values[HAMMING] = value * exam.measure.known_share, reason
        both.append(values)
    return both


def _describe(
    key: tuple[str, str],
    values: Sequence[Mapping[tuple[str, str], tuple[float, str]]],
    sample: np.ndarray[tuple[int], np.dtype[np.float64]] | None,
    scope: Scope,
) -> Difference:
    (baseline, reason), (candidate, other_reason) = (
        side.get(key, (nan, "only one of the versions has this number")) for side in values
    )
    evidence = Resampled(differences=sample) if sample is not None else None
    difference = Difference(
        name=key[0],
        label=key[1],
        scope=scope,
        baseline=baseline,
        candidate=candidate,
        reason=reason or other_reason or (REPORTED_REASON if _is_reported(key[0]) else ""),
    )
    return with_evidence(difference, evidence)


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


def count_right(baseline: BoolArray, candidate: BoolArray) -> PairedCounts:
    """Images right for both, for one, for neither; (n_images,) each."""
    return PairedCounts(
        both=int(np.count_nonzero(baseline & candidate)),
        only_baseline=int(np.count_nonzero(baseline & ~candidate)),
        only_candidate=int(np.count_nonzero(~baseline & candidate)),
        neither=int(np.count_nonzero(~baseline & ~candidate)),
    )


def _judge_right(
    found: Sequence[Difference], exams: tuple[Exam, Exam], setting: Setting
) -> Iterator[Difference]:
    """Shares of images that are right by Newcombe and McNemar; for boxes and masks one more."""
    task = exams[0].metrics.task
    counted = exams[0].rows.counted & exams[1].rows.counted
    counts = count_right(*(exam.rows.is_right[counted] for exam in exams))
    evidence = dict.fromkeys(RIGHT_NAMES.get(task, ()), counts)
    evidence |= {name: _mirror(counts) for name in WRONG_NAMES.get(task, ())}
    for difference in found:
        mine = evidence.get(difference.name)
        if mine is None or not _is_plain(exams):
            yield difference
        else:
            yield _by_mcnemar(difference, mine, setting)
    if task not in RIGHT_NAMES and counts.n:
        share = Difference(
            name=IMAGES_RIGHT,
            scope=setting.scope,
            baseline=(counts.both + counts.only_baseline) / counts.n,
            candidate=(counts.both + counts.only_candidate) / counts.n,
        )
        yield _by_mcnemar(share, counts, setting)


def _is_plain(exams: tuple[Exam, Exam]) -> bool:
    """Whether the same images count for both versions."""
    return bool(np.array_equal(exams[0].rows.counted, exams[1].rows.counted))


def _mirror(counts: PairedCounts) -> PairedCounts:
    """The same of images that are wrong."""
    return PairedCounts(
        both=counts.neither,
        only_baseline=counts.only_candidate,
        only_candidate=counts.only_baseline,
        neither=counts.both,
    )


def _by_mcnemar(difference: Difference, counts: PairedCounts, setting: Setting) -> Difference:
    """Images that show one object are no independent trials: these keep their bootstrap."""
    if setting.grouped:
        return replace(difference, reason=difference.reason or GROUPED_REASON)
    p = float(mcnemar_mid_p(counts.only_baseline, counts.only_candidate))
    return with_evidence(replace(difference, reason=""), counts, p)


def _judge_labels(exams: tuple[Exam, Exam], setting: Setting) -> list[Difference]:
    """Each label's decisions by McNemar, and Holm over the labels that occur."""
    if exams[0].metrics.task not in RIGHT_NAMES:
        return []
    counted = exams[0].rows.counted & exams[1].rows.counted
    judged = []
    for code, label in enumerate(setting.labels):
        if not any(np.any((e.rows.y_true == code) | (e.rows.y_pred == code)) for e in exams):
            continue
        right = [_find_right_decisions(exam.rows, code)[counted] for exam in exams]
        counts = count_right(*right)
        share = Difference(
            name=LABEL_DECISIONS,
            label=label,
            scope=setting.scope,
            baseline=float(np.mean(right[0])) if counts.n else nan,
            candidate=float(np.mean(right[1])) if counts.n else nan,
        )
        judged.append(_by_mcnemar(share, counts, setting))
    return _adjust(judged)


def _judge_recall(
    found: Sequence[Difference], exams: tuple[Exam, Exam], setting: Setting
) -> list[Difference]:
    """The recall of a label is a share of the images where it is true, the same for both."""
    if exams[0].metrics.task not in RIGHT_NAMES:
        return list(found)
    codes = {label: code for code, label in enumerate(setting.labels)}
    judged = {}
    for difference in found:
        if difference.name == "label_recall" and not isnan(difference.difference):
            true, right = zip(
                *(_find_recalled(e.rows, codes[difference.label]) for e in exams), strict=True
            )
            if np.array_equal(true[0], true[1]):
                counts = count_right(right[0][true[0]], right[1][true[1]])
                judged[difference.label] = _by_mcnemar(difference, counts, setting)
    adjusted = dict(zip(judged, _adjust(list(judged.values())), strict=True))
    return [adjusted.get(d.label, d) if d.name == "label_recall" else d for d in found]


def _adjust(judged: list[Difference]) -> list[Difference]:
    """The same with p adjusted for there being several of them (Holm)."""
    adjusted = adjust_holm(np.array([d.p for d in judged], dtype=np.float64))
    return [replace(d, p_adjusted=float(p)) for d, p in zip(judged, adjusted, strict=True)]


def _find_recalled(rows: Rows, code: int) -> tuple[BoolArray, BoolArray]:
    """Images on which a label is true, and on which it is rightly predicted, (n_images,) each."""
    true, right = np.zeros((2, len(rows.counted)), dtype=np.bool_)
    is_true = rows.y_true == code
    true[rows.image_idx[is_true]] = True
    right[rows.image_idx[is_true & ~rows.is_mistake]] = True
    return true, right


def _find_right_decisions(rows: Rows, code: int) -> BoolArray:
    """Images on which a label is rightly predicted or rightly not, (n_images,)."""
    wrong = ((rows.y_true == code) | (rows.y_pred == code)) & rows.is_mistake
    right = np.ones(len(rows.counted), dtype=np.bool_)
    right[rows.image_idx[wrong]] = False
    return right


def _judge_areas(
    found: Sequence[Difference], exams: tuple[Exam, Exam], setting: Setting
) -> list[Difference]:
    """The area under the ROC curve of each label by DeLong, where both have every score."""
    complete = all(
        exam.evaluation.records_kind is RecordsKind.COMPLETE and exam.metrics.task in RIGHT_NAMES
        for exam in exams
    )
    if not complete or setting.grouped:
        return list(found)
    scores = [_list_scores(exam) for exam in exams]
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
    if not np.array_equal(baseline[1], candidate[1]):
        return replace(difference, p=nan)  # the truth of shared images was changed
    result = delong(baseline[0], candidate[0], baseline[1])
    evidence = Normal(difference=difference.difference, standard_error=result.standard_error)
    return with_evidence(replace(difference, reason=""), evidence, result.p)


def _list_scores(exam: Exam) -> dict[str, _Scores]:
    """Confidence and truth of each label on every image that counts, of complete records."""
    evaluation = exam.evaluation
    keep = exam.rows.counted if evaluation.task is Task.CLASSIFICATION else None
    pairs = pair_records(evaluation, keep)
    shape = pairs.n_images, pairs.n_labels
    columns = pairs.confidence.reshape(shape).T, pairs.is_true.reshape(shape).T
    return dict(zip(evaluation.labels, zip(*columns, strict=True), strict=True))


def _judge_shares(found: Sequence[Difference], exams: tuple[Exam, Exam]) -> Iterator[Difference]:
    """Shares of images of test sets that have nothing in common: independent samples."""
    task = exams[0].metrics.task
    disjoint = not set(exams[0].evaluation.images) & set(exams[1].evaluation.images)
    right = [int(np.count_nonzero(exam.rows.is_right)) for exam in exams]
    n = [int(np.count_nonzero(exam.rows.counted)) for exam in exams]
    shares = IndependentShares(
        baseline_right=right[0], baseline_n=n[0], candidate_right=right[1], candidate_n=n[1]
    )
    for difference in found:
        if disjoint and difference.name in RIGHT_NAMES.get(task, ()):
            yield with_evidence(replace(difference, reason=""), shares)
        else:
            yield difference


def _is_reported(name: str) -> bool:
    return name.startswith(("reported/", "label_reported_"))

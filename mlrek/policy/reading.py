"""What a check reads: a number, its name in words, the doubts that touch it, earlier looks."""

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isfinite, nan
from statistics import NormalDist
from typing import Final

import numpy as np

from mlrek.evaluation import Doubt, DoubtKind, Effect, Evaluation, IntArray, Task
from mlrek.metrics import Metrics, Number
from mlrek.metrics.crossfit import PREFIX, find_crossfit
from mlrek.metrics.numbers import list_numbers
from mlrek.metrics.paired_tests import ImagesNeeded
from mlrek.policy import (
    Better,
    Candidate,
    Check,
    Figure,
    LeakageRule,
    Looks,
    Metric,
    Numbers,
    Opponent,
    Policy,
    Status,
    TestImages,
    TestSetPolicy,
)
from mlrek.text import say_number, say_range

ACCEPT_ADVICE: Final = 'or accept it in the policy: [test_set] accept = ["{}"]'
CROSSFIT_NOTE: Final = (
    "read with thresholds that were chosen on the other images (cross-fitted), as the version's "
    "own were chosen on this very test set"
)
_OF_WHOLE: Final = ("reported/", "label_reported_", "training/", "base_model/")
_PLAIN_ERROR, _DEBIASED_ERROR = "/ece", "/ece_debiased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a check reads: a number of one version, or of both, with its interval or without.

    `asked` is the number that the policy names, `metric` the one that is read; mostly they are one.
    `slice` is the slice that both are read in, '' for all test images.
    """

    asked: Metric
    metric: Metric
    is_relative: bool
    has_interval: bool
    slice: str = ""

    @property
    def is_crossfit(self) -> bool:
        """Whether its thresholds were chosen on other images than those they are judged on."""
        return self.metric != self.asked and self.metric.name.startswith(PREFIX)

    @property
    def is_debiased(self) -> bool:
        """Whether it is the calibration error without what chance adds to it."""
        return self.metric.name.endswith(_DEBIASED_ERROR) and self.metric != self.asked


_NORMAL: Final = NormalDist()
_BOUND, _POINTS = 9.0, 721


def choose_reading(
    named: Reading,
    doubts: Iterable[Doubt],
    asked: TestSetPolicy,
    task: Task,
    has_number: Callable[[Metric], bool],
) -> Reading:
    """The reading of a cross-fitted or debiased number, where there is one and it is called for.

    Args:
        named: The reading of the number that the policy names.
        doubts: Those of the versions.
        asked: What the policy accepts of a test set.
        task: Of the versions.
        has_number: Whether a number is there.
    """
    is_fitted = any(
        doubt.kind == DoubtKind.THRESHOLDS_FITTED
        and doubt.kind not in asked.accept
        and doubt.touches_number(named.asked.name, named.asked.label)
        for doubt in doubts
    )
    crossfit = find_crossfit(task, named.asked.name) if is_fitted else ""
    for wanted in _list_better(named, crossfit):
        if has_number(wanted):
            return replace(named, metric=wanted)
    return named


def apply_doubts(
    check: Check, doubts: Iterable[Doubt], asked: TestSetPolicy, reading: Reading
) -> Check:
    """The check as doubts leave it: what would pass is undecided, what failed stays failed."""
    stopping = [doubt for doubt in doubts if _stops(doubt, asked, reading)]
    if not stopping or check.status not in {Status.PASSED, Status.UNDECIDED}:
        return check
    said = "; ".join(_say(doubt) for doubt in stopping)
    would = f"it would pass, but {said}"
    if check.status == Status.PASSED:
        reason = f"{would}; {check.reason}" if check.reason else would
    else:
        reason = f"{check.reason}; besides, {said}" if check.reason else said
    return replace(check, status=Status.UNDECIDED, reason=reason, is_doubted=True)


def list_floor_doubts(candidate: Candidate, opponent: Opponent) -> tuple[Doubt, ...]:
    """The doubts of the candidate's own numbers; a comparison may have found further ones."""
    found = opponent.comparison.doubts if opponent.comparison else ()
    further = [
        doubt
        for doubt in found
        if doubt.side in {"candidate", "both"} and doubt.kind != DoubtKind.INTERVAL_SHORT
    ]
    return _merge((*candidate.doubts, *further))


def list_relative_doubts(candidate: Candidate, opponent: Opponent) -> tuple[Doubt, ...]:
    """The doubts of a comparison and of both its sides.

    That a version's own interval is short says nothing of the interval of a difference.
    """
    found = opponent.comparison.doubts if opponent.comparison else ()
    return _merge(
        [
            doubt
            for doubt in (*found, *candidate.doubts)
            if doubt.kind != DoubtKind.INTERVAL_SHORT or doubt.side is None
        ]
    )


def list_decision_doubts(candidate: Candidate, opponent: Opponent) -> tuple[Doubt, ...]:
    """Every doubt that a decision knows of, whether it stops anything or not."""
    found = opponent.comparison.doubts if opponent.comparison else ()
    return _merge((*candidate.doubts, *found))


def _list_better(named: Reading, crossfit: str) -> Iterator[Metric]:
    if crossfit:
        yield Metric(name=crossfit, label=named.asked.label)
    if named.has_interval and named.asked.name.endswith(_PLAIN_ERROR):
        yield Metric(name=named.asked.name.removesuffix(_PLAIN_ERROR) + _DEBIASED_ERROR)


def _stops(doubt: Doubt, asked: TestSetPolicy, reading: Reading) -> bool:
    if doubt.kind in asked.accept or _is_answered(doubt, asked, reading):
        return False
    if doubt.side == "baseline" and not reading.is_relative:
        return False
    return _has_effect(doubt, reading) and (
        _touches(doubt, reading.asked) or _touches(doubt, reading.metric)
    )


def _is_answered(doubt: Doubt, asked: TestSetPolicy, reading: Reading) -> bool:
    """Whether the policy itself, or what is read, says what is to be made of it.

    Groups that do not hold together what goes together leave that doubt an effect of its own.
    """
    if doubt.kind == DoubtKind.THRESHOLDS_FITTED:
        return reading.is_crossfit
    if doubt.kind == DoubtKind.SEEN_IN_TRAINING:
        return asked.leakage is LeakageRule.ALLOWED
    if doubt.kind == DoubtKind.GROUPED:
        return bool(asked.group_by) and doubt.own_effect is None
    return False


def _has_effect(doubt: Doubt, reading: Reading) -> bool:
    """Whether it is of a kind that stops such a check.

    A baseline that left images out would be beaten too easily.
    """
    if doubt.kind == DoubtKind.UNANSWERED and doubt.side in {"baseline", "both"}:
        return reading.is_relative
    return {
        Effect.STOPS: True,
        Effect.STOPS_RELATIVE: reading.is_relative,
        Effect.STOPS_INTERVALS: reading.has_interval,
        Effect.SAID: False,
    }[doubt.effect]


def _touches(doubt: Doubt, metric: Metric) -> bool:
    """Whether it weakens a number, or its interval, which a run keeps under a name of its own."""
    short = metric.name.rpartition("/")[2]
    return doubt.touches_number(metric.name, metric.label) or (
        doubt.effect == Effect.STOPS_INTERVALS
        and doubt.touches_number(f"interval/{short}", metric.label)
    )


def _say(doubt: Doubt) -> str:
    whose = "of the baseline: " if doubt.side == "baseline" else ""
    return f"{whose}{doubt.text} [{doubt.kind.value}], {ACCEPT_ADVICE.format(doubt.kind.value)}"


def _merge(doubts: Sequence[Doubt]) -> tuple[Doubt, ...]:
    """Each doubt once: one that both versions have is not the candidate's alone as well."""
    found = {_fact(d): d for d in doubts if d.side == "both"}
    distinct = (found.get(_fact(d), d) for d in doubts)
    return tuple({(_fact(d), d.side): d for d in distinct}.values())


def _fact(doubt: Doubt) -> tuple[DoubtKind, str, tuple[str, ...], Effect]:
    return doubt.kind, doubt.text, doubt.touches, doubt.effect


def collect_numbers(evaluation: Evaluation, metrics: Metrics) -> Numbers:
    """Every number of a version; what is not finite is undefined."""
    return Numbers(
        figures={
            Metric(name=row.name, label=row.label): _figure(row.number)
            for row in list_numbers(evaluation, metrics)
        },
        labels=metrics.labels,
        task=metrics.task,
    )


def suggest_metric(metric: Metric, numbers: Numbers) -> str:
    """What a name that is not there may have been meant to be, '' where nothing is like it."""
    if metric.label and metric.label not in numbers.labels:
        close = get_close_matches(metric.label, numbers.labels, n=1)
        return f"{metric.name}/{close[0]}" if close else ""
    names = {known.name for known in numbers.figures if bool(known.label) == bool(metric.label)}
    group, slash, name = metric.name.rpartition("/")
    own = sorted(n.removeprefix(group + slash) for n in names if n.startswith(group + slash))
    close = get_close_matches(name, own, n=1)
    return str(Metric(name=group + slash + close[0], label=metric.label)) if close else ""


def count_test_images(evaluation: Evaluation, only: Container[str] | None = None) -> TestImages:
    """Distinct test images with truth, and of each label those whose truth has it.

    Args:
        evaluation: With images, or with what the provider says of their number.
        only: URIs of the images that count; None: all.
    """
    if not evaluation.has_images:
        reported = evaluation.reported
        per_label = {
            label: int(numbers["test_images"])
            for label, numbers in reported.per_label.items()
            if "test_images" in numbers
        }
        return TestImages(total=reported.test_images, per_label=per_label or None)
    image_idx, label_idx = _true_pairs(evaluation)
    pairs = {
        (evaluation.images[i], code)
        for i, code in zip(image_idx.tolist(), label_idx.tolist(), strict=True)
        if only is None or evaluation.images[i] in only
    }
    counts = Counter(code for _, code in pairs)
    if evaluation.task == Task.CLASSIFICATION:  # images without truth are left out there
        images = {image for image, _ in pairs}
    else:
        images = {image for image in evaluation.images if only is None or image in only}
    return TestImages(
        total=len(images),
        per_label={label: counts[code] for code, label in enumerate(evaluation.labels)},
    )


def _figure(number: Number) -> Figure:
    value, low, high = (
        float(part) if isfinite(part) else nan for part in (number.value, number.low, number.high)
    )
    return Figure(value=value, low=low, high=high, reason=number.reason)


def _true_pairs(evaluation: Evaluation) -> tuple[IntArray, IntArray]:
    """Each image with each of its true labels: image positions and label codes, both (n,).

    Of the image itself, of a box on it or of an area of it; a pair may occur more than once.
    """
    pairs = [(evaluation.truth.image_idx, evaluation.truth.label_idx)]
    if evaluation.detections is not None:
        truth = evaluation.detections.truth
        pairs.append((truth.image_idx[truth.counted], truth.label_idx[truth.counted]))
    if evaluation.masks is not None:
        masks = evaluation.masks
        is_true = np.asarray(masks.tp + masks.fn) > 0
        pairs.append((masks.image_idx[is_true], masks.label_idx[is_true]))
    image_idx, label_idx = (np.concatenate(columns) for columns in zip(*pairs, strict=True))
    return image_idx, label_idx


def say_missing(metric: Metric, numbers: Numbers) -> str:
    """That a version has no such number, and which was probably meant."""
    meant = suggest_metric(metric, numbers)
    hint = f"; did you mean {meant!r}?" if meant else "; its evaluation.json lists all it has"
    return f"the evaluation has no number {str(metric)!r}{hint}"


def say_absent(reading: Reading, numbers: Numbers) -> str:
    """That a check has no number to read, and why."""
    if reading.slice and is_of_whole(reading.metric):
        return (
            f"the service gives {str(reading.metric)!r} of all test images, not of slices: name a "
            "number that is computed from images, as 'aggregate/f1_macro'"
        )
    return say_missing(reading.metric, numbers)


def is_of_whole(metric: Metric) -> bool:
    """Whether it is a service's own number, which no slice has."""
    return metric.name.startswith(_OF_WHOLE)


def say_needed(needed: ImagesNeeded | None, images: str = "test images") -> str:
    """The estimate in words, rounded up to two digits; '' where there is none.

    Nothing is said of the side on which the truth lies: nobody knows. `images` is what they are of.

    >>> say_needed(ImagesNeeded(3613, 8241, 0.01))
    '; 3,700 to 8,300 test images would tell a true distance of 0.01 from it (80 % power, estimate)'
    """
    if needed is None:
        return ""
    return (
        f"; {say_range(*needed.ends)} {images} would tell a true distance of "
        f"{say_number(needed.distance)} from it (80 % power, estimate)"
    )


def compute_chance(n: int, confidence: float) -> float:
    """The chance that at least one of n versions, none of them better, passes as better.

    Each is compared with the same baseline, so that all differences share its luck: they have a
    correlation of 1/2 where the versions differ from one another as much as from the baseline
    (Dunnett 1955, one-sided). For n = 1 it is half of what the confidence leaves open.

    >>> [round(compute_chance(n, 0.95), 3) for n in (1, 2, 20)]
    [0.025, 0.045, 0.21]
    """
    limit = _NORMAL.inv_cdf((1 + confidence) / 2) * math.sqrt(2)
    luck = np.linspace(-_BOUND, _BOUND, _POINTS)
    below = np.array([_NORMAL.cdf(limit + z) for z in luck.tolist()])
    density = np.exp(-(luck**2) / 2) / math.sqrt(2 * math.pi)
    none_passes = float(np.sum(density * below**n) * (luck[1] - luck[0]))
    return min(1.0, max(0.0, 1 - none_passes))


def hold_to_look(confidence: float, k: int) -> float:
    """The confidence that the k-th candidate is held to: 1 - α/(k(k+1)), for 1 - α.

    >>> [round(hold_to_look(0.95, k), 6) for k in (1, 2, 20)]
    [0.975, 0.991667, 0.999881]
    """
    return 1 - (1 - confidence) / (k * (k + 1))


def bound_chance(n: int, confidence: float) -> float:
    """At most that chance where the k-th of n versions is held to α/(k(k+1))."""
    return (1 - confidence) / 2 * n / (n + 1)


def judge_looks(found: Looks | None, policy: Policy) -> Looks | None:
    """The looks as a policy takes them: with the chance that its checks leave."""
    if found is None:
        return None
    adjusted = policy.test_set.adjust_for_looks
    asked = [check.confidence for check in policy.relative if isinstance(check, Better)]
    compute = bound_chance if adjusted else compute_chance
    is_known = bool(asked) and found.count is not None
    chance = compute(found.total, min(asked)) if is_known else math.nan
    return replace(found, chance=chance, adjusted=adjusted)

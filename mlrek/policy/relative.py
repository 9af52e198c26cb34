"""Checks against the baseline: not worse by more than a margin, or better.

With d = candidate minus baseline (its sign turned where less is better) and the interval of d at
the check's confidence: `no_worse` with margin m passes where the interval lies above −m and fails
where it lies below −m; `better` passes where it lies above 0 and fails where it lies at or below 0.
Anything else is undecided. The intervals have two sides, so that a wrong "passed" is about half as
likely as 1 − confidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isnan, nan

from mlrek.comparison import (
    LESS_IS_BETTER,
    Comparison,
    Difference,
    Scope,
    Verdict,
    find_worse_labels,
)
from mlrek.comparison.differences import FITTED_ALIKE
from mlrek.evaluation import Doubt
from mlrek.metrics.intervals import compute_margin
from mlrek.metrics.paired_tests import ImagesNeeded, find_spread_range, range_to_decide
from mlrek.policy import (
    Better,
    Candidate,
    Check,
    Looks,
    Metric,
    NoWorse,
    Opponent,
    SameTestSet,
    Status,
    TestSetPolicy,
)
from mlrek.policy.floors import CheckAnswer, expand_labels, find_failing, range_variance
from mlrek.policy.reading import (
    CROSSFIT_NOTE,
    Reading,
    apply_doubts,
    choose_reading,
    hold_to_look,
    say_change,
    say_missing,
    say_needed,
    say_number,
    say_percent,
)

MAX_NAMES = 10
ONLY_THRESHOLDS = "both versions have the same confidences on every image: only thresholds differ"
NOT_COUNTED = "nothing tells"
_NO_WIDTH = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What relative checks stand on.

    `asked` is what the policy accepts of a test set, `doubts` are those of both versions.
    `incomparable` says why the versions cannot be compared under the policy, `unaccepted` what else
    the policy does not accept of the test set; '' where nothing is wrong. `remark` is to be known
    of a comparison even where it passes. `looks` is how many were compared on these images.
    """

    opponent: Opponent
    asked: TestSetPolicy
    doubts: tuple[Doubt, ...]
    incomparable: str
    unaccepted: str
    remark: str = ""
    looks: Looks | None = None


def check_relative(
    asked: NoWorse | Better, candidate: Candidate, footing: Footing
) -> Iterator[Check]:
    """One check, or one for each label that either version has."""
    opponent = footing.opponent
    if opponent.absent:
        yield _build_check(
            asked, asked.metric, CheckAnswer(Status.IGNORED, opponent.absent), candidate
        )
        return
    if opponent.comparison is None:
        answer = CheckAnswer(Status.UNDECIDED, f"not comparable: {footing.incomparable}")
        yield _build_check(asked, asked.metric, answer, candidate, is_comparable=False)
        return
    comparison = opponent.comparison
    scope = _scope(footing.asked.same, comparison)
    named = [
        Reading(asked=metric, metric=metric, is_relative=True, has_interval=True)
        for metric in expand_labels(asked.metric, comparison.labels)
    ]
    readings = [
        choose_reading(
            one,
            footing.doubts,
            footing.asked,
            comparison.task,
            lambda metric: bool(comparison.find(metric.name, label=metric.label, scope=scope)),
        )
        for one in named
    ]
    found = {reading: _find(comparison, reading.metric, scope) for reading in readings}
    confirmed = _find_failing(asked, found)
    for reading, difference in found.items():
        check = _check(asked, reading, difference, candidate, footing)
        if check.status == Status.FAILED and reading not in confirmed:
            check = _forgive_chance(check, len(readings))
        yield apply_doubts(check, footing.doubts, footing.asked, reading)


def say_worse_labels(comparison: Comparison | None) -> str:
    """The labels that got worse for sure, whatever the policy asks; '' where none did."""
    if comparison is None:
        return ""
    worse = find_worse_labels(comparison)
    named = ", ".join(
        f"{label} ({name.removeprefix('label_')} {say_number(d.baseline)} to "
        f"{say_number(d.candidate)})"
        for label, name, d in worse[:MAX_NAMES]
    )
    more = f" and {len(worse) - MAX_NAMES:,} more labels" if len(worse) > MAX_NAMES else ""
    return f"significantly worse (Holm over all labels): {named}{more}" if worse else ""


def _check(
    asked: NoWorse | Better,
    reading: Reading,
    found: Difference | None,
    candidate: Candidate,
    footing: Footing,
) -> Check:
    metric = reading.asked
    if footing.incomparable:
        answer = CheckAnswer(Status.UNDECIDED, f"not comparable: {footing.incomparable}")
        return _build_check(asked, metric, answer, candidate, found, is_comparable=False)
    if found is None:
        answer = CheckAnswer(Status.UNDECIDED, _say_no_difference(reading.metric, candidate))
        return _build_check(asked, metric, answer, candidate)
    images = _count_images(found, candidate, footing.opponent)
    answer = _answer(asked, found, images)
    if answer.status == Status.PASSED and footing.asked.adjust_for_looks:
        answer = _hold_to_look(answer, asked, found, footing.looks, images)
    if answer.status == Status.PASSED and footing.unaccepted:
        reason = f"it would pass, but not on this test set: {footing.unaccepted}"
        answer = replace(answer, status=Status.UNDECIDED, reason=reason)
    note = _say_reading(reading, footing.opponent.comparison, found.scope)
    remark = footing.remark if answer.status == Status.PASSED and not metric.label else ""
    is_told = FITTED_ALIKE in answer.reason
    alike = ONLY_THRESHOLDS if footing.opponent.differs_in_thresholds and not is_told else ""
    reason = "; ".join(filter(None, (answer.reason, note, remark, alike)))
    answer = replace(answer, reason=reason)
    return _build_check(asked, metric, answer, candidate, found)


def _say_reading(reading: Reading, comparison: Comparison | None, scope: Scope) -> str:
    """What is read in place of the number that the policy names, '' where it is that one."""
    if reading.is_crossfit:
        return CROSSFIT_NOTE
    if not reading.is_debiased or comparison is None:
        return ""
    plain = _find(comparison, reading.asked, scope)
    sides = (plain.baseline, plain.candidate) if plain else (nan, nan)
    was, now = ("undefined" if isnan(side) else say_number(side) for side in sides)
    return f"the debiased errors are compared; {reading.asked} itself is {was} and now {now}"


def _find_failing(
    asked: NoWorse | Better, found: dict[Reading, Difference | None]
) -> frozenset[Reading]:
    """The differences that fail: of one number that itself, of many labels those beyond chance."""

    def fails_at(confidence: float) -> frozenset[Reading]:
        held = replace(asked, confidence=confidence)
        return frozenset(
            reading
            for reading, difference in found.items()
            if difference and _answer(held, difference, None).status == Status.FAILED
        )

    tested = [d for d in found.values() if d and d.evidence and not isnan(d.difference)]
    return find_failing(len(tested), asked.confidence, fails_at)


def _hold_to_look(
    answer: CheckAnswer,
    asked: NoWorse | Better,
    found: Difference,
    looks: Looks | None,
    images: "_Images | None",
) -> CheckAnswer:
    """What would pass, held to the confidence of the candidate's place among all that were checked.

    Without a place it does not pass: candidates that nobody counts could be tried without end.
    """
    if looks is None or not looks.k:
        why = looks.unknown if looks else NOT_COUNTED
        reason = f"it would pass, but adjust_for_looks asks how many were checked before: {why}"
        return replace(answer, status=Status.UNDECIDED, reason=reason, is_doubted=True)
    stricter = replace(asked, confidence=hold_to_look(asked.confidence, looks.k))
    held = _answer(stricter, found, images)
    place = (
        f"checked as number {looks.k:,} on this test set against this baseline, so held to "
        f"{say_percent(stricter.confidence)} (adjust_for_looks)"
    )
    if held.status == Status.PASSED:
        return replace(held, reason=place)
    reason = f"it would pass with {say_percent(asked.confidence)}, but it was {place}"
    return replace(held, status=Status.UNDECIDED, reason=f"{reason}: {held.reason}")


def _forgive_chance(check: Check, n: int) -> Check:
    reason = (
        f"{check.reason}; of {n} labels compared at once some fall behind by chance: with all of "
        "them taken together (Holm) it is not sure of this one"
    )
    return replace(check, status=Status.UNDECIDED, reason=reason)


def _find(comparison: Comparison, metric: Metric, scope: Scope) -> Difference | None:
    """The difference of that scope. What a provider reports is of whole test sets: to be shown."""
    of_scope = comparison.find(metric.name, label=metric.label, scope=scope)
    whole = comparison.find(metric.name, label=metric.label, scope=Scope.WHOLE)
    return of_scope or (whole if whole and whole.evidence is None else None)


def _scope(same: SameTestSet, comparison: Comparison) -> Scope:
    """Whole test sets are compared where the policy says so and they differ."""
    differ = comparison.test_sets.verdict != Verdict.SAME
    is_whole = differ and same == SameTestSet.ANY
    # what is not comparable is still shown, with each version's own number
    is_shown_only = differ and same == SameTestSet.REQUIRED
    return Scope.WHOLE if is_whole or is_shown_only else Scope.SHARED


@dataclass(frozen=True, slots=True)
class _Images:
    """How many images a difference is of, and the share of them that makes its spread (a range)."""

    n: int
    spread: tuple[float, float, float]


def _count_images(found: Difference, candidate: Candidate, opponent: Opponent) -> _Images | None:
    """On shared images the versions differ on some; alone each is right on some."""
    comparison, shared = opponent.comparison, opponent.shared_images
    is_shared = found.scope == Scope.SHARED and comparison is not None
    n = shared.total if is_shared and shared is not None else candidate.test_images.total
    if not n:
        return None
    if comparison is None or not is_shared:
        return _Images(n, range_variance(found.candidate, n))
    n_changed = len(comparison.fixed) + len(comparison.broken)
    return _Images(n, find_spread_range(min(n_changed, n), n))


def _answer(asked: NoWorse | Better, found: Difference, images: _Images | None) -> CheckAnswer:
    if isnan(found.difference):
        return CheckAnswer(Status.UNDECIDED, found.reason or _say_undefined(found))
    if found.evidence is None:
        why = found.reason or "nothing tells how sure this difference is"
        return CheckAnswer(Status.UNDECIDED, f"{why}: check it with a [[floor]] instead")
    low, high = found.evidence.interval(asked.confidence)
    if isnan(low) or isnan(high) or high - low <= _NO_WIDTH:
        why = found.reason or (
            "no interval of the difference: on these images it never varies, which shows too few "
            "images, not certainty"
        )
        more = "" if why == FITTED_ALIKE else "; test both versions on more images"
        return CheckAnswer(Status.UNDECIDED, f"{why}{more}", low, high)
    low, high = min(low, found.difference), max(high, found.difference)
    worst, best = (-high, -low) if found.less_is_better else (low, high)
    allowed = -asked.margin
    if worst > allowed:
        return CheckAnswer(Status.PASSED, "", low, high)
    is_better = isinstance(asked, Better)
    if best < allowed or (is_better and best <= allowed):
        return CheckAnswer(Status.FAILED, _say_failed(asked, found, low, high), low, high)
    return _undecided(asked, found, (low, high), images)


def _undecided(
    asked: NoWorse | Better,
    found: Difference,
    interval: tuple[float, float],
    images: _Images | None,
) -> CheckAnswer:
    """What would decide it: by the margin, where the policy names one."""
    limit = _limit(asked, found.name)
    error = _spread(found, interval, asked.confidence)
    needed = _estimate(images, error, asked)
    reason = (
        f"the change may be {_say_interval(asked, *interval)}, on either side of "
        f"{say_change(limit)}{say_needed(needed)}"
    )
    return CheckAnswer(Status.UNDECIDED, reason, *interval, needed)


def _estimate(images: _Images | None, error: float, asked: NoWorse | Better) -> ImagesNeeded | None:
    if images is None:
        return None
    return range_to_decide(
        images.n, error, images.spread, margin=asked.margin, confidence=asked.confidence
    )


def _spread(found: Difference, interval: tuple[float, float], confidence: float) -> float:
    """The standard error; where the versions never differ, what their interval makes of that."""
    error = found.evidence.standard_error if found.evidence else nan
    return error or (interval[1] - interval[0]) / 2 / compute_margin(confidence)


def _say_failed(asked: NoWorse | Better, found: Difference, low: float, high: float) -> str:
    seen = f"changed by {say_change(found.difference)} ({_say_interval(asked, low, high)})"
    seen += "; less of it is better" if found.less_is_better else ""
    if isinstance(asked, Better):
        return f"not better than the baseline: {seen}"
    allowed = f"more than the {say_change(_limit(asked, found.name))} that the policy allows"
    return f"worse than the baseline by {allowed}: {seen}"


def _say_interval(asked: NoWorse | Better, low: float, high: float) -> str:
    return f"{say_change(low)} to {say_change(high)} with {say_percent(asked.confidence)}"


def _say_undefined(found: Difference) -> str:
    sides = [
        name
        for name, value in (("baseline", found.baseline), ("candidate", found.candidate))
        if isnan(value)
    ]
    return f"the number is undefined for the {' and the '.join(sides)}"


def _say_no_difference(metric: Metric, candidate: Candidate) -> str:
    if metric in candidate.numbers.figures:
        return f"no difference of {str(metric)!r} is computed: check it with a [[floor]] instead"
    return say_missing(metric, candidate.numbers)


def _limit(asked: NoWorse | Better, name: str) -> float:
    """The change, candidate minus baseline, that an interval is held against."""
    return asked.margin if _has_less_as_better(name) else 0.0 - asked.margin


def _has_less_as_better(name: str) -> bool:
    return name.rpartition("/")[2] in LESS_IS_BETTER


def _build_check(
    asked: NoWorse | Better,
    metric: Metric,
    answer: CheckAnswer,
    candidate: Candidate,
    found: Difference | None = None,
    *,
    is_comparable: bool = True,
) -> Check:
    own = candidate.numbers.figures.get(metric)
    return Check(
        kind=asked.kind,
        metric=metric,
        status=answer.status,
        value=found.candidate if found else own.value if own else nan,
        baseline=found.baseline if found else nan,
        limit=_limit(asked, metric.name),
        is_maximum=_has_less_as_better(metric.name),
        low=answer.low,
        high=answer.high,
        reason=answer.reason,
        is_comparable=is_comparable,
        is_doubted=answer.is_doubted,
        images_needed_range=answer.images_needed.ends if answer.images_needed else None,
    )

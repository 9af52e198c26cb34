"""Checks against the baseline: not worse by more than a margin, or better.

With d = candidate minus baseline (its sign turned where less is better) and the interval of d at
the check's confidence: `no_worse` with margin m passes where the interval lies above −m and fails
where it lies below −m; `better` passes where it lies above 0 and fails where it lies at or below 0.
Anything else is undecided. The intervals have two sides, so that a wrong "passed" is about half as
likely as 1 − confidence.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
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
from mlrek.policy.floors import (
    SINGLE_IMAGES,
    CheckAnswer,
    Ground,
    expand_labels,
    find_failing,
    lacks_images,
    range_variance,
)
from mlrek.policy.reading import (
    CROSSFIT_NOTE,
    Reading,
    apply_doubts,
    choose_reading,
    hold_to_look,
    say_absent,
    say_needed,
)
from mlrek.policy.saying import count_family, say_change, say_percent
from mlrek.text import say_number

MAX_NAMES = 10
ONLY_THRESHOLDS = "both versions have the same confidences on every image: only thresholds differ"
NOT_COUNTED = "nothing tells"
_NO_WIDTH = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What relative checks stand on.

    `ground` are the candidate's images, with the doubts of both versions; `asked` is what the
    policy accepts of a test set. `incomparable` says why the versions cannot be compared under the
    policy, `unaccepted` what else the policy does not accept of the test set; '' where nothing is
    wrong. `remark` is to be known of a comparison even where it passes. `looks` is how many were
    compared on these images.
    """

    ground: Ground
    opponent: Opponent
    asked: TestSetPolicy
    incomparable: str
    unaccepted: str
    remark: str = ""
    looks: Looks | None = None

    @property
    def candidate(self) -> Candidate:
        """The version on these images."""
        return self.ground.candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The difference that a check reads, None where there is none, and what it stands on."""

    footing: Footing
    difference: Difference | None


def check_relative(asked: NoWorse | Better, footings: Sequence[Footing]) -> Iterator[Check]:
    """One check, or one for each slice and each label that either version has."""
    for footing in footings:
        if footing.opponent.absent:
            answer = CheckAnswer(Status.IGNORED, footing.opponent.absent)
            yield _build_check(asked, _name(asked, footing), answer, footing)
        elif footing.opponent.comparison is None:
            answer = CheckAnswer(Status.UNDECIDED, f"not comparable: {footing.incomparable}")
            metric = _name(asked, footing)
            yield _build_check(asked, metric, answer, footing, is_comparable=False)
    read = {
        reading: _Found(footing=footing, difference=difference)
        for footing in footings
        for reading, difference in _find_differences(asked, footing)
    }
    confirmed = _find_failing(asked, read)
    for reading, found in read.items():
        check = _check(asked, reading, found)
        if check.status == Status.FAILED and reading not in confirmed:
            check = _forgive_chance(check, read)
        footing = found.footing
        yield apply_doubts(check, footing.ground.doubts, footing.asked, reading)


def refuse_relative(asked: NoWorse | Better, portion: str, answer: CheckAnswer) -> Check:
    """The check against the baseline in a slice of which nothing can be judged."""
    return Check(
        kind=asked.kind,
        metric=replace(asked.metric, slice=portion),
        status=answer.status,
        limit=_limit(asked, asked.metric.name),
        is_maximum=_has_less_as_better(asked.metric.name),
        reason=answer.reason,
        is_doubted=answer.is_doubted,
    )


def _name(asked: NoWorse | Better, footing: Footing) -> Metric:
    return replace(asked.metric, slice=footing.ground.slice)


def _find_differences(
    asked: NoWorse | Better, footing: Footing
) -> Iterator[tuple[Reading, Difference | None]]:
    """What is read of each label, with its difference."""
    comparison = footing.opponent.comparison
    if footing.opponent.absent or comparison is None:
        return
    scope = _scope(footing.asked.same, comparison)

    def has_number(metric: Metric) -> bool:
        return bool(comparison.find(metric.name, label=metric.label, scope=scope))

    for metric in expand_labels(asked.metric, comparison.labels):
        named = Reading(
            asked=metric,
            metric=metric,
            is_relative=True,
            has_interval=True,
            slice=footing.ground.slice,
        )
        reading = choose_reading(
            named, footing.ground.doubts, footing.asked, comparison.task, has_number
        )
        yield reading, _find(comparison, reading.metric, scope)


def say_incomparable(same: SameTestSet, opponent: Opponent) -> str:
    """Why the policy does not let the versions be compared, '' where it does."""
    if opponent.absent:
        return ""
    if opponent.comparison is None:
        return opponent.missing or opponent.incomparable or "the versions were not compared"
    sets = opponent.comparison.test_sets
    is_accepted = {
        SameTestSet.REQUIRED: sets.verdict == Verdict.SAME,
        SameTestSet.OVERLAPPING: sets.verdict != Verdict.DISJOINT and sets.shared > 0,
        SameTestSet.ANY: True,
    }
    return "" if is_accepted[same] else say_sets(opponent.comparison)


def say_sets(comparison: Comparison) -> str:
    """What the test sets of both versions have in common, in words."""
    sets = comparison.test_sets
    if sets.verdict == Verdict.SAME:
        return f"both were tested on the same {sets.shared:,} images"
    if sets.verdict == Verdict.DISJOINT:
        return (
            "the versions were tested on different images, none in common: "
            f"{sets.only_baseline:,} only the baseline's, {sets.only_candidate:,} only the "
            "candidate's"
        )
    relabelled = (
        f", {sets.relabelled:,} of these with another truth and left out" if sets.relabelled else ""
    )
    duplicated = (
        f"; {sets.duplicated:,} images stand there more than once" if sets.duplicated else ""
    )
    return (
        f"the versions were not tested on the same images: {sets.shared:,} shared{relabelled}, "
        f"{sets.only_baseline:,} only the baseline's, {sets.only_candidate:,} only the candidate's"
        f"{duplicated}"
    )


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


def _check(asked: NoWorse | Better, reading: Reading, found: _Found) -> Check:
    footing, difference = found.footing, found.difference
    metric = replace(reading.asked, slice=reading.slice)
    if footing.incomparable:
        answer = CheckAnswer(Status.UNDECIDED, f"not comparable: {footing.incomparable}")
        return _build_check(asked, metric, answer, footing, difference, is_comparable=False)
    if difference is None:
        reason = _say_no_difference(reading, footing.candidate)
        answer = CheckAnswer(Status.UNDECIDED, reason, is_doubted=True)
        return _build_check(asked, metric, answer, footing)
    images = _count_images(difference, footing)
    answer = _answer(asked, difference, images)
    if isnan(difference.difference):
        answer = _explain_undefined(answer, metric.label, footing)
    if answer.status == Status.PASSED and footing.asked.adjust_for_looks:
        answer = _hold_to_look(answer, asked, difference, footing.looks, images)
    if answer.status == Status.PASSED and footing.opponent.is_ungrouped:
        reason = f"it would pass, but {SINGLE_IMAGES}: mend the pattern"
        answer = replace(answer, status=Status.UNDECIDED, reason=reason, is_doubted=True)
    if answer.status == Status.PASSED and footing.unaccepted:
        reason = f"it would pass, but not on this test set: {footing.unaccepted}"
        answer = replace(answer, status=Status.UNDECIDED, reason=reason)
    note = _say_reading(reading, footing.opponent.comparison, difference.scope)
    remark = footing.remark if answer.status == Status.PASSED and not metric.label else ""
    is_told = FITTED_ALIKE in answer.reason
    alike = ONLY_THRESHOLDS if footing.opponent.differs_in_thresholds and not is_told else ""
    said = (answer.reason, note, remark, alike, footing.ground.note)
    answer = replace(answer, reason="; ".join(filter(None, said)))
    return _build_check(asked, metric, answer, footing, difference)


def _explain_undefined(answer: CheckAnswer, label: str, footing: Footing) -> CheckAnswer:
    """Why a difference does not exist; that a label lacks images may be too little evidence.

    Not where the candidate's test set has lost them: it would pass by what it is not asked.
    """
    gone = footing.opponent.gone.get(label, 0)
    if gone:
        reason = f"the baseline was tested on {gone:,} images of this label, the candidate on none"
        return replace(answer, reason=f"{reason}; {answer.reason}", is_doubted=True)
    return replace(answer, is_doubted=not lacks_images(label, footing.candidate))


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


def _find_failing(asked: NoWorse | Better, read: Mapping[Reading, _Found]) -> frozenset[Reading]:
    """The differences that fail: of one number itself, of many labels or slices beyond chance."""

    def fails_at(confidence: float) -> frozenset[Reading]:
        held = replace(asked, confidence=confidence)
        return frozenset(
            reading
            for reading, found in read.items()
            if found.difference and _answer(held, found.difference, None).status == Status.FAILED
        )

    differences = [found.difference for found in read.values() if found.difference]
    tested = [d for d in differences if d.evidence and not isnan(d.difference)]
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


def _forgive_chance(check: Check, read: Collection[Reading]) -> Check:
    several = count_family(len(read), len({reading.slice for reading in read} - {""}))
    reason = (
        f"{check.reason}; of {several} compared at once some fall behind by chance: with all of "
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
    what: str


def _count_images(found: Difference, footing: Footing) -> _Images | None:
    """On shared images the versions differ on some; alone each is right on some."""
    candidate, what = footing.candidate, footing.ground.images
    comparison, shared = footing.opponent.comparison, footing.opponent.shared_images
    is_shared = found.scope == Scope.SHARED and comparison is not None
    n = shared.total if is_shared and shared is not None else candidate.test_images.total
    if not n:
        return None
    if comparison is None or not is_shared:
        return _Images(n, range_variance(found.candidate, n), what)
    n_changed = len(comparison.fixed) + len(comparison.broken)
    return _Images(n, find_spread_range(min(n_changed, n), n), what)


def _answer(asked: NoWorse | Better, found: Difference, images: _Images | None) -> CheckAnswer:
    if isnan(found.difference):
        return CheckAnswer(Status.UNDECIDED, found.reason or _say_undefined(found))
    if found.evidence is None:
        why = found.reason or "nothing tells how sure this difference is"
        reason = f"{why}: check it with a [[floor]] instead"
        return CheckAnswer(Status.UNDECIDED, reason, is_doubted=not found.reason)
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
        f"{say_change(limit)}{say_needed(needed, images.what if images else '')}"
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


def _say_no_difference(reading: Reading, candidate: Candidate) -> str:
    if reading.metric in candidate.numbers.figures:
        named = str(reading.metric)
        return f"no difference of {named!r} is computed: check it with a [[floor]] instead"
    return say_absent(reading, candidate.numbers)


def _limit(asked: NoWorse | Better, name: str) -> float:
    """The change, candidate minus baseline, that an interval is held against."""
    return asked.margin if _has_less_as_better(name) else 0.0 - asked.margin


def _has_less_as_better(name: str) -> bool:
    return name.rpartition("/")[2] in LESS_IS_BETTER


def _build_check(
    asked: NoWorse | Better,
    metric: Metric,
    answer: CheckAnswer,
    footing: Footing,
    found: Difference | None = None,
    *,
    is_comparable: bool = True,
) -> Check:
    own = footing.candidate.numbers.figures.get(replace(metric, slice=""))
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
        images_needed_range=footing.ground.scale(answer.images_needed),
    )

"""Checks against the baseline: not worse by more than a margin, or better.

With d = candidate minus baseline (its sign turned where less is better) and the interval of d at
the check's confidence: `no_worse` with margin m passes where the interval lies above −m and fails
where it lies below −m; `better` passes where it lies above 0 and fails where it lies at or below 0.
Anything else is undecided. The intervals have two sides, so that a wrong "passed" is about half as
likely as 1 − confidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan, nan

from mlrek.comparison import LESS_IS_BETTER, Comparison, Difference, Scope, Verdict
from mlrek.metrics.intervals import compute_margin
from mlrek.policy import (
    Better,
    Candidate,
    Check,
    Kind,
    Metric,
    NoWorse,
    Opponent,
    SameTestSet,
    Status,
)
from mlrek.policy.floors import expand_labels
from mlrek.policy.wording import (
    estimate_images,
    say_change,
    say_missing,
    say_needed,
    say_percent,
)

_NO_WIDTH = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """What relative checks stand on.

    `incomparable` says why the versions cannot be compared under the policy, `unaccepted` what else
    the policy does not accept of the test set; '' where nothing is wrong.
    """

    opponent: Opponent
    same: SameTestSet
    incomparable: str
    unaccepted: str


def check_relative(
    asked: NoWorse | Better, candidate: Candidate, footing: Footing
) -> Iterator[Check]:
    """One check, or one for each label that either version has."""
    opponent = footing.opponent
    if opponent.absent:
        yield _describe(asked, asked.metric, _Answer(Status.IGNORED, opponent.absent), candidate)
        return
    if opponent.comparison is None:
        answer = _Answer(Status.UNDECIDED, f"not comparable: {footing.incomparable}")
        yield _describe(asked, asked.metric, answer, candidate, is_comparable=False)
        return
    comparison, scope = opponent.comparison, _scope(footing.same, opponent.comparison)
    for metric in expand_labels(asked.metric, comparison.labels):
        found = _find(comparison, metric, scope)
        if footing.incomparable:
            answer = _Answer(Status.UNDECIDED, f"not comparable: {footing.incomparable}")
            yield _describe(asked, metric, answer, candidate, found, is_comparable=False)
        elif found is None:
            answer = _Answer(Status.UNDECIDED, _say_no_difference(metric, candidate))
            yield _describe(asked, metric, answer, candidate)
        else:
            answer = _answer(asked, found, _count_images(scope, candidate, opponent))
            if answer.status == Status.PASSED and footing.unaccepted:
                answer = _Answer(
                    Status.UNDECIDED,
                    f"it would pass, but not on this test set: {footing.unaccepted}",
                    answer.low,
                    answer.high,
                )
            yield _describe(asked, metric, answer, candidate, found)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: Status
    reason: str = ""
    low: float = nan
    high: float = nan
    images_needed: int | None = None


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


def _count_images(scope: Scope, candidate: Candidate, opponent: Opponent) -> int | None:
    if scope == Scope.SHARED and opponent.shared_images is not None:
        return opponent.shared_images.total
    return candidate.test_images.total


def _answer(asked: NoWorse | Better, found: Difference, n_images: int | None) -> _Answer:
    if isnan(found.difference):
        return _Answer(Status.UNDECIDED, found.reason or _say_undefined(found))
    if found.evidence is None:
        why = found.reason or "nothing tells how sure this difference is"
        return _Answer(Status.UNDECIDED, f"{why}: check it with a [[floor]] instead")
    low, high = found.evidence.interval(asked.confidence)
    if isnan(low) or isnan(high) or high - low <= _NO_WIDTH:
        why = found.reason or (
            "no interval of the difference: on these images it never varies, which shows too few "
            "images, not certainty"
        )
        return _Answer(Status.UNDECIDED, f"{why}; test both versions on more images", low, high)
    worst, best = (-high, -low) if found.less_is_better else (low, high)
    allowed = -_margin(asked)
    if worst > allowed:
        return _Answer(Status.PASSED, "", low, high)
    is_better = isinstance(asked, Better)
    if best < allowed or (is_better and best <= allowed):
        return _Answer(Status.FAILED, _say_failed(asked, found, low, high), low, high)
    return _undecided(asked, found, (low, high), n_images)


def _undecided(
    asked: NoWorse | Better,
    found: Difference,
    interval: tuple[float, float],
    n_images: int | None,
) -> _Answer:
    limit = _limit(asked, found.name)
    distance = found.difference - limit
    spread = _spread(found, interval, asked.confidence)
    needed = estimate_images(n_images, distance, spread, asked.confidence)
    passes = (-distance if found.less_is_better else distance) > 0
    reason = (
        f"the change may be {_say_interval(asked, *interval)}, on either side of "
        f"{say_change(limit)}{say_needed(needed, passes=passes)}"
    )
    return _Answer(Status.UNDECIDED, reason, *interval, needed)


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


def _margin(asked: NoWorse | Better) -> float:
    return asked.margin if isinstance(asked, NoWorse) else 0.0


def _limit(asked: NoWorse | Better, name: str) -> float:
    """The change, candidate minus baseline, that an interval is held against."""
    less_is_better = name.rpartition("/")[2] in LESS_IS_BETTER
    return _margin(asked) if less_is_better else 0.0 - _margin(asked)


def _describe(
    asked: NoWorse | Better,
    metric: Metric,
    answer: _Answer,
    candidate: Candidate,
    found: Difference | None = None,
    *,
    is_comparable: bool = True,
) -> Check:
    own = candidate.numbers.figures.get(metric)
    return Check(
        kind=Kind.NO_WORSE if isinstance(asked, NoWorse) else Kind.BETTER,
        metric=metric,
        status=answer.status,
        value=found.candidate if found else own.value if own else nan,
        baseline=found.baseline if found else nan,
        limit=_limit(asked, metric.name),
        low=answer.low,
        high=answer.high,
        reason=answer.reason,
        is_comparable=is_comparable,
        images_needed=answer.images_needed,
    )

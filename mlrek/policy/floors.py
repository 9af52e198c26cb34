"""Floors: a number must lie within limits, or its whole interval must.

Of many labels checked at once, those whose interval lies beyond the limit fail by Holm's step-down.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import TypeVar

from mlrek.evaluation import Doubt
from mlrek.metrics.intervals import compute_margin
from mlrek.metrics.paired_tests import ImagesNeeded, find_spread_range, range_to_decide
from mlrek.policy import (
    ANY_LABEL,
    Candidate,
    Check,
    CheckKind,
    Figure,
    Floor,
    Metric,
    Status,
    TestSetPolicy,
)
from mlrek.policy.reading import (
    CROSSFIT_NOTE,
    Reading,
    apply_doubts,
    choose_reading,
    say_apart,
    say_missing,
    say_needed,
    say_number,
    say_percent,
)

_Label = TypeVar("_Label")


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What becomes of one number or difference; `low` and `high` are of a difference."""

    status: Status
    reason: str = ""
    low: float = nan
    high: float = nan
    images_needed: ImagesNeeded | None = None
    is_doubted: bool = False


SINGLE_IMAGES = (
    "the interval of this number is over single images, not over the groups of group_by; leave out "
    "confidence to check the value itself"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One limit of a floor; `sign` 1: the number must not be below, -1: not above."""

    floor: Floor
    limit: float
    sign: int

    @property
    def has_interval(self) -> bool:
        return not isnan(self.floor.confidence)


def check_floor(
    floor: Floor, candidate: Candidate, asked: TestSetPolicy, doubts: tuple[Doubt, ...]
) -> Iterator[Check]:
    """One check, or one for each label and limit.

    Args:
        floor: What is asked.
        candidate: Whose numbers are read.
        asked: What the policy accepts of a test set.
        doubts: Those that weaken the candidate's numbers.
    """
    has_interval = not isnan(floor.confidence)
    numbers = candidate.numbers_at(floor.confidence) if has_interval else candidate.numbers
    named = [
        Reading(asked=metric, metric=metric, is_relative=False, has_interval=has_interval)
        for metric in expand_labels(floor.metric, numbers.labels)
    ]
    readings = [
        choose_reading(one, doubts, asked, numbers.task, numbers.figures.__contains__)
        for one in named
    ]
    questions = [
        _Question(floor=floor, limit=limit, sign=sign)
        for limit, sign in ((floor.min, 1), (floor.max, -1))
        if not isnan(limit)
    ]
    failing = [_find_failing(question, readings, candidate) for question in questions]
    for reading in readings:
        for question, confirmed in zip(questions, failing, strict=True):
            check = _check(question, reading, candidate)
            if check.status == Status.FAILED and reading not in confirmed:
                check = _forgive_chance(check, question, len(readings))
            if has_interval and asked.group_by and not candidate.is_grouped:
                check = _want_groups(check)
            yield apply_doubts(check, doubts, asked, reading)


def expand_labels(metric: Metric, labels: tuple[str, ...]) -> tuple[Metric, ...]:
    """The metric of each label for `*`; without labels the metric itself, which nothing answers."""
    if metric.label != ANY_LABEL or not labels:
        return (metric,)
    return tuple(Metric(name=metric.name, label=label) for label in labels)


def find_failing(
    m: int, confidence: float, fails_at: Callable[[float], frozenset[_Label]]
) -> frozenset[_Label]:
    """The labels that fail by Holm's step-down (Holm 1979) on the failing side, by intervals.

    Of m labels the i-th to fail is held to an interval of confidence 1 - (1 - c) / (m - i + 1).
    Passing needs no correction: that all labels pass by chance is less likely than that one does.

    Args:
        m: How many labels are checked together.
        confidence: Of the check.
        fails_at: The labels whose interval at a confidence lies wholly on the wrong side.

    >>> p = {"a": 0.001, "b": 0.02, "c": 0.04}
    >>> at = lambda confidence: frozenset(k for k in p if p[k] <= 1 - confidence)
    >>> sorted(find_failing(3, 0.95, at))
    ['a', 'b', 'c']
    >>> sorted(find_failing(4, 0.95, at))
    ['a']
    """
    found: frozenset[_Label] = frozenset()
    if not fails_at(confidence):  # nor do they by wider intervals, which take time
        return found
    while len(found) < m:
        left = m - len(found)
        failing = fails_at(1 - (1 - confidence) / left if left > 1 else confidence)
        if len(failing) <= len(found):
            break
        found = failing
    return found


def _check(question: _Question, reading: Reading, candidate: Candidate) -> Check:
    floor = question.floor
    figure = _find_figure(reading.metric, candidate, floor.confidence)
    if figure is None:
        numbers = candidate.numbers
        answer = CheckAnswer(status=Status.UNDECIDED, reason=say_missing(reading.metric, numbers))
    else:
        answer = _answer(figure, question, candidate.test_images.total)
    reason = "; ".join(filter(None, (answer.reason, _say_reading(reading, candidate))))
    return _build_check(question, reading, figure, replace(answer, reason=reason))


def _find_figure(metric: Metric, candidate: Candidate, confidence: float) -> Figure | None:
    """The number, with its interval at a confidence, which holds the number itself; None: absent.

    A number outside its own interval would pass by the one what it fails by the other.
    """
    if isnan(confidence):
        return candidate.numbers.figures.get(metric)
    figure = candidate.numbers_at(confidence).figures.get(metric)
    if figure is None:
        return None
    if not _has_width(figure):
        return figure
    return replace(figure, low=min(figure.low, figure.value), high=max(figure.high, figure.value))


def _find_failing(
    question: _Question, readings: list[Reading], candidate: Candidate
) -> frozenset[Reading]:
    """The numbers that fail: those below the limit, of many labels those beyond chance."""

    def fails_at(confidence: float) -> frozenset[Reading]:
        figures = {one: _find_figure(one.metric, candidate, confidence) for one in readings}
        return frozenset(
            reading
            for reading, figure in figures.items()
            if figure and _answer(figure, question, None).status == Status.FAILED
        )

    confidence = question.floor.confidence
    if not question.has_interval:
        return fails_at(confidence)
    figures = (_find_figure(one.metric, candidate, confidence) for one in readings)
    tested = [figure for figure in figures if figure and _has_width(figure)]
    return find_failing(len(tested), confidence, fails_at)


def _want_groups(check: Check) -> Check:
    """Where groups are asked for, no interval over single images lets a check pass."""
    if check.status != Status.PASSED:
        return check
    reason = "; ".join(filter(None, (SINGLE_IMAGES, check.reason)))
    return replace(check, status=Status.UNDECIDED, reason=reason, is_doubted=True)


def _forgive_chance(check: Check, question: _Question, n: int) -> Check:
    side = "below" if question.sign > 0 else "above"
    reason = (
        f"{check.reason}; of {n} labels checked at once some fall {side} a limit by chance: with "
        "all of them taken together (Holm) this one is not surely beyond it"
    )
    return replace(check, status=Status.UNDECIDED, reason=reason)


def _has_width(figure: Figure) -> bool:
    return figure.low < figure.high


def _answer(figure: Figure, question: _Question, n_images: int | None) -> CheckAnswer:
    """Hold a number against one limit."""
    limit, sign, confidence = question.limit, question.sign, question.floor.confidence
    if isnan(figure.value):
        return CheckAnswer(
            status=Status.UNDECIDED, reason=figure.reason or "the number is undefined"
        )
    if isnan(confidence):
        is_in = sign * (figure.value - limit) >= 0
        return CheckAnswer(status=Status.PASSED) if is_in else _fail(figure, limit, sign)
    if not _has_width(figure):
        why = figure.reason or "no interval of this number can be computed"
        reason = f"{why}; leave out confidence to check the value itself"
        return CheckAnswer(status=Status.UNDECIDED, reason=reason)
    worst, best = (figure.low, figure.high) if sign > 0 else (figure.high, figure.low)
    if sign * (worst - limit) >= 0:
        return CheckAnswer(status=Status.PASSED)
    if sign * (best - limit) < 0:
        return _fail_by_interval(figure, question)
    return _undecided(figure, limit, confidence, n_images)


def _say_reading(reading: Reading, candidate: Candidate) -> str:
    """What is read in place of the number that the policy names, '' where it is that one."""
    if reading.is_crossfit:
        return CROSSFIT_NOTE
    if not reading.is_debiased:
        return ""
    plain = candidate.numbers.figures.get(reading.asked)
    value = say_number(plain.value) if plain and not isnan(plain.value) else "undefined"
    return (
        f"with a confidence the debiased error is held to the limit; {reading.asked} itself, which "
        f"chance makes larger, is {value}"
    )


def _undecided(
    figure: Figure, limit: float, confidence: float, n_images: int | None
) -> CheckAnswer:
    error = (figure.high - figure.low) / 2 / compute_margin(confidence)
    needed = None
    if n_images:
        spread = range_variance(figure.value, n_images)
        needed = range_to_decide(n_images, error, spread, confidence=confidence)
    reason = (
        f"the {say_percent(confidence)} interval {say_number(figure.low)} to "
        f"{say_number(figure.high)} holds the limit {say_number(limit)}"
        f"{say_needed(needed)}"
    )
    return CheckAnswer(status=Status.UNDECIDED, reason=reason, images_needed=needed)


def range_variance(value: float, n_images: int) -> tuple[float, float, float]:
    """What the variance of a number goes with, as that of a share does: at least, seen, at most.

    The interval of a share that is nearly 0 or 1 holds others whose variance is several times it.
    """
    if not 0 <= value <= 1:
        return 1.0, 1.0, 1.0
    low, _, high = find_spread_range(value * n_images, n_images)
    ends = low * (1 - low), high * (1 - high)
    widest = 0.25 if low < 0.5 < high else max(ends)  # noqa: PLR2004 - the share that varies most
    return min(ends), value * (1 - value), widest


def _fail(figure: Figure, limit: float, sign: int) -> CheckAnswer:
    side = "below the minimum" if sign > 0 else "above the maximum"
    value, limit_text = say_apart(figure.value, limit)
    amount = say_number(abs(figure.value - limit))
    return CheckAnswer(status=Status.FAILED, reason=f"{value} is {amount} {side} {limit_text}")


def _fail_by_interval(figure: Figure, question: _Question) -> CheckAnswer:
    side = "below the minimum" if question.sign > 0 else "above the maximum"
    reason = (
        f"the whole {say_percent(question.floor.confidence)} interval, {say_number(figure.low)} to "
        f"{say_number(figure.high)}, lies {side} {say_number(question.limit)}"
    )
    return CheckAnswer(status=Status.FAILED, reason=reason)


def _build_check(
    question: _Question, reading: Reading, figure: Figure | None, answer: CheckAnswer
) -> Check:
    """The interval is told where the floor asks for one."""
    shows_interval = figure is not None and question.has_interval
    return Check(
        kind=CheckKind.FLOOR,
        metric=reading.asked,
        status=answer.status,
        value=figure.value if figure else nan,
        limit=question.limit,
        is_maximum=question.sign < 0,
        low=figure.low if figure and shows_interval else nan,
        high=figure.high if figure and shows_interval else nan,
        reason=answer.reason,
        images_needed_range=answer.images_needed.ends if answer.images_needed else None,
    )

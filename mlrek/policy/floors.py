"""Floors: a number must lie within limits, or its whole interval must."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan, nan

from mlrek.metrics.intervals import compute_margin, resampled_number
from mlrek.policy import ANY_LABEL, Candidate, Check, Figure, Floor, Kind, Metric, Numbers, Status
from mlrek.policy.wording import (
    estimate_images,
    say_missing,
    say_needed,
    say_number,
    say_percent,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: Status
    reason: str = ""
    images_needed: int | None = None


def check_floor(floor: Floor, candidate: Candidate) -> Iterator[Check]:
    """One check, or one for each label and limit."""
    numbers = candidate.numbers
    if not isnan(floor.confidence):
        numbers = candidate.numbers_at(floor.confidence)
    for metric in expand_labels(floor.metric, numbers.labels):
        figure = numbers.figures.get(metric)
        if figure is not None and not isnan(floor.confidence):
            figure = _add_interval(figure, metric, candidate, floor.confidence)
        for limit, sign in ((floor.min, 1), (floor.max, -1)):
            if isnan(limit):
                continue
            if figure is None:
                answer, figure = _answer_missing(metric, numbers), None
            else:
                answer = _answer(figure, limit, sign, floor, candidate.test_images.total)
            yield _describe(metric, figure, limit, answer, floor)


def expand_labels(metric: Metric, labels: tuple[str, ...]) -> tuple[Metric, ...]:
    """The metric of each label for `*`; without labels the metric itself, which nothing answers."""
    if metric.label != ANY_LABEL or not labels:
        return (metric,)
    return tuple(Metric(name=metric.name, label=label) for label in labels)


def _add_interval(
    figure: Figure, metric: Metric, candidate: Candidate, confidence: float
) -> Figure:
    """The number with the interval of its resamples, where nothing says why it has none."""
    if isnan(figure.value) or not isnan(figure.low) or figure.reason:
        return figure
    sample = candidate.resample().get(metric)
    if sample is None:
        return figure
    number = resampled_number(figure.value, sample, confidence=confidence)
    return Figure(value=number.value, low=number.low, high=number.high, reason=number.reason)


def _answer_missing(metric: Metric, numbers: Numbers) -> _Answer:
    return _Answer(status=Status.UNDECIDED, reason=say_missing(metric, numbers))


def _answer(figure: Figure, limit: float, sign: int, floor: Floor, n_images: int | None) -> _Answer:
    """Hold a number against one limit; `sign` 1: it must not be below, -1: not above."""
    if isnan(figure.value):
        return _Answer(status=Status.UNDECIDED, reason=figure.reason or "the number is undefined")
    if isnan(floor.confidence):
        is_in = sign * (figure.value - limit) >= 0
        return _Answer(status=Status.PASSED) if is_in else _fail(figure, limit, sign)
    if isnan(figure.low) or isnan(figure.high) or not figure.low < figure.high:
        why = figure.reason or "no interval of this number can be computed"
        reason = f"{why}; leave out confidence to check the value itself"
        return _Answer(status=Status.UNDECIDED, reason=reason)
    worst, best = (figure.low, figure.high) if sign > 0 else (figure.high, figure.low)
    if sign * (worst - limit) >= 0:
        return _Answer(status=Status.PASSED)
    if sign * (best - limit) < 0:
        return _fail(figure, limit, sign)
    passes = sign * (figure.value - limit) >= 0
    return _undecided(figure, limit, floor.confidence, n_images, passes=passes)


def _undecided(
    figure: Figure, limit: float, confidence: float, n_images: int | None, *, passes: bool
) -> _Answer:
    spread = (figure.high - figure.low) / 2 / compute_margin(confidence)
    needed = estimate_images(n_images, figure.value - limit, spread, confidence)
    reason = (
        f"the {say_percent(confidence)} interval {say_number(figure.low)} to "
        f"{say_number(figure.high)} holds the limit {say_number(limit)}"
        f"{say_needed(needed, passes=passes)}"
    )
    return _Answer(status=Status.UNDECIDED, reason=reason, images_needed=needed)


def _fail(figure: Figure, limit: float, sign: int) -> _Answer:
    side = "below the minimum" if sign > 0 else "above the maximum"
    amount = say_number(abs(figure.value - limit))
    return _Answer(
        status=Status.FAILED,
        reason=f"{say_number(figure.value)} is {amount} {side} {say_number(limit)}",
    )


def _describe(
    metric: Metric, figure: Figure | None, limit: float, answer: _Answer, floor: Floor
) -> Check:
    """The interval is told where the floor asks for one."""
    shows_interval = figure is not None and not isnan(floor.confidence)
    return Check(
        kind=Kind.FLOOR,
        metric=metric,
        status=answer.status,
        value=figure.value if figure else nan,
        limit=limit,
        low=figure.low if figure and shows_interval else nan,
        high=figure.high if figure and shows_interval else nan,
        reason=answer.reason,
        images_needed=answer.images_needed,
    )

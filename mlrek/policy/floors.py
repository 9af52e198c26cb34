"""Floors: a number must lie within limits, or its whole interval must.

Of many labels or slices checked at once, those whose interval lies beyond the limit fail by Holm's
step-down.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isnan, nan
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
    say_absent,
    say_needed,
)
from mlrek.policy.saying import count_family, say_apart, say_percent
from mlrek.text import say_number

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
    "group_by finds no object in the URI of any image, so this interval would be over single images"
)
_MEND_GROUPS = "mend the pattern, or leave out confidence to check the value itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The images that checks are asked of: all of a version's, or a slice of them.

    `candidate` is the version on these images alone, `doubts` are those that weaken its numbers.
    `slice` names the slice, '' for all images; `share` is the part of the test set that it is, and
    `note` what is to be known of it. `gone` are labels that the baseline alone was tested on.
    """

    candidate: Candidate
    doubts: tuple[Doubt, ...]
    slice: str = ""
    share: float = 1.0
    note: str = ""
    gone: Collection[str] = ()

    @property
    def images(self) -> str:
        """What estimates of images count."""
        return "images of this slice" if self.slice else "test images"

    def scale(self, needed: ImagesNeeded | None) -> tuple[int, int] | None:
        """The images of a whole test set of which so many are of the slice."""
        if needed is None or not self.share:
            return None
        low, high = (ceil(n / self.share) for n in needed.ends)
        return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One limit of a floor; `sign` 1: the number must not be below, -1: not above."""

    floor: Floor
    limit: float
    sign: int

    @property
    def has_interval(self) -> bool:
        return not isnan(self.floor.confidence)


def check_floor(floor: Floor, grounds: Sequence[Ground], asked: TestSetPolicy) -> Iterator[Check]:
    """One check, or one for each slice, label and limit.

    Args:
        floor: What is asked.
        grounds: The images that it is asked of: all of a version's, or slices of them.
        asked: What the policy accepts of a test set.
    """
    has_interval = not isnan(floor.confidence)
    read = {
        reading: ground for ground in grounds for reading in _list_readings(floor, ground, asked)
    }
    questions = [
        _Question(floor=floor, limit=limit, sign=sign)
        for limit, sign in ((floor.min, 1), (floor.max, -1))
        if not isnan(limit)
    ]
    failing = [_find_failing(question, read) for question in questions]
    for reading, ground in read.items():
        for question, confirmed in zip(questions, failing, strict=True):
            check = _check(question, reading, ground)
            if check.status == Status.FAILED and reading not in confirmed:
                check = _forgive_chance(check, question, read)
            if has_interval and asked.group_by and not ground.candidate.is_grouped:
                check = _want_groups(check)
            yield apply_doubts(check, ground.doubts, asked, reading)


def refuse_floor(floor: Floor, portion: str, reason: str) -> Iterator[Check]:
    """The checks of a floor in a slice of which nothing can be judged."""
    metric = replace(floor.metric, slice=portion)
    for limit, is_maximum in ((floor.min, False), (floor.max, True)):
        if not isnan(limit):
            yield Check(
                kind=CheckKind.FLOOR,
                metric=metric,
                status=Status.UNDECIDED,
                limit=limit,
                is_maximum=is_maximum,
                reason=reason,
                is_doubted=True,
            )


def _list_readings(floor: Floor, ground: Ground, asked: TestSetPolicy) -> Iterator[Reading]:
    has_interval, candidate = not isnan(floor.confidence), ground.candidate
    numbers = candidate.numbers_at(floor.confidence) if has_interval else candidate.numbers
    for metric in expand_labels(floor.metric, numbers.labels):
        named = Reading(
            asked=metric,
            metric=metric,
            is_relative=False,
            has_interval=has_interval,
            slice=ground.slice,
        )
        has_number = numbers.figures.__contains__
        yield choose_reading(named, ground.doubts, asked, numbers.task, has_number)


def expand_labels(metric: Metric, labels: tuple[str, ...]) -> tuple[Metric, ...]:
    """The metric of each label for `*`; without labels the metric itself, which nothing answers."""
    if metric.label != ANY_LABEL or not labels:
        return (metric,)
    return tuple(Metric(name=metric.name, label=label) for label in labels)


def lacks_images(label: str, candidate: Candidate) -> bool:
    """Whether a number is undefined because no test image has its label: more would define it."""
    counts = candidate.test_images.per_label
    return bool(label) and counts is not None and not counts.get(label)


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


def _check(question: _Question, reading: Reading, ground: Ground) -> Check:
    floor, candidate = question.floor, ground.candidate
    figure = _find_figure(reading.metric, candidate, floor.confidence)
    if figure is None:
        reason = say_absent(reading, candidate.numbers)
        answer = CheckAnswer(status=Status.UNDECIDED, reason=reason, is_doubted=True)
    else:
        answer = _answer(figure, question, ground)
        label = reading.asked.label
        may_have_few = lacks_images(label, candidate) and label not in ground.gone
        answer = replace(answer, is_doubted=isnan(figure.value) and not may_have_few)
    said = (answer.reason, _say_reading(reading, candidate), ground.note)
    answer = replace(answer, reason="; ".join(filter(None, said)))
    return _build_check(question, reading, figure, answer, ground)


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


def _find_failing(question: _Question, read: Mapping[Reading, Ground]) -> frozenset[Reading]:
    """The numbers that fail: those below the limit, of many together those beyond chance."""

    def find(confidence: float) -> dict[Reading, Figure | None]:
        return {
            reading: _find_figure(reading.metric, ground.candidate, confidence)
            for reading, ground in read.items()
        }

    def fails(reading: Reading, figure: Figure | None, confidence: float) -> bool:
        if figure is None or _answer(figure, question).status != Status.FAILED:
            return False
        images = read[reading].candidate.test_images
        n = (
            (images.per_label or {}).get(reading.asked.label)
            if reading.asked.label
            else images.total
        )
        return not (are_slices and n and _may_be_chance(figure, question, n, confidence))

    def fails_at(confidence: float) -> frozenset[Reading]:
        figures = find(confidence).items()
        return frozenset(one for one, figure in figures if fails(one, figure, confidence))

    confidence = question.floor.confidence
    are_slices = question.has_interval and len({reading.slice for reading in read}) > 1
    if not question.has_interval:
        return fails_at(confidence)
    tested = [figure for figure in find(confidence).values() if figure and _has_width(figure)]
    return find_failing(len(tested), confidence, fails_at)


def _may_be_chance(figure: Figure, question: _Question, n: int, confidence: float) -> bool:
    """Whether a share of n images may lie beyond the limit by chance, by the exact binomial.

    The far end of an interval by formula is reached too often where images are few and the limit is
    near 0 or 1: of 20 slices of 30 images truly at 0.98 one failed in 36 % of test sets.
    """
    from scipy.special import betainc

    value, limit = figure.value, question.limit
    if not 0 <= value <= 1 or not 0 < limit < 1:
        return False
    if question.sign < 0:
        value, limit = 1 - value, 1 - limit
    chance = float(betainc(n * (1 - value), n * value + 1, 1 - limit)) if value < 1 else 1.0
    return chance >= (1 - confidence) / 2


def _want_groups(check: Check) -> Check:
    """Where groups are asked for, no interval over single images lets a check pass."""
    if check.status != Status.PASSED:
        return check
    reason = "; ".join(filter(None, (f"{SINGLE_IMAGES}: {_MEND_GROUPS}", check.reason)))
    return replace(check, status=Status.UNDECIDED, reason=reason, is_doubted=True)


def _forgive_chance(check: Check, question: _Question, read: Collection[Reading]) -> Check:
    side = "below" if question.sign > 0 else "above"
    several = count_family(len(read), len({reading.slice for reading in read} - {""}))
    reason = (
        f"{check.reason}; of {several} checked at once some fall {side} a limit by chance: with "
        "all of them taken together (Holm) this one is not surely beyond it"
    )
    return replace(check, status=Status.UNDECIDED, reason=reason)


def _has_width(figure: Figure) -> bool:
    return figure.low < figure.high


def _answer(figure: Figure, question: _Question, ground: Ground | None = None) -> CheckAnswer:
    """Hold a number against one limit; with the ground it is said what would decide it."""
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
    return _undecided(figure, limit, confidence, ground)


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
    figure: Figure, limit: float, confidence: float, ground: Ground | None
) -> CheckAnswer:
    error = (figure.high - figure.low) / 2 / compute_margin(confidence)
    needed, images = None, ground.images if ground else ""
    n_images = ground.candidate.test_images.total if ground else None
    if n_images:
        spread = range_variance(figure.value, n_images)
        needed = range_to_decide(n_images, error, spread, confidence=confidence)
    reason = (
        f"the {say_percent(confidence)} interval {say_number(figure.low)} to "
        f"{say_number(figure.high)} holds the limit {say_number(limit)}"
        f"{say_needed(needed, images)}"
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
    question: _Question,
    reading: Reading,
    figure: Figure | None,
    answer: CheckAnswer,
    ground: Ground,
) -> Check:
    """The interval is told where the floor asks for one."""
    shows_interval = figure is not None and question.has_interval
    return Check(
        kind=CheckKind.FLOOR,
        metric=replace(reading.asked, slice=reading.slice),
        status=answer.status,
        value=figure.value if figure else nan,
        limit=question.limit,
        is_maximum=question.sign < 0,
        low=figure.low if figure and shows_interval else nan,
        high=figure.high if figure and shows_interval else nan,
        reason=answer.reason,
        is_doubted=answer.is_doubted,
        images_needed_range=ground.scale(answer.images_needed),
    )

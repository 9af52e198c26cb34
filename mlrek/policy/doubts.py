"""Which number a check reads, and which doubts keep it from passing: the contract's table."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mlrek.evaluation import Doubt, DoubtKind, Effect, Task
from mlrek.metrics.crossfit import PREFIX, find_crossfit
from mlrek.policy import (
    Candidate,
    Check,
    LeakageRule,
    Metric,
    Opponent,
    Status,
    TestSetPolicy,
)

ACCEPT_ADVICE: Final = 'or accept it in the policy: [test_set] accept = ["{}"]'
CROSSFIT_NOTE: Final = (
    "read with thresholds that were chosen on the other images (cross-fitted), as the version's "
    "own were chosen on this very test set"
)
_PLAIN_ERROR, _DEBIASED_ERROR = "/ece", "/ece_debiased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a check reads: a number of one version, or of both, with its interval or without.

    `asked` is the number that the policy names, `metric` the one that is read; mostly they are one.
    """

    asked: Metric
    metric: Metric
    is_relative: bool
    has_interval: bool

    @property
    def is_crossfit(self) -> bool:
        """Whether its thresholds were chosen on other images than those they are judged on."""
        return self.metric != self.asked and self.metric.name.startswith(PREFIX)

    @property
    def is_debiased(self) -> bool:
        """Whether it is the calibration error without what chance adds to it."""
        return self.metric.name.endswith(_DEBIASED_ERROR) and self.metric != self.asked


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


def list_doubts(candidate: Candidate, opponent: Opponent) -> tuple[Doubt, ...]:
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

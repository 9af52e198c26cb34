"""Where a policy asks for less than another one, rule by rule. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import Final

from mlrek.policy import (
    ANY_LABEL,
    LeakageRule,
    Metric,
    NoWorse,
    Policy,
    SameTestSet,
    TestSetPolicy,
)
from mlrek.policy.wording import say_number, say_percent

_LOOSENESS: Final = {SameTestSet.REQUIRED: 0, SameTestSet.OVERLAPPING: 1, SameTestSet.ANY: 2}
_LEAKAGE: Final = {LeakageRule.FORBIDDEN: 0, None: 1, LeakageRule.ALLOWED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """One side of a floor, or one check against the baseline, as numbers that compare.

    A larger `strictness` asks for more; `confidence` is 0 where the value itself is held.
    """

    kind: str
    metric: Metric
    strictness: float
    confidence: float

    def covers(self, other: "_Limit") -> bool:
        """Whether it is about all that the other one is about."""
        is_same = self.metric.name == other.metric.name
        return is_same and self.metric.label in {other.metric.label, ANY_LABEL}

    def is_as_strict(self, other: "_Limit") -> bool:
        """Whether whatever passes this passes the other one."""
        if self.kind != other.kind and (self.kind, other.kind) != ("better", "no_worse"):
            return False
        is_strict = self.strictness >= other.strictness or self.kind != other.kind
        return self.covers(other) and is_strict and self.confidence >= other.confidence


def list_weaker(before: Policy, now: Policy) -> tuple[str, ...]:
    """What a policy asks for less than the one before, a sentence for each rule."""
    found = (*_weaken_test_set(before, now), *_weaken_limits(before, now))
    return tuple(dict.fromkeys(found))


def _weaken_limits(before: Policy, now: Policy) -> Iterator[str]:
    limits = list(_list_limits(now))
    for limit in _list_limits(before):
        if any(one.is_as_strict(limit) for one in limits):
            continue
        alike = [one for one in limits if one.kind == limit.kind and one.covers(limit)]
        yield from _say_weaker(limit, alike) if alike else _say_removed(limit, limits)


def _say_weaker(limit: _Limit, alike: Sequence[_Limit]) -> Iterator[str]:
    """What the nearest rule that is left asks for less."""
    nearest = max(alike, key=lambda one: (one.strictness, one.confidence))
    name, noun = f"{_title(limit)} {limit.metric}", _NOUNS[limit.kind]
    if nearest.strictness < limit.strictness:
        yield f"{name}: {noun} {_say(limit)} is now {_say(nearest)}"
    if nearest.confidence < limit.confidence:
        was, is_now = (
            say_percent(one.confidence) if one.confidence else "none" for one in (limit, nearest)
        )
        yield f"{name}: confidence {was} is now {is_now}"


def _say_removed(limit: _Limit, limits: Iterable[_Limit]) -> Iterator[str]:
    name = f"{_title(limit)} {limit.metric}"
    narrower = [str(one.metric) for one in limits if one.kind == limit.kind and limit.covers(one)]
    left = f"; only {', '.join(narrower)} is left" if narrower else ""
    other = next((one for one in limits if one.covers(limit)), None)
    in_place = f", {_title(other)} in its place" if other and not narrower else ""
    yield f"{name}: the check was removed{left}{in_place}"


def _title(limit: _Limit) -> str:
    return f"[[{'floor' if limit.kind in {'min', 'max'} else limit.kind}]]"


def _say(limit: _Limit) -> str:
    value = limit.strictness if limit.kind == "min" else -limit.strictness
    return say_number(value + 0.0)


_NOUNS: Final = {"min": "min", "max": "max", "no_worse": "margin", "better": "margin"}


def _list_limits(policy: Policy) -> Iterator[_Limit]:
    for floor in policy.floors:
        confidence = 0.0 if isnan(floor.confidence) else floor.confidence
        for kind, strictness in (("min", floor.min), ("max", -floor.max)):
            if not isnan(strictness):
                yield _Limit(
                    kind=kind, metric=floor.metric, strictness=strictness, confidence=confidence
                )
    for asked in policy.relative:
        yield _Limit(
            kind=asked.kind,
            metric=asked.metric,
            strictness=-asked.margin if isinstance(asked, NoWorse) else inf,
            confidence=asked.confidence,
        )


def _weaken_test_set(before: Policy, now: Policy) -> Iterator[str]:
    old, new = before.test_set, now.test_set
    if before.relative and _LOOSENESS[new.same] > _LOOSENESS[old.same]:
        yield f'[test_set] same: "{old.same.value}" is now "{new.same.value}"'
    for name, was, is_now in (
        ("min_images", old.min_images, new.min_images),
        ("min_images_per_label", old.min_images_per_label, new.min_images_per_label),
    ):
        if is_now < was:
            yield f"[test_set] {name}: {was:,} is now {f'{is_now:,}' if is_now else 'not asked'}"
    if _LEAKAGE[new.leakage] > _LEAKAGE[old.leakage]:
        said = [f'"{one}"' if one else "not said" for one in (old.leakage, new.leakage)]
        yield f"[test_set] leakage: {said[0]} is now {said[1]}"
    for kind in sorted(new.accept - old.accept):
        yield f'[test_set] accept: "{kind.value}" was added'
    yield from _weaken_intervals(old, new)


def _weaken_intervals(old: TestSetPolicy, new: TestSetPolicy) -> Iterator[str]:
    """What makes intervals narrower, so that more passes."""
    if old.group_by and new.group_by != old.group_by:
        is_now = f"is now {new.group_by!r}" if new.group_by else "was dropped"
        yield f"[test_set] group_by: {old.group_by!r} {is_now}"
    if old.adjust_for_looks and not new.adjust_for_looks:
        yield "[test_set] adjust_for_looks: true is now false"

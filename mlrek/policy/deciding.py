"""Policy × numbers × comparison -> `Decision`. The gate reads intervals, never p.

All checks are answered, whatever the others say. What cannot be known is undecided with its reason:
nothing passes because a number is missing, nor on a number that a doubt weakens.
"""

from collections.abc import Iterator
from dataclasses import replace

from mlrek.policy import (
    NUMBER_KINDS,
    Candidate,
    Check,
    Decision,
    Looks,
    Opponent,
    Policy,
    Status,
)
from mlrek.policy.doubts import list_doubts, list_floor_doubts, list_relative_doubts
from mlrek.policy.exam import check_test_set, say_incomparable
from mlrek.policy.floors import check_floor
from mlrek.policy.looks import judge_looks
from mlrek.policy.relative import Footing, check_relative, say_worse_labels


def decide(
    policy: Policy, candidate: Candidate, opponent: Opponent, looks: Looks | None = None
) -> Decision:
    """Answer every check of a policy.

    Args:
        policy: What is asked.
        candidate: The version that may be promoted.
        opponent: What relative checks compare it with, or why there is nothing.
        looks: How many were compared with that before on these images, None where nothing was.
    """
    exam = tuple(check_test_set(policy, candidate, opponent))
    footing = Footing(
        opponent=opponent,
        asked=policy.test_set,
        doubts=list_relative_doubts(candidate, opponent),
        incomparable=say_incomparable(policy.test_set.same, opponent),
        unaccepted=next((c.reason for c in exam if c.status in _UNACCEPTED), ""),
        looks=looks,
    )
    worse = "" if footing.incomparable else say_worse_labels(opponent.comparison)
    numbers = _check_numbers(policy, candidate, replace(footing, remark=worse))
    checks = (*exam, *numbers)
    return Decision(
        candidate=candidate.identity,
        baseline=opponent.identity,
        checks=checks,
        already_champion=candidate.is_champion,
        looks=judge_looks(looks, policy),
        doubts=list_doubts(candidate, opponent),
        warnings=() if candidate.is_champion else tuple(_warn(policy, opponent, checks, worse)),
    )


def _check_numbers(policy: Policy, candidate: Candidate, footing: Footing) -> Iterator[Check]:
    doubts = list_floor_doubts(candidate, footing.opponent)
    for floor in policy.floors:
        yield from check_floor(floor, candidate, policy.test_set, doubts)
    for asked in policy.relative:
        yield from check_relative(asked, candidate, footing)


def _warn(
    policy: Policy, opponent: Opponent, checks: tuple[Check, ...], worse: str
) -> Iterator[str]:
    if worse:
        yield worse
    if opponent.absent and policy.relative:
        yield (
            f"{opponent.absent}: the checks against a baseline are ignored; only floors and the "
            "test set count"
        )
    counted = (c.status for c in checks if c.kind in NUMBER_KINDS)
    if not policy.floors and all(status == Status.IGNORED for status in counted):
        yield "no number was checked, so nothing shows that the version is good: add a [[floor]]"


_UNACCEPTED = (Status.FAILED, Status.UNDECIDED)

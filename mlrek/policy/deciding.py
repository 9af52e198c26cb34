"""Policy × numbers × comparison -> `Decision`. The gate reads intervals, never p.

All checks are answered, whatever the others say. What cannot be known is undecided with its reason:
nothing passes because a number is missing.
"""

from collections.abc import Iterator

from mlrek.policy import Candidate, Check, Decision, Opponent, Policy, Status
from mlrek.policy.exam import check_test_set, say_incomparable
from mlrek.policy.floors import check_floor
from mlrek.policy.relative import Footing, check_relative


def decide(policy: Policy, candidate: Candidate, opponent: Opponent) -> Decision:
    """Answer every check of a policy.

    Args:
        policy: What is asked.
        candidate: The version that may be promoted.
        opponent: What relative checks compare it with, or why there is nothing.
    """
    exam = tuple(check_test_set(policy, candidate, opponent))
    return Decision(
        candidate=candidate.identity,
        baseline=opponent.identity,
        checks=(*exam, *_check_numbers(policy, candidate, opponent, exam)),
        warnings=tuple(_warn(policy, opponent)),
    )


def _check_numbers(
    policy: Policy, candidate: Candidate, opponent: Opponent, exam: tuple[Check, ...]
) -> Iterator[Check]:
    footing = Footing(
        opponent=opponent,
        same=policy.test_set.same,
        incomparable=say_incomparable(policy.test_set.same, opponent),
        unaccepted=next((c.reason for c in exam if c.status in _UNACCEPTED), ""),
    )
    for floor in policy.floors:
        yield from check_floor(floor, candidate)
    for asked in policy.relative:
        yield from check_relative(asked, candidate, footing)


def _warn(policy: Policy, opponent: Opponent) -> Iterator[str]:
    if opponent.absent and policy.relative:
        yield (
            f"{opponent.absent}: the checks against a baseline are ignored; only floors and the "
            "test set count"
        )


_UNACCEPTED = (Status.FAILED, Status.UNDECIDED)

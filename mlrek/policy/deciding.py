"""Policy × numbers × comparison -> `Decision`. The gate reads intervals, never p.

All checks are answered, whatever the others say. What cannot be known is undecided with its reason:
nothing passes because a number is missing, nor on a number that a doubt weakens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import nan
from typing import Final

from mlrek.comparison import Verdict
from mlrek.policy import (
    NUMBER_KINDS,
    Candidate,
    Check,
    CheckKind,
    Decision,
    LeakageRule,
    Looks,
    Metric,
    Opponent,
    Policy,
    Portions,
    SameTestSet,
    Status,
    TestImages,
)
from mlrek.policy.floors import Ground, check_floor
from mlrek.policy.reading import (
    judge_looks,
    list_decision_doubts,
    list_floor_doubts,
    list_relative_doubts,
)
from mlrek.policy.relative import (
    Footing,
    check_relative,
    say_incomparable,
    say_sets,
    say_worse_labels,
)
from mlrek.policy.slices import check_floor_in_slices, check_relative_in_slices, say_gone
from mlrek.text import list_some

MAX_NAMES: Final = 5
_OWN_TEST_SET_ADVICE: Final = "evaluate both on one test set (mlrek evaluate VERSION --on MANIFEST)"
_SAME_ADVICE: Final = 'or let the policy accept this with [test_set] same = "{}"'
_UNACCEPTED: Final = (Status.FAILED, Status.UNDECIDED)


def decide(
    policy: Policy,
    candidate: Candidate,
    opponent: Opponent,
    looks: Looks | None = None,
    slices: Mapping[str, Portions] | None = None,
) -> Decision:
    """Answer every check of a policy.

    Args:
        policy: What is asked.
        candidate: The version that may be promoted.
        opponent: What relative checks compare it with, or why there is nothing.
        looks: How many were compared with that before on these images, None where nothing was.
        slices: The versions on the slices that the policy names, by how it names them.
    """
    test_set = tuple(_check_test_set(policy, candidate, opponent))
    slices = slices or {}
    footing = Footing(
        ground=Ground(candidate=candidate, doubts=list_relative_doubts(candidate, opponent)),
        opponent=opponent,
        asked=policy.test_set,
        incomparable=say_incomparable(policy.test_set.same, opponent),
        unaccepted=next((c.reason for c in test_set if c.status in _UNACCEPTED), ""),
        looks=looks,
    )
    worse = "" if footing.incomparable else say_worse_labels(opponent.comparison)
    numbers = _check_numbers(policy, replace(footing, remark=worse), slices)
    checks = (*test_set, *numbers)
    return Decision(
        candidate=candidate.identity,
        baseline=opponent.identity,
        checks=checks,
        already_champion=candidate.is_champion,
        looks=judge_looks(looks, policy),
        doubts=list_decision_doubts(candidate, opponent),
        warnings=()
        if candidate.is_champion
        else (
            *_warn_groups(policy.test_set.group_by, candidate, opponent),
            *_warn(policy, opponent, checks, worse, slices),
        ),
    )


def _check_numbers(
    policy: Policy, footing: Footing, slices: Mapping[str, Portions]
) -> Iterator[Check]:
    candidate = footing.ground.candidate
    whole = Ground(
        candidate=candidate,
        doubts=list_floor_doubts(candidate, footing.opponent),
        gone=footing.opponent.gone,
    )
    for floor in policy.floors:
        if floor.slice:
            yield from check_floor_in_slices(floor, whole, footing, slices.get(floor.slice))
        else:
            yield from check_floor(floor, [whole], policy.test_set)
    for asked in policy.relative:
        if asked.slice:
            yield from check_relative_in_slices(asked, footing, slices.get(asked.slice))
        else:
            yield from check_relative(asked, [footing])


def _warn(
    policy: Policy,
    opponent: Opponent,
    checks: tuple[Check, ...],
    worse: str,
    slices: Mapping[str, Portions],
) -> Iterator[str]:
    if worse:
        yield worse
    if opponent.gone:
        yield f"labels that only the baseline was tested on: {_name_gone(opponent)}"
    yield from say_gone(slices.values())
    if opponent.absent and policy.relative:
        yield (
            f"{opponent.absent}: the checks against a baseline are ignored; only floors and the "
            "test set count"
        )
    counted = (c.status for c in checks if c.kind in NUMBER_KINDS)
    if not policy.floors and all(status == Status.IGNORED for status in counted):
        yield "no number was checked, so nothing shows that the version is good: add a [[floor]]"


def _name_gone(opponent: Opponent) -> str:
    return list_some(f"{label} ({n:,} images)" for label, n in opponent.gone.items())


def _warn_groups(group_by: str, candidate: Candidate, opponent: Opponent) -> Iterator[str]:
    """The images that belong to no group: they count as if each showed an object of its own."""
    counted = (
        (candidate.n_alone, f" of {candidate.n_images:,}", "candidate"),
        (opponent.n_alone, "", "baseline"),
    )
    for n, of, whose in counted:
        if n:
            yield (
                f"group_by {group_by!r} finds no object in the URIs of {n:,}{of} test images of "
                f"the {whose}: each of these counts as an object of its own"
            )


# ---- is the test set one that the policy accepts? ------------------------------------------


def _check_test_set(policy: Policy, candidate: Candidate, opponent: Opponent) -> Iterator[Check]:
    """One check for each thing that the policy asks of the test set."""
    asked = policy.test_set
    if policy.relative:
        yield _check_same(asked.same, opponent)
    elif opponent.missing:
        check = _check("baseline", Status.UNDECIDED, opponent.missing)
        yield replace(check, is_comparable=False)
    tests = _name_tests(policy, candidate, opponent)
    if asked.min_images:
        yield _check_total(asked.min_images, tests)
    if asked.min_images_per_label:
        yield _check_labels(asked.min_images_per_label, tests, opponent)
    if asked.leakage is LeakageRule.FORBIDDEN:
        yield _check_leakage(candidate)


def _check_same(same: SameTestSet, opponent: Opponent) -> Check:
    """Whether both versions were tested on images that the policy lets compare."""
    if opponent.absent:
        return _check("same", Status.IGNORED, opponent.absent)
    reason = say_incomparable(same, opponent)
    if opponent.missing:
        return replace(_check("same", Status.UNDECIDED, reason), is_comparable=False)
    if opponent.comparison is not None:
        if not reason:
            return _check("same", Status.PASSED, say_sets(opponent.comparison))
        is_disjoint = opponent.comparison.test_sets.verdict == Verdict.DISJOINT
        accepted = _SAME_ADVICE.format("any" if is_disjoint else "overlapping")
        reason = f"{reason}: {opponent.advice or _OWN_TEST_SET_ADVICE}, {accepted}"
    return replace(_check("same", Status.UNDECIDED, reason), is_comparable=False)


def _name_tests(
    policy: Policy, candidate: Candidate, opponent: Opponent
) -> list[tuple[str, TestImages]]:
    """Every set of images that a check of the policy rests on."""
    tests = [("the candidate's test set", candidate.test_images)]
    rests_on_shared = policy.relative and policy.test_set.same == SameTestSet.OVERLAPPING
    if rests_on_shared and opponent.shared_images is not None:
        tests.append(("what both test sets share", opponent.shared_images))
    return tests


def _check_total(wanted: int, tests: list[tuple[str, TestImages]]) -> Check:
    if any(images.total is None for _, images in tests):
        reason = "nothing tells how many test images there were"
        return _check("min_images", Status.UNDECIDED, reason, limit=wanted)
    place, total = min(
        ((place, images.total or 0) for place, images in tests), key=lambda pair: pair[1]
    )
    if total >= wanted:
        return _check("min_images", Status.PASSED, "", value=total, limit=wanted)
    reason = f"{place} has {total:,} images, {wanted - total:,} too few: test on {wanted:,} or more"
    check = _check("min_images", Status.UNDECIDED, reason, value=total, limit=wanted)
    return replace(check, images_needed_range=(wanted, wanted))


def _check_labels(wanted: int, tests: list[tuple[str, TestImages]], opponent: Opponent) -> Check:
    """The labels that lack images are named, the poorest first, with those that have none left."""
    name = "min_images_per_label"
    if any(not images.per_label for _, images in tests):
        reason = "nothing tells how many test images each label has"
        return _check(name, Status.UNDECIDED, reason, limit=wanted)
    counts = dict.fromkeys(opponent.gone, 0)
    for _, images in tests:
        for label, count in (images.per_label or {}).items():
            counts[label] = min(count, counts.get(label, count))
    poor = sorted((count, label) for label, count in counts.items() if count < wanted)
    fewest = min(counts.values())
    if not poor:
        return _check(name, Status.PASSED, "", value=fewest, limit=wanted)
    named = ", ".join(f"{label} ({count:,})" for count, label in poor[:MAX_NAMES])
    more = f" and {len(poor) - MAX_NAMES:,} more labels" if len(poor) > MAX_NAMES else ""
    total = min(images.total or 0 for _, images in tests)
    reason = f"too few test images of {named}{more}: add images until each label has {wanted:,}"
    if opponent.gone:
        reason += (
            f"; the baseline was tested on {_name_gone(opponent)}, the candidate on none: if that "
            "is meant, test both on images without them"
        )
    check = _check(name, Status.UNDECIDED, reason, value=fewest, limit=wanted)
    needed = -(-total * wanted // fewest) if fewest else None
    return replace(check, images_needed_range=(needed, needed) if needed else None)


def _check_leakage(candidate: Candidate) -> Check:
    """Images that a version was trained on say nothing about images that it was not."""
    return replace(_ask_leakage(candidate), is_maximum=True)


def _ask_leakage(candidate: Candidate) -> Check:
    leakage = candidate.leakage
    if not leakage.known:
        reason = (
            "nothing tells whether the test images were seen in training: the training manifest of "
            "this version was not there when it was evaluated"
        )
        return _check("leakage", Status.UNDECIDED, reason, limit=0)
    n = len(leakage.images)
    if not n:
        return _check("leakage", Status.PASSED, "", value=0, limit=0)
    named = ", ".join(leakage.images[:MAX_NAMES]) + (" …" if n > MAX_NAMES else "")
    reason = (
        f"{n:,} test image{'s were' if n > 1 else ' was'} also in the training set: {named}; "
        "evaluate on images that it has not seen"
    )
    return _check("leakage", Status.FAILED, reason, value=n, limit=0)


def _check(
    name: str, status: Status, reason: str, *, value: float = nan, limit: float = nan
) -> Check:
    return Check(
        kind=CheckKind.TEST_SET,
        metric=Metric(name=name),
        status=status,
        value=value,
        limit=limit,
        reason=reason,
    )

"""Moving an alias, one promotion at a time.

MLflow can set an alias, but not "set it if it still is version 2". So promotions take turns. Each
writes a claim of its own, the tag `mlrek.promotion.<alias>.<token>` of the registered model, and
reads the claims after that: who sees no other has the turn. Of two who see each other at least one
reads after both have written, so never do both believe that they are alone; the one with the
smaller token stays and writes its claim again and again, the other takes its claim back until the
first is done. Whoever has the turn reads the alias, moves it only if it still is what the candidate
was checked against, and reads it again.

What is guaranteed, then: of any number of promotions at once by mlrek each sees the alias as the
one before it left it, and says what really became of it. What is not: an alias that is moved in
another way (the UI, `mlflow`, a script) between the last reading and the move, some milliseconds,
is overwritten unseen; and a promotion that sleeps for more than 40 seconds between its last look at
the clock and its move is taken for dead by then.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from uuid import uuid4

from mlrek.errors import TrackingError, UsageError
from mlrek.registry.door import Registry
from mlrek.registry.versions import ModelVersion
from mlrek.tracking.runs import DECISION_TAG

CLAIM = "mlrek.promotion."
PREVIOUS = "mlrek.previous."
"""Tag of a version and of its model: the number that the alias stood for before."""
PROMOTED = "mlrek.promoted."
"""Tag of a model, with an alias: a version was promoted to that alias once."""
SEALED = f"{DECISION_TAG}."
"""Tag, with an alias: of a version the SHA-256 of the decision that was sealed for that alias, of
its model the number of the last version that was so promoted, a slash, and that SHA-256."""
NOTHING = "none"
LIFE_S = 60.0
"""A claim that is not written anew for so long is one of a process that died."""
TURN_S = 20.0
"""A turn that takes longer does not move the alias any more: its claim may be taken for dead."""
PATIENCE_S = 3 * LIFE_S
LOOK_EVERY_S = 0.3


class Outcome(StrEnum):
    """What became of an alias."""

    MOVED = "moved"
    UNCHANGED = "unchanged"  # it stood there already
    OVERTAKEN = "overtaken"  # somebody else moved it meanwhile; left as they wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is asked: that an alias which stands for `before` shall stand for a version.

    A rollback (`goes_back`) leaves what the version remembers: the next one goes one step further
    back, never forth to what was rolled back. `decision` is the SHA-256 of what was sealed for it.
    """

    version: ModelVersion
    alias: str
    before: int | None
    goes_back: bool = False
    decision: str = ""

    @property
    def uri(self) -> str:
        """The alias as MLflow takes it."""
        return f"models:/{self.version.name}@{self.alias}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was done, and the number that the alias stands for at last."""

    outcome: Outcome
    now: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time that passes, so that tests need not wait for it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def move_alias(registry: Registry, move: Move, clock: Clock | None = None) -> Moved:
    """Move an alias when it is this promotion's turn, and say what became of it.

    Raises:
        TrackingError: MLflow cannot be reached or refuses, or the turn never came.
    """
    with _turn(registry, move, clock or Clock()) as has_time:
        return _move(registry, move, has_time)


def find_previous(registry: Registry, name: str, alias: str) -> Move:
    """The move that puts back what an alias stood for before its last promotion.

    Raises:
        ModelNotFoundError: There is no such model, or the version from before is gone.
        UsageError: The alias is not set, or nothing is known to have been before.
    """
    uri = f"models:/{name}@{alias}"
    now = registry.get_aliases(name).get(alias)
    if now is None:
        raise UsageError(f"{uri} is not set, so there is nothing to roll back")
    before = registry.get_version(name, now).tags.get(PREVIOUS + alias, "")
    if not before.isdigit():
        known = "was the first" if before == NOTHING else "was not promoted by mlrek"
        raise UsageError(
            f"nothing is known to have been {uri} before version {now}, which {known}; to move it "
            f"all the same: mlrek promote models:/{name}/NUMBER --policy FILE --alias {alias}"
        )
    version = registry.get_version(name, int(before))
    return Move(version=version, alias=alias, before=now, goes_back=True)


def describe_overtaken(move: Move, now: int | None) -> str:
    """Why nothing was moved: the alias is not what the candidate was checked against."""
    was = f"version {move.before}" if move.before else "not set"
    new = f"version {now}" if now else "not set any more"
    return (
        f"{move.uri} was moved by somebody else meanwhile: it was {was} and now is {new}; "
        "it is left as they wanted. Run the command again to check against it"
    )


def _move(registry: Registry, move: Move, has_time: Callable[[], bool]) -> Moved:
    name, wanted = move.version.name, move.version.number
    now = registry.get_aliases(name).get(move.alias)
    if now == wanted and now != move.before:
        reason = f"somebody else moved {move.uri} to version {wanted} meanwhile"
        return Moved(outcome=Outcome.UNCHANGED, now=now, reason=reason)
    if now != move.before:
        return Moved(outcome=Outcome.OVERTAKEN, now=now, reason=describe_overtaken(move, now))
    previous = _describe_previous(move)
    registry.set_version_tags(move.version, {**previous, **_describe_seal(move)})
    if not has_time():
        raise TrackingError(f"{move.uri} was not moved: MLflow answers too slowly; try again")
    registry.set_alias(name, move.alias, wanted)
    registry.set_model_tags(name, {PROMOTED + move.alias: "true", **_describe_last(move)})
    now = registry.get_aliases(name).get(move.alias)
    if now != wanted:
        reason = (
            f"{move.uri} was moved to version {wanted}, but somebody else moved it on to "
            f"{f'version {now}' if now else 'nothing'} at once; it is left as they wanted"
        )
        return Moved(outcome=Outcome.OVERTAKEN, now=now, reason=reason)
    registry.set_model_tags(name, previous)
    return Moved(outcome=Outcome.MOVED, now=now)


def _describe_previous(move: Move) -> dict[str, str]:
    """The tag that remembers what was before a version; none where that is not known."""
    key = PREVIOUS + move.alias
    before = move.version.tags.get(key, "") if move.goes_back else str(move.before or NOTHING)
    return {key: before} if before else {}


def _describe_seal(move: Move) -> dict[str, str]:
    """The tags of a version that name its sealed decision, its last one and that for this alias."""
    if not move.decision:
        return {}
    return {DECISION_TAG: move.decision, SEALED + move.alias: move.decision}


def _describe_last(move: Move) -> dict[str, str]:
    """The tag of a model that tells of its last promotion by a policy, which a rollback is not."""
    if not move.decision:
        return {}
    return {SEALED + move.alias: f"{move.version.number}/{move.decision}"}


# ---- taking turns --------------------------------------------------------------------------


@contextlib.contextmanager
def _turn(registry: Registry, move: Move, clock: Clock) -> Iterator[Callable[[], bool]]:
    """Hold the turn; gives what tells whether there is time left in it."""
    name, claim = move.version.name, f"{CLAIM}{move.alias}.{uuid4().hex}"
    try:
        since = _wait(registry, move, claim, clock)
        yield lambda: clock.now() - since < TURN_S
    finally:
        registry.delete_model_tag(name, claim)


def _wait(registry: Registry, move: Move, claim: str, clock: Clock) -> float:
    """Wait until no other claim is there; gives when ours was written last."""
    begun = clock.now()
    watched: dict[tuple[str, str], float] = {}
    others = _read_claims(registry, move)
    while clock.now() - begun < PATIENCE_S:
        if all(claim < other for other in others):
            since = clock.now()
            registry.set_model_tags(move.version.name, {claim: f"{since:.3f}"})
            others = _read_claims(registry, move)
            if set(others) == {claim}:
                return since
        others.pop(claim, None)
        if any(other < claim for other in others):
            registry.delete_model_tag(move.version.name, claim)
        watched = {seen: watched.get(seen, clock.now()) for seen in others.items()}
        for (other, _), first_seen in watched.items():
            if clock.now() - first_seen > LIFE_S:
                registry.delete_model_tag(move.version.name, other)
        clock.sleep(LOOK_EVERY_S)
        others = _read_claims(registry, move)
        others.pop(claim, None)
    raise TrackingError(
        f"{move.uri} was not moved: other promotions have been under way for "
        f"{PATIENCE_S:.0f} seconds; try again"
    )


def _read_claims(registry: Registry, move: Move) -> dict[str, str]:
    prefix = f"{CLAIM}{move.alias}."
    tags = registry.get_model_tags(move.version.name)
    return {key: value for key, value in tags.items() if key.startswith(prefix)}

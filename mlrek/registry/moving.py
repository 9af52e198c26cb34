"""Moving an alias: read it, move it, and read it again when others have settled.

MLflow can set an alias, but not "set it if it still is version 2". So of several promotions at once
more than one may read the same champion, and each moves the alias over the other. Whoever has moved
it waits a moment and reads it again: by then everybody who read the same champion has moved, and
all read the same alias. The promotion whose version it is has moved it, the others are overtaken
and say so. The tags of the model, which two may have written in another order than the alias, are
written once more by the one that moved.

What is guaranteed, then: of any number of promotions at once by mlrek one moves the alias, each
says what really became of it, and whoever is killed leaves nothing that others must wait for. What
is not: a promotion that takes longer than this moment from its last reading to its move overwrites
one that has been told already that it moved. And an alias that is moved in another way (the UI,
`mlflow`, a script) between the last reading and the move, some milliseconds, is overwritten unseen.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mlrek.errors import ModelNotFoundError, UsageError
from mlrek.registry.door import ModelVersion, Registry
from mlrek.tracking import DECISION_TAG

PREVIOUS = "mlrek.previous."
"""Tag of a version and of its model: the number that the alias stood for before."""
PROMOTED = "mlrek.promoted."
"""Tag of a model, with an alias: a version was promoted to that alias once."""
SEALED = f"{DECISION_TAG}."
"""Tag, with an alias: of a version the SHA-256 of the decision that was sealed for that alias, of
its model the number of the last version that was so promoted, a slash, and that SHA-256."""
NOTHING = "none"
SETTLE_S = 1.0
"""How long others may need to move an alias that they have read."""
SLOWNESS = 3
"""Where MLflow is slow, they may need so many times as long as this promotion."""


class MoveOutcome(StrEnum):
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

    outcome: MoveOutcome
    now: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time that passes, so that tests need not wait for it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def move_alias(registry: Registry, move: Move, clock: Clock | None = None) -> Moved:
    """Move an alias, unless somebody else moved it meanwhile, and say what became of it.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    is_moved = _move(registry, move, clock or Clock())
    now, wanted = _read(registry, move), move.version.number
    if is_moved and now == wanted:
        registry.set_model_tags(move.version.name, _describe_promoted(move))
        return Moved(outcome=MoveOutcome.MOVED, now=now)
    if now == wanted:
        reason = f"somebody else moved {move.uri} to version {wanted} meanwhile"
        return Moved(outcome=MoveOutcome.UNCHANGED, now=now, reason=reason)
    if not is_moved:
        return Moved(outcome=MoveOutcome.OVERTAKEN, now=now, reason=say_overtaken(move, now))
    reason = (
        f"{move.uri} was moved to version {wanted}, but somebody else moved it on to "
        f"{f'version {now}' if now else 'nothing'} at once; it is left as they wanted"
    )
    return Moved(outcome=MoveOutcome.OVERTAKEN, now=now, reason=reason)


def find_previous(registry: Registry, name: str, alias: str) -> Move:
    """The move that puts back what an alias stood for before its last promotion.

    Raises:
        ModelNotFoundError: There is no such model, or the version from before is gone.
        UsageError: The alias is not set, or nothing is known to have been before.
    """
    uri = f"models:/{name}@{alias}"
    try:
        now = registry.get_aliases(name).get(alias)
    except ModelNotFoundError as exc:
        raise registry.explain_missing(name) from exc
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


def say_overtaken(move: Move, now: int | None) -> str:
    """Why nothing was moved: the alias is not what the candidate was checked against."""
    was = f"version {move.before}" if move.before else "not set"
    new = f"version {now}" if now else "not set any more"
    return (
        f"{move.uri} was moved by somebody else meanwhile: it was {was} and now is {new}; "
        "it is left as they wanted. Run the command again to check against it"
    )


def _move(registry: Registry, move: Move, clock: Clock) -> bool:
    """Move the alias if it is what it was, and wait until others that read it so have moved it."""
    begun = clock.now()
    is_free = _read(registry, move) == move.before
    if is_free:
        tags = {**_describe_previous(move), **_describe_seal(move)}
        registry.set_version_tags(move.version, tags)
        begun = clock.now()
        is_free = _read(registry, move) == move.before  # again, as the tags took their time
    if is_free:
        registry.set_alias(move.version.name, move.alias, move.version.number)
        registry.set_model_tags(move.version.name, _describe_promoted(move))
    clock.sleep(max(SETTLE_S, SLOWNESS * (clock.now() - begun)))
    return is_free


def _read(registry: Registry, move: Move) -> int | None:
    return registry.get_aliases(move.version.name).get(move.alias)


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


def _describe_promoted(move: Move) -> dict[str, str]:
    """The tags of a model that tell of its last promotion; a rollback is none by a policy."""
    tags = {PROMOTED + move.alias: "true", **_describe_previous(move)}
    if move.decision:
        tags[SEALED + move.alias] = f"{move.version.number}/{move.decision}"
    return tags

"""Check a registered version, then move an alias to it: what a promotion is made of."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from mlrek.errors import UsageError
from mlrek.gate import Asking, check_version
from mlrek.policy import Decision, Forgive, Policy
from mlrek.references import MODEL_URI, RUN_URI, find_entry
from mlrek.registry.door import Registry
from mlrek.registry.moving import Move, Moved, MoveOutcome, describe_overtaken, find_previous
from mlrek.registry.versions import (
    ModelVersion,
    check_alias,
    current_version,
    find_version_of_run,
)
from mlrek.sealing import compare_with_last, seal_decision
from mlrek.sources import AwsOptions
from mlrek.tracking.runs import RegisteredVersion

MODEL_NAME = re.compile(r"(?:models:/)?(?P<name>[^/:@]+)(?:@(?P<alias>[\w-]+)|/\d+)?")


UNKEPT = (
    "the baseline {} was read from a source, and no run keeps what it was: `mlrek verify` will not "
    "be able to decide again; log it with mlrek sync and name its run or registered version"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What is to be moved, and what is known of it so far.

    `candidate` is what the gate reads: the version, or its run on your own test set.
    `decision` is the gate's, None for a rollback.
    `moved` says what became of the alias, None as long as nothing was decided.
    """

    move: Move
    candidate: str = ""
    decision: Decision | None = None
    moved: Moved | None = None

    def exit_code(self, forgive: Forgive = "") -> int:
        """The gate's answer: 0, 3 or 4."""
        return self.decision.exit_code(forgive) if self.decision else 0


def prepare_promotion(candidate: str, alias: str, aws: AwsOptions, registry: Registry) -> Promotion:
    """The move that a promotion of a candidate would be; when it is done already, that it is.

    Raises:
        UsageError: The candidate is no registered version, or its evaluation was replaced.
        ModelNotFoundError: The registry has no such model or version.
    """
    check_alias(alias)
    version = find_candidate(candidate, aws, registry)
    before = registry.get_aliases(version.name).get(alias)
    move = Move(version=version, alias=alias, before=before)
    if before != version.number:
        _check_current(version, registry)
        return Promotion(move=move, candidate=_choose_run(candidate, version, registry))
    reason = f"{move.uri} is version {before} already"
    moved = Moved(outcome=MoveOutcome.UNCHANGED, now=before, reason=reason)
    return Promotion(move=move, candidate=_choose_run(candidate, version, registry), moved=moved)


def check_promotion(
    promotion: Promotion, policy: Policy, aws: AwsOptions, registry: Registry, *, notes: bool = True
) -> Promotion:
    """A promotion with the gate's answer, and the alias read again after that.

    Args:
        promotion: One that is not done yet; of one that is, the floors are shown.
        policy: What the version must fulfil.
        aws: Region and profile, for a baseline in a source.
        registry: Where the version is.
        notes: Keep the answer in the version's run and tags.
    """
    move = promotion.move
    asking = Asking(
        alias=move.alias,
        notes=notes,
        registered=RegisteredVersion(
            name=move.version.name, version=str(move.version.number), run_id=move.version.run_id
        ),
    )
    text = promotion.candidate or move.version.uri
    decision = check_version(text, policy, aws, lambda: registry.store, asking)
    if promotion.moved is not None:
        return replace(promotion, decision=decision)
    if policy.baseline != move.uri:
        decision = _warn_of_baseline(decision, policy, move)
    decision = _warn(decision, compare_with_last(policy, move, registry))
    baseline = decision.baseline
    if baseline is not None and not baseline.run_id:
        decision = _warn(decision, (UNKEPT.format(baseline.version),))
    now = registry.get_aliases(move.version.name).get(move.alias)
    checked = replace(promotion, decision=decision)
    if now == move.before:
        return checked
    overtaken = Moved(outcome=MoveOutcome.OVERTAKEN, now=now, reason=describe_overtaken(move, now))
    return replace(checked, moved=overtaken)


def seal_promotion(
    promotion: Promotion, policy: Policy, registry: Registry, forgive: Forgive = ""
) -> Promotion:
    """A promotion that passed, its decision written down and sealed; the alias is not moved yet.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if promotion.decision is None:
        return promotion
    move = promotion.move
    seal = seal_decision(
        promotion.decision,
        policy,
        registry.store,
        alias=move.alias,
        run_id=move.version.run_id,
        forgive=forgive,
    )
    return replace(promotion, move=replace(move, decision=seal))


def prepare_rollback(text: str, alias: str, registry: Registry) -> Promotion:
    """The move that puts back what an alias stood for before.

    Args:
        text: `NAME`, `models:/NAME` or `models:/NAME@alias`.
        alias: The alias, when the text names none.
        registry: Where the model is.

    Raises:
        UsageError: The text names no model, or nothing is known to have been before.
        ModelNotFoundError: The registry has no such model, or the version is gone.
    """
    model = MODEL_NAME.fullmatch(text)
    if model is None:
        raise UsageError(
            f"{text!r} names no registered model to roll back: models:/NAME or models:/NAME@alias"
        )
    return Promotion(
        move=find_previous(registry, model["name"], check_alias(model["alias"] or alias))
    )


def find_candidate(text: str, aws: AwsOptions, registry: Registry) -> ModelVersion:
    """The version of a registered model that a CANDIDATE names.

    Raises:
        UsageError: It is not registered, or under several names.
        ModelNotFoundError: The registry has no such model, version or alias.
    """
    if text.startswith("models:/"):
        return _find_by_uri(text, registry)
    if run := RUN_URI.fullmatch(text):
        found = registry.store.get_run(run["run_id"])
        versions = registry.find_versions(found.version_arn)
        if found.own_test_set:
            return _choose(text, versions, lambda own: current_version(own, found.version_arn))
        return _choose(text, versions, lambda own: find_version_of_run(own, found.run_id))
    arn = find_entry(text, aws)[1].version.arn
    return _choose(text, registry.find_versions(arn), lambda own: current_version(own, arn))


def _choose_run(text: str, version: ModelVersion, registry: Registry) -> str:
    """What the gate reads: the run on your own test set where one is named, else the version."""
    run = RUN_URI.fullmatch(text)
    is_own = run is not None and bool(registry.store.get_run(run["run_id"]).own_test_set)
    return text if is_own else version.uri


def _find_by_uri(text: str, registry: Registry) -> ModelVersion:
    uri = MODEL_URI.fullmatch(text)
    if uri is None:
        raise UsageError(
            f"{text!r} names no version of a registered model: models:/NAME/3 or models:/NAME@alias"
        )
    if uri["version"]:
        return registry.get_version(uri["name"], int(uri["version"]))
    number = registry.get_aliases(uri["name"]).get(uri["alias"])
    if number is None:
        raise UsageError(f"{text}: the model has no such alias")
    return registry.get_version(uri["name"], number)


def _choose(
    text: str,
    versions: tuple[ModelVersion, ...],
    choose: Callable[[list[ModelVersion]], ModelVersion | None],
) -> ModelVersion:
    """The one model version that stands for a version, of however many registered models."""
    names = dict.fromkeys(version.name for version in versions)
    chosen = [choose([v for v in versions if v.name == name]) for name in names]
    found = [version for version in chosen if version is not None]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{text} is registered more than once; name one: {', '.join(v.uri for v in found)}"
        )
    raise UsageError(
        f"{text} is not registered, so no alias can stand for it; register it first: "
        "mlrek sync SOURCE --register"
    )


def _check_current(version: ModelVersion, registry: Registry) -> None:
    if not version.is_superseded:
        return
    new = current_version(registry.list_versions(version.name), version.version_arn)
    raise UsageError(
        f"{version.uri} stands for an evaluation that was replaced since; "
        + (f"promote {new.uri}" if new else "register the new one: mlrek sync SOURCE --register")
    )


def _warn_of_baseline(decision: Decision, policy: Policy, move: Move) -> Decision:
    """Say so where the policy compares with something else than what is to be replaced."""
    if not policy.relative:
        return decision
    compared = policy.baseline or "nothing"
    warning = f"the policy compares with {compared}, not with {move.uri}, which is to be moved"
    return _warn(decision, (warning,))


def _warn(decision: Decision, warnings: tuple[str, ...]) -> Decision:
    return replace(decision, warnings=(*decision.warnings, *warnings))

"""Check a registered version, then move an alias to it: what a promotion is made of."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Final

from mlrek.errors import ModelNotFoundError, PolicyError, TrackingError, UsageError
from mlrek.policy import Decision, Forgive, Policy, VersionIdentity
from mlrek.policy.parsing import list_weaker
from mlrek.promotion import MODEL_URI, RUN_URI, Referred, digest, find_entry, read_run
from mlrek.promotion.baseline import is_of_run
from mlrek.promotion.check import Asking, check_version, read_sealed_policy
from mlrek.registry.door import (
    VALIDATION,
    ModelVersion,
    Registry,
    check_alias,
    current_version,
    find_registered,
    find_version_of_run,
)
from mlrek.registry.moving import (
    SEALED,
    Move,
    Moved,
    MoveOutcome,
    find_previous,
    say_overtaken,
)
from mlrek.registry.own_model import OwnModel
from mlrek.registry.registering import register_run
from mlrek.render.decision import (
    BASELINE,
    CANDIDATE,
    Circumstances,
    build_statement,
    name_file,
    read_statement,
    write_statement,
)
from mlrek.sources import AwsOptions
from mlrek.sources.custom import parse_custom_arn
from mlrek.tracking import DECISION_TAG, RegisteredVersion
from mlrek.tracking.description import LOG_SCHEMA
from mlrek.tracking.store import Store

REPORTS: Final = (
    "classification_report.json",
    "classification_report.txt",
    "confusion_matrix.csv",
    "evaluation.json",
    "labels.json",
    "most_confused.csv",
    "per_label.csv",
    "predictions.csv",
    "predictions.json",
    "report.html",
    "threshold_curves.csv",
)
"""Reports of a run's numbers whose content a sealed decision fixes, as well as the evaluation."""
CURVES: Final = "curve/"

MODEL_NAME = re.compile(r"(?:models:/)?(?P<name>[^/:@]+)(?:@(?P<alias>[\w-]+)|/\d+)?")


UNKEPT = (
    "the baseline {} was read from a source, and no run keeps what it was: `mlrek verify` will not "
    "be able to decide again; log it with mlrek sync and name its run or registered version"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What is to be moved, and what is known of it so far.

    `candidate` is what the gate reads: the version, or its run on your own test set.
    `decision` is the gate's, None for a rollback. `own` is your own model that the version is to
    load from then on.
    `moved` says what became of the alias, None as long as nothing was decided.
    """

    move: Move
    candidate: str = ""
    decision: Decision | None = None
    moved: Moved | None = None
    own: OwnModel | None = None

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
    overtaken = Moved(outcome=MoveOutcome.OVERTAKEN, now=now, reason=say_overtaken(move, now))
    return replace(checked, moved=overtaken)


def attach_model(promotion: Promotion, registry: Registry) -> Promotion:
    """The promotion of the version that loads your own model, registered where it is not yet.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if promotion.own is None:
        return promotion
    move = promotion.move
    run = registry.store.get_run(move.version.run_id)
    known = registry.list_versions(move.version.name)
    _, version = register_run(registry, move.version.name, run, known, promotion.own)
    if said := registry.get_version(move.version.name, move.version.number).tags.get(VALIDATION):
        registry.set_version_tags(version, {VALIDATION: said})
    decision = promotion.decision
    if decision is not None and decision.candidate.number is not None:
        candidate = replace(decision.candidate, number=version.number)
        decision = replace(decision, candidate=candidate)
    return replace(promotion, move=replace(move, version=version), decision=decision)


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
            version = _choose(text, versions, lambda own: current_version(own, found.version_arn))
            _check_predictions(text, read_run(found, registry.store), version, registry)
            return version
        return _choose(text, versions, lambda own: find_version_of_run(own, found.run_id))
    arn = text if parse_custom_arn(text) else find_entry(text, aws)[1].version.arn
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
    try:
        found = find_registered(
            registry.store, uri["name"], uri["version"] or "", uri["alias"] or ""
        )
    except ModelNotFoundError as exc:
        if uri["alias"] and registry.has_model(uri["name"]):
            raise UsageError(str(exc)) from exc
        raise
    return registry.get_version(found.name, int(found.version))


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
        f"{version.uri} stands for an evaluation, or a model, that was replaced since; "
        + (f"promote {new.uri}" if new else "register the new one: mlrek sync SOURCE --register")
    )


def _check_predictions(text: str, own: Referred, version: ModelVersion, registry: Registry) -> None:
    """Refuse a run on your own test set that stands for what its version was before.

    Raises:
        UsageError: Its version has other predictions by now, or nothing tells.
    """
    if is_of_run(own, version.run_id, registry.store):
        return
    name = own.evaluation.version.name
    raise UsageError(
        f"{text} is of predictions of {name} that were replaced since, so it says nothing of "
        f"{version.uri}; evaluate that one on the same test set: mlrek evaluate {version.uri} "
        "--on MANIFEST"
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


def keep_decision(
    decision: Decision,
    policy: Policy,
    store: Store | None,
    *,
    alias: str,
    path: str = "",
    forgive: Forgive = "",
) -> Decision:
    """Write a decision that nobody acts on into the candidate's run and to a file, as asked.

    The decision comes back, with a warning where MLflow does not let it be written.

    Args:
        decision: What was decided.
        policy: By what.
        store: Where the candidate's run is; None: not to be written there.
        alias: What it was checked for.
        path: A file, '' for none.
        forgive: What an undecided verdict is taken for.

    Raises:
        UsageError: The file cannot be written.
    """
    now = datetime.now(UTC)
    around = Circumstances(
        decided_at=_say_time(now), log_schema=LOG_SCHEMA, alias=alias, forgive=forgive
    )
    content = write_statement(build_statement(decision, policy, around))
    if path:
        try:
            Path(path).write_bytes(content)
        except (OSError, ValueError) as exc:
            said = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise UsageError(f"--decision {path}: cannot be written: {said}") from exc
    run_id = decision.candidate.run_id
    if store is None or not run_id or decision.already_champion:
        return decision
    try:
        store.write_artifact(run_id, name_file(f"{now:%Y%m%dT%H%M%S.%fZ}"), content)
    except TrackingError as exc:
        warning = f"the decision could not be kept in MLflow: {exc}"
        return replace(decision, warnings=(*decision.warnings, warning))
    return decision


def seal_decision(
    decision: Decision,
    policy: Policy,
    store: Store,
    *,
    alias: str,
    run_id: str,
    forgive: Forgive = "",
) -> str:
    """Write a promotion's decision, and keep the runs that it names from being deleted.

    Args:
        decision: What was decided.
        policy: By what.
        store: Where the runs are.
        alias: What is to be moved.
        run_id: The run of the registered version; the candidate's own may be one on another
            test set, which gets the same file.
        forgive: What an undecided verdict is taken for.

    Returns:
        The decision's SHA-256, which the registered version is to have.

    Raises:
        TrackingError: MLflow cannot be reached or refuses: then nothing is sealed.
    """
    sides = {CANDIDATE: decision.candidate, BASELINE: decision.baseline}
    around = Circumstances(
        decided_at=_say_time(datetime.now(UTC)),
        log_schema=LOG_SCHEMA,
        alias=alias,
        forgive=forgive,
        files={side: _digest_reports(one, store) for side, one in sides.items() if one},
        metrics={side: _list_metrics(one, store) for side, one in sides.items() if one},
    )
    content = write_statement(build_statement(decision, policy, around))
    seal = digest(content)
    runs = _list_runs((run_id, decision.candidate.run_id))
    for place in runs:
        store.write_artifact(place, name_file(seal), content)
    named = decision.baseline.run_id if decision.baseline else ""
    for kept in _list_runs((*runs, named)):
        if kept in runs or DECISION_TAG not in store.get_run(kept).tags:
            store.set_run_tags(kept, {DECISION_TAG: seal})
    return seal


def compare_with_last(policy: Policy, move: Move, registry: Registry) -> tuple[str, ...]:
    """Where a policy is weaker than that of the last promotion to an alias, a sentence a rule.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    number, seal = _find_last(move, registry)
    if not number:
        return ()
    before = _read_last(move.version.name, number, seal, registry)
    if before is None:
        reason = (
            f"the decision of the last promotion to {move.uri}, of version {number}, cannot be "
            "read any more, so nothing tells whether this policy is weaker than that one"
        )
        return (reason,)
    return tuple(
        f"this policy is weaker than that of the last promotion (version {number}): {rule}"
        for rule in list_weaker(before, policy)
    )


def _find_last(move: Move, registry: Registry) -> tuple[int, str]:
    """The version that was promoted last to an alias by a sealed decision, 0 for none."""
    tag = registry.get_model_tags(move.version.name).get(SEALED + move.alias, "")
    number, _, seal = tag.partition("/")
    return (int(number), seal) if number.isdecimal() else (0, "")


def _read_last(name: str, number: int, seal: str, registry: Registry) -> Policy | None:
    """The policy of a sealed decision, None where it is not there as it was sealed."""
    try:
        run_id = registry.get_version(name, number).run_id
        content = registry.store.read_artifact(run_id, name_file(seal))
        predicate = read_statement(content).get("predicate", {})
        is_whole = digest(content) == seal and bool(predicate)
        return read_sealed_policy(predicate["policy"]) if is_whole else None
    except (TrackingError, PolicyError):
        return None


def _list_runs(run_ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, run_ids)))


def _digest_reports(identity: VersionIdentity, store: Store) -> dict[str, str]:
    if not identity.run_id:
        return {}
    there = store.list_artifacts(identity.run_id)
    return {
        path: digest(store.read_artifact(identity.run_id, path))
        for path in REPORTS
        if path in there
    }


def _list_metrics(identity: VersionIdentity, store: Store) -> dict[str, float]:
    """What MLflow shows of a run's numbers; curves are in the reports."""
    if not identity.run_id:
        return {}
    shown = store.get_run(identity.run_id).metrics.items()
    return {key: value for key, value in shown if isfinite(value) and not key.startswith(CURVES)}


def _say_time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"

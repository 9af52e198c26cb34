"""Keep a decision where it can be checked later: in the runs that it is about, sealed or not.

A promotion is sealed before the alias moves: first the file, then the tags that keep the runs from
being deleted, then, with the move itself, the tag of the registered version. Whoever is killed in
between leaves an alias that was not moved, and the next promotion writes a decision of its own.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Final

from mlrek.errors import PolicyError, TrackingError, UsageError
from mlrek.gate import read_sealed_policy
from mlrek.policy import Decision, Forgive, Policy, VersionIdentity
from mlrek.policy.weaker import list_weaker
from mlrek.references import digest
from mlrek.registry.door import Registry
from mlrek.registry.moving import SEALED, Move
from mlrek.tables.statement import (
    BASELINE,
    CANDIDATE,
    Circumstances,
    describe_statement,
    name_file,
    read_statement,
    write_statement,
)
from mlrek.tracking.description import LOG_SCHEMA
from mlrek.tracking.runs import DECISION_TAG
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
"""Reports of a run's numbers whose content a sealed decision fixes, beside the evaluation."""
CURVES: Final = "curve/"


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
    content = write_statement(describe_statement(decision, policy, around))
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
        The decision's SHA-256, which the registered version is to bear.

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
    content = write_statement(describe_statement(decision, policy, around))
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

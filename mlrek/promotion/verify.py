"""Does a sealed decision still hold? Reads the runs that it names, and nothing else.

First what was written down is compared with its SHA-256: the decision itself, both evaluations, the
reports of numbers, the policy. Only where all of that is as it was, the decision is made again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isclose, nan
from typing import Any, Final

from mlrek.errors import EvaluationError, MlrekError, OtherVersionError, UsageError
from mlrek.metrics.test_set import digest_test_set
from mlrek.promotion import MODEL_URI, Referred, digest, parse_run
from mlrek.registry.door import ModelVersion, Registry, find_registered
from mlrek.registry.moving import SEALED
from mlrek.render.decision import (
    BASELINE,
    CANDIDATE,
    EVALUATION_FILE,
    FOLDER,
    TEST_SET,
    digest_policy,
    name_file,
    read_statement,
)
from mlrek.tracking import DECISION_TAG, LoggedRun
from mlrek.tracking.description import LOG_SCHEMA

Sealed = Mapping[str, Any]
MAX_NAMES = 5
ROUNDING: Final = 1e-9
"""What a database may make of a number."""


class SealVerdict(StrEnum):
    """What became of a sealed decision."""

    HOLDS = "holds"
    BROKEN = "broken"  # something is not what was sealed, or the answer is another one
    UNKNOWN = "unknown"  # nothing was sealed, or what it rests on is not there any more


EXIT_CODES: Final = {SealVerdict.HOLDS: 0, SealVerdict.BROKEN: 3, SealVerdict.UNKNOWN: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `verdict` is what it alone says."""

    what: str
    verdict: SealVerdict
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """All that was looked at. `statement` is empty where nothing sealed could be read."""

    version: ModelVersion
    alias: str
    decision: str
    statement: Sealed
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> SealVerdict:
        """Broken before unknown before holds; nothing that was looked at holds nothing."""
        found = {finding.verdict for finding in self.findings}
        for verdict in (SealVerdict.BROKEN, SealVerdict.UNKNOWN, SealVerdict.HOLDS):
            if verdict in found:
                return verdict
        return SealVerdict.UNKNOWN

    @property
    def exit_code(self) -> int:
        """0, 3 or 4."""
        return EXIT_CODES[self.verdict]


def verify_version(text: str, registry: Registry, policy_text: str | None = None) -> Verification:
    """Whether the decision that was sealed for a registered version still holds.

    Args:
        text: `models:/NAME@ALIAS` or `models:/NAME/3`.
        registry: Where the model is.
        policy_text: The policy that it should have been decided by, None for whichever it was.

    Raises:
        UsageError: The text names no registered version.
        ModelNotFoundError: The registry has no such model, version or alias.
        TrackingError: MLflow cannot be reached or refuses.
    """
    version, alias = _find_version(text, registry)
    seal = version.tags.get(DECISION_TAG, "")
    statement, finding = _read_seal(version, seal, registry)
    if statement and alias and statement["predicate"].get("alias") != alias:
        seal = version.tags.get(SEALED + alias, "")  # it was promoted to another alias since
        statement, finding = _read_seal(version, seal, registry)
    rest = _check_statement(statement, version, registry, policy_text) if statement else ()
    return Verification(
        version=version,
        alias=alias,
        decision=seal,
        statement=statement,
        findings=(finding, *rest),
    )


def _find_version(text: str, registry: Registry) -> tuple[ModelVersion, str]:
    """The version that a text names, and the alias that it was named by, if it was."""
    model = MODEL_URI.fullmatch(text)
    if model is None:
        raise UsageError(
            f"{text!r} names no registered version: models:/NAME@ALIAS or models:/NAME/3"
        )
    found = find_registered(
        registry.store, model["name"], model["version"] or "", model["alias"] or ""
    )
    return registry.get_version(found.name, int(found.version)), model["alias"] or ""


def _read_seal(version: ModelVersion, seal: str, registry: Registry) -> tuple[Sealed, Finding]:
    """What was sealed, empty where it cannot be trusted or read, and what is to be said of it."""
    if not seal:
        reason = f"nothing is sealed for {version.uri}: `mlrek promote` seals what it promotes"
        return {}, _unknown("decision", reason)
    _, gone = _find_run(version.run_id, registry)
    if gone:
        return {}, _unknown("decision", gone)
    path = name_file(seal)
    if path not in registry.store.list_artifacts(version.run_id, FOLDER):
        reason = f"the run {version.run_id} has no {path}: it was removed, or the tag was changed"
        return {}, _broken("decision", reason)
    content = registry.store.read_artifact(version.run_id, path)
    if digest(content) != seal:
        return {}, _broken("decision", f"{path} was edited: its SHA-256 is {digest(content)}")
    statement = read_statement(content)
    if not statement:
        reason = f"{path} is of another edition than this mlrek reads: upgrade it"
        return {}, _unknown("decision", reason)
    return statement, _holds("decision")


def _check_statement(
    statement: Sealed, version: ModelVersion, registry: Registry, policy_text: str | None
) -> Iterator[Finding]:
    """Everything that a decision fixes, then the decision itself."""
    found = [
        *_check_policy(statement["predicate"]["policy"], policy_text),
        *_check_number(statement["predicate"][CANDIDATE], version),
    ]
    sides: dict[str, Referred] = {}
    for side in (CANDIDATE, BASELINE):
        if statement["predicate"][side] is not None:
            findings, referred = _check_side(side, statement, registry)
            found += findings
            if referred is not None:
                sides[side] = referred
    yield from found
    if all(finding.verdict is SealVerdict.HOLDS for finding in found):
        yield _decide_again(statement["predicate"], sides)


def _check_policy(sealed: Sealed, policy_text: str | None) -> Iterator[Finding]:
    if digest_policy(sealed["text"]) != sealed["sha256"]:
        yield _broken("policy", "its text is not what its SHA-256 is of")
    elif policy_text is not None and digest_policy(policy_text) != sealed["sha256"]:
        yield _broken("policy", "it was decided by another policy than the one that is named")
    else:
        yield _holds("policy")


def _check_number(sealed: Sealed, version: ModelVersion) -> Iterator[Finding]:
    """A decision that was taken from another version says nothing of this one."""
    if sealed["model_version"] != version.number:
        reason = f"it is about version {sealed['model_version']}, not {version.number}"
        yield _broken("version", reason)


def _check_side(
    side: str, statement: Sealed, registry: Registry
) -> tuple[list[Finding], Referred | None]:
    """The files of one side's run against their digests; its evaluation, where it can be read."""
    sealed = statement["predicate"][side]
    if not sealed["run_id"]:
        reason = f"the {side} {sealed['version']} was read from a source, and no run keeps it"
        return [_unknown(f"{side} run", reason)], None
    run, gone = _find_run(sealed["run_id"], registry)
    if run is None:
        return [_unknown(f"{side} run", gone)], None
    wanted = dict(sealed["files"])
    wanted[EVALUATION_FILE] = _find_subject(statement, f"{side}/{EVALUATION_FILE}")
    there = registry.store.list_artifacts(run.run_id)
    found, content = [], b""
    for path, sha256 in sorted(wanted.items()):
        what = f"{side} {path}"
        if path not in there:
            found.append(_broken(what, f"the run {run.run_id} has no {path} any more"))
            continue
        read = registry.store.read_artifact(run.run_id, path)
        content = read if path == EVALUATION_FILE else content
        is_same = digest(read) == sha256
        reason = f"the run {run.run_id} has another {path} than was decided on"
        found.append(_holds(what) if is_same else _broken(what, reason))
    found += _check_metrics(f"{side} metrics", sealed["metrics"], run)
    if any(finding.verdict is not SealVerdict.HOLDS for finding in found):
        return found, None
    findings, referred = _read_evaluation(side, statement, run, content)
    return [*found, *findings], referred


def _check_metrics(what: str, sealed: Mapping[str, float], run: LoggedRun) -> Iterator[Finding]:
    """The numbers that MLflow shows; further ones, which somebody else logged, are nobody's."""
    shown = run.metrics
    other = sorted(
        key
        for key, value in sealed.items()
        if not isclose(shown.get(key, nan), value, rel_tol=ROUNDING, abs_tol=ROUNDING)
    )
    if other:
        named = ", ".join(other[:MAX_NAMES]) + (", …" if len(other) > MAX_NAMES else "")
        yield _broken(what, f"the run {run.run_id} shows other numbers than were sealed: {named}")
    elif sealed:
        yield _holds(what)


def _read_evaluation(
    side: str, statement: Sealed, run: LoggedRun, content: bytes
) -> tuple[list[Finding], Referred | None]:
    if run.log_schema > LOG_SCHEMA:
        reason = f"the run {run.run_id} is of edition {run.log_schema}, which a later mlrek wrote"
        return [_unknown(f"{side} run", reason)], None
    try:
        referred = parse_run(run, content)
    except OtherVersionError as exc:
        return [_broken(f"{side} {EVALUATION_FILE}", str(exc))], None
    except EvaluationError as exc:
        return [_unknown(f"{side} run", str(exc))], None
    own = _find_subject(statement, f"{side}/{TEST_SET}") or _find_subject(statement, TEST_SET)
    is_same = digest_test_set(referred.evaluation) == own
    what, reason = f"{side} test set", "its images or their truth are others than was sealed"
    return [_holds(what) if is_same else _broken(what, reason)], referred


def _decide_again(predicate: Sealed, sides: Mapping[str, Referred]) -> Finding:
    """The decision by the same policy from the same evaluations, where the rules are the same."""
    if predicate["log_schema"] != LOG_SCHEMA:
        reason = (
            f"all digests hold; it was decided by the rules of edition {predicate['log_schema']} "
            f"(mlrek {predicate['mlrek_version']}), and this mlrek has those of {LOG_SCHEMA}"
        )
        return _unknown("answer", reason)
    from mlrek.promotion.check import decide_again, read_sealed_policy
    from mlrek.render.decision import build_decision_json

    try:
        policy = read_sealed_policy(predicate["policy"])
        looks = predicate["looks"]
        decision = decide_again(policy, sides[CANDIDATE], sides.get(BASELINE), looks)
    except MlrekError as exc:
        return _unknown("answer", f"it cannot be decided again: {exc}")
    again = build_decision_json(decision)
    changed = _list_changes(predicate, again)
    if not changed:
        return _holds("answer")
    return _broken("answer", f"decided again from the same evaluations, {'; '.join(changed)}")


def _list_changes(sealed: Sealed, again: Sealed) -> list[str]:
    """What ends otherwise: the verdict, and each check."""
    before, now = (
        {
            (*map(check.get, ("kind", "metric", "label", "slice")), check["limit"]): check["status"]
            for check in answer["checks"]
        }
        for answer in (sealed, again)
    )
    changed = [
        f"{' '.join(map(str, filter(None, key[:-1])))} is {now.get(key, 'not checked')}, not "
        f"{before.get(key, 'checked')}"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    if sealed["verdict"] != again["verdict"]:
        changed.insert(0, f"the verdict is {again['verdict']}, not {sealed['verdict']}")
    return changed


def _find_run(run_id: str, registry: Registry) -> tuple[LoggedRun | None, str]:
    """A run that is there, else why it is not."""
    if not run_id:
        return None, "the version is not linked to any run"
    run = registry.store.find_run(run_id)
    if run is None:
        return None, f"the run {run_id} is not there any more"
    if run.is_deleted:
        restore = f"mlflow runs restore --run-id {run_id}"
        return None, f"the run {run_id} was deleted; bring it back: {restore}"
    return run, ""


def _find_subject(statement: Sealed, name: str) -> str:
    """The SHA-256 of a subject, '' where there is none."""
    digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    return str(digests.get(name, ""))


def _holds(what: str) -> Finding:
    return Finding(what=what, verdict=SealVerdict.HOLDS)


def _broken(what: str, reason: str) -> Finding:
    return Finding(what=what, verdict=SealVerdict.BROKEN, reason=reason)


def _unknown(what: str, reason: str) -> Finding:
    return Finding(what=what, verdict=SealVerdict.UNKNOWN, reason=reason)

"""A decision as JSON, as blocks, as JUnit XML, and as the statement that is sealed."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from math import isnan
from typing import Any, Final, TypeAlias
from xml.etree import ElementTree as ET

from mlrek import __version__
from mlrek.policy import Check, Decision, Forgive, Looks, Policy, Status, VersionIdentity
from mlrek.render import (
    Block,
    Heading,
    Json,
    Line,
    Note,
    Table,
    build_fields,
    render_markdown,
)
from mlrek.render.checks import (
    DIGITS,
    RELATIVE,
    SIGNS,
    format_cells,
    list_all_blocks,
    list_folded_blocks,
    list_markdown_blocks,
    name_check,
    say_doubts,
)
from mlrek.render.doubts import build_doubt_json
from mlrek.text import fmt, hide_secrets, say_range

_SHORT = 12
"""Rows and remarks, which may take several lines each, below which the verdict stays in sight."""

SUITE = "mlrek check"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"failed": "failure", "undecided": "error", "ignored": "skipped"}

Document: TypeAlias = dict[str, Json]

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://github.com/mlrek/mlrek/decision/v1"
CANDIDATE, BASELINE, TEST_SET = "candidate", "baseline", "test_set"
EVALUATION_FILE: Final = "evaluation.parquet"
FOLDER: Final = "decisions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a decision was made in.

    `decided_at` is UTC, `log_schema` the edition of the rules. `files` are the SHA-256 of further
    artifacts of the runs of both sides, by path, `metrics` their numbers by key. `alias` is
    what was to be moved.
    """

    decided_at: str
    log_schema: int
    alias: str = ""
    forgive: Forgive = ""
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def build_decision_json(decision: Decision) -> dict[str, Json]:
    """The stable JSON form of a decision; a number that does not exist is null."""
    return {
        "verdict": decision.verdict.value,
        "candidate": _build_identity(decision.candidate),
        "baseline": _build_identity(decision.baseline) if decision.baseline else None,
        "checks": [_build_check(check) for check in decision.checks],
        "images_needed": decision.images_needed,
        "images_needed_range": [*images] if (images := decision.images_needed_range) else None,
        "already_champion": decision.already_champion,
        "looks": _build_looks(decision.looks) if decision.looks else None,
        "doubts": [build_doubt_json(doubt) for doubt in decision.doubts],
        "warnings": list(decision.warnings),
    }


def say_verdict(decision: Decision, forgive: Forgive = "") -> str:
    """One sentence: may the version be promoted, and what it hangs on."""
    statuses = [check.status for check in decision.checks]
    n, name = len(statuses), decision.candidate.version
    if decision.already_champion:
        return f"passed: {name} has the alias already, so there is nothing to decide"
    n_failed, n_undecided = (statuses.count(s) for s in (Status.FAILED, Status.UNDECIDED))
    if n_failed:
        open_too = f", {n_undecided} undecided" if n_undecided else ""
        return f"failed: {name} may not be promoted: {n_failed} of {_count(n)} failed{open_too}"
    if not n_undecided and not decision.has_passed_number:
        return (
            f"undecided: {name} may not be promoted yet: no check of a number passed; add a "
            "[[floor]] to the policy"
        )
    if not n_undecided:
        n_ignored = statuses.count(Status.IGNORED)
        rest = f", {n_ignored} ignored for want of a baseline" if n_ignored else ""
        return f"passed: {name} may be promoted: {n - n_ignored} of {_count(n)} passed{rest}"
    said = f"{n_undecided} of {_count(n)} undecided, none failed"
    code = decision.exit_code(forgive)
    if forgive and code != decision.exit_code():
        may = "may" if code == 0 else "may not"
        return f"undecided: {name} {may} be promoted (--undecided {forgive}): {said}"
    kept = f" (--undecided {forgive} does not change that)" if forgive else ""
    return f"undecided: {name} may not be promoted yet: {said}{kept}"


def say_images_needed(decision: Decision) -> str:
    """The images that would settle it, in words; '' where nothing tells."""
    images = decision.images_needed_range
    if decision.verdict != Status.UNDECIDED or images is None:
        return ""
    needed = say_range(*images)
    return f"Estimate: {needed} test images would decide what is open for want of images."


def say_looks(decision: Decision) -> str:
    """How many versions were checked so and what that makes of a "better"; '' for the first one."""
    looks = decision.looks
    if looks is None or (looks.total == 1 and not looks.adjusted and not looks.unknown):
        return ""
    note = f" ({looks.unknown})" if looks.unknown else ""
    if looks.count is None:
        return f"How many versions were checked on this test set is not known{note}."
    place = f"as number {looks.k:,} of" if looks.k else "besides"
    said = (
        f"Checked {place} {looks.count:,} logged versions on this test set against this baseline"
        f"{note}"
    )
    if isnan(looks.chance):
        return f"{said}."
    about = "at most" if looks.adjusted else "about"
    return (
        f'{said}: were none of {looks.total:,} better, at least one would pass as "better" with a '
        f"chance of {about} {fmt(100 * looks.chance, 1)} %."
    )


def say_versions(decision: Decision) -> str:
    """Who is checked against whom."""
    if decision.baseline is None:
        return f"{decision.candidate.version}, without a baseline"
    return f"{decision.candidate.version} against {decision.baseline.version}"


def decision_blocks(
    decision: Decision, forgive: Forgive, width: int, *, unfolds: bool = False
) -> list[Block]:
    """What a terminal of so many columns shows: the verdict first, after a long answer once more.

    `unfolds`: every check has a row.
    """
    said = (list_all_blocks if unfolds else list_folded_blocks)(decision, width)
    rest = [*map(Note, filter(None, (say_looks(decision), say_images_needed(decision))))]
    verdict, _, why = say_verdict(decision, forgive).partition(": ")
    line = Line(f": {why}", strong=verdict)
    lines = sum(len(block.rows) if isinstance(block, Table) else 1 for block in said)
    again = [Line(), line] if lines > _SHORT else []
    return [line, Line(say_versions(decision)), Line(), *said, *rest, *again]


def write_decision_markdown(decision: Decision, forgive: Forgive = "") -> str:
    """A pull request's text: the verdict, what did not pass and why, and in details what passed."""
    verdict, _, rest = say_verdict(decision, forgive).partition(": ")
    looks = say_looks(decision)
    blocks: list[Block] = [
        Heading(f"Promotion check: {say_versions(decision)}"),
        Line(f": {rest}.", strong=SIGNS[Status(verdict)]),
        *list_markdown_blocks(decision),
        *([Note(looks, kind="looks")] if looks else []),
        Line(say_images_needed(decision)),
        *(Note(warning, kind="warning") for warning in decision.warnings),
    ]
    return render_markdown(blocks)


def _build_looks(looks: Looks) -> dict[str, Json]:
    """`k` is the candidate's place; null where it is not counted, and `note` says why."""
    return {
        "count": looks.count,
        "k": looks.k or None,
        **build_fields(looks, "chance", "adjusted"),
        "note": looks.unknown or None,
    }


def _build_identity(identity: VersionIdentity) -> dict[str, Json]:
    return build_fields(identity, "version", "version_arn", "run_id")


def _build_check(check: Check) -> dict[str, Json]:
    return {
        "kind": check.kind.value,
        "metric": check.metric.name,
        "label": check.metric.label or None,
        "slice": check.metric.slice or None,
        **build_fields(check, "status", "value", "baseline", "limit", "low", "high", "reason"),
    }


def _count(n: int) -> str:
    return f"{n} check{'' if n == 1 else 's'}"


def write_junit(decision: "Decision", policy: str, forgive: "Forgive" = "") -> bytes:
    """One test case for each check: undecided is an error, or skipped where it was forgiven."""
    outcomes = [_choose_element(check, decision, forgive) for check in decision.checks]
    root = ET.Element("testsuites")
    described = {
        "name": SUITE,
        "package": SUITE,
        "id": "0",
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "hostname": "localhost",
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": "0",
    }
    suite = ET.SubElement(root, "testsuite", described)
    properties = ET.SubElement(suite, "properties")
    for name, value in _build_properties(decision, policy).items():
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    names = _name_cases(decision.checks)
    for check, name, element in zip(decision.checks, names, outcomes, strict=True):
        _add_case(suite, check, name, element)
    ET.SubElement(suite, "system-out").text = _clean(say_verdict(decision, forgive))
    doubts = (f"doubt: {text}" for text in say_doubts(decision))
    ET.SubElement(suite, "system-err").text = _clean("\n".join((*doubts, *decision.warnings)))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _choose_element(check: "Check", decision: "Decision", forgive: "Forgive") -> str:
    """The element that says how a check ended, '' for one that passed.

    Of a version that has the alias already nothing is decided, so nothing fails a job.
    """
    element = _ELEMENTS.get(check.status.value, "")
    if element and decision.already_champion:
        return "skipped"
    if element == "error" and forgive == "pass" and decision.exit_code(forgive) == 0:
        return "skipped"
    return element


def _name_cases(checks: "Sequence[Check]") -> list[str]:
    """A name for each check that no other one has: CI systems keep the history of a test by it.

    Checks of one number are told apart by their limits, and those of one limit by their order.
    """
    plain = [_clean(name_check(check)) for check in checks]
    often = Counter(plain)
    limits = [
        fmt(check.limit, DIGITS, signed=check.kind in RELATIVE, undefined="") for check in checks
    ]
    named = [
        f"{name} limit {limit}" if often[name] > 1 else name
        for name, limit in zip(plain, limits, strict=True)
    ]
    seen: Counter[str] = Counter()
    for i, name in enumerate(named):
        seen[name] += 1
        named[i] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return named


def _add_case(suite: ET.Element, check: "Check", name: str, element: str) -> None:
    kind = f"mlrek.check.{check.kind.value}"
    case = ET.SubElement(suite, "testcase", name=name, classname=kind, time="0")
    if not element:
        return
    message = _clean(check.reason)
    said = ET.SubElement(case, element, message=message)
    if element != "skipped":
        said.set("type", check.status.value)
        said.text = f"{message}\n{_clean(_say_numbers(check))}"


def _say_numbers(check: "Check") -> str:
    value, baseline, limit, interval = format_cells(check)[3:7]
    named = {"value": value, "baseline": baseline, "limit": limit, "interval": interval}
    return ", ".join(f"{name} {cell}" for name, cell in named.items() if cell)


def _build_properties(decision: "Decision", policy: str) -> dict[str, str]:
    described = {"policy": policy, "verdict": decision.verdict.value}
    for role, identity in (("candidate", decision.candidate), ("baseline", decision.baseline)):
        if identity is not None:
            described[role] = identity.version
            described[f"{role}_arn"] = identity.version_arn
            described[f"{role}_run_id"] = identity.run_id
    return described


def _clean(text: str) -> str:
    """Text without the characters that no XML file may hold, even escaped."""
    return _NO_XML.sub("\ufffd", text)


def build_statement(decision: Decision, policy: Policy, around: Circumstances) -> Document:
    """The statement on a decision, without what is secret in any of its texts."""
    answer = build_decision_json(decision)
    for side, identity in ((CANDIDATE, decision.candidate), (BASELINE, decision.baseline)):
        if identity is not None:
            answer[side] = _build_side(identity, side, around)
    text = hide_secrets(policy.text)
    predicate: Document = {
        **answer,
        "alias": around.alias or None,
        "decided_at": around.decided_at,
        "undecided": around.forgive or None,
        "policy": {
            "text": text,
            "sha256": sha256(_encode(text)).hexdigest(),
            "baseline": policy.baseline or None,
            "group_by": policy.test_set.group_by or None,
            "slice_by": {**policy.test_set.slice_by} or None,
        },
        "mlrek_version": __version__,
        "log_schema": around.log_schema,
    }
    statement: Document = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest}}
            for name, digest in _list_subjects(decision)
            if digest
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    return {key: _redact(value) for key, value in statement.items()}


def write_statement(statement: Mapping[str, Json]) -> bytes:
    """The canonical bytes of a statement.

    >>> write_statement({"b": [1, 0.5], "a": "ü"}).decode()
    '{"a":"ü","b":[1,0.5]}'
    """
    return _encode(
        json.dumps(
            statement, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
    )


def read_statement(content: bytes) -> dict[str, Any]:
    """A statement that was read; empty where it is none of ours, or of another edition."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    try:
        return found if found["predicateType"] == PREDICATE_TYPE and _is_whole(found) else {}
    except (KeyError, TypeError, AttributeError):
        return {}


def _is_whole(found: Mapping[str, Any]) -> bool:
    """Whether all is there that is read again.

    Raises:
        KeyError, TypeError, AttributeError: It is not.
    """
    predicate = found["predicate"]
    policy, sides = predicate["policy"], (predicate[CANDIDATE], predicate[BASELINE])
    texts = [*(policy.get("slice_by") or {}).values()]  # older decisions have none
    texts += [policy["text"], policy["sha256"], policy["baseline"] or "", policy["group_by"] or ""]
    texts += [one["name"] + one["digest"]["sha256"] for one in found["subject"]]
    texts += [predicate["verdict"], predicate["mlrek_version"], predicate["decided_at"]]
    for side in filter(None, sides):
        texts += [side["version"], side["run_id"] or "", *side["files"].values()]
        _ = side["model_version"]
    for check in predicate["checks"]:
        texts += [check["kind"], check["metric"], check["label"] or "", check["status"]]
        texts.append(check.get("slice") or "")
        _ = check["limit"]
    looks = predicate["looks"]
    numbers = [predicate["log_schema"], *([looks["count"] or 0, looks["k"] or 0] if looks else [])]
    for side in filter(None, sides):
        numbers += side["metrics"].values()
    is_there = sides[0] is not None and (looks is None or isinstance(looks["note"] or "", str))
    return (
        is_there
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int | float) for number in numbers)
    )


def digest_policy(text: str) -> str:
    """The SHA-256 that a statement has of a policy's text."""
    return sha256(_encode(hide_secrets(text))).hexdigest()


def name_file(name: str) -> str:
    """The path of a decision among a run's artifacts, by its SHA-256 or its time."""
    return f"{FOLDER}/{name}.json"


def _list_subjects(decision: Decision) -> Iterator[tuple[str, str]]:
    """What the decision is about: both evaluations and the test set, of each the SHA-256."""
    candidate, baseline = decision.candidate, decision.baseline
    yield f"{CANDIDATE}/{EVALUATION_FILE}", candidate.evaluation_sha256
    if baseline is not None:
        yield f"{BASELINE}/{EVALUATION_FILE}", baseline.evaluation_sha256
    yield TEST_SET, candidate.test_set_sha256
    if baseline is not None and baseline.test_set_sha256 != candidate.test_set_sha256:
        yield f"{BASELINE}/{TEST_SET}", baseline.test_set_sha256


def _build_side(identity: VersionIdentity, side: str, around: Circumstances) -> Document:
    return {
        "version": identity.version,
        "version_arn": identity.version_arn,
        "run_id": identity.run_id or None,
        "model": identity.model or None,
        "model_version": identity.number,
        "files": dict(around.files.get(side, {})),
        "metrics": dict(around.metrics.get(side, {})),
    }


def _encode(text: str) -> bytes:
    """UTF-8; half a character, which that cannot hold, is escaped."""
    return text.encode("utf-8", "backslashreplace")


def _redact(value: Json) -> Json:
    if isinstance(value, str):
        return hide_secrets(value)
    if isinstance(value, list):
        return [_redact(one) for one in value]
    if isinstance(value, dict):
        return {key: _redact(one) for key, one in value.items()}
    return value

"""A decision as an in-toto statement, in one canonical form whose SHA-256 seals it.

Canonical: JSON in UTF-8 without a byte-order mark, keys in the order of their code points, no space
and no line break between its parts, numbers as short as they can be read back, characters beyond
ASCII as they are.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeAlias

from mlrek import __version__
from mlrek.policy import Decision, Forgive, Policy, VersionIdentity
from mlrek.redaction import hide_secrets
from mlrek.tables.decision import describe_decision
from mlrek.tables.json_text import Json

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


def describe_statement(decision: Decision, policy: Policy, around: Circumstances) -> Document:
    """The statement on a decision, without what is secret in any of its texts."""
    answer = describe_decision(decision)
    for side, identity in ((CANDIDATE, decision.candidate), (BASELINE, decision.baseline)):
        if identity is not None:
            answer[side] = _describe_side(identity, side, around)
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
    texts = [policy["text"], policy["sha256"], policy["baseline"] or "", policy["group_by"] or ""]
    texts += [one["name"] + one["digest"]["sha256"] for one in found["subject"]]
    texts += [predicate["verdict"], predicate["mlrek_version"], predicate["decided_at"]]
    for side in filter(None, sides):
        texts += [side["version"], side["run_id"] or "", *side["files"].values()]
        _ = side["model_version"]
    for check in predicate["checks"]:
        texts += [check["kind"], check["metric"], check["label"] or "", check["status"]]
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


def _describe_side(identity: VersionIdentity, side: str, around: Circumstances) -> Document:
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

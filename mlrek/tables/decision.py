"""A decision as JSON: what `mlrek check --json` prints and a run keeps."""

from mlrek.policy import Check, Decision, Identity
from mlrek.tables.json_text import Json, number_or_null


def describe_decision(decision: Decision) -> dict[str, Json]:
    """The stable JSON form of a decision; a number that does not exist is null."""
    return {
        "verdict": decision.verdict.value,
        "candidate": _describe_identity(decision.candidate),
        "baseline": _describe_identity(decision.baseline) if decision.baseline else None,
        "checks": [_describe_check(check) for check in decision.checks],
        "images_needed": decision.images_needed,
        "warnings": list(decision.warnings),
    }


def _describe_identity(identity: Identity) -> dict[str, Json]:
    return {
        "version": identity.version,
        "version_arn": identity.version_arn,
        "run_id": identity.run_id or None,
    }


def _describe_check(check: Check) -> dict[str, Json]:
    return {
        "kind": check.kind.value,
        "metric": check.metric.name,
        "label": check.metric.label or None,
        "status": check.status.value,
        "value": number_or_null(check.value),
        "baseline": number_or_null(check.baseline),
        "limit": number_or_null(check.limit),
        "low": number_or_null(check.low),
        "high": number_or_null(check.high),
        "reason": check.reason or None,
    }

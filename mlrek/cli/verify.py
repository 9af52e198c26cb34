"""`mlrek verify`: does the decision that promoted a version still hold?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlrek.promotion.verify import Verification
    from mlrek.render import Block


def verify(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="models:/NAME@ALIAS or models:/NAME/3.")
    ],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="The policy that it should have been decided by.",
            show_default=False,
        ),
    ] = "",
    tracking_uri: opt.TrackingUri = "",
    *,
    output: Output,
) -> None:
    """Check that the sealed decision on a promoted version still holds.

    Exit code 0: it holds; 3: something was changed since, or the answer is another one; 4: nothing
    is sealed, or a run that it names is gone or of another edition. Reads nothing but MLflow.

    Example: mlrek verify models:/digits@champion
    """
    from mlrek.promotion.verify import verify_version
    from mlrek.registry.door import Registry
    from mlrek.tracking.connection import connect

    text = _read_policy(policy) if policy else None
    found = verify_version(version, Registry(connect(tracking_uri)), text)
    output.show(_list_blocks(found), lambda: _build_json(found))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _read_policy(path: str) -> str:
    from mlrek.sources.policies import read_policy

    return read_policy(path, baseline="models:/any@any").text


def _list_blocks(found: "Verification") -> "Iterator[Block]":
    """What does not hold, then the verdict, which is the last line."""
    from mlrek.render import Line, Note

    for finding in found.findings:
        if finding.reason:
            yield Note(f"{finding.what}: {finding.reason}", kind=finding.verdict.value)
    seal = f" (SHA-256 {found.decision})" if found.decision else ""
    yield Line(f"{_SENTENCES[found.verdict.value]}: {found.version.uri}{seal}")


_SENTENCES = {
    "holds": "The sealed decision holds",
    "broken": "The sealed decision does not hold",
    "unknown": "Nothing shows whether the decision holds",
}


def _build_json(found: "Verification") -> dict[str, Any]:
    """The stable JSON form."""
    predicate = found.statement.get("predicate", {})
    return {
        "verdict": found.verdict.value,
        "model": found.version.name,
        "version": found.version.number,
        "alias": found.alias or None,
        "run_id": found.version.run_id or None,
        "decision": found.decision or None,
        "decided_at": predicate.get("decided_at"),
        "mlrek_version": predicate.get("mlrek_version"),
        "findings": [
            {"what": one.what, "verdict": one.verdict.value, "reason": one.reason or None}
            for one in found.findings
        ],
    }

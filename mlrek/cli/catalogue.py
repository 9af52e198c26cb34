"""`mlrek projects`, `mlrek versions`, `mlrek archive`: what there is, and keeping it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.cli import options as opt
from mlrek.cli.boundary import EXIT_FAILED
from mlrek.cli.output import Output
from mlrek.formatting import fmt

if TYPE_CHECKING:
    from mlrek.listing import ListedVersion

WIDE = 104
"""Columns of a terminal from which on whole run ids have room."""
SHORT_ID = 8
REPORTED_COLUMNS = {"AuPRC": "average_precision", "precision": "precision", "recall": "recall"}
"""Titles of columns that stand where any version has the reported number."""


def projects(
    account: opt.Account,
    output: Output,
) -> None:
    """List the Rekognition projects of the account and region with their ARNs."""
    from mlrek.sources import list_projects

    found = list_projects(account.aws)
    if output.as_json:
        rows = [
            {
                "name": listed.project.name,
                "project_arn": listed.project.arn,
                "status": listed.status,
                "feature": listed.feature,
                "created": _iso(listed.created_ms),
            }
            for listed in found
        ]
        output.document({"projects": rows})
        return
    output.table(
        ["project", "status", "created", "ARN"],
        [[p.project.name, p.status.lower(), _date(p.created_ms), p.project.arn] for p in found],
    )
    if not found:
        output.hint("No projects here; another --region or --profile?")


def versions(
    source: opt.SourceArgument,
    tracking_uri: opt.TrackingUri = "",
    experiment: opt.Experiment = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """List the versions of a source: status, training, evaluation, MLflow run."""
    from mlrek.listing import list_versions
    from mlrek.tracking.connection import connect_existing

    aws = account.aws
    listed = list_versions(source, aws, connect_existing(tracking_uri), experiment)
    if output.as_json:
        output.document({"versions": [_describe_version(row) for row in listed]})
        return
    more = {
        title: name
        for title, name in REPORTED_COLUMNS.items()
        if any(name in row.entry.reported for row in listed)
    }
    titles = ["version", "status", "trained", "images", *more, "service F1", "evaluation", "run"]
    rows = [_version_row(row, more.values(), short=output.width < WIDE) for row in listed]
    if len({row.entry.version.project for row in listed}) > 1:
        titles = ["project", *titles]
        names = (row.entry.version.project.name for row in listed)
        rows = [[name, *row] for name, row in zip(names, rows, strict=True)]
    output.table(titles, rows, numeric=frozenset(("images", *more, "service F1")))
    if len(listed) == 1 or output.verbose:
        _print_evaluations(listed, output)
    if not listed:
        output.hint("This project has no versions yet.")


def archive(
    source: opt.SourceArgument,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to save.")],
    account: opt.Account,
    output: Output,
) -> None:
    """Save all that an evaluation consists of, re-readable without an account.

    Run it again to go on where it stopped, or to add new versions.
    """
    from pathlib import Path

    from mlrek.sources import open_source
    from mlrek.sources.archive import write_archive

    opened = open_source(source, account.aws)
    saved = write_archive(opened, Path(folder))
    if output.as_json:
        output.document({"versions": [_describe_saved(result) for result in saved]})
    else:
        rows = [
            [r.version.name, r.action, str(len(r.files)), f"{r.size / 1e6:,.1f}", r.reason]
            for r in saved
        ]
        output.table(["version", "", "files", "MB", ""], rows, numeric=frozenset({"files", "MB"}))
    for result in saved:
        output.warn(f"{result.version.name}: {warning}" for warning in result.warnings)
    if any(result.action == "failed" for result in saved):
        raise typer.Exit(EXIT_FAILED)


def _print_evaluations(listed: "Iterable[ListedVersion]", output: Output) -> None:
    """The provider's own evaluations, of the versions and of their labels."""
    rows = [
        [
            row.entry.version.name,
            one.id,
            one.label,
            _date(one.created_ms),
            "" if one.test_images is None else f"{one.test_images:,}",
            _share(one.average_precision),
        ]
        for row in listed
        for one in row.entry.evaluations
    ]
    if rows:
        output.line()
        titles = ["version", "evaluation", "label", "created", "images", "AuPRC"]
        output.table(titles, rows, numeric=frozenset({"images", "AuPRC"}))


def _version_row(row: "ListedVersion", reported: Iterable[str], *, short: bool) -> list[str]:
    version = row.entry.version
    return [
        version.name,
        version.status.lower().replace("_", " "),
        _date(version.training_end_ms or version.training_start_ms),
        "" if row.test_images is None else f"{row.test_images:,}",
        *(_share(row.entry.reported.get(name)) for name in reported),
        _share(row.reported_f1),
        row.evaluation,
        row.run.run_id[: SHORT_ID if short else None] if row.run else "",
    ]


def _describe_version(row: "ListedVersion") -> dict[str, Any]:
    version = row.entry.version
    return {
        "project_arn": version.project.arn,
        "version": version.name,
        "version_arn": version.arn,
        "status": version.status or None,
        "trained": _iso(version.training_end_ms),
        "test_images": row.test_images,
        "reported_f1": row.reported_f1,
        "reported": dict(row.entry.reported),
        "evaluations": [
            {
                "id": one.id,
                "label": one.label or None,
                "created": _iso(one.created_ms),
                "test_images": one.test_images,
                "average_precision": one.average_precision,
            }
            for one in row.entry.evaluations
        ],
        "has_evaluation": row.evaluation == "yes",
        "reason": None if row.evaluation == "yes" else row.evaluation,
        "run_id": row.run.run_id if row.run else None,
    }


def _describe_saved(result: Any) -> dict[str, Any]:
    return {
        "project_arn": result.version.project.arn,
        "version": result.version.name,
        "version_arn": result.version.arn,
        "action": result.action,
        "reason": result.reason or None,
        "files": list(result.files),
        "bytes": result.size,
        "warnings": list(result.warnings),
    }


def _share(value: float | None) -> str:
    return fmt(value, undefined="")


def _iso(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def _date(ms: int | None) -> str:
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()

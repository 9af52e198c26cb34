"""`mlrek projects`, `mlrek versions`, `mlrek archive`: what there is, and keeping it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import EXIT_FAILED, Output
from mlrek.text import fmt, fmt_date

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlrek.render import Block
    from mlrek.runs.listing import ListedVersion
    from mlrek.sources import ListedProject
    from mlrek.sources.archive import ArchivedVersion

WIDE = 104
"""Columns of a terminal from which on whole run ids have room."""
SHORT_ID = 8
REPORTED_COLUMNS = {"AuPRC": "average_precision", "precision": "precision", "recall": "recall"}
"""Titles of columns that stand where any version has the reported number."""


def projects(
    account: opt.Account,
    output: Output,
) -> None:
    """List the Rekognition projects of the account and region with their ARNs.

    Example: mlrek projects --region eu-west-1 --profile vision
    """
    from mlrek.render import Table
    from mlrek.sources import list_projects

    found = list_projects(account.aws)
    rows = [
        [p.project.name, p.status.lower(), fmt_date(p.created_ms), p.project.arn] for p in found
    ]
    output.show(
        [Table(["project", "status", "created", "ARN"], rows)],
        lambda: {"projects": [*map(_build_project, found)]},
    )
    if not (found or output.as_json):
        output.hint("No projects here; another --region or --profile?")


def versions(
    source: opt.SourceArgument,
    tracking_uri: opt.TrackingUri = "",
    experiment: opt.Experiment = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """List the versions of a source: status, training, evaluation, MLflow run.

    Example: mlrek versions examples/digits
    """
    from mlrek.runs.listing import list_versions
    from mlrek.tracking.connection import connect_existing

    listed = list_versions(source, account.aws, connect_existing(tracking_uri), experiment)
    with_evaluations = len(listed) == 1 or output.verbose
    output.show(
        _list_blocks(listed, short=output.width < WIDE, with_evaluations=with_evaluations),
        lambda: {"versions": [*map(_build_version, listed)]},
    )
    if not (listed or output.as_json):
        output.hint("This project has no versions yet.")


def archive(
    source: opt.SourceArgument,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to save.")],
    version: Annotated[
        str,
        typer.Option(
            "--version",
            metavar="NAME",
            help="Of predictions: what the version is called.",
            show_default=False,
        ),
    ] = "",
    *,
    foreign: opt.Foreign,
    joining: opt.Joining,
    account: opt.Account,
    output: Output,
) -> None:
    """Save all that an evaluation consists of, re-readable without an account.

    Run it again to go on where it stopped, or to add new versions.

    Example: mlrek archive digits kept --region eu-west-1
    """
    from pathlib import Path

    from mlrek.render import Table
    from mlrek.sources import open_predictions, open_source
    from mlrek.sources.archive import write_archive

    if foreign.is_given or joining.is_given or version:
        custom = foreign.choose([version] if version else [], joining)
        opened = open_predictions(source, custom, account.aws)
    else:
        opened = open_source(source, account.aws)
    saved = write_archive(opened, Path(folder))
    rows = [
        [r.version.name, r.action, str(len(r.files)), f"{r.size / 1e6:,.1f}", r.reason]
        for r in saved
    ]
    output.show(
        [Table(["version", "", "files", "MB", ""], rows, numeric=frozenset({"files", "MB"}))],
        lambda: {"versions": [*map(_build_saved, saved)]},
    )
    for result in saved:
        output.warn(f"{result.version.name}: {warning}" for warning in result.warnings)
    if any(result.action == "failed" for result in saved):
        raise typer.Exit(EXIT_FAILED)


def _list_blocks(
    listed: "Sequence[ListedVersion]", *, short: bool, with_evaluations: bool
) -> "Iterator[Block]":
    """A row a version, then the provider's own evaluations of the versions and their labels."""
    from mlrek.render import Line, Table

    several = len({row.entry.version.project for row in listed}) > 1
    titles = ["project", "version", "status", "trained", "images", *REPORTED_COLUMNS, "service F1"]
    yield Table(
        [*titles, "evaluation", "run"],
        [_list_cells(row, several=several, short=short) for row in listed],
        numeric=frozenset(("images", *REPORTED_COLUMNS, "service F1")),
    ).without_empty(["project", *REPORTED_COLUMNS, "service F1"])
    rows = [
        [
            row.entry.version.name,
            one.id,
            one.label,
            fmt_date(one.created_ms),
            fmt(one.test_images, 0, undefined=""),
            fmt(one.average_precision, undefined=""),
        ]
        for row in listed
        for one in row.entry.evaluations
    ]
    if rows and with_evaluations:
        titles = ["version", "evaluation", "label", "created", "images", "AuPRC"]
        yield from (Line(), Table(titles, rows, numeric=frozenset({"images", "AuPRC"})))


def _list_cells(row: "ListedVersion", *, several: bool, short: bool) -> list[str]:
    version, reported = row.entry.version, row.entry.reported
    return [
        version.project.name if several else "",
        version.name,
        version.status.lower().replace("_", " "),
        fmt_date(version.training_end_ms or version.training_start_ms),
        fmt(row.test_images, 0, undefined=""),
        *(fmt(reported.get(name), undefined="") for name in REPORTED_COLUMNS.values()),
        fmt(row.reported_f1, undefined=""),
        row.evaluation,
        row.run.run_id[: SHORT_ID if short else None] if row.run else "",
    ]


def _build_project(listed: "ListedProject") -> dict[str, Any]:
    return {
        "name": listed.project.name,
        "project_arn": listed.project.arn,
        "status": listed.status,
        "feature": listed.feature,
        "created": _iso(listed.created_ms),
    }


def _build_version(row: "ListedVersion") -> dict[str, Any]:
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


def _build_saved(result: "ArchivedVersion") -> dict[str, Any]:
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


def _iso(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat()

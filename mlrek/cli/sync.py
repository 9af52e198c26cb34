"""`mlrek sync`: the main job."""

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import EXIT_FAILED, Output, import_much
from mlrek.errors import UsageError

if TYPE_CHECKING:
    from mlrek.runs.results import SyncOptions, SyncResult

WIDE = 92
"""Columns of a terminal from which on the training's date has room."""


class Rule(StrEnum):
    """The prediction rules (the metrics' own enum would pay for numpy in --help)."""

    TOP1 = "top1"
    THRESHOLD = "threshold"
    NOTEBOOK = "notebook"


def _print_formats(wanted: bool) -> None:
    if wanted:
        from mlrek.formats.forms import write_help

        typer.echo(write_help())
        raise typer.Exit


def begin_sync(given: Mapping[str, Any]) -> None:
    """Let another process import what reading takes, while this one imports what it needs."""
    from mlrek.runs.meanwhile import default_jobs, start_ahead

    if given["sources"] and not given["scheduler"]:
        jobs = given["jobs"] or default_jobs()
        start_ahead(given["sources"], given["tracking_uri"], jobs, os.environ)


def sync(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Rekognition project ARN or name, version ARN, s3:// prefix, folder or file; or, "
            "with --project and --version, the predictions of any model.",
            show_default=False,
        ),
    ] = None,
    all_projects: Annotated[
        bool,
        typer.Option("--all-projects", help="Every Rekognition project of account and region."),
    ] = False,
    version: Annotated[
        list[str] | None,
        typer.Option(
            "--version",
            metavar="NAME",
            help="Only this version (repeatable); of predictions: what the version is called.",
        ),
    ] = None,
    _help_formats: Annotated[
        bool,
        typer.Option(
            "--help-formats",
            callback=_print_formats,
            is_eager=True,
            help="List the forms of predictions and truth that are read.",
        ),
    ] = False,
    tracking_uri: opt.TrackingUri = "",
    experiment: opt.Experiment = "",
    jobs: Annotated[
        int,
        typer.Option("--jobs", metavar="N", min=0, help="Versions at once; 0: as many as help."),
    ] = 0,
    scheduler: Annotated[
        str,
        typer.Option(
            "--scheduler",
            metavar="tcp://HOST:8786",
            help="Read and compute on this Dask cluster; its workers need mlrek and AWS access.",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and compute, but write nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Log again what is logged already.")
    ] = False,
    skip_bad_lines: opt.SkipBadLines = False,
    register: Annotated[
        str | None,
        typer.Option(
            "--register",
            metavar="[NAME]",
            help="Register each version as a model, by default under the project's name. The next "
            "word is the NAME, unless it holds / or : or no SOURCE would be left; --register=NAME "
            "always is.",
            show_default=False,
        ),
    ] = None,
    model_uri: opt.ModelUri = "",
    prediction_rule: Annotated[
        Rule,
        typer.Option(
            "--prediction-rule",
            metavar="top1|threshold|notebook",
            help="What counts as an image's prediction.",
        ),
    ] = Rule.TOP1,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            metavar="FRACTION",
            min=0.0,
            max=1.0,
            help="Where numbers that Google publishes over thresholds are read.",
        ),
    ] = 0.5,
    top_labels: Annotated[
        int,
        typer.Option(
            "--top-labels",
            metavar="N",
            min=0,
            help="Draw the matrix of the N most confused labels; 0: of all.",
        ),
    ] = 0,
    images: opt.Images = "auto",
    slices: opt.Slices = "",
    slice_by: opt.SliceBy = None,
    *,
    foreign: opt.Foreign,
    joining: opt.Joining,
    account: opt.Account,
    output: Output,
) -> None:
    """Log each version's evaluation as one MLflow run.

    Reads the evaluation outputs of every version, computes all metrics, and logs them with the
    confusion matrix, the classification report and the curves. A second sync writes nothing.

    Example: mlrek sync arn:aws:rekognition:eu-west-1:111122223333:project/digits/1690474772815

    A model from anywhere: mlrek sync predictions.csv --truth test.csv --project pets --version v3
    """
    from mlrek.registry.door import check_name
    from mlrek.runs.meanwhile import default_jobs
    from mlrek.runs.results import SyncOptions
    from mlrek.tracking.description import Options

    import_much()
    if not (sources or all_projects):
        raise UsageError("name a SOURCE, or give --all-projects; `mlrek sync --help` tells more")
    versions = tuple(filter(None, version or ()))
    slicing = opt.make_slicing(slice_by, slices, joining.match)
    joins_slices = bool(slices and joining.match) and joining.is_match_alone
    is_custom = foreign.is_given or (joining.is_given and not joins_slices)
    custom = foreign.choose(versions, joining) if is_custom else None
    if custom and (all_projects or len(sources or ()) != 1):
        raise UsageError("predictions are one SOURCE: a file, or a folder")
    if model_uri and register is None:
        raise UsageError("--model-uri is the model of a registered version: add --register")
    result = _run(
        sources or [],
        tracking_uri,
        SyncOptions(
            experiment=experiment,
            versions=versions,
            custom=custom,
            all_projects=all_projects,
            jobs=jobs or default_jobs(),
            scheduler=scheduler,
            dry_run=dry_run,
            force=force,
            register=register is not None,
            model_name=check_name(register) if register else "",
            model_uri=model_uri,
            options=Options(
                prediction_rule=prediction_rule.value,
                skip_bad_lines=skip_bad_lines,
                threshold=threshold,
                top_labels=top_labels,
                images=opt.check_images(images),
                slicing=slicing,
            ),
            aws=account.aws,
        ),
        output,
    )
    _report(result, output)
    if result.any_failed:
        raise typer.Exit(EXIT_FAILED)


def _run(
    sources: list[str], tracking_uri: str, options: "SyncOptions", output: Output
) -> "SyncResult":
    from mlrek.cli.progress import show_progress
    from mlrek.runs.sync import sync_sources

    with show_progress(output) as progress:
        return sync_sources(sources, tracking_uri, options, progress, environ=os.environ)


def _report(result: "SyncResult", output: Output) -> None:
    from mlrek.runs.results import (
        build_sync_json,
        gather_warnings,
        list_hints,
        list_links,
        list_sync_blocks,
    )

    output.show(
        list_sync_blocks(result, wide=output.is_wide(WIDE)), lambda: build_sync_json(result)
    )
    if not output.as_json:
        output.warn(gather_warnings(result.versions))
        output.show(list_links(result))
    for hint in list_hints(result):
        output.hint(hint)

"""`mlrek compare`: versions side by side, image by image."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import EXIT_UNDECIDED, Output, write_file
from mlrek.errors import TrackingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlrek.comparison.compare import CompareSettings
    from mlrek.promotion.compare import Compared
    from mlrek.render import Block
    from mlrek.sources import AwsOptions
    from mlrek.tracking.store import Store


class PairedRule(StrEnum):
    """The prediction rules that judge each image once."""

    TOP1 = "top1"
    THRESHOLD = "threshold"


def compare(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help=opt.VERSION_HELP)],
    candidates: Annotated[
        list[str], typer.Argument(metavar="CANDIDATE...", help="One or more of the same forms.")
    ],
    label_map: Annotated[
        str,
        typer.Option(
            "--label-map",
            metavar="FILE",
            help='Renamed labels: JSON {"old": "new"}, or CSV lines old,new.',
        ),
    ] = "",
    group_by: Annotated[
        str,
        typer.Option(
            "--group-by",
            metavar="REGEX|PREFIX",
            help="Images of one object: a prefix of URIs that ends in /, or a regular expression "
            "whose first group names the object.",
        ),
    ] = "",
    prediction_rule: Annotated[
        PairedRule | None,
        typer.Option(
            "--prediction-rule",
            metavar="top1|threshold",
            help="What counts as an image's prediction; default: as the runs were logged.",
        ),
    ] = None,
    markdown: Annotated[
        str, typer.Option("--markdown", metavar="FILE", help="Write a summary for a pull request.")
    ] = "",
    html: Annotated[
        str,
        typer.Option(
            "--html", metavar="FILE", help="Write the page of the comparison (one candidate)."
        ),
    ] = "",
    images: opt.Images = "auto",
    log: Annotated[
        bool,
        typer.Option("--log/--no-log", help="Keep the comparison in the candidate's run, if any."),
    ] = True,
    tracking_uri: opt.TrackingUri = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """Compare versions, paired image by image.

    Says whether the test sets are the same, what differs and how surely, why it moved, and which
    images were fixed and broken. Works from runs alone, without the cloud account.
    Exit code 4: the versions have no test image in common.

    Example: mlrek compare models:/digits@champion models:/digits/7
    """
    from mlrek.promotion.compare import build_compared_json

    if html and len(candidates) > 1:
        raise UsageError("--html is the page of one candidate; name only one")
    compared = _compare(
        (baseline, *candidates),
        account.aws,
        tracking_uri,
        _make_settings(label_map, group_by),
        prediction_rule,
        opt.check_images(images),
    )
    compared, store = _find_runs(compared, tracking_uri, output) if log else (compared, None)
    _write_files(compared, markdown, html)
    if store is not None:
        _keep(compared, store, output)
    output.show(_list_blocks(compared, output.width), lambda: build_compared_json(compared))
    if not output.as_json:
        output.warn(_list_remarks(compared))
    if not any(comparison.test_sets.shared for comparison in compared.comparisons):
        raise typer.Exit(EXIT_UNDECIDED)


def _make_settings(label_map: str, group_by: str) -> "CompareSettings":
    from mlrek.comparison.compare import CompareSettings
    from mlrek.promotion.compare import load_label_map

    names = load_label_map(label_map) if label_map else {}
    return CompareSettings(slices=True, group_by=group_by, label_map=names)


def _compare(
    versions: tuple[str, ...],
    aws: "AwsOptions",
    tracking_uri: str,
    settings: "CompareSettings",
    rule: PairedRule | None,
    images: str,
) -> "Compared":
    from mlrek.metrics import PredictionRule
    from mlrek.promotion.compare import compare_references

    return compare_references(
        versions,
        aws,
        opt.open_for_reading(tracking_uri),
        settings,
        rule=PredictionRule(rule.value) if rule else None,
        images=images,
    )


def _find_runs(
    compared: "Compared", tracking_uri: str, output: Output
) -> "tuple[Compared, Store | None]":
    """The comparison with the runs of its versions, and the store, None without such runs."""
    from mlrek.tracking.database import is_fresh

    if is_fresh(tracking_uri, os.environ):  # told without importing MLflow, which takes seconds
        return compared, None
    from mlrek.promotion.keeping import find_runs
    from mlrek.tracking.connection import connect

    try:
        store = connect(tracking_uri)
        return find_runs(compared, store), store
    except TrackingError as exc:  # the comparison itself is there
        output.warn([f"the comparison is kept in no run: {exc}"])
        return compared, None


def _keep(compared: "Compared", store: "Store", output: Output) -> None:
    """Write the comparison into the candidates' runs, where MLflow has them."""
    from mlrek.promotion.keeping import write_comparisons
    from mlrek.runs.results import name_ui
    from mlrek.tracking.links import is_local_store

    try:
        written = write_comparisons(compared, store)
    except TrackingError as exc:
        output.warn([f"the comparison is kept in no run: {exc}"])
        return
    for place in written:
        output.hint(f"kept in {place}")
    if written and is_local_store(store.tracking_uri):
        output.hint(f"to open it, serve MLflow's pages: {name_ui(store.tracking_uri)}")


def _list_blocks(compared: "Compared", width: int) -> "Iterator[Block]":
    """Each candidate against the baseline, then the test of all together."""
    from mlrek.render.comparison import comparison_blocks, several_blocks

    for comparison in compared.comparisons:
        yield from comparison_blocks(comparison, width)
    if compared.several is not None:
        names = [evaluation.version.name for evaluation in compared.evaluations]
        yield from several_blocks(compared.several, names)


def _list_remarks(compared: "Compared") -> "Iterator[str]":
    from mlrek.render.comparison import list_remarks

    for comparison in compared.comparisons:
        whose = f"{comparison.candidate.name}: " if len(compared.comparisons) > 1 else ""
        yield from (f"{whose}{remark}" for remark in list_remarks(comparison))


def _write_files(compared: "Compared", markdown: str, html: str) -> None:
    """What was asked for in files of its own."""
    if markdown:
        from mlrek.render.comparison import write_summary

        text = "\n".join(map(write_summary, compared.comparisons))
        write_file("--markdown", markdown, text.encode("utf-8", "backslashreplace"))
    if html:
        from mlrek.promotion.keeping import render_comparison

        write_file("--html", html, render_comparison(compared))

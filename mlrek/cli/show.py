"""`mlrek show`: one version's evaluation for people."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output
from mlrek.errors import UsageError
from mlrek.text import say_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlrek.evaluation import Evaluation
    from mlrek.metrics import Metrics
    from mlrek.metrics.slices import SliceReport
    from mlrek.render.tables import LabelOutcome


def show(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            help=opt.VERSION_HELP,
        ),
    ],
    label: Annotated[str, typer.Option("--label", metavar="LABEL", help="One label only.")] = "",
    outcome: Annotated[
        Literal["tp", "fn", "fp"] | None,
        typer.Option(
            "--outcome",
            metavar="tp|fn|fp",
            help="List the label's images with this outcome, the least sure first.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="FRACTION",
            min=0.0,
            max=1.0,
            help="The same threshold for all labels, 0 to 1.",
        ),
    ] = None,
    slices: Annotated[
        bool,
        typer.Option(
            "--slices",
            help="Where it is weak: the images with one value of a column (a site, a camera, the "
            "label), worst first, each against the rest.",
        ),
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Slices of this column only (repeatable).",
            show_default=False,
        ),
    ] = None,
    slice_by: opt.SliceBy = None,
    skip_bad_lines: opt.SkipBadLines = False,
    tracking_uri: opt.TrackingUri = "",
    *,
    account: opt.Account,
    output: Output,
) -> None:
    """Show one version's evaluation in the terminal.

    Example: mlrek show examples/digits#v2-linear --label eight --threshold 0.7
    """
    from mlrek.metrics.compute import compute_metrics
    from mlrek.metrics.reported import DEFAULT_THRESHOLD
    from mlrek.promotion import load_version
    from mlrek.render.version import build_shown_json, choose_shown, list_version_blocks

    if outcome and not label:
        raise UsageError("--outcome lists the images of one label: name it with --label")
    has_slices = slices or bool(by) or bool(slice_by)
    if has_slices and (label or threshold is not None):
        raise UsageError("--slices are of all labels, as predicted: leave out --label, --threshold")
    referred = load_version(
        version,
        account.aws,
        opt.open_for_reading(tracking_uri),
        skip_bad_lines=skip_bad_lines,
        threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
    )
    evaluation = _cut_columns(referred.evaluation, slice_by or ())
    _check_label(evaluation, label)
    metrics = compute_metrics(evaluation)
    shown = choose_shown(
        evaluation,
        metrics,
        label=label,
        slices=_compute_slices(evaluation, metrics, by or []) if has_slices else None,
        outcome=_name_outcome(outcome) if outcome else None,
        threshold=threshold,
    )
    output.show(list_version_blocks(shown, output.width), lambda: build_shown_json(shown))
    if not output.as_json:
        if shown.stops_at:
            output.hint(f"Mind: {shown.stops_at}.")
        if has_slices and not evaluation.slice_columns:
            from mlrek.render.slices import NO_COLUMNS

            output.hint(f"Mind: {NO_COLUMNS}.")
        output.warn(shown.remarks)


def _name_outcome(outcome: str) -> "LabelOutcome":
    from mlrek.render.tables import LabelOutcome

    return LabelOutcome(outcome)


def _cut_columns(evaluation: "Evaluation", slice_by: "Sequence[str]") -> "Evaluation":
    """The evaluation with the columns that are read from the names of images."""
    from mlrek.formats.image_columns import cut_by_uri, parse_patterns, with_columns

    patterns = parse_patterns(slice_by)
    return with_columns(evaluation, cut_by_uri(evaluation.images, patterns))


def _compute_slices(
    evaluation: "Evaluation", metrics: "Metrics", by: "Sequence[str]"
) -> "SliceReport":
    """The slices of all columns, or of those that were named.

    Raises:
        UsageError: There is no such column.
    """
    from mlrek.metrics.slice_numbers import compute_slices
    from mlrek.metrics.slices import check_columns

    check_columns(by, evaluation)
    return compute_slices(evaluation, by=by or None, metrics=metrics)


def _check_label(evaluation: "Evaluation", label: str) -> None:
    if not label or label in evaluation.labels:
        return
    raise UsageError(f"no label {label!r}; {say_nearest(label, evaluation.labels)}")

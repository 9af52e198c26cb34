"""`mlrek show`: one version's evaluation for people."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output
from mlrek.errors import UsageError
from mlrek.text import say_nearest

if TYPE_CHECKING:
    from mlrek.evaluation import Evaluation


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
    from mlrek.render.tables import LabelOutcome
    from mlrek.render.version import build_shown_json, choose_shown, list_version_blocks
    from mlrek.tracking.connection import connect_for_reading

    if outcome and not label:
        raise UsageError("--outcome lists the images of one label: name it with --label")
    evaluation = load_version(
        version,
        account.aws,
        lambda: connect_for_reading(tracking_uri),
        skip_bad_lines=skip_bad_lines,
        threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
    ).evaluation
    _check_label(evaluation, label)
    shown = choose_shown(
        evaluation,
        compute_metrics(evaluation),
        label=label,
        outcome=LabelOutcome(outcome) if outcome else None,
        threshold=threshold,
    )
    output.show(list_version_blocks(shown), lambda: build_shown_json(shown))
    if not output.as_json:
        if shown.stops_at:
            output.hint(f"Mind: {shown.stops_at}.")
        output.warn(shown.remarks)


def _check_label(evaluation: "Evaluation", label: str) -> None:
    if not label or label in evaluation.labels:
        return
    raise UsageError(f"no label {label!r}; {say_nearest(label, evaluation.labels)}")

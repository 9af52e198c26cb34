"""`mlrek evaluate`: a version on your own test set."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output, collect_figures, import_much
from mlrek.cli.sync import Rule
from mlrek.errors import UsageError
from mlrek.text import fmt, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlrek.render import Block
    from mlrek.runs.own_test_set import OwnTestSetOptions, OwnTestSetResult
    from mlrek.tracking.store import Store


def evaluate(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            help=opt.VERSION_HELP,
        ),
    ],
    manifest: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="MANIFEST",
            help="Images with their true labels: a SageMaker Ground Truth manifest, or any other "
            "form (`mlrek sync --help-formats`).",
        ),
    ],
    responses: Annotated[
        str,
        typer.Option(
            "--responses",
            metavar="FILE",
            help="Saved DetectCustomLabels responses, JSON Lines; with --call also kept there.",
            show_default=False,
        ),
    ] = "",
    predictions: Annotated[
        str,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="What the version said of these images, in any form: a table, COCO, YOLO, ….",
            show_default=False,
        ),
    ] = "",
    call: Annotated[
        bool,
        typer.Option("--call", help="Ask the running version (billed); it is never started."),
    ] = False,
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="Name of the test set; default: the manifest's."
        ),
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute", metavar="NAME", help="Only this label attribute counts (repeatable)."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Calls at once.")
    ] = 8,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a run that knows more than these answers.")
    ] = False,
    skip_bad_lines: opt.SkipBadLines = False,
    prediction_rule: Annotated[
        Rule,
        typer.Option(
            "--prediction-rule",
            metavar="top1|threshold|notebook",
            help="What counts as an image's prediction.",
        ),
    ] = Rule.TOP1,
    images: opt.Images = "auto",
    slices: opt.Slices = "",
    slice_by: opt.SliceBy = None,
    tracking_uri: opt.TrackingUri = "",
    experiment: opt.Experiment = "",
    *,
    joining: opt.Joining,
    account: opt.Account,
    output: Output,
) -> None:
    """Evaluate a version on a test set of your own, and log it as another run of the version.

    Versions whose test images the service chose by itself compare on such a set only. The
    answers are saved ones (--responses, or in any form --predictions), or come from the version's
    running endpoint (--call).

    Example: mlrek evaluate examples/digits#v2-linear --on holdout.manifest --responses v2.jsonl
    """
    from mlrek.cli.progress import show_calls
    from mlrek.promotion import load_version
    from mlrek.runs.own_test_set import OwnTestSetOptions, evaluate_own_test_set, log_own_test_set
    from mlrek.tracking.connection import connect
    from mlrek.tracking.description import Options

    import_much()
    slicing = opt.make_slicing(slice_by, slices, joining.match)
    joins_slices = bool(slices) and joining.is_match_alone
    if joining.is_given and not predictions and not joins_slices:
        raise UsageError(
            "--task, --match, --unmatched, --thresholds, --label-map: of --predictions"
        )
    aws = account.aws
    options = OwnTestSetOptions(
        manifest=manifest,
        responses=responses,
        predictions=predictions,
        joining=joining.options,
        thresholds=joining.thresholds,
        label_map=joining.label_map,
        call=call,
        force=force,
        name=name,
        attributes=tuple(attribute or ()),
        jobs=jobs,
        experiment=experiment,
        options=Options(
            prediction_rule=prediction_rule.value,
            skip_bad_lines=skip_bad_lines,
            images=opt.check_images(images),
            slicing=slicing,
        ),
        aws=aws,
    )
    store = connect(tracking_uri)
    collect_figures()
    referred = load_version(version, aws, lambda: store, skip_bad_lines=skip_bad_lines)
    with show_calls(output) as watch:
        own = evaluate_own_test_set(
            referred.evaluation,
            options,
            watch=watch,
            find_seen=referred.find_seen,
            list_trained=referred.list_trained,
        )
    result = log_own_test_set(store, own, options, os.environ)
    output.show(_list_blocks(result), lambda: build_evaluate_json(result, options, store))
    if not output.as_json:
        output.warn(result.warnings)
        for other in result.others:
            output.hint(
                f"{other.tags.get('version_name', '')} was tested on the same test set: "
                f"mlrek compare runs:/{other.run_id} runs:/{result.run.run_id}"
            )


def build_evaluate_json(
    result: "OwnTestSetResult", options: "OwnTestSetOptions", store: "Store"
) -> dict[str, Any]:
    """The stable JSON form: that of a sync with one version, and which test set it was."""
    from mlrek.render.doubts import build_doubt_json
    from mlrek.tracking import read_doubts
    from mlrek.tracking.links import PICTURES_VIEW_TAG, build_links
    from mlrek.tracking.translation import hide_userinfo
    from mlrek.tracking.view import MAIN_PICTURES

    version = result.own.evaluation.version
    runs = [*(run.run_id for run in result.others), result.run.run_id]
    links = build_links(
        store.tracking_uri,
        result.experiment_id,
        runs,
        views=result.views - {PICTURES_VIEW_TAG},
        picture=MAIN_PICTURES.get(result.run.tags.get("task", ""), ""),
        workspace=store.workspace,
    )
    return {
        "tracking_uri": hide_userinfo(store.tracking_uri),
        "projects": [
            {
                "project_arn": version.project.arn,
                "experiment": result.experiment,
                "experiment_id": result.experiment_id,
                "links": asdict(links),
            }
        ],
        "versions": [
            {
                "project_arn": version.project.arn,
                "version": version.name,
                "version_arn": version.arn,
                "action": result.action,
                "run_id": result.run.run_id,
                "experiment_id": result.experiment_id,
                "task": result.run.tags.get("task"),
                "reason": result.reason or None,
                "doubts": [build_doubt_json(doubt) for doubt in read_doubts(result.run, store)],
                "warnings": list(result.warnings),
                "exam": {
                    "name": result.own.name,
                    "manifest": options.manifest,
                    "test_set_digest": result.own.digest,
                    "test_images": len(result.own.evaluation.images),
                },
                "links": {"run": result.link},
            }
        ],
    }


def _list_blocks(result: "OwnTestSetResult") -> "Iterator[Block]":
    """The headline numbers of the run, and where it is."""
    from mlrek.metrics.numbers import HEADLINES, name_metric
    from mlrek.render import Line, Table

    evaluation, run, numbers = result.own.evaluation, result.run, result.run.metrics
    version = evaluation.version
    rows = [
        [
            name_metric(name),
            fmt(numbers[f"aggregate/{name}"], 4),
            span(
                numbers.get(f"interval/{name}_low"),
                numbers.get(f"interval/{name}_high"),
                4,
                undefined="",
            ),
        ]
        for name in HEADLINES[evaluation.task]
        if f"aggregate/{name}" in numbers
    ]
    yield Line(f"{version.project.name}  {version.arn}")
    yield Line(f"experiment {result.experiment}")
    yield Line()
    images = f"{len(evaluation.images):,} images"
    yield Line(f"{version.name} on {result.own.name}: {images}, {result.action}")
    yield Table(["number", "value", "95 %"], rows, numeric=frozenset({"value"}))
    yield Line()
    yield Line(f"run {run.run_id}" + (f"  {result.link}" if result.link else ""))

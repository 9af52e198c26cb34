"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mlrek.errors import UsageError

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Rekognition project ARN or name, version ARN, s3:// prefix, folder or file.",
    ),
]
VERSION_HELP = "Version ARN, SOURCE#VERSION, runs:/ID, models:/NAME/3 or models:/NAME@alias."
Undecided = Annotated[
    Literal["pass", "fail", ""] | None,  # `mlflow run` hands over an empty one where none is given
    typer.Option(
        "--undecided",
        metavar="[pass|fail]",
        help="What too little evidence counts as; default: neither, exit code 4.",
        show_default=False,
    ),
]
Alias = Annotated[
    str, typer.Option("--alias", metavar="ALIAS", help="The alias that is to be moved.")
]
GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="REGEX",
        help="Images that show one object belong together: a regular expression on image URIs, "
        "whose first group names the object.",
        show_default=False,
    ),
]
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        help="MLflow store; else MLFLOW_TRACKING_URI, else MLflow's own default.",
        show_default=False,
    ),
]
Experiment = Annotated[
    str,
    typer.Option(
        "--experiment", help="Experiment name; default: mlrek/<project>.", show_default=False
    ),
]
Region = Annotated[
    str,
    typer.Option("--region", help="AWS region; else the ARN's or your own.", show_default=False),
]
Profile = Annotated[
    str, typer.Option("--profile", help="AWS profile; else AWS_PROFILE.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, warnings or hints.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done on the way.")]
SkipBadLines = Annotated[
    bool,
    typer.Option("--skip-bad-lines", help="Skip malformed manifest lines, counted and warned of."),
]
Images = Annotated[
    str,
    typer.Option(
        "--images",
        metavar="auto|none|FOLDER",
        help="Where the page's pictures come from, and the content by which changed ones are "
        "noticed: where the evaluation says, nowhere, or a folder (also s3://).",
    ),
]


def check_images(images: str) -> str:
    """The option as it was given, where it can be one.

    Raises:
        UsageError: It is a folder that is not there.
    """
    if images in {"auto", "none"} or images.startswith("s3://") or Path(images).is_dir():
        return images
    raise UsageError(f"--images {images}: no such folder; give one, or auto, or none")

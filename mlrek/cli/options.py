"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlrek.cli.output import Output
from mlrek.errors import UsageError

if TYPE_CHECKING:
    from mlrek.sources import AwsOptions

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The AWS account that is asked; each field is an option."""

    region: Annotated[
        str,
        typer.Option(
            "--region", help="AWS region; else the ARN's or your own.", show_default=False
        ),
    ] = ""
    profile: Annotated[
        str, typer.Option("--profile", help="AWS profile; else AWS_PROFILE.", show_default=False)
    ] = ""

    @property
    def aws(self) -> "AwsOptions":
        """The same as the sources take it."""
        from mlrek.sources import AwsOptions

        return AwsOptions(region=self.region, profile=self.profile)


def with_shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer takes it: an option for each field of its `Account` and `Output`."""
    own = signature(command).parameters.values()
    shared = {p.name: p.annotation for p in own if p.annotation in {Account, Output}}

    @wraps(command)
    def run(**given: Any) -> None:
        for name, group in shared.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
            if isinstance(given[name], Output):
                given[name].set_up_logging()
        command(**given)

    options = [
        option.replace(kind=option.KEYWORD_ONLY)
        for p in own
        for option in (signature(p.annotation).parameters.values() if p.name in shared else [p])
    ]
    run.__signature__ = Signature(options)  # type: ignore[attr-defined]
    return run


def check_images(images: str) -> str:
    """The option as it was given, where it can be one.

    Raises:
        UsageError: It is a folder that is not there.
    """
    if images in {"auto", "none"} or images.startswith("s3://") or Path(images).is_dir():
        return images
    raise UsageError(f"--images {images}: no such folder; give one, or auto, or none")

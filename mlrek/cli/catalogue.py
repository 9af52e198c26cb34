"""`mlrek projects`, `mlrek versions`, `mlrek archive`: what there is, and keeping it."""

from typing import Annotated

import typer

from mlrek.cli import options as opt
from mlrek.cli.output import Output


def projects(
    region: opt.Region = "",
    profile: opt.Profile = "",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """List the Rekognition projects of the account and region with their ARNs."""


def versions(
    source: opt.SourceArgument,
    tracking_uri: opt.TrackingUri = "",
    experiment: opt.Experiment = "",
    region: opt.Region = "",
    profile: opt.Profile = "",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """List the versions of a source: status, training, evaluation, MLflow run."""


def archive(
    source: opt.SourceArgument,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to save.")],
    region: opt.Region = "",
    profile: opt.Profile = "",
    json: opt.Json = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Save all that an evaluation consists of, re-readable without an account."""

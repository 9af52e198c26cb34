"""`mlrek show`: one version's evaluation for people."""
from typing import Annotated

import typer

from mlrek.cli import options as opt


def show(
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    label: Annotated[str, typer.Option("--label")] = "",
) -> None:
    """One version's evaluation in the terminal."""

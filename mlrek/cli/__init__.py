"""The command line: options -> one pipeline call -> one output call."""

import gc
import os
from typing import Annotated

import typer
from typer.main import get_command

from mlrek.cli.catalogue import archive, projects, versions
from mlrek.cli.check import check
from mlrek.cli.command import CommandGroup, HelpfulCommand
from mlrek.cli.comment import comment
from mlrek.cli.compare import compare
from mlrek.cli.completion import SHELL_VARIABLE, answer, install_option, show_option
from mlrek.cli.evaluate import evaluate
from mlrek.cli.options import RegisteringCommand, with_shared_options
from mlrek.cli.output import EXIT_FAILED, make_streams_harmless, say_fault
from mlrek.cli.policy import check_files, init, schema
from mlrek.cli.promote import promote
from mlrek.cli.show import show
from mlrek.cli.sync import begin_sync, sync
from mlrek.cli.ui import ui
from mlrek.cli.verify import verify

OBJECTS_BEFORE_COLLECTION = 250_000
"""Imports make many objects that stay: a command that only reads ends before garbage is looked for.

What logs runs looks for it more often, as figures hold memory (`collect_figures`).
"""

app = typer.Typer(
    name="mlrek",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from mlrek import __version__

        typer.echo(f"mlrek {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Its own version."),
    ] = False,
    _install: Annotated[
        str,
        typer.Option(
            "--install-completion",
            metavar="[bash|zsh|fish]",
            callback=install_option,
            is_eager=True,
            help="Complete commands, files, versions and labels with Tab; default: in this shell.",
        ),
    ] = "",
    _show: Annotated[
        str,
        typer.Option(
            "--show-completion",
            metavar="[bash|zsh|fish]",
            callback=show_option,
            is_eager=True,
            help="Print the script that does so.",
        ),
    ] = "",
) -> None:
    """Evaluations of managed vision models as MLflow runs that compare side by side.

    A SOURCE is a Rekognition project ARN or name, a version ARN, an s3:// prefix, or a folder or
    file of saved evaluation outputs. `mlrek COMMAND --help` explains each command.

    Example: mlrek sync examples/digits
    """


app.command(cls=RegisteringCommand)(with_shared_options(sync, begin=begin_sync))
for command in (versions, show, compare, check, promote, verify, evaluate, ui, projects, archive):
    app.command(cls=HelpfulCommand)(with_shared_options(command))

app.command(cls=HelpfulCommand, hidden=True)(with_shared_options(comment))  # for jobs, not people

policies = typer.Typer(cls=CommandGroup)


@policies.callback()
def policy() -> None:
    """Write a policy to start from, check files, or say what policies may hold.

    Example: mlrek policy init examples/digits#v2-linear -o policy.toml
    """


policies.command(cls=HelpfulCommand)(with_shared_options(init))
policies.command("check", cls=HelpfulCommand)(with_shared_options(check_files))
policies.command(cls=HelpfulCommand)(with_shared_options(schema))
app.add_typer(policies, name="policy", no_args_is_help=True)


def main() -> None:
    """Run the command line."""
    make_streams_harmless(os.environ)
    for library in ("OPENBLAS", "MKL", "OMP"):  # their threads wait for each other, and for ours
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 10, 10)
    if os.environ.get(SHELL_VARIABLE):
        answer(get_command(app), os.environ)
        raise SystemExit
    try:
        app()
    except Exception as exc:  # noqa: BLE001 - a fault of mlrek itself: said in one line, no secret
        say_fault(exc)
        raise SystemExit(EXIT_FAILED) from None
    finally:
        gc.freeze()  # else the interpreter looks for garbage in all that was imported, and ends

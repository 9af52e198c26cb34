"""The command line: options -> one pipeline call -> one output call."""

import gc
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Final

import typer
from typer.main import get_command

from mlrek.cli.command import SHELL_VARIABLE, CommandGroup, HelpfulCommand
from mlrek.cli.options import RegisteringCommand, with_shared_options
from mlrek.cli.output import EXIT_FAILED, make_streams_harmless, say_fault

POLICY: Final = "policy"


def _print_version(wanted: bool) -> None:
    if wanted:
        from mlrek import __version__

        typer.echo(f"mlrek {__version__}")
        raise typer.Exit


def _install_completion(shell: str) -> str:
    if shell:
        from mlrek.cli.completion import install_option

        install_option(shell)
    return shell


def _show_completion(shell: str) -> str:
    if shell:
        from mlrek.cli.completion import show_option

        show_option(shell)
    return shell


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
            callback=_install_completion,
            is_eager=True,
            help="Complete commands, files, versions and labels with Tab; default: in this shell.",
        ),
    ] = "",
    _show: Annotated[
        str,
        typer.Option(
            "--show-completion",
            metavar="[bash|zsh|fish]",
            callback=_show_completion,
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


def policies() -> None:
    """Write a policy to start from, check files, or say what policies may hold.

    Example: mlrek policy init examples/digits#v2-linear -o policy.toml
    """


def make_app(called: str = "") -> typer.Typer:
    """The command line; with one command alone where that is called.

    To import all commands, and to make their options, takes 20 ms.
    """
    app = typer.Typer(
        name="mlrek",
        cls=CommandGroup,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    is_known = called in {*_ADDED, POLICY}
    for name, add in _ADDED.items():
        if not is_known or name == called:
            add(app)
    if not is_known or called == POLICY:
        app.add_typer(_make_policy_commands(), name=POLICY, no_args_is_help=True)
    return app


def _add_sync(app: typer.Typer) -> None:
    from mlrek.cli.sync import begin_sync, sync

    app.command(cls=RegisteringCommand)(with_shared_options(sync, begin=begin_sync))


def _add(name: str, module: str, *, hidden: bool = False) -> Callable[[typer.Typer], None]:
    """What adds the function of that name in a module of commands."""

    def add(app: typer.Typer) -> None:
        command: Callable[..., None] = getattr(import_module(f"mlrek.cli.{module}"), name)
        app.command(cls=HelpfulCommand, hidden=hidden)(with_shared_options(command))

    return add


_ADDED: Final[Mapping[str, Callable[[typer.Typer], None]]] = MappingProxyType(
    {
        "sync": _add_sync,
        "versions": _add("versions", "catalogue"),
        "show": _add("show", "show"),
        "compare": _add("compare", "compare"),
        "check": _add("check", "check"),
        "promote": _add("promote", "promote"),
        "verify": _add("verify", "verify"),
        "evaluate": _add("evaluate", "evaluate"),
        "ui": _add("ui", "ui"),
        "projects": _add("projects", "catalogue"),
        "archive": _add("archive", "catalogue"),
        "comment": _add("comment", "comment", hidden=True),  # for jobs, not people
    }
)
"""What adds each command, in the order of the help; only then is its module imported."""


def _make_policy_commands() -> typer.Typer:
    from mlrek.cli.policy import check_files, init, schema

    group = typer.Typer(cls=CommandGroup)
    group.callback()(policies)
    group.command(cls=HelpfulCommand)(with_shared_options(init))
    group.command("check", cls=HelpfulCommand)(with_shared_options(check_files))
    group.command(cls=HelpfulCommand)(with_shared_options(schema))
    return group


def main() -> None:
    """Run the command line."""
    make_streams_harmless(os.environ)
    for library in ("OPENBLAS", "MKL", "OMP"):  # their threads wait for each other, and for ours
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    if os.environ.get(SHELL_VARIABLE):
        from mlrek.cli.completion import answer

        answer(get_command(make_app()), os.environ)
        raise SystemExit
    try:
        make_app(next(iter(sys.argv[1:]), ""))()
    except Exception as exc:  # noqa: BLE001 - a fault of mlrek itself: said in one line, no secret
        say_fault(exc)
        raise SystemExit(EXIT_FAILED) from None
    finally:
        gc.freeze()  # else the interpreter looks for garbage in all that was imported, and ends

"""Commands as people meet them: help that flows at any width, errors of one line."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer.core import TyperCommand, TyperGroup

from mlrek.cli.mistakes import EXAMPLE, explain_mistake
from mlrek.cli.output import EXIT_CODES, EXIT_FAILED, EXIT_USAGE, say_error
from mlrek.errors import (
    EXIT_INTERRUPTED,
    SAID,
    MlrekError,
    PolicyError,
    begin_command,
    end_command,
)

if TYPE_CHECKING:
    from typer._click import Command as AnyCommand
    from typer._click import Context, HelpFormatter, Parameter

SHELL_VARIABLE = "_MLREK_COMPLETE"
"""What a shell sets that asks for completions."""
SHELL_OPTIONS = frozenset({"--install-completion", "--show-completion"})
MIN_WIDTH = 40
MAX_WIDTH = 120
"""Columns of a line that eyes follow easily; a wider terminal has room left."""
MAX_TERM = 28
"""Columns of what an option is called; a longer one has a line of its own."""
COMMON = "Common options"
_INDENT = "  "


class HelpfulCommand(TyperCommand):
    """A command whose help flows, and whose options say what they want."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Tell the words apart; what is wrong with them is said in our words."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except ClickException as exc:
            raise explain_mistake(exc, self, ctx, words) from exc

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the help."""
        formatter.write(render_help(self, ctx, choose_width()))


class CommandGroup(TyperGroup):
    """Commands whose errors are one line each, never a traceback."""

    def make_context(self, *args: Any, **kwargs: Any) -> "Context":
        """Tell the words before the command apart."""
        try:
            return super().make_context(*args, **kwargs)
        except MlrekError as exc:
            say_error(str(exc))
            raise typer.Exit(EXIT_USAGE) from exc

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """The same for the options before a command."""
        words = list(args)
        try:
            return super().parse_args(ctx, _join_shell(args))
        except NoArgsIsHelpError as exc:
            typer.echo(ctx.get_help())
            raise typer.Exit(EXIT_USAGE) from exc
        except ClickException as exc:
            raise explain_mistake(exc, self, ctx, words) from exc

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> "tuple[str | None, AnyCommand | None, list[str]]":
        """The command that the first word names."""
        words = list(args)
        try:
            return super().resolve_command(ctx, args)
        except ClickException as exc:
            raise explain_mistake(exc, self, ctx, words) from exc

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write the help."""
        formatter.write(render_help(self, ctx, choose_width()))

    def invoke(self, ctx: "Context") -> Any:
        """Run the command that was typed."""
        ends_at_once, interrupted = begin_command(), False
        try:
            return super().invoke(ctx)
        except MlrekError as exc:
            for text in exc.mistakes if isinstance(exc, PolicyError) else (str(exc),):
                say_error(text)
            raise typer.Exit(EXIT_CODES.get(type(exc), EXIT_FAILED)) from exc
        except KeyboardInterrupt as exc:
            interrupted = True
            say_error(SAID)
            raise typer.Exit(EXIT_INTERRUPTED) from exc
        finally:
            if ends_at_once:
                end_command(said=interrupted)


def _join_shell(args: list[str]) -> list[str]:
    """The words with the shell behind an option of completion joined to it, `auto` without one."""
    if not args or args[0] not in SHELL_OPTIONS:
        return args
    named = args[1:2] if args[1:2] and not args[1].startswith("-") else ["auto"]
    return [f"{args[0]}={named[0]}", *args[2:]]


def choose_width() -> int:
    """Columns of a line of help: the terminal's, as far as lines can be read."""
    return min(max(shutil.get_terminal_size().columns, MIN_WIDTH), MAX_WIDTH)


def render_help(command: "AnyCommand", ctx: "Context", width: int) -> str:
    """The help of a command or of a group of them, in lines of `width` columns at most.

    Only an example may be longer, so that it can be copied as it is.
    """
    lines = [
        "",
        *_flow(f"Usage: {' '.join([ctx.command_path, *_list_usage(command, ctx)])}", width),
    ]
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        lines += ["", *_render_paragraph(" ".join(paragraph.split()), width)]
    params = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    arguments = [param for param in params if param.param_type_name == "argument"]
    options = [param for param in params if param.param_type_name == "option"]
    sections = {"Arguments": [(name_argument(one), _describe(one, ctx)) for one in arguments]}
    panels = dict.fromkeys(("Options", *map(_find_panel, options), COMMON))
    for title in sorted(panels, key=COMMON.__eq__):
        own = [one for one in options if _find_panel(one) == title]
        sections[title] = [(_name_option(one), _describe(one, ctx)) for one in own]
    sections["Commands"] = list(_list_commands(command))
    for title, rows in sections.items():
        if rows:
            room = _choose_room((term for term, _ in rows), width)
            lines += ["", _strong(f"{title}:")]
            lines += [line for row in rows for line in _render_row(*row, room, width)]
    return "\n".join([*lines, ""]) + "\n"


def name_argument(param: "Parameter") -> str:
    """An argument as the usage names it: `[SOURCE]` where it may be left out."""
    name = (param.metavar or param.name or "").strip("[]")
    return name if param.required else f"[{name}]"


def _find_panel(param: "Parameter") -> str:
    """The title under which an option is listed: those of all commands come last."""
    usual = COMMON if "--help" in param.opts else "Options"
    return getattr(param, "rich_help_panel", None) or usual


def _choose_room(terms: Iterable[str], width: int) -> int:
    """Columns for what things are called; a much longer one has a line of its own."""
    limit = min(MAX_TERM, width // 2 - len(_INDENT))
    return max((len(term) for term in terms if len(term) <= limit), default=limit)


def _list_usage(command: "AnyCommand", ctx: "Context") -> Iterator[str]:
    params = command.get_params(ctx)
    yield from (name_argument(param) for param in params if param.param_type_name == "argument")
    for param in params:
        if param.param_type_name == "option" and param.required:
            yield f"{param.opts[0]} {param.metavar}"
    yield "[OPTIONS]"
    if isinstance(command, TyperGroup):
        yield "COMMAND …"


def _list_commands(command: "AnyCommand") -> Iterator[tuple[str, str]]:
    """Each command with the first sentence of its help."""
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            if not one.hidden:
                yield name, " ".join(cleandoc(one.help or "").split("\n\n")[0].split())


def _name_option(param: "Parameter") -> str:
    names = sorted(param.opts, key=len)
    names += param.secondary_opts
    value = "" if getattr(param, "is_flag", False) else f" {param.metavar or 'VALUE'}"
    return f"{', '.join(names)}{value}"


def _describe(param: "Parameter", ctx: "Context") -> str:
    said = " ".join((getattr(param, "help", None) or "").split())
    default = param.get_default(ctx, call=False)
    is_shown = getattr(param, "show_default", False) and not getattr(param, "is_flag", False)
    if is_shown and default not in {None, "", ()}:
        said += f" [default: {getattr(default, 'value', default)}]"
    return said + (" [required]" if param.required and param.param_type_name == "option" else "")


def _render_paragraph(text: str, width: int) -> list[str]:
    example = EXAMPLE.fullmatch(text)
    if example is None:
        return _flow(text, width)
    return [_strong(example["title"]), f"{_INDENT}{example['command']}"]


def _render_row(term: str, said: str, room: int, width: int) -> Iterable[str]:
    """What is called so, and next to it what it does, below it where it is long."""
    left = len(_INDENT) + room + 2
    texts = wrap(said, width - left, break_long_words=False, break_on_hyphens=False) or [""]
    first = [term]
    if len(term) > room:
        yield f"{_INDENT}{term}"
        first = [""]
    for name, text in zip_longest(first, texts, fillvalue=""):
        yield f"{_INDENT}{name:{room}}  {text}".rstrip()


def _flow(text: str, width: int) -> list[str]:
    return wrap(
        text, width, subsequent_indent="", break_long_words=False, break_on_hyphens=False
    ) or [""]


def _strong(text: str) -> str:
    """A title in bold for a person at a terminal."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return typer.style(text, bold=True)

"""What is wrong with the words of a command: what, where, and what to type instead."""

import math
import re
import shlex
from collections.abc import Callable, Iterable
from inspect import cleandoc
from typing import TYPE_CHECKING

from typer._click.exceptions import (
    BadOptionUsage,
    BadParameter,
    ClickException,
    MissingParameter,
    NoSuchOption,
)
from typer.core import TyperGroup

from mlrek.errors import UsageError
from mlrek.text import find_nearest

if TYPE_CHECKING:
    from typer._click import Command as AnyCommand
    from typer._click import Context, Parameter

EXAMPLE = re.compile(r"(?P<title>[^:\n]+:) (?P<command>mlrek .+)")
"""A paragraph of a command's help that shows how to type it."""


def explain_mistake(
    exc: ClickException, command: "AnyCommand", ctx: "Context", words: list[str]
) -> UsageError:
    """The same error in our words, of one line.

    Args:
        exc: What the parser of the words says.
        command: The command, or the group of commands.
        ctx: Its context.
        words: What was typed behind its name.
    """
    match exc:
        case MissingParameter(param=param) if param is not None:
            said = _say_missing(param, command, ctx)
        case BadParameter(param=param) if param is not None:
            said = _say_bad_value(param, command, ctx, words)
        case NoSuchOption():
            said = _say_no_option(exc.option_name, command, ctx)
        case BadOptionUsage():
            said = _say_bad_usage(exc.option_name, command, ctx, words)
        case _ if isinstance(command, TyperGroup):
            said = _say_no_command(command, ctx, words)
        case _:
            said = _say_too_many(command, ctx, words)
    return UsageError(said)


def list_examples(command: "AnyCommand") -> list[str]:
    """The commands that the help shows as examples, the simplest first."""
    paragraphs = cleandoc(command.help or "").split("\n\n")
    found = (EXAMPLE.fullmatch(" ".join(paragraph.split())) for paragraph in paragraphs)
    return [example["command"] for example in found if example]


def _say_missing(param: "Parameter", command: "AnyCommand", ctx: "Context") -> str:
    name = param.metavar or param.name or ""
    if param.param_type_name == "option":
        name = f"{param.opts[0]} {name}"
    said = " ".join((getattr(param, "help", "") or "").split()).rstrip(".")
    example = next(iter(list_examples(command)), "")
    shown = f"; for example: {example}" if example else ""
    return f"`{ctx.command_path}` needs {name} ({said}){shown}"


def _say_bad_value(
    param: "Parameter", command: "AnyCommand", ctx: "Context", words: list[str]
) -> str:
    """What the value should be, with that which was probably meant."""
    value = _find_value(param, command, ctx, words)
    where = param.opts[0] if param.param_type_name == "option" else param.metavar or ""
    kind = param.metavar or ""
    if "|" in kind:
        choices = kind.strip("[]").split("|")
        meant = find_nearest(value, choices)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        return f"{where} {value}: give {_join(choices)}{hint}"
    wanted, suggest = _NUMBERS.get(kind, _NUMBERS["N"])
    low, high = _find_range(param)
    wanted = wanted + _say_range(low, high)
    meant_value = suggest(value)
    is_inside = meant_value is not None and (low or 0) <= meant_value <= (high or math.inf)
    hint = f": {meant_value:g}" if meant_value is not None and is_inside else ""
    return f"{where} {value}: give {wanted}{hint}"


def _find_value(param: "Parameter", command: "AnyCommand", ctx: "Context", words: list[str]) -> str:
    """What was typed for a parameter."""
    given, _, _ = command.make_parser(ctx).parse_args(args=list(words))
    value = given.get(param.name)
    return shlex.quote(str(value[-1] if isinstance(value, list | tuple) and value else value))


def _find_range(param: "Parameter") -> tuple[float | None, float | None]:
    """The smallest and the largest number that an option takes, wherever Typer keeps them."""
    kept = param if hasattr(param, "min") else getattr(param, "type", None)
    return getattr(kept, "min", None), getattr(kept, "max", None)


def _say_range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f", {low:g} or more" if low is not None else ""


def _read_fraction(value: str) -> float | None:
    """The fraction that a percentage or a decimal comma means.

    >>> _read_fraction("70"), _read_fraction("70%"), _read_fraction("0,7"), _read_fraction("high")
    (0.7, 0.7, 0.7, None)
    """
    try:
        number = float(value.strip("'").rstrip("% ").replace(",", "."))
    except ValueError:
        return None
    return number / 100 if number > 1 or "%" in value else number


def _read_whole(value: str) -> float | None:
    """The whole number that was meant.

    >>> _read_whole("-3"), _read_whole("4.0"), _read_whole("many")
    (3.0, 4.0, None)
    """
    try:
        number = abs(float(value.strip("'").replace(",", ".")))
    except ValueError:
        return None
    return number if number.is_integer() else None


_NUMBERS: dict[str, tuple[str, Callable[[str], float | None]]] = {
    "FRACTION": ("a fraction", _read_fraction),
    "N": ("a whole number", _read_whole),
    "PORT": ("a whole number", _read_whole),
}
"""What is wanted where a value is called so, and what a wrong one probably meant."""


def _say_no_option(option: str, command: "AnyCommand", ctx: "Context") -> str:
    known = [name for param in _list_options(command, ctx) for name in param.opts]
    meant = find_nearest(option, [name for name in known if name.startswith("--")])
    there = (
        f"did you mean {_join(meant[:3])}?" if meant else f"`{ctx.command_path} --help` lists all"
    )
    return f"`{ctx.command_path}` has no option {option}; {there}"


def _say_bad_usage(option: str, command: "AnyCommand", ctx: "Context", words: list[str]) -> str:
    """An option without the value that it takes, or with one that it does not take."""
    param = next((p for p in _list_options(command, ctx) if option in p.opts), None)
    if param is not None and not getattr(param, "is_flag", False):
        return f"{option} needs a value: {option} {param.metavar}"
    typed = next((word for word in words if word.startswith(f"{option}=")), option)
    return f"{shlex.quote(typed)}: {option} takes no value; leave {typed.removeprefix(option)} out"


def _say_no_command(command: TyperGroup, ctx: "Context", words: list[str]) -> str:
    names = [name for name, one in command.commands.items() if not one.hidden]
    if not words:
        return f"`{ctx.command_path}` needs a command: {_join(names)}"
    meant = find_nearest(words[0], names)
    there = f"did you mean {_join(meant[:3])}?" if meant else f"there are: {', '.join(names)}"
    return f"`{ctx.command_path}` has no command {words[0]!r}; {there}"


def _say_too_many(command: "AnyCommand", ctx: "Context", words: list[str]) -> str:
    _, left, _ = command.make_parser(ctx).parse_args(args=list(words))
    arguments = [p for p in command.get_params(ctx) if p.param_type_name == "argument"]
    wanted = " ".join(p.metavar or p.name or "" for p in arguments)
    several = ", ".join(map(repr, left))
    takes = f"takes {wanted} alone" if wanted else "takes no argument"
    return f"`{ctx.command_path}` {takes}: {several} is too much; quote what holds spaces"


def _list_options(command: "AnyCommand", ctx: "Context") -> "Iterable[Parameter]":
    return [param for param in command.get_params(ctx) if param.param_type_name == "option"]


def _join(names: Iterable[str]) -> str:
    """Names as a sentence has them.

    >>> _join(["tp", "fn", "fp"])
    'tp, fn or fp'
    """
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last

"""The help of every command, at the widths that terminals have."""

from itertools import pairwise

import pytest
from fakes.commands import COMMANDS
from typer.testing import CliRunner

from mlrek.cli import make_app

WIDTHS = (60, 80, 120, 200)
TITLES = {"Arguments:", "Options:", "Common options:"}


def read_help(command: str, width: int, monkeypatch) -> list[str]:
    """The lines of a command's help in a terminal of that width."""
    monkeypatch.setenv("COLUMNS", str(width))
    done = CliRunner().invoke(make_app(), [*command.split(), "--help"])
    assert done.exit_code == 0
    return done.stdout.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal(command, width, monkeypatch):
    """No line is wider than the terminal, but for the examples, which can be copied as they are."""
    lines = read_help(command, width, monkeypatch)

    assert [line for line in lines if len(line) > width and "  mlrek " not in line] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_filled_line_by_line(command, width, monkeypatch):
    """A line of a paragraph ends where its next word has no room, not where the code's did."""
    lines = read_help(command, width, monkeypatch)
    text = lines[: next(i for i, line in enumerate(lines) if line in TITLES)]
    room = min(width, 120)

    short = [
        line
        for line, following in pairwise(text)
        if line and following and not following.startswith(" ")
        if len(line) + 1 + len(following.split()[0]) <= room
    ]
    assert short == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_how_to_type_a_command(command, monkeypatch):
    """There is an example that begins with the very command."""
    lines = read_help(command, 80, monkeypatch)

    assert any(line.startswith(f"  mlrek {command}".rstrip()) for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_calls_values_as_people_do(command):
    """Each value has a name, `FILE` or `a|b`, and none that of a type in Python."""
    unnamed = {
        param.opts[0]: param.metavar
        for param in COMMANDS[command].params
        if not getattr(param, "is_flag", False)
        if not param.metavar or set(param.metavar) & set("<>")
    }

    assert unnamed == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command, monkeypatch):
    """Each option and argument is listed with a text."""
    lines = read_help(command, 200, monkeypatch)
    names = [param.opts[-1] for param in COMMANDS[command].params if param.opts[0][0] == "-"]

    assert [name for name in names if not any(name in line for line in lines)] == []
    assert [p.opts[0] for p in COMMANDS[command].params if not getattr(p, "help", "")] == []


def test_a_bare_command_shows_its_help(monkeypatch):
    """`mlrek` alone is wrong usage, and shows which commands there are."""
    done = CliRunner().invoke(make_app(), [])

    assert done.exit_code == 2
    assert "Commands:" in done.stdout

"""The commands of the program, as Typer has them."""

from collections.abc import Iterator

from typer.main import get_command

from mlrek.cli import make_app


def walk(command=None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command of the program with the words that name it; groups of commands as well."""
    command = command or get_command(make_app())
    yield words, command
    for name, one in getattr(command, "commands", {}).items():
        yield from walk(one, (*words, name))


COMMANDS = {" ".join(words): command for words, command in walk()}

"""Options that all commands share, and the two forms of what they print."""

import json

from typer import Typer
from typer.testing import CliRunner

from mlrek.cli.options import Account, with_shared_options
from mlrek.cli.output import Output
from mlrek.render.blocks import Block, Line


def _app(said: list[Account]) -> Typer:
    """A command `tell` with a WORD, which prints it."""
    app = Typer()

    def tell(word: str, account: Account, output: Output) -> None:
        said.append(account)
        output.show([Line(word)], lambda: {"word": word})

    app.command()(with_shared_options(tell))
    return app


def test_shared_options_follow_the_arguments_of_any_command():
    """What they say comes as one account and one output."""
    said: list[Account] = []
    result = CliRunner().invoke(_app(said), ["yes", "--region", "eu-west-1", "--json"])

    assert said == [Account(region="eu-west-1")]
    assert json.loads(result.stdout) == {"word": "yes"}


def test_a_document_is_not_made_for_people():
    """Either form may cost seconds; only the one that is printed is made."""

    def never() -> dict[str, Block]:
        raise AssertionError

    Output().show([Line("yes")], never)

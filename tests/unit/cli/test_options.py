"""Options that all commands share, and the two forms of what they print."""

import json
from pathlib import Path

from typer.testing import CliRunner

from mlrek import sources
from mlrek.cli import make_app
from mlrek.cli.output import Output
from mlrek.render import Block, Line

DIGITS = str(Path(__file__).parents[3] / "examples" / "digits")


def test_shared_options_follow_the_arguments_of_any_command(monkeypatch, tmp_path):
    """What they say comes as one account and one output."""
    asked, open_source = [], sources.open_source
    monkeypatch.setattr(
        sources, "open_source", lambda text, aws: asked.append((text, aws)) or open_source(text)
    )
    words = ["archive", DIGITS, str(tmp_path / "saved"), "--region", "eu-west-1", "--json"]
    result = CliRunner().invoke(make_app(), words)

    assert asked == [(DIGITS, sources.AwsOptions(region="eu-west-1"))]
    assert len(json.loads(result.stdout)["versions"]) == 4


def test_a_document_is_not_made_for_people():
    """Either form may cost seconds; only the one that is printed is made."""

    def never() -> dict[str, Block]:
        raise AssertionError

    Output().show([Line("yes")], never)

"""`--register [NAME]`: which word is the NAME, which a SOURCE."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mlrek.cli import make_app


def read(line: str) -> str:
    """What `mlrek sync` understands of a line."""
    given = get_command(make_app()).commands["sync"].make_context("sync", line.split()).params
    sources = ["*"] if given["all_projects"] else given["sources"]
    return f"{sources} {given['register']!r} {given['experiment']!r} {given['force']}"


@pytest.mark.parametrize(
    ("line", "understood"),
    [
        ("s", "['s'] None '' False"),
        ("s --register", "['s'] '' '' False"),
        ("s --register n", "['s'] 'n' '' False"),
        ("s --register=n", "['s'] 'n' '' False"),
        ("--register n s", "['s'] 'n' '' False"),
        ("--register=n s t", "['s', 't'] 'n' '' False"),
        # the only word left is the SOURCE
        ("--register s", "['s'] '' '' False"),
        ("--force --register s", "['s'] '' '' True"),
        ("--register s --experiment e", "['s'] '' 'e' False"),
        ("--experiment e --register s", "['s'] '' 'e' False"),
        # --all-projects stands for SOURCEs
        ("--all-projects --register n", "['*'] 'n' '' False"),
        ("--register n --all-projects", "['*'] 'n' '' False"),
        # paths, URIs and ARNs cannot be names
        ("--register examples/digits t", "['examples/digits', 't'] '' '' False"),
        ("t --register s3://b/p", "['t', 's3://b/p'] '' '' False"),
        ("t --register arn:aws:x", "['t', 'arn:aws:x'] '' '' False"),
        ("t --register .", "['t', '.'] '' '' False"),
        ("t --register a\\b", "['t', 'a\\\\b'] '' '' False"),
        # another option follows
        ("s --register --force", "['s'] '' '' True"),
        ("s --register -q t", "['s', 't'] '' '' False"),
        ("--register -- s", "['s'] '' '' False"),
        ("--register n -- s", "['s'] 'n' '' False"),
        ("-- --register", "['--register'] None '' False"),
        # the last one counts
        ("s --register n --register=m", "['s'] 'm' '' False"),
    ],
)
def test_the_next_word_is_the_name_where_it_can_be_one(line, understood):
    """And where a SOURCE is left without it."""
    assert read(line) == understood


def test_a_wrong_option_is_told_of_as_ever():
    """The look ahead says nothing."""
    result = CliRunner().invoke(make_app(), ["sync", "s", "--register", "n", "--nope"])

    assert result.exit_code == 2
    assert "--nope" in result.output

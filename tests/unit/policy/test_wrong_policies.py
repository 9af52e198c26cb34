"""Policies that are none, and all that is said of each (`tests/data/policies/wrong.txt`)."""

import re
from pathlib import Path

import pytest

from mlrek.errors import PolicyError
from mlrek.evaluation import DoubtKind
from mlrek.policy.parsing import GROUPS, parse_policy

FILE = Path(__file__).parents[2] / "data" / "policies" / "wrong.txt"
WORDS = {"{KINDS}": ", ".join(DoubtKind), "{GROUPS}": ", ".join((*GROUPS, "label_…"))}
LIBRARIES = re.compile(
    r"Input should|Value error|Extra inputs|not permitted|Expected `|Object (contains|missing)|"
    r"pydantic|msgspec|tomllib|typer|Traceback"
)


def read_cases():
    """Each policy with the messages that are expected."""
    for block in FILE.read_text(encoding="utf-8").split("\n%%\n"):
        toml, *messages = block.rstrip("\n").split("\n=> ")
        for word, meaning in WORDS.items():
            messages = [message.replace(word, meaning) for message in messages]
        yield toml.removeprefix("=> "), messages


CASES = list(read_cases())


@pytest.mark.parametrize(("toml", "messages"), CASES)
def test_each_mistake_is_a_line_that_says_where_what_and_what_is_allowed(toml, messages):
    """File, line, table, key, what is wrong, what there is, and what was probably meant."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(toml, uri="p.toml")

    assert list(caught.value.mistakes) == messages
    assert not LIBRARIES.search(str(caught.value))


def test_there_are_many_kinds_of_mistakes():
    """So that no message goes unseen."""
    assert len(CASES) >= 60


def test_all_mistakes_are_told_at_once():
    """Nobody corrects a file line by line: the last case has seven."""
    toml, messages = CASES[-1]

    assert len(messages) == 7
    with pytest.raises(PolicyError) as caught:
        parse_policy(toml, uri="p.toml")
    assert str(caught.value) == "\n".join(caught.value.mistakes)

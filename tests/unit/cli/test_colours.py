"""Colours of a terminal: for words that say how something ended."""

import re

import pytest

from mlrek.cli.output import Output
from mlrek.render import Line, Note, Table

TONED = (
    Line(": may not be promoted", strong="failed"),
    Note("2 of 3 labels", kind="undecided"),
    Note("a rule", kind="✓"),
    Note("of a word", kind="doubt"),
    Line(": site=C", strong="weak"),
    Table(("label", "verdict"), [("failed", "passed")], toned=frozenset({"verdict"})),
)


@pytest.fixture
def colours(monkeypatch):
    """A terminal with colours, as far as Rich is concerned."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_how_something_ended_has_a_colour(capsys, colours):
    """Red, yellow and green for the words that say so, and none for a label of such a name."""
    Output().show(TONED)
    lines = capsys.readouterr().out.splitlines()

    assert lines[:5] == [
        "\x1b[1;31mfailed\x1b[0m: may not be promoted",
        "\x1b[33mundecided\x1b[0m  2 of 3 labels",
        "\x1b[32m✓\x1b[0m  a rule",
        "doubt  of a word",
        "\x1b[1;31mweak\x1b[0m: site=C",
    ]
    assert lines[-1] == "failed \x1b[32mpassed \x1b[0m"


def test_no_color_is_respected(capsys, colours, monkeypatch):
    """NO_COLOR leaves bold at most."""
    monkeypatch.setenv("NO_COLOR", "1")
    Output().show(TONED)

    assert {*re.findall("\x1b\\[([0-9;]*)m", capsys.readouterr().out)} <= {"0", "1"}


def test_a_pipe_has_no_colours(capsys, monkeypatch):
    """What is read by a program is plain text."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    Output().show(TONED)

    assert "\x1b" not in capsys.readouterr().out

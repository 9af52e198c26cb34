"""What people are shown, described once: in the terminal, in markdown and as CSV."""

import csv
import io

import pytest

from mlrek.cli.output import Output
from mlrek.render import Heading, Line, Note, Table, render_csv, render_markdown

TABLE = Table(
    ["label", "F1", "AP"], [["cat", "0.5", "—"], ["dog", "-0.25", ""]], numeric=frozenset({"F1"})
)
BLOCKS = [
    Heading("v2 against v1"),
    Line(": by little.", strong="Better"),
    Line(),
    TABLE,
    Line(),
    Note("too few images", kind="failed"),
    Note("nothing else"),
]
HOSTILE = "a|b\n# <b>\x1b[31m\ud800"


def test_markdown_has_a_gap_between_paragraphs_and_none_within_a_list():
    """A table's numbers are right-aligned; blank lines of the terminal do not double the gaps."""
    assert (
        render_markdown(BLOCKS)
        == """### v2 against v1

**Better**: by little.

| label | F1 | AP |
| --- | ---: | --- |
| cat | 0.5 | — |
| dog | -0.25 |  |

- **failed** too few images
- nothing else
"""
    )


def test_the_terminal_shows_the_same(capsys):
    """A line each, the table's columns below each other."""
    Output().show(BLOCKS)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert lines[:3] == [["v2", "against", "v1"], ["Better:", "by", "little."], []]
    assert lines[3] == ["label", "F1", "AP"]
    assert lines[5:] == [
        ["cat", "0.5", "—"],
        ["dog", "-0.25"],
        [],
        ["failed", "too", "few", "images"],
        ["nothing", "else"],
    ]


def test_a_long_note_is_wrapped_within_its_indent(capsys, monkeypatch):
    """At the terminal's width, and no word is broken: links stay whole."""
    monkeypatch.setattr(Output, "width", 20)
    Output().show([Note("one two three four models:/digits@champion-of-all", kind="doubt")])

    assert capsys.readouterr().out.splitlines() == [
        "doubt  one two three",
        "  four",
        "  models:/digits@champion-of-all",
    ]


@pytest.mark.parametrize("block", [Heading, Line, Note, lambda text: Table([text], [[text]])])
def test_markdown_shows_a_name_as_plain_text(block):
    """No name ends its line or cell, becomes HTML or a heading, or is none of UTF-8."""
    text = render_markdown([block(HOSTILE)])

    assert r"a\|b\\n\# \<b\>\\x1b\[31m\\ud800" in text
    assert all(line.isprintable() for line in text.splitlines())
    text.encode()


def test_csv_has_numbers_as_they_are_and_names_that_nothing_runs():
    """A spreadsheet computes with numbers, never with a label."""
    table = Table(["label", "n"], [["=1+1", "-1"], ["a,b", ""]], numeric=frozenset({"n"}))
    rows = list(csv.reader(io.StringIO(render_csv(table).decode(), newline="")))

    assert rows == [["label", "n"], ["'=1+1", "-1"], ["a,b", ""]]
    assert render_csv(Table(["label", "n"], [])) == b"label,n\n"


def test_columns_without_a_value_may_be_left_out():
    """All of them, or only those that are named; `—` is no value either."""
    assert TABLE.without_empty().rows == [["cat", "0.5"], ["dog", "-0.25"]]
    assert TABLE.without_empty(["label"]).columns == ["label", "F1", "AP"]


def test_what_github_reads_besides_is_plain_text_in_markdown():
    """Struck text, formulas and entities are what somebody called a label, no more."""
    text = render_markdown([Line("~~a~~ $x$ &copy; &#64; R&D; a & b")])

    assert text == "\\~\\~a\\~\\~ \\$x\\$ \\&copy; &\\#&#8203;64; R\\&D; a & b\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@dog", "@&#8203;dog"),
        ("(@org/team)", "(@&#8203;org/team)"),
        ("é@dog, _@_x", "é@&#8203;dog, \\_@\\_x"),
        ("@.x @_x", "@&#8203;.x @&#8203;\\_x"),
        ("models:/m@champion", "models:/m@champion"),
        ("a @ b", "a @ b"),
        ("#12 a/b#12 #x", "\\#&#8203;12 a/b\\#&#8203;12 \\#x"),
        ("!12 %12 ~12 $12 &12", "!&#8203;12 %&#8203;12 \\~&#8203;12 \\$&#8203;12 &&#8203;12"),
        ("gh-12", "gh-&#8203;12"),
        ("95%, 1!2", "95%, 1!2"),
    ],
)
def test_no_name_calls_anybody_in_markdown(text, expected):
    """A mention on GitHub or GitLab, which no backslash keeps away, is broken without a mark."""
    assert render_markdown([Line(text)]) == f"{expected}\n"

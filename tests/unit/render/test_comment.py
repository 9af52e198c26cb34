"""The text of a comment: what is taken from a file of anybody's, and how it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.render import Folded, Heading, Line, Note, Table, render_markdown
from mlrek.render.comment import (
    NO_ANSWER,
    NOT_OURS,
    JobOrigin,
    build_comment,
    cut_markdown,
    is_own_text,
    write_marker,
)

MARKER = write_marker("Check/check")
NAMES = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="@#!<>&;|\\`*_[]()~$/:-x1 \n\r\u202e\u200b", max_size=12),
    st.sampled_from(
        ["<script>", "&#64;x", "</details>", "/close", "@team", "-->", "![](http://x)", "::error::"]
    ),
)


@given(NAMES, NAMES, NAMES)
def test_whatever_things_are_called_our_own_text_is_known_again(one, two, three):
    """As headings, lines, notes and cells."""
    blocks = [
        Heading(f"Promotion check: {one}"),
        Line(f": {two}.", strong="❌ failed"),
        Table(["label", "value"], [[one, two], [three, "0.5"]], numeric=frozenset(["value"])),
        Note(one, kind="failed"),
        Note(two),
        Folded("12 checks passed", [Note(three)]),
        Line("Estimate: 1,000 to 2,000 test images would decide what is open."),
    ]
    text = render_markdown(blocks)

    assert is_own_text(text)
    assert build_comment(MARKER, text, JobOrigin(), 65_536).startswith(f"{MARKER}\n{text}\n")


@pytest.mark.parametrize(
    "line",
    [
        "<img src=https://x/y.png>",
        "![seen](https://x/y.png)",
        "[passed](https://evil.example)",
        "<details open><summary>x</summary>",
        "<details><summary><b>x</b></summary>",
        "<details><summary>@team</summary>",
        "</details>",
        "<!-- mlrek-comment: 00 -->",
        "`code`",
        "> quoted",
        "~~struck~~",
        "$x$",
        "&commat;team",
        "&#64;team",
        "/close",
        "# Passed",
        "a\x1b[31mb",
        "a\u202eb",
        "a\rb",
        "| a",
        "_a_",
    ],
)
def test_what_mlrek_does_not_write_is_not_shown(line):
    """Links, pictures, HTML, orders to the host: of a whole file in which there is one."""
    text = f"### Promotion check: v3\n\n{line}\n"

    assert not is_own_text(text)
    assert line not in build_comment(MARKER, text, JobOrigin(), 65_536)
    assert NOT_OURS in build_comment(MARKER, text, JobOrigin(), 65_536)


def test_a_mention_in_a_file_from_elsewhere_is_broken():
    """Who writes the file by hand calls nobody either."""
    body = build_comment(MARKER, "- @team, #12 and a/b#3\n", JobOrigin(), 65_536)

    assert "- @&#8203;team, " not in body  # for `#` is none of ours
    assert NOT_OURS in body
    assert "- @&#8203;team\n" in build_comment(MARKER, "- @team\n", JobOrigin(), 65_536)


def test_an_empty_text_is_no_answer():
    """Never a comment that says nothing."""
    assert NO_ANSWER in build_comment(MARKER, " \n", JobOrigin(), 65_536)
    assert is_own_text(NO_ANSWER)
    assert is_own_text(NOT_OURS)


@pytest.mark.parametrize(
    ("url", "commit", "expected"),
    [
        ("", "", "This job ran mlrek."),
        ("https://h/1", "abcdef012345", "[This job](https://h/1) ran mlrek at commit abcdef0123."),
        ("https://h/1) @x [", "@team", "This job ran mlrek."),
        ("javascript:alert(1)", "-->", "This job ran mlrek."),
    ],
)
def test_the_origin_is_said_where_it_is_one(url, commit, expected):
    """An address that is none is no link."""
    body = build_comment(MARKER, NO_ANSWER, JobOrigin(url=url, commit=commit), 65_536)

    assert body.endswith(f"\n{expected}\n")


def test_lines_without_room_are_left_out_and_counted():
    """The others stay in their order; a fold without room leaves its inner lines as they are."""
    text = "### head\n\n- one\n- " + "x" * 100 + "\n- two\n"

    assert cut_markdown(text, 40) == (
        "### head\n\n- one\n- two\n\n**1 line is left out**: there is no room here.\n"
    )
    assert cut_markdown(text, len(text)) == text


@given(st.integers(0, 400), st.lists(st.integers(0, 60), max_size=12), st.integers(0, 12))
def test_a_cut_text_has_room_and_its_folds_are_closed(room, lengths, place):
    """At any length; what is said of the cut comes on top."""
    lines = [f"- {'x' * n}" for n in lengths]
    lines[place:place] = ["<details><summary>more</summary>", "", "- y", "", "</details>"]
    text = "\n".join([*lines, ""])
    cut = cut_markdown(text, room)
    is_cut = len(text) > room
    kept = cut[: cut.rindex("\n**")] if is_cut else cut

    assert cut.count("<details>") == cut.count("</details>")
    assert is_own_text(cut)
    assert len(kept) <= room + 1
    assert ("left out" in cut) == is_cut

"""Names as figures show them."""

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrek.figures import style as names_module
from mlrek.figures.style import (
    families_for,
    fit_name,
    fit_names,
    is_drawable,
    say_escapes,
    text_width,
    wrap_text,
)

SIZE = 20.0


def test_a_short_name_is_unchanged():
    """Where there is room nothing is cut, escaped or interpreted."""
    assert fit_name("café $x^2$ _a_ \\alpha", 1000, SIZE) == "café $x^2$ _a_ \\alpha"


def test_a_long_name_keeps_both_ends():
    """The middle of a long name gives way to an ellipsis."""
    shown = fit_name("abcdefghijklmnopqrstuvwxyz" * 9, 200, SIZE)
    head, tail = shown.split("…")
    assert "abcdefgh".startswith(head[:8])
    assert "stuvwxyz".endswith(tail[-8:])
    assert abs(len(head) - len(tail)) <= 1
    assert 180 < text_width(shown, SIZE) <= 200


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("line\nbreak", "line\\nbreak"),
        ("tab\there", "tab\\there"),
        ("\x1b[31m", "\\x1b[31m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        (" padded ", "␣padded␣"),
        ("  ", "␣␣"),
        ("", '""'),
        ("cafe\u0301", "caf\u00e9"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(name, shown):
    """Control characters, marks that turn the writing and outer spaces can be read."""
    assert fit_name(name, 1000, SIZE) == shown


def test_characters_without_a_font_are_escaped(monkeypatch):
    """Instead of empty boxes stands what Python would write."""
    monkeypatch.setattr(names_module, "is_drawable", lambda character, _: character.isascii())
    assert fit_name("日本 \U0001f339", 1000, SIZE) == "\\u65e5\\u672c \\U0001f339"


def test_a_figure_says_when_names_stand_as_code_points(monkeypatch):
    """Once for all names, and only for want of a font: a line break is no such case."""
    assert say_escapes(["roses", "日本 \n" if is_drawable("日") else "a\nb"]) == ""

    monkeypatch.setattr(names_module, "is_drawable", lambda character: character.isascii())
    assert say_escapes(["roses", "日本", "バラ"]) == r" · \u…: no font here"
    assert say_escapes(["roses", "a\nb"]) == ""
    assert say_escapes([]) == ""


def test_an_escape_is_never_cut(monkeypatch):
    """Shortening drops whole characters, so no half of an escape is left."""
    monkeypatch.setattr(names_module, "is_drawable", lambda character, _: character.isascii())
    shown = fit_name("日" * 100, 300, SIZE)
    assert shown.replace("\\u65e5", "") == "…"


def test_greek_is_drawn_as_it_is():
    """The font that comes with matplotlib has it."""
    assert fit_name("αβγ", 1000, SIZE) == "αβγ"


def test_arabic_is_drawn_where_its_letters_are_joined():
    """From matplotlib 3.11 on; before, they would stand apart and backwards: code points do not."""
    name = "العربية"
    joins = mpl.__version_info__ >= (3, 11)
    assert fit_name(name, 1000, SIZE) == (name if joins else ascii(name).strip("'"))


def test_no_font_has_an_unassigned_character():
    """A code point that means nothing is not drawable, and needs no fallback family."""
    assert not is_drawable("\U000e0fff")
    assert families_for("\U000e0fff") == ("DejaVu Sans",)


def test_names_that_would_look_alike_are_numbered():
    """Names that differ only where they were cut keep apart by their place in the list."""
    long_names = ["other", "x" * 100 + "y" + "x" * 100, "x" * 201]
    shown = fit_names(long_names, 200, SIZE)
    assert shown[0] == "other"
    assert shown[1].startswith("#2 xxx")
    assert shown[2].startswith("#3 xxx")


def test_two_spellings_of_one_name_are_numbered():
    """A composed and a decomposed é look the same, and are two labels."""
    assert fit_names(["caf\u00e9", "cafe\u0301"], 1000, SIZE) == ("#1 café", "#2 café")


def test_a_name_that_looks_numbered_is_no_twin():
    """A label that is really called like a numbered one gets a number too."""
    shown = fit_names(["a\n", "a\\n", "#1 a\\n"], 1000, SIZE)
    assert len(set(shown)) == 3


@given(st.lists(st.text(max_size=30), unique=True, max_size=8), st.sampled_from([60, 120, 400]))
def test_shown_names_are_distinct_and_fit(names, width):
    """Whatever the names, they are told apart, have no line break and stay in their room."""
    shown = fit_names(names, width, SIZE)
    assert len(set(shown)) == len(names)
    assert all(name.isprintable() for name in shown)
    assert all(text_width(name, SIZE) <= width for name in shown)


def test_text_is_wrapped_at_spaces():
    """Lines are filled one after the other."""
    width = text_width("aaa bbb", SIZE) + 1
    assert wrap_text("aaa bbb ccc", width, SIZE) == ["aaa bbb", "ccc"]
    assert wrap_text("", width, SIZE) == []

"""Names from outside, as they may be shown."""

import pytest

from mlrek.text import escape_unprintable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name – ä 日本 😀", "plain name – ä 日本 😀"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202eright to left", r"\u202eright to left"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
        ("half \udce9", r"half \udce9"),
        ("", ""),
    ],
)
def test_what_steers_a_terminal_or_breaks_a_line_is_escaped(text, shown):
    """All else stays as it is."""
    assert escape_unprintable(text) == shown

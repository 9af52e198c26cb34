"""Numbers as people read them."""

from math import nan

import pytest

from mlrek.text import fmt, fmt_with, say_nearest, span


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (0.5, {}, "0.500"),
        (-0.5, {}, "-0.500"),
        (12345.678, {"digits": 1}, "12,345.7"),
        (3, {"digits": 0}, "3"),
        (0.04996, {"digits": 4, "signed": True}, "+0.0500"),
        (-0.0000001, {"signed": True}, "0.000"),
        (0.0, {"signed": True}, "0.000"),
        (nan, {}, "—"),
        (None, {"undefined": ""}, ""),
    ],
)
def test_a_number_is_rounded_and_has_an_ascii_minus(value, options, text):
    """Zero has no sign, whatever it was rounded from; what does not exist has a mark."""
    assert fmt(value, **options) == text


def test_an_interval_is_whole_or_is_not():
    """One end alone is no interval."""
    assert span(-0.25, 0.125, 2) == "-0.25 to 0.12"
    assert span(nan, 0.5) == "—"
    assert fmt_with(0.5, 0.25, nan) == "0.500"
    assert fmt_with(0.5, 0.25, 0.75, ends=1) == "0.500 (0.2–0.8)"


def test_of_many_names_the_nearest_ten_are_listed():
    """And how many more there are."""
    names = [f"class-{i:03}" for i in range(100)]
    said = say_nearest("clas-042", names)

    assert said.startswith("did you mean class-042 or ")
    assert said.endswith(" and 90 more")
    assert said.partition("there are: ")[2].startswith("class-042, ")

"""The colours of a page: those of the figures, and text that can be read on them."""

import re
from importlib.resources import files

import pytest

CSS = files("mlrek.render").joinpath("assets", "page.css").read_text("utf-8")
ENOUGH = 4.5
"""WCAG 2's contrast of ordinary text, level AA."""


def read_colours():
    """The variables of the light and of the dark scheme."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-fA-F]{6})", text))
        for name, text in (("light", light), ("dark", dark))
    }


def luminance(colour):
    """Relative luminance by WCAG 2."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return sum(c * w for c, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one, other):
    """The ratio of two colours."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "quiet", "blue-text", "orange-text", "slate"])
@pytest.mark.parametrize("ground", ["paper", "raised"])
def test_text_can_be_read(scheme, text, ground):
    """On the page and on cards, in both schemes."""
    colours = read_colours()[scheme]

    assert contrast(colours[text], colours[ground]) >= ENOUGH


def test_the_colours_are_those_of_the_figures():
    """Blue, orange and green of the light scheme; the dark one takes paler ones of the same."""
    colours = read_colours()

    of_light = [colours["light"][name] for name in ("blue", "orange", "green")]
    assert of_light == ["#0072B2", "#D55E00", "#009E73"]  # as Okabe and Ito publish them
    assert [colours["dark"][name] for name in ("blue", "orange")] == ["#56B4E9", "#E69F00"]

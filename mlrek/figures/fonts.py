"""Which installed fonts have a character, and how wide it is: no figure shows an empty box."""

from functools import lru_cache
from typing import Final
from unicodedata import bidirectional

from matplotlib import __version__ as matplotlib_version
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

MAIN_FAMILY: Final = "DejaVu Sans"  # comes with matplotlib

# Fonts for scripts that the main one lacks, as Linux, macOS and Windows install them.
FALLBACK_FAMILIES: Final = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Emoji",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "IPAexGothic",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Segoe UI",
    "Segoe UI Emoji",
    "Segoe UI Symbol",
    "Symbola",
    "Unifont",
)

_MEASURED_SIZE: Final = 100
_FIRST_WITH_SCRIPTS: Final = (3, 11)
_RIGHT_TO_LEFT: Final = frozenset(("R", "AL"))


def families_for(text: str, weight: str = "normal") -> list[str]:
    """The font families to draw a text with, the main one first."""
    found = (_family_of(character, weight) for character in text)
    return list(dict.fromkeys((MAIN_FAMILY, *(family for family in found if family))))


def is_drawable(character: str, weight: str = "normal") -> bool:
    """Whether an installed font has the character, and it would stand where it belongs.

    Before version 3.11 matplotlib set every script from left to right, letters unjoined.
    """
    if not _sets_all_scripts() and bidirectional(character) in _RIGHT_TO_LEFT:
        return False
    return bool(_family_of(character, weight))


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a drawable text in pixels, from the advance of each character."""
    return sum(_advance(character, weight) for character in text) * size


@lru_cache(maxsize=1)
def _sets_all_scripts() -> bool:
    return tuple(map(int, matplotlib_version.split(".")[:2])) >= _FIRST_WITH_SCRIPTS


@lru_cache(maxsize=8192)
def _family_of(character: str, weight: str) -> str:
    """The first family that has the character, '' if none has."""
    for family in (MAIN_FAMILY, *_installed_fallbacks()):
        if get_font(_font_path(family, weight)).get_char_index(ord(character)):
            return family
    return ""


@lru_cache(maxsize=8192)
def _advance(character: str, weight: str) -> float:
    """Width of a character as a share of the font size."""
    font = get_font(_font_path(_family_of(character, weight) or MAIN_FAMILY, weight))
    font.set_size(_MEASURED_SIZE, 72)
    return float(font.load_char(ord(character)).linearHoriAdvance / 65536 / _MEASURED_SIZE)


@lru_cache(maxsize=64)
def _font_path(family: str, weight: str) -> str:
    return findfont(FontProperties(family=family, weight=weight))


@lru_cache(maxsize=1)
def _installed_fallbacks() -> tuple[str, ...]:
    installed = {font.name for font in fontManager.ttflist}
    return tuple(family for family in FALLBACK_FAMILIES if family in installed)

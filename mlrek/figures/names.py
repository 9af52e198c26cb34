"""Names as figures show them: every character visible, no wider than there is room, distinct."""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from unicodedata import normalize

from mlrek.figures.fonts import is_drawable, text_width

ELLIPSIS: Final = "…"
VISIBLE_SPACE: Final = "␣"


def fit_name(name: str, width: float, size: float, *, weight: str = "normal") -> str:
    """A name with all characters visible, shortened in the middle to so many pixels.

    A character that no font has, or that has no shape of its own (a line break, a control
    character, a mark that turns the direction of writing), stands as Python would escape it.
    """
    pieces = _visible_pieces(name, weight)
    widths = [text_width(piece, size, weight) for piece in pieces]
    if sum(widths) <= width:
        return "".join(pieces)
    room = width - text_width(ELLIPSIS, size, weight)
    head, tail = _ends_that_fit(widths, room)
    return "".join((*pieces[:head], ELLIPSIS, *pieces[tail:]))


def describe_escapes(names: Sequence[str]) -> str:
    """A word on names that stand as code points for want of a font, '' where none does."""
    lacks = any(c.isprintable() and not is_drawable(c) for name in names for c in name)
    return r" · \u…: no font here" if lacks else ""


def wrap_text(text: str, width: float, size: float) -> list[str]:
    """A text of our own in lines of so many pixels, broken at spaces."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fit_name(line, width, size) for line in lines if line]


def fit_names(names: Sequence[str], width: float, size: float) -> tuple[str, ...]:
    """Distinct names, each as `fit_name` shows it and still distinct.

    Names that would be shown alike are numbered by their place among all names (from 1).
    """
    shown = [fit_name(name, width, size) for name in names]
    numbered: set[int] = set()
    while alike := _places_alike(shown) - numbered:
        numbered |= alike
        for i in alike:
            number = f"#{i + 1} "
            room = width - text_width(number, size)
            shown[i] = number + fit_name(names[i], room, size)
    return tuple(shown)


def _visible_pieces(name: str, weight: str) -> list[str]:
    """The name in pieces that are never cut: characters, or the escape of one."""
    name = normalize("NFC", name)
    inner = name.strip(" ")
    before = len(name) - len(name.lstrip(" "))
    after = len(name) - before - len(inner)
    pieces = [
        c if c.isprintable() and is_drawable(c, weight) else c.encode("unicode_escape").decode()
        for c in inner
    ]
    return [*VISIBLE_SPACE * before, *pieces, *VISIBLE_SPACE * after] or ['""']


def _ends_that_fit(widths: Sequence[float], room: float) -> tuple[int, int]:
    """How much of the start (`[:head]`) and of the end (`[tail:]`) fits, taken in turns."""
    head, tail = 0, len(widths)
    while head < tail:
        front = head <= len(widths) - tail
        room -= widths[head] if front else widths[tail - 1]
        if room < 0:
            break
        head, tail = (head + 1, tail) if front else (head, tail - 1)
    return head, tail


def _places_alike(shown: Sequence[str]) -> set[int]:
    counts = Counter(shown)
    return {i for i, name in enumerate(shown) if counts[name] > 1}

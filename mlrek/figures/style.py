"""The one look of all figures: sizes, colours, type, and the way from a figure to pixels.

Every figure is laid out `WIDTH` points wide, and a point is a pixel of the finished picture (of a
large one: more than a pixel). MLflow shows pictures about 280 pixels wide, a third of that, so what
must be read there is 21 points or more. matplotlib's global settings are never relied on.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from struct import pack
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeGuard,
    overload,
)
from unicodedata import bidirectional, normalize
from zlib import compress, crc32

import numpy as np
from matplotlib import __version__ as matplotlib_version
from matplotlib.collections import LineCollection
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from numpy.typing import NDArray
from PIL import WebPImagePlugin  # noqa: F401 - else Pillow imports all its formats to find it

from mlrek.evaluation import FloatArray
from mlrek.figures.paint import (
    KEEPS_TEXTS,
    index_colours,
    open_pixels,
    paint_padded,
)
from mlrek.figures.pictures import PNG_HEAD
from mlrek.figures.sheet import Pane, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
_MOST_MEASURED: Final = 2048
"""Texts whose sizes are kept: versions of a project have the same names and numbers."""
_FIRST_WITH_SCRIPTS: Final = (3, 11)
_RIGHT_TO_LEFT: Final = frozenset(("R", "AL"))

ELLIPSIS: Final = "…"
VISIBLE_SPACE: Final = "␣"

WIDTH: Final = 840
HEADER: Final = 104
MARGIN: Final = 24

TITLE_SIZE: Final = 30
TEXT_SIZE: Final = 22

INK: Final = "#1f2933"
QUIET: Final = "#4f5a68"
RULE: Final = "#cdd4dc"
PAPER: Final = "#eaedf1"
"""A grey that neither glares on a dark page nor looks dirty on a white one; with a border it has an
end on both."""
BORDER: Final = "#b9c1cb"
BLACK: Final = "#000000"
WHITE: Final = "#ffffff"

_BORDER_WIDTH: Final = 4.0  # half of it lies outside

_INDEXED: Final = 3  # the kind of PNG whose pixels are places in a palette
PNG_COMPRESSION: Final = 3  # half the time of 6, and a tenth more bytes
THUMBNAIL: Final = 256
"""Pixels of the longer side of a picture as MLflow's charts page shows it."""


LineStyle: TypeAlias = Literal["solid", "dashed", "dotted", "dashdot"]


Canvas: TypeAlias = "Figure | Sheet"
"""What is drawn on: for somebody who has matplotlib, or only to become pixels."""
Plot: TypeAlias = "Axes | Pane"
"""A part of it with data coordinates."""


class NewCanvas(Protocol):
    """What makes something to draw on."""

    def __call__(self, height: float, *, scale: float = 1.0) -> Canvas:
        """Empty, `WIDTH` by `height` points of `scale` pixels each."""


class Box(NamedTuple):
    """A rectangle of a figure in points, measured from its top left corner."""

    left: float
    top: float
    width: float
    height: float


_DIGIT_HEIGHT: Final = 0.73  # of DejaVu Sans, in font sizes


class Numeral(NamedTuple):
    """A text of digits and signs, centred on a point of axes whose y axis points down."""

    x: float
    y: float
    text: str
    size: float


LEGEND_ROW: Final = 36.0
NOTE_ROW: Final = 30.0

BELOW_PLOT: Final = 78.0
"""Room for numbers and axis title below a plot."""

_LEFT: Final = 116.0
_SAMPLE_WIDTH: Final = 44.0
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve, (n, 2) with NaN where it is broken, and what the legend says of it ('': nothing)."""

    points: NDArray[np.float64]
    colour: str
    legend: str
    width: float = 3.0
    style: LineStyle = "solid"


def new_figure(height: float, *, scale: float = 1.0) -> "Figure":
    """An empty figure, `WIDTH` by `height` points of `scale` pixels each."""
    from mlrek.figures.figure import Picture

    size = WIDTH / 72, height / 72
    look: dict[str, Any] = {"facecolor": PAPER, "edgecolor": BORDER, "linewidth": _BORDER_WIDTH}
    return Picture(_encode_figure, figsize=size, dpi=72 * scale, **look)


def _encode_figure(figure: "Figure") -> bytes:
    return encode_png(render_rgb(figure))


def new_sheet(height: float, *, scale: float = 1.0) -> Canvas:
    """The same where nobody but mlrek draws on it; it costs a third."""
    if not KEEPS_TEXTS:
        return new_figure(height, scale=scale)
    ground = Rectangle((0, 0), 1, 1, facecolor=PAPER, edgecolor=BORDER, linewidth=_BORDER_WIDTH)
    ground.set_antialiased(False)
    return Sheet((WIDTH / 72, height / 72), 72 * scale, ground)


@overload
def add_axes(figure: "Figure", box: Box) -> "Axes": ...
@overload
def add_axes(figure: Canvas, box: Box) -> Plot: ...
def add_axes(figure: Canvas, box: Box) -> Plot:
    """Bare axes (no frame, ticks or grid) that fill the box."""
    height = _height(figure)
    bottom = height - box.top - box.height
    share = (box.left / WIDTH, bottom / height, box.width / WIDTH, box.height / height)
    if isinstance(figure, Sheet):
        return figure.add_pane(share)
    from mlrek.figures.figure import BareAxes

    axes = BareAxes(figure, share)
    figure.add_axes(axes)
    axes.set_axis_off()
    return axes


def add_text(
    parent: "Canvas | Plot", xy: tuple[float, float], text: str, *, size: float, **look: Any
) -> None:
    """Text exactly as it stands, in fonts that have its characters.

    `xy` are points from the top left of a figure, or data coordinates of axes. Untrusted text must
    have gone through `fit_name`.
    """
    x, y = xy
    if _is_canvas(parent):
        x, y = x / WIDTH, 1 - y / _height(parent)
    look = {"color": INK, "verticalalignment": "center", **look}
    families = [*families_for(text, look.get("fontweight", "normal"))]
    parent.text(x, y, text, fontsize=size, family=families, parse_math=False, usetex=False, **look)


def _is_canvas(parent: "Canvas | Plot") -> TypeGuard[Canvas]:
    return hasattr(parent, "get_figheight")


def add_header(figure: Canvas, version: str, facts: str) -> None:
    """The two lines above every figure: which version, and on how much it rests."""
    room = WIDTH - 2 * MARGIN
    title = fit_name(version, room, TITLE_SIZE, weight="bold")
    add_text(figure, (MARGIN, 38), title, size=TITLE_SIZE, fontweight="bold")
    facts = fit_name(facts, room, TEXT_SIZE)
    add_text(figure, (MARGIN, 76), facts, size=TEXT_SIZE, color=QUIET)


def add_lines(axes: Plot, lines: list[NDArray[np.float64]], **look: Any) -> None:
    """Many lines in data coordinates, each (n, 2), as one object."""
    axes.add_collection(LineCollection(lines, **look), autolim=False)


def add_dots(axes: Plot, points: FloatArray, colour: str) -> None:
    """Large dots at points, (n, 2), above all lines, also where they reach over the edge."""
    dots = Line2D(
        *points.T,
        linestyle="None",
        marker="o",
        markersize=13,
        markerfacecolor=colour,
        markeredgecolor=PAPER,
        markeredgewidth=2,
        clip_on=False,
        zorder=5,
    )
    axes.add_artist(dots)


def render_rgb(figure: Canvas) -> NDArray[np.uint8]:
    """The pixels of a figure, (height, width, 3)."""
    return render_padded(figure)[..., :3]


def render_padded(figure: Canvas) -> NDArray[np.uint8]:
    """The same with a fourth byte for each pixel, (height, width, 4)."""
    return figure.paint() if isinstance(figure, Sheet) else paint_padded(figure)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of (height, width, 3) pixels, without date or software: equal for equal pixels.

    It has 256 colours.
    """
    return encode_codes(*index_colours(pixels))


def encode_codes(codes: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """A PNG file of places in a palette, (height, width), of red, green and blue, (colours, 3).

    Made here, as Pillow takes a fifth longer for as many bytes: its hash tables outgrow the cache.
    """
    height, width = codes.shape
    rows = np.zeros((height, 1 + width), dtype=np.uint8)  # each begins with its filter: none
    rows[:, 1:] = codes
    return PNG_HEAD + b"".join(
        (
            _build_chunk(b"IHDR", pack(">2I5B", width, height, 8, _INDEXED, 0, 0, 0)),
            _build_chunk(b"PLTE", palette.tobytes()),
            _build_chunk(b"IDAT", compress(rows.data, PNG_COMPRESSION)),
            _build_chunk(b"IEND", b""),
        )
    )


def encode_thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A small WebP of (height, width, 3) pixels, as MLflow's own `log_image` makes it."""
    height, width = pixels.shape[:2]
    if width > height:
        size = (THUMBNAIL, int(height * (THUMBNAIL / width)))
    else:
        size = (int(width * (THUMBNAIL / height)), THUMBNAIL)
    buffer = BytesIO()
    open_pixels(pixels).resize(size).save(buffer, "webp")
    return buffer.getvalue()


def _build_chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file: its length, its kind, what it holds, and the check sum of both."""
    return pack(">I", len(content)) + kind + content + pack(">I", crc32(kind + content))


def say_images(images: int) -> str:
    """How many images a figure rests on, as its header says it."""
    return f"n = {images:,} image{'' if images == 1 else 's'}"


def _height(figure: Canvas) -> float:
    return float(figure.get_figheight() * 72)


@lru_cache(maxsize=_MOST_MEASURED)
def families_for(text: str, weight: str = "normal") -> tuple[str, ...]:
    """The font families to draw a text with, the main one first."""
    found = (_family_of(character, weight) for character in text)
    return tuple(dict.fromkeys((MAIN_FAMILY, *(family for family in found if family))))


def is_drawable(character: str, weight: str = "normal") -> bool:
    """Whether an installed font has the character, and it would stand where it belongs.

    Before version 3.11 matplotlib set every script from left to right, letters unjoined.
    """
    if not _sets_all_scripts() and bidirectional(character) in _RIGHT_TO_LEFT:
        return False
    return bool(_family_of(character, weight))


@lru_cache(maxsize=_MOST_MEASURED)
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


@lru_cache(maxsize=_MOST_MEASURED)
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


def say_escapes(names: Sequence[str]) -> str:
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


def add_numerals(axes: Plot, numerals: Iterable[Numeral], colour: str) -> None:
    """Draw all numerals of one colour. Data coordinates of the axes are points."""
    places: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for numeral in numerals:
        x = numeral.x - text_width(numeral.text, numeral.size) / 2
        y = numeral.y + _DIGIT_HEIGHT * numeral.size / 2
        for character in numeral.text:
            places[character].append((x, y, numeral.size))
            x += text_width(character, numeral.size)
    if places:
        shapes = [_repeat(character, np.array(spots)) for character, spots in places.items()]
        vertices, codes = (np.concatenate(parts) for parts in zip(*shapes, strict=True))
        # add_patch would look for the extremes of every curve of every digit first
        axes.add_artist(PathPatch(Path(vertices, codes), facecolor=colour, linewidth=0))


def _repeat(character: str, spots: FloatArray) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Vertices and codes of a character at each spot: x, y of its base line, and size, (n, 3)."""
    outline, codes = _outline(character)
    vertices = outline * (spots[:, 2, None, None] * (1, -1)) + spots[:, None, :2]
    return vertices.reshape(-1, 2), np.tile(codes, len(spots))


@lru_cache(maxsize=64)
def _outline(character: str) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Vertices (n, 2) and codes of a character of size 1; y points up from the base line."""
    font = FontProperties(family=MAIN_FAMILY)
    path = TextPath((0, 0), character, size=100, prop=font, usetex=False)
    return np.asarray(path.vertices, dtype=np.float64) / 100, np.asarray(path.codes, dtype=np.uint8)


def add_plot(figure: Canvas, top: float, height: float, titles: tuple[str, str]) -> Plot:
    """Axes from 0 to 1 with a quiet grid; `titles` are those of the x and the y axis."""
    box = Box(_LEFT, top, WIDTH - _LEFT - 1.5 * MARGIN, height)
    axes = add_axes(figure, box)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    rules = [np.array([(0, tick), (1, tick)]) for tick in _TICKS]
    rules += [np.array([(tick, 0), (tick, 1)]) for tick in _TICKS]
    add_lines(axes, rules, color=RULE, linewidths=1.2, clip_on=False)
    for tick in _TICKS:
        _add_tick(figure, box, tick)
    titled: dict[str, Any] = {"size": TEXT_SIZE, "color": QUIET, "horizontalalignment": "center"}
    below = (box.left + box.width / 2, box.top + box.height + 56)
    side = (MARGIN + TEXT_SIZE / 2, box.top + box.height / 2)
    add_text(figure, below, titles[0], **titled)
    add_text(figure, side, titles[1], rotation=90, **titled)
    return axes


def draw_line(axes: Plot, line: Curve) -> None:
    """Draw a curve; the axes keep their limits."""
    axes.add_artist(_make_line(line, line.points))  # add_line would look for the extremes of each


def _make_line(line: Curve, points: FloatArray) -> Line2D:
    return Line2D(
        *points.T,
        color=line.colour,
        linewidth=line.width,
        linestyle=line.style,
        marker="",
        solid_joinstyle="round",
        solid_capstyle="butt",
        clip_on=False,
    )


def notes_height(note: str) -> float:
    """The height that `add_notes` needs: at least two rows, so that versions line up."""
    return max(2, len(_wrap_note(note))) * NOTE_ROW if note else 0.0


def add_notes(figure: Canvas, note: str, top: float) -> None:
    """A text over the whole width, in as many rows as it needs."""
    for i, row in enumerate(_wrap_note(note)):
        add_text(figure, (MARGIN, top + (i + 0.5) * NOTE_ROW), row, size=TEXT_SIZE)


def add_legend(
    figure: Canvas, lines: Sequence[Curve], top: float, columns: Sequence[float]
) -> None:
    """A sample and a name for each line, row by row.

    Names must fit already; `columns` is where each column begins.
    """
    height, samples = _height(figure), []
    for i, line in enumerate(lines):
        x, y = columns[i % len(columns)], top + (i // len(columns) + 0.5) * LEGEND_ROW
        ends = np.array([(x, y), (x + _SAMPLE_WIDTH, y)])
        samples.append((0, 1) + ends * (1 / WIDTH, -1 / height))
        name = (x + _SAMPLE_WIDTH + 10, y)
        add_text(figure, name, line.legend, size=TEXT_SIZE, verticalalignment="center_baseline")
    look: dict[str, Any] = {
        "colors": [line.colour for line in lines],
        "linewidths": [line.width for line in lines],
        "linestyles": [line.style for line in lines],
    }
    figure.add_artist(LineCollection(samples, capstyle="butt", joinstyle="round", **look))


def _add_tick(figure: Canvas, box: Box, tick: float) -> None:
    """The number of a tick below and left of the plot."""
    below = (box.left + tick * box.width, box.top + box.height + 22)
    side = (box.left - 12, box.top + (1 - tick) * box.height)
    add_text(figure, below, f"{tick:g}", size=TEXT_SIZE, horizontalalignment="center")
    numbered: dict[str, Any] = {"size": TEXT_SIZE, "verticalalignment": "center_baseline"}
    add_text(figure, side, f"{tick:g}", horizontalalignment="right", **numbered)


def _wrap_note(note: str) -> list[str]:
    return wrap_text(note, WIDTH - 2 * MARGIN, TEXT_SIZE)

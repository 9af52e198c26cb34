"""The one look of all figures: sizes, colours, type, and the way from a figure to pixels.

Every figure is laid out `WIDTH` points wide, and a point is a pixel of the finished picture (of a
large one: more than a pixel). MLflow shows pictures about 280 pixels wide, a third of that, so what
must be read there is 21 points or more. matplotlib's global settings are never relied on.
"""

from io import BytesIO
from typing import Any, Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from mlrek.figures.fonts import families_for
from mlrek.figures.names import fit_name

WIDTH: Final = 840
HEADER: Final = 104
MARGIN: Final = 24

TITLE_SIZE: Final = 30
TEXT_SIZE: Final = 22

INK: Final = "#1f2933"
QUIET: Final = "#5f6b7a"
RULE: Final = "#dfe4ea"
PAPER: Final = "#ffffff"

PNG_COMPRESSION: Final = 6


class Box(NamedTuple):
    """A rectangle of a figure in points, measured from its top left corner."""

    left: float
    top: float
    width: float
    height: float


def new_figure(height: float, *, scale: float = 1.0) -> Figure:
    """An empty figure, `WIDTH` by `height` points of `scale` pixels each."""
    return Figure(figsize=(WIDTH / 72, height / 72), dpi=72 * scale, facecolor=PAPER)


def add_axes(figure: Figure, box: Box) -> Axes:
    """Bare axes (no frame, ticks or grid) that fill the box."""
    height = _height(figure)
    bottom = height - box.top - box.height
    axes = figure.add_axes(
        (box.left / WIDTH, bottom / height, box.width / WIDTH, box.height / height)
    )
    axes.set_axis_off()
    return axes


def add_text(
    parent: Figure | Axes, xy: tuple[float, float], text: str, *, size: float, **look: Any
) -> Text:
    """Text exactly as it stands, in fonts that have its characters.

    `xy` are points from the top left of a figure, or data coordinates of axes. Untrusted text must
    have gone through `fit_name`.
    """
    x, y = xy
    if isinstance(parent, Figure):
        x, y = x / WIDTH, 1 - y / _height(parent)
    look = {"color": INK, "verticalalignment": "center", **look}
    families = families_for(text, look.get("fontweight", "normal"))
    return parent.text(
        x, y, text, fontsize=size, family=families, parse_math=False, usetex=False, **look
    )


def add_header(figure: Figure, version: str, facts: str) -> None:
    """The two lines above every figure: which version, and on how much it rests."""
    room = WIDTH - 2 * MARGIN
    title = fit_name(version, room, TITLE_SIZE, weight="bold")
    add_text(figure, (MARGIN, 38), title, size=TITLE_SIZE, fontweight="bold")
    facts = fit_name(facts, room, TEXT_SIZE)
    add_text(figure, (MARGIN, 76), facts, size=TEXT_SIZE, color=QUIET)


def add_lines(axes: Axes, lines: list[NDArray[np.float64]], **look: Any) -> None:
    """Many lines in data coordinates, each (n, 2), as one object."""
    axes.add_collection(LineCollection(lines, **look), autolim=False)


def render_rgb(figure: Figure) -> NDArray[np.uint8]:
    """The pixels of a figure, (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(pixels[..., :3])


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of (height, width, 3) pixels, without date or software: equal for equal pixels.

    It has 256 colours: of the ways to choose them this one is the fastest, and errs least.
    """
    from PIL import Image

    buffer = BytesIO()
    picture = Image.fromarray(pixels).quantize(
        256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    picture.save(buffer, "png", compress_level=PNG_COMPRESSION)
    return buffer.getvalue()


def render_png(figure: Figure) -> bytes:
    """A figure as a PNG file; the same figure gives the same bytes."""
    return encode_png(render_rgb(figure))


def describe_images(images: int) -> str:
    """How many images a figure rests on, as its header says it."""
    return f"n = {images:,} image{'' if images == 1 else 's'}"


def _height(figure: Figure) -> float:
    return float(figure.get_figheight() * 72)

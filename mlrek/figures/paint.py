"""From a figure to its pixels, faster than matplotlib alone: a text is set once a process.

Versions of a project have the same names in the same places. What a text covers is kept, and laid
over the next picture by the same arithmetic as Agg's, so that pixels stay the same to the bit.
"""

from math import ceil, floor
from typing import Final, NamedTuple

import numpy as np
from matplotlib import __version__ as matplotlib_version
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray
from PIL import Image

KEEPS_TEXTS: Final = tuple(map(int, matplotlib_version.split(".")[:2])) >= (3, 11)
"""Older versions set texts at whole pixels: one that is kept could stand a pixel aside."""
_MOST_KEPT: Final = 2000
_AROUND: Final = 3
"""Pixels around the box of a text that its letters may reach into."""


class Cover(NamedTuple):
    """How much of each pixel a text covers, 0 to 255, (height, width); where its corner is.

    `left` and `bottom` are pixels from the pixel that holds the text's own point; y points up.
    """

    alpha: NDArray[np.uint8]
    left: int
    bottom: int


_kept: dict[tuple[object, ...], Cover] = {}


def paint(figure: Figure) -> NDArray[np.uint8]:
    """The pixels of a figure, (height, width, 3); texts lie above all else."""
    canvas = FigureCanvasAgg(figure)
    texts = [text for text in _list_texts(figure) if KEEPS_TEXTS and not text.get_bbox_patch()]
    for text in texts:
        text.set_visible(False)
    try:
        canvas.draw()  # type: ignore[no-untyped-call]
    finally:
        for text in texts:
            text.set_visible(True)
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    for text in texts:
        if text.get_text():
            _lay_text(pixels, text, canvas.get_renderer())  # type: ignore[no-untyped-call]
    return _drop_alpha(pixels)


def blend(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8], colour: NDArray[np.int32]) -> None:
    """Lay a colour over opaque pixels, (height, width, 3), as matplotlib's Agg does."""
    part = alpha[..., None].astype(np.int32)
    below = pixels.astype(np.int32) * 255
    pixels[...] = (((colour << 8) - below) * part + (below << 8)) // (part + 65280)


def _list_texts(figure: Figure) -> list[Text]:
    return [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]


def _lay_text(pixels: NDArray[np.uint8], text: Text, renderer: RendererAgg) -> None:
    x, y = text.get_transform().transform(text.get_position())
    cover = _find_cover(text, (float(x), float(y)), renderer)
    height, width = pixels.shape[:2]
    rows, columns = cover.alpha.shape
    left = floor(x) + cover.left
    top = height - floor(y) - cover.bottom - rows
    across, down = _cut(left, columns, width), _cut(top, rows, height)
    alpha = cover.alpha[_move(down, -top), _move(across, -left)]
    colour = np.array([round(share * 255) for share in to_rgb(text.get_color())], dtype=np.int32)
    blend(pixels[down, across, :3], alpha, colour)


def _cut(start: int, size: int, room: int) -> slice:
    return slice(min(max(start, 0), room), max(min(start + size, room), 0))


def _move(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _find_cover(text: Text, at: tuple[float, float], renderer: RendererAgg) -> Cover:
    """What a text covers at a place; where that is within its pixel matters too."""
    font = text.get_fontproperties()
    key = (
        text.get_text(),
        tuple(font.get_family()),
        font.get_weight(),
        font.get_size(),
        text.get_rotation(),
        text.get_rotation_mode(),
        text.get_horizontalalignment(),
        text.get_verticalalignment(),
        renderer.dpi,
        *(round(value % 1, 4) for value in (*at, renderer.height)),
    )
    cover = _kept.get(key)
    if cover is None:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        cover = _kept[key] = _set_text(text, at, renderer)
    return cover


def _set_text(text: Text, at: tuple[float, float], renderer: RendererAgg) -> Cover:
    """Let matplotlib draw the text alone, black on white."""
    box = text.get_window_extent(renderer)
    left, bottom = floor(box.x0) - _AROUND, floor(box.y0) - _AROUND
    width, height = ceil(box.x1) + _AROUND - left, ceil(box.y1) + _AROUND - bottom
    sheet = RendererAgg(width, height + renderer.height % 1, renderer.dpi)  # type: ignore[no-untyped-call]
    place, transform, colour = text.get_position(), text.get_transform(), text.get_color()
    text.set_transform(IdentityTransform())
    text.set_position((at[0] - left, at[1] - bottom))
    text.set_color("black")
    text.draw(sheet)
    text.set_transform(transform)
    text.set_position(place)
    text.set_color(colour)
    alpha = np.array(np.asarray(sheet.buffer_rgba())[..., 3])  # type: ignore[no-untyped-call]
    return Cover(alpha, left - floor(at[0]), bottom - floor(at[1]))


def _drop_alpha(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green and blue alone; Pillow does that faster than numpy."""
    height, width = pixels.shape[:2]
    picture = Image.frombuffer("RGBX", (width, height), pixels, "raw", "RGBX", 0, 1)
    return np.asarray(picture.convert("RGB"))

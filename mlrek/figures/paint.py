"""From a figure to its pixels, and from these to places in a palette, with little done twice.

Versions of a project have the same names in the same places. What a text covers is kept, and laid
over the next picture by the same arithmetic as Agg's, so that pixels stay the same to the bit. A
picture is mostly runs of one colour: only where a run begins is its colour looked at.
"""

from dataclasses import dataclass, field
from math import ceil, floor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from matplotlib import __version__ as matplotlib_version
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray
from PIL import Image

from mlrek.figures.pictures import Pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

KEEPS_TEXTS: Final = tuple(map(int, matplotlib_version.split(".")[:2])) >= (3, 11)
"""Older versions set texts at whole pixels: one that is kept could stand a pixel aside."""
_MOST_KEPT: Final = 1000
_MOST_GROUNDS: Final = 4
_AROUND: Final = 3
"""Pixels around the box of a text that its letters may reach into."""

_BITS: Final = 5  # of red, of green and of blue: colours that agree in these are counted together
_MOST_COUNTED: Final = 2048
"""Pictures with more than so many such colours hold photographs, of which no colour is frequent."""
_BYTES: Final = 4


class Words(NamedTuple):
    """A text and how it is set; `size` in points, `rotation` in degrees."""

    text: str
    family: tuple[str, ...]
    weight: str | int
    size: float
    rotation: float
    rotation_mode: str
    horizontal: str
    vertical: str


@dataclass(frozen=True, slots=True)
class Cover:
    """How much of each pixel a text covers, 0 to 255, (height, width); where its corner is.

    `left` and `bottom` are pixels from the pixel that holds the text's own point; y points up.
    `places` are rows and columns of the pixels that are covered at all, (2, n), and `mixed` what
    these become, by the colour of the text and by that of an even ground.
    """

    alpha: NDArray[np.uint8]
    left: int
    bottom: int
    places: NDArray[np.int16]
    mixed: dict[tuple[str, int], NDArray[np.uint32]] = field(default_factory=dict)


_kept: dict[tuple[object, ...], Cover] = {}


def paint_padded(figure: "Figure") -> NDArray[np.uint8]:
    """The pixels of a figure, (height, width, 4); texts lie above all else."""
    canvas = FigureCanvasAgg(figure)
    texts = [text for text in _list_texts(figure) if KEEPS_TEXTS and not text.get_bbox_patch()]
    for text in texts:
        text.set_visible(False)
    try:
        canvas.draw()  # type: ignore[no-untyped-call]
    finally:
        for text in texts:
            text.set_visible(True)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    pixels = np.asarray(renderer.buffer_rgba())
    for text in texts:
        if text.get_text():
            _lay_text(pixels, text, renderer)
    return pixels


def blend(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8], colour: NDArray[np.int32]) -> None:
    """Lay a colour over opaque pixels, (height, width, 3), as matplotlib's Agg does."""
    part = alpha[..., None].astype(np.int32)
    below = pixels.astype(np.int32) * 255
    pixels[...] = (((colour << 8) - below) * part + (below << 8)) // (part + 65280)


class Indexed(NamedTuple):
    """A picture as places in its palette: (height, width), and (colours, 3)."""

    codes: NDArray[np.uint8]
    palette: Pixels


def index_colours(pixels: Pixels, most: int = 256) -> Indexed:
    """The picture in so many colours at most; exact where it has no more, and where most are alike.

    The most frequent ones are kept, each the mean of what it stands for.
    """
    words = _read_words(pixels).ravel()
    starts = np.concatenate([[0], np.flatnonzero(words[1:] != words[:-1]) + 1])
    lengths = np.diff(starts, append=len(words))
    runs = words[starts]
    channels = [(runs >> shift) & 255 for shift in (0, 8, 16)]
    drop = 8 - _BITS
    bucket = sum((channel >> drop) << (i * _BITS) for i, channel in enumerate(channels))
    bucket = np.asarray(bucket, dtype=np.intp)
    counts = np.bincount(bucket, weights=lengths, minlength=1 << (3 * _BITS))
    used = np.flatnonzero(counts)
    if len(used) > _MOST_COUNTED:
        return _quantize(pixels, most)
    sums = [np.bincount(bucket, weights=lengths * channel) for channel in channels]
    means = np.stack(sums, axis=1)[used] / counts[used, None]
    kept = np.rint(means[np.argsort(-counts[used], kind="stable")[:most]])
    places = np.zeros(len(counts), dtype=np.uint8)
    places[used] = ((kept**2).sum(axis=1) - 2 * means @ kept.T).argmin(axis=1)
    codes = np.repeat(places[bucket], lengths).reshape(pixels.shape[:2])
    return Indexed(codes, kept.astype(np.uint8))


def open_pixels(pixels: Pixels) -> Image.Image:
    """Pillow's image of a picture."""
    height, width = pixels.shape[:2]
    words = _find_words(pixels)
    if words is None:
        return Image.fromarray(pixels)
    return Image.frombytes("RGB", (width, height), words, "raw", "RGBX")


def open_codes(codes: NDArray[np.uint8], palette: Pixels) -> Image.Image:
    """Pillow's image of places in a palette, (height, width), of colours, (colours, 3)."""
    height, width = codes.shape
    picture = Image.frombuffer("P", (width, height), np.ascontiguousarray(codes), "raw", "P", 0, 1)
    picture.putpalette(palette.tobytes())
    return picture


def _list_texts(figure: "Figure") -> list[Text]:
    return [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]


def lay_words(
    pixels: NDArray[np.uint8],
    words: Words,
    at: tuple[float, float],
    colour: str,
    renderer: RendererAgg,
) -> None:
    """Lay a text over opaque pixels, (height, width, 4), its point `at` so many from below left."""
    if words.text:
        cover = _find_cover(words, at, renderer, lambda: _make_text(words, at, renderer.dpi))
        _lay_cover(pixels, cover, at, colour)


def _lay_text(pixels: NDArray[np.uint8], text: Text, renderer: RendererAgg) -> None:
    x, y = text.get_transform().transform(text.get_position()).tolist()
    font = text.get_fontproperties()
    words = Words(
        text=text.get_text(),
        family=tuple(font.get_family()),
        weight=font.get_weight(),
        size=font.get_size(),
        rotation=text.get_rotation(),
        rotation_mode=text.get_rotation_mode() or "default",
        horizontal=text.get_horizontalalignment(),
        vertical=text.get_verticalalignment(),
    )
    cover = _find_cover(words, (x, y), renderer, lambda: text)
    _lay_cover(pixels, cover, (x, y), str(text.get_color()))


def _lay_cover(
    pixels: NDArray[np.uint8], cover: Cover, at: tuple[float, float], colour: str
) -> None:
    height, width = pixels.shape[:2]
    rows, columns = cover.alpha.shape
    left = floor(at[0]) + cover.left
    top = height - floor(at[1]) - cover.bottom - rows
    if 0 <= left <= width - columns and 0 <= top <= height - rows:
        words = pixels.view("<u4").reshape(-1)
        down, across = cover.places.astype(np.intp)
        places = down * width + across + (top * width + left)
        below = words[places]
        if len(below) and (below == below[0]).all():
            words[places] = _mix(cover, colour, below[:1])
            return
    x_part, y_part = _cut(left, columns, width), _cut(top, rows, height)
    alpha = cover.alpha[_move(y_part, -top), _move(x_part, -left)]
    blend(pixels[y_part, x_part, :3], alpha, _read_colour(colour))


def _mix(cover: Cover, colour: str, ground: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """What the covered pixels of an even ground become: the same as by `blend`."""
    key = (colour, int(ground[0]))
    mixed = cover.mixed.get(key)
    if mixed is None:
        even = np.repeat(ground, cover.places.shape[1])[None]
        pixels = even.view(np.uint8).reshape(1, -1, 4)
        blend(pixels[..., :3], cover.alpha[tuple(cover.places)][None], _read_colour(colour))
        if len(cover.mixed) >= _MOST_GROUNDS:
            cover.mixed.clear()
        mixed = cover.mixed[key] = even[0]
    return mixed


def _read_colour(colour: str) -> NDArray[np.int32]:
    return np.array([round(share * 255) for share in to_rgb(colour)], dtype=np.int32)


def _cut(start: int, size: int, room: int) -> slice:
    return slice(min(max(start, 0), room), max(min(start + size, room), 0))


def _move(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _find_cover(
    words: Words, at: tuple[float, float], renderer: RendererAgg, make: "Callable[[], Text]"
) -> Cover:
    """What a text covers at a place; where that is within its pixel matters too."""
    places = [round(value % 1, 6) for value in (*at, renderer.height)]
    key = (words, renderer.dpi, *places)
    cover = _kept.get(key)
    if cover is None:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        cover = _kept[key] = _set_text(make(), at, renderer)
    return cover


def _make_text(words: Words, at: tuple[float, float], dpi: float) -> Text:
    look: dict[str, Any] = {
        "family": list(words.family),
        "fontweight": words.weight,
        "fontsize": words.size,
        "rotation": words.rotation,
        "rotation_mode": words.rotation_mode,
        "horizontalalignment": words.horizontal,
        "verticalalignment": words.vertical,
        "parse_math": False,
        "usetex": False,
    }
    text = Text(*at, words.text, transform=IdentityTransform(), **look)
    text.set_figure(_Ground(dpi))  # type: ignore[arg-type]
    return text


class _Ground:
    """What a text asks its figure for: the resolution. A figure costs as much as to set a text."""

    def __init__(self, dpi: float) -> None:
        self.dpi = dpi

    def get_figure(self, *, root: bool) -> Self:
        """Itself: there is none around it."""
        assert root  # noqa: S101 - nobody asks for another one
        return self


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
    places = np.array(np.nonzero(alpha), dtype=np.int16)
    return Cover(alpha, left - floor(at[0]), bottom - floor(at[1]), places)


def _read_words(pixels: Pixels) -> NDArray[np.uint32]:
    """A number for each pixel: red is its lowest byte, then come green and blue."""
    words = _find_words(pixels)
    if words is not None:
        return words
    padded = np.zeros((*pixels.shape[:2], _BYTES), dtype=np.uint8)
    padded[..., :3] = pixels
    return padded.view("<u4")[..., 0]


def _find_words(pixels: Pixels) -> NDArray[np.uint32] | None:
    """The pixels as they lie in memory, where each has a fourth byte, as Agg leaves them."""
    whole = pixels.base
    if (
        isinstance(whole, np.ndarray)
        and whole.dtype == np.uint8
        and whole.shape == (*pixels.shape[:2], _BYTES)
        and whole.flags.c_contiguous
        and whole.ctypes.data == pixels.ctypes.data
        and pixels.strides == whole.strides
    ):
        return whole.view("<u4")[..., 0]
    return None


def _quantize(pixels: Pixels, most: int) -> Indexed:
    """Of the ways of Pillow to choose colours this one is the fastest, and errs least."""
    picture = open_pixels(pixels).quantize(
        most, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    colours = np.array(picture.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return Indexed(np.asarray(picture), colours[:most])

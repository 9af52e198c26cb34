"""The confusion matrix at rising thresholds, as small pictures that a slider runs through.

Drawn without matplotlib, but for the frame that all of them share: eleven figures would take a
second, and a project has many versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from matplotlib import get_data_path
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mlrek.evaluation import IntArray
from mlrek.figures.confusion import (
    EMPTY_CELL,
    OTHERS_CELL,
    Heatmap,
    Layout,
    add_axis_titles,
    add_names,
    build_heatmap,
    colour_shares,
    count_in_thousands,
    find_dark,
    plan_layout,
    say_others,
)
from mlrek.figures.paint import index_colours, open_codes, open_pixels
from mlrek.figures.pictures import GridFiles, Pixels
from mlrek.figures.style import (
    MARGIN,
    PAPER,
    QUIET,
    TEXT_SIZE,
    THUMBNAIL,
    TITLE_SIZE,
    WIDTH,
    add_text,
    encode_codes,
    fit_name,
    new_sheet,
    render_padded,
)
from mlrek.metrics import ConfusionMatrix
from mlrek.metrics.drawn_labels import MAX_LABELS, find_drawn
from mlrek.text import BACKGROUND_LABEL, display_label

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCALE: Final = 0.5  # pixels a point: MLflow shows these pictures 256 pixels wide
_SMALLEST_COUNT: Final = 7
_LARGEST_COUNT: Final = 16
_AROUND: Final = 64  # pixels of the square that a count is written into
_ENLARGED: Final = 8
_LARGER: Final = 1.1
_DARKER: Final = 1.3  # thin lines, spread over two pixels, look pale
_HEAD: Final = 60.0  # points: above it is the title, and nothing else
_MOST_KEPT: Final = 16

# A picture is made of codes of its palette, never of pixels whose colours would have to be counted:
# first every shade of a cell with every amount of ink on it, then the colours of the frame.
_SHADES: Final = 36
_EMPTY: Final = _SHADES
_OTHERS: Final = _SHADES + 1
_FACTS: Final = _SHADES + 2
_INKS: Final = 5
_FRAME_FIRST: Final = (_FACTS + 1) * _INKS
_FRAME_COLOURS: Final = 256 - _FRAME_FIRST

Codes: TypeAlias = NDArray[np.uint8]
"""A picture as places in its palette, (height, width)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What the pictures of a version share, and where the cells of each row and column begin.

    `codes` are places in `palette`, whose last colours are the frame's own. Of the small picture
    `ratio` is how many pixels it has for one of the whole one, which has 1.
    """

    codes: Codes
    palette: Pixels
    across: IntArray
    down: IntArray
    ratio: float


def draw_threshold_grid(
    matrices: Mapping[int, ConfusionMatrix],
    base: ConfusionMatrix,
    *,
    labels: int,
    title: tuple[str, str],
    top_labels: int = 0,
    drawn_labels: "Sequence[str]" = (),
) -> dict[int, GridFiles]:
    """A small picture for each threshold in percent, all with the labels in the same places.

    Args:
        matrices: By threshold; the first `labels` rows and columns are the labels.
        base: The matrix of the run, whose most confused labels are shown.
        labels: Number of labels.
        title: Name of the version, and what the threshold is of.
        top_labels: As of `draw_confusion_matrix`.
        drawn_labels: As there.
    """
    if not matrices:
        return {}
    chosen = find_drawn(base.rows[:labels], drawn_labels)
    shown = build_heatmap(base, labels, top_labels, chosen).shown
    heatmaps = {
        percent: build_heatmap(matrix, labels, top_labels, shown, has_all_own=True)
        for percent, matrix in matrices.items()
    }
    first = next(iter(matrices.values()))
    names = [display_label(label) for label in first.rows[:labels]]
    own = [name for name in first.rows[labels:] if name == BACKGROUND_LABEL]
    layout = plan_layout(names, top_labels or MAX_LABELS, own)
    whole, small = _draw_frames(names, next(iter(heatmaps.values())), layout, title[0])
    return {
        percent: _encode(whole, small, heatmap, f"{title[1]} ≥ {percent / 100:.2f}")
        for percent, heatmap in heatmaps.items()
    }


def _draw_frames(
    names: "Sequence[str]", heatmap: Heatmap, layout: Layout, version: str
) -> tuple[_Frame, _Frame]:
    """What all thresholds share, whole and small: the title, the names, the titles of the axes."""
    below = draw_names(tuple(names), tuple(heatmap.shown.tolist()), heatmap.own, layout)
    head = _draw_title(version)
    pixels = np.concatenate([head, below[len(head) :]])[..., :3]
    picture = open_pixels(pixels)
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    whole = _index_frame(pixels, heatmap, layout, 1.0)
    return whole, _index_frame(np.asarray(picture), heatmap, layout, picture.height / len(pixels))


@lru_cache(maxsize=_MOST_KEPT)
def draw_names(
    names: tuple[str, ...],
    shown: tuple[int, ...],
    own: tuple[tuple[str, ...], tuple[str, ...]],
    layout: Layout,
) -> Pixels:
    """What all versions with these labels share: everything but the title; (height, width, 4)."""
    figure = new_sheet(layout.height, scale=_SCALE)
    add_names(figure, names, shown, own, layout)
    add_axis_titles(figure, layout)
    return render_padded(figure)


def _draw_title(version: str) -> Pixels:
    """The upper end of the picture, with the name of a version; (height, width, 4)."""
    figure = new_sheet(2 * _HEAD, scale=_SCALE)
    title = fit_name(version, WIDTH - 2 * MARGIN, TITLE_SIZE, weight="bold")
    add_text(figure, (MARGIN, 38), title, size=TITLE_SIZE, fontweight="bold")
    return render_padded(figure)[: round(_HEAD * _SCALE)]


def _index_frame(pixels: Pixels, heatmap: Heatmap, layout: Layout, ratio: float) -> _Frame:
    codes, own = index_colours(pixels, _FRAME_COLOURS)
    grid, (rows, columns) = layout.grid, heatmap.counts.shape
    return _Frame(
        codes=codes + np.uint8(_FRAME_FIRST),
        palette=np.concatenate([_mix_colours().reshape(-1, 3), own]),
        across=_edges(grid.top, grid.height, rows, ratio),
        down=_edges(grid.left, grid.width, columns, ratio),
        ratio=ratio,
    )


def _fill(frame: _Frame, shades: Codes, inks: Codes, facts: str) -> Codes:
    """The frame with the cells of one threshold, and what the threshold is."""
    codes = frame.codes.copy()
    _write_facts(codes, facts, frame.ratio)
    across, down = frame.across, frame.down
    cells = np.repeat(np.repeat(shades, np.diff(across), axis=0), np.diff(down), axis=1)
    area = (slice(across[0], across[-1]), slice(down[0], down[-1]))
    filled = cells * np.uint8(_INKS) + inks[area]
    for gaps, axis in ((across, 0), (down, 1)):  # the last line of each cell is paper
        lines = [slice(None), slice(None)]
        lines[axis] = gaps[1:] - gaps[0] - 1
        filled[tuple(lines)] = codes[area][tuple(lines)]
    codes[area] = filled
    return codes


def _choose_shades(heatmap: Heatmap) -> Codes:
    """Which of the shades each cell has: its share of the row, (rows, columns)."""
    counts = heatmap.counts
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades: Codes = np.rint(np.sqrt(shares) * (_SHADES - 1)).astype(np.uint8)
    shades[counts == 0] = _EMPTY
    if heatmap.others:
        shades[len(heatmap.shown), len(heatmap.shown)] = _OTHERS
    return shades


@cache
def _mix_colours() -> Pixels:
    """Each colour of a cell, and the paper, with more and more ink on it: (shades, inks, 3)."""
    shares = (np.arange(_SHADES) / (_SHADES - 1)) ** 2
    ramp = colour_shares(shares)
    ground = np.array([*ramp, EMPTY_CELL, OTHERS_CELL, _rgb(PAPER)], dtype=np.float64)
    text = np.where(find_dark(ground)[:, None], 255.0, 0.0) * np.ones(3)
    text[_FACTS] = _rgb(QUIET)
    ink = (np.arange(_INKS) / (_INKS - 1))[:, None]
    mixed: Pixels = np.rint(ground[:, None] + (text - ground)[:, None] * ink).astype(np.uint8)
    return mixed


def _rgb(colour: str) -> list[float]:
    return [share * 255 for share in to_rgb(colour)]


def _write_facts(codes: Codes, facts: str, ratio: float) -> None:
    """The line below the title."""
    inks = set_facts(facts, codes.shape[1], ratio)
    top = round((76 * _SCALE) * ratio - len(inks) / 2)
    part = codes[top : top + len(inks)]
    np.copyto(part, _FACTS * _INKS + inks, where=inks > 0)


@lru_cache(maxsize=128)
def set_facts(facts: str, width: int, ratio: float) -> Codes:
    """Ink of the line, (height, width); smaller where it is long."""
    largest, room = round(TEXT_SIZE * _SCALE), (WIDTH - 2 * MARGIN) * _SCALE
    size = max(_SMALLEST_COUNT, min(largest, int(largest * room / _font(largest).getlength(facts))))
    line = Image.new("L", (round(WIDTH * _SCALE), 4 * size))
    draw = ImageDraw.Draw(line)
    draw.text((MARGIN * _SCALE, 2 * size), facts, fill=255, font=_font(size), anchor="lm")
    if ratio != 1:
        line = line.resize((width, round(4 * size * ratio)), Image.Resampling.BILINEAR)
    return _thin(np.asarray(line))


def _edges(start: float, size: float, n: int, ratio: float) -> IntArray:
    """Where each of n cells begins, and the last one ends, in pixels, (n + 1,)."""
    return np.rint((start + size * np.arange(n + 1) / n) * _SCALE * ratio).astype(int)


def _list_counts(heatmap: Heatmap) -> list[tuple[int, int, str]]:
    """Row, column and text of each count."""
    own = len(heatmap.shown) if heatmap.others else -1
    places = [at for at in np.argwhere(heatmap.counts).tolist() if at != [own, own]]
    return [(i, j, count_in_thousands(int(heatmap.counts[i, j]))) for i, j in places]


def _choose_size(whole: _Frame, counts: list[tuple[int, int, str]]) -> int:
    """Of the font, in pixels of the whole picture; 0 where counts fit in no size to be read."""
    width, height = (int(np.diff(edge).min()) for edge in (whole.down, whole.across))
    longest = max((len(text) for *_, text in counts), default=1)
    size = min(_LARGEST_COUNT, int(0.7 * height), int(1.4 * width / longest))
    return size if size >= _SMALLEST_COUNT else 0


def _write_counts(frame: _Frame, counts: list[tuple[int, int, str]], size: float) -> Codes:
    """Ink of the counts, of the shape of the picture; where they do not fit, the colour speaks."""
    height, width = frame.codes.shape
    rows, columns = ((edges[1:] + edges[:-1] - 1).tolist() for edges in (frame.across, frame.down))
    inks = np.zeros((height + _AROUND, width + _AROUND), dtype=np.uint8)
    for i, j, text in counts if size else ():
        y, x = rows[i], columns[j]
        shape = set_count(text, size, x % 2, y % 2)
        part = inks[y // 2 : y // 2 + _AROUND, x // 2 : x // 2 + _AROUND]
        np.maximum(part, shape, out=part)
    return inks[_AROUND // 2 : -_AROUND // 2, _AROUND // 2 : -_AROUND // 2]


@lru_cache(maxsize=4096)
def set_count(text: str, size: float, half_right: int, half_down: int) -> Codes:
    """Ink of a count around its middle, (`_AROUND`, `_AROUND`), moved by half a pixel or not.

    Fonts fit letters to whole pixels, which tells very small ones apart no more: such are set large
    and made smaller.
    """
    times = 1 if size >= _SMALLEST_COUNT else _ENLARGED
    sheet = Image.new("L", (_AROUND * times, _AROUND * times))
    middle = ((_AROUND + half_right) * times / 2, (_AROUND + half_down) * times / 2)
    font = _font(ceil(size) if times == 1 else round(size * times * _LARGER))
    ImageDraw.Draw(sheet).text(middle, text, fill=255, font=font, anchor="mm")
    if times == 1:
        return _thin(np.asarray(sheet))
    small = sheet.resize((_AROUND, _AROUND), Image.Resampling.HAMMING)
    return _thin(np.minimum(np.asarray(small) * _DARKER, 255))


def _thin(covered: NDArray[np.generic]) -> Codes:
    """How much ink where so much of a pixel, of 255, is covered."""
    return ((covered.astype(np.uint16) * (_INKS - 1) + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _encode(whole: _Frame, small: _Frame, heatmap: Heatmap, facts: str) -> GridFiles:
    """The picture as PNG, and as a small WebP: both exact, and the same for the same pixels."""
    if heatmap.others:
        facts += f" · (other), both: {', '.join(say_others(heatmap.others))}"
    shades, counts = _choose_shades(heatmap), _list_counts(heatmap)
    size = _choose_size(whole, counts)
    codes, few = (
        _fill(frame, shades, _write_counts(frame, counts, size * frame.ratio), facts)
        for frame in (whole, small)
    )
    buffer = BytesIO()
    picture = open_codes(few, small.palette)
    picture.save(buffer, "webp", lossless=True, quality=0, method=0)
    return GridFiles(png=encode_codes(codes, whole.palette), webp=buffer.getvalue())

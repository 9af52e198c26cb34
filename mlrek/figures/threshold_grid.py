"""The confusion matrix at rising thresholds, as small pictures that a slider runs through.

Drawn without matplotlib, but for the frame that all of them share: eleven figures would take a
second, and a project has many versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
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
from mlrek.figures.pictures import GridFiles, Pixels
from mlrek.figures.style import (
    MARGIN,
    PAPER,
    PNG_COMPRESSION,
    QUIET,
    TEXT_SIZE,
    THUMBNAIL,
    TITLE_SIZE,
    WIDTH,
    add_text,
    fit_name,
    new_figure,
    render_rgb,
)
from mlrek.metrics import ConfusionMatrix
from mlrek.metrics.drawn_labels import MAX_LABELS, find_drawn
from mlrek.text import BACKGROUND_LABEL, display_label

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCALE: Final = 0.5  # pixels a point: MLflow shows these pictures 256 pixels wide
_SMALLEST_COUNT: Final = 7
_LARGEST_COUNT: Final = 16
_WEBP_QUALITY: Final = 80
_AROUND: Final = 64  # pixels of the square that a count is written into

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

    `codes` are those of the frame's own colours, which are the last ones of the palette.
    """

    codes: Codes
    palette: bytes
    across: IntArray
    down: IntArray


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
    frame = _draw_frame(names, next(iter(heatmaps.values())), layout, title[0])
    return {
        percent: _encode(_fill(frame, heatmap, f"{title[1]} ≥ {percent / 100:.2f}"), frame.palette)
        for percent, heatmap in heatmaps.items()
    }


def _draw_frame(names: "Sequence[str]", heatmap: Heatmap, layout: Layout, version: str) -> _Frame:
    """What all thresholds share: the title, the names, the titles of the axes."""
    figure = new_figure(layout.height, scale=_SCALE)
    title = fit_name(version, WIDTH - 2 * MARGIN, TITLE_SIZE, weight="bold")
    add_text(figure, (MARGIN, 38), title, size=TITLE_SIZE, fontweight="bold")
    add_names(figure, names, heatmap, layout)
    add_axis_titles(figure, layout)
    few = Image.fromarray(render_rgb(figure)).quantize(
        _FRAME_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    own = np.zeros((_FRAME_COLOURS, 3), dtype=np.uint8)
    used = np.array(few.getpalette(), dtype=np.uint8).reshape(-1, 3)
    own[: len(used)] = used[:_FRAME_COLOURS]
    grid, (rows, columns) = layout.grid, heatmap.counts.shape
    return _Frame(
        codes=np.asarray(few),
        palette=np.concatenate([_mix_colours().reshape(-1, 3), own]).tobytes(),
        across=_edges(grid.top, grid.height, rows),
        down=_edges(grid.left, grid.width, columns),
    )


def _fill(frame: _Frame, heatmap: Heatmap, facts: str) -> Codes:
    """The frame with the cells of one threshold, and what the threshold is."""
    if heatmap.others:
        facts += f" · (other), both: {', '.join(say_others(heatmap.others))}"
    codes = frame.codes + np.uint8(_FRAME_FIRST)
    _write_facts(codes, facts)
    across, down = frame.across, frame.down
    shades = _choose_shades(heatmap)
    cells = np.repeat(np.repeat(shades, np.diff(across), axis=0), np.diff(down), axis=1)
    inks = _write_counts(frame, heatmap, codes.shape)
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


def _write_facts(codes: Codes, facts: str) -> None:
    """The line below the title, smaller where it is long."""
    largest, room = round(TEXT_SIZE * _SCALE), (WIDTH - 2 * MARGIN) * _SCALE
    size = max(_SMALLEST_COUNT, min(largest, int(largest * room / _font(largest).getlength(facts))))
    line = Image.new("L", (codes.shape[1], 4 * size))
    draw = ImageDraw.Draw(line)
    draw.text((MARGIN * _SCALE, 2 * size), facts, fill=255, font=_font(size), anchor="lm")
    inks, top = _thin(np.asarray(line)), round(76 * _SCALE) - 2 * size
    part = codes[top : top + 4 * size]
    part[inks > 0] = _FACTS * _INKS + inks[inks > 0]


def _edges(start: float, size: float, n: int) -> IntArray:
    """Where each of n cells begins, and the last one ends, in pixels, (n + 1,)."""
    return np.rint((start + size * np.arange(n + 1) / n) * _SCALE).astype(int)


def _write_counts(frame: _Frame, heatmap: Heatmap, shape: tuple[int, ...]) -> Codes:
    """Ink of the counts, where they fit in a size that can be read; else the colour speaks."""
    across, down = frame.across, frame.down
    own = len(heatmap.shown) if heatmap.others else -1
    places = [at for at in np.argwhere(heatmap.counts).tolist() if at != [own, own]]
    texts = [count_in_thousands(int(heatmap.counts[i, j])) for i, j in places]
    width, height = (int(np.diff(edge).min()) for edge in (down, across))
    longest = max(map(len, texts), default=1)
    size = min(_LARGEST_COUNT, int(0.7 * height), int(1.4 * width / longest))
    inks = np.zeros((shape[0] + 2 * _AROUND, shape[1] + 2 * _AROUND), dtype=np.uint8)
    if size >= _SMALLEST_COUNT:
        for (i, j), text in zip(places, texts, strict=True):
            y, x = across[i] + across[i + 1] - 1, down[j] + down[j + 1] - 1
            shape_of = _set_count(text, size, int(x % 2), int(y % 2))
            top, left = y // 2 + _AROUND // 2, x // 2 + _AROUND // 2
            part = inks[top : top + _AROUND, left : left + _AROUND]
            np.maximum(part, shape_of, out=part)
    return inks[_AROUND:-_AROUND, _AROUND:-_AROUND]


@lru_cache(maxsize=4096)
def _set_count(text: str, size: int, half_right: int, half_down: int) -> Codes:
    """Ink of a count around its middle, (`_AROUND`, `_AROUND`), moved by half a pixel or not."""
    sheet = Image.new("L", (_AROUND, _AROUND))
    middle = ((_AROUND + half_right) / 2, (_AROUND + half_down) / 2)
    ImageDraw.Draw(sheet).text(middle, text, fill=255, font=_font(size), anchor="mm")
    return _thin(np.asarray(sheet))


def _thin(covered: Codes) -> Codes:
    """How much ink where so much of a pixel, of 255, is covered."""
    return ((covered.astype(np.uint16) * (_INKS - 1) + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _encode(codes: Codes, palette: bytes) -> GridFiles:
    """The picture as PNG with few colours, and as a small WebP: the same for the same pixels."""
    whole, small = BytesIO(), BytesIO()
    height, width = codes.shape
    picture = Image.frombytes("P", (width, height), codes.tobytes())
    picture.putpalette(palette)
    picture.save(whole, "png", compress_level=PNG_COMPRESSION)
    thumbnail = picture.convert("RGB")
    thumbnail.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    thumbnail.save(small, "webp", quality=_WEBP_QUALITY, method=0)
    return GridFiles(png=whole.getvalue(), webp=small.getvalue())

"""The confusion matrix at rising thresholds, as small pictures that a slider runs through.

Drawn without matplotlib, but for the frame that all of them share: eleven figures would take a
second, and a project has many versions.
"""

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from mlrek.evaluation import IntArray
from mlrek.figures.confusion import (
    OTHERS_CELL,
    Heatmap,
    Layout,
    add_axis_titles,
    add_names,
    build_heatmap,
    colour_cells,
    count_in_thousands,
    find_dark,
    plan_layout,
    say_others,
)
from mlrek.figures.pictures import GridFiles, Pixels
from mlrek.figures.style import (
    BLACK,
    MARGIN,
    PNG_COMPRESSION,
    QUIET,
    TEXT_SIZE,
    TITLE_SIZE,
    WHITE,
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
_COLOURS: Final = 64
_SMALLEST_COUNT: Final = 7
_LARGEST_COUNT: Final = 16
_THUMBNAIL: Final = 256
_WEBP_QUALITY: Final = 80


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
        percent: _encode(_fill(frame, heatmap, layout, f"{title[1]} ≥ {percent / 100:.2f}"))
        for percent, heatmap in heatmaps.items()
    }


def _draw_frame(names: "Sequence[str]", heatmap: Heatmap, layout: Layout, version: str) -> Pixels:
    """What all thresholds share: the title, the names, the titles of the axes."""
    figure = new_figure(layout.height, scale=_SCALE)
    title = fit_name(version, WIDTH - 2 * MARGIN, TITLE_SIZE, weight="bold")
    add_text(figure, (MARGIN, 38), title, size=TITLE_SIZE, fontweight="bold")
    add_names(figure, names, heatmap, layout)
    add_axis_titles(figure, layout)
    return render_rgb(figure)


def _fill(frame: Pixels, heatmap: Heatmap, layout: Layout, facts: str) -> Image.Image:
    """The frame with the cells of one threshold, and what the threshold is."""
    pixels = frame.copy()
    grid, colours = layout.grid, colour_cells(heatmap.counts)
    rows, columns = heatmap.counts.shape
    across, down = (
        _edges(start, size, n)
        for start, size, n in ((grid.top, grid.height, rows), (grid.left, grid.width, columns))
    )
    for i, j in np.ndindex(rows, columns):
        pixels[across[i] : across[i + 1] - 1, down[j] : down[j + 1] - 1] = colours[i, j]
    if heatmap.others:
        own = len(heatmap.shown)
        pixels[across[own] : across[own + 1] - 1, down[own] : down[own + 1] - 1] = OTHERS_CELL
        colours[own, own] = OTHERS_CELL
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    if heatmap.others:
        facts += f" · (other), both: {', '.join(say_others(heatmap.others))}"
    _write_facts(draw, facts)
    _write_counts(draw, heatmap, find_dark(colours), (across, down))
    return picture


def _write_facts(draw: ImageDraw.ImageDraw, facts: str) -> None:
    """The line below the title, smaller where it is long."""
    largest, room = round(TEXT_SIZE * _SCALE), (WIDTH - 2 * MARGIN) * _SCALE
    size = max(_SMALLEST_COUNT, min(largest, int(largest * room / _font(largest).getlength(facts))))
    draw.text((MARGIN * _SCALE, 76 * _SCALE), facts, fill=QUIET, font=_font(size), anchor="lm")


def _edges(start: float, size: float, n: int) -> IntArray:
    """Where each of n cells begins, and the last one ends, in pixels, (n + 1,)."""
    return np.rint((start + size * np.arange(n + 1) / n) * _SCALE).astype(int)


def _write_counts(
    draw: ImageDraw.ImageDraw,
    heatmap: Heatmap,
    is_dark: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    edges: tuple[IntArray, IntArray],
) -> None:
    """The counts, where they fit in a size that can be read; else the colour alone speaks."""
    across, down = edges
    own = len(heatmap.shown) if heatmap.others else -1
    places = [at for at in np.argwhere(heatmap.counts).tolist() if at != [own, own]]
    texts = [count_in_thousands(int(heatmap.counts[i, j])) for i, j in places]
    width, height = (int(np.diff(edge).min()) for edge in (down, across))
    longest = max(map(len, texts), default=1)
    size = min(_LARGEST_COUNT, int(0.7 * height), int(1.4 * width / longest))
    if size < _SMALLEST_COUNT:
        return
    font = _font(size)
    for (i, j), text in zip(places, texts, strict=True):
        at = ((down[j] + down[j + 1] - 1) / 2, (across[i] + across[i + 1] - 1) / 2)
        draw.text(at, text, fill=WHITE if is_dark[i, j] else BLACK, font=font, anchor="mm")


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _encode(picture: Image.Image) -> GridFiles:
    """The picture as PNG with few colours, and as a small WebP: the same for the same pixels."""
    whole, small = BytesIO(), BytesIO()
    few = picture.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(whole, "png", compress_level=PNG_COMPRESSION)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BILINEAR)
    picture.save(small, "webp", quality=_WEBP_QUALITY, method=2)
    return GridFiles(png=whole.getvalue(), webp=small.getvalue())

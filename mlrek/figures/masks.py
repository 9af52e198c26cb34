"""Masks over the images with the most wrong pixels: what was found, invented and missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlrek.evaluation import Evaluation, FloatArray, IntArray, MaskCounts, MaskPixel
from mlrek.figures import Pixels, ReadImages
from mlrek.figures.names import fit_name
from mlrek.figures.pictures import decode_picture
from mlrek.figures.plot import Line, add_legend
from mlrek.figures.style import (
    HEADER,
    INK,
    MARGIN,
    QUIET,
    TEXT_SIZE,
    WIDTH,
    Box,
    add_axes,
    add_header,
    add_text,
    new_figure,
)
from mlrek.metrics.counts import divide
from mlrek.palette import PALETTE

MAX_IMAGES: Final = 6
_COLUMNS: Final = 3
_LEGEND: Final = 44.0
_GAP: Final = 16.0
_LINE: Final = 28.0
_CAPTION: Final = 2 * _LINE + 6
_TALLEST: Final = 1.3
_PLAIN: Final = 0.93
_DARKEST: Final = 0.45  # of an image, so that dark areas stand out
_OPACITY: Final = 0.7
_ENLARGED: Final = 3
_SWATCH: Final = 12.0
_MARGIN: Final = 0.15
_SMALLEST_PART: Final = 0.4
_LOOKS: Final = {
    MaskPixel.AGREED: ("found", PALETTE[0]),
    MaskPixel.PREDICTED: ("false alarm", PALETTE[1]),
    MaskPixel.MISSED: ("missed", INK),
}
"""The colours of boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """One image: the part of it with masks laid over, its name, and the IoU of its masks."""

    pixels: FloatArray
    name: str
    iou: float


def draw_masks(evaluation: Evaluation, read_images: ReadImages | None = None) -> Figure | None:
    """The images whose masks agree least; None where there is no mistake, or no mask to show.

    What both masks have is blue, what the predicted one alone has orange, what the true one alone
    has dark: over the image where it can be read, else over grey.
    """
    masks = evaluation.masks
    if masks is None:
        return None
    iou = _compute_iou(masks)
    chosen = _choose_images(masks, iou)
    if not chosen:
        return None
    uris = [evaluation.images[i] for i in chosen]
    contents = repeat(b"", len(chosen)) if read_images is None else read_images(uris)
    scenes = [
        _Scene(
            pixels=_lay_over(masks.sketches[i], decode_picture(content)),
            name=uri.rpartition("/")[2] or uri,
            iou=float(iou[i]),
        )
        for i, uri, content in zip(chosen, uris, contents, strict=True)
    ]
    return _draw(evaluation, scenes)


def _compute_iou(masks: MaskCounts) -> FloatArray:
    """IoU of all labels' pixels of each image, (n_images,); NaN where neither mask has any."""
    agreed, either = np.zeros((2, len(masks.readable)))
    np.add.at(agreed, masks.image_idx, masks.tp)
    np.add.at(either, masks.image_idx, masks.tp + masks.fp + masks.fn)
    return divide(agreed, either)


def _choose_images(masks: MaskCounts, iou: FloatArray) -> list[int]:
    """Images with a sketch and a mistake, the worst first, the first of equal ones first.

    Of those that overlap nowhere the one with the most wrong pixels comes first.
    """
    wrong: IntArray = np.zeros(len(iou), dtype=np.int64)
    np.add.at(wrong, masks.image_idx, masks.fp + masks.fn)
    order = np.lexsort((-wrong, iou))
    shown = (i for i in order.tolist() if wrong[i] and i in masks.sketches)
    return [i for i, _ in zip(shown, range(MAX_IMAGES), strict=False)]


def _lay_over(sketch: NDArray[np.uint8], image: Pixels | None) -> FloatArray:
    """The masks over the image, in grey so that their colours stand out, (height, width, 3).

    Only the part around the masks is there: they may be small.
    """
    from PIL import Image

    large = sketch.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
    grey = np.full(large.shape, _PLAIN)
    if image is not None:
        alike = Image.fromarray(image).convert("L").resize(large.shape[::-1])
        grey = _DARKEST + (1 - _DARKEST) * np.asarray(alike, dtype=np.float64) / 255
    pixels = np.repeat(grey[..., np.newaxis], 3, axis=2)
    for code, (_, colour) in _LOOKS.items():
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        is_it = large == code
        pixels[is_it] = (1 - _OPACITY) * pixels[is_it] + _OPACITY * rgb
    return pixels[_find_part(large)]


def _find_part(sketch: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Where the masks are, with a margin, in the shape of the whole."""
    marked = np.argwhere(sketch != MaskPixel.NEITHER)
    size = np.array(sketch.shape)
    first, last = marked.min(axis=0), marked.max(axis=0) + 1
    share = min(1.0, max(_SMALLEST_PART, *((last - first) / size + _MARGIN)))
    room = np.ceil(share * size).astype(int)
    start = np.clip((first + last - room) // 2, 0, size - room)
    down, across = (slice(a, a + n) for a, n in zip(start.tolist(), room.tolist(), strict=True))
    return down, across


def _draw(evaluation: Evaluation, scenes: Sequence[_Scene]) -> Figure:
    side = (WIDTH - 2 * MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
    height = side * min(_TALLEST, max(len(s.pixels) / s.pixels.shape[1] for s in scenes))
    pitch = height + _CAPTION + _GAP / 2
    n_rows = -(-len(scenes) // _COLUMNS)
    figure = new_figure(HEADER + _LEGEND + n_rows * pitch + MARGIN / 2)
    facts = f"{len(scenes)} of {len(evaluation.images):,} images: least agreement first"
    add_header(figure, evaluation.version.name, facts)
    nothing = np.empty((0, 2))
    legend = [
        Line(points=nothing, colour=colour, legend=title, width=_SWATCH)
        for title, colour in _LOOKS.values()
    ]
    add_legend(figure, legend, HEADER, columns=(MARGIN, 232, 490))
    for k, scene in enumerate(scenes):
        left = MARGIN + (k % _COLUMNS) * (side + _GAP)
        top = HEADER + _LEGEND + (k // _COLUMNS) * pitch
        _add_scene(figure, Box(left, top, side, height), scene)
    return figure


def _add_scene(figure: Figure, box: Box, scene: _Scene) -> None:
    axes = add_axes(figure, box)
    axes.imshow(scene.pixels, interpolation="nearest")
    axes.set_anchor("NW")
    lines = (fit_name(scene.name, box.width, TEXT_SIZE), f"IoU {scene.iou:.2f}")
    for k, line in enumerate(lines):
        at = (box.left, box.top + box.height + (k + 0.5) * _LINE)
        add_text(figure, at, line, size=TEXT_SIZE, color=(INK, QUIET)[k])

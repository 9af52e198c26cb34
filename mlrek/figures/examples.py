"""The images with the worst mistakes: boxes or masks over them, found, invented and missed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray, IntArray, MaskCounts, MaskPixel
from mlrek.figures.pictures import PALETTE, Pixels, ReadImages, decode_picture
from mlrek.figures.style import (
    HEADER,
    INK,
    MARGIN,
    QUIET,
    TEXT_SIZE,
    WHITE,
    WIDTH,
    Box,
    Curve,
    LineStyle,
    add_axes,
    add_header,
    add_legend,
    add_text,
    fit_name,
    new_figure,
)
from mlrek.metrics import Predictions
from mlrek.metrics.counts import divide
from mlrek.text import display_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_BOX_IMAGES: Final = 12
MAX_MASK_IMAGES: Final = 6
_COLUMNS: Final = 3
_LEGEND: Final = 44.0
_GAP: Final = 16.0
_LINE: Final = 28.0
_PLAIN: Final = 0.93
_DARKEST: Final = 0.45  # of an image, so that dark areas stand out
_OPACITY: Final = 0.7
_ENLARGED: Final = 3
_SWATCH: Final = 12.0
_MARGIN: Final = 0.15
_SMALLEST_PART: Final = 0.4
_BOX_LOOKS: Final[dict[str, tuple[str, LineStyle]]] = {
    "TP": (PALETTE[0], "solid"),
    "FP": (PALETTE[1], "solid"),
    "FN": (INK, "dashed"),
}
_MASK_LOOKS: Final = {
    MaskPixel.AGREED: ("found", PALETTE[0]),
    MaskPixel.PREDICTED: ("false alarm", PALETTE[1]),
    MaskPixel.MISSED: ("missed", INK),
}
"""The colours of boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Heights in points of what goes with each image; `tallest` is height by width at most."""

    tallest: float
    caption: float
    below: float
    bottom: float
    legend: tuple[float, ...]


_BOX_LAYOUT: Final = _Layout(
    tallest=1.5, caption=20.0, below=_GAP, bottom=MARGIN, legend=(MARGIN, 232, 440)
)
_MASK_LAYOUT: Final = _Layout(
    tallest=1.3,
    caption=2 * _LINE + 6,
    below=_GAP / 2,
    bottom=MARGIN / 2,
    legend=(MARGIN, 232, 490),
)


class _Scene(Protocol):
    @property
    def pixels(self) -> NDArray[np.generic]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _BoxScene:
    """One image with its rows of the predictions."""

    pixels: NDArray[np.uint8]
    name: str
    rows: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _MaskScene:
    """One image: the part of it with masks laid over, its name, and the IoU of its masks."""

    pixels: FloatArray
    name: str
    iou: float


S = TypeVar("S", bound=_Scene)


def draw_boxes(
    evaluation: Evaluation, predictions: Predictions, read_images: ReadImages
) -> "Figure | None":
    """The images with the most false alarms and misses; None where none can be read.

    Found boxes are blue, false alarms orange, missed ones dashed. Only images with a mistake are
    shown, at most twelve.
    """
    chosen = _choose_by_boxes(predictions, len(evaluation.images))
    scenes = []
    for i, content in zip(chosen, read_images([evaluation.images[i] for i in chosen]), strict=True):
        pixels = decode_picture(content)
        if pixels is not None:
            name = _name_image(evaluation.images[i])
            scenes.append(_BoxScene(pixels=pixels, name=name, rows=predictions.image_idx == i))
    if not scenes:
        return None
    nothing = np.empty((0, 2))
    legend = [
        Curve(points=nothing, colour=colour, style=style, legend=title)
        for title, (colour, style) in zip(
            ("found", "false alarm", "missed"), _BOX_LOOKS.values(), strict=True
        )
    ]
    figure = _new_figure(evaluation, scenes, "most mistakes first", legend, _BOX_LAYOUT)
    shown = (evaluation, predictions)
    _add_scenes(scenes, _BOX_LAYOUT, lambda box, scene: _add_boxes(figure, box, scene, shown))
    return figure


def draw_masks(evaluation: Evaluation, read_images: ReadImages | None = None) -> "Figure | None":
    """The images whose masks agree least; None where there is no mistake, or no mask to show.

    What both masks have is blue, what the predicted one alone has orange, what the true one alone
    has dark: over the image where it can be read, else over grey.
    """
    masks = evaluation.masks
    if masks is None:
        return None
    iou = _compute_iou(masks)
    chosen = _choose_by_masks(masks, iou)
    if not chosen:
        return None
    uris = [evaluation.images[i] for i in chosen]
    contents = repeat(b"", len(chosen)) if read_images is None else read_images(uris)
    scenes = [
        _MaskScene(
            pixels=_lay_over(masks.sketches[i], decode_picture(content)),
            name=_name_image(uri),
            iou=float(iou[i]),
        )
        for i, uri, content in zip(chosen, uris, contents, strict=True)
    ]
    nothing = np.empty((0, 2))
    legend = [
        Curve(points=nothing, colour=colour, legend=title, width=_SWATCH)
        for title, colour in _MASK_LOOKS.values()
    ]
    figure = _new_figure(evaluation, scenes, "least agreement first", legend, _MASK_LAYOUT)
    _add_scenes(scenes, _MASK_LAYOUT, lambda box, scene: _add_masks(figure, box, scene))
    return figure


def _choose_by_boxes(predictions: Predictions, n_images: int) -> list[int]:
    """The images with the most mistakes, first of equal ones first."""
    wrong = np.array([outcome != "TP" for outcome in predictions.outcome], dtype=np.bool_)
    has_box = predictions.image_idx[wrong & ((predictions.y_true >= 0) | (predictions.y_pred >= 0))]
    mistakes = np.bincount(has_box, minlength=n_images)
    worst = np.argsort(-mistakes, kind="stable")[:MAX_BOX_IMAGES]
    return [int(i) for i in worst if mistakes[i]]


def _compute_iou(masks: MaskCounts) -> FloatArray:
    """IoU of all labels' pixels of each image, (n_images,); NaN where neither mask has any."""
    agreed, either = np.zeros((2, len(masks.readable)))
    np.add.at(agreed, masks.image_idx, masks.tp)
    np.add.at(either, masks.image_idx, masks.tp + masks.fp + masks.fn)
    return divide(agreed, either)


def _choose_by_masks(masks: MaskCounts, iou: FloatArray) -> list[int]:
    """Images with a sketch and a mistake, the worst first, the first of equal ones first.

    Of those that overlap nowhere the one with the most wrong pixels comes first.
    """
    wrong: IntArray = np.zeros(len(iou), dtype=np.int64)
    np.add.at(wrong, masks.image_idx, masks.fp + masks.fn)
    order = np.lexsort((-wrong, iou))
    shown = (i for i in order.tolist() if wrong[i] and i in masks.sketches)
    return [i for i, _ in zip(shown, range(MAX_MASK_IMAGES), strict=False)]


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
    for code, (_, colour) in _MASK_LOOKS.items():
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


def _new_figure(
    evaluation: Evaluation,
    scenes: Sequence[_Scene],
    order: str,
    legend: Sequence[Curve],
    layout: _Layout,
) -> "Figure":
    """The page without its images: the title, how many there are, and what the colours mean."""
    rows = -(-len(scenes) // _COLUMNS)
    pitch = _measure(scenes, layout)[1] + layout.caption + layout.below
    figure = new_figure(HEADER + _LEGEND + rows * pitch + layout.bottom)
    facts = f"{len(scenes)} of {len(evaluation.images):,} images: {order}"
    add_header(figure, evaluation.version.name, facts)
    add_legend(figure, legend, HEADER, columns=layout.legend)
    return figure


def _add_scenes(scenes: Sequence[S], layout: _Layout, add: Callable[[Box, S], None]) -> None:
    """Each image in its place, row by row."""
    side, height = _measure(scenes, layout)
    pitch = height + layout.caption + layout.below
    for k, scene in enumerate(scenes):
        left = MARGIN + (k % _COLUMNS) * (side + _GAP)
        top = HEADER + _LEGEND + (k // _COLUMNS) * pitch
        add(Box(left, top, side, height), scene)


def _measure(scenes: Sequence[_Scene], layout: _Layout) -> tuple[float, float]:
    """Width and height of the place of each image, in points."""
    side = (WIDTH - 2 * MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
    tallest = max(len(scene.pixels) / scene.pixels.shape[1] for scene in scenes)
    return side, side * min(layout.tallest, tallest)


def _name_image(uri: str) -> str:
    """Its file's name."""
    return uri.rpartition("/")[2] or uri


def _add_boxes(
    figure: "Figure", box: Box, scene: _BoxScene, shown: tuple[Evaluation, Predictions]
) -> None:
    evaluation, predictions = shown
    axes = add_axes(figure, box)
    rows, columns = scene.pixels.shape[:2]
    axes.imshow(scene.pixels, extent=(0, columns, rows, 0), interpolation="nearest")
    for row in np.flatnonzero(scene.rows):
        colour, style = _BOX_LOOKS.get(predictions.outcome[row], (INK, "dotted"))
        corners = _corners(evaluation, predictions, int(row), (columns, rows))
        if np.isnan(corners).any():
            continue
        left, top, right, bottom = corners
        corner, size = (left, top), (right - left, bottom - top)
        axes.add_patch(Rectangle(corner, *size, fill=False, ec=WHITE, lw=4.5))
        axes.add_patch(Rectangle(corner, *size, fill=False, ec=colour, lw=2.5, ls=style))
        code = max(predictions.y_pred[row], predictions.y_true[row])
        label = fit_name(display_label(evaluation.labels[code]), box.width / 3, TEXT_SIZE / 2)
        add_text(
            axes,
            (left, top),
            label,
            size=TEXT_SIZE / 2,
            color=colour,
            va="bottom",
            bbox={"facecolor": WHITE, "edgecolor": "none", "pad": 1.0},
        )
    caption = fit_name(scene.name, box.width, TEXT_SIZE * 0.7)
    at = (box.left, box.top + box.height + _BOX_LAYOUT.caption / 2)
    add_text(figure, at, caption, size=TEXT_SIZE * 0.7)


def _corners(
    evaluation: Evaluation, predictions: Predictions, row: int, size: tuple[int, int]
) -> FloatArray:
    """Left, top, right, bottom of a row's box, in pixels of the image as it was read."""
    if predictions.boxes_xyxy is None:
        return np.full(4, np.nan)
    corners = np.asarray(predictions.boxes_xyxy[row], dtype=np.float64)
    if evaluation.detections is None:
        return corners
    if evaluation.detections.normalized:
        return np.asarray(corners * np.array([*size, *size]))
    known = evaluation.detections.image_sizes[predictions.image_idx[row]]
    scale = np.array(size) / np.where(known > 0, known, size)
    return np.asarray(corners * np.tile(scale, 2))


def _add_masks(figure: "Figure", box: Box, scene: _MaskScene) -> None:
    axes = add_axes(figure, box)
    axes.imshow(scene.pixels, interpolation="nearest")
    axes.set_anchor("NW")
    lines = (fit_name(scene.name, box.width, TEXT_SIZE), f"IoU {scene.iou:.2f}")
    for k, line in enumerate(lines):
        at = (box.left, box.top + box.height + (k + 0.5) * _LINE)
        add_text(figure, at, line, size=TEXT_SIZE, color=(INK, QUIET)[k])

"""Boxes over the images with the most mistakes: what was found, invented and missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mlrek.evaluation import BoolArray, Evaluation, FloatArray
from mlrek.figures import ReadImages
from mlrek.figures.names import fit_name
from mlrek.figures.pictures import decode_picture
from mlrek.figures.plot import Line, add_legend
from mlrek.figures.style import (
    HEADER,
    INK,
    MARGIN,
    PAPER,
    TEXT_SIZE,
    WIDTH,
    Box,
    add_axes,
    add_header,
    add_text,
    new_figure,
)
from mlrek.label_keys import display_label
from mlrek.metrics import Predictions
from mlrek.palette import PALETTE

MAX_IMAGES: Final = 12
_COLUMNS: Final = 3
_LEGEND: Final = 44.0
_GAP: Final = 16.0
_CAPTION: Final = 20.0
_LOOKS: Final = {"TP": (PALETTE[0], "solid"), "FP": (PALETTE[1], "solid"), "FN": (INK, "dashed")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """One image with its rows of the predictions."""

    pixels: NDArray[np.uint8]
    name: str
    rows: BoolArray


def draw_boxes(
    evaluation: Evaluation, predictions: Predictions, read_images: ReadImages
) -> Figure | None:
    """The images with the most false alarms and misses; None where none can be read.

    Found boxes are blue, false alarms orange, missed ones dashed. Only images with a mistake are
    shown, at most twelve.
    """
    chosen = _choose_images(predictions, len(evaluation.images))
    scenes = []
    for i, content in zip(chosen, read_images([evaluation.images[i] for i in chosen]), strict=True):
        pixels = decode_picture(content)
        if pixels is not None:
            name = evaluation.images[i].rpartition("/")[2] or evaluation.images[i]
            scenes.append(_Scene(pixels=pixels, name=name, rows=predictions.image_idx == i))
    return _draw(evaluation, predictions, scenes) if scenes else None


def _choose_images(predictions: Predictions, n_images: int) -> list[int]:
    """The images with the most mistakes, first of equal ones first."""
    wrong = np.array([outcome != "TP" for outcome in predictions.outcome], dtype=np.bool_)
    has_box = predictions.image_idx[wrong & ((predictions.y_true >= 0) | (predictions.y_pred >= 0))]
    mistakes = np.bincount(has_box, minlength=n_images)
    worst = np.argsort(-mistakes, kind="stable")[:MAX_IMAGES]
    return [int(i) for i in worst if mistakes[i]]


def _draw(evaluation: Evaluation, predictions: Predictions, scenes: Sequence[_Scene]) -> Figure:
    side = (WIDTH - 2 * MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
    height = side * min(1.5, max(len(s.pixels) / s.pixels.shape[1] for s in scenes))
    pitch = height + _CAPTION + _GAP
    n_rows = -(-len(scenes) // _COLUMNS)
    figure = new_figure(HEADER + _LEGEND + n_rows * pitch + MARGIN)
    facts = f"{len(scenes)} of {len(evaluation.images):,} images: most mistakes first"
    add_header(figure, evaluation.version.name, facts)
    nothing = np.empty((0, 2))
    legend = [
        Line(points=nothing, colour=colour, style=style, legend=title)
        for title, (colour, style) in zip(
            ("found", "false alarm", "missed"), _LOOKS.values(), strict=True
        )
    ]
    add_legend(figure, legend, HEADER, columns=(MARGIN, 232, 440))
    for k, scene in enumerate(scenes):
        left = MARGIN + (k % _COLUMNS) * (side + _GAP)
        top = HEADER + _LEGEND + (k // _COLUMNS) * pitch
        _add_scene(figure, Box(left, top, side, height), scene, (evaluation, predictions))
    return figure


def _add_scene(
    figure: Figure, box: Box, scene: _Scene, shown: tuple[Evaluation, Predictions]
) -> None:
    evaluation, predictions = shown
    axes = add_axes(figure, box)
    rows, columns = scene.pixels.shape[:2]
    axes.imshow(scene.pixels, extent=(0, columns, rows, 0), interpolation="nearest")
    for row in np.flatnonzero(scene.rows):
        colour, style = _LOOKS.get(predictions.outcome[row], (INK, "dotted"))
        corners = _corners(evaluation, predictions, int(row), (columns, rows))
        if np.isnan(corners).any():
            continue
        left, top, right, bottom = corners
        corner, size = (left, top), (right - left, bottom - top)
        axes.add_patch(Rectangle(corner, *size, fill=False, ec=PAPER, lw=4.5))
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
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
        )
    caption = fit_name(scene.name, box.width, TEXT_SIZE * 0.7)
    at = (box.left, box.top + box.height + _CAPTION / 2)
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

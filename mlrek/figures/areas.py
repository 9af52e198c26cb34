"""How well the areas of each label agree: IoU with its interval, a dot and a line."""

from collections.abc import Sequence
from math import isnan
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlrek.evaluation import FloatArray, IntArray
from mlrek.figures.confusion import MAX_LABELS
from mlrek.figures.pictures import PALETTE
from mlrek.figures.style import (
    HEADER,
    INK,
    MARGIN,
    PAPER,
    QUIET,
    RULE,
    TEXT_SIZE,
    WIDTH,
    Box,
    add_axes,
    add_header,
    add_lines,
    add_text,
    describe_escapes,
    describe_images,
    fit_names,
    new_figure,
)
from mlrek.metrics import LabelScores, Metrics, Number
from mlrek.text import display_label, fmt

_ROW: Final = 48.0
_ROOMY_ROW: Final = 96.0
_ROOMY_PLOT: Final = 384.0  # of few labels: the charts page shows pictures in squares
_NAME_WIDTH: Final = 250.0
_VALUE_WIDTH: Final = 84.0
_GAP: Final = 16.0
_AXIS: Final = 84.0
_MEAN_LEGEND: Final = 40.0
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def draw_label_iou(metrics: Metrics, *, version: str) -> Figure | None:
    """IoU of each label with its 95 % interval, and the mean of all labels as a line.

    In label order; past 25 labels those with the smallest IoU. None where no label has one.
    """
    scores = metrics.per_label
    if scores is None or scores.iou is None or np.isnan(scores.iou).all():
        return None
    shown = _choose_labels(scores.iou)
    row = min(_ROOMY_ROW, max(_ROW, _ROOMY_PLOT / len(shown)))
    labels = [display_label(label) for label in metrics.labels]
    figure = new_figure(HEADER + _MEAN_LEGEND + len(shown) * row + _AXIS)
    facts = _describe_facts(metrics, len(shown)) + describe_escapes(labels)
    add_header(figure, version, facts)
    mean = metrics.aggregate.get("mean_iou", Number(value=np.nan))
    grid = Box(
        MARGIN + _NAME_WIDTH + _GAP,
        HEADER + _MEAN_LEGEND,
        WIDTH - 2 * MARGIN - _NAME_WIDTH - _VALUE_WIDTH - 2 * _GAP,
        len(shown) * row,
    )
    axes = _add_frame(figure, grid, len(shown))
    _add_mean(figure, axes, grid, mean)
    _add_dots(axes, scores, shown)
    names = fit_names(labels, _NAME_WIDTH, TEXT_SIZE)
    _add_rows(figure, grid, [names[i] for i in shown], scores.iou[shown])
    return figure


def _choose_labels(iou: FloatArray) -> IntArray:
    """All, or those with the smallest IoU, in label order; an undefined one is no small one."""
    worst = np.argsort(np.nan_to_num(iou, nan=2.0), kind="stable")[:MAX_LABELS]
    return np.sort(worst)


def _describe_facts(metrics: Metrics, shown: int) -> str:
    n = len(metrics.labels)
    of_labels = f" · the {shown} smallest of {n} labels" if shown < n else ""
    has_line = " · line: 95 % interval" if not of_labels else ""
    return f"{describe_images(metrics.test_images or 0)} · IoU{of_labels}{has_line}"


def _add_frame(figure: Figure, grid: Box, n: int) -> Axes:
    """Axes from 0 to 1 across and a row a label down, with a quiet grid."""
    axes = add_axes(figure, grid)
    axes.set_xlim(0, 1)
    axes.set_ylim(n, 0)
    rules = [np.array([(tick, 0), (tick, n)]) for tick in _TICKS]
    add_lines(axes, rules, color=RULE, linewidths=1.2, clip_on=False)
    centred: dict[str, Any] = {"size": TEXT_SIZE, "horizontalalignment": "center"}
    for tick in _TICKS:
        at = (grid.left + tick * grid.width, grid.top + grid.height + 22)
        add_text(figure, at, f"{tick:g}", **centred)
    title = (grid.left + grid.width / 2, grid.top + grid.height + 56)
    add_text(figure, title, "IoU, mean over images", color=QUIET, **centred)
    return axes


def _add_mean(figure: Figure, axes: Axes, grid: Box, mean: Number) -> None:
    if isnan(mean.value):
        return
    bottom = axes.get_ylim()[0]
    line = np.array([(mean.value, 0), (mean.value, bottom)])
    add_lines(axes, [line], color=INK, linewidths=2, linestyles="dashed", clip_on=False)
    at = (grid.left + mean.value * grid.width, grid.top - 20)
    side = "right" if mean.value > 0.5 else "left"  # noqa: PLR2004 half way
    add_text(figure, at, f"mean {fmt(mean.value)}", size=TEXT_SIZE, horizontalalignment=side)


def _add_dots(axes: Axes, scores: LabelScores, shown: IntArray) -> None:
    rows = np.arange(len(shown)) + 0.5
    if scores.iou_low is not None and scores.iou_high is not None:
        ends = zip(scores.iou_low[shown], scores.iou_high[shown], rows, strict=True)
        lines = [np.array([(low, y), (high, y)]) for low, high, y in ends if not isnan(low)]
        add_lines(axes, lines, color=PALETTE[0], linewidths=5, capstyle="butt", clip_on=False)
    assert scores.iou is not None  # noqa: S101 - for the type checker
    axes.plot(
        scores.iou[shown],
        rows,
        "o",
        markersize=13,
        markerfacecolor=PALETTE[0],
        markeredgecolor=PAPER,
        markeredgewidth=2,
        clip_on=False,
        scalex=False,
        scaley=False,
    )


def _add_rows(figure: Figure, grid: Box, names: Sequence[str], iou: FloatArray) -> None:
    """The name left of each row, and its number right of it."""
    for k, (name, value) in enumerate(zip(names, iou.tolist(), strict=True)):
        y = grid.top + (k + 0.5) * grid.height / len(names)
        look: dict[str, Any] = {"size": TEXT_SIZE, "verticalalignment": "center_baseline"}
        add_text(figure, (grid.left - _GAP, y), name, horizontalalignment="right", **look)
        number = fmt(value)
        add_text(figure, (WIDTH - MARGIN, y), number, horizontalalignment="right", **look)

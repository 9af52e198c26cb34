"""The frame of a line plot: both axes from 0 to 1, a grid, the lines, and a legend outside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlrek.figures.names import wrap_text
from mlrek.figures.style import (
    MARGIN,
    QUIET,
    RULE,
    TEXT_SIZE,
    WIDTH,
    Box,
    add_axes,
    add_lines,
    add_text,
)

LEGEND_ROW: Final = 36.0
NOTE_ROW: Final = 30.0

BELOW_PLOT: Final = 78.0
"""Room for numbers and axis title below a plot."""

_LEFT: Final = 116.0
_SAMPLE_WIDTH: Final = 44.0
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve, (n, 2) with NaN where it is broken, and what the legend says of it ('': nothing)."""

    points: NDArray[np.float64]
    colour: str
    legend: str
    width: float = 3.0
    style: str = "solid"


def add_plot(figure: Figure, top: float, height: float, titles: tuple[str, str]) -> Axes:
    """Axes from 0 to 1 with a quiet grid; `titles` are those of the x and the y axis."""
    box = Box(_LEFT, top, WIDTH - _LEFT - 1.5 * MARGIN, height)
    axes = add_axes(figure, box)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    rules = [np.array([(0, tick), (1, tick)]) for tick in _TICKS]
    rules += [np.array([(tick, 0), (tick, 1)]) for tick in _TICKS]
    add_lines(axes, rules, color=RULE, linewidths=1.2, clip_on=False)
    for tick in _TICKS:
        _add_tick(figure, box, tick)
    titled: dict[str, Any] = {"size": TEXT_SIZE, "color": QUIET, "horizontalalignment": "center"}
    below = (box.left + box.width / 2, box.top + box.height + 56)
    beside = (MARGIN + TEXT_SIZE / 2, box.top + box.height / 2)
    add_text(figure, below, titles[0], **titled)
    add_text(figure, beside, titles[1], rotation=90, **titled)
    return axes


def draw_line(axes: Axes, line: Line) -> None:
    """Draw a curve; the axes keep their limits."""
    axes.plot(
        *line.points.T,
        color=line.colour,
        linewidth=line.width,
        linestyle=line.style,
        marker="",
        solid_joinstyle="round",
        solid_capstyle="butt",
        clip_on=False,
        scalex=False,
        scaley=False,
    )


def notes_height(note: str) -> float:
    """The height that `add_notes` needs: at least two rows, so that versions line up."""
    return max(2, len(_wrap_note(note))) * NOTE_ROW if note else 0.0


def add_notes(figure: Figure, note: str, top: float) -> None:
    """A text over the whole width, in as many rows as it needs."""
    for i, row in enumerate(_wrap_note(note)):
        add_text(figure, (MARGIN, top + (i + 0.5) * NOTE_ROW), row, size=TEXT_SIZE)


def add_legend(figure: Figure, lines: Sequence[Line], top: float, columns: Sequence[float]) -> None:
    """A sample and a name for each line, row by row.

    Names must fit already; `columns` is where each column begins.
    """
    rows = ceil(len(lines) / len(columns))
    axes = add_axes(figure, Box(0, top, WIDTH, rows * LEGEND_ROW))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(rows * LEGEND_ROW, 0)
    for i, line in enumerate(lines):
        x, y = columns[i % len(columns)], (i // len(columns) + 0.5) * LEGEND_ROW
        draw_line(axes, replace(line, points=np.array([(x, y), (x + _SAMPLE_WIDTH, y)])))
        name = (x + _SAMPLE_WIDTH + 10, y)
        add_text(axes, name, line.legend, size=TEXT_SIZE, verticalalignment="center_baseline")


def _add_tick(figure: Figure, box: Box, tick: float) -> None:
    """The number of a tick below and beside the plot."""
    below = (box.left + tick * box.width, box.top + box.height + 22)
    beside = (box.left - 12, box.top + (1 - tick) * box.height)
    add_text(figure, below, f"{tick:g}", size=TEXT_SIZE, horizontalalignment="center")
    numbered: dict[str, Any] = {"size": TEXT_SIZE, "verticalalignment": "center_baseline"}
    add_text(figure, beside, f"{tick:g}", horizontalalignment="right", **numbered)


def _wrap_note(note: str) -> list[str]:
    return wrap_text(note, WIDTH - 2 * MARGIN, TEXT_SIZE)

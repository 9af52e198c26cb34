"""The heat map of what changed in a confusion matrix from one version to another."""

from dataclasses import replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlrek.comparison import ConfusionDifference
from mlrek.evaluation import FloatArray
from mlrek.figures.confusion import (
    EMPTY_CELL,
    MAX_LABELS,
    add_axis_titles,
    add_names,
    describe_heatmap,
    plan_layout,
)
from mlrek.figures.style import (
    INK,
    PAPER,
    Box,
    Numeral,
    add_axes,
    add_header,
    add_lines,
    add_numerals,
    describe_images,
    new_figure,
    text_width,
)
from mlrek.metrics import ConfusionMatrix
from mlrek.text import BACKGROUND_LABEL, display_label

# Okabe and Ito's blue and vermilion, told apart with any kind of colour vision.
_BETTER: Final = np.array([(222, 235, 247), (0, 114, 178)], dtype=np.float64)
_WORSE: Final = np.array([(253, 232, 220), (213, 94, 0)], dtype=np.float64)
_DARK: Final = 0.55  # past this share of the greatest change white has more contrast than ink
_LARGEST: Final = 40.0


def draw_confusion_difference(
    confusion: ConfusionDifference, *, baseline: str, candidate: str, images: int
) -> Figure:
    """Signed changes of counts, candidate minus baseline; cells without a change stay empty.

    Blue is better (more on the diagonal, less beside it), orange worse; the darker, the larger the
    change. Past 25 labels those with most changes, and `(other)`.

    Args:
        confusion: The difference on shared images.
        baseline: Name of the baseline.
        candidate: Name of the candidate.
        images: Number of shared images.
    """
    labels = len(confusion.labels) - confusion.n_own
    signed = ConfusionMatrix(
        counts=confusion.counts, rows=confusion.labels, columns=confusion.labels
    )
    sizes = replace(signed, counts=np.abs(confusion.counts))
    heatmap = describe_heatmap(signed, labels, shown=describe_heatmap(sizes, labels).shown)
    changes = heatmap.counts
    names = [display_label(label) for label in confusion.labels[:labels]]
    background = [name for name in confusion.labels[labels:] if name == BACKGROUND_LABEL]
    layout = plan_layout(names, MAX_LABELS, background)
    figure = new_figure(layout.height, scale=layout.scale)
    facts = f"{describe_images(images)} · blue: better, orange: worse"
    add_header(figure, f"{candidate} - {baseline}", facts)
    if changes.size:
        _add_grid(add_axes(figure, layout.grid), layout.grid, changes, len(heatmap.shown))
        add_names(figure, names, heatmap, layout)
    add_axis_titles(figure, layout)
    return figure


def _add_grid(axes: Axes, grid: Box, changes: NDArray[np.int64], n_labels: int) -> None:
    """Cells in data coordinates that are points, y pointing down."""
    rows, columns = changes.shape
    width, height = grid.width / columns, grid.height / rows
    shares = np.abs(changes) / max(1, np.abs(changes).max())
    colours = _colour(changes, shares, n_labels)
    axes.imshow(
        colours / 255,
        extent=(0, grid.width, grid.height, 0),
        aspect="auto",
        interpolation="nearest",
    )
    across = [np.array([(0, i * height), (grid.width, i * height)]) for i in range(1, rows)]
    down = [np.array([(j * width, 0), (j * width, grid.height)]) for j in range(1, columns)]
    add_lines(axes, across + down, color=PAPER, linewidths=1)
    places = np.argwhere(changes).tolist()
    texts = [f"{changes[i, j]:+d}" for i, j in places]
    widest = max((text_width(text, 1) for text in texts), default=1.0)
    size = min(_LARGEST, 0.5 * height, 0.86 * width / widest)
    for colour, is_dark in ((PAPER, True), (INK, False)):
        add_numerals(
            axes,
            (
                Numeral((j + 0.5) * width, (i + 0.5) * height, text, size)
                for (i, j), text in zip(places, texts, strict=True)
                if (shares[i, j] > _DARK) == is_dark
            ),
            colour,
        )


def _colour(changes: NDArray[np.int64], shares: FloatArray, n_labels: int) -> FloatArray:
    """Red, green and blue of each cell, 0 to 255."""
    wanted = -np.ones(changes.shape)
    diagonal = np.arange(min(n_labels, *changes.shape))
    wanted[diagonal, diagonal] = 1
    is_better = (changes * wanted > 0)[..., np.newaxis]
    ramps = [ends[0] + shares[..., np.newaxis] * (ends[1] - ends[0]) for ends in (_BETTER, _WORSE)]
    colours = np.where(is_better, *ramps)
    colours[changes == 0] = EMPTY_CELL
    return np.asarray(colours)

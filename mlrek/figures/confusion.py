"""The heat map of a confusion matrix, and that of what changed in one between two versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import QuadMesh
from numpy.typing import NDArray

from mlrek.comparison import ConfusionDifference
from mlrek.evaluation import BoolArray, FloatArray, IntArray
from mlrek.figures.style import (
    BLACK,
    HEADER,
    INK,
    MARGIN,
    PAPER,
    QUIET,
    TEXT_SIZE,
    WHITE,
    WIDTH,
    Box,
    Canvas,
    NewCanvas,
    Numeral,
    Plot,
    add_axes,
    add_header,
    add_lines,
    add_numerals,
    add_text,
    fit_name,
    fit_names,
    new_figure,
    say_escapes,
    say_images,
    text_width,
)
from mlrek.metrics import ConfusionMatrix
from mlrek.metrics.drawn_labels import MAX_LABELS, count_shown, find_drawn, find_most_confused
from mlrek.text import BACKGROUND_LABEL, OTHER_LABEL, display_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's blue and vermilion, told apart with any kind of colour vision.
_BETTER: Final = np.array([(222, 235, 247), (0, 114, 178)], dtype=np.float64)
_WORSE: Final = np.array([(253, 232, 220), (213, 94, 0)], dtype=np.float64)
_LARGEST_CHANGE: Final = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A matrix to be drawn.

    `counts` (rows, columns): first the labels `shown` (label codes), then our own rows and columns:
    `(other)`, which pools `pooled` labels, and those of the matrix that have any count. Of the cell
    where both are `(other)`, `others_right` have the same label twice; the rest is mixed up.
    """

    counts: NDArray[np.int64]
    shown: IntArray
    own_rows: tuple[str, ...]
    own_columns: tuple[str, ...]
    pooled: int
    others_right: int = 0

    @property
    def own(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Our own names of rows, and of columns."""
        return self.own_rows, self.own_columns

    @property
    def others(self) -> tuple[int, int] | None:
        """Right and mixed up among the others; None where there are none, or nothing of them."""
        if not self.pooled:
            return None
        place = len(self.shown)
        mixed_up = int(self.counts[place, place]) - self.others_right
        return (self.others_right, mixed_up) if self.others_right or mixed_up else None


_ROOMY_LABELS: Final = 12
_LARGE_SCALE: Final = 1.5
_SHORTEST_NAME: Final = 84.0  # room for `(other)`
_LONGEST_NAME: Final = 216.0
_SMALLEST_NAME_SIZE: Final = 17.0
_AXIS_TITLE: Final = 34.0
_GAP: Final = 10.0
_LARGEST_COUNT: Final = 40.0
_SMALLEST_COUNT: Final = 7.8
_PERCENT_SIZE: Final = 0.8
_HEIGHT: Final = 912  # of all matrices, so that versions with other labels line up too

# One hue from pale to dark (ColorBrewer's Blues): lightness alone carries the value. It changes
# fastest among small shares, where confusions are.
_RAMP_SHARES: Final = (0.0, 0.1, 0.35, 0.7, 1.0)
_RAMP: Final = np.array(
    [(213, 230, 247), (178, 208, 235), (107, 174, 214), (25, 100, 170), (8, 48, 107)], dtype=float
)
EMPTY_CELL: Final = (248, 249, 251)
OTHERS_CELL: Final = (214, 219, 226)
"""Where both are `(other)`: neither right nor wrong, so of no colour."""
_OTHERS_WORDS: Final = 13.0
_OTHERS_NOTE: Final = 20.0
_LINEAR_BELOW: Final = 0.04045  # of sRGB
_DARK: Final = 0.179  # below this luminance white has more contrast than black; either has 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes in points. They follow from the list of labels alone, so that versions line up."""

    height: float
    scale: float
    grid: Box
    name_width: float
    name_size: float
    rotation: int


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells to be drawn: counts, shares of the row, colours, and the size of one in points."""

    counts: NDArray[np.int64]
    shares: FloatArray
    colours: FloatArray
    width: float
    height: float


def draw_confusion_matrix(  # noqa: PLR0913 each is another thing
    confusion: ConfusionMatrix,
    *,
    labels: int,
    version: str,
    images: int,
    top_labels: int = 0,
    drawn_labels: Sequence[str] = (),
    new: NewCanvas = new_figure,
) -> Canvas:
    """Heat map with count and percent of the row in each cell; colour is the share of the row.

    Cells without a count stay empty. A row or column of our own is drawn only if it has any: the
    top label of an image is nearly always known, so most versions have none and line up.

    Args:
        confusion: The whole matrix; its first `labels` rows and columns are the labels.
        labels: Number of labels; what follows them is our own (`(none)`, …).
        version: Name of the version, the title.
        images: Number of images, in the line below the title.
        top_labels: Draw so many labels, those with most mistakes in their row and column (ties to
            the first); 0: all, up to 25.
        drawn_labels: Draw these where there are more, in this order: those chosen for all versions
            of the project.
        new: What it is drawn on.
    """
    chosen = find_drawn(confusion.rows[:labels], drawn_labels)
    heatmap = build_heatmap(confusion, labels, top_labels, chosen)
    names = [display_label(label) for label in confusion.rows[:labels]]
    background = [name for name in confusion.rows[labels:] if name == BACKGROUND_LABEL]
    layout = plan_layout(names, top_labels or MAX_LABELS, background)
    figure = new(layout.height, scale=layout.scale)
    facts = _say_facts(heatmap, images, is_chosen=chosen is not None)
    add_header(figure, version, facts + say_escapes(names))
    if heatmap.counts.size:
        _add_grid(add_axes(figure, layout.grid), _compute_cells(heatmap, layout.grid), heatmap)
        add_names(figure, names, heatmap.shown, heatmap.own, layout)
        add_others_note(figure, heatmap.others, layout)
    add_axis_titles(figure, layout)
    return figure


def format_percent(share: float) -> str:
    """A share above 0 in whole percent, rounded half up; never 0, and 100 only for all of it.

    >>> format_percent(0.125), format_percent(0.001), format_percent(0.999), format_percent(1.0)
    ('13%', '<1%', '>99%', '100%')
    """
    percent = floor(share * 100 + 0.5)
    if percent == 0:
        return "<1%"
    return ">99%" if percent == 100 and share < 1 else f"{percent}%"  # noqa: PLR2004 per cent


def colour_cells(counts: NDArray[np.int64]) -> FloatArray:
    """Red, green and blue (0 to 255) of each cell by its share of the row, (rows, columns, 3).

    The smallest share is still darker than a cell without a count.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = colour_shares(shares)
    colours[counts == 0] = EMPTY_CELL
    return colours


def colour_shares(shares: FloatArray) -> FloatArray:
    """Red, green and blue (0 to 255) of shares of a row: their last dimension is 3."""
    return np.stack([np.interp(shares, _RAMP_SHARES, _RAMP[:, i]) for i in range(3)], axis=-1)


def find_dark(colours: FloatArray) -> BoolArray:
    """Where white has more contrast than black."""
    return np.asarray(_luminance(colours) < _DARK)


def plan_layout(names: Sequence[str], most: int, background: Sequence[str]) -> Layout:
    """Room for the labels, and for the row and column that nearly all matrices of boxes have."""
    slots = min(len(names), most, MAX_LABELS) + 1
    roomy = slots <= _ROOMY_LABELS + 1
    fitted = [fit_name(name, 2 * _LONGEST_NAME, TEXT_SIZE) for name in (*names, *background)]
    longest = max((text_width(name, 1) for name in fitted), default=0.0)
    size = TEXT_SIZE if roomy else 0.74 * (WIDTH - 2 * MARGIN - _AXIS_TITLE - _LONGEST_NAME) / slots
    size = min(size, max(_SMALLEST_NAME_SIZE, _LONGEST_NAME / max(longest, 1)))
    name_width = min(max(longest * size + 1, _SHORTEST_NAME), _LONGEST_NAME)
    left = MARGIN + _AXIS_TITLE + name_width + _GAP
    side = WIDTH - left - MARGIN
    rotation = _choose_rotation(longest * size, side / slots, roomy=roomy)
    return Layout(
        height=_HEIGHT,
        scale=1.0 if roomy else _LARGE_SCALE,
        grid=Box(left, HEADER, side, side),
        name_width=name_width,
        name_size=size,
        rotation=rotation,
    )


def count_in_thousands(count: int) -> str:
    """A count in three digits at most.

    >>> count_in_thousands(999), count_in_thousands(1234), count_in_thousands(123456)
    ('999', '1.2k', '123k')
    """
    if count < 1000:  # noqa: PLR2004 a thousand
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"  # noqa: PLR2004 9.95k


def add_names(
    figure: Canvas,
    names: Sequence[str],
    shown: Iterable[int],
    own: tuple[Sequence[str], Sequence[str]],
    layout: Layout,
) -> None:
    """Labels left of the rows and below the columns, and our own names of both, quieter."""
    fitted = fit_names(names, layout.name_width, layout.name_size)
    labels = [(fitted[i], INK) for i in shown]
    rows, columns = ([*labels, *((name, QUIET) for name in ours)] for ours in own)
    grid, size = layout.grid, layout.name_size
    for i, (name, colour) in enumerate(rows):
        xy = (grid.left - _GAP, grid.top + (i + 0.5) * grid.height / len(rows))
        fitting = min(size, layout.name_width / text_width(name, 1))
        look = {"horizontalalignment": "right", "verticalalignment": "center_baseline"}
        add_text(figure, xy, name, size=fitting, color=colour, **look)
    pitch = grid.width / len(columns)
    for j, (name, colour) in enumerate(columns):
        xy = (grid.left + (j + 0.5) * pitch, grid.top + grid.height + _GAP)
        room = layout.name_width if layout.rotation else 0.95 * pitch
        fitting = min(size, room / text_width(name, 1))
        add_text(figure, xy, name, size=fitting, color=colour, **_look_below(layout.rotation))


def add_others_note(
    figure: Canvas, others: tuple[int, int] | None, layout: Layout, spec: str = ","
) -> None:
    """What the cell says where both are `(other)`, in words, left below the grid."""
    if others is None:
        return
    lines = ["(other), both:", *say_others(others, spec)]
    room = layout.grid.left - MARGIN - _GAP
    size = min(_OTHERS_NOTE, *(room / text_width(line, 1) for line in lines))
    top = layout.grid.top + layout.grid.height + 2 * _GAP + size
    for i, line in enumerate(lines):
        add_text(figure, (MARGIN, top + 1.35 * i * size), line, size=size, color=QUIET)


def say_others(others: tuple[int, int], spec: str = ",") -> list[str]:
    """What is right and what is mixed up among the others.

    >>> say_others((1188, 189))
    ['1,188 right', '189 mixed up']
    """
    return [f"{others[0]:{spec}} right", f"{others[1]:{spec}} mixed up"]


def add_axis_titles(figure: Canvas, layout: Layout) -> None:
    """What rows and columns are."""
    grid = layout.grid
    look: dict[str, Any] = {"size": TEXT_SIZE, "color": QUIET, "horizontalalignment": "center"}
    left = (MARGIN + TEXT_SIZE / 2, grid.top + grid.height / 2)
    below = (grid.left + grid.width / 2, layout.height - MARGIN / 2 - TEXT_SIZE / 2)
    add_text(figure, left, "True", rotation=90, **look)
    add_text(figure, below, "Predicted", **look)


def build_heatmap(
    confusion: ConfusionMatrix,
    labels: int,
    top_labels: int = 0,
    shown: IntArray | None = None,
    *,
    has_all_own: bool = False,
) -> Heatmap:
    """Leave out empty rows and columns of our own, and pool all but the most confused labels.

    Args:
        confusion: Its first `labels` rows and columns are the labels.
        labels: Number of labels; what follows them is our own.
        top_labels: Show so many, if there are more; 0: all, up to `MAX_LABELS`.
        shown: Show these labels, in this order.
        has_all_own: Show our own rows and columns though they are empty.

    Returns:
        A heat map whose counts have the same sum as those of the matrix.
    """
    counts = confusion.counts
    own_rows, own_columns = (np.arange(labels, size) for size in counts.shape)
    if shown is None:
        most = count_shown(labels, top_labels)
        shown = np.arange(labels) if most == labels else find_most_confused(counts, labels, most)
    if not has_all_own:
        own_rows = labels + np.flatnonzero(counts.sum(axis=1)[labels:])
        own_columns = labels + np.flatnonzero(counts.sum(axis=0)[labels:])
    other = (OTHER_LABEL,) if len(shown) < labels else ()
    places = (
        _place(counts.shape[0], shown, own_rows, len(other)),
        _place(counts.shape[1], shown, own_columns, len(other)),
    )
    size = [len(shown) + len(other) + len(own) for own in (own_rows, own_columns)]
    pooled = np.zeros(size, dtype=np.int64)
    np.add.at(pooled, np.ix_(*places), counts)
    return Heatmap(
        counts=pooled,
        shown=shown,
        own_rows=(*other, *(confusion.rows[i] for i in own_rows)),
        own_columns=(*other, *(confusion.columns[i] for i in own_columns)),
        pooled=labels - len(shown),
        others_right=int(np.diagonal(counts)[:labels].sum() - counts[shown, shown].sum()),
    )


def draw_confusion_difference(
    confusion: ConfusionDifference,
    *,
    baseline: str,
    candidate: str,
    images: int,
    drawn_labels: Sequence[str] = (),
) -> "Figure":
    """Signed changes of counts, candidate minus baseline; cells without a change stay empty.

    Blue is better (more on the diagonal, less off it), orange worse; the darker, the larger the
    change. Past 25 labels `drawn_labels`, else those with most changes, and `(other)`.

    Args:
        confusion: The difference on shared images.
        baseline: Name of the baseline.
        candidate: Name of the candidate.
        images: Number of shared images.
        drawn_labels: Those that the matrices of both are drawn with.
    """
    labels = len(confusion.labels) - confusion.n_own
    signed = ConfusionMatrix(
        counts=confusion.counts, rows=confusion.labels, columns=confusion.labels
    )
    sizes = replace(signed, counts=np.abs(confusion.counts))
    chosen = find_drawn(confusion.labels[:labels], drawn_labels)
    shown = build_heatmap(sizes, labels).shown if chosen is None else chosen
    heatmap = build_heatmap(signed, labels, shown=shown, has_all_own=True)
    changes = heatmap.counts
    names = [display_label(label) for label in confusion.labels[:labels]]
    background = [name for name in confusion.labels[labels:] if name == BACKGROUND_LABEL]
    layout = plan_layout(names, MAX_LABELS, background)
    figure = new_figure(layout.height, scale=layout.scale)
    facts = f"{say_images(images)} · blue: better, orange: worse"
    add_header(figure, f"{candidate} - {baseline}", facts)
    if changes.size:
        _add_changes(add_axes(figure, layout.grid), layout.grid, heatmap)
        add_names(figure, names, heatmap.shown, heatmap.own, layout)
        add_others_note(figure, heatmap.others, layout, "+,")
    add_axis_titles(figure, layout)
    return figure


def _say_facts(heatmap: Heatmap, images: int, *, is_chosen: bool) -> str:
    if not heatmap.pooled:
        return f"{say_images(images)} · % and colour: share of the row"
    shown, labels = len(heatmap.shown), len(heatmap.shown) + heatmap.pooled
    if is_chosen:
        return f"{say_images(images)} · {shown} of {labels} labels, the same in all versions"
    return f"{say_images(images)} · the {shown} most confused of {labels} labels"


def _choose_rotation(longest: float, pitch: float, *, roomy: bool) -> int:
    if not roomy:
        return 90
    return 0 if longest <= 0.9 * pitch else 45


def _compute_cells(heatmap: Heatmap, grid: Box) -> _Cells:
    rows, columns = heatmap.counts.shape
    shares = heatmap.counts / np.maximum(heatmap.counts.sum(axis=1, keepdims=True), 1)
    colours = colour_cells(heatmap.counts)
    if heatmap.others:
        colours[len(heatmap.shown), len(heatmap.shown)] = OTHERS_CELL
    return _Cells(heatmap.counts, shares, colours, grid.width / columns, grid.height / rows)


def _add_grid(axes: Plot, cells: _Cells, heatmap: Heatmap) -> None:
    """The cells with their texts, and a wide gap before what is no label of the model."""
    across, down = _add_cells(axes, cells.colours, cells.width, cells.height)
    n = len(heatmap.shown)
    first_own = across[n - 1 : n] * bool(heatmap.own_rows) + down[n - 1 : n] * bool(
        heatmap.own_columns
    )
    add_lines(axes, first_own, color=PAPER, linewidths=6)
    _add_cell_texts(axes, cells, n if heatmap.others else -1)
    if heatmap.others:
        _add_others(axes, heatmap.others, cells, n)


def _add_others(
    axes: Plot, others: tuple[int, int], cells: _Cells, place: int, spec: str = ","
) -> None:
    """The two numbers of the cell where both are `(other)`: in words, if they fit."""
    texts, fitting = say_others(others, spec), 0.92 * cells.width
    size = min(0.3 * cells.height, fitting / max(text_width(text, 1) for text in texts))
    if size < _OTHERS_WORDS:
        sign = "+" if "+" in spec else ""
        texts = [(sign if n > 0 else "-" * (n < 0)) + count_in_thousands(abs(n)) for n in others]
        size = min(0.36 * cells.height, fitting / max(text_width(text, 1) for text in texts))
    x, y = (place + 0.5) * cells.width, (place + 0.5) * cells.height
    look = {"horizontalalignment": "center", "color": BLACK}
    for text, line in zip(texts, (-0.62, 0.62), strict=True):
        add_text(axes, (x, y + line * size), text, size=min(size, TEXT_SIZE), **look)


def _add_cells(
    axes: Plot, colours: FloatArray, width: float, height: float
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Draw cells in data coordinates that are points, y pointing down; the lines between them."""
    rows, columns = colours.shape[:2]
    right, bottom = columns * width, rows * height
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, 0)
    corners = np.meshgrid(np.arange(columns + 1) * width, np.arange(rows + 1) * height)
    faces = colours.reshape(-1, 3) / 255
    axes.add_collection(QuadMesh(np.stack(corners, axis=-1), facecolors=faces), autolim=False)
    across = [np.array([(0, i * height), (right, i * height)]) for i in range(1, rows)]
    down = [np.array([(j * width, 0), (j * width, bottom)]) for j in range(1, columns)]
    add_lines(axes, across + down, color=PAPER, linewidths=1)
    return across, down


def _add_cell_texts(axes: Plot, cells: _Cells, others: int) -> None:
    """Counts and percent; the cell at the place `others` has texts of its own."""
    places = np.array(
        [at for at in np.argwhere(cells.counts) if at[0] != others or at[1] != others]
    )
    texts, size = _fit_counts([int(cells.counts[i, j]) for i, j in places], cells)
    is_dark = find_dark(cells.colours)
    numerals: dict[str, list[Numeral]] = {WHITE: [], BLACK: []}
    for (i, j), count in zip(places.tolist(), texts, strict=True):
        x, y = (j + 0.5) * cells.width, (i + 0.5) * cells.height
        percent = format_percent(float(cells.shares[i, j]))
        numerals[WHITE if is_dark[i, j] else BLACK] += (
            Numeral(x, y - 0.55 * size, count, size),
            Numeral(x, y + 0.6 * size, percent, _PERCENT_SIZE * size),
        )
    for colour, shapes in numerals.items():
        add_numerals(axes, shapes, colour)


def _fit_counts(counts: Sequence[int], cells: _Cells) -> tuple[list[str], float]:
    """The counts as text and the one size that lets all of them fit; in thousands if it must."""
    exact, rough = [f"{n:,}" for n in counts], [count_in_thousands(n) for n in counts]
    size = _fit_size(exact, cells)
    return (exact, size) if size >= _SMALLEST_COUNT else (rough, _fit_size(rough, cells))


def _fit_size(texts: Sequence[str], cells: _Cells) -> float:
    widest = max(text_width(text, 1) for text in (*texts, "100%"))
    return min(_LARGEST_COUNT, 0.36 * cells.height, 0.86 * cells.width / widest)


def _luminance(colours: FloatArray) -> FloatArray:
    """Relative luminance (WCAG 2) of sRGB colours given as 0 to 255."""
    share = colours / 255
    linear = np.where(share <= _LINEAR_BELOW, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ (0.2126, 0.7152, 0.0722))


def _look_below(rotation: int) -> dict[str, Any]:
    return {
        "rotation": rotation,
        "rotation_mode": "anchor" if rotation == 45 else "default",  # noqa: PLR2004 degrees
        "horizontalalignment": "right" if rotation == 45 else "center",  # noqa: PLR2004 degrees
        "verticalalignment": "top",
    }


def _place(n: int, shown: IntArray, own: IntArray, n_other: int) -> IntArray:
    """Where each of n rows stands in the heat map, (n,).

    What is neither shown nor ours is in the row of the others; without one it has no counts.
    """
    places = np.full(n, len(shown) if n_other else 0)
    places[shown] = np.arange(len(shown))
    places[own] = len(shown) + n_other + np.arange(len(own))
    return places


def _add_changes(axes: Plot, grid: Box, heatmap: Heatmap) -> None:
    """The cells of the changes, each with its number."""
    changes, n_labels = heatmap.counts.copy(), len(heatmap.shown)
    if heatmap.others:
        changes[n_labels, n_labels] = 0
    rows, columns = changes.shape
    width, height = grid.width / columns, grid.height / rows
    shares = np.abs(changes) / max(1, np.abs(changes).max())
    colours = _colour_changes(changes, shares, n_labels)
    if heatmap.others:
        colours[n_labels, n_labels] = OTHERS_CELL
    _add_cells(axes, colours, width, height)
    places = np.argwhere(changes).tolist()
    texts = [f"{changes[i, j]:+d}" for i, j in places]
    widest = max((text_width(text, 1) for text in texts), default=1.0)
    size = min(_LARGEST_CHANGE, 0.5 * height, 0.86 * width / widest)
    needs_white = find_dark(colours)
    for colour, is_dark in ((WHITE, True), (BLACK, False)):
        add_numerals(
            axes,
            (
                Numeral((j + 0.5) * width, (i + 0.5) * height, text, size)
                for (i, j), text in zip(places, texts, strict=True)
                if needs_white[i, j] == is_dark
            ),
            colour,
        )
    if heatmap.others:
        cells = _Cells(changes, shares, colours, width, height)
        _add_others(axes, heatmap.others, cells, n_labels, "+,")


def _colour_changes(changes: NDArray[np.int64], shares: FloatArray, n_labels: int) -> FloatArray:
    """Red, green and blue of each cell, 0 to 255."""
    wanted = -np.ones(changes.shape)
    diagonal = np.arange(min(n_labels, *changes.shape))
    wanted[diagonal, diagonal] = 1
    is_better = (changes * wanted > 0)[..., np.newaxis]
    ramps = [ends[0] + shares[..., np.newaxis] * (ends[1] - ends[0]) for ends in (_BETTER, _WORSE)]
    colours = np.where(is_better, *ramps)
    colours[changes == 0] = EMPTY_CELL
    return np.asarray(colours)

"""Charts of numbers: over the threshold, precision against recall, and IoU of each label."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, isnan
from typing import Any, Final

import numpy as np

from mlrek.evaluation import FloatArray, IntArray
from mlrek.figures.pictures import PALETTE
from mlrek.figures.style import (
    BELOW_PLOT,
    HEADER,
    INK,
    LEGEND_ROW,
    MARGIN,
    QUIET,
    RULE,
    TEXT_SIZE,
    WIDTH,
    Box,
    Canvas,
    Curve,
    LineStyle,
    NewCanvas,
    Plot,
    add_axes,
    add_dots,
    add_header,
    add_legend,
    add_lines,
    add_notes,
    add_plot,
    add_text,
    draw_line,
    fit_names,
    new_figure,
    notes_height,
    say_escapes,
    say_images,
)
from mlrek.metrics import LabelScores, Metrics, Number, PrecisionRecallCurve, ThresholdCurves
from mlrek.metrics.counts import score_all_labels
from mlrek.metrics.drawn_labels import MAX_LABELS
from mlrek.text import display_label, fmt

_THRESHOLD_PLOT: Final = 470.0
_RECALL_PLOT: Final = 560.0
_PALE: Final = "#a3adb9"
_STYLES: Final[tuple[LineStyle, ...]] = ("solid", "dashed", "dotted", "dashdot")
_FIRST_COLOURS: Final = 4
_NAME_WIDTH: Final = 332.0
_AVERAGE_WIDTH: Final = 126.0  # `, AP 0.123` after a name

_ROW: Final = 48.0
_ROOMY_ROW: Final = 96.0
_ROOMY_PLOT: Final = 384.0  # of few labels: the charts page shows pictures in squares
_IOU_NAME_WIDTH: Final = 250.0
_VALUE_WIDTH: Final = 84.0
_GAP: Final = 16.0
_AXIS: Final = 84.0
_MEAN_LEGEND: Final = 40.0
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)


def draw_threshold_curves(
    curves: ThresholdCurves, *, version: str, images: int, new: NewCanvas = new_figure
) -> Canvas:
    """Precision, recall and F1 of all labels together over the threshold, the best F1 marked.

    Undefined points are left out. Where the records stop is said below the plot, and no best F1 is
    marked: below that point hits are recorded and false alarms are not.
    """
    precision, recall, f1 = score_all_labels(curves)
    best = None if curves.stops_at or np.isnan(f1).all() else int(np.nanargmax(f1))
    legend = "F1" if best is None else f"F1, best {f1[best]:.3f} at {curves.thresholds[best]:.2f}"
    lines = [
        Curve(points=_over(curves, precision), colour=PALETTE[0], legend="precision"),
        Curve(points=_over(curves, recall), colour=PALETTE[1], legend="recall", style="dashed"),
        Curve(points=_over(curves, f1), colour=INK, legend=legend, width=4.5),
    ]
    plot_top = HEADER + LEGEND_ROW + MARGIN
    bottom = plot_top + _THRESHOLD_PLOT + BELOW_PLOT
    figure = new(bottom + notes_height(curves.stops_at) + MARGIN / 2)
    add_header(figure, version, f"{say_images(images)} · all labels together (micro)")
    add_legend(figure, lines, HEADER, columns=(MARGIN, 232, 402))
    axes = add_plot(figure, plot_top, _THRESHOLD_PLOT, ("Confidence threshold", "Score"))
    for line in lines:
        draw_line(axes, line)
    if best is not None:
        _mark(axes, float(curves.thresholds[best]), float(f1[best]))
    add_notes(figure, curves.stops_at, bottom)
    return figure


def draw_precision_recall(
    curves: Sequence[PrecisionRecallCurve],
    *,
    labels: int,
    version: str,
    images: int,
    stops_at: str = "",
    new: NewCanvas = new_figure,
) -> Canvas:
    """Precision against recall: all labels together in bold, single labels thin.

    Up to seven labels have a colour; of more, the seven with the smallest area under their curve.

    Args:
        curves: All labels together, then single labels in label order.
        labels: Number of labels of the version, which may be more than there are curves.
        version: Name of the version, the title.
        images: Number of images, in the line below the title.
        stops_at: Where the records stop, said below the plot.
        new: What it is drawn on.
    """
    single = curves[1:]
    pale, coloured = _label_lines(single)
    bold = [_over_recall(curve, "micro", INK, width=5.5) for curve in curves[:1]]
    legend = [*bold, *coloured, *_list_pale(len(pale))]
    plot_bottom = HEADER + _RECALL_PLOT + BELOW_PLOT + MARGIN / 4
    legend_bottom = plot_bottom + ceil(len(legend) / 2) * LEGEND_ROW + MARGIN / 4
    figure = new(legend_bottom + notes_height(stops_at) + MARGIN / 2)
    of_labels = f"{len(single)} of {labels} labels" if len(single) < labels else f"{labels} labels"
    escapes = say_escapes([curve.label for curve in single])
    add_header(figure, version, f"{say_images(images)} · {of_labels}{escapes}")
    axes = add_plot(figure, HEADER, _RECALL_PLOT, ("Recall", "Precision"))
    for line in (*pale, *coloured, *bold):
        draw_line(axes, line)
    add_legend(figure, legend, plot_bottom, columns=(MARGIN, WIDTH / 2))
    add_notes(figure, stops_at, legend_bottom)
    return figure


def draw_label_iou(
    metrics: Metrics, *, version: str, new: NewCanvas = new_figure
) -> "Canvas | None":
    """IoU of each label with its 95 % interval, and the mean of all labels as a line.

    In label order; past 25 labels those with the smallest IoU. None where no label has one.
    """
    scores = metrics.per_label
    if scores is None or scores.iou is None or np.isnan(scores.iou).all():
        return None
    shown = _choose_labels(scores.iou)
    row = min(_ROOMY_ROW, max(_ROW, _ROOMY_PLOT / len(shown)))
    labels = [display_label(label) for label in metrics.labels]
    figure = new(HEADER + _MEAN_LEGEND + len(shown) * row + _AXIS)
    facts = _describe_facts(metrics, len(shown)) + say_escapes(labels)
    add_header(figure, version, facts)
    mean = metrics.aggregate.get("mean_iou", Number(value=np.nan))
    grid = Box(
        MARGIN + _IOU_NAME_WIDTH + _GAP,
        HEADER + _MEAN_LEGEND,
        WIDTH - 2 * MARGIN - _IOU_NAME_WIDTH - _VALUE_WIDTH - 2 * _GAP,
        len(shown) * row,
    )
    axes = _add_frame(figure, grid, len(shown))
    _add_mean(figure, axes, grid, mean)
    _add_dots(axes, scores, shown)
    names = fit_names(labels, _IOU_NAME_WIDTH, TEXT_SIZE)
    _add_rows(figure, grid, [names[i] for i in shown], scores.iou[shown])
    return figure


def _over(curves: ThresholdCurves, scores: FloatArray) -> FloatArray:
    return np.column_stack([curves.thresholds, scores])


def _mark(axes: Plot, x: float, y: float) -> None:
    """A dot on a curve, with a line down to the axis."""
    add_lines(axes, [np.array([(x, 0), (x, y)])], color=INK, linewidths=1.5, linestyles="dotted")
    add_dots(axes, np.array([(x, y)]), INK)


def _label_lines(curves: Sequence[PrecisionRecallCurve]) -> tuple[list[Curve], list[Curve]]:
    """The pale lines, and in label order the coloured ones.

    The look of a label follows from its place, so that it is the same in every version.
    """
    areas = [np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision) for curve in curves]
    by_area = sorted(range(len(curves)), key=areas.__getitem__)
    any_average = any(not isnan(curve.average_precision) for curve in curves)
    width = _NAME_WIDTH - (_AVERAGE_WIDTH if any_average else 0)
    names = fit_names([display_label(curve.label) for curve in curves], width, TEXT_SIZE)
    pale = [_over_recall(curves[i], "", _PALE, width=1.5) for i in by_area[len(PALETTE) :]]
    coloured = [
        replace(
            _over_recall(curves[i], names[i], PALETTE[i % len(PALETTE)], width=2.5),
            style=_choose_style(i),
        )
        for i in sorted(by_area[: len(PALETTE)])
    ]
    return pale, coloured


def _choose_style(place: int) -> LineStyle:
    """Colours that look alike to a colour-blind eye have another style."""
    turn, colour = divmod(place, len(PALETTE))
    return _STYLES[(2 * turn + turn // 2 + (colour >= _FIRST_COLOURS)) % len(_STYLES)]


def _over_recall(curve: PrecisionRecallCurve, name: str, colour: str, *, width: float) -> Curve:
    """A curve as the steps that its average precision is the area of.

    Before the first hit there is no area: precision and recall are both 0.
    """
    hit = curve.recall > 0
    recall = np.concatenate([[0.0], np.repeat(curve.recall[hit], 2)])[: 2 * hit.sum()]
    precision = np.repeat(curve.precision[hit], 2)
    average = curve.average_precision
    return Curve(
        points=np.column_stack([recall, precision]),
        colour=colour,
        legend=name if isnan(average) or not name else f"{name}, AP {average:.3f}",
        width=width,
    )


def _list_pale(n: int) -> list[Curve]:
    text = f"{n} more label{'' if n == 1 else 's'}"
    return [Curve(points=np.empty((0, 2)), colour=_PALE, legend=text, width=1.5)] if n else []


def _choose_labels(iou: FloatArray) -> IntArray:
    """All, or those with the smallest IoU, in label order; an undefined one is no small one."""
    worst = np.argsort(np.nan_to_num(iou, nan=2.0), kind="stable")[:MAX_LABELS]
    return np.sort(worst)


def _describe_facts(metrics: Metrics, shown: int) -> str:
    n = len(metrics.labels)
    of_labels = f" · the {shown} smallest of {n} labels" if shown < n else ""
    has_line = " · line: 95 % interval" if not of_labels else ""
    return f"{say_images(metrics.test_images or 0)} · IoU{of_labels}{has_line}"


def _add_frame(figure: Canvas, grid: Box, n: int) -> Plot:
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


def _add_mean(figure: Canvas, axes: Plot, grid: Box, mean: Number) -> None:
    if isnan(mean.value):
        return
    bottom = axes.get_ylim()[0]
    line = np.array([(mean.value, 0), (mean.value, bottom)])
    add_lines(axes, [line], color=INK, linewidths=2, linestyles="dashed", clip_on=False)
    at = (grid.left + mean.value * grid.width, grid.top - 20)
    side = "right" if mean.value > 0.5 else "left"  # noqa: PLR2004 half way
    add_text(figure, at, f"mean {fmt(mean.value)}", size=TEXT_SIZE, horizontalalignment=side)


def _add_dots(axes: Plot, scores: LabelScores, shown: IntArray) -> None:
    rows = np.arange(len(shown)) + 0.5
    if scores.iou_low is not None and scores.iou_high is not None:
        ends = zip(scores.iou_low[shown], scores.iou_high[shown], rows, strict=True)
        lines = [np.array([(low, y), (high, y)]) for low, high, y in ends if not isnan(low)]
        add_lines(axes, lines, color=PALETTE[0], linewidths=5, capstyle="butt", clip_on=False)
    assert scores.iou is not None  # noqa: S101 - for the type checker
    add_dots(axes, np.column_stack([scores.iou[shown], rows]), PALETTE[0])


def _add_rows(figure: Canvas, grid: Box, names: Sequence[str], iou: FloatArray) -> None:
    """The name left of each row, and its number right of it."""
    for k, (name, value) in enumerate(zip(names, iou.tolist(), strict=True)):
        y = grid.top + (k + 0.5) * grid.height / len(names)
        look: dict[str, Any] = {"size": TEXT_SIZE, "verticalalignment": "center_baseline"}
        add_text(figure, (grid.left - _GAP, y), name, horizontalalignment="right", **look)
        number = fmt(value)
        add_text(figure, (WIDTH - MARGIN, y), number, horizontalalignment="right", **look)

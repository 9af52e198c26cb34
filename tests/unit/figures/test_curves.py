"""Curves over the threshold, and precision against recall."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest
from matplotlib.lines import Line2D

from mlrek.figures.style import render_rgb

ALL_TOGETHER, PALE = "#1f2933", "#a3adb9"


@pytest.fixture
def draw_curves(make_metrics, draw_figures):
    """Draws the curves over the threshold."""

    def draw(curves, version="v", images=2):
        metrics = make_metrics(curves=curves, images=images)
        return draw_figures(metrics, version)["threshold_curves.png"]

    return draw


@pytest.fixture
def draw_recall(make_metrics, draw_figures):
    """Draws precision against recall of so many labels, on four images."""

    def draw(curves, labels, version="v"):
        metrics = make_metrics(precision_recall=tuple(curves), labels=labels, images=4)
        return draw_figures(metrics, version)["precision_recall.png"]

    return draw


def drawn_lines(figure):
    """Points of each line of the plot (not of the legend), by colour."""
    plot = next(axes for axes in figure.axes if axes.get_xlim() == (0, 1))
    return {
        line.get_color(): np.column_stack([line.get_xdata(), line.get_ydata()]).tolist()
        for line in plot.findobj(Line2D)
        if len(line.get_xdata()) > 1 and line.get_linestyle() != "None"
    }


def test_curves_of_all_labels_together(curves, draw_curves):
    """At 0: 2 TP, 2 FP; at 0.5: 2 TP, 1 FP; at 1 nothing is predicted: precision is left out."""
    lines = drawn_lines(draw_curves(curves))
    assert lines["#0072B2"][:2] == [[0, 0.5], [0.5, pytest.approx(2 / 3)]]
    assert np.isnan(lines["#0072B2"][2][1])
    assert lines["#D55E00"] == [[0, 1], [0.5, 1], [1, 0]]
    assert lines["#1f2933"] == [[0, pytest.approx(2 / 3)], [0.5, pytest.approx(0.8)], [1, 0]]


def test_the_best_f1_is_named(curves, texts_of, draw_curves):
    """Its value and its threshold stand in the legend, n in the header."""
    texts = texts_of(draw_curves(curves, "v9"))
    assert texts[:2] == ["v9", "n = 2 images · all labels together (micro)"]
    assert "F1, best 0.800 at 0.50" in texts


def test_where_records_stop_is_said(curves, texts_of, draw_curves):
    """The note stands below the plot, in as many lines as it needs."""
    note = "records stop at the assumed thresholds (0.1 to 0.9): below them only misses are there"
    texts = texts_of(draw_curves(replace(curves, stops_at=note)))
    assert note in " ".join(texts)


def test_no_best_f1_is_named_where_records_stop(curves, texts_of, draw_curves):
    """Without the false alarms below a threshold the best F1 is not known."""
    figure = draw_curves(replace(curves, stops_at="at 0.5"))
    assert "F1" in texts_of(figure)


def test_a_longer_note_does_not_shift_anything(curves, draw_curves):
    """Pictures of versions with one and with two rows of notes have one size."""
    one, two = (
        draw_curves(replace(curves, stops_at=note))
        for note in ("records stop at 0.5", "records stop somewhere " * 4)
    )
    assert one.get_size_inches().tolist() == two.get_size_inches().tolist()


def test_nothing_defined_is_an_empty_plot(curves, texts_of, draw_curves):
    """Without a single record or true label there is no best F1 and no warning."""
    nothing = np.zeros((3, 2), dtype=np.int64)
    figure = draw_curves(replace(curves, tp=nothing, fp=nothing, fn=nothing), images=0)
    render_rgb(figure)
    assert "F1" in texts_of(figure)


def test_precision_is_drawn_as_steps(recall_curve, draw_recall):
    """The area under the drawn line is the average precision: 0.5 · 1 + 0.5 · 0.5."""
    figure = draw_recall([recall_curve("")], 0)
    points = np.array(drawn_lines(figure)["#1f2933"])
    assert points.tolist() == [[0, 1], [0.5, 1], [0.5, 0.5], [1, 0.5]]
    assert np.trapezoid(points[:, 1], points[:, 0]) == 0.75


def test_steps_begin_with_the_first_hit(recall_curve, draw_recall):
    """Wrong predictions of high confidence come before any recall: they add no area."""
    curve = replace(recall_curve("", precision=(0.0, 0.5)), recall=np.array([0.0, 1.0]))
    figure = draw_recall([curve], 0)
    assert drawn_lines(figure)["#1f2933"] == [[0, 0.5], [1, 0.5]]


def test_a_label_that_is_never_hit_has_no_steps(recall_curve, draw_recall):
    """Its recall stays 0, and so does its line."""
    curve = replace(recall_curve("", precision=(0.0, 0.0)), recall=np.array([0.0, 0.0]))
    figure = draw_recall([curve], 0)
    render_rgb(figure)
    assert "#1f2933" not in drawn_lines(figure)


def test_average_precision_stands_beside_the_name_where_defined(
    recall_curve, texts_of, draw_recall
):
    """Partial records have a curve but no average precision."""
    curves = [recall_curve("", 0.75), recall_curve("roses", 0.5), recall_curve("tulips", nan)]
    texts = texts_of(draw_recall(curves, 2))
    assert {"micro, AP 0.750", "roses, AP 0.500", "tulips"} <= set(texts)
    assert texts[1] == "n = 4 images · 2 labels"


def test_past_seven_labels_the_smallest_areas_have_colours(recall_curve, texts_of, draw_recall):
    """Of nine labels the two with the largest area are pale and share a line in the legend."""
    curves = [recall_curve("")]
    curves += [recall_curve(f"good {i}", 1.0, (1.0, 1.0)) for i in range(2)]
    curves += [recall_curve(f"weak {i}", 0.4, (0.5, 0.3)) for i in range(7)]
    texts = texts_of(draw_recall(curves, 9))
    assert "2 more labels" in texts
    assert sum(text.startswith("weak") for text in texts) == 7
    assert not any(text.startswith("good") for text in texts)


def test_a_label_looks_the_same_in_every_version(recall_curve, draw_recall):
    """The ninth of nine labels is dotted vermilion, whichever others are shown."""
    weak, good = (0.3, 0.2), (1.0, 1.0)
    looks = []
    for shown in (range(2, 9), (0, 1, 2, 3, 4, 5, 8)):
        curves = [recall_curve("")]
        curves += [recall_curve(str(i), 0.5, weak if i in shown else good) for i in range(9)]
        figure = draw_recall(curves, 9)
        lines = [line for axes in figure.axes for line in axes.lines]
        looks.append({(line.get_color(), line.get_linestyle()) for line in lines})
    assert all(("#D55E00", ":") in look for look in looks)


def test_labels_without_a_curve_are_counted(recall_curve, texts_of, draw_recall):
    """The header says of how many labels curves are drawn."""
    curves = [recall_curve(""), recall_curve("roses")]
    texts = texts_of(draw_recall(curves, 250))
    assert texts[1] == "n = 4 images · 1 of 250 labels"


@pytest.mark.parametrize("label", ["_hidden", "$x^{2$", "日本語 🌹", "x" * 256, "a\nb"])
def test_any_name_can_stand_in_a_legend(label, recall_curve, draw_recall):
    """Such a name is neither hidden nor interpreted, and brings no warning."""
    curves = [recall_curve(""), recall_curve(label)]
    figure = draw_recall(curves, 1, label)
    assert render_rgb(figure).shape[1] == 840


def test_no_two_of_28_labels_look_alike(recall_curve, draw_recall):
    """Colour and style together are of one label only; a fifth colour has another style."""
    looks = []
    for start in range(0, 28, 7):
        curves = [recall_curve("")]
        for i in range(28):
            is_weak = start <= i < start + 7
            curves.append(recall_curve(str(i), 0.5, (0.3, 0.2) if is_weak else (1.0, 1.0)))
        plot = next(axes for axes in draw_recall(curves, 28).axes if axes.get_xlim() == (0, 1))
        found = {(line.get_color(), line.get_linestyle()) for line in plot.lines}
        looks.append({look for look in found if look[0] not in (ALL_TOGETHER, PALE)})

    assert len(set.union(*looks)) == 28
    assert sorted(style for _, style in looks[0]) == ["-"] * 4 + ["--"] * 3

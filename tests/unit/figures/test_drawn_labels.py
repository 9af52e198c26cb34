"""The labels that were chosen for a project: every picture of every version shows these."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlrek.comparison import ConfusionDifference
from mlrek.figures.confusion import (
    OTHERS_CELL,
    build_heatmap,
    colour_cells,
    draw_confusion_difference,
    draw_confusion_matrix,
    find_dark,
    plan_layout,
)
from mlrek.figures.style import BLACK, INK, PAPER, QUIET, WHITE, render_rgb
from mlrek.figures.threshold_grid import draw_threshold_grid
from mlrek.metrics import ConfusionMatrix
from mlrek.metrics.drawn_labels import digest_label, find_drawn

LABELS = tuple(f"label {i}" for i in range(30))


def matrix_of(counts, labels=LABELS):
    """A confusion matrix of labels alone."""
    return ConfusionMatrix(counts=np.asarray(counts), rows=labels, columns=labels)


def texts_of(figure):
    """All texts of a figure."""
    return [text.get_text() for text in figure.texts]


def test_chosen_labels_keep_the_order_of_the_choice():
    """The order is that of the version which decided, whatever that of the others."""
    assert find_drawn(LABELS, ["label 9", "label 2", "label 4"]).tolist() == [9, 2, 4]


def test_a_chosen_label_that_a_version_lacks_gets_no_row():
    """The others keep theirs."""
    assert find_drawn(LABELS, ["label 9", "gone", "label 4"]).tolist() == [9, 4]


def test_a_version_without_any_chosen_label_shows_its_own():
    """A matrix of (other) alone would tell nothing."""
    assert find_drawn(LABELS, ["gone"]) is None


@pytest.mark.parametrize(
    ("labels", "chosen", "shown"), [(25, 24, None), (26, 24, 24), (12, 10, 10)]
)
def test_a_version_with_few_labels_shows_all_of_them(labels, chosen, shown):
    """Up to 25, or as many as were asked for, if fewer were."""
    found = find_drawn(LABELS[:labels], LABELS[:chosen])
    assert (None if found is None else len(found)) == shown


def test_a_long_name_is_found_by_its_digest():
    """What was too long for the tag stands there as SHA-256."""
    long = "x" * 5000
    assert find_drawn([*LABELS, long], [digest_label(long), "label 3"]).tolist() == [30, 3]


def test_a_label_that_looks_like_a_digest_is_found_by_its_name():
    """The name goes before the digest of another label."""
    mimic = digest_label("label 3")
    assert find_drawn([*LABELS, mimic], [mimic]).tolist() == [30]


def test_heat_maps_of_two_versions_have_the_same_rows():
    """However different their mistakes are; the oldest version's order, not their own."""
    drawn = ["label 7", "label 1", "label 29"]
    first, second = np.eye(30, dtype=int) * 5, np.eye(30, dtype=int) * 5
    first[3, 4], second[20, 21] = 9, 9
    figures = [
        draw_confusion_matrix(
            matrix_of(counts), labels=30, version="v", images=1, drawn_labels=drawn
        )
        for counts in (first, second)
    ]
    shown = [[t for t in texts_of(figure) if t.startswith("label")] for figure in figures]
    assert shown == [[*drawn, *drawn]] * 2


def test_the_heat_map_says_that_its_labels_are_those_of_all_versions():
    """With the same number as the report."""
    counts = np.eye(30, dtype=int)
    figure = draw_confusion_matrix(
        matrix_of(counts), labels=30, version="v", images=1, drawn_labels=LABELS[:24]
    )
    said = "n = 1 image · 24 of 30 labels, the same in all versions"
    assert said in texts_of(figure)


def test_the_pictures_of_the_slider_show_the_chosen_labels():
    """Two versions, the same drawn labels, equal counts among them: equal pixels."""
    drawn = ["label 7", "label 1", "label 29"]
    first, second = np.eye(30, dtype=int) * 5, np.eye(30, dtype=int) * 5
    first[3, 4], second[20, 21] = 9, 9  # among the others
    grids = [
        draw_threshold_grid(
            {50: matrix_of(counts)},
            matrix_of(counts),
            labels=30,
            title=("v", "confidence"),
            drawn_labels=drawn,
        )
        for counts in (first, second)
    ]
    pixels = [np.asarray(Image.open(BytesIO(grid[50].png)).convert("RGB")) for grid in grids]
    assert (pixels[0] == pixels[1]).all()


def test_what_was_not_chosen_is_pooled():
    """Nothing is lost: 30 labels with 5 right each, three of them shown."""
    heatmap = build_heatmap(matrix_of(np.eye(30, dtype=int) * 5), 30, shown=np.array([7, 1, 29]))
    assert heatmap.counts.tolist() == [[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 5, 0], [0, 0, 0, 135]]


def test_what_is_pooled_is_split_into_right_and_mixed_up():
    """Two labels shown of thirty; of the 28 others 28 x 5 are right, 9 and 2 are mixed up."""
    counts = np.eye(30, dtype=int) * 5
    counts[3, 4], counts[20, 21], counts[0, 9] = 9, 2, 7  # the last is a mistake of a shown label
    heatmap = build_heatmap(matrix_of(counts), 30, shown=np.array([0, 1]))
    assert heatmap.others == (140, 11)


def test_labels_that_are_all_shown_have_no_others():
    """Nor has a matrix whose others have no counts."""
    assert build_heatmap(matrix_of(np.eye(25, dtype=int), LABELS[:25]), 25).others is None
    empty = np.zeros((30, 30), dtype=int)
    assert build_heatmap(matrix_of(empty), 30, shown=np.array([0])).others is None


def test_the_cell_of_the_others_is_neither_right_nor_wrong():
    """It has no colour, and says in words what it holds."""
    counts = np.eye(30, dtype=int) * 5
    counts[3, 4] = 9
    figure = draw_confusion_matrix(
        matrix_of(counts), labels=30, version="v", images=1, drawn_labels=["label 0", "label 1"]
    )
    assert texts_of(figure)[-5:-2] == ["(other), both:", "140 right", "9 mixed up"]
    pixels = render_rgb(figure)
    layout = plan_layout(LABELS, 25, [])
    scale = pixels.shape[0] / layout.height
    corner = layout.grid.left + layout.grid.width - 4, layout.grid.top + layout.grid.height - 4
    x, y = (round(place * scale) for place in corner)
    assert tuple(pixels[y, x]) == OTHERS_CELL


def test_a_change_among_the_others_is_said_though_it_cancels_out():
    """Three more right, three fewer mixed up."""
    counts = np.zeros((30, 30), dtype=int)
    counts[5, 5], counts[6, 7], counts[0, 0] = 3, -3, 1
    difference = ConfusionDifference(
        counts=counts,
        baseline=np.zeros_like(counts),
        labels=LABELS,
        n_own=0,
        moves=np.zeros((0, 4), dtype=int),
        images=(),
    )
    figure = draw_confusion_difference(
        difference, baseline="a", candidate="b", images=9, drawn_labels=["label 0", "label 1"]
    )
    assert {"+3 right", "-3 mixed up"} <= set(texts_of(figure))


@pytest.mark.parametrize("share", np.linspace(0, 1, 51))
def test_every_digit_has_contrast(share):
    """At least 4.5 (WCAG 2.2, 1.4.3) in each cell, whatever its colour."""
    colours = colour_cells(np.array([[round(share * 1000), 1000 - round(share * 1000)]]))
    for colour, is_dark in zip(colours[0], find_dark(colours)[0], strict=True):
        assert contrast(tuple(colour), WHITE if is_dark else BLACK) >= 4.5


@pytest.mark.parametrize("ink", [INK, QUIET])
def test_every_text_has_contrast_on_the_paper(ink):
    """Names, titles and what a figure rests on."""
    assert contrast(PAPER, ink) >= 4.5


@pytest.mark.parametrize("page", ["#ffffff", "#11171c"])
def test_a_picture_ends_where_its_border_is(page):
    """On a white page and on MLflow's dark one; on the dark one its paper is no glaring white."""
    edge = render_rgb(
        draw_confusion_matrix(matrix_of(np.eye(30)), labels=30, version="v", images=1)
    )
    assert contrast(tuple(edge[0, 0]), page) >= 1.5
    assert contrast(PAPER, "#ffffff") > 1.1


def contrast(one, other):
    """Of two colours, by the definition of WCAG 2."""
    lighter, darker = sorted(map(luminance, (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    """Relative luminance of a colour, in 0 to 255 or as `#rrggbb`."""
    if isinstance(colour, str):
        colour = bytes.fromhex(colour[1:])
    shares = [part / 255 for part in colour]
    red, green, blue = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

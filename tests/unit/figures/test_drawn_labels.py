"""The labels that were chosen for a project: every picture of every version shows these."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlrek.figures.confusion import build_heatmap, draw_confusion_matrix
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
    said = "n = 1 image · 24 of 30 labels, chosen for all versions of the project"
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

"""The heat map as a figure."""

import numpy as np
import pytest
from matplotlib.text import Text

from mlrek.figures import confusion as confusion_module
from mlrek.figures.confusion import draw_confusion_matrix
from mlrek.figures.style import render_rgb
from mlrek.metrics import ConfusionMatrix
from mlrek.text import BACKGROUND_LABEL

DARKEST = (8, 48, 107)
EMPTY = (248, 249, 251)


def count_pixels(pixels, colour):
    """How many pixels have exactly that colour."""
    return int(np.all(pixels == np.array(colour, dtype=np.uint8), axis=-1).sum())


@pytest.fixture
def written(monkeypatch):
    """What is written into cells: the text of each numeral by its colour."""
    texts = {}

    def record(_axes, numerals, colour):
        texts[colour] = [numeral.text for numeral in numerals]

    monkeypatch.setattr(confusion_module, "add_numerals", record)
    return texts


def test_each_cell_has_its_count_and_percent_of_the_row(written, confusion):
    """8 of 10 and 2 of 10; a cell without a count stays empty."""
    draw_confusion_matrix(confusion([[8, 2], [0, 5]], ["a", "b"]), labels=2, version="v", images=15)
    assert sorted(written["#ffffff"]) == sorted(["8", "80%", "5", "100%"])
    assert written["#000000"] == ["2", "20%"]


def test_percent_never_hides_a_count(written, confusion):
    """One image of 1,000 is not 0 %, and 999 of 1,000 are not all."""
    matrix = confusion([[999, 1], [0, 0]], ["a", "b"])
    draw_confusion_matrix(matrix, labels=2, version="v", images=1000)
    assert written == {"#ffffff": ["999", ">99%"], "#000000": ["1", "<1%"]}


def test_counts_that_do_not_fit_are_in_thousands(written, confusion):
    """With 25 labels a cell has room for three digits, not for seven."""
    counts = np.diag(np.full(25, 123_456))
    matrix = confusion(counts, [f"label {i}" for i in range(25)])
    draw_confusion_matrix(matrix, labels=25, version="v", images=1)
    assert written["#ffffff"] == ["123k", "100%"] * 25


def test_a_rare_label_is_as_dark_as_a_frequent_one(confusion):
    """Colour is the share of the row: 1 of 1 looks like 1,000 of 1,000."""
    matrix = confusion([[1000, 0], [0, 1]], ["a", "b"])
    pixels = render_rgb(draw_confusion_matrix(matrix, labels=2, version="v", images=1001))
    middle = pixels.shape[0] // 2
    upper, lower = count_pixels(pixels[:middle], DARKEST), count_pixels(pixels[middle:], DARKEST)
    assert min(upper, lower) > 0.3 * max(upper, lower)
    assert count_pixels(pixels, EMPTY) > 100_000


def test_title_says_version_and_number_of_images(confusion, texts_of):
    """The number of images stands under the version, and both axes have their titles."""
    figure = draw_confusion_matrix(
        confusion([[1200, 0], [0, 300]], ["a", "b"]), labels=2, version="v7", images=1500
    )
    texts = texts_of(figure)
    assert texts[0] == "v7"
    assert texts[1].startswith("n = 1,500 images")
    assert {"True", "Predicted", "a", "b"} <= set(texts)


def test_a_real_label_named_like_ours_is_quoted(confusion, texts_of):
    """The label called (none) and our column (none) are told apart."""
    matrix = confusion([[1, 0, 0], [0, 1, 2]], ["a", "(none)"], own_columns=["(none)"])
    texts = texts_of(draw_confusion_matrix(matrix, labels=2, version="v", images=4))
    assert texts.count('"(none)"') == 2
    assert texts.count("(none)") == 1


def test_names_are_not_read_as_formulas(confusion, texts_of):
    """Dollars, carets and backslashes are letters like any other."""
    matrix = confusion([[1, 0], [0, 1]], ["$x^{2$", "$\\frac$"])
    figure = draw_confusion_matrix(matrix, labels=2, version="$v$", images=2)
    render_rgb(figure)
    assert {"$x^{2$", "$\\frac$", "$v$"} <= set(texts_of(figure))


def test_past_25_labels_the_header_says_what_is_shown(even_confusion, texts_of):
    """26 labels: 24 and the others."""
    figure = draw_confusion_matrix(even_confusion(26), labels=26, version="v", images=2028)
    texts = texts_of(figure)
    assert texts[1] == "n = 2,028 images · the 24 most confused of 26 labels"
    assert texts.count("(other)") == 2


@pytest.mark.parametrize("n", [1, 2, 10, 12, 13, 25, 26, 250])
@pytest.mark.parametrize("name", ["{}", "label {}", "{:0256d}"])
def test_versions_line_up(n, name, even_confusion):
    """Pictures of two versions with the same labels have one size, whatever their counts."""
    one, other = even_confusion(n, name), even_confusion(n, name)
    other.counts[0, 0] = 40_000
    first = draw_confusion_matrix(one, labels=n, version="v1", images=9)
    second = draw_confusion_matrix(other, labels=n, version="a longer name", images=90_000)
    assert first.get_size_inches().tolist() == second.get_size_inches().tolist()
    grids = [figure.axes[0].get_position().bounds for figure in (first, second)]
    assert grids[0] == grids[1]


@pytest.mark.parametrize(
    "labels",
    [
        ["日本語", "العربية", "🌹", "e\u0301", "\u202e", "a\nb", "", " ", "\ud800", "﷽" * 9],
        ["x" * 256, "x" * 255 + "y", "\x00", "|" * 256, "한국어", "हिन्दी", "_private", "\\"],
    ],
)
def test_any_name_can_be_drawn(labels, confusion):
    """No name makes matplotlib warn of a missing glyph, or fail."""
    n = len(labels)
    figure = draw_confusion_matrix(
        confusion(np.eye(n), labels), labels=n, version="".join(labels), images=n
    )
    assert render_rgb(figure).shape[1] == 840


def test_a_label_without_images_has_an_empty_row(written, confusion):
    """A row without any count is drawn, without numbers and without a warning."""
    matrix = confusion([[0, 0], [0, 3]], ["a", "b"])
    draw_confusion_matrix(matrix, labels=2, version="v", images=3)
    assert written == {"#ffffff": ["3", "100%"], "#000000": []}


def test_a_matrix_without_labels_is_an_empty_picture(confusion, texts_of):
    """Title and axes are there, cells and names are not."""
    matrix = confusion(np.zeros((0, 1)), [], own_columns=["(none)"])
    figure = draw_confusion_matrix(matrix, labels=0, version="v", images=0)
    assert render_rgb(figure).shape[1] == 840
    assert texts_of(figure)[2:] == ["True", "Predicted"]


def test_the_background_has_room_for_its_name():
    """Nearly all matrices of boxes have it, so that it is written as large as the labels."""
    names = ("a", "b", BACKGROUND_LABEL)
    matrix = ConfusionMatrix(counts=np.ones((3, 3), dtype=np.int64), rows=names, columns=names)
    figure = draw_confusion_matrix(matrix, labels=2, version="v", images=3)
    sizes = {text.get_text(): text.get_fontsize() for text in figure.findobj(Text)}
    assert sizes[BACKGROUND_LABEL] == sizes["a"]

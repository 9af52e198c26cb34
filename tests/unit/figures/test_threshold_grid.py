"""The small pictures that a slider of MLflow's pages runs through."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mlrek.figures import draw_threshold_pictures, threshold_grid
from mlrek.figures.confusion import colour_cells, plan_layout
from mlrek.figures.style import add_text, render_padded
from mlrek.metrics.thresholds import ThresholdMatrices

INK_BELOW = 200
VISIBLE = 60  # of 255: each picture has a palette of its own


@pytest.fixture
def draw_files(make_metrics):
    """Draws the pictures by threshold, as files."""

    def draw(matrices, base, labels, version="v1"):
        thresholds = ThresholdMatrices(matrices=matrices, rule="confidence")
        metrics = make_metrics(confusion=base, labels=labels)
        return draw_threshold_pictures(metrics, thresholds, version=version)

    return draw


@pytest.fixture
def draw(draw_files):
    """Draws the same as arrays (height, width, 3)."""

    def draw_arrays(*what):
        return {
            percent: np.asarray(Image.open(BytesIO(file.png)).convert("RGB")).astype(int)
            for percent, file in draw_files(*what).items()
        }

    return draw_arrays


@pytest.fixture
def ten(confusion):
    """Makes a matrix of ten labels whose counts lie on the diagonal."""
    labels = [f"label {i}" for i in range(10)]

    def make(count, own=("(none)",)):
        counts = np.zeros((10, 11))
        np.fill_diagonal(counts, count)
        return confusion(counts, labels, own_columns=own)

    return make


def test_pictures_have_one_size_whatever_the_labels(draw, ten, even_confusion):
    """Versions with other labels line up too, at any threshold."""
    sizes = {picture.shape for picture in draw({0: ten(3), 50: ten(0)}, ten(3), 10).values()}
    two = even_confusion(2, "a label with a very long name {}")
    sizes |= {picture.shape for picture in draw({0: two}, two, 2, "another").values()}

    assert sizes == {(456, 420, 3)}


def test_only_cells_and_the_threshold_differ(draw, ten):
    """The slider moves nothing but the numbers: names stand still."""
    pictures = draw({0: ten(3), 50: ten(0)}, ten(3), 10)
    differs = (abs(pictures[0] - pictures[50]) > VISIBLE).any(axis=2)

    assert differs[60:390].any()
    assert not differs[410:].any()
    assert not differs[:28].any()


def test_a_picture_is_small(draw_files, ten):
    """Eleven of them are logged with each version."""
    files = draw_files(dict.fromkeys(range(0, 101, 10), ten(73)), ten(73), 10)

    assert len(files) == 11
    assert all(len(file.png) < 20_000 and len(file.webp) < 12_000 for file in files.values())
    assert all(Image.open(BytesIO(file.webp)).width <= 256 for file in files.values())


def test_all_thresholds_show_the_labels_that_the_run_shows(draw, confusion):
    """Of thirty labels the most confused ones of the whole run, whatever a threshold does."""
    labels = [f"l{i}" for i in range(30)]
    base, empty = np.zeros((30, 31)), np.zeros((30, 31))
    base[3, 4] = 9
    matrices = {
        percent: confusion(counts, labels, own_columns=("(none)",))
        for percent, counts in ((0, base), (100, empty))
    }
    pictures = draw(matrices, matrices[0], 30)
    names = [picture[60:380, :60] for picture in pictures.values()]

    assert abs(names[0] - names[1]).max() <= VISIBLE
    assert (names[0] < INK_BELOW).any()


def test_nothing_is_drawn_of_nothing(draw, ten):
    """A task without thresholds has no such pictures."""
    assert draw({}, ten(1), 10) == {}


def test_a_cell_has_the_colour_of_its_share(draw, confusion):
    """Of 36 shades the nearest: no eye tells it from the exact one, and empty stays empty."""
    counts = np.array([[1, 2, 4, 93], [10, 20, 30, 40], [0, 0, 1, 999], [0, 50, 50, 0]])
    matrix = confusion(counts, list("abcd"))
    picture = draw({50: matrix}, matrix, 4)[50]
    exact = colour_cells(counts)

    grid = plan_layout(list("abcd"), 25, []).grid  # of a picture of twice the size
    for i, j in np.ndindex(4, 4):
        y, x = (grid.top + i * grid.height / 4) / 2, (grid.left + j * grid.width / 4) / 2
        assert abs(picture[int(y) + 4, int(x) + 4] - exact[i, j]).max() <= 6


def test_of_the_next_version_only_its_name_is_drawn(draw_files, ten, monkeypatch):
    """No label, count or threshold is set again, and no pixel's colour is counted by Pillow."""
    counted, written, painted, said = [], [], [], []
    quantize, write = Image.Image.quantize, ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        Image.Image, "quantize", lambda *args, **look: counted.append(1) or quantize(*args, **look)
    )
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda *args, **look: written.append(1) or write(*args, **look)
    )
    monkeypatch.setattr(
        threshold_grid,
        "render_padded",
        lambda sheet: painted.append(sheet) or render_padded(sheet),
    )
    monkeypatch.setattr(
        threshold_grid,
        "add_text",
        lambda sheet, at, text, **look: said.append(text) or add_text(sheet, at, text, **look),
    )
    matrices = dict.fromkeys(range(0, 101, 10), ten(73))
    draw_files(matrices, ten(73), 10, "v1")
    for calls in (counted, written, painted, said):
        calls.clear()
    draw_files(matrices, ten(73), 10, "v2")

    assert (len(counted), len(written)) == (0, 0)
    assert (len(painted), said) == (1, ["v2"])


def test_nothing_of_a_former_version_stays(draw_files, ten, confusion):
    """What is kept from one version to the next changes no byte, whatever came before."""
    others = [f"other {i}" for i in range(10)]
    strange = confusion(np.full((10, 11), 40_000), others, own_columns=("(none)",))
    _forget()
    first = draw_files({50: ten(3)}, ten(3), 10, "v2")
    _forget()
    draw_files({50: strange}, strange, 10, "a much longer name of a version")
    draw_files({50: ten(888)}, ten(888), 10, "another")
    assert draw_files({50: ten(3)}, ten(3), 10, "v2") == first


def test_the_small_picture_shows_the_large_one(draw_files, ten):
    """The same cells in the same colours, none of them blurred."""
    (files,) = draw_files({50: ten(73)}, ten(73), 10).values()
    whole, small = (Image.open(BytesIO(file)).convert("RGB") for file in files)
    assert small.size == (236, 256)
    grid = plan_layout([f"label {i}" for i in range(10)], 25, []).grid  # of twice the size
    scales = ((whole, 0.5), (small, 0.28))
    for i, j in np.ndindex(10, 11):
        x = grid.left + (j + 0.12) * grid.width / 11
        y = grid.top + (i + 0.12) * grid.height / 10
        one, other = (picture.getpixel((x * k, y * k)) for picture, k in scales)
        assert one == other


def test_small_digits_are_told_apart():
    """In the smallest size that is written no two digits look the same, wherever they stand."""
    for half_right, half_down in np.ndindex(2, 2):
        shapes = [
            threshold_grid.set_count(str(digit), 5.05, half_right, half_down).astype(int)
            for digit in range(10)
        ]
        for k, shape in enumerate(shapes):
            assert all(abs(shape - other).sum() >= 4 for other in shapes[:k])


def _forget():
    """As in a new process."""
    for kept in (threshold_grid.draw_names, threshold_grid.set_facts, threshold_grid.set_count):
        kept.cache_clear()

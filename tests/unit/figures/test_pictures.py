"""The pictures of a run, and how figures become files."""

import struct

import numpy as np
import pytest

from mlrek.evaluation import Task
from mlrek.figures import draw_pictures
from mlrek.figures.confusion import draw_confusion_matrix
from mlrek.figures.style import WIDTH, encode_png, new_figure, render_rgb


def chunks(png):
    """The names of a PNG file's chunks."""
    names, position = [], 8
    while position < len(png):
        length, name = struct.unpack(">I4s", png[position : position + 8])
        names.append(name.decode())
        position += length + 12
    return names


def test_pictures_by_artifact_path(make_metrics, confusion, curves, recall_curve):
    """A run with everything has the three pictures of the promise."""
    metrics = make_metrics(
        confusion=confusion([[5, 1], [2, 4]], ["a", "b"]),
        curves=curves,
        precision_recall=(recall_curve(""), recall_curve("a")),
    )
    pictures = draw_pictures(metrics, version="v1")
    assert list(pictures) == [
        "confusion_matrix.png",
        "threshold_curves.png",
        "precision_recall.png",
    ]
    for pixels in pictures.values():
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (WIDTH, 3)


def test_what_has_no_meaning_is_left_out(make_metrics, confusion):
    """No records: no curves; no counts: no heat map."""
    metrics = make_metrics(confusion=confusion([[0, 0], [0, 0]], ["a", "b"]))
    assert draw_pictures(metrics, version="v1") == {}


@pytest.mark.parametrize(
    ("task", "n"), [(Task.CLASSIFICATION, "n = 11 images"), (Task.MULTILABEL, "n = 12 images")]
)
def test_number_of_images_of_the_heat_map(task, n, make_metrics, confusion, draw_figures, texts_of):
    """One label an image: those with truth, which the matrix counts; several: all."""
    metrics = make_metrics(task=task, confusion=confusion([[5, 1], [2, 3]], "ab"))
    figure = draw_figures(metrics)["confusion_matrix.png"]
    assert texts_of(figure)[1].startswith(n)


def test_equal_figures_are_equal_bytes(even_confusion):
    """Nothing of the time or the machine is in a file."""
    files = [
        encode_png(
            render_rgb(draw_confusion_matrix(even_confusion(13), labels=13, version="v", images=9))
        )
        for _ in range(2)
    ]
    assert files[0] == files[1]


def test_a_file_holds_pixels_and_nothing_else(even_confusion):
    """No date, no software, no resolution."""
    figure = draw_confusion_matrix(even_confusion(2), labels=2, version="v", images=9)
    assert set(chunks(encode_png(render_rgb(figure)))) == {"IHDR", "PLTE", "IDAT", "IEND"}


def test_a_file_shows_the_pixels():
    """An encoded picture is as wide and as high, and the paper keeps its colour."""
    from io import BytesIO

    from PIL import Image

    pixels = render_rgb(new_figure(100))
    decoded = np.asarray(Image.open(BytesIO(encode_png(pixels))).convert("RGB"))
    assert decoded.shape == pixels.shape == (100, WIDTH, 3)
    assert (decoded == pixels).all()


def test_settings_of_the_user_change_nothing(even_confusion):
    """A matplotlibrc with other fonts, colours and TeX does not reach the pictures."""
    import matplotlib as mpl

    def draw():
        figure = draw_confusion_matrix(even_confusion(3), labels=3, version="v", images=9)
        return render_rgb(figure)

    plain = draw()
    with mpl.rc_context(
        {
            "text.usetex": True,
            "font.size": 33,
            "font.family": "serif",
            "axes.facecolor": "black",
            "text.color": "red",
            "image.interpolation": "bilinear",
            "axes.grid": True,
        }
    ):
        styled = draw()
    assert (plain == styled).all()

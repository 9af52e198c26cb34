"""From figures to pixels, with texts kept from one version to the next."""

import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.lines import Line2D
from PIL import Image

from mlrek.figures import draw_pictures
from mlrek.figures import paint as paint_module
from mlrek.figures import style as style_module
from mlrek.figures.style import encode_png, render_rgb

NAMES = [
    "日本語",
    "العربية",
    "e\u0301",
    "a\nb",
    "$x^{2$",
    "x" * 256,
    "gjpqy Å",
    "W" * 30,
    "<b>",
    "🌹",
]
INVISIBLE = 3  # of 255


@pytest.fixture
def metrics(make_metrics, confusion, curves, recall_curve):
    """Of ten labels with odd names: everything that is drawn."""
    counts = np.random.default_rng(0).integers(0, 90, (10, 10))
    return make_metrics(
        labels=tuple(NAMES),
        confusion=confusion(counts, NAMES),
        curves=curves,
        precision_recall=tuple(recall_curve(name) for name in ("", *NAMES)),
    )


@pytest.fixture
def count_calls(monkeypatch):
    """Begins to count the calls of a method: keeps what each was called with."""

    def count(of, name):
        calls, plain = [], getattr(of, name)

        def counted(self, *args, **options):
            calls.append((self, *args))
            return plain(self, *args, **options)

        monkeypatch.setattr(of, name, counted)
        return calls

    return count


def draw_plainly(figure):
    """What matplotlib alone makes of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


@pytest.mark.parametrize("version", ["v1", "".join(NAMES)])
@pytest.mark.parametrize(
    "path", ["confusion_matrix.png", "threshold_curves.png", "precision_recall.png"]
)
def test_pictures_are_those_that_matplotlib_draws(path, version, metrics, draw_figures):
    """Texts that are kept from an earlier picture look no different, whatever they say."""
    figure = draw_figures(metrics, version)[path]
    wanted = draw_plainly(figure).astype(int)
    for _ in range(2):
        assert abs(render_rgb(figure) - wanted).max() <= INVISIBLE


def test_a_second_version_sets_only_the_texts_that_are_new(metrics, count_calls, monkeypatch):
    """Of the names, numbers and titles of three pictures none is set twice: only its own name."""
    monkeypatch.setattr(paint_module, "_kept", {})
    draw_pictures(metrics, version="v1")
    drawn = count_calls(RendererAgg, "draw_text")
    draw_pictures(metrics, version="v2")

    texts = {text for _, _, _, _, text, *_ in drawn}
    assert texts == {"v2"} if paint_module.KEEPS_TEXTS else "v2" in texts
    assert len(drawn) <= 2 or not paint_module.KEEPS_TEXTS  # in two resolutions


def test_a_second_version_measures_only_the_texts_that_are_new(metrics, count_calls):
    """What names and numbers of a project take of the picture is known from the first version."""
    draw_pictures(metrics, version="v1")
    measured = count_calls(style_module, "_visible_pieces")
    draw_pictures(metrics, version="a new name")

    assert {text for text, _ in measured} == {"a new name"}


def test_the_samples_of_a_legend_are_drawn_as_one(metrics, count_calls):
    """To make a line for each would take as long as all that is drawn of the curves."""
    lines, ticks = count_calls(Line2D, "__init__"), count_calls(Tick, "__init__")
    draw_pictures(metrics, version="v1")

    curves, dots = 3 + len(metrics.precision_recall), 1
    of_ticks = 3 * len(ticks)  # which older versions of matplotlib make
    assert len(lines) == curves + dots + of_ticks


def test_no_ticks_are_made(metrics, count_calls):
    """All axes are bare: to make their ticks would take longer than to draw the picture."""
    ticks = count_calls(Tick, "__init__")
    draw_pictures(metrics, version="v1")

    assert len(ticks) <= (
        0 if paint_module.KEEPS_TEXTS else 10
    )  # older versions make some themselves


def test_texts_are_not_kept_without_end(metrics, monkeypatch):
    """Thousands of versions with names of their own fill no memory."""
    kept = {}
    monkeypatch.setattr(paint_module, "_kept", kept)
    monkeypatch.setattr(paint_module, "_MOST_KEPT", 40)
    for number in range(3):
        draw_pictures(metrics, version=f"v{number}")

    assert bool(kept) == paint_module.KEEPS_TEXTS
    assert len(kept) <= 40


def test_a_text_may_reach_over_the_edge(draw_figures, metrics):
    """Of what lies outside nothing is drawn, on any side."""
    figure = draw_figures(metrics)["confusion_matrix.png"]
    for x, y in ((0, 0), (1, 1), (0, 1), (1, 0), (-2, 0.5), (0.5, 3)):
        figure.text(x, y, "reaches over the edge", horizontalalignment="center")
    assert abs(render_rgb(figure) - draw_plainly(figure).astype(int)).max() <= INVISIBLE


def test_of_a_second_version_little_is_mixed_or_counted(metrics, monkeypatch):
    """Texts on even ground are laid as they were, and no pixel's colour is counted by Pillow."""
    blended, counted = [], []
    blend, quantize = paint_module.blend, Image.Image.quantize
    monkeypatch.setattr(paint_module, "_kept", {})
    monkeypatch.setattr(paint_module, "blend", lambda *args: blended.append(1) or blend(*args))
    monkeypatch.setattr(
        Image.Image, "quantize", lambda *args, **look: counted.append(1) or quantize(*args, **look)
    )
    first = draw_pictures(metrics, version="v1")
    at_first = len(blended)
    second = draw_pictures(metrics, version="v1")
    for path, pixels in second.items():
        assert (pixels == first[path]).all()
        encode_png(pixels)

    assert len(counted) == 0
    assert len(blended) - at_first <= at_first // 10

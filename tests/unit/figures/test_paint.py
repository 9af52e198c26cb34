"""From figures to pixels, with texts kept from one version to the next."""

import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg

from mlrek.figures import draw_pictures, paint
from mlrek.figures.style import render_rgb

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
    monkeypatch.setattr(paint, "_kept", {})
    draw_pictures(metrics, version="v1")
    drawn = count_calls(RendererAgg, "draw_text")
    draw_pictures(metrics, version="v2")

    texts = {text for _, _, _, _, text, *_ in drawn}
    assert texts == {"v2"} if paint.KEEPS_TEXTS else "v2" in texts
    assert len(drawn) <= 2 or not paint.KEEPS_TEXTS  # in two resolutions


def test_no_ticks_are_made(metrics, count_calls):
    """All axes are bare: to make their ticks would take longer than to draw the picture."""
    ticks = count_calls(Tick, "__init__")
    draw_pictures(metrics, version="v1")

    assert len(ticks) <= (0 if paint.KEEPS_TEXTS else 10)  # older versions make some themselves


def test_texts_are_not_kept_without_end(metrics, monkeypatch):
    """Thousands of versions with names of their own fill no memory."""
    kept = {}
    monkeypatch.setattr(paint, "_kept", kept)
    monkeypatch.setattr(paint, "_MOST_KEPT", 40)
    for number in range(3):
        draw_pictures(metrics, version=f"v{number}")

    assert bool(kept) == paint.KEEPS_TEXTS
    assert len(kept) <= 40


def test_a_text_may_reach_over_the_edge(draw_figures, metrics):
    """Of what lies outside nothing is drawn, on any side."""
    figure = draw_figures(metrics)["confusion_matrix.png"]
    for x, y in ((0, 0), (1, 1), (0, 1), (1, 0), (-2, 0.5), (0.5, 3)):
        figure.text(x, y, "reaches over the edge", horizontalalignment="center")
    assert abs(render_rgb(figure) - draw_plainly(figure).astype(int)).max() <= INVISIBLE

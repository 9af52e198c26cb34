"""Pictures that only become pixels, against the same ones as matplotlib's figures."""

from dataclasses import MISSING, fields

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from mlrek.evaluation import Task
from mlrek.figures import Choice, draw_figure, draw_pictures, paint
from mlrek.figures.paint import KEEPS_TEXTS
from mlrek.figures.style import render_rgb
from mlrek.metrics import LabelScores, Number, PrecisionRecallCurve, ThresholdCurves

ODD_NAMES = ("日本語", "العربية", "a\nb", "$x^{2$", "x" * 256, "", "<script>", "🌹", "W" * 30)


def compare(metrics, version="v1", top_labels=0):
    """The paths of all pictures, after a look whether each is the figure's, pixel for pixel."""
    choice = Choice(top_labels=top_labels)
    pictures = draw_pictures(metrics, version=version, choice=choice)
    for path, pixels in pictures.items():
        figure = draw_figure(path, metrics, version=version, choice=choice)
        assert isinstance(figure, Figure)
        np.testing.assert_array_equal(pixels, render_rgb(figure))
    return set(pictures)


def make_names(n):
    """So many names, odd ones first."""
    return (*ODD_NAMES[:n], *(f"label {i}" for i in range(len(ODD_NAMES), n)))


def make_curves(random, labels, *, stops_at=""):
    """Counts over thresholds that have no prediction at the end, where precision is undefined."""
    tp, fp = (np.sort(random.integers(0, 50, (101, labels)), axis=0)[::-1] for _ in range(2))
    tp[-3:] = fp[-3:] = 0
    thresholds = np.linspace(0, 1, 101)
    return ThresholdCurves(thresholds=thresholds, tp=tp, fp=fp, fn=50 - tp, stops_at=stops_at)


def make_recall_curves(random, names):
    """A curve of all labels together and of each, some without an average."""
    return tuple(
        PrecisionRecallCurve(
            label=name,
            precision=random.random(30),
            recall=np.sort(random.random(30)) * (np.arange(30) > 2),
            average_precision=np.nan if i % 5 == 4 else random.random(),
        )
        for i, name in enumerate(("", *names))
    )


@pytest.mark.parametrize("n", [1, 2, 9, 12, 13, 25, 40])
@pytest.mark.parametrize("seed", [0, 1])
def test_pixels_are_those_of_the_figure(n, seed, make_metrics, confusion):
    """Whatever names, counts, columns of our own and curves there are, to the last pixel."""
    random = np.random.default_rng([n, seed])
    own = [(), ("(none)",), ("(background)",)][random.integers(3)]
    counts = random.integers(0, 40, (n, n + len(own))) ** random.integers(1, 3)
    names = make_names(n)
    metrics = make_metrics(
        labels=names,
        confusion=confusion(counts * (random.random(counts.shape) < 0.7), names, own_columns=own),
        curves=make_curves(random, n, stops_at="records stop here " * 9 if seed else ""),
        precision_recall=make_recall_curves(random, names[: n - seed]),
    )
    paths = compare(metrics, version="".join(ODD_NAMES) if seed else "v1")
    assert paths == {"confusion_matrix.png", "threshold_curves.png", "precision_recall.png"}
    compare(metrics, top_labels=5)


def test_pixels_of_intervals_are_those_of_the_figure(make_metrics):
    """Dots, intervals and the line of the mean, of labels that have no IoU too."""
    low, iou, high = np.sort(np.random.default_rng(0).random((3, 9)), axis=0)
    iou[4] = low[4] = high[4] = np.nan
    iou[5] = high[5] = 1.0
    drawn = {"iou": iou, "iou_low": low, "iou_high": high}
    others = [field.name for field in fields(LabelScores) if field.default is MISSING]
    scores = LabelScores(**dict.fromkeys(others, np.zeros(9)), **drawn)
    metrics = make_metrics(
        labels=make_names(9),
        task=Task.SEGMENTATION,
        per_label=scores,
        aggregate={"mean_iou": Number(value=0.4)},
    )
    assert compare(metrics) == {"label_iou.png"}


def test_a_second_version_makes_none_of_matplotlibs_figures(make_metrics, confusion, monkeypatch):
    """Neither axes nor texts are made, but for the version's own name, of two resolutions."""
    monkeypatch.setattr(paint, "_kept", {})  # whatever was drawn before
    random = np.random.default_rng(0)
    names = make_names(9)
    metrics = make_metrics(
        labels=names,
        confusion=confusion(random.integers(0, 90, (9, 9)), names),
        curves=make_curves(random, 9),
        precision_recall=make_recall_curves(random, names),
    )
    draw_pictures(metrics, version="v1")
    made = []
    for kind in (Axes, Text):
        plain = kind.__init__

        def count(self, *args, _plain=plain, **look):
            made.append(type(self))
            _plain(self, *args, **look)

        monkeypatch.setattr(kind, "__init__", count)
    draw_pictures(metrics, version="v1")
    if not KEEPS_TEXTS:  # there are figures
        assert made
        return
    assert made == []
    draw_pictures(metrics, version="v2")
    assert made in ([Text], [Text, Text])

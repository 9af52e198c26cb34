"""Results to draw, made by hand."""

import numpy as np
import pytest

from mlrek.evaluation import RecordsKind, Task
from mlrek.figures import draw_figure, draw_pictures
from mlrek.metrics import ConfusionMatrix, Metrics, PrecisionRecallCurve, ThresholdCurves


@pytest.fixture
def make_metrics():
    """Makes metrics that hold just these parts; `labels` are names or how many there are."""

    def make(*, labels=("a", "b"), images=12, task=Task.CLASSIFICATION, **parts):
        return Metrics(
            task=task,
            labels=tuple(map(str, range(labels))) if isinstance(labels, int) else labels,
            prediction_rule="top1",
            records=RecordsKind.COMPLETE,
            test_images=images,
            **parts,
        )

    return make


@pytest.fixture
def draw_figures():
    """Draws the pictures of a run, by their paths: figures that are not made into pixels yet."""

    def draw(metrics, version="v"):
        paths = draw_pictures(metrics, version=version)
        return {path: draw_figure(path, metrics, version=version) for path in paths}

    return draw


def _confusion(counts, labels, *, own_rows=(), own_columns=()):
    return ConfusionMatrix(
        counts=np.array(counts, dtype=np.int64),
        rows=(*labels, *own_rows),
        columns=(*labels, *own_columns),
    )


@pytest.fixture
def confusion():
    """Makes a matrix of counts, label names, and names of our own."""
    return _confusion


@pytest.fixture
def even_confusion():
    """Makes a matrix with the same count in every cell, for n labels with names of any kind."""

    def make(n, name="label {}"):
        return _confusion(np.full((n, n), 3), [name.format(i) for i in range(n)])

    return make


@pytest.fixture
def curves():
    """Three thresholds, two labels: micro F1 is 2/3, 0.8 and undefined precision with F1 0."""
    return ThresholdCurves(
        thresholds=np.array([0.0, 0.5, 1.0]),
        tp=np.array([[1, 1], [1, 1], [0, 0]]),
        fp=np.array([[1, 1], [1, 0], [0, 0]]),
        fn=np.array([[0, 0], [0, 0], [1, 1]]),
    )


@pytest.fixture
def recall_curve():
    """Makes a curve of two points with that name and average precision."""

    def make(label, average_precision=0.75, precision=(1.0, 0.5)):
        return PrecisionRecallCurve(
            label=label,
            precision=np.array(precision),
            recall=np.array([0.5, 1.0]),
            average_precision=average_precision,
        )

    return make


@pytest.fixture
def texts_of():
    """All texts of a figure as they are written, header first, those inside axes last."""

    def read(figure):
        inside = [text for axes in figure.axes for text in axes.texts]
        return [text.get_text() for text in (*figure.texts, *inside)]

    return read

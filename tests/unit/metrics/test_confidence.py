"""The confidence that is asked for reaches every interval of every task."""

from dataclasses import replace

import numpy as np
import pytest

from mlrek.evaluation import MaskCounts, Provider, Reported, Task
from mlrek.metrics.compute import compute_metrics

N_IMAGES, N_LABELS = 120, 3


def draw_labels(build_scores, task):
    """Images with scores of three labels, each true as often as its score says."""
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(N_LABELS), size=N_IMAGES)
    truth = [[rng.choice(N_LABELS, p=row)] for row in scores]
    if task == Task.MULTILABEL:
        truth = [np.flatnonzero(rng.random(N_LABELS) < row).tolist() for row in scores]
    return build_scores(truth, scores, task=task, thresholds=[0.3] * N_LABELS)


def draw_positive_class(build_scores):
    """Images that are good or bad, the provider calls bad the positive class."""
    rng = np.random.default_rng(1)
    scores = rng.random(N_IMAGES)
    truth = [[int(rng.random() < score)] for score in scores]
    both = np.column_stack([1 - scores, scores])
    evaluation = build_scores(truth, both, labels=("good", "bad"), provider=Provider.LOOKOUT)
    return replace(evaluation, pos_label="bad")


def draw_counts(build):
    """No images, but the published confusion matrix."""
    labels = tuple("abc")
    cells = tuple((t, p, 40.0 if t == p else 5.0) for t in labels for p in labels)
    reported = Reported(confusion=cells, test_images=150)
    return build([], [], labels=labels, provider=Provider.AUTOML, reported=reported)


def draw_masks(build):
    """Images with areas of three labels."""
    rng = np.random.default_rng(2)
    images, codes = np.divmod(np.arange(N_IMAGES * N_LABELS), N_LABELS)
    tp, fp, fn = rng.integers(1, 50, size=(3, len(images)))
    masks = MaskCounts(
        image_idx=images, label_idx=codes, tp=tp, fp=fp, fn=fn, readable=np.ones(N_IMAGES, bool)
    )
    empty = [[] for _ in range(N_IMAGES)]
    return replace(build(empty, empty), task=Task.SEGMENTATION, masks=masks)


@pytest.fixture(params=["classification", "multilabel", "positive class", "counts", "masks"])
def evaluation(request, build, build_scores):
    """One of each task but detection, whose boxes have tests of their own."""
    return {
        "classification": lambda: draw_labels(build_scores, Task.CLASSIFICATION),
        "multilabel": lambda: draw_labels(build_scores, Task.MULTILABEL),
        "positive class": lambda: draw_positive_class(build_scores),
        "counts": lambda: draw_counts(build),
        "masks": lambda: draw_masks(build),
    }[request.param]()


def test_lower_confidence_narrows_every_interval(evaluation, list_intervals):
    """At 0.9 each lies within that at 0.95, and the same ones are undefined."""
    usual = list_intervals(compute_metrics(evaluation))
    narrow = list_intervals(compute_metrics(evaluation, confidence=0.9))
    defined = [name for name, ends in usual.items() if not np.isnan(ends).any()]

    assert len(defined) >= 8
    for name in defined:
        (low, high), (inner_low, inner_high) = usual[name], narrow[name]
        assert low <= inner_low < inner_high <= high, name
        # of a model that may be calibrated the ends are 0 and the plain error at any confidence
        assert name == "ece_debiased" or inner_high - inner_low < high - low, name
    for name in usual.keys() - set(defined):
        assert np.isnan(narrow[name]).all(), name


def test_values_do_not_depend_on_the_confidence(evaluation):
    """It is about intervals alone."""
    usual, narrow = (compute_metrics(evaluation, confidence=c) for c in (0.95, 0.5))

    assert {name: number.value for name, number in usual.aggregate.items()} == pytest.approx(
        {name: number.value for name, number in narrow.aggregate.items()}, rel=0, nan_ok=True
    )


def test_usual_confidence_is_95_percent(evaluation):
    """Without a word about it."""
    assert repr(compute_metrics(evaluation).aggregate) == repr(
        compute_metrics(evaluation, confidence=0.95).aggregate
    )

"""The numbers of both versions on shared images, against scikit-learn, pycocotools, plain numpy."""

import numpy as np
import pytest
from builders.detections import build_detection, draw_random_scenes, run_pycocotools
from builders.masks import build_segmentation
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    hamming_loss,
    log_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from mlrek.comparison import Scope
from mlrek.evaluation import Task
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics

AVERAGES = ("micro", "macro", "weighted")
SCORES = ("precision", "recall", "f1")


def _average(y_true, y_pred, labels, group="aggregate"):
    """scikit-learn's averages over `labels`; several labels an image as an indicator matrix."""
    expected = {}
    for average in AVERAGES:
        found = precision_recall_fscore_support(
            y_true, y_pred, labels=labels, average=average, zero_division=0
        )
        expected |= {f"{group}/{s}_{average}": v for s, v in zip(SCORES, found[:3], strict=True)}
    return expected


@st.composite
def _codes(draw, n_labels=4):
    """True codes, and the predictions of two versions, -1 for none."""
    n = draw(st.integers(1, 20))
    true = st.lists(st.integers(0, n_labels - 1), min_size=n, max_size=n)
    pred = st.lists(st.integers(-1, n_labels - 1), min_size=n, max_size=n)
    return draw(true), draw(pred), draw(pred)


@settings(max_examples=40)
@given(codes=_codes())
def test_one_label_an_image(build_top, compare, values, codes):
    """scikit-learn's averages over the labels that are true or predicted by either version."""
    y_true, *predicted = codes
    labels = sorted({*y_true, *(p for side in predicted for p in side if p >= 0)})

    found = values(compare(*(build_top(y_true, side, n_labels=4) for side in predicted)))

    for i, y_pred in enumerate(predicted):
        expected = _average(y_true, y_pred, labels)
        expected["aggregate/accuracy"] = accuracy_score(y_true, y_pred)
        expected["aggregate/hamming_loss"] = hamming_loss(y_true, y_pred)
        for name, value in expected.items():
            assert found[name, ""][i] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(5))
def test_one_label_an_image_with_all_scores(build_scores, compare, values, draw_pair, seed):
    """What needs the scores, and agreement beyond chance."""
    truth, *scores = draw_pair(seed)
    y_true = np.array(truth)[:, 0]

    found = values(compare(*(build_scores(truth, side) for side in scores)))

    for i, side in enumerate(scores):
        y_pred = side.argmax(axis=1)
        one_hot = np.eye(4)[y_true]
        expected = {
            "mcc": matthews_corrcoef(y_true, y_pred),
            "cohen_kappa": cohen_kappa_score(y_true, y_pred),
            "balanced_accuracy": balanced_accuracy_score(y_true, y_pred),
            "log_loss": log_loss(y_true, side),
            "roc_auc_macro": roc_auc_score(one_hot, side, average="macro"),
            "average_precision_macro": average_precision_score(one_hot, side, average="macro"),
        }
        for name, value in expected.items():
            assert found[f"aggregate/{name}", ""][i] == pytest.approx(value, abs=1e-12), name
        for code, label in enumerate("abcd"):
            assert found["label_ap", label][i] == pytest.approx(
                average_precision_score(one_hot[:, code], side[:, code]), abs=1e-12
            )
            assert found["label_roc_auc", label][i] == pytest.approx(
                roc_auc_score(one_hot[:, code], side[:, code]), abs=1e-12
            )


@pytest.mark.parametrize("seed", range(3))
def test_one_label_an_image_by_thresholds(build_scores, compare, values, draw_pair, seed):
    """The surest label that reaches its threshold, else none; each version has its own."""
    truth, *scores = draw_pair(seed)
    thresholds = [0.6, 0.5, 0.4, 0.7], [0.3, 0.5, 0.6, 0.8]
    sides = [build_scores(truth, s, thresholds=t) for s, t in zip(scores, thresholds, strict=True)]
    y_true = np.array(truth)[:, 0]
    predicted = []
    for side, reach in zip(scores, thresholds, strict=True):
        eligible = np.where(side >= reach, side, -1)
        predicted.append(np.where(eligible.max(axis=1) < 0, -1, eligible.argmax(axis=1)))
    labels = sorted({*y_true.tolist(), *np.unique(predicted).tolist()} - {-1})

    found = values(compare(*sides, rule=PredictionRule.THRESHOLD))

    for i, y_pred in enumerate(predicted):
        one_hot = np.eye(4, dtype=int)[y_true]
        reached = (scores[i] >= thresholds[i]).astype(int)
        expected = _average(y_true, y_pred, labels)
        expected |= _average(one_hot, reached, range(4), "at_threshold")
        for name, value in expected.items():
            assert found[name, ""][i] == pytest.approx(value, abs=1e-12), name


@st.composite
def _sets(draw, n_labels=3):
    """True labels, and those that two versions predict, as (images, labels) of booleans."""
    n = draw(st.integers(1, 12))
    row = st.lists(st.booleans(), min_size=n_labels, max_size=n_labels)
    matrix = st.lists(row, min_size=n, max_size=n)
    return [np.array(draw(matrix)) for _ in range(3)]


@settings(max_examples=40)
@given(sets=_sets())
def test_several_labels_an_image(build, compare, values, sets):
    """scikit-learn's averages, and the share of wrong cells."""
    y_true, *predicted = sets
    truth = [np.flatnonzero(row).tolist() for row in y_true]
    sides = [
        build(truth, [[(c, 0.9) for c in np.flatnonzero(row)] for row in side], task="multilabel")
        for side in predicted
    ]
    labels = np.flatnonzero(np.any(sets, axis=(0, 1)))

    found = values(compare(*sides))

    for i, y_pred in enumerate(predicted):
        expected = {
            "aggregate/subset_accuracy": accuracy_score(y_true, y_pred),
            "aggregate/hamming_loss": hamming_loss(y_true, y_pred),
        }
        if len(labels):
            expected |= _average(y_true, y_pred, labels)
        for name, value in expected.items():
            assert found[name, ""][i] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(3))
def test_boxes(compare, values, seed):
    """Pycocotools' numbers, of each version's boxes."""
    truth, records = draw_random_scenes(seed)
    others = [
        [(code, box, round(1.05 - score, 2)) for code, box, score in image] for image in records
    ]
    # A threshold above every score but 1: boxes that found nothing stand below it.
    sides = [
        build_detection(truth, found, n_labels=3, thresholds=[0.99] * 3)
        for found in (records, others)
    ]

    found = values(compare(*sides))

    for i, side in enumerate((records, others)):
        expected, per_label = run_pycocotools(truth, side, n_labels=3)
        for name in ("ap", "ap_50", "ap_75", "ar_100"):
            assert found[f"aggregate/{name}", ""][i] == pytest.approx(expected[name], abs=1e-9)
        for label, value in zip("abc", per_label, strict=True):
            assert found["label_ap", label][i] == pytest.approx(value, abs=1e-9)


def test_areas(compare, values):
    """IoU over the images that have a label, then over labels; pixels pooled."""
    baseline = [{0: (4, 1, 0), 1: (2, 0, 2)}, {0: (1, 0, 3)}, {1: (0, 5, 0)}]
    candidate = [{0: (4, 0, 0), 1: (3, 1, 1)}, {0: (2, 2, 2)}, {}]

    found = values(compare(*(build_segmentation(s, n_labels=2) for s in (baseline, candidate))))

    assert found["aggregate/mean_iou", ""] == pytest.approx(
        ((4 / 5 + 1 / 4 + 2 / 4 + 0) / 4, ((1 + 2 / 6) / 2 + 3 / 5) / 2), abs=1e-12
    )
    assert found["aggregate/pixel_f1", ""] == pytest.approx((14 / 25, 18 / 24), abs=1e-12)
    assert found["label_iou", "b"] == pytest.approx((1 / 4, 3 / 5), abs=1e-12)


@pytest.mark.parametrize("several", [False, True])
def test_whole_test_sets_have_the_numbers_of_each_version_alone(
    build_scores, compare, values, draw_pair, several
):
    """Exactly what a run of the version says."""
    truth, *scores = draw_pair(5, several=several)
    task = Task.MULTILABEL if several else Task.CLASSIFICATION
    options = {"task": task, "thresholds": [0.4] * 4}
    sides = (
        build_scores(truth[:40], scores[0][:40], images=map(str, range(40)), **options),
        build_scores(truth[10:], scores[1][10:], images=map(str, range(10, 60)), **options),
    )

    found = values(compare(*sides), Scope.WHOLE)

    for i, side in enumerate(sides):
        alone = compute_metrics(side, intervals=False)
        for group in ("aggregate", "at_threshold"):
            for name, number in getattr(alone, group).items():
                assert found[f"{group}/{name}", ""][i] == number.value, name
        for label, value in zip("abcd", alone.per_label.f1, strict=True):
            assert found["label_f1", label][i] == value


def test_a_label_that_one_version_alone_predicts_counts_for_both(build_top, compare, values):
    """Averages over the labels of both: a 0 for the version that never meets a label."""
    baseline = build_top([0, 0, 1, 1], [0, 0, 1, 1], n_labels=2)
    candidate = build_top([0, 0, 1, 1], [0, 0, 1, 2], n_labels=3)

    comparison = compare(baseline, candidate)

    assert values(comparison)["aggregate/f1_macro", ""] == pytest.approx(
        (2 / 3, (1 + 2 / 3 + 0) / 3), abs=1e-12
    )
    assert values(comparison, Scope.WHOLE)["aggregate/f1_macro", ""] == pytest.approx(
        (1, (1 + 2 / 3 + 0) / 3), abs=1e-12
    )

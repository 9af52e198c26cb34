"""The doubt `interval_short`: on which test sets which intervals miss more often than they say."""

import numpy as np
import pytest
from builders.evaluations import build_evaluation
from proof.populations import draw_detections, draw_masks

from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics, compute_numbers


def draw(n_of_label, seed=0):
    """An evaluation with so many images of each label, and the confidence of every label."""
    rng = np.random.default_rng(seed)
    y_true = np.repeat(np.arange(len(n_of_label)), n_of_label)
    scores = rng.random((len(y_true), len(n_of_label)))
    scores[np.arange(len(y_true)), y_true] += 0.6
    scores /= scores.sum(axis=1, keepdims=True)
    return build_evaluation(
        [[code] for code in y_true.tolist()],
        [list(enumerate(row)) for row in scores.tolist()],
        n_labels=len(n_of_label),
    )


def find_touched(evaluation, **options):
    """What doubts of short intervals touch."""
    doubts = compute_metrics(evaluation, **options).doubts
    return [d.touches for d in doubts if d.kind == "interval_short"]


@pytest.mark.parametrize(
    ("n_of_label", "touched"),
    [
        ((288, 12), [("interval/roc_auc_macro",)]),  # 97:3
        ((280, 20), []),
        ((150, 138, 12), [("interval/roc_auc_macro",)]),
        ((100, 100, 88, 12), []),  # no single label makes the mean of four
        ((295, 5), []),  # too few for any interval at all
        ((5,) * 20, [("interval/roc_auc_macro", "interval/average_precision_macro")]),
        ((6,) * 20, []),
    ],
)
def test_means_of_areas_are_short_where_few_images_make_them(n_of_label, touched):
    """Of under four labels 20 images of the rarest, of any number six a label."""
    assert find_touched(draw(n_of_label)) == touched


def test_groups_are_counted_in_place_of_images():
    """Of 60 bad images of 12 objects, 12 are counted."""
    evaluation = draw((240, 60))
    groups = np.concatenate([np.arange(240), 240 + np.arange(60) // 5])

    assert find_touched(evaluation) == []
    assert find_touched(evaluation, groups=groups) == [("interval/roc_auc_macro",)]


def test_nothing_is_short_where_there_is_no_interval():
    """As in a comparison, which makes its own."""
    doubts = compute_numbers(draw((288, 12)), PredictionRule.TOP1).doubts

    assert "interval_short" not in [d.kind for d in doubts]


def test_areas_of_a_label_need_twenty_images_of_either_kind():
    """With fewer there is no interval, and what would be needed is said."""
    scores = compute_metrics(draw((40, 20, 19))).per_label

    for name in ("ap", "roc_auc"):
        low, high = getattr(scores, f"{name}_low"), getattr(scores, f"{name}_high")
        assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, False, True]


def test_boxes_and_masks_are_short_in_what_few_large_ones_make():
    """Of detections parts of average precision, of masks what is pooled over pixels."""
    rng = np.random.default_rng(0)
    boxes = compute_metrics(draw_detections(rng, 40)).doubts
    masks = compute_metrics(draw_masks(rng, 40)).doubts

    touched = [d.touches for d in (*boxes, *masks) if d.kind == "interval_short"]
    assert touched == [
        tuple(f"interval/{n}" for n in ("ap_small", "ap_medium", "ap_large", "label_ap")),
        tuple(
            f"interval/{n}"
            for n in ("pixel_precision", "pixel_recall", "label_precision", "label_recall")
        ),
    ]

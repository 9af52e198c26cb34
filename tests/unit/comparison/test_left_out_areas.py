"""Intervals of differences of boxes and masks: pycocotools and numpy without each image."""

import numpy as np
from builders.detections import build_detection, draw_random_scenes, run_pycocotools
from builders.left_out import assert_interval, find_interval, leave_out
from builders.masks import build_segmentation

from mlrek.comparison import Scope

NAMES = [f"s3://bucket/{i:03}.jpg" for i in range(30)]


def test_boxes_are_left_out_by_image(compare):
    """Pycocotools without each image, for both versions."""
    truth, records = draw_random_scenes(3, n_images=12, n_labels=2)
    rng = np.random.default_rng(0)
    records, others = (
        [[(code, box, rng.uniform(0.01, 0.98)) for code, box, _ in image] for image in records]
        for _ in range(2)
    )
    sides = [
        build_detection(truth, found, thresholds=[0.99] * 2, images=NAMES[:12])
        for found in (records, others)
    ]

    comparison = compare(*sides, intervals=True)

    names = ("ap", "ap_50", "ap_75")
    scorers = [_score_boxes(truth, one, names) for one in (records, others)]
    _assert_intervals(comparison, scorers, 12)


def _score_boxes(truth, found, names):
    """Pycocotools' numbers of some of the images."""

    def score(kept):
        numbers, _ = run_pycocotools([truth[i] for i in kept], [found[i] for i in kept])
        return {f"aggregate/{name}": numbers[name] for name in names}

    return score


def _assert_intervals(comparison, scorers, n_images):
    (first, before), (second, after) = (leave_out(one, np.arange(n_images)) for one in scorers)
    for name in first:
        ends = find_interval(
            second[name] - first[name],
            (first[name], before[name]),
            (second[name], after[name]),
            degrees=n_images - 1,
        )
        assert_interval(comparison, Scope.SHARED, name, ends)


def test_boxes_of_each_size_are_left_out_by_image(compare):
    """Pycocotools' average precision of small, medium and large boxes."""
    rng = np.random.default_rng(5)
    truth, found = [], ([], [])
    for _ in range(12):
        boxes = [(*rng.uniform(0, 99, 2), *rng.choice([20, 60, 150], 2)) for _ in range(6)]
        truth.append([(i % 2, (x, y, x + w, y + h)) for i, (x, y, w, h) in enumerate(boxes)])
        for one in found:
            moved = [(c, np.add(box, rng.normal(scale=5, size=4))) for c, box in truth[-1]]
            one.append([(c, tuple(box), rng.uniform(0.01, 0.98)) for c, box in moved])
    options = {"thresholds": [0.99] * 2, "images": NAMES[:12], "sizes": [[400, 400]] * 12}

    comparison = compare(*(build_detection(truth, one, **options) for one in found), intervals=True)

    names = [f"ap_{size}" for size in ("small", "medium", "large")]
    _assert_intervals(comparison, [_score_boxes(truth, one, names) for one in found], 12)


def test_areas_are_left_out_by_image(compare):
    """Pixels of the other images pooled, and IoU averaged over them."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(1, 50, size=(2, 30, 3))
    pixels[:, :, 2] = 100 - pixels[:, :, 0]  # both have the same true pixels
    sides = [
        build_segmentation([{0: tuple(row)} for row in one], n_labels=1, images=NAMES[:30])
        for one in pixels
    ]

    comparison = compare(*sides, intervals=True)

    def scorer(one):
        def score(kept):
            tp, fp, fn = one[kept].T
            return {
                "aggregate/mean_iou": np.mean(tp / (tp + fp + fn)),
                "aggregate/pixel_f1": 2 * tp.sum() / (2 * tp + fp + fn).sum(),
            }

        return score

    _assert_intervals(comparison, [scorer(one) for one in pixels], 30)

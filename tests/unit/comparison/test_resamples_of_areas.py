"""Intervals of differences of boxes and masks: pycocotools, and plain numpy, on what was drawn."""

import numpy as np
from builders.detections import build_detection, draw_random_scenes, run_pycocotools
from builders.masks import build_segmentation
from builders.resamples import assert_intervals, draw_units

from mlrek.comparison import Scope

NAMES = [f"s3://bucket/{i:03}.jpg" for i in range(30)]


def test_boxes_are_drawn_by_image(compare):
    """Pycocotools on the drawn images, for both versions."""
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

    comparison = compare(*sides, resamples=24)

    samples = []
    for drawn in draw_units([12], resamples=24):
        scenes = [truth[i] for i in drawn]
        (before, _), (after, _) = (
            run_pycocotools(scenes, [found[i] for i in drawn]) for found in (records, others)
        )
        samples.append({f"aggregate/{n}": after[n] - before[n] for n in ("ap", "ap_50", "ap_75")})
    assert_intervals(comparison, samples, Scope.SHARED)


def test_boxes_of_each_size_are_drawn_by_image(compare):
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

    comparison = compare(*(build_detection(truth, one, **options) for one in found), resamples=24)

    names = [f"ap_{size}" for size in ("small", "medium", "large")]
    samples = []
    for drawn in draw_units([12], resamples=24):
        (before, _), (after, _) = (
            run_pycocotools([truth[i] for i in drawn], [one[i] for i in drawn]) for one in found
        )
        samples.append({f"aggregate/{name}": after[name] - before[name] for name in names})
    assert_intervals(comparison, samples, Scope.SHARED)


def test_areas_are_drawn_by_image(compare):
    """Pixels of the drawn images pooled, and IoU averaged over them."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(1, 50, size=(2, 30, 3))
    pixels[:, :, 2] = 100 - pixels[:, :, 0]  # both have the same true pixels
    sides = [
        build_segmentation([{0: tuple(row)} for row in one], n_labels=1, images=NAMES[:30])
        for one in pixels
    ]

    comparison = compare(*sides, resamples=24)

    samples = []
    for drawn in draw_units([30], resamples=24):
        mine = []
        for tp, fp, fn in (one[drawn].T for one in pixels):
            f1 = 2 * tp.sum() / (2 * tp + fp + fn).sum()
            mine.append(
                {"aggregate/mean_iou": np.mean(tp / (tp + fp + fn)), "aggregate/pixel_f1": f1}
            )
        samples.append({name: mine[1][name] - mine[0][name] for name in mine[0]})
    assert_intervals(comparison, samples, Scope.SHARED)

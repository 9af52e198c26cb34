"""Detections written down as plain lists, and pycocotools, which computes them independently."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mlrek.evaluation import (
    Boxes,
    Detections,
    Evaluation,
    LabelSets,
    Outcome,
    Project,
    Provider,
    Records,
    Reported,
    Task,
    Version,
)

STATS = {"ap": 0, "ap_50": 1, "ap_75": 2, "ap_small": 3, "ap_medium": 4, "ap_large": 5, "ar_100": 8}


def build_detection(
    truth,
    records,
    *,
    n_labels=2,
    thresholds=None,
    images=None,
    sizes=None,
    normalized=False,
    reported=None,
):
    """An evaluation of lists; labels are `a`, `b`, … and images `0`, `1`, … unless given."""
    empty = np.zeros(len(truth) + 1, dtype=int)
    none = np.empty(0, dtype=int)
    no_flags = np.empty(0, dtype=np.uint8)
    project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="project")
    return Evaluation(
        version=Version(project=project, arn="arn:version", name="v1"),
        task=Task.DETECTION,
        labels=tuple("abcdefghijklmnopqrstuvwxyz"[:n_labels]),
        images=tuple(images or map(str, range(len(truth)))),
        truth=LabelSets(offsets=empty, label_idx=none),
        records=Records(offsets=empty, label_idx=none, confidence=np.empty(0), outcome=no_flags),
        thresholds=np.full(n_labels, np.nan) if thresholds is None else np.array(thresholds),
        detections=Detections(
            truth=_columns([[(*box, np.nan) for box in image] for image in truth]),
            records=_columns(records),
            image_sizes=np.full((len(truth), 2), np.nan) if sizes is None else np.array(sizes),
            normalized=normalized,
        ),
        reported=reported or Reported(),
    )


def run_pycocotools(truth, records, n_labels=2):
    """Evaluate the same lists as `build_detection` takes, all records being detections."""
    coco = COCO()
    boxes = [(i, *box) for i, image in enumerate(truth) for box in image]
    coco.dataset = {
        "images": [{"id": i} for i in range(len(truth))],
        "categories": [{"id": i} for i in range(n_labels)],
        "annotations": [
            _annotate(*box) | {"id": number, "iscrowd": 0} for number, box in enumerate(boxes, 1)
        ],
    }
    found = [
        _annotate(i, code, box) | {"id": 0, "score": score, "iscrowd": 0}
        for i, image in enumerate(records)
        for code, box, score, *_ in image
    ]
    results = COCO()
    results.dataset = coco.dataset | {
        "annotations": [row | {"id": number} for number, row in enumerate(found, 1)]
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        results.createIndex()
        evaluation = COCOeval(coco, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: evaluation.stats[place] for name, place in STATS.items()}
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    per_label = [precision[:, :, code] for code in range(n_labels)]
    return (
        {name: np.nan if value == -1 else value for name, value in values.items()},
        [np.nan if (label == -1).any() else label.mean() for label in per_label],
    )


def draw_random_scenes(seed, *, n_images=6, n_labels=3, n_true=60, n_found=120, grid=120):
    """Lists as `build_detection` takes them, of seeded random boxes with few distinct scores."""
    rng = np.random.default_rng(seed)
    truth = [[] for _ in range(n_images)]
    records = [[] for _ in range(n_images)]
    for _ in range(n_true):
        truth[rng.integers(n_images)].append((int(rng.integers(n_labels)), _draw_box(rng, grid)))
    for _ in range(n_found):
        image = int(rng.integers(n_images))
        code, box = int(rng.integers(n_labels)), _draw_box(rng, grid)
        if truth[image] and rng.random() < 0.7:
            near, true_box = truth[image][rng.integers(len(truth[image]))]
            code = near if rng.random() < 0.8 else code
            box = tuple(side + rng.integers(-grid // 16, grid // 16 + 1) for side in true_box)
        records[image].append((code, box, float(rng.integers(1, 21) / 20)))
    return truth, records


def _draw_box(rng, grid):
    x, y = rng.integers(0, grid, 2).tolist()
    width, height = (rng.integers(2, grid, 2) * rng.random()).round().tolist()
    return x, y, x + width, y + height


def _columns(images):
    rows = [(*row, "UNKNOWN")[:4] for image in images for row in image]
    return Boxes(
        offsets=np.cumsum([0, *map(len, images)]),
        label_idx=np.array([code for code, *_ in rows], dtype=int),
        boxes_xyxy=np.array([box for _, box, *_ in rows], dtype=float).reshape(-1, 4),
        confidence=np.array([confidence for _, _, confidence, _ in rows], dtype=float),
        outcome=np.array([Outcome[flag] for *_, flag in rows], dtype=np.uint8),
    )


def _annotate(image, code, box):
    left, top, right, bottom = map(float, box)
    width, height = right - left, bottom - top
    return {
        "image_id": image,
        "category_id": code,
        "bbox": [left, top, width, height],
        "area": width * height,
    }

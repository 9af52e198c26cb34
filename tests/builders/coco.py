"""COCO files written down or drawn, and pycocotools, which evaluates them independently."""

import contextlib
import copy
import io
import json

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mlrek.formats.files import ITSELF, Files

STATS = {"ap": 0, "ap_50": 1, "ap_75": 2, "ap_small": 3, "ap_medium": 4, "ap_large": 5, "ar_100": 8}


def give_file(content, uri="file.json"):
    """A file as readers get it: of bytes, or of what JSON can hold."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Files(uri=uri, names=(ITSELF,), read=lambda _: [data])


def give_folder(contents, uri="folder"):
    """A folder as readers get it: contents by name."""
    encoded = {
        name: content if isinstance(content, bytes) else content.encode()
        for name, content in contents.items()
    }
    return Files(uri=uri, names=tuple(sorted(encoded)), read=lambda name: [encoded[name]])


def run_coco_eval(truth, results, kind="bbox"):
    """The numbers of pycocotools, also the AP of each label; NaN where it has none."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        found = coco.loadRes(copy.deepcopy(results))
        evaluation = COCOeval(coco, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: evaluation.stats[place] for name, place in STATS.items()}
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    for code, category in enumerate(truth["categories"]):
        values[category["name"]] = precision[:, :, code].mean()
    return {name: np.nan if value == -1 else value for name, value in values.items()}


def draw_coco(seed, *, n_images=8, n_labels=3, n_true=70, n_found=150, masks=False, side=130):
    """An instances file and results of seeded random boxes, with crowds, flags and areas."""
    rng = np.random.default_rng(seed)
    images = [
        {"id": 10 + i, "file_name": f"{i:04}.jpg", "width": side, "height": side - 7}
        for i in range(n_images)
    ]
    truth = [_draw_true(rng, number, n_images, n_labels, side) for number in range(1, n_true + 1)]
    results = [_draw_found(rng, truth, n_images, n_labels, side) for _ in range(n_found)]
    if masks:
        for row in truth:
            row["segmentation"] = _draw_segmentation(rng, row, side)
        for row in results:
            row["segmentation"] = _encode(row["bbox"], side)
    categories = [{"id": 3 * i + 1, "name": f"label {i}"} for i in range(n_labels)]
    return {"images": images, "annotations": truth, "categories": categories}, results


def _draw_box(rng, side):
    left, top = rng.integers(0, 10 * side - 20, 2) / 10
    width, height = (rng.integers(1, 10 * side, 2) * rng.random() ** 2).round() / 10
    return [
        float(left),
        float(top),
        float(np.round(min(width, side - left), 1)),
        float(np.round(min(height, side - 7 - min(top, side - 7)), 1)),
    ]


def _draw_true(rng, number, n_images, n_labels, side):
    box = _draw_box(rng, side)
    return {
        "id": number,
        "image_id": 10 + int(rng.integers(n_images)),
        "category_id": 3 * int(rng.integers(n_labels)) + 1,
        "bbox": box,
        "area": float(np.round(box[2] * box[3] * rng.random(), 2)),
        "iscrowd": int(rng.random() < 0.15),
        "ignore": int(rng.random() < 0.1),
    }


def _draw_found(rng, truth, n_images, n_labels, side):
    near = truth[rng.integers(len(truth))]
    box = _draw_box(rng, side)
    image, label = 10 + int(rng.integers(n_images)), 3 * int(rng.integers(n_labels)) + 1
    if rng.random() < 0.7:
        shift = rng.integers(-40, 41, 4) / 10 * (rng.random() < 0.9)
        box = [float(np.round(max(0.0, v), 1)) for v in np.array(near["bbox"]) + shift]
        image = near["image_id"]
        label = near["category_id"] if rng.random() < 0.8 else label
    score = float(rng.integers(0, 21) / 20)
    return {"image_id": image, "category_id": label, "bbox": box, "score": score}


def _cut_corner(box, side):
    """The pixels of a box without one of its corners."""
    left, top, width, height = (round(v) for v in box)
    pixels = np.zeros((side - 7, side), dtype=np.uint8, order="F")
    pixels[top : top + height, left : left + width] = 1
    pixels[top : top + height // 3, left : left + width // 3] = 0
    return pixels


def _encode(box, side):
    """The same as results have it."""
    rle = mask.encode(_cut_corner(box, side))
    return {"size": [side - 7, side], "counts": rle["counts"].decode()}


def _draw_segmentation(rng, row, side):
    """Polygons, uncompressed or compressed RLE."""
    left, top, width, height = row["bbox"]
    kind = 1 if row["iscrowd"] else rng.integers(3)
    if kind == 0:
        right, bottom = left + width, top + height
        return [[left, top, right, top, right, bottom, left + width / 2, bottom, left, top + 1]]
    if kind == 2:
        return _encode(row["bbox"], side)
    flat = _cut_corner(row["bbox"], side).flatten(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends.tolist(), len(flat)]).tolist()
    return {"size": [side - 7, side], "counts": [0, *counts] if flat[0] else counts}

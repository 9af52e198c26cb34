"""Average precision of boxes against pycocotools: how much faster, and how much less memory?

Each side runs in a process of its own, from boxes in memory: mlrek from its columns, pycocotools
from the lists of dictionaries that it takes (making these is not counted). Prints the ratios of
processor seconds and of peak memory above that of the boxes, and the greatest difference of a
number; exit code 1 where a target is missed. Then the seconds for everything, without intervals and
with them.

    python tests/benchmarks/bench_detection.py --images 50000
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from rows import print_row

from mlrek.evaluation import (
    Boxes,
    Detections,
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    Task,
    Version,
)
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.detection.ap import compute_box_numbers
from mlrek.metrics.detection.matching import arrange_boxes
from mlrek.metrics.left_out import Sampling

TOLERANCE = 1e-9
WANTED_FASTER, WANTED_SMALLER = 20, 4
STATS = {"ap": 0, "ap_50": 1, "ap_75": 2, "ap_small": 3, "ap_medium": 4, "ap_large": 5, "ar_100": 8}
SIDE = 1024

Numbers = dict[str, float]


def main() -> None:
    """Run both sides, each in its own process, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--boxes", type=int, default=10)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--all-images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=SIDES, help="run one side and print its result as JSON")
    options = parser.parse_args()
    shape = options.images, options.boxes, options.labels
    if options.only:
        print(json.dumps(SIDES[options.only](draw_evaluation(*shape))))
        return
    rounds = [{name: run_apart(name, shape) for name in SIDES} for _ in range(options.rounds)]
    apart = max(abs(c["mlrek"][name] - c["pycocotools"][name]) for c in rounds for name in STATS)
    size = f"{shape[0]:,} images × {shape[1]} boxes"
    faster = report(rounds, "seconds", "s of processor", f"COCO numbers, {size}", WANTED_FASTER)
    smaller = report(rounds, "mib", "MiB", f"memory of these, {size}", WANTED_SMALLER)
    print_row("difference of these numbers", "≤ 1e-9", f"{apart:.0e}", met=apart <= TOLERANCE)
    report_everything(options.all_images, *shape[1:])
    sys.exit(apart > TOLERANCE or not (faster and smaller))


def run_apart(name: str, shape: tuple[int, int, int]) -> Numbers:
    """One side in a process of its own, so that peaks of memory do not mix."""
    sizes = zip(("--images", "--boxes", "--labels"), map(str, shape), strict=True)
    command = [sys.executable, __file__, "--only", name, *(part for pair in sizes for part in pair)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def report(rounds: list[dict[str, Numbers]], key: str, unit: str, what: str, wanted: int) -> bool:
    """One row; whether the target is met."""
    ours, theirs = (median(costs[name][key] for costs in rounds) for name in SIDES)
    ratio = median(costs["pycocotools"][key] / costs["mlrek"][key] for costs in rounds)
    print_row(
        f"{what}, against pycocotools",
        f"1/{wanted}",
        f"1/{ratio:.1f} ({ours:.2f} {unit}, {theirs:.1f} {unit})",
        met=ratio >= wanted,
    )
    return ratio >= wanted


def report_everything(n_images: int, n_boxes: int, n_labels: int) -> None:
    """Intervals, and the whole of a detection, in processor seconds."""
    evaluation = draw_evaluation(n_images, n_boxes, n_labels)
    for what, intervals in (("everything but intervals", False), ("everything", True)):
        start = time.process_time()
        compute_metrics(evaluation, intervals=intervals)
        seconds = time.process_time() - start
        print(f"{what}, {n_images:,} images: {seconds:.2f} s")


def measure(compute: Callable[[], Numbers]) -> Numbers:
    """The numbers, with processor seconds and MiB of memory above what was there before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    numbers = compute()
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return numbers | {"seconds": seconds, "mib": (peak - before) / 1024}


def measure_mlrek(evaluation: Evaluation) -> Numbers:
    """Averages of all sizes and of each label."""
    detections = evaluation.detections
    assert detections is not None

    def compute() -> Numbers:
        everything = np.ones(len(detections.records.confidence), dtype=np.bool_)
        scenes = arrange_boxes(detections, everything, len(evaluation.labels), 0.5)
        places = np.arange(scenes.n_images)
        numbers, _ = compute_box_numbers(
            scenes, places, Sampling(intervals=False).find_units(scenes.n_images)
        )
        return {name: number.value for name, number in numbers.items()}

    return measure(compute)


def measure_pycocotools(evaluation: Evaluation) -> Numbers:
    """The same numbers."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    detections = evaluation.detections
    assert detections is not None
    truth = {
        "info": {},
        "images": [{"id": i} for i in range(len(evaluation.images))],
        "categories": [{"id": i} for i in range(len(evaluation.labels))],
        "annotations": [
            row | {"id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
            for number, row in enumerate(list_boxes(detections.truth), 1)
        ],
    }
    results = list_boxes(detections.records)

    def compute() -> Numbers:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO()
            coco.dataset = truth
            coco.createIndex()
            evaluated = COCOeval(coco, coco.loadRes(results), "bbox")
            evaluated.evaluate()
            evaluated.accumulate()
            evaluated.summarize()
        return {name: float(evaluated.stats[place]) for name, place in STATS.items()}

    return measure(compute)


def list_boxes(boxes: Boxes) -> list[dict[str, object]]:
    """Boxes as pycocotools takes them."""
    xywh = np.hstack([boxes.boxes_xyxy[:, :2], boxes.boxes_xyxy[:, 2:] - boxes.boxes_xyxy[:, :2]])
    columns = boxes.image_idx, boxes.label_idx, xywh, boxes.confidence
    return [
        {"image_id": image, "category_id": label, "bbox": box, "score": score}
        for image, label, box, score in zip(*(c.tolist() for c in columns), strict=True)
    ]


def draw_evaluation(n_images: int, n_boxes: int, n_labels: int) -> Evaluation:
    """Four of five true boxes found more or less well, one in ten as another label; and noise."""
    rng = np.random.default_rng(0)
    n = n_images * n_boxes
    truth_images = np.repeat(np.arange(n_images), n_boxes)
    truth_labels, truth_boxes = rng.integers(n_labels, size=n), draw_boxes(rng, n).round()
    found = rng.permutation(n)[: n * 4 // 5]
    moved = rng.normal(0, 0.08, (len(found), 4)) * np.tile(
        truth_boxes[found, 2:] - truth_boxes[found, :2], 2
    )
    noise = n - len(found)
    images = np.concatenate([truth_images[found], rng.integers(n_images, size=noise)])
    labels = np.concatenate([truth_labels[found], rng.integers(n_labels, size=noise)])
    wrong = rng.random(n) < 0.1
    labels[wrong] = rng.integers(n_labels, size=np.count_nonzero(wrong))
    boxes = np.concatenate([truth_boxes[found] + moved, draw_boxes(rng, noise)])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = np.concatenate([rng.beta(5, 2, len(found)), rng.beta(2, 5, noise)])
    order = np.argsort(images, kind="stable")
    truth = make_boxes(n_images, truth_images, truth_labels, truth_boxes, np.full(n, np.nan))
    records = make_boxes(n_images, images[order], labels[order], boxes[order], scores[order])
    return make_evaluation(n_images, n_labels, truth, records)


def draw_boxes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Boxes of all sizes within an image."""
    sizes = np.exp(rng.normal(4, 0.8, (n, 2))).clip(4, 500)
    corners = rng.random((n, 2)) * (SIDE - sizes)
    return np.hstack([corners, corners + sizes])


def make_boxes(
    n_images: int, images: np.ndarray, labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> Boxes:
    """Columns of boxes by image."""
    return Boxes(
        offsets=np.searchsorted(images, np.arange(n_images + 1)),
        label_idx=labels,
        boxes_xyxy=boxes,
        confidence=scores,
        outcome=np.zeros(len(labels), dtype=np.uint8),
    )


def make_evaluation(n_images: int, n_labels: int, truth: Boxes, records: Boxes) -> Evaluation:
    """A detection without thresholds and flags."""
    empty, none = np.zeros(n_images + 1, dtype=np.int64), np.empty(0, dtype=np.int64)
    project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="benchmark")
    return Evaluation(
        version=Version(project=project, arn="arn:version", name="v1"),
        task=Task.DETECTION,
        labels=tuple(f"label {i}" for i in range(n_labels)),
        images=tuple(f"s3://bucket/{i:07d}.jpg" for i in range(n_images)),
        truth=LabelSets(offsets=empty, label_idx=none),
        records=Records(
            offsets=empty, label_idx=none, confidence=np.empty(0), outcome=none.astype(np.uint8)
        ),
        thresholds=np.full(n_labels, np.nan),
        detections=Detections(
            truth=truth, records=records, image_sizes=np.full((n_images, 2), float(SIDE))
        ),
    )


SIDES: dict[str, Callable[[Evaluation], Numbers]] = {
    "mlrek": measure_mlrek,
    "pycocotools": measure_pycocotools,
}


if __name__ == "__main__":
    main()

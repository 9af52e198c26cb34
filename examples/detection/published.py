"""From boxes to what Amazon Rekognition Custom Labels publishes about finding objects.

The service documents neither how it matches boxes nor over which overlaps it averages. Here it is
COCO's way at IoU 0.5: from the most confident box on, each takes the true box of its label that it
overlaps most and that nothing has taken yet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from detector import DECIMALS, Detections, Floats, Ints
from files import Json
from numpy.typing import NDArray
from rekognition import (
    ATTRIBUTE,
    LABELS,
    Training,
    describe_answer,
    describe_label,
    describe_outcome,
    describe_summary,
    describe_truth,
)
from scenes import HEIGHT, WIDTH, Scene, compute_iou

Bools = NDArray[np.bool_]

IOU_THRESHOLD = 0.5
NEVER_FOUND = -1
KIND = "object-detection"


@dataclass(frozen=True, slots=True)
class Image:
    """A scene, what was found in it, and for each true box the box that found it, or -1."""

    name: str
    scene: Scene
    found: Detections
    finders: Ints

    @property
    def is_match(self) -> Bools:
        """Which found boxes stand for a true one."""
        return np.isin(np.arange(len(self.found.digits)), self.finders)


def match(scene: Scene, found: Detections) -> Ints:
    """For each true box the found one that takes it, or -1."""
    finders = np.full(len(scene.digits), NEVER_FOUND)
    iou = compute_iou(found.boxes_xyxy, scene.boxes_xyxy)
    iou[found.digits[:, None] != scene.digits] = 0
    for box in np.argsort(-found.confidence, kind="stable"):
        free = np.where(finders == NEVER_FOUND, iou[box], 0)
        if free.max() >= IOU_THRESHOLD:
            finders[free.argmax()] = box
    return finders


def describe_images(training: Training, images: Sequence[Image]) -> tuple[Json, Iterator[Json]]:
    """The summary, and the lines of the manifest."""
    columns = [_gather(digit, images) for digit in range(len(LABELS))]
    thresholds = [_best_threshold(*column) for column in columns]
    rows = [
        describe_label(
            label,
            sum(digit in image.scene.digits for image in images),
            _count(*columns[digit], thresholds[digit]),
            thresholds[digit],
        )
        for digit, label in enumerate(LABELS)
    ]
    summary = describe_summary(training, LABELS, rows, len(images))
    summary["AggregatedEvaluationResults"] |= {
        "AveragePrecision": fmean(_average_precision(*column) for column in columns),
        "AverageRecall": fmean(is_match.sum() / n for _, is_match, n in columns),
    }
    return summary, (
        _describe_image(training, number, image, thresholds)
        for number, image in enumerate(images, start=1)
    )


def _gather(digit: int, images: Sequence[Image]) -> tuple[Floats, Bools, int]:
    """A label's boxes, the most confident first: confidence, whether it matches; true boxes."""
    confidence = [i.found.confidence[i.found.digits == digit] for i in images]
    is_match = [i.is_match[i.found.digits == digit] for i in images]
    order = np.argsort(-np.concatenate(confidence), kind="stable")
    n_true = sum(int((image.scene.digits == digit).sum()) for image in images)
    return np.concatenate(confidence)[order], np.concatenate(is_match)[order], n_true


def _best_threshold(confidence: Floats, is_match: Bools, n_true: int) -> float:
    """The threshold of the best F1, half way between two scores; of equal ones the highest."""
    candidates = np.unique(confidence)[::-1]
    halfway = (candidates + np.append(candidates[1:], 0)) / 2
    tp = np.array([(is_match & (confidence >= t)).sum() for t in halfway])
    said = np.array([(confidence >= t).sum() for t in halfway])
    return round(float(halfway[np.argmax(2 * tp / (said + n_true))]), DECIMALS + 1)


def _count(
    confidence: Floats, is_match: Bools, n_true: int, threshold: float
) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    said = confidence >= threshold
    tp = int((said & is_match).sum())
    return tp, int(said.sum()) - tp, n_true - tp


def _average_precision(_: Floats, is_match: Bools, n_true: int) -> float:
    """COCO's: the mean over 101 recalls of the best precision from there on."""
    tp = np.cumsum(is_match)
    precision = tp / np.arange(1, len(tp) + 1)
    best_from_here = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return fmean(best_from_here[np.searchsorted(tp / n_true, np.linspace(0, 1, 101))].tolist())


# The manifest


def _describe_image(
    training: Training, number: int, image: Image, thresholds: Sequence[float]
) -> Json:
    """A line: all true boxes, and what the service says of them and of its false alarms."""
    size = [{"width": WIDTH, "height": HEIGHT, "depth": 1}]
    truth = [_describe_box(*box) for box in _list_truth(image.scene)]
    answers = list(_list_answers(image, thresholds))
    key = f"{ATTRIBUTE}-training-0", f"{ATTRIBUTE}-evaluation"
    return {
        "source-ref": f"s3://{training.project.name}/{image.name}",
        key[0]: {"annotations": truth, "image_size": size},
        f"{key[0]}-metadata": {
            "class-map": _map_classes(image.scene.digits.tolist()),
            "objects": [{"confidence": 1.0} for _ in truth],
            **describe_truth(training, KIND),
        },
        key[1]: {
            "annotations": [_describe_box(digit, box) for digit, box, _, _ in answers],
            "image_size": size,
        },
        f"{key[1]}-metadata": {
            "class-map": _map_classes([digit for digit, _, _, _ in answers]),
            "objects": [{"confidence": c} | flags for _, _, c, flags in answers],
            **describe_answer(training, KIND),
        },
        f"{ATTRIBUTE}-object-id": number,
    }


def _list_truth(scene: Scene) -> list[tuple[int, Sequence[int]]]:
    return list(zip(scene.digits.tolist(), scene.boxes_xyxy.tolist(), strict=True))


def _list_answers(
    image: Image, thresholds: Sequence[float]
) -> Iterator[tuple[int, Sequence[int], float, Json]]:
    """Digit, box, confidence and flags: one for each true box, then the false alarms.

    A true box that nothing found comes back as itself with confidence 0; boxes below the threshold
    that match nothing are left out, as the service does.
    """
    found = image.found
    for (digit, box), finder in zip(_list_truth(image.scene), image.finders.tolist(), strict=True):
        if finder == NEVER_FOUND:
            yield digit, box, 0.0, describe_outcome(said=False, present=True)
        else:
            confidence = float(found.confidence[finder])
            flags = describe_outcome(said=confidence >= thresholds[digit], present=True)
            yield digit, found.boxes_xyxy[finder].tolist(), confidence, flags
    for box in np.flatnonzero(~image.is_match):
        digit, confidence = int(found.digits[box]), float(found.confidence[box])
        if confidence >= thresholds[digit]:
            flags = describe_outcome(said=True, present=False)
            yield digit, found.boxes_xyxy[box].tolist(), confidence, flags


def _describe_box(digit: int, box_xyxy: Sequence[int]) -> Json:
    x0, y0, x1, y1 = box_xyxy
    return {"class_id": digit, "width": x1 - x0, "top": y0, "height": y1 - y0, "left": x0}


def _map_classes(digits: Sequence[int]) -> Json:
    """The labels of a line by their number, those that it uses alone."""
    return {str(digit): LABELS[digit] for digit in sorted(set(digits))}

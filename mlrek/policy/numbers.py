"""The numbers of a version -> `Numbers`, as policies name them; and how many test images."""

from collections import Counter
from collections.abc import Container
from difflib import get_close_matches
from math import isfinite, nan

import numpy as np

from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.metrics import Metrics, Number
from mlrek.metrics.numbers import list_numbers
from mlrek.policy import Figure, Metric, Numbers, TestImages


def collect_numbers(evaluation: Evaluation, metrics: Metrics) -> Numbers:
    """Every number of a version; what is not finite is undefined."""
    return Numbers(
        figures={
            Metric(name=row.name, label=row.label): _figure(row.number)
            for row in list_numbers(evaluation, metrics)
        },
        labels=metrics.labels,
        task=metrics.task,
    )


def suggest_metric(metric: Metric, numbers: Numbers) -> str:
    """What a name that is not there may have been meant to be, '' where nothing is like it."""
    if metric.label and metric.label not in numbers.labels:
        close = get_close_matches(metric.label, numbers.labels, n=1)
        return f"{metric.name}/{close[0]}" if close else ""
    names = {known.name for known in numbers.figures if bool(known.label) == bool(metric.label)}
    group, slash, name = metric.name.rpartition("/")
    own = sorted(n.removeprefix(group + slash) for n in names if n.startswith(group + slash))
    close = get_close_matches(name, own, n=1)
    return str(Metric(name=group + slash + close[0], label=metric.label)) if close else ""


def count_test_images(evaluation: Evaluation, only: Container[str] | None = None) -> TestImages:
    """Distinct test images with truth, and of each label those whose truth has it.

    Args:
        evaluation: With images, or with what the provider says of their number.
        only: URIs of the images that count; None: all.
    """
    if not evaluation.has_images:
        reported = evaluation.reported
        per_label = {
            label: int(numbers["test_images"])
            for label, numbers in reported.per_label.items()
            if "test_images" in numbers
        }
        return TestImages(total=reported.test_images, per_label=per_label or None)
    image_idx, label_idx = _true_pairs(evaluation)
    pairs = {
        (evaluation.images[i], code)
        for i, code in zip(image_idx.tolist(), label_idx.tolist(), strict=True)
        if only is None or evaluation.images[i] in only
    }
    counts = Counter(code for _, code in pairs)
    if evaluation.task == Task.CLASSIFICATION:  # images without truth are left out there
        images = {image for image, _ in pairs}
    else:
        images = {image for image in evaluation.images if only is None or image in only}
    return TestImages(
        total=len(images),
        per_label={label: counts[code] for code, label in enumerate(evaluation.labels)},
    )


def _figure(number: Number) -> Figure:
    value, low, high = (
        float(part) if isfinite(part) else nan for part in (number.value, number.low, number.high)
    )
    return Figure(value=value, low=low, high=high, reason=number.reason)


def _true_pairs(evaluation: Evaluation) -> tuple[IntArray, IntArray]:
    """Each image with each of its true labels: image positions and label codes, both (n,).

    Of the image itself, of a box on it or of an area of it; a pair may occur more than once.
    """
    pairs = [(evaluation.truth.image_idx, evaluation.truth.label_idx)]
    if evaluation.detections is not None:
        truth = evaluation.detections.truth
        pairs.append((truth.image_idx, truth.label_idx))
    if evaluation.masks is not None:
        masks = evaluation.masks
        is_true = np.asarray(masks.tp + masks.fn) > 0
        pairs.append((masks.image_idx[is_true], masks.label_idx[is_true]))
    image_idx, label_idx = (np.concatenate(columns) for columns in zip(*pairs, strict=True))
    return image_idx, label_idx

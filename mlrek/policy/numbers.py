"""What `evaluation.json` says of a version -> `Numbers`; and how many test images there are."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from difflib import get_close_matches
from math import isfinite, nan
from typing import Any, Final

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import Evaluation, IntArray, Task
from mlrek.policy import Figure, Metric, Numbers, TestImages

_NUMBER_GROUPS: Final = ("aggregate", "at_threshold", "base_model", "extra", "errors")
_NO_LABEL_NUMBERS: Final = ("label", "metric_key")
_NO_NUMBER: Final = "the service reported no number"
_NO_INTERVAL: Final = "the service reports no interval of its numbers"
_NO_IMAGE: Final = "undefined: the test set has nothing of this label; add images of it"
_UNDEFINED: Final = "undefined for this label: see the warnings of its evaluation.json"


def parse_numbers(document: Mapping[str, Any], *, uri: str = "evaluation.json") -> Numbers:
    """Every number of the decoded document.

    Raises:
        EvaluationError: It is no evaluation's document.
    """
    try:
        labels = tuple(str(label) for label in document["labels"])
        figures = dict(_read_all(document))
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise EvaluationError(
            f"{uri}: this is not the evaluation.json of an mlrek run ({type(exc).__name__}: {exc})"
        ) from exc
    return Numbers(figures=figures, labels=labels)


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


def _read_all(document: Mapping[str, Any]) -> Iterator[tuple[Metric, Figure]]:
    for group in _NUMBER_GROUPS:
        for name, number in (document.get(group) or {}).items():
            yield Metric(name=f"{group}/{name}"), _read_number(number)
    for name, value in document["reported"]["aggregate"].items():
        yield (
            Metric(name=f"reported/{name}"),
            _figure(value, _NO_INTERVAL if value is not None else _NO_NUMBER),
        )
    minutes = document["version"].get("billable_minutes")
    if minutes is not None:
        yield Metric(name="training/billable_minutes"), _figure(minutes, "")
    for row in document["per_label"]:
        yield from _read_label(row)


def _read_number(number: Mapping[str, Any]) -> Figure:
    reason = number.get("reason") or ""
    return _figure(number["value"], reason, number.get("low"), number.get("high"))


def _read_label(row: Mapping[str, Any]) -> Iterator[tuple[Metric, Figure]]:
    """The numbers of one label; `recall_low` and `recall_high` are the interval of `recall`."""
    label = row["label"]
    for name, value in row.items():
        base, _, end = name.rpartition("_")
        if name in _NO_LABEL_NUMBERS or (end in {"low", "high"} and base in row):
            continue
        undefined = _NO_IMAGE if row.get("support") == 0 else _UNDEFINED
        reason = undefined if value is None else ""
        figure = _figure(value, reason, row.get(f"{name}_low"), row.get(f"{name}_high"))
        yield Metric(name=f"label_{name}", label=label), figure


def _figure(value: Any, reason: str, low: Any = None, high: Any = None) -> Figure:
    return Figure(value=_number(value), low=_number(low), high=_number(high), reason=reason)


def _number(value: Any) -> float:
    if value is None:
        return nan
    number = float(value)
    return number if isfinite(number) else nan


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

"""Truth and answers of a few images, as the readers of files give them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlrek.evaluation import Boxes, LabelSets, Outcome, Project, Provider, Task, Version
from mlrek.formats.predictions import Answers
from mlrek.formats.truth import GroundTruth

PROJECT = Project(provider=Provider.CUSTOM, arn="mlrek:project/parts", name="parts")
VERSION = Version(project=PROJECT, arn="mlrek:project/parts/custom/v1", name="v1")


def make_truth(rows: Sequence[tuple[str, str | Sequence[str]]], **fields: Any) -> GroundTruth:
    """The truth of images: (image, label) or (image, labels) each."""
    named = [(image, [said] if isinstance(said, str) else [*said]) for image, said in rows]
    labels = fields.pop("labels", None) or tuple(sorted({n for _, names in named for n in names}))
    codes = [sorted(labels.index(name) for name in names) for _, names in named]
    is_several = any(len(names) > 1 for _, names in named)
    fields.setdefault("task", Task.MULTILABEL if is_several else Task.CLASSIFICATION)
    return GroundTruth(
        labels=tuple(labels),
        images=tuple(image for image, _ in named),
        truth=LabelSets(
            offsets=np.cumsum([0, *map(len, codes)]),
            label_idx=np.array([code for row in codes for code in row], dtype=np.int32),
        ),
        **fields,
    )


def make_answers(
    rows: Sequence[tuple[str, str | Sequence[str] | Mapping[str, float]]], **fields: Any
) -> Answers:
    """Answers of images: (image, label), (image, labels), or (image, confidence by label) each."""
    fields.setdefault("is_scored", all(isinstance(said, Mapping) for _, said in rows))
    said = [(image, _list_scores(answer)) for image, answer in rows]
    labels = fields.pop("labels", None) or tuple(dict.fromkeys(n for _, row in said for n in row))
    return Answers(
        images=tuple(image for image, _ in said),
        labels=tuple(labels),
        offsets=np.cumsum([0, *(len(row) for _, row in said)]),
        label_idx=np.array([labels.index(n) for _, row in said for n in row], dtype=np.int32),
        confidence=np.array([c for _, row in said for c in row.values()], dtype=np.float64),
        **fields,
    )


def make_box_truth(
    rows: Sequence[tuple[str, Sequence[tuple[str, Sequence[float]]]]], **fields: Any
) -> GroundTruth:
    """The true boxes of images: (label, corners) each."""
    labels = tuple(sorted({label for _, boxes in rows for label, _ in boxes}))
    n = len(rows)
    fields.setdefault("image_sizes", np.full((n, 2), np.nan))
    return GroundTruth(
        task=Task.DETECTION,
        labels=labels,
        images=tuple(image for image, _ in rows),
        truth=LabelSets(offsets=np.zeros(n + 1, dtype=np.int64), label_idx=np.zeros(0, np.int32)),
        boxes=_list_boxes(labels, [[(*box, np.nan) for box in boxes] for _, boxes in rows]),
        **fields,
    )


def make_box_answers(
    rows: Sequence[tuple[str, Sequence[tuple[str, Sequence[float], float]]]], **fields: Any
) -> Answers:
    """Predicted boxes of images: (label, corners, confidence) each."""
    labels = tuple(dict.fromkeys(label for _, boxes in rows for label, *_ in boxes))
    return Answers(
        images=tuple(image for image, _ in rows),
        labels=labels,
        offsets=np.zeros(len(rows) + 1, dtype=np.int64),
        label_idx=np.zeros(0, dtype=np.int32),
        confidence=np.zeros(0),
        boxes=_list_boxes(labels, [boxes for _, boxes in rows]),
        **fields,
    )


def _list_boxes(labels: Sequence[str], images: Sequence[Sequence[Any]]) -> Boxes:
    rows = [box for boxes in images for box in boxes]
    return Boxes(
        offsets=np.cumsum([0, *map(len, images)]),
        label_idx=np.array([labels.index(label) for label, *_ in rows], dtype=np.int32),
        boxes_xyxy=np.array([corners for _, corners, _ in rows], dtype=np.float64).reshape(-1, 4),
        confidence=np.array([confidence for *_, confidence in rows], dtype=np.float64),
        outcome=np.full(len(rows), Outcome.UNKNOWN, dtype=np.uint8),
    )


def _list_scores(answer: str | Sequence[str] | Mapping[str, float]) -> Mapping[str, float]:
    if isinstance(answer, Mapping):
        return answer
    return dict.fromkeys([answer] if isinstance(answer, str) else answer, 1.0)

"""Evaluations written down as plain lists."""

import numpy as np

from mlrek.evaluation import (
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


def build_evaluation(
    truth,
    records,
    *,
    n_labels=3,
    labels=None,
    thresholds=None,
    task=Task.CLASSIFICATION,
    images=None,
    reported=None,
    provider=Provider.REKOGNITION,
):
    """An evaluation of lists; labels are `a`, `b`, … and images `0`, `1`, … unless given."""
    labels = labels or tuple("abcdefghijklmnopqrstuvwxyz"[:n_labels])
    truth = [sorted(codes) for codes in truth]
    rows = [sorted(image) for image in records]
    flat = [(*row, "UNKNOWN")[:3] for image in rows for row in image]
    project = Project(provider=provider, arn="arn:project", name="project")
    return Evaluation(
        version=Version(project=project, arn="arn:version", name="v1"),
        task=task,
        labels=tuple(labels),
        images=tuple(images or map(str, range(len(truth)))),
        truth=LabelSets(
            offsets=_offsets(truth), label_idx=np.array([c for t in truth for c in t], dtype=int)
        ),
        records=Records(
            offsets=_offsets(rows),
            label_idx=np.array([row[0] for row in flat], dtype=int),
            confidence=np.array([row[1] for row in flat], dtype=float),
            outcome=np.array([Outcome[row[2]] for row in flat], dtype=np.uint8),
        ),
        thresholds=np.full(len(labels), np.nan) if thresholds is None else np.array(thresholds),
        reported=reported or Reported(),
    )


def _offsets(rows):
    return np.cumsum([0, *map(len, rows)])

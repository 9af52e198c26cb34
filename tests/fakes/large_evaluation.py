"""An evaluation of any size, generated: many images with long names, some of them mistaken."""

import numpy as np

from mlrek.evaluation import Evaluation, LabelSets, Project, Provider, Records, Task, Version


def make_large_evaluation(n_images, n_labels, n_records):
    """Many images with long names; the surest label is wrong on a fifth of them."""
    rng = np.random.default_rng(1)
    y_true = rng.integers(0, n_labels, n_images)
    y_pred = np.where(rng.random(n_images) < 0.8, y_true, rng.integers(0, n_labels, n_images))
    offsets = rng.integers(1, n_labels, (n_images, n_records - 1)).cumsum(axis=1) % n_labels
    label_idx = np.sort(np.column_stack([y_pred, offsets]), axis=1)
    keep = np.column_stack([np.full(n_images, 1), np.diff(label_idx, axis=1)]) > 0
    confidence = np.where(label_idx == y_pred[:, np.newaxis], 0.9, 0.2)
    confidence *= rng.random(label_idx.shape)
    project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="large")
    return Evaluation(
        version=Version(project=project, arn="arn:version", name="v1"),
        task=Task.CLASSIFICATION,
        labels=tuple(f"a label with a rather long name {i}" for i in range(n_labels)),
        images=tuple(f"s3://a-bucket/a/rather/long/{'x' * 60}/{i:07}.jpg" for i in range(n_images)),
        truth=LabelSets(offsets=np.arange(n_images + 1), label_idx=y_true),
        records=Records(
            offsets=np.cumsum([0, *keep.sum(axis=1)]),
            label_idx=label_idx[keep],
            confidence=confidence[keep],
            outcome=np.zeros(int(keep.sum()), dtype=np.uint8),
        ),
        thresholds=np.full(n_labels, 0.5),
    )

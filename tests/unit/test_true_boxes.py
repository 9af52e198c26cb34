"""True boxes are part of what a test set is."""

from dataclasses import replace

import numpy as np
import pytest

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
from mlrek.metrics.test_set import test_set_digest as digest


@pytest.fixture
def detect():
    """A function that makes an evaluation with one image; true boxes are (label, x of its left)."""

    def make(*boxes, labels=("cap", "shoe")):
        n = len(boxes)
        truth = Boxes(
            offsets=np.array([0, n]),
            label_idx=np.array([labels.index(label) for label, _ in boxes], dtype=np.int32),
            boxes_xyxy=np.array([[x, 0, x + 1, 1] for _, x in boxes], dtype=float).reshape(n, 4),
            confidence=np.full(n, np.nan),
            outcome=np.zeros(n, dtype=np.uint8),
        )
        none = np.zeros(0, dtype=np.int64)
        found = replace(
            truth,
            offsets=np.array([0, 0]),
            label_idx=none,
            boxes_xyxy=np.zeros((0, 4)),
            confidence=np.zeros(0),
            outcome=np.zeros(0, np.uint8),
        )
        project = Project(provider=Provider.REKOGNITION, arn="p", name="p")
        sizes = np.array([[8, 8]], dtype=float)
        return Evaluation(
            version=Version(project=project, arn="v", name="v"),
            task=Task.DETECTION,
            labels=labels,
            images=("s3://b/1.jpg",),
            truth=LabelSets(offsets=found.offsets, label_idx=none),
            records=Records(
                offsets=found.offsets,
                label_idx=none,
                confidence=found.confidence,
                outcome=found.outcome,
            ),
            thresholds=np.full(len(labels), np.nan),
            detections=Detections(truth=truth, records=found, image_sizes=sizes),
        )

    return make


def test_a_box_that_moved_is_another_test_set(detect):
    """The same labels at another place are another truth; so is one box less."""
    digests = {digest(detect(*boxes)) for boxes in ([("cap", 1)], [("cap", 2)], [])}
    assert len(digests) == 3


def test_order_of_boxes_and_labels_does_not_matter(detect):
    """Versions may list the same boxes in another order, and other labels in front."""
    boxes = ("cap", 1), ("shoe", 2)
    other = detect(*reversed(boxes), labels=("hat", "shoe", "cap"))
    assert digest(detect(*boxes)) == digest(other)

"""Boxes and masks are checked when they are put into an evaluation; later code does not again."""

import numpy as np
import pytest

from mlrek.errors import EvaluationError
from mlrek.evaluation import (
    Boxes,
    Detections,
    Evaluation,
    LabelSets,
    MaskCounts,
    Project,
    Provider,
    Records,
    Task,
    Version,
)

ONE = np.ones(1, dtype=np.int64)
NONE = np.empty(0, dtype=np.int64)


def _boxes(label=0, *, box=(0, 0, 1, 1), offsets=(0, 1)):
    return Boxes(
        offsets=np.array(offsets),
        label_idx=np.array([label]),
        boxes_xyxy=np.array([box], dtype=float),
        confidence=np.array([0.5]),
        outcome=np.zeros(1, dtype=np.uint8),
    )


def _masks(**columns):
    zero = np.zeros(1, dtype=np.int64)
    whole = {"image_idx": zero, "label_idx": zero, "tp": ONE, "fp": ONE, "fn": ONE}
    return MaskCounts(**whole | {"readable": np.ones(1, dtype=bool)} | columns)


def _build(**areas):
    """An evaluation of one image and one label."""
    project = Project(provider=Provider.REKOGNITION, arn="arn:project", name="project")
    offsets = np.zeros(2, dtype=np.int64)
    return Evaluation(
        version=Version(project=project, arn="arn:version", name="v1"),
        task=Task.DETECTION,
        labels=("a",),
        images=("0",),
        truth=LabelSets(offsets=offsets, label_idx=NONE),
        records=Records(
            offsets=offsets,
            label_idx=NONE,
            confidence=np.empty(0),
            outcome=NONE.astype(np.uint8),
        ),
        thresholds=np.full(1, np.nan),
        **areas,
    )


def _detections(truth, records):
    return Detections(truth=truth, records=records, image_sizes=np.full((1, 2), np.nan))


def test_boxes_and_masks_that_fit_are_kept():
    """One of each."""
    evaluation = _build(detections=_detections(_boxes(), _boxes()), masks=_masks())

    assert evaluation.detections is not None
    assert evaluation.masks is not None


@pytest.mark.parametrize("label", [-1, 1])
@pytest.mark.parametrize("place", ["truth", "records"])
def test_a_box_needs_a_label_of_the_list(label, place):
    """Codes below 0 and past the end would count elsewhere."""
    with pytest.raises(EvaluationError, match="label code"):
        _build(
            detections=_detections(
                **{"truth": _boxes(), "records": _boxes()} | {place: _boxes(label)}
            )
        )


@pytest.mark.parametrize("place", ["truth", "records"])
def test_boxes_need_every_image(place):
    """One image more than there are URIs."""
    with pytest.raises(EvaluationError, match="columns and images differ in number"):
        _build(
            detections=_detections(
                **{"truth": _boxes(), "records": _boxes()} | {place: _boxes(offsets=(0, 1, 1))}
            )
        )


def test_a_box_needs_finite_sides():
    """An overlap with nothing would be nothing, unseen."""
    with pytest.raises(EvaluationError, match="not finite"):
        _boxes(box=(0, 0, np.inf, 1))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tp": np.ones(2, dtype=np.int64)}, "columns of unequal length"),
        ({"tp": -ONE}, "negative"),
        ({"label_idx": -ONE}, "negative"),
    ],
)
def test_counts_of_masks_need_to_be_counts(columns, message):
    """Of equal length, and not below 0."""
    with pytest.raises(EvaluationError, match=message):
        _masks(**columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label_idx": ONE}, "has no label"),
        ({"image_idx": ONE}, "have no image"),
        ({"readable": np.ones(2, dtype=bool)}, "masks and images differ in number"),
    ],
)
def test_counts_of_masks_need_an_image_and_a_label(columns, message):
    """Codes past the end would count elsewhere."""
    with pytest.raises(EvaluationError, match=message):
        _build(masks=_masks(**columns))

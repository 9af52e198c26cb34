"""What some files tell of boxes besides their place: crowds, areas, sizes and masks."""

from dataclasses import replace

import numpy as np
import pytest

from mlrek.errors import EvaluationError
from mlrek.metrics.test_set import digest_test_set, take_images
from tests.builders.detections import build_detection

BOXES = [[(0, (0, 0, 10, 10)), (1, (5, 5, 20, 20))], [(0, (3, 3, 9, 9))]]


def build(**further):
    """Two images with three true boxes, which have these further columns; none is found."""
    evaluation = build_detection(BOXES, [[], []], sizes=[[30.0, 20.0]] * 2)
    detections = evaluation.detections
    truth = replace(detections.truth, **further)
    records = replace(detections.records, masks=() if "masks" in further else None)
    return replace(evaluation, detections=replace(detections, truth=truth, records=records))


def test_columns_of_another_length_are_refused():
    """Crowds, areas, sizes and masks of boxes need a row for each box."""
    for column in (
        {"is_crowd": np.array([True])},
        {"areas": np.ones(2)},
        {"sizes": np.ones((4, 2))},
        {"masks": (b"a",)},
    ):
        with pytest.raises(EvaluationError, match="unequal length"):
            build(**column)


def test_masks_on_one_side_alone_are_refused():
    """Masks cannot be compared with boxes."""
    detections = build().detections
    with pytest.raises(EvaluationError, match="neither has"):
        replace(detections, truth=replace(detections.truth, masks=(b"a", b"b", b"c")))


def test_masks_need_the_size_of_their_image():
    """A mask of an image of unknown size has no meaning."""
    detections = build(masks=(b"a", b"b", b"c")).detections
    with pytest.raises(EvaluationError, match="unknown size"):
        replace(detections, image_sizes=np.full((2, 2), np.nan))


def test_taken_images_keep_what_is_said_of_their_boxes():
    """Images in another order keep crowds, areas, sizes and masks of their boxes."""
    evaluation = build(
        is_crowd=np.array([True, False, False]),
        areas=np.array([1.0, 2.0, 3.0]),
        sizes=np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
        masks=(b"a", b"b", b"c"),
    )
    truth = take_images(evaluation, np.array([1, 0])).detections.truth
    assert truth.is_crowd.tolist() == [False, True, False]
    assert truth.areas.tolist() == [3, 1, 2]
    assert truth.sizes[:, 0].tolist() == [3, 1, 2]
    assert truth.masks == (b"c", b"a", b"b")


def test_crowds_and_masks_are_part_of_the_truth():
    """The digest of a test set differs where a box is a crowd or has another mask."""
    crowd = build(is_crowd=np.array([True, False, False]))
    other = build(is_crowd=np.array([False, True, False]))
    masks, moved = (build(masks=masks) for masks in ((b"a", b"b", b"c"), (b"b", b"a", b"c")))
    digests = {digest_test_set(one) for one in (build(), crowd, other, masks, moved)}
    assert len(digests) == 5


def test_areas_are_no_part_of_the_truth():
    """Two files of one test set, of which one tells areas besides, have one digest."""
    assert digest_test_set(build(areas=np.ones(3))) == digest_test_set(build())

"""Overlaps and greedy matching of boxes, against pycocotools and a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask

from mlrek.metrics.detection import matching
from mlrek.metrics.detection.matching import (
    NO_MATCH,
    BoxPairs,
    BoxTable,
    match_boxes,
    pair_boxes,
)

THRESHOLDS = np.array([0.3, 0.5, 0.75])

_SIDES = st.integers(0, 6)
# Few places, so that equal boxes, equal overlaps and boxes without area are common.
_BOXES = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), _SIDES, _SIDES, _SIDES, _SIDES)


@st.composite
def _grouped_boxes(draw):
    """Detections in falling confidence and true boxes, each with its group."""
    columns = []
    for _ in range(2):
        boxes = draw(st.lists(_BOXES, max_size=14))
        groups = draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes)))
        columns += [np.array(boxes, dtype=float).reshape(-1, 4), np.array(groups, dtype=int)]
    return columns


def _tabulate(boxes, **further):
    n = len(boxes)
    codes = np.zeros(n, dtype=int)
    return BoxTable(
        image_idx=codes, label_idx=codes, boxes_xyxy=boxes, confidence=np.ones(n), **further
    )


def _pair(found, found_group, truth, truth_group, min_iou):
    return pair_boxes(_tabulate(found), found_group, _tabulate(truth), truth_group, min_iou)


def _overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


_TENTHS = st.builds(lambda *xywh: tuple(x / 10 for x in xywh), *[st.integers(0, 40)] * 4)


@given(st.lists(st.tuples(_TENTHS, _TENTHS, st.booleans()), min_size=1))
def test_iou_is_pycocotools(rows):
    """To the last bit, also of crowds and of boxes that touch, are equal, or have no area."""
    a, b, crowd = (np.array(column) for column in zip(*rows, strict=True))
    expected = [
        mask.iou(x[np.newaxis], y[np.newaxis], [c])[0, 0]
        for x, y, c in zip(a, b, crowd, strict=True)
    ]
    group = np.arange(len(rows))
    found, truth = (np.hstack([x[:, :2], x[:, :2] + x[:, 2:]]) for x in (a, b))

    pairs = pair_boxes(
        _tabulate(found, sizes=a[:, 2:]),
        group,
        _tabulate(truth, sizes=b[:, 2:], is_crowd=crowd),
        group,
        1e-9,
    )

    meets = [row for row, iou in enumerate(expected) if iou >= 1e-9]
    assert pairs.detection.tolist() == pairs.truth.tolist() == meets
    assert pairs.iou.tolist() == [expected[row] for row in meets]


def test_a_crowd_is_found_many_times():
    """A true object beats the crowd around it, which all others find."""
    pairs = BoxPairs(
        detection=np.array([0, 0, 1, 1, 2]),
        truth=np.array([0, 1, 0, 1, 0]),
        iou=np.array([1, 0.6, 1, 0.9, 0.8]),
    )
    crowds = np.array([True, False])

    matches = match_boxes(pairs, np.zeros(3, dtype=int), 2, np.array([0.5]), crowds=crowds)

    assert matches.tolist() == [[1, 0, 0]]


@given(_grouped_boxes(), st.sampled_from([0.1, 0.5, 1.0]))
def test_pairs_are_those_of_one_group_that_overlap_enough(columns, min_iou):
    """By detection, then true box; nothing else is there."""
    found, found_group, truth, truth_group = columns
    expected = [
        (i, j, _overlap(found[i], truth[j]))
        for i in range(len(found))
        for j in range(len(truth))
        if found_group[i] == truth_group[j] and _overlap(found[i], truth[j]) >= min_iou
    ]

    pairs = _pair(found, found_group, truth, truth_group, min_iou)

    assert list(zip(pairs.detection, pairs.truth, pairs.iou, strict=True)) == expected


@given(columns=_grouped_boxes(), block=st.integers(1, 30))
def test_pairs_do_not_depend_on_the_size_of_blocks(columns, block):
    """Blocks only bound the memory."""
    found, found_group, truth, truth_group = columns
    expected = _pair(found, found_group, truth, truth_group, 0.1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_MAX_BLOCK", block)
        pairs = _pair(found, found_group, truth, truth_group, 0.1)

    assert pairs.detection.tolist() == expected.detection.tolist()
    assert pairs.truth.tolist() == expected.truth.tolist()


@given(_grouped_boxes(), st.data())
def test_matching_is_the_plain_greedy_loop(columns, data):
    """Each detection in turn takes the best free true box, an ignored one only for want of others.

    Ties go to the later true box.
    """
    found, found_group, truth, truth_group = columns
    ignored = np.array(data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth))))
    ignored = ignored.astype(bool)

    matches = match_boxes(
        _pair(found, found_group, truth, truth_group, 0.3),
        found_group,
        len(truth),
        THRESHOLDS,
        ignored,
    )

    expected = np.full((len(THRESHOLDS), len(found)), NO_MATCH)
    for row, threshold in enumerate(THRESHOLDS):
        taken = set()
        for i, box in enumerate(found):
            free = [
                (not ignored[j], _overlap(box, truth[j]), j)
                for j in range(len(truth))
                if truth_group[j] == found_group[i] and j not in taken
            ]
            reached = [choice for choice in free if choice[1] >= threshold]
            if reached:
                expected[row, i] = max(reached)[2]
                taken.add(expected[row, i])
    assert matches.tolist() == expected.tolist()


def test_equal_boxes_match_at_threshold_one():
    """Rounding may leave the overlap of equal boxes just below 1."""
    pairs = BoxPairs(detection=np.array([0]), truth=np.array([0]), iou=np.array([1 - 1e-16]))

    assert match_boxes(pairs, np.array([0]), 1, np.array([1.0])).tolist() == [[0]]


def test_a_surer_detection_keeps_its_box():
    """The second one overlaps more, but comes too late, and takes the other box."""
    truth = np.array([[0.0, 0, 10, 10], [3, 0, 13, 10]])
    found = np.array([[1.0, 0, 11, 10], [0, 0, 10, 10]])
    group = np.zeros(2, dtype=int)

    matches = match_boxes(_pair(found, group, truth, group, 0.5), group, 2, np.array([0.5]))

    assert matches.tolist() == [[0, 1]]


def test_nothing_to_match():
    """No boxes at all is a case of its own."""
    none, no_group = np.empty((0, 4)), np.empty(0, dtype=int)

    pairs = _pair(none, no_group, none, no_group, 0.5)

    assert len(pairs.iou) == 0
    assert match_boxes(pairs, no_group, 0, THRESHOLDS).shape == (3, 0)

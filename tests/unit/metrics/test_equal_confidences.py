"""Equal confidences: one rule for their order, and a doubt where all are equal."""

import numpy as np
import pytest
from builders.detections import build_detection, run_pycocotools
from builders.evaluations import build_evaluation

from mlrek.comparison.compare import CompareSettings, Side, compare_versions
from mlrek.evaluation import DoubtKind, Effect
from mlrek.metrics.compute import compute_metrics

BOX, ELSEWHERE = (0, 0, 10, 10), (50, 50, 60, 60)
# The file names b first; by URI the hit on a comes before the miss on b.
IMAGES = ("s3://x/b.jpg", "s3://x/a.jpg")
TRUTH = [[(0, BOX)], [(0, BOX)]]
FOUND = [[(0, ELSEWHERE, 0.9)], [(0, BOX, 0.9)]]


def _doubts(evaluation):
    found = compute_metrics(evaluation, intervals=False).doubts
    return [d for d in found if d.kind is DoubtKind.CONFIDENCE_CONSTANT]


def test_tied_boxes_rank_by_the_uris_of_their_images():
    """A hit, then a miss: the precision is 1 up to a recall of one half, 51 of 101 points."""
    evaluation = build_detection(TRUTH, FOUND, images=IMAGES)

    ap = compute_metrics(evaluation, intervals=False).aggregate["ap"].value

    assert ap == pytest.approx(51 / 101, abs=1e-12)
    numbers, _ = run_pycocotools(TRUTH[::-1], FOUND[::-1], n_labels=1)
    assert ap == pytest.approx(numbers["ap"], abs=1e-9)


def test_one_version_has_one_number_alone_and_compared():
    """In any order of lines."""
    evaluation = build_detection(TRUTH, FOUND, images=IMAGES)
    turned = build_detection(TRUTH[::-1], FOUND[::-1], images=IMAGES[::-1])

    alone = [
        compute_metrics(e, intervals=False).aggregate["ap"].value for e in (evaluation, turned)
    ]
    sides = (Side(evaluation=e) for e in (evaluation, turned))
    difference = compare_versions(*sides, CompareSettings(intervals=False)).find("aggregate/ap")

    assert {*alone, difference.baseline, difference.candidate} == {alone[0]}


def test_boxes_that_all_have_one_confidence_are_doubted():
    """What ranks them is doubted, and stops; what counts them is not."""
    [doubt] = _doubts(build_detection(TRUTH, FOUND, images=IMAGES))

    assert (doubt.count, doubt.of, doubt.effect) == (2, 2, Effect.STOPS)
    assert doubt.touches_number("aggregate/ap")
    assert doubt.touches_number("aggregate/ap_small")
    assert doubt.touches_number("label_ap", "a")
    assert not doubt.touches_number("at_threshold/f1_macro")
    assert not doubt.touches_number("aggregate/ar_100")


def test_records_that_all_have_one_confidence_are_doubted():
    """Complete ones, which carry an area under a curve."""
    records = [[(0, 0.5), (1, 0.5)], [(0, 0.5), (1, 0.5)]]

    [doubt] = _doubts(build_evaluation([[0], [1]], records, n_labels=2))

    assert "all 4 records have the same confidence (0.5)" in doubt.text
    assert doubt.touches_number("aggregate/roc_auc_macro")
    assert not doubt.touches_number("aggregate/accuracy")


@pytest.mark.parametrize(
    "evaluation",
    [
        build_evaluation([[0], [1]], [[(0, 0.9)], [(1, 0.9)]]),
        build_evaluation(
            [[0], [1]], [[(0, 0.5), (1, 0.5)], [(0, 0.5), (1, np.nextafter(0.5, 1))]], n_labels=2
        ),
        build_detection(TRUTH, [[(0, BOX, 0.9)], [(0, BOX, 0.8)]]),
        build_detection(TRUTH, [[(0, BOX, 0.9)], []]),
    ],
    ids=["top labels alone", "a last bit", "two boxes", "one box"],
)
def test_nothing_is_doubted_where_something_ranks_or_nothing_is_ranked(evaluation):
    """Records of top labels carry no number that needs an order."""
    assert _doubts(evaluation) == []

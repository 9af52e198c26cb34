"""Crowds: what they find is neither right nor wrong, in every number of a detection."""

from dataclasses import replace

import numpy as np
import pytest
from builders.detections import build_detection

from mlrek.evaluation import Project, Provider
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.thresholds import compute_at_chosen_threshold, compute_threshold_matrices

CROWD, OBJECT = (0, 0, 100, 100), (200, 0, 220, 20)
FAR = (300, 300, 320, 320)


def build_crowd(*found, others=()):
    """An image with a crowd and an object of label a, and what is found on it: (code, box, c)."""
    evaluation = build_detection([[(0, CROWD), (0, OBJECT), *others]], [[*found]])
    detections = evaluation.detections
    crowds = np.array([True, *[False] * (1 + len(others))])
    truth = replace(detections.truth, is_crowd=crowds)
    return replace(evaluation, detections=replace(detections, truth=truth))


def test_boxes_within_a_crowd_do_not_count():
    """Of three boxes in a crowd none is right or wrong, and the crowd itself is not missed."""
    inside = [(0, (10 * i, 0, 10 * i + 10, 10), 0.9) for i in range(3)]
    metrics = compute_metrics(build_crowd(*inside, (0, OBJECT, 0.8)))
    assert metrics.confusion.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert metrics.aggregate["ap"].value == 1
    assert metrics.at_threshold["precision_micro"].value == 1
    assert metrics.per_label.support.tolist() == [1, 0]
    assert metrics.predictions.outcome == ("TP",)
    assert set(metrics.errors.values()) == {0}


def test_boxes_of_another_label_within_a_crowd_are_wrong():
    """A crowd takes in boxes of its own label alone."""
    metrics = compute_metrics(build_crowd((1, (0, 0, 10, 10), 0.9), (0, OBJECT, 0.8)))
    assert metrics.confusion.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_an_object_within_a_crowd_is_found_first():
    """The surer box finds the object, and the next one the crowd around it."""
    inside = (10, 10, 40, 40)
    evaluation = build_crowd((0, inside, 0.9), (0, inside, 0.8), others=[(0, inside)])
    assert compute_metrics(evaluation).confusion.counts.tolist() == [
        [1, 0, 1],
        [0, 0, 0],
        [0, 0, 0],
    ]


def test_half_a_box_in_a_crowd_is_enough():
    """What counts is the share of the found box that lies in the crowd."""
    half, less = (90, 0, 110, 20), (91, 0, 111, 20)
    counts = [
        compute_metrics(build_crowd((0, box, 0.9))).confusion.counts[-1, 0] for box in (half, less)
    ]
    assert counts == [0, 1]


def test_crowds_count_at_no_threshold():
    """Matrices and counts at a threshold leave out crowds and what finds them."""
    evaluation = build_crowd((0, (0, 0, 10, 10), 0.9), (0, OBJECT, 0.6), (0, FAR, 0.2))
    at_half = compute_at_chosen_threshold(evaluation, 0.5)
    assert (at_half.tp, at_half.fp, at_half.fn) == (1, 0, 0)
    matrices = compute_threshold_matrices(evaluation).matrices
    assert matrices[50].counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert matrices[10].counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_an_image_with_a_crowd_alone_has_no_object():
    """Without any other box there is nothing to miss, and average precision is undefined."""
    evaluation = build_detection([[(0, CROWD)], []], [[(0, (0, 0, 9, 9), 0.9)], []])
    detections = evaluation.detections
    truth = replace(detections.truth, is_crowd=np.array([True]))
    metrics = compute_metrics(replace(evaluation, detections=replace(detections, truth=truth)))
    assert np.isnan(metrics.aggregate["ap"].value)
    assert metrics.confusion.counts.sum() == 0


@pytest.mark.parametrize(("provider", "ap"), [(Provider.CUSTOM, 1.0), (Provider.REKOGNITION, 0.0)])
def test_confidence_0_is_a_detection_of_a_model_from_anywhere(provider, ap):
    """Services write 0 for a box that was never found; a model from anywhere has found it."""
    evaluation = build_detection([[(0, OBJECT)]], [[(0, OBJECT, 0.0)]], thresholds=[0.0, 0.0])
    project = Project(provider=provider, arn="p", name="p")
    version = replace(evaluation.version, project=project)
    assert compute_metrics(replace(evaluation, version=version)).aggregate["ap"].value == ap

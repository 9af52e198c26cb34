"""Published numbers at a threshold, as counts, and as Google's console shows them."""

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest

from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    Reported,
    ReportedCurve,
    Task,
    Version,
)
from mlrek.metrics.reported import count_reported, nearest_index, reported_at
from mlrek.text import round_half_up


def make_curve(thresholds, **columns) -> ReportedCurve:
    """A curve with some columns; the others are not published."""
    names = ("precision", "recall", "f1", "tp", "fp", "fn", "tn")
    nothing = [nan] * len(thresholds)
    return ReportedCurve(
        thresholds=np.array(thresholds, dtype=float),
        **{name: np.array(columns.get(name, nothing), dtype=float) for name in names},
    )


@pytest.mark.parametrize(
    ("asked", "found"),
    [(0.5, 1), (0.0, 0), (0.9, 2), (0.52, 1), (0.54, 2), (0.3, 1), (0.25, 0), (0.525, 1)],
)
def test_nearest_threshold(asked, found):
    """The nearest published threshold counts, and the lower one half way between two."""
    assert nearest_index(np.array([0.0, 0.5, 0.55]), asked) == found


def test_nearest_of_none():
    """Of no thresholds none is the nearest."""
    assert nearest_index(np.array([]), 0.5) is None


def test_reported_at_grid_point():
    """At a published threshold its own numbers come out."""
    at = reported_at(make_curve([0.0, 0.5], precision=[0.2, 0.97], tp=[367, 354]), 0.5)
    assert (at.threshold, at.values, at.is_exact) == (0.5, {"precision": 0.97, "tp": 354}, True)


def test_reported_between_grid_points():
    """Between published thresholds nothing is interpolated, and the one that is used is told."""
    at = reported_at(make_curve([0.8, 0.85], recall=[0.8, 0.7]), 0.84)
    assert (at.threshold, at.values, at.is_exact) == (0.85, {"recall": 0.7}, False)


def test_reported_at_32_bit_threshold():
    """0.05 asked for is the 32-bit 0.05 that was published."""
    assert reported_at(make_curve([0.05000000074505806], recall=[1.0]), 0.05).is_exact


def test_reported_at_empty_curve():
    """An empty curve has no numbers."""
    assert reported_at(make_curve([]), 0.5) is None


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (90.625, 2, 90.63),
        (2.5, 0, 3.0),
        (100 * 2 / 80, 0, 3.0),
        (96.98630136986301, 2, 96.99),
        (87.5, 2, 87.5),
        (0.5, 0, 1.0),
        (-2.5, 0, -3.0),
        (0.0, 1, 0.0),
        (1e20, 2, 1e20),
    ],
)
def test_round_half_up(value, digits, shown):
    """Half is rounded away from zero, where Python rounds it to the even digit."""
    assert round_half_up(value, digits) == shown


def test_round_a_numpy_number():
    """A number of numpy's is a number."""
    assert round_half_up(np.float64(100) * 58 / 64, 2) == 90.63


def test_round_nan():
    """What is undefined stays so."""
    assert isnan(round_half_up(nan, 2))


@pytest.fixture
def evaluation() -> Evaluation:
    """Two labels; one of four images is confused."""
    project = Project(provider=Provider.VERTEX, arn="projects/1/locations/l/models/2", name="pets")
    empty = np.zeros(1, dtype=int)
    return Evaluation(
        version=Version(project=project, arn=f"{project.arn}@1", name="1"),
        task=Task.CLASSIFICATION,
        labels=("dog", "cat"),
        images=(),
        truth=LabelSets(offsets=empty, label_idx=empty[:0]),
        records=Records(
            offsets=empty,
            label_idx=empty[:0],
            confidence=np.zeros(0),
            outcome=np.zeros(0, dtype=np.uint8),
        ),
        thresholds=np.array([nan, nan]),
        reported=Reported(
            confusion=(
                ("dog", "dog", 2.0),
                ("dog", "cat", 1.0),
                ("cat", "dog", 0.0),
                ("cat", "cat", 1.0),
            )
        ),
    )


def test_count_reported(evaluation):
    """Google's published matrix is one of counts, in its own order."""
    labels, counts = count_reported(evaluation)
    assert (labels, counts.tolist()) == (("dog", "cat"), [[2, 1], [0, 1]])


def test_fractions_are_not_counted(evaluation):
    """Amazon publishes fractions of rows: an identity matrix is not one image of each label."""
    project = replace(evaluation.version.project, provider=Provider.REKOGNITION)
    amazon = replace(evaluation, version=replace(evaluation.version, project=project))
    assert count_reported(amazon) is None


@pytest.mark.parametrize("cells", [(), (("dog", "dog", 0.5),), (("dog", "dog", -1.0),)])
def test_no_counts(evaluation, cells):
    """No matrix, and one that is not of counts, cannot be counted."""
    assert count_reported(replace(evaluation, reported=Reported(confusion=cells))) is None

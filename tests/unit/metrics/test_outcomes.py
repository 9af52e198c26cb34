"""Which images each label is right, missed or wrong on."""

from math import nan

import numpy as np
import pytest

from mlrek.evaluation import Evaluation, LabelSets, Project, Provider, Records, Task, Version
from mlrek.metrics import Predictions
from mlrek.render.tables import LabelOutcome, LabelOutcomes, list_outcomes

A, B, NONE = 0, 1, -1


@pytest.fixture
def list_rows():
    """Lists (label, image, outcome, confidence) of rows (image, true, predicted, confidence).

    `records` are (label, confidence) of each image.
    """

    def list_(rows, *, task=Task.CLASSIFICATION, records=()):
        image_idx, y_true, y_pred, confidence = zip(*rows, strict=True)
        images = max(image_idx) + 1
        recorded = [*records, *[()] * (images - len(records))]
        flat = [record for of_image in recorded for record in of_image]
        project = Project(provider=Provider.REKOGNITION, arn="p", name="p")
        evaluation = Evaluation(
            version=Version(project=project, arn="v", name="v"),
            task=task,
            labels=("a", "b"),
            images=tuple(f"{i}.jpg" for i in range(images)),
            truth=LabelSets(
                offsets=np.zeros(images + 1, dtype=np.int64), label_idx=np.zeros(0, dtype=np.int32)
            ),
            records=Records(
                offsets=np.cumsum([0, *map(len, recorded)]),
                label_idx=np.array([label for label, _ in flat], dtype=np.int32),
                confidence=np.array([c for _, c in flat], dtype=float),
                outcome=np.zeros(len(flat), dtype=np.uint8),
            ),
            thresholds=np.full(2, nan),
        )
        predictions = Predictions(
            image_idx=np.array(image_idx),
            y_true=np.array(y_true),
            y_pred=np.array(y_pred),
            confidence=np.array(confidence, dtype=float),
            outcome=("",) * len(rows),
        )
        found = list_outcomes(evaluation, predictions)
        columns = (found.label_idx, found.image_idx, found.outcome, found.confidence)
        return [
            (label, image, ("TP", "FN", "FP")[outcome], None if np.isnan(c) else c)
            for label, image, outcome, c in zip(*(x.tolist() for x in columns), strict=True)
        ]

    return list_


def test_one_label_for_another_is_wrong_of_both(list_rows):
    """It is a miss of the true label, with that record's confidence, and false of the other."""
    rows = list_rows([(0, A, B, 0.7)], records=[((A, 0.2), (B, 0.7))])
    assert rows == [(A, 0, "FN", 0.2), (B, 0, "FP", 0.7)]


def test_least_sure_first(list_rows):
    """Within a label and an outcome confidence rises; what has none comes last."""
    rows = list_rows(
        [(0, A, A, 0.9), (1, A, A, 0.6), (2, A, NONE, nan), (3, A, NONE, nan), (4, B, A, 0.8)],
        records=[(), (), (), ((A, 0.3),), ()],
    )
    assert rows == [
        (A, 1, "TP", 0.6),
        (A, 0, "TP", 0.9),
        (A, 3, "FN", 0.3),
        (A, 2, "FN", None),
        (A, 4, "FP", 0.8),
        (B, 4, "FN", None),
    ]


def test_images_without_truth(list_rows):
    """They are left out where an image has one label, else they can add false positives."""
    rows = [(0, NONE, A, 0.9), (1, A, A, 0.5)]
    assert list_rows(rows) == [(A, 1, "TP", 0.5)]
    assert list_rows(rows, task=Task.MULTILABEL) == [(A, 1, "TP", 0.5), (A, 0, "FP", 0.9)]


def test_nothing_true_and_nothing_predicted_is_no_row(list_rows):
    """An image of which nothing is said says nothing of any label."""
    assert list_rows([(0, NONE, NONE, nan)], task=Task.MULTILABEL) == []


def test_boxes_of_an_image_are_a_row_each(list_rows):
    """Two boxes of a label on an image, one of them found."""
    rows = list_rows([(0, A, A, 0.9), (0, A, NONE, nan)], task=Task.DETECTION)
    assert rows == [(A, 0, "TP", 0.9), (A, 0, "FN", None)]


def test_one_label_and_outcome_can_be_chosen():
    """The rows of it, in their order."""
    outcomes = LabelOutcomes(
        label_idx=np.array([0, 0, 0, 1]),
        image_idx=np.array([3, 1, 2, 3]),
        outcome=np.array([0, 1, 1, 1]),
        confidence=np.array([0.5, 0.1, 0.2, 0.3]),
    )
    assert outcomes.select(0, LabelOutcome.FN).tolist() == [1, 2]

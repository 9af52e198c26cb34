"""What `mlrek show` says of one version."""

import numpy as np
import pytest

from mlrek.cli.show_report import Shown, describe_shown
from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    Task,
    Version,
)
from mlrek.metrics.compute import compute_metrics

LABELS = ("(none)", "cat", "dog")


@pytest.fixture
def evaluation() -> Evaluation:
    """Five images: cat for dog twice; without a prediction one of `(none)`, a label here; right."""
    return Evaluation(
        version=Version(
            project=Project(provider=Provider.REKOGNITION, arn="p", name="p"), arn="v", name="v"
        ),
        task=Task.CLASSIFICATION,
        labels=LABELS,
        images=tuple("abcde"),
        truth=LabelSets(offsets=np.arange(6), label_idx=np.array([2, 2, 0, 0, 1])),
        records=Records(
            offsets=np.array([0, 1, 2, 2, 3, 4]),
            label_idx=np.array([1, 1, 0, 1]),
            confidence=np.full(4, 0.9),
            outcome=np.zeros(4, np.uint8),
        ),
        thresholds=np.full(3, np.nan),
    )


@pytest.mark.parametrize(
    ("label", "confused"),
    [
        ("", [("dog", "cat", 2), ('"(none)"', "(none)", 1)]),
        ("(none)", [('"(none)"', "(none)", 1)]),
        ("cat", [("dog", "cat", 2)]),
    ],
)
def test_a_label_named_like_our_own_row_is_another(evaluation, label, confused):
    """To miss an image of it is a mistake, and it is told by its quotes."""
    shown = Shown(evaluation=evaluation, metrics=compute_metrics(evaluation), label=label)

    assert describe_shown(shown)["most_confused"] == [
        {"true": true, "predicted": predicted, "count": count}
        for true, predicted, count in confused
    ]

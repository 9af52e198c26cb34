"""Small literal evaluations and metrics."""

import numpy as np
import pytest

from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    RecordsKind,
    Reported,
    SourceFile,
    Task,
    Version,
)
from mlrek.metrics import LabelScores, Metrics, Number, ThresholdCurves

PROJECT = Project(
    provider=Provider.REKOGNITION,
    arn="arn:aws:rekognition:eu-west-1:111122223333:project/digits/1690474772815",
    name="digits",
)


@pytest.fixture
def make_evaluation():
    """Two images, labels a and b; `b` has no record on the second."""

    def make(labels=("a", "b"), **changes):
        version = Version(
            project=PROJECT,
            arn="arn:aws:rekognition:eu-west-1:111122223333:project/digits/version/v1/1690556751958",
            name="v1",
            status="STOPPED",
            training_start_ms=1_690_556_751_958,
            training_end_ms=1_690_558_410_827,
            billable_minutes=31.65,
        )
        values = {
            "version": version,
            "task": Task.CLASSIFICATION,
            "labels": labels,
            "images": ("s3://b/1.png", "s3://b/2.png"),
            "truth": LabelSets(offsets=np.array([0, 1, 2]), label_idx=np.array([0, 1])),
            "records": Records(
                offsets=np.array([0, 2, 3]),
                label_idx=np.array([0, 1, 0]),
                confidence=np.array([0.9, 0.1, 0.7]),
                outcome=np.zeros(3, np.uint8),
            ),
            "thresholds": np.full(len(labels), 0.5),
            "reported": Reported(aggregate={"f1": 0.75}, train_images=40),
            "files": (SourceFile(role="manifest", uri="s3://b/k/T.json", size=9, sha256="ab"),),
            "warnings": ("1 image stands twice in the manifest",),
        }
        return Evaluation(**(values | changes))

    return make


@pytest.fixture
def make_metrics():
    """Metrics with the numbers that a test names."""

    def make(labels=("a", "b"), **changes):
        n = len(labels)
        scores = {name: np.full(n, np.nan) for name in LabelScores.__dataclass_fields__}
        scores |= {name: np.ones(n, np.int64) for name in ("support", "tp", "fp", "fn")}
        scores |= {"f1": np.full(n, 0.5), "precision": np.full(n, 0.25), "recall": np.full(n, 1.0)}
        tp = np.zeros((101, n), np.int64)
        tp[:50] = 3
        values = {
            "task": Task.CLASSIFICATION,
            "labels": labels,
            "prediction_rule": "top1",
            "records": RecordsKind.PARTIAL,
            "test_images": 2,
            "aggregate": {
                "accuracy": Number(value=0.5, low=0.1, high=0.9),
                "precision_weighted": Number(value=0.6, low=0.2, high=0.8),
                "recall_weighted": Number(value=0.5, reason="no resample differs"),
                "f1_weighted": Number(value=0.55, low=0.2, high=0.8),
                "mcc": Number(value=np.nan, reason="only one label was predicted"),
            },
            "per_label": LabelScores(**scores),
            "curves": ThresholdCurves(
                thresholds=np.arange(101) / 100,
                tp=tp,
                fp=np.zeros((101, n), np.int64),
                fn=3 - tp,
            ),
        }
        return Metrics(**(values | changes))

    return make

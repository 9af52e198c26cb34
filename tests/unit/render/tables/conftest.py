"""Results to write down, made by hand or by scikit-learn."""

import csv
import io
import json
from dataclasses import MISSING, fields
from math import nan

import numpy as np
import pytest

from mlrek.evaluation import (
    Evaluation,
    LabelSets,
    Project,
    Provider,
    Records,
    Reported,
    SourceFile,
    Task,
    Version,
)
from mlrek.metrics import LabelScores, Metrics, Number, Predictions

PROJECT = Project(
    provider=Provider.REKOGNITION,
    arn="arn:aws:rekognition:eu-west-1:123456789012:project/flowers/1690474772815",
    name="flowers",
)


@pytest.fixture
def make_evaluation():
    """Makes an evaluation of labels and images; records play no part in tables."""

    def make(labels=("a", "b"), images=(), thresholds=None, **parts):
        n = len(images)
        nothing = np.zeros(0, dtype=np.int64)
        empty = {"offsets": np.zeros(n + 1, dtype=np.int64), "label_idx": nothing}
        version = Version(
            project=PROJECT,
            arn=PROJECT.arn.replace("/169", "/version/v1/169"),
            name="v1",
            status="TRAINING_COMPLETED",
            training_start_ms=1_690_556_751_958,
            training_end_ms=1_690_560_351_958,
            billable_minutes=42.5,
        )
        return Evaluation(
            version=version,
            task=Task.CLASSIFICATION,
            labels=labels,
            images=images,
            truth=LabelSets(**empty),
            records=Records(**empty, confidence=np.zeros(0), outcome=nothing.astype(np.uint8)),
            thresholds=np.full(len(labels), nan) if thresholds is None else np.array(thresholds),
            **parts,
        )

    return make


@pytest.fixture(scope="session")
def make_metrics():
    """Makes metrics of labels that hold just these parts."""

    def make(labels=("a", "b"), **parts):
        parts = {
            "task": Task.CLASSIFICATION,
            "prediction_rule": "top1",
            "records": None,
            "test_images": 12,
            **parts,
        }
        return Metrics(labels=labels, **parts)

    return make


@pytest.fixture
def make_scores():
    """Makes label scores of columns; what is not given is NaN, a count 0."""

    def make(n, **columns):
        counts = {name: np.zeros(n, dtype=np.int64) for name in ("support", "tp", "fp", "fn")}
        scores = {
            field.name: np.full(n, nan)
            for field in fields(LabelScores)
            if field.default is MISSING and field.name not in counts
        }
        given = {name: np.array(values) for name, values in columns.items()}
        return LabelScores(**{**counts, **scores, **given})

    return make


@pytest.fixture
def make_predictions():
    """Makes predictions of rows (image, true, predicted, confidence, outcome)."""

    def make(rows):
        image_idx, y_true, y_pred, confidence, outcome = zip(*rows, strict=True)
        return Predictions(
            image_idx=np.array(image_idx),
            y_true=np.array(y_true),
            y_pred=np.array(y_pred),
            confidence=np.array(confidence, dtype=np.float64),
            outcome=outcome,
        )

    return make


@pytest.fixture(scope="session")
def sklearn_metrics(make_metrics):
    """Metrics whose every number is scikit-learn's, of indicators or of label codes."""
    from sklearn.metrics import multilabel_confusion_matrix, precision_recall_fscore_support

    def make(y_true, y_pred, labels, *, task=Task.CLASSIFICATION):
        codes = range(len(labels))
        counts = multilabel_confusion_matrix(y_true, y_pred, labels=list(codes))
        each = precision_recall_fscore_support(
            y_true, y_pred, labels=list(codes), average=None, zero_division=nan
        )
        occurring = [i for i in codes if counts[i, 0, 1] + counts[i, 1, 0] + counts[i, 1, 1]]
        aggregate = {}
        averages = ("micro", "macro", "weighted", "samples")[: 4 if np.ndim(y_true) == 2 else 3]
        for average in averages:
            numbers = precision_recall_fscore_support(
                y_true, y_pred, labels=occurring, average=average, zero_division=0
            )
            for name, value in zip(("precision", "recall", "f1"), numbers[:3], strict=True):
                aggregate[f"{name}_{average}"] = Number(value=float(value))
        unknown = np.full(len(labels), nan)
        scores = LabelScores(
            support=each[3],
            tp=counts[:, 1, 1],
            fp=counts[:, 0, 1],
            fn=counts[:, 1, 0],
            precision=each[0],
            recall=each[1],
            f1=each[2],
            **dict.fromkeys(
                (
                    "precision_low",
                    "precision_high",
                    "recall_low",
                    "recall_high",
                    "ap",
                    "roc_auc",
                ),
                unknown,
            ),
        )
        return make_metrics(labels, task=task, aggregate=aggregate, per_label=scores), occurring

    return make


@pytest.fixture
def read_csv():
    """Reads a CSV file as lists of cells, by Python's own reader."""
    return lambda content: list(csv.reader(io.StringIO(content.decode(), newline="")))


@pytest.fixture
def read_json():
    """Reads strict JSON: NaN and Infinity are errors."""

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    return lambda content: json.loads(content, parse_constant=refuse)


@pytest.fixture
def reported():
    """A provider's own numbers of two labels."""
    return Reported(
        aggregate={"f1": 0.9},
        per_label={
            "a": {"precision": 0.5, "recall": 0.25, "f1": 0.3, "threshold": 0.7},
            "b": {"f1": 1.0, "test_images": 3.0},
        },
        confusion=(("a", "b", 0.25),),
        test_images=12,
        train_images=48,
    )


@pytest.fixture
def manifest():
    """A file that an evaluation was read from."""
    return SourceFile(role="manifest", uri="s3://bucket/m.json", size=321, sha256="ab" * 32)

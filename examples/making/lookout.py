"""What Amazon Lookout for Vision published about a model version: two files and a description."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import fsum

import numpy as np
from files import Json
from numpy.typing import NDArray

CLASSES = ("normal", "anomaly")  # by the number that stands for them
LABEL = "anomaly-label"
ACCOUNT = "us-east-1:111122223333"

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Model:
    """A model version; the bucket with its images and evaluations has the project's name."""

    project: str
    version: int
    created: datetime
    seconds: int
    train_images: int

    @property
    def arn(self) -> str:
        """The ARN of the model version."""
        return f"arn:aws:lookoutvision:{ACCOUNT}:model/{self.project}/{self.version}"

    @property
    def evaluated(self) -> datetime:
        """When the evaluation ended."""
        return self.created + timedelta(seconds=self.seconds)

    def name_file(self, kind: str) -> str:
        """The name the service gives `EvaluationManifest` or `EvaluationResult`."""
        return f"{kind}-{self.project}-{self.version}.json"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says of an image, and how sure it is of just that: 0.5 to 1."""

    is_anomaly: bool
    confidence: float


def judge(score: float, decimals: int = 5) -> Verdict:
    """The verdict that follows from how much of an anomaly an image is, 0 to 1."""
    return Verdict(score >= 0.5, round(max(score, 1 - score), decimals))  # noqa: PLR2004 (as sure)


def describe_verdict(model: Model, uri: str, is_anomaly: bool, verdict: Verdict) -> Json:
    """A line of the manifest: what people and what the model said of an image."""
    date = {"creation-date": to_plain_text(model.evaluated)}
    return {
        "source-ref": uri,
        "source-ref-metadata": date,
        LABEL: int(is_anomaly),
        f"{LABEL}-metadata": {
            "class-name": CLASSES[is_anomaly],
            "type": "groundtruth/image-classification",
            "human-annotated": "yes",
            "job-name": "labeling-job/anomaly-detection",
            **date,
        },
        f"{LABEL}-detected": int(verdict.is_anomaly),
        f"{LABEL}-detected-metadata": {
            "class-name": CLASSES[verdict.is_anomaly],
            "confidence": verdict.confidence,
            "type": "groundtruth/image-classification",
            "human-annotated": "no",
            "job-name": "training-job/anomaly-detection",
            "model-arn": model.arn,
            "project-name": model.project,
            "model-version": str(model.version),
            **date,
        },
    }


def describe_result(
    model: Model, is_anomaly: Bools, verdicts: list[Verdict], more: Mapping[str, object]
) -> Json:
    """The evaluation result; `more` metrics stand beside those of the verdicts."""
    metrics = compute_metrics(is_anomaly, verdicts)
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ModelArn": model.arn,
            "EvaluationEndTimestamp": to_plain_text(model.evaluated),
            "NumberOfTrainingImages": model.train_images,
            "NumberOfTestingImages": len(verdicts),
        },
        "AggregatedEvaluationResults": {"Metrics": metrics | dict(more)},
    }


def compute_metrics(is_anomaly: Bools, verdicts: list[Verdict]) -> dict[str, float]:
    """The five numbers of the service; an anomaly is the positive class."""
    said = np.array([verdict.is_anomaly for verdict in verdicts])
    confidence = np.array([verdict.confidence for verdict in verdicts])
    score = np.where(said, confidence, 1 - confidence)
    tp = int((said & is_anomaly).sum())
    return {
        "ROCAUC": _compute_roc_auc(is_anomaly, score),
        "AveragePrecision": _compute_average_precision(is_anomaly, score),
        "Precision": tp / int(said.sum()),
        "Recall": tp / int(is_anomaly.sum()),
        "F1Score": 2 * tp / int(said.sum() + is_anomaly.sum()),
    }


def describe_model(model: Model, metrics: Mapping[str, float]) -> Json:
    """The answer of DescribeModel, as the command line prints it."""
    return {
        "ModelDescription": {
            "ModelVersion": str(model.version),
            "ModelArn": model.arn,
            "CreationTimestamp": model.created.isoformat(timespec="milliseconds"),
            "Status": "TRAINED",
            "StatusMessage": "Training completed successfully.",
            "Performance": {name: metrics[name] for name in ("F1Score", "Recall", "Precision")},
            "OutputConfig": {"S3Location": {"Bucket": model.project, "Prefix": ""}},
            "EvaluationManifest": _describe_object(model, "EvaluationManifest"),
            "EvaluationResult": _describe_object(model, "EvaluationResult"),
            "EvaluationEndTimestamp": model.evaluated.isoformat(timespec="milliseconds"),
        }
    }


def to_plain_text(moment: datetime) -> str:
    """A moment as the service writes it into files: UTC without saying so."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def _compute_roc_auc(is_anomaly: Bools, score: Floats) -> float:
    """How many pairs of an anomaly and a normal image stand in the right order; ties count half."""
    higher = np.sign(score[is_anomaly][:, None] - score[~is_anomaly])
    return float((higher.sum() + higher.size) / 2 / higher.size)


def _compute_average_precision(is_anomaly: Bools, score: Floats) -> float:
    """The precision at each score of an anomaly, averaged."""
    own = score[is_anomaly]
    return fsum((own >= s).sum() / (score >= s).sum() for s in own) / len(own)


def _describe_object(model: Model, kind: str) -> Json:
    return {"Bucket": model.project, "Key": model.name_file(kind)}

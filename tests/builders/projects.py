"""Rekognition projects on disk, made of arrays: an archive that every command reads."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import numpy as np

NAME = "parts"
PROJECT_ARN = f"arn:aws:rekognition:us-east-1:111122223333:project/{NAME}"
CREATED_MS = 1690474772815
ATTRIBUTE = "rekognition-custom-labels"
SURE, UNSURE = 0.9, 0.1


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A version's test: labels of images and confidences (images, labels).

    `thresholds` are the assumed ones. `is_complete`: every label is written for every image; else
    the top one, those that reach their threshold, and the true one. `summary_of` is the version
    that the summary names, `said_images` how many images it counts, `changed` numbers of its own.
    """

    __test__ = False  # no test class, whatever its name says to pytest

    images: list[str]
    truth: list[str]
    labels: tuple[str, ...]
    scores: np.ndarray
    thresholds: np.ndarray | None = None
    is_complete: bool = False
    summary_of: str = ""
    said_images: int | None = None
    changed: dict = field(default_factory=dict)

    @property
    def at(self) -> np.ndarray:
        """The threshold of each label."""
        return np.full(len(self.labels), 0.5) if self.thresholds is None else self.thresholds


def make_test(truth, predicted, labels, *, images=None, **changed) -> Tested:
    """A test of which only the top labels are known; a wrong one is as sure as a right one."""
    n = len(truth)
    scores = np.full((n, len(labels)), UNSURE / len(labels))
    scores[np.arange(n), [labels.index(label) for label in predicted]] = SURE
    names = images or [f"s3://parts/{i:05}.jpg" for i in range(n)]
    return Tested(images=names, truth=truth, labels=labels, scores=scores, **changed)


def save_project(folder: Path, name: str = NAME, **versions: Tested) -> Path:
    """An archive with these versions, the older first; it comes back."""
    arn = PROJECT_ARN.replace(NAME, name)
    folder.mkdir(parents=True, exist_ok=True)
    head = {"provider": "rekognition", "project_arn": f"{arn}/{CREATED_MS}", "project_name": name}
    (folder / "project.json").write_text(json.dumps(head))
    for i, (version, tested) in enumerate(versions.items()):
        created = CREATED_MS + 1_000_000 * (i + 1)
        place = folder / "versions" / version
        place.mkdir(parents=True)
        own = f"{arn}/version/{version}/{created}"
        tail = f"{name}-{version}.json"
        summary = describe_summary(tested, own if not tested.summary_of else tested.summary_of)
        files = {
            "version.json": json.dumps(_describe(own, created, tail, summary)).encode(),
            f"EvaluationResultSummary-{tail}": json.dumps(summary).encode(),
            f"TestingGroundTruth-{tail}": write_manifest(tested),
        }
        for file, content in files.items():
            (place / file).write_bytes(content)
    return folder


def find_manifest(folder: Path, version: str) -> Path:
    """Where a version's manifest is."""
    (manifest,) = (folder / "versions" / version).glob("TestingGroundTruth-*")
    return manifest


def write_manifest(tested: Tested) -> bytes:
    """One line an image."""
    reached = tested.scores >= tested.at
    lines = []
    for i, image in enumerate(tested.images):
        true = tested.labels.index(tested.truth[i])
        written = {true, int(np.argmax(tested.scores[i])), *np.flatnonzero(reached[i]).tolist()}
        if tested.is_complete:
            written = set(range(len(tested.labels)))
        line = {
            "source-ref": image,
            f"{ATTRIBUTE}-training-0": 1,
            f"{ATTRIBUTE}-training-0-metadata": {"class-name": tested.truth[i]},
        }
        for n, code in enumerate(sorted(written)):
            line[f"{ATTRIBUTE}-evaluation-{n}"] = 1
            line[f"{ATTRIBUTE}-evaluation-{n}-metadata"] = {
                "class-name": tested.labels[code],
                "confidence": float(tested.scores[i, code]),
                f"{ATTRIBUTE}-evaluation-details": _flag(code == true, bool(reached[i, code])),
            }
        lines.append(json.dumps(line))
    return "".join(f"{line}\n" for line in lines).encode()


def describe_summary(tested: Tested, arn: str) -> dict:
    """The service's own numbers: each label against the rest at its threshold, plain means."""
    y_true = np.array([tested.labels.index(label) for label in tested.truth])
    reached = tested.scores >= tested.at
    rows = []
    for code, label in enumerate(tested.labels):
        is_true, said = y_true == code, reached[:, code]
        tp, n_true, n_said = int((is_true & said).sum()), int(is_true.sum()), int(said.sum())
        rows.append(
            {
                "Label": label,
                "NumberOfTestingImages": n_true,
                "Metrics": {
                    "Precision": tp / n_said if n_said else 0.0,
                    "Recall": tp / n_true if n_true else 0.0,
                    "F1Score": 2 * tp / (n_true + n_said) if n_true + n_said else 0.0,
                    "Threshold": float(tested.at[code]),
                },
            }
        )
    names = ("Precision", "Recall", "F1Score")
    means = {name: fmean(row["Metrics"][name] for row in rows) for name in names}
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": arn,
            "EvaluationEndTimestamp": "2023-07-28T15:33:10.827000",
            "Labels": list(tested.labels),
            "NumberOfTrainingImages": 1000,
            "NumberOfTestingImages": (
                len(set(tested.images)) if tested.said_images is None else tested.said_images
            ),
        },
        "AggregatedEvaluationResults": means | tested.changed,
        "LabelEvaluationResults": rows,
    }


def _describe(arn: str, created: int, tail: str, summary: dict) -> dict:
    def place(name: str) -> dict:
        return {"S3Object": {"Bucket": "parts", "Name": f"evaluation/{name}-{tail}"}}

    moment = datetime.fromtimestamp(created / 1000, UTC)
    manifest = {"GroundTruthManifest": place("TestingGroundTruth")}
    return {
        "ProjectVersionArn": arn,
        "CreationTimestamp": moment.isoformat(),
        "TrainingEndTimestamp": moment.isoformat(),
        "Status": "TRAINING_COMPLETED",
        "StatusMessage": "The model is ready to run.",
        "OutputConfig": {"S3Bucket": "parts", "S3KeyPrefix": "evaluation"},
        "TrainingDataResult": {"Input": {}},
        "TestingDataResult": {
            "Input": {"AutoCreate": False},
            "Output": {"Assets": [manifest], "AutoCreate": False},
        },
        "EvaluationResult": {
            "F1Score": summary["AggregatedEvaluationResults"]["F1Score"],
            "Summary": place("EvaluationResultSummary"),
        },
    }


def _flag(is_true: bool, is_said: bool) -> dict:
    return {
        "is-true-positive": is_true and is_said,
        "is-true-negative": not is_true and not is_said,
        "is-false-positive": is_said and not is_true,
        "is-false-negative": is_true and not is_said,
        "is-present-in-ground-truth": is_true,
    }

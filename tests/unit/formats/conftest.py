"""Manifest lines, and evaluations read from them."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from mlrek.evaluation import Evaluation, Version
from mlrek.formats.rekognition import Document, ManifestInput, parse_evaluation
from mlrek.sources.description import parse_version_arn

VERSION_ARN = "arn:aws:rekognition:eu-west-1:111122223333:project/pets/version/v1/1690556751958"
FLAGS = {
    "TP": "is-true-positive",
    "FP": "is-false-positive",
    "FN": "is-false-negative",
    "TN": "is-true-negative",
}


@pytest.fixture(scope="session")
def guide() -> Path:
    """The files that the service's developer guide prints."""
    return Path(__file__).parents[2] / "data" / "rekognition-guide"


@pytest.fixture(scope="session")
def version() -> Version:
    """Version v1 of the project pets."""
    version = parse_version_arn(VERSION_ARN)
    assert version is not None
    return version


def _make_metadata(label, confidence, *, human="yes", **more):
    return {
        "confidence": confidence,
        "class-name": label,
        "type": "groundtruth/image-classification",
        "job-name": "a-job",
        "human-annotated": human,
        "creation-date": "2023-07-28T15:05:51.958000",
        **more,
    }


def _make_details(outcome):
    flags = {key: name == outcome for name, key in FLAGS.items()}
    return {
        "rekognition-custom-labels-evaluation-details": {
            "version": 1,
            "ground-truth-labelling-jobs": ["a-job"],
            **flags,
            "is-present-in-ground-truth": outcome in {"TP", "FN"},
        }
    }


@pytest.fixture(scope="session")
def make_line():
    """A function that makes one manifest line as a dict.

    `truth` are labels, `records` (label, confidence, outcome); the rest is added as it stands.
    """

    def make(truth=("cat",), records=(("cat", 0.9, "TP"),), image="s3://b/1.jpg", **extra):
        line = {"source-ref": image}
        for n, label in enumerate(truth):
            name = f"rekognition-custom-labels-training-{n}"
            line |= {name: n, f"{name}-metadata": _make_metadata(label, 1.0)}
        for n, (label, confidence, outcome) in enumerate(records):
            name = f"rekognition-custom-labels-evaluation-{n}"
            details = _make_details(outcome)
            metadata = _make_metadata(label, confidence, human="no", **details)
            line |= {name: n, f"{name}-metadata": metadata}
        return line | extra

    return make


@pytest.fixture(scope="session")
def make_summary():
    """A function that makes a summary file: labels, thresholds by label, and keys as they stand."""

    def make(labels=(), thresholds=None, **extra):
        results = [
            {"Label": label, "Metrics": {"Threshold": threshold}}
            for label, threshold in (thresholds or {}).items()
        ]
        details = {"ProjectVersionArn": VERSION_ARN, "Labels": list(labels)}
        file = {"EvaluationDetails": details, "LabelEvaluationResults": results} | extra
        return json.dumps(file).encode()

    return make


@pytest.fixture(scope="session")
def read(version):
    """A function that reads lines (dicts, or text as it stands) as one evaluation."""

    def read_lines(lines: Iterable[dict | bytes], *, summary=None, **options) -> Evaluation:
        texts = [x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines]
        chunks = [b"".join(text + b"\n" for text in texts)]
        return parse_evaluation(
            version,
            manifest=ManifestInput(uri="s3://b/manifest.json", chunks=chunks),
            summary=None if summary is None else Document(uri="s3://b/sum.json", data=summary),
            **options,
        )

    return read_lines


@pytest.fixture(scope="session")
def describe():
    """A function that lays an evaluation out by image: (image, true labels, records)."""

    def lay_out(evaluation: Evaluation) -> list[tuple]:
        truth, records, labels = evaluation.truth, evaluation.records, evaluation.labels
        rows = []
        for i, image in enumerate(evaluation.images):
            mine = slice(truth.offsets[i], truth.offsets[i + 1])
            own = slice(records.offsets[i], records.offsets[i + 1])
            codes, scores = records.label_idx[own], records.confidence[own].tolist()
            rows.append(
                (
                    image,
                    {labels[code] for code in truth.label_idx[mine]},
                    {labels[code]: score for code, score in zip(codes, scores, strict=True)},
                )
            )
        return rows

    return lay_out

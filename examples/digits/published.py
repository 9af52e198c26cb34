"""What Amazon Rekognition Custom Labels publishes about testing a version, in its own form.

Optional fields are left out of the lines of the evaluation manifest to keep this example small;
README.md names them.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DECIMALS = 5
BUCKET = "digits"
PREFIX = "evaluation"
PROJECT_ARN = "arn:aws:rekognition:us-east-1:111122223333:project/digits"
PROJECT_CREATED = datetime(2026, 3, 2, 9, 12, 4, 118000, tzinfo=UTC)
READ_AT = datetime(2026, 3, 30, 8, tzinfo=UTC)
NOT_BILLED = 600  # seconds
ATTRIBUTE = "rekognition-custom-labels"

Json = dict[str, Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Training:
    """When a version was trained and how long it took; whether it split off its own test set."""

    name: str
    created: datetime
    seconds: int
    splits_itself: bool

    @property
    def arn(self) -> str:
        """The ARN of the project version; it ends with the creation time, as the service's do."""
        return f"{PROJECT_ARN}/version/{self.name}/{epoch_ms(self.created)}"

    @property
    def ended(self) -> datetime:
        """When training ended."""
        return self.created + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a version says of its test images.

    `images` (positions in the data set) and `y_true` are (n,), `y_score` (n, labels) is rounded as
    published, `thresholds` (labels,) are the assumed ones.
    """

    images: Ints
    y_true: Ints
    y_score: Floats
    thresholds: Floats
    train_images: int

    @property
    def reached(self) -> Bools:
        """Where a confidence reaches the assumed threshold of its label, (n, labels)."""
        return self.y_score >= self.thresholds

    @property
    def y_pred(self) -> Ints:
        """The label with the highest confidence; ties go to the first, (n,)."""
        return np.argmax(self.y_score, axis=1)


def describe_project() -> bytes:
    """The head of the archive, `project.json`."""
    return to_json(
        {
            "provider": "rekognition",
            "project_arn": f"{PROJECT_ARN}/{epoch_ms(PROJECT_CREATED)}",
            "project_name": "digits",
            "read_at": to_text(READ_AT),
            "read_by": "examples/digits/make.py",
        }
    )


def describe_version(training: Training, answers: Answers) -> Mapping[str, bytes]:
    """The three files of a version, by name."""
    summary = describe_summary(training, answers)
    f1 = summary["AggregatedEvaluationResults"]["F1Score"]
    lines = (describe_image(row, answers) for row in range(len(answers.images)))
    return {
        "version.json": to_json(describe_api_answer(training, f1)),
        summary_name(training): to_json(summary),
        manifest_name(training): b"".join(to_line(line) for line in lines),
    }


def describe_api_answer(training: Training, f1: float) -> Json:
    """The version as DescribeProjectVersions shows it; it names only files that are here."""
    split = {"AutoCreate": training.splits_itself}
    manifest = {"GroundTruthManifest": describe_object(manifest_name(training))}
    return {
        "ProjectVersionArn": training.arn,
        "CreationTimestamp": to_text(training.created),
        "Status": "TRAINING_COMPLETED",
        "StatusMessage": "The model is ready to run.",
        "BillableTrainingTimeInSeconds": training.seconds - NOT_BILLED,
        "TrainingEndTimestamp": to_text(training.ended),
        "OutputConfig": {"S3Bucket": BUCKET, "S3KeyPrefix": PREFIX},
        "TrainingDataResult": {"Input": {}},
        "TestingDataResult": {"Input": split, "Output": {"Assets": [manifest], **split}},
        "EvaluationResult": {"F1Score": f1, "Summary": describe_object(summary_name(training))},
    }


def describe_object(name: str) -> Json:
    """Where the service would keep a file."""
    return {"S3Object": {"Bucket": BUCKET, "Name": f"{PREFIX}/{name}"}}


def describe_summary(training: Training, answers: Answers) -> Json:
    """The evaluation result summary; its averages are plain means over the labels."""
    rows = [describe_label(label_idx, answers) for label_idx in range(len(LABELS))]
    names = ("Precision", "Recall", "F1Score")
    means = {name: fmean(row["Metrics"][name] for row in rows) for name in names}
    evaluated = training.ended.replace(tzinfo=None) - timedelta(minutes=2)
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": training.arn,
            "EvaluationEndTimestamp": evaluated.isoformat(timespec="microseconds"),
            "Labels": LABELS,
            "NumberOfTrainingImages": answers.train_images,
            "NumberOfTestingImages": len(answers.images),
        },
        "AggregatedEvaluationResults": {"ConfusionMatrix": list(describe_cells(answers)), **means},
        "LabelEvaluationResults": sorted(rows, key=lambda row: -row["Metrics"]["F1Score"]),
    }


def describe_label(label_idx: int, answers: Answers) -> Json:
    """One label against the rest, at its assumed threshold."""
    is_true = answers.y_true == label_idx
    precision, recall, f1 = compute_scores(is_true, answers.reached[:, label_idx])
    return {
        "Label": LABELS[label_idx],
        "NumberOfTestingImages": int(is_true.sum()),
        "Metrics": {
            "Precision": precision,
            "Recall": recall,
            "F1Score": f1,
            "Threshold": float(answers.thresholds[label_idx]),
        },
    }


def compute_scores(is_true: Bools, said: Bools) -> tuple[float, float, float]:
    """Precision, recall and F1 of one label; it is true somewhere, and said somewhere."""
    tp = int(np.sum(is_true & said))
    n_true, n_said = int(is_true.sum()), int(said.sum())
    return tp / n_said, tp / n_true, 2 * tp / (n_true + n_said)


def describe_cells(answers: Answers) -> Iterable[Json]:
    """The confusion matrix: shares of the true label's images by top answer; no empty cells."""
    counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    np.add.at(counts, (answers.y_true, answers.y_pred), 1)
    for true, predicted in np.argwhere(counts):
        yield {
            "GroundTruthLabel": LABELS[true],
            "PredictedLabel": LABELS[predicted],
            "Value": float(counts[true, predicted] / counts[true].sum()),
        }


def describe_image(row: int, answers: Answers) -> Json:
    """A line of the evaluation manifest.

    It holds the top label, each label whose confidence reaches its threshold, and the true label.
    """
    true, top = int(answers.y_true[row]), int(answers.y_pred[row])
    written = {true, top, *np.flatnonzero(answers.reached[row]).tolist()}
    line: Json = {
        "source-ref": f"s3://{BUCKET}/{image_name(int(answers.images[row]))}",
        f"{ATTRIBUTE}-training-0": 1,
        f"{ATTRIBUTE}-training-0-metadata": {"class-name": LABELS[true]},
    }
    for n, label_idx in enumerate(sorted(written)):
        said = bool(answers.reached[row, label_idx])
        line[f"{ATTRIBUTE}-evaluation-{n}"] = 1
        line[f"{ATTRIBUTE}-evaluation-{n}-metadata"] = {
            "class-name": LABELS[label_idx],
            "confidence": float(answers.y_score[row, label_idx]),
            f"{ATTRIBUTE}-evaluation-details": describe_outcome(said, present=label_idx == true),
        }
    return line


def describe_outcome(said: bool, *, present: bool) -> Json:
    """The flags of a record, relative to the assumed threshold of its label."""
    return {
        "is-true-positive": said and present,
        "is-true-negative": not said and not present,
        "is-false-positive": said and not present,
        "is-false-negative": not said and present,
        "is-present-in-ground-truth": present,
    }


# Names and bytes


def summary_name(training: Training) -> str:
    """The name the service gives the summary."""
    return f"EvaluationResultSummary-digits-{training.name}.json"


def manifest_name(training: Training) -> str:
    """The name the service gives the evaluation manifest."""
    return f"TestingGroundTruth-digits-{training.name}.json"


def image_name(image: int) -> str:
    """The file of the image at this position of the data set."""
    return f"{image:04}.png"


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, as ARNs end with."""
    return round(moment.timestamp() * 1000)


def to_text(moment: datetime) -> str:
    """A moment as the API's clients print it."""
    return moment.isoformat(timespec="milliseconds")


def to_json(value: Json) -> bytes:
    """A document for people."""
    return json.dumps(value, indent=1).encode() + b"\n"


def to_line(value: Json) -> bytes:
    """A line for programs."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def to_png(pixels: Floats) -> bytes:
    """A grey PNG of 8 x 8 values from 0 to 16; stored, since compressors differ in their bytes."""
    grey = (pixels.reshape(8, 8) * 255 / 16).round().astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )

"""What Amazon Rekognition Custom Labels publishes about a version, beside the answers themselves.

The archive's `project.json`, the API's description of a version, the head of the summary and the
metadata that every attribute of a manifest carries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean

from files import Json, to_json, to_lines

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ATTRIBUTE = "rekognition-custom-labels"
TRAINING_JOB = f"{ATTRIBUTE}-training-job"
EVALUATION_JOB = f"{ATTRIBUTE}-evaluation-job"
PREFIX = "evaluation"
NOT_BILLED = 600  # seconds


@dataclass(frozen=True, slots=True)
class Project:
    """A project; the bucket that holds its images and evaluations has the same name."""

    name: str
    created: datetime

    @property
    def arn(self) -> str:
        """The ARN; it ends with the creation time, as the service's do."""
        return f"{self._stem}/{_epoch_ms(self.created)}"

    def version_arn(self, version: str, created: datetime) -> str:
        """The ARN of a version of it."""
        return f"{self._stem}/version/{version}/{_epoch_ms(created)}"

    @property
    def _stem(self) -> str:
        return f"arn:aws:rekognition:us-east-1:111122223333:project/{self.name}"


@dataclass(frozen=True, slots=True)
class Training:
    """When a version was trained, how long it took and from how many images."""

    project: Project
    name: str
    created: datetime
    seconds: int
    train_images: int

    @property
    def arn(self) -> str:
        """The ARN of the version."""
        return self.project.version_arn(self.name, self.created)

    @property
    def ended(self) -> datetime:
        """When training ended."""
        return self.created + timedelta(seconds=self.seconds)

    @property
    def evaluated(self) -> str:
        """When the evaluation ended, as the service writes it: UTC without saying so."""
        moment = (self.ended - timedelta(minutes=2)).astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat(timespec="microseconds")

    def name_file(self, kind: str) -> str:
        """The name the service gives a file, for instance the summary."""
        return f"{kind}-{self.project.name}-{self.name}.json"


def describe_project(project: Project, *, read_at: datetime, read_by: str) -> bytes:
    """The head of the archive, `project.json`."""
    return to_json(
        {
            "provider": "rekognition",
            "project_arn": project.arn,
            "project_name": project.name,
            "read_at": read_at.isoformat(timespec="milliseconds"),
            "read_by": read_by,
        }
    )


def describe_version(
    training: Training, summary: Json, lines: Iterable[Json]
) -> Mapping[str, bytes]:
    """The three files of a version, by their names in the archive."""
    f1 = summary["AggregatedEvaluationResults"]["F1Score"]
    folder = f"versions/{training.name}"
    return {
        f"{folder}/version.json": to_json(_describe_api_answer(training, f1)),
        f"{folder}/{training.name_file('EvaluationResultSummary')}": to_json(summary),
        f"{folder}/{training.name_file('TestingGroundTruth')}": to_lines(lines),
    }


def describe_summary(
    training: Training, labels: Sequence[str], rows: Sequence[Json], test_images: int
) -> Json:
    """The summary from its rows, one for each label; averages are plain means over the labels."""
    names = ("Precision", "Recall", "F1Score")
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": training.arn,
            "EvaluationEndTimestamp": training.evaluated,
            "Labels": labels,
            "NumberOfTrainingImages": training.train_images,
            "NumberOfTestingImages": test_images,
        },
        "AggregatedEvaluationResults": {
            name: fmean(row["Metrics"][name] for row in rows) for name in names
        },
        "LabelEvaluationResults": sorted(rows, key=lambda row: -row["Metrics"]["F1Score"]),
    }


def describe_label(
    label: str, test_images: int, counts: tuple[int, int, int], threshold: float
) -> Json:
    """A label's row of the summary from its true positives, false positives, false negatives."""
    tp, fp, fn = counts
    return {
        "Label": label,
        "NumberOfTestingImages": test_images,
        "Metrics": {
            "Precision": tp / (tp + fp),
            "Recall": tp / (tp + fn),
            "F1Score": 2 * tp / (2 * tp + fp + fn),
            "Threshold": threshold,
        },
    }


def describe_truth(training: Training, kind: str) -> Json:
    """The metadata of what people said; `kind` is `image-classification` or `object-detection`."""
    return {
        "type": f"groundtruth/{kind}",
        "job-name": TRAINING_JOB,
        "human-annotated": "yes",
        "creation-date": training.evaluated,
    }


def describe_answer(training: Training, kind: str) -> Json:
    """The metadata of what the model said."""
    return {
        "type": f"groundtruth/{kind}",
        "job-name": EVALUATION_JOB,
        "human-annotated": "no",
        "creation-date": training.evaluated,
    }


def describe_outcome(*, said: bool, present: bool) -> Json:
    """The flags of a record, relative to the assumed threshold of its label."""
    return {
        f"{ATTRIBUTE}-evaluation-details": {
            "version": 1,
            "ground-truth-labelling-jobs": [TRAINING_JOB],
            "is-true-positive": said and present,
            "is-true-negative": not said and not present,
            "is-false-positive": said and not present,
            "is-false-negative": not said and present,
            "is-present-in-ground-truth": present,
        }
    }


def _describe_api_answer(training: Training, f1: float) -> Json:
    """The version as DescribeProjectVersions shows it; it names only files that are here."""
    manifest = {"GroundTruthManifest": _describe_object(training, "TestingGroundTruth")}
    return {
        "ProjectVersionArn": training.arn,
        "CreationTimestamp": training.created.isoformat(timespec="milliseconds"),
        "Status": "TRAINING_COMPLETED",
        "StatusMessage": "The model is ready to run.",
        "BillableTrainingTimeInSeconds": training.seconds - NOT_BILLED,
        "TrainingEndTimestamp": training.ended.isoformat(timespec="milliseconds"),
        "OutputConfig": {"S3Bucket": training.project.name, "S3KeyPrefix": PREFIX},
        "TrainingDataResult": {"Input": {}},
        "TestingDataResult": {
            "Input": {"AutoCreate": False},
            "Output": {"Assets": [manifest], "AutoCreate": False},
        },
        "EvaluationResult": {
            "F1Score": f1,
            "Summary": _describe_object(training, "EvaluationResultSummary"),
        },
    }


def _describe_object(training: Training, kind: str) -> Json:
    """Where the service would keep a file."""
    name = f"{PREFIX}/{training.name_file(kind)}"
    return {"S3Object": {"Bucket": training.project.name, "Name": name}}


def _epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, as ARNs end with."""
    return round(moment.timestamp() * 1000)

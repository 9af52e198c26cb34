"""Make a large project of saved evaluations: `python make_manifests.py FOLDER --images 20000`.

The same arguments give the same bytes. Every version is tested on the same images. Lines are as the
service writes them, with every field; scores are a softmax that errs mostly between similar labels.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PROJECT = "benchmark"
ARN = f"arn:aws:rekognition:us-east-1:111122223333:project/{PROJECT}"
BUCKET = "mlrek-benchmark"
FIRST_TRAINING = datetime(2026, 1, 5, 8, tzinfo=UTC)
MILLION = 1_000_000  # confidences are whole millionths, and those of an image add up to one
CREATED = "2026-01-05T07:12:44.518201"
ATTRIBUTE = "rekognition-custom-labels"
OUTCOMES = ("true-negative", "false-positive", "false-negative", "true-positive")

Json = dict[str, Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Wanted = Literal["complete", "top1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much to make. `records` a line: of every label, or of the top one."""

    versions: int
    images: int
    labels: int
    records: Wanted = "complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a version says: `confidence` (images, labels) in millionths, `thresholds` (labels,)."""

    labels: Sequence[str]
    y_true: Ints
    confidence: Ints
    thresholds: Floats

    @property
    def y_pred(self) -> Ints:
        """The top label of each image."""
        return np.argmax(self.confidence, axis=1)

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Where a confidence reaches the threshold of its label, (images, labels)."""
        return self.confidence / MILLION >= self.thresholds


def main() -> None:
    """Make the folder that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    add_size_options(parser)
    arguments = parser.parse_args()
    make_project(arguments.folder, read_size(arguments))


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """The options that `read_size` reads."""
    parser.add_argument("--versions", type=int, default=5)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--records", choices=("complete", "top1"), default="complete")


def read_size(arguments: argparse.Namespace) -> Size:
    """The size that the command line asks for."""
    return Size(
        versions=arguments.versions,
        images=arguments.images,
        labels=arguments.labels,
        records=arguments.records,
    )


def make_project(folder: Path, size: Size) -> None:
    """Write a project in the layout of `mlrek archive`."""
    folder.mkdir(parents=True, exist_ok=True)
    project = {"provider": "rekognition", "project_arn": f"{ARN}/1767600000000"}
    write_json(folder / "project.json", {**project, "project_name": PROJECT})
    rng = np.random.default_rng(7)
    labels = [f"label_{i:03}" for i in rng.permutation(size.labels)]
    shares = 1 / np.arange(2, size.labels + 2) ** 0.5
    y_true = rng.choice(size.labels, size=size.images, p=shares / shares.sum())
    for number in range(1, size.versions + 1):
        answers = answer(labels, y_true, np.random.default_rng([7, number]), skill=5 + number / 2)
        make_version(folder / "versions" / f"v{number}", number, answers, size.records)


def answer(
    labels: Sequence[str], y_true: Ints, rng: np.random.Generator, *, skill: float
) -> Answers:
    """Scores of a model: more skill, fewer errors; each label resembles the one after it."""
    images = np.arange(len(y_true))
    logits = rng.normal(size=(len(y_true), len(labels)))
    difficulty = rng.gamma(2.0, 0.5, size=len(y_true))
    logits[images, y_true] += skill / (0.5 + difficulty)
    logits[images, (y_true + 1) % len(labels)] += 1.5
    scores = np.exp(2 * (logits - logits.max(axis=1, keepdims=True)))
    confidence = np.floor(MILLION * scores / scores.sum(axis=1, keepdims=True)).astype(np.int64)
    confidence[images, confidence.argmax(axis=1)] += MILLION - confidence.sum(axis=1)
    is_true = y_true[:, None] == np.arange(len(labels))
    thresholds = [best_threshold(*column) for column in zip(is_true.T, confidence.T, strict=True)]
    return Answers(
        labels=labels, y_true=y_true, confidence=confidence, thresholds=np.array(thresholds)
    )


def best_threshold(is_true: NDArray[np.bool_], confidence: Ints) -> float:
    """The threshold of the best F1, half way between two confidences."""
    order = np.argsort(-confidence, kind="stable")
    falling, tp = confidence[order], np.cumsum(is_true[order])
    last_of_ties = np.append(falling[1:] < falling[:-1], True)
    f1 = np.where(last_of_ties, 2 * tp / (np.arange(1, len(tp) + 1) + max(tp[-1], 1)), -1)
    best = int(np.argmax(f1))
    following = falling[best + 1] if best + 1 < len(falling) else 0
    return float(falling[best] + following) / 2 / MILLION


def make_version(folder: Path, number: int, answers: Answers, records: Wanted) -> None:
    """Write the three files of a version."""
    folder.mkdir(parents=True, exist_ok=True)
    summary = describe_summary(number, answers)
    write_json(folder / "version.json", describe_version(number, summary))
    write_json(folder / summary_name(number), summary)
    lines = iter_complete_lines(answers) if records == "complete" else iter_top_lines(answers)
    with (folder / manifest_name(number)).open("w", newline="\n") as manifest:
        manifest.writelines(lines)


def iter_complete_lines(answers: Answers) -> Iterator[str]:
    """A line for each image, with a record of every label."""
    heads = [record_head(n) for n in range(len(answers.labels))]
    tails = [[record_tail(label, outcome) for outcome in OUTCOMES] for label in answers.labels]
    outcomes = count_outcomes(answers)
    for image, true in enumerate(answers.y_true.tolist()):
        confidences = (answers.confidence[image] / MILLION).tolist()
        records = [
            head + repr(confidence) + tail[outcome]
            for head, confidence, tail, outcome in zip(
                heads, confidences, tails, outcomes[image].tolist(), strict=True
            )
        ]
        yield line_head(image, answers.labels[true]) + "".join(records) + "}\n"


def iter_top_lines(answers: Answers) -> Iterator[str]:
    """A line for each image, with a record of its top label."""
    head = record_head(0)
    tails = [[record_tail(label, outcome) for outcome in OUTCOMES] for label in answers.labels]
    outcomes, y_pred = count_outcomes(answers), answers.y_pred.tolist()
    for image, true in enumerate(answers.y_true.tolist()):
        top = y_pred[image]
        record = (
            repr(float(answers.confidence[image, top] / MILLION)) + tails[top][outcomes[image, top]]
        )
        yield line_head(image, answers.labels[true]) + head + record + "}\n"


def count_outcomes(answers: Answers) -> Ints:
    """Positions in OUTCOMES, (images, labels): a label said counts one, a true one two."""
    is_true = answers.y_true[:, None] == np.arange(len(answers.labels))
    return np.array([[0, 1], [2, 3]])[is_true.astype(int), answers.reached.astype(int)]


def line_head(image: int, label: str) -> str:
    """A line up to its truth."""
    truth = {
        "confidence": 1.0,
        "job-name": f"{ATTRIBUTE}-training-job",
        "class-name": label,
        "human-annotated": "yes",
        "creation-date": CREATED,
        "type": "groundtruth/image-classification",
    }
    head = {
        "source-ref": f"s3://{BUCKET}/images/{image:06}.jpg",
        f"{ATTRIBUTE}-training-0": 1,
        f"{ATTRIBUTE}-training-0-metadata": truth,
    }
    return json.dumps(head)[:-1]


def record_head(n: int) -> str:
    """A record up to its confidence."""
    key = f"{ATTRIBUTE}-evaluation-{n}"
    return f', "{key}": 1, "{key}-metadata": {{"confidence": '


def record_tail(label: str, outcome: str) -> str:
    """A record from its confidence on."""
    flags = {f"is-{name}": name == outcome for name in sorted(OUTCOMES, reverse=True)}
    present = outcome in {"true-positive", "false-negative"}
    rest = {
        "job-name": f"{ATTRIBUTE}-evaluation-job",
        "class-name": label,
        "human-annotated": "no",
        "creation-date": CREATED,
        "type": "groundtruth/image-classification",
        f"{ATTRIBUTE}-evaluation-details": {
            "version": 1,
            "ground-truth-labelling-jobs": [f"{ATTRIBUTE}-training-job"],
            **flags,
            "is-present-in-ground-truth": present,
        },
    }
    return ", " + json.dumps(rest)[1:]


def describe_summary(number: int, answers: Answers) -> Json:
    """The evaluation result summary; averages are plain means over the labels."""
    rows = [describe_label(label_idx, answers) for label_idx in range(len(answers.labels))]
    names = ("Precision", "Recall", "F1Score")
    means = {name: float(np.mean([row["Metrics"][name] for row in rows])) for name in names}
    return {
        "Version": 1,
        "EvaluationDetails": {
            "ProjectVersionArn": version_arn(number),
            "EvaluationEndTimestamp": CREATED,
            "Labels": list(answers.labels),
            "NumberOfTrainingImages": 4 * len(answers.y_true),
            "NumberOfTestingImages": len(answers.y_true),
        },
        "AggregatedEvaluationResults": {"ConfusionMatrix": describe_matrix(answers), **means},
        "LabelEvaluationResults": rows,
    }


def describe_label(label_idx: int, answers: Answers) -> Json:
    """One label against the rest, at its threshold."""
    is_true, said = answers.y_true == label_idx, answers.reached[:, label_idx]
    tp, n_true, n_said = (int(np.sum(x)) for x in (is_true & said, is_true, said))
    return {
        "Label": answers.labels[label_idx],
        "NumberOfTestingImages": n_true,
        "Metrics": {
            "Precision": tp / max(n_said, 1),
            "Recall": tp / max(n_true, 1),
            "F1Score": 2 * tp / max(n_said + n_true, 1),
            "Threshold": float(answers.thresholds[label_idx]),
        },
    }


def describe_matrix(answers: Answers) -> list[Json]:
    """Shares of the true label's images by top label; empty cells are left out."""
    counts = np.zeros((len(answers.labels), len(answers.labels)), dtype=np.int64)
    np.add.at(counts, (answers.y_true, answers.y_pred), 1)
    return [
        {
            "GroundTruthLabel": answers.labels[true],
            "PredictedLabel": answers.labels[predicted],
            "Value": float(counts[true, predicted] / counts[true].sum()),
        }
        for true, predicted in np.argwhere(counts)
    ]


def describe_version(number: int, summary: Json) -> Json:
    """The version as DescribeProjectVersions shows it."""
    manifest = {"GroundTruthManifest": describe_object(manifest_name(number))}
    created = FIRST_TRAINING + timedelta(days=number)
    return {
        "ProjectVersionArn": version_arn(number),
        "CreationTimestamp": created.isoformat(),
        "TrainingEndTimestamp": (created + timedelta(minutes=90)).isoformat(),
        "BillableTrainingTimeInSeconds": 4800,
        "Status": "TRAINING_COMPLETED",
        "TestingDataResult": {"Output": {"Assets": [manifest], "AutoCreate": False}},
        "EvaluationResult": {
            "F1Score": summary["AggregatedEvaluationResults"]["F1Score"],
            "Summary": describe_object(summary_name(number)),
        },
    }


def describe_object(name: str) -> Json:
    """Where the service would keep a file."""
    return {"S3Object": {"Bucket": BUCKET, "Name": f"evaluation/{name}"}}


def version_arn(number: int) -> str:
    """The ARN of a version."""
    created = FIRST_TRAINING + timedelta(days=number)
    return f"{ARN}/version/v{number}/{round(created.timestamp() * 1000)}"


def summary_name(number: int) -> str:
    """The name of the summary."""
    return f"EvaluationResultSummary-{PROJECT}-v{number}.json"


def manifest_name(number: int) -> str:
    """The name of the evaluation manifest."""
    return f"TestingGroundTruth-{PROJECT}-v{number}.json"


def write_json(path: Path, value: Json) -> None:
    """A small document."""
    path.write_text(json.dumps(value, indent=1) + "\n", newline="\n")


if __name__ == "__main__":
    main()

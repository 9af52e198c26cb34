"""Rekognition's outputs in small: descriptions, manifests and summaries as the service writes them.

Every version made here was tested on three images, a cat and two dogs, and takes one dog for a cat.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

PROJECT_ARN = "arn:aws:rekognition:us-east-1:111122223333:project/pets/1690474772815"
BUCKET = "custom-labels-console-us-east-1-0123456789"
PREFIX = f"evaluation/{PROJECT_ARN}"
F1 = 0.6666666666666666

_IMAGES = (
    ("s3://images/a cat.jpg", "cat", "cat", 0.9, "true-positive"),
    ("s3://images/dog+1.jpg", "dog", "dog", 0.8, "true-positive"),
    ("s3://images/dög:2.jpg", "dog", "cat", 0.7, "false-positive"),
)
_OUTCOMES = ("true-positive", "true-negative", "false-positive", "false-negative")


def version_arn(name: str, created_ms: int = 1690556751958, project_arn: str = PROJECT_ARN) -> str:
    """The ARN of a version of a project."""
    return f"{project_arn.rpartition('/')[0]}/version/{name}/{created_ms}"


def make_manifest(n: int = 1) -> bytes:
    """`TestingGroundTruth-….json`: the three images, `n` times."""
    lines = [_make_line(i, *image) for i in range(n) for image in _IMAGES]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def make_training_manifest(*images: str) -> bytes:
    """`TrainingGroundTruth-….json`: what a version was trained on, here dogs alone."""
    lines = [_make_line(0, image, "dog", "dog", 0.9, "true-positive") for image in images]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def make_summary(arn: str) -> bytes:
    """`EvaluationResultSummary-….json` of the version with an ARN."""
    per_label = {"cat": (0.5, 1.0, 2 / 3, 1), "dog": (1.0, 0.5, 2 / 3, 2)}
    return json.dumps(
        {
            "Version": 1,
            "AggregatedEvaluationResults": {"Precision": 0.75, "Recall": 0.75, "F1Score": F1},
            "EvaluationDetails": {
                "EvaluationEndTimestamp": "2023-07-28T15:33:10.827000",
                "Labels": ["dog", "cat"],
                "NumberOfTestingImages": 3,
                "NumberOfTrainingImages": 12,
                "ProjectVersionArn": arn,
            },
            "LabelEvaluationResults": [
                {
                    "Label": label,
                    "Metrics": {"Precision": p, "Recall": r, "F1Score": f1, "Threshold": 0.5},
                    "NumberOfTestingImages": images,
                }
                for label, (p, r, f1, images) in per_label.items()
            ],
        }
    ).encode()


def describe(arn: str, *, bucket: str = BUCKET, prefix: str = PREFIX, **changed: object) -> dict:
    """A ProjectVersionDescription of a trained version, as boto3 gives it; None takes a key out."""
    _, project, _, version, created = arn.split("/")
    tail = f"{project}-{version}.json"

    def asset(name: str) -> dict:
        place = {"Bucket": bucket, "Name": f"{prefix}/{name}-{tail}"}
        return {"Assets": [{"GroundTruthManifest": {"S3Object": place}}]}

    description = {
        "ProjectVersionArn": arn,
        "CreationTimestamp": datetime.fromtimestamp(int(created) / 1000, UTC),
        "TrainingEndTimestamp": datetime.fromtimestamp(int(created) / 1000 + 1638, UTC),
        "BillableTrainingTimeInSeconds": 1899,
        "Status": "TRAINING_COMPLETED",
        "StatusMessage": "The model is ready to run.",
        "OutputConfig": {"S3Bucket": bucket, "S3KeyPrefix": prefix},
        "TrainingDataResult": {
            "Input": {},
            "Output": asset("TrainingGroundTruth"),
            "Validation": asset("TrainingManifestWithValidation"),
        },
        "TestingDataResult": {
            "Input": {"AutoCreate": False},
            "Output": {**asset("TestingGroundTruth"), "AutoCreate": False},
            "Validation": asset("TestingManifestWithValidation"),
        },
        "EvaluationResult": {
            "F1Score": F1,
            "Summary": {
                "S3Object": {"Bucket": bucket, "Name": f"{prefix}/EvaluationResultSummary-{tail}"}
            },
        },
        "ManifestSummary": {
            "S3Object": {"Bucket": bucket, "Name": f"{prefix}/ManifestSummary-{tail}"}
        },
    }
    return {k: v for k, v in (description | changed).items() if v is not None}


def make_files(description: dict) -> dict[tuple[str, str], bytes]:
    """Every file that a description names: (bucket, key) -> content."""
    arn = description["ProjectVersionArn"]
    files = {}
    for part, place in find_places(description):
        content = json.dumps({"file": part, "of": arn}).encode()
        if part == "EvaluationResult":
            content = make_summary(arn)
        if part == "TestingDataResult.Output":
            content = make_manifest()
        if part == "TrainingDataResult.Output":
            content = make_training_manifest("s3://images/trained on.jpg")
        files[place["Bucket"], place["Name"]] = content
    return files


def save_archive(folder: Path, *versions: str, project_arn: str = PROJECT_ARN) -> Path:
    """A folder with an archived project of small versions, the older first; it comes back."""
    name = project_arn.split("/")[1]
    head = {"provider": "rekognition", "project_arn": project_arn, "project_name": name}
    for i, version in enumerate(versions):
        description = describe(version_arn(version, 1690556751958 + i, project_arn))
        place = folder / "versions" / version
        place.mkdir(parents=True, exist_ok=True)
        (place / "version.json").write_text(json.dumps(description, default=str))
        for (_, key), content in make_files(description).items():
            (place / key.rpartition("/")[2]).write_bytes(content)
    (folder / "project.json").write_text(json.dumps(head))
    return folder


def find_places(description: dict) -> list[tuple[str, dict]]:
    """The S3 objects that a description names, each with where in it."""
    found = []
    for key in ("TrainingDataResult", "TestingDataResult"):
        for kind, data in description.get(key, {}).items():
            found += [
                (f"{key}.{kind}", asset["GroundTruthManifest"]["S3Object"])
                for asset in filter(None, data.get("Assets", []))
            ]
    if "Summary" in description.get("EvaluationResult", {}):
        found.append(("EvaluationResult", description["EvaluationResult"]["Summary"]["S3Object"]))
    if "ManifestSummary" in description:
        found.append(("ManifestSummary", description["ManifestSummary"]["S3Object"]))
    return found


def _make_line(i: int, image: str, truth: str, label: str, confidence: float, outcome: str) -> dict:
    attribute = "rekognition-custom-labels-{}-0"
    common = {"type": "groundtruth/image-classification", "creation-date": "2023-07-28T15:33:10"}
    details = {"version": 1, "ground-truth-labelling-jobs": ["training-job"]}
    details |= {f"is-{name}": name == outcome for name in _OUTCOMES}
    details["is-present-in-ground-truth"] = outcome in ("true-positive", "false-negative")
    return {
        "source-ref": image if i == 0 else f"{image}.{i}",
        attribute.format("training"): 1,
        f"{attribute.format('training')}-metadata": {
            "confidence": 1.0,
            "class-name": truth,
            "job-name": "training-job",
            "human-annotated": "yes",
            **common,
        },
        attribute.format("evaluation"): 1,
        f"{attribute.format('evaluation')}-metadata": {
            "confidence": confidence,
            "class-name": label,
            "job-name": "evaluation-job",
            "human-annotated": "no",
            **common,
            "rekognition-custom-labels-evaluation-details": details,
        },
    }

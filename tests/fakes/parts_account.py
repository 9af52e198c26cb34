"""An AWS account that has the digits under the names of the documentation: the project `parts`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from fakes.aws import serve_rekognition, serve_s3

PROJECT_ARN = "arn:aws:rekognition:eu-west-1:111122223333:project/parts/1690474772815"


@contextmanager
def serve_parts(digits: Path) -> Iterator[dict[str, str]]:
    """Serve it over HTTP; the variables that lead a command there come back."""
    old = json.loads((digits / "project.json").read_text())["project_arn"]
    with serve_s3() as s3, serve_rekognition() as rekognition:
        described = []
        for folder in sorted((digits / "versions").iterdir()):
            description = json.loads(_rename((folder / "version.json").read_text(), old))
            for key in ("CreationTimestamp", "TrainingEndTimestamp"):
                description[key] = datetime.fromisoformat(description[key])
            _upload(s3, folder, description, old)
            described.append(description)
        rekognition.add_project(PROJECT_ARN, described[::-1])
        yield s3.env | rekognition.env


def _rename(text: str, old: str) -> str:
    """The same of the other project."""
    head, new_head = (arn.rpartition("/")[0] for arn in (old, PROJECT_ARN))
    return text.replace(old, PROJECT_ARN).replace(head, new_head)


def _upload(s3, folder: Path, description: dict, old: str) -> None:
    summary = description["EvaluationResult"]["Summary"]["S3Object"]
    (asset,) = description["TestingDataResult"]["Output"]["Assets"]
    for place in (summary, asset["GroundTruthManifest"]["S3Object"]):
        body = _rename((folder / Path(place["Name"]).name).read_text(), old)
        s3.put(place["Bucket"], place["Name"], body.encode())

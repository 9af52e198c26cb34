"""The ARNs of Amazon Rekognition Custom Labels: text -> what they name."""

import re
from dataclasses import dataclass

from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.timestamps import parse_timestamp

# Any partition; the account may be masked, as it is in published examples.
_ARN = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):rekognition:(?P<region>[a-z0-9-]*):(?P<account>[A-Za-z0-9_]*)"
    r":project/(?P<project>[A-Za-z0-9_.-]{1,255})"
    r"(?:/version/(?P<version>[A-Za-z0-9_.-]{1,255}))?/(?P<created>[0-9]{1,18})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RekognitionArn:
    """What the ARN of a project or of one of its versions says.

    `version_name` is empty in a project's ARN. `created_ms` is when the project was made or the
    version's training began: milliseconds since the epoch, UTC.
    """

    text: str
    partition: str
    region: str
    account: str
    project_name: str
    version_name: str
    created_ms: int

    @property
    def project_prefix(self) -> str:
        """All of the project's ARN but its last part, which a version's ARN does not hold."""
        service = f"arn:{self.partition}:rekognition:{self.region}:{self.account}"
        return f"{service}:project/{self.project_name}"


def parse_arn(text: str) -> RekognitionArn | None:
    """The parts of a project's or a version's ARN; None for anything else."""
    match = _ARN.fullmatch(text)
    if match is None:
        return None
    return RekognitionArn(
        text=text,
        partition=match["partition"],
        region=match["region"],
        account=match["account"],
        project_name=match["project"],
        version_name=match["version"] or "",
        created_ms=int(match["created"]),
    )


def parse_project_arn(text: str) -> Project | None:
    """The project that an ARN names; None when it is not the ARN of a project."""
    arn = parse_arn(text)
    if arn is None or arn.version_name:
        return None
    return Project(provider=Provider.REKOGNITION, arn=text, name=arn.project_name)


def parse_version_arn(text: str) -> Version | None:
    """The version that an ARN names; None when it is not the ARN of a version.

    The project's own ARN ends in the time the project was made, which no version's ARN holds:
    `version.project.arn` is its beginning (`arn:…:project/NAME`) until something better is known.
    """
    arn = parse_arn(text)
    if arn is None or not arn.version_name:
        return None
    return Version(
        project=Project(
            provider=Provider.REKOGNITION, arn=arn.project_prefix, name=arn.project_name
        ),
        arn=text,
        name=arn.version_name,
        training_start_ms=parse_timestamp(arn.created_ms / 1000),
    )

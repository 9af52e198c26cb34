"""Rekognition Custom Labels as the service answers now: projects, their versions, an endpoint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlrek.errors import ParseError, SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.evaluation import Project, Provider, Version
from mlrek.sources.aws import AwsClients, AwsOptions, asking_aws, one_line
from mlrek.sources.description import RekognitionArn, parse_project_arn, parse_version
from mlrek.sources.entries import VersionEntry
from mlrek.sources.storage import S3_SCHEME, parse_s3_uri, say_missing_path

if TYPE_CHECKING:
    from mypy_boto3_rekognition.literals import CustomizationFeatureType
    from mypy_boto3_rekognition.type_defs import ImageTypeDef, ProjectDescriptionTypeDef


NEEDS_PROJECTS = "rekognition:DescribeProjects"
NEEDS_VERSIONS = "rekognition:DescribeProjectVersions"
ANY_VERSION = "*"
"""Stands for the versions of a project that cannot be listed."""

_FEATURES: "tuple[CustomizationFeatureType, ...]" = ("CUSTOM_LABELS", "CONTENT_MODERATION")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProject:
    """A project as the service lists it. `feature` tells Custom Labels from moderation adapters."""

    project: Project
    feature: str = ""
    status: str = ""
    created_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LiveProject:
    """The versions of the project with an ARN."""

    clients: AwsClients
    arn: RekognitionArn

    def list_versions(self) -> list[VersionEntry]:
        """Every version of the project, all pages."""
        project = _make_project(self.arn.text, self.arn.project_name)
        return _read_versions(self.clients, project)


@dataclass(frozen=True, slots=True)
class OneOfAll:
    """The versions of a project that nobody named: one that cannot be listed hides no other."""

    clients: AwsClients
    project: Project

    def list_versions(self) -> list[VersionEntry]:
        """Every version of the project; one entry that says why, where they cannot be listed."""
        try:
            return _read_versions(self.clients, self.project)
        except SourceError as exc:
            version = Version(project=self.project, arn=self.project.arn, name=ANY_VERSION)
            return [VersionEntry(version=version, refused=str(exc))]


@dataclass(frozen=True, slots=True)
class NamedProject:
    """The versions of the project with a name, in the account and region of the credentials."""

    clients: AwsClients
    name: str

    def list_versions(self) -> list[VersionEntry]:
        """Every version of the project, all pages."""
        said = say_missing_path(self.name).removeprefix("no such file or folder")
        uri = f"Rekognition project {self.name!r} (there is no such folder{said})"
        try:
            return _read_versions(self.clients, _find_project(self.clients, self.name, uri))
        except SourceInterruptedError as exc:
            if exc.uri == "AWS":  # it may be a folder's name that was meant
                raise SourceInterruptedError(uri, exc.reason) from exc
            raise


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """The one version with an ARN. Its project's own ARN is looked up by name."""

    clients: AwsClients
    arn: RekognitionArn

    def list_versions(self) -> list[VersionEntry]:
        """The version alone."""
        project = _find_project(self.clients, self.arn.project_name, self.arn.text)
        for entry in _read_versions(self.clients, project, self.arn.version_name):
            if entry.version.arn == self.arn.text:
                return [entry]
        raise SourceNotFoundError(
            self.arn.text,
            f"the project has no such version; `mlrek versions {project.arn}` lists them",
        )


NEEDS = "rekognition:DetectCustomLabels, and s3:GetObject on the images"

# What is wrong with one image; everything else would be wrong with the next one too.
_OF_THE_IMAGE = frozenset(
    ("InvalidImageFormatException", "ImageTooLargeException", "InvalidS3ObjectException")
)
_NOT_RUNNING = "ResourceNotReadyException"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of one image: the service's answer, or why there is none."""

    response: Mapping[str, Any] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A version that runs somewhere. Safe to use from several threads.

    `folder` is where places of images begin that are no whole paths.
    """

    clients: AwsClients
    version_arn: str
    folder: Path

    def ask(self, image: str) -> Answered:
        """What the version sees on an image: every label or box, however unsure.

        Raises:
            SourceError: The version is not running, or AWS cannot be asked or denies it.
        """
        from botocore.exceptions import ClientError

        try:
            content = self._open(image)
        except OSError as exc:
            return Answered(error=f"cannot be read: {exc.strerror or exc}")
        try:
            with asking_aws(f"{self.version_arn}: {image}", needs=NEEDS):
                answer = self.clients.rekognition.detect_custom_labels(
                    ProjectVersionArn=self.version_arn, Image=content, MinConfidence=0
                )
        except SourceError as exc:
            refused = exc.__cause__
            if not isinstance(refused, ClientError):
                raise
            code = str(refused.response.get("Error", {}).get("Code", ""))
            if code == _NOT_RUNNING:
                raise SourceError(self.version_arn, self._explain_start()) from refused
            if code not in _OF_THE_IMAGE:
                raise
            said = one_line(str(refused.response.get("Error", {}).get("Message", "")))
            return Answered(error=f"{code}: {said}")
        return Answered(response={"CustomLabels": answer.get("CustomLabels", [])})

    def _open(self, image: str) -> "ImageTypeDef":
        if image.startswith(S3_SCHEME):
            bucket, key = parse_s3_uri(image)
            return {"S3Object": {"Bucket": bucket, "Name": key}}
        return {"Bytes": (self.folder / image).read_bytes()}

    def _explain_start(self) -> str:
        region = self.clients.rekognition.meta.region_name
        return (
            "the version is not running, and mlrek starts none: a running version costs money, "
            "about 4 USD an hour for each inference unit, until it is stopped. Start it with "
            f"`aws rekognition start-project-version --project-version-arn {self.version_arn} "
            f"--min-inference-units 1 --region {region}`, wait until it is RUNNING, and stop it "
            f"afterwards with `aws rekognition stop-project-version --project-version-arn "
            f"{self.version_arn} --region {region}`"
        )


def list_projects(options: AwsOptions) -> list[ListedProject]:
    """All projects of the account and region, by name.

    Raises:
        SourceError: AWS cannot be asked or denies it.
    """
    return read_projects(AwsClients(options))


def read_projects(clients: AwsClients) -> list[ListedProject]:
    """Like `list_projects`, asked with clients that are there already."""
    found = _read_projects(clients, uri="Rekognition projects")
    return sorted(found, key=lambda listed: (listed.project.name, listed.project.arn))


def _find_project(clients: AwsClients, name: str, uri: str) -> Project:
    listed = [
        listed.project
        for listed in _read_projects(clients, uri=uri, name=name)
        if listed.project.name == name
    ]
    if not listed:
        where = clients.rekognition.meta.region_name
        raise SourceNotFoundError(
            uri,
            f"no project {name!r} in region {where} of the account of your credentials; "
            f"`mlrek projects --region {where}` lists those there are",
        )
    if len(listed) > 1:
        arns = ", ".join(project.arn for project in listed)
        raise SourceError(uri, f"several projects have this name, give the ARN of one: {arns}")
    return listed[0]


def _read_projects(clients: AwsClients, *, uri: str, name: str = "") -> list[ListedProject]:
    wanted: dict[str, Any] = {"ProjectNames": [name]} if name else {}
    try:
        with asking_aws(uri, needs=NEEDS_PROJECTS):
            pages = clients.rekognition.get_paginator("describe_projects").paginate(
                Features=_FEATURES, **wanted
            )
            descriptions = [item for page in pages for item in page.get("ProjectDescriptions", [])]
    except SourceNotFoundError:
        return []
    return [_parse_project(description) for description in descriptions]


def _parse_project(description: "ProjectDescriptionTypeDef") -> ListedProject:
    arn = description.get("ProjectArn", "")
    created = description.get("CreationTimestamp")
    return ListedProject(
        project=parse_project_arn(arn) or _make_project(arn, arn),
        feature=description.get("Feature", ""),
        status=description.get("Status", ""),
        created_ms=round(created.timestamp() * 1000) if created else None,
    )


def _read_versions(clients: AwsClients, project: Project, name: str = "") -> list[VersionEntry]:
    wanted: dict[str, Any] = {"VersionNames": [name]} if name else {}
    with asking_aws(project.arn, needs=NEEDS_VERSIONS):
        pages = clients.rekognition.get_paginator("describe_project_versions").paginate(
            ProjectArn=project.arn, **wanted
        )
        found = [item for page in pages for item in page.get("ProjectVersionDescriptions", [])]
    return [_make_entry(description, project) for description in found]


def _make_entry(description: Mapping[str, object], project: Project) -> VersionEntry:
    """The entry of one version; a description that cannot be read must not hide the others."""
    text = json.dumps(description, ensure_ascii=False, indent=1, default=_write_time)
    data = (text + "\n").encode("utf-8", "surrogatepass")
    arn = str(description.get("ProjectVersionArn") or f"{project.arn}/version/unknown")
    try:
        return parse_version(data, uri=arn, project=project)
    except ParseError as exc:
        version = Version(project=project, arn=arn, name=arn)
        return VersionEntry(version=version, description=data, refused=str(exc))


def _write_time(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"a description holds a {type(value).__name__}")


def _make_project(arn: str, name: str) -> Project:
    return Project(provider=Provider.REKOGNITION, arn=arn, name=name)

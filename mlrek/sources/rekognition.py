"""Rekognition Custom Labels, live: projects and versions as the service describes them now."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlrek.errors import ParseError, SourceError, SourceNotFoundError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.rekognition_arn import RekognitionArn, parse_project_arn
from mlrek.sources.aws import AwsClients, AwsOptions, asking_aws
from mlrek.sources.catalogue import VersionEntry
from mlrek.sources.description import describe_version

if TYPE_CHECKING:
    from mypy_boto3_rekognition.literals import CustomizationFeatureType
    from mypy_boto3_rekognition.type_defs import ProjectDescriptionTypeDef

NEEDS_PROJECTS = "rekognition:DescribeProjects"
NEEDS_VERSIONS = "rekognition:DescribeProjectVersions"
ANY_VERSION = "*"
"""Stands for the versions of a project that cannot be listed."""

_FEATURES: "tuple[CustomizationFeatureType, ...]" = ("CUSTOM_LABELS", "CONTENT_MODERATION")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProject:
    """A project as the service lists it. `feature` tells Custom Labels from moderation adapters."""

    project: Project
    feature: str = ""
    status: str = ""
    created_ms: int | None = None


def is_project_name(text: str) -> bool:
    """Whether a Rekognition project may have this name."""
    return _NAME.fullmatch(text) is not None


def list_projects(options: AwsOptions) -> list[ListedProject]:
    """All projects of the account and region, by name.

    Raises:
        SourceError: AWS cannot be asked or denies it.
    """
    return describe_projects(AwsClients(options))


def describe_projects(clients: AwsClients) -> list[ListedProject]:
    """Like `list_projects`, asked with clients that are there already."""
    found = _describe_projects(clients, uri="Rekognition projects")
    return sorted(found, key=lambda listed: (listed.project.name, listed.project.arn))


@dataclass(frozen=True, slots=True)
class LiveProject:
    """The versions of the project with an ARN."""

    clients: AwsClients
    arn: RekognitionArn

    def list_versions(self) -> list[VersionEntry]:
        """Every version of the project, all pages."""
        project = _make_project(self.arn.text, self.arn.project_name)
        return _describe_versions(self.clients, project)


@dataclass(frozen=True, slots=True)
class OneOfAll:
    """The versions of a project that nobody named: one that cannot be listed hides no other."""

    clients: AwsClients
    project: Project

    def list_versions(self) -> list[VersionEntry]:
        """Every version of the project; one entry that says why, where they cannot be listed."""
        try:
            return _describe_versions(self.clients, self.project)
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
        uri = f"Rekognition project {self.name!r} (there is no such folder)"
        return _describe_versions(self.clients, _find_project(self.clients, self.name, uri))


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """The one version with an ARN. Its project's own ARN is looked up by name."""

    clients: AwsClients
    arn: RekognitionArn

    def list_versions(self) -> list[VersionEntry]:
        """The version alone."""
        project = _find_project(self.clients, self.arn.project_name, self.arn.text)
        for entry in _describe_versions(self.clients, project, self.arn.version_name):
            if entry.version.arn == self.arn.text:
                return [entry]
        raise SourceNotFoundError(
            self.arn.text,
            f"the project has no such version; `mlrek versions {project.arn}` lists them",
        )


def _find_project(clients: AwsClients, name: str, uri: str) -> Project:
    listed = [
        listed.project
        for listed in _describe_projects(clients, uri=uri, name=name)
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


def _describe_projects(clients: AwsClients, *, uri: str, name: str = "") -> list[ListedProject]:
    wanted: dict[str, Any] = {"ProjectNames": [name]} if name else {}
    try:
        with asking_aws(uri, needs=NEEDS_PROJECTS):
            pages = clients.rekognition.get_paginator("describe_projects").paginate(
                Features=_FEATURES, **wanted
            )
            descriptions = [item for page in pages for item in page.get("ProjectDescriptions", [])]
    except SourceNotFoundError:
        return []
    return [_describe_project(description) for description in descriptions]


def _describe_project(description: "ProjectDescriptionTypeDef") -> ListedProject:
    arn = description.get("ProjectArn", "")
    created = description.get("CreationTimestamp")
    return ListedProject(
        project=parse_project_arn(arn) or _make_project(arn, arn),
        feature=description.get("Feature", ""),
        status=description.get("Status", ""),
        created_ms=round(created.timestamp() * 1000) if created else None,
    )


def _describe_versions(clients: AwsClients, project: Project, name: str = "") -> list[VersionEntry]:
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
        return describe_version(data, uri=arn, project=project)
    except ParseError as exc:
        version = Version(project=project, arn=arn, name=arn)
        return VersionEntry(version=version, description=data, refused=str(exc))


def _write_time(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"a description holds a {type(value).__name__}")


def _make_project(arn: str, name: str) -> Project:
    return Project(provider=Provider.REKOGNITION, arn=arn, name=name)

"""Rekognition Custom Labels: versions as the service describes them now, and saved evaluations."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct, field
from msgspec.json import Decoder

from mlrek.errors import ParseError, SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.evaluation import Evaluation, Project, Provider, Version
from mlrek.formats.columns import BadLines
from mlrek.formats.lines import iter_json_lines
from mlrek.formats.rekognition import Document, ManifestInput, parse_evaluation, parse_summary
from mlrek.formats.sniff import Role, Service
from mlrek.sources.aws import AwsClients, AwsOptions, asking_aws, one_line
from mlrek.sources.description import (
    EVALUATION_ROLES,
    RekognitionArn,
    add_descriptions,
    is_answer,
    make_up_version,
    parse_project_arn,
    parse_version,
    read_answer,
)
from mlrek.sources.entries import PartReader, SeenInTraining, VersionEntry, chain_lines
from mlrek.sources.loose import (
    LooseFile,
    find_unread,
    inspect_file,
    list_loose,
    make_up_project,
    seems_evaluation,
)
from mlrek.sources.storage import (
    S3_SCHEME,
    StoredFile,
    join_document,
    parent_uri,
    parse_s3_uri,
    say_missing_path,
)
from mlrek.sources.tree import FoundVersions, Tree, is_description, place_parts, read_all

if TYPE_CHECKING:
    from mypy_boto3_rekognition.literals import CustomizationFeatureType
    from mypy_boto3_rekognition.type_defs import ImageTypeDef, ProjectDescriptionTypeDef


NEEDS_PROJECTS = "rekognition:DescribeProjects"
NEEDS_VERSIONS = "rekognition:DescribeProjectVersions"
ANY_VERSION = "*"
"""Stands for the versions of a project that cannot be listed."""

_FEATURES: "tuple[CustomizationFeatureType, ...]" = ("CUSTOM_LABELS", "CONTENT_MODERATION")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")

_UNKNOWN = "whether test images were trained on is unknown"


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


class _Image(Struct, gc=False):
    source_ref: str = field(name="source-ref")


def is_project_name(text: str) -> bool:
    """Whether a Rekognition project may have this name."""
    return _NAME.fullmatch(text) is not None


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


_DECODER = Decoder(_Image)

FORMAT = Service.REKOGNITION
ROLES = EVALUATION_ROLES
OPTIONAL_ROLES = (Role.TRAINING_MANIFEST,)

_NO_MANIFEST = "there is no manifest, so nothing can be computed from images ({said})"
_NO_SUMMARY = "there is no summary, and so no thresholds and reported numbers ({said})"


def find_versions(tree: Tree) -> FoundVersions:
    """Described versions first, then loose files in the folders that describe none."""

    def read_version(file: StoredFile) -> tuple[str, VersionEntry] | None:
        return _read_version(tree, file)

    def inspect(file: StoredFile) -> LooseFile | None:
        return inspect_file(tree, file, tree.find_around(file).project)

    described = dict(read_all(read_version, filter(is_description, tree.files)))
    nearby = tree.list_right_in(described)
    unknown = [
        file
        for file in tree.files
        if (seems_evaluation(file) or file.uri == tree.chosen)
        and parent_uri(file.uri) not in described
    ]
    loose = read_all(inspect, unknown)
    known = _uris(one.file for one in loose)
    answers = dict(read_all(partial(_read_answer, tree, known), unknown))
    entries = [entry for of_file in answers.values() for entry in of_file]
    told = [entry.version for entry in (*described.values(), *entries)]
    taken = known | answers.keys()
    unread = (find_unread(tree, file) for file in unknown if file.uri not in taken)
    versions = list_loose(loose, told, filter(None, unread))
    return FoundVersions(
        entries=[*described.values(), *add_descriptions(versions, entries)],
        taken=_uris(nearby) | taken,
    )


def load_evaluation(entry: VersionEntry, reader: PartReader) -> Evaluation:
    """The evaluation of one version.

    Raises:
        SourceNotFoundError: Nothing is left of it.
    """
    summary, manifest = _read_summary(entry, reader), _open_manifest(entry, reader)
    if summary is None and manifest is None and not entry.reported:
        reason = "; ".join(reader.gone)
        raise SourceNotFoundError(entry.version.arn, f"nothing is left to read: {reason}")
    evaluation = parse_evaluation(
        entry.version,
        manifest=manifest,
        summary=summary,
        reported=entry.reported,
        skip_bad_lines=reader.options.skip_bad_lines,
        warnings=(*entry.warnings, *reader.gone),
    )
    told = find_seen(evaluation.images, entry, reader)
    return replace(
        evaluation,
        seen_in_training=told.seen,
        warnings=(*evaluation.warnings, *told.warnings),
    )


def read_test_images(entry: VersionEntry, reader: PartReader) -> int | None:
    """How many images the version was tested on, as its summary says; None: it does not."""
    summary = _read_summary(entry, reader)
    if summary is None:
        return None
    return parse_summary(summary.uri, summary.data).reported.test_images


def find_seen(images: Sequence[str], entry: VersionEntry, reader: PartReader) -> SeenInTraining:
    """Which of `images` the version was trained on: those with the very same URI."""
    parts = [part for part in entry.parts if part.role == Role.TRAINING_MANIFEST]
    if not parts or not images:
        return SeenInTraining()
    uri = parts[0].origin or parts[0].uri
    try:
        chunks = chain_lines([reader.open(part) for part in parts])
        found, warnings = _find_known(frozenset(images), uri, chunks)
    except SourceInterruptedError:
        raise  # a run that lacks it would count as up to date ever after
    except SourceError as exc:
        return SeenInTraining(warnings=(f"{_UNKNOWN}: {exc}",))
    seen = np.fromiter((image in found for image in images), np.bool_, len(images))
    return SeenInTraining(seen=seen, warnings=warnings)


def list_trained(entry: VersionEntry, reader: PartReader) -> set[str]:
    """The images that the version was trained on, none where no manifest names them.

    Raises:
        SourceError: The manifest cannot be read, or is none.
    """
    parts = [part for part in entry.parts if part.role == Role.TRAINING_MANIFEST]
    if not parts:
        return set()
    uri, named = parts[0].origin or parts[0].uri, set[str]()
    chunks = chain_lines([reader.open(part) for part in parts])
    for _, lines in iter_json_lines(_DECODER, chunks, uri, BadLines(uri, skip=True).add):
        named.update(line.source_ref for line in lines)
    return named


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


def _read_answer(
    tree: Tree, known: Collection[str], file: StoredFile
) -> tuple[str, list[VersionEntry]] | None:
    """A file that describes versions, and what it says of them; None for any other."""
    if file.uri in known:
        return None
    with suppress(SourceError):  # what cannot be read at all is told by the caller
        if is_answer(tree.read_head(file)) and (entries := read_answer(tree, file)):
            return file.uri, entries
    return None


def _read_version(tree: Tree, file: StoredFile) -> tuple[str, VersionEntry] | None:
    """A version's folder and what `version.json` says; None when that is another's."""
    folder, around, data = parent_uri(file.uri), tree.find_around(file), b""
    if around.project and around.project.provider is not Provider.REKOGNITION:
        return None
    try:
        data = tree.read(file)
        if around.project is None and b"ProjectVersionArn" not in data:
            return None
        entry = parse_version(data, uri=file.uri, project=around.project)
    except SourceError as exc:
        project = around.project or make_up_project(folder)
        version = make_up_version(project, PurePath(folder).name)
        return folder, VersionEntry(version=version, description=data, refused=str(exc))
    parts = place_parts(entry.parts, folder)
    return folder, replace(entry, parts=parts, warnings=(*entry.warnings, *around.warnings))


def _read_summary(entry: VersionEntry, reader: PartReader) -> Document | None:
    """The summary; None when none is named, or the named one is not there."""
    for part in reader.find(entry, Role.SUMMARY, _NO_SUMMARY):
        chunks = reader.open_if_there(part, _NO_SUMMARY)
        if chunks is not None:
            return Document(uri=part.uri, data=join_document(part.uri, chunks))
    return None


def _open_manifest(entry: VersionEntry, reader: PartReader) -> ManifestInput | None:
    """All manifests in a row; None when one is not there: half a test set is none."""
    parts = reader.find(entry, Role.MANIFEST, _NO_MANIFEST)
    opened = [reader.open_if_there(part, _NO_MANIFEST) for part in parts]
    chunks = [chunk for chunk in opened if chunk is not None]
    if not parts or len(chunks) < len(parts):
        return None
    return ManifestInput(
        uri=parts[0].uri, chunks=chain_lines(chunks), is_shared=reader.options.is_shared
    )


def _uris(files: Iterable[StoredFile]) -> frozenset[str]:
    return frozenset(file.uri for file in files)


def _find_known(
    wanted: frozenset[str], uri: str, chunks: Iterable[bytes]
) -> tuple[set[str], tuple[str, ...]]:
    """Those of the wanted images that a manifest names, and a warning of its malformed lines.

    Raises:
        ParseError: No line names an image: it is no manifest at all.
    """
    found, n_lines, bad_lines = set[str](), 0, BadLines(uri, skip=True)
    for _, lines in iter_json_lines(_DECODER, chunks, uri, bad_lines.add):
        n_lines += len(lines)
        found.update(wanted.intersection(line.source_ref for line in lines))
    if not n_lines:
        raise bad_lines.first or ParseError(uri, 0, "is empty: not one line")
    return found, tuple(f"training manifest {uri}: {one.text}" for one in bad_lines.doubt(n_lines))

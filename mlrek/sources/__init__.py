"""Where bytes come from: the only input of the reading side.

`open_source` tells by the form of a text which kind of source it names.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mlrek.errors import SourceNotFoundError, UsageError
from mlrek.formats.rekognition_arn import parse_arn
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.catalogue import Part, Source, VersionEntry
from mlrek.sources.loose import EVALUATION_SUFFIXES
from mlrek.sources.reading import StoredSource
from mlrek.sources.rekognition import (
    ListedProject,
    LiveProject,
    LiveVersion,
    NamedProject,
    OneOfAll,
    describe_projects,
    is_project_name,
    list_projects,
)
from mlrek.sources.s3 import S3Storage
from mlrek.sources.saved import SavedVersions
from mlrek.sources.storage import LocalStorage, path_exists

__all__ = [
    "AwsOptions",
    "ListedProject",
    "Part",
    "Source",
    "StoredSource",
    "VersionEntry",
    "list_projects",
    "open_all_projects",
    "open_source",
]


def open_source(text: str, aws: AwsOptions | None = None) -> StoredSource:
    """The source that `text` names; nothing is read yet.

    Args:
        text: A Rekognition project or version ARN, `s3://bucket/prefix`, a folder or file, the
            name of a Rekognition project, or the resource name of a model of Vertex AI.
        aws: Region and profile; the region of an ARN counts where none is given.

    Raises:
        UsageError: Nothing can be read from such a thing.
        SourceNotFoundError: The folder or file does not exist.
    """
    for form, open_form in _FORMS:
        if form.match(text):
            return open_form(text, aws or AwsOptions())
    return _open_path_or_name(text, aws or AwsOptions())


def open_all_projects(aws: AwsOptions) -> list[StoredSource]:
    """A source for each Rekognition project of the account and region, by name.

    They share one client, and with it the patience that the service's 5 calls a second ask for.

    Raises:
        SourceError: AWS cannot be asked or denies it.
    """
    clients = AwsClients(aws)
    storage = S3Storage(clients)
    return [
        StoredSource(
            uri=listed.project.arn, catalogue=OneOfAll(clients, listed.project), storage=storage
        )
        for listed in describe_projects(clients)
    ]


def _open_arn(text: str, aws: AwsOptions) -> StoredSource:
    arn = parse_arn(text)
    if arn is None:
        raise UsageError(
            f"{text}: is not the ARN of a Rekognition project or version; it should end in "
            "project/NAME/ID or project/NAME/version/VERSION/ID (`mlrek projects` lists them)"
        )
    clients = AwsClients(replace(aws, region=aws.region or arn.region))
    catalogue = LiveVersion(clients, arn) if arn.version_name else LiveProject(clients, arn)
    return StoredSource(uri=text, catalogue=catalogue, storage=S3Storage(clients))


def _open_vertex(text: str, _aws: AwsOptions) -> StoredSource:
    from mlrek.sources.vertex import LiveModel, VertexStorage, find_location
    from mlrek.sources.vertex_api import VertexApi

    location = find_location(text)
    if not location:
        raise UsageError(
            f"{text}: is not the name of a model; it should be "
            "projects/P/locations/L/models/M, for one version with @VERSION behind it"
        )
    storage = VertexStorage(VertexApi(location))
    return StoredSource(uri=text, catalogue=LiveModel(storage, text), storage=storage)


def _open_s3(text: str, aws: AwsOptions) -> StoredSource:
    storage = S3Storage(AwsClients(aws))
    return StoredSource(uri=text, catalogue=SavedVersions(storage, text), storage=storage)


def _open_path_or_name(text: str, aws: AwsOptions) -> StoredSource:
    if text and path_exists(text):
        storage, uri = LocalStorage(), str(Path(text))
        return StoredSource(uri=uri, catalogue=SavedVersions(storage, uri), storage=storage)
    if not text.strip("."):
        raise UsageError(f"{text!r} names no source")
    if not is_project_name(text) or Path(text).suffix in EVALUATION_SUFFIXES:
        raise SourceNotFoundError(text, "no such file or folder")
    clients = AwsClients(aws)
    return StoredSource(uri=text, catalogue=NamedProject(clients, text), storage=S3Storage(clients))


def _refuse(reason: str) -> Callable[[str, AwsOptions], StoredSource]:
    def refuse(text: str, _aws: AwsOptions) -> StoredSource:
        raise UsageError(f"{text}: {reason}")

    return refuse


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, AwsOptions], StoredSource]], ...] = (
    (re.compile(r"arn:[^:]*:rekognition:"), _open_arn),
    (
        re.compile(r"arn:[^:]*:lookoutvision:"),
        _refuse(
            "Lookout for Vision ended on 2025-10-31 and cannot be asked any more; name the folder "
            "or the s3:// prefix that keeps its evaluation files"
        ),
    ),
    (re.compile(r"arn:"), _refuse("mlrek reads ARNs of Rekognition projects and versions only")),
    (re.compile(r"projects/[^/]+/locations/[^/]+/models/"), _open_vertex),
    (re.compile(r"s3://[^/]"), _open_s3),
    (
        re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://"),
        _refuse(
            "is no place mlrek reads from; give an ARN, s3://bucket/prefix, a folder or a file"
        ),
    ),
)

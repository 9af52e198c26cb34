"""Rekognition's description of a version (JSON) -> what a source knows of that version.

The live source gets the description from the service, an archive keeps it as `version.json`.
Whether there is an evaluation is decided by what the description names, never by the status.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite
from typing import Final

from msgspec import Raw, Struct, field
from msgspec.json import Decoder

from mlrek.errors import ParseError, SourceError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.json_text import (
    NotANumber,
    decode_json,
    find_encoding,
    parse_timestamp,
    peek_inside,
    quoted,
    say_unreadable,
)
from mlrek.formats.sniff import Role
from mlrek.sources.entries import Part, VersionEntry
from mlrek.sources.storage import S3_SCHEME, StoredFile
from mlrek.sources.tree import Tree
from mlrek.text import escape_unencodable

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


EVALUATION_ROLES = (Role.SUMMARY, Role.MANIFEST)

AUTO_SPLIT = (
    "the service split this version's test set off the training images by itself; other versions "
    "may have been tested on other images"
)

_UNFINISHED = {
    "TRAINING_IN_PROGRESS": "training is in progress",
    "TRAINING_FAILED": "training failed",
    "COPYING_IN_PROGRESS": "it is being copied",
    "COPYING_FAILED": "copying failed",
    "DELETING": "it is being deleted",
}
_PROJECT_IN_KEY = re.compile(r"arn:[a-z0-9-]+:rekognition:[^/]*:project/[A-Za-z0-9_.-]+/[0-9]+")


class _S3Object(Struct, rename="pascal"):
    bucket: str = ""
    name: str = ""
    version: str | None = None


class _Located(Struct, rename="pascal"):
    s3_object: _S3Object | None = None


class _Asset(Struct, rename="pascal"):
    ground_truth_manifest: _Located | None = None


class _Data(Struct, rename="pascal"):
    assets: list[_Asset] | None = None
    auto_create: bool | None = None


class _DataResult(Struct, rename="pascal"):
    input: _Data | None = None
    output: _Data | None = None
    validation: _Data | None = None


class _EvaluationResult(Struct, rename="pascal"):
    f1_score: float | NotANumber = field(name="F1Score", default=None)
    summary: _Located | None = None


class _Description(Struct, rename="pascal"):
    project_version_arn: str | None = None
    creation_timestamp: str | float | None = None
    training_end_timestamp: str | float | None = None
    billable_training_time_in_seconds: float | None = None
    status: str | None = None
    status_message: str | None = None
    training_data_result: _DataResult | None = None
    testing_data_result: _DataResult | None = None
    evaluation_result: _EvaluationResult | None = None
    manifest_summary: _Located | None = None
    source_project_version_arn: str | None = None


_DECODER = Decoder(_Description)

_LIST: Final = "ProjectVersionDescriptions"
_DESCRIBES = re.compile(rb'"ProjectVersionArn"\s*:')
_OF_A_VERSION = re.compile(rb'"(?:Status|CreationTimestamp|OutputConfig)"\s*:')
_ITEMS = Decoder(list[Raw])
_FIELDS = Decoder(dict[str, Raw])
_BLANKS = re.compile(r"\s*")
_NOT_HERE = "its evaluation files are not here"


def parse_version(data: bytes, *, uri: str, project: Project | None = None) -> VersionEntry:
    """What a version's description says.

    Args:
        data: The description as JSON, kept unchanged in the entry.
        uri: Where it was read, for messages.
        project: The project of the archive around it, or the one that was asked for.

    Raises:
        ParseError: It is no JSON object, a field is of another kind, or it names no version.
    """
    try:
        file = decode_json(_DECODER, data.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as exc:
        raise ParseError(
            uri, 0, say_unreadable(data, exc, what="the description of a version")
        ) from exc
    version = parse_version_arn(file.project_version_arn or "")
    if version is None:
        said = quoted(file.project_version_arn)
        raise ParseError(uri, 0, f"ProjectVersionArn is not the ARN of a version: {said}")
    parts = tuple(dict.fromkeys(_list_parts(file)))
    reported = _report(file.evaluation_result or _EvaluationResult())
    names_evaluation = bool(reported) or any(part.role in EVALUATION_ROLES for part in parts)
    return VersionEntry(
        version=_parse_training(
            file, choose_project(version, (project, *(find_project(part.uri) for part in parts)))
        ),
        parts=parts,
        description=data,
        reported=reported,
        skipped="" if names_evaluation else _explain_status(file),
        warnings=(*([AUTO_SPLIT] if _is_auto_split(file) else []), *_check_times(uri, file)),
    )


def find_project(key: str) -> Project | None:
    """The project whose whole ARN an S3 key or a path spells out.

    The console keeps its files below `evaluation/<project ARN>/`.
    """
    match = _PROJECT_IN_KEY.search(key)
    return parse_project_arn(match[0]) if match else None


def choose_project(version: Version, candidates: Iterable[Project | None]) -> Version:
    """The version with the first candidate that is its project: that one's ARN is whole."""
    own = version.project
    chosen = next((p for p in candidates if p and p.arn.startswith(f"{own.arn}/")), own)
    return replace(version, project=chosen)


def make_up_version(project: Project, name: str) -> Version:
    """An identity for a version whose own ARN nothing tells."""
    arn = parse_arn(project.arn)
    prefix = arn.project_prefix if arn else project.arn
    name = escape_unencodable(name)
    return Version(project=project, arn=f"{prefix}/version/{name}", name=name)


def _parse_training(file: _Description, version: Version) -> Version:
    start = parse_timestamp(file.creation_timestamp)
    seconds = file.billable_training_time_in_seconds
    return replace(
        version,
        status=file.status or "",
        training_start_ms=version.training_start_ms if start is None else start,
        training_end_ms=parse_timestamp(file.training_end_timestamp),
        billable_minutes=None if seconds is None else seconds / 60,
        copied_from=file.source_project_version_arn or "",
    )


def _check_times(uri: str, file: _Description) -> Iterator[str]:
    """Yield what is to be said of times that nobody can read."""
    times = {
        "CreationTimestamp": file.creation_timestamp,
        "TrainingEndTimestamp": file.training_end_timestamp,
    }
    for name, time in times.items():
        if time not in {None, ""} and parse_timestamp(time) is None:
            yield f"{uri}: {name} is not a time and was left out: {quoted(time)}"


def _list_parts(file: _Description) -> Iterator[Part]:
    evaluation = file.evaluation_result or _EvaluationResult()
    testing = file.testing_data_result or _DataResult()
    training = file.training_data_result or _DataResult()
    yield from _locate(Role.SUMMARY, evaluation.summary)
    yield from _locate_assets(Role.MANIFEST, testing.output)
    yield from _locate_assets("testing_validation", testing.validation)
    yield from _locate_assets(Role.TRAINING_MANIFEST, training.output)
    yield from _locate_assets("training_validation", training.validation)
    yield from _locate(Role.MANIFEST_SUMMARY, file.manifest_summary)


def _locate_assets(role: str, data: _Data | None) -> Iterator[Part]:
    for asset in (data and data.assets) or ():
        yield from _locate(role, asset.ground_truth_manifest)


def _locate(role: str, located: _Located | None) -> Iterator[Part]:
    place = located and located.s3_object
    if place and place.bucket and place.name:
        uri = f"{S3_SCHEME}{place.bucket}/{place.name}"
        yield Part(role=role, uri=uri, version_id=place.version or "", origin=uri)


def _report(evaluation: _EvaluationResult) -> Mapping[str, float]:
    f1 = evaluation.f1_score
    return {"f1": f1} if isinstance(f1, float) and isfinite(f1) else {}


def _explain_status(file: _Description) -> str:
    status = file.status or ""
    reason = _UNFINISHED.get(status, f"no evaluation is named (status {status or 'unknown'})")
    message = " ".join((file.status_message or "").split())
    return f"{reason}: {message}" if message and status.endswith("FAILED") else reason


def _is_auto_split(file: _Description) -> bool:
    testing = file.testing_data_result or _DataResult()
    return any(data is not None and data.auto_create for data in (testing.input, testing.output))


def is_answer(head: bytes) -> bool:
    """Whether a file that is nothing else describes versions."""
    head = peek_inside(head)
    return bool(_DESCRIBES.search(head) and _OF_A_VERSION.search(head))


def read_answer(tree: Tree, file: StoredFile) -> list[VersionEntry]:
    """The versions that a file describes; none where it cannot be read."""
    found: list[VersionEntry] = []
    with suppress(SourceError, ValueError, RecursionError):
        data = tree.read(file)
        text = data.decode(find_encoding(data) or "utf-8-sig")
        for document in _split_documents(text):
            described = _list_descriptions(document)
            found.extend(parse_version(one, uri=file.uri) for one in described)
    return found


def add_descriptions(
    entries: Iterable[VersionEntry], described: Iterable[VersionEntry]
) -> Iterator[VersionEntry]:
    """Yield the entries with what is said of their versions, then versions without files here."""
    said = {entry.version.arn: entry for entry in described}
    for entry in entries:
        more = said.pop(entry.version.arn, None)
        yield entry if more is None or entry.description else _join(entry, more)
    for more in said.values():
        yield replace(more, parts=(), skipped=more.skipped or _NOT_HERE)


def _join(entry: VersionEntry, said: VersionEntry) -> VersionEntry:
    own, told = entry.version, said.version
    project = max(own.project, told.project, key=lambda project: len(project.arn))
    end_ms = told.training_end_ms
    return replace(
        entry,
        version=replace(
            told,
            project=project,
            training_end_ms=own.training_end_ms if end_ms is None else end_ms,
        ),
        description=said.description,
        reported={**said.reported, **entry.reported},
        warnings=(*entry.warnings, *said.warnings),
    )


def _split_documents(text: str) -> Iterator[bytes]:
    """The JSON documents that stand behind each other in a text, however they are indented."""
    decoder, start = json.JSONDecoder(), 0
    while (begin := _end(text, start)) < len(text):
        _, start = decoder.raw_decode(text, begin)
        yield text[begin:start].encode()


def _end(text: str, start: int) -> int:
    """Where the blanks that begin at a place end."""
    blanks = _BLANKS.match(text, start)
    return blanks.end() if blanks else start


def _list_descriptions(document: bytes) -> Iterator[bytes]:
    """The descriptions in an answer, in a list of them or of answers, or the document itself."""
    if document.startswith(b"["):
        for item in decode_json(_ITEMS, document):
            yield from _list_descriptions(bytes(item).strip())
        return
    fields = decode_json(_FIELDS, document)
    if _LIST in fields:
        for item in decode_json(_ITEMS, bytes(fields[_LIST])):
            yield bytes(item)
    else:
        yield document


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

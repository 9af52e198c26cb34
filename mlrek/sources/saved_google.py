"""Google's saved files (AutoML Vision, Vertex AI): which versions there are, and their loading."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType

from mlrek.errors import SourceError
from mlrek.evaluation import Evaluation, Provider
from mlrek.formats.google import (
    GoogleCollection,
    GoogleRole,
    GoogleSettings,
    GoogleVersion,
    collect_google,
    parse_google,
)
from mlrek.formats.json_text import describe_bytes
from mlrek.formats.sniff import Service, sniff_inside
from mlrek.sources.entries import EvaluationEntry, Part, PartReader, VersionEntry
from mlrek.sources.storage import StoredFile, join_uri, parent_uri
from mlrek.sources.tree import VERSION_FILE, Found, Tree, is_description, read_all

FORMAT = Service.GOOGLE
ROLES = frozenset(GoogleRole)

NO_FILES: Mapping[str, GoogleRole] = MappingProxyType({})

_SUFFIXES = frozenset(("", ".json", ".jsonl", ".ndjson", ".csv", ".txt", ".gz"))
_EVALUATIONS = re.compile(
    r"(?:list[-_]?)?(?:model[-_]?)?(?:evaluations?|slices)(?![a-z])", re.IGNORECASE
)
_PREDICTIONS = re.compile(
    r"(?:image_(?:classification|object_detection)|predictions?)_[0-9]+\.jsonl", re.IGNORECASE
)
_NAMED = ((_EVALUATIONS, GoogleRole.EVALUATIONS), (_PREDICTIONS, GoogleRole.PREDICTIONS))
_ERROR = re.compile(rb'\s*\[?\s*\{\s*"error"\s*:\s*\{')
"""An answer of Google's that refuses, as curl saves it."""
_PROVIDERS = frozenset((Provider.AUTOML, Provider.VERTEX))


def find_versions(tree: Tree) -> Found:
    """Every version that any file of the tree tells of, whatever the files are called."""
    roles = dict(read_all(lambda file: _sniff(tree, file), tree.files))
    roles.update(_find_spoilt(tree, {parent_uri(uri) for uri in roles}, roles))
    documents = [file for file in tree.files if file.uri in roles and not roles[file.uri].is_data]
    data = {uri: role for uri, role in roles.items() if role.is_data}
    contents = dict(read_all(lambda file: (file.uri, tree.read(file)), documents))
    return Found(entries=make_entries(contents, data), taken=frozenset(roles))


def make_entries(
    documents: Mapping[str, bytes], data_files: Mapping[str, GoogleRole] = NO_FILES
) -> list[VersionEntry]:
    """The versions that documents and files with a line per image tell of, by their URIs."""
    collection = collect_google(documents, data_files)
    return _warn_first([_make_entry(found) for found in collection.versions], collection)


def load_evaluation(entry: VersionEntry, reader: PartReader) -> Evaluation:
    """The evaluation of one version, its published numbers read at the threshold asked for."""
    documents = {
        part.uri: reader.read(part) for part in entry.parts if not GoogleRole(part.role).is_data
    }
    if entry.description:
        beside = parent_uri(entry.parts[0].uri) if entry.parts else ""
        documents.setdefault(join_uri(beside, VERSION_FILE), entry.description)
    collection = collect_google(
        documents, {}, settings=GoogleSettings(threshold=reader.options.threshold)
    )
    parts = {part.uri: part for part in entry.parts}
    found = replace(
        _find(collection, entry.version.arn),
        version=entry.version,
        parts={part.uri: GoogleRole(part.role) for part in entry.parts},
        skipped="",
        warnings=entry.warnings,
    )
    return parse_google(
        found,
        lambda uri: reader.open(parts[uri]),
        skip_bad_lines=reader.options.skip_bad_lines,
    )


def _sniff(tree: Tree, file: StoredFile) -> tuple[str, GoogleRole] | None:
    """A file's URI and what it holds; None when it is nothing of Google's."""
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix not in _SUFFIXES and file.uri != tree.chosen:
        return None
    try:
        name = PurePosixPath(file.name).name
        kind = tree.sniff(file) or sniff_inside(tree.read_head(file), name)
    except SourceError:
        return None  # nobody knows what it holds; the caller says so
    project = tree.find_around(file).project
    role = GoogleRole(kind.role) if kind and kind.service is Service.GOOGLE else None
    if role is None and is_description(file) and project and project.provider in _PROVIDERS:
        role = GoogleRole.EVALUATIONS  # broken, and not to be overlooked
    return None if role is None else (file.uri, role)


def _find_spoilt(
    tree: Tree, folders: Collection[str], known: Collection[str]
) -> Iterator[tuple[str, GoogleRole]]:
    """Files beside Google's that bear its names and hold no JSON, or an error: empty, a pointer."""
    for file in tree.files:
        name = PurePosixPath(file.name).name
        role = next((role for form, role in _NAMED if form.match(name)), None)
        if role is None or file.uri in known or parent_uri(file.uri) not in folders:
            continue
        with suppress(SourceError):  # what cannot be read at all is told by the caller
            head = tree.read_head(file)
            if describe_bytes(head) or _ERROR.match(head):
                yield file.uri, role


def _make_entry(found: GoogleVersion) -> VersionEntry:
    reported = found.numbers.reported if found.numbers else None
    return VersionEntry(
        version=found.version,
        format=FORMAT,
        parts=tuple(_list_parts(found)),
        description=found.description,
        reported=reported.aggregate if reported else {},
        test_images=reported.test_images if reported else None,
        evaluations=tuple(_list_evaluations(found)),
        skipped=found.skipped,
        refused=found.refused,
        warnings=found.warnings,
    )


def _list_evaluations(found: GoogleVersion) -> Iterator[EvaluationEntry]:
    """The evaluation that counts, those of its labels, and any other ones of the version."""
    for i, one in enumerate(found.evaluations):
        if i or found.numbers is None:
            yield EvaluationEntry(id=one.id, created_ms=one.created_ms)
            continue
        reported = found.numbers.reported
        yield EvaluationEntry(
            id=one.id,
            created_ms=one.created_ms,
            test_images=reported.test_images,
            average_precision=reported.aggregate.get("average_precision"),
        )
        for part in one.labels:
            label = part.name_by(found.numbers.label_names)
            scores = reported.per_label.get(label, {})
            images = scores.get("test_images")
            yield EvaluationEntry(
                id=part.id,
                label=label,
                created_ms=part.created_ms,
                test_images=None if images is None else int(images),
                average_precision=scores.get("average_precision"),
            )


def _list_parts(found: GoogleVersion) -> Iterator[Part]:
    """Its files, without those that only hold its description beside others'."""
    for name, role in found.parts.items():
        if role is not GoogleRole.MODELS or not found.description:
            yield Part(role=role, uri=name, origin=name)


def _warn_first(entries: list[VersionEntry], collection: GoogleCollection) -> list[VersionEntry]:
    """What is to be said of files that belong to no version is said once, with the first one."""
    if not entries:
        return []
    first = replace(entries[0], warnings=(*entries[0].warnings, *collection.warnings))
    return [first, *entries[1:]]


def _find(collection: GoogleCollection, arn: str) -> GoogleVersion:
    """The version with a resource name; the project in it may be spelled in another way."""
    versions = collection.versions
    same = [found for found in versions if found.version.arn == arn]
    name = _without_project(arn)
    alike = [found for found in versions if _without_project(found.version.arn) == name]
    told = [found for found in versions if found.numbers or found.refused]
    for candidates in (same, alike, told, versions):
        if candidates:
            return candidates[0]
    raise SourceError(arn, "its files do not tell of it any more")


def _without_project(arn: str) -> str:
    return arn.partition("/locations/")[2] or arn

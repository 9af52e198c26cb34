"""Rekognition Custom Labels: saved evaluations, and what tells of versions next to them."""

import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePath

import numpy as np
from msgspec import Struct, field
from msgspec.json import Decoder

from mlrek.errors import ParseError, SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.evaluation import Evaluation, Provider
from mlrek.formats.columns import BadLines
from mlrek.formats.lines import iter_json_lines
from mlrek.formats.rekognition import Document, ManifestInput, parse_evaluation, parse_summary
from mlrek.formats.sniff import Role, Service
from mlrek.sources.description import (
    EVALUATION_ROLES,
    add_descriptions,
    is_answer,
    make_up_version,
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
    StoredFile,
    join_document,
    parent_uri,
)
from mlrek.sources.tree import FoundVersions, Tree, is_description, place_parts, read_all

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")

_UNKNOWN = "whether test images were trained on is unknown"


class _Image(Struct, gc=False):
    source_ref: str = field(name="source-ref")


def is_project_name(text: str) -> bool:
    """Whether a Rekognition project may have this name."""
    return _NAME.fullmatch(text) is not None


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

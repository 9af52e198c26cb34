"""Lookout for Vision's saved files: which versions they are of, and their loading."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import Evaluation, Project, Provider, SourceFile, Version
from mlrek.formats.json_text import peek_inside
from mlrek.formats.sniff import Role, Service
from mlrek.sources.entries import Part, PartReader, VersionEntry, chain_lines
from mlrek.sources.storage import (
    S3_SCHEME,
    Storage,
    StoredFile,
    join_document,
    join_uri,
    parent_uri,
    parse_s3_uri,
    read_bytes,
)
from mlrek.sources.tree import FoundVersions, Tree, inspect, is_description, place_parts, read_all
from mlrek.text import escape_unencodable

if TYPE_CHECKING:
    from mlrek.formats.lookout import Document, LookoutDescription, LookoutInput, LookoutResult

READERS = 8
WINDOW = 32  # masks held at once: each may have many megabytes


class MaskFolder:
    """Reads the masks that a manifest in `folder` names, and remembers what it read.

    A manifest in S3 is taken at its word first. Otherwise the mask lies below the manifest's folder
    under the end of its path, the longest that there is: `s3://bucket/a/masks/1.png` at
    `a/masks/1.png`, `masks/1.png` or `1.png`. No path leaves the folder.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self.n_read = 0
        self._storage = storage
        self._folder = folder
        self._size = 0
        self._sha256 = sha256()
        self._depth = 0  # of the last path found: the next one is likely to be alike

    def read(self, uris: Sequence[str]) -> Iterator[bytes | SourceError]:
        """The content of each mask in order, or why it cannot be read."""
        left = iter(uris)
        with ThreadPoolExecutor(READERS) as pool:
            while window := list(islice(left, WINDOW)):
                for content in pool.map(self.read_one, window):
                    self._add(content)
                    yield content

    def read_one(self, uri: str) -> bytes | SourceError:
        """The content, or why there is none: what forbids it says more than what is not there."""
        missing: SourceError = SourceNotFoundError(
            uri, f"no such mask there, nor below {self._folder}"
        )
        refused: SourceError | None = None
        for depth, place in self._list_places(uri):
            try:
                content = read_bytes(self._storage, place)
            except SourceNotFoundError:
                continue
            except SourceError as exc:
                refused = refused or exc
                continue
            self._depth = depth
            return content
        return refused or missing

    def describe(self) -> SourceFile:
        """All masks that were read, as one file: the digest is of their contents in order."""
        return SourceFile(
            role="masks",
            uri=escape_unencodable(self._folder),
            size=self._size,
            sha256=self._sha256.hexdigest(),
        )

    def _add(self, content: bytes | SourceError) -> None:
        if isinstance(content, bytes):
            self.n_read += 1
            self._size += len(content)
            self._sha256.update(len(content).to_bytes(8) + content)

    def _list_places(self, uri: str) -> Iterator[tuple[int, str]]:
        """Where it may be; first as deep as the mask before it was found."""
        if self._folder.startswith(S3_SCHEME) and uri.startswith(S3_SCHEME):
            yield self._depth, uri
        path = parse_s3_uri(uri)[1] if uri.startswith(S3_SCHEME) else uri
        parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
        last = self._depth
        for depth in sorted(range(len(parts)), key=lambda depth: depth != last):
            yield depth, join_uri(self._folder, *parts[depth:])


FORMAT = Service.LOOKOUT
ROLES = frozenset((Role.SUMMARY, Role.MANIFEST))

_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson", ".manifest"))
_NO_MANIFEST = "there is no manifest, so nothing can be computed from images ({said})"
_NO_RESULT = "there is no result file, and so not all reported numbers ({said})"
_BEGIN = re.compile(
    r"Evaluation(?P<kind>Manifest|Result)-.*?"
    r"(?:\.(?:jsonl?|ndjson|manifest|txt|gz|gzip|bz2|xz|zst|zip|7z)(?: ?\([0-9]+\)|\.[0-9]{1,3})?"
    r"|-[1-9][0-9]*)$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SavedFile:
    """A file of Lookout's: what it is, which version it names, and what it says.

    `broken` says why it cannot be read.
    """

    file: StoredFile
    role: Role
    version: Version | None = None
    data: bytes = b""
    description: "LookoutDescription | None" = None
    result: "LookoutResult | None" = None
    broken: str = ""

    @property
    def folder(self) -> str:
        return parent_uri(self.file.uri)


def find_versions(tree: Tree) -> FoundVersions:
    """Every version that a file of the tree is of; manifests are read by their heads alone."""
    known = (file for file in tree.files if _seems_known(file) or file.uri == tree.chosen)
    found = read_all(lambda file: _inspect(tree, file), known)
    groups: dict[tuple[str, str], list[_SavedFile]] = {}
    for one in _name_all(found):
        arn = one.version.arn if one.version else ""
        groups.setdefault((one.folder, arn), []).append(one)
    entries = [_make_entry(group, tree) for group in _join_descriptions(groups)]
    return FoundVersions(entries=entries, taken=frozenset(one.file.uri for one in found))


def load_evaluation(entry: VersionEntry, reader: PartReader) -> Evaluation:
    """The evaluation of one version.

    Raises:
        SourceNotFoundError: Nothing is left of it.
    """
    from mlrek.formats.lookout import parse_description, parse_lookout_evaluation

    manifest, masks = _open_manifest(entry, reader)
    result = _read_result(entry, reader)
    if manifest is None and result is None and not entry.reported:
        reason = "; ".join(reader.gone)
        raise SourceNotFoundError(entry.version.arn, f"nothing is left to read: {reason}")
    description = None
    if entry.description:
        description = parse_description(entry.version.arn, entry.description)
    evaluation = parse_lookout_evaluation(
        entry.version,
        manifest=manifest,
        result=result,
        description=description,
        skip_bad_lines=reader.options.skip_bad_lines,
        warnings=(*entry.warnings, *reader.gone),
    )
    if masks is not None and masks.n_read:
        reader.add_file(masks.describe())
    return evaluation


def _seems_known(file: StoredFile) -> bool:
    """Whether it is worth a look, by its name."""
    return file.ending in _SUFFIXES or _guess_role(file.own_name) is not None


def _inspect(tree: Tree, file: StoredFile) -> _SavedFile | None:
    """What a file is by its head; None when it is nothing of Lookout's."""
    named = _guess_role(PurePosixPath(file.name).name)
    claim = partial(_claim_description, tree, file)
    seen = inspect(tree, file, Service.LOOKOUT, frozenset(_READ), named=named, claim=claim)
    if seen is None:
        return None
    found = _SavedFile(file=file, role=seen.role, broken=seen.broken)
    try:
        from mlrek.formats.lookout import find_lookout_version  # for files of Lookout's alone

        version = find_lookout_version(peek_inside(tree.read_head(file)))
        found = replace(found, version=version)
        return found if found.broken else _READ[found.role](tree, found)
    except SourceError as exc:
        return replace(found, broken=str(exc))


def _guess_role(name: str) -> Role | None:
    """What a file should hold by its name, complete or not; None for any other name.

    >>> _guess_role("EvaluationManifest-wood.json.gz")
    <Role.MANIFEST: 'manifest'>
    """
    match = _BEGIN.match(name)
    if match is None:
        return None
    return Role.MANIFEST if match["kind"] == "Manifest" else Role.SUMMARY


def _claim_description(tree: Tree, file: StoredFile) -> Role | None:
    """The description in an archive of this provider, even if it is broken."""
    if not is_description(file):
        return None
    project = tree.find_around(file).project
    return Role.DESCRIPTION if project and project.provider is Provider.LOOKOUT else None


def _read_description(tree: Tree, found: _SavedFile) -> _SavedFile:
    from mlrek.formats.lookout import parse_description

    data = tree.read(found.file)
    try:
        description = parse_description(found.file.uri, data)
    except SourceError as exc:
        return replace(found, data=data, broken=str(exc))
    return replace(found, data=data, description=description, version=description.version)


def _read_result_file(tree: Tree, found: _SavedFile) -> _SavedFile:
    from mlrek.formats.lookout import parse_result

    return replace(found, result=parse_result(found.file.uri, tree.read(found.file)))


_READ: Mapping[Role, Callable[[Tree, _SavedFile], _SavedFile]] = {
    Role.DESCRIPTION: _read_description,
    Role.SUMMARY: _read_result_file,
    Role.MANIFEST: lambda _tree, found: found,
}


def _name_all(found: Sequence[_SavedFile]) -> Iterator[_SavedFile]:
    """Every file with its version: its own, its namesake's, or the only one in its folder."""
    if not found:
        return
    from mlrek.formats.lookout import parse_lookout_name

    by_name: dict[tuple[str, str], Version] = {}
    by_folder: dict[str, dict[str, Version]] = {}
    for one in found:
        if one.version is not None:
            by_folder.setdefault(one.folder, {})[one.version.arn] = one.version
            by_name.setdefault((one.version.project.name, one.version.name), one.version)
    for one in found:
        named = parse_lookout_name(PurePosixPath(one.file.name).name)
        neighbours = list(by_folder.get(one.folder, {}).values())
        if one.version is not None:
            yield one
        elif named and (named.project_name, named.version_name) in by_name:
            yield replace(one, version=by_name[named.project_name, named.version_name])
        elif not named and len(neighbours) == 1:
            yield replace(one, version=neighbours[0])
        elif named:
            yield replace(one, version=_make_up(named.project_name, named.version_name))
        else:
            yield replace(one, version=_make_up(PurePosixPath(one.folder).name or "_", _stem(one)))


def _join_descriptions(
    groups: Mapping[tuple[str, str], list[_SavedFile]],
) -> Iterator[list[_SavedFile]]:
    """The files of each version in each folder; a description alone goes to its version's files."""
    lonely: dict[str, list[_SavedFile]] = {}
    for (_, arn), group in groups.items():
        if all(one.role is Role.DESCRIPTION and not one.broken for one in group):
            lonely.setdefault(arn, []).extend(group)
    for (_, arn), group in groups.items():
        if group[0] in lonely.get(arn, ()):
            continue
        has_own = any(one.role is Role.DESCRIPTION for one in group)
        yield group if has_own else [*group, *lonely.pop(arn, [])[:1]]
    yield from lonely.values()


def _make_entry(group: Sequence[_SavedFile], tree: Tree) -> VersionEntry:
    described = next((one for one in group if one.description), None)
    description = described.description if described else None
    result = next((one.result for one in group if one.result), None)
    aggregate = result.reported.aggregate if result else {}
    reported = {**(description.reported if description else {}), **aggregate}
    version, warnings = _identify(group, description)
    parts = tuple(_list_parts(group, described))
    around = tree.find_around(group[0].file)
    return VersionEntry(
        version=version,
        format=FORMAT,
        parts=parts,
        description=described.data if described else b"",
        reported=reported,
        test_images=result.reported.test_images if result else None,
        skipped="" if parts or reported else _explain_status(description),
        refused="; ".join(one.broken for one in group if one.broken),
        warnings=(*warnings, *around.warnings),
    )


def _identify(
    group: Sequence[_SavedFile], description: "LookoutDescription | None"
) -> tuple[Version, tuple[str, ...]]:
    version = description.version if description else group[0].version
    if version is None:
        version = _make_up(PurePosixPath(group[0].folder).name or "_", _stem(group[0]))
    if not description:
        ends = [one.result.evaluation_end_ms for one in group if one.result]
        version = replace(version, training_end_ms=next(iter(ends), None))
    if not version.arn.startswith("local:"):
        return version, ()
    warning = (
        f"{group[0].file.uri}: nothing tells which version this is, so it is called {version.arn}; "
        "put the version's EvaluationResult-….json next to it to give it its own name"
    )
    return version, (warning,)


def _list_parts(group: Sequence[_SavedFile], described: _SavedFile | None) -> Iterator[Part]:
    """The files of its evaluation; also those that only the description names, as it is a loss."""
    here: dict[Role, str] = {}
    for one in group:
        if one.role is not Role.DESCRIPTION and one.role not in here:
            here[one.role] = one.file.uri
    description = described.description if described else None
    if described is None or description is None:
        yield from (Part(role=role, uri=uri, origin=uri) for role, uri in here.items())
        return
    origins = {
        Role.SUMMARY: description.result_uri,
        Role.MANIFEST: description.manifest_uri,
    }
    named = [Part(role=role, uri=uri, origin=uri) for role, uri in origins.items() if uri]
    placed = {part.role: part for part in place_parts(named, described.folder)}
    for role in origins:
        if role in here:
            origin = placed[role].origin if role in placed else here[role]
            yield Part(role=role, uri=here[role], origin=origin)
        elif role in placed:
            yield placed[role]


def _open_manifest(
    entry: VersionEntry, reader: PartReader
) -> "tuple[LookoutInput | None, MaskFolder | None]":
    from mlrek.formats.lookout import LookoutInput

    for part in reader.find(entry, Role.MANIFEST, _NO_MANIFEST):
        chunks = reader.open_if_there(part, _NO_MANIFEST)
        if chunks is not None:
            masks = MaskFolder(reader.storage, parent_uri(part.uri))
            lines = chain_lines([chunks])
            return LookoutInput(uri=part.uri, chunks=lines, read_masks=masks.read), masks
    return None, None


def _read_result(entry: VersionEntry, reader: PartReader) -> "Document | None":
    from mlrek.formats.lookout import Document

    for part in reader.find(entry, Role.SUMMARY, _NO_RESULT):
        chunks = reader.open_if_there(part, _NO_RESULT)
        if chunks is not None:
            return Document(uri=part.uri, data=join_document(part.uri, chunks))
    return None


def _explain_status(description: "LookoutDescription | None") -> str:
    if description is None:
        return "no evaluation is here"
    status = description.version.status or "unknown"
    message = f": {description.status_message}" if description.status_message else ""
    return f"no evaluation is named (status {status}){message}"


def _make_up(project_name: str, version_name: str) -> Version:
    arn = f"local:project/{project_name}"
    project = Project(provider=Provider.LOOKOUT, arn=arn, name=project_name)
    return Version(project=project, arn=f"{arn}/version/{version_name}", name=version_name)


def _stem(one: _SavedFile) -> str:
    return PurePosixPath(one.file.name).stem

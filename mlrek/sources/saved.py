"""Saved evaluations below a folder or an S3 prefix: archives, and files from a console.

An archive holds for each project `project.json` and `versions/VERSION/version.json` with the
version's files beside it. Any number of them may lie below the place that is read.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePath, PurePosixPath
from typing import TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from mlrek.errors import ParseError, SourceError, SourceNotFoundError
from mlrek.evaluation import Project, Provider
from mlrek.sources.catalogue import Part, VersionEntry
from mlrek.sources.description import EVALUATION_ROLES, describe_version, make_up_version
from mlrek.sources.file_names import name_files
from mlrek.sources.loose import (
    LooseFile,
    inspect_file,
    list_loose,
    make_up_project,
    seems_evaluation,
)
from mlrek.sources.storage import (
    Storage,
    StoredFile,
    join_uri,
    parent_uri,
    read_bytes,
)

PROJECT_FILE = "project.json"
VERSION_FILE = "version.json"
VERSIONS_FOLDER = "versions"
MAX_READERS = 16  # small files read at once

T = TypeVar("T")


class ProjectFile(Struct, frozen=True, kw_only=True):
    """What an archive's `project.json` says; `read_at` is ISO 8601, UTC."""

    provider: str
    project_arn: str
    project_name: str
    read_at: str = ""
    read_by: str = ""
    read_from: str = ""


_PROJECT_DECODER = Decoder(ProjectFile)


@dataclass(frozen=True, slots=True)
class SavedVersions:
    """The versions saved below a place, or in the one file that it is."""

    storage: Storage
    uri: str

    def list_versions(self) -> Sequence[VersionEntry]:
        """Every version, each once; whole manifests are not read.

        Raises:
            SourceNotFoundError: There is nothing that mlrek knows.
        """
        files = list(self.storage.list_files(self.uri))
        if any(file.uri == self.uri for file in files):
            return [self._find_version_of_file()]
        found = _Listing(self.storage).list_entries(files)
        if not found:
            raise SourceNotFoundError(
                self.uri,
                f"no evaluation among its {len(files)} files; looked for {VERSIONS_FOLDER}/*/"
                f"{VERSION_FILE}, EvaluationResultSummary-….json and TestingGroundTruth-….json",
            )
        return _keep_one_each(found)

    def _find_version_of_file(self) -> VersionEntry:
        """The version that a single file belongs to, with the file's twin beside it."""
        folder = parent_uri(self.uri)
        beside = list(self.storage.list_files(folder, deep=False))
        for entry in _Listing(self.storage, self.uri).list_entries(beside):
            if self.uri in (join_uri(folder, VERSION_FILE), *(part.uri for part in entry.parts)):
                return entry
        raise SourceError(
            self.uri,
            "is neither an evaluation manifest (TestingGroundTruth-….json) nor a summary "
            "(EvaluationResultSummary-….json); name one of them, or a folder",
        )


def place_parts(parts: Iterable[Part], folder: str) -> tuple[Part, ...]:
    """The parts as an archive keeps them: in the version's folder, under safe names."""
    parts = tuple(parts)
    origins = tuple(dict.fromkeys((part.origin, part.version_id) for part in parts))
    names = name_files([origin for origin, _ in origins], taken=(VERSION_FILE,))
    placed = dict(zip(origins, names, strict=True))
    return tuple(
        Part(
            role=part.role,
            uri=join_uri(folder, placed[part.origin, part.version_id]),
            origin=part.origin,
        )
        for part in parts
    )


def read_project(storage: Storage, uri: str) -> Project | None:
    """The project that a `project.json` names; None when there is no such file.

    Raises:
        ParseError: The file is not what it should be.
    """
    try:
        said = _PROJECT_DECODER.decode(read_bytes(storage, uri))
        return Project(
            provider=Provider(said.provider), arn=said.project_arn, name=said.project_name
        )
    except SourceNotFoundError:
        return None
    except ValueError as exc:
        raise ParseError(uri, 0, f"is not the head of an archive: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """The archive around a file: its project, or why that is not known."""

    project: Project | None = None
    warnings: tuple[str, ...] = ()


class _Listing:
    """One look at a number of files; each `project.json` is read once."""

    def __init__(self, storage: Storage, chosen: str = "") -> None:
        self._storage = storage
        self._chosen = chosen
        self._around: dict[str, _Around] = {}

    def list_entries(self, files: Iterable[StoredFile]) -> list[VersionEntry]:
        """Described versions first, then loose files in the folders that describe none."""
        files = sorted(files, key=lambda file: file.name)
        descriptions = [file for file in files if PurePosixPath(file.name).name == VERSION_FILE]
        described = dict(_read_all(self._read_version, descriptions))
        unknown = [
            file
            for file in files
            if (seems_evaluation(file) or file.uri == self._chosen)
            and parent_uri(file.uri) not in described
        ]
        return [*described.values(), *list_loose(_read_all(self._inspect_file, unknown))]

    def _inspect_file(self, file: StoredFile) -> LooseFile | None:
        return inspect_file(self._storage, file, self._find_around(file).project)

    def _read_version(self, file: StoredFile) -> tuple[str, VersionEntry] | None:
        """A version's folder and what `version.json` says; None when that is another tool's."""
        folder, around, data = parent_uri(file.uri), self._find_around(file), b""
        try:
            data = read_bytes(self._storage, file.uri)
            if around == _Around() and b"ProjectVersionArn" not in data:
                return None
            entry = describe_version(data, uri=file.uri, project=around.project)
        except SourceError as exc:
            project = around.project or make_up_project(folder)
            version = make_up_version(project, PurePath(folder).name)
            return folder, VersionEntry(version=version, description=data, refused=str(exc))
        parts = place_parts(entry.parts, folder)
        return folder, replace(entry, parts=parts, warnings=(*entry.warnings, *around.warnings))

    def _find_around(self, file: StoredFile) -> _Around:
        """The archive in which a file below `versions/VERSION` lies."""
        versions = parent_uri(parent_uri(file.uri))
        if PurePath(versions).name != VERSIONS_FOLDER:
            return _Around()
        uri = join_uri(parent_uri(versions), PROJECT_FILE)
        if uri not in self._around:
            self._around[uri] = _read_around(self._storage, uri)
        return self._around[uri]


def _read_around(storage: Storage, uri: str) -> _Around:
    try:
        return _Around(project=read_project(storage, uri))
    except SourceError as exc:
        return _Around(warnings=(f"{exc}; the project is taken from the versions' own ARNs",))


def _read_all(read: Callable[[StoredFile], T | None], files: Iterable[StoredFile]) -> list[T]:
    """What each file says, in order, without those that say nothing."""
    with ThreadPoolExecutor(MAX_READERS) as pool:
        return [said for said in pool.map(read, files) if said is not None]


def _keep_one_each(entries: Iterable[VersionEntry]) -> list[VersionEntry]:
    """Each version once: described rather than loose, whole rather than half, the first found."""
    by_arn: dict[str, list[VersionEntry]] = {}
    for entry in entries:
        by_arn.setdefault(entry.version.arn, []).append(entry)
    kept = []
    for same in by_arn.values():
        best, *others = sorted(same, key=_count_parts, reverse=True)
        warnings = [
            f"{other.parts[0].uri if other.parts else other.version.arn}: is another copy of this "
            "version; it is left out"
            for other in others
        ]
        kept.append(replace(best, warnings=(*best.warnings, *warnings)))
    return kept


def _count_parts(entry: VersionEntry) -> tuple[bool, int]:
    roles = {part.role for part in entry.parts}
    return bool(entry.description), len(roles.intersection(EVALUATION_ROLES))

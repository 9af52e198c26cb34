"""`mlrek archive`: copy all that evaluations consist of, so that they outlive account and service.

Every file appears under its name only when it is whole, and `version.json` comes last: whatever
stops the work, the next run goes on with what is missing.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import BinaryIO
from uuid import uuid4

from msgspec import DecodeError, Struct, field
from msgspec.json import Decoder, encode
from msgspec.json import format as format_json

from mlrek.errors import MlrekError, SourceError, SourceNotFoundError
from mlrek.evaluation import Project, Provider, Version
from mlrek.formats.lines import BYTE_ORDER_MARK
from mlrek.sources import FILE_FORMATS, StoredSource
from mlrek.sources.entries import OnBytes, Part, VersionEntry
from mlrek.sources.storage import FileState, LocalStorage, Storage
from mlrek.sources.tree import (
    PROJECT_FILE,
    VERSION_FILE,
    VERSIONS_FOLDER,
    ProjectFile,
    fold_file_name,
    make_safe_name,
    place_parts,
    read_project,
)
from mlrek.text import escape_unencodable


class _Identity(Struct):
    project_version_arn: str | None = field(name="ProjectVersionArn", default=None)
    version_arn: str | None = None  # of a model from anywhere


_IDENTITY_DECODER = Decoder(_Identity)

LEFTOVER_SECONDS = 3600  # a temporary file of that age belongs to nobody any more

_TEMPORARY = (".mlrek-", ".part")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedVersion:
    """What became of one version in the archive.

    `action` is `saved`, `unchanged` or `failed` (`reason` says why). `files` are the names of those
    written now, `size` their bytes.
    """

    version: Version
    action: str
    reason: str = ""
    files: tuple[str, ...] = ()
    size: int = 0
    warnings: tuple[str, ...] = ()


OnVersion = Callable[[ArchivedVersion], None]
"""Told what became of a version as soon as that is known."""


class _Writer:
    """Saves versions, in several threads, until it is stopped."""

    def __init__(self, storage: Storage, on_bytes: OnBytes | None) -> None:
        self._storage = storage
        self._on_bytes = on_bytes
        self._stopped = Event()

    def stop(self) -> None:
        """Give up what is not finished."""
        self._stopped.set()

    def save(self, entry: VersionEntry, folder: Path) -> ArchivedVersion:
        """One version with all its files."""
        written: dict[str, int] = {}
        try:
            with _writing(folder):
                _delete_leftovers(folder)
                warnings = self._save_parts(entry, folder, written)
                if entry.description:
                    size = _write_if_other(folder / VERSION_FILE, entry.description)
                    written |= {VERSION_FILE: size} if size else {}
        except MlrekError as exc:
            return ArchivedVersion(version=entry.version, action="failed", reason=str(exc))
        unknown = entry.refused if not entry.parts else ""  # which files there should be
        return ArchivedVersion(
            version=entry.version,
            action="failed" if unknown else "saved" if written else "unchanged",
            reason=unknown,
            files=tuple(written),
            size=sum(written.values()),
            warnings=tuple(warnings),
        )

    def _save_parts(self, entry: VersionEntry, folder: Path, written: dict[str, int]) -> list[str]:
        """Fill in what was written, and return warnings about what could not be."""
        by_target: dict[Path, Part] = {}
        for part, copy in zip(entry.parts, place_parts(entry.parts, str(folder)), strict=True):
            by_target.setdefault(Path(copy.uri), part)
        warnings = []
        for target, part in by_target.items():
            try:
                size = self._save_file(part, target)
                written |= {} if size is None else {target.name: size}
            except SourceNotFoundError as exc:
                kept = "the copy saved earlier stays" if target.exists() else "there is no copy"
                warnings.append(f"{exc}; {kept}")
            except SourceError as exc:
                if part.role in FILE_FORMATS[entry.format].roles:
                    raise
                warnings.append(f"{exc}; left out, no evaluation needs it")
        return warnings

    def _save_file(self, part: Part, target: Path) -> int | None:
        if target.exists():
            state = self._storage.read_state(part.uri, part.version_id)
            if _is_same(target, state):
                return None
        size = 0
        with _replacing(target) as file:
            for chunk in self._storage.read(part.uri, part.version_id):
                if self._stopped.is_set():
                    raise SourceError(part.uri, "not finished: the work was stopped")
                size += file.write(chunk)
                if self._on_bytes is not None:
                    self._on_bytes(len(chunk))
        return size


def write_archive(
    source: StoredSource,
    folder: Path,
    *,
    jobs: int = 8,
    on_bytes: OnBytes | None = None,
    on_version: OnVersion | None = None,
) -> tuple[ArchivedVersion, ...]:
    """Copy all versions of a source into the archive in `folder`; what is there already stays.

    Several projects get a folder each. A version that fails does not stop the others.

    Returns:
        What became of each version, in the order of the source.

    Raises:
        SourceError: The source cannot be listed, or the folder is not to be written to.
    """
    entries = source.list_versions()
    with _writing(folder):
        projects = place_projects(folder, (entry.version.project for entry in entries))
        places = _place_entries(projects, entries)
        for project, place in projects.items():
            if not (place / PROJECT_FILE).exists():
                _write_project(project, place, source.uri)
    results = _save_all(entries, places, _Writer(source.storage, on_bytes), jobs, on_version)
    for project in {r.version.project for r in results if r.action == "saved"}:
        _write_project(project, projects[project], source.uri)
    return results


def _place_entries(
    projects: Mapping[Project, Path], entries: Sequence[VersionEntry]
) -> dict[str, Path]:
    places: dict[str, Path] = {}
    for project, place in projects.items():
        own = [entry.version for entry in entries if entry.version.project == project]
        places.update(place_versions(place, own))
    return places


def _save_all(
    entries: Sequence[VersionEntry],
    places: Mapping[str, Path],
    writer: "_Writer",
    jobs: int,
    on_version: OnVersion | None,
) -> tuple[ArchivedVersion, ...]:
    results = []
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            work = [pool.submit(writer.save, entry, places[entry.version.arn]) for entry in entries]
            for future in work:
                results.append(future.result())
                if on_version is not None:
                    on_version(results[-1])
        finally:
            writer.stop()
            pool.shutdown(cancel_futures=True)
    return tuple(results)


def _write_project(project: Project, folder: Path, source_uri: str) -> None:
    """Write the head of a project's archive; a service's own stays where its models are joined."""
    from mlrek import __version__

    known = read_project(LocalStorage(), str(folder / PROJECT_FILE))
    is_guest = project.provider is Provider.CUSTOM
    if is_guest and known and known.provider is not Provider.CUSTOM:
        return
    head = ProjectFile(
        provider=project.provider.value,
        project_arn=project.arn,
        project_name=project.name,
        read_at=datetime.now(UTC).isoformat(timespec="seconds"),
        read_by=f"mlrek {__version__}",
        read_from=escape_unencodable(source_uri),
    )
    with _writing(folder):
        _write_if_other(folder / PROJECT_FILE, format_json(encode(head), indent=1) + b"\n")


def _write_if_other(target: Path, data: bytes) -> int | None:
    """The number of bytes written; None when the file holds them already."""
    if target.exists() and target.read_bytes() == data:
        return None
    with _replacing(target) as file:
        return file.write(data)


def _is_same(file: Path, state: FileState) -> bool:
    """Whether a file has the size, and where its storage tells a digest the content, of `state`."""
    if file.stat().st_size != state.size:
        return False
    for name, digest in (("sha256", state.sha256), ("md5", state.md5)):
        if digest:
            with file.open("rb") as opened:
                algorithm = partial(hashlib.new, name, usedforsecurity=False)
                return hashlib.file_digest(opened, algorithm).hexdigest() == digest
    return True


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the target's place when it is whole, and vanishes otherwise."""
    prefix, suffix = _TEMPORARY
    temporary = target.with_name(f"{prefix}{uuid4().hex}{suffix}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _delete_leftovers(folder: Path) -> None:
    """Delete what a killed run left half written, but not what another is writing."""
    for file in folder.glob("*".join(_TEMPORARY)):
        if time.time() - file.stat().st_mtime > LEFTOVER_SECONDS:
            file.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Make the folder; what the disk says against it is one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        where = exc.filename or folder
        raise SourceError(str(where), f"cannot be written: {exc.strerror or exc}") from exc


def place_projects(folder: Path, projects: Iterable[Project]) -> Mapping[Project, Path]:
    """A folder for each project: the archive's own for a single one, else one below it.

    Raises:
        SourceError: The folder is the archive of another project, or its head is broken.
    """
    projects = tuple(dict.fromkeys(projects))
    here = _read_project_arn(folder / PROJECT_FILE)
    below = {
        fold_file_name(head.parent.name): _read_project_arn(head)
        for head in sorted(folder.glob(f"*/{PROJECT_FILE}"))
    }
    if len(projects) == 1 and projects[0].arn not in below.values():
        if here not in ("", projects[0].arn):
            raise SourceError(
                str(folder), f"is the archive of another project ({here}); choose another folder"
            )
        return {projects[0]: folder}
    return {
        project: folder if here == project.arn else folder / _take(project.name, project.arn, below)
        for project in projects
    }


def place_versions(folder: Path, versions: Iterable[Version]) -> Mapping[str, Path]:
    """A folder for each version of the project archived in `folder`, by version ARN.

    A folder keeps its version: one made later under the same name, or under one that a disk takes
    for the same, gets a folder of its own.
    """
    root = folder / VERSIONS_FOLDER
    taken = {
        fold_file_name(file.parent.name): _read_version_arn(file)
        for file in sorted(root.glob(f"*/{VERSION_FILE}"))
    }
    return {version.arn: root / _take(version.name, version.arn, taken) for version in versions}


def _take(name: str, arn: str, taken: dict[str, str]) -> str:
    """A safe folder name that nothing else than `arn` has; it is taken from then on."""
    plain = make_safe_name(name)
    unique = f"{plain}-{sha256(arn.encode()).hexdigest()[:8]}"
    chosen = plain if taken.get(fold_file_name(plain), arn) in ("", arn) else unique
    taken[fold_file_name(chosen)] = arn
    return chosen


def _read_project_arn(file: Path) -> str:
    project = read_project(LocalStorage(), str(file))
    return project.arn if project else ""


def _read_version_arn(file: Path) -> str:
    try:
        data = file.read_bytes().removeprefix(BYTE_ORDER_MARK)
        said = _IDENTITY_DECODER.decode(data)
    except (OSError, DecodeError):
        return ""
    return said.project_version_arn or said.version_arn or ""

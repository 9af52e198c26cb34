"""`mlrek archive`: copy all that evaluations consist of, so that they outlive account and service.

Every file appears under its name only when it is whole, and `version.json` comes last: whatever
stops the work, the next run goes on with what is missing.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import BinaryIO
from uuid import uuid4

from msgspec.json import encode
from msgspec.json import format as format_json

from mlrek.errors import MlrekError, SourceError, SourceNotFoundError
from mlrek.evaluation import Project, Version
from mlrek.sources.archive import PROJECT_FILE, VERSION_FILE, ProjectFile, place_parts
from mlrek.sources.archive_folders import place_projects, place_versions
from mlrek.sources.catalogue import OnBytes, Part, VersionEntry
from mlrek.sources.description import EVALUATION_ROLES
from mlrek.sources.reading import StoredSource
from mlrek.sources.storage import FileState, Storage

LEFTOVER_SECONDS = 3600  # a temporary file of that age belongs to nobody any more

_TEMPORARY = (".mlrek-", ".part")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedVersion:
    """What became of one version in the archive.

    `action` is `saved`, `unchanged` or `failed` (`reason` says why); `files` and `size` (bytes)
    count what was written now.
    """

    version: Version
    action: str
    reason: str = ""
    files: int = 0
    size: int = 0
    warnings: tuple[str, ...] = ()


def write_archive(
    source: StoredSource,
    entries: Sequence[VersionEntry],
    folder: Path,
    *,
    jobs: int = 8,
    on_bytes: OnBytes | None = None,
) -> Iterator[ArchivedVersion]:
    """Copy the versions into the archive in `folder`; what is there and the same stays.

    Several projects get a folder each. A version that fails does not stop the others.

    Yields:
        What became of each version, in order, as soon as it is known.

    Raises:
        SourceError: The folder cannot be written, or is another project's archive.
    """
    with _writing(folder):
        projects = place_projects(folder, (entry.version.project for entry in entries))
        places: dict[str, Path] = {}
        for project, place in projects.items():
            own = [entry.version for entry in entries if entry.version.project == project]
            places.update(place_versions(place, own))
            if not (place / PROJECT_FILE).exists():
                _write_project(project, place, source.uri)
    writer = _Writer(source.storage, on_bytes)
    changed = set()
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            work = [pool.submit(writer.save, entry, places[entry.version.arn]) for entry in entries]
            for future in work:
                result = future.result()
                if result.action == "saved":
                    changed.add(result.version.project)
                yield result
        finally:
            writer.stop()
            pool.shutdown(cancel_futures=True)
    for project in changed:
        _write_project(project, projects[project], source.uri)


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
        warnings: list[str] = []
        try:
            with _writing(folder):
                _delete_leftovers(folder)
                sizes = self._save_parts(entry, folder, warnings)
                if entry.description:
                    sizes.append(_write_if_other(folder / VERSION_FILE, entry.description))
        except MlrekError as exc:
            return ArchivedVersion(version=entry.version, action="failed", reason=str(exc))
        written = [size for size in sizes if size is not None]
        return ArchivedVersion(
            version=entry.version,
            action="saved" if written else "unchanged",
            files=len(written),
            size=sum(written),
            warnings=tuple(warnings),
        )

    def _save_parts(
        self, entry: VersionEntry, folder: Path, warnings: list[str]
    ) -> list[int | None]:
        """The bytes written for each file; None for one that was there."""
        by_target: dict[Path, Part] = {}
        for part, copy in zip(entry.parts, place_parts(entry.parts, str(folder)), strict=True):
            by_target.setdefault(Path(copy.uri), part)
        sizes: list[int | None] = []
        for target, part in by_target.items():
            try:
                sizes.append(self._save_file(part, target))
            except SourceNotFoundError as exc:
                kept = "the copy saved earlier stays" if target.exists() else "there is no copy"
                warnings.append(f"{exc}; {kept}")
            except SourceError as exc:
                if part.role in EVALUATION_ROLES:
                    raise
                warnings.append(f"{exc}; left out, no evaluation needs it")
        return sizes

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


def _write_project(project: Project, folder: Path, source_uri: str) -> None:
    from mlrek import __version__

    head = ProjectFile(
        provider=project.provider.value,
        project_arn=project.arn,
        project_name=project.name,
        read_at=datetime.now(UTC).isoformat(timespec="seconds"),
        read_by=f"mlrek {__version__}",
        read_from=source_uri,
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

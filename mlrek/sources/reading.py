"""What all sources do alike: the state of a version's files, and loading its evaluation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import Evaluation, SourceFile
from mlrek.formats.rekognition import (
    ManifestInput,
    Role,
    SummaryInput,
    parse_evaluation,
    parse_summary,
)
from mlrek.sources.catalogue import OnBytes, Part, VersionEntry
from mlrek.sources.description import EVALUATION_ROLES
from mlrek.sources.storage import Storage

MISSING = "missing"


class Catalogue(Protocol):
    """Knows which versions there are."""

    def list_versions(self) -> Sequence[VersionEntry]:
        """Every version, by project, then by training start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSource:
    """A source (see `Source`) whose catalogue names files in a storage."""

    uri: str
    catalogue: Catalogue
    storage: Storage

    def list_versions(self) -> Sequence[VersionEntry]:
        """See `Source`."""
        return sorted(self.catalogue.list_versions(), key=_training_order)

    def read_state(self, entry: VersionEntry) -> Mapping[str, str]:
        """See `Source`; the provider's own places are the keys, wherever the copies are."""
        return {
            part.origin or part.uri: _read_part_state(self.storage, part)
            for part in entry.parts
            if part.role in EVALUATION_ROLES
        }

    def load(
        self, entry: VersionEntry, *, skip_bad_lines: bool = False, on_bytes: OnBytes | None = None
    ) -> Evaluation:
        """See `Source`."""
        if entry.refused or entry.skipped:
            raise SourceError(entry.version.arn, entry.refused or entry.skipped)
        reader = _Reader(self.storage, on_bytes)
        summary, manifest = reader.open_summary(entry), reader.open_manifest(entry)
        if summary is None and manifest is None and not entry.reported:
            reason = "; ".join(reader.gone)
            raise SourceNotFoundError(entry.version.arn, f"nothing is left to read: {reason}")
        evaluation = parse_evaluation(
            entry.version,
            manifest=manifest,
            summary=summary,
            reported=entry.reported,
            skip_bad_lines=skip_bad_lines,
            warnings=(*entry.warnings, *reader.gone),
        )
        return replace(evaluation, files=reader.files)

    def read_test_images(self, entry: VersionEntry) -> int | None:
        """How many images the version was tested on, as its summary says; None: it does not."""
        if entry.test_images is not None:
            return entry.test_images
        summary = _Reader(self.storage, None).open_summary(entry)
        if summary is None:
            return None
        return parse_summary(summary.uri, summary.data).reported.test_images


class _Reader:
    """Opens the files of one version, and remembers what was read and what is gone."""

    def __init__(self, storage: Storage, on_bytes: OnBytes | None) -> None:
        self.gone: list[str] = []
        self._storage = storage
        self._on_bytes = on_bytes
        self._measured: list[_Measured] = []

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The files that were read to their end."""
        return tuple(file.describe() for file in self._measured if file.is_whole)

    def open_summary(self, entry: VersionEntry) -> SummaryInput | None:
        """The summary; None when none is named, or the named one is not there."""
        for part in self._find_parts(entry, Role.SUMMARY):
            if chunks := self._open(part):
                return SummaryInput(uri=part.uri, data=b"".join(chunks))
        return None

    def open_manifest(self, entry: VersionEntry) -> ManifestInput | None:
        """All manifests in a row; None when one is not there: half a test set is none."""
        parts = self._find_parts(entry, Role.MANIFEST)
        opened = [self._open(part) for part in parts]
        chunks = [chunk for chunk in opened if chunk is not None]
        if not parts or len(chunks) < len(parts):
            return None
        return ManifestInput(uri=parts[0].uri, chunks=_chain_lines(chunks))

    def _find_parts(self, entry: VersionEntry, role: Role) -> list[Part]:
        parts = [part for part in entry.parts if part.role == role]
        if not parts:
            self.gone.append(_LOSSES[role].format(said="none is named"))
        return parts

    def _open(self, part: Part) -> "_Measured | None":
        try:
            chunks = self._storage.read(part.uri, part.version_id)
        except SourceNotFoundError as exc:
            self.gone.append(_LOSSES[part.role].format(said=exc))
            return None
        self._measured.append(_Measured(part, chunks, self._on_bytes))
        return self._measured[-1]


class _Measured:
    """Chunks of a file that are counted and hashed as they pass."""

    def __init__(self, part: Part, chunks: Iterator[bytes], on_bytes: OnBytes | None) -> None:
        self._part, self._chunks, self._on_bytes = part, chunks, on_bytes
        self._size, self._sha256 = 0, sha256()
        self.is_whole = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._size += len(chunk)
            self._sha256.update(chunk)
            if self._on_bytes is not None:
                self._on_bytes(len(chunk))
            yield chunk
        self.is_whole = True

    def describe(self) -> SourceFile:
        """What was read."""
        part = self._part
        uri, digest = part.origin or part.uri, self._sha256.hexdigest()
        return SourceFile(role=part.role, uri=uri, size=self._size, sha256=digest)


_LOSSES: dict[str, str] = {
    Role.MANIFEST: "there is no manifest, so nothing can be computed from images ({said})",
    Role.SUMMARY: "there is no summary, and so no thresholds and reported numbers ({said})",
}


def _read_part_state(storage: Storage, part: Part) -> str:
    try:
        return str(storage.read_state(part.uri, part.version_id))
    except SourceNotFoundError:
        return MISSING


def _chain_lines(files: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The lines of all files; the next file begins on a new line."""
    last = b"\n"
    for chunks in files:
        if not last.endswith(b"\n"):
            yield b"\n"
        for last in chunks:
            yield last


def _training_order(entry: VersionEntry) -> tuple[str, str, float, str]:
    version = entry.version
    start = float("inf") if version.training_start_ms is None else version.training_start_ms
    return version.project.name, version.project.arn, start, version.arn

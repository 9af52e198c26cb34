"""What all sources do alike: the state of a version's files, and loading its evaluation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from mlrek.errors import SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.evaluation import Evaluation
from mlrek.formats.doubts import complete_doubts
from mlrek.identity import hide_signatures
from mlrek.printable import escape_unencodable
from mlrek.reported import DEFAULT_THRESHOLD
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.catalogue import (
    FoundContents,
    OnBytes,
    Part,
    ReadOptions,
    SeenInTraining,
    VersionEntry,
)
from mlrek.sources.contents import choose_storage, read_contents
from mlrek.sources.file_formats import FILE_FORMATS
from mlrek.sources.images import read_images
from mlrek.sources.parts import PartReader
from mlrek.sources.storage import Storage
from mlrek.sources.training import find_seen, list_trained

MISSING = "missing"
DENIED = "denied"  # of an optional file, which may be out of reach


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
        known = FILE_FORMATS[entry.format]
        return {
            part.origin or part.uri: _read_part_state(
                self.storage, part, is_optional=part.role in known.optional_roles
            )
            for part in entry.parts
            if part.role in {*known.roles, *known.optional_roles}
        }

    def load(
        self,
        entry: VersionEntry,
        *,
        skip_bad_lines: bool = False,
        threshold: float = DEFAULT_THRESHOLD,
        on_bytes: OnBytes | None = None,
    ) -> Evaluation:
        """See `Source`."""
        if entry.refused or entry.skipped:
            raise SourceError(entry.version.arn, entry.refused or entry.skipped)
        options = ReadOptions(skip_bad_lines=skip_bad_lines, threshold=threshold)
        with PartReader(self.storage, options, on_bytes) as reader:
            evaluation = FILE_FORMATS[entry.format].load(entry, reader)
            warnings = tuple(map(escape_unencodable, evaluation.warnings))
            read = replace(evaluation, files=reader.files, warnings=warnings)
            return hide_signatures(complete_doubts(read))

    def read_test_images(self, entry: VersionEntry) -> int | None:
        """How many images the version was tested on, as its summary says; None: it does not."""
        if entry.test_images is not None:
            return entry.test_images
        with PartReader(self.storage, ReadOptions()) as reader:
            return FILE_FORMATS[entry.format].read_test_images(entry, reader)

    def find_seen(self, entry: VersionEntry, images: Sequence[str]) -> SeenInTraining:
        """See `Source`."""
        with PartReader(self.storage, ReadOptions()) as reader:
            return find_seen(images, entry, reader)

    def read_contents(
        self, entry: VersionEntry, images: Sequence[str], folder: str, aws: AwsOptions
    ) -> FoundContents:
        """See `Source`."""
        return read_contents(
            choose_storage(self.storage, folder, AwsClients(aws)),
            entry,
            images,
            find_trained=partial(self.list_trained, entry),
            folder=folder,
        )

    def list_trained(self, entry: VersionEntry) -> Collection[str]:
        """See `Source`."""
        with PartReader(self.storage, ReadOptions()) as reader:
            return list_trained(entry, reader)

    def read_images(self, entry: VersionEntry, uris: Sequence[str]) -> Iterator[bytes]:
        """See `Source`."""
        return read_images(self.storage, entry, uris)


def _read_part_state(storage: Storage, part: Part, *, is_optional: bool) -> str:
    try:
        return str(storage.read_state(part.uri, part.version_id))
    except SourceNotFoundError:
        return MISSING
    except SourceInterruptedError:
        raise
    except SourceError:
        if is_optional:
            return DENIED
        raise


def _training_order(entry: VersionEntry) -> tuple[str, str, float, str]:
    version = entry.version
    times = (version.training_start_ms, version.training_end_ms)
    when = next((float(time) for time in times if time is not None), float("inf"))
    return version.project.name, version.project.arn, when, version.arn

"""What a source knows of a version before any evaluation file is read."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Protocol, Self

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import BoolArray, Contents, Evaluation, SourceFile, Version
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.sources.aws import AwsOptions
from mlrek.sources.storage import Storage, join_document
from mlrek.text import escape_unencodable

OnBytes = Callable[[int], None]
"""Told how many bytes were just read; drives the progress bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of an evaluation that the provider names. `role` is `summary`, `manifest`, ….

    `origin` is where the provider keeps it, when `uri` is a copy of it (an archive); else `uri`.
    `name` is the one an archive gives it, '' for the end of `origin`.
    """

    role: str
    uri: str
    version_id: str = ""
    origin: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationEntry:
    """A published evaluation by its id: of a version, or of one label of it ('' for all)."""

    id: str
    label: str = ""
    created_ms: int | None = None
    test_images: int | None = None
    average_precision: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """One version as its source lists it: what it is and which files hold its evaluation.

    `skipped` says why there is no evaluation (still training, training failed); `refused` why the
    named one cannot be read at all (another kind of file). `description` is the provider's own,
    as JSON bytes; `reported` the numbers that it holds itself. `format` is how its files are read:
    a key of `FILE_FORMATS`. `evaluations` are all that the provider has of it, where they have ids.
    """

    version: Version
    format: str = "rekognition"
    parts: tuple[Part, ...] = ()
    description: bytes = b""
    reported: Mapping[str, float] = field(default_factory=dict)
    test_images: int | None = None
    evaluations: tuple[EvaluationEntry, ...] = ()
    skipped: str = ""
    refused: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_unlisted(self) -> bool:
        """Whether it stands for all versions of a project, which cannot be listed."""
        return self.version.arn == self.version.project.arn


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the reading of an evaluation depends on besides its files.

    `threshold` is where a provider's own numbers are read that it publishes over thresholds.
    `is_shared`: a second process may help, with the same result.
    """

    skip_bad_lines: bool = False
    threshold: float = DEFAULT_THRESHOLD
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInTraining:
    """Which images stand in the training manifest, (n_images,); None where nothing tells."""

    seen: BoolArray | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundContents:
    """Contents of test images, and which are those of one that was trained on, (n_images,).

    None where nothing tells; `warnings` then say why, where somebody could change that.
    """

    contents: Contents | None = None
    copied: BoolArray | None = None
    warnings: tuple[str, ...] = ()


class Source(Protocol):
    """A place that evaluations are read from. Safe to use from several threads."""

    @property
    def uri(self) -> str:
        """The place as it was named."""

    def list_versions(self) -> Sequence[VersionEntry]:
        """Every version, by project, then by training start."""

    def read_state(
        self, entry: VersionEntry, read: Collection[SourceFile] = ()
    ) -> Mapping[str, str]:
        """Identity of each evaluation file without a download: URI -> ETag, size, version id.

        A file that is not there has the state `missing`, one that only adds something and may not
        be read `denied`. Local files give their SHA-256: as in `read`, if they were just read.
        """

    def count_local_bytes(self, entry: VersionEntry) -> int | None:
        """Bytes of the evaluation files, where all are local; None: one is elsewhere, or missing.

        To tell the state of local files takes as long as to read them.
        """

    def load(
        self,
        entry: VersionEntry,
        *,
        skip_bad_lines: bool = False,
        threshold: float = DEFAULT_THRESHOLD,
        is_shared: bool = False,
        on_bytes: OnBytes | None = None,
    ) -> Evaluation:
        """Read and parse the evaluation of one version; `is_shared`: a second process may help.

        Raises:
            SourceError: A named file is denied, broken, or gone with nothing left to report.
        """

    def read_test_images(self, entry: VersionEntry) -> int | None:
        """How many images the version was tested on, as its summary says; None: it does not.

        Raises:
            SourceError: The summary is denied or broken.
        """

    def find_seen(self, entry: VersionEntry, images: Sequence[str]) -> SeenInTraining:
        """Which of any images the version was trained on, as its own training manifest says."""

    def read_contents(
        self, entry: VersionEntry, images: Sequence[str], folder: str, aws: AwsOptions
    ) -> FoundContents:
        """What tells the bytes of test images from others, as far as they are within reach.

        `folder` is where they are, '' for where the version's own files are; `aws` says how to ask
        where it is in S3.
        """

    def list_trained(self, entry: VersionEntry) -> Collection[str]:
        """The images that the version was trained on, as its own training manifest says.

        Raises:
            SourceError: The manifest cannot be read.
        """

    def read_images(self, entry: VersionEntry, uris: Sequence[str]) -> Iterator[bytes]:
        """The content of test images in order; b'' for one that cannot be read.

        Raises:
            SourceInterruptedError: One cannot be read just now.
        """


class PartReader:
    """Opens the files of one version, until it is left. `gone` says in words what is not there."""

    def __init__(
        self, storage: Storage, options: ReadOptions, on_bytes: OnBytes | None = None
    ) -> None:
        self.storage = storage
        self.options = options
        self.gone: list[str] = []
        self._on_bytes = on_bytes
        self._measured: list[_Measured] = []
        self._streamed: dict[Part, list[_Measured]] = {}
        self._more: list[SourceFile] = []

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The files that were read to their end."""
        return (*(file.describe() for file in self._measured if file.is_whole), *self._more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in (*self._measured, *chain.from_iterable(self._streamed.values())):
            file.close()

    def open(self, part: Part) -> Iterable[bytes]:
        """The chunks of a file.

        Raises:
            SourceNotFoundError: It is not there.
        """
        chunks = self.storage.read(part.uri, part.version_id)
        self._measured.append(_Measured(part, chunks, self._on_bytes))
        return self._measured[-1]

    def stream(self, part: Part) -> Iterable[bytes]:
        """The chunks of a file that `files` does not name, which may be read again and in part."""
        chunks = self.storage.read(part.uri, part.version_id)
        measured = _Measured(part, chunks, self._on_bytes)
        self._streamed.setdefault(part, []).append(measured)
        return measured

    def describe_streamed(self, part: Part) -> SourceFile:
        """Such a file as a whole; read to its end where nobody has done that."""
        whole = next((file for file in self._streamed.get(part, ()) if file.is_whole), None)
        if whole is None:
            whole = _Measured(part, self.storage.read(part.uri, part.version_id), self._on_bytes)
            deque(whole, maxlen=0)
            self._streamed.setdefault(part, []).append(whole)
        return whole.describe()

    def open_if_there(self, part: Part, loss: str) -> Iterable[bytes] | None:
        """The chunks of a file; None when it is gone, which `loss` says ({said}: why)."""
        try:
            return self.open(part)
        except SourceNotFoundError as exc:
            self.gone.append(loss.format(said=exc))
            return None

    def read(self, part: Part) -> bytes:
        """The whole content of a small file.

        Raises:
            SourceNotFoundError: It is not there.
        """
        return join_document(part.uri, self.open(part))

    def find(self, entry: VersionEntry, role: str, loss: str) -> list[Part]:
        """The parts of one role; where none is named, that is a loss too."""
        parts = [part for part in entry.parts if part.role == role]
        if not parts:
            self.gone.append(loss.format(said="none is named"))
        return parts

    def add_file(self, file: SourceFile) -> None:
        """Remember what was read in another way."""
        self._more.append(file)


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

    def close(self) -> None:
        """Let go of a file that was opened and not read to its end."""
        if self.is_whole:
            return
        with suppress(SourceError):
            next(self._chunks, None)  # what never began does not clean up behind itself
        if isinstance(self._chunks, Generator):
            self._chunks.close()

    def describe(self) -> SourceFile:
        """What was read."""
        part = self._part
        uri, digest = part.origin or part.uri, self._sha256.hexdigest()
        return SourceFile(
            role=part.role, uri=escape_unencodable(uri), size=self._size, sha256=digest
        )


def chain_lines(files: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The lines of all files; the next file begins on a new line."""
    last = b"\n"
    for chunks in files:
        if not last.endswith(b"\n"):
            yield b"\n"
        for last in chunks:
            yield last

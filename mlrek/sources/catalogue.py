"""What a source knows of a version before any evaluation file is read."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mlrek.evaluation import BoolArray, Contents, Evaluation, Version
from mlrek.reported import DEFAULT_THRESHOLD
from mlrek.sources.aws import AwsOptions

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
    """

    skip_bad_lines: bool = False
    threshold: float = DEFAULT_THRESHOLD


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

    def read_state(self, entry: VersionEntry) -> Mapping[str, str]:
        """Identity of each evaluation file without a download: URI -> ETag, size, version id.

        A file that is not there has the state `missing`, one that only adds something and may not
        be read `denied`. Local files give their SHA-256.
        """

    def load(
        self,
        entry: VersionEntry,
        *,
        skip_bad_lines: bool = False,
        threshold: float = DEFAULT_THRESHOLD,
        on_bytes: OnBytes | None = None,
    ) -> Evaluation:
        """Read and parse the evaluation of one version.

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

"""What a sync is asked for, and what became of it."""

from dataclasses import dataclass, field
from typing import Protocol

from mlrek.evaluation import Doubt, Project
from mlrek.registry.versions import ModelVersion
from mlrek.sources import AwsOptions
from mlrek.sources.catalogue import VersionEntry
from mlrek.tracking.description import Options
from mlrek.tracking.links import Links
from mlrek.tracking.runs import LoggedRun


class Progress(Protocol):
    """Told how a sync goes on; drives the progress bars."""

    def start(self, versions: int) -> None:
        """The number of versions is known."""

    def on_bytes(self, n: int) -> None:
        """So many more bytes of evaluation files are read."""

    def finish_version(self, result: "VersionResult") -> None:
        """One version is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a sync is asked to do, besides which sources to read.

    `model_name` is the registered model for all versions; '': one for each project, by its name.
    `all_projects` adds every project of the account and region to the sources; `scheduler` is the
    address of a Dask cluster whose workers read and compute, '' for this machine.
    """

    experiment: str = ""
    versions: tuple[str, ...] = ()
    all_projects: bool = False
    jobs: int = 1
    scheduler: str = ""
    dry_run: bool = False
    force: bool = False
    register: bool = False
    model_name: str = ""
    options: Options = field(default_factory=Options)
    aws: AwsOptions = field(default_factory=AwsOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionResult:
    """What became of one version. `run` is the run that counts now, if there is one.

    `model` is its version in the model registry, where that was asked for; `unregistered` says why
    there is none although it was.
    """

    entry: VersionEntry
    action: str  # created, unchanged, replaced, skipped, failed
    reason: str = ""
    experiment_id: str = ""
    run: LoggedRun | None = None
    warnings: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    model: ModelVersion | None = None
    unregistered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectResult:
    """What became of one project: `runs` are all that count, by training start."""

    project: Project
    experiment: str
    experiment_id: str
    links: Links
    runs: tuple[LoggedRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What became of everything that was asked for. `tracking_uri` bears no user or password."""

    tracking_uri: str
    projects: tuple[ProjectResult, ...]
    versions: tuple[VersionResult, ...]
    hints: tuple[str, ...] = ()

    @property
    def any_failed(self) -> bool:
        """Whether a version's evaluation could not be read, logged or registered."""
        return any(v.action == "failed" or v.unregistered for v in self.versions)

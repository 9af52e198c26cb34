"""`mlrek.log` and `mlrek.sync`: evaluations -> runs in MLflow, as the command logs them."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

from mlrek.api.evaluated import EvaluatedVersion, objects
from mlrek.api.given import (
    Place,
    PredictionOptions,
    check_share,
    check_text,
    choose,
    choose_custom,
)
from mlrek.errors import TrackingError
from mlrek.evaluation import Doubt, Evaluation, SourceFile
from mlrek.formats.image_columns import parse_patterns
from mlrek.metrics import PredictionRule
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.metrics.slices import Slicing
from mlrek.registry.door import check_name
from mlrek.render import null_undefined
from mlrek.runs.results import (
    SilentProgress,
    SyncOptions,
    SyncResult,
    VersionResult,
    build_sync_json,
    build_version_result,
)
from mlrek.runs.sync import sync_opened, sync_sources
from mlrek.sources import AwsOptions
from mlrek.sources.entries import FoundContents, OnBytes, SeenInTraining, Source, VersionEntry
from mlrek.text import escape_unprintable
from mlrek.tracking import AUTO_IMAGES
from mlrek.tracking.connection import keep_loggers
from mlrek.tracking.description import Options, compute_evaluation_key

if TYPE_CHECKING:
    from pandas import DataFrame

_COLUMNS: Final = (
    *("project_arn", "version", "version_arn", "action", "run_id", "experiment_id", "task"),
    "reason",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LoggedVersion:
    """What became of a version in MLflow: what `mlrek.log` gives. It cannot be changed.

    Attributes:
        result: All of it, as `mlrek.runs` has it.
        tracking_uri: The MLflow store, without user or password.
        experiment: The name of the run's experiment.
    """

    result: VersionResult
    tracking_uri: str
    experiment: str

    @property
    def run_id(self) -> str:
        """The run that holds it now."""
        return self.result.run.run_id if self.result.run else ""

    @property
    def action(self) -> str:
        """`created`, `unchanged` (a run held it already) or `replaced`."""
        return self.result.action

    @property
    def experiment_id(self) -> str:
        """The id of the run's experiment, whose name is `experiment`."""
        return self.result.experiment_id

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens the numbers that were logged."""
        return self.result.doubts

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything a reader of the run must know, one line each."""
        return self.result.warnings

    def to_dict(self) -> dict[str, Any]:
        """The same as an entry of `versions` in `mlrek sync --json`."""
        document: dict[str, Any] = null_undefined(build_version_result(self.result))
        return document

    def __repr__(self) -> str:
        place = escape_unprintable(self.experiment)
        return f"<LoggedVersion {self.action}: run {self.run_id} in {place}>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SyncedVersions:
    """What became of all versions of a source: what `mlrek.sync` gives. It cannot be changed.

    Attributes:
        result: All of it, as `mlrek.runs` has it.
    """

    result: SyncResult

    @property
    def tracking_uri(self) -> str:
        """The MLflow store, without user or password."""
        return self.result.tracking_uri

    @property
    def any_failed(self) -> bool:
        """Whether the evaluation of a version could not be read, logged or registered."""
        return self.result.any_failed

    @property
    def versions(self) -> "DataFrame":
        """A row for each version.

        Columns, all str or None: `project_arn`, `version`, `version_arn`, `action` (`created`,
        `unchanged`, `replaced`, `skipped`, `failed`), `run_id`, `experiment_id`, `task`, `reason`.
        """
        from pandas import DataFrame

        found = [build_version_result(version) for version in self.result.versions]
        return DataFrame({name: objects(one[name] for one in found) for name in _COLUMNS})

    @property
    def doubts(self) -> Mapping[str, tuple[Doubt, ...]]:
        """What weakens the numbers of each version, by its ARN."""
        return {one.entry.version.arn: one.doubts for one in self.result.versions}

    @property
    def warnings(self) -> Mapping[str, tuple[str, ...]]:
        """What a reader must know of each version, one line each, by its ARN."""
        return {one.entry.version.arn: one.warnings for one in self.result.versions}

    def to_dict(self) -> dict[str, Any]:
        """The same document as `mlrek sync --json`."""
        document: dict[str, Any] = null_undefined(build_sync_json(self.result))
        return document

    def __repr__(self) -> str:
        actions = [version.action for version in self.result.versions]
        said = ", ".join(f"{actions.count(one)} {one}" for one in dict.fromkeys(actions))
        return f"<SyncedVersions {said or 'no versions'}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVersion:
    """One version that was read already, as a `Source` of its own.

    What only its own source can answer is asked there, where it has one.
    """

    evaluated: EvaluatedVersion
    options: Options

    @property
    def uri(self) -> str:
        """See `Source`."""
        return self.evaluated.version_arn

    def list_versions(self) -> Sequence[VersionEntry]:
        """See `Source`."""
        origin = self.evaluated.origin
        return [origin.entry if origin else VersionEntry(version=self._published.version)]

    def read_state(
        self, _entry: VersionEntry, _read: Collection[SourceFile] = ()
    ) -> Mapping[str, str]:
        """See `Source`; of what is from no source its content tells it."""
        origin = self.evaluated.origin
        if origin is not None:
            return origin.state
        return {self.uri: compute_evaluation_key(self._published, self.options)}

    def count_local_bytes(self, _entry: VersionEntry) -> int | None:
        """See `Source`; nothing has to be read to tell the state."""
        return None

    def load(
        self,
        _entry: VersionEntry,
        *,
        skip_bad_lines: bool = False,  # noqa: ARG002 - it is read
        threshold: float = DEFAULT_THRESHOLD,  # noqa: ARG002 - same
        is_shared: bool = False,  # noqa: ARG002 - same
        on_bytes: OnBytes | None = None,  # noqa: ARG002 - same
    ) -> Evaluation:
        """See `Source`."""
        return self._published

    def read_test_images(self, _entry: VersionEntry) -> int | None:
        """See `Source`."""
        return self.evaluated.test_images

    def find_seen(self, entry: VersionEntry, images: Sequence[str]) -> SeenInTraining:
        """See `Source`."""
        return self._source.find_seen(entry, images) if self._source else SeenInTraining()

    def read_contents(
        self, entry: VersionEntry, images: Sequence[str], folder: str, aws: AwsOptions
    ) -> FoundContents:
        """See `Source`."""
        if self._source is None:
            return FoundContents()
        return self._source.read_contents(entry, images, folder, aws)

    def list_trained(self, entry: VersionEntry) -> Collection[str]:
        """See `Source`."""
        return self._source.list_trained(entry) if self._source else ()

    def read_images(self, entry: VersionEntry, uris: Sequence[str]) -> Iterator[bytes]:
        """See `Source`."""
        if self._source is None:
            return iter([b""] * len(uris))
        return self._source.read_images(entry, uris)

    @property
    def _source(self) -> Source | None:
        return self.evaluated.origin.source if self.evaluated.origin else None

    @property
    def _published(self) -> Evaluation:
        referred = self.evaluated.referred
        return referred.published or referred.evaluation


def log(
    ev: EvaluatedVersion,
    *,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    images: Place = AUTO_IMAGES,
    force: bool = False,
) -> LoggedVersion:
    """Log a version as one MLflow run, as `mlrek sync` does; again: nothing is written.

    >>> import mlrek, tempfile
    >>> ev = mlrek.evaluate(["cat", "dog"] * 20, ["cat", "dog"] * 19 + ["dog", "dog"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = f"sqlite:///{folder}/mlflow.db"
    ...     first = mlrek.log(ev, experiment="pets", tracking_uri=store)
    ...     again = mlrek.log(ev, experiment="pets", tracking_uri=store)
    >>> first.action, again.action, first.run_id == again.run_id
    ('created', 'unchanged', True)

    Args:
        ev: What `mlrek.read` or `mlrek.evaluate` gave.
        experiment: The experiment's name; None: `mlrek/<project>`.
        tracking_uri: The MLflow store; None: as MLflow itself has it.
        images: Where pictures of test images come from: `auto`, `none`, or a folder.
        force: Log it again where a run holds it already.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not isinstance(ev, EvaluatedVersion):
        raise TypeError(f"ev must be an EvaluatedVersion, not {type(ev).__name__}")
    origin, rule = ev.origin, ev.referred.prediction_rule
    options = Options(
        prediction_rule=rule.value,
        skip_bad_lines=bool(origin and origin.skip_bad_lines),
        threshold=origin.threshold if origin else DEFAULT_THRESHOLD,
        images=check_text("images", images),
    )
    asked = SyncOptions(
        experiment=experiment or "",
        force=force,
        options=options,
        aws=origin.aws if origin else AwsOptions(),
    )
    source = HeldVersion(evaluated=ev, options=options)
    with keep_loggers():
        result = sync_opened(
            [source], tracking_uri or "", asked, SilentProgress(), environ=os.environ
        )
    version = result.versions[0]
    if version.run is None or version.action == "failed":
        raise TrackingError(version.reason)
    return LoggedVersion(
        result=version,
        tracking_uri=result.tracking_uri,
        experiment=result.projects[0].experiment,
    )


def _list_patterns(slice_by: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The columns that were asked for by regular expressions.

    Raises:
        UsageError: One is none.
    """
    return tuple(parse_patterns(f"{name}={pattern}" for name, pattern in slice_by.items()).items())


def sync(  # noqa: PLR0913 - each is a word of its caller
    source: Place | Sequence[Place],
    *,
    version: str | Sequence[str] | None = None,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    jobs: int = 1,
    dry_run: bool = False,
    force: bool = False,
    skip_bad_lines: bool = False,
    register: bool | str = False,
    prediction_rule: str = "top1",
    threshold: float = DEFAULT_THRESHOLD,
    images: Place = AUTO_IMAGES,
    slices: Place | None = None,
    slice_by: Mapping[str, str] | None = None,
    **predictions: Unpack[PredictionOptions],
) -> SyncedVersions:
    """Log each version's evaluation as one MLflow run, as `mlrek sync` does.

    A version that fails stops no other: its `action` is `failed`, and its `reason` says why.

    >>> import mlrek
    >>> mlrek.sync("examples/digits", dry_run=True)
    <SyncedVersions 4 created>

    Args:
        source: A SOURCE, or several: an ARN, project name, `s3://` prefix, folder or file; or a
            file or folder of predictions of any model.
        version: Only versions of this name, or these; of predictions: what the version is called.
        experiment: The experiment's name; None: `mlrek/<project>`.
        tracking_uri: The MLflow store; None: as MLflow itself has it.
        region: The AWS region; None: that of the ARN, else your own.
        profile: The AWS profile; None: `AWS_PROFILE`.
        jobs: Versions at once. More than 1 may start processes: a script then needs the guard
            `if __name__ == "__main__":`.
        dry_run: Read and compute, but write nothing.
        force: Log again what is logged already.
        skip_bad_lines: Leave out malformed lines of a manifest; they are counted as a doubt.
        register: Register each version as a model, under the project's name, or this one.
        prediction_rule: `top1`, `threshold` or `notebook`: what counts as an image's prediction.
        threshold: From 0 to 1: where numbers are read that a service publishes over thresholds.
        images: Where pictures of test images come from: `auto`, `none`, or a folder.
        slices: A table of images with further columns for slices: CSV, Parquet or JSON Lines.
        slice_by: Further columns: regular expressions by name, whose first group in the URI of an
            image is its value.
        **predictions: Of predictions: whose they are and what is true, as the command has it:
            `truth`, `project`, `task`, `match`, `unmatched`, `thresholds`, `label_map`,
            `attributes`.

    Raises:
        SourceError: A source cannot be listed at all.
        UsageError: A source or version that is named does not exist.
        TrackingError: MLflow cannot be reached or refuses.
    """
    names = tuple(_list_texts("version", version or ()))
    custom = choose_custom("sync", predictions, "".join(names[:1]))
    options = SyncOptions(
        experiment=experiment or "",
        versions=names,
        jobs=jobs,
        dry_run=dry_run,
        force=force,
        register=bool(register),
        model_name=check_name(register) if isinstance(register, str) else "",
        options=Options(
            prediction_rule=choose("prediction_rule", prediction_rule, PredictionRule),
            skip_bad_lines=skip_bad_lines,
            threshold=check_share("threshold", threshold),
            images=check_text("images", images),
            slicing=Slicing(
                by=_list_patterns(slice_by or {}),
                table="" if slices is None else check_text("slices", slices),
                match=predictions.get("match") or "uri",
            ),
        ),
        aws=AwsOptions(region=region or "", profile=profile or ""),
        custom=custom,
    )
    texts = list(_list_texts("source", source))
    with keep_loggers():
        result = sync_sources(
            texts, tracking_uri or "", options, SilentProgress(), environ=os.environ
        )
    return SyncedVersions(result=result)


def _list_texts(name: str, given: Place | Iterable[Place]) -> Iterator[str]:
    """One text or path, or several."""
    several = [given] if isinstance(given, str | os.PathLike) else given
    if not isinstance(several, Iterable):
        raise TypeError(f"{name} must be a str or a list of them, not {type(given).__name__}")
    for one in several:
        yield check_text(name, one)

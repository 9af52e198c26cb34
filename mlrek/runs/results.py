"""What became of a sync: results, registered versions, and what a person reads of them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from shlex import quote
from typing import Final, Protocol

from mlrek.errors import MlrekError
from mlrek.evaluation import Doubt, Project
from mlrek.metrics.numbers import HEADLINES, SERVICE_F1, name_metric
from mlrek.registry.door import ModelVersion, Registry
from mlrek.registry.own_model import OwnModel, find_own_model
from mlrek.registry.registering import register_run
from mlrek.render import Block, Json, Line, Table
from mlrek.render.doubts import build_doubt_json
from mlrek.sources import AwsOptions
from mlrek.sources.custom import CustomOptions
from mlrek.sources.description import AUTO_SPLIT
from mlrek.sources.entries import VersionEntry
from mlrek.text import fmt, fmt_date, fmt_with
from mlrek.tracking import LoggedRun, order_by_age
from mlrek.tracking.description import Options
from mlrek.tracking.links import Links, is_local_store
from mlrek.tracking.notes import compute_changes, find_task, test_set_letters
from mlrek.tracking.store import Store

_SERVICE_F1: Final = "service\nF1"


class Progress(Protocol):
    """Told how a sync goes on; drives the progress bars."""

    def start(self, versions: int) -> None:
        """The number of versions is known."""

    def open_store(self) -> None:
        """MLflow is imported and open, where there is a store."""

    def on_bytes(self, n: int) -> None:
        """So many more bytes of evaluation files are read."""

    def enter_version(self, entry: VersionEntry, step: str) -> None:
        """A version is worked on; `step` is what is done to it now."""

    def finish_version(self, result: "VersionResult") -> None:
        """One version is done."""


class SilentProgress:
    """Says nothing: for pipes, --quiet, --json and Python."""

    def start(self, versions: int) -> None:
        """Nothing to show."""

    def open_store(self) -> None:
        """Nothing to show."""

    def on_bytes(self, n: int) -> None:
        """Nothing to show."""

    def enter_version(self, entry: VersionEntry, step: str) -> None:
        """Nothing to show."""

    def finish_version(self, result: "VersionResult") -> None:
        """Nothing to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a sync is asked to do, besides which sources to read.

    `model_name` is the registered model for all versions; '': one for each project, by its name.
    `all_projects` adds every project of the account and region to the sources; `scheduler` is the
    address of a Dask cluster whose workers read and compute, '' for this machine. With `custom`
    the one source is files of predictions of a model from anywhere. `model_uri` is the model that
    is registered for it, where it can be called. `begun_at` is when its runs say they were logged.
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
    model_uri: str = ""
    custom: CustomOptions | None = None
    options: Options = field(default_factory=Options)
    aws: AwsOptions = field(default_factory=AwsOptions)
    begun_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


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
    """What became of everything that was asked for. `tracking_uri` has no user or password."""

    tracking_uri: str
    projects: tuple[ProjectResult, ...]
    versions: tuple[VersionResult, ...]
    hints: tuple[str, ...] = ()

    @property
    def any_failed(self) -> bool:
        """Whether a version's evaluation could not be read, logged or registered."""
        return any(v.action == "failed" or v.unregistered for v in self.versions)


def build_sync_json(result: SyncResult) -> dict[str, Json]:
    """The stable JSON form of a sync's result."""
    return {
        "tracking_uri": result.tracking_uri,
        "projects": [
            {
                "project_arn": project.project.arn,
                "experiment": project.experiment,
                "experiment_id": project.experiment_id,
                "links": asdict(project.links),
            }
            for project in result.projects
        ],
        "versions": [build_version_result(version) for version in result.versions],
    }


def build_version_result(result: VersionResult) -> dict[str, Json]:
    """What became of one version, as `build_sync_json` has it."""
    version, run, model = result.entry.version, result.run, result.model
    return {
        "project_arn": version.project.arn,
        "version": version.name,
        "version_arn": version.arn,
        "action": result.action,
        "run_id": run.run_id if run else None,
        "experiment_id": result.experiment_id or None,
        "task": run.tags.get("task") if run else None,
        "reason": result.unregistered or result.reason or None,
        "model": {"name": model.name, "version": model.number} if model else None,
        "doubts": [build_doubt_json(doubt) for doubt in result.doubts],
        "warnings": list(result.warnings),
    }


LOGGED = frozenset({"created", "unchanged", "replaced"})

MAX_NAMES = 5
MAX_LINKED_PROJECTS = 3


def check_registry(store: Store, name: str, model_uri: str = "") -> None:
    """Find out before anything is logged whether versions can be registered.

    Raises:
        TrackingError: The store has no model registry, or it does not answer.
        UsageError: The store does not take such names, or there is no such model.
    """
    registry = Registry(store)
    registry.check_name(name)
    registry.check()
    if model_uri:
        find_own_model(registry, model_uri)


def register_results(
    store: Store, results: Sequence[VersionResult], name: str = "", model_uri: str = ""
) -> tuple[tuple[VersionResult, ...], tuple[str, ...]]:
    """Every logged version with its model version, and hints about aliases that were left behind.

    Registers in the order of training, so that model versions are numbered by age. What cannot be
    registered says why in its result and stops no other.
    """
    registry = Registry(store)
    own = find_own_model(registry, model_uri) if model_uri else None
    registered: dict[str, VersionResult] = {}
    hints: list[str] = []
    logged = [result for result in results if result.run is not None and result.action in LOGGED]
    for project in dict.fromkeys(result.entry.version.project for result in logged):
        of_project = [result for result in logged if result.entry.version.project == project]
        try:
            done = _register_project(registry, project, of_project, name, own)
        except MlrekError as exc:
            done = [replace(result, unregistered=str(exc)) for result in of_project]
        registered |= {result.entry.version.arn: result for result in done}
        hints += _find_left_aliases(registry, done)
    return tuple(registered.get(r.entry.version.arn, r) for r in results), tuple(hints)


def _register_project(
    registry: Registry,
    project: Project,
    results: Sequence[VersionResult],
    name: str,
    own: OwnModel | None,
) -> list[VersionResult]:
    name = registry.choose_name(project, name)
    registry.open_model(name, project)
    known = registry.list_versions(name)
    runs = {run.run_id: run for run in (result.run for result in results) if run is not None}
    places = {run.run_id: i for i, run in enumerate(sorted(runs.values(), key=order_by_age))}
    by_age = sorted(results, key=lambda result: places[result.run.run_id] if result.run else -1)
    return [_register(registry, name, result, known, own) for result in by_age]


def _register(
    registry: Registry,
    name: str,
    result: VersionResult,
    known: Sequence[ModelVersion],
    own: OwnModel | None,
) -> VersionResult:
    if result.run is None:
        return result
    try:
        run, model = register_run(registry, name, result.run, known, own)
    except MlrekError as exc:
        return replace(result, unregistered=str(exc))
    return replace(result, run=run, model=model)


def _find_left_aliases(registry: Registry, results: Sequence[VersionResult]) -> Iterator[str]:
    """Aliases that stand for a model version whose run was replaced."""
    counting = {r.model.version_arn: r.model for r in results if r.model is not None}
    for name in dict.fromkeys(model.name for model in counting.values()):
        versions = registry.list_versions(name)
        for alias, number in registry.get_aliases(name).items():
            left = next((v for v in versions if v.number == number and v.is_superseded), None)
            new = counting.get(left.version_arn) if left else None
            if left and new:
                yield (
                    f"models:/{name}@{alias} still is version {number}, whose evaluation was "
                    f"replaced; the new one is {new.uri}. To move the alias: "
                    f"mlrek promote {new.uri} --policy FILE --alias {alias}"
                )


def list_sync_blocks(result: "SyncResult", *, wide: bool) -> Iterator[Block]:
    """The table of each project, then what did not work, then the registered models."""
    for project in result.projects:
        results = [r for r in result.versions if r.entry.version.project == project.project]
        yield from _list_project(project, results, wide=wide)
    yield from _list_unlogged(result.versions)
    yield from _list_models(result.versions)


def list_links(result: "SyncResult") -> Iterator[Line]:
    """Where to look; a local store first needs its pages served, which `mlrek ui` does.

    Of many projects only the page of all versions, a line each.
    """
    linked = [project for project in result.projects if project.runs and project.links.charts]
    if linked and is_local_store(result.tracking_uri):
        yield Line(f"Open MLflow with `{name_ui(result.tracking_uri)}`:")
    if len(linked) > MAX_LINKED_PROJECTS:
        width = max(len(project.experiment) for project in linked)
        for project in linked:
            page = project.links.project or project.links.charts
            yield Line(f"{project.experiment:{width}}  {page}")
        return
    for project in linked:
        yield Line(f"{project.experiment}:")
        yield from list_pages(project.links)


def list_pages(links: Links) -> Iterator[Line]:
    """A line for each page that is worth opening."""
    for title, link in (
        ("all versions", links.project),
        ("charts", links.charts),
        ("pictures", links.images),
        ("last two compared", links.compare_newest),
        ("newest report", links.report),
    ):
        if link:
            yield Line(f"  {title:17}  {link}")


def gather_warnings(versions: Sequence["VersionResult"]) -> Iterator[str]:
    """Each warning once, with the versions that it is about."""
    about: dict[str, list[str]] = {}
    several = len({version.entry.version.project for version in versions}) > 1
    for result in versions:
        version = result.entry.version
        name = f"{version.project.name}/{version.name}" if several else version.name
        for warning in result.warnings:
            about.setdefault(warning, []).append(name)
    for warning, names in about.items():
        shown = ", ".join(names[:MAX_NAMES]) + (" …" if len(names) > MAX_NAMES else "")
        yield f"{shown}: {warning}" if len(names) < len(versions) else f"all versions: {warning}"


def list_hints(result: "SyncResult") -> Iterator[str]:
    """What to do next about aliases left behind, and about tests that do not compare."""
    yield from result.hints
    split = [version for version in result.versions if AUTO_SPLIT in version.warnings]
    if split:
        run = split[0].run
        version = f"runs:/{run.run_id}" if run else "VERSION"
        names = ", ".join(version.entry.version.name for version in split[:MAX_NAMES])
        yield (
            "To compare versions whose test sets the service chose by itself, "
            f"test each of them on one fixed set ({names}{' …' * (len(split) > MAX_NAMES)}):"
        )
        yield f"  mlrek evaluate {version} --on MANIFEST --responses FILE"


def _list_project(
    project: "ProjectResult", results: Sequence["VersionResult"], *, wide: bool
) -> Iterator[Block]:
    yield Line(f"{project.project.name}  {project.project.arn}")
    yield Line(f"experiment {project.experiment}")
    yield Line()
    if not project.runs:
        return
    letters = test_set_letters(project.runs)
    first, second = HEADLINES[find_task(project.runs)][:2]
    changes = compute_changes(project.runs, f"aggregate/{first}")
    actions = {r.run.run_id: r.action for r in results if r.run is not None}
    main, numbers = name_metric(first), [name_metric(second), f"change in\n{name_metric(first)}"]
    numbers.append(_SERVICE_F1)
    rows = [
        [
            run.tags.get("version_name", ""),
            fmt_date(run.start_ms) if wide else "",
            letters.get(run.tags.get("test_set_digest", ""), ""),
            run.params.get("test_images", ""),
            fmt_with(
                run.metrics.get(f"aggregate/{first}"),
                run.metrics.get(f"interval/{first}_low"),
                run.metrics.get(f"interval/{first}_high"),
                ends=3 if wide else 2,
            ),
            fmt(run.metrics.get(f"aggregate/{second}")),
            fmt(changes.get(run.run_id), signed=True, undefined=""),
            fmt(run.metrics.get(SERVICE_F1)),
            actions.get(run.run_id, ""),
        ]
        for run in project.runs
    ]
    yield Table(
        ["version", "trained", "set", "images", f"{main} (95 %)", *numbers, ""],
        rows,
        numeric=frozenset(("images", *numbers)),
    ).without_empty(["trained", _SERVICE_F1])
    if len(letters) > 1:
        yield Line()
        yield Line("Test sets differ: numbers compare only between versions of the same set.")
    yield Line()


def _list_unlogged(versions: Sequence["VersionResult"]) -> Iterator[Line]:
    """Versions without a run: skipped, failed, or (in a dry run) not written."""
    unlogged = [r for r in versions if r.run is None or r.action == "failed"]
    for version in unlogged:
        reason = f": {version.reason}" if version.reason else ""
        yield Line(f"{version.action:8} {version.entry.version.name}{reason}")
    if unlogged:
        yield Line()


def _list_models(versions: Sequence["VersionResult"]) -> Iterator[Line]:
    """The registered models with the versions that stand for ours."""
    by_name: dict[str, list[str]] = {}
    for result in versions:
        if result.model is not None:
            said = f"{result.model.number} ({result.entry.version.name})"
            by_name.setdefault(result.model.name, []).append(said)
    for name, numbers in by_name.items():
        yield Line(f"registered models:/{name}: {', '.join(numbers)}")
    for result in versions:
        if result.unregistered:
            yield Line(f"not registered: {result.entry.version.name}: {result.unregistered}")
    if by_name or any(result.unregistered for result in versions):
        yield Line()


def name_ui(tracking_uri: str) -> str:
    """The command to type; the store is named where it would not be found without."""
    import mlflow

    is_found = mlflow.get_tracking_uri() == tracking_uri
    return "mlrek ui" if is_found else f"mlrek ui --tracking-uri {quote(tracking_uri)}"

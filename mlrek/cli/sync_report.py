"""What a person reads after a sync: the versions, what changed, where to look."""

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from mlrek.formatting import fmt, fmt_date, fmt_with
from mlrek.metrics.headlines import HEADLINES, SERVICE_F1, name_metric
from mlrek.sources.description import AUTO_SPLIT
from mlrek.tables.blocks import Block, Line, Table
from mlrek.tracking.links import is_local_store
from mlrek.tracking.notes import find_changes, find_task, test_set_letters

if TYPE_CHECKING:
    from mlrek.results import ProjectResult, SyncResult, VersionResult

MAX_NAMES = 5


def list_blocks(result: "SyncResult", *, wide: bool) -> Iterator[Block]:
    """The table of each project, then what did not work, then the registered models."""
    for project in result.projects:
        results = [r for r in result.versions if r.entry.version.project == project.project]
        yield from _list_project(project, results, wide=wide)
    yield from _list_unlogged(result.versions)
    yield from _list_models(result.versions)


def list_links(result: "SyncResult") -> Iterator[Line]:
    """Where to look; a local store first needs its pages served, which `mlrek ui` does."""
    linked = [project for project in result.projects if project.runs and project.links.charts]
    if linked and is_local_store(result.tracking_uri):
        yield Line(f"Open MLflow with `{_name_ui(result.tracking_uri)}`:")
    for project in linked:
        yield Line(f"{project.experiment}:")
        for title in ("charts", "compare", "images"):
            if link := getattr(project.links, title):
                yield Line(f"  {title:8} {link}")


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
    changes = find_changes(project.runs, f"aggregate/{first}")
    actions = {r.run.run_id: r.action for r in results if r.run is not None}
    main, numbers = name_metric(first), [name_metric(second), f"change in\n{name_metric(first)}"]
    numbers.append("service\nF1")
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
    ).without_empty(["trained"])
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


def _name_ui(tracking_uri: str) -> str:
    """The command to type; the store is named where it would not be found without."""
    import mlflow

    is_found = mlflow.get_tracking_uri() == tracking_uri
    return "mlrek ui" if is_found else f"mlrek ui --tracking-uri {quote(tracking_uri)}"

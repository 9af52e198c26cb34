"""What a person reads after a sync: the versions, what changed, where to look."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from mlrek.cli.output import Output
from mlrek.formatting import fmt, fmt_with

if TYPE_CHECKING:
    from mlrek.results import ProjectResult, SyncResult, VersionResult
    from mlrek.tracking.runs import LoggedRun


WIDE = 92
"""Columns of a terminal from which on the training's date has room."""
MAX_NAMES = 5


def print_report(result: "SyncResult", output: Output) -> None:
    """The table of each project, then what did not work, then the links."""
    for project in result.projects:
        results = [r for r in result.versions if r.entry.version.project == project.project]
        _print_project(project, results, output)
    _print_unlogged(result, output)
    _print_models(result.versions, output)
    output.warn(_gather_warnings(result.versions))
    _print_links(result, output)


def _print_project(
    project: "ProjectResult", results: Sequence["VersionResult"], output: Output
) -> None:
    from mlrek.metrics.headlines import HEADLINES, name_metric
    from mlrek.tracking.notes import find_task, test_set_letters

    output.line(f"{project.project.name}  {project.project.arn}")
    output.line(f"experiment {project.experiment}")
    output.line()
    if not project.runs:
        return
    letters = test_set_letters(project.runs)
    actions = {r.run.run_id: r.action for r in results if r.run is not None}
    first, second = HEADLINES[find_task(project.runs)][:2]
    numbers = (name_metric(second), f"change in\n{name_metric(first)}", "service\nF1")
    columns = ["version", "trained", "set", "images", f"{name_metric(first)} (95 %)", *numbers, ""]
    wide = output.width >= WIDE
    rows = _rows(project.runs, (first, second), letters, actions, digits=3 if wide else 2)
    if not wide:
        columns, rows = _without(1, columns), (_without(1, row) for row in rows)
    output.table(columns, rows, numeric=frozenset(("images", *numbers)))
    if len(letters) > 1:
        output.line()
        output.line("Test sets differ: numbers compare only between versions of the same set.")
    output.line()


def _rows(
    runs: Sequence["LoggedRun"],
    headlines: tuple[str, str],
    letters: dict[str, str],
    actions: dict[str, str],
    *,
    digits: int,
) -> Iterator[list[str]]:
    from mlrek.metrics.headlines import SERVICE_F1
    from mlrek.tracking.notes import find_changes

    first, second = headlines
    changes = find_changes(runs, f"aggregate/{first}")
    for run in runs:
        low, high = (run.metrics.get(f"interval/{first}_{end}") for end in ("low", "high"))
        yield [
            run.tags.get("version_name", ""),
            datetime.fromtimestamp(run.start_ms / 1000, UTC).date().isoformat(),
            letters.get(run.tags.get("test_set_digest", ""), ""),
            run.params.get("test_images", ""),
            fmt_with(run.metrics.get(f"aggregate/{first}"), low, high, ends=digits),
            fmt(run.metrics.get(f"aggregate/{second}")),
            fmt(changes.get(run.run_id), signed=True, undefined=""),
            fmt(run.metrics.get(SERVICE_F1)),
            actions.get(run.run_id, ""),
        ]


def _without(place: int, cells: list[str]) -> list[str]:
    return cells[:place] + cells[place + 1 :]


def _print_unlogged(result: "SyncResult", output: Output) -> None:
    """Versions without a run: skipped, failed, or (in a dry run) not written."""
    unlogged = [r for r in result.versions if r.run is None or r.action == "failed"]
    for version in unlogged:
        reason = f": {version.reason}" if version.reason else ""
        output.line(f"{version.action:8} {version.entry.version.name}{reason}")
    if unlogged:
        output.line()


def _print_models(versions: Sequence["VersionResult"], output: Output) -> None:
    """The registered models with the versions that stand for ours."""
    by_name: dict[str, list[str]] = {}
    for result in versions:
        if result.model is not None:
            said = f"{result.model.number} ({result.entry.version.name})"
            by_name.setdefault(result.model.name, []).append(said)
    for name, numbers in by_name.items():
        output.line(f"registered models:/{name}: {', '.join(numbers)}")
    for result in versions:
        if result.unregistered:
            output.line(f"not registered: {result.entry.version.name}: {result.unregistered}")
    if by_name or any(result.unregistered for result in versions):
        output.line()


def print_hints(result: "SyncResult", output: Output) -> None:
    """What to do next about aliases left behind, and about tests that do not compare."""
    from mlrek.sources.description import AUTO_SPLIT

    for hint in result.hints:
        output.hint(hint)
    split = [version for version in result.versions if AUTO_SPLIT in version.warnings]
    if split:
        run = split[0].run
        version = f"runs:/{run.run_id}" if run else "VERSION"
        names = ", ".join(version.entry.version.name for version in split[:MAX_NAMES])
        output.hint(
            "To compare versions whose test sets the service chose by itself, "
            f"test each of them on one fixed set ({names}{' …' * (len(split) > MAX_NAMES)}):"
        )
        output.hint(f"  mlrek evaluate {version} --on MANIFEST --responses FILE")


def _print_links(result: "SyncResult", output: Output) -> None:
    """Where to look; a local store first needs its pages served, which `mlrek ui` does."""
    from mlrek.tracking.links import is_local_store

    linked = [project for project in result.projects if project.runs and project.links.charts]
    if linked and is_local_store(result.tracking_uri):
        output.line(f"Open MLflow with `{_describe_ui(result.tracking_uri)}`:")
    for project in linked:
        _print_project_links(project, output)


def _describe_ui(tracking_uri: str) -> str:
    """The command to type; the store is named where it would not be found without."""
    import mlflow

    is_found = mlflow.get_tracking_uri() == tracking_uri
    return "mlrek ui" if is_found else f"mlrek ui --tracking-uri {quote(tracking_uri)}"


def _print_project_links(project: "ProjectResult", output: Output) -> None:
    links = project.links
    output.line(f"{project.experiment}:")
    for title, link in (
        ("charts", links.charts),
        ("compare", links.compare),
        ("images", links.images),
    ):
        if link:
            output.line(f"  {title:8} {link}")


def _gather_warnings(versions: Sequence["VersionResult"]) -> Iterator[str]:
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

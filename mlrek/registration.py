"""Registering what a sync logged: the runs that count -> versions of registered models."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mlrek.errors import MlrekError
from mlrek.evaluation import Project
from mlrek.registry.door import Registry
from mlrek.registry.registering import register_run
from mlrek.registry.versions import ModelVersion
from mlrek.results import VersionResult
from mlrek.tracking.store import Store

LOGGED = frozenset({"created", "unchanged", "replaced"})


def check_registry(store: Store, name: str) -> None:
    """Find out before anything is logged whether versions can be registered.

    Raises:
        TrackingError: The store has no model registry, or it does not answer.
        UsageError: The store does not take such names.
    """
    registry = Registry(store)
    registry.check_name(name)
    registry.check()


def register_results(
    store: Store, results: Sequence[VersionResult], name: str = ""
) -> tuple[tuple[VersionResult, ...], tuple[str, ...]]:
    """Every logged version with its model version, and hints about aliases that were left behind.

    Registers in the order of training, so that model versions are numbered by age. What cannot be
    registered says why in its result and stops no other.
    """
    registry = Registry(store)
    registered: dict[str, VersionResult] = {}
    hints: list[str] = []
    logged = [result for result in results if result.run is not None and result.action in LOGGED]
    for project in dict.fromkeys(result.entry.version.project for result in logged):
        own = [result for result in logged if result.entry.version.project == project]
        try:
            done = _register_project(registry, project, own, name)
        except MlrekError as exc:
            done = [replace(result, unregistered=str(exc)) for result in own]
        registered |= {result.entry.version.arn: result for result in done}
        hints += _find_left_aliases(registry, done)
    return tuple(registered.get(r.entry.version.arn, r) for r in results), tuple(hints)


def _register_project(
    registry: Registry, project: Project, results: Sequence[VersionResult], name: str
) -> list[VersionResult]:
    name = registry.choose_name(project, name)
    registry.open_model(name, project)
    known = registry.list_versions(name)
    by_age = sorted(results, key=lambda result: result.run.start_ms if result.run else 0)
    return [_register(registry, name, result, known) for result in by_age]


def _register(
    registry: Registry, name: str, result: VersionResult, known: Sequence[ModelVersion]
) -> VersionResult:
    if result.run is None:
        return result
    try:
        run, model = register_run(registry, name, result.run, known)
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

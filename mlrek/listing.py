"""What there is to sync: the versions of a source with what is known before any image is read."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mlrek.errors import SourceError
from mlrek.formats.doubts import keep_possible
from mlrek.identity import is_same_project
from mlrek.sources import AwsOptions, open_source
from mlrek.sources.catalogue import Source, VersionEntry
from mlrek.tracking.runs import LoggedRun, current_runs
from mlrek.tracking.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVersion:
    """One row of `mlrek versions`. `evaluation` is `yes`, or why there is none to read."""

    entry: VersionEntry
    evaluation: str
    test_images: int | None
    reported_f1: float | None
    run: LoggedRun | None


def list_versions(
    text: str, aws: AwsOptions, store: Store | None, experiment: str = ""
) -> tuple[ListedVersion, ...]:
    """The versions of a source, each with its run if it is logged.

    Raises:
        SourceError: The source cannot be listed.
    """
    source = open_source(text, aws)
    entries = source.list_versions()
    runs = _find_runs(entries, store, experiment)
    return tuple(_list_version(source, entry, runs.get(entry.version.arn)) for entry in entries)


def _list_version(source: Source, entry: VersionEntry, run: LoggedRun | None) -> ListedVersion:
    test_images, evaluation = None, entry.skipped or entry.refused or "yes"
    if evaluation == "yes":
        try:
            test_images = source.read_test_images(entry)
        except SourceError as exc:
            evaluation = exc.reason
    entry = replace(entry, reported=keep_possible(entry.reported))
    return ListedVersion(
        entry=entry,
        evaluation=evaluation,
        test_images=test_images,
        reported_f1=entry.reported.get("f1"),
        run=run,
    )


def _find_runs(
    entries: Iterable[VersionEntry], store: Store | None, experiment: str
) -> dict[str, LoggedRun]:
    """The run that counts of each version; no store, or no experiment yet: none."""
    if store is None:
        return {}
    found: dict[str, LoggedRun] = {}
    for project in dict.fromkeys(entry.version.project for entry in entries):
        place = store.find_experiment(project, experiment)
        if place is not None:
            listed = store.list_version_runs(place.experiment_id)
            runs = [run for run in listed if is_same_project(run.project_arn, project.arn)]
            found |= {run.version_arn: run for run in current_runs(runs)}
    return found

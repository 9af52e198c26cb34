"""What there is to look at: the versions of a source, and MLflow's pages of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlrek.errors import MlrekError, SourceError, TrackingError
from mlrek.formats.doubts import keep_possible
from mlrek.metrics.test_set import is_same_project
from mlrek.render.project_page import PROJECT_PAGE
from mlrek.sources import AwsOptions, open_source
from mlrek.sources.entries import Source, VersionEntry
from mlrek.text import join_said, say_nearest
from mlrek.tracking import LoggedRun, current_runs, find_page_run
from mlrek.tracking.links import VIEW_TAGS, Links, build_artifact_link, build_links
from mlrek.tracking.store import Store
from mlrek.tracking.view import find_main_pictures

if TYPE_CHECKING:
    from mlflow.entities import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVersion:
    """One row of `mlrek versions`. `evaluation` is `yes`, or why there is none to read."""

    entry: VersionEntry
    evaluation: str
    test_images: int | None
    reported_f1: float | None
    run: LoggedRun | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An experiment, and what its links need besides the address of the server.

    `holder_id` is the run that has the page of all versions, '' where none has.
    """

    experiment: str
    experiment_id: str
    run_ids: tuple[str, ...]
    views: frozenset[str]
    picture: str
    workspace: str = ""
    holder_id: str = ""

    def build_links(self, address: str) -> Links:
        """The links to the pages of a server."""
        links = build_links(
            address,
            self.experiment_id,
            self.run_ids,
            views=self.views,
            picture=self.picture,
            workspace=self.workspace,
        )
        if not self.holder_id:
            return links
        place = (self.experiment_id, self.holder_id, PROJECT_PAGE, self.workspace)
        return replace(links, project=build_artifact_link(address, *place))


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


def find_page(store: Store, text: str, aws: AwsOptions) -> Page:
    """The experiment that a name, an ARN or a source means; '' is that of the version logged last.

    Raises:
        TrackingError: There is none.
    """
    experiments = store.list_experiments()
    if not experiments:
        raise TrackingError(f"{store.tracking_uri}: nothing is logged yet: mlrek sync SOURCE")
    experiment = _choose(experiments, text, aws) if text else _find_newest(store, experiments)
    if experiment is None:
        known = say_nearest(text, (e.name for e in experiments), shared="mlrek/")
        raise TrackingError(
            join_said(f"{text}: not logged here", known, f"or log it: mlrek sync {text}")
        )
    runs = current_runs(store.list_runs(experiment.experiment_id, {"mlrek.complete": "true"}))
    holder = find_page_run(runs)
    return Page(
        experiment=experiment.name,
        experiment_id=experiment.experiment_id,
        run_ids=tuple(run.run_id for run in runs),
        views=VIEW_TAGS & experiment.tags.keys(),
        picture=next(iter(find_main_pictures(runs)), ""),
        workspace=store.workspace,
        holder_id=holder.run_id if holder else "",
    )


def _find_newest(store: Store, experiments: "tuple[Experiment, ...]") -> "Experiment":
    """The one whose version was logged last; of one sync's, that with the newest training.

    When an experiment itself was written to tells less: a sync ends with notes, by the alphabet.
    """
    place = store.find_newest_place([experiment.experiment_id for experiment in experiments])
    return next((e for e in experiments if e.experiment_id == place), experiments[0])


def _choose(
    experiments: "tuple[Experiment, ...]", text: str, aws: AwsOptions
) -> "Experiment | None":
    """By its own name, its project's name or ARN, else by the project of the source."""
    for experiment in experiments:
        if experiment.name == text:
            return experiment
    for experiment in experiments:
        project = (experiment.tags.get("project_arn", ""), experiment.tags.get("project_name", ""))
        if text in project:
            return experiment
    try:
        arns = {entry.version.project.arn for entry in open_source(text, aws).list_versions()}
    except MlrekError:
        return None
    return next((e for e in experiments if e.tags.get("project_arn") in arns), None)

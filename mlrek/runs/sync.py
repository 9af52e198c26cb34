"""Runs `mlrek sync`: read, compute, draw, log, one version after the other or several at once."""

import logging
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mlrek.errors import MlrekError, SourceError, SourceNotFoundError, TrackingError, UsageError
from mlrek.evaluation import Project, Provider, Version
from mlrek.metrics.drawn_labels import count_shown
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.metrics.test_set import is_fuller, is_same_project
from mlrek.render.project_data import HeldNumbers, parse_held
from mlrek.render.project_page import PROJECT_PAGE
from mlrek.runs.drawn import (
    DrawnLabels,
    ProjectPlace,
    count_logged_labels,
    find_age,
    plan_drawn,
    say_drawn_otherwise,
)
from mlrek.runs.log import (
    RUN_VARIABLE,
    Logged,
    Target,
    choose_experiment,
    clean_up,
    find_kept,
    find_logged_version,
    keep,
    log_run,
    mark_project_run,
    retire_others,
    write_overview,
)
from mlrek.runs.results import Progress, ProjectResult, SyncOptions, SyncResult, VersionResult
from mlrek.runs.workers import Work, Workers, count_bytes
from mlrek.sources import FILE_FORMATS, open_all_projects, open_predictions, open_source
from mlrek.sources.aws import AwsClients
from mlrek.sources.custom import CustomOptions, is_made_up
from mlrek.sources.entries import Source, VersionEntry
from mlrek.sources.rekognition_now import ANY_VERSION
from mlrek.sources.slices import read_slices_state
from mlrek.sources.storage import path_exists
from mlrek.text import hide_secrets, say_nearest
from mlrek.tracking import DOCUMENT, LoggedRun, current_runs, find_page_run, read_doubts
from mlrek.tracking.connection import connect, connect_existing
from mlrek.tracking.database import is_fresh
from mlrek.tracking.description import (
    LOG_CHANGES,
    Options,
    RunDescription,
    describe_state,
    mark_state,
    read_earlier,
)
from mlrek.tracking.drawn import read_drawn
from mlrek.tracking.links import VIEW_TAGS, Links, build_artifact_link, build_links
from mlrek.tracking.store import Store
from mlrek.tracking.translation import hide_userinfo
from mlrek.tracking.view import find_main_pictures

if TYPE_CHECKING:
    from mlflow.entities import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a project's runs are and which there are, or why they cannot be there.

    `neighbours` are all runs of versions in that experiment, also of other projects; `tags` are the
    experiment's.
    """

    experiment_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[LoggedRun, ...] = ()
    neighbours: tuple[LoggedRun, ...] = ()
    trouble: TrackingError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One version to bring up to date: everything needed, nothing of another version."""

    source: Source
    entry: VersionEntry
    store: Store | None
    place: _Place
    target: Target


_Prepared: TypeAlias = dict[str, tuple[Work, int]]
"""By version ARN: what its worker was given, and the bytes that it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    """What all jobs of a sync share. `store` is there to be read also in a dry run.

    `fresh` gathers, by run id, what was just logged: the page of a project shows it.
    """

    store: Store | None
    workers: Workers
    progress: Progress
    prepared: _Prepared
    fresh: dict[str, HeldNumbers]
    drawn: Mapping[Project, DrawnLabels]


def list_entries(
    sources: Iterable[Source], names: Sequence[str] = ()
) -> list[tuple[Source, VersionEntry]]:
    """Every version of the sources, each once; `names` keeps only versions so named.

    What stands for a project or source that cannot be listed stays: such a version may be there.

    Raises:
        SourceError: No source can be listed.
        UsageError: A name is not there, or nobody said whose predictions a file holds.
    """
    found: dict[str, tuple[Source, VersionEntry]] = {}
    failed: list[SourceError] = []
    for source in sources:
        try:
            entries = source.list_versions()
        except SourceError as exc:
            failed.append(exc)
            entries = [_stand_for(source, exc)]
        for entry in entries:
            found.setdefault(entry.version.arn, (source, entry))
    if failed and len(found) == len(failed):
        raise failed[0]
    _check_named(found.values())
    known = [entry.version.name for _, entry in found.values() if not entry.is_unlisted]
    all_listed = len(known) == len(found)
    if all_listed and (missing := [name for name in names if name not in known]):
        raise UsageError(
            f"no version is named {', '.join(map(repr, missing))}; {say_nearest(missing[0], known)}"
        )
    return [
        (source, entry)
        for source, entry in found.values()
        if not names or entry.is_unlisted or entry.version.name in names
    ]


def _stand_for(source: Source, error: SourceError) -> VersionEntry:
    """One result for all versions of a source that cannot be listed while others can."""
    project = Project(provider=Provider.REKOGNITION, arn=source.uri, name=source.uri)
    version = Version(project=project, arn=source.uri, name=ANY_VERSION)
    return VersionEntry(version=version, refused=str(error))


def sync_sources(
    sources: Sequence[str],
    tracking_uri: str,
    options: SyncOptions,
    progress: Progress,
    *,
    environ: Mapping[str, str],
) -> SyncResult:
    """Bring MLflow up to date: one complete run for each version that has an evaluation.

    A version that fails does not stop the others; its result says why.

    Raises:
        SourceError: A source cannot be listed at all.
        TrackingError: MLflow cannot be reached or refuses.
        UsageError: A source or version that was named does not exist.
    """
    read_slices_state(options.options.slicing, AwsClients(options.aws))  # refuses what is not there
    if options.scheduler:
        options = _resolve_table(options)
    opened = _open_sources(sources, options)
    return sync_opened(opened, tracking_uri, options, progress, environ=environ)


def sync_opened(
    sources: Iterable[Source],
    tracking_uri: str,
    options: SyncOptions,
    progress: Progress,
    *,
    environ: Mapping[str, str],
) -> SyncResult:
    """Like `sync_sources`, of sources that are open."""
    with Workers(options.jobs, options.scheduler) as workers:
        entries = list_entries(sources, options.versions)
        if options.model_uri and len(entries) != 1:
            raise UsageError(
                f"--model-uri is the model of one version, and these are {len(entries)}: name it "
                "with --version"
            )
        progress.start(len(entries))
        workers.expect(sum(not (entry.skipped or entry.refused) for _, entry in entries))
        with ThreadPoolExecutor(max_workers=1) as ahead:  # MLflow takes seconds to import
            unlogged = entries if is_fresh(tracking_uri, environ) else []
            begun = ahead.submit(_begin, unlogged, options, workers)
            store = _open_store(tracking_uri, options, progress)
        if store is not None and options.register:
            from mlrek.runs.results import check_registry

            check_registry(store, options.model_name, options.model_uri)
        experiment = choose_experiment(options.experiment, store, environ)
        options = replace(options, experiment=experiment)
        if store is not None and options.custom is not None:
            entries, options = _join_project(entries, store, options)
        jobs = _plan(entries, store, options)
        tools = _Tools(
            store=store,
            workers=workers,
            progress=progress,
            prepared=begun.result(),
            fresh={},
            drawn=_plan_drawn(jobs, store, options),
        )
        results = _run_jobs(jobs, options, tools)
    projects, troubles = _finish_projects(
        store, jobs, results, tools.fresh, writes=not options.dry_run
    )
    versions = _name_runs_that_count(results, projects)
    hints: tuple[str, ...] = ()
    if store is not None and options.register and not options.dry_run:
        from mlrek.runs.results import register_results

        versions, hints = register_results(store, versions, options.model_name, options.model_uri)
    result = SyncResult(
        tracking_uri=hide_userinfo(store.tracking_uri if store else tracking_uri),
        projects=projects,
        versions=versions,
        hints=(*_say_upgrade(jobs, versions), *troubles, *hints),
    )
    if store and not options.dry_run and (around := environ.get(RUN_VARIABLE)):
        mark_project_run(store, around, _say_result(result))
    return result


def _open_store(tracking_uri: str, options: SyncOptions, progress: Progress) -> Store | None:
    store = connect_existing(tracking_uri) if options.dry_run else connect(tracking_uri)
    progress.open_store()
    return store


def _open_sources(sources: Sequence[str], options: SyncOptions) -> Iterator[Source]:
    """Those that are named, then every project of the account where all are asked for."""
    far = bool(options.scheduler)  # workers are at home in other folders
    for text in sources:
        place = _resolve(text) if far else text
        if options.custom is None:
            yield open_source(place, options.aws)
        else:
            custom = _resolve_places(options.custom) if far else options.custom
            yield open_predictions(place, custom, options.aws)
    if options.all_projects:
        yield from open_all_projects(options.aws)


def _join_project(
    entries: Sequence[tuple[Source, VersionEntry]], store: Store, options: SyncOptions
) -> tuple[list[tuple[Source, VersionEntry]], SyncOptions]:
    """A model from anywhere, in the experiment that its project has, under the name known there.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    ((source, entry),) = entries
    project = entry.version.project
    found = store.find_experiment(project, options.experiment)
    own = [e for e in store.list_experiments() if e.tags.get("project_arn") == project.arn]
    if found is None and own:
        found = own[0]
    if found is None or found.tags.get("project_arn") != project.arn:
        return [(source, entry)], options
    named = replace(project, name=found.tags.get("project_name") or project.name)
    entry = replace(entry, version=replace(entry.version, project=named))
    return [(source, entry)], replace(options, experiment=options.experiment or found.name)


def _resolve(place: str) -> str:
    return str(Path(place).resolve()) if place and path_exists(place) else place


def _resolve_table(options: SyncOptions) -> SyncOptions:
    """The options with a place of the table of images that workers elsewhere know."""
    slicing = replace(options.options.slicing, table=_resolve(options.options.slicing.table))
    return replace(options, options=replace(options.options, slicing=slicing))


def _resolve_places(custom: CustomOptions) -> CustomOptions:
    return replace(
        custom,
        truth=_resolve(custom.truth),
        thresholds=_resolve(custom.thresholds),
        label_map=_resolve(custom.label_map),
    )


def _check_named(entries: Iterable[tuple[Source, VersionEntry]]) -> None:
    """Refuse to log predictions of which nobody said whose they are.

    Raises:
        UsageError: There are some.
    """
    for source, entry in entries:
        if is_made_up(entry.version):
            raise UsageError(
                f"{source.uri}: whose predictions are they? name the model with --project ARN or "
                "NAME and --version NAME"
            )


def _plan(
    entries: Sequence[tuple[Source, VersionEntry]], store: Store | None, options: SyncOptions
) -> list[_Job]:
    """A job for each version, with the runs that its experiment holds of it already."""
    entries = _unify_projects(_recognise(entries, store), store, options)
    by_project: dict[Project, list[VersionEntry]] = {}
    for _, entry in entries:
        by_project.setdefault(entry.version.project, []).append(entry)
    listed: dict[str, tuple[LoggedRun, ...]] = {}
    places = {
        project: _open_place(project, by_project[project], store, options, listed)
        for project in by_project
    }
    troubles = [place.trouble for place in places.values() if place.trouble]
    if troubles and len(troubles) == len(places):
        raise troubles[0]
    written = None if options.dry_run else store
    runs = {project: _group_by_version(place.runs) for project, place in places.items()}
    return [
        _Job(
            source=source,
            entry=entry,
            store=written,
            place=(place := places[entry.version.project]),
            target=Target(
                experiment_id=place.experiment_id,
                runs=tuple(runs[entry.version.project].get(entry.version.arn, ())),
                force=options.force,
            ),
        )
        for source, entry in entries
    ]


def _group_by_version(runs: Iterable[LoggedRun]) -> dict[str, list[LoggedRun]]:
    """The runs of each version by its ARN, in their order."""
    groups: dict[str, list[LoggedRun]] = {}
    for run in runs:
        groups.setdefault(run.version_arn, []).append(run)
    return groups


def _recognise(
    entries: Sequence[tuple[Source, VersionEntry]], store: Store | None
) -> list[tuple[Source, VersionEntry]]:
    """The same entries; one that cannot be read under the ARN that it was logged by before."""
    known = []
    for source, entry in entries:
        version = entry.version
        if store is not None and entry.refused:
            with suppress(TrackingError):  # it comes again where the project's runs are listed
                version = find_logged_version(store, version)
        known.append((source, replace(entry, version=version)))
    return known


def _unify_projects(
    entries: Sequence[tuple[Source, VersionEntry]], store: Store | None, options: SyncOptions
) -> list[tuple[Source, VersionEntry]]:
    """The same entries, those of a project whose number is unknown with the ARN that has it.

    Files from a console do not tell the number; an archive, the service or an earlier run do.
    """
    projects = {entry.version.project for _, entry in entries}
    fuller = {}
    for project in projects:
        arns = {other.arn for other in projects if is_fuller(other.arn, project.arn)}
        if not arns and store is not None and project.arn.startswith("arn:"):
            with suppress(TrackingError):  # it comes again where the project's runs are listed
                experiment = store.find_experiment(project, options.experiment)
                arn = experiment.tags.get("project_arn", "") if experiment else ""
                arns = {arn} if is_fuller(arn, project.arn) else set()
        if len(arns) == 1:
            fuller[project] = replace(project, arn=arns.pop())
    return [
        (source, replace(entry, version=replace(entry.version, project=fuller[project])))
        if (project := entry.version.project) in fuller
        else (source, entry)
        for source, entry in entries
    ]


def _write_fuller_arn(
    store: Store, experiment: "Experiment", project: Project, runs: Sequence[LoggedRun]
) -> None:
    """Give what was logged before the project's number was known the ARN that has it."""
    if is_fuller(project.arn, experiment.tags.get("project_arn", "")):
        store.set_experiment_tags(experiment, {"project_arn": project.arn})
    for run in runs:
        if is_fuller(project.arn, run.project_arn):
            store.set_run_tags(run.run_id, {"project_arn": project.arn})


def _open_place(
    project: Project,
    entries: Sequence[VersionEntry],
    store: Store | None,
    options: SyncOptions,
    listed: dict[str, tuple[LoggedRun, ...]],
) -> _Place:
    """The experiment of a project, made where there is something to log, and what it holds.

    `listed` are the runs of experiments that were asked for already.
    """
    if store is None:
        return _Place()
    logs = not options.dry_run and any(not (entry.skipped or entry.refused) for entry in entries)
    try:
        experiment = store.find_experiment(project, options.experiment)
        if experiment is None and logs:
            experiment = store.get_or_create_experiment(project, options.experiment)
        if experiment is None:
            return _Place()
        place = experiment.experiment_id
        if place not in listed:
            listed[place] = store.list_version_runs(place)
    except TrackingError as exc:
        return _Place(trouble=exc)
    own = tuple(run for run in listed[place] if is_same_project(run.project_arn, project.arn))
    if not options.dry_run:
        _write_fuller_arn(store, experiment, project, own)
    return _Place(experiment_id=place, tags=experiment.tags, runs=own, neighbours=listed[place])


def _begin(
    entries: Sequence[tuple[Source, VersionEntry]], options: SyncOptions, workers: Workers
) -> _Prepared:
    """Nothing is logged in a store that is not there yet: read while MLflow sets it up."""
    prepared: _Prepared = {}
    for source, entry in sorted(entries, key=lambda pair: find_age(pair[1].version)):
        if not (entry.skipped or entry.refused):
            with suppress(Exception):  # it comes again, as the version's result
                work, size = _prepare_work(source, entry, options, is_new=True)
                workers.begin(work, size=size)
                prepared[entry.version.arn] = work, size
    return prepared


def _run_jobs(
    jobs: Sequence[_Job], options: SyncOptions, tools: _Tools
) -> tuple[VersionResult, ...]:
    """All versions: threads ask and write, workers read and compute.

    The oldest version is the first: others may wait for what it says is to be drawn.
    """
    at_once = tools.workers.jobs
    order = sorted(range(len(jobs)), key=lambda i: find_age(jobs[i].entry.version))
    with ThreadPoolExecutor(max_workers=at_once + 1 if at_once > 1 else 1) as pool:
        sync = partial(_sync_version, options=options, tools=tools)
        done = dict(zip(order, pool.map(sync, [jobs[i] for i in order]), strict=True))
    return tuple(done[i] for i in range(len(jobs)))


def _plan_drawn(
    jobs: Sequence[_Job], store: Store | None, options: SyncOptions
) -> dict[Project, DrawnLabels]:
    """By project: which labels the matrices of its versions are drawn with."""
    by_project: dict[Project, list[_Job]] = {}
    for job in jobs:
        by_project.setdefault(job.entry.version.project, []).append(job)
    return {
        project: plan_drawn(
            store,
            ProjectPlace(
                project_arn=project.arn,
                experiment_id=own[0].place.experiment_id,
                tags=own[0].place.tags,
                runs=own[0].place.runs,
            ),
            [job.entry.version for job in own],
            options.options,
            writes=not options.dry_run,
        )
        for project, own in by_project.items()
    }


def _sync_version(job: _Job, *, options: SyncOptions, tools: _Tools) -> VersionResult:
    """One version, from its files to its run; whatever goes wrong is its result."""
    try:
        result = _update_version(job, options, tools)
    except MlrekError as exc:
        result = VersionResult(entry=job.entry, action="failed", reason=str(exc))
    except Exception as exc:  # noqa: BLE001 - whatever it is, it never stops the other versions
        result = VersionResult(entry=job.entry, action="failed", reason=_say_fault(exc))
    finally:
        tools.drawn[job.entry.version.project].pass_over(job.entry.version.arn)
    result = replace(result, experiment_id=job.place.experiment_id)
    tools.progress.finish_version(result)
    return result


def _say_fault(exc: Exception) -> str:
    """One line about what mlrek did not expect, without secrets; the traceback under --verbose."""
    logging.getLogger("mlrek").info("", exc_info=exc)
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    said = " ".join(str(exc).split())
    return hide_secrets(
        f"unexpected {type(exc).__name__}: {said}{place}; this is a fault of mlrek: please report "
        "it with what `mlrek sync … -v` prints"
    )


def _update_version(job: _Job, options: SyncOptions, tools: _Tools) -> VersionResult:
    entry, current = job.entry, job.target.current
    if entry.skipped:
        return VersionResult(entry=entry, action="skipped", reason=entry.skipped, run=current)
    if entry.refused:
        return VersionResult(entry=entry, action="failed", reason=entry.refused)
    if job.place.trouble:
        raise job.place.trouble
    tools.progress.enter_version(entry, "reading")
    prepared = tools.prepared.get(entry.version.arn)
    is_new = current is None
    work, size = prepared or _prepare_work(job.source, entry, options, is_new=is_new)
    drawn = tools.drawn[entry.version.project]
    if current and not options.force and _is_same_state(current, work, drawn.known):
        return _leave(job, keep(job.target, current))
    if current is not None:
        key = "" if options.force else current.evaluation_key
        work = replace(work, logged_key=key, earlier=read_earlier(job.store, current))
    try:
        description = tools.workers.describe(
            _draw_known(work, drawn.known),
            partial(_choose_drawn, drawn),
            size=size,
            on_bytes=tools.progress.on_bytes,
        )
    except SourceNotFoundError as exc:
        if current is None or options.force or not current.has_images:
            raise
        return _leave(job, keep(job.target, current, str(exc)))
    return _log(job, description, tools)


def _is_same_state(current: LoggedRun, work: Work, drawn_labels: tuple[str, ...]) -> bool:
    """Whether a run was made of the same files, and is drawn with the labels that it should be."""
    if not work.state:  # nobody had logged it a moment ago
        return False
    n_labels = count_logged_labels(current)
    if not drawn_labels and count_shown(n_labels, work.options.top_labels) < n_labels:
        return False
    return current.source_state == mark_state(work.state, n_labels, drawn_labels)


def _draw_known(work: Work, drawn_labels: tuple[str, ...]) -> Work:
    """The work with the labels of the project, where these are known."""
    if not drawn_labels:
        return work
    options = replace(work.options, drawn_labels=drawn_labels)
    return replace(work, options=options, is_drawn_known=True)


def _choose_drawn(drawn: DrawnLabels, work: Work, choice: tuple[str, ...]) -> Work:
    return _draw_known(work, drawn.choose(work.entry.version.arn, choice))


def _choose_options(entry: VersionEntry, options: Options) -> Options:
    """The options without a threshold that changes nothing here, and so makes no other run."""
    if FILE_FORMATS[entry.format].reads_threshold:
        return options
    return replace(options, threshold=DEFAULT_THRESHOLD)


def _prepare_work(
    source: Source, entry: VersionEntry, options: SyncOptions, *, is_new: bool
) -> tuple[Work, int]:
    """What a worker needs for a version, and the bytes that it will read.

    Of a new one no run tells whether it is unchanged: so its local files are read just once.
    """
    run_options = _choose_options(entry, options.options)
    size, state = source.count_local_bytes(entry) if is_new else None, ""
    if size is None:
        slices = read_slices_state(options.options.slicing, AwsClients(options.aws))
        files = {**source.read_state(entry), **slices}
        size, state = count_bytes(files), describe_state(files, run_options)
    work = Work(
        source=source,
        entry=entry,
        options=run_options,
        state=state,
        logged_at=options.begun_at,
        aws=options.aws,
        is_dry=options.dry_run,
        is_drawn_known=False,
    )
    return work, size


def _leave(job: _Job, kept: Logged) -> VersionResult:
    """Leave the run that counts, and no other of its version."""
    if job.store is not None:
        retire_others(job.store, job.target, kept.run)
    return _tell_kept(job, kept)


def _tell_kept(job: _Job, kept: Logged) -> VersionResult:
    said = (kept.kept,) if kept.kept else ()
    return VersionResult(
        entry=job.entry,
        action=kept.action,
        run=kept.run,
        warnings=(*said, *_warnings(kept.run.tags)),
        doubts=read_doubts(kept.run, job.store),
    )


def _log(job: _Job, description: RunDescription, tools: _Tools) -> VersionResult:
    """Log what was described, or leave the run that holds the same or knows more."""
    key = description.tags["mlrek.evaluation_key"]
    result = VersionResult(
        entry=job.entry,
        action=job.target.action,
        warnings=_warnings(description.tags),
        doubts=description.doubts,
    )
    if job.store is None:
        kept = find_kept(tools.store, job.target, key, description.knows)
        return _tell_kept(job, kept) if kept else result
    tools.progress.enter_version(job.entry, "logging")
    logged = log_run(
        job.store, job.target, key=key, knows=description.knows, describe=lambda: description
    )
    if logged.action == "unchanged":
        return _tell_kept(job, logged)
    tools.fresh[logged.run.run_id] = parse_held(description.files[DOCUMENT])
    return replace(result, run=logged.run, reason=logged.reason)


def _say_upgrade(jobs: Sequence[_Job], results: Sequence[VersionResult]) -> tuple[str, ...]:
    """What is said once, by the first sync after an update of mlrek that logs versions again."""
    pairs = zip(jobs, results, strict=True)
    again = [job for job, result in pairs if result.action == "replaced" and job.target.is_outdated]
    if not again:
        return ()
    versions = "1 version was" if len(again) == 1 else f"{len(again):,} versions were"
    said = (
        f"{versions} logged by an earlier mlrek and logged again, since what a run holds has "
        f"changed: {LOG_CHANGES}. A run that a registered version with an alias points to, or that "
        "a decision names, stays, marked as superseded."
    )
    return (said,)


def _finish_projects(
    store: Store | None,
    jobs: Sequence[_Job],
    results: Sequence[VersionResult],
    fresh: Mapping[str, HeldNumbers],
    *,
    writes: bool,
) -> tuple[tuple[ProjectResult, ...], tuple[str, ...]]:
    """What an experiment says of itself, and the links of each project; then what went wrong."""
    if store is None:
        return (), ()
    finished, troubles = [], []
    by_experiment: dict[str, dict[Project, _Place]] = {}
    for job in jobs:
        if job.place.experiment_id:
            places = by_experiment.setdefault(job.place.experiment_id, {})
            places[job.entry.version.project] = job.place
    changed = {
        result.experiment_id
        for result in results
        if result.run is not None and result.action in {"created", "replaced"}
    }
    for experiment_id, projects in by_experiment.items():
        neighbours = next(iter(projects.values())).neighbours
        if experiment_id in changed:
            neighbours = store.list_version_runs(experiment_id)
        experiment = store.get_experiment(experiment_id)
        if writes:
            for project in projects:
                neighbours, trouble = _write_page(store, experiment, project, neighbours, fresh)
                troubles += trouble
        complete = [run for run in neighbours if run.is_complete]
        if writes:
            clean_up(store, experiment_id, neighbours)
            write_overview(store, experiment, complete, is_changed=experiment_id in changed)
        views = VIEW_TAGS if writes and complete else VIEW_TAGS & experiment.tags.keys()
        for project in projects:
            runs = current_runs(
                run for run in complete if is_same_project(run.project_arn, project.arn)
            )
            troubles += say_drawn_otherwise(runs, read_drawn(experiment.tags, project.arn))
            finished.append(
                ProjectResult(
                    project=project,
                    experiment=experiment.name,
                    experiment_id=experiment_id,
                    links=_build_links(store, experiment_id, runs, views),
                    runs=runs,
                )
            )
    return tuple(finished), tuple(troubles)


def _build_links(
    store: Store, experiment_id: str, runs: Sequence[LoggedRun], views: Collection[str]
) -> Links:
    page_run = find_page_run(runs)
    place = (store.tracking_uri, experiment_id)
    links = build_links(
        *place,
        [run.run_id for run in runs],
        views=views,
        picture=next(iter(find_main_pictures(runs)), ""),
        workspace=store.workspace,
    )
    if page_run is None:
        return links
    page = build_artifact_link(*place, page_run.run_id, PROJECT_PAGE, store.workspace)
    return replace(links, project=page)


def _write_page(
    store: Store,
    experiment: "Experiment",
    project: Project,
    neighbours: Sequence[LoggedRun],
    fresh: Mapping[str, HeldNumbers],
) -> tuple[tuple[LoggedRun, ...], list[str]]:
    """All runs of an experiment, after the project has its page; what went wrong stops nothing."""
    from mlrek.runs.project_page import PageContext, update_project_page

    own = [run for run in neighbours if is_same_project(run.project_arn, project.arn)]
    place = (store.tracking_uri, experiment.experiment_id)
    context = PageContext(
        project=project.name,
        fresh=fresh,
        drawn=read_drawn(experiment.tags, project.arn),
        charts=build_links(*place, (), views=VIEW_TAGS, workspace=store.workspace).charts,
    )
    try:
        written = update_project_page(store, own, context)
    except TrackingError as exc:
        return tuple(neighbours), [
            f"the page of all versions of {project.name} is not up to date: {exc}"
        ]
    by_id = {run.run_id: run for run in written}
    return tuple(by_id.get(run.run_id, run) for run in neighbours), []


def _name_runs_that_count(
    results: Sequence[VersionResult], projects: Sequence[ProjectResult]
) -> tuple[VersionResult, ...]:
    """Another process may have settled on its own run of a version since ours was written."""
    counting = {run.version_arn: run for project in projects for run in project.runs}
    return tuple(
        result
        if result.run is None
        else replace(result, run=counting.get(result.entry.version.arn, result.run))
        for result in results
    )


def _say_result(result: SyncResult) -> str:
    """What became of a sync, for the run that `mlflow run` opened around it."""
    actions = [version.action for version in result.versions]
    summary = ", ".join(f"{actions.count(a)} {a}" for a in dict.fromkeys(actions)) or "no versions"
    places = ", ".join(project.experiment for project in result.projects) or "no experiment"
    return f"mlrek sync: {summary}. The versions have runs of their own, in {places}."


def _warnings(tags: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(tags.get("mlrek.warnings", "").splitlines())

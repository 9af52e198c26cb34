"""Logging a version: its run is created, left as it is or replaced, and no other of it stays.

A killed process leaves nothing that counts, and of two processes at once one run is left.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mlrek.errors import TrackingError
from mlrek.evaluation import Version
from mlrek.tracking import LoggedRun, current_run, current_runs, superseded_runs
from mlrek.tracking.description import (
    LOG_SCHEMA,
    OUTDATED_REASON,
    Knowledge,
    RunDescription,
    find_loss,
    say_kept,
)
from mlrek.tracking.links import PICTURES_VIEW_TAG, VIEW_TAG
from mlrek.tracking.notes import NOTE_TAG, is_outdated, render_experiment_note
from mlrek.tracking.store import Store
from mlrek.tracking.view import (
    COLOUR_TAG,
    choose_colours,
    describe_pictures_view,
    describe_view,
)

if TYPE_CHECKING:
    from mlflow.entities import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a version's run belongs, and what there is of it: `runs`, on one test set.

    With `force` the run that counts is replaced in any case; `command` is what has that option.
    """

    experiment_id: str
    runs: tuple[LoggedRun, ...] = ()
    force: bool = False
    command: str = "mlrek sync"

    @property
    def current(self) -> LoggedRun | None:
        """The run that counts."""
        return current_run(self.runs)

    @property
    def action(self) -> str:
        """What a new run is: `created` or `replaced`."""
        return "replaced" if self.current else "created"

    @property
    def is_outdated(self) -> bool:
        """Whether the run that counts was logged by an mlrek whose runs held something else."""
        return self.current is not None and self.current.log_schema != LOG_SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What became of a version: `action` is `created`, `unchanged` or `replaced`.

    `kept` says why a run that knows more was not replaced, '' where there was no such thing.
    """

    action: str
    run: LoggedRun
    reason: str = ""
    kept: str = ""


MADE_UP: Final = "local:"
"""What identities begin with that no ARN tells."""

RUN_VARIABLE = "MLFLOW_RUN_ID"
"""`mlflow run` names its run to the command in the environment."""
_PROJECT_TAG = "mlflow.project.entryPoint"


def log_run(
    store: Store,
    target: Target,
    *,
    key: str,
    knows: Knowledge,
    describe: Callable[[], RunDescription],
) -> Logged:
    """Bring the run of a version up to date; only when the new one is complete the old ones go.

    `key` and `knows` are the evaluation key of what may be logged and what it rests on; `describe`
    is called only where it is logged.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if (kept := find_kept(store, target, key, knows)) is not None:
        retire_others(store, target, kept.run)
        return kept
    written = store.write_run(target.experiment_id, describe())
    store.retire_runs(run for run in target.runs if run.is_complete)
    run = store.settle(target.experiment_id, written)
    reason = OUTDATED_REASON if target.is_outdated else ""
    if run.run_id != written.run_id:
        reason = "another process logged it at the same time"
    return Logged(action=target.action, run=run, reason=reason)


def find_kept(store: Store | None, target: Target, key: str, knows: Knowledge) -> Logged | None:
    """The run that stays: it holds the same, or knows more than what would take its place."""
    current = target.current
    if current is None or target.force:
        return None
    if current.evaluation_key == key:
        return keep(target, current)
    loss = find_loss(store, current, knows) if store else ""
    return keep(target, current, loss) if loss else None


def keep(target: Target, run: LoggedRun, loss: str = "") -> Logged:
    """A run that stays; `loss` is what it knows and what would take its place does not."""
    kept = say_kept(loss, target.command) if loss else ""
    return Logged(action="unchanged", run=run, kept=kept)


def retire_others(store: Store, target: Target, kept: LoggedRun) -> None:
    """Leave no other complete run of a version than the one that counts."""
    store.retire_runs(superseded_runs(target.runs, kept))


def clean_up(store: Store, experiment_id: str, runs: Iterable[LoggedRun]) -> None:
    """Delete what killed processes left in an experiment: runs, and models half registered."""
    now_ms = int(time.time() * 1000)
    store.delete_runs(run for run in runs if run.is_leftover(now_ms))
    store.delete_unfinished_models(experiment_id)


def write_overview(
    store: Store, experiment: "Experiment", complete: Sequence[LoggedRun], *, is_changed: bool
) -> None:
    """The note of an experiment, how its pages look, and the colours of its runs."""
    runs = current_runs(complete)
    if not runs:
        return
    for run, colour in choose_colours(runs):
        store.set_run_tags(run.run_id, {COLOUR_TAG: colour})
    tags = {VIEW_TAG: describe_view(runs), PICTURES_VIEW_TAG: describe_pictures_view(runs)}
    note = render_experiment_note(complete, workspace=store.linked_workspace)
    if is_changed or is_outdated(experiment.tags.get(NOTE_TAG, ""), note):
        own = store.list_own_test_set_runs(experiment.experiment_id)
        tags[NOTE_TAG] = render_experiment_note(complete, own, workspace=store.linked_workspace)
    store.set_experiment_tags(experiment, tags)


def write_note(store: Store, experiment: "Experiment") -> None:
    """Bring the note of an experiment up to date; one of somebody's own stays."""
    experiment_id = experiment.experiment_id
    note = render_experiment_note(
        store.list_version_runs(experiment_id),
        store.list_own_test_set_runs(experiment_id),
        workspace=store.linked_workspace,
    )
    if is_outdated(experiment.tags.get(NOTE_TAG, ""), note):
        store.set_experiment_tags(experiment, {NOTE_TAG: note})


def choose_experiment(option: str, store: Store | None, environ: Mapping[str, str]) -> str:
    """The experiment to use: the option, else MLflow's own environment, else '' (the default).

    `mlflow run` sets MLFLOW_EXPERIMENT_ID to 0, the default experiment, when nobody chose one.
    """
    chosen = option or environ.get("MLFLOW_EXPERIMENT_NAME", "")
    experiment_id = environ.get("MLFLOW_EXPERIMENT_ID", "0")
    if chosen or experiment_id == "0" or store is None:
        return chosen
    return store.get_experiment(experiment_id).name


def find_logged_version(store: Store, version: Version) -> Version:
    """The version of that project's and its own name that was logged, if there is just one.

    The service joins both names with a hyphen, which either may hold too.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not version.arn.startswith(MADE_UP):
        return version
    found = {one.arn: one for one in _list_namesakes(store, version)}
    return next(iter(found.values())) if len(found) == 1 else version


def _list_namesakes(store: Store, version: Version) -> Iterator[Version]:
    wanted = f"{version.project.name}-{version.name}"
    for experiment in store.list_experiments():
        project_name = experiment.tags.get("project_name", "")
        if not (project_name and wanted.startswith(f"{project_name}-")):
            continue
        for run in store.list_version_runs(experiment.experiment_id):
            name = run.tags.get("version_name", "")
            if run.version_arn.startswith(MADE_UP) or f"{project_name}-{name}" != wanted:
                continue
            project = replace(version.project, arn=run.project_arn, name=project_name)
            yield replace(version, project=project, arn=run.version_arn, name=name)


def mark_project_run(store: Store, run_id: str, note: str) -> None:
    """Mark the run of `mlflow run`, and note what became of the command.

    Any other run that the environment names is somebody else's, or not in this store.

    Raises:
        TrackingError: MLflow refuses the tags.
    """
    try:
        is_project_run = _PROJECT_TAG in store.get_run(run_id).tags
    except TrackingError:
        return
    if is_project_run:
        store.set_run_tags(run_id, {"mlrek.kind": "project-wrapper", NOTE_TAG: note})

"""The one writer: everything mlrek reads from or writes to an MLflow tracking store."""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from mlrek.errors import ModelNotFoundError, RunNotFoundError, TrackingError, UsageError
from mlrek.evaluation import Project, Provider
from mlrek.metrics.test_set import is_same_project
from mlrek.render.places import fill_places
from mlrek.tracking import (
    COMPLETE_TAG,
    HEARTBEAT_TAG,
    HOSTED_TAG,
    JOINED_TAGS,
    LEFTOVER_AFTER_MS,
    OWN_TEST_SET_TAG,
    SUPERSEDED_TAG,
    LoggedRun,
    RegisteredVersion,
    current_run,
    is_evidence,
    join_tags,
    part_tags,
)
from mlrek.tracking.artifacts import ArtifactSender, ask_layout
from mlrek.tracking.description import DatasetInput, MetricPoint, RunDescription
from mlrek.tracking.links import (
    REPORT,
    build_artifact_link,
    build_artifact_place,
    list_report_places,
    ui_address,
)
from mlrek.tracking.notes import IMAGES_TAG, NOTE_TAG, link_comparison, link_report
from mlrek.tracking.translation import find_workspace, is_missing_model, translate_errors
from mlrek.tracking.view import (
    Charset,
    fit_description,
    fit_text,
    is_refused_text,
    name_pictures,
    temporary_folder,
)

T = TypeVar("T")
FitText: TypeAlias = Callable[[str], str]

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

METRICS_PER_BATCH = 900
NO_TAGS: Mapping[str, str] = MappingProxyType({})
_IS_THERE = re.compile("unique|duplicate", re.IGNORECASE)  # as sqlite, PostgreSQL, MySQL say it
MAX_EXPERIMENT_TAG = 20_000
MAX_PLACES = 100
MAX_LOOKED_THROUGH = 20  # experiments in which a run is looked for by its id's beginning
"""Experiments that one search of runs names; some servers take no more."""
TABLE_PATH = "predictions.json"
TABLES_TAG = "mlflow.loggedArtifacts"
WITH_NOTE, WITHOUT_NOTE = "with note", "without note"
"""Whether the note of a run that somebody else made is ours; one of somebody's own stays."""
NAMED_TAG, NAMED_BY_DEFAULT = "mlrek.named", "by default"
"""The tag of an experiment that nobody chose a name for: it stays the project's under any name."""
TAKEN = ("constraint", "Duplicate entry")
"""What databases say when a row is there already."""


class Store:
    """An MLflow tracking store. Safe to use from several threads."""

    def __init__(self, client: "MlflowClient", tracking_uri: str) -> None:
        self.client = client
        self.tracking_uri = tracking_uri
        self._artifacts = ArtifactSender(tracking_uri)
        self._charset = Charset.ANY
        self._given_up: dict[str, LoggedRun] = {}
        # threads that write to one database file wait for each other in sleeps of seconds
        self._turn = Lock() if tracking_uri.startswith("sqlite:") else contextlib.nullcontext()

    @cached_property
    def workspace(self) -> str:
        """The workspace that is written to, '' where the store has none."""
        return find_workspace(self.tracking_uri, os.environ)

    @property
    def linked_workspace(self) -> str | None:
        """The workspace that links in notes name, None where no web page is known."""
        return self.workspace if ui_address(self.tracking_uri) else None

    def get_or_create_experiment(self, project: Project, name: str = "") -> "Experiment":
        """The experiment of a project: the named one, or `mlrek/<project name>`.

        When the default name belongs to another project ARN already, account and region follow it.
        """
        self._check_name(name or _default_names(project)[0])
        if found := self.find_experiment(project, name):
            return found
        with translate_errors(self.tracking_uri):
            if name:
                return self._open_experiment(name, project)
            *defaults, last = _default_names(project)
            for default in defaults:
                experiment = self._open_experiment(default, project)
                if _is_own(experiment, default, project):
                    return experiment
            return self._open_experiment(last, project)

    def find_experiment(self, project: Project, name: str = "") -> "Experiment | None":
        """The experiment that `get_or_create_experiment` would give, when it exists already.

        One of a default name is found also after somebody has renamed it.
        """
        with translate_errors(self.tracking_uri):
            for candidate in [name] if name else _default_names(project):
                found = self.client.get_experiment_by_name(candidate)
                if found is None or found.lifecycle_stage == "deleted":
                    continue
                if name or _is_own(found, candidate, project):
                    return found
            return None if name else self._find_renamed(project)

    def get_experiment(self, experiment_id: str) -> "Experiment":
        """One experiment by its id."""
        with translate_errors(self.tracking_uri):
            return self.client.get_experiment(experiment_id)

    def list_experiments(self) -> "tuple[Experiment, ...]":
        """The experiments made for projects, the one that was written to last first."""
        with translate_errors(self.tracking_uri):
            found = self.client.search_experiments(
                filter_string="tags.project_arn LIKE '%'", order_by=["last_update_time DESC"]
            )
        return tuple(found)

    def list_runs(self, experiment_id: str, tags: Mapping[str, str]) -> tuple[LoggedRun, ...]:
        """Every run, complete or not, that has all of `tags`.

        Runs on your own test set are there only when `tags` names one (`OWN_TEST_SET_TAG`).
        """
        found = self._search_runs(experiment_id, _build_conditions(tags))
        same = (run for run in found if tags.items() <= run.tags.items())
        return tuple(run for run in same if OWN_TEST_SET_TAG in tags or not run.own_test_set)

    def list_version_runs(self, experiment_id: str) -> tuple[LoggedRun, ...]:
        """Every run of a version that mlrek wrote, complete or not, of whatever project."""
        found = self._search_runs(experiment_id, "tags.`mlrek.version` LIKE '%'")
        return tuple(run for run in found if not run.own_test_set)

    def list_own_test_set_runs(self, experiment_id: str) -> tuple[LoggedRun, ...]:
        """Every run on your own test set, complete or not."""
        return tuple(self._search_runs(experiment_id, f"tags.`{OWN_TEST_SET_TAG}` LIKE '%'"))

    def find_newest_place(self, places: Sequence[str]) -> str:
        """The id of the experiment with the version that was logged last, '' for none.

        Of several that one sync logged, that with the newest training.
        """
        newest = ["tags.`mlrek.logged_at` DESC", "attributes.start_time DESC"]
        query = f"tags.`{COMPLETE_TAG}` = 'true'"
        found: list[LoggedRun] = []
        with translate_errors(self.tracking_uri):
            for start in range(0, len(places), MAX_PLACES):
                some = list(places[start : start + MAX_PLACES])
                page = self.client.search_runs(some, query, order_by=newest, max_results=1)
                found += map(_logged_run, page)
        last = max(found, key=lambda run: (run.logged_at, run.start_ms), default=None)
        return last.experiment_id if last else ""

    def list_tagged_runs(self, tag: str, part: str, experiment_id: str) -> tuple[LoggedRun, ...]:
        """The runs with a tag that holds some text, also deleted ones.

        They are looked for in one experiment, whatever it is of, and in those of all projects.
        """
        known = [found.experiment_id for found in self.list_experiments()]
        places = list(dict.fromkeys((experiment_id, *known)))
        query = f"tags.`{tag}` LIKE '%{part}%'"
        return tuple(
            run
            for start in range(0, len(places), MAX_PLACES)
            for run in self._search_runs(places[start : start + MAX_PLACES], query, deleted=True)
        )

    def write_run(self, experiment_id: str, description: RunDescription) -> LoggedRun:
        """Log one version and mark it complete; a run that fails half way is taken back.

        Returns:
            The run with what was described, not with the tags that MLflow sets by itself.

        Raises:
            TrackingError: MLflow cannot be reached or refuses.
        """
        while True:
            try:
                return self._write_run(experiment_id, fit_description(description, self._charset))
            except TrackingError as exc:
                self._expect_less(exc)

    def fill_hosted_run(self, run_id: str, description: RunDescription) -> None:
        """Log one version into a run that somebody else made and will end; complete at once, last.

        Its name, its note and parameters of the same names stay as they are. What mlrek logged into
        it before is replaced.

        Raises:
            TrackingError: MLflow cannot be reached or refuses, or the run is evidence.
        """
        while True:
            try:
                self._fill_hosted_run(run_id, fit_description(description, self._charset))
            except TrackingError as exc:
                self._expect_less(exc)
            else:
                return

    def write_fitting(self, write: Callable[[FitText], T]) -> T:
        """Write texts that people read; `write` gets what escapes those that do not fit.

        Which they are, a database with a small character set tells by refusing them.
        """
        from mlflow.exceptions import MlflowException

        while True:
            try:
                return write(partial(fit_text, charset=self._charset))
            except MlflowException as exc:
                self._expect_less(exc)

    def write_tag(self, set_tag: Callable[[str], object], value: str) -> None:
        """Set a tag to a text that people read, as far as it fits."""
        self.write_fitting(lambda fit: set_tag(fit(value)))

    def _expect_less(self, exc: Exception) -> None:
        """Expect a smaller character set after an error that says so; raises any other."""
        less = self._charset.less
        if less is None or not is_refused_text(exc):
            raise exc
        self._charset = less

    def _write_run(self, experiment_id: str, description: RunDescription) -> LoggedRun:
        tags = {**description.tags, **_table_tag(description), **_pictures_tag(description)}
        with self._turn, translate_errors(self.tracking_uri):
            created = self.client.create_run(
                experiment_id,
                start_time=description.start_ms,
                tags={**join_tags(tags), HEARTBEAT_TAG: _now()},
                run_name=description.run_name,
            )
            run_id = created.info.run_id
            note = self._link_report(experiment_id, run_id, tags)
            try:
                placed = self._place(description, experiment_id, run_id)
                self._fill_run(created, placed, note)
                self._complete_run(run_id, description)
            except BaseException:
                with contextlib.suppress(Exception):  # the error that led here matters more
                    self.client.delete_run(run_id)
                raise
            self._stop_heartbeat(run_id)
        return LoggedRun(
            run_id=run_id,
            start_ms=created.info.start_time or 0,
            end_ms=description.end_ms or description.start_ms,
            tags={**tags, **note, COMPLETE_TAG: "true"},
            metrics=_last_values(description.metrics),
            params=dict(description.params),
            experiment_id=experiment_id,
        )

    def settle(self, experiment_id: str, written: LoggedRun) -> LoggedRun:
        """Leave one run of an evaluation key, whoever wrote it: that with the smallest run id."""
        alike = {"mlrek.evaluation_key": written.evaluation_key}
        alike |= {OWN_TEST_SET_TAG: written.own_test_set} if written.own_test_set else {}
        if not self._may_have_others(experiment_id, alike, written):
            return written
        same = [run for run in self.list_runs(experiment_id, alike) if run.is_complete]
        kept = min(same, key=lambda run: run.run_id, default=written)
        self.retire_runs(run for run in same if run.run_id != kept.run_id)
        return kept

    def _may_have_others(
        self, experiment_id: str, tags: Mapping[str, str], written: LoggedRun
    ) -> bool:
        """Whether a run besides this one may have the tags: its own numbers are not asked for."""
        if self.tracking_uri.startswith("databricks"):  # may not know such a condition
            return True
        query = f"{_build_conditions(tags)} and attributes.run_id != '{written.run_id}'"
        return bool(self._search_runs(experiment_id, query))

    def find_counting_run(self, run: LoggedRun) -> LoggedRun | None:
        """The run that counts now of the version that `run` is about, in the same experiment."""
        return current_run(self.list_runs(run.experiment_id, {"version_arn": run.version_arn}))

    def find_version_run(self, version_arn: str) -> LoggedRun | None:
        """The run that counts of a version, in whatever experiment; None where it has none."""
        places = self._list_places()
        query = _build_condition("version_arn", version_arn)
        found = (
            run
            for start in range(0, len(places), MAX_PLACES)
            for run in self._search_runs(places[start : start + MAX_PLACES], query)
        )
        return current_run(
            run for run in found if run.version_arn == version_arn and not run.own_test_set
        )

    def retire_runs(self, runs: Iterable[LoggedRun]) -> None:
        """Take runs out of what counts: deleted, but for evidence and runs that others made.

        These are marked superseded.

        A promotion may give the registered version of a run an alias while the run is deleted: so
        it is asked again afterwards, and the run comes back.
        """
        for run in runs:
            if not (run.is_hosted or self._is_evidence(run)):
                self.delete_runs([run])
                if not self._is_evidence(run):
                    continue
                self._restore(run)
            self.set_run_tags(run.run_id, {SUPERSEDED_TAG: "true"})

    def delete_runs(self, runs: Iterable[LoggedRun]) -> None:
        """Delete runs (soft, as MLflow does); one that somebody else deleted already is fine."""
        from mlflow.exceptions import MlflowException

        with self._turn, translate_errors(self.tracking_uri):
            for run in runs:
                try:
                    self.client.delete_run(run.run_id)
                except MlflowException as exc:
                    if exc.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                        raise

    def set_experiment_tags(self, experiment: "Experiment", tags: Mapping[str, str]) -> None:
        """Set those tags of an experiment that it has not got already."""
        with translate_errors(self.tracking_uri):
            for key, value in tags.items():
                kept = value[:MAX_EXPERIMENT_TAG]
                if experiment.tags.get(key) != kept:
                    set_tag = partial(self.client.set_experiment_tag, experiment.experiment_id, key)
                    self.write_tag(partial(_set_twice, set_tag), kept)

    def set_run_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of any run; one that somebody else deleted meanwhile needs none."""
        from mlflow.exceptions import MlflowException

        with translate_errors(self.tracking_uri):
            try:
                for key, value in tags.items():
                    set_tag = partial(self.client.set_tag, run_id, key)
                    self.write_tag(partial(_set_twice, set_tag), value)
            except MlflowException:
                if self.client.get_run(run_id).info.lifecycle_stage != "deleted":
                    raise

    def get_run(self, run_id: str) -> LoggedRun:
        """One run by its id.

        Raises:
            RunNotFoundError: There is no such run.
        """
        from mlflow.exceptions import MlflowException

        with translate_errors(self.tracking_uri):
            try:
                return _logged_run(self.client.get_run(run_id))
            except MlflowException as exc:
                if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                    raise RunNotFoundError(
                        f"{self.tracking_uri}: there is no run {run_id}"
                    ) from exc
                raise

    def find_run(self, run_id: str) -> LoggedRun | None:
        """One run by its id, also a deleted one; None where it is not there."""
        try:
            return self.get_run(run_id)
        except RunNotFoundError:
            return None

    def find_run_ids(self, beginning: str) -> list[str]:
        """The ids of runs of versions that begin so, as people copy them from a narrow table."""
        return [
            run.run_id
            for experiment in self.list_experiments()[:MAX_LOOKED_THROUGH]
            for run in self.list_version_runs(experiment.experiment_id)
            if run.run_id.startswith(beginning.lower())
        ]

    def read_artifact(self, run_id: str, path: str) -> bytes:
        """The content of one artifact of a run."""
        with translate_errors(self.tracking_uri), temporary_folder() as folder:
            return Path(self.client.download_artifacts(run_id, path, str(folder))).read_bytes()

    def read_small_artifact(self, run_id: str, path: str, most: int) -> bytes:
        """The content of an artifact in no folder; b'' where none is, or it is too large."""
        with translate_errors(self.tracking_uri):
            sizes = {file.path: file.file_size for file in self.client.list_artifacts(run_id)}
        is_large = (sizes.get(path) or 0) > most
        return b"" if path not in sizes or is_large else self.read_artifact(run_id, path)

    def list_artifacts(self, run_id: str, folder: str = "") -> frozenset[str]:
        """The paths of the artifacts of a run, or of those in a folder; not those further down."""
        with translate_errors(self.tracking_uri):
            return frozenset(
                file.path for file in self.client.list_artifacts(run_id, folder or None)
            )

    def has_artifacts(self, run_id: str, folder: str) -> bool:
        """Whether a run has any artifact in a folder."""
        with translate_errors(self.tracking_uri):
            return bool(self.client.list_artifacts(run_id, folder))

    def write_artifact(self, run_id: str, path: str, content: bytes) -> None:
        """Store one more artifact of a run, or its new content."""
        with translate_errors(self.tracking_uri), temporary_folder() as folder:
            folders, _, name = path.rpartition("/")
            target = folder / name
            target.write_bytes(content)
            self.client.log_artifact(run_id, str(target), folders or None)
        self._clean_up()

    def link_comparison(self, run_id: str, baseline: str, path: str) -> str:
        """Link a page in the note of its run: the address of the page, '' without web pages."""
        if self.linked_workspace is None:
            return ""
        run = self.get_run(run_id)
        place = run.experiment_id, run_id, path, self.linked_workspace
        note = run.tags.get(NOTE_TAG, "")
        linked = link_comparison(note, baseline, build_artifact_place(*place))
        if linked != note:
            self.set_run_tags(run_id, {NOTE_TAG: linked})
        return build_artifact_link(self.tracking_uri, *place)

    def find_model_version(
        self, name: str, version_or_alias: str, *, is_alias: bool
    ) -> RegisteredVersion:
        """A registered model's version, named by its number or an alias.

        Raises:
            ModelNotFoundError: There is no such model, version or alias.
        """
        from mlflow.exceptions import MlflowException

        with translate_errors(self.tracking_uri):
            try:
                if is_alias:
                    found = self.client.get_model_version_by_alias(name, version_or_alias)
                else:
                    found = self.client.get_model_version(name, version_or_alias)
            except MlflowException as exc:
                if is_missing_model(exc):
                    mark = "@" if is_alias else "/"
                    raise ModelNotFoundError(
                        f"the registry has no models:/{name}{mark}{version_or_alias}"
                    ) from exc
                raise
        return RegisteredVersion(
            name=found.name, version=str(found.version), run_id=found.run_id or ""
        )

    def set_model_version_tags(
        self, registered: RegisteredVersion, tags: Mapping[str, str]
    ) -> None:
        """Set tags of a registered model's version."""
        with translate_errors(self.tracking_uri):
            place = registered.name, registered.version
            for key, value in tags.items():
                set_tag = partial(self.client.set_model_version_tag, *place, key)
                self.write_tag(set_tag, value)

    def delete_unfinished_models(self, experiment_id: str) -> None:
        """Delete the models of versions whose registering was killed, and is not under way now."""
        from mlflow.exceptions import MlflowException

        before = int(time.time() * 1000) - LEFTOVER_AFTER_MS
        with contextlib.suppress(MlflowException):  # a server that knows no models has none
            for model in self.client.search_logged_models([experiment_id], "status = 1"):
                is_own = "version_arn" in model.tags and str(model.status).endswith("PENDING")
                if is_own and model.creation_timestamp < before:
                    self.client.delete_logged_model(model.model_id)

    def _clean_up(self) -> None:
        """Delete what killed processes left where a command that writes came across it.

        Nothing is asked where nothing was seen; who may write here need not be let delete.
        """
        given_up, self._given_up = self._given_up, {}
        with contextlib.suppress(TrackingError):
            self.delete_runs(run for run in given_up.values() if not run.is_deleted)
            for experiment_id in {run.experiment_id for run in given_up.values()}:
                self.delete_unfinished_models(experiment_id)

    def _is_evidence(self, run: LoggedRun) -> bool:
        with translate_errors(self.tracking_uri):
            return is_evidence(self.client, run.run_id)

    def _restore(self, run: LoggedRun) -> None:
        """Bring a deleted run back; one that is gone for good stays so."""
        from mlflow.exceptions import MlflowException

        with translate_errors(self.tracking_uri), contextlib.suppress(MlflowException):
            self.client.restore_run(run.run_id)

    def _list_places(self) -> list[str]:
        """The ids of all experiments."""
        places: list[str] = []
        token = None
        with translate_errors(self.tracking_uri):
            while True:
                page = self.client.search_experiments(page_token=token)
                places += (found.experiment_id for found in page)
                token = page.token
                if not token:
                    return places

    def _search_runs(
        self, place: str | list[str], query: str, *, deleted: bool = False
    ) -> list[LoggedRun]:
        """What a query finds in an experiment or several, all pages."""
        from mlflow.entities import ViewType

        places = [place] if isinstance(place, str) else place
        view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
        runs: list[LoggedRun] = []
        token = None
        with translate_errors(self.tracking_uri):
            while True:
                page = self.client.search_runs(
                    places, query, run_view_type=view, max_results=200, page_token=token
                )
                runs += map(_logged_run, page)
                token = page.token
                if not token:
                    break
        now_ms = int(time.time() * 1000)
        given_up = (run for run in runs if run.is_own and run.is_leftover(now_ms))
        self._given_up |= {run.run_id: run for run in given_up}
        return runs

    def _open_experiment(self, name: str, project: Project) -> "Experiment":
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            tags = {"project_arn": project.arn, "project_name": project.name}
            tags |= {NAMED_TAG: NAMED_BY_DEFAULT} if name in _default_names(project) else {}
            with contextlib.suppress(MlflowException):  # somebody else may have been faster
                self.client.create_experiment(name, tags=tags)
            experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            self.client.create_experiment(name)  # raises what went wrong
            raise TrackingError(f"{self.tracking_uri}: experiment {name!r} cannot be created")
        if experiment.lifecycle_stage == "deleted":
            raise TrackingError(
                f"experiment {name!r} is in the trash: restore it with `mlflow experiments restore "
                f"--experiment-id {experiment.experiment_id}`, or name another with --experiment"
            )
        return experiment

    def _check_name(self, name: str) -> None:
        if self.tracking_uri.startswith("databricks") and not name.startswith("/"):
            raise UsageError(
                f"Databricks wants absolute experiment names, not {name!r}: "
                "give one with --experiment /Users/you@example.com/name"
            )

    def _find_renamed(self, project: Project) -> "Experiment | None":
        """The experiment that had the default name; of several, the first that was made."""
        tags = {"project_arn": project.arn, NAMED_TAG: NAMED_BY_DEFAULT}
        found = self.client.search_experiments(filter_string=_build_conditions(tags))
        same = [experiment for experiment in found if tags.items() <= experiment.tags.items()]
        return min(same, key=lambda experiment: experiment.creation_time or 0, default=None)

    def _fill_hosted_run(self, run_id: str, description: RunDescription) -> None:
        from mlflow.entities import RunTag

        with self._turn, translate_errors(self.tracking_uri):
            found = self.client.get_run(run_id)
            earlier = _logged_run(found)
            if earlier.is_logged:
                self._unmark(earlier)
            for tag in JOINED_TAGS.keys() & found.data.tags.keys():  # of an earlier mlrek
                self.client.delete_tag(run_id, tag)
            params = {k: v for k, v in description.params.items() if k not in earlier.params}
            place = partial(self._place, experiment_id=earlier.experiment_id, run_id=run_id)
            self._fill_run(found, place(replace(description, params=params), is_hosted=True))
            tags = {**description.tags, **_table_tag(description, earlier.tags.get(TABLES_TAG, ""))}
            tags |= _pictures_tag(description)
            tags |= {HOSTED_TAG: WITH_NOTE, COMPLETE_TAG: "true"}  # at once: half of them is no run
            if NOTE_TAG in earlier.tags and earlier.tags.get(HOSTED_TAG) != WITH_NOTE:
                del tags[NOTE_TAG]
                tags[HOSTED_TAG] = WITHOUT_NOTE
            tags |= self._link_report(earlier.experiment_id, run_id, tags)
            marks = [RunTag(*tag) for tag in join_tags(tags).items()]
            self.client.log_batch(run_id, tags=marks, synchronous=True)
            self._stop_heartbeat(run_id)

    def _unmark(self, run: LoggedRun) -> None:
        """Take back that a run is a version's, before it becomes another's."""
        if is_evidence(self.client, run.run_id):
            raise TrackingError(
                f"runs:/{run.run_id} holds an evaluation that a promotion rests on: log this one "
                "into another run"
            )
        for tag in ("version_arn", "mlrek.version", COMPLETE_TAG):
            if tag in run.tags:
                self.client.delete_tag(run.run_id, tag)

    def _link_report(
        self, experiment_id: str, run_id: str, tags: Mapping[str, str]
    ) -> dict[str, str]:
        """The tag of the run's note with its report linked, where there are pages."""
        workspace = self.linked_workspace
        if workspace is None or NOTE_TAG not in tags:
            return {}
        place = build_artifact_place(experiment_id, run_id, REPORT, workspace)
        return {NOTE_TAG: link_report(tags[NOTE_TAG], place)}

    def _stop_heartbeat(self, run_id: str) -> None:
        """Take the sign of life from a complete run: one that stays says nothing either."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self.client.delete_tag(run_id, HEARTBEAT_TAG)

    def _fill_run(
        self, run: "Run", description: RunDescription, tags: Mapping[str, str] = NO_TAGS
    ) -> None:
        files = dict(description.files)
        if description.grid:
            layout = ask_layout(self.tracking_uri)
            files |= name_pictures(description.grid, layout, int(_now()))
        with self._artifacts.send(run.info.artifact_uri, files):
            self._log_numbers(run.info.run_id, description, tags)
            if description.dataset is not None:
                self._log_dataset(run.info.run_id, description.dataset)

    def _place(
        self,
        description: RunDescription,
        experiment_id: str,
        run_id: str,
        *,
        is_hosted: bool = False,
    ) -> RunDescription:
        """The description with a report that names its run, which has just got its id."""
        report, workspace = description.files.get(REPORT), self.linked_workspace
        if report is None or workspace is None:
            return description
        places = list_report_places(
            experiment_id,
            run_id,
            description.tags.get("test_set_digest", ""),
            workspace,
            is_hosted=is_hosted,
        )
        placed = fill_places(report, ui_address(self.tracking_uri), places)
        return replace(description, files={**description.files, REPORT: placed})

    def _complete_run(self, run_id: str, description: RunDescription) -> None:
        end_ms = description.end_ms or description.start_ms
        self._finish(run_id, end_ms)
        self.client.set_tag(run_id, COMPLETE_TAG, "true", synchronous=True)

    def _finish(self, run_id: str, end_ms: int | None) -> None:
        """Set a run's end, without `set_terminated`, which prints the run's address to stdout."""
        from mlflow.entities import RunStatus

        store = self.client._tracking_client.store  # noqa: SLF001 - nothing public takes an end
        store.update_run_info(
            run_id, RunStatus.FINISHED, end_ms or int(time.time() * 1000), run_name=None
        )

    def _log_numbers(
        self, run_id: str, description: RunDescription, tags: Mapping[str, str]
    ) -> None:
        """Numbers in as few requests as they fit into, the first with parameters and `tags`.

        Each says that somebody is still at work here. None may come later than the mark that a run
        is complete, whatever the environment says of logging in the background.
        """
        from mlflow.entities import Param, RunTag

        params = [Param(key, value) for key, value in description.params.items()]
        timestamp = description.end_ms or int(time.time() * 1000)
        for batch in _batches(description.metrics) or [[]]:
            self.client.log_batch(
                run_id,
                metrics=[_metric(point, timestamp) for point in batch],
                params=params,
                tags=[RunTag(HEARTBEAT_TAG, _now()), *(RunTag(*tag) for tag in tags.items())],
                synchronous=True,
            )
            params, tags = [], NO_TAGS

    def _log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        short = f"{dataset.name[:480]}_{sha256(dataset.name.encode()).hexdigest()[:8]}"
        scheme = "s3" if dataset.uri.startswith("s3://") else "local"
        context = InputTag("mlflow.data.context", "testing")
        source = json.dumps({"uri": dataset.uri})
        # a second time where another process has just made this dataset; under another name where
        # the database takes it for one whose name differs in case
        for name in (dataset.name, dataset.name, short):
            entity = Dataset(name=name, digest=dataset.digest, source_type=scheme, source=source)
            try:
                self.client.log_inputs(run_id, [DatasetInput(entity, [context])])
            except MlflowException as exc:
                if name == short or not any(word in str(exc) for word in TAKEN):
                    raise
            else:
                return


def _default_names(project: Project) -> tuple[str, ...]:
    """What an experiment is called that nobody named: a later one where those before are taken."""
    name = f"mlrek/{project.name}"
    longer = f"{name}@{name_account(project)}"
    return name, longer, f"{longer}-{sha256(project.arn.encode()).hexdigest()[:8]}"


def _is_own(experiment: "Experiment", name: str, project: Project) -> bool:
    """Whether an experiment that a default name found is the project's.

    Some databases find one whose name differs in case.
    """
    is_named_so = experiment.name == name
    owner = experiment.tags.get("project_arn", project.arn)
    return is_named_so and is_same_project(owner, project.arn)


def _set_twice(set_tag: Callable[[str], object], value: str) -> None:
    """Set a tag; again where another process made it meanwhile, which the database refuses."""
    from mlflow.exceptions import MlflowException

    try:
        set_tag(value)
    except MlflowException as exc:
        if not _IS_THERE.search(str(exc)):
            raise
        set_tag(value)


def _logged_run(run: "Run") -> LoggedRun:
    return LoggedRun(
        run_id=run.info.run_id,
        start_ms=run.info.start_time or 0,
        end_ms=run.info.end_time,
        tags=part_tags(run.data.tags),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        experiment_id=run.info.experiment_id,
        is_deleted=run.info.lifecycle_stage == "deleted",
    )


def _metric(point: MetricPoint, timestamp: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from mlflow.entities import Metric

    return Metric(point.key, point.value, timestamp, point.step)


def _batches(points: Sequence[MetricPoint]) -> list[Sequence[MetricPoint]]:
    return [
        points[start : start + METRICS_PER_BATCH]
        for start in range(0, len(points), METRICS_PER_BATCH)
    ]


def _last_values(points: Iterable[MetricPoint]) -> dict[str, float]:
    """What MLflow shows of each number: its value at the last step."""
    return {point.key: point.value for point in sorted(points, key=lambda point: point.step)}


def _table_tag(description: RunDescription, earlier: str = "") -> dict[str, str]:
    """What `log_table` would set: makes MLflow's evaluation view read the file as a table.

    `earlier` is the tag as it stands, with the tables of others.
    """
    if TABLE_PATH not in description.files:
        return {}
    listed = json.loads(earlier) if earlier else []
    others = [table for table in listed if table["path"] != TABLE_PATH]
    return {TABLES_TAG: json.dumps([*others, {"path": TABLE_PATH, "type": "table"}])}


def _pictures_tag(description: RunDescription) -> dict[str, str]:
    """What `log_image` would set: makes MLflow's pages look for pictures."""
    return {IMAGES_TAG: "True"} if description.grid else {}


def name_account(project: Project) -> str:
    """Account and region of an ARN, project and location of Google's name, else a digest.

    A project that no service has is known by that.
    """
    if project.arn.startswith("mlrek:"):
        return Provider.CUSTOM.value
    _, _, service, region, account, *_ = (*project.arn.split(":"), "", "", "", "", "")
    if not (service and region and account):
        _, account, _, region, *_ = (*project.arn.split("/"), "", "", "", "")
    known = region and account
    return f"{account}-{region}" if known else sha256(project.arn.encode()).hexdigest()[:8]


def _build_conditions(tags: Mapping[str, str]) -> str:
    """Conditions that a run with all of these tags fulfils; see `_build_condition`."""
    return " and ".join(_build_condition(key, value) for key, value in tags.items())


def _build_condition(key: str, value: str) -> str:
    """A condition that a run with this tag fulfils, others perhaps too.

    MLflow's query language has no escape: a value with both quotes cannot be written in it. And
    some databases take no notice of case.
    """
    quote = next((quote for quote in "'\"" if quote not in value), "")
    return f"tags.`{key}` = {quote}{value}{quote}" if quote else f"tags.`{key}` LIKE '%'"


def _now() -> str:
    return str(int(time.time() * 1000))

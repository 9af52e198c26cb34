"""MLflow, the one place numbers are written to: what a run holds (pure), and the one writer.

This module holds runs and registered versions as MLflow lists them, and the rules that all readers
share.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlrek.errors import TrackingError
from mlrek.evaluation import Doubt

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from mlrek.tracking.store import Store


LEFTOVER_AFTER_MS = 15 * 60 * 1000
"""A run without `mlrek.complete` is somebody's work in progress until its heartbeat is this old."""

AUTO_IMAGES = "auto"
"""Images are read from where the evaluation says that they are, if that may be read."""
NO_IMAGES = "none"

MAX_TAG = 5000
"""Characters that a tag of ours may have; MLflow keeps a few more."""

LOG_SCHEMA_TAG = "mlrek.log_schema"
"""Which edition of what runs hold a run is of; those before the fourth have no such tag."""

STEPS_TAG = "mlrek.picture_steps"
"""Names the thresholds, in percent, of which a run has a picture with the slider."""

OWN_TEST_SET_NAME_TAG = "mlrek.exam_name"
HEARTBEAT_TAG = "mlrek.heartbeat"
"""When a run that is not complete was last written to; gone when it is complete."""
COMPLETE_TAG = "mlrek.complete"
"""Set last of all: a run without it counts for nothing."""
SUPERSEDED_TAG = "mlrek.superseded"
"""Of a run that another one replaced, kept because the registry or a sealed decision names it."""
HOSTED_TAG = "mlrek.hosted"
"""Of a run that somebody else made, and that an evaluation was logged into: it is never deleted."""
DECISION_TAG = "mlrek.decision"
"""Of a run, or a registered version, that a sealed decision names."""

LOOKED_TAG = "mlrek.looked"
"""Of a run that was checked against others: `<baseline run>/<test_set_digest>`, of several with
spaces between them."""
LOOK_NUMBERS_TAG = "mlrek.look_numbers"
"""The place of the run's version among all that were so checked: the above, `=`, a number."""

PAGE_TAG: Final = "mlflow.mlrek_project_page"
"""Of the run whose artifacts have the page of all versions of its project: tells what it shows.

MLflow's pages hide tags of this beginning: people need not read it.
"""
PAGE_MOVED: Final = "moved"
"""In its place once a newer run has that page."""

OWN_TEST_SET_TAG = "mlrek.exam"
"""A run of a version on your own test set: its digest. Such a run is never *the* run of its
version: who does not ask for it by this tag does not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRun:
    """One run that mlrek wrote. `start_ms` is the training's start."""

    run_id: str
    start_ms: int
    end_ms: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    experiment_id: str = ""
    is_deleted: bool = False

    @property
    def project_arn(self) -> str:
        """The project that the version is of."""
        return self.tags.get("project_arn", "")

    @property
    def version_arn(self) -> str:
        """The version that the run is about."""
        return self.tags.get("version_arn", "")

    @property
    def evaluation_key(self) -> str:
        """Content identity of what was logged."""
        return self.tags.get("mlrek.evaluation_key", "")

    @property
    def source_state(self) -> str:
        """Identity of the files it was read from."""
        return self.tags.get("mlrek.source_state", "")

    @property
    def logged_at(self) -> str:
        """When the sync began that logged it, in ISO form."""
        return self.tags.get("mlrek.logged_at", "")

    @property
    def has_images(self) -> bool:
        """Whether it was computed from images, not only from the provider's own numbers."""
        return bool(self.tags.get("test_set_digest"))

    @property
    def log_schema(self) -> int:
        """Which edition of what runs hold it is of, 0 where it does not say."""
        text = self.tags.get(LOG_SCHEMA_TAG, "")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def own_test_set(self) -> str:
        """The digest of your own test set that the run is about, '' for the provider's."""
        return self.tags.get(OWN_TEST_SET_TAG, "")

    @property
    def own_test_set_name(self) -> str:
        """What that test set is called."""
        return self.tags.get(OWN_TEST_SET_NAME_TAG, "")

    @property
    def is_logged(self) -> bool:
        """Whether everything was logged, to the tag that is set last."""
        return self.tags.get(COMPLETE_TAG) == "true"

    @property
    def is_complete(self) -> bool:
        """Whether everything was logged and no later run took its place: else it does not count."""
        return self.is_logged and not self.is_superseded

    @property
    def is_superseded(self) -> bool:
        """Whether it is only kept as evidence: no reader but the registry's counts it."""
        return self.tags.get(SUPERSEDED_TAG) == "true"

    @property
    def is_hosted(self) -> bool:
        """Whether somebody else made it, and mlrek only logged an evaluation into it."""
        return HOSTED_TAG in self.tags

    @property
    def is_own(self) -> bool:
        """Whether mlrek wrote it, and not somebody who uses the same tags."""
        return "mlrek.version" in self.tags

    def is_leftover(self, now_ms: int) -> bool:
        """Whether the run was given up before it was complete."""
        heartbeat = self.tags.get(HEARTBEAT_TAG, "")
        beat_ms = int(heartbeat) if heartbeat.isascii() and heartbeat.isdigit() else 0
        return not self.is_logged and now_ms - beat_ms > LEFTOVER_AFTER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model; `version` is its number, `run_id` '' without a run."""

    name: str
    version: str
    run_id: str

    @property
    def uri(self) -> str:
        """As people write it."""
        return f"models:/{self.name}/{self.version}"


DOUBTS_TAG: Final = "mlrek.doubts"
DOCUMENT: Final = "evaluation.json"
"""Holds the doubts that have no room in a tag, which then names this file."""

BOOKKEEPING_TAG: Final = "mlrek.bookkeeping"
"""What only mlrek reads of a run, as one JSON object: on MLflow's pages it would bury the rest.

Runs that were logged before have a tag for each, and one that is set later counts before this.
"""
JOINED_TAGS: Final = {
    LOG_SCHEMA_TAG: "log_schema",
    STEPS_TAG: "picture_steps",
    OWN_TEST_SET_NAME_TAG: "own_test_set",
    DOUBTS_TAG: "doubts",
}
"""The tags that are joined into it, and their names there. None of them is ever searched for."""

_NUMBER: Final = re.compile("([0-9]{1,18})")
_IS_GONE = "RESOURCE_DOES_NOT_EXIST"
_NO_REGISTRY = frozenset({"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED"})


def current_run(runs: Iterable[LoggedRun]) -> LoggedRun | None:
    """The one run of a version that counts: complete, newest content, smallest run id of that.

    Two processes that log the same evaluation at once leave two runs for a moment; everybody picks
    the same one of them.
    """
    complete = [run for run in runs if run.is_complete]
    if not complete:
        return None
    newest = max(complete, key=lambda run: (run.logged_at, run.run_id))
    same = (run for run in complete if run.evaluation_key == newest.evaluation_key)
    return min(same, key=lambda run: run.run_id)


def current_runs(runs: Iterable[LoggedRun]) -> tuple[LoggedRun, ...]:
    """The run that counts of each version, the oldest by training first."""
    by_version: dict[str, list[LoggedRun]] = {}
    for run in runs:
        by_version.setdefault(run.version_arn, []).append(run)
    chosen = (current_run(group) for arn, group in by_version.items() if arn)
    return tuple(sorted((run for run in chosen if run is not None), key=order_by_age))


def order_by_age(run: LoggedRun) -> tuple[int, list[str | int], str]:
    """What runs are sorted by: training start, then the version's name, its numbers as numbers."""
    parts = _NUMBER.split(run.tags.get("version_name", ""))
    name = [int(part) if i % 2 else part for i, part in enumerate(parts)]
    return run.start_ms, name, run.run_id


def find_page_run(runs: Iterable[LoggedRun]) -> LoggedRun | None:
    """The run that has the page of all versions; None where there is none."""
    has_page = (run for run in runs if run.tags.get(PAGE_TAG, PAGE_MOVED) != PAGE_MOVED)
    return max(has_page, key=order_by_age, default=None)


def superseded_runs(runs: Sequence[LoggedRun], kept: LoggedRun) -> tuple[LoggedRun, ...]:
    """Complete runs of the version that no reader counts any more."""
    return tuple(
        run
        for run in runs
        if run.is_complete and run.version_arn == kept.version_arn and run.run_id != kept.run_id
    )


def join_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as MLflow keeps them, those that only mlrek reads joined into one.

    >>> join_tags({"task": "detection", "mlrek.log_schema": "4", "mlrek.doubts": "[]"})
    {'task': 'detection', 'mlrek.bookkeeping': '{"log_schema":"4","doubts":[]}'}
    """
    kept = {name: tags[tag] for tag, name in JOINED_TAGS.items() if tag in tags}
    rest = {tag: value for tag, value in tags.items() if tag not in JOINED_TAGS}
    if not kept:
        return rest
    doubts = kept.get("doubts", DOCUMENT)
    told = {"doubts": json.loads(doubts)} if doubts != DOCUMENT else {}
    text = _dump({**kept, **told})
    return {**rest, BOOKKEEPING_TAG: text if len(text) <= MAX_TAG else _dump_long(kept)}


def part_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run each by itself, however it was logged.

    >>> part_tags({"mlrek.bookkeeping": '{"log_schema":"4","doubts":[]}'})
    {'mlrek.log_schema': '4', 'mlrek.doubts': '[]'}
    """
    text = tags.get(BOOKKEEPING_TAG, "")
    if not text:
        return dict(tags)
    rest = {tag: value for tag, value in tags.items() if tag != BOOKKEEPING_TAG}
    try:
        kept = dict(json.loads(text).items())
        found = {tag: kept[name] for tag, name in JOINED_TAGS.items() if name in kept}
    except (ValueError, AttributeError):  # somebody wrote over it: whoever asks for doubts is told
        return {DOUBTS_TAG: f"{BOOKKEEPING_TAG} {text}", **rest}
    texts = {tag: v if isinstance(v, str) else _dump(v) for tag, v in found.items()}
    return {**texts, **rest}


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _dump_long(kept: Mapping[str, str]) -> str:
    """The same where the doubts have no room."""
    return _dump({**kept, "doubts": DOCUMENT})


def write_doubts_tag(doubts: Sequence[Doubt]) -> str:
    """The doubts as ASCII JSON, '' for none; more than a tag holds: where they are."""
    from mlrek.render.doubts import build_doubt_json

    if not doubts:
        return ""
    text = json.dumps([build_doubt_json(doubt) for doubt in doubts], separators=(",", ":"))
    return text if len(text) <= MAX_TAG else DOCUMENT


def read_doubts(run: LoggedRun, store: "Store | None") -> tuple[Doubt, ...]:
    """The doubts of a run that is logged; without a store those that its tag holds.

    Raises:
        TrackingError: Its `evaluation.json` cannot be read, or its doubts are of a later mlrek.
    """
    from mlrek.render.doubts import parse_doubt

    text = run.tags.get(DOUBTS_TAG, "")
    if not text:
        return ()
    try:
        if text == DOCUMENT:
            if store is None:
                return ()
            described = json.loads(store.read_artifact(run.run_id, DOCUMENT))["doubts"]
        else:
            described = json.loads(text)
        return tuple(map(parse_doubt, described))
    except (ValueError, KeyError, TypeError) as exc:
        raise TrackingError(
            f"runs:/{run.run_id}: its doubts cannot be read ({exc}): was it logged by a later "
            "mlrek? update mlrek, or log it again with --force"
        ) from exc


def is_evidence(client: "MlflowClient", run_id: str) -> bool:
    """Whether a registered version with an alias, or a sealed decision, names a run, as of now.

    A store without a registry has neither. Where the registry refuses to tell, the run is taken
    for evidence: keeping one too many costs a row, deleting one too many a promotion's ground.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

    try:
        if DECISION_TAG in client.get_run(run_id).data.tags:
            return True
    except MlflowException as exc:
        if exc.error_code == _IS_GONE:
            return False
        raise
    try:
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        return any(_is_named(client, version) for version in versions)
    except UnsupportedModelRegistryStoreURIException:
        return False
    except MlflowException as exc:
        return exc.error_code not in _NO_REGISTRY


def _is_named(client: "MlflowClient", version: "ModelVersion") -> bool:
    """Whether an alias or a sealed decision names a registered version."""
    if DECISION_TAG in version.tags:
        return True
    aliases = client.get_registered_model(version.name).aliases
    return str(version.version) in map(str, aliases.values())

"""Is a version better, and may it be promoted: read, compare, check, promote, verify.

This module is where each of these begins: a VERSION as typed -> its evaluation, from a source, from
a run, or from the model registry.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from mlrek.errors import (
    OtherVersionError,
    RunNotFoundError,
    SourceNotFoundError,
    TrackingError,
    UsageError,
)
from mlrek.evaluation import Evaluation, Version
from mlrek.metrics import PredictionRule
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.metrics.test_set import count_once, is_same_project, test_set_digest
from mlrek.sources import AwsOptions, open_source
from mlrek.sources.custom import parse_custom_arn
from mlrek.sources.entries import SeenInTraining, Source, VersionEntry
from mlrek.sources.storage import path_exists
from mlrek.text import list_some, say_nearest
from mlrek.tracking import (
    LOOK_NUMBERS_TAG,
    LOOKED_TAG,
    MAX_TAG,
    LoggedRun,
    RegisteredVersion,
    current_run,
)

if TYPE_CHECKING:
    from mlrek.figures.pictures import ReadImages
    from mlrek.tracking.store import Store

EVALUATION_PATH = "evaluation.parquet"
MODEL_URI = re.compile(r"models:/(?P<name>[^@]+?)(?:/(?P<version>\d+)|@(?P<alias>[\w-]+))")
RUN_URI = re.compile(r"runs:/(?P<run_id>\w+)/?")
RUN_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
MIN_BEGINNING = 4
"""Digits by which a run is looked for; in a narrow terminal `mlrek versions` prints eight."""

FindSeen: TypeAlias = Callable[[Sequence[str]], SeenInTraining]
"""Tells which of some images the version was trained on."""

Listed: TypeAlias = dict[str, tuple[Source, Sequence[VersionEntry]]]
"""Sources by their text, with what they hold: one is listed once for all versions of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """An evaluation with the run it came from, None when it was read from a source.

    `evaluation` has each image once, `published` every line, where those differ. `registered` is
    the registry's version by which it was named, if it was. `sha256` is that of the run's
    `evaluation.parquet`, in hexadecimal digits. `find_seen` tells which images the version was
    trained on, `list_trained` names all of these, and `read_images` reads them, where its source
    is at hand. `rule` is what counts as a prediction, where it was chosen. `drawn_labels` are those
    that the matrices of its project are drawn with, where that was asked.
    """

    evaluation: Evaluation
    published: Evaluation | None = None
    run: LoggedRun | None = None
    registered: RegisteredVersion | None = None
    sha256: str = ""
    find_seen: FindSeen | None = None
    list_trained: Callable[[], Collection[str]] | None = None
    read_images: "ReadImages | None" = None
    rule: PredictionRule | None = None
    drawn_labels: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The run it came from, '' without one."""
        return self.run.run_id if self.run else ""

    @property
    def prediction_rule(self) -> PredictionRule:
        """The rule that was chosen, else that which the run's numbers were computed by."""
        if self.rule is not None:
            return self.rule
        rule = self.run.params.get("prediction_rule", "") if self.run else ""
        known = {one.value: one for one in PredictionRule}
        return known.get(rule, PredictionRule.TOP1)


TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One version that was checked; `number` is its place, 0 as long as it has none."""

    version: str
    number: int


def load_version(
    text: str,
    aws: AwsOptions,
    open_store: "Callable[[], Store]",
    *,
    skip_bad_lines: bool = False,
    threshold: float = DEFAULT_THRESHOLD,
    listed: Listed | None = None,
) -> Referred:
    """Read the evaluation that a VERSION names, each image once.

    Args:
        text: A version ARN, `SOURCE#VERSION`, `runs:/RUN_ID`, `models:/NAME/3` or
            `models:/NAME@alias`, or a SOURCE that holds just one version.
        aws: Region and profile.
        open_store: Called only for runs, models, and the ARN of a model from anywhere, which no
            service knows.
        skip_bad_lines: Skip malformed lines of a manifest, counted.
        threshold: Where a source's published numbers are read; a run keeps its own.
        listed: The sources that other versions are in.

    Raises:
        UsageError: The text names no version, or more than one.
        SourceError: Its evaluation cannot be read.
        ModelNotFoundError: The registry has no such model, version or alias.
        TrackingError: MLflow cannot be reached or refuses.
    """
    if parse_custom_arn(text) is not None:
        return _load_logged(text, open_store())
    if is_logged_version(text):
        _check_uri(text)
        return _load_run(text, open_store())
    source, entry = find_entry(text, aws, listed)
    return load_entry(source, entry, skip_bad_lines=skip_bad_lines, threshold=threshold)


def is_logged_version(text: str) -> bool:
    """Whether a VERSION is in MLflow alone: a run, a registered model, a model from anywhere."""
    return text.startswith(("runs:/", "models:/")) or parse_custom_arn(text) is not None


def load_given(
    version: str | Referred,
    aws: AwsOptions,
    open_store: "Callable[[], Store]",
    listed: Listed | None = None,
) -> Referred:
    """What a VERSION names, as `load_version` reads it; what was read already is as it is."""
    if isinstance(version, Referred):
        return version
    return load_version(version, aws, open_store, listed=listed)


def load_entry(
    source: Source, entry: VersionEntry, *, skip_bad_lines: bool = False, threshold: float
) -> Referred:
    """Read the evaluation of a version that its source has listed.

    Raises:
        SourceError: It cannot be read.
    """
    evaluation = source.load(entry, skip_bad_lines=skip_bad_lines, threshold=threshold)
    return Referred(
        evaluation=count_once(evaluation),
        published=evaluation,
        find_seen=partial(source.find_seen, entry),
        list_trained=partial(source.list_trained, entry),
        read_images=partial(source.read_images, entry),
    )


def find_entry(
    text: str, aws: AwsOptions, listed: Listed | None = None
) -> tuple[Source, VersionEntry]:
    """The version that a version ARN, `SOURCE#VERSION` or a SOURCE names; nothing is read yet.

    Raises:
        UsageError: The text names no version, or more than one.
        SourceError: The source cannot be listed.
    """
    source_text, name = _split_name(text)
    listed = {} if listed is None else listed
    if source_text not in listed:
        opened = open_source(source_text, aws)
        listed[source_text] = opened, opened.list_versions()
    source, entries = listed[source_text]
    return source, _choose_entry(entries, source_text, name)


def read_run(run: LoggedRun, store: "Store") -> Referred:
    """The evaluation of a run, each image once.

    Raises:
        EvaluationError: Its file is not what it should be.
        TrackingError: MLflow cannot be reached or refuses.
    """
    return parse_run(run, store.read_artifact(run.run_id, EVALUATION_PATH))


def parse_run(run: LoggedRun, content: bytes) -> Referred:
    """The evaluation of a run from the content of its file, each image once.

    Raises:
        OtherVersionError: It is of another version than the run.
        EvaluationError: It is not what it should be.
    """
    from mlrek.formats.stored import load_stored

    stored = load_stored(content)
    _check_version(run, stored.version)
    return Referred(
        evaluation=count_once(stored), published=stored, run=run, sha256=digest(content)
    )


def _check_version(run: LoggedRun, version: Version) -> None:
    """Refuse a file that names another version, or project, than its run; what is not told fits."""
    of, project = run.version_arn, run.project_arn
    is_same = not of or of == version.arn
    if is_same and (not project or is_same_project(project, version.project.arn)):
        return
    told, found = (of, version.arn) if not is_same else (project, version.project.arn)
    raise OtherVersionError(
        f"runs:/{run.run_id} is of {told or 'no version'}, but its {EVALUATION_PATH} is of "
        f"{found or 'no version'}: one of them was overwritten; log the version anew with "
        "`mlrek sync SOURCE --force`"
    )


def find_logged_run(evaluation: Evaluation, store: "Store") -> LoggedRun | None:
    """The run of a version that was read from elsewhere, with just this test set, if it is logged.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    version = evaluation.version
    experiment = store.find_experiment(version.project)
    if experiment is None:
        return None
    tags = {"version_arn": version.arn, "test_set_digest": test_set_digest(evaluation)}
    return current_run(store.list_runs(experiment.experiment_id, tags))


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def name_look(baseline_run_id: str, test_set_digest: str) -> str:
    """What a candidate was checked on, as its run's tag has it."""
    return f"{baseline_run_id}/{test_set_digest}"


def list_looks(store: "Store", name: str, experiment_id: str) -> tuple[Look, ...]:
    """Each version that was checked so, once, also those whose run was replaced since.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    found: dict[str, list[int]] = {}
    for run in store.list_tagged_runs(LOOKED_TAG, name, experiment_id):
        if name in run.tags.get(LOOKED_TAG, "").split():
            found.setdefault(_name_version(run), []).extend(_read_numbers(run, name))
    return tuple(
        Look(version=version, number=min(numbers, default=0)) for version, numbers in found.items()
    )


def find_look(store: "Store", name: str, run: LoggedRun) -> tuple[int, int]:
    """How many versions were checked so, and the place of a run's version, 0 for none yet.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    looks = list_looks(store, name, run.experiment_id)
    own = (look.number for look in looks if look.version == _name_version(run))
    return len(looks), next(own, 0)


def take_look(store: "Store", name: str, run: LoggedRun) -> tuple[int, int]:
    """Write down that a run's version is checked so; gives the count and the version's place.

    Of a version that another process counts at the same time the first place counts.

    Raises:
        TrackingError: MLflow cannot be reached, or does not let this be written.
    """
    _add(store, run, LOOKED_TAG, name)
    looks = list_looks(store, name, run.experiment_id)
    others = (look.number for look in looks if look.version != _name_version(run))
    number = max(len(looks), 1 + max(others, default=0))
    _add(store, run, LOOK_NUMBERS_TAG, f"{name}={number}")
    return find_look(store, name, run)


def _check_uri(text: str) -> None:
    """Refuse what names neither a run nor a model, before a store is asked."""
    if not (RUN_URI.fullmatch(text) or MODEL_URI.fullmatch(text)):
        raise UsageError(f"{text!r} is none of runs:/RUN_ID, models:/NAME/3, models:/NAME@alias")


def _load_logged(arn: str, store: "Store") -> Referred:
    """The version of a model from anywhere, from the run that counts of it.

    Raises:
        RunNotFoundError: It is not logged.
    """
    run = store.find_version_run(arn)
    if run is None:
        raise RunNotFoundError(
            f"{arn}: is not logged in {store.tracking_uri}; log it with `mlrek sync PREDICTIONS "
            "--truth TEST_SET --project ARN --version NAME`, or name its archive as FOLDER#NAME"
        )
    return read_run(run, store)


def _load_run(text: str, store: "Store") -> Referred:
    registered = None if RUN_URI.fullmatch(text) else _find_registered(text, store)
    run_id = registered.run_id if registered else text.removeprefix("runs:/").rstrip("/")
    if not run_id:
        raise TrackingError(f"{text} is not linked to any run")
    run = _get_run(text, run_id, registered, store)
    return replace(read_run(run, store), registered=registered)


def _get_run(
    text: str, run_id: str, registered: RegisteredVersion | None, store: "Store"
) -> LoggedRun:
    """A run that was named; one that was deleted is no evidence any more.

    Raises:
        RunNotFoundError: It was deleted, with the way out.
        TrackingError: MLflow refuses.
    """
    run = store.find_run(run_id)
    if run is not None and not run.is_deleted:
        return run
    named = f"{text} is version {registered.version}, whose run" if registered else "the run"
    if run is not None:
        raise RunNotFoundError(
            f"{named} {run_id} was deleted; bring it back before `mlflow gc` takes it for good: "
            f"mlflow runs restore --run-id {run_id}"
        )
    if registered is None and not RUN_ID.fullmatch(run_id):
        meant = store.find_run_ids(run_id) if len(run_id) >= MIN_BEGINNING else []
        said = (
            f"did you mean {list_some(f'runs:/{one}' for one in meant)}?"
            if meant
            else ("`mlrek versions SOURCE` lists the runs of a project's versions")
        )
        raise RunNotFoundError(
            f"{store.tracking_uri}: there is no run {run_id!r}; a run's id has 32 hexadecimal "
            f"digits; {said}"
        )
    raise RunNotFoundError(
        f"{named} {run_id} is not there any more (purged by `mlflow gc`?); log the version anew "
        "with `mlrek sync SOURCE --register`"
        + (", then move the alias with `mlrek promote`" if registered else "")
    )


def _find_registered(text: str, store: "Store") -> RegisteredVersion:
    from mlrek.registry.door import find_registered  # takes long; files do without

    model = MODEL_URI.fullmatch(text)
    assert model is not None  # noqa: S101 - `_check_uri` has refused what is none
    return find_registered(store, model["name"], model["version"] or "", model["alias"] or "")


def _split_name(text: str) -> tuple[str, str]:
    """`SOURCE#VERSION` at its last `#`, unless a file or folder has that very name."""
    source, mark, name = text.rpartition("#")
    if not mark or not source or path_exists(text):
        return text, ""
    return source, name


def _choose_entry(listed: Sequence[VersionEntry], text: str, name: str) -> VersionEntry:
    entries = [e for e in listed if not name or e.version.name == name]
    if name and len(entries) == 1:
        return entries[0]
    entries = [e for e in entries if not e.skipped] or entries
    if len(entries) == 1:
        return entries[0]
    if name or not entries:
        if len(entries) > 1:
            raise UsageError(f"{text} holds several versions named {name!r}; use a version ARN")
        every = [f"{text}#{e.version.name}" for e in listed]
        said = say_nearest(f"{text}#{name}", every, shared=f"{text}#")
        raise SourceNotFoundError(text, f"no version {name!r}; {said}")
    known = list_some(f"{text}#{e.version.name}" for e in entries)
    raise UsageError(f"{text} holds {len(entries)} versions; name one: {known}")


def _add(store: "Store", run: LoggedRun, tag: str, word: str) -> None:
    """Add a word to a run's tag; again where another process wrote the tag at the same time."""
    for _ in range(TRIES):
        words = store.get_run(run.run_id).tags.get(tag, "").split()
        if word in words:
            return
        text = " ".join((*words, word))
        if len(text) > MAX_TAG:
            raise TrackingError(f"the tag {tag} of the run {run.run_id} is full")
        store.set_run_tags(run.run_id, {tag: text})
    raise TrackingError(f"the tag {tag} of the run {run.run_id} does not keep what is written")


def _name_version(run: LoggedRun) -> str:
    return run.version_arn or run.run_id


def _read_numbers(run: LoggedRun, name: str) -> Iterator[int]:
    for word in run.tags.get(LOOK_NUMBERS_TAG, "").split():
        key, _, number = word.partition("=")
        if key == name and number.isdecimal():
            yield int(number)

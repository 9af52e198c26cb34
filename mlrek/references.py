"""A VERSION as typed -> its evaluation: from a source, from a run, or from the model registry."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from mlrek.errors import SourceNotFoundError, UsageError
from mlrek.evaluation import Evaluation
from mlrek.formats.stored import load_evaluation
from mlrek.reported import DEFAULT_THRESHOLD
from mlrek.sources import AwsOptions, open_source
from mlrek.sources.catalogue import SeenInTraining, Source, VersionEntry
from mlrek.sources.storage import path_exists
from mlrek.tracking.store import Store

EVALUATION_PATH = "evaluation.parquet"
MODEL_URI = re.compile(r"models:/(?P<name>[^@]+?)(?:/(?P<version>\d+)|@(?P<alias>[\w-]+))")
RUN_URI = re.compile(r"runs:/(?P<run_id>\w+)/?")

FindSeen: TypeAlias = Callable[[Sequence[str]], SeenInTraining]
"""Tells which of some images the version was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """An evaluation with the run it came from, '' when it was read from a source.

    `find_seen` tells which images the version was trained on, where its source is at hand.
    """

    evaluation: Evaluation
    run_id: str = ""
    find_seen: FindSeen | None = None


def load_version(
    text: str,
    aws: AwsOptions,
    open_store: Callable[[], Store],
    *,
    skip_bad_lines: bool = False,
    threshold: float = DEFAULT_THRESHOLD,
) -> Referred:
    """Read the evaluation that a VERSION names.

    Args:
        text: A version ARN, `SOURCE#VERSION`, `runs:/RUN_ID`, `models:/NAME/3` or
            `models:/NAME@alias`, or a SOURCE that holds just one version.
        aws: Region and profile.
        open_store: Called only for runs and models.
        skip_bad_lines: Skip malformed lines of a manifest, counted.
        threshold: Where a source's published numbers are read; a run keeps its own.

    Raises:
        UsageError: The text names no version, or more than one.
        SourceError: Its evaluation cannot be read.
        TrackingError: MLflow cannot be reached or refuses.
    """
    if text.startswith(("runs:/", "models:/")):
        return _load_run(text, open_store())
    source_text, name = _split_name(text)
    source = open_source(source_text, aws)
    entry = _choose_entry(source, source_text, name)
    evaluation = source.load(entry, skip_bad_lines=skip_bad_lines, threshold=threshold)
    return Referred(evaluation=evaluation, find_seen=partial(source.find_seen, entry))


def _load_run(text: str, store: Store) -> Referred:
    run_id = _find_run_id(text, store)
    content = store.read_artifact(run_id, EVALUATION_PATH)
    return Referred(evaluation=load_evaluation(content), run_id=run_id)


def _find_run_id(text: str, store: Store) -> str:
    if run := RUN_URI.fullmatch(text):
        return run["run_id"]
    model = MODEL_URI.fullmatch(text)
    if model is None:
        raise UsageError(f"{text!r} is none of runs:/RUN_ID, models:/NAME/3, models:/NAME@alias")
    wanted = model["alias"] or model["version"]
    return store.find_model_run(model["name"], wanted, is_alias=bool(model["alias"]))


def _split_name(text: str) -> tuple[str, str]:
    """`SOURCE#VERSION` at its last `#`, unless a file or folder has that very name."""
    source, mark, name = text.rpartition("#")
    if not mark or not source or path_exists(text):
        return text, ""
    return source, name


def _choose_entry(source: Source, text: str, name: str) -> VersionEntry:
    entries = [e for e in source.list_versions() if not name or e.version.name == name]
    if name and len(entries) == 1:
        return entries[0]
    entries = [e for e in entries if not e.skipped] or entries
    if len(entries) == 1:
        return entries[0]
    known = ", ".join(f"{text}#{e.version.name}" for e in entries[:10])
    if name or not entries:
        every = ", ".join(repr(e.version.name) for e in source.list_versions())
        if len(entries) > 1:
            raise UsageError(f"{text} holds several versions named {name!r}; use a version ARN")
        raise SourceNotFoundError(text, f"no version {name!r}; there are: {every or 'none'}")
    raise UsageError(f"{text} holds {len(entries)} versions; name one: {known}")

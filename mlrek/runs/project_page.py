"""The page of a project in its newest run: written, and written again whenever a version is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from math import nan
from typing import Final

from mlrek.errors import EvaluationError, TrackingError
from mlrek.metrics import Number
from mlrek.render.project_data import HeldNumbers, name_drawn, parse_held
from mlrek.render.project_page import (
    MAX_PAGE_VERSIONS,
    PAGE_SCHEMA,
    PROJECT_PAGE,
    PageVersion,
    find_given,
    read_project_page,
    render_moved_page,
    render_project_page,
)
from mlrek.tracking import DOCUMENT, PAGE_MOVED, PAGE_TAG, LoggedRun, current_runs, find_page_run
from mlrek.tracking.links import build_artifact_link
from mlrek.tracking.notes import list_shown, test_set_letters
from mlrek.tracking.store import Store
from mlrek.tracking.view import COLOUR_TAG, choose_colours

_READERS: Final = 8
"""Runs that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """What the page of a project is made with.

    `fresh` is what was just logged, by run id; `drawn` are the labels that the project's heat maps
    show, empty where nobody chose; `charts` is the address of MLflow's charts.
    """

    project: str
    fresh: Mapping[str, HeldNumbers]
    drawn: Sequence[str] = ()
    charts: str = ""


def update_project_page(
    store: Store, runs: Sequence[LoggedRun], context: PageContext
) -> tuple[LoggedRun, ...]:
    """The same runs, after the newest of those that count has the page of them all.

    Nothing is read or written where it has it already. A page that a run before has from earlier
    becomes a short one that names the new place. Killed in between, the next sync does the rest:
    a run is only marked when its page is written.

    Args:
        store: Where the runs are.
        runs: All runs of the project, complete or not.
        context: What the page is made with.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    current = current_runs(runs)
    if not current:
        return tuple(runs)
    newest, stamp = current[-1], _stamp(current, context.drawn)
    marks: dict[str, str] = {}
    if newest.tags.get(PAGE_TAG) != stamp:
        page = _render(store, current, runs, context)
        store.write_artifact(newest.run_id, PROJECT_PAGE, page)
        store.set_run_tags(newest.run_id, {PAGE_TAG: stamp})
        marks[newest.run_id] = stamp
    for run in _list_left(runs, newest):
        store.write_artifact(run.run_id, PROJECT_PAGE, _render_moved(store, newest, context))
        store.set_run_tags(run.run_id, {PAGE_TAG: PAGE_MOVED})
        marks[run.run_id] = PAGE_MOVED
    return tuple(
        replace(run, tags={**run.tags, PAGE_TAG: marks[run.run_id]}) if run.run_id in marks else run
        for run in runs
    )


def _stamp(runs: Sequence[LoggedRun], drawn: Sequence[str]) -> str:
    """Tells pages of different content apart: a run never changes once it is complete."""
    content = [PAGE_SCHEMA, [run.run_id for run in runs], list(drawn)]
    return sha256(json.dumps(content).encode()).hexdigest()[:16]


def _list_left(runs: Sequence[LoggedRun], newest: LoggedRun) -> Iterator[LoggedRun]:
    """The other runs in which a page of all versions still is."""
    for run in runs:
        if run.run_id != newest.run_id and run.tags.get(PAGE_TAG, PAGE_MOVED) != PAGE_MOVED:
            yield run


def _render(
    store: Store, current: Sequence[LoggedRun], runs: Sequence[LoggedRun], context: PageContext
) -> bytes:
    held = _read_all(store, current[-MAX_PAGE_VERSIONS:], runs, context)
    letters = test_set_letters(current)
    colours = {run.run_id: run.tags.get(COLOUR_TAG, "") for run in current}
    colours |= {run.run_id: colour for run, colour in choose_colours(current)}
    versions = [
        PageVersion(
            run_id=run.run_id,
            name=run.tags.get("version_name", ""),
            trained_ms=run.start_ms,
            task=run.tags.get("task", ""),
            test_set=letters.get(run.tags.get("test_set_digest", ""), ""),
            images=run.params.get("test_images", ""),
            colour=colours[run.run_id],
            report=_link(store, run, "report.html"),
            held=held.get(run.run_id) or _list_metrics(run),
            is_read=run.run_id in held,
        )
        for run in current
    ]
    return render_project_page(
        context.project,
        versions,
        headlines=list_shown(current),
        drawn=context.drawn,
        charts=context.charts,
    )


def _render_moved(store: Store, newest: LoggedRun, context: PageContext) -> bytes:
    return render_moved_page(context.project, _link(store, newest, PROJECT_PAGE), context.charts)


def _link(store: Store, run: LoggedRun, path: str) -> str:
    return build_artifact_link(
        store.tracking_uri, run.experiment_id, run.run_id, path, store.workspace
    )


def _read_all(
    store: Store, current: Sequence[LoggedRun], runs: Sequence[LoggedRun], context: PageContext
) -> dict[str, HeldNumbers]:
    """What each run holds, by run id: of those just logged as it is known, of the others read.

    The page before holds most of them, in one file. A run that cannot be read is left out.
    """
    wanted = [run for run in current if run.run_id not in context.fresh]
    earlier = _read_earlier(store, runs, context.drawn) if wanted else {}
    missing = [run for run in wanted if run.run_id not in earlier]
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        read = zip(missing, pool.map(partial(_read_held, store), missing), strict=True)
        found = {run.run_id: held for run, held in read if held is not None}
    return {**earlier, **found, **context.fresh}


def _read_earlier(
    store: Store, runs: Sequence[LoggedRun], drawn: Sequence[str]
) -> dict[str, HeldNumbers]:
    """What the page before holds, but for what it holds in heat maps of other labels."""
    last = find_page_run(runs)
    if last is None:
        return {}
    try:
        page = read_project_page(store.read_artifact(last.run_id, PROJECT_PAGE))
    except TrackingError:
        return {}
    return {run: held for run, held in page.items() if _fits(held, drawn)}


def _fits(held: HeldNumbers, drawn: Sequence[str]) -> bool:
    """Whether its heat map shows these labels, where somebody chose them."""
    shown = name_drawn(held)
    return shown is None or not drawn or set(shown) == find_given(held.labels, drawn)


def _read_held(store: Store, run: LoggedRun) -> HeldNumbers | None:
    try:
        return parse_held(store.read_artifact(run.run_id, DOCUMENT))
    except (TrackingError, EvaluationError):
        return None


def _list_metrics(run: LoggedRun) -> HeldNumbers:
    """What MLflow lists of a run whose file cannot be read: the numbers of all labels."""
    numbers = {}
    for key, value in run.metrics.items():
        if key.startswith(("aggregate/", "at_threshold/", "reported/")):
            name = key.replace("aggregate/", "interval/")
            low, high = (run.metrics.get(f"{name}_{end}", nan) for end in ("low", "high"))
            numbers[key] = Number(value=value, low=low, high=high)
    return HeldNumbers(numbers=numbers)

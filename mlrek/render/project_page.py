"""All versions of a project as one self-contained HTML page, side by side."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mlrek.evaluation import Task
from mlrek.metrics.drawn_labels import count_shown, count_undivided, digest_label
from mlrek.metrics.numbers import list_definitions, name_metric
from mlrek.render import Json, Table
from mlrek.render.project_data import (
    LABEL_METRICS,
    OTHER,
    SUPPORT,
    HeldNumbers,
    build_held_json,
    cut_labels,
    draw_cells,
    name_drawn,
    name_held_label,
    parse_held_json,
)
from mlrek.render.report import MAX_BYTES, render_page
from mlrek.text import escape_unencodable, fmt_date, fmt_with

PROJECT_PAGE: Final = "project.html"
PAGE_SCHEMA: Final = 1
"""Raised when what the page holds of a version changes its form or meaning."""

MAX_PAGE_VERSIONS: Final = 100
_SCRIPTS: Final = (
    "parts.js",
    "places.js",
    *(f"project/{part}.js" for part in ("data", "numbers", "matrix", "curves", "labels", "start")),
)
_DATA: Final = re.compile(rb'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVersion:
    """One version of a project. `trained_ms` is the training's start, 0 where nobody knows it.

    `test_set` is the letter that its test set has in the project, '' without images; `report` the
    address of its report, '' where there is no web page. `is_read` tells whether `held` is what the
    run's `evaluation.json` holds, and not only what MLflow itself lists.
    """

    run_id: str
    name: str
    trained_ms: int = 0
    task: str = ""
    test_set: str = ""
    images: str = ""
    colour: str = ""
    report: str = ""
    held: HeldNumbers
    is_read: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Budget:
    """How much a page holds: of the newest `full` versions all, of the others less.

    `columns` are the numbers of labels of the others, `ends` whether with intervals.
    """

    full: int = MAX_PAGE_VERSIONS
    columns: tuple[str, ...] = LABEL_METRICS
    ends: bool = True
    labels: int = 1_000
    versions: int = MAX_PAGE_VERSIONS


_BUDGETS: Final = (
    _Budget(),
    _Budget(full=12, ends=False),
    _Budget(full=8, ends=False, columns=("f1", "iou", "ap"), labels=400),
    _Budget(full=4, ends=False, columns=("f1", "iou"), labels=250),
    _Budget(full=4, ends=False, columns=("f1", "iou"), labels=100, versions=30),
    _Budget(full=2, ends=False, columns=(), labels=25, versions=10),
)


def render_project_page(
    project: str,
    versions: Sequence[PageVersion],
    *,
    headlines: Sequence[str],
    drawn: Sequence[str] = (),
    charts: str = "",
) -> bytes:
    """The page, at most `MAX_BYTES` however many versions and labels there are.

    Args:
        project: The project's name.
        versions: Its versions by training time, the oldest first.
        headlines: The numbers that say most, by the names they are logged under.
        drawn: The labels that were chosen for the matrices of the project, where it has too many
            to show all; empty: the most confused of all versions.
        charts: The address of MLflow's charts of these versions, '' without a web page.
    """
    drawn = choose_drawn([v.held for v in versions], drawn)
    for budget in _BUDGETS:
        shown = _cut(versions, drawn, budget)
        data = _build_data(shown, headlines, drawn)
        facts = _build_facts(project, versions, shown, headlines)
        page = render_page(PROJECT_PAGE, data, scripts=_SCRIPTS, charts=charts, **facts)
        if len(page) <= MAX_BYTES:
            break
    return page


def render_moved_page(project: str, address: str, charts: str) -> bytes:
    """What stands in a run where the project's page was, before it went to that of a newer one."""
    facts = {"title": f"{project} · all versions", "project": project, "address": address}
    scripts = ("parts.js", "places.js")
    return render_page("moved.html", {}, scripts=scripts, charts=charts, **_escape_all(facts))


def read_project_page(page: bytes) -> dict[str, HeldNumbers]:
    """What a page that was logged before holds of each version, by run id; nothing of another form.

    What was left out for want of room is missing here too.
    """
    found = _DATA.search(page)
    try:
        data: dict[str, Any] = json.loads(found[1]) if found else {}
        if data.get("schema") != PAGE_SCHEMA:
            return {}
        lists = data["label_lists"]
        entries = {str(e["run"]): e["held"] for e in data["versions"] if e["is_read"]}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    read = {run: parse_held_json(entry, lists) for run, entry in entries.items()}
    return {run: held for run, held in read.items() if held is not None}


def choose_drawn(held: Sequence[HeldNumbers], given: Sequence[str] = ()) -> tuple[str, ...]:
    """The labels of the heat maps, in the order in which versions have them, the oldest first.

    All of them where they are few, else those `given`, else those of a page before, else the most
    confused of all versions together.
    """
    labels = list(dict.fromkeys(label for one in held for label in one.labels))
    if len(labels) <= count_undivided(given):
        return tuple(labels)
    before = {label for one in held for label in name_drawn(one) or ()}
    wanted = find_given(labels, given) or before or _find_most_confused(held, labels)
    return tuple(label for label in labels if label in wanted)


def find_given(labels: Iterable[str], given: Sequence[str]) -> set[str]:
    """Which of the labels, named as people see them, are those that were chosen for a project."""
    chosen = {*given, *(name_held_label(label) for label in given)}
    return {label for label in labels if label in chosen or digest_label(label) in chosen}


def _find_most_confused(held: Sequence[HeldNumbers], labels: Sequence[str]) -> set[str]:
    """Those with most mistakes in their row and column, of equal ones the first."""
    mistakes = dict.fromkeys(labels, 0)
    for one in held:
        for row, column, n in one.cells.counts if one.cells else ():
            for code in {row, column} if row != column else ():
                if code > OTHER:
                    mistakes[one.labels[code]] += n
    return set(sorted(labels, key=lambda label: -mistakes[label])[: count_shown(len(labels))])


def _cut(
    versions: Sequence[PageVersion], drawn: Sequence[str], budget: _Budget
) -> list[PageVersion]:
    """The newest versions with what the page has room for."""
    newest = versions[-budget.versions :]
    labels = _choose_labels([v.held for v in newest], drawn, budget.labels)
    cut = []
    for i, version in enumerate(newest):
        held = cut_labels(draw_cells(version.held, drawn), labels)
        if i < len(newest) - budget.full:
            held = replace(held, columns=_choose_columns(held, budget))
        cut.append(replace(version, held=held))
    return cut


def _choose_labels(held: Sequence[HeldNumbers], drawn: Sequence[str], most: int) -> Sequence[str]:
    """Past so many labels those that are drawn, then those that are most frequent."""
    support: dict[str, float] = {}
    for one in held:
        found = one.columns.get(SUPPORT, ())
        for label, n in zip(one.labels, found or [0] * len(one.labels), strict=True):
            support[label] = max(support.get(label, 0), n or 0)
    others = sorted(support.keys() - {*drawn}, key=lambda label: (-support[label], label))
    return [*drawn, *others][:most] if len(support) > most else [*support]


def _choose_columns(held: HeldNumbers, budget: _Budget) -> dict[str, tuple[float | None, ...]]:
    kept = {SUPPORT, *budget.columns}
    if budget.ends:
        kept |= {f"{name}_{end}" for name in budget.columns for end in ("low", "high")}
    return {name: values for name, values in held.columns.items() if name in kept}


def _build_data(
    versions: Sequence[PageVersion], headlines: Sequence[str], drawn: Sequence[str]
) -> dict[str, Json]:
    lists: list[tuple[str, ...]] = []
    entries: list[Json] = [_build_version(version, lists) for version in versions]
    held = [v.held for v in versions]
    names = [*headlines, *(name for one in held for name in one.numbers)]
    metrics = [m for m in LABEL_METRICS if any(m in one.columns for one in held)]
    return {
        "schema": PAGE_SCHEMA,
        "versions": entries,
        "label_lists": [list(labels) for labels in lists],
        "drawn": list(drawn),
        "headlines": list(headlines),
        "names": {name: escape_unencodable(name_metric(name)) for name in dict.fromkeys(names)},
        "label_metrics": [[m, name_metric(f"label_{m}")] for m in metrics],
        "counted": _name_counted(versions),
    }


def _build_version(version: PageVersion, lists: list[tuple[str, ...]]) -> dict[str, Json]:
    return {
        "run": version.run_id,
        "name": escape_unencodable(version.name),
        "trained": fmt_date(version.trained_ms),
        "task": version.task,
        "set": version.test_set,
        "images": version.images,
        "colour": version.colour if _COLOUR.fullmatch(version.colour) else "",
        "report": escape_unencodable(version.report),
        "is_read": version.is_read,
        "held": build_held_json(version.held, lists),
    }


def _name_counted(versions: Sequence[PageVersion]) -> str:
    """What the support of a label counts."""
    tasks = {version.task for version in versions}
    if tasks == {Task.DETECTION.value}:
        return "boxes"
    return "pixels" if tasks == {Task.SEGMENTATION.value} else "images"


def _build_facts(
    project: str,
    versions: Sequence[PageVersion],
    shown: Sequence[PageVersion],
    headlines: Sequence[str],
) -> dict[str, Any]:
    """All that the template fills in, as plain text."""
    days = [day for day in (fmt_date(v.trained_ms) for v in versions) if day]
    tasks = [task for task in Task if any(v.task == task.value for v in versions)]
    sets = _list_sets(versions)
    return {
        **_escape_all({"title": f"{project} · all versions", "project": project}),
        "count": len(versions),
        "trained": " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "",
        "differ": len(sets) > 1,
        "sets": sets,
        "left_out": _say_left_out(versions, shown),
        "unread": [escape_unencodable(v.name) for v in versions if not v.is_read],
        "table": _tabulate(shown, headlines),
        "definitions": _list_definitions(tasks, headlines),
    }


def _list_sets(versions: Sequence[PageVersion]) -> list[dict[str, Any]]:
    """Each test set by its letter, how many images it has, and which versions it tested."""
    letters = dict.fromkeys(v.test_set for v in versions if v.test_set)
    return [
        {
            "letter": letter,
            "images": next(v.images for v in versions if v.test_set == letter),
            "versions": [escape_unencodable(v.name) for v in versions if v.test_set == letter],
        }
        for letter in letters
    ]


def _say_left_out(versions: Sequence[PageVersion], shown: Sequence[PageVersion]) -> list[str]:
    said = []
    if len(shown) < len(versions):
        said.append(f"The newest {len(shown)} of {len(versions)} versions are here.")
    of_all = {label for v in versions[-len(shown) :] for label in v.held.labels}
    here = {label for v in shown for label in v.held.labels}
    if len(here) < len(of_all):
        said.append(f"{len(here)} of {len(of_all)} labels are here; per_label.csv has all.")
    lacking = sum(
        len(cut.held.columns) < len(whole.held.columns)
        for cut, whole in zip(shown, versions[-len(shown) :], strict=True)
    )
    if lacking:
        many = "version lacks" if lacking == 1 else "versions lack"
        said.append(
            f"The oldest {lacking} {many} some numbers of labels here; each run's per_label.csv "
            "has all."
        )
    return said


def _tabulate(versions: Sequence[PageVersion], headlines: Sequence[str]) -> Table:
    """What a reader sees whose browser runs no scripts."""

    def list_cells(version: PageVersion) -> list[str]:
        found = [version.held.numbers.get(name) for name in headlines]
        return [fmt_with(n.value, n.low, n.high, ends=3) if n else "" for n in found]

    titles = [escape_unencodable(name_metric(name)) for name in headlines]
    rows = [
        [escape_unencodable(v.name), fmt_date(v.trained_ms), v.test_set, v.images, *list_cells(v)]
        for v in versions
    ]
    columns = ["version", "trained", "test set", "test images", *titles]
    return Table(columns, rows, numeric=frozenset(titles))


def _list_definitions(tasks: Sequence[Task], headlines: Sequence[str]) -> list[tuple[str, str]]:
    known: dict[str, str] = {}
    for task in tasks:
        known |= list_definitions(task)
    rows = [(name_metric(name), known.get(name, "")) for name in headlines]
    return [(name, text) for name, text in (*rows, ("interval", known.get("interval", ""))) if text]


def _escape_all(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: escape_unencodable(text) for key, text in texts.items()}

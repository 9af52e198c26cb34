"""Notes in markdown, of a run and of an experiment."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from string import ascii_uppercase
from typing import Final

import numpy as np

from mlrek.evaluation import Doubt, Evaluation, Task
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import Metrics, Number
from mlrek.metrics.numbers import HEADLINES, SERVICE_F1, list_headlines, name_metric
from mlrek.metrics.slices import SliceReport
from mlrek.render import Block, Line, Table, cut_name, render_markdown
from mlrek.render.doubts import EFFECT_WORDS, order_doubts, say_touched
from mlrek.render.project_page import PROJECT_PAGE
from mlrek.render.slices import MAX_SAID, list_weak, say_weak
from mlrek.text import display_label, escape_markdown, escape_unprintable, fmt, fmt_date, span
from mlrek.tracking import LoggedRun, current_runs, find_page_run
from mlrek.tracking.links import (
    REPORT,
    build_artifact_place,
    build_compare_place,
    build_view_places,
)

MAX_NOTED_VERSIONS = 100
IMAGES_TAG: Final = "mlflow.loggedImages"
"""MLflow's own mark of a run that has pictures for its grid."""
NOTE_TAG = "mlflow.note.content"
"""The tag that MLflow shows as the note of an experiment or run."""
_SIGNATURE = "logged by mlrek"

_REPORT_WORDS: Final = "`report.html` among the artifacts"
WHERE_TO_LOOK: Final = (
    f"Where to look: {_REPORT_WORDS} has thresholds, galleries and curves; the experiment's charts "
    "show the versions side by side. Among the metrics, a `curve/` shows its value at threshold "
    "100 %, which is no result of the version."
)
_LAST_COMPARISON: Final = "- Last comparison: "
MAX_LINKED: Final = 10
"""Versions whose pages an experiment's note links, the newest."""
_COUNTED: Final = {Task.DETECTION: "objects", Task.SEGMENTATION: "pixels"}
_MAX_WARNING: Final = 400
_MAX_DOUBTS: Final = 6


def render_experiment_note(
    runs: Iterable[LoggedRun],
    own: Iterable[LoggedRun] = (),
    *,
    workspace: str | None = None,
) -> str:
    """What there is of each project in an experiment, of all the runs that it holds.

    `own` are those on your own test sets, of all of them. `workspace` is that of MLflow's pages, ''
    where they have none; None links no page.
    """
    by_project: dict[str, list[LoggedRun]] = {}
    for run in current_runs(runs):
        by_project.setdefault(run.tags.get("project_arn", ""), []).append(run)
    paragraphs: list[str] = []
    for versions in by_project.values():
        paragraphs.append(render_markdown(_list_project(versions)).strip("\n"))
        if workspace is not None:
            paragraphs += _link_pages(versions, workspace)
    paragraphs.append(render_markdown(_list_own(_choose_current(own))).strip("\n"))
    return "\n\n".join(filter(None, paragraphs))


def link_report(note: str, place: str) -> str:
    """A run's note with its report linked, where MLflow shows it."""
    before, words, after = note.rpartition(_REPORT_WORDS)
    return f"{before}[`report.html`]({place}){after}" if words else note


def link_comparison(note: str, baseline: str, place: str) -> str:
    """A run's note with its last comparison linked; somebody's own note stays as it is."""
    lines = [line for line in note.splitlines() if not line.startswith(_LAST_COMPARISON)]
    if not any(line.startswith(f"- {WHERE_TO_LOOK[:14]}") for line in lines):
        return note
    name = escape_markdown(escape_unprintable(baseline))
    return "\n".join((*lines, f"{_LAST_COMPARISON}[with {name}]({place})."))


def is_outdated(said: str, note: str) -> bool:
    """Whether an experiment's note lacks something of what it should be.

    A sync may have been killed before it wrote the note. What people added to it is no reason to
    write it again, nor is a note of their own.
    """
    is_ours = not said or _SIGNATURE in said
    return is_ours and not set(note.splitlines()) <= set(said.splitlines())


def test_set_letters(runs: Sequence[LoggedRun]) -> dict[str, str]:
    """A, B, … for each test-set digest in order of first use; a run without images has none."""
    digests = dict.fromkeys(run.tags.get("test_set_digest", "") for run in runs)
    return {digest: _letter(i) for i, digest in enumerate(filter(None, digests))}


def find_task(runs: Sequence[LoggedRun]) -> Task:
    """What the models of a project do; of several tasks that of the newest version."""
    known = [task for run in runs for task in Task if run.tags.get("task") == task.value]
    return known[-1] if known else Task.CLASSIFICATION


def list_shown(runs: Sequence[LoggedRun]) -> list[str]:
    """The headline numbers of the runs' tasks that any of them has, then the service's F1."""
    tasks = dict.fromkeys((find_task(runs), *(find_task([run]) for run in runs)))
    names = [f"aggregate/{name}" for task in tasks for name in HEADLINES[task]]
    return [
        name
        for name in dict.fromkeys((*names, SERVICE_F1))
        if any(name in run.metrics for run in runs)
    ]


def _list_project(runs: Sequence[LoggedRun]) -> Iterator[Block]:
    """A plain sentence, a table of the versions by training start, what to mind when comparing."""
    versions = "1 version" if len(runs) == 1 else f"{len(runs)} versions"
    letters, shown = test_set_letters(runs), list_shown(runs)
    changes = compute_changes(runs, shown[0]) if shown else {}
    columns = {
        "version": lambda run: run.tags.get("version_name", ""),
        "trained": lambda run: fmt_date(run.start_ms),
        "test images": lambda run: run.params.get("test_images", ""),
        "test set": lambda run: letters.get(run.tags.get("test_set_digest", ""), ""),
    }
    differ = " Test sets differ: compare within one only." if len(letters) > 1 else ""
    project = runs[0].tags.get("project_name", "")
    yield Line(f"Evaluations of {project}: {versions}, {_SIGNATURE}.{differ}")
    yield _tabulate(runs, columns, shown, changes)
    if changes:
        yield Line(f"The {_title_change(shown)} is since the version before on the same images.")


def _link_pages(runs: Sequence[LoggedRun], workspace: str) -> Iterator[str]:
    """The pages of the newest versions: side by side, two at a time, and each by itself."""
    experiment_id, newest = runs[-1].experiment_id, runs[-MAX_LINKED:]
    numbers, pictures = build_view_places(experiment_id, workspace)
    places = {"numbers": numbers}
    if any(IMAGES_TAG in run.tags for run in runs):
        places["pictures"] = pictures
    if (holder := find_page_run(runs)) is not None:
        page = build_artifact_place(experiment_id, holder.run_id, PROJECT_PAGE, workspace)
        places = {"all versions on one page": page, **places}
    yield f"Side by side: {', '.join(f'[{name}]({place})' for name, place in places.items())}."
    pairs = [
        f"[{_name_run(before)} and {_name_run(after)}]"
        f"({build_compare_place(experiment_id, (before.run_id, after.run_id), workspace)})"
        for before, after in pairwise(newest)
    ]
    if pairs:
        yield f"Two at a time, with their files: {', '.join(pairs)}."
    reports = [
        f"[{_name_run(run)}]({build_artifact_place(experiment_id, run.run_id, REPORT, workspace)})"
        for run in newest
    ]
    yield f"Reports: {', '.join(reports)}."


def _name_run(run: LoggedRun) -> str:
    return escape_markdown(escape_unprintable(run.tags.get("version_name", "")))


def _list_own(runs: Sequence[LoggedRun]) -> Iterator[Block]:
    """A table of the runs on your own test sets, where there are any."""
    if not runs:
        return
    shown = list_shown(runs)
    columns = {
        "own test set": lambda run: run.own_test_set_name,
        "version": lambda run: run.tags.get("version_name", ""),
        "test images": lambda run: run.params.get("test_images", ""),
    }
    yield Line(f"On your own test sets, {_SIGNATURE}; versions compare within each:")
    yield _tabulate(runs, columns, shown, compute_changes(runs, shown[0]) if shown else {})


def _tabulate(
    runs: Sequence[LoggedRun],
    columns: Mapping[str, Callable[[LoggedRun], str]],
    shown: Sequence[str],
    changes: Mapping[str, float],
) -> Table:
    """A row a run: what tells it, the first of the numbers shown, its change, the others."""

    def list_numbers(run: LoggedRun) -> list[str]:
        numbers = [fmt(run.metrics.get(name), undefined="") for name in shown]
        numbers.insert(1, fmt(changes.get(run.run_id), signed=True, undefined=""))
        return numbers

    titles = [*columns, *map(name_metric, shown)]
    titles.insert(len(columns) + 1, _title_change(shown))
    newest = runs[-MAX_NOTED_VERSIONS:]
    rows = [[*(cell(run) for cell in columns.values()), *list_numbers(run)] for run in newest]
    return Table(titles, rows)


def _choose_current(runs: Iterable[LoggedRun]) -> list[LoggedRun]:
    """The run that counts of each version and test set, by the set's name, then training start."""
    by_test_set: dict[str, list[LoggedRun]] = {}
    for run in runs:
        by_test_set.setdefault(run.own_test_set, []).append(run)
    groups = [current_runs(group) for group in by_test_set.values()]
    groups = sorted(
        (g for g in groups if g),
        key=lambda group: (group[0].own_test_set_name, group[0].own_test_set),
    )
    return [run for group in groups for run in group]


def compute_changes(runs: Sequence[LoggedRun], metric: str) -> dict[str, float]:
    """By run id: how much the number differs from that of the run before with the same test set."""
    before: dict[str, float] = {}
    changes: dict[str, float] = {}
    for run in runs:
        digest, value = run.tags.get("test_set_digest", ""), run.metrics.get(metric)
        if digest and value is not None:
            if digest in before:
                changes[run.run_id] = value - before[digest]
            before[digest] = value
    return changes


def _title_change(shown: Sequence[str]) -> str:
    """The change is that of the first number that is shown."""
    return f"change in {name_metric(shown[0])}" if shown else "change"


def _letter(i: int) -> str:
    return ascii_uppercase[i] if i < len(ascii_uppercase) else f"#{i + 1}"


def render_note(
    evaluation: Evaluation,
    metrics: Metrics,
    remarks: Sequence[str],
    slices: SliceReport | None = None,
) -> str:
    """A plain sentence; weak slices; the numbers; the weakest spot; doubts, remarks; where to look.

    Slices are named where files tell of each image by what.
    """
    doubts = order_doubts(list_doubts(evaluation, metrics))
    return "\n".join(
        (
            _introduce(evaluation, metrics),
            "",
            *(f"- {line}" for line in _say_slices(evaluation, slices)),
            *(f"- {line}" for line in _say_findings(evaluation, metrics)),
            *(f"- {line}" for line in _say_doubts(doubts)),
            *(f"- {line}" for line in _beware(remarks, has_doubts=bool(doubts))),
            f"- {WHERE_TO_LOOK}",
        )
    )


def _introduce(evaluation: Evaluation, metrics: Metrics) -> str:
    version = evaluation.version
    name, project = map(escape_markdown, (version.name, version.project.name))
    images = "an unknown number of" if metrics.test_images is None else f"{metrics.test_images:,}"
    labels = len(metrics.labels)
    of_labels = f" with {labels} label{'' if labels == 1 else 's'}" if labels else ""
    return f"Version {name} of {project}, tested on {images} images{of_labels}."


def _say_findings(evaluation: Evaluation, metrics: Metrics) -> Iterator[str]:
    said = [
        f"{name_metric(name)} {_in_words(number)}"
        for name, number in list_headlines(metrics).items()
    ]
    if "f1" in evaluation.reported.aggregate:
        said.append(f"the service itself says F1 {fmt(evaluation.reported.aggregate['f1'])}")
    if said:
        line = "; ".join(said)
        yield f"{line[0].upper()}{line[1:]}."
    weak = list(filter(None, (_find_weakest(metrics), _find_confusion(metrics))))
    if weak:
        yield " ".join(weak)


def _say_slices(evaluation: Evaluation, slices: SliceReport | None) -> Iterator[str]:
    """The worst slices, if they are weak for sure, else that none is."""
    if slices is None or not evaluation.slice_columns:
        return
    n_weak = len(list_weak(slices))
    for i, said in enumerate(say_weak(slices, lambda name: f"“{_cut(cut_name(name))}”")):
        yield f"Weak: {said}." if i < min(n_weak, MAX_SAID) else f"{said[0].upper()}{said[1:]}."


def _in_words(number: Number) -> str:
    if np.isnan([number.low, number.high]).any():
        return fmt(number.value)
    return f"{fmt(number.value)} (95 % interval: {span(number.low, number.high)})"


def _find_weakest(metrics: Metrics) -> str:
    """The label with the smallest F1, the first of those in label order."""
    scores = metrics.per_label
    if scores is None or len(metrics.labels) < 2 or np.isnan(scores.f1).all():  # noqa: PLR2004 two
        return ""
    i = int(np.nanargmin(scores.f1))
    label, recall = _name(metrics.labels[i]), scores.recall[i]
    counted = _COUNTED.get(metrics.task, "images")
    found = ""
    if not np.isnan(recall):
        found = f", {scores.tp[i]:,} of its {scores.support[i]:,} {counted} found"
    return f"Weakest label: {label} (F1 {fmt(scores.f1[i])}{found})."


def _find_confusion(metrics: Metrics) -> str:
    """The largest count off the diagonal, the first of those row by row."""
    confusion = metrics.confusion
    if confusion is None or not confusion.counts.size:
        return ""
    counts = confusion.counts.copy()
    n = len(metrics.labels)
    np.fill_diagonal(counts[:n, :n], 0)
    row, column = np.unravel_index(int(counts.argmax()), counts.shape)
    count = int(counts[row, column])
    if not count:
        return "No label is mistaken for another."
    shown = f"({count:,} of {int(confusion.counts[row].sum()):,})"
    if row >= n:
        seen = _name(confusion.columns[column])
        return f"Most frequent mistake: {seen} seen where it is not ({count:,} times)."
    true = _name(confusion.rows[row])
    if column >= n:
        return f"Most frequent mistake: {true} not found {shown}."
    return f"Most frequent mistake: {true} taken for {_name(confusion.columns[column])} {shown}."


def _say_doubts(doubts: Sequence[Doubt]) -> Iterator[str]:
    """What weakens the numbers, those that stop a check first."""
    for doubt in doubts[:_MAX_DOUBTS]:
        touched = escape_markdown(say_touched(doubt.touches))
        yield f"Doubt ({EFFECT_WORDS[doubt.effect]}; {touched}): {_cut(doubt.text)}."
    if len(doubts) > _MAX_DOUBTS:
        yield f"And {len(doubts) - _MAX_DOUBTS} more doubts, in `evaluation.json`."


def _beware(remarks: Sequence[str], *, has_doubts: bool) -> Iterator[str]:
    """The first remark, and how many more there are."""
    if remarks:
        rest = len(remarks) - 1
        more = f" (and {rest} more in the tag `mlrek.warnings`)" if rest else ""
        yield f"Beware: {_cut(remarks[0])}{more}."
    elif not has_doubts:
        yield "Nothing to beware of."


def _cut(text: str) -> str:
    """Untrusted text for a note, not too long."""
    short = f"{text[:_MAX_WARNING]}…" if len(text) > _MAX_WARNING else text
    return escape_markdown(escape_unprintable(short))


def _name(label: str) -> str:
    return f"“{escape_markdown(display_label(label))}”"

"""The experiment's note: its versions, and those on own test sets, in short markdown tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from string import ascii_uppercase

from mlrek.evaluation import Task
from mlrek.formatting import fmt, fmt_date
from mlrek.metrics.headlines import HEADLINES, SERVICE_F1, name_metric
from mlrek.tables.blocks import Block, Line, Table, render_markdown
from mlrek.tracking.runs import LoggedRun, current_runs

MAX_NOTED_VERSIONS = 100
NOTE_TAG = "mlflow.note.content"
"""The tag that MLflow shows as the note of an experiment or run."""
_SIGNATURE = "logged by mlrek"


def describe_experiment_note(runs: Iterable[LoggedRun], own: Iterable[LoggedRun] = ()) -> str:
    """What there is of each project in an experiment, of all the runs that it holds.

    `own` are those on your own test sets, of all of them.
    """
    by_project: dict[str, list[LoggedRun]] = {}
    for run in current_runs(runs):
        by_project.setdefault(run.tags.get("project_arn", ""), []).append(run)
    blocks = chain.from_iterable(map(_list_project, by_project.values()))
    return render_markdown(chain(blocks, _list_own(_choose_current(own)))).rstrip("\n")


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
    changes = find_changes(runs, shown[0]) if shown else {}
    columns = {
        "version": lambda run: run.tags.get("version_name", ""),
        "trained": lambda run: fmt_date(run.start_ms),
        "test images": lambda run: run.params.get("test_images", ""),
        "test set": lambda run: letters.get(run.tags.get("test_set_digest", ""), ""),
    }
    yield Line(f"Evaluations of {runs[0].tags.get('project_name', '')}: {versions}, {_SIGNATURE}.")
    yield _tabulate(runs, columns, shown, changes)
    if changes:
        yield Line(f"The {_title_change(shown)} is since the version before on the same images.")
    if len(set(letters.values())) > 1:
        yield Line("Not all were tested on the same images: compare within a test set only.")


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
    yield _tabulate(runs, columns, shown, find_changes(runs, shown[0]) if shown else {})


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


def find_changes(runs: Sequence[LoggedRun], metric: str) -> dict[str, float]:
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

"""Which labels the matrices of a project are drawn with: as they were kept, or chosen once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from threading import Condition
from typing import TYPE_CHECKING

from mlrek.errors import EvaluationError
from mlrek.evaluation import Evaluation, Version
from mlrek.formats.stored import load_stored
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_numbers
from mlrek.metrics.drawn_labels import count_shown, find_most_confused
from mlrek.metrics.test_set import count_once
from mlrek.text import list_some
from mlrek.tracking import LoggedRun, current_runs
from mlrek.tracking.description import Options, mark_state, read_earlier
from mlrek.tracking.drawn import name_drawn_tag, read_drawn, write_drawn

if TYPE_CHECKING:
    from mlrek.tracking.store import Store


class DrawnLabels:
    """The labels of one project; the oldest version that has too many of them decides.

    Nobody waits for it but versions that have too many themselves. Safe to use from several threads
    that begin with the oldest version.

    Args:
        kept: What was chosen before; empty: nothing was.
        versions: The ARNs of all versions, the oldest first.
        logged: Of versions that are only logged: what reads the choice that each would make.
        keep: Keeps a choice, and gives back the one that holds, should somebody have been faster.
    """

    def __init__(
        self,
        kept: Sequence[str],
        versions: Sequence[str],
        logged: Mapping[str, Callable[[], tuple[str, ...]]],
        keep: Callable[[tuple[str, ...]], tuple[str, ...]],
    ) -> None:
        self.known = tuple(kept)
        self._versions, self._logged, self._keep = versions, logged, keep
        self._choices: dict[str, tuple[str, ...]] = {}
        self._changed = Condition()

    def pass_over(self, version_arn: str) -> None:
        """Know that a version has nothing to say, unless it has said something."""
        with self._changed:
            self._choices.setdefault(version_arn, ())
            self._changed.notify_all()

    def choose(self, version_arn: str, choice: tuple[str, ...]) -> tuple[str, ...]:
        """What all versions are drawn with, once each older one has said what it would choose.

        Args:
            version_arn: Of the version that asks.
            choice: What it would choose.
        """
        with self._changed:
            self._choices[version_arn] = choice
            self._changed.notify_all()
            while not self.known:
                found = self._find()
                if found is None:
                    self._changed.wait()
                else:
                    self.known = self._keep(found)
            return self.known

    def _find(self) -> tuple[str, ...] | None:
        """The choice of the oldest version that has one; None while an older one may have."""
        for arn in self._versions:
            if arn not in self._choices and arn in self._logged:
                self._choices[arn] = self._logged[arn]()
            choice = self._choices.get(arn)
            if choice is None or choice:
                return choice
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPlace:
    """A project in MLflow: its experiment with its tags, and its runs; the id is '' without one."""

    project_arn: str
    experiment_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[LoggedRun, ...] = ()


def plan_drawn(
    store: "Store | None",
    place: ProjectPlace,
    versions: Iterable[Version],
    options: Options,
    *,
    writes: bool,
) -> DrawnLabels:
    """What decides for the versions of a project that are to be logged.

    With `top_labels` it is decided anew. Versions that are only logged have a say too: in the order
    of training the oldest one decides.
    """
    anew = bool(options.top_labels)
    ages = {version.arn: find_age(version) for version in versions}
    others = {run.version_arn: run for run in current_runs(place.runs)}
    logged = {arn: run for arn, run in others.items() if arn not in ages}
    ages |= {arn: (run.start_ms, arn) for arn, run in logged.items()}

    def keep(chosen: tuple[str, ...]) -> tuple[str, ...]:
        if store is None or not place.experiment_id or not writes:
            return chosen
        return keep_drawn(store, place.experiment_id, place.project_arn, chosen, anew=anew)

    return DrawnLabels(
        () if anew else read_drawn(place.tags, place.project_arn),
        sorted(ages, key=lambda arn: ages[arn]),
        {arn: partial(choose_logged, store, run, options) for arn, run in logged.items()},
        keep,
    )


def find_age(version: Version) -> tuple[float, str]:
    """What versions are ordered by, the oldest first; those without a time of training last."""
    trained = version.training_start_ms or version.training_end_ms
    return (inf if trained is None else trained, version.arn)


def choose_logged(store: "Store | None", run: LoggedRun, options: Options) -> tuple[str, ...]:
    """What a version would choose that is only logged; nothing where that cannot be read."""
    n_labels = count_logged_labels(run)
    if count_shown(n_labels, options.top_labels) >= n_labels:
        return ()
    stored = read_earlier(store, run)
    try:
        return choose_labels(load_stored(stored), options) if stored else ()
    except EvaluationError:
        return ()


def say_drawn_otherwise(runs: Iterable[LoggedRun], drawn_labels: Sequence[str]) -> list[str]:
    """A line about versions whose matrices show other labels than those that were chosen."""
    others = [
        run.tags.get("version_name", run.run_id)
        for run in runs
        if run.source_state
        and not run.source_state.endswith(mark_state("", count_logged_labels(run), drawn_labels))
    ]
    if not others:
        return []
    said = (
        f"the matrices of {list_some(map(repr, others))} show other labels than those chosen for "
        "the project since: sync them again, too, to see the same rows in all versions"
    )
    return [said]


def count_logged_labels(run: LoggedRun) -> int:
    """How many labels a version has by its run."""
    text = run.params.get("labels", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def choose_labels(published: Evaluation, options: Options) -> tuple[str, ...]:
    """The most confused labels of a version, in label order; empty where it can show all."""
    top_labels, labels = options.top_labels, len(published.labels)
    if count_shown(labels, top_labels) >= labels:
        return ()
    rule = PredictionRule(options.prediction_rule)
    metrics = compute_numbers(count_once(published), rule)
    if metrics.confusion is None:
        return ()
    n_labels = len(metrics.labels)
    most = count_shown(n_labels, top_labels)
    codes = find_most_confused(metrics.confusion.counts, n_labels, most)
    return tuple(metrics.labels[code] for code in codes.tolist())


def keep_drawn(
    store: "Store", experiment_id: str, project_arn: str, chosen: tuple[str, ...], *, anew: bool
) -> tuple[str, ...]:
    """Keep a choice in the experiment's tag; the one that holds, as everybody reads it.

    Another process that has kept one meanwhile was faster, unless the labels are chosen `anew`.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    experiment = store.get_experiment(experiment_id)
    if not anew and (kept := read_drawn(experiment.tags, project_arn)):
        return kept
    tag = name_drawn_tag(experiment.tags, project_arn)
    store.set_experiment_tags(experiment, {tag: write_drawn(chosen)})
    return read_drawn(store.get_experiment(experiment_id).tags, project_arn)

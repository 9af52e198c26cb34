"""Who was checked on a test set against a baseline: kept as tags of the candidates' own runs.

A candidate first writes that it is looked at, then counts all that did so, itself among them. So
of two that are checked at once the one that writes later sees the earlier one: the j-th to write
never counts fewer than j, whatever the other sees. Its place is written down and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mlrek.errors import TrackingError
from mlrek.tracking.runs import LOOK_NUMBERS_TAG, LOOKED_TAG, MAX_TAG, LoggedRun
from mlrek.tracking.store import Store

TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One version that was checked; `number` is its place, 0 as long as it has none."""

    version: str
    number: int


def name_look(baseline_run_id: str, test_set_digest: str) -> str:
    """What a candidate was checked on, as its run's tag has it."""
    return f"{baseline_run_id}/{test_set_digest}"


def list_looks(store: Store, name: str, experiment_id: str) -> tuple[Look, ...]:
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


def find_look(store: Store, name: str, run: LoggedRun) -> tuple[int, int]:
    """How many versions were checked so, and the place of a run's version, 0 for none yet.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    looks = list_looks(store, name, run.experiment_id)
    own = (look.number for look in looks if look.version == _name_version(run))
    return len(looks), next(own, 0)


def take_look(store: Store, name: str, run: LoggedRun) -> tuple[int, int]:
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


def _add(store: Store, run: LoggedRun, tag: str, word: str) -> None:
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

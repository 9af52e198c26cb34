"""What a shell may complete a word to: files, versions, models, runs, labels.

Nothing here writes, asks a cloud or raises for what it cannot read.
"""

import configparser
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mlrek.errors import MlrekError

if TYPE_CHECKING:
    from mlrek.tracking.names import StoreNames

MAX_FILES = 1000
MODELS, RUNS = "models:/", "runs:/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The words of a command up to the one that is completed: arguments, and options' values."""

    arguments: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> "StoreNames":
        """The names in the store that the command would use."""
        from mlrek.tracking.database import DEFAULT_STORE
        from mlrek.tracking.names import StoreNames

        given = self.options.get("--tracking-uri") or os.environ.get("MLFLOW_TRACKING_URI")
        return StoreNames(given or DEFAULT_STORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A whole word, and what it is, for shells that show it."""

    word: str
    help: str = ""


def suggest_values(kind: str, word: str, typed: Typed) -> Iterator[Value]:
    """What a word may become where a value of that kind belongs, as help calls it."""
    listed = _KINDS.get(kind)
    if listed is not None:
        yield from listed(word, typed)
    elif "|" in kind:
        yield from (Value(word=one) for one in kind.strip("[]").split("|") if one.islower())


def _list_sources(word: str, _typed: Typed) -> Iterator[Value]:
    yield from _list_files(word)


def _list_versions(word: str, typed: Typed) -> Iterator[Value]:
    """`models:/`, `runs:/`, `FOLDER#VERSION`, and the files on the way there."""
    if word.startswith(MODELS):
        yield from _list_models(typed)
    elif word.startswith(RUNS):
        for run in typed.names.list_runs():
            yield Value(word=f"{RUNS}{run.run_id}", help=run.name)
    elif "#" in word:
        source = word.rpartition("#")[0]
        yield from (Value(word=f"{source}#{name}") for name in _read_versions(source))
    else:
        yield from _list_files(word)
        yield from (Value(word=beginning) for beginning in (MODELS, RUNS))


def _list_models(typed: Typed) -> Iterator[Value]:
    for model in typed.names.list_models():
        for alias, number in model.aliases.items():
            yield Value(word=f"{MODELS}{model.name}@{alias}", help=f"version {number}")
        for number in sorted(model.runs, key=int, reverse=True):
            yield Value(word=f"{MODELS}{model.name}/{number}")


def _list_aliases(_word: str, typed: Typed) -> Iterator[Value]:
    aliases = [alias for model in typed.names.list_models() for alias in model.aliases]
    yield from (Value(word=alias) for alias in dict.fromkeys(["champion", *aliases]))


def _list_experiments(_word: str, typed: Typed) -> Iterator[Value]:
    yield from (Value(word=name) for name in typed.names.list_experiments())


def _list_pages(word: str, typed: Typed) -> Iterator[Value]:
    """What `mlrek ui` opens."""
    yield from _list_experiments(word, typed)
    yield from _list_files(word)


def _list_labels(_word: str, typed: Typed) -> Iterator[Value]:
    """Those of the version that the command names."""
    version = next(iter(typed.arguments), "")
    yield from (Value(word=label) for label in _read_labels(version, typed))


def _list_version_names(_word: str, typed: Typed) -> Iterator[Value]:
    """The versions of the sources that the command names."""
    for source in typed.arguments:
        yield from (Value(word=name) for name in _read_versions(source))


def _list_profiles(_word: str, _typed: Typed) -> Iterator[Value]:
    """The AWS profiles of this user."""
    files = (
        ("AWS_CONFIG_FILE", "~/.aws/config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    )
    for variable, usual in files:
        parser = configparser.RawConfigParser(strict=False)
        with suppress(configparser.Error, OSError, UnicodeError):
            parser.read(Path(os.environ.get(variable) or usual).expanduser(), encoding="utf-8")
            yield from (Value(word=one.removeprefix("profile ")) for one in parser.sections())


def _list_files(word: str) -> Iterator[Value]:
    """Files and folders; those that are hidden only where a dot is typed."""
    folder, _, beginning = word.rpartition("/")
    kept = word[: len(word) - len(beginning)]
    place = Path(kept or ".").expanduser() if folder or kept else Path()
    with suppress(OSError, ValueError, RuntimeError):
        for path in islice(sorted(place.iterdir()), MAX_FILES):
            if path.name.startswith(".") <= beginning.startswith("."):
                yield Value(word=f"{kept}{path.name}{'/' if path.is_dir() else ''}")


def _read_versions(source: str) -> list[str]:
    """The names of the versions in a folder or file on this machine; no cloud is asked."""
    from mlrek.sources import open_source

    place = os.path.expanduser(source)  # noqa: PTH111 - text as typed, perhaps no path
    try:
        if not Path(place).exists():
            return []
        return [entry.version.name for entry in open_source(place).list_versions()]
    except (MlrekError, OSError, ValueError):
        return []


def _read_labels(version: str, typed: Typed) -> list[str]:
    """The labels of a run, a registered version, or a version in a folder on this machine."""
    if version.startswith(RUNS):
        return typed.names.list_labels(version.removeprefix(RUNS))
    if version.startswith(MODELS):
        for model in typed.names.list_models():
            runs = {f"{MODELS}{model.name}/{number}": run for number, run in model.runs.items()}
            aliased = {
                f"{MODELS}{model.name}@{alias}": model.runs.get(number, "")
                for alias, number in model.aliases.items()
            }
            if run_id := (runs | aliased).get(version):
                return typed.names.list_labels(run_id)
        return []
    return _load_labels(os.path.expanduser(version))  # noqa: PTH111 - text as typed


def _load_labels(version: str) -> list[str]:
    from mlrek.promotion import find_entry
    from mlrek.sources import AwsOptions

    try:
        if not Path(version.rpartition("#")[0] or version).exists():
            return []
        source, entry = find_entry(version, AwsOptions())
        return list(source.load(entry).labels)
    except (MlrekError, OSError, ValueError):
        return []


_KINDS: Mapping[str, Callable[[str, Typed], Iterator[Value]]] = {
    "SOURCE": _list_sources,
    "VERSION": _list_versions,
    "BASELINE": _list_versions,
    "CANDIDATE": _list_versions,
    "LABEL": _list_labels,
    "ALIAS": _list_aliases,
    "EXPERIMENT": _list_experiments,
    "PAGE": _list_pages,
    "VERSION_NAME": _list_version_names,
    "PROFILE": _list_profiles,
}

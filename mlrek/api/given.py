"""What people give in Python: texts and choices that are checked, before anything is read."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, TypeAlias, TypedDict, cast

from mlrek.errors import UsageError
from mlrek.evaluation import Task
from mlrek.formats.json_text import quoted, quoted_some
from mlrek.formats.predictions import Match, Unmatched
from mlrek.sources.custom import CustomOptions

Place: TypeAlias = str | PathLike[str]
"""A path, or what else a command line takes as a place: a URI, an ARN, a VERSION."""


class PredictionOptions(TypedDict, total=False):
    """What predictions of any model are, as the options of `mlrek sync` say it.

    `truth` is the place of what is true ('': the predictions hold it), `project` an ARN or a name,
    `task` and `attributes` say what the data leave open, `match` is `uri` or `name`, `unmatched`
    `error`, `drop` or `miss`; `thresholds` and `label_map` are places of tables.
    """

    truth: Place
    project: str
    task: str
    match: str
    unmatched: str
    thresholds: Place
    label_map: Place
    attributes: Sequence[str]


def choose_custom(function: str, given: Mapping[str, Any], version: str) -> CustomOptions | None:
    """What is said of predictions, None where nothing is.

    Raises:
        TypeError: A name is none of `PredictionOptions`.
        UsageError: A value is not one of those there are.
    """
    for name in given:
        if name not in PredictionOptions.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    if not given:
        return None
    task = given.get("task")
    return CustomOptions(
        project=check_text("project", given.get("project", "")),
        version=version,
        truth=check_text("truth", given.get("truth", "")),
        attributes=tuple(given.get("attributes", ())),
        task=Task(choose("task", task, Task)) if task else None,
        match=Match(choose("match", given.get("match", Match.URI), Match)),
        unmatched=Unmatched(choose("unmatched", given.get("unmatched", "error"), Unmatched)),
        thresholds=check_text("thresholds", given.get("thresholds", "")),
        label_map=check_text("label_map", given.get("label_map", "")),
    )


def choose(name: str, given: object, known: Iterable[str]) -> str:
    """What is given, where it is one of what is known.

    Raises:
        UsageError: It is not.
    """
    words = list(map(str, known))
    if given not in words:
        raise UsageError(f"{name}: {quoted(given)} is none of {quoted_some(words)}")
    return str(given)


def check_text(name: str, value: object) -> str:
    """A text or path that was given under this name.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, PathLike):
        return str(fspath(cast("PathLike[str]", value)))
    raise TypeError(f"{name} must be a str or a path, not {type(value).__name__}")


def check_share(name: str, value: object) -> float:
    """A number from 0 to 1.

    Raises:
        UsageError: It is none.
    """
    try:
        share = float(cast("float", value))
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{name}: {value!r} is no number from 0 to 1")
    return share

"""A policy file (TOML) -> `Policy`. Strict: what is not known is an error with its line.

The types of the policy's fields say what a value may be: msgspec holds it against them. tomllib
tells no lines of what it has read, so they are looked for in the text: the n-th header of a table,
then the key below it.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import StrEnum
from math import isnan
from typing import Any, Final, NoReturn, TypeVar, get_args

from msgspec import Meta, ValidationError, convert

from mlrek.errors import PolicyError
from mlrek.evaluation import DoubtKind
from mlrek.metrics.crossfit import LABEL_PREFIX
from mlrek.policy import (
    ANY_LABEL,
    Better,
    Floor,
    LeakageRule,
    Metric,
    NoWorse,
    Policy,
    TestSetPolicy,
    Text,
)

GROUPS: Final = (
    "aggregate",
    "at_threshold",
    "reported",
    "base_model",
    "extra",
    "errors",
    "training",
    "crossfit",
)
"""Groups of numbers in `evaluation.json`, besides `label_<name>`."""
TABLES: Final = ("baseline", "test_set")
LISTS: Final = ("floor", "no_worse", "better")
_LABEL_GROUPS: Final = ("label_precision", "label_recall", "label_f1", "label_ap")
_LABEL_GROUP: Final = re.compile(r"label_\w+")
_Kind = TypeVar("_Kind", TestSetPolicy, Floor, NoWorse, Better)
_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


def parse_policy(text: str, *, uri: str = "policy", baseline: str = "") -> Policy:
    """Read a policy.

    Args:
        text: TOML with the tables `[baseline]` and `[test_set]` and the lists `[[floor]]`,
            `[[no_worse]]` and `[[better]]`.
        uri: What messages call it.
        baseline: What to compare with instead of the policy's own.

    Raises:
        PolicyError: It is no TOML, or holds what no policy has, or checks nothing, or compares with
            a baseline that nobody names.
    """
    document = _parse_toml(text, uri)
    for key in document:
        if key not in (*TABLES, *LISTS):
            hint = _suggest(key, (*TABLES, *LISTS))
            hint = hint or f"; there are: {', '.join((*TABLES, *LISTS))}"
            _refuse(uri, _find_table(text, key), f"unknown table {key!r}{hint}")
    own_baseline = _single(document, "baseline", text, uri).read({"version": Text})
    floors, no_worse, better = (_several(document, name, text, uri) for name in LISTS)
    policy = Policy(
        uri=uri,
        text=text,
        baseline=baseline or own_baseline.get("version", ""),
        test_set=_read_test_set(_single(document, "test_set", text, uri)),
        floors=tuple(map(_read_floor, floors)),
        relative=(
            *(_read(table, NoWorse) for table in no_worse),
            *(_read(table, Better) for table in better),
        ),
    )
    if not (policy.floors or policy.relative or _asks_anything(policy.test_set)):
        _refuse(
            uri,
            0,
            "the policy checks nothing, so every version would pass; "
            "add a [[floor]], [[no_worse]] or [[better]]",
        )
    if policy.relative and not policy.baseline:
        kind = "no_worse" if "no_worse" in document else "better"
        _refuse(
            uri,
            _find_line(text, kind, 0, ""),
            f"[[{kind}]] compares with a baseline, but none is named; add [baseline] with "
            'version = "models:/NAME@champion", or name one with --baseline',
        )
    return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One table as it was read, and where it stands."""

    name: str
    values: Mapping[str, Any]
    text: str
    uri: str
    nth: int = 0

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Say what is wrong with a key, or (with '') with the whole table."""
        title = f"[[{self.name}]]" if self.name in LISTS else f"[{self.name}]"
        where = f"{title} {key}: " if key else f"{title}: "
        _refuse(self.uri, _find_line(self.text, self.name, self.nth, key), where + reason)

    def read(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The values that are there, by key, each as the type that is known for its key."""
        for key in self.values:
            if key not in known:
                hint = _suggest(key, tuple(known)) or f"; there are: {', '.join(known)}"
                self.refuse(key, f"unknown key{hint}")
        metric = {"metric": self.read_metric()} if "metric" in known else {}
        given = [key for key in known if key in self.values and key not in metric]
        return metric | {key: self.read_value(key, known[key]) for key in given}

    def read_value(self, key: str, wanted: Any) -> Any:
        """One value as a type."""
        try:
            return convert(self.values[key], wanted)
        except ValidationError:
            self.refuse(key, _say_wrong(self.values[key], wanted))

    def read_metric(self) -> Metric:
        """The number that a check is about: GROUP/NAME, or label_NAME/LABEL."""
        if "metric" not in self.values:
            self.refuse("", 'says no metric; add one, as metric = "aggregate/f1_macro"')
        text: str = self.read_value("metric", Text)
        group, slash, name = text.partition("/")
        is_label = _LABEL_GROUP.fullmatch(group) is not None
        if group not in GROUPS and not is_label:
            known = (*GROUPS, *_LABEL_GROUPS)
            close = _suggest(group, known) or f"; there are: {', '.join(GROUPS)}, label_…"
            self.refuse("metric", f"{text!r} is in no known group of numbers{close}")
        if not slash or not name:
            example = f"{group}/{ANY_LABEL if is_label else 'NAME'}"
            self.refuse("metric", f"{text!r} names a group alone; write {example!r}")
        if is_label:
            return Metric(name=group, label=name)
        crossfit, _, label = name.partition("/")
        if text.startswith(LABEL_PREFIX) and label:
            return Metric(name=f"{group}/{crossfit}", label=label)
        if ANY_LABEL in name:
            self.refuse("metric", f"{text!r}: only labels have {ANY_LABEL!r}, as 'label_recall/*'")
        return Metric(name=text)


def _read_test_set(table: _Table) -> TestSetPolicy:
    test_set = _read(table, TestSetPolicy)
    try:
        re.compile(test_set.group_by)
    except (re.error, OverflowError, RecursionError) as exc:
        table.refuse("group_by", f"is no regular expression: {exc}")
    return test_set


def _read_floor(table: _Table) -> Floor:
    floor = _read(table, Floor)
    if isnan(floor.min) and isnan(floor.max):
        table.refuse("", "has no limit; add min or max, as min = 0.9")
    if floor.min > floor.max:
        table.refuse("min", f"is above max: no number lies between {floor.min:g} and {floor.max:g}")
    return floor


def _read(table: _Table, kind: type[_Kind]) -> _Kind:
    return kind(**table.read({one.name: one.type for one in fields(kind)}))


def _asks_anything(test_set: TestSetPolicy) -> bool:
    counts = test_set.min_images or test_set.min_images_per_label
    return bool(counts) or test_set.leakage is LeakageRule.FORBIDDEN


def _parse_toml(text: str, uri: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise PolicyError(f"{uri}: no valid policy: tables within tables without end") from exc
    except ValueError as exc:  # of TOML, and of numbers with thousands of digits
        line = _TOML_LINE.search(str(exc))
        reason = _TOML_LINE.sub("", str(exc))
        number = int(line[1]) if line else 0
        if not line and "(at end of document)" in reason:
            number = len(text.rstrip("\n").split("\n"))
        raise PolicyError(f"{_place(uri, number)}: no valid TOML: {reason}") from exc


def _single(document: Mapping[str, Any], name: str, text: str, uri: str) -> _Table:
    values = document.get(name, {})
    if not isinstance(values, dict):
        _refuse(uri, _find_table(text, name), f"{name!r} must be one table, [{name}]")
    return _Table(name=name, values=values, text=text, uri=uri)


def _several(document: Mapping[str, Any], name: str, text: str, uri: str) -> list[_Table]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(values, dict) for values in found):
        reason = f"{name!r} must be a list of tables: write [[{name}]] with two brackets"
        _refuse(uri, _find_table(text, name), reason)
    return [
        _Table(name=name, values=values, text=text, uri=uri, nth=n)
        for n, values in enumerate(found)
    ]


def _refuse(uri: str, line: int, reason: str) -> NoReturn:
    raise PolicyError(f"{_place(uri, line)}: {reason}")


def _place(uri: str, line: int) -> str:
    return f"{uri}:{line}" if line else uri


def _find_table(text: str, name: str) -> int:
    """The line, from 1, where a table or what was written instead of one begins; 0 for none."""
    return _find_line(text, name, 0, "") or _find_key(text.split("\n"), name)


def _find_line(text: str, table: str, nth: int, key: str) -> int:
    """The line, from 1, of a key in the n-th table of a name; 0 where it cannot be told."""
    quoted = f"""["']?{re.escape(table)}["']?"""
    header = re.compile(rf"\s*\[\[?\s*{quoted}\s*\]\]?\s*(?:#.*)?")
    lines = text.split("\n")
    headers = [i for i, line in enumerate(lines) if header.fullmatch(line)]
    if nth >= len(headers):
        return 0
    start = headers[nth]
    if not key:
        return start + 1
    rest = lines[start + 1 :]
    end = next((i for i, line in enumerate(rest) if line.lstrip().startswith("[")), len(rest))
    found = _find_key(rest[:end], key)
    return start + 1 + (found or 0)


def _find_key(lines: Sequence[str], key: str) -> int:
    """The line, from 1, that gives a key a value, or opens a table below it; 0 where none does."""
    begins = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[.=\]]""")
    return next((i for i, line in enumerate(lines, start=1) if begins.match(line)), 0)


def _suggest(word: str, known: Sequence[str]) -> str:
    """What was probably meant, '' where nothing is like it."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _say_wrong(value: object, wanted: Any) -> str:
    """What a value that is not of a type must be, by the type's own description or words."""
    parts = wanted, *get_args(wanted)
    for part in parts:
        if isinstance(part, Meta):
            return f"must be {part.description}, not {_show(value)}"
    words = next(part for part in parts if isinstance(part, type) and issubclass(part, StrEnum))
    known = [word.value for word in words]
    if words is not DoubtKind:
        among = ", ".join(map(repr, known))
        return f"must be one of {among}, not {_show(value)}{_suggest(str(value), known)}"
    if not isinstance(value, list):
        return f"must be a list of kinds of doubts, not {_show(value)}"
    wrong = next(one for one in value if one not in known)
    hint = _suggest(str(wrong), known)
    return f"there is no kind of doubt {_show(wrong)}{hint}; there are: {', '.join(known)}"


def _show(value: object) -> str:
    shown = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return shown or repr(value)[:60]

"""A policy file (TOML) -> `Policy`. Strict: what is not known is an error with its line.

tomllib tells no lines of what it has read, so they are looked for in the text: the n-th header of a
table, then the key below it.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf, isfinite, isnan, nan
from typing import Any, Final, NoReturn, get_args

from mlrek.errors import PolicyError
from mlrek.evaluation import DoubtKind
from mlrek.metrics.crossfit import LABEL_PREFIX
from mlrek.policy import (
    ANY_LABEL,
    DEFAULT_CONFIDENCE,
    Better,
    Floor,
    LeakageRule,
    Metric,
    NoWorse,
    Policy,
    SameTestSet,
    TestSetPolicy,
)

MIN_CONFIDENCE: Final = 0.5
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
_LEAKAGE: Final[Mapping[str, LeakageRule]] = {rule: rule for rule in get_args(LeakageRule)}
_LABEL_GROUP: Final = re.compile(r"label_\w+")
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
            line = _find_line(text, key, 0, "") or _find_key(text.split("\n"), key)
            hint = _suggest(key, (*TABLES, *LISTS))
            hint = hint or f"; there are: {', '.join((*TABLES, *LISTS))}"
            _refuse(uri, line, f"unknown table {key!r}{hint}")
    own_baseline = _read_baseline(_single(document, "baseline", text, uri))
    test_set = _single(document, "test_set", text, uri)
    policy = Policy(
        uri=uri,
        text=text,
        baseline=baseline or own_baseline,
        test_set=_read_test_set(test_set),
        floors=tuple(map(_read_floor, _several(document, "floor", text, uri))),
        relative=(
            *map(_read_no_worse, _several(document, "no_worse", text, uri)),
            *map(_read_better, _several(document, "better", text, uri)),
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

    def only(self, *known: str) -> None:
        """Refuse any other key."""
        for key in self.values:
            if key not in known:
                hint = _suggest(key, known) or f"; there are: {', '.join(known)}"
                self.refuse(key, f"unknown key{hint}")

    def read_text(self, key: str) -> str:
        """A text that is not empty; '' where there is none."""
        value = self.values.get(key, "")
        if not isinstance(value, str) or (key in self.values and not value.strip()):
            self.refuse(key, f"must be a text, not {_show(value)}")
        return value

    def read_choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of some words."""
        value = self.values.get(key, default)
        if value not in choices:
            hint = _suggest(str(value), choices)
            self.refuse(
                key, f"must be one of {', '.join(map(repr, choices))}, not {_show(value)}{hint}"
            )
        return str(value)

    def read_kinds(self, key: str) -> frozenset[DoubtKind]:
        """A list of kinds of doubts."""
        given = self.values.get(key, [])
        known = [kind.value for kind in DoubtKind]
        if not isinstance(given, list):
            self.refuse(key, f"must be a list of kinds of doubts, not {_show(given)}")
        for value in given:
            if value not in known:
                hint = _suggest(str(value), known)
                self.refuse(
                    key,
                    f"there is no kind of doubt {_show(value)}{hint}; there are: "
                    f"{', '.join(known)}",
                )
        return frozenset(map(DoubtKind, given))

    def read_pattern(self, key: str) -> str:
        """A regular expression; '' where there is none."""
        pattern = self.read_text(key)
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as exc:
            self.refuse(key, f"is no regular expression: {exc}")
        return pattern

    def read_flag(self, key: str) -> bool:
        """True or false; false where there is none."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.refuse(key, f"must be true or false, not {_show(value)}")
        return value

    def read_count(self, key: str) -> int:
        """A whole number from 0."""
        value = self.values.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.refuse(key, f"must be a whole number of images from 0, not {_show(value)}")
        return value

    def read_number(
        self, key: str, default: float, allows: Callable[[float], bool], must: str
    ) -> float:
        """A finite number that `allows` lets through."""
        if key not in self.values:
            return default
        given = self.values[key]
        value = _to_float(given)
        if not (isfinite(value) and allows(value)):
            self.refuse(key, f"must be {must}, not {_show(given)}")
        return value

    def read_confidence(self, default: float) -> float:
        """A confidence; below one half an interval would be no reason for anything."""
        return self.read_number(
            "confidence",
            default,
            lambda value: MIN_CONFIDENCE <= value < 1,
            f"a number from {MIN_CONFIDENCE} to below 1 (as 0.95)",
        )

    def read_metric(self) -> Metric:
        """The number that a check is about: GROUP/NAME, or label_NAME/LABEL."""
        text = self.read_text("metric")
        if not text:
            self.refuse("", 'says no metric; add one, as metric = "aggregate/f1_macro"')
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


def _read_baseline(table: _Table) -> str:
    table.only("version")
    return table.read_text("version")


def _read_test_set(table: _Table) -> TestSetPolicy:
    table.only(
        *("same", "min_images", "min_images_per_label", "leakage", "accept", "group_by"),
        "adjust_for_looks",
    )
    same = table.read_choice("same", [s.value for s in SameTestSet], SameTestSet.REQUIRED.value)
    leakage = ""
    if "leakage" in table.values:
        leakage = table.read_choice("leakage", ["forbidden", "allowed"], "")
    return TestSetPolicy(
        same=SameTestSet(same),
        min_images=table.read_count("min_images"),
        min_images_per_label=table.read_count("min_images_per_label"),
        leakage=_LEAKAGE[leakage],
        accepts=table.read_kinds("accept"),
        group_by=table.read_pattern("group_by"),
        adjust_for_looks=table.read_flag("adjust_for_looks"),
    )


def _read_floor(table: _Table) -> Floor:
    table.only("metric", "min", "max", "confidence")
    floor = Floor(
        metric=table.read_metric(),
        min=table.read_number("min", nan, isfinite, "a finite number"),
        max=table.read_number("max", nan, isfinite, "a finite number"),
        confidence=table.read_confidence(nan),
    )
    if isnan(floor.min) and isnan(floor.max):
        table.refuse("", "has no limit; add min or max, as min = 0.9")
    if floor.min > floor.max:
        table.refuse("min", f"is above max: no number lies between {floor.min:g} and {floor.max:g}")
    return floor


def _read_no_worse(table: _Table) -> NoWorse:
    table.only("metric", "margin", "confidence")
    return NoWorse(
        metric=table.read_metric(),
        margin=table.read_number(
            "margin", 0.0, lambda value: value >= 0, "a finite number from 0 (as 0.005)"
        ),
        confidence=table.read_confidence(DEFAULT_CONFIDENCE),
    )


def _read_better(table: _Table) -> Better:
    table.only("metric", "confidence")
    return Better(metric=table.read_metric(), confidence=table.read_confidence(DEFAULT_CONFIDENCE))


def _asks_anything(test_set: TestSetPolicy) -> bool:
    counts = test_set.min_images or test_set.min_images_per_label
    return bool(counts) or test_set.leakage == "forbidden"


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
        _refuse(
            uri,
            _find_line(text, name, 0, "") or _find_key(text.split("\n"), name),
            f"{name!r} must be one table, [{name}]",
        )
    return _Table(name=name, values=values, text=text, uri=uri)


def _several(document: Mapping[str, Any], name: str, text: str, uri: str) -> list[_Table]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(values, dict) for values in found):
        _refuse(
            uri,
            _find_line(text, name, 0, "") or _find_key(text.split("\n"), name),
            f"{name!r} must be a list of tables: write [[{name}]] with two brackets",
        )
    return [
        _Table(name=name, values=values, text=text, uri=uri, nth=n)
        for n, values in enumerate(found)
    ]


def _refuse(uri: str, line: int, reason: str) -> NoReturn:
    raise PolicyError(f"{_place(uri, line)}: {reason}")


def _place(uri: str, line: int) -> str:
    return f"{uri}:{line}" if line else uri


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


def _to_float(value: object) -> float:
    """A number of TOML; NaN for anything else, and infinite past all floats."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return nan
    try:
        return float(value)
    except OverflowError:
        return inf


def _show(value: object) -> str:
    shown = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return shown or repr(value)[:60]

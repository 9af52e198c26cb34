"""A policy file (TOML) -> `Policy`. Strict: what is not known is an error with its line.

The types of the policy's fields say what a value may be: msgspec holds it against them. tomllib
tells no lines of what it has read, so they are looked for in the text: the n-th header of a table,
then the key below it.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from math import inf, isnan
from numbers import Integral
from typing import Any, Final, NoReturn, TypeVar, get_args

from msgspec import Meta, ValidationError, convert

from mlrek.errors import PolicyError
from mlrek.kinds import ANY_VALUE, CROSSFIT_OF_LABELS, DoubtKind
from mlrek.policy import (
    ANY_LABEL,
    Better,
    Floor,
    LeakageRule,
    Metric,
    NoWorse,
    Policy,
    SameTestSet,
    TestSetPolicy,
    Text,
)
from mlrek.policy.saying import say_percent
from mlrek.text import say_number

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
_QUOTED: Final = 80
_LAST_OF_FOUR_DIGITS: Final = 0xFFFF
_TOML_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


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
        mistakes = _Mistakes()
        for key in self.values:
            if key not in known:
                reason = f"unknown key{_offer(key, tuple(known))}"
                mistakes.note(partial(self.refuse, key, reason), None)
        found: dict[str, Any] = {}
        if "metric" in known:
            found["metric"] = mistakes.note(self.read_metric, None)
        for key in known:
            if key in self.values and key not in found:
                found[key] = mistakes.note(partial(self.read_value, key, known[key]), None)
        mistakes.end()
        return found

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
            close = get_close_matches(group, known, n=1) if slash else []
            if close:
                hint = f"; did you mean {f'{close[0]}/{name}'!r}?"
            else:
                hint = "; write GROUP/NAME, as 'aggregate/f1_macro'"
            groups = f"{', '.join(GROUPS)}, label_…"
            self.refuse("metric", f"{text!r} is in no group of numbers{hint} (groups: {groups})")
        if not slash or not name:
            example = f"{group}/{ANY_LABEL if is_label else 'NAME'}"
            self.refuse("metric", f"{text!r} names a group alone; write {example!r}")
        if is_label:
            return Metric(name=group, label=name)
        crossfit, _, label = name.partition("/")
        if text.startswith(CROSSFIT_OF_LABELS) and label:
            return Metric(name=f"{group}/{crossfit}", label=label)
        if ANY_LABEL in name:
            self.refuse("metric", f"{text!r}: only labels have {ANY_LABEL!r}, as 'label_recall/*'")
        return Metric(name=text)


_Found = TypeVar("_Found")


class _Mistakes:
    """Everything that is wrong with a policy, so that all of it can be told at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, step: Callable[[], _Found], otherwise: _Found) -> _Found:
        """What a step of reading gives; what is wrong there is kept."""
        try:
            return step()
        except PolicyError as exc:
            self.lines += exc.mistakes
            return otherwise

    def end(self) -> None:
        """Raise what was kept, if anything was."""
        if self.lines:
            raise PolicyError(*self.lines)


_LOOSENESS: Final = {SameTestSet.REQUIRED: 0, SameTestSet.OVERLAPPING: 1, SameTestSet.ANY: 2}
_LEAKAGE: Final = {LeakageRule.FORBIDDEN: 0, None: 1, LeakageRule.ALLOWED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """One side of a floor, or one check against the baseline, as numbers that compare.

    A larger `strictness` asks for more; `confidence` is 0 where the value itself is held.
    """

    kind: str
    metric: Metric
    slice: str
    strictness: float
    confidence: float

    def covers(self, other: "_Limit") -> bool:
        """Whether it is about all that the other one is about."""
        is_same = self.metric.name == other.metric.name
        has_label = self.metric.label in {other.metric.label, ANY_LABEL}
        return is_same and has_label and self._holds(other.slice)

    def _holds(self, name: str) -> bool:
        """Whether its slices are all that a rule names; those of a column hold each of its own."""
        column = self.slice.removesuffix(ANY_VALUE)
        is_any = self.slice.endswith(f"={ANY_VALUE}")
        return self.slice == name or (is_any and name.startswith(column))

    @property
    def title(self) -> str:
        """What people read: the rule, and the number that it is about."""
        table = f"[[{'floor' if self.kind in {'min', 'max'} else self.kind}]]"
        return f"{table} {self.number}"

    @property
    def number(self) -> str:
        """The number, with the slices that it is of."""
        return str(replace(self.metric, slice=self.slice))

    def is_as_strict(self, other: "_Limit") -> bool:
        """Whether whatever passes this passes the other one."""
        if self.kind != other.kind and (self.kind, other.kind) != ("better", "no_worse"):
            return False
        is_strict = self.strictness >= other.strictness or self.kind != other.kind
        return self.covers(other) and is_strict and self.confidence >= other.confidence


_NOUNS: Final = {"min": "min", "max": "max", "no_worse": "margin", "better": "margin"}


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
    policy = _read_tables(document, text, uri, baseline)
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


def _read_tables(document: Mapping[str, Any], text: str, uri: str, baseline: str) -> Policy:
    """What the tables say, each of them; all that is wrong is told together."""
    mistakes = _Mistakes()
    for key in document:
        if key not in (*TABLES, *LISTS):
            mistakes.note(partial(_refuse_table, key, text, uri), None)

    def read_single(name: str, read: Callable[[_Table], _Found], otherwise: _Found) -> _Found:
        return mistakes.note(lambda: read(_single(document, name, text, uri)), otherwise)

    def read_several(name: str, read: Callable[[_Table], _Found]) -> Iterator[_Found]:
        nothing: list[_Table] = []
        for table in mistakes.note(lambda: _several(document, name, text, uri), nothing):
            try:
                yield read(table)
            except PolicyError as exc:
                mistakes.lines += exc.mistakes

    nowhere: dict[str, Any] = {}
    own = read_single("baseline", lambda table: table.read({"version": Text}), nowhere)
    policy = Policy(
        uri=uri,
        text=text,
        baseline=baseline or own.get("version", ""),
        test_set=read_single("test_set", _read_test_set, TestSetPolicy()),
        floors=tuple(read_several("floor", _read_floor)),
        relative=(
            *read_several("no_worse", lambda table: _read(table, NoWorse)),
            *read_several("better", lambda table: _read(table, Better)),
        ),
    )
    mistakes.end()
    return policy


def _refuse_table(key: str, text: str, uri: str) -> NoReturn:
    hint = _offer(key, (*TABLES, *LISTS))
    _refuse(uri, _find_table(text, key), f"unknown table {key!r}{hint}")


def write_policy(document: Mapping[str, Any]) -> str:
    """The text of a policy from its tables, as dicts, and its lists of tables.

    What no policy has is written all the same: `parse_policy` then says what is wrong.

    >>> print(write_policy({"floor": [{"metric": "aggregate/accuracy", "min": 0.9}]}))
    [["floor"]]
    "metric" = "aggregate/accuracy"
    "min" = 0.9
    <BLANKLINE>
    """
    alone = {key: value for key, value in document.items() if not _is_table(value)}
    tables = {key: value for key, value in document.items() if _is_table(value)}
    parts = [_write_values(alone)] if alone else []
    for name, value in tables.items():
        head = (
            f"[{_write_value(name)}]" if isinstance(value, Mapping) else f"[[{_write_value(name)}]]"
        )
        several = [value] if isinstance(value, Mapping) else value
        parts += [f"{head}\n{_write_values(values)}" for values in several]
    return "\n".join(parts)


def write_text(text: str) -> str:
    r"""A text as TOML has it, on one line.

    >>> print(write_text('50 "%"'), write_text(chr(10)), write_text(chr(0x7F)))
    "50 \"%\"" "\u000a" "\u007f"
    """
    return f'"{"".join(map(_write_character, text))}"'


def _write_character(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\U{code:08x}" if code > _LAST_OF_FOUR_DIGITS else f"\\u{code:04x}"


def _is_table(value: object) -> bool:
    """Whether a value is a table, or a list of tables."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping)


def _write_values(values: Mapping[str, Any]) -> str:
    return "".join(
        f"{_write_value(key)} = {_write_value(value)}\n" for key, value in values.items()
    )


def _write_value(value: object) -> str:
    """A value as TOML has it, which for lists and numbers is as JSON has it."""
    if isinstance(value, str):
        return write_text(value)
    if isinstance(value, set | frozenset):
        value = sorted(map(str, value))
    if isinstance(value, Mapping):
        pairs = (f"{_write_value(key)} = {_write_value(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return f"[{', '.join(map(write_text, value))}]"
    if isinstance(value, float):
        return float.__repr__(value)  # NaN and infinity too
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))  # numpy's too
    return json.dumps(value, ensure_ascii=False, default=str)


def _read_test_set(table: _Table) -> TestSetPolicy:
    test_set = _read(table, TestSetPolicy)
    try:
        re.compile(test_set.group_by)
    except (re.error, OverflowError, RecursionError) as exc:
        table.refuse("group_by", f"is no regular expression: {exc}")
    for column, pattern in test_set.slice_by.items():
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as exc:
            table.refuse("slice_by", f"{column!r} has no regular expression: {exc}")
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
        raise PolicyError(
            f"{_place(uri, number)}: no valid TOML: {reason}{_quote_line(text, number)}"
        ) from exc


def _quote_line(text: str, number: int) -> str:
    """What a line says, '' for none."""
    line = text.split("\n")[number - 1].strip() if number else ""
    return f", in: {line[:_QUOTED]}" if line else ""


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


def _offer(word: str, known: Sequence[str]) -> str:
    """What there is, and which of it was probably meant."""
    hint, names = _suggest(word, known), ", ".join(known)
    return f"{hint} (there are: {names})" if hint else f"; there are: {names}"


def _say_wrong(value: object, wanted: Any) -> str:
    """What a value that is not of a type must be, by the type's own description or words."""
    parts = wanted, *get_args(wanted)
    for part in parts:
        if isinstance(part, Meta):
            return f"must be {part.description}, not {_show(value)}{_suggest_share(value, part)}"
    words = next(part for part in parts if isinstance(part, type) and issubclass(part, StrEnum))
    known = [word.value for word in words]
    if words is not DoubtKind:
        among = ", ".join(map(repr, known))
        return f"must be one of {among}, not {_show(value)}{_suggest(str(value), known)}"
    if not isinstance(value, list):
        return f"must be a list of kinds of doubts, not {_show(value)}"
    wrong = next(one for one in value if one not in known)
    return f"there is no kind of doubt {_show(wrong)}{_offer(str(wrong), known)}"


def _suggest_share(value: object, meta: Meta) -> str:
    """Percent where a fraction is wanted: what was probably meant."""
    if meta.lt != 1 or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    share = value / 100 if 1 < value < 100 else 0  # noqa: PLR2004 - percent
    return f"; did you mean {share:g}?" if share >= (meta.ge or 0) else ""


def _show(value: object) -> str:
    shown = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return shown or repr(value)[:60]


def list_weaker(before: Policy, now: Policy) -> tuple[str, ...]:
    """What a policy asks for less than the one before, a sentence for each rule."""
    found = (*_weaken_test_set(before, now), *_weaken_limits(before, now))
    return tuple(dict.fromkeys(found))


def _weaken_limits(before: Policy, now: Policy) -> Iterator[str]:
    limits = list(_list_limits(now))
    for limit in _list_limits(before):
        if any(one.is_as_strict(limit) for one in limits):
            continue
        alike = [one for one in limits if one.kind == limit.kind and one.covers(limit)]
        yield from _say_weaker(limit, alike) if alike else _say_removed(limit, limits)


def _say_weaker(limit: _Limit, alike: Sequence[_Limit]) -> Iterator[str]:
    """What the nearest rule that is left asks for less."""
    nearest = max(alike, key=lambda one: (one.strictness, one.confidence))
    name, noun = limit.title, _NOUNS[limit.kind]
    if nearest.strictness < limit.strictness:
        yield f"{name}: {noun} {_say(limit)} is now {_say(nearest)}"
    if nearest.confidence < limit.confidence:
        was, is_now = (
            say_percent(one.confidence) if one.confidence else "none" for one in (limit, nearest)
        )
        yield f"{name}: confidence {was} is now {is_now}"


def _say_removed(limit: _Limit, limits: Iterable[_Limit]) -> Iterator[str]:
    narrower = [one.number for one in limits if one.kind == limit.kind and limit.covers(one)]
    left = f"; only {', '.join(narrower)} is left" if narrower else ""
    other = next((one for one in limits if one.covers(limit)), None)
    table = other.title.partition(" ")[0] if other else ""
    in_place = f", {table} in its place" if other and not narrower else ""
    yield f"{limit.title}: the check was removed{left}{in_place}"


def _say(limit: _Limit) -> str:
    value = limit.strictness if limit.kind == "min" else -limit.strictness
    return say_number(value + 0.0)


def _list_limits(policy: Policy) -> Iterator[_Limit]:
    for floor in policy.floors:
        confidence = 0.0 if isnan(floor.confidence) else floor.confidence
        for kind, strictness in (("min", floor.min), ("max", -floor.max)):
            if not isnan(strictness):
                yield _Limit(
                    kind=kind,
                    metric=floor.metric,
                    slice=floor.slice,
                    strictness=strictness,
                    confidence=confidence,
                )
    for asked in policy.relative:
        yield _Limit(
            kind=asked.kind,
            metric=asked.metric,
            slice=asked.slice,
            strictness=-asked.margin if isinstance(asked, NoWorse) else inf,
            confidence=asked.confidence,
        )


def _weaken_test_set(before: Policy, now: Policy) -> Iterator[str]:
    old, new = before.test_set, now.test_set
    if before.relative and _LOOSENESS[new.same] > _LOOSENESS[old.same]:
        yield f'[test_set] same: "{old.same.value}" is now "{new.same.value}"'
    for name, was, is_now in (
        ("min_images", old.min_images, new.min_images),
        ("min_images_per_label", old.min_images_per_label, new.min_images_per_label),
        ("min_images_per_slice", old.min_images_per_slice, new.min_images_per_slice),
    ):
        if is_now < was:
            yield f"[test_set] {name}: {was:,} is now {f'{is_now:,}' if is_now else 'not asked'}"
    if _LEAKAGE[new.leakage] > _LEAKAGE[old.leakage]:
        said = [f'"{one}"' if one else "not said" for one in (old.leakage, new.leakage)]
        yield f"[test_set] leakage: {said[0]} is now {said[1]}"
    for kind in sorted(new.accept - old.accept):
        yield f'[test_set] accept: "{kind.value}" was added'
    yield from _weaken_intervals(old, new)
    for column, pattern in old.slice_by.items():
        found = new.slice_by.get(column)
        if found != pattern:
            change = f"is now {found!r}" if found else "was dropped"
            yield f"[test_set] slice_by: {column!r} by {pattern!r} {change}"


def _weaken_intervals(old: TestSetPolicy, new: TestSetPolicy) -> Iterator[str]:
    """What makes intervals narrower, so that more passes."""
    if old.group_by and new.group_by != old.group_by:
        is_now = f"is now {new.group_by!r}" if new.group_by else "was dropped"
        yield f"[test_set] group_by: {old.group_by!r} {is_now}"
    if old.adjust_for_looks and not new.adjust_for_looks:
        yield "[test_set] adjust_for_looks: true is now false"

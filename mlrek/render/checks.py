"""Checks as people read them: what failed first, those of many labels folded into one line."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

from mlrek.policy import Check, CheckKind, Decision, Status
from mlrek.render import Block, Folded, Line, Note, Table
from mlrek.render.doubts import say_doubt
from mlrek.text import fmt, say_number, span

COLUMNS: Final = (
    *("check", "metric", "label", "value", "baseline", "limit", "interval", "verdict"),
)
NUMERIC_COLUMNS: Final = frozenset(("value", "baseline", "limit", "interval"))
TONED_COLUMNS: Final = frozenset(("verdict",))
DIGITS: Final = 4
ROWS_OF_RULE: Final = 10
"""Of the labels of one rule that did not pass so many have a row of their own."""
OWN_LINES: Final = 5
"""So many labels with a limit each are told one by one."""
WIDE, NARROW = 104, 76
"""Columns of a terminal from which on numbers have all decimals, and below which no table fits."""
MARKDOWN_ROWS, MARKDOWN_NOTES, MARKDOWN_PASSED = 20, 8, 8

_ORDER: Final = (Status.FAILED, Status.UNDECIDED, Status.IGNORED, Status.PASSED)
_PASSED_SIGN: Final = "✓"
SIGNS: Final = {
    Status.PASSED: "✅ passed",
    Status.FAILED: "❌ failed",
    Status.UNDECIDED: "❔ undecided",
    Status.IGNORED: "➖ ignored",
}
_COUNTED: Final = frozenset(("min_images", "min_images_per_label", "leakage"))
RELATIVE: Final = frozenset((CheckKind.NO_WORSE, CheckKind.BETTER))
_NUMBER: Final = re.compile(r"[+-]?\d[\d,.e+-]*")

_Rule = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Checks of one rule that ended alike, those that are worst off first; or a single check.

    `n` is the number of labels or slices that the rule is asked of, whatever became of them.
    """

    checks: tuple[Check, ...]
    n: int = 1

    @property
    def worst(self) -> Check:
        """The check that is farthest on the wrong side of its limit, or nearest to it."""
        return self.checks[0]

    @property
    def is_of_labels(self) -> bool:
        """Whether the rule is asked of several labels, or slices."""
        return self.n > 1

    @property
    def noun(self) -> str:
        """What the rule is asked of several of."""
        if not self.worst.metric.slice:
            return "labels"
        return "labels in slices" if self.worst.metric.label else "slices"

    @property
    def is_open(self) -> bool:
        """Whether its checks did not pass."""
        return self.worst.status in {Status.FAILED, Status.UNDECIDED}


def fold_checks(checks: Sequence[Check]) -> list[Fold]:
    """The checks of a decision: failed, undecided, ignored, passed; within these single ones first.

    Those of labels, or of slices, are together where their rule, their answer and its reason, but
    for numbers, are the same. Labels that have a limit each are of one rule where they are many.
    """
    rules = _find_rules(checks)
    members: dict[_Rule, set[str]] = {}
    found: dict[tuple[_Rule, str, str], list[Check]] = {}
    for check, rule in zip(checks, rules, strict=True):
        members.setdefault(rule, set()).add(_name_member(check))
        found.setdefault((rule, check.status, _NUMBER.sub("#", check.reason)), []).append(check)
    folds = [
        Fold(checks=tuple(sorted(alike, key=_distance)), n=len(members[rule]))
        for (rule, _, _), alike in found.items()
    ]
    return sorted(folds, key=lambda fold: (_ORDER.index(fold.worst.status), fold.is_of_labels))


def _find_rules(checks: Sequence[Check]) -> list[_Rule]:
    """The rule of each check, by which checks of labels are equal; others have one of their own."""
    exact = [
        (c.kind, c.metric.name, c.is_maximum, c.metric.slice.partition("=")[0], say_limit(c))
        for c in checks
    ]
    often = Counter(rule for rule, c in zip(exact, checks, strict=True) if _name_member(c))
    alone = Counter(rule[:-1] for rule, n in often.items() if n == 1)
    return [
        (i,)
        if not _name_member(check) or (often[rule] == 1 and alone[rule[:-1]] <= OWN_LINES)
        else (rule if often[rule] > 1 else rule[:-1])
        for i, (check, rule) in enumerate(zip(checks, exact, strict=True))
    ]


def _name_member(check: Check) -> str:
    """The label, the slice, or the label in the slice that a check is of; '' for none."""
    return " in ".join(filter(None, (check.metric.label, check.metric.slice)))


def format_cells(check: Check, digits: int = DIGITS) -> list[str]:
    """The cells of a check, in the order of `COLUMNS`; empty where there is no number."""
    is_change = check.kind in RELATIVE
    decimals = 0 if check.metric.name in _COUNTED else digits
    around = span(check.low, check.high, digits, signed=is_change, undefined="")
    return [
        check.kind.value,
        " in ".join(filter(None, (check.metric.name, check.metric.slice))),
        check.metric.label,
        fmt(check.value, decimals, undefined=""),
        fmt(check.baseline, digits, undefined=""),
        say_limit(check),
        around if digits >= DIGITS else around.replace(" to ", "…"),
        check.status.value,
    ]


def say_limit(check: Check) -> str:
    """What a number or a change is held to, '' for nothing: `≥ 0.90`, `≤ +0.005`, `> 0`."""
    if isnan(check.limit):
        return ""
    if check.kind == CheckKind.BETTER:
        return "< 0" if check.is_maximum else "> 0"
    return f"{'≤' if check.is_maximum else '≥'} {_say_number(check)}"


def name_check(check: Check) -> str:
    """The kind of a check and what it is about, in one line."""
    return f"{check.kind.value} {check.metric}"


def list_notes(decision: Decision) -> list[Note]:
    """What is to be known: why checks did not pass, then of those that did, then every doubt.

    Checks that ended alike for the same reason are told together.
    """
    groups: dict[tuple[Status, str], list[Check]] = {}
    for check in decision.checks:
        if check.reason or check.status != Status.PASSED:
            groups.setdefault((check.status, check.reason), []).append(check)
    told = [Note(_say_reason(alike), kind=status.value) for (status, _), alike in groups.items()]
    told.sort(key=lambda note: note.kind == Status.PASSED)
    return [*told, *list_doubt_notes(decision)]


def list_doubt_notes(decision: Decision) -> list[Note]:
    """Every doubt in words."""
    return [Note(text, kind="doubt") for text in say_doubts(decision)]


def say_doubts(decision: Decision) -> list[str]:
    """Every doubt in words, after its kind."""
    return [f"{doubt.kind.value}: {say_doubt(doubt)}" for doubt in decision.doubts]


def list_all_blocks(decision: Decision, width: int) -> list[Block]:
    """A row for each check, and each reason."""
    checks = [check for fold in fold_checks(decision.checks) for check in fold.checks]
    return [*_list_rows([checks], width), *list_notes(decision)]


def list_folded_blocks(decision: Decision, width: int) -> list[Block]:
    """Rows of what did not pass and why, then a line for each rule that passed, then doubts."""
    folds, digits = fold_checks(decision.checks), choose_digits(width)
    shown, hidden = _choose_rows(folds)
    whole = [check for check in shown if not check.metric.label]
    labels = [check for check in shown if check.metric.label]
    return [
        *_list_rows([whole, labels], width, len(hidden)),
        *_list_reasons(folds),
        *(Note(_say_passed(fold, digits), kind=_PASSED_SIGN) for fold in _list_passed(folds)),
        *list_doubt_notes(decision),
    ]


def choose_digits(width: int) -> int:
    """How many decimals a terminal of so many columns has room for."""
    return DIGITS if width >= WIDE else DIGITS - 1


def _list_rows(tables: Sequence[Sequence[Check]], width: int, hidden: int = 0) -> Iterator[Block]:
    """Tables of checks, a line of text for each check where a table has no room.

    Those of labels need no column of the others, and the other way round, so two are narrower.
    """
    digits, filled = choose_digits(width), [*filter(None, tables)]
    for i, checks in enumerate(filled, start=1):
        if width < NARROW:
            yield from (Note(_say_single(one, digits), kind=one.status.value) for one in checks)
        else:
            rows = [format_cells(check, digits) for check in checks]
            table = Table(COLUMNS, rows, numeric=NUMERIC_COLUMNS, toned=TONED_COLUMNS)
            yield table.without_empty()
        if hidden and i == len(filled):
            yield Note(f"… and {hidden:,} more that did not pass")
        yield Line()


def hides_checks(decision: Decision) -> bool:
    """Whether the folded blocks leave out the row of any label."""
    folds = fold_checks(decision.checks)
    return bool(_choose_rows(folds)[1]) or any(len(f.checks) > 1 for f in _list_passed(folds))


def list_markdown_blocks(decision: Decision) -> list[Block]:
    """The same in few lines however many checks there are; what passed stands in details."""
    folds = fold_checks(decision.checks)
    shown, hidden = _choose_rows(folds, MARKDOWN_ROWS)
    rows = [[*format_cells(check)[:-1], SIGNS[check.status]] for check in shown]
    blocks: list[Block] = [Table(COLUMNS, rows, numeric=NUMERIC_COLUMNS)] if rows else []
    blocks += _bound([*_list_reasons(folds)], MARKDOWN_NOTES)
    if hidden:
        names = ", ".join(f"{name_check(c)} {_say_value(c)} {c.status.value}" for c in hidden)
        blocks.append(Folded(f"{len(hidden):,} more that did not pass", [Note(names)]))
    if passed := _list_passed(folds):
        lines = [Note(_say_passed_markdown(fold)) for fold in passed]
        n = sum(len(fold.checks) for fold in passed)
        blocks.append(Folded(f"{_count(n)} passed", _bound(lines, MARKDOWN_PASSED)))
    return [*blocks, *list_doubt_notes(decision)]


def _choose_rows(
    folds: Sequence[Fold], n: int | None = None
) -> tuple[Sequence[Check], Sequence[Check]]:
    """What did not pass: at most n checks that have a row, and the others."""
    first = [check for fold in folds if fold.is_open for check in fold.checks[:ROWS_OF_RULE]]
    others = [check for fold in folds if fold.is_open for check in fold.checks[ROWS_OF_RULE:]]
    n = len(first) if n is None else n
    return first[:n], [*first[n:], *others]


def _list_passed(folds: Sequence[Fold]) -> list[Fold]:
    return [fold for fold in folds if fold.worst.status == Status.PASSED]


def _bound(notes: Sequence[Note], n: int) -> list[Note]:
    """The notes, where there are more than n the last ones in one."""
    if len(notes) <= n:
        return [*notes]
    rest = "; ".join(" ".join(filter(None, (note.kind, note.text))) for note in notes[n - 1 :])
    return [*notes[: n - 1], Note(f"and {len(notes) - n + 1:,} more: {rest}")]


def _list_reasons(folds: Sequence[Fold]) -> Iterator[Note]:
    """Why checks did not pass; those that ended alike for the same reason are told together."""
    groups: dict[tuple[object, ...], list[Fold]] = {}
    for i, fold in enumerate(folds):
        if fold.worst.status != Status.PASSED:
            is_same = len({check.reason for check in fold.checks}) == 1
            key = (fold.worst.status, fold.worst.reason) if is_same else (i,)
            groups.setdefault(key, []).append(fold)
    for alike in groups.values():
        status = alike[0].worst.status
        if len(alike) == 1 and alike[0].is_of_labels:
            yield Note(_say_labels(alike[0]), kind=status.value)
        else:
            checks = [check for fold in alike for check in fold.checks]
            yield Note(_say_reason(checks), kind=status.value)


def _say_labels(fold: Fold) -> str:
    """How many labels did not pass a rule, and why the worst did not."""
    said = f"{_count_labels(fold)}, {_say_rule(fold)}"
    return f"{said}; {_name_side(fold)}, {_name_member(fold.worst)!r}: {fold.worst.reason}"


def _say_passed(fold: Fold, digits: int = DIGITS - 1) -> str:
    """A rule that was passed, with the number that came nearest to its limit."""
    worst = fold.worst
    said = _say_single(worst, digits)
    if fold.is_of_labels:
        nearest = f"{_name_side(fold)}: {_say_value(worst, digits)} {_name_member(worst)!r}"
        said = f"{_count_labels(fold)} passed {_say_rule(fold)} ({nearest})"
    return f"{said}: {worst.reason}" if worst.reason else said


def _say_passed_markdown(fold: Fold) -> str:
    """The same with the number of each label."""
    said = _say_passed(fold)
    if not fold.is_of_labels:
        return said
    return f"{said}: {', '.join(f'{_name_member(c)} {_say_value(c)}' for c in fold.checks)}"


def _say_single(check: Check, digits: int) -> str:
    """A check with its number, what that was held to, and its interval.

    Of one against the baseline it is the change.
    """
    value, name = _say_value(check, digits), name_check(check)
    if not value:
        return name
    around = span(check.low, check.high, digits, signed=check.kind in RELATIVE, undefined="")
    interval = f" ({around})" if around else ""
    if check.kind == CheckKind.NO_WORSE:
        return f"{name} {value}{interval}, no worse than {_say_number(check)}"
    limit = "" if check.kind == CheckKind.BETTER else f" {say_limit(check)}"
    return f"{name} {value}{interval}{limit}"


def _say_rule(fold: Fold) -> str:
    """What a rule asks of each label."""
    name, limits = fold.worst.metric.name, _list_limits(fold)
    if fold.worst.kind == CheckKind.BETTER:
        return f"{name} better than the baseline's"
    if fold.worst.kind == CheckKind.NO_WORSE:
        return f"{name} no worse than {' to '.join(limits)}"
    return f"{name} {'≤' if fold.worst.is_maximum else '≥'} {' to '.join(limits)}"


def _list_limits(fold: Fold) -> list[str]:
    """The limit of all labels, or the least and the largest one."""
    checks = sorted(fold.checks, key=lambda check: check.limit)
    return list(dict.fromkeys(map(_say_number, (checks[0], checks[-1]))))


def _count_labels(fold: Fold) -> str:
    k = len({_name_member(check) for check in fold.checks})
    return f"all {k:,} {fold.noun}" if k == fold.n else f"{k:,} of {fold.n:,} {fold.noun}"


def _name_side(fold: Fold) -> str:
    """What the worst of several numbers is called."""
    if len(_list_limits(fold)) > 1:
        is_passed = fold.worst.status == Status.PASSED
        return "nearest to its limit" if is_passed else "farthest from its limit"
    return "highest" if fold.worst.is_maximum else "lowest"


def _say_value(check: Check, digits: int = DIGITS - 1) -> str:
    """The number of a check, of one against the baseline the change; '' where there is none."""
    if check.kind in RELATIVE:
        return fmt(check.value - check.baseline, digits, signed=True, undefined="")
    decimals = 0 if check.metric.name in _COUNTED else digits
    return fmt(check.value, decimals, undefined="")


def _say_number(check: Check) -> str:
    """The limit of a check with two decimals, with more where it has more; a change has a sign."""
    limit = check.limit
    if check.metric.name in _COUNTED:
        return fmt(limit, 0)
    is_change = check.kind in RELATIVE
    if round(limit, 2) == limit:
        return fmt(limit, 2, signed=is_change)
    return f"{'+' if is_change and limit > 0 else ''}{say_number(limit)}"


def _say_reason(alike: Sequence[Check]) -> str:
    more = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
    return f"{name_check(alike[0])}{more}: {alike[0].reason}"


def _distance(check: Check) -> tuple[bool, float]:
    """How far on the right side of its limit a check is; what has no number comes last."""
    value = check.value - check.baseline if check.kind in RELATIVE else check.value
    distance = (value - check.limit) * (-1 if check.is_maximum else 1)
    return isnan(distance), 0.0 if isnan(distance) else distance


def _count(n: int) -> str:
    return f"{n:,} check{'' if n == 1 else 's'}"

"""A decision in words: as JSON, as a terminal shows it, and as a pull request's text."""

from collections.abc import Callable, Sequence
from math import isnan

from mlrek.formatting import fmt, span
from mlrek.policy import Check, CheckKind, Decision, Forgive, Looks, Status, VersionIdentity
from mlrek.policy.wording import say_range
from mlrek.tables.blocks import Block, Heading, Line, Note, Table, render_markdown
from mlrek.tables.doubts import describe_doubt, say_doubt
from mlrek.tables.json_text import Json, describe_fields

COLUMNS = ("check", "metric", "label", "value", "baseline", "limit", "interval", "verdict")
NUMERIC_COLUMNS = frozenset(("value", "baseline", "limit", "interval"))
DIGITS = 4
_WIDE = 104
"""Columns of a terminal from which on numbers have so many decimals."""
_SIGNS = {
    Status.PASSED: "✅ passed",
    Status.FAILED: "❌ failed",
    Status.UNDECIDED: "❔ undecided",
    Status.IGNORED: "➖ ignored",
}
_COUNTED = frozenset(("min_images", "min_images_per_label", "leakage"))
_RELATIVE = frozenset((CheckKind.NO_WORSE, CheckKind.BETTER))


def describe_decision(decision: Decision) -> dict[str, Json]:
    """The stable JSON form of a decision; a number that does not exist is null."""
    return {
        "verdict": decision.verdict.value,
        "candidate": _describe_identity(decision.candidate),
        "baseline": _describe_identity(decision.baseline) if decision.baseline else None,
        "checks": [_describe_check(check) for check in decision.checks],
        "images_needed": decision.images_needed,
        "images_needed_range": [*images] if (images := decision.images_needed_range) else None,
        "already_champion": decision.already_champion,
        "looks": _describe_looks(decision.looks) if decision.looks else None,
        "doubts": [describe_doubt(doubt) for doubt in decision.doubts],
        "warnings": list(decision.warnings),
    }


def say_verdict(decision: Decision, forgive: Forgive = "") -> str:
    """One sentence: may the version be promoted, and what it hangs on."""
    statuses = [check.status for check in decision.checks]
    n, name = len(statuses), decision.candidate.version
    if decision.already_champion:
        return f"passed: {name} bears the alias already, so there is nothing to decide"
    n_failed, n_undecided = (statuses.count(s) for s in (Status.FAILED, Status.UNDECIDED))
    if n_failed:
        open_too = f", {n_undecided} undecided" if n_undecided else ""
        return f"failed: {name} may not be promoted: {n_failed} of {_count(n)} failed{open_too}"
    if not n_undecided and not decision.has_passed_number:
        return (
            f"undecided: {name} may not be promoted yet: no check of a number passed; add a "
            "[[floor]] to the policy"
        )
    if not n_undecided:
        n_ignored = statuses.count(Status.IGNORED)
        rest = f", {n_ignored} ignored for want of a baseline" if n_ignored else ""
        return f"passed: {name} may be promoted: {n - n_ignored} of {_count(n)} passed{rest}"
    said = f"{n_undecided} of {_count(n)} undecided, none failed"
    code = decision.exit_code(forgive)
    if forgive and code != decision.exit_code():
        may = "may" if code == 0 else "may not"
        return f"undecided: {name} {may} be promoted (--undecided {forgive}): {said}"
    kept = f" (--undecided {forgive} does not change that)" if forgive else ""
    return f"undecided: {name} may not be promoted yet: {said}{kept}"


def say_needed(decision: Decision) -> str:
    """The images that would settle it, in words; '' where nothing tells."""
    images = decision.images_needed_range
    if decision.verdict != Status.UNDECIDED or images is None:
        return ""
    needed = say_range(*images)
    return f"Estimate: {needed} test images would decide what is open for want of images."


def say_looks(decision: Decision) -> str:
    """How many versions were checked so and what that makes of a "better"; '' for the first one."""
    looks = decision.looks
    if looks is None or (looks.total == 1 and not looks.adjusted and not looks.unknown):
        return ""
    note = f" ({looks.unknown})" if looks.unknown else ""
    if looks.count is None:
        return f"How many versions were checked on this test set is not known{note}."
    place = f"as number {looks.k:,} of" if looks.k else "besides"
    said = (
        f"Checked {place} {looks.count:,} logged versions on this test set against this baseline"
        f"{note}"
    )
    if isnan(looks.chance):
        return f"{said}."
    about = "at most" if looks.adjusted else "about"
    return (
        f'{said}: were none of {looks.total:,} better, at least one would pass as "better" with a '
        f"chance of {about} {fmt(100 * looks.chance, 1)} %."
    )


def say_versions(decision: Decision) -> str:
    """Who is checked against whom."""
    if decision.baseline is None:
        return f"{decision.candidate.version}, without a baseline"
    return f"{decision.candidate.version} against {decision.baseline.version}"


def format_cells(check: Check, digits: int = DIGITS) -> list[str]:
    """The cells of a check, in the order of `COLUMNS`; empty where there is no number."""
    is_change = check.kind in _RELATIVE
    decimals = 0 if check.metric.name in _COUNTED else digits
    around = span(check.low, check.high, digits, signed=is_change, undefined="")
    return [
        check.kind.value,
        check.metric.name,
        check.metric.label,
        fmt(check.value, decimals, undefined=""),
        fmt(check.baseline, digits, undefined=""),
        fmt(check.limit, decimals, signed=is_change, undefined=""),
        around if digits >= DIGITS else around.replace(" to ", "…"),
        check.status.value,
    ]


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
    return [*told, *(Note(text, kind="doubt") for text in list_doubts(decision))]


def list_doubts(decision: Decision) -> list[str]:
    """Every doubt in words."""
    return [f"{doubt.kind.value}: {say_doubt(doubt)}" for doubt in decision.doubts]


def decision_blocks(decision: Decision, forgive: Forgive, width: int) -> list[Block]:
    """What a terminal of so many columns shows: the verdict is its last line."""
    checks = _tabulate(decision, str, DIGITS if width >= _WIDE else DIGITS - 1)
    notes = list_notes(decision)
    rest = say_looks(decision), say_needed(decision), say_verdict(decision, forgive)
    blocks: list[Block] = [
        Line(say_versions(decision)),
        Line(),
        checks.without_empty(),
        Line(),
        *notes,
    ]
    return [*blocks, *([Line()] if notes else []), *map(Note, filter(None, rest))]


def write_decision_markdown(decision: Decision, forgive: Forgive = "") -> str:
    """A pull request's text: the verdict, every check, and why those that did not pass did not."""
    verdict, _, rest = say_verdict(decision, forgive).partition(": ")
    looks = say_looks(decision)
    blocks: list[Block] = [
        Heading(f"Promotion check: {say_versions(decision)}"),
        Line(f": {rest}.", strong=_SIGNS[Status(verdict)]),
        _tabulate(decision, _SIGNS.__getitem__),
        *list_notes(decision),
        *([Note(looks, kind="looks")] if looks else []),
        Line(say_needed(decision)),
        *(Note(warning, kind="warning") for warning in decision.warnings),
    ]
    return render_markdown(blocks)


def _tabulate(
    decision: Decision, name_status: Callable[[Status], str], digits: int = DIGITS
) -> Table:
    rows = [
        [*format_cells(check, digits)[:-1], name_status(check.status)] for check in decision.checks
    ]
    return Table(COLUMNS, rows, numeric=NUMERIC_COLUMNS)


def _say_reason(alike: Sequence[Check]) -> str:
    more = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
    return f"{name_check(alike[0])}{more}: {alike[0].reason}"


def _describe_looks(looks: Looks) -> dict[str, Json]:
    """`k` is the candidate's place; null where it is not counted, and `note` says why."""
    return {
        "count": looks.count,
        "k": looks.k or None,
        **describe_fields(looks, "chance", "adjusted"),
        "note": looks.unknown or None,
    }


def _describe_identity(identity: VersionIdentity) -> dict[str, Json]:
    return describe_fields(identity, "version", "version_arn", "run_id")


def _describe_check(check: Check) -> dict[str, Json]:
    return {
        "kind": check.kind.value,
        "metric": check.metric.name,
        "label": check.metric.label or None,
        **describe_fields(check, "status", "value", "baseline", "limit", "low", "high", "reason"),
    }


def _count(n: int) -> str:
    return f"{n} check{'' if n == 1 else 's'}"

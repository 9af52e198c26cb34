"""A decision in words: as JSON, as a table's cells, and as markdown for a pull request."""

from collections.abc import Iterable, Iterator, Sequence
from math import isnan

from mlrek.formatting import fmt
from mlrek.policy import Check, Decision, Forgive, Identity, Kind, Looks, Status
from mlrek.policy.wording import say_range
from mlrek.printable import escape_markdown, escape_unencodable, escape_unprintable
from mlrek.tables.doubts import describe_doubt, say_doubt
from mlrek.tables.json_text import Json, number_or_null

COLUMNS = ("check", "metric", "label", "value", "baseline", "limit", "interval", "verdict")
NUMERIC_COLUMNS = frozenset(("value", "baseline", "limit", "interval"))
DIGITS = 4
_SIGNS = {
    Status.PASSED: "✅ passed",
    Status.FAILED: "❌ failed",
    Status.UNDECIDED: "❔ undecided",
    Status.IGNORED: "➖ ignored",
}
_COUNTED = frozenset(("min_images", "min_images_per_label", "leakage"))
_RELATIVE = frozenset((Kind.NO_WORSE, Kind.BETTER))


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


def describe_verdict(decision: Decision, forgive: Forgive = "") -> str:
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


def describe_needed(decision: Decision) -> str:
    """The images that would settle it, in words; '' where nothing tells."""
    images = decision.images_needed_range
    if decision.verdict != Status.UNDECIDED or images is None:
        return ""
    needed = say_range(*images)
    return f"Estimate: {needed} test images would decide what is open for want of images."


def describe_looks(decision: Decision) -> str:
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


def describe_versions(decision: Decision) -> str:
    """Who is checked against whom."""
    if decision.baseline is None:
        return f"{decision.candidate.version}, without a baseline"
    return f"{decision.candidate.version} against {decision.baseline.version}"


def describe_cells(check: Check, digits: int = DIGITS) -> list[str]:
    """The cells of a check, in the order of `COLUMNS`; empty where there is no number."""
    is_count = check.metric.name in _COUNTED
    return [
        check.kind.value,
        check.metric.name,
        check.metric.label,
        _format(check.value, digits, is_count=is_count),
        _format(check.baseline, digits),
        _format(check.limit, digits, is_count=is_count, is_signed=check.kind in _RELATIVE),
        _format_interval(check, digits),
        check.status.value,
    ]


def list_remarks(decision: Decision) -> list[tuple[Check, str]]:
    """Every check that passed with something to be known of it, in words."""
    return _group(check for check in decision.checks if check.status == Status.PASSED)


def list_open(decision: Decision) -> list[tuple[Check, str]]:
    """Every check that did not pass, in words; those with the same reason are told together."""
    return _group(check for check in decision.checks if check.status != Status.PASSED)


def list_doubts(decision: Decision) -> list[str]:
    """Every doubt in words."""
    return [f"{doubt.kind.value}: {say_doubt(doubt)}" for doubt in decision.doubts]


def _group(checks: Iterable[Check]) -> list[tuple[Check, str]]:
    groups: dict[tuple[Status, str], list[Check]] = {}
    for check in checks:
        if check.reason or check.status != Status.PASSED:
            groups.setdefault((check.status, check.reason), []).append(check)
    return [
        (alike[0], f"{name_check(alike[0])}{_say_more(len(alike) - 1)}: {reason}")
        for (_, reason), alike in groups.items()
    ]


def _say_more(n: int) -> str:
    return f" (and {n} more)" if n else ""


def name_check(check: Check) -> str:
    """The kind of a check and what it is about, in one line."""
    return f"{check.kind.value} {check.metric}"


def write_decision_markdown(decision: Decision, forgive: Forgive = "") -> str:
    """A pull request's text: the verdict, every check, and why those that did not pass did not."""
    return escape_unencodable("\n".join(_write_markdown(decision, forgive)))


def _write_markdown(decision: Decision, forgive: Forgive) -> Iterator[str]:
    verdict, _, rest = describe_verdict(decision, forgive).partition(": ")
    yield f"### Promotion check: {_escape(describe_versions(decision))}"
    yield ""
    yield f"**{_SIGNS[Status(verdict)]}**: {_escape(rest)}."
    yield ""
    yield _row(COLUMNS)
    yield _row(["---:" if column in NUMERIC_COLUMNS else "---" for column in COLUMNS])
    for check in decision.checks:
        cells = [_escape(cell) for cell in describe_cells(check)[:-1]]
        yield _row([*cells, _SIGNS[check.status]])
    yield ""
    for check, text in (*list_open(decision), *list_remarks(decision)):
        yield f"- **{check.status.value}** {_escape(text)}"
    for text in list_doubts(decision):
        yield f"- **doubt** {_escape(text)}"
    if looks := describe_looks(decision):
        yield f"- **looks** {_escape(looks)}"
    if needed := describe_needed(decision):
        yield f"\n{needed}"
    for warning in decision.warnings:
        yield f"\n> {_escape(warning)}"
    yield ""


def _describe_looks(looks: Looks) -> dict[str, Json]:
    """`k` is the candidate's place; null where it is not counted, and `note` says why."""
    return {
        "count": looks.count,
        "k": looks.k or None,
        "chance": number_or_null(looks.chance),
        "adjusted": looks.adjusted,
        "note": looks.unknown or None,
    }


def _describe_identity(identity: Identity) -> dict[str, Json]:
    return {
        "version": identity.version,
        "version_arn": identity.version_arn,
        "run_id": identity.run_id or None,
    }


def _describe_check(check: Check) -> dict[str, Json]:
    return {
        "kind": check.kind.value,
        "metric": check.metric.name,
        "label": check.metric.label or None,
        "status": check.status.value,
        "value": number_or_null(check.value),
        "baseline": number_or_null(check.baseline),
        "limit": number_or_null(check.limit),
        "low": number_or_null(check.low),
        "high": number_or_null(check.high),
        "reason": check.reason or None,
    }


def _format(value: float, digits: int, *, is_count: bool = False, is_signed: bool = False) -> str:
    return fmt(value, 0 if is_count else digits, signed=is_signed, undefined="")


def _format_interval(check: Check, digits: int) -> str:
    if isnan(check.low) or isnan(check.high):
        return ""
    is_signed = check.kind in _RELATIVE
    ends = (_format(end, digits, is_signed=is_signed) for end in (check.low, check.high))
    return (" to " if digits >= DIGITS else "…").join(ends)


def _count(n: int) -> str:
    return f"{n} check{'' if n == 1 else 's'}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Untrusted text as plain text in markdown, all of it visible."""
    return escape_markdown(escape_unprintable(text))

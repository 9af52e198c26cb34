"""A comparison as JSON, as CSV, and as the blocks that people are shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import inf, isnan, nan
from typing import Final

from mlrek.comparison import (
    LABEL_DECISIONS,
    Comparison,
    Difference,
    ImageAnswer,
    ImageChange,
    Judgement,
    Scope,
    Verdict,
    Why,
)
from mlrek.comparison.compare import Several
from mlrek.evaluation import Version
from mlrek.metrics.numbers import HEADLINES, SERVICE_F1, name_metric
from mlrek.metrics.paired_tests import format_p
from mlrek.render import (
    Block,
    Heading,
    Json,
    Line,
    Note,
    Table,
    build_fields,
    number_or_null,
    render_csv,
    render_markdown,
)
from mlrek.render.comparison_slices import build_slice_json, compared_slice_blocks
from mlrek.render.doubts import build_doubt_json, say_doubt
from mlrek.text import display_label, fmt, say_number, say_range, span

PARTS: Final[Mapping[str, str]] = {
    "label_set": "other labels",
    "test_set": "other test images",
    "relabelled": "changed truth",
    "model": "the model",
    "threshold": "the thresholds",
    "unexplained": "unexplained",
}
"""The parts of a change in their order, and what they are in words."""

CHANGES: Final = ("fixed", "broken", "changed")
ALSO_COMPARED: Final = (
    "aggregate/images_right",
    "aggregate/ece",
    "aggregate/ece_debiased",
    "at_threshold/f1_macro",
    "crossfit/f1_macro",
    SERVICE_F1,
)
"""What people are shown of a comparison after the headline numbers of its task."""


_TEST_SETS: Final = (
    *("verdict", "shared", "only_baseline", "only_candidate", "relabelled", "duplicated"),
    *("labels_only_baseline", "labels_only_candidate"),
)
_DIFFERENCE: Final = (
    *("name", "label", "scope", "baseline", "candidate", "difference", "low", "high"),
    *("p", "p_adjusted", "judgement", "reason"),
)

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.SAME: "same test set",
    Verdict.OVERLAPPING: "the test sets overlap",
    Verdict.DISJOINT: "the test sets have no image in common",
}
SCOPES: Final[Mapping[Scope, str]] = {
    Scope.SHARED: "shared images",
    Scope.WHOLE: "whole test sets",
}
NOT_ADJUSTED: Final = "not after adjustment"
"""What is said of a label whose own interval leaves 0 out, but not with all labels together."""
_WIDE: Final = 92
"""Columns of a terminal from which on numbers have four decimals."""
_PARTS_TITLE: Final = "points of change"
_MAX_IMAGES: Final = 10
_MAX_CONFUSIONS: Final = 10
_MAX_SUMMARY_CONFUSIONS: Final = 20
_MAX_LABELS: Final = 15


def build_version_json(version: Version, run_id: str) -> dict[str, Json]:
    """Which version a document is about."""
    return {"version": version.name, "version_arn": version.arn, "run_id": run_id or None}


def build_candidate_json(comparison: Comparison, run_id: str = "") -> dict[str, Json]:
    """One candidate against the baseline, as in `mlrek compare --json`."""
    settling = comparison.settling
    needed = settling.needed if settling else None
    return {
        **build_version_json(comparison.candidate, run_id),
        "task": comparison.task.value,
        "test_set": build_fields(comparison.test_sets, *_TEST_SETS),
        "metrics": [build_difference_json(difference) for difference in comparison.differences],
        "slices": [*map(build_slice_json, comparison.slices)],
        "slices_tried": comparison.n_slices_tried,
        **{kind: [*map(_build_change, getattr(comparison, kind))] for kind in CHANGES},
        "why": {name: _build_why(why) for name, why in comparison.why.items()},
        "confusion_difference": [
            {"true": true, "predicted": predicted, "difference": n}
            for true, predicted, n in rank_confusions(comparison)
        ],
        "images_needed": settling.images_needed if settling else None,
        "images_needed_range": [*needed.ends] if needed else None,
        "smallest_difference": number_or_null(settling.smallest_difference) if settling else None,
        "seen_in_training": {
            "baseline": _count_leaked(comparison, "baseline_leakage"),
            "candidate": _count_leaked(comparison, "candidate_leakage"),
        },
        "doubts": [build_doubt_json(doubt) for doubt in comparison.doubts],
        "warnings": list(comparison.warnings),
    }


def build_difference_json(difference: Difference) -> dict[str, Json]:
    """One number of both versions; what does not exist is null."""
    return build_fields(difference, *_DIFFERENCE)


def write_fixed_broken(comparison: Comparison) -> bytes:
    """Each image that the versions do not judge alike, with both answers, as CSV."""
    sides = ("baseline", "candidate")
    confidences = [f"{side}_confidence" for side in sides]
    titles = ["change", "image", "truth", *chain(*zip(sides, confidences, strict=True))]
    rows = [
        [kind, change.image, join_labels(change.truth)]
        + [cell for side in sides for cell in _answer_cells(getattr(change, side))]
        for kind in CHANGES
        for change in getattr(comparison, kind)
    ]
    return render_csv(Table(titles, rows, numeric=frozenset(confidences)))


def find_headline(comparison: Comparison) -> Difference | None:
    """The first of the numbers that people are shown which both versions have."""
    scope = comparison.scope
    found = (comparison.find(name, scope=scope) for name in _list_names(comparison))
    return next((d for d in found if d is not None and not isnan(d.difference)), None)


def list_shown_differences(comparison: Comparison, scope: Scope) -> list[Difference]:
    """The numbers that people are shown, of one scope; what is reported is of whole test sets."""
    is_whole = scope is Scope.WHOLE or comparison.test_sets.verdict is Verdict.SAME
    found = [
        comparison.find(name, scope=Scope.WHOLE if name == SERVICE_F1 else scope)
        for name in _list_names(comparison)
        if is_whole or name != SERVICE_F1
    ]
    return [d for d in found if d is not None and not (isnan(d.baseline) and isnan(d.candidate))]


def list_scopes(comparison: Comparison) -> tuple[Scope, ...]:
    """The scopes worth showing: on one and the same test set they agree."""
    if comparison.test_sets.verdict is Verdict.SAME:
        return (Scope.SHARED,)
    return tuple(dict.fromkeys((comparison.scope, Scope.WHOLE)))


def find_label_number(comparison: Comparison) -> str:
    """The number that stands for a label: its F1, of masks its IoU."""
    has_iou = any(d.name == "label_iou" for d in comparison.differences)
    return "label_iou" if has_iou else "label_f1"


def list_label_rows(comparison: Comparison) -> list[tuple[Difference, float]]:
    """The number of each label and its p, adjusted for there being several labels (Holm).

    The p is that of the label's decisions, NaN where there are none. The greatest changes first.
    """
    name = find_label_number(comparison)
    mine = [d for d in comparison.differences if d.scope is comparison.scope and d.label]
    adjusted = {d.label: d.p_adjusted for d in mine if d.name == LABEL_DECISIONS}
    found = [d for d in mine if d.name == name and not isnan(d.difference)]
    return [
        (d, adjusted.get(d.label, nan)) for d in sorted(found, key=lambda d: -abs(d.difference))
    ]


def list_sure_labels(comparison: Comparison) -> list[tuple[Difference, float]]:
    """Those rows that are judged better or worse, the surest first."""
    sure = {Judgement.BETTER, Judgement.WORSE}
    rows = [row for row in list_label_rows(comparison) if row[0].judgement in sure]
    return sorted(rows, key=lambda row: inf if isnan(row[1]) else row[1])


def say_labels_lost(comparison: Comparison) -> str:
    """How many labels look better or worse by themselves alone; '' where none does."""
    rows = list_label_rows(comparison)
    n = sum(d.is_lost_to_adjustment for d, _ in rows)
    if not n:
        return ""
    whose = "intervals" if n > 1 else "interval"
    leave = "leave 0 out by themselves" if n > 1 else "leaves 0 out by itself"
    return (
        f"The 95 % {whose} of {n:,} of {len(rows):,} labels {leave}, but {NOT_ADJUSTED} for there "
        "being several labels: about 5 in 100 do so by chance."
    )


def rank_confusions(comparison: Comparison) -> list[tuple[str, str, int]]:
    """Cells of the confusion difference that are not 0: greatest change first, then label order."""
    confusion = comparison.confusion
    if confusion is None:
        return []
    counts = confusion.counts
    n = len(confusion.labels) - confusion.n_own
    names = [*map(display_label, confusion.labels[:n]), *confusion.labels[n:]]
    rows, columns = counts.nonzero()
    cells = [
        (names[i], names[j], int(counts[i, j]))
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    return sorted(cells, key=lambda cell: -abs(cell[2]))


def join_labels(labels: Sequence[str]) -> str:
    """Label names in one cell; none is `(none)`."""
    return ", ".join(map(display_label, labels)) if labels else "(none)"


def _list_names(comparison: Comparison) -> tuple[str, ...]:
    """The numbers that people are shown, the one that stands for a version first."""
    return (*(f"aggregate/{name}" for name in HEADLINES[comparison.task]), *ALSO_COMPARED)


def _answer_cells(answer: ImageAnswer) -> tuple[str, str]:
    confidence = "" if isnan(answer.confidence) else repr(answer.confidence)
    return join_labels(answer.labels), confidence


def _build_change(change: ImageChange) -> dict[str, Json]:
    return {
        **build_fields(change, "image", "truth"),
        "baseline": build_fields(change.baseline, "labels", "confidence"),
        "candidate": build_fields(change.candidate, "labels", "confidence"),
    }


def _build_why(why: Why) -> dict[str, Json]:
    intervals = {part: _build_interval(why.intervals.get(part)) for part in PARTS}
    return {
        **build_fields(why, *PARTS, "total"),
        "intervals": intervals,
        "note": why.note or None,
    }


def _build_interval(interval: tuple[float, float] | None) -> Json:
    """Both ends, or null where there is none."""
    if interval is None or any(map(isnan, interval)):
        return None
    return [*interval]


def _count_leaked(comparison: Comparison, name: str) -> int | None:
    leakage = getattr(comparison, name)
    return len(leakage.images) if leakage.known else None


def comparison_blocks(comparison: Comparison, width: int) -> Iterator[Block]:
    """What a terminal of so many columns shows, a blank line after each section."""
    settling = say_settling(comparison)
    sections: list[Sequence[Block]] = [
        [
            Heading(_say_versions(comparison)),
            Line(say_verdict(comparison)),
            Line(_say_test_sets(comparison)),
        ],
        *([table] for table in tabulate_numbers(comparison, digits=4 if width >= _WIDE else 3)),
        _explain(comparison, " to " if width >= _WIDE else "…"),
        _list_labels(comparison),
        compared_slice_blocks(comparison, is_wide=width >= _WIDE),
        [Line(_say_changes(comparison)), *_list_broken(comparison)],
        _list_confusions(comparison, _MAX_CONFUSIONS),
        [Line(settling)] if settling else [],
    ]
    for section in filter(None, sections):
        yield from (*section, Line())


def several_blocks(several: Several, names: Sequence[str]) -> list[Block]:
    """The test of all versions together, which have these names, and of each pair."""
    if several.reason:
        return [Line(f"All versions together: no test ({several.reason}).")]
    said = (
        f"All versions together (Cochran's Q, {several.images:,} images that all were tested on): "
        f"Q = {several.q:.2f}, {several.df} degrees of freedom, p = {format_p(several.p)}"
    )
    rows = [
        [
            names[pair.first],
            names[pair.second],
            fmt(pair.difference, 4, signed=True),
            format_p(pair.p),
            format_p(pair.p_adjusted),
        ]
        for pair in several.pairs
    ]
    return [
        Line(said),
        _tabulate(["first", "second", "difference", "p", "p (Holm)"], rows, 2),
        Line(),
    ]


def write_summary(comparison: Comparison) -> str:
    """The comparison in markdown: the verdict first, then the numbers, why, and the images."""
    return render_markdown(
        [
            Heading(_say_versions(comparison)),
            Line(strong=say_verdict(comparison)),
            *tabulate_numbers(comparison, (comparison.baseline.name, comparison.candidate.name)),
            *_explain(comparison),
            *_list_labels(comparison),
            *compared_slice_blocks(comparison, folds=True),
            Line(_say_changes(comparison)),
            *_list_confusions(comparison, _MAX_SUMMARY_CONFUSIONS),
            Line(say_settling(comparison)),
            *map(Note, list_remarks(comparison)),
        ]
    )


def say_verdict(comparison: Comparison) -> str:
    """One sentence: better, worse or undecided, by what, and on how much it rests."""
    headline = find_headline(comparison)
    sets = comparison.test_sets
    where = f"{VERDICTS[sets.verdict]}, {sets.judged:,} shared images"
    if sets.relabelled:
        where += f", {sets.relabelled:,} more with another truth left out"
    if headline is None or isnan(headline.difference):
        return f"No number of both versions can be compared ({where})."
    name = name_metric(headline.name)
    change = f"{name} {fmt(headline.baseline, 4)} → {fmt(headline.candidate, 4)}"
    if isnan(headline.low):
        return f"Undecided: {change}, without an interval ({where})."
    moved = fmt(headline.difference, 4, signed=True)
    around = f"{moved}, 95 % interval {span(headline.low, headline.high, 4, signed=True)}"
    return f"{headline.judgement.value.capitalize()}: {change} ({around}; {where})."


def say_settling(comparison: Comparison) -> str:
    """What would decide an undecided difference; '' where nothing is undecided."""
    settling = comparison.settling
    if settling is None:
        return ""
    if isnan(settling.smallest_difference):
        now = "the present images could decide no difference, however large"
    else:
        smallest = fmt(settling.smallest_difference, 4)
        now = f"the present images could decide a difference of {smallest} or more"
    needed = settling.needed
    if needed is None:
        return f"Estimate: {now}."
    return (
        f"Estimate: {say_range(*needed.ends)} test images would decide a true difference of "
        f"{say_number(needed.distance)} of images wholly right, whichever version is better "
        f"(80 % power); {now}."
    )


def list_remarks(comparison: Comparison) -> list[str]:
    """Its doubts and warnings in words."""
    return [*map(say_doubt, comparison.doubts), *comparison.warnings]


def tabulate_numbers(
    comparison: Comparison, names: Sequence[str] = ("baseline", "candidate"), digits: int = 4
) -> list[Table]:
    """The numbers that people are shown, a table for each scope, whose first title names it."""
    return [
        _tabulate(
            [SCOPES[scope], *names, "difference", "95 % interval", "p"],
            [
                _number_row(difference, digits)
                for difference in list_shown_differences(comparison, scope)
            ],
        )
        for scope in list_scopes(comparison)
    ]


def tabulate_why(comparison: Comparison, to: str = " to ") -> Table:
    """A column for each number whose change is explained, each part with its 95 % interval.

    Parts that changed none of them are left out; the notes name them. `to` is between the ends.
    """
    whys, still = comparison.why.values(), _list_still(comparison)
    rows = [
        [text, *(_format_part(why, part, to) for why in whys)]
        for part, text in PARTS.items()
        if part not in still
    ]
    rows.append(["in all", *(_format_points(why.total) for why in whys)])
    table = _tabulate([_PARTS_TITLE, *map(name_metric, comparison.why)], rows)
    return replace(table, whole=frozenset((_PARTS_TITLE,)))


def list_why_notes(comparison: Comparison) -> list[str]:
    """What is to be known of the parts, each remark once."""
    still = [PARTS[part] for part in _list_still(comparison) if part != "unexplained"]
    none = [f"no change from {', '.join(still)}"] if still and comparison.why else []
    return none + list(dict.fromkeys(why.note for why in comparison.why.values() if why.note))


def _list_still(comparison: Comparison) -> list[str]:
    """The parts that are 0 in each number, for sure."""
    whys = comparison.why.values()
    return [
        part
        for part in PARTS
        if all(getattr(why, part) == 0 and not _has_interval(why, part) for why in whys)
    ]


def _has_interval(why: Why, part: str) -> bool:
    low, high = why.intervals.get(part, (nan, nan))
    return low < high


def _tabulate(titles: list[str], rows: list[list[str]], n_texts: int = 1) -> Table:
    """A table whose columns after the first `n_texts` hold numbers."""
    return Table(titles, rows, numeric=frozenset(filter(None, titles[n_texts:])))


def _say_versions(comparison: Comparison) -> str:
    return f"{comparison.candidate.name} against {comparison.baseline.name}"


def _say_test_sets(comparison: Comparison) -> str:
    sets = comparison.test_sets
    parts = [
        f"{sets.shared:,} shared",
        f"{sets.only_baseline:,} only in {comparison.baseline.name}",
        f"{sets.only_candidate:,} only in {comparison.candidate.name}",
        f"{sets.relabelled:,} relabelled{' and left out' if sets.relabelled else ''}",
    ]
    parts += [f"{sets.duplicated:,} duplicated"] if sets.duplicated else []
    return f"Test images: {', '.join(parts)} ({VERDICTS[sets.verdict]})."


def _say_changes(comparison: Comparison) -> str:
    return (
        f"Images: {len(comparison.fixed):,} fixed, {len(comparison.broken):,} broken, "
        f"{len(comparison.changed):,} wrong in another way."
    )


def _number_row(difference: Difference, digits: int) -> list[str]:
    return [
        name_metric(difference.name),
        fmt(difference.baseline, digits),
        fmt(difference.candidate, digits),
        fmt(difference.difference, digits, signed=True),
        span(difference.low, difference.high, digits, signed=True),
        "" if isnan(difference.p) else format_p(difference.p),
    ]


def _explain(comparison: Comparison, to: str = " to ") -> list[Block]:
    if not comparison.why:
        return []
    notes = (Line(f"({note})") for note in list_why_notes(comparison))
    return [tabulate_why(comparison, to), *notes]


def _format_points(value: float) -> str:
    """A share as points of a hundred."""
    return fmt(100 * value, 2, signed=True)


def _format_part(why: Why, part: str, to: str) -> str:
    """A part of a change in points of a hundred, with its interval where it has one."""
    points = _format_points(getattr(why, part))
    if not _has_interval(why, part):
        return points
    low, high = why.intervals[part]
    return f"{points} ({span(100 * low, 100 * high, 1, signed=True).replace(' to ', to)})"


def _list_labels(comparison: Comparison) -> list[Block]:
    """Labels that got better or worse for sure, all of them taken together (Holm)."""
    name, lost = name_metric(find_label_number(comparison)), say_labels_lost(comparison)
    notes: list[Block] = [Line(lost)] if lost else []
    rows = [
        [
            d.label,
            fmt(d.baseline, 4),
            fmt(d.candidate, 4),
            fmt(d.difference, 4, signed=True),
            format_p(p),
            d.judgement.value,
        ]
        for d, p in list_sure_labels(comparison)[:_MAX_LABELS]
    ]
    titles = ["label", f"{name} baseline", f"{name} candidate", "difference", "p (Holm)", ""]
    if not rows:
        return notes
    return [Line("Labels that differ for sure:"), _tabulate(titles, rows), *notes]


def _list_broken(comparison: Comparison) -> list[Block]:
    """Images that only the baseline judges rightly, the surest mistakes first."""
    surest = sorted(comparison.broken, key=_rate_sureness, reverse=True)[:_MAX_IMAGES]
    rows = [
        [
            change.image,
            join_labels(change.truth),
            *map(_say_answer, (change.baseline, change.candidate)),
        ]
        for change in surest
    ]
    titles = ["image", "truth", "baseline", "candidate"]
    return [Line("Broken, the surest mistakes first:"), Table(titles, rows)] if rows else []


def _rate_sureness(change: ImageChange) -> float:
    confidence = change.candidate.confidence
    return -1.0 if isnan(confidence) else confidence


def _say_answer(answer: ImageAnswer) -> str:
    sure = "" if isnan(answer.confidence) else f" {answer.confidence:.2f}"
    return join_labels(answer.labels) + sure


def _list_confusions(comparison: Comparison, n_shown: int) -> list[Block]:
    """The cells of the confusion matrix that changed most, and the others together."""
    cells = rank_confusions(comparison)
    rows = [[true, found, f"{n:+,}"] for true, found, n in cells[:n_shown]]
    if rest := cells[n_shown:]:
        rows.append(["(other)", f"{len(rest):,} cells", f"{sum(n for *_, n in rest):+,}"])
    caption = Line("Confusion matrix, candidate minus baseline on shared images:")
    return [caption, _tabulate(["true", "predicted", "change"], rows, 2)] if rows else []

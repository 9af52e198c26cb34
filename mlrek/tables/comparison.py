"""A comparison as JSON and as CSV, and what of it people are shown."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import inf, isnan, nan
from typing import Final

from mlrek.comparison import (
    Answer,
    Comparison,
    Difference,
    ImageChange,
    Judgement,
    Scope,
    Verdict,
    Why,
)
from mlrek.comparison.judging import LABEL_DECISIONS
from mlrek.evaluation import Version
from mlrek.label_keys import display_label
from mlrek.metrics.headlines import HEADLINES, SERVICE_F1
from mlrek.tables.blocks import Table, render_csv
from mlrek.tables.doubts import describe_doubt
from mlrek.tables.json_text import Json, describe_fields, number_or_null

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


def describe_version(version: Version, run_id: str) -> dict[str, Json]:
    """Which version a document is about."""
    return {"version": version.name, "version_arn": version.arn, "run_id": run_id or None}


def describe_candidate(comparison: Comparison, run_id: str = "") -> dict[str, Json]:
    """One candidate against the baseline, as in `mlrek compare --json`."""
    settling = comparison.settling
    needed = settling.needed if settling else None
    return {
        **describe_version(comparison.candidate, run_id),
        "task": comparison.task.value,
        "test_set": describe_fields(comparison.test_sets, *_TEST_SETS),
        "metrics": [describe_difference(difference) for difference in comparison.differences],
        **{kind: [*map(_describe_change, getattr(comparison, kind))] for kind in CHANGES},
        "why": {name: _describe_why(why) for name, why in comparison.why.items()},
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
        "doubts": [describe_doubt(doubt) for doubt in comparison.doubts],
        "warnings": list(comparison.warnings),
    }


def describe_difference(difference: Difference) -> dict[str, Json]:
    """One number of both versions; what does not exist is null."""
    return describe_fields(difference, *_DIFFERENCE)


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


def list_headlines(comparison: Comparison, scope: Scope) -> list[Difference]:
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


def _answer_cells(answer: Answer) -> tuple[str, str]:
    confidence = "" if isnan(answer.confidence) else repr(answer.confidence)
    return join_labels(answer.labels), confidence


def _describe_change(change: ImageChange) -> dict[str, Json]:
    return {
        **describe_fields(change, "image", "truth"),
        "baseline": describe_fields(change.baseline, "labels", "confidence"),
        "candidate": describe_fields(change.candidate, "labels", "confidence"),
    }


def _describe_why(why: Why) -> dict[str, Json]:
    intervals = {part: _describe_interval(why.intervals.get(part)) for part in PARTS}
    return {
        **describe_fields(why, *PARTS, "total"),
        "intervals": intervals,
        "note": why.note or None,
    }


def _describe_interval(interval: tuple[float, float] | None) -> Json:
    """Both ends, or null where there is none."""
    if interval is None or any(map(isnan, interval)):
        return None
    return [*interval]


def _count_leaked(comparison: Comparison, name: str) -> int | None:
    leakage = getattr(comparison, name)
    return len(leakage.images) if leakage.known else None

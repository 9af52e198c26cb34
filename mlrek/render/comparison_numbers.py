"""The numbers of a comparison as its page shows them: tables with whiskers, and a row a label."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final

from mlrek.comparison import Comparison, Difference, Judgement, Scope
from mlrek.metrics.numbers import name_metric
from mlrek.metrics.paired_tests import format_p
from mlrek.render import Json
from mlrek.render.comparison import (
    NOT_ADJUSTED,
    SCOPES,
    find_label_number,
    list_label_rows,
    list_scopes,
    list_shown_differences,
    say_labels_lost,
)
from mlrek.render.report_data import round_number
from mlrek.text import display_label, escape_unencodable, fmt, span

_MAX_LABELS: Final = 400
_LOST: Final = "lost"
"""The class of a label that only its own interval calls better or worse."""
_LEAST_REACH: Final = 0.01
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDifference:
    """A row; `low`, `high` and `at` are places in percent of a picture with 0 in its middle."""

    name: str
    cells: tuple[str, ...]  # baseline, candidate, difference
    span: str
    p: str
    kind: str
    judgement: str
    at: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNumbers:
    """The numbers of one scope; `reach` is what either end of the pictures stands for."""

    title: str
    reach: str
    rows: tuple[ShownDifference, ...]


def list_shown_numbers(comparison: Comparison) -> list[ShownNumbers]:
    """A table for each scope."""
    return [_show_scope(comparison, scope) for scope in list_scopes(comparison)]


def build_label_rows(comparison: Comparison) -> dict[str, Json]:
    """The number of each label in both versions, those that changed most first."""
    rows = list_label_rows(comparison)
    codes = {label: i for i, label in enumerate(comparison.labels)}
    return {
        "number": name_metric(find_label_number(comparison)),
        "total": len(rows),
        "rows": [_build_label(d, p, codes[d.label]) for d, p in rows[:_MAX_LABELS]],
    }


def say_labels(comparison: Comparison) -> str:
    """How many labels are better, worse and neither, all of them taken together."""
    counts = Counter(d.judgement.value for d, _ in list_label_rows(comparison))
    said = ", ".join(f"{counts[j.value]:,} {j.value}" for j in Judgement if counts[j.value])
    return " ".join(filter(None, (f"{said}." if said else "", say_labels_lost(comparison))))


def _show_scope(comparison: Comparison, scope: Scope) -> ShownNumbers:
    found = list_shown_differences(comparison, scope)
    reach = max((_LEAST_REACH, *_list_ends(found)))
    return ShownNumbers(
        title=SCOPES[scope],
        reach=fmt(reach, 2),
        rows=tuple(_show(difference, reach) for difference in found),
    )


def _list_ends(differences: Sequence[Difference]) -> Iterator[float]:
    for d in differences:
        yield from (abs(end) for end in (d.difference, d.low, d.high) if not isnan(end))


def _show(difference: Difference, reach: float) -> ShownDifference:
    d = difference
    numbers = (fmt(d.baseline, _DIGITS), fmt(d.candidate, _DIGITS))
    return ShownDifference(
        name=name_metric(d.name),
        cells=(*numbers, fmt(d.difference, _DIGITS, signed=True)),
        span=span(d.low, d.high, _DIGITS, signed=True),
        p="" if isnan(d.p) else format_p(d.p),
        kind=_find_kind(d),
        judgement=_say_judgement(d),
        at=_place(d.difference, reach),
        low=_place(d.low, reach),
        high=_place(d.high, reach),
    )


def _build_label(difference: Difference, p: float, code: int) -> dict[str, Json]:
    numbers = ("baseline", "candidate", "difference", "low", "high")
    return {
        "label": code,
        "name": escape_unencodable(display_label(difference.label)),
        **{number: round_number(getattr(difference, number)) for number in numbers},
        "p": round_number(p),
        "holm": "" if isnan(p) else format_p(p),
        "kind": _find_kind(difference),
        "judgement": _say_judgement(difference),
    }


def _find_kind(difference: Difference) -> str:
    return _LOST if difference.is_lost_to_adjustment else difference.judgement.value


def _say_judgement(difference: Difference) -> str:
    return NOT_ADJUSTED if difference.is_lost_to_adjustment else difference.judgement.value


def _place(value: float, reach: float) -> float | None:
    return None if isnan(value) else round(50 + 50 * value / reach, 2)

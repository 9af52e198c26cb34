"""Slices as pages show them: one sentence, and the facts of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Final, TypeAlias

from mlrek.comparison import Comparison, Difference, Judgement, SliceDifference
from mlrek.metrics import Number
from mlrek.metrics.numbers import name_metric
from mlrek.metrics.paired_tests import format_p
from mlrek.metrics.slices import LABEL_COLUMN, MIN_SLICE_IMAGES, SliceReport, SliceRow
from mlrek.render import Json
from mlrek.render.report_data import round_number
from mlrek.render.slices import find_column, list_weak, say_none_weak
from mlrek.text import escape_unencodable

MAX_NAME_CHARACTERS: Final = 300_000
"""Of all names together, before each is cut."""

MAX_NUMBERED: Final = 1_000
"""Rows with their headline numbers."""

_CUT_NAME: Final = 200
_VALUES: Final = ("first", "second", "difference", "low", "high", "p")
_FACTS: Final = ("n", *_VALUES, "holm", "judgement", "reason")
_MAX_NAMED: Final = 5
_IN_SENTENCE: Final = 80

AnyRow: TypeAlias = SliceRow | SliceDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSlices:
    """The sentence that a page begins its slices with; `names` end it, each short and whole.

    `is_listed` tells whether there is any slice to list.
    """

    lead: str
    is_listed: bool = True
    names: tuple[tuple[str, str], ...] = ()
    more: int = 0
    notes: tuple[str, ...] = ()


def say_slices(report: SliceReport | None) -> ShownSlices | None:
    """What is weaker than the rest; None where there is no column besides the labels."""
    if report is None or not has_own_columns(report):
        return None
    notes = tuple(f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in report.notes)
    if report.n_small:
        few = f"with fewer than {MIN_SLICE_IMAGES} images"
        notes += (f"Not judged: {_count(report.n_small, 'value')} {few}.",)
    none = say_none_weak(report)
    lead = f"{none[:1].upper()}{none[1:]}."
    verbs = ("is significantly weaker than the rest", "are significantly weaker than the rest")
    said = ShownSlices(lead=lead, is_listed=bool(report.singles), notes=notes)
    return _say_worst(list_weak(report), report.n_tried, verbs, said)


def say_slice_differences(comparison: Comparison) -> ShownSlices | None:
    """What got worse; None where there is no column besides the labels."""
    if not comparison.slices:
        return None
    worse = [row for row in comparison.slices if row.score.judgement is Judgement.WORSE]
    verb = "got significantly worse"
    n_tried = comparison.n_slices_tried
    none = ShownSlices(lead=f"No slice of {n_tried:,} tried {verb}.")
    return _say_worst([row for row in worse if not row.part_of], n_tried, (verb, verb), none)


def has_own_columns(report: SliceReport) -> bool:
    """Whether there is a column besides the labels, which have a table of their own."""
    return any(column != LABEL_COLUMN for column in report.columns)


def _say_worst(
    worst: Sequence[AnyRow], n_tried: int, verbs: tuple[str, str], none: ShownSlices
) -> ShownSlices:
    """The worst ones by name, or what is said where there is none."""
    if not worst:
        return none
    names = [escape_unencodable(row.name) for row in worst[:_MAX_NAMED]]
    return ShownSlices(
        lead=f"{len(worst):,} of {_count(n_tried, 'slice')} tried {verbs[len(worst) > 1]}:",
        names=tuple((_cut(name, _IN_SENTENCE), name) for name in names),
        more=len(worst) - len(names),
        notes=none.notes,
    )


def _count(n: int, one: str) -> str:
    return f"{n:,} {one}{'' if n == 1 else 's'}"


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def build_rows(
    rows: Sequence[AnyRow], columns: Sequence[str], n_singles: int, share: float = 1
) -> dict[str, Json]:
    """Each fact of all rows, column by column; `part_of` is a place among the rows, -1 for none.

    Headline numbers are those of a share of so many rows as have them at most, the first ones.
    """
    n_numbered = round(MAX_NUMBERED * share)
    facts = [_describe(row) for row in rows]
    of = {row.name: place for place, row in reversed([*enumerate(rows[:n_singles])])}
    of_pairs = {row.name: place for place, row in enumerate(rows) if place >= n_singles}
    column_of = {
        name: find_column(name, columns) or name.partition("=")[0]
        for row in rows
        for name in row.names
    }
    used = dict.fromkeys(column_of.values())
    found = [
        *(column for column in columns if column in used),
        *(column for column in used if column not in columns),
    ]
    codes = {column: code for code, column in enumerate(found)}
    return {
        "columns": [escape_unencodable(_cut(column, _CUT_NAME)) for column in found],
        "names": _write_names(rows),
        "of": [[*sorted({codes[column_of[name]] for name in row.names})] for row in rows],
        "part_of": [
            (of if place < n_singles else of_pairs).get(row.part_of, -1)
            for place, row in enumerate(rows)
        ],
        "numbers": [_list_numbers(row) if i < n_numbered else [] for i, row in enumerate(rows)],
        **{key: [fact[key] for fact in facts] for key in _FACTS},
    }


def _write_names(rows: Sequence[AnyRow]) -> list[Json]:
    names = [[escape_unencodable(name) for name in row.names] for row in rows]
    if sum(len(name) for own in names for name in own) > MAX_NAME_CHARACTERS:
        names = [[_cut(name, _CUT_NAME) for name in own[:_MAX_NAMED]] for own in names]
    return [[*own] for own in names]


def _describe(row: AnyRow) -> dict[str, Json]:
    """The facts of a row by name, `_FACTS`."""
    if isinstance(row, SliceDifference):
        d = row.score
        values = (d.baseline, d.candidate, d.difference, d.low, d.high, d.p_adjusted)
        judgement, reason = d.judgement.value, d.reason
    else:
        values = (row.score, row.rest, row.difference, row.low, row.high, row.p_adjusted)
        judgement, reason = row.judgement.value, row.reason
    p = values[-1]
    return {
        "n": len(row.images),
        **{key: round_number(value, 5) for key, value in zip(_VALUES, values, strict=True)},
        "holm": "" if isnan(p) else format_p(p),
        "judgement": judgement,
        "reason": escape_unencodable(reason),
    }


def _list_numbers(row: AnyRow) -> list[Json]:
    """Of one version name, value and ends; of two name, both values and the ends."""
    if isinstance(row, SliceDifference):
        return [[*_write_difference(difference)] for difference in row.numbers]
    return [[*_write_number(name, number)] for name, number in row.numbers.items()]


def _write_number(name: str, number: Number) -> Iterator[Json]:
    yield name_metric(name)
    yield from (round_number(value, 5) for value in (number.value, number.low, number.high))


def _write_difference(d: Difference) -> Iterator[Json]:
    yield name_metric(d.name)
    yield from (round_number(value, 5) for value in (d.baseline, d.candidate, d.low, d.high))

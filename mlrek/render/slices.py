"""The slices of a version as JSON, as CSV, as metric keys, and as the blocks that people are shown.

Names and values of slices come from strangers: whoever renders a block escapes it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isnan
from typing import Any, Final

import numpy as np

from mlrek.evaluation import Evaluation
from mlrek.metrics import Number
from mlrek.metrics.numbers import HEADLINES, find_definition, list_definitions, name_metric
from mlrek.metrics.paired_tests import format_p
from mlrek.metrics.slices import (
    MIN_SLICE_IMAGES,
    PAIRED,
    SliceJudgement,
    SliceReport,
    SliceRow,
)
from mlrek.render import (
    WIDE,
    Block,
    Json,
    Line,
    Table,
    build_fields,
    cut_name,
    number_or_null,
    render_csv,
)
from mlrek.text import fmt, fmt_with, list_some, metric_key_labels, span

SLICES_FILE: Final = "slices.csv"
MAX_LOGGED: Final = 20
"""Slices of which a run has a metric key."""
KEY_GROUP: Final = "slice"
NO_COLUMNS: Final = (
    "no file says of each image what it could be sliced by: `--slice-by NAME=REGEX` reads it from "
    "the images' names, `mlrek sync … --slices FILE` adds the columns of a table"
)

_SINGLE: Final = "single"
_PAIR: Final = "pair"
_ALSO: Final = " | "
"""Between the names of slices with the same images, in one cell."""
_MAX_ROWS: Final = 25
_MAX_PAIRS: Final = 10
MAX_SAID: Final = 3
_NARROW: Final = 72
"""Columns of a terminal from which on that of the difference is there."""
_SCORES: Final[Mapping[str, str]] = {
    "f1_samples": "mean F1 of an image",
    "iou_samples": "mean IoU of an image",
}
"""Scores that no other list has under a name for people."""
_WORDS: Final[Mapping[SliceJudgement, str]] = {
    SliceJudgement.WORSE: "worse",
    SliceJudgement.BETTER: "better",
    SliceJudgement.UNDECIDED: "",
}


def split_name(name: str, columns: Sequence[str]) -> tuple[str, str]:
    """Column and value of a slice.

    >>> split_name("site=A & B", ["site", "light"])
    ('site', 'A & B')
    """
    column = find_column(name, columns) or ""
    return column, name.removeprefix(f"{column}=")


def split_pair(name: str, columns: Sequence[str]) -> tuple[str, str]:
    """The columns and the values of a pair of slices.

    >>> split_pair("site=A & B & light=dark", ["site", "light"])
    ('site & light', 'A & B & dark')
    """
    start = name.find(PAIRED)
    while start >= 0:
        halves = (name[:start], name[start + len(PAIRED) :])
        if all(find_column(half, columns) is not None for half in halves):
            names, values = zip(*(split_name(half, columns) for half in halves), strict=True)
            return PAIRED.join(names), PAIRED.join(values)
        start = name.find(PAIRED, start + 1)
    return split_name(name, columns)


def build_slices_json(report: SliceReport) -> dict[str, Json]:
    """All slices of a version, as `mlrek show --slices --json` prints them."""
    return {
        "score": report.score,
        "tried": report.n_tried,
        "pairs_tried": report.n_pairs_tried,
        "small": report.n_small,
        "min_images": MIN_SLICE_IMAGES,
        "columns": [*report.columns],
        "notes": [*report.notes],
        "singles": [
            _build_row(row, split_name(row.name, report.columns)) for row in report.singles
        ],
        "pairs": [_build_row(row, split_pair(row.name, report.columns)) for row in report.pairs],
    }


def build_logged_json(report: SliceReport, evaluation: Evaluation) -> dict[str, Json]:
    """All slices, and which of their numbers stand in MLflow under which key."""
    name = HEADLINES[evaluation.task][0]
    definitions = list_definitions(evaluation.task, evaluation.pos_label)
    definition = find_definition(f"aggregate/{name}", definitions)
    own = [column.name for column in evaluation.slice_columns]
    chosen = key_slices(report, own)
    return {
        **build_slices_json(report),
        "logged": {
            "number": name,
            "definition": f"{definition}; of the images of the slice alone",
            "keys": {key: _find_own(row, own) for key, row in chosen.items()},
        },
    }


def key_slices(report: SliceReport, own: Sequence[str]) -> dict[str, SliceRow]:
    """The slices that a run has a metric of, by its key, at most 20, the largest first.

    They are of the columns that files hold, `own`, and chosen by images and name alone, so that
    versions with one test set have the same.
    """
    named = {_find_own(row, own): row for row in report.singles if _find_own(row, own)}
    chosen = sorted(named, key=lambda name: (-named[name].n_images, name))[:MAX_LOGGED]
    keys = metric_key_labels(chosen)
    return {f"{KEY_GROUP}/{key}": named[name] for key, name in zip(keys, chosen, strict=True)}


def list_logged_numbers(report: SliceReport, evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    """The key and value of each slice's first headline number, where that is defined."""
    own = [column.name for column in evaluation.slice_columns]
    for key, row in key_slices(report, own).items():
        number = row.numbers.get(HEADLINES[evaluation.task][0])
        if number is not None and number.is_defined:
            yield key, number.value


def list_slice_columns(report: SliceReport) -> dict[str, list[Any]]:
    """A row for each slice, worst first, then for each pair: the columns of `slices.csv`.

    Texts are as they came, numbers floats, NaN where undefined.
    """
    found = [*report.singles, *report.pairs]
    parts = [split_name(row.name, report.columns) for row in report.singles]
    parts += [split_pair(row.name, report.columns) for row in report.pairs]
    columns: dict[str, list[Any]] = {
        "family": [_SINGLE] * len(report.singles) + [_PAIR] * len(report.pairs),
        "column": [column for column, _ in parts],
        "value": [value for _, value in parts],
        "slice": [row.name for row in found],
        "same_images": [[*row.names[1:]] for row in found],
        "images": [row.n_images for row in found],
    }
    for name in _list_numbers(found):
        numbers = [row.numbers.get(name, Number(value=np.nan)) for row in found]
        columns[name] = [number.value for number in numbers]
        columns[f"{name}_low"] = [number.low for number in numbers]
        columns[f"{name}_high"] = [number.high for number in numbers]
    columns["score_name"] = [report.score] * len(found)
    for name in ("score", "rest", "difference", "low", "high", "p", "p_adjusted"):
        columns[name] = [getattr(row, name) for row in found]
    columns["judgement"] = [row.judgement.value for row in found]
    columns["part_of"] = [row.part_of for row in found]
    columns["reason"] = [row.reason for row in found]
    return columns


def write_slices(report: SliceReport) -> bytes:
    """All slices as CSV; what is undefined is an empty cell."""
    columns = list_slice_columns(report)
    numeric = [name for name, cells in columns.items() if _holds_numbers(cells)]
    cells = [[_write_cell(cell) for cell in column] for column in columns.values()]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return render_csv(Table([*columns], rows, numeric=frozenset(numeric)))


def say_weak(report: SliceReport, show: Callable[[str], str] = str) -> list[str]:
    """The worst slices that are significantly weaker than the rest, at most 3, or that none is.

    Args:
        report: The slices.
        show: Makes the name of a slice fit for where it is shown.
    """
    weak = list_weak(report)
    if not weak:
        return [say_none_weak(report)]
    said = [_say_slice(row, report, show) for row in weak[:MAX_SAID]]
    rest = len(weak) - len(said)
    return said + [f"and {rest:,} more weak {_count(rest, 'slice')}"] * bool(rest)


def name_score(name: str) -> str:
    """What slices are compared by, as people write it."""
    return _SCORES.get(name) or name_metric(name)


def list_weak(report: SliceReport) -> list[SliceRow]:
    """The weak slices that are shown by themselves, worst first."""
    return [row for row in report.weak if not row.part_of]


def say_none_weak(report: SliceReport) -> str:
    """That nothing was found, and among how many."""
    if not report.n_tried:
        return _say_untried(report)
    if report.n_tried == 1:
        return "the one slice that was tried is not significantly weaker than the rest"
    return f"no slice of {report.n_tried:,} tried is significantly weaker than the rest"


def slice_blocks(report: SliceReport, width: int) -> Iterator[Block]:
    """What a terminal of so many columns shows: what is weak, the table, what was tried."""
    n_weak = min(MAX_SAID, len(list_weak(report)))
    for i, said in enumerate(say_weak(report, cut_name)):
        yield Line(f": {said}", strong="weak") if i < n_weak else Line(said)
    yield Line()
    yield from _list_singles(report, width)
    yield from _list_pairs(report, width)
    for said in (_say_tried(report), *report.notes):
        yield Line(said)


def _list_singles(report: SliceReport, width: int) -> Iterator[Block]:
    leading = [row for row in report.singles if not row.part_of]
    shown = leading[:_MAX_ROWS]
    if not shown:
        return
    yield _tabulate("slice", shown, report, width)
    yield from _list_parts(shown, report.singles)
    untested = [row for row in shown if row.reason]
    yield from (Line(f"{cut_name(row.name)}: {row.reason}") for row in untested[:MAX_SAID])
    if n_untested := len(untested[MAX_SAID:]):
        yield Line(f"and {n_untested:,} more without a test: `--json` has the reasons")
    if rest := len(leading) - len(shown):
        yield Line(f"and {rest:,} more {_count(rest, 'slice')}: `--json` has them")
    yield Line()


def _list_pairs(report: SliceReport, width: int) -> Iterator[Block]:
    """Pairs that are worse or better for sure; one line where there is none."""
    if not report.n_pairs_tried:
        return
    sure = [
        row
        for row in report.pairs
        if row.judgement is not SliceJudgement.UNDECIDED and not row.part_of
    ]
    family = f"{report.n_pairs_tried:,} {_count(report.n_pairs_tried, 'pair')} of slices tried"
    if not sure:
        yield Line(f"{family}: none is significantly weaker or better than the rest")
        return
    shown = sure[:_MAX_PAIRS]
    yield _tabulate("two slices at once", shown, report, width)
    yield from _list_parts(shown, report.pairs)
    more = f"; {len(sure) - len(shown):,} more of these: `--json` has them" * (
        len(sure) > len(shown)
    )
    yield Line(f"{family}, a family of its own{more}")
    yield Line()


def _tabulate(title: str, rows: Sequence[SliceRow], report: SliceReport, width: int) -> Table:
    """Columns as far as the width has room for: a number never breaks."""
    headline = next(iter(_list_numbers(rows)), "")
    score = name_score(report.score)
    columns: dict[str, list[str]] = {
        title: [_say_names(row) for row in rows],
        "images": [f"{row.n_images:,}" for row in rows],
    }
    if headline:
        columns[name_metric(headline)] = [
            _show_number(row.numbers.get(headline), is_wide=width >= WIDE) for row in rows
        ]
    if headline != report.score:
        columns[score] = [fmt(row.score) for row in rows]
    columns["to the rest"] = [_show_difference(row, width) for row in rows]
    columns["p (Holm)"] = [format_p(row.p_adjusted) for row in rows]
    columns[""] = [_WORDS[row.judgement] for row in rows]
    return Table(
        [*columns],
        [*zip(*columns.values(), strict=True)],
        numeric=frozenset(columns) - {title, ""},
        toned=frozenset({""}),
        whole=frozenset({""}),
    )


def _show_number(number: Number | None, *, is_wide: bool) -> str:
    if number is None:
        return fmt(None)
    return fmt_with(number.value, number.low, number.high) if is_wide else fmt(number.value)


def _show_difference(row: SliceRow, width: int) -> str:
    """In points of a hundred the interval would be shorter; but every other number is a share."""
    difference = fmt(row.difference, signed=True)
    around = span(row.low, row.high, 2, signed=True, undefined="")
    return f"{difference} ({around})" if around and width >= _NARROW else difference


def _say_names(row: SliceRow) -> str:
    """The name that speaks, and those of slices with the very same images."""
    others = list_some(map(cut_name, row.names[1:]), MAX_SAID) if row.names[1:] else ""
    return cut_name(row.name) + (f" (also {others})" if others else "")


def _list_parts(shown: Sequence[SliceRow], rows: Sequence[SliceRow]) -> Iterator[Line]:
    """What is not shown by itself, for there being a slice that tells the same."""
    for lead in shown:
        parts = [
            f"{cut_name(row.name)} ({row.n_images:,})" for row in rows if row.part_of == lead.name
        ]
        if parts:
            yield Line(f"shown as one with {cut_name(lead.name)}: {list_some(parts, MAX_SAID)}")


def _say_slice(row: SliceRow, report: SliceReport, show: Callable[[str], str]) -> str:
    points = f"{abs(round(100 * row.difference, 1)):g}"
    score = f"{name_score(report.score)} {fmt(row.score)}"
    return (
        f"{show(row.name)} ({score} of {row.n_images:,} images, "
        f"{points} {'point' if points == '1' else 'points'} below the rest, "
        f"p {format_p(row.p_adjusted)} after Holm over {report.n_tried:,} slices)"
    )


def _say_tried(report: SliceReport) -> str:
    columns = len(report.columns)
    said = (
        f"{report.n_tried:,} {_count(report.n_tried, 'slice')} of {columns:,} "
        f"{_count(columns, 'column')} tried"
    )
    if report.n_small:
        values = _count(report.n_small, "value")
        said += f"; {report.n_small:,} {values} with fewer than {MIN_SLICE_IMAGES} images left out"
    return said


def _say_untried(report: SliceReport) -> str:
    """Why no slice was held against the rest."""
    reason = next((row.reason for row in report.singles if row.reason), "")
    if reason:
        return f"no slice was tried: {reason.removeprefix('no test: ')}"
    return (
        f"no slice was tried: no value of a column has {MIN_SLICE_IMAGES} images and leaves a rest"
    )


def _count(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"


def _list_numbers(rows: Sequence[SliceRow]) -> list[str]:
    """The names of the headline numbers that any of the slices has, in their order."""
    return list(dict.fromkeys(name for row in rows for name in row.numbers))


def find_column(name: str, columns: Sequence[str]) -> str | None:
    """The column of a slice of that name; of several that could be it the longest."""
    end = name.rfind("=")
    while end >= 0:
        if name[:end] in columns:
            return name[:end]
        end = name.rfind("=", 0, end)
    return None


def _find_own(row: SliceRow, own: Sequence[str]) -> str:
    """The first name of a slice that is of one of these columns, '' where none is."""
    return next((name for name in row.names if find_column(name, own) is not None), "")


def _build_row(row: SliceRow, parts: tuple[str, str]) -> dict[str, Json]:
    column, value = parts
    return {
        **build_fields(row, "name"),
        "names": [*row.names],
        "column": column,
        "value": value,
        "images": row.n_images,
        "numbers": {name: _build_number(number) for name, number in row.numbers.items()},
        **build_fields(row, "score", "rest", "difference", "low", "high", "p", "p_adjusted"),
        **build_fields(row, "judgement", "part_of", "reason"),
    }


def _build_number(number: Number) -> dict[str, Json]:
    ends = {name: number_or_null(getattr(number, name)) for name in ("value", "low", "high")}
    return {**ends, "reason": number.reason or None}


def _holds_numbers(cells: Sequence[Any]) -> bool:
    return bool(cells) and isinstance(cells[0], int | float)


def _write_cell(cell: Any) -> str:
    if isinstance(cell, list):
        return _ALSO.join(cell)
    if isinstance(cell, float):
        return "" if isnan(cell) else repr(float(cell))
    return str(cell)

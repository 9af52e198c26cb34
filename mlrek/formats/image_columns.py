"""What files say of each image besides truth and predictions -> columns by which slices are made.

Names and values are whatever people wrote. A column is one of numbers where all of its values are
numbers as JSON writes them: `007`, `true` and dates are texts. An empty cell is no value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from math import isfinite
from typing import Final

import numpy as np

from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Evaluation, FloatArray, IntArray, SliceColumn
from mlrek.formats.json_text import join_some, quoted
from mlrek.kinds import MAX_COLUMNS, MAX_VALUES, MAX_WHOLE
from mlrek.text import escape_unencodable, hide_secrets, strip_signature

MAX_TEXT: Final = 200
"""Characters of a value, or of the name of a column; a longer one is cut."""

NO_TEXTS: Final = frozenset(("", "nan", "NaN", "NAN", "null", "NULL"))
"""Cells that hold no value."""
NO_NUMBERS: Final = NO_TEXTS | frozenset(("NA", "N/A", "None"))
"""The same among numbers; elsewhere `NA` may be a place."""

NUMBER: Final = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
MAX_WHOLE_NUMBER: Final = float(2**53)
"""A larger one has more digits than a double holds: it is a name."""

_NUMBER: Final = re.compile(NUMBER)
_CUT_TEXT: Final = 190
_DIGEST: Final = 8
_NEARLY_EACH: Final = 0.9
_COUNTING: Final = re.compile(
    r"(?:.*[\W_])?(?:id|ids|uuid|guid|key|index|idx|row|no|nr|num|number|line)", re.IGNORECASE
)
_MOST_NAMED: Final = 10


def tidy_text(text: str) -> str:
    """A name or value as it is kept: without secrets, at most 200 characters, still distinct."""
    text = escape_unencodable(hide_secrets(strip_signature(text)))
    if len(text) <= MAX_TEXT:
        return text
    digest = sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{text[:_CUT_TEXT]}…{digest}"


def make_column(name: str, texts: Sequence[str], codes: IntArray) -> SliceColumn | None:
    """A column of the texts at `codes` (n_images,), -1 for none; None where no image has a value.

    Texts are distinct, and numbers where all of them are.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    used = [text for text, n in zip(texts, counts.tolist(), strict=True) if n]
    kept = [text for text in used if text.strip() not in NO_NUMBERS]
    if kept and all(map(is_number, kept)):
        known = {text: float(text) for text in kept}
        numbers = np.array([*(known.get(text, np.nan) for text in texts), np.nan])
        return make_numbers(name, numbers[codes])
    names = {text: tidy_text(text) for text in used if text.strip() not in NO_TEXTS}
    values = sort_values(set(names.values()))
    if not values:
        return None
    places = {value: i for i, value in enumerate(values)}
    of_texts = [places[names[text]] if text in names else -1 for text in texts]
    return SliceColumn(
        name=tidy_text(name),
        values=tuple(values),
        codes=np.array([*of_texts, -1], dtype=np.int32)[codes],
    )


def make_numbers(name: str, numbers: FloatArray) -> SliceColumn | None:
    """A column of numbers (n_images,), NaN for none; None where no image has one.

    What is not finite is no value.
    """
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    if np.isnan(numbers).all():
        return None
    return SliceColumn(name=tidy_text(name), numbers=numbers)


def gather_column(name: str, cells: Sequence[object]) -> SliceColumn | None:
    """A column of scalars of JSON, one an image, None for none."""
    texts = [None if cell is None else write_scalar(cell) for cell in cells]
    known: dict[str, int] = {}
    codes = [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
    return make_column(name, [*known], np.array(codes, dtype=np.int64))


def parse_patterns(texts: Iterable[str]) -> dict[str, str]:
    """Regular expressions by the name of the column that each finds the values of.

    Raises:
        UsageError: A text is no NAME=REGEX, or a name stands twice.

    >>> parse_patterns(["site=/(site-[0-9]+)/"])
    {'site': '/(site-[0-9]+)/'}
    """
    patterns: dict[str, str] = {}
    for text in texts:
        name, _, pattern = text.partition("=")
        name = name.strip()
        if not name or not pattern:
            raise UsageError(
                f"--slice-by {quoted(text)} is no NAME=REGEX, as 'site=/(site-[0-9]+)/'"
            )
        if len(name) > MAX_TEXT or not name.isprintable():
            raise UsageError(
                f"--slice-by: {quoted(name)} cannot be the name of a column: at most {MAX_TEXT} "
                "characters, no control character"
            )
        if name in patterns:
            raise UsageError(f"--slice-by names the column {quoted(name)} twice")
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as exc:
            raise UsageError(
                f"--slice-by {name}: {pattern!r} is no regular expression: {exc}"
            ) from exc
        patterns[name] = pattern
    if len(patterns) > MAX_COLUMNS:
        raise UsageError(f"--slice-by: {len(patterns)} columns, and at most {MAX_COLUMNS} are kept")
    return patterns


def cut_by_uri(images: Sequence[str], patterns: Mapping[str, str]) -> tuple[SliceColumn, ...]:
    """Columns of what a regular expression finds in the URI of each image.

    Its first group that is there, or without one the whole match; another image has no value.

    Raises:
        EvaluationError: These are more columns or values than an evaluation keeps.
    """
    columns = tuple(
        _find_values(name, re.compile(pattern), images) for name, pattern in patterns.items()
    )
    check_asked(columns)
    return columns


def with_columns(evaluation: Evaluation, columns: Sequence[SliceColumn]) -> Evaluation:
    """The evaluation with further columns, which take the place of those of their names."""
    names = {column.name for column in columns}
    kept = (column for column in evaluation.slice_columns if column.name not in names)
    return replace(evaluation, slice_columns=(*kept, *columns))


def _find_values(name: str, pattern: re.Pattern[str], images: Sequence[str]) -> SliceColumn:
    """The texts that a pattern finds; digits in a URI are a name."""
    matches = map(pattern.search, images)
    found = [m and next(filter(None, m.groups()), m[0]) for m in matches]
    texts = {text: tidy_text(text) for text in found if text}
    values = sort_values(set(texts.values()))
    places = {value: i for i, value in enumerate(values)}
    codes = [places[texts[text]] if text else -1 for text in found]
    codes_of = np.array(codes, dtype=np.int32)
    return SliceColumn(name=tidy_text(name), values=tuple(values), codes=codes_of)


def write_scalar(cell: object) -> str:
    """A scalar of JSON as text."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell if isinstance(cell, str) else repr(cell)


def is_number(text: str) -> bool:
    """Whether a text is a number, not a name made of digits.

    >>> [is_number(text) for text in ("7", "-.5e3", "007", "1e999", "12345678901234567890")]
    [True, True, False, False, False]
    """
    if not _NUMBER.fullmatch(text):
        return False
    number = float(text)
    return isfinite(number) and not (number.is_integer() and abs(number) > MAX_WHOLE_NUMBER)


def sort_values(values: Iterable[str]) -> list[str]:
    """Values in alphabetical order."""
    return sorted(values)


# ---- several sources ------------------------------------------------------------------------


def merge_columns(
    first: Sequence[SliceColumn],
    second: Sequence[SliceColumn],
    images: Sequence[str],
    whose: tuple[str, str] = ("truth", "predictions"),
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """The columns of two sides by image, and what is to be said of those that contradict.

    A column that both have is one: where one side has no value the other's counts. Where both have
    different ones, the first side's column counts alone.
    """
    merged = {column.name: column for column in first}
    said = []
    for column in second:
        known = merged.get(column.name)
        if known is None:
            merged[column.name] = column
            continue
        joined, differs = _join_columns(known, column)
        merged[column.name] = joined
        if differs.any():
            image = images[int(np.argmax(differs))]
            n = np.count_nonzero(differs)
            said.append(
                f"column {quoted(column.name)} is different in {whose[0]} and {whose[1]} for {n:,} "
                f"images: that of the {whose[0]} counts; first: {quoted(image)}"
            )
    return tuple(merged.values()), tuple(said)


def _join_columns(first: SliceColumn, second: SliceColumn) -> tuple[SliceColumn, np.ndarray]:
    """One column of two, and for which images they contradict each other; then it is the first."""
    if first.numbers is not None and second.numbers is not None:
        has_one, has_other = ~np.isnan(first.numbers), ~np.isnan(second.numbers)
        differs = has_one & has_other & (first.numbers != second.numbers)
        numbers = np.where(has_one, first.numbers, second.numbers)
        return (first if differs.any() else replace(first, numbers=numbers)), differs
    one, other = (as_texts(column) for column in (first, second))
    assert one.codes is not None and other.codes is not None  # noqa: S101, PT018 - mypy
    values = sort_values({*one.values, *other.values})
    places = {value: i for i, value in enumerate(values)}
    codes, added = (
        np.array([*(places[value] for value in column.values), -1], dtype=np.int32)[column.codes]
        for column in (one, other)
    )
    differs = (codes >= 0) & (added >= 0) & (codes != added)
    if differs.any():
        return first, differs
    codes = np.where(codes >= 0, codes, added)
    return SliceColumn(name=first.name, values=tuple(values), codes=codes), differs


def as_texts(column: SliceColumn) -> SliceColumn:
    """A column of numbers as one of their shortest texts; one of texts as it is."""
    if column.numbers is None:
        return column
    known = np.unique(column.numbers[~np.isnan(column.numbers)])
    texts = [np.format_float_positional(number, trim="-") for number in known.tolist()]
    codes = np.where(np.isnan(column.numbers), -1, np.searchsorted(known, column.numbers))
    return SliceColumn(name=column.name, values=tuple(texts), codes=codes.astype(np.int32))


def take_places(column: SliceColumn, places: IntArray) -> SliceColumn:
    """The column of the images at `places` (n,); -1: none, which has no value."""
    if column.numbers is not None:
        return replace(column, numbers=np.append(column.numbers, np.nan)[places])
    assert column.codes is not None  # noqa: S101 - for the type checker
    return replace(column, codes=np.append(column.codes, np.int32(-1))[places])


# ---- limits ---------------------------------------------------------------------------------


def limit_columns(
    found: Sequence[SliceColumn], asked: Sequence[SliceColumn] = ()
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """The columns that an evaluation keeps, and what is to be said of those that it does not.

    Args:
        found: What happened to be in files.
        asked: What was asked for, which comes first and takes the place of one of its name.

    Raises:
        EvaluationError: What was asked for is more than an evaluation keeps.
    """
    check_asked(asked)
    names = {column.name for column in asked}
    found = [column for column in found if column.name not in names]
    naming = [column for column in found if names_images(column)]
    left = [column for column in found if column not in naming]
    room = MAX_COLUMNS - len(asked), MAX_VALUES - sum(len(one.values) for one in asked)
    kept, many = _keep_fewest(left, *room)
    return (*asked, *kept), (*_warn_naming(naming), *_warn_many(many))


def check_asked(asked: Sequence[SliceColumn], where: str = "") -> None:
    """See that columns that were asked for are not too many.

    Raises:
        EvaluationError: They are.
    """
    place = f"{where}: " if where else ""
    if len(asked) > MAX_COLUMNS:
        raise EvaluationError(
            f"{place}{len(asked):,} columns for slices were asked for, and at most {MAX_COLUMNS} "
            "are kept: leave some out"
        )
    n_values = sum(len(column.values) for column in asked)
    if n_values > MAX_VALUES:
        counts = sorted(asked, key=lambda column: -len(column.values))
        raise EvaluationError(
            f"{place}the columns for slices that were asked for have {n_values:,} values, and at "
            f"most {MAX_VALUES:,} of all columns together are kept: leave some out, or group their "
            f"values; most are in {_name_counted(counts, 3)}"
        )


def names_images(column: SliceColumn) -> bool:
    """Whether a column gives nearly each image a value of its own, or only counts images."""
    if column.numbers is None:
        assert column.codes is not None  # noqa: S101 - for the type checker
        n_told = int(np.count_nonzero(column.codes >= 0))
        return is_identifier(len(column.values), n_told)
    known = column.numbers[~np.isnan(column.numbers)]
    if len(known) <= MAX_WHOLE or np.any(known != np.floor(known)):
        return False
    distinct = np.unique(known)
    is_counted = len(distinct) == len(known) == distinct[-1] - distinct[0] + 1
    is_named = bool(_COUNTING.fullmatch(column.name)) and is_identifier(len(distinct), len(known))
    return bool(is_counted) or is_named


def is_identifier(n_values: int, n_images: int) -> bool:
    """Whether nearly each of so many images has a value of its own."""
    return n_values > MAX_WHOLE and n_values > _NEARLY_EACH * n_images


def _keep_fewest(
    columns: Sequence[SliceColumn], max_columns: int, max_values: int
) -> tuple[list[SliceColumn], list[SliceColumn]]:
    """Columns with the fewest values, as many as there is room for, in their order; the others."""
    order = sorted(range(len(columns)), key=lambda i: (_count_values(columns[i]), i))
    kept: set[int] = set()
    for i in order:
        n_values = len(columns[i].values)
        if len(kept) < max_columns and n_values <= max_values:
            kept.add(i)
            max_values -= n_values
    others = [columns[i] for i in reversed(order) if i not in kept]
    return [columns[i] for i in sorted(kept)], others


def _count_values(column: SliceColumn) -> int:
    return len(column.values) if column.numbers is None else MAX_WHOLE


def _warn_naming(columns: Sequence[SliceColumn]) -> Iterator[str]:
    if columns:
        yield warn_identifiers([quoted(column.name) for column in columns])


def warn_identifiers(named: Sequence[str]) -> str:
    """That columns name or count images."""
    return (
        "columns that have a value of its own for nearly every image, as an identifier or a number "
        f"of the row, make no slices: {join_some(named, ', ', _MOST_NAMED)}"
    )


def _warn_many(columns: Sequence[SliceColumn]) -> Iterator[str]:
    if columns:
        yield warn_many(_name_counted(columns))


def warn_many(named: str) -> str:
    """That columns were left out, as an evaluation keeps only so many."""
    return (
        f"at most {MAX_COLUMNS} columns for slices and {MAX_VALUES:,} values of all columns "
        f"together are kept; left out, those with the most values first: {named}"
    )


def _name_counted(columns: Sequence[SliceColumn], most: int = _MOST_NAMED) -> str:
    said = [
        quoted(column.name) + (f" ({len(column.values):,} values)" if column.values else "")
        for column in columns
    ]
    return join_some(said, ", ", most)


def gather_told(
    told: Sequence[Mapping[str, object]],
) -> tuple[SliceColumn, ...]:
    """The columns of what is said of each image, (n_images,): scalars of JSON by name."""
    names = list(dict.fromkeys(name for one in told for name in one))
    columns = (gather_column(name, [one.get(name) for one in told]) for name in names)
    return tuple({column.name: column for column in columns if column is not None}.values())

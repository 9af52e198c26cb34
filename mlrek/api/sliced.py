"""The slices of a version as a table, by columns that it has or that a caller gives."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mlrek.api.given_labels import is_missing, to_column
from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Evaluation, SliceColumn
from mlrek.formats.image_columns import check_asked, cut_by_uri, gather_column, with_columns
from mlrek.formats.json_text import quoted
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.slice_numbers import compute_slices
from mlrek.metrics.slices import check_columns
from mlrek.render.slices import list_slice_columns

if TYPE_CHECKING:
    from pandas import DataFrame, Series

GivenValues: TypeAlias = "Mapping[str, Any] | DataFrame"
"""For each column its values: one for each image in order, or by the image's name."""
SliceBy: TypeAlias = "str | Sequence[str] | GivenValues | None"


def list_slices_by(
    evaluation: Evaluation, metrics: Metrics, rule: PredictionRule, by: SliceBy
) -> "DataFrame":
    """A row for each slice, worst first.

    Raises:
        UsageError: There is no such column.
        EvaluationError: There are no images, or what is given is no column of values for them.
    """
    given = _find_columns(by)
    names = [by] if isinstance(by, str) else list(given if given is not None else by or ())
    if given is not None:
        evaluation = _add_columns(evaluation, given)
    check_columns(names, evaluation)
    chosen = None if by is None else names
    report = compute_slices(evaluation, rule, by=chosen, metrics=metrics)
    return _tabulate(list_slice_columns(report))


def read_given_columns(given: object, images: Sequence[str]) -> tuple[SliceColumn, ...]:
    """A column of each name; one without a single value is none.

    Raises:
        EvaluationError: It has another number of values than there are images, or names none of
            them; or columns and values are too many.
    """
    named = _find_columns(given)
    if named is None:
        raise EvaluationError(
            f"slices: is {quoted(given)}, not a frame or a dict of columns: "
            '{"site": [one for each image]}'
        )
    cells = {name: _list_cells(name, values, images) for name, values in named.items()}
    found = (gather_column(name, list(values)) for name, values in cells.items())
    columns = tuple(column for column in found if column is not None)
    check_asked(columns)
    return columns


def _find_columns(given: Any) -> dict[str, Any] | None:
    """What is given by the names of columns, None where it is no frame or dict."""
    if isinstance(given, Mapping) or hasattr(given, "columns"):
        return {str(name): given[name] for name in given}
    return None


def _add_columns(evaluation: Evaluation, given: Mapping[str, Any]) -> Evaluation:
    """The evaluation with these columns; a text is a regular expression on image URIs."""
    patterns = {name: text for name, text in given.items() if isinstance(text, str)}
    for name, pattern in patterns.items():
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as exc:
            raise UsageError(f"by: {name!r} has no regular expression: {exc}") from exc
    values = {name: one for name, one in given.items() if name not in patterns}
    columns = read_given_columns(values, evaluation.images)
    return with_columns(evaluation, (*columns, *cut_by_uri(evaluation.images, patterns)))


def _list_cells(name: str, given: Any, images: Sequence[str]) -> Iterator[object]:
    """The value of each image, None for none."""
    cells: Sequence[object]
    by_image = _find_names(given)
    if by_image is None:
        cells = to_column(f"slices, {name!r}", given).tolist()
        if len(cells) != len(images):
            raise EvaluationError(
                f"slices: column {name!r} has {len(cells):,} values, and there are {len(images):,} "
                "images: give one for each, or a dict or Series by the images' names"
            )
    else:
        if images and by_image.keys().isdisjoint(images):
            raise EvaluationError(
                f"slices: column {name!r} names none of the images; they are called as "
                f"{quoted(images[0])}, and it has {quoted(next(iter(by_image), ''))}"
            )
        cells = [by_image.get(image) for image in images]
    return map(_simplify, cells)


def _find_names(given: Any) -> dict[str, object] | None:
    """The values by the image's name, None where they stand in the order of the images.

    Only an index of texts names images: that of a shuffled frame holds numbers.
    """
    if isinstance(given, Mapping):
        return {str(image): value for image, value in given.items()}
    index: Any = getattr(given, "index", None)
    if not hasattr(index, "tolist") or not hasattr(given, "to_numpy"):
        return None
    names = index.tolist()
    if not names or not all(isinstance(one, str) for one in names):
        return None
    return dict(zip(names, given.to_numpy().tolist(), strict=True))


def _simplify(cell: Any) -> bool | float | str | None:
    """A scalar of JSON; what is missing is None."""
    if is_missing(cell):
        return None
    if isinstance(cell, np.generic):
        cell = cell.item()
    return cell if isinstance(cell, bool | int | float | str) else str(cell)


def _tabulate(columns: dict[str, list[Any]]) -> "DataFrame":
    from pandas import DataFrame, Series

    texts = {"family", "column", "value", "slice", "same_images", "score_name"}
    texts |= {"judgement", "part_of", "reason"}

    def read(name: str) -> "Series[Any]":
        kind = "object" if name in texts else "int64" if name == "images" else "float64"
        return Series(columns[name], dtype=kind)

    return DataFrame({name: read(name) for name in columns})

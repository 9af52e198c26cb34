"""A table of images that somebody asks for, `--slices FILE`, joined with an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mlrek.errors import EvaluationError
from mlrek.evaluation import Evaluation, IntArray, SliceColumn
from mlrek.formats.image_columns import (
    check_asked,
    cut_by_uri,
    limit_columns,
    names_images,
    take_places,
    warn_identifiers,
)
from mlrek.formats.json_text import quoted, say_first
from mlrek.formats.predictions import Match
from mlrek.formats.predictions.images import find_named, say_spelling
from mlrek.formats.tables.rows import ImageTable
from mlrek.text import strip_signature


def add_columns(
    evaluation: Evaluation, patterns: Mapping[str, str], table: ImageTable | None, match: Match
) -> Evaluation:
    """The evaluation with the columns that were asked for, by patterns and by a table of images.

    A pattern that finds nothing is warned of.

    Raises:
        EvaluationError: No image of the table is one of the evaluation, an image is several of the
            table's, or the columns are more than are kept.
    """
    if not evaluation.has_images:
        return evaluation
    asked, said = {}, list[str]()
    if table is not None:
        joined, said = _join_table(evaluation.images, table, match)
        asked = {column.name: column for column in joined}
    for column in cut_by_uri(evaluation.images, patterns):
        asked[column.name] = column
        if not column.values:
            said.append(
                f"--slice-by: the pattern of {quoted(column.name)} is found in no image's URI, as "
                f"in {quoted(evaluation.images[0])}: no image has a value"
            )
    kept, left_out = limit_columns(evaluation.slice_columns, [*asked.values()])
    warnings = (*evaluation.warnings, *said, *left_out)
    return replace(evaluation, slice_columns=kept, warnings=warnings)


def _join_table(
    images: Sequence[str], table: ImageTable, match: Match
) -> tuple[list[SliceColumn], list[str]]:
    """The columns of a table for these images, and what is to be said of the join.

    Raises:
        EvaluationError: No image is one of the table's, or they cannot be told apart.
    """
    places, n_strange, stranger, said = _place_images(images, table, match)
    if not np.any(places >= 0):
        raise EvaluationError(
            f"{table.uri}: not one of its {len(table.images):,} images is of the test set: table "
            f"and test set write {say_spelling(table.images, images)}"
        )
    distinct = len(dict.fromkeys(images))
    missing = dict.fromkeys(images[i] for i in np.flatnonzero(places < 0).tolist())
    if missing:
        what = f"images have no row in {quoted(table.uri)}, and no value of its columns"
        said.append(say_first(len(missing), distinct, what, next(iter(missing))))
    if n_strange:
        what = f"images of {quoted(table.uri)} are none of the test set's"
        said.append(say_first(n_strange, len(table.images), what, stranger))
    naming = [quoted(column.name) for column in table.columns if names_images(column)]
    if naming:
        said.append(warn_identifiers(naming))
    columns = [
        _drop_unused(take_places(column, places))
        for column in table.columns
        if not names_images(column)
    ]
    check_asked(columns, table.uri)
    return columns, [*table.warnings, *said]


def _place_images(
    images: Sequence[str], table: ImageTable, match: Match
) -> tuple[IntArray, int, str, list[str]]:
    """The row of each image, -1 for none; how many rows have no image, the first, and remarks.

    Raises:
        EvaluationError: An image is several of the table's.
    """
    names = [strip_signature(image) for image in images]
    asked = [strip_signature(image) for image in table.images]
    known = set(names)
    said: list[str] = []
    found: Sequence[str | None] = [name if name in known else None for name in asked]
    if match is Match.NAME and not all(found):
        found, said = find_named([*dict.fromkeys(names)], asked, table.uri)
    place = {image: i for i, image in enumerate(found) if image}
    strange = [name for name, image in zip(asked, found, strict=True) if not image]
    places = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    return places, len(strange), strange[0] if strange else "", said


def _drop_unused(column: SliceColumn) -> SliceColumn:
    """The column with the values that some image has."""
    if column.codes is None:
        return column
    used = np.unique(column.codes[column.codes >= 0])
    places = np.full(len(column.values) + 1, -1, dtype=np.int32)
    places[used] = np.arange(len(used))
    values = tuple(column.values[i] for i in used.tolist())
    return SliceColumn(name=column.name, values=values, codes=places[column.codes])

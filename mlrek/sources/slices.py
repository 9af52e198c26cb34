"""The columns that were asked for besides those of the files: `--slices FILE`, `--slice-by`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mlrek.evaluation import Evaluation
from mlrek.formats.predictions import Match
from mlrek.formats.slicing import add_columns
from mlrek.formats.tables.rows import read_image_table
from mlrek.metrics.slices import Slicing
from mlrek.sources.any_storage import open_storage
from mlrek.sources.aws import AwsClients
from mlrek.sources.custom import open_place
from mlrek.sources.entries import PartReader, ReadOptions

SLICES: Final = "slices"
"""The role of a table of images among the files of an evaluation."""


def add_asked_columns(evaluation: Evaluation, slicing: Slicing, clients: AwsClients) -> Evaluation:
    """The evaluation with the columns that were asked for, and the file that they are from.

    Raises:
        SourceError: The table cannot be read.
        EvaluationError: It is of other images, or there are more columns than are kept.
        UsageError: A pattern is no regular expression.
    """
    patterns = dict(slicing.by)
    if not slicing.table or not evaluation.has_images:
        return add_columns(evaluation, patterns, None, Match(slicing.match))
    storage = open_storage(slicing.table, clients)
    with PartReader(storage, ReadOptions()) as reader:
        place = open_place(reader, SLICES, slicing.table)
        table = read_image_table(place.files)
        file = place.describe()
    added = add_columns(evaluation, patterns, table, Match(slicing.match))
    return replace(added, files=(*added.files, file))


def read_slices_state(slicing: Slicing, clients: AwsClients) -> Mapping[str, str]:
    """What tells the content of the table from another, without a download; {} without a table.

    Raises:
        SourceError: It is not there, or cannot be asked about.
    """
    if not slicing.table:
        return {}
    storage = open_storage(slicing.table, clients)
    return {SLICES: str(storage.read_state(slicing.table))}

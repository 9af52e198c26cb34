"""Labels as tables have them: their names, their numbers, and which are taken for which."""

import numpy as np

from mlrek.evaluation import Evaluation, FloatArray, IntArray
from mlrek.metrics import ConfusionMatrix, Metrics
from mlrek.metrics.numbers import list_label_columns
from mlrek.text import display_label


def display_names(names: tuple[str, ...], n_labels: int) -> list[str]:
    """Labels first, quoted where they are named like one of our own rows, which come after."""
    return [*map(display_label, names[:n_labels]), *names[n_labels:]]


def label_columns(evaluation: Evaluation, metrics: Metrics) -> dict[str, FloatArray | IntArray]:
    """The numbers of `per_label.csv` by column, each (n_labels,), NaN where undefined.

    The ends of an interval follow their number as `…_low` and `…_high`.
    """
    columns: dict[str, FloatArray | IntArray] = {}
    for name, column in list_label_columns(evaluation, metrics).items():
        ends = {f"{name}_low": column.low, f"{name}_high": column.high}
        columns[name] = column.values
        columns |= {end: values for end, values in ends.items() if values is not None}
    return columns


def rank_mistakes(confusion: ConfusionMatrix, n_labels: int) -> tuple[IntArray, IntArray]:
    """Row and column of each cell of mistakes that is not empty, in the order of the table."""
    mistakes = confusion.counts.copy()
    diagonal = np.arange(n_labels)
    mistakes[diagonal, diagonal] = 0
    row, column = np.nonzero(mistakes)
    count = mistakes[row, column]
    share = count / confusion.counts.sum(axis=1)[row]
    order = np.lexsort((column, row, -share, -count))
    return row[order], column[order]

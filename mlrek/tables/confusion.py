"""The confusion matrix as tables: all of it, and its largest mistakes."""

import numpy as np

from mlrek.evaluation import IntArray
from mlrek.label_keys import display_label
from mlrek.metrics import ConfusionMatrix
from mlrek.tables.csv_text import number_cells, text_cells, write_csv

CORNER = "true\\predicted"


def write_confusion_matrix(confusion: ConfusionMatrix, n_labels: int) -> bytes:
    """The whole matrix of counts, rows true, columns predicted; the first column names the rows."""
    header = [CORNER, *text_cells(display_names(confusion.columns, n_labels))]
    rows = text_cells(display_names(confusion.rows, n_labels))
    columns = [number_cells(column) for column in confusion.counts.T]
    return write_csv(header, [rows, *columns])


def write_most_confused(confusion: ConfusionMatrix, n_labels: int) -> bytes:
    """Every mistake that was made: true and predicted label, count, and share of the row.

    The row of a label are the images where it is true. Most frequent first, among equals the
    largest share, then in label order.
    """
    row, column = rank_mistakes(confusion, n_labels)
    count = confusion.counts[row, column]
    true = text_cells(display_names(confusion.rows, n_labels))
    predicted = text_cells(display_names(confusion.columns, n_labels))
    return write_csv(
        ("true", "predicted", "count", "share"),
        (
            [true[i] for i in row],
            [predicted[j] for j in column],
            number_cells(count),
            number_cells(count / confusion.counts.sum(axis=1)[row]),
        ),
    )


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


def display_names(names: tuple[str, ...], n_labels: int) -> list[str]:
    """Labels first, quoted where they are named like one of our own rows, which come after."""
    return [*map(display_label, names[:n_labels]), *names[n_labels:]]

"""The confusion matrix as tables: all of it, and its largest mistakes."""

import numpy as np
from numpy.typing import NDArray

from mlrek.label_keys import display_label
from mlrek.metrics import ConfusionMatrix
from mlrek.tables.csv_text import number_cells, text_cells, write_csv

CORNER = "true\\predicted"


def write_confusion_matrix(confusion: ConfusionMatrix, n_labels: int) -> bytes:
    """The whole matrix of counts, rows true, columns predicted; the first column names the rows."""
    header = [CORNER, *text_cells(_display(confusion.columns, n_labels))]
    rows = text_cells(_display(confusion.rows, n_labels))
    columns = [number_cells(column) for column in confusion.counts.T]
    return write_csv(header, [rows, *columns])


def write_most_confused(confusion: ConfusionMatrix, n_labels: int) -> bytes:
    """Every mistake that was made: true and predicted label, count, and share of the row.

    The row of a label are the images where it is true. Most frequent first, among equals the
    largest share, then in label order.
    """
    counts = _count_mistakes(confusion.counts, n_labels)
    row, column = np.nonzero(counts)
    count = counts[row, column]
    share = count / confusion.counts.sum(axis=1)[row]
    order = np.lexsort((column, row, -share, -count))
    true = text_cells(_display(confusion.rows, n_labels))
    predicted = text_cells(_display(confusion.columns, n_labels))
    return write_csv(
        ("true", "predicted", "count", "share"),
        (
            [true[i] for i in row[order]],
            [predicted[j] for j in column[order]],
            number_cells(count[order]),
            number_cells(share[order]),
        ),
    )


def _count_mistakes(counts: NDArray[np.int64], n_labels: int) -> NDArray[np.int64]:
    mistakes = counts.copy()
    diagonal = np.arange(n_labels)
    mistakes[diagonal, diagonal] = 0
    return mistakes


def _display(names: tuple[str, ...], n_labels: int) -> list[str]:
    """Labels first, quoted where they are named like one of our own rows, which come after."""
    return [*map(display_label, names[:n_labels]), *names[n_labels:]]

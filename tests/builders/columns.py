"""What columns by which slices are made hold, as plain values."""

import numpy as np


def list_cells(column):
    """The value of each image, None for none."""
    if column.numbers is not None:
        return [None if np.isnan(number) else number for number in column.numbers.tolist()]
    return [None if code < 0 else column.values[code] for code in column.codes.tolist()]


def list_columns(holder):
    """The values of each column by its name: of answers, of a truth, or of an evaluation."""
    columns = getattr(holder, "columns", None)
    if columns is None:
        columns = holder.slice_columns
    return {column.name: list_cells(column) for column in columns}

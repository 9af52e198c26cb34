"""What the script of a page draws confusion matrices of."""

from itertools import groupby
from string import ascii_lowercase, digits
from typing import Final

from mlrek.metrics.matrix_steps import MatrixSteps
from mlrek.render import Json

MAX_ENTRIES: Final = 120_000
"""Past so many entries the matrices are told at whole tens of percent; past as many there, not."""

_DIGITS: Final = digits + ascii_lowercase


def build_steps_json(steps: MatrixSteps | None) -> dict[str, Json] | None:
    """The matrices at rising thresholds, small enough for a page; null where there are none."""
    if steps is not None and len(steps.row) > MAX_ENTRIES:
        steps = steps.thin()
    if steps is None or not steps.percents or len(steps.row) > MAX_ENTRIES:
        return None
    return {
        "percents": [*steps.percents],
        "rule": steps.rule,
        "sums": steps.sums.tolist(),
        "rows": [*_encode_rows(steps)],
    }


def encode_number(number: int) -> str:
    """A whole number in base 36, the empty text for 0, as JavaScript's `parseInt(text, 36)` reads.

    >>> encode_number(1295), encode_number(-36), encode_number(0)
    ('zz', '-10', '')
    """
    text, left = "", abs(number)
    while left:
        left, digit = divmod(left, len(_DIGITS))
        text = _DIGITS[digit] + text
    return f"-{text}" if number < 0 else text


def _encode_rows(steps: MatrixSteps) -> list[str]:
    """Each row as cells between `;`: the column, then the steps, and `:` and the change but for 1.

    All in base 36; a step is its distance from the one before.
    """
    columns = (steps.row, steps.column, steps.step, steps.change)
    entries = zip(*(column.tolist() for column in columns), strict=True)
    rows = [""] * (len(steps.sums) + 1)
    for row, in_row in groupby(entries, lambda entry: entry[0]):
        cells = groupby(in_row, lambda entry: entry[1])
        rows[row] = ";".join(_encode_cell(column, [*found]) for column, found in cells)
    return rows


def _encode_cell(column: int, entries: list[tuple[int, ...]]) -> str:
    parts, before = [encode_number(column)], 0
    for _, _, step, change in entries:
        many = "" if change == 1 else f":{encode_number(change)}"
        parts.append(encode_number(step - before) + many)
        before = step
    return ",".join(parts)

r"""CSV as everybody reads it: UTF-8, `\n`, quotes where needed, and no cell that a program runs.

Tables are lists of columns of finished cells, so that a million of them take a second.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` (or a tab or line break before it)
for a formula. Labels and image URIs come from strangers, so such a cell gets an apostrophe in
front; one that begins with an apostrophe gets another, so a name is always what is left after
taking away one leading apostrophe.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# The full-width signs do the same in East Asian settings.
_STARTS_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "'")
_NEEDS_QUOTES: Final = re.compile('[",\r\n]')
_BLOCK_ROWS: Final = 20_000
_HAZARDS: Final = ('"', ",", "\r", "\n", *(f"\0{start}" for start in _STARTS_FORMULA))


def text_cells(texts: Iterable[str]) -> list[str]:
    """Cells of untrusted text: harmless to spreadsheets, quoted where CSV needs it."""
    cells = list(texts)
    joined = "\0".join(("", *cells))
    if not any(hazard in joined for hazard in _HAZARDS):  # most columns: far faster at once
        return cells
    return [_cell(text) for text in cells]


def number_cells(numbers: NDArray[Any]) -> list[str]:
    """Cells of numbers, each the shortest text that reads back as the same; NaN is empty."""
    cells = list(map(repr, np.asarray(numbers).tolist()))
    return ["" if cell == "nan" else cell for cell in cells]


def write_csv(header: Sequence[str], columns: Sequence[Sequence[str]]) -> bytes:
    """A CSV file of finished cells."""
    return _encode_row(header) + _encode_rows(columns)


def write_long_csv(
    header: Sequence[str], n_rows: int, cells: Callable[[slice], Sequence[Sequence[str]]]
) -> bytes:
    """A CSV file whose cells exist a block of rows at a time: `cells` gives a block's columns."""
    blocks = (slice(start, start + _BLOCK_ROWS) for start in range(0, n_rows, _BLOCK_ROWS))
    return b"".join((_encode_row(header), *(_encode_rows(cells(block)) for block in blocks)))


def _encode_row(cells: Sequence[str]) -> bytes:
    return (",".join(cells) + "\n").encode("utf-8", "backslashreplace")


def _encode_rows(columns: Sequence[Sequence[str]]) -> bytes:
    rows = map(",".join, zip(*columns, strict=True))
    return "\n".join((*rows, "")).encode("utf-8", "backslashreplace")


def _cell(text: str) -> str:
    if text.startswith(_STARTS_FORMULA):
        text = "'" + text
    if _NEEDS_QUOTES.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text

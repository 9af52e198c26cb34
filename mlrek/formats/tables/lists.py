"""Small files next to a table: thresholds of labels, and other names of labels."""

import csv
import json
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, Final

from mlrek.errors import ParseError
from mlrek.formats.json_text import quoted, say_spoilt
from mlrek.formats.lines import BYTE_ORDER_MARK, open_text
from mlrek.formats.tables.columns import Role, find_role, split_names

_FROM: Final = frozenset(
    ("from", "old", "source", "theirs", "predicted", "prediction", "label", "answer", "model")
)
_TO: Final = frozenset(("to", "new", "target", "ours", "truth", "true", "name", "mapped"))
_TWO: Final = 2


def read_thresholds(content: bytes, uri: str) -> dict[str, float]:
    """The threshold of each label as a fraction: CSV `label,threshold`, or JSON.

    JSON is an object of numbers by label, or a list of objects with both. Numbers above 1 are
    percent, and then all are. A label with an empty threshold is left out.

    Raises:
        ParseError: A threshold is no number from 0 to 1 (or 100), a label has two, some numbers
            are fractions and others percent, or the file is something else.
    """
    found: dict[str, float] = {}
    for where, label, cell in _list_thresholds(content, uri):
        number = _parse_threshold(uri, where, label, cell)
        if number is None:
            continue
        if found.setdefault(label, number) != number:
            raise ParseError(uri, 0, f"{where}: {quoted(label)} has a second threshold, {number:g}")
    if not found:
        raise ParseError(uri, 0, "holds no threshold; needed are columns `label` and `threshold`")
    return _scale(uri, found)


def _scale(uri: str, found: dict[str, float]) -> dict[str, float]:
    if max(found.values()) <= 1:
        return found
    for label, number in found.items():
        if 0 < number < 1:
            high = max(found, key=found.__getitem__)
            said = f"mixes fractions ({quoted(label)}: {number:g}) and percent ({quoted(high)}: "
            raise ParseError(uri, 0, f"{said}{found[high]:g}); write all thresholds alike")
    return {label: number / 100 for label, number in found.items()}


def _parse_threshold(uri: str, where: str, label: str, cell: Any) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        number = float(cell) if not isinstance(cell, bool) else -1.0
    except (TypeError, ValueError):
        number = -1.0
    if not (isfinite(number) and 0 <= number <= 100):  # noqa: PLR2004 - percent
        said = f"{where}: the threshold of {quoted(label)} is {quoted(cell)}"
        raise ParseError(uri, 0, f"{said}, no fraction from 0 to 1 (or percent)")
    return number


def _list_thresholds(content: bytes, uri: str) -> Iterator[tuple[str, str, Any]]:
    """Yield where each threshold is, its label and what is said of it."""
    text = _decode(content, uri)
    if text.startswith(("{", "[")):
        document = _parse_json(text, uri)
        if isinstance(document, dict):
            yield from ((quoted(label), label, cell) for label, cell in document.items())
            return
        rows = [row if isinstance(row, dict) else {} for row in document]
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines: list[list[Any]] = [[row.get(name) for name in names] for row in rows]
    else:
        names, *found = _split_lines(text)
        lines = [*found]
    roles = [find_role(name) for name in names]
    if not {Role.LABEL, Role.THRESHOLD} <= set(roles):
        shown = ", ".join(map(quoted, names[:4]))
        reason = f"is no table of thresholds: its columns are {shown}; needed are `label` and "
        raise ParseError(uri, 0, f"{reason}`threshold`")
    label, threshold = roles.index(Role.LABEL), roles.index(Role.THRESHOLD)
    for number, line in enumerate(lines, 1):
        if len(line) != len(names) or line[label] in {None, ""}:
            raise ParseError(uri, 0, f"row {number}: {quoted(line)} is no label and threshold")
        yield f"row {number}", str(line[label]), line[threshold]


def read_label_map(content: bytes, uri: str) -> dict[str, str]:
    """What labels of the predictions are called in the truth: a JSON object, or CSV of two columns.

    In CSV the first column is the label of the predictions, unless a header (`from,to`,
    `predicted,truth` and the like) says otherwise; a header is not needed.

    Raises:
        ParseError: A label is empty or has two names, or the file is something else.
    """
    found: dict[str, str] = {}
    for where, label, name in _list_names(content, uri):
        if not label or not isinstance(name, str) or not name or "\0" in name:
            raise ParseError(uri, 0, f"{where}: {quoted(label)} gets {quoted(name)}, which is none")
        if found.setdefault(label, name) != name:
            both = f"{quoted(found[label])} and {quoted(name)}"
            raise ParseError(uri, 0, f"{where}: {quoted(label)} gets two names, {both}")
    if not found:
        raise ParseError(uri, 0, "holds no names of labels")
    return found


def _list_names(content: bytes, uri: str) -> Iterator[tuple[str, str, Any]]:
    """Yield where each name is, the label that gets it, and the name."""
    text = _decode(content, uri)
    if text.startswith(("{", "[")):
        document = _parse_json(text, uri)
        if not isinstance(document, dict):
            raise ParseError(uri, 0, "is a list, where an object of names by label belongs")
        yield from ((quoted(label), label, name) for label, name in document.items())
        return
    lines = _split_lines(text)
    for number, line in enumerate(lines, 1):
        if len(line) != _TWO:
            raise ParseError(uri, 0, f"row {number}: {quoted(line)} are not two columns")
    first, second = (name.strip().casefold().removesuffix("_label") for name in lines[0])
    is_header = (first in _FROM and second in _TO) or (first in _TO and second in _FROM)
    is_turned = is_header and first not in _FROM
    for number, line in enumerate(lines[is_header:], 1):
        label, name = reversed(line) if is_turned else line
        yield f"row {number}", label, name


def _decode(content: bytes, uri: str) -> str:
    _, chunks = open_text([content], uri)
    data = b"".join(chunks).removeprefix(BYTE_ORDER_MARK)
    if said := say_spoilt(data):
        raise ParseError(uri, 0, said.replace(", not JSON", ""))
    try:
        text = data.decode().strip()
    except UnicodeDecodeError as exc:
        raise ParseError(uri, 0, "is no text in UTF-8; save it as UTF-8") from exc
    if not text:
        raise ParseError(uri, 0, "is empty but for blanks")
    return text


def _parse_json(text: str, uri: str) -> Any:
    def keep(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ParseError(uri, 0, f"names {quoted(twice)} twice; keep one of them")
        return found

    try:
        return json.loads(text, object_pairs_hook=keep)
    except (ValueError, RecursionError) as exc:
        raise ParseError(uri, 0, f"is not valid JSON: {exc}") from exc


def _split_lines(text: str) -> list[list[str]]:
    delimiter, _ = split_names(text.partition("\n")[0].encode())
    return [line for line in csv.reader(text.splitlines(), delimiter=delimiter) if line]

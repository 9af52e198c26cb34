"""Strict JSON that people can read: one line for each key, and for each row of a table."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeAlias

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"


def number_or_null(value: float) -> float | None:
    """A number as JSON has it: what is not finite is null."""
    return value if isfinite(value) else None


def describe_fields(record: object, *names: str) -> dict[str, Json]:
    """These fields as JSON; a number that is not finite and a text that is empty are null."""
    return {name: _describe_field(getattr(record, name)) for name in names}


def write_json(document: Mapping[str, Json]) -> bytes:
    """A JSON file in UTF-8; half a character, which UTF-8 cannot hold, is escaped.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    return f"{_write(dict(document), '')}\n".encode("utf-8", "backslashreplace")


def _describe_field(value: Any) -> Json:
    if isinstance(value, str):
        return str(value) or None
    if isinstance(value, float):
        return number_or_null(value)
    found: Json = list(value) if isinstance(value, tuple) else value
    return found


def _write(value: Json, indent: str) -> str:
    deeper = f"{indent}  "
    if isinstance(value, dict) and value:
        items = [f"{_line(key)}: {_write(item, deeper)}" for key, item in value.items()]
        brackets = "{}"
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items, brackets = [_line(item) for item in value], "[]"
    else:
        return _line(value)
    inner = f",\n{deeper}".join(items)
    return f"{brackets[0]}\n{deeper}{inner}\n{indent}{brackets[1]}"


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

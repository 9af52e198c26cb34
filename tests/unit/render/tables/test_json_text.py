"""Strict JSON that people can read."""

import json
from math import inf, nan

import pytest

from mlrek.render import number_or_null, write_json


def test_one_line_for_each_key_and_each_row():
    """Objects are spread out, the rows of a table and plain lists are not."""
    document = {"a": {"b": [1, 2], "c": {}}, "rows": [{"n": 1}, {"n": 2}], "none": None}
    assert write_json(document).decode() == (
        "{\n"
        '  "a": {\n'
        '    "b": [1, 2],\n'
        '    "c": {}\n'
        "  },\n"
        '  "rows": [\n'
        '    {"n": 1},\n'
        '    {"n": 2}\n'
        "  ],\n"
        '  "none": null\n'
        "}\n"
    )


def test_text_stays_readable():
    """Characters are written as they are, and what is written is what is read."""
    document = {'é "日本"\n': "\ud800 half", "list": [[1], [2, 3]], "empty": []}
    content = write_json(document)
    assert "日本".encode() in content
    assert json.loads(content) == document


def test_nan_is_refused():
    """NaN is no JSON: the writer of a document decides what stands for it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": nan})


@pytest.mark.parametrize(("value", "expected"), [(0.5, 0.5), (0, 0), (nan, None), (inf, None)])
def test_not_finite_is_null(value, expected):
    """What JSON has no number for is null."""
    assert number_or_null(value) == expected

"""Strict JSON that people can read."""

import json
import random
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


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_what_json_makes_of_each(seed):
    """However its cells look, a row is the line that Python's own encoder makes of it."""
    draw = random.Random(seed)
    cells = ["a\nb", "\u2028", "\ud800", '"], ["', "", 0.1, 1e-300, 1e22, -3, None, True, [], ["x"]]
    cells += [{"type": "image"}] if seed % 3 else [{"a": 1, "b": [2, 3]}, [1, 2]]
    rows = [draw.choices(cells, k=draw.randrange(5)) for _ in range(draw.randrange(1, 30))]
    lines = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    expected = f'{{\n  "rows": [\n    {lines}\n  ]\n}}\n'

    assert write_json({"rows": rows}) == expected.encode("utf-8", "backslashreplace")


def test_rows_are_encoded_at_once(monkeypatch):
    """The encoder is not begun anew for each of thousands of rows."""
    begun = []
    encode = json.JSONEncoder.iterencode

    def count(self, *arguments, **settings):
        begun.append(self)
        return encode(self, *arguments, **settings)

    monkeypatch.setattr(json.JSONEncoder, "iterencode", count)
    write_json({"data": [["cat.jpg", "cat", 0.5, i] for i in range(1000)]})

    assert len(begun) == 1


def test_nan_is_refused():
    """NaN is no JSON: the writer of a document decides what stands for it."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": nan})


@pytest.mark.parametrize(("value", "expected"), [(0.5, 0.5), (0, 0), (nan, None), (inf, None)])
def test_not_finite_is_null(value, expected):
    """What JSON has no number for is null."""
    assert number_or_null(value) == expected

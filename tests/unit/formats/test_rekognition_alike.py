"""Lines that have the keys of the lines before them read as any others do."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.formats import lines
from mlrek.formats.columns import ManifestInput
from mlrek.formats.rekognition.manifest import parse_manifest

RECORD = "rekognition-custom-labels-evaluation-0-metadata"
COLUMNS = ("images", "true_counts", "true_label", "record_counts", "record_label", "flags")


@pytest.fixture
def parse(monkeypatch):
    """A function: lines -> label codes and columns, one line a block, or all in one."""

    def read(texts, block_bytes, *, skip=True):
        monkeypatch.setattr(lines, "BLOCK_BYTES", block_bytes)
        manifest = ManifestInput(uri="m.json", chunks=[b"\n".join(texts)])
        columns = parse_manifest(manifest, skip_bad_lines=skip)
        values = [list(getattr(columns, name)) for name in (*COLUMNS, "confidence", "warnings")]
        return dict(columns.label_codes), values

    return read


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"line-idx": 3},
        {"pets-metadata": {"class-name": 1e300, "confidence": []}},
        {"source-ref": ""},
        {"source-ref": 5},
        {'a"b\\': None},
        {"rekognition-custom-labels-evaluation-0": {"annotations": []}},
        {RECORD: {"class-name": "cat", "confidence": 1}},
        {RECORD: {"class-name": "cat", "confidence": True}},
        {RECORD: {"class-name": "cat", "confidence": -0.5}},
        {RECORD: {"class-name": "", "confidence": 0.5}},
        {RECORD: {"confidence": 0.5}},
        {RECORD: {"class-name": "cat"}},
        {RECORD: None},
    ],
)
def test_what_came_before_does_not_matter(parse, make_line, change):
    """A line reads the same, or is as malformed, after lines of its kind, of another or of none."""
    usual = [json.dumps(make_line(image=f"{n}")).encode() for n in range(3)]
    changed = json.dumps(make_line() | change).encode()
    texts = [*usual, changed, changed, *usual]
    assert parse(texts, 1) == parse(texts, 1 << 20)


def test_order_of_keys_does_not_matter(parse, make_line):
    """Keys may stand in another order than on the line before."""
    line = make_line(records=[("cat", 0.9, "TP"), ("dog", 0.1, "TN")])
    turned = dict(reversed(line.items()))
    _, columns = parse([json.dumps(one).encode() for one in (line, line, turned)], 1)
    assert columns[-2] == [0.9, 0.1] * 3


def test_malformed_line_is_named(parse, make_line):
    """The error names the line, however many were read together before it."""
    good = json.dumps(make_line()).encode()
    bad = json.dumps(make_line(records=[("cat", 7, "TP")])).encode()
    with pytest.raises(ParseError, match=r"m\.json:4: confidence in .* is 7, not a number"):
        parse([good, good, good, bad], 1, skip=False)

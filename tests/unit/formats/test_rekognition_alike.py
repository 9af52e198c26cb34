"""Lines that have the keys of the lines before them read as any others do."""

import json

import pytest

from mlrek.errors import ParseError
from mlrek.formats import lines
from mlrek.formats.stored import dump_evaluation, load_stored

RECORD = "rekognition-custom-labels-evaluation-0-metadata"


@pytest.fixture
def parse(monkeypatch, read):
    """A function: lines -> the evaluation as it is kept, one line a block, or all in one."""

    def read_blocks(texts, block_bytes, *, skip=True):
        monkeypatch.setattr(lines, "BLOCK_BYTES", block_bytes)
        return dump_evaluation(read(texts, skip_bad_lines=skip))

    return read_blocks


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


@pytest.mark.parametrize("key", ["type", "human-annotated", "class-map", "job-name", "objects"])
@pytest.mark.parametrize("text", [b'"\xff"', b"1e999", b'"\\ud800"', b'{"a":}', b"[]"])
def test_what_does_not_count_is_as_malformed_after_its_kind(parse, make_line, key, text):
    """Odd bytes under a key of the metadata that no number is made of do not depend on the road."""
    usual = [json.dumps(make_line(image=f"{n}")).encode() for n in range(3)]
    metadata = {"class-name": "cat", "confidence": 0.5, key: "HERE"}
    changed = json.dumps(make_line(image="odd") | {RECORD: metadata}).encode()
    texts = [*usual, changed.replace(b'"HERE"', text), *usual]
    assert parse(texts, 1) == parse(texts, 1 << 20)


def test_order_of_keys_does_not_matter(parse, make_line):
    """Keys may stand in another order than on the line before."""
    records = [("cat", 0.9, "TP"), ("dog", 0.1, "TN")]
    first, second, third = (make_line(records=records, image=f"{n}") for n in range(3))
    turned = dict(reversed(third.items()))
    kept = parse([json.dumps(line).encode() for line in (first, second, turned)], 1)
    evaluation = load_stored(kept)
    assert evaluation.records.confidence.tolist() == [0.9, 0.1] * 3


def test_malformed_line_is_named(parse, make_line):
    """The error names the line, however many were read together before it."""
    good = json.dumps(make_line()).encode()
    bad = json.dumps(make_line(records=[("cat", 7, "TP")])).encode()
    with pytest.raises(ParseError, match=r"manifest\.json:4: confidence in .* is 7, not a number"):
        parse([good, good, good, bad], 1, skip=False)

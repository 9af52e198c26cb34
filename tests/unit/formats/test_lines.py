"""Lines of JSON from chunks of bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats import lines
from mlrek.formats.lines import iter_json_lines


@pytest.fixture(scope="module")
def read():
    """A function: chunks -> (values by line number, numbers of bad lines)."""

    def read_chunks(chunks, **options):
        bad = []
        decoder = Decoder(dict[str, int])
        values = iter_json_lines(
            decoder, chunks, "file", lambda number, exc: bad.append((number, str(exc))), **options
        )
        numbered = [pair for first, block in values for pair in enumerate(block, first)]
        return numbered, [number for number, _ in bad]

    return read_chunks


def test_numbers_lines_from_one(read):
    """Values come in file order with their line numbers."""
    assert read([b'{"a":1}\n{"b":2}\n']) == ([(1, {"a": 1}), (2, {"b": 2})], [])


def test_last_line_needs_no_end(read):
    """A file may stop without a line end."""
    assert read([b'{"a":1}\n{"b":2}']) == ([(1, {"a": 1}), (2, {"b": 2})], [])


def test_blank_lines_are_counted_and_left_out(read):
    """Blank lines are no values, but later numbers are those an editor shows."""
    assert read([b'\n{"a":1}\n  \n\n{"b":2}\n\n']) == ([(2, {"a": 1}), (5, {"b": 2})], [])


def test_crlf_line_ends(read):
    """Windows line ends read like others."""
    assert read([b'{"a":1}\r\n\r\n{"b":2}\r\n']) == ([(1, {"a": 1}), (3, {"b": 2})], [])


def test_byte_order_mark(read):
    """A byte-order mark before the first line is no part of it, even cut in two."""
    assert read([b"\xef", b'\xbb\xbf{"a":1}\n']) == ([(1, {"a": 1})], [])


def test_byte_order_mark_of_an_appended_file(read):
    """Nor is that of a file which was appended to another."""
    assert read([b'{"a":1}\n\xef\xbb\xbf{"b":2}']) == ([(1, {"a": 1}), (2, {"b": 2})], [])


@pytest.mark.parametrize("chunks", [[], [b""], [b"\n\n"], [b"", b" \r\n"]])
def test_nothing(read, chunks):
    """An empty file has no lines."""
    assert read(chunks) == ([], [])


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":1}{"b":2}',
        b'{"a":',
        b'{"a":"x"}',
        b"[1]",
        b"\xff",
        b"\x00",
        b'{"a":1}}',
        b'{"\\ud800":1}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_bad_line_is_named_and_others_are_read(read, bad):
    """A line that is not one value of the type is reported by its number, the others count."""
    text = b'{"a":1}\n' + bad + b'\n{"b":2}\n'
    assert read([text]) == ([(1, {"a": 1}), (3, {"b": 2})], [2])


def test_value_over_two_lines_is_bad(read):
    """One value a line: a pretty-printed object is none."""
    assert read([b'{"a":\n1}\n']) == ([], [1, 2])


def test_bad_line_may_raise(read):
    """What `on_bad_line` raises ends the reading."""

    def refuse(number, exc):
        raise ParseError("file", number, str(exc)) from exc

    values = iter_json_lines(Decoder(dict[str, int]), [b'{"a":1}\nx\n'], "file", refuse)
    with pytest.raises(ParseError, match=r"file:2: not valid JSON") as caught:
        list(values)
    assert caught.value.line == 2


def test_line_that_never_ends_is_refused(read):
    """Memory stays bounded when a file has no line ends at all."""
    text = b'{"a":1}\n\n{"b":' + b" " * 100
    with pytest.raises(ParseError, match="file:3: is longer than"):
        read([text[i : i + 7] for i in range(0, len(text), 7)], max_line_bytes=50)


def test_endless_chunks_are_not_read_on(read):
    """The limit stops an endless stream."""

    def endless():
        while True:
            yield b"x" * 1000

    with pytest.raises(ParseError, match=r"file:1: is longer than 0\.0097"):
        read(endless(), max_line_bytes=10_240)


@given(
    length=st.integers(95, 105),
    cuts=st.lists(st.integers(0, 220), max_size=6),
    before=st.sampled_from([b"", b'{"a":1}\n', b"\n"]),
)
def test_limit_does_not_depend_on_chunks(read, length, cuts, before):
    """A line is too long by its own length, wherever it was cut."""
    text = before + b'{"a":1' + b" " * (length - 7) + b"}\n" + b'{"b":2}'
    chunks = _cut(text, cuts)
    if length > 100:
        with pytest.raises(ParseError):
            read(chunks, max_line_bytes=100)
    else:
        assert read(chunks, max_line_bytes=100)[0][-1][1] == {"b": 2}


@given(
    parts=st.lists(
        st.sampled_from(
            [
                *(b'{"a":1}', b'{"a": 1 , "b":2}', b'\xef\xbb\xbf{"c":1}', b'{"a":1}\r'),
                *(b'{"a":1}{"b":2}', b'{"a":1}],[{"b":2}', b'{"a":1},{"b":2}'),
                *(b"", b" ", b"\r", b"x", b"\xff", b'{"a":1}x', b"{", b"\xef\xbb\xbf"),
            ]
        ),
        max_size=12,
    ),
    cuts=st.lists(st.integers(0, 100), max_size=12),
    block=st.integers(1, 40),
)
def test_chunks_do_not_matter(read, parts, cuts, block):
    """The same bytes give the same values and the same bad lines, however they are cut."""
    text = b"\n".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block)
        assert read(_cut(text, cuts)) == read([text])


def _cut(text, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]

"""JSON texts and values in messages."""

import pytest
from msgspec import Struct
from msgspec.json import Decoder

from mlrek.formats.json_text import decode_json, quoted

DECODER = Decoder(dict[str, float | str | None])


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_bare_constants_are_null(constant):
    """What Python writes for a number that does not exist reads as none."""
    assert decode_json(DECODER, b'{"a": %b, "b": 1}' % constant) == {"a": None, "b": 1.0}


def test_constants_inside_strings_stay():
    """Only bare words are constants."""
    text = rb'{"NaN": NaN, "b\"NaN": "Infinity \" NaN"}'
    assert decode_json(DECODER, text) == {"NaN": None, 'b"NaN': 'Infinity " NaN'}


def test_words_that_only_begin_like_constants_are_refused():
    """`NaNo` is no number that does not exist."""
    with pytest.raises(ValueError, match="not valid JSON"):
        decode_json(DECODER, b'{"a": NaNo}')


def test_wrong_type_is_named_with_its_key():
    """The message points at the key."""

    class File(Struct):
        number: float

    with pytest.raises(ValueError, match=r"Expected `float`, got `str` - at `\$\.number`"):
        decode_json(Decoder(File), b'{"number": "x"}')


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff", b'{"a":"\xff"}', rb'{"a":"\ud800"}', rb'{"a":"\udc00xx"}', b"\0", b"{NaN"],
)
def test_what_is_no_json_is_a_value_error(text):
    """Any damage gives the one kind of error, never another."""
    with pytest.raises(ValueError, match="not valid JSON"):
        decode_json(DECODER, text)


def test_deep_nesting_is_a_value_error():
    """A text that nests without end is refused, not a crash."""
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_json(Decoder(dict[str, list]), b'{"a":' + b"[" * 200_000)


def test_search_for_constants_is_linear():
    """Quotes that never end do not hang the search, which would start over at each of them."""
    text = b'{"a": NaN, "' + rb"\"" * 200_000
    with pytest.raises(ValueError, match="not valid JSON"):
        decode_json(DECODER, text)


def test_show_escapes_and_cuts():
    """A message cannot be forged by control characters, nor flooded."""
    assert quoted("a\nb\x1b[31m") == r"'a\nb\x1b[31m'"
    assert len(quoted("x" * 10_000)) <= 200
    assert len(quoted([["x" * 1000] * 1000] * 1000)) < 10_000

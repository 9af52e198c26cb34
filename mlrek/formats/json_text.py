"""One JSON text -> a typed value, and any value -> text that is safe to print in a message."""

import re
from collections.abc import Sequence
from reprlib import Repr
from typing import Annotated, Literal, TypeAlias, TypeVar

from msgspec import DecodeError, Meta, ValidationError
from msgspec.json import Decoder

from mlrek.redaction import hide_secrets

T = TypeVar("T")

_ENDS_EARLY = "it ends within a value"

LabelName: TypeAlias = Annotated[str, Meta(min_length=1, pattern=r"\A[^\0]+\Z")]
"""A label as a file may name it: not empty, no NUL (no store takes one)."""

NotANumber: TypeAlias = Literal["NaN", "nan"] | None
"""How writers spell a number that does not exist, besides leaving it out."""

# A whole string, also one that never ends (which keeps the search linear), or a bare constant.
_STRING_OR_CONSTANT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|-?\b(?:NaN|Infinity)\b', re.DOTALL)


class _ShortRepr(Repr):
    """Cuts long text, after secrets of URLs are gone: the rest of one tells what it was."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(hide_secrets(x), level)


_SHORT = _ShortRepr()
_SHORT.maxstring = _SHORT.maxother = 200


def decode_json(decoder: Decoder[T], text: bytes) -> T:
    """Decode one JSON text; a bare NaN or Infinity, which is no JSON, reads as null.

    Raises:
        ValueError: The text is not what the decoder expects; the message says where (`at $.key`).
    """
    try:
        return _decode(decoder, text)
    except ValidationError:
        raise
    except ValueError as exc:
        said = _ENDS_EARLY if str(exc) == "Input data was truncated" else str(exc)
        if isinstance(exc, UnicodeDecodeError):
            said = "it is no text in UTF-8; save the file as UTF-8"
        raise ValueError(f"not valid JSON: {said}") from exc
    except RecursionError as exc:
        raise ValueError("not valid JSON: nested too deeply") from exc


def show(value: object) -> str:
    """An untrusted value for a message: quoted, control characters escaped, cut when long."""
    return _SHORT.repr(value)


def join_some(said: Sequence[str], mark: str = "; ", most: int = 3) -> str:
    """The first of what is said, and a sign that there is more."""
    return mark.join((*said[:most], "…") if len(said) > most else said)


def show_some(values: Sequence[object]) -> str:
    """The first three of untrusted values, and a sign that there are more."""
    return join_some([*map(show, values[:4])], ", ")


def say_first(n: int, of: int, what: str, first: object) -> str:
    """That so many are something, and the first of them.

    >>> say_first(2, 9, "images have no size", "a.jpg")
    "2 of 9 images have no size; first: 'a.jpg'"
    """
    return f"{n} of {of} {what}; first: {show(first)}"


def _decode(decoder: Decoder[T], text: bytes) -> T:
    try:
        return decoder.decode(text)
    except ValidationError:
        raise
    except DecodeError:
        if b"NaN" not in text and b"Infinity" not in text:
            raise
    return decoder.decode(_STRING_OR_CONSTANT.sub(_constant_to_null, text))


def _constant_to_null(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0].startswith(b'"') else b"null"

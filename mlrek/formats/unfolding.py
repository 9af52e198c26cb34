"""Files of JSON values in whatever form tools write them -> one value a line.

People save test sets and answers as lines, as an array, as the AWS CLI prints an answer (over many
lines, several pages behind each other), packed, or in the UTF-16 of PowerShell. Where the meaning
is plain the values are read; a file of lines passes through unchanged, of any size. In messages
about a document, the number behind its name counts its values.
"""

import codecs
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Raw
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.instead import describe_lines, find_encoding, is_gzip
from mlrek.formats.json_text import decode_json
from mlrek.formats.lines import BYTE_ORDER_MARK, peek_chunks

MAX_DOCUMENT: Final = 256 << 20
"""Bytes of a document, which is held whole; a file of lines is not."""
MAX_UNPACKED: Final = 2 << 30
"""Bytes that a packed file may become; the service's own limit for a manifest is half of it."""

_CHUNK: Final = 1 << 20
_VALUE = Decoder(Raw)
_ITEMS = Decoder(list[Raw])
_OBJECT: Decoder[Mapping[str, Raw]] = Decoder(dict[str, Raw])
_TEXT = Decoder(str)
# A whole string, also one that never ends (which keeps the search linear), or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[{}\[\]]', re.DOTALL)

Unfold = Callable[[Mapping[str, Raw]], Iterable[bytes] | None]
"""The values that an object of a document holds; None: it is a value itself."""


def unfold_lines(
    chunks: Iterable[bytes], uri: str, unfold: Unfold, holds_values: re.Pattern[bytes]
) -> Iterator[bytes]:
    """Yield the values of a file, one a line, in chunks.

    Args:
        chunks: The file as it is.
        uri: Where it is read, for messages.
        unfold: The values that an object holds, where it is a list of them by another name.
        holds_values: Matches the beginning of such an object.

    Raises:
        ParseError: It is packed or encoded in a way that cannot be read, or its JSON is broken.
    """
    head, chunks = peek_chunks(chunks)
    if is_gzip(head):
        head, chunks = peek_chunks(_unpack(chunks, uri))
        if is_gzip(head):
            raise ParseError(uri, 0, "is compressed twice (gzip); unpack it with `gunzip`")
    if encoding := find_encoding(head):
        head, chunks = peek_chunks(_recode(chunks, uri, encoding))
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    is_document = text.startswith((b"[", b'"')) or holds_values.match(text)
    if is_document or (text.startswith(b"{") and describe_lines(head)):
        yield from _unfold_document(_join(chunks, uri), uri, unfold)
    else:
        yield from chunks


def _unpack(chunks: Iterable[bytes], uri: str) -> Iterator[bytes]:
    """Yield what a gzip file of one or several members holds, a bounded piece at a time."""
    unpacker, size, is_begun = zlib.decompressobj(zlib.MAX_WBITS | 16), 0, False
    try:
        for chunk in chunks:
            rest = chunk if is_begun else chunk.lstrip(b"\0")  # tapes and disks fill up with zeros
            while rest:
                piece = unpacker.decompress(rest, _CHUNK)
                is_begun, rest = True, unpacker.unconsumed_tail
                if unpacker.eof:
                    rest = unpacker.unused_data.lstrip(b"\0")
                    unpacker, is_begun = zlib.decompressobj(zlib.MAX_WBITS | 16), False
                size += len(piece)
                if size > MAX_UNPACKED:
                    reason = f"holds more than {MAX_UNPACKED >> 30} GiB when it is unpacked"
                    raise ParseError(uri, 0, reason)
                yield piece
        yield unpacker.flush()
    except zlib.error as exc:
        raise ParseError(uri, 0, f"is a damaged gzip file: {exc}") from exc
    if is_begun and not unpacker.eof:
        raise ParseError(uri, 0, "is a gzip file that is cut: its end is missing")


def _recode(chunks: Iterable[bytes], uri: str, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as exc:
        reason = f"is {encoding[:6].upper()} text that is damaged or cut"
        raise ParseError(uri, 0, reason) from exc


def _join(chunks: Iterable[bytes], uri: str) -> bytes:
    joined, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_DOCUMENT:
            reason = f"is one document of more than {MAX_DOCUMENT >> 20} MiB; save it as JSON lines"
            raise ParseError(uri, 0, reason)
        joined.append(chunk)
    return b"".join(joined).removeprefix(BYTE_ORDER_MARK)


def _unfold_document(text: bytes, uri: str, unfold: Unfold) -> Iterator[bytes]:
    try:
        for value in _split(text):
            for item in _list_items(value, unfold):
                yield item.replace(b"\n", b" ") + b"\n"
    except ValueError as exc:
        raise ParseError(uri, 0, str(exc)) from exc


def _split(text: bytes) -> Iterator[bytes]:
    """Yield the values of a text, mostly one.

    Raises:
        ValueError: Something of it is no JSON.
    """
    try:
        yield bytes(_VALUE.decode(text))
    except (ValueError, RecursionError):
        pass
    else:
        return
    depth = start = end = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if depth == 0:
            start = token.start()
            _check_blank(text[end:start])
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(mark, 0)
        if depth <= 0:
            end = token.end()
            yield bytes(decode_json(_VALUE, text[start:end]))
    if depth:
        decode_json(_VALUE, text[start:])
    _check_blank(text[end:] if not depth else b"")


def _check_blank(between: bytes) -> None:
    if between.replace(BYTE_ORDER_MARK, b"").strip():
        raise ValueError("not valid JSON: there is something else between its values")


def _list_items(value: bytes, unfold: Unfold) -> Iterator[bytes]:
    """Yield the values that one value of a document holds."""
    kind = value.lstrip()[:1]
    if kind == b"[":
        for item in decode_json(_ITEMS, value):
            yield _open_text(bytes(item))
    elif kind == b"{":
        items = unfold(decode_json(_OBJECT, value))
        yield from [value] if items is None else map(_open_text, items)
    else:
        yield _open_text(value)


def _open_text(value: bytes) -> bytes:
    """The JSON that a string holds, as ListDatasetEntries gives its lines; else the value."""
    text = value.strip()
    return decode_json(_TEXT, text).encode() if text.startswith(b'"') else text

"""Chunks of bytes -> one typed value a line of JSON; a file of any size is never held whole.

Lines are decoded a block at a time, which is much faster than one by one. Only where that fails is
each line of the block looked at by itself, to say which one it is and what is wrong with it.
"""

import codecs
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from typing import Annotated, Final, Generic, TypeAlias, TypeVar

from msgspec import Meta, Raw
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.json_text import (
    HEAD_BYTES,
    NotANumber,
    decode_json,
    find_encoding,
    is_gzip,
    quoted,
    say_lines,
    say_unreadable,
)

MAX_LINE_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 128 * 1024

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

T = TypeVar("T")

OnBadLine: TypeAlias = Callable[[int, ValueError], None]
"""Told the number of a line that is left out, and why; it may raise instead."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, without the end of the last one; `number` is that of the first, from 1.

    `rows` is that text as a list of lists, `[[` before it, `],[` for each line end, `]]` behind it.
    A block that another process has cut has only those, and no `text`.
    """

    number: int
    n_lines: int
    rows: bytes | memoryview
    text: bytes = b""


class BlockDecoder(Generic[T]):
    """Decodes the lines of a block, each of which is one JSON value of the decoder's type."""

    def __init__(self, decoder: Decoder[T]) -> None:
        self._decoder = decoder
        self._together = Decoder(list[tuple[decoder.type]])  # type: ignore[name-defined]

    def decode(self, block: Block) -> list[T]:
        """The value of each line; none at all when some line is not exactly one value.

        The lines become lists of one in a list. (`Decoder.decode_lines` would also take two values
        on one line, or one value on two.)
        """
        try:
            values = self._together.decode(block.rows)
        except (ValueError, RecursionError):
            return []
        return list(chain.from_iterable(values)) if len(values) == block.n_lines else []

    def iter_values(
        self, block: Block, on_bad_line: OnBadLine
    ) -> Iterator[tuple[int, Sequence[T]]]:
        """Yield what `iter_json_lines` yields."""
        if values := self.decode(block):
            yield block.number, values
        else:
            yield from self._decode_each(block, on_bad_line)

    def _decode_each(
        self, block: Block, on_bad_line: OnBadLine
    ) -> Iterator[tuple[int, Sequence[T]]]:
        for number, line in enumerate(block.text.split(b"\n"), block.number):
            text = line.removeprefix(BYTE_ORDER_MARK).strip()
            if not text:
                continue
            try:
                value = decode_json(self._decoder, text)
            except ValueError as exc:
                on_bad_line(number, exc)
            else:
                yield number, (value,)


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

Number: TypeAlias = float | NotANumber
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | NotANumber

_TOLERANCE = 1e-6  # the descriptions have single precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A small file as it was read."""

    uri: str
    data: bytes


def iter_json_lines(
    decoder: Decoder[T],
    chunks: Iterable[bytes],
    uri: str,
    on_bad_line: OnBadLine,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[tuple[int, Sequence[T]]]:
    r"""Yield (number of the first line, from 1; values of that line and the following ones).

    Blank lines have no value. A byte-order mark (also of a file that was appended to another),
    either line end (`\n`, `\r\n`) and blanks around a line do not matter, nor where the chunks are
    cut. `on_bad_line` gets the number of a line that cannot be decoded, and why; when it returns,
    the line is left out.

    Raises:
        ParseError: A line is longer than `max_line_bytes`.
    """
    block_decoder = BlockDecoder(decoder)
    for block in iter_blocks(chunks, uri, max_line_bytes=max_line_bytes):
        yield from block_decoder.iter_values(block, on_bad_line)


def iter_blocks(
    chunks: Iterable[bytes], uri: str, *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Block]:
    """Yield the lines of a file, many at a time.

    Raises:
        ParseError: A line is longer than `max_line_bytes`, or the file as a whole is something else
            than lines.
    """
    head, chunks = peek_chunks(chunks)
    if said := say_lines(head):
        raise ParseError(uri, 0, said)
    number = 1
    start: list[
        memoryview
    ] = []  # of a line whose end has not come; joined once, not piece by piece
    size = 0
    for chunk, begin, stop in _cut(chunks, min(BLOCK_BYTES, max_line_bytes)):
        end = chunk.rfind(b"\n", begin, stop)
        if size + (chunk.find(b"\n", begin) if end >= 0 else stop) - begin > max_line_bytes:
            reason = f"is longer than {max_line_bytes / 2**20:g} MiB: this is no file of JSON lines"
            raise ParseError(uri, number, reason)
        view = memoryview(chunk)
        if end >= 0:
            block = make_block(number, b"".join((*start, view[begin:end])))
            yield block
            number, start, size = number + block.n_lines, [], 0
        start.append(view[max(begin, end + 1) : stop])
        size += len(start[-1])
    yield make_block(number, b"".join(start))


def peek_chunks(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a file, and all its chunks as they were."""
    left, seen, size = iter(chunks), list[bytes](), 0
    while size < HEAD_BYTES and (chunk := next(left, None)) is not None:
        seen.append(chunk)
        size += len(chunk)
    return b"".join(seen)[:HEAD_BYTES], chain(seen, left)


def make_block(number: int, text: bytes) -> Block:
    """The block of a text of whole lines, of which the first has this number."""
    rows = b"[[%b]]" % text.replace(b"\n", b"],[")
    n_lines = (len(rows) - len(text)) // 2 - 1  # counting line ends would be far slower
    return Block(number, n_lines, rows, text)


def _cut(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield chunks with where a piece of them begins and ends; a slice would be a copy."""
    for chunk in chunks:
        for begin in range(0, len(chunk), size):
            yield chunk, begin, min(begin + size, len(chunk))


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
    head, chunks = open_text(chunks, uri)
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    is_document = text.startswith((b"[", b'"')) or holds_values.match(text)
    if is_document or (text.startswith(b"{") and say_lines(head)):
        yield from _unfold_document(_join(chunks, uri), uri, unfold)
    else:
        yield from chunks


def open_text(chunks: Iterable[bytes], uri: str) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a file and all its chunks, unpacked and in UTF-8.

    Raises:
        ParseError: It is packed or encoded in a way that cannot be read.
    """
    head, read = peek_chunks(chunks)
    if is_gzip(head):
        head, read = peek_chunks(_unpack(read, uri))
        if is_gzip(head):
            raise ParseError(uri, 0, "is compressed twice (gzip); unpack it with `gunzip`")
    if encoding := find_encoding(head):
        head, read = peek_chunks(_recode(read, uri, encoding))
    return head, read


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


def decode_document(decoder: Decoder[T], uri: str, data: bytes, what: str) -> T:
    """The content of a file that should be `what`.

    Raises:
        ParseError: It is not JSON, or a key holds something else than its format says.
    """
    try:
        return decode_json(decoder, data.removeprefix(BYTE_ORDER_MARK))
    except ValueError as exc:
        raise ParseError(uri, 0, say_unreadable(data, exc, what=what)) from exc


def decode_summary(decoder: Decoder[T], uri: str, data: bytes, what: str) -> T:
    """The same, of a file that has at least one of its format's keys.

    Raises:
        ParseError: It has none.
    """
    file = decode_document(decoder, uri, data, what)
    if file == type(file)():
        raise ParseError(uri, 0, f"is not {what}: it has none of that file's keys")
    return file


def keep_numbers(**named: Number) -> dict[str, float]:
    """Those that exist."""
    return {
        name: float(value)
        for name, value in named.items()
        if isinstance(value, (int, float)) and isfinite(value)
    }


def keep_count(value: Count) -> int | None:
    """A count, where the file gives one."""
    return value if isinstance(value, int) else None


def warn_time(uri: str, text: str | float | None, end_ms: int | None) -> Iterator[str]:
    """Yield a warning where the end of the evaluation is told, but is not a time."""
    if text and end_ms is None:
        yield f"{uri}: the end of the evaluation is not a time and was left out: {quoted(text)}"


def warn_repeated(uri: str, labels: Sequence[str]) -> Iterator[str]:
    """Yield a warning where several results are of one label, of which the first counts."""
    if repeated := len(labels) - len(set(labels)):
        several = f"{repeated} of {len(labels)} results are of a label that has some already"
        yield f"{uri}: {several}, and were left out"


def check_described(
    described: Mapping[str, float], published: Mapping[str, float], *, what: str, file: str
) -> Iterator[str]:
    """Yield a warning for each number in which the description of `what` and the `file` differ."""
    for name, value in described.items():
        if abs(value - published.get(name, value)) > _TOLERANCE:
            yield (
                f"the service's description of the {what} says {name} {value:.9g}, its {file} "
                f"{published[name]:.9g}; the {file} counts"
            )

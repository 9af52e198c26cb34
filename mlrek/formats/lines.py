"""Chunks of bytes -> one typed value a line of JSON; a file of any size is never held whole.

Lines are decoded a block at a time, which is much faster than one by one. Only where that fails is
each line of the block looked at by itself, to say which one it is and what is wrong with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias, TypeVar

from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.json_text import decode_json

MAX_LINE_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 64 * 1024

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

T = TypeVar("T")

OnBadLine: TypeAlias = Callable[[int, ValueError], None]
"""Told the number of a line that is left out, and why; it may raise instead."""


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
    block_decoder = Decoder(list[tuple[decoder.type]])  # type: ignore[name-defined]
    for number, n_lines, block in _iter_blocks(chunks, uri, max_line_bytes):
        values = _decode_together(block_decoder, block)
        if len(values) == n_lines:
            yield number, list(chain.from_iterable(values))
        else:
            yield from _decode_each(decoder, number, block, on_bad_line)


def _decode_together(decoder: Decoder[list[tuple[T]]], block: bytes) -> list[tuple[T]]:
    """The value of each line; fewer or more when some line is not exactly one value.

    The lines become lists of one in a list. (`Decoder.decode_lines` would also take two values on
    one line, or one value on two.)
    """
    try:
        return decoder.decode(b"[[%b]]" % block.replace(b"\n", b"],["))
    except (ValueError, RecursionError):
        return []


def _decode_each(
    decoder: Decoder[T], number: int, block: bytes, on_bad_line: OnBadLine
) -> Iterator[tuple[int, Sequence[T]]]:
    for line_number, line in enumerate(block.split(b"\n"), number):
        text = line.removeprefix(BYTE_ORDER_MARK).strip()
        if not text:
            continue
        try:
            value = decode_json(decoder, text)
        except ValueError as exc:
            on_bad_line(line_number, exc)
        else:
            yield line_number, (value,)


def _iter_blocks(
    chunks: Iterable[bytes], uri: str, max_line_bytes: int
) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number of the first line, number of lines, whole lines without the last one's end)."""
    number = 1
    start: list[bytes] = []  # of a line whose end has not come yet; joined once, not piece by piece
    size = 0
    for piece in _cut(chunks, min(BLOCK_BYTES, max_line_bytes)):
        end = piece.rfind(b"\n")
        if size + (piece.find(b"\n") if end >= 0 else len(piece)) > max_line_bytes:
            reason = f"is longer than {max_line_bytes / 2**20:g} MiB: this is no file of JSON lines"
            raise ParseError(uri, number, reason)
        if end >= 0:
            block = b"".join((*start, piece[:end]))
            n_lines = len(block) - len(block.replace(b"\n", b"")) + 1  # count() is far slower
            yield number, n_lines, block
            number, start, size = number + n_lines, [], 0
        start.append(piece[end + 1 :])
        size += len(start[-1])
    yield number, 1, b"".join(start)


def _cut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]

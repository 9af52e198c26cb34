"""Chunks of bytes -> one typed value a line of JSON; a file of any size is never held whole.

Lines are decoded a block at a time, which is much faster than one by one. Only where that fails is
each line of the block looked at by itself, to say which one it is and what is wrong with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.instead import HEAD_BYTES, describe_lines
from mlrek.formats.json_text import decode_json

MAX_LINE_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 128 * 1024

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

T = TypeVar("T")

OnBadLine: TypeAlias = Callable[[int, ValueError], None]
"""Told the number of a line that is left out, and why; it may raise instead."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, without the end of the last one; `number` is that of the first, from 1.

    `rows` is their text with `],[` for each line end.
    """

    number: int
    text: bytes
    rows: bytes

    @property
    def n_lines(self) -> int:
        """How many lines there are; counting their ends would be far slower."""
        return (len(self.rows) - len(self.text)) // 2 + 1


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
            values = self._together.decode(b"[[%b]]" % block.rows)
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
    if said := describe_lines(head):
        raise ParseError(uri, 0, said)
    number = 1
    start: list[bytes] = []  # of a line whose end has not come yet; joined once, not piece by piece
    size = 0
    for piece in _cut(chunks, min(BLOCK_BYTES, max_line_bytes)):
        end = piece.rfind(b"\n")
        if size + (piece.find(b"\n") if end >= 0 else len(piece)) > max_line_bytes:
            reason = f"is longer than {max_line_bytes / 2**20:g} MiB: this is no file of JSON lines"
            raise ParseError(uri, number, reason)
        if end >= 0:
            block = _make_block(number, b"".join((*start, piece[:end])))
            yield block
            number, start, size = number + block.n_lines, [], 0
        start.append(piece[end + 1 :])
        size += len(start[-1])
    yield _make_block(number, b"".join(start))


def peek_chunks(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a file, and all its chunks as they were."""
    left, seen, size = iter(chunks), list[bytes](), 0
    while size < HEAD_BYTES and (chunk := next(left, None)) is not None:
        seen.append(chunk)
        size += len(chunk)
    return b"".join(seen)[:HEAD_BYTES], chain(seen, left)


def _make_block(number: int, text: bytes) -> Block:
    return Block(number, text, text.replace(b"\n", b"],["))


def _cut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]

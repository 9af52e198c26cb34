"""What the scripts of the examples share: bytes that come out the same on every machine.

Text is ASCII, chance comes from names, and pictures are packed by an encoder of our own, since
compressors differ in their bytes from version to version.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
Greys = NDArray[np.uint8]
T = TypeVar("T")

_LONGEST_RUN = 258


def write_files(folder: Path, files: Mapping[str, bytes], *, owned: Iterable[str]) -> None:
    """Write all files; of what matches `owned`, leftovers of an earlier build go."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for path in [path for pattern in owned for path in folder.glob(pattern)]:
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()


def to_json(value: Json) -> bytes:
    """A document for people."""
    return json.dumps(value, indent=1).encode() + b"\n"


def to_line(value: Json) -> bytes:
    """A line for programs."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def to_lines(values: Iterable[Json]) -> bytes:
    """A document with one line for each value."""
    return b"".join(to_line(value) for value in values)


def shuffle(values: Iterable[T], *, salt: str) -> list[T]:
    """The values in an order that depends on nothing but them and the salt."""
    return sorted(values, key=lambda value: sha256(f"{salt}/{value}".encode()).digest())


# Pictures


def to_grey_png(greys: Greys) -> bytes:
    """A PNG of 16 grey levels from (height, width) values 0 to 15; the width is even."""
    return _to_png(greys, bits=4, colour_type=0)


def to_palette_png(codes: Greys, colours: Sequence[str]) -> bytes:
    """A PNG of two colours, `#rrggbb` each, from (height, width) codes; 8 divides the width."""
    palette = b"".join(bytes.fromhex(colour.removeprefix("#")) for colour in colours)
    return _to_png(codes, bits=1, colour_type=3, palette=palette)


def _to_png(values: Greys, *, bits: int, colour_type: int, palette: bytes = b"") -> bytes:
    height, width = values.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", palette), (b"IDAT", _pack(_to_rows(values, bits)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
        if data or kind == b"IEND"
    )


def _to_rows(values: Greys, bits: int) -> bytes:
    """Packed pixels, each row as its difference to the one above (PNG's filter 2)."""
    single = np.unpackbits(values[:, :, None].astype(np.uint8), axis=2)[:, :, 8 - bits :]
    rows = np.packbits(single.reshape(len(values), -1), axis=1)
    differences = np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]), np.uint8))
    return np.insert(differences, 0, 2, axis=1).tobytes()


def _pack(data: bytes) -> bytes:
    """A zlib stream (RFC 1950, 1951): one block, fixed codes, no repetition but runs of a byte."""
    codes = ["110"]  # the last block, of the kind with fixed codes
    for value, group in groupby(data):
        more = sum(1 for _ in group) - 1
        full, rest = divmod(more, _LONGEST_RUN)
        codes += [_to_code(value), _to_run(_LONGEST_RUN) * full]
        codes += [_to_run(rest) if rest > 2 else _to_code(value) * rest]  # noqa: PLR2004 (3 is the shortest run)
    bits = "".join(codes) + "0000000"  # the end
    bits += "0" * (-len(bits) % 8)
    packed = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
    return b"\x78\x01" + packed + struct.pack(">I", zlib.adler32(data))


def _to_code(value: int) -> str:
    """The bits of a single byte."""
    return f"{48 + value:08b}" if value < 144 else f"{256 + value:09b}"  # noqa: PLR2004 (RFC 1951, 3.2.6)


def _to_run(length: int) -> str:
    """The bits of the last byte again, 3 to 258 times (RFC 1951, 3.2.5)."""
    beyond = length - 3
    extra = max(0, beyond.bit_length() - 3)
    code, more = 1 + 4 * extra + (beyond >> extra), f"{beyond % (1 << extra):0{extra}b}"[::-1]
    if length == _LONGEST_RUN:
        code, extra = 29, 0
    symbol = f"{code:07b}" if code < 24 else f"{168 + code:08b}"  # noqa: PLR2004 (same)
    return symbol + (more if extra else "") + "00000"  # of the byte at distance 1

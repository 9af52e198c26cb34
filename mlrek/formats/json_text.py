"""JSON text -> typed values and times; text for messages; what a file is instead of JSON."""

import codecs
import re
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from reprlib import Repr
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from msgspec import DecodeError, Meta, ValidationError
from msgspec.json import Decoder

from mlrek.text import hide_secrets

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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)

HEAD_BYTES: Final = 64 * 1024
"""What is looked at, and what is unpacked of it."""

_SHOWN: Final = 60
_BYTE_ORDER_MARKS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GZIP: Final = b"\x1f\x8b"
_JSON_BEGINS: Final = (b"{", b"[", b'"')
_PYTHON: Final = re.compile(rb"[\[{(]\s*'|\[\s*\{\s*'")
_SECTION: Final = re.compile(rb"\[[A-Za-z][\w ]*\]\s*\n")  # of an INI file, a link of Windows
_RECORD_MARK: Final = b"\x1e"
_LIST_BEGINS: Final = re.compile(rb'(?:\{\s*"DatasetEntries"\s*:\s*)?\[\s*(?=[{"])')


_NO_LINES: Final = "where one JSON value a line belongs; `jq"
_FORMS: Final = (
    (
        re.compile(rb'\{\s*"DatasetEntries"\s*:'),
        f"is an answer of ListDatasetEntries, {_NO_LINES} -r '.DatasetEntries[]' FILE`",
    ),
    (re.compile(rb"\[(?![^\n]*\]\s*\n\s*[\[{])"), f"is a JSON array, {_NO_LINES} -c '.[]' FILE`"),
    (
        re.compile(rb'\{[ \t\r]*\n\s*"|\{\s*"[^"\\\n]*"\s*:\s*[{\[][ \t\r]*\n[ \t]+["{\[0-9-]'),
        f"is one JSON document over several lines, {_NO_LINES} -c . FILE`",
    ),
)

# ---- one kind each: what it is, or '' ------------------------------------------------------

_SAVE_AS_UTF8 = "save it as UTF-8 (in PowerShell `| Out-File -Encoding utf8` instead of `>`)"
_PACKED = "unpack it first"
_MAGIC: Final = (
    (_GZIP, "is compressed (gzip); unpack it with `gunzip`"),
    (b"PK\x03\x04", "is a ZIP archive; " + _PACKED),
    (b"PK\x05\x06", "is an empty ZIP archive"),
    (b"BZh", "is compressed (bzip2); unpack it with `bunzip2`"),
    (b"\xfd7zXZ\x00", "is compressed (xz); unpack it with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "is compressed (Zstandard); unpack it with `unzstd`"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; " + _PACKED),
    (b"Rar!", "is a RAR archive; " + _PACKED),
    (b"\x04\x22\x4d\x18", "is compressed (LZ4); unpack it with `unlz4`"),
    (b"\xff\x06\0\0sNaPpY", "is compressed (Snappy); " + _PACKED),
    (b"LZIP", "is compressed (lzip); unpack it with `lunzip`"),
    (b"\x1f\x9d", "is compressed (compress); unpack it with `uncompress`"),
    (b"PAR1", "is a Parquet file, not JSON"),
    (b"Obj\x01", "is an Avro file, not JSON"),
    (b"ORC", "is an ORC file, not JSON"),
    (b"\x93NUMPY", "is a NumPy array, not JSON"),
    (b"\x80\x04\x95", "is a Python pickle, not JSON"),
    (b"\x89HDF", "is an HDF5 file, not JSON"),
    (b"\xd0\xcf\x11\xe0", "is an old Office document, not JSON"),
    (b"{\\rtf", "is a document of a word processor (RTF), not JSON"),
    (b"%PDF-", "is a PDF, not JSON"),
    (b"%!PS", "is PostScript, not JSON"),
    (b"\x89PNG", "is a picture (PNG), not JSON"),
    (b"\xff\xd8\xff", "is a picture (JPEG), not JSON"),
    (b"GIF8", "is a picture (GIF), not JSON"),
    (b"SQLite format 3\x00", "is an SQLite database, not JSON"),
    (b"bplist00", "is a binary property list (a web archive?), not JSON"),
)
_TAR_MARK: Final = slice(257, 262)
_TAR: Final = b"ustar"
_ASCII_WITHOUT_MARK: Final = (
    ("utf-32-le", re.compile(rb"(?:[\t\n\r -~]\0\0\0){2}")),
    ("utf-32-be", re.compile(rb"(?:\0\0\0[\t\n\r -~]){2}")),
    ("utf-16-le", re.compile(rb"(?:[\t\n\r -~]\0){2}")),
    ("utf-16-be", re.compile(rb"(?:\0[\t\n\r -~]){2}")),
)
_POINTERS: Final = (
    (
        re.compile(rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/"),
        "is a Git LFS pointer, not the file itself; run `git lfs pull`",
    ),
    (
        re.compile(rb"(?:\.\./)*(?:\.git)?/annex/objects/"),
        "is a git-annex pointer, not the file itself; run `git annex get`",
    ),
    (
        re.compile(rb"(?:outs:\s*\n)?- md5: [0-9a-f]{32}"),
        "is a DVC pointer, not the file itself; run `dvc pull`",
    ),
)
_HTML = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|script|form|title|meta|iframe)\b", re.IGNORECASE
)
_S3_LISTING = re.compile(rb"<ListBucketResult\b")
_XML_CODE = re.compile(rb"<Error\b[^>]*>.*?<Code>([A-Za-z0-9_.]{1,80})</Code>", re.DOTALL)


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
        if not _is_utf8(text):
            said = "it is no text in UTF-8; save the file as UTF-8"
        raise ValueError(f"not valid JSON: {said}") from exc
    except RecursionError as exc:
        raise ValueError("not valid JSON: nested too deeply") from exc


def _is_utf8(text: bytes) -> bool:
    """Whether it is; asked of the text, as the decoder's releases report it in different words."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def quoted(value: object) -> str:
    """An untrusted value for a message: quoted, control characters escaped, cut when long."""
    return _SHORT.repr(value)


def join_some(said: Sequence[str], mark: str = "; ", most: int = 3) -> str:
    """The first of what is said, and a sign that there is more."""
    return mark.join((*said[:most], "…") if len(said) > most else said)


def quoted_some(values: Sequence[object]) -> str:
    """The first three of untrusted values, and a sign that there are more."""
    return join_some([*map(quoted, values[:4])], ", ")


def say_first(n: int, of: int, what: str, first: object) -> str:
    """That so many are something, and the first of them.

    >>> say_first(2, 9, "images have no size", "a.jpg")
    "2 of 9 images have no size; first: 'a.jpg'"
    """
    return f"{n} of {of} {what}; first: {quoted(first)}"


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


def parse_timestamp(time: str | float | None) -> int | None:
    """Milliseconds since the epoch, UTC, of ISO 8601 or epoch seconds; None for anything else.

    A time without a zone is UTC, as the services write it. One before the epoch, which MLflow
    refuses, or past the year 9999, which no calendar here shows, is none.

    >>> parse_timestamp("2019-11-21T07:30:23.910943")
    1574321423910
    >>> parse_timestamp(1574321423.91)
    1574321423910
    """
    try:
        if isinstance(time, str):
            moment = datetime.fromisoformat(time)
        elif time is not None:
            moment = _EPOCH + timedelta(milliseconds=round(time * 1000))
        else:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return since if 0 <= since <= _END_MS else None


def say_bytes(head: bytes) -> str:
    """What a file is that should begin a JSON text, and what to do; '' where it may be one.

    >>> say_bytes(b"version https://git-lfs.github.com/spec/v1")
    'is a Git LFS pointer, not the file itself; run `git lfs pull`'
    >>> say_bytes(b'{"source-ref": "s3://b/1.jpg"}')
    ''
    """
    if said := say_spoilt(head):
        return said
    text = _strip(head)
    if _PYTHON.match(text):
        return "is a Python value (single quotes), not JSON; write it with json.dumps"
    if text.startswith(_JSON_BEGINS) and not _SECTION.match(text):
        return ""
    try:
        begin = codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError:
        return "is no text in UTF-8; save it as UTF-8"
    return f"is text, not JSON; it begins with {quoted(begin[:_SHOWN])}"


def say_spoilt(head: bytes) -> str:
    """The same, but '' for any text: some line of it may be left out by those who ask for that."""
    for say in _KINDS:
        if said := say(head):
            return said
    return ""


def say_lines(head: bytes) -> str:
    """What a file is that should hold one JSON value a line; '' where it may.

    >>> say_lines(b'[{"source-ref": "s3://b/1.jpg"}]')
    "is a JSON array, where one JSON value a line belongs; `jq -c '.[]' FILE` makes lines of it"
    """
    if not _strip(head):
        return ""  # whoever counts the lines says that there are none
    if said := say_spoilt(head):
        return said
    text = _strip(head)
    return next((f"{said} makes lines of it" for form, said in _FORMS if form.match(text)), "")


def say_document(head: bytes) -> str:
    """What a file is that should begin something which it does not: never ''."""
    if said := say_bytes(head):
        return said
    begin = quoted(_strip(head)[:_SHOWN].decode("utf-8", "ignore"))
    return f"is JSON of another kind; it begins with {begin}"


def say_other(head: bytes, *, of_lines: bool) -> str:
    """The same; `of_lines`: of a file that should hold one JSON value a line."""
    said = say_lines(head) if of_lines and not say_bytes(head) else ""
    return said or say_document(head)


def say_unreadable(data: bytes, exc: ValueError, *, what: str) -> str:
    """Why a document cannot be read as `what`: what it is instead, else what the decoder said."""
    said = say_bytes(data[:HEAD_BYTES])
    return f"is not {what}: {f'it {said}' if said else exc}"


def find_encoding(head: bytes) -> str:
    """The encoding of a text that is UTF-16 or UTF-32, with a mark or without; else ''."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    return next((name for name, text in _ASCII_WITHOUT_MARK if text.match(head)), "")


def is_gzip(head: bytes) -> bool:
    """Whether the bytes begin a gzip file."""
    return head.startswith(_GZIP)


def peek_inside(head: bytes) -> bytes:
    """The first bytes of the text that is packed or otherwise encoded in a head; else the head."""
    if is_gzip(head):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            return unpacker.decompress(head, HEAD_BYTES)
        except zlib.error:
            return head
    encoding = find_encoding(head)
    return head.decode(encoding, "ignore").encode() if encoding else head


def peek_value(head: bytes) -> bytes:
    r"""The beginning of the first value in a head, be it packed, in an array or in a string.

    >>> peek_value(b'{"DatasetEntries": ["{\\"source-ref\\": 1}"]}')
    b'{"source-ref": 1}"]}'
    """
    text = _strip(peek_inside(head)).lstrip(_RECORD_MARK)
    if list_begins := _LIST_BEGINS.match(text):
        text = text[list_begins.end() :]
    return text[1:].replace(b'\\"', b'"') if text.startswith(b'"') else text


def _strip(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8).lstrip()


def _say_nothing(head: bytes) -> str:
    if not head:
        return "is empty"
    if not head.strip(b"\0"):
        return "holds nothing but zero bytes, as after a crash or a full disk; fetch it again"
    return "" if _strip(head) else "is empty but for blanks"


def _say_magic(head: bytes) -> str:
    said = next((said for magic, said in _MAGIC if head.startswith(magic)), "")
    return said or (f"is a tar archive; {_PACKED}" if head[_TAR_MARK] == _TAR else "")


def _say_encoding(head: bytes) -> str:
    encoding = find_encoding(head)
    return f"is {encoding[:6].upper()} text; {_SAVE_AS_UTF8}" if encoding else ""


def _say_pointer(head: bytes) -> str:
    return next((said for form, said in _POINTERS if form.match(_strip(head))), "")


def _say_markup(head: bytes) -> str:
    text = _strip(head)
    if not text.startswith(b"<"):
        return ""
    if _S3_LISTING.search(text):
        return "is a listing of an S3 bucket (XML), not the file itself; download it again"
    if code := _XML_CODE.search(text):
        name = code[1].decode("ascii")
        return f"is an error message of S3 (XML, {name}), not the file itself; download it again"
    if _HTML.search(text[:1000]):
        return "is a web page (HTML), not the file itself; download it again"
    return "is XML, not JSON"


def _say_binary(head: bytes) -> str:
    has_zeros = b"\0" in head[:1000] and not _strip(head).startswith(_JSON_BEGINS)
    return "is binary data, not JSON" if has_zeros else ""


_KINDS: Final[tuple[Callable[[bytes], str], ...]] = (
    _say_nothing,
    _say_magic,
    _say_encoding,
    _say_pointer,
    _say_markup,
    _say_binary,
)

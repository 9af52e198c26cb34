"""What the summaries and descriptions of Rekognition and Lookout for Vision have in common."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, TypeAlias, TypeVar

from msgspec import Meta
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.instead import explain
from mlrek.formats.json_text import NotANumber, decode_json, show
from mlrek.formats.lines import BYTE_ORDER_MARK

T = TypeVar("T")

Number: TypeAlias = float | NotANumber
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | NotANumber

_TOLERANCE = 1e-6  # the descriptions have single precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A small file as it was read."""

    uri: str
    data: bytes


def decode_document(decoder: Decoder[T], uri: str, data: bytes, what: str) -> T:
    """The content of a file that should be `what`.

    Raises:
        ParseError: It is not JSON, or a key holds something else than its format says.
    """
    try:
        return decode_json(decoder, data.removeprefix(BYTE_ORDER_MARK))
    except ValueError as exc:
        raise ParseError(uri, 0, explain(data, exc, what=what)) from exc


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
        yield f"{uri}: the end of the evaluation is not a time and was left out: {show(text)}"


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

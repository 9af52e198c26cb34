"""What all readers of files with a line per image share: bad lines, and what every line must hold.

One malformed line fails the file, or all are left out and counted.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Doubt, DoubtKind
from mlrek.formats.json_text import show
from mlrek.formats.lines import iter_json_lines

T = TypeVar("T")

_N_NAMED = 3


class RefusedError(ValueError):
    """The whole file is of a kind that is not read, whatever else stands in it."""


class BadLines:
    """What to do about malformed lines; memory stays bounded however many there are.

    `uri` is '' where the lines are of several files; then each line is added with its file.
    """

    def __init__(self, uri: str = "", *, skip: bool) -> None:
        self._uri = uri
        self._skip = skip
        self._n = 0
        self._first: list[ParseError] = []

    @property
    def first(self) -> ParseError | None:
        """The first line that was left out, as the error it would have been."""
        return self._first[0] if self._first else None

    def add(self, number: int, exc: ValueError, uri: str = "") -> None:
        """Take note of a line that is left out.

        Raises:
            ParseError: Lines are not to be left out, or the line shows that the file is not read.
        """
        error = ParseError(uri or self._uri, number, str(exc))
        if not self._skip or isinstance(exc, RefusedError):
            raise error from exc
        self._n += 1
        if self._n <= _N_NAMED:
            self._first.append(error)

    def explain_no_prediction(self, reason: str, *, is_empty: bool) -> ParseError:
        """The error of a file without any prediction: `reason`, where its lines could be read."""
        if first := self.first:
            reason = f"{first.reason}; no line that could be read holds a prediction"
            return ParseError(self._uri, first.line, reason)
        return ParseError(self._uri, 0, "is empty: not one line" if is_empty else reason)

    def doubt(self, n_read: int, what: str = "manifest lines") -> Iterator[Doubt]:
        """The lines that were left out, counted, besides `n_read` others."""
        if self._n:
            n_lines, more = n_read + self._n, "; …" if self._n > _N_NAMED else ""
            named = "; ".join(map(self._name, self._first)) + more
            yield Doubt(
                kind=DoubtKind.LINES_SKIPPED,
                text=f"{self._n} of {n_lines} {what} are malformed and were left out: {named}",
                count=self._n,
                of=n_lines,
            )

    def _name(self, error: ParseError) -> str:
        return f"line {error.line}: {error.reason}" if self._uri else str(error)


def read_lines(
    decoder: Decoder[T],
    chunks: Iterable[bytes],
    uri: str,
    read: Callable[[int, T], None],
    bad_lines: BadLines,
) -> int:
    """Give each line of a file and its number, from 1, to `read`; how many lines it took.

    Raises:
        ParseError: A line cannot be decoded or `read` raised `ValueError`, and such lines are not
            to be left out.
    """
    n_read, add = 0, partial(bad_lines.add, uri=uri)
    for first, lines in iter_json_lines(decoder, chunks, uri, add):
        for number, line in enumerate(lines, first):
            try:
                read(number, line)
            except ValueError as exc:
                add(number, exc)
            else:
                n_read += 1
    return n_read


def malformed(what: str, found: object, expected: str) -> ValueError:
    """The error of a line that has something else where `expected` belongs."""
    return ValueError(f"{what} is {show(found)}, not {expected}")


def check_place(what: str, found: object, expected: str = "the place of an image") -> str:
    """The place that a line names under the key `what`.

    Raises:
        ValueError: It names none.
    """
    if not isinstance(found, str) or not found or "\0" in found:
        raise malformed(what, found, expected)
    return found

"""Malformed lines of a manifest: one fails the file, or all are left out and counted."""

from collections.abc import Iterator

from mlrek.errors import ParseError
from mlrek.evaluation import Doubt
from mlrek.formats.doubts import doubt_skipped
from mlrek.formats.json_text import show

_N_NAMED = 3


class BadLines:
    """What to do about malformed lines of one file; memory stays bounded however many there are."""

    def __init__(self, uri: str, *, skip: bool) -> None:
        self._uri = uri
        self._skip = skip
        self._n = 0
        self._first: list[ParseError] = []

    @property
    def first(self) -> ParseError | None:
        """The first line that was left out, as the error it would have been."""
        return self._first[0] if self._first else None

    def add(self, number: int, exc: ValueError) -> None:
        """Take note of a line that is left out.

        Raises:
            ParseError: Lines are not to be left out.
        """
        error = ParseError(self._uri, number, str(exc))
        if not self._skip:
            raise error from exc
        self._n += 1
        if self._n <= _N_NAMED:
            self._first.append(error)

    def doubt(self, n_read: int, what: str = "manifest lines") -> Iterator[Doubt]:
        """The lines that were left out, counted, besides `n_read` others."""
        named = "; ".join(f"line {error.line}: {error.reason}" for error in self._first)
        more = "; …" if self._n > _N_NAMED else ""
        yield from doubt_skipped(self._n, n_read + self._n, what, named + more)


def malformed(what: str, found: object, expected: str) -> ValueError:
    """The error of a line that has something else where `expected` belongs."""
    return ValueError(f"{what} is {show(found)}, not {expected}")

"""Tells whoever wants to know how the files of a place are looked through."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self, TypeAlias, TypeVar

MAX_KINDS = 4
"""Kinds of files that a message names, the most frequent first."""
_EVERY = 50
"""Files from one message to the next."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """How far a search for evaluations is: files found so far, or looked into, of all (0: unknown).

    >>> str(Searched(place="/data", files=1200))
    'looking for evaluation outputs in /data: 1,200 files so far'
    >>> str(Searched(place="/data", files=1200, total=4500))
    'looking for evaluation outputs in /data: 1,200 of 4,500 files'
    """

    place: str
    files: int
    total: int = 0
    is_over: bool = False

    def __str__(self) -> str:
        of = f" of {self.total:,} files" if self.total else " files so far"
        return f"looking for evaluation outputs in {self.place}: {self.files:,}{of}"


OnSearched: TypeAlias = Callable[[Searched], None]


def _ignore(_found: Searched) -> None:
    """Nobody watches."""


_watcher: ContextVar[OnSearched] = ContextVar("watcher", default=_ignore)


@contextmanager
def watch_searches(tell: OnSearched) -> Iterator[None]:
    """Tell how searches go on that are begun in this block."""
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


def is_watched() -> bool:
    """Whether anybody is told."""
    return _watcher.get() is not _ignore


class Search:
    """One search, from the first file that is listed to the last that is looked into."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.tell = _watcher.get()
        self.total = 0
        self.looked = 0

    def __enter__(self) -> Self:
        self.tell(Searched(place=self.place, files=0))
        return self

    def __exit__(self, *_raised: object) -> None:
        self.tell(Searched(place=self.place, files=self.looked, is_over=True))

    def count(self, files: Iterable[T]) -> list[T]:
        """The files, told while they are listed."""
        found = []
        for file in files:
            found.append(file)
            if len(found) % _EVERY == 0:
                self.tell(Searched(place=self.place, files=len(found)))
        self.total = len(found)
        return found

    def look(self) -> None:
        """One more file is looked into; several threads may say so at once."""
        self.looked += 1
        if self.looked % _EVERY == 0:
            looked = min(self.looked, self.total)
            self.tell(Searched(place=self.place, files=looked, total=self.total))


def say_kinds(names: Iterable[str]) -> str:
    """Which kinds of files there are, by the ends of their names.

    >>> say_kinds(["a.py", "b.py", "c.PNG", "README"])
    '2 .py, 1 .png, 1 without an ending'
    """
    counts = Counter(PurePosixPath(name).suffix.lower() or "without an ending" for name in names)
    kinds = sorted(counts.items(), key=lambda kind: (-kind[1], kind[0]))
    shown = [f"{count:,} {kind}" for kind, count in kinds[:MAX_KINDS]]
    others = sum(count for _, count in kinds[MAX_KINDS:])
    return ", ".join([*shown, *([f"{others:,} others"] if others else [])])

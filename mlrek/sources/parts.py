"""The files of one version, opened one by one: what was read, and what is gone, is remembered."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Self

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import SourceFile
from mlrek.printable import escape_unencodable
from mlrek.sources.catalogue import OnBytes, Part, ReadOptions, VersionEntry
from mlrek.sources.storage import Storage, join_document


class PartReader:
    """Opens the files of one version, until it is left. `gone` says in words what is not there."""

    def __init__(
        self, storage: Storage, options: ReadOptions, on_bytes: OnBytes | None = None
    ) -> None:
        self.storage = storage
        self.options = options
        self.gone: list[str] = []
        self._on_bytes = on_bytes
        self._measured: list[_Measured] = []
        self._more: list[SourceFile] = []

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The files that were read to their end."""
        return (*(file.describe() for file in self._measured if file.is_whole), *self._more)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in self._measured:
            file.close()

    def open(self, part: Part) -> Iterable[bytes]:
        """The chunks of a file.

        Raises:
            SourceNotFoundError: It is not there.
        """
        chunks = self.storage.read(part.uri, part.version_id)
        self._measured.append(_Measured(part, chunks, self._on_bytes))
        return self._measured[-1]

    def open_if_there(self, part: Part, loss: str) -> Iterable[bytes] | None:
        """The chunks of a file; None when it is gone, which `loss` says ({said}: why)."""
        try:
            return self.open(part)
        except SourceNotFoundError as exc:
            self.gone.append(loss.format(said=exc))
            return None

    def read(self, part: Part) -> bytes:
        """The whole content of a small file.

        Raises:
            SourceNotFoundError: It is not there.
        """
        return join_document(part.uri, self.open(part))

    def find(self, entry: VersionEntry, role: str, loss: str) -> list[Part]:
        """The parts of one role; where none is named, that is a loss too."""
        parts = [part for part in entry.parts if part.role == role]
        if not parts:
            self.gone.append(loss.format(said="none is named"))
        return parts

    def add_file(self, file: SourceFile) -> None:
        """Remember what was read in another way."""
        self._more.append(file)


def chain_lines(files: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The lines of all files; the next file begins on a new line."""
    last = b"\n"
    for chunks in files:
        if not last.endswith(b"\n"):
            yield b"\n"
        for last in chunks:
            yield last


class _Measured:
    """Chunks of a file that are counted and hashed as they pass."""

    def __init__(self, part: Part, chunks: Iterator[bytes], on_bytes: OnBytes | None) -> None:
        self._part, self._chunks, self._on_bytes = part, chunks, on_bytes
        self._size, self._sha256 = 0, sha256()
        self.is_whole = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._size += len(chunk)
            self._sha256.update(chunk)
            if self._on_bytes is not None:
                self._on_bytes(len(chunk))
            yield chunk
        self.is_whole = True

    def close(self) -> None:
        """Let go of a file that was opened and not read to its end."""
        if self.is_whole:
            return
        with suppress(SourceError):
            next(self._chunks, None)  # what never began does not clean up behind itself
        if isinstance(self._chunks, Generator):
            self._chunks.close()

    def describe(self) -> SourceFile:
        """What was read."""
        part = self._part
        uri, digest = part.origin or part.uri, self._sha256.hexdigest()
        return SourceFile(
            role=part.role, uri=escape_unencodable(uri), size=self._size, sha256=digest
        )

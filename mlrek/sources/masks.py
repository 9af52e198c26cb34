"""Masks that a manifest names: read where it says, or beside the manifest when it was moved."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import islice

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import SourceFile
from mlrek.printable import escape_unencodable
from mlrek.sources.storage import S3_SCHEME, Storage, join_uri, parse_s3_uri, read_bytes

READERS = 8
WINDOW = 32  # masks held at once: each may have many megabytes


class MaskFolder:
    """Reads the masks that a manifest in `folder` names, and remembers what it read.

    A manifest in S3 is taken at its word first. Otherwise the mask lies below the manifest's folder
    under the end of its path, the longest that there is: `s3://bucket/a/masks/1.png` at
    `a/masks/1.png`, `masks/1.png` or `1.png`. No path leaves the folder.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self.n_read = 0
        self._storage = storage
        self._folder = folder
        self._size = 0
        self._sha256 = sha256()
        self._depth = 0  # of the last path found: the next one is likely to be alike

    def read(self, uris: Sequence[str]) -> Iterator[bytes | SourceError]:
        """The content of each mask in order, or why it cannot be read."""
        left = iter(uris)
        with ThreadPoolExecutor(READERS) as pool:
            while window := list(islice(left, WINDOW)):
                for content in pool.map(self.read_one, window):
                    self._add(content)
                    yield content

    def read_one(self, uri: str) -> bytes | SourceError:
        """The content, or why there is none: what forbids it says more than what is not there."""
        missing: SourceError = SourceNotFoundError(
            uri, f"no such mask there, nor below {self._folder}"
        )
        refused: SourceError | None = None
        for depth, place in self._list_places(uri):
            try:
                content = read_bytes(self._storage, place)
            except SourceNotFoundError:
                continue
            except SourceError as exc:
                refused = refused or exc
                continue
            self._depth = depth
            return content
        return refused or missing

    def describe(self) -> SourceFile:
        """All masks that were read, as one file: the digest is of their contents in order."""
        return SourceFile(
            role="masks",
            uri=escape_unencodable(self._folder),
            size=self._size,
            sha256=self._sha256.hexdigest(),
        )

    def _add(self, content: bytes | SourceError) -> None:
        if isinstance(content, bytes):
            self.n_read += 1
            self._size += len(content)
            self._sha256.update(len(content).to_bytes(8) + content)

    def _list_places(self, uri: str) -> Iterator[tuple[int, str]]:
        """Where it may be; first as deep as the mask before it was found."""
        if self._folder.startswith(S3_SCHEME) and uri.startswith(S3_SCHEME):
            yield self._depth, uri
        path = parse_s3_uri(uri)[1] if uri.startswith(S3_SCHEME) else uri
        parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
        last = self._depth
        for depth in sorted(range(len(parts)), key=lambda depth: depth != last):
            yield depth, join_uri(self._folder, *parts[depth:])

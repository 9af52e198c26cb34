"""A few test images, for pictures: where they can be read, and silence where they cannot.

What cannot be read just now is an error: a run without its pictures would stay so for ever.
"""

import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from mlrek.errors import SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.figures.pictures import Unread
from mlrek.sources.entries import VersionEntry
from mlrek.sources.storage import (
    S3_SCHEME,
    FileTooLargeError,
    LocalStorage,
    Storage,
    join_uri,
    parse_s3_uri,
)
from mlrek.sources.tree import PROJECT_FILE, VERSIONS_FOLDER

IMAGES_FOLDER: Final = "images"
"""On a disk images may also lie in a folder of this name in a place that is searched."""

READERS: Final = 8

MAX_SIZE: Final = 32 << 20
"""Bytes of an image: the services take half of it. Larger ones are not read."""

SMALL_SIZE: Final = 4 << 20
"""Bytes of an image that is read together with others; larger ones are read one by one."""

T = TypeVar("T")

_Place: TypeAlias = tuple[str, int]
"""A folder, and how many leading folders of an image's path are not there; '': where it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What tells the bytes of an image from others, and the file that holds them."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When to stop asking: a run must not wait for pictures.

    The first images are asked for one by one; where `first` of them in a row cannot be read, none
    will be (access is denied, or they are elsewhere). Later `in_a_row` may fail. The whole takes
    `seconds`, and what was asked for by then.
    """

    first: int = 3
    in_a_row: int = 40
    seconds: float = 20.0


BRIEF: Final = Deadline()
LONG: Final = Deadline(seconds=60.0)
"""For a folder that somebody named."""


def read_images(
    storage: Storage, entry: VersionEntry, uris: Sequence[str], patience: Deadline = BRIEF
) -> Iterator[bytes]:
    """The content of each image in order; b'' for one that is not there, or is not asked for.

    Of one that may not be read it is `Unread`, which has no byte either.

    Raises:
        SourceInterruptedError: One cannot be read just now: a login that expired, a busy service.
    """
    return _read(_Finder(storage, _list_places(entry), follows_links=False), uris, patience)


def read_images_below(
    storage: Storage, folder: str, uris: Sequence[str], patience: Deadline = LONG
) -> Iterator[bytes]:
    """The same of images in one folder, each under the longest end of its path that is there."""
    return _read(_Finder(storage, [folder], trusts_uris=False), uris, patience)


def digest_images(
    entry: VersionEntry,
    uris: Sequence[str],
    *,
    folder: str = "",
    sizes: Collection[int] | None = None,
) -> Iterator[Digest | None]:
    """Size and SHA-256 of images on this machine in order, None for one that is not there.

    They are looked for where `read_images` does, or in a `folder` as `read_images_below` does, but
    always in the same order, so that a name is the same file each time.

    Args:
        entry: Whose images they are.
        uris: The images.
        folder: Where they are, '' for where the version's files are.
        sizes: Files of any other size are not read, and have no SHA-256.
    """
    digester = _Digester(
        folders=(folder,) if folder else tuple(_list_places(entry)),
        follows_links=bool(folder),
        sizes=sizes,
    )
    return _ask(digester.digest, uris, BRIEF)


class _Finder:
    """Reads images, first as the last one was found.

    Unless `follows_links`, what a link below a folder leads to outside of it is not there: the
    folder may be a stranger's.
    """

    def __init__(
        self,
        storage: Storage,
        folders: Sequence[str],
        *,
        trusts_uris: bool = True,
        follows_links: bool = True,
    ) -> None:
        self._storage = storage
        self._folders = folders
        self._follows_links = follows_links
        in_s3 = bool(folders) and folders[0].startswith(S3_SCHEME)
        self._trusts_uris = trusts_uris and in_s3
        self._last: _Place | None = None

    def read_small(self, uri: str) -> bytes | None:
        """The content; b'' where no place has it, None where it is too large to hold several."""
        try:
            return self._read(uri, SMALL_SIZE)
        except FileTooLargeError:
            return None

    def read_large(self, uri: str) -> bytes:
        """The content; b'' where no place has it, or it is larger than any image of a service."""
        try:
            return self._read(uri, MAX_SIZE)
        except FileTooLargeError:
            return b""

    def _read(self, uri: str, max_size: int) -> bytes:
        """The content; b'' where no place has it, `Unread` where one does not let it be read.

        Raises:
            FileTooLargeError: It is larger.
            SourceInterruptedError: It cannot be read just now.
        """
        last, refused = self._last, b""
        places = [place for place in self._list_places(uri) if place != last]
        for place in ([last] if last else []) + places:
            where = _locate(uri, place)
            if _is_missing(where) or (not self._follows_links and _leads_out(place[0], where)):
                continue
            try:
                content = b"".join(self._storage.read(where, max_size=max_size))
            except (SourceInterruptedError, FileTooLargeError):
                raise
            except SourceNotFoundError:
                continue
            except SourceError as exc:
                refused = refused or Unread(exc.reason)
                continue
            self._last = place
            return content
        return refused

    def _list_places(self, uri: str) -> Iterator[_Place]:
        if self._trusts_uris and uri.startswith(S3_SCHEME):
            yield "", 0
        for folder in self._folders:
            for depth in range(len(_split(uri))):
                yield folder, depth


@dataclass(frozen=True, slots=True, kw_only=True)
class _Digester:
    """Digests images on this machine; see `_Finder` and `digest_images`."""

    folders: tuple[str, ...]
    follows_links: bool
    sizes: Collection[int] | None

    def digest(self, uri: str) -> Digest | None:
        """What is in the first place that has the image, unless it is too large for one."""
        parts = _split(uri)
        for folder in self.folders:
            for depth in range(len(parts)):
                path = join_uri(folder, *parts[depth:])
                size = _measure(path)
                if size is None or (not self.follows_links and _leads_out(folder, path)):
                    continue
                return self._digest(path, size) if size <= MAX_SIZE else None
        return None

    def _digest(self, path: str, size: int) -> Digest | None:
        if self.sizes is not None and size not in self.sizes:
            return Digest(path=path, size=size)
        digest, n_read = sha256(), 0
        try:
            for chunk in LocalStorage().read(path, max_size=MAX_SIZE):
                digest.update(chunk)
                n_read += len(chunk)
        except SourceError:
            return None
        return Digest(path=path, size=n_read, sha256=digest.hexdigest())


def _is_missing(place: str) -> bool:
    """Whether nothing is there on this machine; to read it would look for similar names, too."""
    if place.startswith(S3_SCHEME):
        return False
    try:
        os.stat(place)  # noqa: PTH116 - as in `_measure`
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # who reads it says why
        return False
    return False


def _measure(path: str) -> int | None:
    """Bytes of a plain file, None where there is none or it may not be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a `Path` for each of many names costs more than this
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _read(finder: _Finder, uris: Sequence[str], patience: Deadline) -> Iterator[bytes]:
    """The content of images in order; b'' for one that is not there."""

    def settle(uri: str, small: bytes | None) -> bytes:
        return finder.read_large(uri) if small is None else small

    found = _ask(finder.read_small, uris, patience, settle)
    return (b"" if content is None else content for content in found)


def _ask(
    ask: Callable[[str], T | None],
    uris: Sequence[str],
    patience: Deadline,
    settle: Callable[[str, T | None], T | None] = lambda _, found: found,
) -> Iterator[T | None]:
    """What is found of images in order, a window of them asked at once; None once patience is over.

    `settle` is called for one image after the other with what was found of it.
    """
    deadline = time.monotonic() + patience.seconds
    left, n_asked, failures, any_found = iter(uris), 0, 0, False
    with ThreadPoolExecutor(READERS) as pool:
        while window := list(islice(left, READERS if any_found else 1)):
            n_asked += len(window)
            for uri, first in zip(window, pool.map(ask, window), strict=True):
                found = settle(uri, first)
                failures = 0 if found else failures + 1
                any_found = any_found or bool(found)
                yield found
            most = patience.in_a_row if any_found else patience.first
            if failures >= most or time.monotonic() >= deadline:
                break
    yield from (None for _ in range(len(uris) - n_asked))


def _locate(uri: str, place: _Place) -> str:
    folder, depth = place
    return join_uri(folder, *_split(uri)[depth:]) if folder else uri


def _split(uri: str) -> list[str]:
    """The path of an image, without what would lead out of a folder."""
    path = parse_s3_uri(uri)[1] if uri.startswith(S3_SCHEME) else uri.partition("://")[2] or uri
    return [part for part in path.replace("\\", "/").split("/") if part not in {"", ".", ".."}]


def _leads_out(folder: str, place: str) -> bool:
    """Whether a place on this machine that is named below a folder is not in it."""
    if not folder or folder.startswith(S3_SCHEME):
        return False
    whole = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118 - with a slash at its end
    return not os.path.realpath(place).startswith(whole)


def _list_places(entry: VersionEntry) -> list[str]:
    """Where images may lie; on a disk also in a folder of their own there."""
    folders = _list_folders(entry)
    if folders and not folders[0].startswith(S3_SCHEME):
        folders += [f"{folder}/{IMAGES_FOLDER}" for folder in folders]
    return folders


def _list_folders(entry: VersionEntry) -> list[str]:
    """Where images may lie: the folder of the evaluation's first file, and its archive's.

    No other folder: what lies next to the folder of a stranger's manifest is none of its business.
    """
    folder = entry.parts[0].uri.replace("\\", "/").rpartition("/")[0] if entry.parts else ""
    if not folder.rstrip("/") or folder.endswith(":/"):  # `s3:/` of a bucket alone
        return []
    above, _, versions = folder.rpartition("/")[0].rpartition("/")
    if versions != VERSIONS_FOLDER or not above.rstrip("/"):
        return [folder]
    is_archive = above.startswith(S3_SCHEME) or Path(above, PROJECT_FILE).is_file()
    return [folder, above] if is_archive else [folder]

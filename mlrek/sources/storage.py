"""One way to list and read files, in a folder or below an S3 prefix.

A place is `s3://bucket/key` with the raw key (nothing is escaped), or a path on this machine.
"""

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from errno import ENAMETOOLONG
from functools import lru_cache, partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.sources.search import is_watched
from mlrek.text import find_nearest

_LOG = logging.getLogger("mlrek")
CHUNK = 1 << 20  # bytes read at a time
S3_SCHEME = "s3://"
_ACCESS_POINT = re.compile(
    r"arn:aws[a-z-]*:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][^/:]+"
    r"|arn:aws[a-z-]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][A-Za-z0-9-]+[/:]accesspoint[/:]"
    r"[A-Za-z0-9-]+"
)
MAX_SEARCHED = 20_000  # files of a folder without anything that looks like an evaluation
SAID_AFTER_S = 2.0
_EVALUATION_NAME = re.compile(
    r"^(?:Evaluation(?:Result|Manifest|Summary)|TestingGroundTruth)|^version\.json$"
    r"|evaluation[^/]*\.json$|predictions?_[0-9]+\.jsonl$|^data\.ya?ml$",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"\.(?:jpe?g|png|gif|bmp|webp|ico|tiff?)$", re.IGNORECASE)
_PICTURE_OR_BOXES = re.compile(rf"{_PICTURE.pattern}|\.txt$", re.IGNORECASE)
_LABELS = re.compile(r"(?:^|[/\\])labels(?:[/\\]|$)")
MAX_SIBLINGS = 10_000  # names of a folder among which one is looked for that was meant
MAX_MEANT = 3
MAX_SMALL_FILE = 4 << 20  # bytes
MAX_DOCUMENT = 256 << 20  # bytes; thousands of labels with all their curves take a tenth of it


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file below the place that was listed; `name` is its path from there, with slashes."""

    uri: str
    name: str
    size: int

    @property
    def own_name(self) -> str:
        """Its name without the folders."""
        return self.name.rpartition("/")[2]

    @property
    def ending(self) -> str:
        """What its name ends with from the last dot on, in small letters; '' without one."""
        start, dot, end = self.own_name.rpartition(".")
        return f"{dot}{end.lower()}" if start and end else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What tells two contents of a file apart without reading it (locally: with reading it).

    `md5` and `sha256` are empty where the storage does not tell them.
    """

    size: int
    etag: str = ""
    version_id: str = ""
    md5: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        told = {"etag": self.etag, "version": self.version_id, "sha256": self.sha256}
        return " ".join([f"size={self.size}", *(f"{k}={v}" for k, v in told.items() if v)])


class FileTooLargeError(SourceError):
    """A file has more bytes than were asked for."""


def check_size(uri: str, size: int, max_size: int | None) -> None:
    """Refuse a file that is larger than whoever reads it can use.

    Raises:
        FileTooLargeError: It is.
    """
    if max_size is not None and size > max_size:
        raise FileTooLargeError(uri, f"has {size:,} bytes, more than {max_size:,}")


class Storage(Protocol):
    """Where files are. Safe to use from several threads.

    Each method raises SourceNotFoundError for what is not there and SourceError for what may not
    be read.
    """

    def list_files(self, uri: str, *, deep: bool = True) -> Iterator[StoredFile]:
        """The files below `uri` (not `deep`: right below it), or the one file that it is.

        Hidden ones, with a leading dot in the name or a folder's name, are left out.
        """

    def read(
        self, uri: str, version_id: str = "", *, max_size: int | None = None
    ) -> Iterator[bytes]:
        """The content in chunks. The file is opened by the call, not by the first chunk.

        Raises:
            FileTooLargeError: It has more than `max_size` bytes; none of them was read.
        """

    def read_head(self, uri: str, size: int) -> bytes:
        """The first `size` bytes."""

    def read_state(self, uri: str, version_id: str = "") -> FileState:
        """What tells this content from another."""


def path_exists(text: str) -> bool:
    """Whether a file or folder of this name is on this machine; no disk holds an endless name.

    Raises:
        SourceError: This user may not even look.
    """
    try:
        return Path(text).exists()
    except OSError as exc:
        if exc.errno == ENAMETOOLONG:
            return False
        raise _explain(text, exc) from exc


def find_local_size(uri: str) -> int | None:
    """The bytes of a file of this machine; None where there is no such file."""
    try:
        path = Path(uri)
        return path.stat().st_size if "://" not in uri and path.is_file() else None
    except (OSError, ValueError):  # nobody may look there, or it is no path at all
        return None


def say_missing_path(text: str) -> str:
    """That no file or folder is called so, and what next to it has nearly that name."""
    path = Path(text)
    names: list[str] = []
    try:
        while path.parent != path and not path.parent.is_dir():
            path = path.parent
        names = [one.name for one in islice(path.parent.iterdir(), MAX_SIBLINGS)]
    except (OSError, ValueError):  # nobody may look there, or it is no path at all
        pass
    near = [name for name in find_nearest(path.name, names) if not is_hidden(name)]
    meant = " or ".join(str(Path(path.parent, name)) for name in near[:MAX_MEANT])
    return "no such file or folder" + (f"; did you mean {meant}?" if meant else "")


def read_bytes(storage: Storage, uri: str) -> bytes:
    """The whole content of a file that is one document.

    Raises:
        SourceError: It is longer than any document is.
    """
    return join_document(uri, storage.read(uri))


def join_document(uri: str, chunks: Iterable[bytes]) -> bytes:
    """The chunks of a file that is one document; what has no end is not followed.

    Raises:
        SourceError: It is longer than any document is.
    """
    joined, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_DOCUMENT:
            reason = (
                f"is longer than {MAX_DOCUMENT >> 20} MiB: this is no document of an evaluation"
            )
            raise SourceError(uri, reason)
        joined.append(chunk)
    return b"".join(joined)


def read_small_text(path: str, encoding: str = "utf-8") -> str:
    """The text of a file that people write by hand, in a file or a pipe.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such text, or longer than anybody writes.
    """
    with Path(path).open("rb") as file:
        content = file.read(MAX_SMALL_FILE + 1)
    if len(content) > MAX_SMALL_FILE:
        raise ValueError(f"it is longer than {MAX_SMALL_FILE >> 20} MiB")
    return content.decode(encoding)


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and raw key. The ARN of an access point serves as a bucket, as for `aws s3`.

    >>> parse_s3_uri("s3://bucket/a b/arn:aws:x.json")
    ('bucket', 'a b/arn:aws:x.json')
    >>> parse_s3_uri("s3://arn:aws:s3:us-east-1:123456789012:accesspoint/my-ap/a/b.json")
    ('arn:aws:s3:us-east-1:123456789012:accesspoint/my-ap', 'a/b.json')
    """
    place = uri.removeprefix(S3_SCHEME)
    if match := _ACCESS_POINT.match(place):
        return match[0], place[match.end() :].removeprefix("/")
    bucket, _, key = place.partition("/")
    return bucket, key


def parent_uri(uri: str) -> str:
    """The folder or prefix around `uri`; a bucket and a root are their own parents."""
    if uri.startswith(S3_SCHEME):
        bucket, key = parse_s3_uri(uri.rstrip("/"))
        return f"{S3_SCHEME}{bucket}/{key.rpartition('/')[0]}".rstrip("/")
    folder, _, name = uri.rpartition("/")
    is_plain = folder[-1:] not in {"", "/", ":"} and not uri.startswith("//")
    if is_plain and name not in {"", ".", ".."} and os.sep not in name:
        return _tidy(folder)
    path = Path(uri)
    return str(path.parent if path.name not in ("", "..") else path.resolve().parent)


@lru_cache
def _tidy(folder: str) -> str:
    """A folder as paths spell it; thousands of pictures lie in one."""
    return str(Path(folder))


def join_uri(uri: str, *names: str) -> str:
    """A place below `uri`."""
    if uri.startswith(S3_SCHEME):
        return "/".join([uri.rstrip("/"), *names])
    return str(Path(uri, *names))


def is_hidden(name: str) -> bool:
    """Whether a path from the listed place goes through something with a leading dot."""
    return any(part.startswith(".") for part in name.split("/"))


@dataclass(slots=True)
class Walk:
    """Watches over a search through folders: says where it is, and stops it in the wrong place.

    Pictures, and the files of boxes in a folder `labels`, do not count: thousands may lie there.
    """

    uri: str
    n_files: int = 0
    has_evaluation: bool = False
    says_at: float = field(default_factory=lambda: time.monotonic() + SAID_AFTER_S)

    def enter(self, folder: str, names: Iterable[str]) -> None:
        """Take note of a folder and the names of its files.

        Raises:
            SourceError: There are too many files before the first that looks like an evaluation's.
        """
        names = list(names)
        many = _PICTURE_OR_BOXES if _LABELS.search(folder) else _PICTURE
        self.n_files += sum(not many.search(name) for name in names)
        self.has_evaluation = self.has_evaluation or any(map(_EVALUATION_NAME.search, names))
        if time.monotonic() > self.says_at and not is_watched():
            _LOG.warning("looking through %s: %s files so far", self.uri, self.n_files)
            self.says_at = float("inf")
        if self.n_files > MAX_SEARCHED and not self.has_evaluation:
            raise SourceError(
                self.uri,
                f"no evaluation among its first {self.n_files} files (searched as far as "
                f"{folder}); name the folder that holds them",
            )


class LocalStorage:
    """Files on this machine."""

    def list_files(self, uri: str, *, deep: bool = True) -> Iterator[StoredFile]:
        """See `Storage`; links to folders are not followed."""
        root = Path(uri)
        if root.is_file():
            yield _stat_file(root, root.name)
            return
        _check_kind(root)
        walk = Walk(uri)
        for folder, folders, names in os.walk(root, onerror=partial(_raise_for, uri)):
            if deep:
                walk.enter(folder, names)
            folders[:] = [name for name in folders if deep and not is_hidden(name)]
            one = Path(folder, "x")  # of pictures there are thousands: paths are joined once
            uris, below = str(one)[:-1], one.relative_to(root).as_posix()[:-1]
            for name in (name for name in names if not is_hidden(name)):
                size = _find_size(uris + name)
                if size is not None:
                    yield StoredFile(uri=uris + name, name=below + name, size=size)

    def read(
        self,
        uri: str,
        version_id: str = "",  # noqa: ARG002 (the protocol's)
        *,
        max_size: int | None = None,
    ) -> Iterator[bytes]:
        """See `Storage`."""
        try:
            _check_kind(Path(uri))
            check_size(uri, Path(uri).stat().st_size, max_size)
            file = Path(uri).open("rb")  # noqa: SIM115 (closed by the iterator)
        except (OSError, ValueError) as exc:
            raise _explain(uri, exc) from exc

        def chunks() -> Iterator[bytes]:
            with file:
                try:
                    while chunk := file.read(CHUNK):
                        yield chunk
                except OSError as exc:
                    raise _explain(uri, exc) from exc

        return chunks()

    def read_head(self, uri: str, size: int) -> bytes:
        """See `Storage`."""
        try:
            _check_kind(Path(uri))
            with Path(uri).open("rb") as file:
                return file.read(size)
        except (OSError, ValueError) as exc:
            raise _explain(uri, exc) from exc

    def read_state(self, uri: str, version_id: str = "") -> FileState:
        """See `Storage`; reads the file, for nothing less tells contents apart."""
        size, digest = 0, sha256()
        for chunk in self.read(uri, version_id):
            size += len(chunk)
            digest.update(chunk)
        return FileState(size=size, sha256=digest.hexdigest())


def _check_kind(path: Path) -> None:
    """Refuse what may never end, or never begin, to give bytes: a device, a pipe, a socket."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise SourceError(str(path), "is no plain file; save its content in a file first")


def _stat_file(path: Path, name: str) -> StoredFile:
    return StoredFile(uri=str(path), name=name, size=path.stat().st_size)


def _find_size(place: str) -> int | None:
    """The bytes of a plain file; None for anything else, and for a link to nothing."""
    try:
        found = os.stat(place)  # noqa: PTH116 - half of what a Path takes, and there are thousands
    except (OSError, ValueError):
        if Path(place).exists():
            raise
        return None
    return found.st_size if S_ISREG(found.st_mode) else None


def _raise_for(uri: str, exc: OSError) -> None:
    raise _explain(str(exc.filename or uri), exc) from exc


def _explain(uri: str, exc: Exception) -> SourceError:
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return SourceNotFoundError(uri, say_missing_path(uri))
    if isinstance(exc, IsADirectoryError):
        return SourceError(uri, "is a folder, where a file should be")
    if isinstance(exc, PermissionError):
        return SourceError(uri, "permission denied; make it readable for this user")
    return SourceError(uri, f"cannot be read: {getattr(exc, 'strerror', None) or exc}")

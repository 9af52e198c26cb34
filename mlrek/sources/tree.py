"""The files below a place, as those who look for evaluations among them see it."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import PurePath, PurePosixPath
from typing import TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from mlrek.errors import ParseError, SourceError, SourceNotFoundError
from mlrek.evaluation import Project, Provider
from mlrek.formats.json_text import HEAD_BYTES, decode_json, say_other, say_unreadable
from mlrek.formats.lines import BYTE_ORDER_MARK
from mlrek.formats.sniff import FileKind, Role, Service, sniff, sniff_inside
from mlrek.sources.entries import Part, VersionEntry
from mlrek.sources.storage import Storage, StoredFile, join_uri, parent_uri, read_bytes

MAX_BYTES = 200  # disks end at 255; a temporary name needs some of the rest
MAX_SUFFIX = 16

_UNSAFE = frozenset('<>:"/\\|?*')
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cs"))  # control characters, lone surrogates
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)

PROJECT_FILE = "project.json"
VERSION_FILE = "version.json"
VERSIONS_FOLDER = "versions"
MAX_READERS = 16  # small files read at once

T = TypeVar("T")


class ProjectFile(Struct, frozen=True, kw_only=True):
    """What an archive's `project.json` says; `read_at` is ISO 8601, UTC."""

    provider: str
    project_arn: str
    project_name: str
    read_at: str = ""
    read_by: str = ""
    read_from: str = ""


_PROJECT_DECODER = Decoder(ProjectFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The archive around a file: its project, or why that is not known."""

    project: Project | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVersions:
    """What a finder made of a tree: the versions, and the files (URIs) that are nobody else's."""

    entries: Sequence[VersionEntry]
    taken: frozenset[str]


def _look() -> None:
    """Nobody counts."""


@dataclass(slots=True)
class Tree:
    """Files in order of their names. Each head and each `project.json` is read once.

    `chosen` is the URI of the file that was named, '' when it was a folder. `on_look` is called
    for each file that is looked into.
    """

    storage: Storage
    files: Sequence[StoredFile]
    chosen: str = ""
    on_look: Callable[[], None] = _look
    _heads: dict[str, bytes | SourceError] = field(default_factory=dict)
    _around: dict[str, Around] = field(default_factory=dict)
    _kinds: dict[str, FileKind | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.files = sorted(self.files, key=lambda file: file.name)

    def without(self, taken: Iterable[str]) -> "Tree":
        """The same tree without some files; what was read of it stays known."""
        gone = frozenset(taken)
        left = [file for file in self.files if file.uri not in gone]
        known = (self._heads, self._around, self._kinds)
        return Tree(self.storage, left, self.chosen, self.on_look, *known)

    def list_right_in(self, folders: Collection[str]) -> list[StoredFile]:
        """The files right in one of some folders."""
        return [file for file in self.files if parent_uri(file.uri) in folders] if folders else []

    def read(self, file: StoredFile) -> bytes:
        """The whole content of a small file."""
        return read_bytes(self.storage, file.uri)

    def read_head(self, file: StoredFile) -> bytes:
        """The first `HEAD_BYTES`.

        Raises:
            SourceError: It may not be read.
        """
        if file.uri not in self._heads:
            self.on_look()
            try:
                self._heads[file.uri] = self.storage.read_head(file.uri, HEAD_BYTES)
            except SourceError as exc:
                self._heads[file.uri] = exc
        head = self._heads[file.uri]
        if isinstance(head, SourceError):
            raise head
        return head

    def sniff(self, file: StoredFile) -> FileKind | None:
        """What a file is by its head.

        Raises:
            SourceError: It may not be read.
        """
        if file.uri not in self._kinds:
            name = PurePosixPath(file.name).name
            self._kinds[file.uri] = sniff(self.read_head(file), name)
        return self._kinds[file.uri]

    def find_around(self, file: StoredFile) -> Around:
        """The archive in which a file below `versions/VERSION` lies."""
        versions = parent_uri(parent_uri(file.uri))
        if PurePath(versions).name != VERSIONS_FOLDER:
            return Around()
        uri = join_uri(parent_uri(versions), PROJECT_FILE)
        if uri not in self._around:
            self._around[uri] = _read_around(self.storage, uri)
        return self._around[uri]

    def list_unreadable(self) -> list[SourceError]:
        """Why heads of files that are still here cannot be read."""
        return [
            error
            for file in self.files
            if isinstance(error := self._heads.get(file.uri), SourceError)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a file of a service holds, or should hold; `broken` says why it cannot be read."""

    role: Role
    broken: str = ""


def inspect(
    tree: Tree,
    file: StoredFile,
    service: Service,
    wanted: Collection[Role],
    *,
    named: Role | None,
    claim: Callable[[], Role | None] = lambda: None,
) -> Seen | None:
    """What a file of a service is by its head; None when it is nothing that is wanted of it.

    Args:
        tree: Where it lies.
        file: The file.
        service: Whose files are looked for.
        wanted: What they may hold.
        named: What its name says; a file that holds something else is broken, not overlooked.
        claim: What its place says, where its content says nothing.
    """
    role = None
    try:
        kind, head = tree.sniff(file), tree.read_head(file)
        role = Role(kind.role) if kind and kind.service is service else claim()
        if role and role in wanted and named in {None, role}:
            return Seen(role=role)
        packed = named or (None if role else _sniff_packed(head, file, service))
        if packed is None or packed not in wanted:
            return None
        return Seen(role=packed, broken=f"{file.uri}: {_say_other(head, role, packed)}")
    except SourceError as exc:
        known = role or named
        return None if known is None else Seen(role=known, broken=str(exc))


def _sniff_packed(head: bytes, file: StoredFile, service: Service) -> Role | None:
    kind = sniff_inside(head, PurePosixPath(file.name).name)
    return Role(kind.role) if kind and kind.service is service else None


def _say_other(head: bytes, found: Role | None, named: Role) -> str:
    """What a file is that should be another one of the service's."""
    if found is None:
        return say_other(head, of_lines=named is Role.MANIFEST)
    return f"holds another file of the service's ({found.replace('_', ' ')}) under this name"


def read_all(read: Callable[[StoredFile], T | None], files: Iterable[StoredFile]) -> list[T]:
    """What each file says, in order, without those that say nothing; several at once.

    To hand a file over takes longer than to see by its name that it is of no use.
    """
    with ThreadPoolExecutor(MAX_READERS) as pool:
        return [said for said in pool.map(read, files) if said is not None]


def is_description(file: StoredFile) -> bool:
    """Whether it has the name of an archived version's description."""
    return file.own_name == VERSION_FILE


def place_parts(parts: Iterable[Part], folder: str) -> tuple[Part, ...]:
    """The parts as an archive keeps them: in the version's folder, under safe names."""
    parts = tuple(parts)
    keys: Mapping[tuple[str, str], str] = {
        (part.origin, part.version_id): part.name or part.origin for part in parts
    }
    names = name_files(list(keys.values()), taken=(VERSION_FILE,))
    placed = dict(zip(keys, names, strict=True))
    return tuple(
        Part(
            role=part.role,
            uri=join_uri(folder, placed[part.origin, part.version_id]),
            origin=part.origin,
        )
        for part in parts
    )


def read_project(storage: Storage, uri: str) -> Project | None:
    """The project that a `project.json` names; None when there is no such file.

    Raises:
        ParseError: The file is not what it should be.
    """
    try:
        data = read_bytes(storage, uri)
    except SourceNotFoundError:
        return None
    try:
        said = decode_json(_PROJECT_DECODER, data.removeprefix(BYTE_ORDER_MARK))
        return Project(
            provider=Provider(said.provider), arn=said.project_arn, name=said.project_name
        )
    except ValueError as exc:
        raise ParseError(uri, 0, say_unreadable(data, exc, what="the head of an archive")) from exc


def _read_around(storage: Storage, uri: str) -> Around:
    try:
        return Around(project=read_project(storage, uri))
    except SourceError as exc:
        return Around(warnings=(f"{exc}; the project is taken from the versions' own ARNs",))


def make_safe_name(name: str) -> str:
    r"""One path component that looks like `name` and is safe on Linux, macOS and Windows.

    >>> make_safe_name("EvaluationResultSummary-P-v 1.json")
    'EvaluationResultSummary-P-v 1.json'
    >>> make_safe_name("..")
    '__'
    >>> make_safe_name("C:\\x")
    'C__x'
    """
    safe = "".join("_" if _is_unsafe(c) else c for c in name) or "_"
    if safe[0] == ".":
        safe = "_" + safe[1:]
    if safe[-1] in ". ":
        safe = safe[:-1] + "_"
    if safe.partition(".")[0].rstrip().casefold() in _DEVICES:
        safe = "_" + safe
    return safe if len(safe.encode()) <= MAX_BYTES else _cut(safe)


def name_files(keys: Sequence[str], *, taken: Collection[str] = ()) -> tuple[str, ...]:
    """A file name for each key: its last part made safe, numbered where two would be the same.

    Two names are the same when a disk may take them so (case, composed characters). The answer
    depends on nothing but the keys, so reader and writer of an archive agree.

    >>> name_files(["a/x.json", "b/X.json", "c/"])
    ('x.json', 'X-2.json', '_')
    """
    used = {fold_file_name(name) for name in taken}
    names = []
    for key in keys:
        name = next(
            n
            for n in _variants(make_safe_name(key.rpartition("/")[2]))
            if fold_file_name(n) not in used
        )
        used.add(fold_file_name(name))
        names.append(name)
    return tuple(names)


def fold_file_name(name: str) -> str:
    """What two names have in common that a disk may take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _variants(name: str) -> Iterator[str]:
    yield name
    path = PurePosixPath(name)
    for n in count(2):
        yield f"{path.stem}-{n}{path.suffix}"


def _is_unsafe(character: str) -> bool:
    return character in _UNSAFE or unicodedata.category(character) in _UNSAFE_CATEGORIES


def _cut(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    suffix = suffix if len(suffix.encode()) <= MAX_SUFFIX else ""
    digest = sha256(name.encode()).hexdigest()[:8]
    room = MAX_BYTES - len(suffix.encode()) - len(digest) - 1
    return f"{name.encode()[:room].decode(errors='ignore')}-{digest}{suffix}"

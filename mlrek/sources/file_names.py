"""Names from a provider -> names that are safe on every disk and never leave their folder."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from itertools import count
from pathlib import PurePosixPath

MAX_BYTES = 200  # disks end at 255; a temporary name needs some of the rest
MAX_SUFFIX = 16

_UNSAFE = frozenset('<>:"/\\|?*')
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cs"))  # control characters, lone surrogates
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)


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
    used = {fold_name(name) for name in taken}
    names = []
    for key in keys:
        name = next(
            n for n in _variants(make_safe_name(key.rpartition("/")[2])) if fold_name(n) not in used
        )
        used.add(fold_name(name))
        names.append(name)
    return tuple(names)


def fold_name(name: str) -> str:
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

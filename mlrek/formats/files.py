"""Files of a model from anywhere as they are read: one file, or all below a folder."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

from mlrek.formats.json_text import HEAD_BYTES

ITSELF: Final = ""
"""The name of a file below its own place."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files at a place: `names` are paths below `uri`, with `/`, sorted; `ITSELF` for one file.

    What one file needs from next to it is in `names` too.
    `read` gives the content of a file by its name, in chunks of any size.
    """

    uri: str
    names: tuple[str, ...]
    read: Callable[[str], Iterable[bytes]]

    @property
    def is_folder(self) -> bool:
        """Whether the place is a folder."""
        return ITSELF not in self.names

    @cached_property
    def head(self) -> bytes:
        """The first bytes of the one file, enough to tell what it is; b'' of a folder."""
        return b"" if self.is_folder else self.read_head(ITSELF)

    def read_head(self, name: str) -> bytes:
        """The first bytes of a file."""
        head = b""
        for chunk in self.read(name):
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        return head[:HEAD_BYTES]

    def read_whole(self, name: str = ITSELF) -> bytes:
        """All of a file."""
        return b"".join(chain(self.read(name)))

"""What lines of a manifest say of their image besides labels -> columns of the images.

That are scalars of the line, `"site": "A"`, and those that a customer keeps in the metadata of a
label attribute. The keys of the service itself are none.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from msgspec.json import Decoder

from mlrek.evaluation import SliceColumn
from mlrek.formats.image_columns import gather_column, limit_columns
from mlrek.formats.json_text import join_some, quoted
from mlrek.formats.lines import BYTE_ORDER_MARK, Block
from mlrek.kinds import MAX_COLUMNS

_METADATA: Final = "-metadata"
_OF_THE_SERVICE: Final = re.compile(
    r"source(-ref)?|errors|cl-errors|warnings|cl-warnings|line-idx|rekognition-custom-labels-.*"
    r"|content-moderation-.*|detect-moderation-.*|.*-metadata",
    re.DOTALL,
)
_IN_METADATA: Final = frozenset(
    (
        *("class-name", "confidence", "type", "human-annotated", "creation-date", "job-name"),
        *("class-map", "confidence-map", "objects", "model-arn", "failure-reason", "is_labeled"),
        *("adjustment-status", "internal-color-map", "retry-attempt", "errors", "warnings"),
    )
)
SCALARS: Final = frozenset((str, int, float, bool))
"""The types of values that say something of an image."""
_MOST: Final = 4 * MAX_COLUMNS
_MOST_NAMED: Final = 10
_LOOKED_AT: Final = 8
"""Of so many blocks of lines the first line of one is looked at for metadata of customers."""

_LINE: Final = Decoder(dict[str, Any])


@lru_cache(maxsize=64)
def find_told(names: tuple[str, ...]) -> tuple[str, ...]:
    """The keys of a line that may say something of its image: neither labels nor the service's."""
    known = frozenset(names)
    return tuple(
        name
        for name in names
        if not _OF_THE_SERVICE.fullmatch(name) and name + _METADATA not in known
    )


@dataclass(slots=True)
class Told:
    """What is said of the images of a manifest, by the name of the column, as lines come."""

    cells: dict[str, dict[int, Any]] = field(default_factory=dict)
    differing: dict[str, int] = field(default_factory=dict)
    n_unread: int = 0
    is_careful: bool = False
    n_looked: int = 0
    left: set[str] = field(default_factory=set)

    def add_line(self, image: int, line: Mapping[str, Any]) -> None:
        """Take what the scalars of a line say of an image."""
        for name in find_told(tuple(line)):
            self.add(name, image, (line[name],))

    def add(self, name: str, start: int, values: Sequence[Any]) -> None:
        """Take one value for each image from `start` on; what is no scalar is none."""
        if name not in self.cells and len(self.cells) >= _MOST:
            self.left.add(name)
            return
        cells = self.cells.setdefault(name, {})
        for image, value in enumerate(values, start):
            if type(value) in SCALARS and cells.setdefault(image, value) != value:
                self.differing.setdefault(name, image)

    def look(self, block: Block, start: int, images: Sequence[str]) -> None:
        """Take the scalars of metadata from the lines of a block, whose images begin at `start`.

        Hardly any manifest has some: the lines of the first block, and then single ones, tell.
        """
        self.n_looked += 1
        if not self.is_careful:
            is_first = self.n_looked == 1
            if not is_first and self.n_looked % _LOOKED_AT:
                return
            text = block.text if is_first else block.text.partition(b"\n")[0]
            if not any(_list_metadata(line) for line in _decode(text)):
                return
            self.is_careful, self.n_unread = True, start
        at = start
        for line in _decode(block.text):
            if at < len(images) and line.get("source-ref") == images[at]:
                for name, value in _list_metadata(line):
                    self.add(name, at, (value,))
                at += 1

    def finish(self, images: Sequence[str]) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
        """The columns of the images, and what is to be said of those that are left out."""
        found: dict[str, SliceColumn] = {}
        for name, cells in self.cells.items():
            if name not in self.differing and cells:
                column = gather_column(name, [cells.get(i) for i in range(len(images))])
                if column is not None:
                    found.setdefault(column.name, column)
        kept, said = limit_columns([*found.values()])
        return kept, (*self._warn(images), *said)

    def _warn(self, images: Sequence[str]) -> Iterator[str]:
        if self.differing:
            named = [f"{quoted(name)} ({quoted(images[i])})" for name, i in self.differing.items()]
            yield (
                "keys that differ within a line say nothing of the image and are passed over (in "
                f"brackets the first such image): {join_some(named, ', ', _MOST_NAMED)}"
            )
        if self.n_unread:
            yield (
                f"keys of your own in metadata begin after the first {self.n_unread:,} images, of "
                "whose metadata only a part was looked at: these have no value of such a column"
            )
        if self.left:
            named = sorted(map(quoted, self.left))
            yield (
                f"only the first {_MOST} keys of your own are read; left out: "
                f"{join_some(named, ', ', _MOST_NAMED)}"
            )


def gather_keys(
    objects: Sequence[Mapping[str, Any]], known: Collection[str], images: Sequence[str]
) -> tuple[tuple[SliceColumn, ...], tuple[str, ...]]:
    """The columns of the scalars of objects, one an image, under keys that are not known."""
    told = Told()
    for image, one in enumerate(objects):
        for name, value in one.items():
            if name not in known:
                told.add(name, image, (value,))
    return told.finish(images)


def _decode(text: bytes) -> Iterator[dict[str, Any]]:
    """The lines of a text, without those that are no objects."""
    for line in text.split(b"\n"):
        try:
            yield _LINE.decode(line.removeprefix(BYTE_ORDER_MARK))
        except (ValueError, RecursionError):
            continue


def _list_metadata(line: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The scalars of a customer's own in the metadata of label attributes."""
    return [
        (name, value)
        for key, metadata in line.items()
        if key.endswith(_METADATA) and isinstance(metadata, dict)
        for name, value in metadata.items()
        if type(value) in SCALARS and name not in _IN_METADATA
    ]

"""Lines of a Rekognition manifest that have the same keys: decoded as one type, with a field a key.

That takes half the time of dicts, whose keys would be the same on every line. Nothing else differs:
what such a type does not take is left to the reading of any lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

from msgspec import Meta, Struct, defstruct
from msgspec import field as key
from msgspec.json import Decoder

from mlrek.formats.lines import Block, BlockDecoder
from mlrek.formats.rekognition_line import (
    SOURCE_KEY,
    STATE_KEY,
    Attribute,
    LabelKeys,
    Line,
    Value,
    find_keys,
)

_MAX_KEYS = 2_000  # that a type is made for; lines with a record of each of 250 labels have 503


class _Truth(Attribute, gc=False, kw_only=True):
    class_name: str


class _Record(Attribute, gc=False, kw_only=True):
    class_name: str
    confidence: Annotated[float, Meta(ge=0, le=1)]


_SHARED = Decoder(tuple[_Truth, _Record, Value])
"""Made at import: a thread that met what another one was still making of a type would crash."""


@dataclass(slots=True)
class Rows:
    """What counts on lines of a manifest; class names and images are not checked yet."""

    images: list[Any] = field(default_factory=list)
    true_counts: list[int] = field(default_factory=list)
    truth: list[Any] = field(default_factory=list)
    record_counts: list[int] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)


class AlikeLines:
    """Decodes lines that have the keys `names`, in any order, and no other ones."""

    def __init__(self, names: Sequence[str], keys: LabelKeys) -> None:
        fields = {name: f"key_{number}" for number, name in enumerate(names)}
        types: dict[str, Any] = {SOURCE_KEY: str}
        types |= dict.fromkeys(keys.truth, _Truth) | dict.fromkeys(keys.evaluation, _Record)
        line_type = defstruct(
            "AlikeLine",
            [(field, types.get(name, Value), key(name=name)) for name, field in fields.items()],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = BlockDecoder(Decoder(line_type))
        self._image = fields[SOURCE_KEY]
        self._truth = [fields[name] for name in keys.truth]
        self._records = [fields[name] for name in keys.evaluation]

    def decode(self, block: Block) -> Rows:
        """What counts on the lines of a block.

        Raises:
            ValueError: Some line has other keys, or is malformed.
        """
        lines = self._decoder.decode(block)
        if not lines:
            raise ValueError("other lines")
        return Rows(
            images=_gather(lines, [self._image]),
            true_counts=[len(self._truth)] * len(lines),
            truth=_gather(lines, self._truth),
            record_counts=[len(self._records)] * len(lines),
            records=_gather(lines, self._records),
        )


def find_alike(lines: Sequence[Line]) -> AlikeLines | None:
    """What decodes lines like these; None where that takes more than one type."""
    names = tuple(lines[0])
    if len(names) > _MAX_KEYS or not all(line.keys() == lines[0].keys() for line in lines):
        return None
    keys = find_keys(names)
    has_labels = SOURCE_KEY in names and STATE_KEY not in names and not keys.unnamed
    is_plain = has_labels and all(map(_can_be_field, names))
    return AlikeLines(names, keys) if is_plain else None


def _gather(lines: Sequence[Struct], fields: Sequence[str]) -> list[Any]:
    """The fields of the first line, those of the second, and so on."""
    columns = (map(attrgetter(name), lines) for name in fields)
    return list(chain.from_iterable(zip(*columns, strict=True)))


def _can_be_field(name: str) -> bool:
    """Whether msgspec takes the key for a field."""
    return name.isprintable() and not {'"', "\\"} & {*name}

"""Which images a version was trained on, told by its own training manifest.

That manifest is optional: where none is named nothing is said, and one that is out of reach costs a
warning, never the evaluation. Only what keeps us from reading it just now is an error.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct, field
from msgspec.json import Decoder

from mlrek.errors import ParseError, SourceError, SourceInterruptedError
from mlrek.formats.columns import BadLines
from mlrek.formats.lines import iter_json_lines
from mlrek.formats.sniff import Role
from mlrek.sources.catalogue import SeenInTraining, VersionEntry
from mlrek.sources.parts import PartReader, chain_lines

_UNKNOWN = "whether test images were trained on is unknown"


class _Image(Struct, gc=False):
    source_ref: str = field(name="source-ref")


_DECODER = Decoder(_Image)


def find_seen(images: Sequence[str], entry: VersionEntry, reader: PartReader) -> SeenInTraining:
    """Which of `images` the version was trained on: those with the very same URI."""
    parts = [part for part in entry.parts if part.role == Role.TRAINING_MANIFEST]
    if not parts or not images:
        return SeenInTraining()
    uri = parts[0].origin or parts[0].uri
    try:
        chunks = chain_lines([reader.open(part) for part in parts])
        found, warnings = _find_known(frozenset(images), uri, chunks)
    except SourceInterruptedError:
        raise  # a run that lacks it would count as up to date ever after
    except SourceError as exc:
        return SeenInTraining(warnings=(f"{_UNKNOWN}: {exc}",))
    seen = np.fromiter((image in found for image in images), np.bool_, len(images))
    return SeenInTraining(seen=seen, warnings=warnings)


def list_trained(entry: VersionEntry, reader: PartReader) -> set[str]:
    """The images that the version was trained on, none where no manifest names them.

    Raises:
        SourceError: The manifest cannot be read, or is none.
    """
    parts = [part for part in entry.parts if part.role == Role.TRAINING_MANIFEST]
    if not parts:
        return set()
    uri, named = parts[0].origin or parts[0].uri, set[str]()
    chunks = chain_lines([reader.open(part) for part in parts])
    for _, lines in iter_json_lines(_DECODER, chunks, uri, BadLines(uri, skip=True).add):
        named.update(line.source_ref for line in lines)
    return named


def _find_known(
    wanted: frozenset[str], uri: str, chunks: Iterable[bytes]
) -> tuple[set[str], tuple[str, ...]]:
    """Those of the wanted images that a manifest names, and a warning of its malformed lines.

    Raises:
        ParseError: No line names an image: it is no manifest at all.
    """
    found, n_lines, bad_lines = set[str](), 0, BadLines(uri, skip=True)
    for _, lines in iter_json_lines(_DECODER, chunks, uri, bad_lines.add):
        n_lines += len(lines)
        found.update(wanted.intersection(line.source_ref for line in lines))
    if not n_lines:
        raise bad_lines.first or ParseError(uri, 0, "is empty: not one line")
    return found, tuple(f"training manifest {uri}: {one.text}" for one in bad_lines.doubt(n_lines))

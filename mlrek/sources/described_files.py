"""Saved answers of DescribeProjectVersions beside downloaded files: what they say of the versions.

The CLI's answer, its list alone, one description, or several pages behind each other.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from msgspec import Raw
from msgspec.json import Decoder

from mlrek.errors import SourceError
from mlrek.formats.json_text import decode_json
from mlrek.formats.unfolding import unfold_lines
from mlrek.sources.catalogue import VersionEntry
from mlrek.sources.description import describe_version
from mlrek.sources.storage import StoredFile
from mlrek.sources.tree import Tree

_LIST = "ProjectVersionDescriptions"
_ANSWER = re.compile(rb'\{\s*"(?:ProjectVersionDescriptions|NextToken)"\s*:')
_DESCRIBES = re.compile(rb'"ProjectVersionArn"\s*:')
_OF_A_VERSION = re.compile(rb'"(?:Status|CreationTimestamp|OutputConfig)"\s*:')
_ITEMS = Decoder(list[Raw])
_NOT_HERE = "its evaluation files are not here"


def is_answer(head: bytes) -> bool:
    """Whether a file that is nothing else describes versions."""
    return bool(_DESCRIBES.search(head) and _OF_A_VERSION.search(head))


def read_answer(tree: Tree, file: StoredFile) -> list[VersionEntry]:
    """The versions that a file describes; none where it cannot be read."""
    found: list[VersionEntry] = []
    with suppress(SourceError):
        lines = unfold_lines([tree.read(file)], file.uri, _list_descriptions, _ANSWER)
        described = filter(bytes.strip, b"".join(lines).splitlines())
        found.extend(describe_version(line, uri=file.uri) for line in described)
    return found


def add_descriptions(
    entries: Iterable[VersionEntry], described: Iterable[VersionEntry]
) -> Iterator[VersionEntry]:
    """Yield the entries with what is said of their versions, then versions without files here."""
    said = {entry.version.arn: entry for entry in described}
    for entry in entries:
        more = said.pop(entry.version.arn, None)
        yield entry if more is None or entry.description else _join(entry, more)
    for more in said.values():
        yield replace(more, parts=(), skipped=more.skipped or _NOT_HERE)


def _join(entry: VersionEntry, said: VersionEntry) -> VersionEntry:
    own, told = entry.version, said.version
    project = max(own.project, told.project, key=lambda project: len(project.arn))
    end_ms = told.training_end_ms
    return replace(
        entry,
        version=replace(
            told,
            project=project,
            training_end_ms=own.training_end_ms if end_ms is None else end_ms,
        ),
        description=said.description,
        reported={**said.reported, **entry.reported},
        warnings=(*entry.warnings, *said.warnings),
    )


def _list_descriptions(document: Mapping[str, Raw]) -> Iterable[bytes] | None:
    if _LIST not in document:
        return None
    items = decode_json(_ITEMS, bytes(document[_LIST]))
    return [bytes(item) for item in items]

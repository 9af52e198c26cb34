"""Saved answers of DescribeProjectVersions beside downloaded files: what they say of the versions.

The CLI's answer, its list alone, one description, or several pages behind each other.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from msgspec import Raw
from msgspec.json import Decoder

from mlrek.errors import SourceError
from mlrek.formats.instead import find_encoding, peek_inside
from mlrek.formats.json_text import decode_json
from mlrek.sources.catalogue import VersionEntry
from mlrek.sources.description import describe_version
from mlrek.sources.storage import StoredFile
from mlrek.sources.tree import Tree

_LIST: Final = "ProjectVersionDescriptions"
_DESCRIBES = re.compile(rb'"ProjectVersionArn"\s*:')
_OF_A_VERSION = re.compile(rb'"(?:Status|CreationTimestamp|OutputConfig)"\s*:')
_ITEMS = Decoder(list[Raw])
_FIELDS = Decoder(dict[str, Raw])
_BLANKS = re.compile(r"\s*")
_NOT_HERE = "its evaluation files are not here"


def is_answer(head: bytes) -> bool:
    """Whether a file that is nothing else describes versions."""
    head = peek_inside(head)
    return bool(_DESCRIBES.search(head) and _OF_A_VERSION.search(head))


def read_answer(tree: Tree, file: StoredFile) -> list[VersionEntry]:
    """The versions that a file describes; none where it cannot be read."""
    found: list[VersionEntry] = []
    with suppress(SourceError, ValueError, RecursionError):
        data = tree.read(file)
        text = data.decode(find_encoding(data) or "utf-8-sig")
        for document in _split_documents(text):
            described = _list_descriptions(document)
            found.extend(describe_version(one, uri=file.uri) for one in described)
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


def _split_documents(text: str) -> Iterator[bytes]:
    """The JSON documents that stand behind each other in a text, however they are indented."""
    decoder, start = json.JSONDecoder(), 0
    while (begin := _end(text, start)) < len(text):
        _, start = decoder.raw_decode(text, begin)
        yield text[begin:start].encode()


def _end(text: str, start: int) -> int:
    """Where the blanks that begin at a place end."""
    blanks = _BLANKS.match(text, start)
    return blanks.end() if blanks else start


def _list_descriptions(document: bytes) -> Iterator[bytes]:
    """The descriptions in an answer, in a list of them or of answers, or the document itself."""
    if document.startswith(b"["):
        for item in decode_json(_ITEMS, document):
            yield from _list_descriptions(bytes(item).strip())
        return
    fields = decode_json(_FIELDS, document)
    if _LIST in fields:
        for item in decode_json(_ITEMS, bytes(fields[_LIST])):
            yield bytes(item)
    else:
        yield document

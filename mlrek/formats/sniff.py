"""The first bytes of a file -> what kind of file it is, whatever it is called: one row a kind."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from mlrek.formats.google.documents import sniff_google
from mlrek.formats.json_text import peek_inside, peek_value
from mlrek.formats.lines import BYTE_ORDER_MARK


class Service(StrEnum):
    """Whose files they are."""

    REKOGNITION = "rekognition"
    LOOKOUT = "lookoutvision"
    GOOGLE = "google"


class Role(StrEnum):
    """What a file of Rekognition or Lookout for Vision holds; the first two are an evaluation."""

    SUMMARY = "summary"
    MANIFEST = "manifest"
    TRAINING_MANIFEST = "training_manifest"
    INPUT_MANIFEST = "input_manifest"
    MANIFEST_SUMMARY = "manifest_summary"
    DESCRIPTION = "description"


class FileKind(NamedTuple):
    """Whose file it is, and what it holds: a `Role`, or a `GoogleRole`."""

    service: Service
    role: str


def sniff(head: bytes, name: str) -> FileKind | None:
    """What a file is by its first bytes (64 KiB are enough); None for nothing that is known.

    Its name counts only where the content leaves a doubt: the training images' manifest looks like
    the test images', and a manifest may begin with images that have no prediction.

    >>> sniff(b'{"EvaluationDetails": {"ModelArn": "arn:aws:lookoutvision:', "any.json").role
    <Role.SUMMARY: 'summary'>
    """
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if text.startswith(b"{"):
        for row in _ROWS:
            if row.is_of(text, name):
                return row.kind
    role = sniff_google(head, name)
    return None if role is None else FileKind(Service.GOOGLE, role)


def sniff_inside(head: bytes, name: str) -> FileKind | None:
    """What is packed in a file, written in another encoding, or listed in an array."""
    inside = peek_inside(head)
    if inside is not head and (kind := sniff(inside, name)):
        return kind
    value = peek_value(head)
    return sniff(value, name) if _LISTED.search(value) else None


@dataclass(frozen=True, slots=True)
class _Row:
    """A kind of file: patterns that all occur in its head, and perhaps one of its name."""

    kind: FileKind
    marks: tuple[re.Pattern[bytes], ...]
    name: re.Pattern[str] | None = None

    def is_of(self, text: bytes, name: str) -> bool:
        if self.name and not self.name.search(name):
            return False
        is_marked = all(mark.search(text) for mark in self.marks)
        return is_marked and not _OTHER_SERVICE[self.kind.service].search(text)


def _key(pattern: str, other: str = "") -> re.Pattern[bytes]:
    """A key at any depth, or something else."""
    either = f"|{other}" if other else ""
    return re.compile(rf'"(?:{pattern})"\s*:{either}'.encode())


_LOOKOUT_ARN = "arn:[a-z0-9-]+:lookoutvision:"
_OF_LOOKOUT = re.compile(_LOOKOUT_ARN.encode())
_OTHER_SERVICE: Final = {
    Service.REKOGNITION: _OF_LOOKOUT,
    Service.LOOKOUT: re.compile(rb'arn:[a-z0-9-]+:rekognition:|"rekognition-custom-labels-'),
}
_IMAGE = _key("source-ref")
_EVALUATED = _key(
    "rekognition-custom-labels-evaluation-details"
    "|rekognition-custom-labels-(?:training|evaluation)(?:-[0-9]+)?-metadata"
    "|detect-moderation-labels(?:-base-model)?"
)
_DETECTED = _key(r'[^"\\]*-detected-metadata')
_CLASS = re.compile(rf'"class-name"\s*:\s*"(?:normal|anomaly)"|{_LOOKOUT_ARN}'.encode())
_LISTED = re.compile(rb'"rekognition-custom-labels-evaluation-|"EvaluationDetails"')
_RESULT = _key("EvaluationDetails|AggregatedEvaluationResults")


def _row(service: Service, role: Role, *marks: re.Pattern[bytes], name: str = "") -> _Row:
    return _Row(FileKind(service, role), marks, re.compile(name) if name else None)


_REKOGNITION, _LOOKOUT = Service.REKOGNITION, Service.LOOKOUT

# The first row that fits decides. A head that ends in the middle of a line fits too.
_ROWS: Final = (
    _row(_REKOGNITION, Role.TRAINING_MANIFEST, _IMAGE, _EVALUATED, name="^(?i:training)"),
    _row(_REKOGNITION, Role.MANIFEST, _IMAGE, _EVALUATED),
    _row(_REKOGNITION, Role.MANIFEST, _IMAGE, name="^TestingGroundTruth"),
    _row(_LOOKOUT, Role.MANIFEST, _IMAGE, _DETECTED, _CLASS),
    _row(_LOOKOUT, Role.MANIFEST, _IMAGE, name="EvaluationManifest-"),
    _row(_REKOGNITION, Role.INPUT_MANIFEST, _IMAGE),
    _row(
        _REKOGNITION, Role.MANIFEST_SUMMARY, _key("statistics"), _key("total_json_lines|use_case")
    ),
    _row(_LOOKOUT, Role.SUMMARY, _RESULT, _key("ROCAUC|PixelAnomalyClassMetrics", _LOOKOUT_ARN)),
    _row(_REKOGNITION, Role.SUMMARY, _RESULT),
    _row(_REKOGNITION, Role.SUMMARY, _key("LabelEvaluationResults")),
    _row(_LOOKOUT, Role.DESCRIPTION, _key("ModelDescription|ModelArn"), _OF_LOOKOUT),
)

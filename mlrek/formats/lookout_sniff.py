"""The first bytes of a file -> what it is of Lookout for Vision's, and of which version."""

import re
from dataclasses import dataclass
from enum import StrEnum

from mlrek.evaluation import Version
from mlrek.formats.lines import BYTE_ORDER_MARK
from mlrek.formats.lookout_arn import parse_lookout_version

HEAD_BYTES = 64 * 1024


class LookoutRole(StrEnum):
    """What a file of Lookout for Vision's holds; the first two are an evaluation."""

    RESULT = "summary"
    MANIFEST = "manifest"
    DESCRIPTION = "description"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutName:
    """What the service's own name of a file says."""

    role: LookoutRole
    project_name: str
    version_name: str


def sniff_lookout(head: bytes, name: str) -> LookoutRole | None:
    """What a file is by its first bytes (64 KiB are enough); None: nothing of this service's.

    Its name counts only for a manifest that begins with images that have no prediction. The
    manifest of a data set, which holds none at all, is no evaluation.

    >>> sniff_lookout(b'{"EvaluationDetails": {"ModelArn": "arn:aws:lookoutvision:', "any.json")
    <LookoutRole.RESULT: 'summary'>
    """
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not text.startswith(b"{") or _OTHER_SERVICE.search(text):
        return None
    if _IMAGE.search(text):
        is_predicted = _PREDICTION.search(text) and (_CLASS.search(text) or _ARN.search(text))
        return LookoutRole.MANIFEST if is_predicted or _MANIFEST_NAME in name else None
    if _RESULT.search(text):
        return LookoutRole.RESULT if _NUMBER.search(text) or _ARN.search(text) else None
    return LookoutRole.DESCRIPTION if _MODEL.search(text) and _ARN.search(text) else None


def find_lookout_version(head: bytes) -> Version | None:
    """The version that the first bytes of a manifest or a result name; None where none is."""
    match = _MODEL_ARN.search(head)
    return parse_lookout_version(match[1].decode("ascii", "replace")) if match else None


def parse_lookout_name(name: str) -> LookoutName | None:
    """What the name of a downloaded file says; None when the service did not give it.

    >>> parse_lookout_name("EvaluationResult-wood-panels-2 (1).json")
    LookoutName(role=<LookoutRole.RESULT: 'summary'>, project_name='wood-panels', version_name='2')
    """
    match = _SERVICE_NAME.search(name)
    if match is None:
        return None
    role = LookoutRole.MANIFEST if match["kind"] == "Manifest" else LookoutRole.RESULT
    return LookoutName(role=role, project_name=match["project"], version_name=match["version"])


def guess_lookout_role(name: str) -> LookoutRole | None:
    """What a file should hold by its name, complete or not; None for any other name.

    >>> guess_lookout_role("EvaluationManifest-wood.json.gz")
    <LookoutRole.MANIFEST: 'manifest'>
    """
    match = _BEGIN.match(name)
    if match is None:
        return None
    return LookoutRole.MANIFEST if match["kind"] == "Manifest" else LookoutRole.RESULT


def _key(pattern: str) -> re.Pattern[bytes]:
    return re.compile(rb'"(?:%b)"\s*:' % pattern.encode())


_OTHER_SERVICE = re.compile(rb'arn:[a-z0-9-]+:rekognition:|"rekognition-custom-labels-')
_ARN = re.compile(rb"arn:[a-z0-9-]+:lookoutvision:")
_MODEL_ARN = re.compile(rb'"(?:ModelArn|model-arn)"\s*:\s*"([^"\\]{1,1000})"')
_IMAGE = _key("source-ref")
_PREDICTION = _key(r'[^"\\]*-detected-metadata')
_CLASS = re.compile(rb'"class-name"\s*:\s*"(?:normal|anomaly)"')
_RESULT = _key("EvaluationDetails|AggregatedEvaluationResults")
_NUMBER = _key("ROCAUC|PixelAnomalyClassMetrics")
_MODEL = _key("ModelDescription|ModelArn")
_MANIFEST_NAME = "EvaluationManifest-"
_BEGIN = re.compile(
    r"Evaluation(?P<kind>Manifest|Result)-.*?"
    r"(?:\.(?:jsonl?|ndjson|manifest|txt|gz|gzip|bz2|xz|zst|zip|7z)(?: ?\([0-9]+\)|\.[0-9]{1,3})?"
    r"|-[1-9][0-9]*)$"
)
_SERVICE_NAME = re.compile(
    r"Evaluation(?P<kind>Manifest|Result)-(?P<project>[A-Za-z0-9_-]+)-(?P<version>[1-9][0-9]*)"
    r"(?: ?\([0-9]+\))?(?:\.|$)"
)

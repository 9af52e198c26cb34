"""The first bytes of a file -> what it is of Rekognition's, whatever it is called."""

import re
from enum import StrEnum

HEAD_BYTES = 64 * 1024


class Role(StrEnum):
    """What a file of Rekognition's holds; the first two are an evaluation."""

    SUMMARY = "summary"
    MANIFEST = "manifest"
    TRAINING_MANIFEST = "training_manifest"
    INPUT_MANIFEST = "input_manifest"
    MANIFEST_SUMMARY = "manifest_summary"


def sniff(head: bytes, name: str) -> Role | None:
    """What a file is by its first bytes (64 KiB are enough); None for nothing of Rekognition's.

    Its name counts only where the content leaves a doubt: the training images' manifest looks like
    the test images', and a manifest may begin with images that have no prediction.
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith(b"{") or _OTHER_SERVICE.search(text):
        return None
    role = next((role for role, marks in _MARKS if all(m.search(text) for m in marks)), None)
    if role == Role.MANIFEST and re.match(r"training", name, re.IGNORECASE):
        return Role.TRAINING_MANIFEST
    if role == Role.INPUT_MANIFEST and re.match(r"TestingGroundTruth", name):
        return Role.MANIFEST
    return role


def _key(pattern: str) -> re.Pattern[bytes]:
    return re.compile(rb'"(?:%b)"\s*:' % pattern.encode())


_OTHER_SERVICE = re.compile(rb"arn:[a-z0-9-]+:lookoutvision:")

# The first row whose keys are all there decides. Keys of any depth count, and a head that ends in
# the middle of a line does too.
_MARKS: tuple[tuple[Role, tuple[re.Pattern[bytes], ...]], ...] = (
    (
        Role.MANIFEST,
        (
            _key("source-ref"),
            _key(
                "rekognition-custom-labels-evaluation-details"
                "|rekognition-custom-labels-(?:training|evaluation)(?:-[0-9]+)?-metadata"
                "|detect-moderation-labels(?:-base-model)?"
            ),
        ),
    ),
    (Role.INPUT_MANIFEST, (_key("source-ref"),)),
    (Role.MANIFEST_SUMMARY, (_key("statistics"), _key("total_json_lines|use_case"))),
    (Role.SUMMARY, (_key("EvaluationDetails|AggregatedEvaluationResults|LabelEvaluationResults"),)),
)

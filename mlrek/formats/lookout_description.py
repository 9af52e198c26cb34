"""Lookout for Vision's description of a model (the answer of `DescribeModel`): bytes -> version.

An archive that was taken while the service lived keeps it as `version.json`. The answer may be
whole, as the AWS command line prints it, or what stands under its key `ModelDescription`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from msgspec import Struct
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.evaluation import Version
from mlrek.formats.described import Number, decode_document, keep_numbers
from mlrek.formats.json_text import show
from mlrek.formats.lookout_arn import parse_lookout_version
from mlrek.formats.timestamps import parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class LookoutDescription:
    """What a description says of a model.

    `manifest_uri` and `result_uri` are where the service kept the files, '' where it names none;
    `reported` its own precision, recall and F1; `status_message` the service's words on the
    version's status.
    """

    version: Version
    manifest_uri: str = ""
    result_uri: str = ""
    reported: Mapping[str, float] = field(default_factory=dict)
    status_message: str = ""

    @property
    def names_evaluation(self) -> bool:
        """Whether there is, or was, an evaluation of this version."""
        return bool(self.manifest_uri or self.result_uri or self.reported)


class _S3Object(Struct, rename="pascal"):
    bucket: str = ""
    key: str = ""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.bucket and self.key else ""


class _Performance(Struct, rename="pascal"):
    f1_score: Number = None
    recall: Number = None
    precision: Number = None


class _Model(Struct, rename="pascal"):
    model_arn: str | None = None
    creation_timestamp: str | float | None = None
    evaluation_end_timestamp: str | float | None = None
    status: str | None = None
    status_message: str | None = None
    performance: _Performance | None = None
    evaluation_manifest: _S3Object | None = None
    evaluation_result: _S3Object | None = None


class _Answer(_Model, rename="pascal"):
    model_description: _Model | None = None


_DECODER = Decoder(_Answer)


def parse_description(uri: str, data: bytes) -> LookoutDescription:
    """What a description says.

    Training starts when the model was created and ends with its evaluation, the last step of it.

    Raises:
        ParseError: It is no JSON object, a field is of another kind, or it names no model.
    """
    answer = decode_document(_DECODER, uri, data, "the description of a model")
    model = answer.model_description or answer
    version = parse_lookout_version(model.model_arn or "")
    if version is None:
        raise ParseError(uri, 0, f"ModelArn is not the ARN of a model: {show(model.model_arn)}")
    scores = model.performance or _Performance()
    return LookoutDescription(
        version=replace(
            version,
            status=model.status or "",
            training_start_ms=parse_timestamp(model.creation_timestamp),
            training_end_ms=parse_timestamp(model.evaluation_end_timestamp),
        ),
        manifest_uri=(model.evaluation_manifest or _S3Object()).uri,
        result_uri=(model.evaluation_result or _S3Object()).uri,
        reported=keep_numbers(precision=scores.precision, recall=scores.recall, f1=scores.f1_score),
        status_message=" ".join((model.status_message or "").split()),
    )

"""The endpoint of a running Rekognition version: images -> what it answers. It is never started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlrek.errors import SourceError
from mlrek.sources.aws import AwsClients, asking_aws
from mlrek.sources.aws_credentials import one_line
from mlrek.sources.storage import S3_SCHEME, parse_s3_uri

if TYPE_CHECKING:
    from mypy_boto3_rekognition.type_defs import ImageTypeDef

NEEDS = "rekognition:DetectCustomLabels, and s3:GetObject on the images"

# What is wrong with one image; everything else would be wrong with the next one too.
_OF_THE_IMAGE = frozenset(
    ("InvalidImageFormatException", "ImageTooLargeException", "InvalidS3ObjectException")
)
_NOT_RUNNING = "ResourceNotReadyException"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of one image: the service's answer, or why there is none."""

    response: Mapping[str, Any] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A version that runs somewhere. Safe to use from several threads.

    `folder` is where places of images begin that are no whole paths.
    """

    clients: AwsClients
    version_arn: str
    folder: Path

    def ask(self, image: str) -> Answered:
        """What the version sees on an image: every label or box, however unsure.

        Raises:
            SourceError: The version is not running, or AWS cannot be asked or denies it.
        """
        from botocore.exceptions import ClientError

        try:
            content = self._open(image)
        except OSError as exc:
            return Answered(error=f"cannot be read: {exc.strerror or exc}")
        try:
            with asking_aws(f"{self.version_arn}: {image}", needs=NEEDS):
                answer = self.clients.rekognition.detect_custom_labels(
                    ProjectVersionArn=self.version_arn, Image=content, MinConfidence=0
                )
        except SourceError as exc:
            refused = exc.__cause__
            if not isinstance(refused, ClientError):
                raise
            code = str(refused.response.get("Error", {}).get("Code", ""))
            if code == _NOT_RUNNING:
                raise SourceError(self.version_arn, self._explain_start()) from refused
            if code not in _OF_THE_IMAGE:
                raise
            said = one_line(str(refused.response.get("Error", {}).get("Message", "")))
            return Answered(error=f"{code}: {said}")
        return Answered(response={"CustomLabels": answer.get("CustomLabels", [])})

    def _open(self, image: str) -> "ImageTypeDef":
        if image.startswith(S3_SCHEME):
            bucket, key = parse_s3_uri(image)
            return {"S3Object": {"Bucket": bucket, "Name": key}}
        return {"Bytes": (self.folder / image).read_bytes()}

    def _explain_start(self) -> str:
        region = self.clients.rekognition.meta.region_name
        return (
            "the version is not running, and mlrek starts none: a running version costs money, "
            "about 4 USD an hour for each inference unit, until it is stopped. Start it with "
            f"`aws rekognition start-project-version --project-version-arn {self.version_arn} "
            f"--min-inference-units 1 --region {region}`, wait until it is RUNNING, and stop it "
            f"afterwards with `aws rekognition stop-project-version --project-version-arn "
            f"{self.version_arn} --region {region}`"
        )

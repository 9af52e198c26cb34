"""The model that is registered: predictions of one Rekognition Custom Labels version.

MLflow copies this file into the model and runs it wherever the model is loaded. So it stands alone:
it needs boto3 and pandas, not mlrek. Calling `predict` costs nothing by itself, but answers only
while the version runs, and a running version costs money by the hour. Nothing here starts one.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel  # type: ignore[attr-defined]

MAX_BYTES = 5 * 2**20
"""The most that the service takes as bytes; more has to come from S3."""
PARALLEL_CALLS = 8
MAX_ATTEMPTS = 8
COLUMNS = ("image", "label", "confidence", "left", "top", "width", "height")
NO_BOX = (float("nan"),) * 4

Row = tuple[Any, ...]


class PredictionError(RuntimeError):
    """An image that cannot be judged, or a model that does not answer; says what to do next."""


class ServedVersion(PythonModel):
    """One version of a project. What it is comes with the model's config."""

    def load_context(self, context: Any) -> None:
        """Take the config; nothing is asked of AWS yet."""
        self.config = dict(context.model_config or {})

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The labels of images, as the version gives them when it is called.

        Args:
            context: MLflow's.
            model_input: Images as bytes, local paths or `s3://` URIs: one, a list, a pandas Series,
                or a DataFrame with a column `image`. JPEG or PNG.
            params: `min_confidence` (0 to 1) is one threshold for all labels, 0 gives every label;
                without it each label has the threshold that the service assumed in training.

        Returns:
            A row for each label: `image` (bytes: `#` and their place in the input, from 0),
            `label`, `confidence` (0 to 1), and of objects `left`, `top`, `width`, `height` in
            parts of the image, else NaN. An image without a label has one row, `label` None.

        Raises:
            PredictionError: The version does not run or is gone, or an image cannot be judged.
        """
        del context
        _check_provider(self.config)
        images = _list_images(model_input)
        least = _read_confidence(params)
        requests = [_prepare_image(image, i) for i, image in enumerate(images)]
        if not requests:
            return _make_frame([])
        detect = partial(_detect, _make_client(self.config["region"]), self.config, least)
        with ThreadPoolExecutor(max_workers=PARALLEL_CALLS) as pool:
            rows = [row for found in pool.map(detect, requests) for row in found]
        return _make_frame(rows)


def _check_provider(config: Mapping[str, Any]) -> None:
    reason = _NOT_CALLED.get(str(config["provider"]))
    if reason:
        raise PredictionError(f"{config['version_arn']} cannot be called: {reason}")


_NOT_CALLED = {
    "lookoutvision": "Amazon Lookout for Vision ended on 2025-10-31",
    "automl-vision": "AutoML Vision ended; its models live on in Vertex AI alone",
    "vertex-ai": (
        "only Rekognition is called from here; "
        "ask the Vertex AI endpoint that the model is deployed to"
    ),
    "custom": (
        "it was trained elsewhere, and only its predictions are known; attach your own MLflow "
        "model with `mlrek sync … --register --model-uri runs:/ID/model`, or with "
        "`mlrek promote … --model-uri runs:/ID/model`"
    ),
}


# ---- what is asked for ---------------------------------------------------------------------


def _list_images(given: Any) -> Sequence[Any]:
    """The images of whatever was handed in, in order."""
    if isinstance(given, bytes | bytearray | memoryview | str | os.PathLike):
        return [given]
    if isinstance(given, pd.DataFrame):
        if "image" not in given.columns:
            raise PredictionError(
                "the DataFrame has no column 'image'; "
                f"it has: {', '.join(map(repr, given.columns)) or 'none'}"
            )
        return list(given["image"])
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        return list(given)
    raise PredictionError(
        "give bytes, local paths or s3:// URIs: one, a list, a pandas Series, "
        f"or a DataFrame with a column 'image'; not {type(given).__name__}"
    )


def _read_confidence(params: Mapping[str, Any] | None) -> float | None:
    """The threshold as the service wants it, in percent; None: each label's own."""
    least = (params or {}).get("min_confidence")
    if least is None:
        return None
    if not 0 <= least <= 1:
        raise PredictionError(f"min_confidence is a fraction from 0 to 1, not {least}")
    return round(float(least) * 100, 4)  # 0.55 * 100 is more than 55


def _prepare_image(image: Any, place: int) -> tuple[str, Any]:
    """What an image is called in the result, and what is sent: bytes, a path, or an S3 object."""
    if isinstance(image, bytes | bytearray | memoryview):
        content = bytes(image)
        _check_size(f"#{place}", len(content))
        return f"#{place}", content
    if isinstance(image, str | os.PathLike) and str(image):
        name = os.fspath(image)
        if isinstance(name, str) and name.startswith("s3://"):
            return name, _parse_s3(name)
        return str(name), _check_file(Path(os.fsdecode(name)))
    raise PredictionError(
        f"image {place} is neither bytes nor a path nor an s3:// URI: {type(image).__name__}"
    )


def _parse_s3(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not (bucket and key):
        raise PredictionError(f"{uri}: not the URI of an object; s3://BUCKET/KEY is")
    return {"Bucket": bucket, "Name": key}


def _check_file(path: Path) -> Path:
    try:
        _check_size(str(path), path.stat().st_size)
    except OSError as exc:
        raise PredictionError(f"{path}: {exc.strerror}") from exc
    return path


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise PredictionError(
            f"{name}: {size:,} bytes; the service takes at most {MAX_BYTES:,} this way: "
            "make it smaller, or put it in S3 and give its s3:// URI"
        )
    if not size:
        raise PredictionError(f"{name}: empty")


# ---- asking --------------------------------------------------------------------------------


def _make_client(region: str) -> Any:
    """A client with the ordinary AWS settings that waits when it is throttled."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    mode: Any = os.environ.get("AWS_RETRY_MODE", "adaptive")
    attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", MAX_ATTEMPTS))
    config = Config(
        retries={"mode": mode, "total_max_attempts": attempts}, max_pool_connections=PARALLEL_CALLS
    )
    try:
        return boto3.session.Session().client("rekognition", region_name=region, config=config)
    except BotoCoreError as exc:
        raise PredictionError(f"AWS cannot be asked: {exc}") from exc


def _detect(
    client: Any, config: Mapping[str, Any], least: float | None, request: tuple[str, Any]
) -> list[Row]:
    """The rows of one image."""
    from botocore.exceptions import BotoCoreError, ClientError

    name, image = request
    asked: dict[str, Any] = {"ProjectVersionArn": config["version_arn"]}
    asked["Image"] = {"S3Object": image} if isinstance(image, dict) else {"Bytes": _read(image)}
    if least is not None:
        asked["MinConfidence"] = least
    try:
        labels = client.detect_custom_labels(**asked)["CustomLabels"]
    except ClientError as exc:
        raise PredictionError(_explain(exc, name, config)) from exc
    except BotoCoreError as exc:
        raise PredictionError(f"{name}: AWS cannot be asked: {exc}") from exc
    rows = [(name, label["Name"], label["Confidence"] / 100, *_box(label)) for label in labels]
    return rows or [(name, None, float("nan"), *NO_BOX)]


def _read(image: bytes | Path) -> bytes:
    try:
        return image if isinstance(image, bytes) else image.read_bytes()
    except OSError as exc:
        raise PredictionError(f"{image!s}: {exc.strerror}") from exc


def _box(label: Mapping[str, Any]) -> tuple[float, ...]:
    box = label.get("Geometry", {}).get("BoundingBox")
    return tuple(box[side] for side in ("Left", "Top", "Width", "Height")) if box else NO_BOX


def _make_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The result; a label that there is not stays None, which pandas' own text type would lose."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    kinds = (object, object, *(float,) * 5)
    named = zip(COLUMNS, columns, kinds, strict=True)
    return pd.DataFrame({name: pd.Series(list(cells), dtype=kind) for name, cells, kind in named})


# ---- what AWS answered ---------------------------------------------------------------------


_THROTTLED = (
    "{name}: AWS keeps throttling; ask for fewer images at once, "
    "start the version with more inference units, or raise AWS_MAX_ATTEMPTS"
)
_ANSWERS = {
    "ResourceNotReadyException": (
        "the version is not running: {arn}\n"
        "Start it with:\n"
        "  aws rekognition start-project-version --project-version-arn {arn} "
        "--min-inference-units 1 --region {region}\n"
        "It then costs money for every hour until it is stopped:\n"
        "  aws rekognition stop-project-version --project-version-arn {arn} --region {region}\n"
        "Starting takes minutes, and nothing here ever starts a version."
    ),
    "ResourceNotFoundException": "the version does not exist in this account any more: {arn}",
    "AccessDeniedException": "access denied; this needs rekognition:DetectCustomLabels on {arn}",
    "InvalidS3ObjectException": (
        "{name}: the service cannot read it; the object must exist in a bucket of the region "
        "{region}, and the caller needs s3:GetObject on it"
    ),
    "InvalidImageFormatException": "{name}: neither JPEG nor PNG, or damaged",
    "ImageTooLargeException": "{name}: too large for the service; make it smaller",
    "ThrottlingException": _THROTTLED,
    "ProvisionedThroughputExceededException": _THROTTLED,
    "LimitExceededException": _THROTTLED,
}


def _explain(exc: Any, name: str, config: Mapping[str, Any]) -> str:
    error = exc.response.get("Error", {})
    answer = _ANSWERS.get(error.get("Code", ""), "{name}: AWS refuses")
    told = answer.format(name=name, arn=config["version_arn"], region=config["region"])
    return f"{told} [{error.get('Code')}: {error.get('Message')}]"


set_model(ServedVersion())

"""Stores whose pages belong to a service: where they are, for whoever may see them."""

from collections.abc import Mapping
from typing import Protocol

from mlrek.errors import TrackingError

PAGE_HOLDS_S = 300
"""A signed page opens within so many seconds."""


class SageMakerClient(Protocol):
    """What boto3's SageMaker client does here; each takes AWS's own names."""

    def create_presigned_mlflow_tracking_server_url(self, **asked: object) -> Mapping[str, str]:
        """The signed page of a tracking server."""

    def create_presigned_mlflow_app_url(self, **asked: object) -> Mapping[str, str]:
        """The signed page of an app."""


def is_sagemaker(tracking_uri: str) -> bool:
    """Whether a store is a tracking server or app of SageMaker's managed MLflow."""
    return tracking_uri.startswith("arn:") and ":sagemaker:" in tracking_uri


def create_page(tracking_uri: str, client: SageMakerClient) -> str:
    """A link that opens MLflow's pages of a SageMaker store for minutes; keep it to yourself.

    Raises:
        TrackingError: boto3 is too old to know the request.
    """
    try:
        if ":mlflow-app/" in tracking_uri:
            answer = client.create_presigned_mlflow_app_url(
                Arn=tracking_uri, ExpiresInSeconds=PAGE_HOLDS_S
            )
        else:
            answer = client.create_presigned_mlflow_tracking_server_url(
                TrackingServerName=tracking_uri.rpartition("/")[2], ExpiresInSeconds=PAGE_HOLDS_S
            )
    except AttributeError as exc:
        raise TrackingError(
            f"{tracking_uri}: the boto3 installed here does not know this kind of MLflow: "
            "pip install --upgrade boto3"
        ) from exc
    return answer["AuthorizedUrl"]


def explain_managed(tracking_uri: str, environ: Mapping[str, str]) -> None:
    """Nothing for a store whose pages have an address that can be told.

    Raises:
        TrackingError: The pages are a service's, with the way to them.
    """
    if tracking_uri.startswith(("databricks", "uc:")):
        host = environ.get("DATABRICKS_HOST", "").rstrip("/")
        place = f"{host}/ml/experiments" if host else "Machine Learning > Experiments there"
        raise TrackingError(
            f"{tracking_uri}: Databricks shows experiments in its own pages: {place}"
        )
    if tracking_uri.startswith("azureml:"):
        raise TrackingError(
            f"{tracking_uri}: Azure shows experiments in its own pages: Jobs, in ml.azure.com"
        )

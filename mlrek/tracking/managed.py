"""Stores whose pages belong to a service: what can be said of where they are."""

from collections.abc import Mapping

from mlrek.errors import TrackingError


def explain_managed(tracking_uri: str, environ: Mapping[str, str]) -> None:
    """Nothing for a store whose pages have an address of their own.

    Raises:
        TrackingError: The pages are a service's, with the way to them.
    """
    uri = tracking_uri or environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("arn:"):
        raise TrackingError(
            f"{uri}: SageMaker opens MLflow's pages with a link that holds for minutes: in Studio, "
            "or by `aws sagemaker create-presigned-mlflow-tracking-server-url "
            f"--tracking-server-name {uri.rpartition('/')[2]}`"
        )
    if uri.startswith(("databricks", "uc:")):
        host = environ.get("DATABRICKS_HOST", "").rstrip("/")
        place = f"{host}/ml/experiments" if host else "Machine Learning > Experiments there"
        raise TrackingError(f"{uri}: Databricks shows experiments in its own pages: {place}")

"""Tracking URIs as people type them: slips are named, plug-ins of MLflow get to read theirs."""

import os
import re
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final

from mlrek.errors import TrackingError

_HOST: Final = re.compile(r"(?:[\w-]+(?:\.[\w-]+)*|\[[0-9a-fA-F:]+\]):\d{1,5}(?:/.*)?")
_HALF_SCHEME: Final = re.compile(r"(https?)(?::/?|//?)(?=[^/:])")
_DATABASE_FILE: Final = re.compile(r"(?![a-z][\w+.-]*:)[^:]*\.(?:db|sqlite3?)")
_TWO_SLASHES: Final = re.compile(r"sqlite://(?=[^/])")
_SAGEMAKER: Final = re.compile(
    r"arn:[\w-]+:sagemaker:[\w-]+:\d*:mlflow-(?:tracking-server|app)/[\w-]+"
)
_PLUGINS: Final = {
    "arn": ("sagemaker-mlflow", "pip install 'mlrek[sagemaker]'"),
    "azureml": ("azureml-mlflow", "pip install azureml-mlflow"),
    "adb": ("azureml-mlflow", "pip install azureml-mlflow"),
}
"""Schemes that MLflow knows by a plug-in alone: the plug-in, and how it gets here."""
_DATABRICKS: Final = ("databricks", "databricks-uc")
_OWN: Final = ("http", "sqlite", "postgres", "mysql", "mssql", "file", "databricks")
"""What the schemes begin with that MLflow itself knows."""
_STORES: Final = "mlflow.tracking_store"


def check_address(uri: str) -> None:
    """See that a tracking URI is one, before MLflow tries for minutes what else it may be.

    Raises:
        TrackingError: It is a slip, with what it may mean; or its plug-in is missing.
    """
    if meant := _guess_meaning(uri):
        raise TrackingError(f"{uri} is no tracking URI; did you mean {meant}?")
    scheme = find_scheme(uri)
    if scheme == "arn" and not _SAGEMAKER.fullmatch(uri):
        raise TrackingError(
            f"{uri}: of ARNs only those of SageMaker's managed MLflow are tracking URIs: "
            "arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME or …:mlflow-app/ID"
        )
    if scheme in _PLUGINS and not _is_served_by_plugin(scheme):
        plugin, command = _PLUGINS[scheme]
        raise TrackingError(f"{uri}: MLflow needs its plug-in {plugin} for this: {command}")
    if scheme in _DATABRICKS and find_spec("databricks") is None:
        raise TrackingError(f"{uri}: MLflow needs its plug-in for this: pip install databricks-sdk")


def offer_to_plugins(uri: str) -> None:
    """Name a store to its plug-in where plug-ins look, in the environment of this process.

    They ask MLflow for its global URI, whatever a client was made with. Of any other store the
    environment stays as it is.
    """
    if _is_served_by_plugin(find_scheme(uri)):
        os.environ["MLFLOW_TRACKING_URI"] = uri


def find_scheme(uri: str) -> str:
    """The scheme of a URI, '' without one."""
    scheme, colon, _ = uri.partition(":")
    return scheme.lower() if colon else uri if uri in _DATABRICKS else ""


def _is_served_by_plugin(scheme: str) -> bool:
    asks = bool(scheme) and not scheme.startswith(_OWN)  # looking through all packages takes time
    return asks and scheme in entry_points(group=_STORES).names


def _guess_meaning(uri: str) -> str:
    """What a slip may mean, '' where it is none."""
    if uri != uri.strip():
        return uri.strip()
    if _HOST.fullmatch(uri):
        return f"http://{uri}"
    if (half := _HALF_SCHEME.match(uri)) and not uri.startswith(f"{half[1]}://"):
        return f"{half[1]}://{uri[half.end() :]}"
    if uri.startswith("postgres://"):
        return f"postgresql://{uri.removeprefix('postgres://')}"
    if _TWO_SLASHES.match(uri):
        return uri.replace("sqlite://", "sqlite:///", 1)
    return f"sqlite:///{uri}" if _DATABASE_FILE.fullmatch(uri) else ""

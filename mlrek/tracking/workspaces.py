"""Workspaces of an MLflow server: which one is written to, as links have to name it."""

from collections.abc import Mapping
from typing import Final

DEFAULT: Final = "default"
"""What MLflow calls the workspace of whoever names none."""
TIMEOUT_S: Final = 5
_INFO: Final = "api/3.0/mlflow/server-info"


def find_workspace(tracking_uri: str, environ: Mapping[str, str]) -> str:
    """The workspace that is written to; '' where the store has no workspaces, or does not say."""
    named = environ.get("MLFLOW_WORKSPACE", "").strip()
    if tracking_uri.startswith(("http://", "https://")):
        has_them = _ask_server(tracking_uri)
    else:
        has_them = environ.get("MLFLOW_ENABLE_WORKSPACES", "").lower() in {"true", "1"}
    return named or DEFAULT if has_them else ""


def _ask_server(tracking_uri: str) -> bool:
    """Whether a server has workspaces; older ones do not know the question."""
    import requests

    place = tracking_uri.partition("?")[0].partition("#")[0].rstrip("/")
    try:
        answer = requests.get(f"{place}/{_INFO}", timeout=TIMEOUT_S, allow_redirects=False)
        return bool(answer.ok and answer.json().get("workspaces_enabled"))
    except (requests.exceptions.RequestException, ValueError, AttributeError):
        return False

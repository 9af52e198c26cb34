"""Which file a store is, if it is one: told by its URI, without MLflow and without sqlite."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DATABASE_URI: Final = re.compile(
    r"sqlite(?:\+pysqlite)?:///(?P<path>[^?]*)(?P<query>\?.*)?", re.DOTALL
)
DEFAULT_STORE = "sqlite:///mlflow.db"
"""Where MLflow itself keeps runs when nobody says otherwise."""


def find_database(uri: str) -> Path | None:
    """The file of a local database; None for any other store."""
    found = DATABASE_URI.fullmatch(uri)
    path = found["path"] if found else ""
    return None if path in {"", ":memory:"} or path.startswith("file:") else Path(path)


def is_fresh(tracking_uri: str, environ: Mapping[str, str]) -> bool:
    """Whether the store is a database file that is not there yet, told without MLflow's help."""
    uri = tracking_uri or environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    path = find_database(uri)
    return path is not None and not path.exists()

"""Opening a tracking store: MLflow's own default, a database file, a server."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from mlrek.tracking.store import Store
from mlrek.tracking.translation import check_reachable, translate_errors

DEFAULT_STORE = "sqlite:///mlflow.db"
"""Where MLflow itself keeps runs when nobody says otherwise."""


def connect(tracking_uri: str = "") -> Store:
    """A store at `tracking_uri`, else MLflow's own default (MLFLOW_TRACKING_URI, a local file).

    Raises:
        TrackingError: It cannot be reached, or refuses the user.
    """
    os.environ.setdefault(
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"
    )  # stdout is the result's
    import mlflow

    for name in ("alembic", "mlflow"):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.WARNING)

    uri = tracking_uri or mlflow.get_tracking_uri()
    check_reachable(uri)
    with translate_errors(uri), _first_use(uri):
        client = mlflow.MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return Store(client, uri)


def connect_existing(tracking_uri: str = "") -> Store | None:
    """Like `connect`, but without creating a local database that is not there yet."""
    import mlflow

    uri = tracking_uri or mlflow.get_tracking_uri()
    path = uri.removeprefix("sqlite:///")
    if uri.startswith("sqlite:") and not Path(path).exists():
        return None
    return connect(uri)


def is_fresh(tracking_uri: str, environ: Mapping[str, str]) -> bool:
    """Whether the store is a database file that is not there yet, told without MLflow's help."""
    uri = tracking_uri or environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    path = uri.removeprefix("sqlite:///")
    return path != uri and not Path(path).exists()


@contextlib.contextmanager
def _first_use(uri: str) -> Iterator[None]:
    """Guard a fresh database file: its migrations race when two processes meet it first."""
    if not uri.startswith("sqlite:"):
        yield
        return
    from filelock import FileLock

    user = os.getuid() if hasattr(os, "getuid") else "user"
    name = f"mlrek-{user}-{sha256(uri.encode()).hexdigest()[:16]}.lock"
    with FileLock(Path(tempfile.gettempdir(), name)):
        yield

"""Opening a tracking store: MLflow's own default, a database file, a server."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from mlrek.errors import TrackingError
from mlrek.tracking.address import check_address, offer_to_plugins
from mlrek.tracking.first_use import find_database, prepared_database
from mlrek.tracking.migrations import tell_migration
from mlrek.tracking.store import Store
from mlrek.tracking.temporary import remove_old_folders
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
    check_address(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
    import mlflow

    for name in ("alembic", "mlflow"):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    # it logs a traceback of what it raises, and that becomes a line of ours
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # a plug-in of another kind of store that is installed complains at each request
    logging.getLogger("mlflow.tracking.request_header.registry").setLevel(logging.ERROR)

    uri = tracking_uri or _default_uri()
    remove_old_folders()
    check_reachable(uri)
    offer_to_plugins(uri)
    _check_database(uri)
    with translate_errors(uri), prepared_database(uri):
        tell_migration(uri)
        client = mlflow.MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return Store(client, uri)


def connect_existing(tracking_uri: str = "") -> Store | None:
    """Like `connect`, but without creating a local database that is not there yet."""
    uri = tracking_uri or _default_uri()
    path = find_database(uri)
    return None if path and not path.exists() else connect(uri)


def _default_uri() -> str:
    """Where MLflow keeps runs when nobody says where.

    Raises:
        TrackingError: It is in this folder, whose name this locale cannot write.
    """
    import mlflow

    try:
        return mlflow.get_tracking_uri()
    except UnicodeError as exc:
        folder = str(Path.cwd()).encode("utf-8", "backslashreplace").decode()
        raise TrackingError(
            f"{folder}: this locale cannot write the name of the working folder; set "
            "PYTHONUTF8=1 or LC_ALL=C.UTF-8, or name a store with --tracking-uri"
        ) from exc


def connect_for_reading(tracking_uri: str = "") -> Store:
    """Like `connect`, where nothing is there to be read without a store.

    Raises:
        TrackingError: A local database is not there, or the store cannot be reached.
    """
    store = connect_existing(tracking_uri)
    if store is None:
        raise TrackingError(
            f"{tracking_uri or DEFAULT_STORE}: there is no such store; name another with "
            "--tracking-uri or MLFLOW_TRACKING_URI, or fill it with `mlrek sync SOURCE`"
        )
    return store


def is_fresh(tracking_uri: str, environ: Mapping[str, str]) -> bool:
    """Whether the store is a database file that is not there yet, told without MLflow's help."""
    uri = tracking_uri or environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    path = find_database(uri)
    return path is not None and not path.exists()


def _check_database(uri: str) -> None:
    """Look once at a database file, since MLflow retries for minutes what cannot be opened.

    Raises:
        TrackingError: It may not be read, or may not be made where it is not yet.
    """
    path = find_database(uri)
    if path and (trouble := _find_trouble(path)):
        raise TrackingError(
            f"{uri}: the database cannot be opened: {trouble}; name another place with "
            "--tracking-uri sqlite:///FILE"
        )


def _find_trouble(path: Path) -> str:
    """Why a database file can be neither read nor made, '' where it can."""
    try:
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
        if place.is_dir() == (place == path):
            return f"{place} is {'a' if place == path else 'no'} folder"
        allowed = os.access(place, os.R_OK if place == path else os.W_OK)
    except OSError as exc:
        return exc.strerror or type(exc).__name__
    return "" if allowed else f"no permission for {place}"

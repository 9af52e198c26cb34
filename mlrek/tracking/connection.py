"""The way to MLflow: addresses, connections, and a server of its own for the pages."""

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from mlrek.errors import TrackingError
from mlrek.tracking.database import DEFAULT_STORE, find_database
from mlrek.tracking.first_use import prepared_database, tell_migration
from mlrek.tracking.store import Store
from mlrek.tracking.translation import check_reachable, translate_errors
from mlrek.tracking.view import remove_old_folders, temporary_folder

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

HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 5000
PORTS_TRIED: Final = 100
STARTED_WITHIN_S: Final = 120
STOPPED_WITHIN_S: Final = 10
_LOG_LINES: Final = 5


class PageServer:
    """A server that runs; `address` is where its pages are."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
        self.address = address
        self._process = process
        self._log = log

    def wait(self) -> None:
        """Return never but by an error: the server ends with this process.

        Raises:
            TrackingError: It ended by itself.
        """
        self._process.wait()
        raise self._explain("ended by itself")

    def wait_until_it_answers(self) -> None:
        """Wait for its first answer.

        Raises:
            TrackingError: It ended, or does not answer in two minutes.
        """
        deadline = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._explain("did not start")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.address}/health", timeout=5).close()  # noqa: S310 http
                return
            time.sleep(0.1)
        raise self._explain("does not answer")

    def _explain(self, what: str) -> TrackingError:
        said = self._log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
        return TrackingError(
            f"MLflow's server at {self.address} {what}: {' / '.join(said) or 'it said nothing'}; "
            "another --port?"
        )


PAGE_HOLDS_S = 300
"""A signed page opens within so many seconds."""


class SageMakerClient(Protocol):
    """What boto3's SageMaker client does here; each takes AWS's own names."""

    def create_presigned_mlflow_tracking_server_url(self, **asked: object) -> Mapping[str, str]:
        """The signed page of a tracking server."""

    def create_presigned_mlflow_app_url(self, **asked: object) -> Mapping[str, str]:
        """The signed page of an app."""


_HUSHED: Final = {
    "alembic": logging.WARNING,
    "mlflow": logging.WARNING,
    # it logs a traceback of what it raises, and that becomes a line of ours
    "mlflow.store.db.utils": logging.CRITICAL,
    # a plug-in of another kind of store that is installed complains at each request
    "mlflow.tracking.request_header.registry": logging.ERROR,
}
"""Loggers of others, and from which level on they are heard."""


@dataclass(slots=True)
class _Loggers:
    """How many callers want them back, and their levels before."""

    lock: Lock = field(default_factory=Lock)
    users: int = 0
    levels: dict[str, int] = field(default_factory=dict)


_LOGGERS: Final = _Loggers()


def connect(tracking_uri: str = "") -> Store:
    """A store at `tracking_uri`, else MLflow's own default (MLFLOW_TRACKING_URI, a local file).

    Raises:
        TrackingError: It cannot be reached, or refuses the user.
    """
    check_address(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
    import mlflow

    _hush_loggers()  # after the import, which sets levels of its own
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


@contextlib.contextmanager
def keep_loggers() -> Iterator[None]:
    """Put the loggers of others back in the end, for a caller who is no command.

    Safe in threads: the last one to leave puts back what `connect` found.
    """
    with _LOGGERS.lock:
        _LOGGERS.users += 1
    try:
        yield
    finally:
        with _LOGGERS.lock:
            _LOGGERS.users -= 1
            if not _LOGGERS.users:
                _set_levels(_LOGGERS.levels)
                _LOGGERS.levels = {}


def _hush_loggers() -> None:
    with _LOGGERS.lock:
        if _LOGGERS.users and not _LOGGERS.levels:
            _LOGGERS.levels = {name: logging.getLogger(name).level for name in _HUSHED}
        _set_levels(_HUSHED)


def _set_levels(levels: Mapping[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


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


def connect_without_writing(tracking_uri: str, folder: str) -> Store:
    """Like `connect`; a local database that is not there yet is made in a folder that soon goes.

    It holds nothing, as the one that `connect` would make, and is called as that one.
    """
    store = connect_existing(tracking_uri)
    if store is not None:
        return store
    return Store(connect(f"sqlite:///{folder}/mlflow.db").client, tracking_uri or _default_uri())


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


@contextlib.contextmanager
def serve_pages(tracking_uri: str, port: int = 0) -> Iterator[PageServer]:
    """Serve the pages of a local store; with the block all processes of the server end.

    Args:
        tracking_uri: Of a database or folder here.
        port: Where to; 0: 5000, or the next one that is free.

    Raises:
        TrackingError: The port is taken, or the server does not start.
    """
    port = choose_port(port)
    # not on the command line, where everybody could read a password in it
    env = os.environ | {"MLFLOW_BACKEND_STORE_URI": tracking_uri}
    env.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    with temporary_folder() as folder:
        log = folder / "server.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [*command, "--workers", "1"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        try:
            server = PageServer(process, f"http://{HOST}:{port}", log)
            server.wait_until_it_answers()
            yield server
        finally:
            _stop(process)


def choose_port(port: int) -> int:
    """The port that was asked for, or the first free one from 5000 on.

    Raises:
        TrackingError: It is taken.
    """
    wanted = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    for candidate in wanted:
        if _is_free(candidate):
            return candidate
    taken = f"port {port} is" if port else f"ports {FIRST_PORT} to {wanted[-1]} are"
    raise TrackingError(f"{taken} taken; name another one with --port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server with all its processes."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with contextlib.suppress(OSError):
            _send(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPED_WITHIN_S)
            break
    with contextlib.suppress(OSError):  # a worker that outlived the first process
        _send(process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _send(process: "subprocess.Popen[bytes]", number: int) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, number)  # start_new_session made it a group of its own
    else:
        process.send_signal(number)


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

"""MLflow's errors, translated at its door into one line that says what to do."""

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlrek.errors import MlrekError, TrackingError
from mlrek.text import HIDDEN, hide_secrets, list_secrets

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from mlflow.exceptions import MlflowException


OLDEST_SERVER = 3
"""The first major version that knows logged models, which today's clients ask for."""

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30

REFUSED = (401, 403)
UNKNOWN_REQUEST = 404
MAX_SAID = 500
_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
_ANSWERED = re.compile(r"\b([45]\d\d) (?:Client|Server) Error: (.*?) for url: (\S+?)[.]?(?:\s|$)")
_FILE_ADVICE = {
    "401": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "403": "ask there for permission on the files of this run",
    "404": "the file is not there any more; `mlrek sync --force` logs its version anew",
    "507": "its artifact store is full",
}
_GIVEN_UP = re.compile(r"too many (\d{3}) error responses")
_FAILED = re.compile(r"failed with error code (\d{3})")
_BUSY = "the MLflow server is busy ({}): run the command again later"
_BY_STATUS = {
    401: (
        "the MLflow server wants a login (401): set MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    ),
    403: "the MLflow server refuses this user (403): ask for EDIT permission there",
    UNKNOWN_REQUEST: (
        "the server does not know this request (404): it is too old for the MLflow installed here "
        f"(MLflow {OLDEST_SERVER}.0 or newer is needed there), or no MLflow server; update it, or "
        "check --tracking-uri"
    ),
    429: _BUSY.format(429),
    503: _BUSY.format(503),
}
_BY_WORDS = {
    "database is locked": (
        "another program keeps the database locked; run the command again when that is done, "
        "or let several people write to an MLflow server"
    ),
    "Failed to download artifacts": (  # MLflow keeps the reason to itself
        "a file of the run is gone, or this user may not read it there ({said})"
    ),
    "Incorrect string value": (
        "the database's character set cannot hold a character of a name: use a database with "
        "utf8mb4, or convert it (ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4)"
    ),
    "absolute path": ("{said} Give an absolute name with --experiment /Users/you@example.com/name"),
}

_REVISION = re.compile(
    r"out-of-date database schema \(found version (?:None|(\w+))"
    r"|Can't locate revision identified by '(\w+)'"
)
_HALF_SET_UP = re.compile(r"(?:table|index|relation) \S+ already exists|[Dd]uplicate column name")
_VERSION = re.compile(r"(\d+)(?:\.\w+){1,5}")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_SQL = re.compile(r" \[SQL: .*", re.DOTALL)

DEFAULT: Final = "default"
"""What MLflow calls the workspace of whoever names none."""
TIMEOUT_S: Final = 5
_INFO: Final = "api/3.0/mlflow/server-info"


def check_reachable(tracking_uri: str) -> None:
    """Knock once at a server, since MLflow's own client retries for minutes.

    Raises:
        TrackingError: Nobody answers, or a server that is too old.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        _check_database_server(tracking_uri)
        return
    import requests

    place = _QUERY.sub("", tracking_uri).rstrip("/")
    try:
        answer = requests.get(
            f"{place}/version", timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), allow_redirects=False
        )
    except requests.exceptions.SSLError as exc:
        raise TrackingError(
            f"{hide_userinfo(tracking_uri)}: its certificate is not trusted; for a private one set "
            "MLFLOW_TRACKING_SERVER_CERT_PATH"
        ) from exc
    except requests.exceptions.RequestException as exc:
        raise TrackingError(
            f"{hide_userinfo(tracking_uri)}: the MLflow server does not answer; is it running, and "
            "is --tracking-uri (or MLFLOW_TRACKING_URI) right?"
        ) from exc
    _check_server_version(hide_userinfo(tracking_uri), answer.text if answer.ok else "")


def _check_server_version(place: str, said: str) -> None:
    """See that a server is not too old; one that does not tell its version may be any."""
    version = _VERSION.fullmatch(said.strip())
    if version and int(version[1]) < OLDEST_SERVER:
        raise TrackingError(
            f"{place}: the server runs MLflow {version[0]}, which is too old: MLflow "
            f"{OLDEST_SERVER}.0 or newer is needed there; after `pip install --upgrade mlflow` "
            "bring its database along with `mlflow db upgrade`"
        )


def _check_database_server(uri: str) -> None:
    """Whether somebody listens where the database of a URI should be, as far as it says where."""
    try:
        parts = urlsplit(uri)
        port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
    except ValueError:  # several hosts, or no address at all
        return
    if not (port and parts.hostname) or "," in parts.netloc:
        return
    try:
        socket.create_connection((parts.hostname, port), CONNECT_TIMEOUT_S).close()
    except OSError as exc:
        raise TrackingError(
            f"{hide_userinfo(uri)}: nobody answers at {parts.hostname}:{port}; is the database "
            "running, and is --tracking-uri (or MLFLOW_TRACKING_URI) right?"
        ) from exc


@contextlib.contextmanager
def translate_errors(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow raises, and what it loads for a store, into a `TrackingError` of one line.

    To be put around calls of MLflow alone.
    """
    try:
        yield
    except MlrekError:
        raise
    except Exception as exc:  # clients of databases and artifact stores raise what they like
        place = hide_userinfo(tracking_uri)
        said = (_explain_tables(str(exc)) or _explain(exc)).replace(tracking_uri, place)
        for secret in list_secrets(tracking_uri):
            said = said.replace(secret, HIDDEN)
        raise TrackingError(f"{place}: {said}") from exc


def hide_userinfo(uri: str) -> str:
    """The URI without the user and password that it may carry, and without its query."""
    scheme, colon, _ = uri.partition(":")
    if not colon or scheme == "sqlite":
        return uri
    return _QUERY.sub("", hide_secrets(uri).replace(f"{HIDDEN}@", ""))


def is_missing_model(exc: "MlflowException") -> bool:
    """Whether the registry says that it has no such model, version or alias.

    MLflow answers a missing alias of a model that is there like a value that is not valid.
    """
    code = exc.error_code
    if code == "RESOURCE_DOES_NOT_EXIST":
        return True
    return code == "INVALID_PARAMETER_VALUE" and "alias" in str(exc) and "not found" in str(exc)


def _explain(exc: Exception) -> str:
    """One line for a person; the error's own words where nothing better is known."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if answered := _ANSWERED.search(" ".join(map(str, _list_causes(exc)))):
        return _explain_answer(*answered.groups())
    if isinstance(exc, MlflowException):
        return _explain_mlflow(exc)
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return f"this needs the Python module {exc.name!r}, which is not installed"
    if isinstance(exc, ImportError):
        return f"{exc.msg.partition(' (')[0]}: update what does not fit, `pip install -U mlflow`"
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.filename}: {exc.strerror}" if exc.filename else exc.strerror
    said = str(exc).partition("\n")[0]
    return said if isinstance(exc, SQLAlchemyError) else f"{type(exc).__name__}: {said}"


def _explain_tables(text: str) -> str:
    """What is wrong with the tables of a database, '' where that is not it."""
    if found := _REVISION.search(text):
        return explain_revision(found[1] or found[2] or "")
    return explain_revision("") if _HALF_SET_UP.search(text) else ""


def _list_causes(exc: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it: MLflow wraps an answer in words of its own."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _explain_answer(status: str, said: str, url: str) -> str:
    """One line about a file that a server refuses; its address may be long, and signed."""
    name = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    advice = _FILE_ADVICE.get(status, "run the command again later, or ask who runs the server")
    return f"{name}: the server answers {status} {said}; {advice}"


def _explain_mlflow(exc: "MlflowException") -> str:
    """One line for a person; MLflow's own words where nothing better is known."""
    text = _SQL.sub("", " ".join(str(exc).split()))
    for words, explanation in _BY_WORDS.items():
        if words in text:
            return explanation.format(said=text)
    return _BY_STATUS.get(_find_status(exc, text)) or text[:MAX_SAID]


def _find_status(exc: "MlflowException", text: str) -> int:
    """The HTTP status that a server refused with, 0 where none is known.

    MLflow gives its own errors a status too, also where no server was asked.
    """
    if failed := _GIVEN_UP.search(text) or _FAILED.search(text):
        return int(failed[1])
    if exc.error_code == "ENDPOINT_NOT_FOUND":
        return UNKNOWN_REQUEST
    status: int = exc.get_http_status_code()  # type: ignore[no-untyped-call]
    return status if status in REFUSED else 0


def newest_revision() -> str:
    """The revision that the MLflow installed here makes."""
    return _read_scripts().get_current_head() or ""


def is_known_revision(revision: str) -> bool:
    """Whether the MLflow installed here knows a revision: else a newer one made it."""
    from alembic.util import CommandError

    try:
        return _read_scripts().get_revision(revision) is not None
    except CommandError:
        return False


def explain_revision(revision: str) -> str:
    """What a database of another revision is, and what to do, as the end of a sentence."""
    import mlflow

    if not revision:
        return (
            "this database was left half set up, and holds something; restore a copy from before, "
            "or move it away and sync again"
        )
    if is_known_revision(revision):
        return (
            "an older MLflow made this database; `mlflow db upgrade URI` brings it along (keep "
            "a copy: older ones cannot open it afterwards)"
        )
    return (
        f"a newer MLflow than the one installed here ({mlflow.__version__}) made this database: "
        "`pip install --upgrade mlflow` here; `mlflow db upgrade` does not help"
    )


@cache
def _read_scripts() -> "ScriptDirectory":
    import mlflow
    from alembic.script import ScriptDirectory

    place = Path(mlflow.__path__[0], "store", "db_migrations")
    return ScriptDirectory(str(place))


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

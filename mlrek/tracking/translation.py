"""MLflow's errors, translated at its door into one line that says what to do."""

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from mlrek.errors import TrackingError

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30


def check_reachable(tracking_uri: str) -> None:
    """Knock once at an HTTP server, since MLflow's own client retries for minutes.

    Raises:
        TrackingError: Nobody answers.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        return
    import requests

    try:
        requests.head(
            tracking_uri, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), allow_redirects=False
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


@contextlib.contextmanager
def translate_errors(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow raises into a `TrackingError` of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    place = hide_userinfo(tracking_uri)
    try:
        yield
    except MlflowException as exc:
        raise TrackingError(f"{place}: {_explain(exc)}") from exc
    except SQLAlchemyError as exc:  # of a local database, before MLflow sees it
        raise TrackingError(f"{place}: {_first_line(exc)}") from exc
    except OSError as exc:
        raise TrackingError(f"{place}: {exc.strerror or type(exc).__name__}") from exc


def hide_userinfo(uri: str) -> str:
    """The URI without the user and password that it may carry, and without its query."""
    parts = urlsplit(uri)
    if parts.scheme in {"", "sqlite"}:
        return uri
    netloc = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=netloc, query="", fragment="").geturl()


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0]


def _explain(exc: "Exception") -> str:
    """One line for a person; MLflow's own words where nothing better is known."""
    text = " ".join(str(exc).split())
    status = getattr(exc, "get_http_status_code", lambda: 500)()
    if status == 401 or "error code 401" in text:  # noqa: PLR2004
        return (
            "the MLflow server wants a login (401): set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if status == 403 or "error code 403" in text:  # noqa: PLR2004
        return "the MLflow server refuses this user (403): ask for EDIT permission there"
    if "absolute path" in text:
        return f"{text} Give an absolute name with --experiment /Users/you@example.com/name"
    return text[:500]

"""The Google side of the door: Vertex AI's REST API, all pages, and its errors in plain words.

google-auth and requests are imported only when Google is really asked.
"""

import json
import os
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from mlrek.errors import SourceError, SourceNotFoundError

if TYPE_CHECKING:
    from requests import Response, Session

ENDPOINT_VARIABLE = "MLREK_VERTEX_ENDPOINT"
NEEDS = "aiplatform.models.get, aiplatform.models.list, aiplatform.modelEvaluations.list"

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PAGE_SIZE = 100
_RETRIES = 5
_BACKOFF = 0.5  # seconds, doubled each time
_RETRIED = (429, 500, 502, 503, 504)
_TIMEOUT = (10, 60)  # seconds to connect, and without one byte
_MAX_CONNECTIONS = 32
_MAX_MESSAGE = 300
_LOCAL_HOSTS = frozenset(("127.0.0.1", "localhost", "::1"))
_SIGN_IN = (
    "run `gcloud auth application-default login`, or name a key file in "
    "GOOGLE_APPLICATION_CREDENTIALS"
)


class VertexApi:
    """Reads resources of one location. Its session is made when first needed, for all threads.

    Pickles as its location, so that a source can travel to another process.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._lock = Lock()
        self._session: Session | None = None

    def __reduce__(self) -> tuple[type["VertexApi"], tuple[str]]:
        return type(self), (self.location,)

    @property
    def endpoint(self) -> str:
        """Where it asks: the service of the location, or what the environment names instead."""
        named = os.environ.get(ENDPOINT_VARIABLE, "").rstrip("/")
        if named:
            return named
        place = "" if self.location == "global" else f"{self.location}-"
        return f"https://{place}aiplatform.googleapis.com"

    def get(self, name: str) -> dict[str, Any]:
        """The resource with a name.

        Raises:
            SourceNotFoundError: There is none.
            SourceError: Any other failure, with what to do next.
        """
        return self._ask(name, {})

    def list(self, name: str, key: str) -> Iterator[dict[str, Any]]:
        """The resources of a collection, all pages; `key` is that of the list in the answer.

        Raises:
            SourceNotFoundError: What the collection is of does not exist.
            SourceError: Any other failure, with what to do next.
        """
        token, seen = "", set[str]()
        while True:
            page = self._ask(name, {"pageSize": str(_PAGE_SIZE), "pageToken": token})
            found = page.get(key, [])
            if not isinstance(found, list):
                raise SourceError(name, f"Google's answer is odd: {key} is no list")
            yield from found
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
            if token in seen:
                raise SourceError(name, "Google's list goes in circles: a page came twice")
            seen.add(token)

    def _ask(self, name: str, params: Mapping[str, str]) -> dict[str, Any]:
        session, url = self._get_session(), f"{self.endpoint}/v1/{quote(name, safe='/:@-._~')}"
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        given = {key: value for key, value in params.items() if value}
        try:
            answer = session.get(url, params=given, timeout=_TIMEOUT, allow_redirects=False)
        except GoogleAuthError as exc:
            raise SourceError(name, f"Google refuses the credentials ({exc}); {_SIGN_IN}") from exc
        except RequestException as exc:
            reason = f"{self.endpoint} cannot be reached: {_first_line(exc)}"
            raise SourceError(name, reason) from exc
        return _read_answer(answer, name)

    def _get_session(self) -> "Session":
        with self._lock:
            if self._session is None:
                self._session = _make_session(self.endpoint)
            return self._session


def _make_session(endpoint: str) -> "Session":
    """A session that signs and retries."""
    try:
        from google.auth.exceptions import GoogleAuthError
        from requests import Session
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry
    except ImportError as exc:
        raise SourceError(
            "Vertex AI", f"needs google-auth and requests ({exc}): pip install 'mlrek[google]'"
        ) from exc
    where = urlsplit(endpoint)
    if where.scheme == "http" and where.hostname not in _LOCAL_HOSTS:
        raise SourceError(endpoint, f"{ENDPOINT_VARIABLE} must begin with https://")
    try:
        session = Session() if where.scheme == "http" else _sign_in()
    except GoogleAuthError as exc:
        raise SourceError("Vertex AI", f"no Google credentials are set up; {_SIGN_IN}") from exc
    retry = Retry(
        total=_RETRIES,
        backoff_factor=_BACKOFF,
        status_forcelist=_RETRIED,
        allowed_methods=("GET",),
        raise_on_status=False,
    )
    session.mount(
        f"{where.scheme}://", HTTPAdapter(max_retries=retry, pool_maxsize=_MAX_CONNECTIONS)
    )
    return session


def _sign_in() -> "Session":
    """A session with the application-default credentials, which must not travel over http."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[_SCOPE])
    session: Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return session


def _read_answer(answer: "Response", name: str) -> dict[str, Any]:
    if answer.status_code != 200:  # noqa: PLR2004 (OK)
        raise _explain(answer, name)
    try:
        found = json.loads(answer.content)
    except ValueError as exc:
        raise SourceError(name, f"Google's answer is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise SourceError(name, "Google's answer is no JSON object")
    return found


def _explain(answer: "Response", name: str) -> SourceError:
    """What an answer that is none says, and what to do about it."""
    status, said = answer.status_code, _read_message(answer)
    if status == 404:  # noqa: PLR2004 (not found)
        return SourceNotFoundError(name, f"Google knows no such thing (404){said}")
    advice = {
        401: f"Google does not know who asks (401){said}; {_SIGN_IN}",
        403: f"access denied (403){said}; needs {NEEDS} (roles/aiplatform.viewer)",
        429: f"Google still asks to wait after {_RETRIES} retries (429){said}; try again later",
    }
    return SourceError(name, advice.get(status, f"Google answers {status}{said}"))


def _read_message(answer: "Response") -> str:
    """The message of an error, in one line."""
    try:
        said = json.loads(answer.content)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {' '.join(str(said).split())[:_MAX_MESSAGE]}"


def _first_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:_MAX_MESSAGE]

"""GitHub and GitLab: the comments of one pull request, read and written by their APIs.

The address of the API, the pull request and what is known of the job come from the variables that
the hosts themselves give to a job; the token from `GITHUB_TOKEN` or `GITLAB_TOKEN`. It goes into
the header of requests to that one address and nowhere else: no redirection is followed.
"""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, Final, Protocol
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

from mlrek.errors import CommentError
from mlrek.render.comment import JobOrigin

PAGE_SIZE: Final = 100

_TRIES: Final = 4
_BACKOFF_S: Final = 1.0  # doubled each time
_UNNAMED_S: Final = 60.0  # what GitHub asks for where it names no time
_PATIENCE_S: Final = 120.0
_TIMEOUT_S: Final = 30.0
_MAX_SAID: Final = 300
_MAX_ANSWER: Final = 1 << 26
_PASSING: Final = frozenset((500, 502, 503, 504))
_LIMITED: Final = re.compile(r"rate limit", re.IGNORECASE)


class HostRefusalError(CommentError):
    """The host answers that it will not; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class HostUnsureError(CommentError):
    """No answer came, or that of a broken server: what was asked may have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A comment that is there."""

    number: int
    body: str
    url: str = ""


class Host(Protocol):
    """One pull request on a host."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def limit(self) -> int:
        """The longest comment, in characters."""

    @property
    def origin(self) -> JobOrigin:
        """The job that speaks."""

    def list_own(self) -> Iterator[Posted]:
        """The comments that this token's owner wrote, the oldest first."""

    def create(self, body: str) -> Posted:
        """Write a new one; asked once.

        Raises:
            HostUnsureError: It may be there all the same.
        """

    def update(self, number: int, body: str) -> Posted:
        """Write another text into one."""

    def delete(self, number: int) -> None:
        """Take one away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a host answers: the document, and the headers by their names in small letters."""

    document: Any
    headers: Mapping[str, str]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would take the token along."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """There is no other request."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """Requests to one host with one token.

    `wait` sleeps. What fails for the moment is asked again, 4 times at most; a host that names a
    time to wait gets it, up to 2 minutes.
    """

    title: str
    address: str
    headers: Mapping[str, str] = field(repr=False)
    wait: Callable[[float], None] = time.sleep

    def ask(
        self, method: str, path: str, document: object = None, *, repeats: bool = True
    ) -> Answer:
        """Ask, again where that may help. `path` is below the address, or a whole one.

        Args:
            method: HTTP's.
            path: Where.
            document: What is sent along as JSON.
            repeats: Whether it may be asked again although it may have been done.

        Raises:
            HostRefusalError: The host says no.
            HostUnsureError: It does not answer, or as a broken server does.
        """
        body = None if document is None else json.dumps(document).encode()
        for attempt in range(_TRIES):
            is_last = attempt == _TRIES - 1
            try:
                return self._send(method, path, body)
            except HTTPError as exc:
                said = _read_message(exc)
                pause = _say_pause(exc, said, attempt)
                is_unsure = exc.code in _PASSING
                if pause is None or pause > _PATIENCE_S or is_last or (is_unsure and not repeats):
                    kind = HostUnsureError if is_unsure else HostRefusalError
                    raise self._refuse(exc, said, pause, kind) from exc
            except (OSError, HTTPException, ValueError) as exc:
                reason = f"{self.title} cannot be reached: {str(exc)[:_MAX_SAID]}"
                if is_last or not repeats:
                    raise HostUnsureError(reason) from exc
                pause = _BACKOFF_S * 2**attempt
            self.wait(pause)
        raise AssertionError("the last try returns or raises")

    def ask_pages(self, path: str, query: Mapping[str, str | int]) -> Iterator[Any]:
        """The elements of a list, all pages."""
        page = 1
        while True:
            asked = urlencode({**query, "per_page": PAGE_SIZE, "page": page})
            answer = self.ask("GET", f"{path}?{asked}")
            if not isinstance(answer.document, list):
                raise CommentError(f"{self.title}: its answer is odd: no list of {path}")
            yield from answer.document
            has_more = 'rel="next"' in answer.headers.get("link", "")
            if not answer.document or not has_more:
                return
            page += 1

    def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        address = path if path.startswith(("https://", "http://")) else f"{self.address}/{path}"
        request = urllib.request.Request(  # noqa: S310 - the address is the host's own
            address, data=body, method=method, headers=dict(self.headers)
        )
        if body is not None:
            request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            content = answer.read(_MAX_ANSWER)
            headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(document=json.loads(content) if content else None, headers=headers)

    def _refuse(
        self,
        exc: HTTPError,
        said: str,
        pause: float | None,
        kind: type[HostUnsureError] | type[HostRefusalError],
    ) -> CommentError:
        told = f"{self.title} answers {exc.code}{f' ({said})' if said else ''}"
        if kind is HostUnsureError:
            return HostUnsureError(told)
        if pause is not None:
            told += f" and wants a pause of {pause:,.0f} seconds; run the job again later"
        return HostRefusalError(told, exc.code)


def _read_message(exc: HTTPError) -> str:
    """What the answer of an error says, in one line."""
    try:
        found = json.loads(exc.read(1 << 16))
        said = found.get("message") or found.get("error") or ""
    except (OSError, HTTPException, ValueError, AttributeError):
        said = ""
    return " ".join(str(said).split())[:_MAX_SAID]


def _say_pause(exc: HTTPError, said: str, attempt: int) -> float | None:
    """The seconds after which it may be asked again; None where that will not help."""
    if exc.code in _PASSING:
        return _read_seconds(exc.headers.get("Retry-After")) or _BACKOFF_S * 2**attempt
    is_spent = exc.headers.get("X-RateLimit-Remaining") == "0"
    is_named = exc.headers.get("Retry-After") is not None
    is_limited = is_spent or is_named or _LIMITED.search(said)
    is_refusal = exc.code == HTTPStatus.FORBIDDEN
    if exc.code != HTTPStatus.TOO_MANY_REQUESTS and not (is_refusal and is_limited):
        return None
    named = _read_seconds(exc.headers.get("Retry-After"))
    if named is not None:
        return named
    names = ("X-RateLimit-Reset", "RateLimit-Reset")
    ends = next((end for name in names if (end := _read_seconds(exc.headers.get(name)))), None)
    return _UNNAMED_S if ends is None else max(1.0, ends - time.time())


def _read_seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdecimal() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub:
    """One pull request on GitHub, github.com or a server of one's organization."""

    api: Api
    graphql: str
    repository: str
    number: int
    origin: JobOrigin
    title: str = "GitHub"
    limit: int = 65_536

    def list_own(self) -> Iterator[Posted]:
        """The comments that this token's owner wrote, the oldest first."""
        own = self._find_login()
        for found in self.api.ask_pages(f"{self._place}/{self.number}/comments", {}):
            user = found.get("user") or {}
            names = {own, f"{own}[bot]"} if user.get("type") == "Bot" else {own}
            if user.get("login") in names:
                yield _read_posted(found)

    def create(self, body: str) -> Posted:
        """Write a new one; asked once."""
        path = f"{self._place}/{self.number}/comments"
        return _read_posted(self.api.ask("POST", path, {"body": body}, repeats=False).document)

    def update(self, number: int, body: str) -> Posted:
        """Write another text into one."""
        path = f"{self._place}/comments/{number}"
        return _read_posted(self.api.ask("PATCH", path, {"body": body}).document)

    def delete(self, number: int) -> None:
        """Take one away."""
        self.api.ask("DELETE", f"{self._place}/comments/{number}")

    @property
    def _place(self) -> str:
        return f"repos/{self.repository}/issues"

    def _find_login(self) -> str:
        """The name of the token's owner: REST tells that of people, GraphQL also that of apps."""
        try:
            answer = self.api.ask("POST", self.graphql, {"query": "{viewer{login}}"}).document
            return str(answer["data"]["viewer"]["login"])
        except (HostRefusalError, KeyError, TypeError):
            return "github-actions[bot]"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLab:
    """One merge request on GitLab."""

    api: Api
    project: str
    number: int
    origin: JobOrigin
    title: str = "GitLab"
    limit: int = 1_000_000

    def list_own(self) -> Iterator[Posted]:
        """The notes that this token's owner wrote, the oldest first."""
        own = self.api.ask("GET", "user").document.get("id")
        for found in self.api.ask_pages(self._place, {"sort": "asc", "order_by": "created_at"}):
            author = found.get("author") or {}
            if own is not None and author.get("id") == own and not found.get("system"):
                yield _read_posted(found)

    def create(self, body: str) -> Posted:
        """Write a new one; asked once."""
        return _read_posted(
            self.api.ask("POST", self._place, {"body": body}, repeats=False).document
        )

    def update(self, number: int, body: str) -> Posted:
        """Write another text into one."""
        return _read_posted(self.api.ask("PUT", f"{self._place}/{number}", {"body": body}).document)

    def delete(self, number: int) -> None:
        """Take one away."""
        self.api.ask("DELETE", f"{self._place}/{number}")

    @property
    def _place(self) -> str:
        return f"projects/{quote(self.project, safe='')}/merge_requests/{self.number}/notes"


def _read_posted(found: Any) -> Posted:
    try:
        return Posted(
            number=int(found["id"]),
            body=str(found.get("body") or ""),
            url=str(found.get("html_url") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise CommentError("the host's answer is odd: a comment without a number") from exc

"""Stand-ins of GitHub's and GitLab's APIs over HTTP: comments of one pull request, with faults."""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "t0ken-of-the-job"  # noqa: S105 - of a stand-in
"""What may write."""
READER = "t0ken-of-a-fork"
"""What may read only."""


@dataclass
class HostFault:
    """Answer the next so many requests of a method with an error; `done`: having done it."""

    method: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "on demand"
    done: bool = False


@dataclass
class CodeHost:
    """One host: `comments` as its API shows them; `requests` as method, path and query."""

    comments: list[dict] = field(default_factory=list)
    pulls: list[dict] = field(default_factory=list)
    faults: list[HostFault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    longest: int = 65_536

    def __post_init__(self):
        self._lock = threading.Lock()
        self._http = None
        self._number = 1000

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def bodies(self) -> list[str]:
        """The texts of all comments."""
        return [comment["body"] for comment in self.comments]

    def answer(self, method, path, query, token, document):
        """Status, headers and document of a request."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            fault = next((f for f in self.faults if f.method == method and f.times > 0), None)
            if fault is not None:
                fault.times -= 1
                if fault.done:
                    self.decide(method, path, query, token, document)
                return fault.status, fault.headers, {"message": fault.message}
            return self.decide(method, path, query, token, document)

    def list_pages(self, found, path, query):
        """One page of a list, and where the next one is."""
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        has_more = page * size < len(found)
        more = f'<{self.url}{path}?page={page + 1}>; rel="next", <{self.url}{path}>; rel="last"'
        headers = {"Link": more} if has_more else {}
        return 200, headers, found[(page - 1) * size : page * size]

    def write(self, number, body, **others):
        """Keep a text in a comment, a new one where none has the number."""
        if len(body) > self.longest:
            return 422, {}, {"message": "Validation Failed: body is too long"}
        found = next((c for c in self.comments if c["id"] == number), None)
        if found is None:
            self._number += 1
            found = {"id": self._number, **others}
            self.comments.append(found)
            found["body"] = body
            return 201, {}, found
        found["body"] = body
        return 200, {}, found

    def remove(self, number):
        """Forget a comment."""
        self.comments = [c for c in self.comments if c["id"] != number]
        return 204, {}, None

    def start(self) -> None:
        """Listen on a free port."""
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                url = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                size = int(self.headers.get("Content-Length") or 0)
                document = json.loads(self.rfile.read(size)) if size else None
                bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
                token = bearer or self.headers.get("PRIVATE-TOKEN", "")
                status, headers, found = host.answer(self.command, url.path, query, token, document)
                content = b"" if found is None else json.dumps(found).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._http.shutdown()
        self._http.server_close()


@dataclass
class GitHubServer(CodeHost):
    """`repos/o/r`, pull request 7. A token that may write may change anybody's comment, as there.

    `tokens` are the logins of their owners, as GraphQL tells them.
    """

    tokens: dict[str, str] = field(
        default_factory=lambda: {TOKEN: "github-actions[bot]", READER: "github-actions[bot]"}
    )

    @property
    def env(self) -> dict[str, str]:
        """What a job has that is led here."""
        return {
            "GITHUB_API_URL": self.url,
            "GITHUB_GRAPHQL_URL": f"{self.url}/graphql",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": "o/r",
        }

    def add(self, body: str, login: str = "somebody", kind: str = "User") -> dict:
        """A comment of anybody."""
        user = {"login": login, "type": kind}
        return self.write(None, body, user=user, html_url="https://github.example/c")[2]

    def decide(self, method, path, query, token, document):  # noqa: PLR0911 - one an endpoint
        """What GitHub answers."""
        if token not in self.tokens:
            return 401, {}, {"message": "Bad credentials"}
        login = self.tokens[token]
        if (method, path) == ("POST", "/graphql"):
            return 200, {}, {"data": {"viewer": {"login": login}}}
        if (method, path) == ("GET", "/repos/o/r/issues/7/comments"):
            return self.list_pages(self.comments, path, query)
        if (method, path) == ("GET", "/repos/o/r/pulls"):
            found = [p for p in self.pulls if p["head"]["label"] == query["head"]]
            return self.list_pages(found, path, query)
        if token == READER:
            return 403, {}, {"message": "Resource not accessible by integration"}
        if (method, path) == ("POST", "/repos/o/r/issues/7/comments"):
            kind = "Bot" if login.endswith("[bot]") else "User"
            url = "https://github.example/c"
            return self.write(
                None, document["body"], user={"login": login, "type": kind}, html_url=url
            )
        one = re.fullmatch(r"/repos/o/r/issues/comments/(\d+)", path)
        if one and method == "PATCH":
            return self.write(int(one[1]), document["body"])
        if one and method == "DELETE":
            return self.remove(int(one[1]))
        return 404, {}, {"message": "Not Found"}


@dataclass
class GitLabServer(CodeHost):
    """Project 42, merge request 7; `tokens` are the numbers of their owners."""

    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: "5", READER: "6"})
    longest: int = 1_000_000

    @property
    def env(self) -> dict[str, str]:
        """What a job has that is led here."""
        return {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": f"{self.url}/api/v4",
            "CI_PROJECT_ID": "43",  # of the fork
            "CI_MERGE_REQUEST_PROJECT_ID": "42",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_JOB_URL": "https://gitlab.example/j/1",
            "CI_JOB_NAME": "mlrek-check",
            "CI_COMMIT_SHA": "c" * 40,
        }

    def add(self, body: str, owner: int = 9, *, system: bool = False) -> dict:
        """A note of anybody."""
        return self.write(None, body, author={"id": owner}, system=system)[2]

    def decide(self, method, path, query, token, document):  # noqa: PLR0911 - one an endpoint
        """What GitLab answers."""
        if token not in self.tokens:
            return 401, {}, {"message": "401 Unauthorized"}
        own, place = int(self.tokens[token]), "/api/v4/projects/42/merge_requests/7/notes"
        if (method, path) == ("GET", "/api/v4/user"):
            return 200, {}, {"id": own}
        if (method, path) == ("GET", place):
            return self.list_pages(self.comments, path, query)
        if token == READER:
            return 403, {}, {"message": "403 Forbidden"}
        if (method, path) == ("POST", place):
            return self.write(None, document["body"], author={"id": own}, system=False)
        one = re.fullmatch(rf"{place}/(\d+)", path)
        found = one and next((c for c in self.comments if c["id"] == int(one[1])), None)
        if found and found["author"]["id"] != own:
            return 403, {}, {"message": "403 Forbidden"}
        if found and method == "PUT":
            return self.write(int(one[1]), document["body"])
        if found and method == "DELETE":
            return self.remove(int(one[1]))
        return 404, {}, {"message": "404 Not Found"}

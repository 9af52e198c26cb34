"""A small Vertex AI over HTTP: models, versions, evaluations and slices in pages, with faults."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LIST_KEYS = {
    "listVersions": "models",
    "evaluations": "modelEvaluations",
    "slices": "modelEvaluationSlices",
}


@dataclass
class VertexFault:
    """Answer requests for paths that end so with an error instead, so many times."""

    ending: str
    status: int
    times: int = 1000
    body: bytes | None = None


@dataclass
class VertexServer:
    """The service: `resources` by name, `lists` by collection; `requests` are what was asked."""

    page_size: int = 100
    resources: dict[str, Mapping] = field(default_factory=dict)
    lists: dict[str, Sequence[Mapping]] = field(default_factory=dict)
    faults: list[VertexFault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._lock = threading.Lock()
        self._http = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a command here."""
        return {"MLREK_VERTEX_ENDPOINT": self.url}

    def add_version(
        self, model: Mapping, evaluations: Sequence[Mapping] = (), slices: Sequence[Mapping] = ()
    ) -> None:
        """Add a version of a model with its evaluations; the slices go to the first of them."""
        name = model["name"].partition("@")[0]
        version = f"{name}@{model['versionId']}"
        names = [version, *(f"{name}@{alias}" for alias in model.get("versionAliases", ()))]
        self.resources |= dict.fromkeys(names, model)
        self.lists[f"{name}:listVersions"] = [*self.lists.get(f"{name}:listVersions", ()), model]
        self.lists[f"{version}/evaluations"] = evaluations
        for i, evaluation in enumerate(evaluations):
            number = evaluation["name"].rpartition("/")[2]
            self.lists[f"{version}/evaluations/{number}/slices"] = slices if i == 0 else ()

    def answer(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        """Status and body of a GET."""
        name = unquote(path).removeprefix("/v1/")
        with self._lock:
            self.requests.append(
                name + (f"?{query['pageToken'][0]}" if "pageToken" in query else "")
            )
            for fault in self.faults:
                if name.endswith(fault.ending) and fault.times > 0:
                    fault.times -= 1
                    said = _error(fault.status, "on demand") if fault.body is None else fault.body
                    return fault.status, said
        if not path.startswith("/v1/"):
            return 404, b"<html>not an API</html>"
        if name in self.lists:
            return 200, self._answer_page(name, query)
        if name in self.resources:
            return 200, json.dumps(self.resources[name]).encode()
        return 404, _error(404, f"{name} is not found.")

    def _answer_page(self, name: str, query: Mapping[str, list[str]]) -> bytes:
        start = int(query.get("pageToken", ["0"])[0])
        size = min(self.page_size, int(query["pageSize"][0]))
        found = self.lists[name]
        key = LIST_KEYS[name.replace(":", "/").rpartition("/")[2]]
        page = {key: found[start : start + size]} if found else {}
        if start + size < len(found):
            page["nextPageToken"] = str(start + size)
        return json.dumps(page).encode()

    def reset(self) -> None:
        """Forget everything."""
        self.page_size = 100
        for store in (self.resources, self.lists, self.faults, self.requests, self.authorizations):
            store.clear()

    def start(self) -> None:
        """Listen on a free port."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urlsplit(self.path)
                server.authorizations.append(self.headers.get("Authorization", ""))
                status, body = server.answer(url.path, parse_qs(url.query))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._http.shutdown()
        self._http.server_close()


def _error(status: int, message: str) -> bytes:
    return json.dumps({"error": {"code": status, "message": message, "status": "ANY"}}).encode()

"""A proxy in front of a server that denies, delays, cuts off and loses what a test names.

Made for moto's S3 server; MLflow's is no other as long as a test says what an error looks like.
"""

import contextlib
import http.client
import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import attrgetter
from urllib.parse import parse_qsl, quote, unquote, urlsplit

HOP_BY_HOP = frozenset(("connection", "transfer-encoding", "keep-alive", "content-length", "date"))


@dataclass
class S3Fault:
    """What happens to requests whose path (decoded) ends with `key`, so many times.

    Either an error (`status`, and `body` or S3's form of `code`), or the body is cut off after
    `cut_after` bytes, or comes in two halves with a `pause` between them (seconds, or `until` a
    test says so) or a byte at a time, `drip` seconds apart, or the request is done and its answer
    `lost`, or has `changed` headers. The first `skip` requests pass.
    """

    key: str
    method: str = ""
    status: int = 0
    code: str = ""
    cut_after: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1_000_000
    skip: int = 0
    body: str = ""
    pause: float = 0.0
    until: threading.Event | None = None
    drip: float = 0.0
    lost: bool = False
    changed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class S3Listed:
    """An object of a bucket that is only listed, with the ETag that a test wants."""

    key: str
    size: int
    etag: str
    modified: str = "2024-05-01T12:00:00.000Z"


@dataclass
class S3Proxy:
    """The proxy: set `faults`, read `requests` (method, decoded path with query, Range).

    `listings` are buckets, of any number of objects in order, whose lists are answered here: the
    server behind sorts all of a bucket for each page.
    """

    target: str
    listings: dict[str, list[S3Listed]] = field(default_factory=dict)
    faults: list[S3Fault] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def fail(
        self, key: str, status: int, code: str, *, times: int = 1_000_000, **headers: str
    ) -> None:
        """Answer requests of `key` with an error; `_` in the name of a header stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(S3Fault(key=key, status=status, code=code, headers=named, times=times))

    def cut_off(self, key: str, *, after: int, times: int) -> None:
        """Close the connection after so many bytes of a body."""
        self.faults.append(S3Fault(key=key, method="GET", cut_after=after, times=times))

    def requests_for(self, key: str, method: str = "GET") -> list[str]:
        """The Range headers of the requests of one key."""
        return [
            rest
            for m, path, rest in self.requests
            if m == method and path.partition("?")[0].endswith(key)
        ]

    def reset(self) -> None:
        """Forget faults, listings and requests."""
        self.listings.clear()
        self.faults.clear()
        self.requests.clear()
        self.authorizations.clear()

    def start(self) -> None:
        """Listen on a free port, in a thread."""
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.proxy = self
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._http.shutdown()
        self._http.server_close()

    def take_fault(self, method: str, path: str) -> S3Fault | None:
        """The first fault that meets a request, used up once."""
        with self._lock:
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and path.endswith(fault.key):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


def list_page(objects: list[S3Listed], asked: dict[str, str]) -> str:
    """A page of ListObjectsV2: the next 1,000 keys in order of their bytes."""
    after = asked.get("continuation-token") or asked.get("start-after", "")
    prefix = asked.get("prefix", "")
    first = bisect_left(objects, prefix, key=attrgetter("key"))
    first = max(first, bisect_right(objects, after, key=attrgetter("key")))
    found = [one for one in objects[first : first + 1001] if one.key.startswith(prefix)]
    page, is_cut = found[:1000], len(found) > 1000
    rows = "".join(
        f"<Contents><Key>{quote(one.key)}</Key><LastModified>{one.modified}</LastModified>"
        f"<ETag>&quot;{one.etag}&quot;</ETag><Size>{one.size}</Size></Contents>"
        for one in page
    )
    token = (
        f"<NextContinuationToken>{quote(page[-1].key)}</NextContinuationToken>" if is_cut else ""
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><KeyCount>{len(page)}</KeyCount><MaxKeys>1000</MaxKeys>"
        f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{rows}{token}</ListBucketResult>"
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: S3Proxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def forward(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        decoded, proxy = unquote(self.path), self.server.proxy
        proxy.requests.append((self.command, decoded, self.headers.get("Range", "")))
        proxy.authorizations.append(self.headers.get("Authorization", ""))
        fault = proxy.take_fault(self.command, decoded.partition("?")[0])
        if fault is not None and fault.status:
            body = f"<Error><Code>{fault.code}</Code><Message>on demand</Message></Error>"
            headers = {"Content-Type": "application/xml", **fault.headers}
            self.answer(fault.status, headers, (fault.body or body).encode())
            return
        bucket, _, query = self.path.strip("/").partition("?")
        if bucket in proxy.listings and "list-type=2" in query:
            page = list_page(proxy.listings[bucket], dict(parse_qsl(query)))
            self.answer(200, {"Content-Type": "application/xml"}, page.encode(), fault)
            return
        status, headers, body = self.ask(sent)
        if fault is not None and fault.lost:
            self.close_connection = True
            return
        changed = fault.changed if fault else {}
        kept = {k: v for k, v in headers.items() if k.lower() not in map(str.lower, changed)}
        self.answer(status, kept | changed, body, fault)

    def ask(self, sent):
        connection = http.client.HTTPConnection(urlsplit(self.server.proxy.target).netloc)
        connection.request(self.command, self.path, body=sent, headers=dict(self.headers))
        response = connection.getresponse()
        body = response.read()
        headers = {k: v for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP}
        if self.command == "HEAD":
            headers["Content-Length"] = response.getheader("Content-Length", "0")
        connection.close()
        return response.status, headers, body

    def answer(self, status, headers, body, fault=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        half = len(body) // 2 if fault and (fault.pause or fault.until) else 0
        if self.command != "HEAD":
            self.wfile.write(body[:half])
            if half:
                time.sleep(fault.pause)
            if half and fault.until:
                fault.until.wait()
            with contextlib.suppress(ConnectionError):  # nobody may be waiting any more
                for i in range(len(body) if fault and fault.drip else 0):
                    self.wfile.write(body[i : i + 1])
                    time.sleep(fault.drip)
                    half = i + 1
                self.wfile.write(body[half : fault.cut_after if fault else None])
        if fault is not None and fault.cut_after is not None:
            self.close_connection = True

    def log_message(self, *args):
        pass


for _method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.forward)

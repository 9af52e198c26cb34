"""An S3 of one bucket that holds a folder, over HTTP: enough of it for reading, and nearly free.

    python tests/benchmarks/serve_folder.py FOLDER       # prints its address, serves until killed

Files are sent by the kernel, so that the processor time of a benchmark is that of the readers. An
ETag is no MD5 here, as of objects that were uploaded in parts.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "benchmark"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class FolderServer(ThreadingHTTPServer):
    """The server; `requests` are method and path of each request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else answers in two parts wait 40 ms
    server: FolderServer

    def do_HEAD(self) -> None:
        """HeadObject."""
        self.answer()

    def do_GET(self) -> None:
        """GetObject and ListObjectsV2."""
        self.answer()

    def answer(self) -> None:
        """Answer one request."""
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/")
        self.server.requests.append((self.command, key))
        file = self.server.folder / key
        if "list-type" in parts.query:
            prefix = parse_qs(parts.query).get("prefix", [""])[0]
            self.send_text(200, self.list_objects(prefix))
        elif key and file.is_file():
            self.send_file(file)
        else:
            self.send_text(404, "<Error><Code>NoSuchKey</Code></Error>")

    def list_objects(self, prefix: str) -> str:
        """The answer of ListObjectsV2, on one page."""
        rows = [
            f"<Contents><Key>{escape(key)}</Key><Size>{path.stat().st_size}</Size></Contents>"
            for path in sorted(self.server.folder.rglob("*"))
            if path.is_file() and (key := path.relative_to(self.server.folder).as_posix())
            if key.startswith(prefix)
        ]
        whole = "<IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{whole}{''.join(rows)}</ListBucketResult>"

    def send_file(self, file: Path) -> None:
        """The content, or the part of it that is asked for."""
        size = file.stat().st_size
        first, last = 0, size - 1
        if asked := self.headers.get("Range", "").removeprefix("bytes="):
            low, _, high = asked.partition("-")
            first, last = int(low), min(int(high), last)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last - first + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("ETag", f'"{size:032x}-2"')
        self.end_headers()
        if self.command == "GET":
            with file.open("rb") as opened, contextlib.suppress(ConnectionError):
                self.wfile.flush()
                self.connection.sendfile(opened, first, last - first + 1)

    def send_text(self, status: int, text: str) -> None:
        """XML."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[FolderServer]:
    """Serve a folder from a thread of this process."""
    server = FolderServer(folder)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with FolderServer(Path(sys.argv[1])) as chosen:
        print(chosen.url, flush=True)
        chosen.serve_forever()

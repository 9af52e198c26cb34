"""A small Rekognition over HTTP: projects and versions in pages, answers for images, with faults.

Requests and answers are checked against botocore's service model, so that a test cannot rely on
something that the real service would never send or accept.
"""

import base64
import binascii
import contextlib
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
from botocore.validate import ParamValidator

TARGET = "RekognitionService."


@dataclass
class Fault:
    """Answer an operation with an error instead, so many times.

    `page` (from 0) waits for that page of a listing; None takes any request. With a code of ''
    the answer is only late, by `delay` seconds.
    """

    operation: str
    code: str = ""
    message: str = "on demand"
    status: int = 400
    times: int = 1
    page: int | None = None
    delay: float = 0.0


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    body: Mapping[str, object]


@dataclass
class RekognitionServer:
    """The service: set `projects`, `versions`, `faults` and `images`, read `requests`.

    `images` says what any version sees: an image's bytes or `s3://` URI -> its labels, as the
    service writes them (`{"Name": "cat", "Confidence": 97.5}`, with "Geometry" for objects).
    `thresholds` are assumed thresholds in percent, used where a request names no confidence.
    Only versions in `running` answer. More than `calls_a_second` are throttled, whoever calls, and
    `throttled` counts them.
    """

    page_size: int = 100
    calls_a_second: int | None = None
    last_token: str | None = None
    projects: list[dict] = field(default_factory=list)
    versions: dict[str, list[dict]] = field(default_factory=dict)
    images: dict[bytes | str, list[dict]] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, dict]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    user_agents: list[str] = field(default_factory=list)
    throttled: int = 0

    def __post_init__(self):
        self._model = botocore.session.get_session().get_service_model("rekognition")
        self._lock = threading.Lock()
        self._answered: list[float] = []
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a command here."""
        return {"AWS_ENDPOINT_URL_REKOGNITION": self.url}

    def add_project(self, arn: str, versions: Sequence[dict] = (), **described: object) -> str:
        """Add a project with the descriptions of its versions; its ARN comes back."""
        self.projects.append(
            {"ProjectArn": arn, "Status": "CREATED", "Feature": "CUSTOM_LABELS", **described}
        )
        self.versions[arn] = list(versions)
        return arn

    def reset(self) -> None:
        """Forget everything."""
        self.page_size, self.last_token = 100, None
        self.calls_a_second, self.throttled = None, 0
        for store in (self.projects, self.versions, self.faults, self.requests):
            store.clear()
        for store in (self.images, self.thresholds, self.running):
            store.clear()
        self.authorizations.clear()
        self.user_agents.clear()

    def start(self) -> None:
        """Listen on a free port, in a thread."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._http.shutdown()
        self._http.server_close()

    def answer(self, operation: str, params: dict) -> Answer:
        """What the service says to one request."""
        with self._lock:
            self.requests.append((operation, params))
            fault = self._take_fault(operation, params)
            if self._is_too_fast():
                return _error("ThrottlingException", "Rate exceeded")
        if fault is not None:
            time.sleep(fault.delay)
            if fault.code:
                return _error(fault.code, fault.message, fault.status)
        shape = self._model.operation_model(operation).input_shape
        _decode_image(params)
        report = ParamValidator().validate(params, shape)
        if report.has_errors():
            return _error("ValidationException", report.generate_report())
        return _OPERATIONS[operation](self, params)

    def describe_projects(self, params: dict) -> Answer:
        """DescribeProjects; without `Features`, moderation adapters are invisible."""
        names = params.get("ProjectNames")
        features = params.get("Features", ["CUSTOM_LABELS"])
        found = [
            project
            for project in self.projects
            if project.get("Feature", "CUSTOM_LABELS") in features
            and (names is None or project["ProjectArn"].split("/")[1] in names)
        ]
        return self._page("DescribeProjects", "ProjectDescriptions", found, params)

    def describe_project_versions(self, params: dict) -> Answer:
        """DescribeProjectVersions of a project that is there."""
        if params["ProjectArn"] not in self.versions:
            return _error("ResourceNotFoundException", "The project was not found.")
        names = params.get("VersionNames")
        if names is not None and len(names) > 10:
            return _error("InvalidParameterException", "at most 10 version names")
        found = [
            version
            for version in self.versions[params["ProjectArn"]]
            if names is None or version["ProjectVersionArn"].split("/")[3] in names
        ]
        key = "ProjectVersionDescriptions"
        return self._page("DescribeProjectVersions", key, found, params)

    def detect_custom_labels(self, params: dict) -> Answer:
        """DetectCustomLabels of a running version; the most confident labels come first."""
        if params["ProjectVersionArn"] not in self.running:
            return _error("ResourceNotReadyException", "The model version is not running.")
        image = params["Image"]
        is_s3 = "S3Object" in image
        seen = self.images.get(_s3_uri(image["S3Object"]) if is_s3 else image["Bytes"])
        if seen is None:
            code = "InvalidS3ObjectException" if is_s3 else "InvalidImageFormatException"
            return _error(code, "The image cannot be read.")
        least = params.get("MinConfidence")
        labels = [
            label
            for label in sorted(seen, key=lambda label: -label["Confidence"])
            if label["Confidence"] >= (self._threshold(label) if least is None else least)
        ]
        return self._checked("DetectCustomLabels", {"CustomLabels": labels[: _most(params)]})

    def _threshold(self, label: dict) -> float:
        return self.thresholds.get(label["Name"], 0.0)

    def _page(self, operation: str, key: str, items: list[dict], params: dict) -> Answer:
        start = _page_start(params)
        if start is None:
            return _error("InvalidPaginationTokenException", "not a token of this service")
        end = start + min(self.page_size, params.get("MaxResults", 100))
        body: dict = {key: items[start:end]}
        if end < len(items):
            body["NextToken"] = f"from-{end}"
        elif self.last_token is not None:
            body["NextToken"] = self.last_token
        return self._checked(operation, body)

    def _checked(self, operation: str, body: dict) -> Answer:
        """An answer that the real service could give."""
        report = ParamValidator().validate(
            body, self._model.operation_model(operation).output_shape
        )
        if report.has_errors():
            return _error("FakeServerMisuse", report.generate_report(), 501)
        return Answer(200, body)

    def _is_too_fast(self) -> bool:
        """Whether a call is one too many within a second."""
        now = time.monotonic()
        self._answered = [when for when in self._answered if now - when < 1]
        if self.calls_a_second is not None and len(self._answered) >= self.calls_a_second:
            self.throttled += 1
            return True
        self._answered.append(now)
        return False

    def _take_fault(self, operation: str, params: dict) -> Fault | None:
        page = (_page_start(params) or 0) // self.page_size
        for fault in self.faults:
            if fault.times and fault.operation == operation and fault.page in (None, page):
                fault.times -= 1
                return fault
        return None


def _page_start(params: dict) -> int | None:
    token = params.get("NextToken")
    if not token:
        return 0
    match = re.fullmatch(r"from-(\d+)", token)
    return int(match[1]) if match else None


def _decode_image(params: dict) -> None:
    """Bytes travel in base64; whatever is no base64 stays as it came."""
    image = params.get("Image", {})
    if isinstance(image.get("Bytes"), str):
        with contextlib.suppress(binascii.Error):
            image["Bytes"] = base64.b64decode(image["Bytes"], validate=True)


def _s3_uri(place: dict) -> str:
    return f"s3://{place['Bucket']}/{place['Name']}"


def _most(params: dict) -> int:
    return params.get("MaxResults", 4096)


def _error(code: str, message: str, status: int = 400) -> Answer:
    return Answer(status, {"__type": code, "message": message, "Message": message})


def _to_wire(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(value)


_OPERATIONS = {
    "DescribeProjects": RekognitionServer.describe_projects,
    "DescribeProjectVersions": RekognitionServer.describe_project_versions,
    "DetectCustomLabels": RekognitionServer.detect_custom_labels,
}


def _make_handler(server: RekognitionServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            params = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            operation = self.headers.get("X-Amz-Target", "").removeprefix(TARGET)
            server.authorizations.append(self.headers.get("Authorization", ""))
            server.user_agents.append(self.headers.get("User-Agent", ""))
            if operation in _OPERATIONS:
                answer = server.answer(operation, params)
            else:
                answer = _error("UnknownOperationException", operation)
            body = json.dumps(answer.body, default=_to_wire).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    return Handler

"""Google (AutoML Vision, Vertex AI): versions in saved files, and of Vertex AI as it answers now.

What the service answers is kept as documents in a storage of its own, under their REST names, so
that it is read, and archived, exactly as if somebody had saved it in files.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePosixPath
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import Evaluation, Provider
from mlrek.formats.google.documents import MODELS, GoogleRole, parse_google_name
from mlrek.formats.json_text import say_bytes
from mlrek.formats.sniff import Service, sniff_inside
from mlrek.sources.entries import EvaluationEntry, Part, PartReader, VersionEntry
from mlrek.sources.storage import FileState, StoredFile, join_uri, parent_uri
from mlrek.sources.tree import VERSION_FILE, FoundVersions, Tree, is_description, read_all

if TYPE_CHECKING:
    from requests import Response, Session

    from mlrek.formats.google.collection import GoogleCollection, GoogleVersion


FORMAT = Service.GOOGLE
ROLES = frozenset(GoogleRole)

NO_FILES: Mapping[str, GoogleRole] = MappingProxyType({})

_SUFFIXES = frozenset(("", ".json", ".jsonl", ".ndjson", ".csv", ".txt", ".gz"))
_EVALUATION_NAMES = re.compile(
    r"(?:list[-_]?)?(?:model[-_]?)?(?:evaluations?|slices)(?![a-z])", re.IGNORECASE
)
_PREDICTION_NAMES = re.compile(
    r"(?:image_(?:classification|object_detection)|predictions?)_[0-9]+\.jsonl", re.IGNORECASE
)
_NAMED = ((_EVALUATION_NAMES, GoogleRole.EVALUATIONS), (_PREDICTION_NAMES, GoogleRole.PREDICTIONS))
_ERROR = re.compile(rb'\s*\[?\s*\{\s*"error"\s*:\s*\{')
"""An answer of Google's that refuses, as curl saves it."""
_PROVIDERS = frozenset((Provider.AUTOML, Provider.VERTEX))

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


_READERS = 8
_EVALUATION_LIST, _SLICE_LIST = "evaluations", "slices"
_LISTS = {_EVALUATION_LIST: "modelEvaluations", _SLICE_LIST: "modelEvaluationSlices"}
_NO_EVALUATION = "the service has no evaluation of it"


@dataclass(frozen=True, slots=True)
class VertexStorage:
    """The documents of the REST API by their names; a list has all its pages."""

    api: VertexApi

    def list_files(
        self,
        uri: str,
        *,
        deep: bool = True,  # noqa: ARG002 (the protocol's)
    ) -> Iterator[StoredFile]:
        """There are no folders to list."""
        raise SourceError(uri, "cannot be listed as a folder")

    def read(
        self,
        uri: str,
        version_id: str = "",  # noqa: ARG002 (the protocol's)
        *,
        max_size: int | None = None,  # noqa: ARG002 (same)
    ) -> Iterator[bytes]:
        """See `Storage`; keys are sorted, so that equal answers are equal bytes."""
        return iter((_dump(self._get(uri)),))

    def read_head(self, uri: str, size: int) -> bytes:
        """See `Storage`."""
        return b"".join(self.read(uri))[:size]

    def read_state(self, uri: str, version_id: str = "") -> FileState:
        """See `Storage`; asks for the document, for the service tells nothing less."""
        content = b"".join(self.read(uri, version_id))
        return FileState(size=len(content), sha256=sha256(content).hexdigest())

    def _get(self, uri: str) -> dict[str, Any]:
        key = _LISTS.get(uri.rpartition("/")[2])
        return {key: list(self.api.list(uri, key))} if key else self.api.get(uri)


@dataclass(frozen=True, slots=True)
class LiveModel:
    """The versions of a registered model, or the one that the name ends with (number or alias)."""

    storage: VertexStorage
    name: str

    def list_versions(self) -> list[VersionEntry]:
        """Every version, all pages.

        Raises:
            SourceNotFoundError: There is no such model or version.
            SourceError: Google cannot be asked, or denies it.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            return [entry for found in pool.map(self._list, self._list_models()) for entry in found]

    def _list_models(self) -> list[dict[str, Any]]:
        api = self.storage.api
        if "@" in self.name:
            return [api.get(self.name)]
        models = list(api.list(f"{self.name}:listVersions", "models"))
        if not models:
            raise SourceNotFoundError(self.name, "the model has no versions")
        return models

    def _list(self, model: dict[str, Any]) -> list[VersionEntry]:
        """The entry of one version, from its description, its evaluations and its training."""
        name = self._name_version(model)
        documents = {f"{name}/version": _dump({**model, "name": name})}
        pipeline, refused, warnings = str(model.get("trainingPipeline") or ""), "", list[str]()
        try:
            documents[f"{name}/{_EVALUATION_LIST}"] = self._read(f"{name}/{_EVALUATION_LIST}")
        except SourceError as exc:
            refused = str(exc)
        try:
            documents |= {pipeline: self._read(pipeline)} if pipeline else {}
        except SourceError as exc:
            warnings.append(f"{exc}; so nothing is known of the training but its end")
        parts = tuple(_list_documents(name, pipeline, documents))
        return [
            replace(
                entry,
                parts=() if entry.skipped else parts,
                skipped=_NO_EVALUATION if entry.skipped and not refused else "",
                refused=refused or entry.refused,
                warnings=(*entry.warnings, *warnings),
            )
            for entry in make_entries(documents)
        ]

    def _read(self, uri: str) -> bytes:
        return b"".join(self.storage.read(uri))

    def _name_version(self, model: dict[str, Any]) -> str:
        """The name with the version in it: without, the service means the default version."""
        said = str(model.get("name") or self.name).partition("@")[0]
        return f"{said}@{model.get('versionId') or 'default'}"


def find_versions(tree: Tree) -> FoundVersions:
    """Every version that any file of the tree tells of, whatever the files are called."""
    known = (file for file in tree.files if _seems_known(file) or file.uri == tree.chosen)
    roles = dict(read_all(lambda file: _sniff(tree, file), known))
    roles.update(_find_spoilt(tree, {parent_uri(uri) for uri in roles}, roles))
    documents = [file for file in tree.files if file.uri in roles and not roles[file.uri].is_data]
    data = {uri: role for uri, role in roles.items() if role.is_data}
    contents = dict(read_all(lambda file: (file.uri, tree.read(file)), documents))
    return FoundVersions(entries=make_entries(contents, data), taken=frozenset(roles))


def make_entries(
    documents: Mapping[str, bytes], data_files: Mapping[str, GoogleRole] = NO_FILES
) -> list[VersionEntry]:
    """The versions that documents and files with a line per image tell of, by their URIs."""
    if not documents and not data_files:
        return []
    from mlrek.formats.google.collection import collect_google

    collection = collect_google(documents, data_files)
    return _warn_first([_make_entry(found) for found in collection.versions], collection)


def load_evaluation(entry: VersionEntry, reader: PartReader) -> Evaluation:
    """The evaluation of one version, its published numbers read at the threshold asked for."""
    from mlrek.formats.google.collection import collect_google
    from mlrek.formats.google.evaluation import parse_google
    from mlrek.formats.google.metrics import GoogleSettings

    documents = {
        part.uri: reader.read(part) for part in entry.parts if not GoogleRole(part.role).is_data
    }
    if entry.description:
        folder = parent_uri(entry.parts[0].uri) if entry.parts else ""
        documents.setdefault(join_uri(folder, VERSION_FILE), entry.description)
    collection = collect_google(
        documents, {}, settings=GoogleSettings(threshold=reader.options.threshold)
    )
    parts = {part.uri: part for part in entry.parts}
    found = replace(
        _find(collection, entry.version.arn),
        version=entry.version,
        parts={part.uri: GoogleRole(part.role) for part in entry.parts},
        skipped="",
        warnings=entry.warnings,
    )
    return parse_google(
        found,
        lambda uri: reader.open(parts[uri]),
        skip_bad_lines=reader.options.skip_bad_lines,
    )


def find_location(name: str) -> str:
    """The location in the resource name of a model or of a version; '' of anything else."""
    found = parse_google_name(name)
    is_model = found is not None and found.collection == MODELS and not found.evaluation
    return found.location if found and is_model else ""


def _seems_known(file: StoredFile) -> bool:
    """Whether it is worth a look, by its name."""
    return file.ending in _SUFFIXES


def _sniff(tree: Tree, file: StoredFile) -> tuple[str, GoogleRole] | None:
    """A file's URI and what it holds; None when it is nothing of Google's."""
    try:
        name = PurePosixPath(file.name).name
        kind = tree.sniff(file) or sniff_inside(tree.read_head(file), name)
    except SourceError:
        return None  # nobody knows what it holds; the caller says so
    project = tree.find_around(file).project
    role = GoogleRole(kind.role) if kind and kind.service is Service.GOOGLE else None
    if role is None and is_description(file) and project and project.provider in _PROVIDERS:
        role = GoogleRole.EVALUATIONS  # broken, and not to be overlooked
    return None if role is None else (file.uri, role)


def _find_spoilt(
    tree: Tree, folders: Collection[str], known: Collection[str]
) -> Iterator[tuple[str, GoogleRole]]:
    """Files next to Google's with its names that hold no JSON, or an error: empty, a pointer."""
    for file in tree.list_right_in(folders):
        name = PurePosixPath(file.name).name
        role = next((role for form, role in _NAMED if form.match(name)), None)
        if role is None or file.uri in known:
            continue
        with suppress(SourceError):  # what cannot be read at all is told by the caller
            head = tree.read_head(file)
            if say_bytes(head) or _ERROR.match(head):
                yield file.uri, role


def _make_entry(found: "GoogleVersion") -> VersionEntry:
    reported = found.numbers.reported if found.numbers else None
    return VersionEntry(
        version=found.version,
        format=FORMAT,
        parts=tuple(_list_parts(found)),
        description=found.description,
        reported=reported.aggregate if reported else {},
        test_images=reported.test_images if reported else None,
        evaluations=tuple(_list_evaluations(found)),
        skipped=found.skipped,
        refused=found.refused,
        warnings=found.warnings,
    )


def _list_evaluations(found: "GoogleVersion") -> Iterator[EvaluationEntry]:
    """The evaluation that counts, those of its labels, and any other ones of the version."""
    for i, one in enumerate(found.evaluations):
        if i or found.numbers is None:
            yield EvaluationEntry(id=one.id, created_ms=one.created_ms)
            continue
        reported = found.numbers.reported
        yield EvaluationEntry(
            id=one.id,
            created_ms=one.created_ms,
            test_images=reported.test_images,
            average_precision=reported.aggregate.get("average_precision"),
        )
        for part in one.labels:
            label = part.name_by(found.numbers.label_names)
            scores = reported.per_label.get(label, {})
            images = scores.get("test_images")
            yield EvaluationEntry(
                id=part.id,
                label=label,
                created_ms=part.created_ms,
                test_images=None if images is None else int(images),
                average_precision=scores.get("average_precision"),
            )


def _list_parts(found: "GoogleVersion") -> Iterator[Part]:
    """Its files, without those that only hold its description next to others'."""
    for name, role in found.parts.items():
        if role is not GoogleRole.MODELS or not found.description:
            yield Part(role=role, uri=name, origin=name)


def _warn_first(entries: list[VersionEntry], collection: "GoogleCollection") -> list[VersionEntry]:
    """What is to be said of files that belong to no version is said once, with the first one."""
    if not entries:
        return []
    first = replace(entries[0], warnings=(*entries[0].warnings, *collection.warnings))
    return [first, *entries[1:]]


def _find(collection: "GoogleCollection", arn: str) -> "GoogleVersion":
    """The version with a resource name; the project in it may be spelled in another way."""
    versions = collection.versions
    same = [found for found in versions if found.version.arn == arn]
    name = _without_project(arn)
    alike = [found for found in versions if _without_project(found.version.arn) == name]
    told = [found for found in versions if found.numbers or found.refused]
    for candidates in (same, alike, told, versions):
        if candidates:
            return candidates[0]
    raise SourceError(arn, "its files do not tell of it any more")


def _without_project(arn: str) -> str:
    return arn.partition("/locations/")[2] or arn


def _list_documents(name: str, pipeline: str, documents: Mapping[str, bytes]) -> Iterator[Part]:
    """The documents of an evaluation, and the slices of each, which are not asked for yet."""
    uri = f"{name}/{_EVALUATION_LIST}"
    if uri in documents:
        yield _make_part(GoogleRole.EVALUATIONS, uri, _EVALUATION_LIST)
        for found in json.loads(documents[uri])[_LISTS[_EVALUATION_LIST]]:
            evaluation = parse_google_name(str(found.get("name")))
            if evaluation is not None and evaluation.evaluation:
                slices = f"{uri}/{evaluation.evaluation}/{_SLICE_LIST}"
                yield _make_part(
                    GoogleRole.SLICES, slices, f"{_SLICE_LIST}-{evaluation.evaluation}"
                )
    if pipeline in documents:
        yield _make_part(GoogleRole.PIPELINES, pipeline, "training_pipeline")


def _make_part(role: GoogleRole, uri: str, stem: str) -> Part:
    return Part(role=role, uri=uri, origin=uri, name=f"{stem}.json")


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


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

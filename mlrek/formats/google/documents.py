"""JSON documents of Google's services: what a file is, and the resources that it holds.

A document is one resource, a list, or an answer with a list inside. Resources are told apart by
their names (`projects/P/locations/L/models/M@2/…`), files by their first bytes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from msgspec import UNSET, Raw
from msgspec.json import Decoder

from mlrek.errors import ParseError
from mlrek.formats.google.json import AnswerPage, Peek, Resource, to_camel_case, to_camel_key
from mlrek.formats.json_text import decode_json, quoted, say_unreadable
from mlrek.formats.lines import BYTE_ORDER_MARK

HEAD_BYTES = 1 << 16

MODELS = "models"
DATASETS = "datasets"
JOBS = "batchPredictionJobs"
PIPELINES = "trainingPipelines"
EVALUATIONS = "evaluations"
SLICES = "slices"


class GoogleRole(StrEnum):
    """What a file holds. All but the last two are documents: small, and read whole."""

    MODELS = "models"
    EVALUATIONS = "evaluations"
    SLICES = "slices"
    JOBS = "batch_prediction_jobs"
    DATASETS = "datasets"
    PIPELINES = "training_pipelines"
    PREDICTIONS = "predictions"
    TRUTH = "ground_truth"

    @property
    def is_data(self) -> bool:
        """Whether it has a line per image, of any size, and is streamed."""
        return self in {GoogleRole.PREDICTIONS, GoogleRole.TRUTH}


_ROLES = {
    MODELS: GoogleRole.MODELS,
    DATASETS: GoogleRole.DATASETS,
    JOBS: GoogleRole.JOBS,
    PIPELINES: GoogleRole.PIPELINES,
    EVALUATIONS: GoogleRole.EVALUATIONS,
    SLICES: GoogleRole.SLICES,
}


# ---- names ---------------------------------------------------------------------------------

_PART = r"[^/@\s\x00-\x1f\x7f]{1,255}"
_NAME = re.compile(
    rf"projects/(?P<project>{_PART})/locations/(?P<location>{_PART})"
    rf"/(?P<collection>[A-Za-z]+)/(?P<id>{_PART})(?:@(?P<version>{_PART}))?"
    rf"(?:/(?P<kind>modelEvaluations|evaluations)/(?P<evaluation>{_PART})"
    rf"(?:/slices/(?P<slice>{_PART}))?)?"
)
_QUOTED_NAME = re.compile(rb'"name"\s*:\s*"(projects/[^"\\]{1,2000})"')
_PLACEHOLDER = re.compile(r"[A-Z]+(?:_[A-Z]+)*_ID")
_LEGACY_ID = re.compile(r"[A-Z]{3}[0-9]+")


class ModelKey(NamedTuple):
    """What tells one model (or other resource) from another, its versions together."""

    project: str
    location: str
    id: str

    @property
    def arn(self) -> str:
        """The resource name of the model, without a version."""
        return self.arn_in(MODELS)

    def arn_in(self, collection: str) -> str:
        """The resource name in a collection."""
        return f"projects/{self.project}/locations/{self.location}/{collection}/{self.id}"

    @property
    def is_legacy(self) -> bool:
        """Whether the id is of the legacy service's form (`ICN402…`)."""
        return _LEGACY_ID.fullmatch(self.id) is not None


class GoogleName(NamedTuple):
    """The parts of a resource name.

    `collection` and `id` are those of the resource below the location, `version` stands after its
    `@`; `evaluation` and `slice_id` are empty unless the name goes on to an evaluation or a slice.
    """

    project: str
    location: str
    collection: str
    id: str
    version: str = ""
    evaluation: str = ""
    slice_id: str = ""
    is_legacy_evaluation: bool = False

    @property
    def key(self) -> ModelKey:
        """The model (or other resource) without version, evaluation and slice."""
        return ModelKey(self.project, self.location, self.id)

    @property
    def kind(self) -> str:
        """What is named: a slice, an evaluation, or a resource of `collection`."""
        return SLICES if self.slice_id else EVALUATIONS if self.evaluation else self.collection

    @property
    def has_placeholder(self) -> bool:
        """Whether it was copied from a page that writes MODEL_ID where an id should be."""
        return any(map(_PLACEHOLDER.fullmatch, (self.id, self.evaluation)))


def find_names(head: bytes) -> Iterator[GoogleName]:
    """Yield the names of resources in a file's first bytes; the file itself may be broken."""
    for match in _QUOTED_NAME.finditer(head):
        if name := parse_google_name(match[1].decode("utf-8", "ignore")):
            yield name


def parse_google_name(text: str) -> GoogleName | None:
    """The parts of a resource name; None for anything else.

    >>> parse_google_name("projects/7/locations/us-central1/models/83@2/evaluations/50").version
    '2'
    """
    match = _NAME.fullmatch(text)
    if match is None or (match["evaluation"] and match["collection"] != MODELS):
        return None
    return GoogleName(
        project=match["project"],
        location=match["location"],
        collection=match["collection"],
        id=match["id"],
        version=match["version"] or "",
        evaluation=match["evaluation"] or "",
        slice_id=match["slice"] or "",
        is_legacy_evaluation=match["kind"] == "modelEvaluations",
    )


# ---- what a file is ------------------------------------------------------------------------

_LISTS = {  # the key of a list in an answer of the service
    "modelEvaluation": GoogleRole.EVALUATIONS,
    "modelEvaluations": GoogleRole.EVALUATIONS,
    "modelEvaluationSlices": GoogleRole.SLICES,
    "batchPredictionJobs": GoogleRole.JOBS,
    "trainingPipelines": GoogleRole.PIPELINES,
}
_NAMED_LISTS = ("model", "models", "datasets")  # words of many: the first entry's name decides
_METRICS = (  # of an evaluation whose name stands behind the head, or of its metrics alone
    ("classificationEvaluationMetrics",),
    ("imageObjectDetectionEvaluationMetrics",),
    ("metrics", "confidenceMetrics"),
    ("metrics", "boundingBoxMetrics"),
    ("confidenceMetrics",),
    ("boundingBoxMetrics",),
    ("confidenceMetricsEntry",),
    ("boundingBoxMetricsEntries",),
)
_DEPTH = 2

# A string, also one that the head cuts (which keeps the search linear), a mark, or a number.
_TOKEN = re.compile(
    r'"(?P<string>[^"\\]*+(?:\\.[^"\\]*+)*+)(?P<end>"?)|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL
)
_OPENING: dict[str, str | None] = {"{": "", "[": None}
_CSV_ROW = re.compile(
    r"""["']?(?:(?:TRAIN(?:ING)?|VALID(?:ATION|ATE)?|TEST|UNASSIGNED)?["']?,["']?gs://[^,\s]"""
    r"|gs://[^,\r\n]+,)",
    re.IGNORECASE,
)


def sniff_google(head: bytes, name: str) -> GoogleRole | None:  # noqa: ARG001 (all sniffers' form)
    """What a file is by its first bytes (64 KiB are plenty); None: nothing of Google's.

    >>> sniff_google(b'{"modelEvaluation": [{"name": "projects/', "any.txt").value
    'evaluations'
    """
    text = head[:HEAD_BYTES].decode("utf-8-sig", "ignore").lstrip()
    if text.startswith(("{", "[")):
        return _sniff_json(dict(_outline(text)))
    return GoogleRole.TRUTH if _CSV_ROW.match(text) else None


def _sniff_json(outline: Mapping[tuple[str, ...], str]) -> GoogleRole | None:
    keys = {path[0] for path in outline if len(path) == 1}
    if ("instance" in keys and keys & {"prediction", "error", "status"}) or (
        "ID" in keys and keys & {"annotations", "error"}
    ):
        return GoogleRole.PREDICTIONS
    if "imageGcsUri" in keys:
        return GoogleRole.TRUTH
    if role := _role_of_name(outline.get(("name",), "")):
        return role
    for key in sorted(keys & _LISTS.keys()):
        return _LISTS[key]
    named = (_role_of_name(outline.get((key, "name"), "")) for key in _NAMED_LISTS)
    is_evaluation = not outline.keys().isdisjoint(_METRICS)
    return next(filter(None, named), GoogleRole.EVALUATIONS if is_evaluation else None)


def _role_of_name(text: str) -> GoogleRole | None:
    name = parse_google_name(text)
    return _ROLES.get(name.kind) if name else None


def _outline(text: str) -> dict[tuple[str, ...], str]:
    """The keys of the first JSON value down to the second level, lists seen through.

    The value is the first string there. JSON is read as far as it goes: a head may end anywhere.
    """
    found: dict[tuple[str, ...], str] = {}
    path: list[str | None] = []  # the key in each open object, None in each open list
    is_key = False
    for match in _TOKEN.finditer(text):
        mark, string = match[0], match["string"] if match["end"] else None
        if mark in _OPENING:
            path.append(_OPENING[mark])
            is_key = mark == "{"
        elif mark in {"}", "]"}:
            path[-1:] = ()
            if not path:
                break
        elif mark == ",":
            is_key = bool(path) and path[-1] is not None
        elif string is not None:
            if is_key and path:
                path[-1] = to_camel_key(string)
            keys = tuple(key for key in path if key is not None)
            if len(keys) <= _DEPTH:
                found[keys] = found.get(keys) or ("" if is_key else string)
            is_key = False
    return found


# ---- reading -------------------------------------------------------------------------------

# One of these stands in whatever a client library wrote; other keys may be the user's own.
_SNAKE_KEY = re.compile(
    rb'"(?:[a-z]+_)?(?:create_time|display_name|dataset_id|metrics_schema_uri|next_page_token'
    rb"|model_evaluations?|model_evaluation_slices|batch_prediction_jobs|training_pipelines"
    rb"|evaluation_metrics|confidence_metrics|confidence_metrics_entry|bounding_box_metrics"
    rb'|bounding_box_metrics_entries)"\s*:'
)
_LIST_KEYS = frozenset(AnswerPage.__struct_encode_fields__) - {"nextPageToken"}
_ENVELOPE = Decoder(dict[str, Raw] | list[Raw])
_ITEMS = Decoder(list[Raw])
_PEEK = Decoder(Peek)
_RESOURCE = Decoder(Resource, strict=False)


class FoundResource(NamedTuple):
    """A resource, its name, the file it stands in, and its own bytes there."""

    file: str
    name: GoogleName
    raw: bytes
    content: Resource


@dataclass(slots=True, kw_only=True)
class Resources:
    """All resources of some documents, by file name.

    `nameless` are evaluations that do not say whose they are; `broken` the files that could not be
    read; `pages` are the lists that files hold a page of, and whether it is the last one.
    """

    found: list[FoundResource] = field(default_factory=list)
    nameless: list[tuple[str, Resource]] = field(default_factory=list)
    broken: dict[str, ParseError] = field(default_factory=dict)
    pages: list[tuple[str, str, bool]] = field(default_factory=list)

    def of(self, kind: str) -> list[FoundResource]:
        """Those of one kind, such as `MODELS`."""
        return [found for found in self.found if found.name.kind == kind]


def read_resources(documents: Mapping[str, bytes]) -> Resources:
    """Every resource of the documents, by file name; a broken file spoils no other."""
    resources = Resources()
    for file, data in sorted(documents.items()):
        try:
            _read_document(resources, file, data)
        except ValueError as exc:
            reason = say_unreadable(data, exc, what="what Google writes")
            resources.broken[file] = ParseError(file, 0, reason)
    _agree_on_projects(resources)
    return resources


def _read_document(resources: Resources, file: str, data: bytes) -> None:
    text = data.removeprefix(BYTE_ORDER_MARK)
    if _SNAKE_KEY.search(text):
        text = to_camel_case(text)
    document = decode_json(_ENVELOPE, text)
    if isinstance(document, list):
        for raw in document:
            _add_resource(resources, file, bytes(raw))
        return
    lists = [(key, raw) for key, raw in document.items() if _is_list(key, raw)]
    for key, raw in lists:
        is_last = bytes(document.get("nextPageToken", Raw(b"null"))) in {b"null", b'""'}
        resources.pages.append((file, key, is_last))
        for item in decode_json(_ITEMS, bytes(raw)):
            _add_resource(resources, file, bytes(item))
    if not lists:
        _add_resource(resources, file, text)


def _is_list(key: str, raw: Raw) -> bool:
    return key in _LIST_KEYS and bytes(raw).startswith(b"[")


def _add_resource(resources: Resources, file: str, raw: bytes) -> None:
    peek = decode_json(_PEEK, raw)
    name = parse_google_name(peek.name)
    if name is None:
        resources.nameless.append((file, _read_nameless(peek, raw)))
    elif name.kind in _ROLES:
        resources.found.append(FoundResource(file, name, raw, decode_json(_RESOURCE, raw)))


def _read_nameless(peek: Peek, raw: bytes) -> Resource:
    if peek.confidence_metrics is not UNSET or peek.bounding_box_metrics is not UNSET:
        return Resource(metrics=Raw(raw))
    if peek.confidence_metrics_entry is not UNSET:
        return Resource(classification_evaluation_metrics=Raw(raw))
    if peek.bounding_box_metrics_entries is not UNSET:
        return Resource(image_object_detection_evaluation_metrics=Raw(raw))
    evaluation = decode_json(_RESOURCE, raw)
    if not evaluation.any_metrics:
        if peek.error is not UNSET:
            said = quoted(bytes(peek.error)[:200].decode("utf-8", "replace"))
            raise ValueError(f"it is an error that the service answered: {said}")
        raise ValueError(f"name is no resource of Google's: {quoted(peek.name)}")
    return evaluation


def _agree_on_projects(resources: Resources) -> None:
    """Take a project's number for its id where one resource is named with both.

    The service answers with the number, whatever it was asked with.
    """
    spellings: dict[tuple[str, str, str], set[str]] = {}
    asked = (parse_google_name(job.content.model or "") for job in resources.of(JOBS))
    for name in (*(found.name for found in resources.found), *filter(None, asked)):
        resource = (name.location, name.collection, name.id)
        spellings.setdefault(resource, set()).add(name.project)
    numbers: dict[str, str] = {}
    for both in spellings.values():
        digits = [text for text in both if text.isdecimal()]
        if len(digits) == 1 and len(both) == 2:  # noqa: PLR2004 (a number and an id)
            numbers.update(dict.fromkeys(both - {digits[0]}, digits[0]))
    resources.found = [
        found._replace(
            name=found.name._replace(project=numbers.get(found.name.project, found.name.project))
        )
        for found in resources.found
    ]

"""JSON documents of Google's services -> the resources that stand in them.

A document is one resource, a list, or an answer with a list inside; the REST API writes camelCase,
the client libraries snake_case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Decoder, encode

from mlrek.errors import ParseError
from mlrek.formats.google_names import (
    DATASETS,
    JOBS,
    MODELS,
    PIPELINES,
    GoogleName,
    parse_google_name,
)
from mlrek.formats.google_resources import (
    Dataset,
    EvaluationResource,
    Job,
    Model,
    Pipeline,
    SliceResource,
)
from mlrek.formats.instead import explain
from mlrek.formats.json_text import decode_json, show

T = TypeVar("T")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# One of these stands in whatever a client library wrote; other keys may be the user's own.
_SNAKE_KEY = re.compile(
    rb'"(?:[a-z]+_)?(?:create_time|display_name|dataset_id|metrics_schema_uri|next_page_token'
    rb"|model_evaluations?|model_evaluation_slices|batch_prediction_jobs|training_pipelines"
    rb"|evaluation_metrics|confidence_metrics|confidence_metrics_entry|bounding_box_metrics"
    rb'|bounding_box_metrics_entries)"\s*:'
)
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_LISTS = frozenset(
    (
        "model",
        "models",
        "modelEvaluation",
        "modelEvaluations",
        "modelEvaluationSlices",
        "batchPredictionJobs",
        "trainingPipelines",
        "datasets",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A resource, its name, the file it stands in, and its own bytes there."""

    file: str
    name: GoogleName
    raw: bytes
    content: T


@dataclass(slots=True, kw_only=True)
class Resources:
    """All resources of some documents, by file name.

    `nameless` are evaluations that do not say whose they are; `broken` the files that could not be
    read; `pages` are the lists that files hold a page of, and whether it is the last one.
    """

    models: list[Found[Model]] = field(default_factory=list)
    evaluations: list[Found[EvaluationResource]] = field(default_factory=list)
    slices: list[Found[SliceResource]] = field(default_factory=list)
    jobs: list[Found[Job]] = field(default_factory=list)
    datasets: list[Found[Dataset]] = field(default_factory=list)
    pipelines: list[Found[Pipeline]] = field(default_factory=list)
    nameless: list[tuple[str, EvaluationResource]] = field(default_factory=list)
    broken: dict[str, ParseError] = field(default_factory=dict)
    pages: list[tuple[str, str, bool]] = field(default_factory=list)


class _Peek(Struct, rename="camel"):
    """What tells a resource's kind; the metrics are those saved without the resource around."""

    name: str = ""
    error: Raw | UnsetType = UNSET
    confidence_metrics: Raw | UnsetType = UNSET
    bounding_box_metrics: Raw | UnsetType = UNSET
    confidence_metrics_entry: Raw | UnsetType = UNSET
    bounding_box_metrics_entries: Raw | UnsetType = UNSET


_ENVELOPE = Decoder(dict[str, Raw] | list[Raw])
_ITEMS = Decoder(list[Raw])
_PEEK = Decoder(_Peek)
_ANY = Decoder(Any)
_EVALUATION = Decoder(EvaluationResource, strict=False)
_SLICE = Decoder(SliceResource, strict=False)
_MODEL = Decoder(Model, strict=False)
_DATASET = Decoder(Dataset, strict=False)
_JOB = Decoder(Job, strict=False)
_PIPELINE = Decoder(Pipeline, strict=False)


def read_resources(documents: Mapping[str, bytes]) -> Resources:
    """Every resource of the documents, by file name; a broken file spoils no other."""
    resources = Resources()
    for file, data in sorted(documents.items()):
        try:
            _read_document(resources, file, data)
        except ValueError as exc:
            reason = explain(data, exc, what="what Google writes")
            resources.broken[file] = ParseError(file, 0, reason)
    _agree_on_projects(resources)
    return resources


def to_camel_case(data: bytes) -> bytes:
    """The same JSON with its keys as the REST API spells them.

    Raises:
        ValueError: It is no JSON.
    """
    if not _SNAKE_KEY.search(data):
        return data
    try:
        return encode(_respell(decode_json(_ANY, data)))
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def _respell(value: object) -> object:
    if isinstance(value, dict):
        return {
            _UNDERSCORE.sub(lambda match: match[1].upper(), key): _respell(inner)
            for key, inner in value.items()
        }
    return [_respell(inner) for inner in value] if isinstance(value, list) else value


def _read_document(resources: Resources, file: str, data: bytes) -> None:
    text = to_camel_case(data.removeprefix(_BYTE_ORDER_MARK))
    document = decode_json(_ENVELOPE, text)
    if isinstance(document, list):
        for raw in document:
            _add_resource(resources, file, bytes(raw))
        return
    lists = [(name, raw) for name, raw in document.items() if _is_list(name, raw)]
    for name, raw in lists:
        is_last = bytes(document.get("nextPageToken", Raw(b"null"))) in {b"null", b'""'}
        resources.pages.append((file, name, is_last))
        for item in decode_json(_ITEMS, bytes(raw)):
            _add_resource(resources, file, bytes(item))
    if not lists:
        _add_resource(resources, file, text)


def _is_list(name: str, raw: Raw) -> bool:
    return name in _LISTS and bytes(raw).startswith(b"[")


def _add_resource(resources: Resources, file: str, raw: bytes) -> None:
    """Sort one object into the resources, by its name."""
    peek = decode_json(_PEEK, raw)
    name = parse_google_name(peek.name)
    if name is None:
        resources.nameless.append((file, _read_nameless(peek, raw)))
    elif name.slice_id:
        _append(resources.slices, _SLICE, file, name, raw)
    elif name.evaluation:
        _append(resources.evaluations, _EVALUATION, file, name, raw)
    elif name.collection == MODELS:
        _append(resources.models, _MODEL, file, name, raw)
    elif name.collection == DATASETS:
        _append(resources.datasets, _DATASET, file, name, raw)
    elif name.collection == JOBS:
        _append(resources.jobs, _JOB, file, name, raw)
    elif name.collection == PIPELINES:
        _append(resources.pipelines, _PIPELINE, file, name, raw)


def _append(
    found: list[Found[T]], decoder: Decoder[T], file: str, name: GoogleName, raw: bytes
) -> None:
    found.append(Found(file=file, name=name, raw=raw, content=decode_json(decoder, raw)))


def _read_nameless(peek: _Peek, raw: bytes) -> EvaluationResource:
    if peek.confidence_metrics is not UNSET or peek.bounding_box_metrics is not UNSET:
        return EvaluationResource(metrics=Raw(raw))
    if peek.confidence_metrics_entry is not UNSET:
        return EvaluationResource(classification_evaluation_metrics=Raw(raw))
    if peek.bounding_box_metrics_entries is not UNSET:
        return EvaluationResource(image_object_detection_evaluation_metrics=Raw(raw))
    evaluation = decode_json(_EVALUATION, raw)
    if not evaluation.any_metrics:
        if peek.error is not UNSET:
            said = show(bytes(peek.error)[:200].decode("utf-8", "replace"))
            raise ValueError(f"it is an error that the service answered: {said}")
        raise ValueError(f"name is no resource of Google's: {show(peek.name)}")
    return evaluation


def _agree_on_projects(resources: Resources) -> None:
    """Take a project's number for its id where one resource is named with both.

    The service answers with the number, whatever it was asked with.
    """
    spellings: dict[tuple[str, str, str], set[str]] = {}
    lists: tuple[list[Any], ...] = (
        resources.models,
        resources.evaluations,
        resources.slices,
        resources.jobs,
        resources.datasets,
        resources.pipelines,
    )
    names = [found.name for found_list in lists for found in found_list]
    names += [
        name for job in resources.jobs if (name := parse_google_name(job.content.model or ""))
    ]
    for name in names:
        resource = (name.location, name.collection, name.id)
        spellings.setdefault(resource, set()).add(name.project)
    numbers = {}
    for both in spellings.values():
        digits = [text for text in both if text.isdecimal()]
        if len(digits) == 1 and len(both) == 2:  # noqa: PLR2004 (a number and an id)
            numbers.update(dict.fromkeys(both - {digits[0]}, digits[0]))
    if numbers:
        for found_list in lists:
            found_list[:] = [_rename(found, numbers) for found in found_list]


def _rename(found: Found[T], numbers: Mapping[str, str]) -> Found[T]:
    project = found.name.project
    return replace(found, name=found.name.of_project(numbers.get(project, project)))

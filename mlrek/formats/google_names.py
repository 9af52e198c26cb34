"""Google's resource names (`projects/P/locations/L/models/M@2/…`): text -> what they name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

MODELS = "models"
DATASETS = "datasets"
JOBS = "batchPredictionJobs"
PIPELINES = "trainingPipelines"

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
    """What tells one model from another, its versions together."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleName:
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
    def has_placeholder(self) -> bool:
        """Whether it was copied from a page that writes MODEL_ID where an id should be."""
        return any(map(_PLACEHOLDER.fullmatch, (self.id, self.evaluation)))

    def of_project(self, project: str) -> "GoogleName":
        """The same resource under another spelling of its project (number or id)."""
        return replace(self, project=project)


def find_names(head: bytes) -> Iterator[str]:
    """Yield what a file's first bytes have under `name`; the file itself may be broken."""
    for match in _QUOTED_NAME.finditer(head):
        yield match[1].decode("utf-8", "ignore")


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

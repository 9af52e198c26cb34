"""The first bytes of a file -> what it is of Google's, whatever it is called and however spelled.

JSON is read as far as it goes: a head may end anywhere.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from mlrek.formats.google_names import DATASETS, JOBS, MODELS, PIPELINES, parse_google_name

HEAD_BYTES = 1 << 16


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


_LISTS = {  # the key of a list in an answer of the service
    "modelevaluation": GoogleRole.EVALUATIONS,
    "modelevaluations": GoogleRole.EVALUATIONS,
    "modelevaluationslices": GoogleRole.SLICES,
    "batchpredictionjobs": GoogleRole.JOBS,
    "trainingpipelines": GoogleRole.PIPELINES,
}
_NAMED_LISTS = ("model", "models", "datasets")  # words of many: the first entry's name decides
_COLLECTIONS = {
    MODELS: GoogleRole.MODELS,
    DATASETS: GoogleRole.DATASETS,
    JOBS: GoogleRole.JOBS,
    PIPELINES: GoogleRole.PIPELINES,
}
_METRICS = (  # of an evaluation whose name stands behind the head, or of its metrics alone
    ("classificationevaluationmetrics",),
    ("imageobjectdetectionevaluationmetrics",),
    ("metrics", "confidencemetrics"),
    ("metrics", "boundingboxmetrics"),
    ("confidencemetrics",),
    ("boundingboxmetrics",),
    ("confidencemetricsentry",),
    ("boundingboxmetricsentries",),
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
        return _sniff_json(_outline(text))
    return GoogleRole.TRUTH if _CSV_ROW.match(text) else None


@dataclass(slots=True)
class _Outline:
    """The keys of the first JSON value, lists seen through, without regard to spelling.

    `paths` to the second level; `names` the strings under a key `name`.
    """

    paths: set[tuple[str, ...]] = field(default_factory=set)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, path: tuple[str, ...]) -> None:
        if len(path) <= _DEPTH:
            self.paths.add(path)

    def add_text(self, path: tuple[str, ...], text: str) -> None:
        if len(path) <= _DEPTH and path[-1:] == ("name",):
            self.names.setdefault(path, text)


def _sniff_json(outline: _Outline) -> GoogleRole | None:
    keys = {path[0] for path in outline.paths if len(path) == 1}
    if role := _sniff_line(keys):
        return role
    if role := _role_of_name(outline.names.get(("name",), "")):
        return role
    for key in sorted(keys & _LISTS.keys()):
        return _LISTS[key]
    for key in _NAMED_LISTS:
        if role := _role_of_name(outline.names.get((key, "name"), "")):
            return role
    return GoogleRole.EVALUATIONS if not outline.paths.isdisjoint(_METRICS) else None


def _sniff_line(keys: set[str]) -> GoogleRole | None:
    """What the keys of a line of a data file tell."""
    if "instance" in keys and keys & {"prediction", "error", "status"}:
        return GoogleRole.PREDICTIONS
    if "ID" in keys and keys & {"annotations", "error"}:
        return GoogleRole.PREDICTIONS
    return GoogleRole.TRUTH if "imagegcsuri" in keys else None


def _role_of_name(text: str) -> GoogleRole | None:
    name = parse_google_name(text)
    if name is None:
        return None
    if name.slice_id:
        return GoogleRole.SLICES
    return GoogleRole.EVALUATIONS if name.evaluation else _COLLECTIONS.get(name.collection)


def _outline(text: str) -> _Outline:
    """One pass over the tokens, to the end of the first value or of the text."""
    outline = _Outline()
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
        elif string is not None and is_key and path:
            path[-1] = string if string.isupper() else string.replace("_", "").lower()
            outline.add(_keys(path))
            is_key = False
        elif string is not None:
            outline.add_text(_keys(path), string)
    return outline


def _keys(path: list[str | None]) -> tuple[str, ...]:
    return tuple(key for key in path if key is not None)

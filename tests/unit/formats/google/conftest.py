"""Google's files: real samples, and small ones made here."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlrek.evaluation import Evaluation
from mlrek.formats.google.collection import GoogleCollection, GoogleVersion, collect_google
from mlrek.formats.google.documents import sniff_google
from mlrek.formats.google.evaluation import parse_google

DATA = Path(__file__).parents[3] / "data" / "google"
LOCATION = "projects/493052112345/locations/us-central1"
LEGACY_MODEL = f"{LOCATION}/models/ICN4021"
VERTEX_MODEL = f"{LOCATION}/models/8321"

Files = Mapping[str, object]


@pytest.fixture(scope="session")
def data() -> Path:
    """The samples of `tests/data/google`."""
    return DATA


@pytest.fixture(scope="session")
def flowers() -> dict[str, bytes]:
    """The flowers evaluation of Google's own page, in the shape of the legacy service."""
    files = sorted((DATA / "flowers").iterdir())
    return {file.stem: gzip.decompress(file.read_bytes()) for file in files}


def _encode(content: object) -> bytes:
    """Bytes as they are, text, a list of lines, or a JSON document."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, tuple):
        return b"".join(json.dumps(line).encode() + b"\n" for line in content)
    return json.dumps(content).encode()


@pytest.fixture(scope="session")
def collect() -> Callable[..., GoogleCollection]:
    """Collect files by name: JSON documents as objects, JSON lines as tuples, CSV as text."""

    def collect_files(files: Files, **options) -> GoogleCollection:
        contents = {name: _encode(content) for name, content in files.items()}
        roles = {name: sniff_google(text[:65536], name) for name, text in contents.items()}
        documents = {name: contents[name] for name, role in roles.items() if role}
        data_files = {name: role for name, role in roles.items() if role and role.is_data}
        for name in data_files:
            del documents[name]
        return collect_google(documents, data_files, **options)

    return collect_files


@pytest.fixture(scope="session")
def read(collect) -> Callable[..., list[Evaluation]]:
    """The evaluations of files given as for `collect`."""

    def read_files(files: Files, *, skip_bad_lines=False, **options) -> list[Evaluation]:
        versions: tuple[GoogleVersion, ...] = collect(files, **options).versions
        return [
            parse_google(
                version, lambda name: [_encode(files[name])], skip_bad_lines=skip_bad_lines
            )
            for version in versions
        ]

    return read_files


@pytest.fixture(scope="session")
def read_one(read) -> Callable[..., Evaluation]:
    """The only evaluation of the files."""

    def read_only(files: Files, **options) -> Evaluation:
        (evaluation,) = read(files, **options)
        return evaluation

    return read_only


@pytest.fixture(scope="session")
def legacy() -> Callable[..., dict]:
    """An evaluation of the legacy service: `label` '' is the overall one."""

    def make(metrics: dict | None, label: str = "", *, model=LEGACY_MODEL, **fields) -> dict:
        number = f"7{len(label)}{sum(map(ord, label))}"
        own = {"displayName": label, "annotationSpecId": f"id-{label}"} if label else {}
        own |= {"classificationEvaluationMetrics": metrics} if metrics is not None else {}
        return {
            "name": f"{model}/modelEvaluations/{number}",
            "createTime": "2019-10-02T18:20:41.512347Z",
            **own,
            **fields,
        }

    return make


@pytest.fixture(scope="session")
def vertex() -> Callable[..., dict]:
    """An evaluation of Vertex AI, of the version that `model` names."""

    def make(metrics: dict, *, model=f"{VERTEX_MODEL}@2", number="509", **fields) -> dict:
        return {
            "name": f"{model}/evaluations/{number}",
            "metricsSchemaUri": "gs://schemas/modelevaluation/classification_metrics_1.0.0.yaml",
            "metrics": metrics,
            "createTime": "2025-06-20T07:41:09Z",
            **fields,
        }

    return make


@pytest.fixture(scope="session")
def vertex_slice() -> Callable[..., dict]:
    """A label's slice of an evaluation of Vertex AI."""

    def make(metrics: dict, label: str, *, parent=f"{VERTEX_MODEL}@2/evaluations/509") -> dict:
        return {
            "name": f"{parent}/slices/{sum(map(ord, label))}",
            "slice": {"dimension": "annotationSpec", "value": label},
            "metrics": metrics,
            "createTime": "2025-06-20T07:41:09Z",
        }

    return make


@pytest.fixture(scope="session")
def vertex_model() -> Callable[..., dict]:
    """A version of a model of Vertex AI, as `models.listVersions` answers."""

    def make(number="2", *, created="2025-06-20T07:40:00Z", **fields) -> dict:
        return {
            "name": f"{VERTEX_MODEL}@{number}",
            "displayName": "flowers",
            "versionId": number,
            "versionAliases": ["default"] if number == "2" else [],
            "versionCreateTime": created,
            **fields,
        }

    return make

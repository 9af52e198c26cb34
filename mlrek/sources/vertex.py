"""Vertex AI, live: the versions of a registered model and what was published about testing them.

What the service answers stands as documents in a storage of its own, under their REST names, so
that it is read, and archived, exactly as if somebody had saved it in files.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.formats.google import MODELS, GoogleRole, parse_google_name
from mlrek.sources.catalogue import Part, VersionEntry
from mlrek.sources.saved_google import make_entries
from mlrek.sources.storage import FileState, StoredFile
from mlrek.sources.vertex_api import VertexApi

_READERS = 8
_EVALUATIONS, _SLICES = "evaluations", "slices"
_LISTS = {_EVALUATIONS: "modelEvaluations", _SLICES: "modelEvaluationSlices"}
_NO_EVALUATION = "the service has no evaluation of it"


def find_location(name: str) -> str:
    """The location in the resource name of a model or of a version; '' of anything else."""
    found = parse_google_name(name)
    is_model = found is not None and found.collection == MODELS and not found.evaluation
    return found.location if found and is_model else ""


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
            documents[f"{name}/{_EVALUATIONS}"] = self._read(f"{name}/{_EVALUATIONS}")
        except SourceError as exc:
            refused = str(exc)
        try:
            documents |= {pipeline: self._read(pipeline)} if pipeline else {}
        except SourceError as exc:
            warnings.append(f"{exc}; so nothing is known of the training but its end")
        parts = tuple(_list_parts(name, pipeline, documents))
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


def _list_parts(name: str, pipeline: str, documents: Mapping[str, bytes]) -> Iterator[Part]:
    """The documents of an evaluation, and the slices of each, which are not asked for yet."""
    uri = f"{name}/{_EVALUATIONS}"
    if uri in documents:
        yield _make_part(GoogleRole.EVALUATIONS, uri, _EVALUATIONS)
        for found in json.loads(documents[uri])[_LISTS[_EVALUATIONS]]:
            evaluation = parse_google_name(str(found.get("name")))
            if evaluation is not None and evaluation.evaluation:
                slices = f"{uri}/{evaluation.evaluation}/{_SLICES}"
                yield _make_part(GoogleRole.SLICES, slices, f"{_SLICES}-{evaluation.evaluation}")
    if pipeline in documents:
        yield _make_part(GoogleRole.PIPELINES, pipeline, "training_pipeline")


def _make_part(role: GoogleRole, uri: str, stem: str) -> Part:
    return Part(role=role, uri=uri, origin=uri, name=f"{stem}.json")


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"

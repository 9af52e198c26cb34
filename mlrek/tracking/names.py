"""Names in a store, read for a shell in the time of a key press: without MLflow, never written.

A database file is opened to read alone, a server over HTTP is asked for a second. Of any other
store, and wherever something is wrong, nothing is known.
"""

import base64
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener, url2pathname

from mlrek.tracking.database import find_database

PATIENCE_S = 1.0
MOST = 200
"""Names of a kind that are asked for."""
MAX_LABELS_FILE = 4 << 20  # bytes
_API = "api/2.0/mlflow"
_FAULTS = (OSError, ValueError, KeyError, TypeError, sqlite3.Error, HTTPException, URLError)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A registered model: the runs of its versions by their numbers, and numbers by aliases."""

    name: str
    runs: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """A run of a version, and where its artifacts are on this machine, if they are."""

    run_id: str
    name: str
    artifacts: str = ""


class StoreNames:
    """What a store calls things. Every list is empty where it cannot be had at once."""

    def __init__(self, tracking_uri: str) -> None:
        self.uri = tracking_uri

    def list_models(self) -> list[NamedModel]:
        """The registered models with their versions and aliases."""
        with suppress(*_FAULTS):
            return self._query_models() if self._is_file() else self._ask_models()
        return []

    def list_experiments(self) -> list[str]:
        """The experiments of projects."""
        with suppress(*_FAULTS):
            if self._is_file():
                query = (
                    "SELECT DISTINCT name FROM experiments e JOIN experiment_tags t "
                    "ON t.experiment_id = e.experiment_id WHERE t.key = 'project_arn' "
                    "AND e.lifecycle_stage = 'active' ORDER BY last_update_time DESC LIMIT ?"
                )
                return [name for (name,) in self._query(query, MOST)]
            return [one["name"] for one in self._ask_experiments()]
        return []

    def list_runs(self) -> list[NamedRun]:
        """The complete runs of versions, the newest training first."""
        with suppress(*_FAULTS):
            return self._query_runs() if self._is_file() else self._ask_runs()
        return []

    def list_labels(self, run_id: str) -> list[str]:
        """The labels of a run."""
        with suppress(*_FAULTS):
            return _parse_labels(self._read_labels(run_id))
        return []

    def _is_file(self) -> bool:
        return find_database(self.uri) is not None

    def _query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        path = find_database(self.uri)
        if path is None or not path.is_file():
            return []
        place = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(place, uri=True, timeout=PATIENCE_S)) as database:
            return database.execute(query, values).fetchall()

    def _query_models(self) -> list[NamedModel]:
        names = self._query("SELECT name FROM registered_models ORDER BY name LIMIT ?", MOST)
        versions = self._query("SELECT name, version, run_id FROM model_versions")
        aliases = self._query("SELECT name, alias, version FROM registered_model_aliases")
        return [
            NamedModel(
                name=name,
                runs={str(n): run or "" for owner, n, run in versions if owner == name},
                aliases={alias: str(n) for owner, alias, n in aliases if owner == name},
            )
            for (name,) in names
        ]

    def _query_runs(self) -> list[NamedRun]:
        query = (
            "SELECT r.run_uuid, r.name, r.artifact_uri FROM runs r JOIN tags t "
            "ON t.run_uuid = r.run_uuid WHERE t.key = 'mlrek.complete' "
            "AND r.lifecycle_stage = 'active' ORDER BY r.start_time DESC LIMIT ?"
        )
        found = self._query(query, MOST)
        return [NamedRun(run_id=one, name=name or "", artifacts=uri) for one, name, uri in found]

    def _read_labels(self, run_id: str) -> bytes:
        if not self._is_file():
            place = urlencode({"run_uuid": run_id, "path": "labels.json"})
            return self._get(f"get-artifact?{place}")
        ((uri,),) = self._query("SELECT artifact_uri FROM runs WHERE run_uuid = ?", run_id)
        path = Path(url2pathname(uri.removeprefix("file://")), "labels.json")
        with path.open("rb") as file:
            return file.read(MAX_LABELS_FILE)

    def _ask_models(self) -> list[NamedModel]:
        found = self._get_json(f"registered-models/search?max_results={MOST}")
        versions = self._get_json(f"model-versions/search?max_results={MOST}")
        every = versions.get("model_versions", [])
        return [
            NamedModel(
                name=model["name"],
                runs={
                    one["version"]: one.get("run_id", "")
                    for one in every
                    if one["name"] == model["name"]
                },
                aliases={one["alias"]: one["version"] for one in model.get("aliases", [])},
            )
            for model in found.get("registered_models", [])
        ]

    def _ask_experiments(self) -> Sequence[Mapping[str, Any]]:
        asked = {"max_results": MOST, "filter": "tags.project_arn LIKE '%'"}
        found = self._get_json("experiments/search", asked)
        experiments: Sequence[Mapping[str, Any]] = found.get("experiments", [])
        return experiments

    def _ask_runs(self) -> list[NamedRun]:
        asked = {
            "experiment_ids": [one["experiment_id"] for one in self._ask_experiments()],
            "max_results": MOST,
            "filter": "tags.`mlrek.complete` = 'true'",
        }
        found = self._get_json("runs/search", asked).get("runs", [])
        infos = (one["info"] for one in found)
        return [NamedRun(run_id=one["run_id"], name=one.get("run_name", "")) for one in infos]

    def _get_json(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._get(f"{_API}/{path}", body))
        return answer

    def _get(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        if not self.uri.startswith(("http://", "https://")):
            raise ValueError(self.uri)
        headers = {"Content-Type": "application/json", **_list_credentials()}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.uri.rstrip('/')}/{path}", data=data, headers=headers)  # noqa: S310 - http alone
        with build_opener(_Stay).open(request, timeout=PATIENCE_S) as answer:
            content: bytes = answer.read(MAX_LABELS_FILE)
            return content


class _Stay(HTTPRedirectHandler):
    """Credentials go to no other place than the one that was named."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Follow nowhere."""


def _list_credentials() -> dict[str, str]:
    """What MLflow sends of its own variables."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if not user:
        return {}
    login = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _parse_labels(content: bytes) -> list[str]:
    """The raw names in a run's `labels.json`."""
    read = json.loads(content)
    return [str(label) for label in read] if isinstance(read, dict) else []

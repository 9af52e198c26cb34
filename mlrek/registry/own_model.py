"""Your own MLflow model, as the one that a registered version of a model from anywhere loads."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlrek.errors import ModelNotFoundError, TrackingError, UsageError
from mlrek.registry.door import Registry, clean_model_name
from mlrek.tracking import LoggedRun
from mlrek.tracking.translation import translate_errors
from mlrek.tracking.view import temporary_folder

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

OWN_MODEL_TAG: Final = "mlrek.model"
"""Of a registered version that loads your own model: which one that is."""
MODEL_FILE: Final = "MLmodel"

_RUN: Final = re.compile(r"runs:/(?P<run_id>\w+)/(?P<path>.+)")
_LOGGED: Final = re.compile(r"models:/(?P<model_id>m-\w+)")
_REGISTERED: Final = re.compile(r"models:/(?P<name>[^@/]+)(?:/(?P<number>\d+)|@(?P<alias>[\w-]+))")
_FORMS: Final = f"give runs:/ID/NAME, models:/NAME/3, models:/m-ID or a folder with {MODEL_FILE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """A model as it was named. `model_id` is that of MLflow, '' where its files are copied.

    `mark` tells it from others, whatever it was called by.
    """

    uri: str
    model_id: str
    mark: str


def find_own_model(registry: Registry, uri: str) -> OwnModel:
    """The model that a URI names: `runs:/ID/model`, `models:/…`, or a folder with an `MLmodel`.

    Raises:
        UsageError: There is no such model.
        TrackingError: MLflow cannot be reached or refuses.
    """
    from mlflow.exceptions import MlflowException

    if _is_folder(uri) and not Path(uri, MODEL_FILE).is_file():
        raise UsageError(f"--model-uri {uri}: is no folder that holds {MODEL_FILE}; {_FORMS}")
    try:
        with translate_errors(registry.store.tracking_uri):
            model_id = _find_model_id(registry, uri)
            if model_id:
                return OwnModel(uri=uri, model_id=model_id, mark=f"models:/{model_id}")
            with temporary_folder() as folder:
                content = (_fetch(registry, uri, folder) / MODEL_FILE).read_bytes()
    except (ModelNotFoundError, MlflowException, OSError, TrackingError) as exc:
        raise UsageError(f"--model-uri {uri}: is no model of MLflow's: {exc}; {_FORMS}") from exc
    return OwnModel(uri=uri, model_id="", mark=f"sha256:{sha256(content).hexdigest()}")


def copy_own_model(registry: Registry, own: OwnModel, run: LoggedRun) -> str:
    """A logged model of a run with the files of your own one, where MLflow has none; its id."""
    client = registry.client
    with translate_errors(registry.store.tracking_uri), temporary_folder() as parent:
        folder = _fetch(registry, own.uri, parent)
        created = client.create_logged_model(
            run.experiment_id,
            name=clean_model_name(run.tags.get("version_name", "")),
            source_run_id=run.run_id,
            tags={OWN_MODEL_TAG: own.mark},
        )
        client.log_model_artifacts(created.model_id, str(folder))
        client.finalize_logged_model(created.model_id, "READY")
        return str(created.model_id)


def _find_model_id(registry: Registry, uri: str) -> str:
    """The logged model that a URI names, '' where there are files alone."""
    client = registry.client
    if match := _LOGGED.fullmatch(uri):
        return str(client.get_logged_model(match["model_id"]).model_id)
    if match := _REGISTERED.fullmatch(uri):
        name = match["name"]
        found = (
            client.get_model_version(name, match["number"])
            if match["number"]
            else client.get_model_version_by_alias(name, match["alias"])
        )
        logged = _LOGGED.fullmatch(found.source or "")
        return logged["model_id"] if logged else ""
    if match := _RUN.fullmatch(uri):
        return _find_of_run(registry, match["run_id"], match["path"].strip("/"))
    return ""


def _find_of_run(registry: Registry, run_id: str, name: str) -> str:
    """The newest model of that name that a run logged; '' where it has files of that name."""
    client = registry.client
    run = client.get_run(run_id)
    found: list[LoggedModel] = [
        model
        for model in client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run_id}'"
        )
        if model.name == name and str(model.status).endswith("READY")
    ]
    newest = max(found, key=lambda model: model.creation_timestamp, default=None)
    return str(newest.model_id) if newest else ""


def _is_folder(uri: str) -> bool:
    return "://" not in uri and not uri.startswith(("runs:/", "models:/"))


def _fetch(registry: Registry, uri: str, folder: Path) -> Path:
    """The folder with the files of a model."""
    if _is_folder(uri):
        return Path(uri)
    from mlflow.artifacts import download_artifacts

    target = folder / "own"
    target.mkdir()
    return Path(
        download_artifacts(
            artifact_uri=uri,
            dst_path=str(target),
            tracking_uri=registry.store.tracking_uri,
            registry_uri=registry.store.tracking_uri,
        )
    )

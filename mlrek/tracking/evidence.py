"""Runs that must not go: those that the model registry or a sealed decision stands on."""

from typing import TYPE_CHECKING

from mlrek.tracking.runs import DECISION_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_IS_GONE = "RESOURCE_DOES_NOT_EXIST"
_NO_REGISTRY = frozenset({"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED"})


def is_evidence(client: "MlflowClient", run_id: str) -> bool:
    """Whether a registered version with an alias, or a sealed decision, names a run, as of now.

    A store without a registry has neither. Where the registry refuses to tell, the run is taken
    for evidence: keeping one too many costs a row, deleting one too many a promotion's ground.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

    try:
        if DECISION_TAG in client.get_run(run_id).data.tags:
            return True
    except MlflowException as exc:
        if exc.error_code == _IS_GONE:
            return False
        raise
    try:
        versions = client.search_model_versions(f"run_id = '{run_id}'")
        return any(_is_named(client, version) for version in versions)
    except UnsupportedModelRegistryStoreURIException:
        return False
    except MlflowException as exc:
        return exc.error_code not in _NO_REGISTRY


def _is_named(client: "MlflowClient", version: "ModelVersion") -> bool:
    """Whether an alias or a sealed decision names a registered version."""
    if DECISION_TAG in version.tags:
        return True
    aliases = client.get_registered_model(version.name).aliases
    return str(version.version) in map(str, aliases.values())

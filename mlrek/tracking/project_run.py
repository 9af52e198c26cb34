"""The run that `mlflow run` opens around a command: it is no version's run, and says so."""

from mlrek.errors import TrackingError
from mlrek.tracking.notes import NOTE_TAG
from mlrek.tracking.store import Store

RUN_VARIABLE = "MLFLOW_RUN_ID"
"""`mlflow run` names its run to the command in the environment."""
_PROJECT_TAG = "mlflow.project.entryPoint"


def mark_project_run(store: Store, run_id: str, note: str) -> None:
    """Mark the run of `mlflow run`, and note what became of the command.

    Any other run that the environment names is somebody else's, or not in this store.

    Raises:
        TrackingError: MLflow refuses the tags.
    """
    try:
        is_project_run = _PROJECT_TAG in store.get_run(run_id).tags
    except TrackingError:
        return
    if is_project_run:
        store.set_run_tags(run_id, {"mlrek.kind": "project-wrapper", NOTE_TAG: note})

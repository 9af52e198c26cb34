"""Which experiment runs are logged in."""

from collections.abc import Mapping

from mlrek.tracking.store import Store


def choose_experiment(option: str, store: Store | None, environ: Mapping[str, str]) -> str:
    """The experiment to use: the option, else MLflow's own environment, else '' (the default).

    `mlflow run` sets MLFLOW_EXPERIMENT_ID to 0, the default experiment, when nobody chose one.
    """
    chosen = option or environ.get("MLFLOW_EXPERIMENT_NAME", "")
    experiment_id = environ.get("MLFLOW_EXPERIMENT_ID", "0")
    if chosen or experiment_id == "0" or store is None:
        return chosen
    return store.get_experiment(experiment_id).name

"""A dataset that MLflow's evaluate gives: predict, evaluate, and log into MLflow's own run."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from mlflow.models.evaluation.base import EvaluationArtifact, EvaluationResult

from mlrek.api.arrays import build_evaluation
from mlrek.api.given import choose
from mlrek.api.given_labels import SCORE_PREFIX, GivenLabels, order_given_labels, read_column
from mlrek.api.given_rows import ArrayOptions
from mlrek.errors import EvaluationError, UsageError
from mlrek.evaluation import Evaluation
from mlrek.formats.json_text import quoted, quoted_some
from mlrek.runs.content import describe_run
from mlrek.sources.custom import TRUTH
from mlrek.tracking.description import EVALUATOR_NAMES, Options, RunDescription
from mlrek.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel
    from pandas import DataFrame


_logger = logging.getLogger(__name__)

PREDICT_PROBA: Final = "predict_proba"
_CURVES: Final = ("curve/", "reported_curve/")
_OF_MLFLOW: Final = (
    *("metric_prefix", "average", "max_classes_for_multiclass_roc_pr", "col_mapping"),
    *("log_model_explainability", "log_explainer", "explainability_algorithm"),
    *("explainability_nsamples", "explainability_kernel_link"),
)
_KEYS: Final = (
    *("labels", "images", "scores", "thresholds", "pos_label"),
    *("project", "version", "name"),
)


class FileArtifact(EvaluationArtifact):
    """A file of the run; `content` are its bytes."""

    def _save(self, output_artifact_path: str) -> None:
        Path(output_artifact_path).write_bytes(self.content)

    def _load_content_from_file(self, local_artifact_path: str) -> bytes:
        content = Path(local_artifact_path).read_bytes()
        self._content = content
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    """What a model, or a table, says of the rows of a dataset."""

    y_pred: Any = None
    y_score: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What MLflow's evaluate is called with: see `ModelEvaluator.evaluate` of MLflow.

    `further` are what only its own evaluators take.
    """

    dataset: Any
    run_id: str
    config: Mapping[str, Any]
    model: "PyFuncModel | None" = None
    predictions: str | None = None
    further: Mapping[str, object] = field(default_factory=dict)


def evaluate_dataset(wanted: Wanted) -> EvaluationResult:
    """Evaluate, log into the run, and give back what was logged.

    Raises:
        EvaluationError: Truth and predictions contradict themselves, or each other.
        UsageError: The configuration names what is not there.
        TrackingError: MLflow cannot be reached or refuses.
    """
    store, dataset, config = _open_store(), wanted.dataset, dict(wanted.config)
    _say_unused(config, wanted.further)
    config["labels"] = _find_labels(config, _find_raw(wanted.model), dataset.labels_data)
    answered = _predict(wanted.model, dataset.features_data, wanted.predictions, config)
    if wanted.model is None:
        answered = replace(answered, y_pred=_read_static(dataset))
    options = _read_options(config, store, wanted.run_id, dataset.features_data)
    evaluation = build_evaluation(dataset.labels_data, answered.y_pred, answered.y_score, options)
    name = str(config.get("name") or "")
    description = describe_run(
        _name_test_set(evaluation, name),
        Options(),
        state="",
        logged_at=datetime.now(UTC).isoformat(),
    )
    named = description.dataset and replace(description.dataset, name=name)
    # without a name MLflow has logged the data under one of its own
    description = replace(description, dataset=named if name else None)
    return _build_result(store, wanted.run_id, _log(store, wanted.run_id, description))


def _open_store() -> Store:
    """The store that MLflow logs to."""
    import mlflow

    return Store(mlflow.MlflowClient(), mlflow.get_tracking_uri())


def _say_unused(config: Mapping[str, Any], further: Mapping[str, object]) -> None:
    """Say what does nothing: keys of the configuration, and what MLflow's own evaluators compute.

    Where no evaluator is named MLflow gives its own keys to all of them.
    """
    if unknown := [key for key in config if key not in {*_KEYS, *_OF_MLFLOW}]:
        _logger.warning(
            "mlrek does not know the keys %s of evaluator_config, and did not use them; it knows "
            "%s",
            quoted_some(unknown),
            ", ".join(_KEYS),
        )
    if asked := [name for name in ("extra_metrics", "custom_artifacts") if further.get(name)]:
        _logger.warning(
            "mlrek computes no %s; MLflow's own evaluator does: evaluators=['default', 'mlrek']",
            " and no ".join(asked),
        )


def _read_options(
    config: Mapping[str, Any], store: Store, run_id: str, features: Any
) -> ArrayOptions:
    run = store.client.get_run(run_id).info
    experiment = store.get_experiment(run.experiment_id)
    images = config.get("images")
    return ArrayOptions(
        labels=config.get("labels"),
        images=_take_column(features, images, "images") if isinstance(images, str) else images,
        thresholds=config.get("thresholds"),
        pos_label=config.get("pos_label"),
        project=config.get("project") or _make_name(experiment.name),
        version=config.get("version") or _make_name(f"{run.run_name}-{run_id[:8]}"),
        task="classification",
    )


def _make_name(name: str) -> str:
    """A name of MLflow's as one of ours, which has no slash."""
    return "".join(c if c.isprintable() and c not in "/\\" else "-" for c in name).strip(" -")


def _predict(
    model: "PyFuncModel | None", features: Any, column: str | None, config: Mapping[str, Any]
) -> _Answered:
    """What the model says of the features, without the column that names the images."""
    if model is None:
        return _Answered(y_score=_take_scores(features, config))
    images = config.get("images")
    if isinstance(images, str):
        _take_column(features, images, "images")
        features = features.drop(columns=[images])
    found = _split_output(model.predict(features), column, config)
    raw = _find_raw(model)
    if config.get("scores", PREDICT_PROBA) != PREDICT_PROBA or not hasattr(raw, PREDICT_PROBA):
        return found
    return replace(found, y_score=_name_columns(raw, raw.predict_proba(features), config["labels"]))


def _find_raw(model: "PyFuncModel | None") -> Any:
    """The model of its own library, where the flavour gives it out."""
    get_raw_model: Callable[[], Any] | None = getattr(model, "get_raw_model", None)
    try:
        return get_raw_model() if get_raw_model else None
    except NotImplementedError:
        return None


def _name_columns(raw: Any, probabilities: Any, labels: GivenLabels) -> Any:
    """Probabilities under the labels of the model's classes, where it names these."""
    from pandas import DataFrame

    classes = getattr(raw, "classes_", None)
    if classes is None or len(classes) != np.shape(probabilities)[-1]:
        return probabilities
    column = read_column("classes_", classes)
    named = order_given_labels(labels, (column,))
    columns = [f"{SCORE_PREFIX}{named.names[i]}" for i in named.place(column)]
    return DataFrame(np.asarray(probabilities), columns=columns)


def _find_labels(config: Mapping[str, Any], raw: Any, y_true: Any) -> GivenLabels:
    """The labels as configured, else the model's classes, then what else is true."""
    classes = getattr(raw, "classes_", None)
    if config.get("labels") is not None or classes is None or np.ndim(classes) != 1:
        return config.get("labels")
    model, truth = read_column("classes_", classes), read_column("targets", y_true)
    known, true = model.values, truth.values  # noqa: PD011 - no frames
    if len({isinstance(value, str) for value in (*known, *true)}) > 1:
        return None  # names and numbers: refused where they meet
    return [*known, *(value for value in true if value not in known)]


def _split_output(output: Any, column: str | None, config: Mapping[str, Any]) -> _Answered:
    """Predicted labels and scores of what a model returns: a column, a matrix of scores, a frame.

    Raises:
        UsageError: It is a frame, and nobody said which column holds the labels.
    """
    from pandas import DataFrame

    if isinstance(output, list) and output and isinstance(output[0], Mapping):
        output = DataFrame(output)
    if not isinstance(output, DataFrame):
        array = np.asarray(output)
        is_scored = array.dtype.kind == "f" and not np.all(array == np.rint(array))
        return _Answered(y_score=array) if is_scored else _Answered(y_pred=output)
    if column is None and len(output.columns) == 1:
        column = str(output.columns[0])
    scores = _take_scores(output, config)
    if column is None and scores is None:
        raise UsageError(
            f"the model returns the columns {quoted_some(list(output.columns))}: name the one with "
            "the predicted labels as `predictions`, or those with scores in evaluator_config"
        )
    predicted = None if column is None else _take_column(output, column, "predictions")
    return _Answered(y_pred=predicted, y_score=scores)


def _take_scores(frame: Any, config: Mapping[str, Any]) -> "DataFrame | None":
    """The columns of scores that the configuration names, else those called `score_<label>`."""
    from pandas import DataFrame

    scores = config.get("scores", PREDICT_PROBA)
    columns = list(getattr(frame, "columns", ()))
    if scores is None:
        return None
    if isinstance(scores, str):
        choose("scores", scores, (PREDICT_PROBA, *map(str, columns)))
        if scores in columns:
            return DataFrame(_take_column(frame, scores, "scores"))
        found = [c for c in columns if isinstance(c, str) and c.startswith(SCORE_PREFIX)]
        return DataFrame(frame[found]) if found else None
    for name in scores:
        _take_column(frame, name, "scores")
    taken: DataFrame = frame[list(scores)]
    labels = config.get("labels")
    return taken if labels is None else taken.set_axis(range(len(scores)), axis=1)


def _take_column(frame: Any, column: str, key: str) -> Any:
    """A column of a frame.

    Raises:
        UsageError: It is not there.
    """
    columns = list(getattr(frame, "columns", ()))
    if column not in columns:
        there = quoted_some(columns) if columns else "none: the data are no frame"
        raise UsageError(f"{key}: there is no column {quoted(column)}; there are {there}")
    return frame[column]


def _read_static(dataset: Any) -> Any:
    """The column of predictions of a table.

    Raises:
        EvaluationError: Nobody named one.
    """
    if not dataset.has_predictions:
        raise EvaluationError("there is neither a model nor a column of `predictions`")
    return dataset.predictions_data


def _name_test_set(evaluation: Evaluation, name: str) -> Evaluation:
    files = (replace(file, uri=name) if file.role == TRUTH else file for file in evaluation.files)
    return replace(evaluation, files=tuple(files))


def _log(store: Store, run_id: str, description: RunDescription) -> RunDescription:
    """Log what is not there yet, and give back what the run holds of it.

    Numbers under the names of MLflow's own evaluator stay as that one has logged them.
    """
    run = store.get_run(run_id)
    is_same = run.is_logged and run.evaluation_key == description.tags["mlrek.evaluation_key"]
    taken = set() if run.is_hosted else {*EVALUATOR_NAMES, "example_count"} & run.metrics.keys()
    kept = tuple(point for point in description.metrics if point.key not in taken)
    description = replace(description, metrics=kept)
    if kept_params := [k for k, v in description.params.items() if run.params.get(k, v) != v]:
        _logger.warning(
            "the run keeps its parameters %s, which MLflow never changes; the evaluation has other "
            "values",
            ", ".join(kept_params),
        )
    if not is_same:
        store.fill_hosted_run(run_id, description)
    return description


def _build_result(store: Store, run_id: str, description: RunDescription) -> EvaluationResult:
    """The numbers that have one value, and the files."""
    place = store.client.get_run(run_id).info.artifact_uri
    metrics = {
        point.key: point.value for point in description.metrics if not point.key.startswith(_CURVES)
    }
    artifacts = {
        path: FileArtifact(f"{place}/{path}", content)  # type: ignore[no-untyped-call]
        for path, content in description.files.items()
    }
    return EvaluationResult(metrics, artifacts, run_id)  # type: ignore[no-untyped-call]

"""From an evaluation to everything its run holds: compute, draw, tabulate, describe. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlrek.evaluation import Evaluation, test_set_digest
from mlrek.figures.confusion import draw_confusion_matrix
from mlrek.figures.curves import draw_precision_recall, draw_threshold_curves
from mlrek.figures.style import encode_png, render_png, render_rgb
from mlrek.formats.stored import dump_evaluation
from mlrek.metrics import Metrics, PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.tables import describe_predictions, describe_tables
from mlrek.tables.json_text import Json, write_json
from mlrek.tracking.description import (
    Options,
    RunDescription,
    compute_evaluation_key,
    describe_dataset,
    describe_metrics,
    describe_params,
    describe_tags,
    describe_warnings,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 0
RESAMPLES = 1000
UNNAMED_SUMMARY = "summary.json"


def describe_run(
    evaluation: Evaluation, options: Options, *, state: str, logged_at: str
) -> RunDescription:
    """Everything the run of one version holds, ready for the writer."""
    metrics = compute_metrics(
        evaluation,
        prediction_rule=PredictionRule(options.prediction_rule),
        seed=SEED,
        resamples=RESAMPLES,
    )
    version, key = evaluation.version, compute_evaluation_key(evaluation, options)
    heat_map = _draw_heat_map(evaluation, metrics)
    return RunDescription(
        run_name=version.name,
        start_ms=version.training_start_ms,
        end_ms=version.training_end_ms,
        tags=describe_tags(evaluation, metrics, key=key, state=state, logged_at=logged_at),
        params=describe_params(evaluation, metrics),
        metrics=describe_metrics(evaluation, metrics),
        files={
            **_describe_pictures(evaluation, metrics, heat_map),
            **_describe_data(evaluation, metrics, options),
        },
        picture=heat_map,
        dataset=describe_dataset(evaluation),
    )


def _draw_heat_map(evaluation: Evaluation, metrics: Metrics) -> "NDArray[np.uint8] | None":
    if metrics.confusion is None:
        return None
    figure = draw_confusion_matrix(
        metrics.confusion,
        labels=len(metrics.labels),
        version=evaluation.version.name,
        images=len(evaluation.images),
    )
    return render_rgb(figure)


def _describe_pictures(
    evaluation: Evaluation, metrics: Metrics, heat_map: "NDArray[np.uint8] | None"
) -> dict[str, bytes]:
    """Pictures by artifact path; one without a meaning is left out."""
    pictures = dict(_draw_curves(evaluation, metrics))
    if heat_map is not None:
        pictures["confusion_matrix.png"] = encode_png(heat_map)
    return pictures


def _draw_curves(evaluation: Evaluation, metrics: Metrics) -> Iterator[tuple[str, bytes]]:
    version, images = evaluation.version.name, len(evaluation.images)
    if metrics.curves is not None:
        figure = draw_threshold_curves(metrics.curves, version=version, images=images)
        yield "threshold_curves.png", render_png(figure)
    if metrics.precision_recall:
        figure = draw_precision_recall(
            metrics.precision_recall,
            labels=len(metrics.labels),
            version=version,
            images=images,
            stops_at=metrics.curves.stops_at if metrics.curves else "",
        )
        yield "precision_recall.png", render_png(figure)


def _describe_data(evaluation: Evaluation, metrics: Metrics, options: Options) -> dict[str, bytes]:
    """Tables and the evaluation itself by artifact path."""
    files = describe_tables(
        evaluation,
        metrics,
        test_set_digest=test_set_digest(evaluation),
        settings={**options.describe(), "seed": SEED, "resamples": RESAMPLES},
        warnings=describe_warnings(evaluation, metrics),
    )
    files["evaluation.parquet"] = dump_evaluation(evaluation)
    if metrics.predictions is not None:
        files["predictions.json"] = _write_table(evaluation, metrics)
    if evaluation.summary:
        files[f"source/{_summary_name(evaluation)}"] = evaluation.summary
    return files


def _write_table(evaluation: Evaluation, metrics: Metrics) -> bytes:
    """The predictions in the form of MLflow's tables (`orient="split"`)."""
    assert metrics.predictions is not None  # noqa: S101 - for the type checker
    columns = describe_predictions(evaluation, metrics.predictions)
    rows: list[Json] = [list(row) for row in zip(*columns.values(), strict=True)]
    return write_json({"columns": list(columns), "data": rows})


def _summary_name(evaluation: Evaluation) -> str:
    """The summary's own file name, without what no file name may hold."""
    uri = next((file.uri for file in evaluation.files if file.role == "summary"), "")
    name = uri.replace("\\", "/").rpartition("/")[2]
    safe = "".join(c if c.isalnum() or c in "._- ()" else "_" for c in name).strip(" .")
    return safe[:200] or UNNAMED_SUMMARY

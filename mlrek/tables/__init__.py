"""Results -> the text files of a run: CSV, JSON and the classification report. Pure, no files."""

from collections.abc import Mapping, Sequence

from mlrek.evaluation import Evaluation
from mlrek.metrics import Metrics
from mlrek.metrics.outcomes import list_outcomes
from mlrek.tables.confusion import write_confusion_matrix, write_most_confused
from mlrek.tables.document import describe_evaluation
from mlrek.tables.json_text import Json, write_json
from mlrek.tables.labels import describe_labels, write_per_label, write_threshold_curves
from mlrek.tables.outcomes import write_outcomes
from mlrek.tables.predictions import describe_predictions, write_predictions
from mlrek.tables.report import describe_report, format_report, report_document

__all__ = ["describe_predictions", "describe_tables"]


def describe_tables(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    test_set_digest: str = "",
    settings: Mapping[str, Json] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, bytes]:
    """Every text file of a run by its artifact path; one without a meaning is left out.

    The arguments beside the results go into `evaluation.json`; see `describe_evaluation` there.
    MLflow's own table, `predictions.json`, has the columns of `describe_predictions`.
    """
    document = describe_evaluation(
        evaluation,
        metrics,
        test_set_digest=test_set_digest,
        settings=settings or {},
        warnings=warnings,
    )
    return {
        **_describe_confusion(metrics),
        **_describe_report(metrics),
        **_describe_label_tables(evaluation, metrics),
        **_describe_prediction_table(evaluation, metrics),
        "evaluation.json": write_json(document),
    }


def _describe_confusion(metrics: Metrics) -> dict[str, bytes]:
    if metrics.confusion is None:
        return {}
    n_labels = len(metrics.labels)
    return {
        "confusion_matrix.csv": write_confusion_matrix(metrics.confusion, n_labels),
        "most_confused.csv": write_most_confused(metrics.confusion, n_labels),
    }


def _describe_report(metrics: Metrics) -> dict[str, bytes]:
    report = describe_report(metrics)
    if report is None:
        return {}
    return {
        "classification_report.txt": format_report(report).encode("utf-8", "backslashreplace"),
        "classification_report.json": write_json(report_document(report)),
    }


def _describe_label_tables(evaluation: Evaluation, metrics: Metrics) -> dict[str, bytes]:
    if not metrics.labels:
        return {}
    files = {
        "per_label.csv": write_per_label(evaluation, metrics),
        "labels.json": write_json(describe_labels(metrics.labels)),
    }
    if metrics.curves is not None:
        files["threshold_curves.csv"] = write_threshold_curves(metrics.curves, metrics.labels)
    return files


def _describe_prediction_table(evaluation: Evaluation, metrics: Metrics) -> dict[str, bytes]:
    if metrics.predictions is None:
        return {}
    outcomes = list_outcomes(evaluation, metrics.predictions)
    return {
        "predictions.csv": write_predictions(evaluation, metrics.predictions),
        "outcomes.csv": write_outcomes(evaluation, outcomes),
    }

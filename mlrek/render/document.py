"""The text files of a run, above all `evaluation.json`: every number with all that it rests on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlrek import __version__
from mlrek.evaluation import Evaluation, IntArray, SourceFile, Version
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import ConfusionMatrix, Metrics, Reconciled, ThresholdCurves
from mlrek.metrics.counts import score_all_labels, score_counts
from mlrek.metrics.numbers import (
    NUMBER_GROUPS,
    find_definition,
    list_definitions,
    list_numbers,
)
from mlrek.metrics.slices import SliceReport
from mlrek.render import (
    Json,
    number_cells,
    number_or_null,
    text_cells,
    write_csv,
    write_json,
)
from mlrek.render.doubts import build_doubt_json, order_doubts
from mlrek.render.labels import display_names, label_columns, rank_mistakes
from mlrek.render.slices import SLICES_FILE, build_logged_json, write_slices
from mlrek.render.tables import (
    build_report,
    format_report,
    list_outcomes,
    report_document,
    write_outcomes,
    write_predictions,
)
from mlrek.text import ALL_LABEL, display_label, metric_key_labels

CORNER = "true\\predicted"

SCHEMA_VERSION: Final = 1
"""Raised when a key changes its meaning or goes away; new keys may come without."""

MAX_NAMED_IMAGES = 100


def describe_tables(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    test_set_digest: str = "",
    settings: Mapping[str, Json] | None = None,
    warnings: Sequence[str] = (),
    slices: SliceReport | None = None,
) -> dict[str, bytes]:
    """Every text file of a run by its artifact path; one without a meaning is left out.

    The arguments other than the results go into `evaluation.json`; see `describe_evaluation`.
    MLflow's own table, `predictions.json`, has the columns of `describe_predictions`.
    """
    document = describe_evaluation(
        evaluation,
        metrics,
        test_set_digest=test_set_digest,
        settings=settings or {},
        warnings=warnings,
        slices=slices,
    )
    return {
        **_write_confusion(metrics),
        **_write_report(metrics),
        **_write_labels(evaluation, metrics),
        **_write_predictions(evaluation, metrics),
        **({SLICES_FILE: write_slices(slices)} if slices else {}),
        "evaluation.json": write_json(document),
    }


def describe_evaluation(
    evaluation: Evaluation,
    metrics: Metrics,
    *,
    test_set_digest: str,
    settings: Mapping[str, Json],
    warnings: Sequence[str],
    slices: SliceReport | None = None,
) -> dict[str, Json]:
    """The whole document; an undefined number is null, with its reason where one is known.

    Args:
        evaluation: What was read.
        metrics: What was computed of it.
        test_set_digest: Identity of the test set, as in the run's tag.
        settings: Further options that numbers depend on (seed and number of resamples, …).
        warnings: Everything a reader must know, in plain words.
        slices: Those of the version, None where no file tells of its images; then not a key.
    """
    definitions = list_definitions(metrics.task, evaluation.pos_label)
    doubts = order_doubts(list_doubts(evaluation, metrics))
    return {
        "schema_version": SCHEMA_VERSION,
        "mlrek_version": __version__,
        "provider": evaluation.version.project.provider.value,
        "task": metrics.task.value,
        "project": {
            "arn": evaluation.version.project.arn,
            "name": evaluation.version.project.name,
        },
        "version": _describe_version(evaluation.version),
        "settings": {
            "prediction_rule": metrics.prediction_rule or None,
            "records": metrics.records.value if metrics.records else None,
            **settings,
        },
        "test_set": {
            "digest": test_set_digest or None,
            "images": metrics.test_images,
            "train_images": evaluation.reported.train_images,
            "seen_in_training": _describe_seen(evaluation),
        },
        "files": [_describe_file(file) for file in evaluation.files],
        "labels": list(metrics.labels),
        **_describe_groups(evaluation, metrics, definitions),
        "reported": _describe_reported(evaluation),
        "per_label": _describe_labels(evaluation, metrics),
        "confusion_matrix": _describe_confusion(metrics.confusion),
        "curves": _describe_curves(metrics.curves),
        "reconciliation": [_describe_reconciled(number) for number in metrics.reconciliation],
        **({"slices": build_logged_json(slices, evaluation)} if slices else {}),
        "doubts": [build_doubt_json(doubt) for doubt in doubts],
        "warnings": list(warnings),
        "definitions": dict(definitions),
    }


def _write_confusion(metrics: Metrics) -> dict[str, bytes]:
    if metrics.confusion is None:
        return {}
    n_labels = len(metrics.labels)
    return {
        "confusion_matrix.csv": write_confusion_matrix(metrics.confusion, n_labels),
        "most_confused.csv": write_most_confused(metrics.confusion, n_labels),
    }


def _write_report(metrics: Metrics) -> dict[str, bytes]:
    report = build_report(metrics)
    if report is None:
        return {}
    return {
        "classification_report.txt": format_report(report).encode("utf-8", "backslashreplace"),
        "classification_report.json": write_json(report_document(report)),
    }


def _write_labels(evaluation: Evaluation, metrics: Metrics) -> dict[str, bytes]:
    if not metrics.labels:
        return {}
    files = {
        "per_label.csv": write_per_label(evaluation, metrics),
        "labels.json": write_json(describe_labels(metrics.labels)),
    }
    if metrics.curves is not None:
        files["threshold_curves.csv"] = write_threshold_curves(metrics.curves, metrics.labels)
    return files


def _write_predictions(evaluation: Evaluation, metrics: Metrics) -> dict[str, bytes]:
    if metrics.predictions is None:
        return {}
    outcomes = list_outcomes(evaluation, metrics.predictions)
    return {
        "predictions.csv": write_predictions(evaluation, metrics.predictions),
        "outcomes.csv": write_outcomes(evaluation, outcomes),
    }


def _describe_version(version: Version) -> dict[str, Json]:
    return {
        "arn": version.arn,
        "name": version.name,
        "status": version.status or None,
        "training_start": _time(version.training_start_ms),
        "training_end": _time(version.training_end_ms),
        "billable_minutes": version.billable_minutes,
        "copied_from": version.copied_from or None,
    }


def _describe_seen(evaluation: Evaluation) -> dict[str, Json]:
    """How many test images the version was trained on, null where nothing tells; the first ones."""
    if evaluation.seen_in_training is None:
        return {"count": None, "images": []}
    seen = np.flatnonzero(evaluation.seen_in_training)
    named = [evaluation.images[i] for i in seen[:MAX_NAMED_IMAGES]]
    return {"count": len(seen), "images": [*named]}


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def _describe_file(file: SourceFile) -> dict[str, Json]:
    return {"role": file.role, "uri": file.uri, "size": file.size, "sha256": file.sha256}


def _describe_groups(
    evaluation: Evaluation, metrics: Metrics, definitions: Mapping[str, str]
) -> dict[str, Json]:
    """Value, interval, reason and definition of each number of all labels, by its group."""
    groups: dict[str, dict[str, Json]] = {group: {} for group in NUMBER_GROUPS}
    for row in list_numbers(evaluation, metrics):
        group, _, name = row.name.partition("/")
        if group in groups and not row.label:
            groups[group][name] = {
                "value": number_or_null(row.number.value),
                "low": number_or_null(row.number.low),
                "high": number_or_null(row.number.high),
                "reason": row.number.reason or None,
                "definition": find_definition(row.name, definitions) or None,
            }
    return {**groups}


def _describe_reported(evaluation: Evaluation) -> dict[str, Json]:
    """The provider's own numbers as they stand; those of labels are in `per_label`."""
    reported = evaluation.reported
    return {
        "aggregate": {name: number_or_null(value) for name, value in reported.aggregate.items()},
        "test_images": reported.test_images,
        "confusion_matrix": [
            [true, predicted, number_or_null(value)]
            for true, predicted, value in reported.confusion
        ],
        "base_model": dict(reported.baseline.aggregate) if reported.baseline else None,
    }


def _describe_labels(evaluation: Evaluation, metrics: Metrics) -> list[Json]:
    """One entry a label, in label order: the columns of `per_label.csv`, null where undefined."""
    columns = {name: _values(column) for name, column in label_columns(evaluation, metrics).items()}
    keys = metric_key_labels(metrics.labels)
    return [
        {
            "label": label,
            "metric_key": keys[i],
            **{name: values[i] for name, values in columns.items()},
        }
        for i, label in enumerate(metrics.labels)
    ]


def _describe_confusion(confusion: ConfusionMatrix | None) -> dict[str, Json] | None:
    if confusion is None:
        return None
    return {
        "rows": list(confusion.rows),
        "columns": list(confusion.columns),
        "counts": confusion.counts.tolist(),
    }


def _describe_curves(curves: ThresholdCurves | None) -> dict[str, Json] | None:
    """All labels together; `threshold_curves.csv` has those of each label."""
    if curves is None:
        return None
    columns = {
        "threshold": curves.thresholds,
        "tp": curves.tp.sum(axis=1),
        "fp": curves.fp.sum(axis=1),
        "fn": curves.fn.sum(axis=1),
        **score_all_labels(curves)._asdict(),
    }
    return {
        "stops_at": curves.stops_at or None,
        **{name: _values(column) for name, column in columns.items()},
    }


def _describe_reconciled(number: Reconciled) -> dict[str, Json]:
    return {
        "name": number.name,
        "reported": number_or_null(number.reported),
        "computed": number_or_null(number.computed),
        "agrees": number.agrees,
        "rule": number.rule,
    }


def _values(column: NDArray[np.generic]) -> list[Json]:
    return [number_or_null(value) for value in column.tolist()]


def write_per_label(evaluation: Evaluation, metrics: Metrics) -> bytes:
    """Everything known of each label, in label order; what is undefined is an empty cell.

    `threshold` is the provider's assumed one, `at_threshold_…` what mlrek computes there,
    `reported_…` what the provider published.
    """
    columns = {
        "label": text_cells(map(display_label, metrics.labels)),
        **{
            name: number_cells(values)
            for name, values in label_columns(evaluation, metrics).items()
        },
    }
    return write_csv(tuple(columns), tuple(columns.values()))


def write_threshold_curves(curves: ThresholdCurves, labels: Sequence[str]) -> bytes:
    """Counts and scores at each threshold: all labels together, `(all)`, then label by label."""
    tp, fp, fn = (_with_total(counts) for counts in (curves.tp, curves.fp, curves.fn))
    n_curves, n_thresholds = tp.shape
    names = text_cells((ALL_LABEL, *map(display_label, labels)))
    return write_csv(
        ("label", "threshold", "tp", "fp", "fn", "precision", "recall", "f1"),
        (
            [name for name in names for _ in range(n_thresholds)],
            number_cells(curves.thresholds) * n_curves,
            *(number_cells(values.ravel()) for values in (tp, fp, fn, *score_counts(tp, fp, fn))),
        ),
    )


def describe_labels(labels: Sequence[str]) -> dict[str, Json]:
    """What each label, by its own name, is called elsewhere, and its place in label order."""
    keys = metric_key_labels(labels)
    return {
        label: {"metric_key": keys[i], "index": i, "display": display_label(label)}
        for i, label in enumerate(labels)
    }


def _with_total(counts: IntArray) -> IntArray:
    """Counts (n_thresholds, n_labels) as (1 + n_labels, n_thresholds), first all labels'."""
    return np.vstack([counts.sum(axis=1), counts.T])


def write_confusion_matrix(confusion: ConfusionMatrix, n_labels: int) -> bytes:
    """The whole matrix of counts, rows true, columns predicted; the first column names the rows."""
    header = [CORNER, *text_cells(display_names(confusion.columns, n_labels))]
    rows = text_cells(display_names(confusion.rows, n_labels))
    columns = [number_cells(column) for column in confusion.counts.T]
    return write_csv(header, [rows, *columns])


def write_most_confused(confusion: ConfusionMatrix, n_labels: int) -> bytes:
    """Every mistake that was made: true and predicted label, count, and share of the row.

    The row of a label are the images where it is true. Most frequent first, among equals the
    largest share, then in label order.
    """
    row, column = rank_mistakes(confusion, n_labels)
    count = confusion.counts[row, column]
    true = text_cells(display_names(confusion.rows, n_labels))
    predicted = text_cells(display_names(confusion.columns, n_labels))
    return write_csv(
        ("true", "predicted", "count", "share"),
        (
            [true[i] for i in row],
            [predicted[j] for j in column],
            number_cells(count),
            number_cells(count / confusion.counts.sum(axis=1)[row]),
        ),
    )

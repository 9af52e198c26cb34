"""`evaluation.json`, and which files a run has."""

import json
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from mlrek import __version__
from mlrek.evaluation import RecordsKind, Task
from mlrek.metrics import ConfusionMatrix, Number, Reconciled, ThresholdCurves
from mlrek.render import write_json
from mlrek.render.document import describe_evaluation, describe_tables


@pytest.fixture
def evaluation(make_evaluation, reported, manifest):
    """Two labels, one of them with a name that is no metric key."""
    reported = replace(reported, per_label={"a": {"f1": 0.3}, "b/c": {}})
    return make_evaluation(
        labels=("a", "b/c"),
        images=("s3://b/0.jpg",),
        thresholds=[0.7, nan],
        reported=reported,
        files=(manifest,),
    )


@pytest.fixture
def metrics(make_metrics, make_scores, make_predictions):
    """Metrics that hold something of everything."""
    return make_metrics(
        ("a", "b/c"),
        records=RecordsKind.COMPLETE,
        aggregate={
            "accuracy": Number(value=0.75, low=0.5, high=0.9),
            "mcc": Number(value=nan, reason="zero denominator"),
            **{
                f"{name}_{average}": Number(value=0.5)
                for name in ("precision", "recall", "f1")
                for average in ("micro", "macro", "weighted")
            },
        },
        at_threshold={"f1_macro": Number(value=0.8)},
        per_label=make_scores(2, support=[4, 0], tp=[3, 0], fn=[1, 0], recall=[0.75, nan]),
        confusion=ConfusionMatrix(
            counts=np.array([[3, 0, 1], [0, 0, 0]]),
            rows=("a", "b/c"),
            columns=("a", "b/c", "(none)"),
        ),
        curves=ThresholdCurves(
            thresholds=np.array([0.0, 1.0]),
            tp=np.array([[3, 0], [0, 0]]),
            fp=np.array([[1, 0], [0, 0]]),
            fn=np.array([[1, 0], [4, 0]]),
            stops_at="records stop there",
        ),
        predictions=make_predictions([(0, 0, 0, 0.5, "correct")]),
        reconciliation=(
            Reconciled(name="f1", reported=0.9, computed=nan, agrees=None, rule="macro"),
        ),
    )


@pytest.fixture
def document(evaluation, metrics, read_json):
    """The document as another program reads it."""
    described = describe_evaluation(
        evaluation,
        metrics,
        test_set_digest="d" * 32,
        settings={"seed": 0, "resamples": 1000},
        warnings=("mind this",),
    )
    return read_json(write_json(described))


def test_the_keys_are_stable(document):
    """Programs rely on these."""
    assert list(document) == [
        "schema_version",
        "mlrek_version",
        "provider",
        "task",
        "project",
        "version",
        "settings",
        "test_set",
        "files",
        "labels",
        "aggregate",
        "at_threshold",
        "crossfit",
        "base_model",
        "extra",
        "errors",
        "reported",
        "per_label",
        "confusion_matrix",
        "curves",
        "reconciliation",
        "doubts",
        "warnings",
        "definitions",
    ]
    assert document["schema_version"] == 1
    assert document["mlrek_version"] == __version__


def test_where_it_comes_from(document, evaluation):
    """ARNs, training times in UTC, files with their hashes, and the identity of the test set."""
    assert document["project"] == {"arn": evaluation.version.project.arn, "name": "flowers"}
    assert document["version"] == {
        "arn": evaluation.version.arn,
        "name": "v1",
        "status": "TRAINING_COMPLETED",
        "training_start": "2023-07-28T15:05:51.958+00:00",
        "training_end": "2023-07-28T16:05:51.958+00:00",
        "billable_minutes": 42.5,
        "copied_from": None,
    }
    assert document["files"] == [
        {"role": "manifest", "uri": "s3://bucket/m.json", "size": 321, "sha256": "ab" * 32}
    ]
    assert document["test_set"] == {
        "digest": "d" * 32,
        "images": 12,
        "train_images": 48,
        "seen_in_training": {"count": None, "images": []},
    }


def test_test_images_seen_in_training_are_counted_and_named(make_evaluation, metrics, read_json):
    """How many test images the version was trained on, and the first hundred of them."""
    images = tuple(f"s3://b/{i}.jpg" for i in range(300))
    trained_on = np.arange(300) >= 150
    evaluation = make_evaluation(images=images, seen_in_training=trained_on)
    described = describe_evaluation(
        evaluation, metrics, test_set_digest="", settings={}, warnings=()
    )
    seen = read_json(write_json(described))["test_set"]["seen_in_training"]
    assert seen == {"count": 150, "images": list(images[150:250])}


def test_what_the_numbers_depend_on(document):
    """Rule, kind of records, seed and number of resamples."""
    assert document["settings"] == {
        "prediction_rule": "top1",
        "records": "complete",
        "seed": 0,
        "resamples": 1000,
    }


def test_a_number_stands_with_interval_and_definition(document):
    """What it is, and how sure it is."""
    accuracy = document["aggregate"]["accuracy"]
    assert accuracy.pop("definition").startswith("share of images")
    assert accuracy == {"value": 0.75, "low": 0.5, "high": 0.9, "reason": None}


def test_an_undefined_number_is_null_with_its_reason(document):
    """Never NaN, never 0."""
    mcc = document["aggregate"]["mcc"]
    assert mcc["value"] is mcc["low"] is None
    assert mcc["reason"] == "zero denominator"


def test_labels_have_their_raw_names(document):
    """With their metric key next to it, and null where undefined."""
    assert document["labels"] == ["a", "b/c"]
    first, second = document["per_label"]
    assert (first["label"], first["support"], first["recall"]) == ("a", 4, 0.75)
    assert (first["threshold"], first["reported_f1"]) == (0.7, 0.3)
    assert (second["label"], second["metric_key"]) == ("b/c", "b_x2F_c")
    assert second["recall"] is None


def test_matrix_and_curves(document):
    """Counts as they are; curves of all labels together, and where the records stop."""
    assert document["confusion_matrix"]["counts"] == [[3, 0, 1], [0, 0, 0]]
    assert document["confusion_matrix"]["columns"] == ["a", "b/c", "(none)"]
    assert document["curves"] == {
        "stops_at": "records stop there",
        "threshold": [0, 1],
        "tp": [3, 0],
        "fp": [1, 0],
        "fn": [1, 4],
        "precision": [0.75, None],
        "recall": [0.75, 0],
        "f1": [0.75, 0],
    }


def test_reported_is_apart_and_reconciled(document):
    """The provider's numbers as they stand, and what mlrek makes of them."""
    assert document["reported"] == {
        "aggregate": {"f1": 0.9},
        "test_images": 12,
        "confusion_matrix": [["a", "b", 0.25]],
        "base_model": None,
    }
    assert document["reconciliation"] == [
        {"name": "f1", "reported": 0.9, "computed": None, "agrees": None, "rule": "macro"}
    ]
    assert document["warnings"] == ["mind this"]


def test_the_files_of_a_run(evaluation, metrics):
    """Every table of the promise under its path."""
    files = describe_tables(evaluation, metrics)
    assert sorted(files) == [
        "classification_report.json",
        "classification_report.txt",
        "confusion_matrix.csv",
        "evaluation.json",
        "labels.json",
        "most_confused.csv",
        "outcomes.csv",
        "per_label.csv",
        "predictions.csv",
        "threshold_curves.csv",
    ]
    assert all(isinstance(content, bytes) and content for content in files.values())


def test_without_a_manifest_there_is_what_was_reported(evaluation, make_metrics):
    """No images: no matrix, no report, no curves, no predictions."""
    files = describe_tables(evaluation, make_metrics(("a", "b/c"), test_images=None))
    assert sorted(files) == ["evaluation.json", "labels.json", "per_label.csv"]


def test_without_labels_there_is_the_document(make_evaluation, make_metrics):
    """A version of which nothing but one number is known."""
    files = describe_tables(make_evaluation(labels=()), make_metrics(()))
    assert list(files) == ["evaluation.json"]


def test_boxes_have_no_classification_report(evaluation, metrics):
    """It is of whole images; everything else stays."""
    files = describe_tables(evaluation, metrics)
    boxes = describe_tables(evaluation, replace(metrics, task=Task.DETECTION))
    missing = {"classification_report.txt", "classification_report.json"}
    assert files.keys() - boxes.keys() == missing


def test_kinds_of_errors_and_further_numbers(evaluation, make_metrics):
    """Of boxes: how many mistakes of each kind, and what only this document holds, defined."""
    metrics = make_metrics(
        ("a", "b/c"),
        task=Task.DETECTION,
        errors={"duplicate": 3},
        extra={"ap_optimistic": Number(value=0.5)},
    )
    document = json.loads(describe_tables(evaluation, metrics)["evaluation.json"])
    assert document["errors"]["duplicate"]["value"] == 3
    assert "surer prediction" in document["errors"]["duplicate"]["definition"]
    assert document["extra"]["ap_optimistic"]["value"] == 0.5
    assert "too high" in document["extra"]["ap_optimistic"]["definition"]

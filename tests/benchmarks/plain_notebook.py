"""What a data scientist would write in a notebook to log a project's evaluations to MLflow.

No mlrek: json, scikit-learn and matplotlib call by call, and MLflow's fluent API. Reads saved
evaluations of one-label classification in the layout of `mlrek archive`. It is the yardstick of
`bench_sync.py`, and a second opinion on the numbers.

    python plain_notebook.py FOLDER-OR-S3 --tracking-uri sqlite:///plain.db
"""

# ruff: noqa: TID251 - a notebook uses pyplot and MLflow's global state

import argparse
import json
import tempfile

import matplotlib as mpl
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from notebook_files import open_place
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    classification_report,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    hamming_loss,
    jaccard_score,
    log_loss,
    matthews_corrcoef,
    precision_recall_curve,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    roc_auc_score,
)

AVERAGES = ("micro", "macro", "weighted")
TRUTH = "rekognition-custom-labels-training-0-metadata"
EVALUATION = "rekognition-custom-labels-evaluation-"


def read_version(place, version):
    """The summary of a version and its test images: true label and scores of each."""
    summary = place.read_json(place.find(version, "EvaluationResultSummary-"))
    labels = summary["EvaluationDetails"]["Labels"]
    column = {label: i for i, label in enumerate(labels)}
    images, y_true, scores = [], [], []
    for text in place.read_lines(place.find(version, "TestingGroundTruth-")):
        line = json.loads(text)
        row = [np.nan] * len(labels)
        for key, value in line.items():
            if key.startswith(EVALUATION) and key.endswith("-metadata"):
                row[column[value["class-name"]]] = value["confidence"]
        images.append(line["source-ref"])
        y_true.append(line[TRUTH]["class-name"])
        scores.append(row)
    return summary, labels, images, np.array(y_true), np.array(scores)


def log_averages(prefix, y_true, y_pred, **options):
    """Precision, recall and F1, each averaged in three ways."""
    for average in AVERAGES:
        for name, score in (
            ("precision", precision_score),
            ("recall", recall_score),
            ("f1", f1_score),
        ):
            value = score(y_true, y_pred, average=average, zero_division=0, **options)
            mlflow.log_metric(f"{prefix}/{name}_{average}", value)


def log_aggregates(y_true, y_pred):
    """Everything that needs no scores."""
    mlflow.log_metric("aggregate/accuracy", accuracy_score(y_true, y_pred))
    mlflow.log_metric("aggregate/balanced_accuracy", balanced_accuracy_score(y_true, y_pred))
    mlflow.log_metric("aggregate/hamming_loss", hamming_loss(y_true, y_pred))
    mlflow.log_metric("aggregate/mcc", matthews_corrcoef(y_true, y_pred))
    mlflow.log_metric("aggregate/cohen_kappa", cohen_kappa_score(y_true, y_pred))
    log_averages("aggregate", y_true, y_pred)
    for average in AVERAGES:
        jaccard = jaccard_score(y_true, y_pred, average=average, zero_division=0)
        mlflow.log_metric(f"aggregate/jaccard_{average}", jaccard)


def compute_ece(is_right, confidence, bins=15):
    """Expected calibration error."""
    error = 0.0
    for i in range(bins):
        low, high = i / bins, (i + 1) / bins
        inside = (confidence > low) & (confidence <= high)
        if i == 0:
            inside |= confidence == 0
        if inside.any():
            gap = abs(is_right[inside].mean() - confidence[inside].mean())
            error += gap * inside.mean()
    return error


def log_labels(labels, y_true, y_pred):
    """Precision, recall and F1 of each label."""
    options = {"labels": labels, "average": None, "zero_division": np.nan}
    precision = precision_score(y_true, y_pred, **options)
    recall = recall_score(y_true, y_pred, **options)
    f1 = f1_score(y_true, y_pred, **options)
    for i, label in enumerate(labels):
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            if not np.isnan(values[i]):
                mlflow.log_metric(f"label_{name}/{label}", values[i])


def log_scores(labels, is_true, scores):
    """What needs the score of every label on every image."""
    known = is_true.any(axis=0)
    mlflow.log_metric("aggregate/log_loss", log_loss(is_true, scores))
    mlflow.log_metric("aggregate/roc_auc_macro", roc_auc_score(is_true[:, known], scores[:, known]))
    mlflow.log_metric(
        "aggregate/average_precision_macro",
        average_precision_score(is_true[:, known], scores[:, known], average="macro"),
    )
    for i in np.flatnonzero(known):
        ap = average_precision_score(is_true[:, i], scores[:, i])
        mlflow.log_metric(f"label_ap/{labels[i]}", ap)


def log_curves(is_true, scores):
    """Precision, recall and F1 over thresholds; a table of them."""
    rows = []
    for step in range(101):
        said = scores >= step / 100
        precision, recall, f1, _ = precision_recall_fscore_support(
            is_true, said, average="micro", zero_division=np.nan
        )
        row = {"precision": precision, "recall": recall, "f1": f1}
        for name, value in row.items():
            if not np.isnan(value):
                mlflow.log_metric(f"curve/{name}", value, step=step)
        rows.append({"threshold": step / 100, **row})
    return pd.DataFrame(rows)


def log_reported(summary):
    """The service's own averages."""
    reported = summary["AggregatedEvaluationResults"]
    for name, key in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1Score")):
        mlflow.log_metric(f"reported/{name}", reported[key])


def draw_confusion_matrix(labels, y_true, y_pred):
    """A heat map as seaborn draws it: count and row percent in each cell."""
    counts = confusion_matrix(y_true, y_pred, labels=labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = plt.subplots(figsize=(12, 10))
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture)
    for i in range(len(labels)):
        for j in range(len(labels)):
            text = f"{counts[i, j]}\n{shares[i, j]:.0%}"
            color = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.tight_layout()
    mlflow.log_figure(figure, "confusion_matrix.png")
    plt.close(figure)
    log_csv(pd.DataFrame(counts, index=labels, columns=labels), "confusion_matrix.csv")


def draw_threshold_curves(curves):
    """Precision, recall and F1 over thresholds."""
    figure, axes = plt.subplots()
    for name in ("precision", "recall", "f1"):
        axes.plot(curves["threshold"], curves[name], label=name)
    axes.legend()
    mlflow.log_figure(figure, "threshold_curves.png")
    plt.close(figure)
    log_csv(curves, "threshold_curves.csv")


def draw_precision_recall(labels, is_true, scores):
    """A curve for each label."""
    figure, axes = plt.subplots()
    for i, label in enumerate(labels):
        if is_true[:, i].any():
            precision, recall, _ = precision_recall_curve(is_true[:, i], scores[:, i])
            axes.plot(recall, precision, label=label)
    axes.legend(fontsize=6)
    mlflow.log_figure(figure, "precision_recall.png")
    plt.close(figure)


def log_csv(table, name):
    """A table as an artifact."""
    with tempfile.TemporaryDirectory() as folder:
        table.to_csv(f"{folder}/{name}")
        mlflow.log_artifact(f"{folder}/{name}")


def log_predictions(images, y_true, y_pred, confidence):
    """Image by image, mistakes first."""
    table = pd.DataFrame(
        {"image": images, "predicted": y_pred, "truth": y_true, "confidence": confidence}
    )
    mistakes_first = table.iloc[np.argsort(y_pred == y_true, kind="stable")]
    mlflow.log_table(mistakes_first.head(5000), "predictions.json")
    log_csv(table, "predictions.csv")


def log_version(place, version):
    """Everything about one version in one run."""
    summary, labels, images, y_true, recorded = read_version(place, version)
    scores = np.nan_to_num(recorded, nan=-1.0)
    y_pred = np.array(labels)[scores.argmax(axis=1)]
    is_true = y_true[:, None] == np.array(labels)
    limits = {
        row["Label"]: row["Metrics"]["Threshold"] for row in summary["LabelEvaluationResults"]
    }
    reached = scores >= np.array([limits[label] for label in labels])
    used = (is_true | reached).any(axis=0)
    with mlflow.start_run(run_name=version.rpartition("/")[2]):
        mlflow.set_tag("version_arn", summary["EvaluationDetails"]["ProjectVersionArn"])
        mlflow.log_param("labels", len(labels))
        mlflow.log_param("test_images", len(images))
        log_reported(summary)
        log_aggregates(y_true, y_pred)
        mlflow.log_metric("aggregate/ece", compute_ece(y_true == y_pred, scores.max(axis=1)))
        log_averages("at_threshold", is_true[:, used], reached[:, used])
        log_labels(labels, y_true, y_pred)
        if not np.isnan(recorded).any():
            log_scores(labels, is_true, scores)
            draw_precision_recall(labels, is_true, scores)
        draw_threshold_curves(log_curves(is_true, scores))
        draw_confusion_matrix(labels, y_true, y_pred)
        report = classification_report(y_true, y_pred, labels=labels, digits=4, zero_division=0)
        mlflow.log_text(report, "classification_report.txt")
        log_predictions(images, y_true, y_pred, scores.max(axis=1))


def main():
    """Log every version of a folder or prefix."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place")
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--experiment", default="plain")
    arguments = parser.parse_args()
    mpl.use("agg")
    mlflow.set_tracking_uri(arguments.tracking_uri)
    mlflow.set_experiment(arguments.experiment)
    place = open_place(arguments.place)
    for version in place.list_versions():
        log_version(place, version)


if __name__ == "__main__":
    main()

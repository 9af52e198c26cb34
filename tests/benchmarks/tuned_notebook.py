"""The same as `plain_notebook.py`, by somebody who knows the libraries.

Labels are integer codes from the moment of reading; what follows from the confusion matrix is
computed from it, and every curve from one sort, with numpy; each run takes one `log_metrics` (and
one more for its curves), one folder of artifacts, and figures are drawn without pyplot.

    python tuned_notebook.py FOLDER-OR-S3 --tracking-uri sqlite:///tuned.db
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Metric
from notebook_files import open_place
from plain_notebook import EVALUATION, TRUTH, compute_ece
from sklearn.metrics import classification_report

AVERAGES = ("micro", "macro", "weighted")


def read_version(place, version):
    """The summary of a version and its test images: code of the true label, scores."""
    summary = place.read_json(place.find(version, "EvaluationResultSummary-"))
    labels = summary["EvaluationDetails"]["Labels"]
    code = {label: i for i, label in enumerate(labels)}
    keys = [f"{EVALUATION}{i}-metadata" for i in range(len(labels))]
    images, y_true, scores = [], [], []
    for text in place.read_lines(place.find(version, "TestingGroundTruth-")):
        line = json.loads(text)
        row = [np.nan] * len(labels)
        for key in keys:
            if (record := line.get(key)) is not None:
                row[code[record["class-name"]]] = record["confidence"]
        images.append(line["source-ref"])
        y_true.append(code[line[TRUTH]["class-name"]])
        scores.append(row)
    return summary, labels, images, np.array(y_true), np.array(scores)


def divide(numerator, denominator, undefined=0.0):
    """Element by element."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, float), np.asarray(denominator, float)
    )
    out = np.full(numerator.shape, undefined)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def average(tp, true, said):
    """Precision, recall, F1 and Jaccard, each averaged in three ways."""
    used = (true + said) > 0
    numbers = {}
    for name, top, bottom in (
        ("precision", tp, said),
        ("recall", tp, true),
        ("f1", 2 * tp, true + said),
        ("jaccard", tp, true + said - tp),
    ):
        each = divide(top, bottom)
        numbers[f"{name}_micro"] = float(divide(top.sum(), bottom.sum()))
        numbers[f"{name}_macro"] = float(each[used].mean())
        numbers[f"{name}_weighted"] = float(divide((each * true).sum(), true.sum()))
    return numbers


def compute_aggregates(counts):
    """Everything that follows from the confusion matrix."""
    n, tp, true, said = counts.sum(), np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    accuracy = tp.sum() / n
    covariance = tp.sum() * n - (true * said).sum()
    spread = (n**2 - (said**2).sum()) * (n**2 - (true**2).sum())
    expected = (true * said).sum() / n**2
    return {
        "accuracy": accuracy,
        "balanced_accuracy": divide(tp, true)[true > 0].mean(),
        "hamming_loss": 1 - accuracy,
        "mcc": covariance / np.sqrt(float(spread)),
        "cohen_kappa": (accuracy - expected) / (1 - expected),
        **average(tp, true, said),
    }


def compute_areas(is_true, scores):
    """ROC AUC and average precision of one label, and its curve, from one sort."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(is_true[order])
    last = np.append(ordered[1:] < ordered[:-1], True)
    tp, said = hits[last], np.flatnonzero(last) + 1
    precision, recall = tp / said, tp / tp[-1]
    fp = said - tp
    ap = float(np.sum(np.diff(recall, prepend=0) * precision))
    auc = float(np.trapezoid(np.append(0, tp), np.append(0, fp)) / (tp[-1] * fp[-1]))
    return auc, ap, (recall, precision)


def compute_curves(is_true, scores):
    """Precision, recall and F1 of all pairs at thresholds 0, 0.01, … 1."""
    thresholds = np.arange(101) / 100
    reached = np.searchsorted(thresholds, scores.ravel(), side="right") - 1
    kept = reached >= 0
    said = np.cumsum(np.bincount(reached[kept], minlength=101)[::-1])[::-1]
    hit = is_true.ravel()[kept]
    tp = np.cumsum(np.bincount(reached[kept][hit], minlength=101)[::-1])[::-1]
    true = is_true.sum()
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "precision": divide(tp, said, np.nan),
            "recall": divide(tp, true, np.nan),
            "f1": divide(2 * tp, said + true, np.nan),
        }
    )


def compute_numbers(summary, labels, y_true, recorded):
    """Every number of the run but the curves, by metric key; with the curves of each label."""
    scores = np.nan_to_num(recorded, nan=-1.0)
    y_pred = scores.argmax(axis=1)
    n = len(labels)
    counts = np.bincount(y_true * n + y_pred, minlength=n * n).reshape(n, n)
    is_true = y_true[:, None] == np.arange(n)
    limits = {
        row["Label"]: row["Metrics"]["Threshold"] for row in summary["LabelEvaluationResults"]
    }
    reached = scores >= np.array([limits[label] for label in labels])
    numbers = {f"aggregate/{name}": value for name, value in compute_aggregates(counts).items()}
    numbers["aggregate/ece"] = compute_ece(y_true == y_pred, scores.max(axis=1))
    at = average((is_true & reached).sum(axis=0), is_true.sum(axis=0), reached.sum(axis=0))
    numbers |= {f"at_threshold/{k}": v for k, v in at.items() if not k.startswith("jaccard")}
    tp, true, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    for name, values in (
        ("precision", divide(tp, said, np.nan)),
        ("recall", divide(tp, true, np.nan)),
        ("f1", divide(2 * tp, true + said, np.nan)),
    ):
        numbers |= {f"label_{name}/{labels[i]}": values[i] for i in np.flatnonzero(values >= 0)}
    reported = summary["AggregatedEvaluationResults"]
    for name, key in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1Score")):
        numbers[f"reported/{name}"] = reported[key]
    lines = {}
    if not np.isnan(recorded).any():
        known = np.flatnonzero(true)
        areas = {i: compute_areas(is_true[:, i], scores[:, i]) for i in known}
        chosen = np.clip(scores[np.arange(len(y_true)), y_true], np.finfo(float).eps, 1)
        numbers["aggregate/log_loss"] = float(-np.log(chosen).mean())
        numbers["aggregate/roc_auc_macro"] = float(np.mean([a for a, _, _ in areas.values()]))
        numbers["aggregate/average_precision_macro"] = float(
            np.mean([a for _, a, _ in areas.values()])
        )
        numbers |= {f"label_ap/{labels[i]}": ap for i, (_, ap, _) in areas.items()}
        lines = {labels[i]: line for i, (_, _, line) in areas.items()}
    return numbers, counts, y_pred, compute_curves(is_true, scores), lines


def draw_confusion_matrix(labels, counts):
    """A heat map: count and row percent in each cell."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(12, 10))
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1))
    for i in range(len(labels)):
        for j in range(len(labels)):
            color = "white" if shares[i, j] > 0.5 else "black"
            text = f"{counts[i, j]}\n{shares[i, j]:.0%}"
            axes.text(j, i, text, ha="center", va="center", fontsize=6, color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.tight_layout()
    return figure


def draw_lines(lines):
    """A line each."""
    figure = Figure()
    axes = figure.subplots()
    for name, (x, y) in lines.items():
        axes.plot(x, y, label=name)
    axes.legend(fontsize=6)
    return figure


def write_files(folder, labels, images, y_true, recorded, computed):
    """Figures and tables."""
    _, counts, y_pred, curves, lines = computed
    draw_confusion_matrix(labels, counts).savefig(folder / "confusion_matrix.png")
    by_name = {name: (curves["threshold"], curves[name]) for name in ("precision", "recall", "f1")}
    draw_lines(by_name).savefig(folder / "threshold_curves.png")
    if lines:
        draw_lines(lines).savefig(folder / "precision_recall.png")
    pd.DataFrame(counts, index=labels, columns=labels).to_csv(folder / "confusion_matrix.csv")
    curves.to_csv(folder / "threshold_curves.csv")
    codes = range(len(labels))
    report = classification_report(
        y_true, y_pred, labels=codes, target_names=labels, digits=4, zero_division=0
    )
    (folder / "classification_report.txt").write_text(report)
    names = np.array(labels)
    confidence = np.nan_to_num(recorded, nan=-1.0).max(axis=1)
    table = pd.DataFrame(
        {
            "image": images,
            "predicted": names[y_pred],
            "truth": names[y_true],
            "confidence": confidence,
        }
    )
    table.to_csv(folder / "predictions.csv")
    mistakes_first = table.iloc[np.argsort(y_pred == y_true, kind="stable")]
    mlflow.log_table(mistakes_first.head(5000), "predictions.json")


def log_version(place, version):
    """Everything about one version in one run."""
    summary, labels, images, y_true, recorded = read_version(place, version)
    computed = compute_numbers(summary, labels, y_true, recorded)
    now = int(time.time() * 1000)
    with mlflow.start_run(run_name=version.rpartition("/")[2]) as run:
        mlflow.set_tag("version_arn", summary["EvaluationDetails"]["ProjectVersionArn"])
        mlflow.log_params({"labels": len(labels), "test_images": len(images)})
        mlflow.log_metrics({key: float(value) for key, value in computed[0].items()})
        points = [
            Metric(f"curve/{name}", float(value), now, step)
            for name in ("precision", "recall", "f1")
            for step, value in enumerate(computed[3][name])
            if not np.isnan(value)
        ]
        mlflow.MlflowClient().log_batch(run.info.run_id, metrics=points)
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), labels, images, y_true, recorded, computed)
            mlflow.log_artifacts(folder)


def main():
    """Log every version of a folder or prefix."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place")
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--experiment", default="tuned")
    arguments = parser.parse_args()
    mlflow.set_tracking_uri(arguments.tracking_uri)  # noqa: TID251 - as a notebook does
    mlflow.set_experiment(arguments.experiment)
    place = open_place(arguments.place)
    for version in place.list_versions():
        log_version(place, version)


if __name__ == "__main__":
    main()
